"""The output folder of an evaluation, with its settings: a run can be resumed, but never mixed with another one.

Contract: FOLDER/run.json is written before the first prediction. A later run with the same settings resumes; any other
is refused, and the message names the difference. Only the files named here are ever removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakespan.config import PostConfig, to_mapping
from fakespan.errors import UsageError
from fakespan.files import differences, sweep, write_text
from fakespan.localizer import Localizer
from fakespan.types import Sample

__all__ = ["MAPS", "RunFolder", "describe"]

FORMAT = "fakespan.evaluation/1"
MAPS = ("fused", "visual", "audio")
"""The evaluated maps; each has its own proposals files."""
DAMAGED = "damaged.json"
REMEDY = "choose another --out, or start over with --overwrite"


@dataclass(frozen=True)
class RunFolder:
    """The output folder of an evaluation."""

    path: Path
    settings: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> RunFolder:
        """Start or resume a run in this folder.

        Args:
            path: the folder; created if missing.
            settings: see `describe`.
            overwrite: discard the predictions of an earlier run.

        Raises:
            UsageError: the folder has a run with other settings or proposals of an unknown run, or is not writable.
        """
        folder = cls(path, settings)
        try:
            path.mkdir(parents=True, exist_ok=True)
            sweep(path, deep=True)
            if overwrite:
                folder._forget()
        except OSError as error:
            got = str(error.strerror or error).lower()
            raise UsageError(path, expected="a folder to write to", got=got, remedy="change --out") from error
        folder._claim()
        return folder

    def stem(self, map_name: str) -> Path:
        """Path of the proposals of a map, without a suffix."""
        return self.path / map_name

    @property
    def digest(self) -> str:
        """Identifies the run in its partial files."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]

    def damaged(self) -> dict[str, str]:
        """What `keep_damaged` kept. Raises UsageError if it is no such file."""
        record = self.path / DAMAGED
        return {str(name): str(what) for name, what in _read(record).items()} if record.exists() else {}

    def keep_damaged(self, clips: Mapping[str, str]) -> None:
        """Keep the names of damaged clips, with the damage in words: a resumed run does not read them again."""
        write_text(self.path / DAMAGED, json.dumps(dict(sorted(clips.items())), indent=1) + "\n")

    def _claim(self) -> None:
        record = self.path / "run.json"
        if record.exists():
            self._compare(record, _read(record))
            return
        strangers = [p.name for name in MAPS for p in self.path.glob(f"{name}.*")]
        if strangers:
            got = f"{strangers[0]} of an unknown run"
            raise UsageError(self.path, expected="a new folder, or one with run.json", got=got, remedy=REMEDY)
        write_text(record, json.dumps(self.settings, indent=1) + "\n")

    def _compare(self, record: Path, before: Mapping[str, Any]) -> None:
        for key, then, now in differences(before, self.settings):
            what = f"a run with {key} {json.dumps(now)}"
            raise UsageError(record, expected=what, got=f"one with {json.dumps(then)}", remedy=REMEDY)

    def _forget(self) -> None:
        names = [f"{name}{suffix}" for name in MAPS for suffix in (".json", ".parquet", ".part.jsonl")]
        names += [f"plots/{name}/{plot}.png" for name in MAPS for plot in ("precision_recall", "recall", "scores")]
        for name in [*names, "run.json", DAMAGED, "result.json", "table.md", "table.csv"]:
            (self.path / name).unlink(missing_ok=True)


def describe(
    localizer: Localizer, post: PostConfig, data: str, samples: Sequence[Sample], **options: Any
) -> dict[str, Any]:
    """The settings that determine the predictions, as plain values.

    Args:
        localizer: the network.
        post: its post-processing.
        data: the data set, by kind and name.
        samples: the evaluated clips, in their order.
        options: other settings.
    """
    names = "\n".join(sample.name for sample in samples)
    return {
        "format": FORMAT,
        "model": localizer.name,
        "weights": localizer.digest,
        "data": data,
        **options,
        "clips": len(samples),
        "names": hashlib.sha256(names.encode()).hexdigest(),
        "decoding": post.decoding,
        "soft_nms": {k.removeprefix("nms_"): v for k, v in to_mapping(post).items() if k.startswith(("nms_", "max_"))},
    }


def _read(record: Path) -> Mapping[str, Any]:
    try:
        settings = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        got = f"a damaged file ({type(error).__name__})"
        raise UsageError(record, expected="the settings of a run", got=got, remedy=REMEDY) from error
    if not isinstance(settings, dict):
        raise UsageError(record, expected="the settings of a run", got="something else", remedy=REMEDY)
    return settings
