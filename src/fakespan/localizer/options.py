"""What a user may choose about a scan, apart from the model and its post-processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, get_args

from fakespan.errors import UsageError
from fakespan.localizer.hearing import SoundMode
from fakespan.media.faces import FaceMode
from fakespan.times import check_range

__all__ = ["Choices", "ScanOptions"]


class Choices(TypedDict, total=False):
    """The same as keywords of `Localizer.scan`."""

    faces: FaceMode
    sound: SoundMode
    start_s: float | None
    end_s: float | None
    video_track: int | None
    audio_track: int | None
    prior: float | None


@dataclass(frozen=True)
class ScanOptions:
    """Options of a scan. Raises UsageError for values that are none."""

    faces: FaceMode = "auto"  # auto: track faces; whole: the whole frame is a face crop; none: use the audio alone
    sound: SoundMode = "speech"  # speech: judge the sound only where somebody speaks; all: wherever there is sound
    start_s: float | None = None  # judge only what a player shows from this time on; None: from the file's start
    end_s: float | None = None  # judge only what it shows before this time; None: up to the file's end
    video_track: int | None = None  # number of the track, from 1; None: the one with most faces
    audio_track: int | None = None  # likewise; None: the one with most speech
    prior: float | None = None  # share of forged files among those that are scanned; None: the model's, or one half

    def __post_init__(self) -> None:
        for name, value, choices in (("faces", self.faces, FaceMode), ("sound", self.sound, SoundMode)):
            if value not in get_args(choices):
                *some, last = get_args(choices)
                expected = f"{', '.join(some)} or {last}"
                raise UsageError(name, expected=expected, got=repr(value), remedy="choose one of them")
        check_range(self.start_s, self.end_s)
        for name, number in (("video_track", self.video_track), ("audio_track", self.audio_track)):
            if number is not None and number < 1:
                remedy = "see: fakespan info FILE"
                raise UsageError(name, expected="the number of a track, from 1", got=str(number), remedy=remedy)
        if self.prior is not None and not 0 < self.prior < 1:
            expected, got = "a share above 0 and below 1", f"{self.prior}"
            raise UsageError("prior", expected=expected, got=got, remedy="give another share")
