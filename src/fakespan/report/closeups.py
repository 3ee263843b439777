"""What the page shows of a segment beside its times: stills of the mouth and a spectrogram, as small images.

`fakespan.closeup` makes them from the scanned file; here they are only kept and laid out. They belong to the page
alone: the JSON of a scan has no images.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fakespan.report.words import MODALITIES, printable, timecode
from fakespan.types import Segment

__all__ = [
    "NO_CLOSEUPS",
    "CloseUp",
    "CloseUps",
    "Difference",
    "Image",
    "Reference",
    "closeups_from_json",
    "closeups_json",
    "reference_view",
    "view",
]

_MOST_DIFFERENCES = 50  # that are listed
_LABEL = 9.0  # percent of the width of a spectrogram that a time takes on a phone

Place = Literal["before", "within", "after"]


@dataclass(frozen=True, slots=True)
class Image:
    """A small WebP image of a moment or, as a spectrogram, of a stretch."""

    start_s: float
    end_s: float
    webp: bytes

    @property
    def uri(self) -> str:
        """The image as a data URI."""
        return f"data:image/webp;base64,{base64.b64encode(self.webp).decode()}"


@dataclass(frozen=True, slots=True)
class CloseUp:
    """The images of one segment."""

    number: int  # of the segment, from 1, as in every report
    mouths: tuple[Image, ...] = ()  # in order of time; before, within and after the segment
    spectrogram: Image | None = None
    take_mouths: tuple[Image, ...] = ()  # the same of the untouched take, at the times of the scanned file
    take_spectrogram: Image | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch in which the scanned file differs from the untouched take, at the times of the scanned file."""

    start_s: float
    end_s: float
    modality: Literal["audio", "visual"]


@dataclass(frozen=True, slots=True)
class Reference:
    """An untouched take, and how the scanned file compares with it."""

    file: str
    has_video: bool
    offset_s: float | None  # to add to a time of the scanned file; None: their sounds are too unlike to be aligned
    likeness: float  # correlation of the aligned sounds, 0..1
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseUps:
    """The images of a scan."""

    each: tuple[CloseUp, ...] = ()
    note: str = ""  # why some or all are missing
    reference: Reference | None = None


NO_CLOSEUPS = CloseUps()


def view(closeups: CloseUps, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the template shows of each close-up; rows: those of the table of segments."""
    return [_view(rows[closeup.number - 1], closeup) for closeup in closeups.each if closeup.number <= len(rows)]


def _view(row: dict[str, Any], closeup: CloseUp) -> dict[str, Any]:
    segment: Segment = row["segment"]
    takes = [
        {
            "name": name,
            "is_untouched": name == "untouched",
            "strip": _strip(stills, segment, within),
            "spectrogram": _spectrogram(sound, segment),
        }
        for name, within, stills, sound in (
            ("scanned", "suspected", closeup.mouths, closeup.spectrogram),
            ("untouched", "the same place", closeup.take_mouths, closeup.take_spectrogram),
        )
        if stills or sound
    ]
    return {**row, "number": closeup.number, "takes": takes}


def _strip(stills: tuple[Image, ...], segment: Segment, within: str) -> list[dict[str, Any]]:
    groups: dict[Place, list[dict[str, str]]] = {"before": [], "within": [], "after": []}
    for still in stills:
        place = _place(still.start_s, segment)
        alt = f"Mouth at {timecode(still.start_s)}, {'within the segment' if place == 'within' else place}"
        groups[place].append({"uri": still.uri, "time": timecode(still.start_s), "alt": alt})
    return [
        {"name": within if place == "within" else place, "stills": found, "is_within": place == "within"}
        for place, found in groups.items()
        if found
    ]


def reference_view(reference: Reference, url: str | None) -> dict[str, Any]:
    """What the template shows of an untouched take; url: where its player finds it."""
    return {
        "url": url,
        "has_video": reference.has_video,
        "name": printable(Path(reference.file).name),
        "is_aligned": reference.offset_s is not None,
        "likeness": f"{reference.likeness:.2f}",
        "offset": f"{reference.offset_s or 0.0:+.2f}",
        "differences": [
            {"start": d.start_s, "end": d.end_s, "modality": d.modality, "what": MODALITIES[d.modality]}
            for d in reference.differences[:_MOST_DIFFERENCES]
        ],
        "n_left": max(0, len(reference.differences) - _MOST_DIFFERENCES),
    }


def _place(time_s: float, segment: Segment) -> Place:
    if time_s < segment.start_s:
        return "before"
    return "within" if time_s <= segment.end_s else "after"


def _spectrogram(image: Image | None, segment: Segment) -> dict[str, Any] | None:
    """The image, the place of the segment on it in percent, and the times of its edges."""
    if image is None:
        return None
    length_s = max(image.end_s - image.start_s, 1e-3)
    start, end = (100 * (time_s - image.start_s) / length_s for time_s in (segment.start_s, segment.end_s))
    labels = [(start, segment.start_s, "middle"), (end, segment.end_s, "middle")]
    labels += [(0.0, image.start_s, "start"), (100.0, image.end_s, "end")]
    shown: list[tuple[float, float, str]] = []
    for label in labels:  # those of the segment first
        if all(abs(label[0] - other[0]) >= _LABEL for other in shown):
            shown.append(label)
    return {
        "uri": image.uri,
        "x": f"{start:.2f}%",
        "width": f"{end - start:.2f}%",
        "labels": [{"x": f"{x:.2f}%", "time": timecode(time_s), "anchor": anchor} for x, time_s, anchor in shown],
        "about": f"from {timecode(image.start_s)} to {timecode(image.end_s)}",
    }


def closeups_json(closeups: CloseUps) -> str:
    """The images as text, to keep them beside a result."""
    return json.dumps({"note": closeups.note, "each": [_plain(closeup) for closeup in closeups.each]})


def closeups_from_json(text: str) -> CloseUps:
    """The inverse of `closeups_json`, for what this program wrote itself."""
    record = json.loads(text)
    each = [
        CloseUp(c["number"], tuple(_image(m) for m in c["mouths"]), c["spectrogram"] and _image(c["spectrogram"]))
        for c in record["each"]
    ]
    return CloseUps(tuple(each), record["note"])


def _plain(closeup: CloseUp) -> dict[str, Any]:
    images = [(i.start_s, i.end_s, base64.b64encode(i.webp).decode()) for i in closeup.mouths]
    sound = closeup.spectrogram
    heard = sound and (sound.start_s, sound.end_s, base64.b64encode(sound.webp).decode())
    return {"number": closeup.number, "mouths": images, "spectrogram": heard}


def _image(record: list[Any]) -> Image:
    start_s, end_s, webp = record
    return Image(start_s, end_s, base64.b64decode(webp))
