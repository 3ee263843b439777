"""Survey of the source folder: for every file the speaker, the words with times, and the length of the face track.

The survey is stored with the data set, one JSON line per file, so that a resumed run does not repeat it. The config's
`speakers` defines which clips can be donors for each other: "folder": all files of a folder are one speaker; "file":
each file is a different speaker; "auto": a folder if its files have corpus labels (.align, .TextGrid), otherwise a
file.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

import cv2
import torch

from fakespan.config import FPS
from fakespan.errors import DataError, FakespanError, MissingExtraError
from fakespan.forge.labels import Word, read_labels
from fakespan.forge.listening import Listener
from fakespan.forge.studio.config import ForgeConfig
from fakespan.forge.studio.track import read_track
from fakespan.media.decode import read_sound
from fakespan.types import Progress

__all__ = ["Take", "find_media", "run_jobs", "survey"]

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

MEDIA = frozenset({".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})
CORPUS_LABELS = (".align", ".TextGrid")


@dataclass(frozen=True, slots=True)
class Take:
    """One source file; times are in seconds from the begin of its longest face track."""

    file: str  # below the source folder, with forward slashes
    size: int  # bytes, to detect changes
    speaker: str
    n_frames: int = 0
    words: tuple[Word, ...] = ()
    problem: str = ""  # why it is not usable


def find_media(source: Path) -> list[Path]:
    """The media files below a folder, sorted.

    Raises:
        DataError: it is not a folder, or has no media files.
    """
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() in MEDIA and p.is_file()) if source.is_dir() else []
    if not found:
        got = "none in it" if source.is_dir() else "no such folder"
        remedy = "give a folder of genuine clips of people talking"
        raise DataError(source, expected="a folder with media files", got=got, remedy=remedy)
    return found


def survey(
    source: Path, notes: Path, config: ForgeConfig, n_workers: int, progress: Progress | None = None
) -> list[Take]:
    """The takes of all files of a folder, sorted by name; unusable ones have a `problem`.

    Args:
        source: folder of genuine clips; only read.
        notes: the survey file; its entries for files of the same name and size are reused.
        config: see `ForgeConfig.speakers`.
        n_workers: processes; 0 for none beside this one.
        progress: called with the number of files done and their total.

    Raises:
        DataError: the folder has no media files.
        MissingExtraError: the extra `forge` is not installed.
    """
    files = [path for path in find_media(source) if _is_wanted(path.relative_to(source), config)]
    known = {take.file: take for take in _read(notes)}
    takes = {}
    for path in files:
        take = known.get(path.relative_to(source).as_posix())
        if take is not None and take.size == path.stat().st_size:
            takes[path] = dataclasses.replace(take, speaker=_speaker(path, source, config))
    left = [path for path in files if path not in takes]
    if left:
        Listener()  # report a missing extra before any work
    _drop_half_a_line(notes)
    with notes.open("a", encoding="utf-8") as file:
        for path, take in run_jobs(look_at, {path: (path, source, config) for path in left}, n_workers):
            takes[path] = take
            file.write(json.dumps(dataclasses.asdict(take)) + "\n")
            file.flush()
            if progress:
                progress(len(takes), len(files))
    return [takes[path] for path in files]


def _is_wanted(file: PurePath, config: ForgeConfig) -> bool:
    """Drop files that match no pattern."""
    patterns = (*config.train, *config.dev, *config.test)
    return not patterns or any(PurePosixPath(file.as_posix()).match(pattern) for pattern in patterns)


def look_at(path: Path, source: Path, config: ForgeConfig) -> Take:
    """The take of one file."""
    take = Take(path.relative_to(source).as_posix(), path.stat().st_size, _speaker(path, source, config))
    try:
        track = read_track(path)
        if track is None:
            return dataclasses.replace(take, problem="no face with audio")
        first_s, length_s = track.first_frame / FPS, len(track.faces) / FPS
        if length_s < config.min_clip_s:
            return dataclasses.replace(take, problem=f"a face for {length_s:.1f} s only")
        words = [w for w in _words(path) if w.start_s >= first_s and w.end_s <= first_s + length_s]
        if not words:
            return dataclasses.replace(take, problem="no word found")
        moved = tuple(Word(w.text, round(w.start_s - first_s, 4), round(w.end_s - first_s, 4)) for w in words)
        return dataclasses.replace(take, n_frames=len(track.faces), words=moved)
    except MissingExtraError:
        raise
    except FakespanError as error:
        return dataclasses.replace(take, problem=str(error))


def _words(path: Path) -> list[Word]:
    """Words from labels beside the file, otherwise by speech recognition."""
    labels = read_labels(path)
    if labels is not None and labels.words:
        return list(labels.words)
    listener, sound = Listener(), read_sound(path)
    if labels is not None:
        return [word for passage in labels.passages for word in listener.align(sound, passage)]
    return listener.recognise(sound)


def _speaker(path: Path, source: Path, config: ForgeConfig) -> str:
    rule = config.speakers
    if rule == "auto":
        rule = "folder" if any(path.with_suffix(s).is_file() for s in CORPUS_LABELS) else "file"
    return (path.parent if rule == "folder" else path).relative_to(source.parent).as_posix()


def _read(notes: Path) -> Iterator[Take]:
    """Read the survey file; an incomplete last line is ignored."""
    if not notes.is_file():
        return
    for line in notes.read_text(encoding="utf-8").splitlines():
        try:
            record: dict[str, Any] = json.loads(line)
            yield Take(**{**record, "words": tuple(Word(**word) for word in record["words"])})
        except (ValueError, TypeError, KeyError):
            continue


def _drop_half_a_line(notes: Path) -> None:
    """Truncate the survey file to its last whole line: the disk may have been full."""
    lines = notes.read_bytes() if notes.is_file() else b""
    if not lines.endswith(b"\n"):
        with notes.open("ab") as file:
            file.truncate(lines.rfind(b"\n") + 1)


def run_jobs(
    work: Callable[..., Result], jobs: Mapping[Key, tuple[Any, ...]], n_workers: int
) -> Iterator[tuple[Key, Result]]:
    """The result of each job under its key, as soon as it is there.

    Args:
        work: called with the arguments of a job; a function of a module, so that it can be sent to a process.
        jobs: key -> arguments.
        n_workers: spawned processes of one core each (forking could deadlock on locks held by threads of torch and
            OpenCV); 0 runs the jobs in this process, in their order.

    Raises:
        DataError: a process was killed.
    """
    if not n_workers:
        for key, arguments in jobs.items():
            yield key, work(*arguments)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_one_thread) as pool:
        futures = {pool.submit(work, *arguments): key for key, arguments in jobs.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            got, remedy = "a process that was killed", "repeat the command, with fewer --workers if memory ran out"
            raise DataError("fakespan forge", expected="running worker processes", got=got, remedy=remedy) from error


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
