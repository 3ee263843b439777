"""Prepares a store from a data set: every clip is decoded once, by several processes that each write their own shards.

Contract: the shard of a clip depends on the data set alone. The store is therefore identical whatever the number of
processes and interruptions; a repeated call resumes. A store is only resumed with the same clips and parameters.
Unreadable clips are listed in `problems.json`, do not stop the others, and are tried again by the next call.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from fakespan.config import Framing
from fakespan.data.clip import Faces, read_example
from fakespan.data.loaders import LOADERS
from fakespan.data.manifest import load_manifest
from fakespan.data.packing import MAX_FRAMES, Pack, need_codecs
from fakespan.data.shard_index import index_path, sample_record, shard_name, shard_numbers, tar_path
from fakespan.data.shards import ShardWriter
from fakespan.data.store import Header, StoreOptions, check_store, read_header, write_json
from fakespan.errors import DataError, FakespanError, UsageError
from fakespan.files import differences
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


@dataclass(frozen=True, slots=True)
class _Task:
    """A shard to write."""

    folder: Path
    number: int
    first: int  # position of its first clip
    samples: tuple[Sample, ...]
    faces: Faces
    framing: Framing
    pack: Pack


@dataclass(frozen=True, slots=True)
class _Event:
    """A message of a worker process."""

    kind: Literal["kept", "new", "problem"]
    n: int = 0  # existing clips, or frames of a new one
    name: str = ""
    message: str = ""


def prepare(
    source: str,
    folder: Path,
    options: StoreOptions | None = None,
    *,
    workers: int = 1,
    redo: Sequence[str] = (),
    progress: Progress | None = None,
) -> Prepared:
    """Create or resume a store, or rewrite some of its shards.

    Args:
        source: KIND:ROOT of a data set.
        folder: the store; created if missing.
        options: selection and parameters; default: all clips.
        workers: number of processes; 1: this process.
        redo: names of shards to rewrite, as in errors and `check_store`; "damaged": all damaged ones.
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
        _Task(folder, k, k * size, samples[k * size : (k + 1) * size], header.faces, header.framing, header.pack)
        for k in range(header.n_shards)
    ]
    events = _write_all(tasks) if workers == 1 else _in_processes(tasks, min(workers, len(tasks)))
    with _told_of_disk(folder):
        return _followed(events, folder, len(samples), progress)


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


def _followed(events: Iterator[_Event], folder: Path, n_clips: int, progress: Progress | None) -> Prepared:
    """Counts events and keeps the list of problems."""
    n_kept = n_new = n_frames = 0
    start_s = time.monotonic()
    problems: list[dict[str, str]] = []
    for event in events:
        if event.kind == "kept":
            n_kept += event.n
        elif event.kind == "new":
            n_new, n_frames = n_new + 1, n_frames + event.n
        else:
            problems.append({"name": event.name, "message": event.message})
        if progress is not None:
            progress(n_kept + n_new + len(problems), n_clips, _speed(n_new, time.monotonic() - start_s, len(problems)))
    problems.sort(key=lambda problem: problem["name"])
    write_json(folder / "problems.json", problems)
    return Prepared(folder, n_kept + n_new, n_new, n_frames, tuple(problems))


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
    if (folder / "store.json").is_file():
        given, found = asdict(header), asdict(read_header(folder))
        for key, before, now in differences(found, given):
            if key != "clips_per_shard":
                words = {"digest": "unchanged metadata of the data set", "n_clips": f"{before} clips"}
                expected = words.get(key, f"{key} {before}, as in the existing store")
                got = "changed metadata" if key == "digest" else str(now)
                raise DataError(folder, expected=expected, got=got, remedy="use another --out, or remove this store")
        return
    with _told_of_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if shard_numbers(folder):
            remedy = "use another --out"
            raise DataError(folder, expected="an empty folder", got="shards without store.json", remedy=remedy)
        write_json(folder / "store.json", header.record())


