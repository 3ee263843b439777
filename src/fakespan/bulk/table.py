"""The table that a run writes: numbered Parquet parts of four tables, and one manifest that says which are complete.

    TABLE/manifest.json                 settings, number of parts, counts
    TABLE/files/part-00000.parquet      a row per name: version, SHA-256, state and error
    TABLE/scans/part-00000.parquet      a row per content: score, verdict, media, notes
    TABLE/segments/part-00000.parquet   a row per segment
    TABLE/curves/part-00000.parquet     a row per curve, if wanted

Contract: parts are written first and the manifest last, each atomically. A part beyond the manifest's number belongs to
an interrupted run, and the next run replaces it. One run at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fakespan.bulk.listing import Item
from fakespan.bulk.outcome import Outcome, content_key
from fakespan.bulk.schemas import TABLES, arrow, rows, schema
from fakespan.errors import DataError, UsageError
from fakespan.files import differences, try_lock, write_text, writing
from fakespan.report.words import printable

__all__ = ["FORMAT", "Counts", "Table", "opened"]

FORMAT = "fakespan.bulk/1"
_MANIFEST, _LOCK = "manifest.json", ".lock"
_PART_FILES, _PART_FILES_WITH_CURVES = 500, 100  # curves are long


@dataclass
class Counts:
    """Files of a table by what came of them: each counts once, by its last row."""

    scanned: int = 0  # also those that were read again since then, with the same content
    suspected: int = 0  # of those: the score of the file reaches the threshold
    same: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All files."""
        return self.scanned + self.same + self.failed


@contextlib.contextmanager
def opened(folder: Path, settings: Mapping[str, Any], *, curves: bool, retry_failed: bool) -> Iterator[Table]:
    """The table in a folder, new or continued, locked during the block; what was added is written at its end.

    Args:
        folder: created if missing.
        settings: of the scans; a table holds scans of the same settings only.
        curves: whether scores over time are written.
        retry_failed: forget which files failed.

    Raises:
        UsageError: the folder has other content or other settings, is in use, or cannot be written.
        DataError: the table is damaged.
        MissingExtraError: pyarrow is not installed.
    """
    arrow()
    with _locked(folder):
        table = Table(folder, {**settings, "curves": curves})
        table.load(retry_failed)
        try:
            yield table
        finally:
            table.flush()


