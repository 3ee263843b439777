"""Stored maps of a split, to fit video-level heads on a frozen localizer.

Contract: `make_maps` fills a folder (see `maps_format`); it can be resumed after an interruption at any byte, with the
same result for the same batch size. `open_maps` opens a complete folder, memory-mapped, and verifies checksums when
reading. A folder holds the maps of one model and one split.

Size: a clip of n frames takes 2 n (3 D + 2) bytes. 1,000 videos of 10 s with the "pad" clock (n = 250, D = 40) take 61
MB; 24 MB with the "stretch" clock and T = 100.

The maps are those of `Output.score_map`; for data sets whose faces are detected, of the longest face track with its
audio. Values are rounded to float16: an error of at most 0.00025 for scores in 0..1.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fakespan.arrays import Float32Array, Int64Array
from fakespan.data.clip import Faces
from fakespan.data.example import Example
from fakespan.data.loaders import LOADERS
from fakespan.data.loading import Unreadable, default_workers, living_workers, plan, read_batches
from fakespan.data.manifest import is_labelled
from fakespan.data.sets import ClipSet, open_set
from fakespan.errors import DataError
from fakespan.localizer import Clip, ClipMaps, Localizer
from fakespan.types import Progress, Subset
from fakespan.verdict.maps_format import (
    PARTS,
    REMEDY,
    MapEntry,
    MapsHeader,
    MapsModel,
    bytes_a_frame,
    part_path,
    read_entries,
    read_header,
)
from fakespan.verdict.maps_writer import MapWriter, header_for

__all__ = [
    "Made",
    "MapEntry",
    "MapOptions",
    "MapSet",
    "MapsHeader",
    "MapsModel",
    "make_maps",
    "make_split_maps",
    "open_maps",
]


@dataclass(frozen=True)
class Made:
    """Summary of `make_maps`."""

    folder: Path
    n_clips: int  # stored clips
    n_fake: int  # fakes among them
    n_new: int  # added by this call
    n_frames: int  # of all stored clips
    n_bytes: int  # of all files
    n_unlabelled: int  # skipped clips without labels
    unreadable: Mapping[str, str]  # name -> message


class MapSet:
    """The maps of a complete folder, as returned by `open_maps`.

    Attributes:
        folder: the folder.
        header: description of the maps.
        entries: the clips, in the order of the set; the methods take an index k into these.
    """

    def __init__(self, folder: Path, header: MapsHeader, entries: tuple[MapEntry, ...]) -> None:
        self.folder, self.header, self.entries = folder, header, entries
        self._files = {part: self._opened(part) for part in PARTS}

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def labels(self) -> Int64Array:
        """(clips,) 1 for fakes."""
        return np.array([entry.label for entry in self.entries], np.int64)

    def fused(self, k: int) -> Float32Array:
        """The fused map (D, n), or that of the only modality. Raises DataError if it is damaged."""
        return self._read("fused", k)

    def visual(self, k: int) -> Float32Array | None:
        """The visual map (D, n); None for a clip without video. Raises DataError if it is damaged."""
        return self._read("visual", k) if self.entries[k].has_picture else None

    def audio(self, k: int) -> Float32Array | None:
        """The audio map (D, n); None for a clip without audio. Raises DataError if it is damaged."""
        return self._read("audio", k) if self.entries[k].has_sound else None

    def frames(self, k: int) -> Float32Array:
        """Probabilities of the visual and the audio frame classifier, (2, n); a missing modality's row is NaN.

        Raises:
            DataError: its bytes have changed.
        """
        return self._read("frames", k)

    def _opened(self, part: str) -> NDArray[np.float16]:
        shape = (self.header.n_frames, bytes_a_frame(part, self.header.model.max_duration) // 2)
        return np.memmap(part_path(self.folder, part), np.dtype("<f2"), "r", shape=shape)

    def _read(self, part: str, k: int) -> Float32Array:
        entry = self.entries[k]
        rows = self._files[part][entry.offset : entry.offset + entry.n_frames]
        if zlib.crc32(rows.tobytes()) != entry.crc32[PARTS.index(part)]:
            got = f"other bytes for {entry.name} (CRC-32)"
            raise DataError(part_path(self.folder, part), expected="the maps as written", got=got, remedy=REMEDY)
        return np.ascontiguousarray(rows.T, np.float32)


def open_maps(folder: str | Path) -> MapSet:
    """Open maps stored by `make_maps`.

    Raises:
        DataError: there are none, they are incomplete or of another format, or a file is damaged or too short. The
            bytes of a map are only verified when it is read.
    """
    folder = Path(folder)
    header = read_header(folder)
    if not header.done:
        raise DataError(folder, expected="complete maps", got="those of an interrupted run", remedy=REMEDY)
    entries = read_entries(folder / "index.jsonl")
    n_frames = sum(entry.n_frames for entry in entries)
    if (len(entries), n_frames) != (header.n_clips, header.n_frames):
        expected, got = f"{header.n_clips} clips of {header.n_frames} frames", f"{len(entries)} of {n_frames}"
        raise DataError(folder / "index.jsonl", expected=expected, got=got, remedy=REMEDY)
    if not entries:
        got = f"none: {len(header.unreadable)} could not be read"
        raise DataError(folder, expected="maps of at least one clip", got=got, remedy="see fakespan info on the set")
    for part in PARTS:
        path, wanted = part_path(folder, part), header.n_frames * bytes_a_frame(part, header.model.max_duration)
        n_bytes = path.stat().st_size if path.is_file() else 0
        if n_bytes != wanted:
            got = f"{n_bytes}" if path.is_file() else "no such file"
            raise DataError(path, expected=f"{wanted} bytes", got=got, remedy=REMEDY)
    return MapSet(folder, header, tuple(sorted(entries, key=lambda entry: entry.number)))


def make_maps(
    clips: ClipSet,
    localizer: Localizer,
    out: str | Path,
    *,
    batch_size: int = 8,
    n_workers: int = 0,
    about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Made:
    """Store the maps of every clip; resumes an earlier call and repairs damage.

    Unreadable clips are named and skipped, and tried again by the next call. Clips without labels are skipped.

    Args:
        clips: the set, opened with the `framing` of the network's config.
        localizer: the network.
        out: the folder; created if missing.
        batch_size: clips per batch.
        n_workers: processes that decode ahead; 0: this process.
        about: other settings that determine the maps (face mode ...) as plain values; they must stay the same.
        progress: called after each batch.

    Raises:
        DataError: no clip has a label, the folder has other maps or is in use, or the network's output has NaN.
        UsageError: the folder is not writable.
    """
    wanted, unreadable = _labelled(clips), dict[str, str]()
    samples = [clips.samples[k] for k in wanted]
    header = header_for(localizer, clips.source, samples, about or {})
    with MapWriter(Path(out), header) as writer, living_workers(clips.source, lambda: len(writer.entries)):
        n_before, there = len(writer.entries), {entry.number for entry in writer.entries}
        batches = [[wanted[i] for i in batch] for batch in plan([s.duration_s for s in samples], batch_size)]
        todo = [batch for batch in batches if not there.issuperset(batch)]
        _tell(progress, writer, unreadable, len(samples))
        for numbers, batch in zip(todo, read_batches(clips, todo, n_workers, "spawn"), strict=True):
            judged = zip(numbers, _judged(localizer, batch, batch_size), strict=True)
            answers = {number: maps for number, maps in judged if number not in there}
            unreadable |= {a.name: a.message for a in answers.values() if isinstance(a, Unreadable)}
            for number, maps in answers.items():
                if not isinstance(maps, Unreadable):
                    writer.add(number, clips.samples[number], maps)
            _tell(progress, writer, unreadable, len(samples))
        writer.finish(unreadable)
        return _made(writer, n_before, len(clips) - len(samples), unreadable)


def _labelled(clips: ClipSet) -> list[int]:
    """Indices of the labelled clips; raises DataError if there are none."""
    wanted = [k for k, sample in enumerate(clips.samples) if is_labelled(sample)]
    if not wanted:
        remedy = "choose another split, or a data set with public labels"
        raise DataError(clips.source, expected="clips with labels", got="none", remedy=remedy)
    return wanted


def _made(writer: MapWriter, n_before: int, n_unlabelled: int, unreadable: Mapping[str, str]) -> Made:
    entries = writer.entries
    return Made(
        writer.folder,
        n_clips=len(entries),
        n_fake=sum(entry.label for entry in entries),
        n_new=len(entries) - n_before,
        n_frames=writer.n_frames,
        n_bytes=sum(path.stat().st_size for path in writer.paths),
        n_unlabelled=n_unlabelled,
        unreadable=unreadable,
    )


@dataclass(frozen=True)
class MapOptions:
    """Selection of clips of a split and options."""

    subset: Subset = "full"  # "visual" excludes audio-only fakes, "audio" visual-only fakes
    limit: int | None = None  # only the first so many
    faces: Faces | None = None  # face mode; None: what the data set needs
    batch_size: int | None = None  # clips per batch; None: 8 on an accelerator, 1 on a CPU
    n_workers: int | None = None  # processes that decode ahead; None: one per core, less one


def make_split_maps(
    localizer: Localizer,
    source: str,
    split: str | None,
    out: str | Path,
    options: MapOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Made:
    """`make_maps` of a split of a data set.

    Args:
        localizer: the network.
        source: KIND:ROOT, see `data.sets.open_set`.
        split: train, validation or test; None for all clips.
        out: the folder.
        options: which clips, and how.
        progress: called after each batch.

    Raises:
        UsageError, DataError: as `open_set` and `make_maps` do.
    """
    options, kind = options or MapOptions(), source.partition(":")[0]
    subset, faces = options.subset, options.faces
    clips = open_set(source, split, subset=subset, limit=options.limit, faces=faces, framing=localizer.model.framing)
    return make_maps(
        clips,
        localizer,
        out,
        batch_size=options.batch_size or (1 if localizer.device.type == "cpu" else 8),
        n_workers=default_workers() if options.n_workers is None else options.n_workers,
        about={"subset": subset, "faces": faces or (None if kind == "store" else LOADERS[kind].faces)},
        progress=progress,
    )


def _judged(
    localizer: Localizer, batch: Sequence[Example | Unreadable], batch_size: int
) -> list[ClipMaps | Unreadable]:
    """The maps of each clip of a batch, in its order."""
    clips = [Clip(0, None, None) if isinstance(e, Unreadable) else Clip(len(e.faces), *e.present) for e in batch]
    answers = localizer.judge(clips, batch_size)
    return [
        e if isinstance(e, Unreadable) else maps or Unreadable(e.name, "neither a face nor audio")
        for e, maps in zip(batch, answers, strict=True)
    ]


def _tell(progress: Progress | None, writer: MapWriter, unreadable: Mapping[str, str], total: int) -> None:
    if progress:
        gone = len(writer.entries) + len(unreadable)
        progress(gone, total, f"{gone} of {total} clips")
