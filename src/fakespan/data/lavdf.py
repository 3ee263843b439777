"""LAV-DF: one metadata file and the folders train, dev and test (2204.06228, section 3).

Contract: `metadata.min.json` is preferred (the same without transcripts, so much smaller) over `metadata.json`; video
names are relative to ROOT. Times are in seconds. The length of a clip is that of its video, video_frames / 25: the
field `duration` is that of the audio plus 0.128 s. The set states per clip what was changed (modify_audio,
modify_video), so all spans of a clip have the same modality.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from fakespan.config import FPS
from fakespan.data.entries import (
    Reading,
    Unusable,
    as_list,
    collect,
    flag,
    modality_of,
    name_in,
    number,
    original_of,
    read_json,
    segment,
    spans_of,
    split_of,
    tidy_name,
    whole,
)
from fakespan.errors import DataError
from fakespan.types import Sample

__all__ = ["METADATA_NAMES", "read", "read_entry"]

METADATA_NAMES = ("metadata.min.json", "metadata.json")
_FACTS = ("duration", "audio_frames", "audio_channels", "modify_audio", "modify_video", "method")


def read(root: Path) -> Reading:
    """The clips of a LAV-DF folder.

    Raises:
        DataError: no metadata file, or one that is damaged or not a list.
    """
    path = next((root / name for name in METADATA_NAMES if (root / name).is_file()), None)
    if path is None:
        expected, got = "metadata.min.json or metadata.json in it", "neither"
        raise DataError(root, expected=expected, got=got, remedy="give the folder of the unpacked data set")
    reading = Reading()
    entries = as_list(path, read_json(path))
    collect(reading, entries, partial(read_entry, root), path.name, name_in)
    return reading


def read_entry(root: Path, entry: Any, reading: Reading) -> Sample:
    """The sample of one entry; raises Unusable. Minor inconsistencies are added to the problems."""
    if not isinstance(entry, dict):
        raise Unusable("entry", "expected an object with the metadata of a clip")
    name = tidy_name(entry.get("file"))
    modality = modality_of(flag(entry, "modify_audio"), flag(entry, "modify_video"))
    spans = spans_of(entry.get("fake_periods"), "fake_periods")
    segments = tuple(segment(start_s, end_s, modality) for start_s, end_s in spans)
    _check_label(name, entry, len(segments), reading)
    n_frames = whole(entry, "video_frames")
    return Sample(
        name=name,
        path=root / name,
        split=split_of(entry.get("split")),
        duration_s=n_frames / FPS if n_frames else number(entry.get("duration"), "duration"),
        segments=segments,
        original=original_of(entry.get("original"), name, reading),
        n_frames=n_frames,
        facts={key: entry[key] for key in _FACTS if key in entry},
    )


def _check_label(name: str, entry: dict[str, Any], n_spans: int, reading: Reading) -> None:
    changed = entry.get("modify_audio") is True or entry.get("modify_video") is True
    if changed and not n_spans:
        reading.note("label", name, "marked as changed, but without forged spans; treated as real")
    if n_spans and not changed:
        reading.note("label", name, "forged spans, but neither audio nor video is marked as changed; treated as both")
    if entry.get("n_fakes", n_spans) != n_spans:
        reading.note("label", name, f"n_fakes is {entry['n_fakes']!r}, but there are {n_spans} forged spans")
