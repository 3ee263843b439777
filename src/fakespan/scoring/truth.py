"""Labels of a published data set, from its metadata file or from Samples.

Contract: a `Truth` in the order of the metadata, in seconds, from LAV-DF's list (file, fake_periods, modify_audio,
modify_video, video_frames, split) or AV-Deepfake1M's (file, fake_segments, modify_type, video_frames, split). It is
read into arrays, for speed, by the rules of `fakespan.data.entries`, and so agrees with the loaders (a test compares
the two). The only difference: if AV-Deepfake1M's lists of the two streams have a span that is not in fake_segments, a
loader adds it, while scoring uses fake_segments alone, as the published evaluators do. Other fields are ignored. No
media is opened.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fakespan.arrays import Float32Array
from fakespan.config import FPS
from fakespan.data.entries import MODIFY_TYPES, Unusable, as_list, modality_of, read_json, split_of
from fakespan.errors import DataError, UsageError
from fakespan.metrics import Labels, Proposals
from fakespan.types import Modality, Sample

__all__ = ["KINDS", "PRESETS", "Preset", "Truth", "read_truth"]

Preset = Literal["lavdf", "avdeepfake1m"]
PRESETS: tuple[Preset, ...] = ("lavdf", "avdeepfake1m")
KINDS = ("real", "audio", "visual", "both")
_SPANS = {"lavdf": "fake_periods", "avdeepfake1m": "fake_segments"}
_REMEDY = "give the metadata of LAV-DF or AV-Deepfake1M"


@dataclass(frozen=True, eq=False)
class Truth:
    """V videos and their forged spans."""

    preset: Preset  # default thresholds
    labels: Labels  # names, and spans in seconds
    kinds: NDArray[np.int8]  # (V,) forged modality, an index into KINDS
    splits: tuple[str, ...]  # (V,) train, validation, test; "" if unknown
    durations_s: Float32Array  # (V,) NaN if unknown

    @property
    def names(self) -> tuple[str, ...]:
        """(V,) with forward slashes."""
        return self.labels.names

    @classmethod
    def of_samples(cls, samples: Iterable[Sample], preset: Preset = "lavdf") -> Truth:
        """Build from the samples of a data set (see `fakespan.data.sets`)."""
        chosen = tuple(samples)
        labels = Labels.of({s.name: s.spans for s in chosen})
        kinds = np.array([KINDS.index(s.kind) for s in chosen], dtype=np.int8)
        durations = np.array([s.duration_s for s in chosen], dtype=np.float32)
        return cls(preset, labels, kinds, tuple(s.split for s in chosen), durations)

    def prepared(self, proposals: Proposals, split: str | None = None, preset: str | None = None) -> Truth:
        """Select the videos that a proposals file is scored on: one split, or the splits of its videos.

        Args:
            proposals: the proposals of the file.
            split: train, validation (dev, val) or test.
            preset: data set whose thresholds are used; None: its own.

        Raises:
            UsageError: unknown preset.
            DataError: no videos in that split.
        """
        if preset is not None and preset not in PRESETS:
            raise UsageError("--preset", expected=" or ".join(PRESETS), got=repr(preset), remedy="change --preset")
        named = {name.replace("\\", "/") for name in proposals.names}
        splits = {split} if split else {s for name, s in zip(self.names, self.splits, strict=True) if name in named}
        chosen = self if not splits or splits == set(self.splits) else self.only(splits)
        return chosen if preset is None else replace(chosen, preset=preset)

    def only(self, splits: Iterable[str]) -> Truth:
        """The videos of these splits; "dev" and "val" are aliases of validation.

        Raises:
            DataError: there are none.
        """
        requested = {_split_word(split) for split in splits}
        keep = np.flatnonzero([split in requested for split in self.splits])
        if not len(keep):
            known = ", ".join(sorted(set(self.splits))) or "no split"
            raise DataError(
                "metadata", expected=f"videos of {', '.join(sorted(requested))}", got=known, remedy="change --split"
            )
        names = tuple(self.names[k] for k in keep)
        offsets, (start_s, end_s) = self.labels.taken(names)
        splits = tuple(self.splits[k] for k in keep)
        return Truth(
            self.preset, Labels(names, offsets, start_s, end_s), self.kinds[keep], splits, self.durations_s[keep]
        )


def read_truth(path: str | Path) -> Truth:
    """Read the metadata of LAV-DF or AV-Deepfake1M; the format is detected.

    Raises:
        DataError: the file cannot be read, has neither format, or has a duplicate video or an invalid span.
    """
    with _uncollected():
        return _read(Path(path))


def _read(path: Path) -> Truth:
    entries = _entries(path)
    preset = next((p for p in PRESETS if any(_SPANS[p] in e for e in entries[:1])), None)
    if preset is None:
        got = f"neither in the first of {len(entries)} entries" if entries else "an empty list"
        raise DataError(path, expected="fake_periods or fake_segments", got=got, remedy=_REMEDY)
    try:
        names = tuple([e["file"].replace("\\", "/") for e in entries])
        spans = [e[_SPANS[preset]] for e in entries]
        labels = _labels(names, spans, path)
        _check_flags(names, entries, path)
        splits = _splits(entries)
        durations = _durations_s(entries)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        got = f"{_first_odd(entries, _SPANS[preset])} without"
        raise DataError(path, expected=f"file and {_SPANS[preset]}", got=got, remedy=_REMEDY) from error
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataError(path, expected="each video once", got=f"{twice} more than once", remedy="remove one entry")
    return Truth(preset, labels, _kinds(entries, spans), splits, durations)


def _entries(path: Path) -> list[dict[str, Any]]:
    entries = as_list(path, read_json(path))
    if odd := set(map(type, entries)) - {dict}:
        got = f"a list with {odd.pop().__name__} in it"
        raise DataError(path, expected="a list of videos", got=got, remedy=_REMEDY)
    return entries


def _splits(entries: list[dict[str, Any]]) -> tuple[str, ...]:
    words = [e.get("split") or "" for e in entries]
    known = {word: _split_word(word) for word in set(words)}
    return tuple([known[word] for word in words])


def _split_word(word: Any) -> str:
    """Normalised name of a split; unknown names are kept."""
    try:
        return split_of(word)
    except Unusable:
        return str(word)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable the garbage collector: it would take longer than the parser."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _labels(names: tuple[str, ...], spans: Sequence[Any], path: str | Path) -> Labels:
    flat = list(chain.from_iterable(spans))
    counts = np.fromiter(map(len, spans), dtype=np.int64, count=len(spans))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    edges = list(chain.from_iterable(flat))
    if set(map(len, flat)) - {2} or set(map(type, edges)) - {int, float}:  # NumPy would read numbers in texts
        raise ValueError
    values = np.array(edges, dtype=np.float64).reshape(-1, 2)
    bad = np.flatnonzero(~(np.isfinite(values).all(axis=1) & (values[:, 0] <= values[:, 1])))
    if len(bad):
        name = names[int(np.searchsorted(offsets, bad[0], side="right")) - 1]
        got = f"{values[bad[0]].tolist()} in {name} ({len(bad)} such)"
        raise DataError(path, expected="spans that end after they start", got=got, remedy="correct the metadata")
    start_s, end_s = np.ascontiguousarray(values.T, dtype=np.float32)
    return Labels(names, offsets, start_s, end_s)


def _kinds(entries: list[dict[str, Any]], spans: Sequence[Any]) -> NDArray[np.int8]:
    """The forged modality; real if there is no span."""
    kinds = {kind: k for k, kind in enumerate(KINDS)}
    return np.array([kinds[_kind(e)] if s else 0 for e, s in zip(entries, spans, strict=True)], dtype=np.int8)


def _kind(entry: dict[str, Any]) -> Modality:
    """By a known modify_type, else by which list of spans is not empty, else by modify_audio and modify_video."""
    sound, picture = MODIFY_TYPES.get(str(entry.get("modify_type")), (False, False))
    if not (sound or picture):
        sound, picture = bool(entry.get("audio_fake_segments")), bool(entry.get("visual_fake_segments"))
    if not (sound or picture):
        sound, picture = entry.get("modify_audio") is True, entry.get("modify_video") is True
    return modality_of(sound, picture)


def _check_flags(names: Sequence[str], entries: list[dict[str, Any]], path: Path) -> None:
    """Raise DataError if a flag is anything but true or false: the text "False" would count as forged."""
    for key in ("modify_audio", "modify_video"):
        values = [e.get(key) for e in entries]
        if set(map(type, values)) <= {bool, type(None)}:
            continue
        odd = [k for k, value in enumerate(values) if value is not None and not isinstance(value, bool)]
        got = f"{values[odd[0]]!r:.40} in {names[odd[0]]} ({len(odd)} such)"
        raise DataError(path, expected=f"true or false for {key}", got=got, remedy="correct the metadata")


def _durations_s(entries: list[dict[str, Any]]) -> Float32Array:
    """Length by the number of frames, or by the stated duration if that is missing."""
    frames: list[Any] = [e.get("video_frames") for e in entries]
    if set(map(type, frames)) == {int} and min(frames) > 0:
        return (np.array(frames, dtype=np.float64) / FPS).astype(np.float32)
    return np.array([_duration_s(e) for e in entries], dtype=np.float32)


def _duration_s(entry: dict[str, Any]) -> float:
    frames, stated_s = entry.get("video_frames"), entry.get("duration")
    if isinstance(frames, int | float) and frames > 0:
        return frames / FPS
    return float(stated_s) if isinstance(stated_s, int | float) else float("nan")


def _first_odd(entries: list[dict[str, Any]], key: str) -> str:
    """Description of the first entry without a name or a list of spans."""
    for k, entry in enumerate(entries, 1):
        spans = entry.get(key)
        if not isinstance(entry.get("file"), str) or not isinstance(spans, list):
            return f"entry {k}"
        if not all(isinstance(s, list) and len(s) == 2 and all(type(v) in (int, float) for v in s) for s in spans):
            return f"entry {k} ({entry['file']})"
    return "an entry"
