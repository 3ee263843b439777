"""Data types shared by all modules. Times are in seconds, shares in 0..1; frame indices stay inside modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from fakespan.evidence_types import (
    Action,
    Credentials,
    EditList,
    Evidence,
    Library,
    Making,
    Provenance,
    ScanChoices,
    Signature,
    Tag,
)
from fakespan.media_types import MediaInfo, MediaTrack, Source
from fakespan.plain import from_plain, to_plain
from fakespan.scan_types import (
    Curve,
    FaceTrack,
    JudgedShare,
    Modality,
    Reason,
    Segment,
    TimeRange,
    Unjudged,
    Verdict,
)

__all__ = [
    "FORMAT",
    "MIN_JUDGED_S",
    "MIN_JUDGED_SHARE",
    "SUBSETS",
    "Action",
    "Credentials",
    "Curve",
    "EditList",
    "Evidence",
    "FaceTrack",
    "JudgedShare",
    "Library",
    "Making",
    "MediaInfo",
    "MediaTrack",
    "Modality",
    "Outcome",
    "Progress",
    "Provenance",
    "Reason",
    "Sample",
    "Scan",
    "ScanChoices",
    "Segment",
    "Signature",
    "Source",
    "Subset",
    "Tag",
    "TimeRange",
    "Unjudged",
    "Verdict",
    "no_progress",
]

Subset = Literal["full", "visual", "audio"]
Outcome = Literal["suspected", "nothing_found", "inconclusive"]
"""What a scan says of a file; inconclusive: nothing was found, but too little could be judged to say so of the file."""

SUBSETS: Mapping[Subset, Modality | None] = {"full": None, "visual": "audio", "audio": "visual"}
"""Subset of a data set -> the fakes that it leaves out: those in which only this was forged. Real clips are in all."""

MIN_JUDGED_SHARE, MIN_JUDGED_S = 0.5, 1.0
"""A file of which less was judged, in sound or picture, is inconclusive if nothing was found."""

FORMAT = "fakespan.scan/1"
"""Name and version of the JSON of `Scan.to_dict`; the version increases when a field changes its meaning."""


class Progress(Protocol):
    """Callback of long-running work: amount done, total amount and an optional note."""

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """Report the progress."""


def no_progress(done: float, total: float, note: str = "") -> None:
    """A `Progress` that does nothing."""


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
    not_judged: tuple[Unjudged, ...] = ()  # in order of time; those of one modality do not overlap
    source: Source | None = None  # None: written by an older version
    judged_share: JudgedShare | None = None  # None: written by an older version
    reasons: tuple[Reason, ...] = ()  # why something was not judged; what concerns the most of the file first
    asked: TimeRange | None = None  # the part that was to be judged; None: the whole file
    evidence: Evidence | None = None  # how it was made; None: written by an older version
    provenance: Provenance | None = None  # what the file says of itself; None: written by an older version
    signature: Signature | None = None  # of all the rest

    @property
    def is_fake(self) -> bool:
        """Whether the score of the whole file reaches the threshold, independent of the verdict."""
        return self.score >= self.threshold

    @property
    def outcome(self) -> Outcome:
        """What the scan says of the file."""
        if self.segments or self.is_fake:
            return "suspected"
        either = 1.0 if self.judged_share is None else self.judged_share.either
        length_s = self.duration_s if self.asked is None else self.asked.length_s
        is_enough = either >= MIN_JUDGED_SHARE and either * length_s >= MIN_JUDGED_S
        return "nothing_found" if is_enough or self.judged_share is None else "inconclusive"

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON (see docs/results.md)."""
        return {"format": FORMAT, "is_fake": self.is_fake, "outcome": self.outcome, **to_plain(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Scan:
        """The inverse of `to_dict`; unknown fields are ignored.

        Raises:
            ValueError: another format.
            KeyError: a field is missing.
        """
        if record.get("format") != FORMAT:
            raise ValueError(f"expected a record of format {FORMAT}, got {record.get('format')!r}")
        return from_plain(cls, record)


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
