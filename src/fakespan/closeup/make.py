"""Makes the close-ups of a scan from the file that was scanned.

The file is decoded once more, up to the last segment that is shown. Only a file with the content that the result
records is opened: a result of somebody else could name any file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fakespan.closeup.mouths import Moment, mouths
from fakespan.closeup.reference import compare, moved
from fakespan.closeup.sounds import spectrogram
from fakespan.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from fakespan.errors import FakespanError
from fakespan.files import fingerprint
from fakespan.media.choice import choose_tracks
from fakespan.media.container import Tracks
from fakespan.media.decode import read_sound
from fakespan.media.jumps import Jumps
from fakespan.report.closeups import CloseUp, CloseUps, Image
from fakespan.report.words import in_order
from fakespan.types import FaceTrack, Scan, Segment

__all__ = ["MOST_SEGMENTS", "close_ups"]

MOST_SEGMENTS = 12
"""Segments that get close-ups, those with the highest scores: pages stay below about two megabytes."""

_WITHIN, _AROUND, _STEP_S = 6, 4, 0.12  # stills in the segment; on either side of it, and their distance
_CONTEXT_S, _LONGEST_S = 1.0, 8.0  # of a spectrogram: on either side; in all


def close_ups(path: Path, scan: Scan, reference: Path | None = None) -> CloseUps:
    """The close-ups of the strongest segments of a scan; if there are none, the note says why.

    Args:
        path: the scanned file.
        scan: its result.
        reference: an untouched take to compare it with.
    """
    chosen = _strongest(scan)
    if not chosen and reference is None:
        return CloseUps()
    if scan.source is None:
        return CloseUps(note="the result does not record the content of its file")
    try:
        if not path.is_file() or fingerprint(path) != (scan.source.size_bytes, scan.source.sha256):
            return CloseUps(note="the scanned file is not where the result names it, or has changed")
        return _made(path, scan, chosen, reference)
    except (FakespanError, OSError) as error:
        return CloseUps(note=f"a file could not be read ({type(error).__name__})")


def _strongest(scan: Scan) -> list[tuple[int, Segment]]:
    """Number and segment, in order of time."""
    every = list(enumerate(in_order(scan), 1))
    return sorted(sorted(every, key=lambda item: -item[1].score)[:MOST_SEGMENTS])


def _made(path: Path, scan: Scan, chosen: list[tuple[int, Segment]], reference: Path | None) -> CloseUps:
    options = None if scan.evidence is None else scan.evidence.options
    video, audio = (None, None) if options is None else (options.video_track, options.audio_track)
    tracks = choose_tracks(path, video=video, audio=audio).tracks
    stills = _stills(path, scan, chosen, tracks)
    sounds = _sounds(path, scan, chosen, tracks)
    each = [CloseUp(number, stills.get(number, ()), sounds.get(number)) for number, _ in chosen]
    n_left = len(scan.segments) - len(each)
    note = f"the {len(each)} segments with the highest scores of {len(scan.segments)}" if n_left else ""
    if reference is None:
        return CloseUps(tuple(each), note)
    about = compare(path, tracks, reference, scan)
    if about.offset_s is not None:
        each = _with_take(each, scan, reference, about.offset_s)
    return CloseUps(tuple(each), note, about)


def _with_take(each: list[CloseUp], scan: Scan, reference: Path, offset_s: float) -> list[CloseUp]:
    """The close-ups with those of the untouched take at the same places."""
    there = moved(scan, reference, offset_s)
    every = dict(enumerate(in_order(there), 1))
    chosen = [(closeup.number, every[closeup.number]) for closeup in each]
    stills = _stills(reference, there, chosen, Tracks())
    sounds = _sounds(reference, there, chosen, Tracks())

    def back(image: Image) -> Image:
        return dataclasses.replace(image, start_s=image.start_s - offset_s, end_s=image.end_s - offset_s)

    return [
        dataclasses.replace(
            closeup,
            take_mouths=tuple(map(back, stills.get(closeup.number, ()))),
            take_spectrogram=back(sounds[closeup.number]) if closeup.number in sounds else None,
        )
        for closeup in each
    ]


def _stills(path: Path, scan: Scan, chosen: list[tuple[int, Segment]], tracks: Tracks) -> dict[int, tuple[Image, ...]]:
    wanted = []
    for number, segment in chosen:
        face = _face(scan, segment)
        if face is not None and scan.media.has_video:
            wanted += [Moment(time_s, number, face) for time_s in _times(segment, face)]
    found: dict[int, tuple[Image, ...]] = {}
    for moment, webp in mouths(path, wanted, scan.media.starts_at_s, tracks):
        found[moment.number] = (*found.get(moment.number, ()), Image(moment.time_s, moment.time_s, webp))
    return found


def _face(scan: Scan, segment: Segment) -> FaceTrack | None:
    """The face of a segment; of one in the sound, the face that is seen longest meanwhile."""
    own = next((track for track in scan.tracks if track.id == segment.track), None)
    if own is not None:
        return own

    def shared_s(track: FaceTrack) -> float:
        return min(track.end_s, segment.end_s) - max(track.start_s, segment.start_s)

    seen = [track for track in scan.tracks if track.is_scanned and shared_s(track) > 0]
    return max(seen, key=shared_s, default=None)


def _times(segment: Segment, face: FaceTrack) -> list[float]:
    """Evenly within the segment, and near to it on either side, while the face is seen."""
    within = [segment.start_s + (k + 0.5) / _WITHIN * segment.length_s for k in range(_WITHIN)]
    before = [segment.start_s - k * _STEP_S for k in range(_AROUND, 0, -1)]
    after = [segment.end_s + k * _STEP_S for k in range(1, _AROUND + 1)]
    return [time_s for time_s in (*before, *within, *after) if face.start_s <= time_s < face.end_s]


def _sounds(path: Path, scan: Scan, chosen: list[tuple[int, Segment]], tracks: Tracks) -> dict[int, Image]:
    if not scan.media.has_audio:
        return {}
    jumps = Jumps()
    sound = read_sound(path, jumps=jumps, tracks=tracks)
    found: dict[int, Image] = {}
    for number, segment in chosen:
        context_s = min(_CONTEXT_S, max((_LONGEST_S - segment.length_s) / 2, 0.1))
        begin, end = (
            jumps.frame_at(time_s - scan.media.starts_at_s) * SAMPLES_PER_FRAME
            for time_s in (segment.start_s - context_s, segment.end_s + context_s)
        )
        part = sound[begin:end]
        if len(part) >= SAMPLE_RATE // 10:
            start_s, end_s = (
                scan.media.starts_at_s + jumps.file_s(sample / SAMPLES_PER_FRAME)
                for sample in (begin, begin + len(part))
            )
            found[number] = Image(start_s, end_s, spectrogram(part))
    return found
