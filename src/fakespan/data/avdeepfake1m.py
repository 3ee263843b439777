"""AV-Deepfake1M and AV-Deepfake1M++ (arXiv 2311.15308): one list per split, videos in train, val and test.

Contract: `{train,val}_metadata.json` lists the clips; if an entry has only a name, the clip's own JSON is read, from
`{split}_metadata/` or, in ++, beside the video. Videos are `{split}/<file>`, and `<file>` is the clip's name. Times are
in seconds, the length of a clip is video_frames / 25. A list of the test set is read like the others if it exists;
otherwise `test_files.txt` names the clips without labels: no spans, length 0, facts["labelled"] False.

A span of fake_segments has the modality of the lists that it overlaps (audio_fake_segments, visual_fake_segments).
Known error in the release: in about 6,000 clips of which only one stream was changed, the span is repeated in the other
stream's list. modify_type takes precedence, and the repeated span is reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from fakespan.config import FPS
from fakespan.data.entries import (
    MODIFY_TYPES,
    Reading,
    Unusable,
    as_list,
    collect,
    count,
    modality_of,
    name_in,
    original_of,
    read_json,
    read_text,
    segment,
    spans_of,
    split_of,
    tidy_name,
    whole,
)
from fakespan.errors import DataError
from fakespan.types import Modality, Sample, Segment

__all__ = ["read"]

_FOLDERS = ("train", "val", "test")
_FACTS = ("modify_type", "audio_model", "video_model", "audio_frames")
Span = tuple[float, float]


def read(root: Path) -> Reading:
    """The clips of an AV-Deepfake1M folder.

    Raises:
        DataError: none of the lists exists, or one is damaged or not a list.
    """
    reading = Reading()
    lists = {folder: root / f"{folder}_metadata.json" for folder in _FOLDERS}
    names = root / "test_files.txt"
    if not names.is_file() and not any(path.is_file() for path in lists.values()):
        expected = "train_metadata.json, val_metadata.json or test_files.txt in it"
        raise DataError(root, expected=expected, got="none of them", remedy="give the folder with these files")
    for folder, path in lists.items():
        if path.is_file():
            entries = as_list(path, read_json(path))
            collect(reading, entries, partial(_labelled, root, folder), path.name, name_in)
    if names.is_file() and not lists["test"].is_file():
        lines = [line.strip() for line in read_text(names).splitlines() if line.strip()]
        collect(reading, lines, partial(_unlabelled, root), names.name, str)
    return reading


def _labelled(root: Path, folder: str, entry: Any, reading: Reading) -> Sample:
    name = tidy_name(name_in(entry))
    facts = entry if isinstance(entry, dict) and "fake_segments" in entry else _own_facts(root, folder, name)
    n_frames = count(facts.get("video_frames"), "video_frames")
    if split_of(facts.get("split", folder)) != split_of(folder):
        reading.note("split", name, f"its split is {facts['split']!r}, but {folder}_metadata.json names it; {folder}")
    whole(facts, "audio_frames")
    extra = {key: facts[key] for key in _FACTS if facts.get(key) is not None}
    return Sample(
        name=name,
        path=root / folder / name,
        split=split_of(folder),
        duration_s=n_frames / FPS,
        segments=_segments(name, facts, reading),
        original=original_of(facts.get("original"), name, reading),
        n_frames=n_frames,
        facts=extra | ({"method": extra["audio_model"]} if "audio_model" in extra else {}),
    )


def _unlabelled(root: Path, line: str, _: Reading) -> Sample:
    name = tidy_name(line)
    return Sample(name, root / "test" / name, "test", 0.0, facts={"labelled": False})


def _own_facts(root: Path, folder: str, name: str) -> dict[str, Any]:
    """The JSON file of one clip."""
    short = Path(name).with_suffix(".json")
    path = next((p for p in (root / f"{folder}_metadata" / short, root / folder / short) if p.is_file()), None)
    if path is None:
        raise Unusable("entry", f"only a name in the list, and no {short.as_posix()} in {folder}_metadata or {folder}")
    try:
        facts = read_json(path)
    except DataError as error:
        raise Unusable("entry", f"its {short.name} cannot be read: {error.got}") from error
    if not isinstance(facts, dict) or "fake_segments" not in facts:
        raise Unusable("entry", f"its {short.name} does not have the metadata of a clip")
    return facts


def _segments(name: str, facts: dict[str, Any], reading: Reading) -> tuple[Segment, ...]:
    """The spans of fake_segments, then those that are only in the lists of the two streams."""
    audio, visual = (_spans(facts, key) for key in ("audio_fake_segments", "visual_fake_segments"))
    audio, visual = _believed(name, facts, audio, visual, reading)
    spans = list(spans_of(facts["fake_segments"], "fake_segments"))
    forgotten = sorted({span for span in (*audio, *visual) if not _overlaps(span, spans)})
    for start_s, end_s in forgotten:
        reading.note(
            "span", name, f"{start_s:g} to {end_s:g} s is forged in one stream, but not in fake_segments; added"
        )
    fallback = MODIFY_TYPES.get(str(facts.get("modify_type")), (False, False))
    return tuple(segment(*span, _modality(span, audio, visual, fallback)) for span in (*spans, *forgotten))


def _believed(
    name: str, facts: dict[str, Any], audio: list[Span], visual: list[Span], reading: Reading
) -> tuple[list[Span], list[Span]]:
    """The spans of the two streams, without those of a stream that is untouched according to modify_type."""
    kind = facts.get("modify_type")
    if kind is None:
        return audio, visual
    if not isinstance(kind, str) or kind not in MODIFY_TYPES:
        reading.note("label", name, f"modify_type is {kind!r}; it is ignored in favour of the span lists")
        return audio, visual
    in_audio, in_visual = MODIFY_TYPES[kind]
    if kind == "real" and (audio or visual or facts["fake_segments"]):
        reading.note("label", name, "modify_type is real, but there are forged spans; the spans are used")
        return audio, visual
    if kind != "real" and not facts["fake_segments"]:
        reading.note("label", name, f"modify_type is {kind}, but fake_segments is empty")
    if audio and not in_audio:
        reading.note("modality", name, f"modify_type is {kind}, but audio_fake_segments has spans; treated as visual")
        return [], visual or audio
    if visual and not in_visual:
        reading.note("modality", name, f"modify_type is {kind}, but visual_fake_segments has spans; treated as audio")
        return audio or visual, []
    return audio, visual


def _spans(facts: dict[str, Any], key: str) -> list[Span]:
    value = facts.get(key)
    return list(spans_of(value, key)) if value is not None else []


def _modality(span: Span, audio: list[Span], visual: list[Span], fallback: tuple[bool, bool]) -> Modality:
    in_audio, in_visual = _overlaps(span, audio), _overlaps(span, visual)
    return modality_of(in_audio, in_visual) if in_audio or in_visual else modality_of(*fallback)


def _overlaps(span: Span, others: Iterable[Span]) -> bool:
    """Whether the span overlaps or equals one of the others (also if empty)."""
    return any(span == other or (span[0] < other[1] and other[0] < span[1]) for other in others)
