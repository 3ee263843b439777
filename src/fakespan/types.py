"""Data types shared by all modules. Times are in seconds, shares in 0..1; frame indices stay inside modules."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

__all__ = [
    "FORMAT",
    "SUBSETS",
    "Curve",
    "FaceTrack",
    "MediaInfo",
    "MediaTrack",
    "Modality",
    "Progress",
    "Reason",
    "Sample",
    "Scan",
    "Segment",
    "Source",
    "Subset",
    "Unjudged",
    "Verdict",
    "no_progress",
]

Modality = Literal["audio", "visual", "both"]
Subset = Literal["full", "visual", "audio"]
Reason = Literal["gap", "damaged"]
"""Why a stretch was not judged: the file has nothing there (its clock jumps ahead), or what it has does not decode."""

SUBSETS: Mapping[Subset, Modality | None] = {"full": None, "visual": "audio", "audio": "visual"}
"""Subset of a data set -> the fakes that it leaves out: those in which only this was forged. Real clips are in all."""

FORMAT = "fakespan.scan/1"
"""Name and version of the JSON of `Scan.to_dict`; the version increases when a field changes its meaning."""


class Progress(Protocol):
    """Callback of long-running work: amount done, total amount and an optional note."""

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """Report the progress."""


def no_progress(done: float, total: float, note: str = "") -> None:
    """A `Progress` that does nothing."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of time that is suspected (in a scan) or labelled (in a data set) as forged.

    >>> Segment(1.0, 1.5, 0.9, "audio").length_s
    0.5
    """

    start_s: float
    end_s: float
    score: float  # 0..1
    modality: Modality
    track: int | None = None  # FaceTrack.id; None for audio alone, or if the file has no track

    def __post_init__(self) -> None:
        if not self.start_s <= self.end_s:
            raise ValueError(f"a segment must not end ({self.end_s} s) before it starts ({self.start_s} s)")

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class MediaTrack:
    """A track of picture or sound in a file."""

    kind: Literal["video", "audio"]
    number: int  # among the tracks of its kind, from 1
    codec: str = ""
    language: str = ""  # as stated
    title: str = ""
    is_judged: bool = True


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Properties of a media file as stated by its container. Width and height are in square pixels, after rotation."""

    duration_s: float
    has_video: bool
    has_audio: bool
    container: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0  # average; 0 if unknown
    rotation_deg: int = 0
    video_codec: str = ""
    audio_codec: str = ""
    sample_rate: int = 0
    n_channels: int = 0
    hdr: str = ""  # "PQ" or "HLG"; empty for SDR
    frame_rate: str = ""  # the average as an exact ratio, "30000/1001" or "25"; empty if unknown
    start_timecode: str = ""  # of the first frame, as HH:MM:SS:FF; with a semicolon before FF: drop-frame
    starts_at_s: float = 0.0  # what a player's clock shows at the first picture or sound
    streams: tuple[MediaTrack, ...] = ()  # all tracks of picture and sound; empty: not listed


@dataclass(frozen=True, slots=True)
class Source:
    """Identity of the scanned file, by content."""

    name: str  # without its folder
    size_bytes: int
    sha256: str  # 64 hexadecimal digits


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """One face tracked through one shot, or (`is_whole`) the whole frame used as a face crop."""

    id: int
    start_s: float
    end_s: float
    box: tuple[float, float, float, float]  # x, y, width, height of its median crop, relative to the frame
    is_whole: bool = False
    is_scanned: bool = True  # False: too short to scan


