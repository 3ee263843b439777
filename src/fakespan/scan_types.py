"""Parts of a scan; `types` has them for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fakespan.rates import MOST_GENUINE, Tier

__all__ = [
    "Curve",
    "FaceTrack",
    "JudgedShare",
    "Modality",
    "Reason",
    "Segment",
    "TimeRange",
    "Unjudged",
    "Verdict",
]

Modality = Literal["audio", "visual", "both"]
Reason = Literal[
    "gap",  # the file has nothing there: its clock jumps ahead, or one stream begins later or ends before the other
    "damaged",  # what it has does not decode
    "silence",
    "music_or_noise",  # sound without speech
    "tone",  # a steady tone, such as a bleep, over the speech or instead of it
    "no_face",
    "face_too_small",  # too few pixels of it
    "face_too_soft",  # blurred, beside the rest of its track
    "face_still",  # a photo or a frozen picture: no mouth moves
    "too_short",  # a face that is seen too briefly, or a file with less than a second to judge
    "sound_only",  # the file has no picture, or it was not to be looked at
    "picture_only",  # the file has no sound
    "not_asked",  # outside the stretch that was to be judged
]
"""Why a stretch or a stream was not judged."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A part of a file. Raises ValueError if it ends before it starts."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not self.start_s <= self.end_s:
            raise ValueError(f"a range must not end ({self.end_s} s) before it starts ({self.start_s} s)")

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Segment(TimeRange):
    """A span of time that is suspected (in a scan) or labelled (in a data set) as forged.

    >>> Segment(1.0, 1.5, 0.9, "audio").length_s
    0.5
    """

    score: float  # 0..1
    modality: Modality
    track: int | None = None  # FaceTrack.id; None for audio alone, or if the file has no track
    tier: Tier | None = None  # how rarely genuine recordings reach the score; None: not measured for this model
    genuine_per_hour: float | None = None  # how often an hour of them reaches it


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """One face tracked through one shot, or (`is_whole`) the whole frame used as a face crop."""

    id: int
    start_s: float
    end_s: float
    box: tuple[float, float, float, float]  # x, y, width, height of its median crop, relative to the frame
    is_whole: bool = False
    is_scanned: bool = True  # False: too short or too small to scan
    is_small: bool = False  # too few pixels


@dataclass(frozen=True, slots=True)
class Curve:
    """A score over time: `values[k]` (0..1) is the score at `start_s + k / fps`."""

    modality: Literal["audio", "visual", "fused"]
    track: int | None
    start_s: float
    fps: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Unjudged(TimeRange):
    """A stretch of the file whose sound, picture or both were not judged. No finding there rests on them."""

    reason: Reason
    modality: Modality = "both"


@dataclass(frozen=True, slots=True)
class JudgedShare:
    """Shares of a file's duration, or of the stretch that was asked for, that were judged, 0..1."""

    either: float  # by its sound, its picture or both
    sound: float | None = None  # None: the file has none
    picture: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Video-level label of a file. It is independent of the segments and may differ from them.

    >>> Verdict("maximum", score=0.78, threshold=0.7).is_fake
    True
    """

    way: Literal["maximum", "mlp"]  # maximum of the boundary map, or a 3-layer network over it
    score: float  # of that method, 0..1
    threshold: float  # of the probability, or of the score if there is none; from here on it counts as forged
    probability: float | None = None  # calibrated, 0..1; None: not measured for the model
    fake_share: float | None = None  # in the calibration data; if fewer videos are fake, the probability is too high
    genuine_chance: float | None = None  # that genuine material as long as was judged reaches the score
    prior: float | None = None  # share of forged files that the probability assumes; None: `fake_share`

    @property
    def is_fake(self) -> bool:
        """Whether the file as a whole counts as forged."""
        if self.genuine_chance is not None and self.genuine_chance > MOST_GENUINE:
            return False
        return (self.score if self.probability is None else self.probability) >= self.threshold