def _remove(folder: Path, header: Header, redo: Sequence[str]) -> None:
    """Remove the shards that are to be rewritten."""
    names = {shard_name(k): k for k in range(header.n_shards)}
    to_redo = {*redo} - {"damaged"} | ({*check_store(folder)} if "damaged" in redo else set())
    for name in sorted(to_redo):
        if name not in names:
            expected = f"damaged, or a shard from {shard_name(0)} to {shard_name(header.n_shards - 1)}"
            raise UsageError("--redo", expected=expected, got=repr(name), remedy="see fakespan prepare --check")
    with _told_of_disk(folder):
        for name in to_redo:
            index_path(folder, names[name]).unlink(missing_ok=True)  # first: data without an index entry are ignored
            tar_path(folder, names[name]).unlink(missing_ok=True)


def _write_all(tasks: Sequence[_Task]) -> Iterator[_Event]:
    """Write these shards, one after the other."""
    for task in tasks:
        with ShardWriter(task.folder, task.number, len(task.samples)) as writer:
            yield _Event("kept", len(writer.rows))
            there = {row.position for row in writer.rows}
            for position, sample in enumerate(task.samples, start=task.first):
                if position not in there:
                    yield _added(writer, position, sample, task)
            writer.finish()


def _added(writer: ShardWriter, position: int, sample: Sample, task: _Task) -> _Event:
    """Decode and add a clip, or report the problem."""
    try:
        example = read_example(sample, task.faces, task.framing)
    except FakespanError as error:
        return _Event("problem", name=sample.name, message=str(error))
    except Exception as error:  # a damaged file must not stop the others
        return _Event("problem", name=sample.name, message=f"{sample.path}: {type(error).__name__}: {error}")
    if len(example.faces) > MAX_FRAMES:
        return _Event("problem", name=sample.name, message=f"{sample.path}: longer than {MAX_FRAMES} frames")
    writer.add(position, sample, example, task.pack)
    return _Event("new", len(example.faces))


def _in_processes(tasks: Sequence[_Task], workers: int) -> Iterator[_Event]:
    """The same with several processes, which share the shards; they exit with this process."""
    context = multiprocessing.get_context("spawn")
    open_ends: list[Any] = []
    for k in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(theirs, tasks[k::workers]), daemon=True)
        process.start()
        theirs.close()
        open_ends.append(ours)
    with contextlib.ExitStack() as stack:
        for end in open_ends:
            stack.enter_context(end)
        while open_ends:
            for end in wait(open_ends):
                message = _received(end)
                if isinstance(message, _Event):
                    yield message
                else:
                    open_ends.remove(end)


def _received(end: Any) -> Any:
    """The next message of a process: an event, or None if it is done. Raises the error that stopped it."""
    try:
        message = end.recv()
    except EOFError:
        got, remedy = "a process that was killed", "repeat the command, with fewer --workers if memory ran out"
        raise DataError("fakespan prepare", expected="running worker processes", got=got, remedy=remedy) from None
    if isinstance(message, dict):
        raise DataError(**message)
    if isinstance(message, OSError):
        raise message
    return message


def _serve(end: Connection, tasks: Sequence[_Task]) -> None:
    """A worker process: sends its events, then None; an error is sent as its parts."""
    import cv2  # noqa: PLC0415
    import torch  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it, and this process notices at the next clip
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with contextlib.suppress(BrokenPipeError):  # the parent exited
        try:
            for event in _write_all(tasks):
                end.send(event)
            end.send(None)
        except FakespanError as error:
            names = ("subject", "expected", "got", "remedy")
            end.send({name: getattr(error, name) for name in names})
        except BrokenPipeError:
            raise
        except OSError as error:
            end.send(error)


@contextlib.contextmanager
def _told_of_disk(folder: Path) -> Iterator[None]:
    """Convert system errors during writing to errors for users."""
    try:
        yield
    except OSError as error:
        got = str(error.strerror or error).lower()
        remedy = "free some space or use another --out; the same command resumes"
        raise DataError(folder, expected="a writable folder with free space", got=got, remedy=remedy) from error