@dataclass(frozen=True, slots=True)
class Curve:
    """A score over time: `values[k]` (0..1) is the score at `start_s + k / fps`."""

    modality: Literal["audio", "visual", "fused"]
    track: int | None
    start_s: float
    fps: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A stretch of the file that was not judged. No segment and no curve says anything about it."""

    start_s: float
    end_s: float
    reason: Reason

    def __post_init__(self) -> None:
        if not self.start_s <= self.end_s:
            raise ValueError(f"a stretch must not end ({self.end_s} s) before it starts ({self.start_s} s)")

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Verdict:
    """Video-level label of a file. It is independent of the segments and may differ from them.

    >>> Verdict("maximum", score=0.78, threshold=0.7).is_fake
    True
    """

    way: Literal["maximum", "mlp"]  # maximum of the boundary map, or a 3-layer network over it
    score: float  # of that method, 0..1
    threshold: float  # of the probability, or of the score if there is none; from here on it counts as forged
    probability: float | None = None  # calibrated, 0..1; None: the model has no verdict head
    fake_share: float | None = None  # in the calibration data; if fewer videos are fake, the probability is too high

    @property
    def is_fake(self) -> bool:
        """Whether the file as a whole counts as forged."""
        return (self.score if self.probability is None else self.probability) >= self.threshold


@dataclass(frozen=True, slots=True)
class Scan:
    """The result for one file. All times are those that a player shows: they begin at `media.starts_at_s`."""

    file: str
    duration_s: float  # from the first picture or sound to the last
    score: float  # of the whole file, 0..1
    threshold: float  # score from which the file, or a segment, counts as forged
    segments: tuple[Segment, ...]
    model: str
    media: MediaInfo
    tracks: tuple[FaceTrack, ...] = ()
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()  # caveats: no audio, no face, a skipped track ...
    fakespan_version: str = ""
    verdict: Verdict | None = None  # None: written by an older version
    not_judged: tuple[Unjudged, ...] = ()  # in order of time, without overlap
    source: Source | None = None  # None: written by an older version

    @property
    def is_fake(self) -> bool:
        """Whether the score of the whole file reaches the threshold, independent of the verdict."""
        return self.score >= self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON (see docs/results.md)."""
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"format": FORMAT, "is_fake": self.is_fake, **fields}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Scan:
        """The inverse of `to_dict`; unknown fields are ignored.

        Raises:
            ValueError: another format.
            KeyError: a field is missing.
        """
        if record.get("format") != FORMAT:
            raise ValueError(f"expected a record of format {FORMAT}, got {record.get('format')!r}")
        values = _known(cls, record)
        verdict, source = values.get("verdict"), values.get("source")
        return cls(
            **{
                **values,
                "media": _media(values["media"]),
                "segments": tuple(Segment(**_known(Segment, s)) for s in values["segments"]),
                "tracks": tuple(
                    FaceTrack(**{**_known(FaceTrack, t), "box": tuple(t["box"])}) for t in values["tracks"]
                ),
                "curves": tuple(Curve(**{**_known(Curve, c), "values": tuple(c["values"])}) for c in values["curves"]),
                "notes": tuple(values["notes"]),
                "not_judged": tuple(Unjudged(**_known(Unjudged, u)) for u in values.get("not_judged", ())),
                "verdict": None if verdict is None else Verdict(**_known(Verdict, verdict)),
                "source": None if source is None else Source(**_known(Source, source)),
            }
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """Metadata and labels of one clip of a data set."""

    name: str  # as in the metadata, with forward slashes; unique in the set
    path: Path
    split: str  # train, validation or test
    duration_s: float
    segments: tuple[Segment, ...] = ()  # forged spans in the order of the metadata, score 1
    original: str | None = None  # name of the real clip that this one was made from
    n_frames: int | None = None  # of the picture, as the metadata says
    facts: Mapping[str, Any] = field(default_factory=dict)  # other fields of the metadata; plain values

    @property
    def is_fake(self) -> bool:
        """Whether the clip has a forged span."""
        return bool(self.segments)

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        """Start and end of every forged span in seconds."""
        return tuple((s.start_s, s.end_s) for s in self.segments)

    @property
    def audio_spans(self) -> tuple[tuple[float, float], ...]:
        """Spans in which the audio was forged."""
        return tuple((s.start_s, s.end_s) for s in self.segments if s.modality != "visual")

    @property
    def visual_spans(self) -> tuple[tuple[float, float], ...]:
        """Spans in which the video was forged."""
        return tuple((s.start_s, s.end_s) for s in self.segments if s.modality != "audio")

    @property
    def kind(self) -> Literal["real", "audio", "visual", "both"]:
        """The forged modality, or "real"."""
        if not self.segments:
            return "real"
        kinds = {s.modality for s in self.segments}
        return "both" if len(kinds) > 1 else kinds.pop()


def _media(record: Mapping[str, Any]) -> MediaInfo:
    streams = tuple(MediaTrack(**_known(MediaTrack, s)) for s in record.get("streams", ()))
    return MediaInfo(**{**_known(MediaInfo, record), "streams": streams})


def _known(cls: type[Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are fields of the class; raises KeyError if a required one is missing."""
    return {
        f.name: record[f.name] for f in dataclasses.fields(cls) if f.name in record or f.default is dataclasses.MISSING
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value
