"""Writes the shards of a store: clips are decoded by this process, or by several with shards of their own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from fakespan.config import Framing
from fakespan.data.clip import Faces, read_example
from fakespan.data.example import damage_in_words, refuse_damaged
from fakespan.data.packing import MAX_FRAMES, Pack
from fakespan.data.shards import ShardWriter
from fakespan.errors import DataError, FakespanError
from fakespan.types import Sample

__all__ = ["Event", "ShardTask", "write_shards"]


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to write."""

    folder: Path
    number: int
    first: int  # position of its first clip
    samples: tuple[Sample, ...]
    faces: Faces
    framing: Framing
    pack: Pack
    strict: bool


@dataclass(frozen=True, slots=True)
class Event:
    """A message of a worker process."""

    kind: Literal["kept", "new", "problem", "damaged"]
    n: int = 0  # existing clips, or frames of a new one
    name: str = ""
    message: str = ""


def write_shards(tasks: Sequence[ShardTask], workers: int) -> Iterator[Event]:
    """Write these shards by so many processes; 1: this one.

    Raises:
        DataError: another process is writing a shard, or a process was killed.
        OSError: the folder is not writable, or full.
    """
    return _write_all(tasks) if workers == 1 else _in_processes(tasks, min(workers, len(tasks)))


def _write_all(tasks: Sequence[ShardTask]) -> Iterator[Event]:
    """Write these shards, one after the other."""
    for task in tasks:
        with ShardWriter(task.folder, task.number, len(task.samples), strict=task.strict) as writer:
            yield Event("kept", len(writer.rows))
            there = {row.position for row in writer.rows}
            for position, sample in enumerate(task.samples, start=task.first):
                if position not in there:
                    yield _added(writer, position, sample, task)
            writer.finish()
            for row in writer.rows:
                if row.damaged:
                    yield Event("damaged", name=row.sample.name, message=damage_in_words(row.damaged))


def _added(writer: ShardWriter, position: int, sample: Sample, task: ShardTask) -> Event:
    """Decode and add a clip, or report the problem."""
    try:
        example = read_example(sample, task.faces, task.framing)
        if task.strict:
            refuse_damaged(example, sample.path)
    except FakespanError as error:
        return Event("problem", name=sample.name, message=str(error))
    except Exception as error:  # a damaged file must not stop the others
        return Event("problem", name=sample.name, message=f"{sample.path}: {type(error).__name__}: {error}")
    if len(example.faces) > MAX_FRAMES:
        return Event("problem", name=sample.name, message=f"{sample.path}: longer than {MAX_FRAMES} frames")
    writer.add(position, sample, example, task.pack)
    return Event("new", len(example.faces))


def _in_processes(tasks: Sequence[ShardTask], workers: int) -> Iterator[Event]:
    """The same with several processes, which share the shards; they exit with this process."""
    context = multiprocessing.get_context("spawn")
    open_ends: list[Any] = []
    for k in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(theirs, tasks[k::workers]), daemon=True)
        process.start()
        theirs.close()
        open_ends.append(ours)
    with ExitStack() as stack:
        for end in open_ends:
            stack.enter_context(end)
        while open_ends:
            for end in wait(open_ends):
                message = _received(end)
                if isinstance(message, Event):
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


def _serve(end: Connection, tasks: Sequence[ShardTask]) -> None:
    """A worker process: sends its events, then None; an error is sent as its parts."""
    import cv2  # noqa: PLC0415
    import torch  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it, and this process notices at the next clip
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with suppress(BrokenPipeError):  # the parent exited
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
