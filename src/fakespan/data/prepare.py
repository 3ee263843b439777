"""Prepares a store from a data set: every clip is decoded once.

Contract: the shard of a clip depends on the data set alone. The store is therefore identical whatever the number of
processes and interruptions; a repeated call resumes. A store is only resumed with the same clips and parameters.
Unreadable clips are listed in `problems.json`, do not stop the others, and are tried again by the next call.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fakespan.data.loaders import LOADERS
from fakespan.data.manifest import load_manifest
from fakespan.data.packing import need_codecs
from fakespan.data.shard_index import index_path, sample_record, shard_name, shard_numbers, tar_path
from fakespan.data.shard_tasks import Event, ShardTask, write_shards
from fakespan.data.store import Header, StoreOptions, check_store, read_header, write_json
from fakespan.errors import DataError, UsageError
from fakespan.files import differences, sweep, told_of_disk
from fakespan.types import Progress, Sample

__all__ = ["Prepared", "prepare"]

MAX_PER_SHARD = 256  # clips; about 300 MB
N_SHARDS = 16  # minimum number for a set of that size, to use several processes


@dataclass(frozen=True)
class Prepared:
    """Summary of a call."""

    folder: Path
    n_clips: int  # in the store
    n_new: int  # added by this call
    n_frames: int  # in the new clips
    problems: tuple[dict[str, str], ...]  # name and message of each unreadable clip
    damaged: tuple[dict[str, str], ...] = ()  # the same for clips of the store that are damaged or cut short


def prepare(
    source: str,
    folder: Path,
    options: StoreOptions | None = None,
    *,
    workers: int = 1,
    redo: Sequence[str] = (),
    strict: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Create or resume a store, or rewrite some of its shards.

    Args:
        source: KIND:ROOT of a data set.
        folder: the store; created if missing.
        options: selection and parameters; default: all clips.
        workers: number of processes; 1: this process.
        redo: names of shards to rewrite, as in errors and `check_store`; "damaged": all damaged ones.
        strict: clips that are damaged or cut short are problems; those that the store has are taken out.
        progress: called after every clip with the number of clips done, their total, and the speed as text.

    Raises:
        UsageError: an invalid option, or the folder is not writable.
        DataError: the data set is not usable, the store has other clips or parameters, the disk is full, or a process
            was killed.
        MissingExtraError: pyarrow is not installed.
    """
    need_codecs()
    if workers < 1:
        raise UsageError("--workers", expected="at least 1", got=str(workers), remedy="omit it")
    options, manifest = options or StoreOptions(), load_manifest(source)
    samples = manifest.choose(options.split, options.subset, options.limit)
    if not samples:
        raise DataError(source, expected="clips to prepare", got="none of that split", remedy="choose another split")
    header = _header(manifest.kind, samples, options)
    _begin(folder, header)
    _remove(folder, header, redo)
    size = header.clips_per_shard
    tasks = [
        ShardTask(folder, k, k * size, samples[k * size :][:size], header.faces, header.framing, header.pack, strict)
        for k in range(header.n_shards)
    ]
    with told_of_disk(folder):
        return _followed(write_shards(tasks, workers), folder, len(samples), progress)


def _header(kind: str, samples: Sequence[Sample], options: StoreOptions) -> Header:
    return Header(
        kind=kind,
        split=samples[0].split if options.split is not None else None,
        subset=options.subset,
        limit=options.limit,
        faces=options.faces or LOADERS[kind].faces,
        framing=options.framing,
        pack=options.pack,
        n_clips=len(samples),
        clips_per_shard=max(1, min(MAX_PER_SHARD, -(-len(samples) // N_SHARDS))),
        digest=_digest(samples),
    )


def _followed(events: Iterator[Event], folder: Path, n_clips: int, progress: Progress | None) -> Prepared:
    """Counts events and keeps the list of problems."""
    n_kept = n_new = n_frames = 0
    start_s = time.monotonic()
    problems: list[dict[str, str]] = []
    damaged: list[dict[str, str]] = []
    for event in events:
        if event.kind == "kept":
            n_kept += event.n
        elif event.kind == "new":
            n_new, n_frames = n_new + 1, n_frames + event.n
        else:
            told = problems if event.kind == "problem" else damaged
            told.append({"name": event.name, "message": event.message})
        if progress is not None:
            progress(n_kept + n_new + len(problems), n_clips, _speed(n_new, time.monotonic() - start_s, len(problems)))
    for told in (problems, damaged):
        told.sort(key=lambda problem: problem["name"])
    write_json(folder / "problems.json", problems)
    return Prepared(folder, n_kept + n_new, n_new, n_frames, tuple(problems), tuple(damaged))


def _speed(n_new: int, seconds: float, n_bad: int) -> str:
    return f"{60 * n_new / max(1e-3, seconds):.0f} clips a minute" + (f", {n_bad} unreadable" if n_bad else "")


def _digest(samples: Sequence[Sample]) -> str:
    """Digest of the names and labels of all clips."""
    digest = hashlib.blake2b(digest_size=16)
    for sample in samples:
        digest.update(json.dumps(sample_record(sample), sort_keys=True).encode())
    return digest.hexdigest()


def _begin(folder: Path, header: Header) -> None:
    """Write the header of a new store; raises DataError if there is a store with other clips or parameters."""
    sweep(folder)
    if (folder / "store.json").is_file():
        given, found = asdict(header), asdict(read_header(folder))
        for key, before, now in differences(found, given):
            if key != "clips_per_shard":
                words = {"digest": "unchanged metadata of the data set", "n_clips": f"{before} clips"}
                expected = words.get(key, f"{key} {_chosen(before)}, as in the existing store")
                got = "changed metadata" if key == "digest" else _chosen(now)
                raise DataError(folder, expected=expected, got=got, remedy="use another --out, or remove this store")
        return
    with told_of_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if shard_numbers(folder):
            remedy = "use another --out"
            raise DataError(folder, expected="an empty folder", got="shards without store.json", remedy=remedy)
        write_json(folder / "store.json", header.record())


def _chosen(value: object) -> str:
    """A setting as users know it: no split and no limit means all clips."""
    return "all" if value is None else str(value)


def _remove(folder: Path, header: Header, redo: Sequence[str]) -> None:
    """Remove the shards that are to be rewritten."""
    names = {shard_name(k): k for k in range(header.n_shards)}
    to_redo = {*redo} - {"damaged"} | ({*check_store(folder)} if "damaged" in redo else set())
    for name in sorted(to_redo):
        if name not in names:
            expected = f"damaged, or a shard from {shard_name(0)} to {shard_name(header.n_shards - 1)}"
            raise UsageError("--redo", expected=expected, got=repr(name), remedy="see fakespan prepare --check")
    with told_of_disk(folder):
        for name in to_redo:
            index_path(folder, names[name]).unlink(missing_ok=True)  # first: data without an index entry are ignored
            tar_path(folder, names[name]).unlink(missing_ok=True)
