"""Chooses the picture and the sound track of a file that has several: the one with faces, the one with speech.

Contract: a file with one track of each kind is only opened. Otherwise up to two minutes of each sound track are heard
and up to twenty pictures of each video track are searched. FFmpeg's choice (the default track, the largest picture)
stays unless another track is clearly better. In formats without a header, streams that follow each other count as one
track: recordings of broadcasts and joined files change their numbers midway.

Speech is recognised by the share of its envelope that changes 2 to 8 times a second, the rate of syllables (Scheirer
and Slaney, "Construction and evaluation of a robust multifeature speech/music discriminator", 1997, section 2.1).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from av.container import InputContainer
from av.stream import Stream

from fakespan.arrays import Float32Array
from fakespan.config import SAMPLE_RATE
from fakespan.errors import MediaError, NotInFileError
from fakespan.media.container import BEST, Tracks, codec_name, open_media, picture_streams, sound_streams
from fakespan.media.decode import iter_sound, read_pictures
from fakespan.media.detect import FaceDetector
from fakespan.media.packets import packets_of
from fakespan.types import MediaTrack

__all__ = ["ONLY", "Choice", "choose_tracks", "speech_share"]

Kind = Literal["video", "audio"]

_HEARD_S = 120.0
_N_LOOKS, _LOOK_FPS, _VIEW_SIDE = 20, 0.5, 480
_CLEARLY = 2.0  # another track is chosen if it has so many times as much of it
_DEFAULT = "FFmpeg's default"
_MOST: dict[Kind, str] = {"video": "the one with most faces", "audio": "the one with most speech"}
_WITHOUT_HEADER = {"mpegts", "mpeg"}
_ENVELOPE_HZ = 100
_SYLLABLES_HZ = (2.0, 8.0)
_SILENT = 1e-4  # mean amplitude


@dataclass(frozen=True)
class Choice:
    """The tracks that are judged, all tracks of the file, and what to say about the choice."""

    tracks: Tracks
    every: tuple[MediaTrack, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A track of a file."""

    streams: tuple[int, ...]  # that follow each other
    facts: tuple[str, str, str]  # codec, language, title
    is_best: bool  # for FFmpeg


@dataclass(frozen=True)
class _Chosen:
    """The track of one kind that is judged."""

    streams: tuple[int, ...] | None
    every: tuple[MediaTrack, ...] = ()
    notes: tuple[str, ...] = ()


ONLY = Choice(BEST, ())
"""The choice for a file of which FFmpeg's best tracks are judged, whatever else there is."""


def choose_tracks(path: str | Path, *, video: int | None = None, audio: int | None = None) -> Choice:
    """The tracks to judge.

    Args:
        path: a local media file.
        video: number of the video track among those of the file, from 1; None: the one with most faces.
        audio: the same for sound; None: the one with most speech.

    Raises:
        MediaError: not a media file.
        NotInFileError: no track of this number.
    """
    with open_media(path, tracks=None) as container:
        videos, audios = picture_streams(container), sound_streams(container)
        may_change = container.format.name in _WITHOUT_HEADER and max(len(videos), len(audios)) > 1
        spans = _spans(container, [*videos, *audios]) if may_change else {}
        found = _found(videos, spans), _found(audios, spans)
    pictures, sounds = _chosen(path, "video", found[0], video), _chosen(path, "audio", found[1], audio)
    return Choice(
        Tracks(pictures.streams, sounds.streams),
        (*pictures.every, *sounds.every),
        (*pictures.notes, *sounds.notes),
    )


def _chosen(path: str | Path, kind: Kind, found: Sequence[_Found], number: int | None) -> _Chosen:
    """The track of a kind to judge."""
    reason = "as asked"
    if number is not None:
        at = _place(path, kind, number, len(found))
    elif not found:
        return _Chosen(None)
    else:
        at = usual = next(k for k, track in enumerate(found) if track.is_best)
        if len(found) > 1:
            measure = _faces if kind == "video" else _speech
            at = _clearly_best([measure(path, track.streams) for track in found], usual)
            reason = f"{_DEFAULT if at == usual else _MOST[kind]}; choose another with --{kind}-track"
    every = tuple(MediaTrack(kind, k + 1, *track.facts, is_judged=k == at) for k, track in enumerate(found))
    note = f"the file has {len(found)} {kind} tracks: track {at + 1} was judged ({reason})"
    return _Chosen(found[at].streams, every, (note,) if len(found) > 1 else ())