class Table:
    """A table that takes in outcomes; see `opened`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        self.n_parts = 0
        self.contents: set[bytes] = set()  # `content_key` of each
        self._versions: set[int] = set()  # hashes of (name, version), and of names; 64 bytes instead of the text
        self._last: dict[int, tuple[str, bytes]] = {}  # state and `content_key` of a file, by the hash of its name
        self._suspected: set[bytes] = set()  # those of `contents`
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES if name != "curves" or self._curves}

    @property
    def counts(self) -> Counts:
        """Of the files."""
        states = Counter(state for state, _ in self._last.values())
        n_suspected = sum(state == "scanned" and key in self._suspected for state, key in self._last.values())
        return Counts(states["scanned"], n_suspected, states["same"], states["failed"])

    def has(self, item: Item) -> bool:
        """Whether a file of this name and version is in the table."""
        return hash(_shown(item)) in self._versions

    def has_name(self, name: str) -> bool:
        """Whether a file of this name is in the table, whatever its version."""
        return hash(printable(name)) in self._versions

    def add(self, outcome: Outcome) -> None:
        """Take in an outcome; a full part is written. A content that is there already is not added again."""
        if outcome.scan is not None and content_key(outcome.sha256) in self.contents:
            outcome = dataclasses.replace(outcome, state="same", scan=None)
        for table, row in rows(outcome):
            if table in self._rows:
                self._rows[table].append({name: row.get(name) for name in TABLES[table]})
        self._know(outcome.item, outcome.sha256)
        self._count(outcome.item, outcome.state, outcome.sha256)
        if outcome.scan is not None and outcome.scan.is_fake:
            self._suspected.add(content_key(outcome.sha256))
        if len(self._rows["files"]) >= (_PART_FILES_WITH_CURVES if self._curves else _PART_FILES):
            self.flush()

    def flush(self) -> None:
        """Write what was taken in since the last part, and the manifest. Raises UsageError if it cannot be written."""
        if not self._rows["files"]:
            return
        for name, part in self._rows.items():
            with writing(self._part(name, self.n_parts)) as path:
                _write(arrow().Table.from_pylist(part, schema=schema(name)), path)
        for part in self._rows.values():
            part.clear()
        self.n_parts += 1
        self._write_manifest()

    def load(self, retry_failed: bool) -> None:
        """Read what an earlier run wrote; see `opened`."""
        manifest = self._manifest()
        if manifest is None or not manifest["n_parts"]:  # new, or of a run that wrote nothing, say for want of a model
            for name in self._rows:
                (self.folder / name).mkdir(exist_ok=True)
            self._write_manifest()
            return
        if changed := differences(manifest["settings"], self.settings):
            got = "; ".join(f"{name} {before!r}, now {now!r}" for name, before, now in changed)
            remedy = "use the same settings, or another --out"
            raise UsageError(self.folder, expected="a table of scans with the same settings", got=got, remedy=remedy)
        self.n_parts = manifest["n_parts"]
        for number in range(self.n_parts):
            self._load_part(number, retry_failed)

    @property
    def _curves(self) -> bool:
        return bool(self.settings["curves"])

    def _part(self, name: str, number: int) -> Path:
        return self.folder / name / f"part-{number:05d}.parquet"

    def _know(self, item: Item, sha256: str) -> None:
        self._versions |= {hash(_shown(item)), hash(printable(item.name))}
        if sha256:
            self.contents.add(content_key(sha256))

    def _count(self, item: Item, state: str, sha256: str) -> None:
        """Count a file by its new row; one that was only touched stays what it was."""
        name, key = hash(printable(item.name)), content_key(sha256)
        if state != "same" or self._last.get(name) != ("scanned", key):
            self._last[name] = (state, key)

    def _load_part(self, number: int, retry_failed: bool) -> None:
        from pyarrow import parquet  # noqa: PLC0415 - of an extra; `opened` has looked for it

        path, columns = self._part("files", number), ["file", "version", "sha256", "state"]
        try:
            for row in parquet.ParquetFile(path).read(columns).to_pylist():
                item = Item(row["file"], row["version"])
                self._count(item, row["state"], row["sha256"] or "")
                if not (retry_failed and row["state"] == "failed"):
                    self._know(item, row["sha256"] or "")
            path = self._part("scans", number)
            for row in parquet.ParquetFile(path).read(["sha256", "is_fake"]).to_pylist():
                if row["is_fake"]:
                    self._suspected.add(content_key(row["sha256"]))
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(path, str(error)) from error

    def _write_manifest(self) -> None:
        record = {"format": FORMAT, "settings": self.settings, "n_parts": self.n_parts, "tables": list(self._rows),
                  "counts": dataclasses.asdict(self.counts)}  # fmt: skip
        write_text(self.folder / _MANIFEST, json.dumps(record, indent=1) + "\n")

    def _manifest(self) -> dict[str, Any] | None:
        path = self.folder / _MANIFEST
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']!r}")
            return {"settings": dict(record["settings"]), "n_parts": int(record["n_parts"])}
        except FileNotFoundError:
            others = [entry.name for entry in self.folder.iterdir() if entry.name != _LOCK]
            if others:
                got, remedy = f"a folder with {others[0]}", "change --out"
                raise UsageError(self.folder, expected="a new folder or a table", got=got, remedy=remedy) from None
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(path, str(error)) from error


def _shown(item: Item) -> Item:
    """With the name as the table has it."""
    return item._replace(name=printable(item.name))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[IO[bytes]]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("wb")
    except OSError as error:
        got = (error.strerror or str(error)).lower()
        raise UsageError(folder, expected="a folder to write to", got=got, remedy="change --out") from error
    with lock:
        if not try_lock(lock):
            got, remedy = "one that another run is writing", "wait for its end, or change --out"
            raise UsageError(folder, expected="a table that is not in use", got=got, remedy=remedy)
        yield lock


def _write(table: Any, path: Path) -> None:
    from pyarrow import parquet  # noqa: PLC0415 - of an extra; `opened` has looked for it

    parquet.write_table(table, path, compression="zstd")


def _damaged(path: Path, got: str) -> DataError:
    return DataError(path, expected="a part of a table of fakespan bulk", got=got[:100], remedy="use another --out")
