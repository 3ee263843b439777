"""Markers for editing programs: OpenTimelineIO, CMX 3600 edit decision lists, Final Cut Pro X XML.

Contract: the timeline holds the whole file at its own frame rate and begins at its start timecode. Positions are whole
frames, out-points are exclusive (`frames`). A file of 29.97 or 59.94 fps counts drop-frame unless its timecode says
otherwise.

OpenTimelineIO keeps the times and converts timecodes. Its adapters for the other two formats are not used: they write
rates of 1000/1001 as decimals and 29.97 as drop-frame only. The tests read both formats back with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fakespan.files import write_text
from fakespan.report.frames import Mark, Marks
from fakespan.report.libraries import library
from fakespan.report.outcomes import outcome, outcome_fields
from fakespan.report.words import content, file_url, printable, suspicion
from fakespan.types import Scan

__all__ = ["write_edl", "write_fcpxml", "write_otio"]

_DROP_RATES = (Fraction(30_000, 1001), Fraction(60_000, 1001))
_CHANNELS = {"audio": "A", "visual": "V", "both": "B"}  # of CMX 3600


def write_otio(scan: Scan, path: Path) -> None:
    """An OpenTimelineIO timeline: the file as one clip, with a marker for each segment.

    Raises:
        UsageError: the path cannot be written.
        MissingExtraError: opentimelineio is not installed.
    """
    otio, reel = library("opentimelineio"), _Reel.of(scan)

    def frames(first: int, end: int) -> Any:
        time, rate = otio.opentime.RationalTime, float(reel.marks.rate)
        return otio.opentime.TimeRange(time(reel.start + first, rate), time(end - first, rate))

    whole = frames(0, reel.marks.n_frames)
    timeline = otio.schema.Timeline(name=reel.name, global_start_time=whole.start_time)
    timeline.metadata["fakespan"] = {
        "version": scan.fakespan_version,
        "content": content(scan),
        **outcome_fields(scan),
    }
    kinds = otio.schema.TrackKind
    present = [(kinds.Video, scan.media.has_video), (kinds.Audio, scan.media.has_audio or not scan.media.has_video)]
    for kind in (kind for kind, is_there in present if is_there):
        media = otio.schema.ExternalReference(target_url=file_url(scan.file), available_range=whole)
        clip = otio.schema.Clip(name=reel.name, media_reference=media, source_range=whole)
        timeline.tracks.append(otio.schema.Track(name=kind, kind=kind, children=[clip]))
    for mark in reel.marks:
        about = {"score": mark.segment.score, "modality": mark.segment.modality, "track": mark.segment.track}
        timeline.tracks[0][0].markers.append(
            otio.schema.Marker(
                name=suspicion(mark.segment),
                marked_range=frames(mark.first, mark.end),
                color=otio.schema.MarkerColor.RED,
                metadata={"fakespan": about},
            )
        )
    write_text(path, timeline.to_json_string() + "\n", [scan.file])


def write_edl(scan: Scan, path: Path) -> None:
    """A CMX 3600 list with an event per suspected stretch, in its place, and a locator per segment.

    Events may not overlap, so that overlapping segments are one event. A rate that timecode does not know becomes the
    nearest that it does.

    Raises:
        UsageError: the path cannot be written.
        MissingExtraError: opentimelineio is not installed.
    """
    reel = _Reel.of(scan)
    mode = "DROP FRAME" if reel.is_drop else "NON-DROP FRAME"
    about = _about(scan)
    title = reel.name if scan.segments else "; ".join([reel.name, *about])  # comments belong to events
    lines = [f"TITLE: {title}", f"FCM: {mode}", ""]
    for number, event in enumerate(_stretches(reel.marks), 1):
        channels = {_CHANNELS[mark.segment.modality] for mark in event}
        channel = channels.pop() if len(channels) == 1 else "B"
        span = f"{reel.timecode(event[0].first)} {reel.timecode(max(mark.end for mark in event))}"
        lines.append(f"{number:03d}  AX       {channel:5} C        {span} {span}")
        lines.append(f"* FROM CLIP NAME:  {reel.name}")
        lines += [f"* {line}" for line in about if number == 1]
        lines += [f"* LOC: {reel.timecode(mark.first)} RED     {suspicion(mark.segment).upper()}" for mark in event]
        lines.append("")
    write_text(path, "\n".join(lines), [scan.file])


def write_fcpxml(scan: Scan, path: Path) -> None:
    """A Final Cut Pro project (FCPXML 1.8): the file as one clip, with a marker and a keyword range for each segment.

    Final Cut shows a marker at its first frame only; the keyword covers the segment.

    Raises:
        UsageError: the path cannot be written.
        MissingExtraError: opentimelineio is not installed.
    """
    reel = _Reel.of(scan)
    start, duration = reel.seconds(reel.start), reel.seconds(reel.marks.n_frames)
    root = ElementTree.Element("fcpxml", version="1.8")
    resources = ElementTree.SubElement(root, "resources")
    frame = {"id": "r1", "frameDuration": reel.seconds(1)}
    size = {"width": str(scan.media.width), "height": str(scan.media.height)} if scan.media.has_video else {}
    ElementTree.SubElement(resources, "format", frame | size)
    span = {"start": start, "duration": duration, "format": "r1"}
    asset = {"id": "r2", "name": reel.name, "src": file_url(scan.file), **span, **_streams(scan)}
    ElementTree.SubElement(resources, "asset", asset)
    project = ElementTree.SubElement(ElementTree.SubElement(root, "event", name="fakespan"), "project", name=reel.name)
    mode = "DF" if reel.is_drop else "NDF"
    sequence = ElementTree.SubElement(project, "sequence", format="r1", duration=duration, tcStart=start, tcFormat=mode)
    spine = ElementTree.SubElement(sequence, "spine")
    about = {"ref": "r2", "name": reel.name, "offset": start, **span, "tcFormat": mode}
    clip = ElementTree.SubElement(spine, "asset-clip", about)
    ElementTree.SubElement(clip, "note").text = "\n".join(_about(scan))
    for mark in reel.marks:
        begin, length = reel.seconds(reel.start + mark.first), reel.seconds(mark.end - mark.first)
        text = suspicion(mark.segment)
        ElementTree.SubElement(clip, "marker", start=begin, duration=reel.seconds(1), value=text)
        ElementTree.SubElement(clip, "keyword", start=begin, duration=length, value=text)
    ElementTree.indent(root)
    xml = ElementTree.tostring(root, encoding="unicode")
    write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{xml}\n', [scan.file])


@dataclass(frozen=True, slots=True)
class _Reel:
    """A file as an editing program sees it."""

    name: str
    marks: Marks
    start: int  # its first frame, counted from timecode 0
    is_drop: bool

    @classmethod
    def of(cls, scan: Scan) -> _Reel:
        marks, stated = Marks.of(scan), scan.media.start_timecode
        opentime = library("opentimelineio").opentime
        try:
            start = opentime.from_timecode(stated, float(marks.rate)).to_frames() if stated else 0
        except ValueError:  # not a timecode at this rate
            start, stated = 0, ""
        is_drop = marks.rate in _DROP_RATES and (not stated or ";" in stated)
        return cls(printable(Path(scan.file).name), marks, start, is_drop)

    def timecode(self, frame: int) -> str:
        """The timecode of a frame of the file."""
        opentime = library("opentimelineio").opentime
        rate = float(self.marks.rate)
        time = opentime.RationalTime(self.start + frame, rate)
        if not opentime.RationalTime.is_valid_timecode_rate(rate):
            rate = opentime.RationalTime.nearest_valid_timecode_rate(rate)
            time = opentime.RationalTime(round(time.rescaled_to(rate).value), rate)
        return str(opentime.to_timecode(time, rate, drop_frame=self.is_drop))

    def seconds(self, n_frames: int) -> str:
        """A number of frames as the exact time of FCPXML: seconds as a ratio."""
        return f"{n_frames / self.marks.rate}s"


def _about(scan: Scan) -> list[str]:
    """The note on the whole file: its outcome, and the hash of its content."""
    return [line for line in (outcome(scan), content(scan)) if line]


def _stretches(marks: Marks) -> Iterator[Sequence[Mark]]:
    """Runs of marks that overlap."""
    event: list[Mark] = []
    for mark in marks:
        if event and mark.first >= max(other.end for other in event):
            yield event
            event = []
        event.append(mark)
    if event:
        yield event


def _streams(scan: Scan) -> dict[str, str]:
    """What FCPXML says of an asset's streams."""
    media, streams = scan.media, {}
    if media.has_video:
        streams["hasVideo"] = "1"
    if media.has_audio:
        rates = {"audioChannels": str(media.n_channels), "audioRate": str(media.sample_rate)}
        streams |= {"hasAudio": "1", "audioSources": "1", **rates}
    return streams