def speech_share(sound: Float32Array) -> float:
    """How much the loudness of a sound (n,) at 16 kHz changes at the rate of syllables, relative to its mean: 0 to 1.

    >>> round(speech_share(np.sin(np.arange(32_000, dtype=np.float32))), 2)
    0.0
    """
    hop = SAMPLE_RATE // _ENVELOPE_HZ
    envelope = np.abs(sound[: len(sound) // hop * hop]).reshape(-1, hop).mean(axis=1)
    if len(envelope) < _ENVELOPE_HZ or envelope.mean() < _SILENT:
        return 0.0
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean())) / len(envelope)
    rates_hz = np.fft.rfftfreq(len(envelope), 1 / _ENVELOPE_HZ)
    low, high = np.searchsorted(rates_hz, _SYLLABLES_HZ)
    return float(min(1.0, np.sqrt(2 * np.square(spectrum[low:high]).sum()) / envelope.mean()))


def _found(streams: Sequence[Stream], spans: Mapping[int, tuple[int, int]]) -> list[_Found]:
    """The tracks of one kind in the order of the container; the best of the streams is the first."""
    groups: list[list[Stream]] = []
    for stream in sorted(streams, key=lambda s: (spans.get(s.index, (-1, -1)), s.index)):
        start = spans.get(stream.index, (-1, -1))[0]
        before = next((g for g in groups if spans.get(g[-1].index, (-1, math.inf))[1] < start), None)
        groups.append([stream]) if before is None else before.append(stream)
    ordered = sorted(groups, key=lambda group: group[0].index)
    return [_Found(tuple(s.index for s in group), _facts(group[0]), streams[0] in group) for group in ordered]


def _spans(container: InputContainer, streams: Sequence[Stream]) -> dict[int, tuple[int, int]]:
    """First and last byte position of each stream; reads all packets."""
    spans: dict[int, tuple[int, int]] = {}
    for packet in packets_of(container, streams):
        if packet.pos is not None and packet.pos >= 0:
            first, last = spans.get(packet.stream_index, (packet.pos, packet.pos))
            spans[packet.stream_index] = (min(first, packet.pos), max(last, packet.pos))
    return spans


def _facts(stream: Stream) -> tuple[str, str, str]:
    """Codec, language and title."""
    return codec_name(stream), stream.metadata.get("language", ""), stream.metadata.get("title", "")


def _place(path: str | Path, kind: Kind, number: int, n_tracks: int) -> int:
    """The place of the track of this number. Raises NotInFileError if there is none."""
    if 1 <= number <= n_tracks:
        return number - 1
    remedy = f"leave out --{kind}-track, or see: fakespan info FILE"
    expected, got = f"a file with {number} {kind} track{'s' if number > 1 else ''}", str(n_tracks or "none")
    raise NotInFileError(path, expected=expected, got=got, remedy=remedy)


def _clearly_best(amounts: Sequence[float], usual: int) -> int:
    """The place of the largest amount, or `usual` if that one is not much smaller."""
    best = int(np.argmax(amounts))
    return best if amounts[best] > _CLEARLY * amounts[usual] else usual


def _speech(path: str | Path, streams: tuple[int, ...]) -> float:
    blocks, n_heard = [], 0
    for block in iter_sound(path, tracks=Tracks(audio=streams)):
        blocks.append(block)
        n_heard += len(block)
        if n_heard >= _HEARD_S * SAMPLE_RATE:
            break
    return speech_share(np.concatenate(blocks)) if blocks else 0.0


def _faces(path: str | Path, streams: tuple[int, ...]) -> float:
    """How many of the first pictures show a face."""
    detector = FaceDetector()
    try:
        pictures = itertools.islice(read_pictures(path, _LOOK_FPS, tracks=Tracks(video=streams)), _N_LOOKS)
        return sum(len(detector.detect(picture.thumbnail(_VIEW_SIDE), min_face=24.0)) > 0 for picture in pictures)
    except MediaError:  # nothing in it decodes
        return 0.0
