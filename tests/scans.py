"""Scans made by hand, for the tests of the reports."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from fakespan.types import (
    Action,
    Credentials,
    Curve,
    EditList,
    Evidence,
    FaceTrack,
    Library,
    Making,
    MediaInfo,
    Provenance,
    Scan,
    ScanChoices,
    Segment,
    Source,
    Tag,
    TimeRange,
    Unjudged,
)

HOSTILE_NAME = "a\"b'<script>alert(1)</script>[red]x[/red]\x1b[31m\u202e\n--> =1+1 &amp; {{ 7*7 }}.mp4"
PROVENANCE = Provenance(
    Credentials(
        "valid",
        issuer="Example <b>Newsroom</b>",
        signer="Desk",
        says_ai=True,
        source_types=("trainedAlgorithmicMedia",),
        actions=(Action("c2pa.created", software="Maker 2", source_type="trainedAlgorithmicMedia"),),
    ),
    Making(
        application="Writer 3",
        tags=(Tag("file", "comment", "hello\x1b[31m"),),
        encoders=(Tag("video 1", "encoder", "x264 - core 165"),),
        edit_lists=(EditList(1, 3),),
        is_variable_rate=True,
        shortest_step_s=0.02,
        longest_step_s=0.06,
        n_gaps=1,
        n_restarts=2,
    ),
)
SPLICES = (Segment(1.2, 1.9, 0.93, "audio"), Segment(4.0, 4.8, 0.81, "visual", 0), Segment(6.4, 7.0, 0.72, "both", 1))


def forged(**changes: Any) -> Scan:
    """A talking pair of 8.6 s with a segment of each modality."""
    scan = Scan(
        file="interview.mp4",
        duration_s=8.6,
        score=0.93,
        threshold=0.5,
        segments=SPLICES,
        model="small",
        media=MediaInfo(8.6, True, True, "mp4", 640, 360, 25.0, 0, "h264", "aac", 44_100, 2),
        tracks=(
            FaceTrack(0, 0.0, 8.6, (0.08, 0.2, 0.25, 0.5)),
            FaceTrack(1, 2.0, 8.6, (0.62, 0.15, 0.25, 0.5)),
            FaceTrack(2, 0.4, 0.8, (0.45, 0.0, 0.1, 0.2), is_scanned=False),
        ),
        curves=(
            curve("audio", None, 8.6, SPLICES[:1] + SPLICES[2:]),
            curve("visual", 0, 8.6, SPLICES[1:2]),
            curve("visual", 1, 6.6, SPLICES[2:], start_s=2.0),
            curve("fused", None, 8.6, SPLICES),
        ),
        notes=("Face 2 was seen for 0.4 s only and is not judged.",),
        fakespan_version="0.1.0",
    )
    return dataclasses.replace(scan, **changes)


def clean(**changes: Any) -> Scan:
    """The same recording, untouched."""
    curves = (curve("audio", None, 8.6, ()), curve("visual", 0, 8.6, ()))
    return forged(**{"segments": (), "curves": curves, "score": 0.12, "notes": (), **changes})


def patchy(**changes: Any) -> Scan:
    """A clean recording with a hole and a damaged stretch."""
    return clean(**{"not_judged": (Unjudged(2.0, 3.5, "gap"), Unjudged(5.0, 5.2, "damaged")), **changes})


def part(**changes: Any) -> Scan:
    """The second from 4 s on of the forged recording."""
    outside = (Unjudged(0.0, 4.0, "not_asked"), Unjudged(5.0, 8.6, "not_asked"))
    own = {"asked": TimeRange(4.0, 5.0), "segments": SPLICES[1:2], "not_judged": outside, "curves": ()}
    return forged(**{**own, **changes})


def recorded(**changes: Any) -> Scan:
    """The forged recording, with the evidence of its scan."""
    evidence = Evidence(
        scanned_at="2026-01-02T03:04:05+00:00",
        options=ScanChoices("auto", "speech", 0.5, "aligned"),
        config_sha256="a" * 64,
        config_size_bytes=400,
        backend="torch",
        device="cpu",
        machine="Linux x86_64, 2 cores",
        libraries=(Library("av", "18.0"), Library("torch", "2.6")),
        model_file=Source("small.safetensors", 3_000_000, "b" * 64),
    )
    parts = {"evidence": evidence, "provenance": PROVENANCE, "source": Source("interview.mp4", 12, "c" * 64)}
    return forged(**{**parts, **changes})


def audio_only(**changes: Any) -> Scan:
    """Sound without a picture."""
    media = MediaInfo(8.6, False, True, "ogg", audio_codec="opus", sample_rate=48_000, n_channels=1)
    parts = {
        "file": "call.ogg",
        "media": media,
        "tracks": (),
        "segments": SPLICES[:1],
        "curves": (curve("audio", None, 8.6, SPLICES[:1]),),
    }
    return forged(**{**parts, "notes": ("There is no picture: the sound alone was scanned.",), **changes})


def hour_long(n_segments: int = 60) -> Scan:
    """An hour at 25 scores a second for three curves."""
    segments = tuple(
        Segment(60.0 * k + 7.3, 60.0 * k + 7.9, 0.8, ("audio", "visual", "both")[k % 3]) for k in range(n_segments)
    )
    curves = tuple(curve(kind, None, 3600.0, segments) for kind in ("audio", "visual", "fused"))
    media = dataclasses.replace(forged().media, duration_s=3600.0)
    return forged(file="hour.mp4", duration_s=3600.0, media=media, segments=segments, curves=curves, tracks=())


def curve(kind: Any, track: int | None, length_s: float, segments: tuple[Segment, ...], start_s: float = 0.0) -> Curve:
    """Low ripples with a bump of each segment's score over each segment."""
    times = [start_s + k / 25 for k in range(int(length_s * 25))]
    values = [0.08 + 0.05 * math.sin(5 * t) + 0.03 * math.sin(17 * t) for t in times]
    for segment in segments:
        first = max(round((segment.start_s - start_s) * 25), 0)
        values[first : first + max(round(segment.length_s * 25), 1)] = [segment.score] * max(
            round(segment.length_s * 25), 1
        )
    return Curve(kind, track, start_s, 25.0, tuple(values[: len(times)]))
