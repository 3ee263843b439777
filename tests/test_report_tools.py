"""Results in the formats of other tools, read back with those tools' own libraries.

Audacity has none, and that of Label Studio demands an older OpenCV than this project's: those two formats are read as
their documentation defines them.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import sys
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import opentimelineio as otio
import parselmouth
import pyarrow.parquet
import pympi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyannote.database.util import load_rttm

from fakespan.errors import MissingExtraError, UsageError
from fakespan.report import export
from fakespan.report.frames import Marks, frame_rate
from fakespan.report.outcomes import outcome
from fakespan.types import JudgedShare, MediaInfo, Scan, Segment, Source
from scans import HOSTILE_NAME, SPLICES, audio_only, clean, forged

FILM, NTSC = Fraction(24_000, 1001), Fraction(30_000, 1001)
OVERLAPPING = (
    Segment(1.0, 2.0, 0.9, "audio"),
    Segment(1.5, 3.0, 0.8, "visual", 0),
    Segment(1.6, 2.8, 0.7, "visual", 1),
    Segment(4.0, 4.0, 0.6, "both", 0),
)
SCANS = [
    forged(),
    clean(),
    audio_only(),
    forged(file=HOSTILE_NAME),
    forged(file="\ud800\udcff .mp4"),
    forged(segments=OVERLAPPING),
    forged(duration_s=0.0),
]


def at(rate: Fraction, timecode: str = "", **changes: object) -> Scan:
    """The forged scan of a file with this frame rate and start timecode."""
    media = dataclasses.replace(forged().media, frame_rate=str(rate), fps=float(rate), start_timecode=timecode)
    return forged(media=media, **changes)


def written(scan: Scan, format_: str, folder: Path) -> Path:
    path = folder / f"result.{export.SUFFIXES.get(format_, format_)}"
    export.WRITERS[format_](scan, path)
    return path


# -- frames


def test_a_segment_ends_before_the_frame_of_its_end() -> None:
    marks = Marks.of(at(Fraction(25), segments=(Segment(1.0, 1.52, 0.9, "audio"), Segment(2.0, 2.0, 0.9, "audio"))))
    assert [(mark.first, mark.end) for mark in marks] == [(25, 38), (50, 51)]


def test_frames_end_with_the_file() -> None:
    media = dataclasses.replace(forged().media, duration_s=2.0)
    marks = Marks.of(forged(media=media, duration_s=2.04, segments=(Segment(1.0, 2.04, 0.9, "both"),)))
    assert (marks.n_frames, marks.marks[0].end) == (50, 50)


@pytest.mark.parametrize(
    ("stated", "fps", "rate"),
    [
        ("24000/1001", 23.976, FILM),
        ("2997/100", 29.97, NTSC),
        ("", 29.97, NTSC),
        ("", 23.98, FILM),
        ("25", 25.0, 25),
        ("25/2", 12.5, Fraction(25, 2)),
        ("359/12", 29.917, Fraction(359, 12)),
        ("1/0", 0.0, 25),
        ("1e999999", 30.0, 30),
        ("", 1e9, 25),
    ],
)
def test_the_frame_rate_is_exact_and_plausible(stated: str, fps: float, rate: Fraction) -> None:
    assert frame_rate(MediaInfo(8.0, True, True, fps=fps, frame_rate=stated)) == rate


@given(st.sampled_from([FILM, NTSC, Fraction(25), Fraction(50)]), st.floats(0, 80_000), st.floats(0, 60))
def test_frames_are_the_nearest_to_the_times(rate: Fraction, start_s: float, length_s: float) -> None:
    media = dataclasses.replace(at(rate).media, duration_s=start_s + length_s + 1)
    (mark,) = Marks.of(forged(media=media, segments=(Segment(start_s, start_s + length_s, 0.9, "audio"),)))
    assert abs(mark.first / rate - start_s) <= 0.5 / rate + 1e-9
    assert abs(mark.end / rate - (start_s + length_s)) <= 1.5 / rate + 1e-9  # at least one frame
    assert mark.first < mark.end


# -- editing programs


@pytest.mark.parametrize("rate", [FILM, NTSC, Fraction(25)])
def test_otio_has_a_marker_for_each_segment(rate: Fraction, tmp_path: Path) -> None:
    timeline = otio.adapters.read_from_file(str(written(at(rate), "otio", tmp_path)))
    assert timeline.duration().to_seconds() == pytest.approx(8.6, abs=0.5 / rate)
    markers = timeline.tracks[0][0].markers
    spans = [(m.marked_range.start_time, m.marked_range.end_time_exclusive()) for m in markers]
    assert [(start.value, end.value) for start, end in spans] == [(m.first, m.end) for m in Marks.of(at(rate))]
    assert {time.rate for span in spans for time in span} == {float(rate)}
    assert markers[1].name == "suspected: picture (0.81)"
    assert markers[1].metadata["fakespan"]["track"] == 0


def test_otio_has_the_tracks_of_the_file(tmp_path: Path) -> None:
    for scan, kinds in ((forged(), ["Video", "Audio"]), (audio_only(), ["Audio"])):
        timeline = otio.adapters.read_from_file(str(written(scan, "otio", tmp_path)))
        assert [track.kind for track in timeline.tracks] == kinds
        assert timeline.tracks[0][0].media_reference.target_url == (Path.cwd() / scan.file).as_uri()
        assert len(timeline.tracks[0][0].markers) == len(scan.segments)


@pytest.mark.parametrize("rate", [FILM, NTSC, Fraction(25), Fraction(60)])
def test_an_edl_has_an_event_for_each_segment(rate: Fraction, tmp_path: Path) -> None:
    path = written(at(rate, source=Source("interview.mp4", 9, "0" * 64)), "edl", tmp_path)
    timeline = otio.adapters.read_from_file(str(path), rate=float(rate))
    tracks = {track.name: [clip for clip in track if isinstance(clip, otio.schema.Clip)] for track in timeline.tracks}
    marks = [(mark.first, mark.end) for mark in Marks.of(at(rate))]
    found = {
        name: [(c.source_range.start_time.value, c.source_range.end_time_exclusive().value) for c in clips]
        for name, clips in tracks.items()
    }
    assert found == {"A1": [marks[0], marks[2]], "V": [marks[1], marks[2]]}
    assert {clip.name for clips in tracks.values() for clip in clips} == {"interview.mp4"}


def test_an_edl_begins_at_the_timecode_of_the_file(tmp_path: Path) -> None:
    text = written(at(Fraction(25), "10:00:00:00"), "edl", tmp_path).read_text()
    assert "001  AX       A     C        10:00:01:05 10:00:01:22 10:00:01:05 10:00:01:22\n" in text
    assert "* LOC: 10:00:01:05 RED     SUSPECTED: SOUND (0.93)\n" in text


@pytest.mark.parametrize(
    ("timecode", "mode", "in_point"),
    [
        ("", "DROP FRAME", "01:00:00;00"),
        ("00:00:00;00", "DROP FRAME", "01:00:00;00"),
        ("00:00:00:00", "NON-DROP FRAME", "00:59:56:12"),
    ],
)
def test_an_hour_at_2997_is_counted_as_the_file_counts(timecode: str, mode: str, in_point: str, tmp_path: Path) -> None:
    segment = Segment(float(107_892 / NTSC), float(107_893 / NTSC), 0.9, "visual")  # 108,000 numbers, 108 dropped
    scan = at(NTSC, timecode, segments=(segment,))
    text = written(scan, "edl", tmp_path).read_text()
    assert f"FCM: {mode}\n" in text
    assert f" C        {in_point} " in text


@pytest.mark.parametrize("rate", [Fraction(25, 2), Fraction(120), Fraction(359, 12)])
def test_a_rate_without_timecode_keeps_its_times(rate: Fraction, tmp_path: Path) -> None:
    text = written(at(rate), "edl", tmp_path).read_text()
    starts = re.findall(r"C        00:00:(\d\d):(\d\d) ", text)
    used = otio.opentime.RationalTime.nearest_valid_timecode_rate(float(rate))
    assert [int(s) + int(f) / used for s, f in starts] == pytest.approx([1.2, 4.0, 6.4], abs=1 / used + 0.5 / rate)


def test_overlapping_segments_are_one_event_with_all_locators(tmp_path: Path) -> None:
    path = written(forged(segments=OVERLAPPING), "edl", tmp_path)
    timeline = otio.adapters.read_from_file(str(path), rate=25)
    first, second = (clip for clip in timeline.tracks[0] if isinstance(clip, otio.schema.Clip))
    assert first.source_range.start_time.value == 25
    assert first.source_range.end_time_exclusive().value == 75
    assert [marker.marked_range.start_time.value for marker in first.markers] == [25, 38, 40]
    assert second.source_range.duration.value == 1


def test_segments_that_only_touch_are_two_events_in_one_tier(tmp_path: Path) -> None:
    scan = forged(segments=(Segment(1.0, 2.0, 0.9, "audio"), Segment(2.0, 3.0, 0.8, "audio")))
    timeline = otio.adapters.read_from_file(str(written(scan, "edl", tmp_path)), rate=25)
    events = [clip for clip in timeline.tracks[0] if isinstance(clip, otio.schema.Clip)]
    assert [event.source_range.start_time.value for event in events] == [25, 50]
    document = pympi.Eaf(str(written(scan, "eaf", tmp_path)))
    assert list(document.get_tier_names()) == ["sound", "picture", "sound and picture"]


def test_fcpxml_is_read_by_the_adapter(tmp_path: Path) -> None:
    path = written(at(Fraction(25), "01:00:00:00"), "fcpxml", tmp_path)
    (timeline,) = otio.adapters.read_from_file(str(path), "fcpx_xml")
    (clip,) = (clip for clip in timeline.tracks[0] if isinstance(clip, otio.schema.Clip))
    assert clip.duration().value == 215
    assert [m.marked_range.start_time.value for m in clip.markers] == [90_030, 90_100, 90_160]
    assert clip.markers[0].name == "suspected: sound (0.93)"


@pytest.mark.parametrize("rate", [FILM, NTSC, Fraction(60_000, 1001)])
def test_times_of_fcpxml_are_exact_multiples_of_a_frame(rate: Fraction, tmp_path: Path) -> None:
    scan = at(rate, "01:00:00:00")
    root = ElementTree.parse(written(scan, "fcpxml", tmp_path)).getroot()
    frame_s = Fraction(root.find("resources/format").get("frameDuration").removesuffix("s"))
    assert frame_s == 1 / rate
    clip = root.find("event/project/sequence/spine/asset-clip")
    first = Fraction(clip.get("start").removesuffix("s")) / frame_s
    assert first == 3600 * round(rate)  # non-drop: an hour of numbers
    spans = []
    for keyword in clip.findall("keyword"):
        start, length = (Fraction(keyword.get(name).removesuffix("s")) / frame_s for name in ("start", "duration"))
        spans.append((start - first, start - first + length))
    assert spans == [(mark.first, mark.end) for mark in Marks.of(scan)]
    assert [m.get("start") for m in clip.findall("marker")] == [k.get("start") for k in clip.findall("keyword")]


# -- annotation tools


@pytest.mark.parametrize("scan", SCANS)
def test_praat_reads_every_segment(scan: Scan, tmp_path: Path) -> None:
    grid = parselmouth.read(str(written(scan, "textgrid", tmp_path)))  # Praat itself
    call = parselmouth.praat.call
    found = []
    for tier in range(1, call(grid, "Get number of tiers") + 1):
        for interval in range(1, call(grid, "Get number of intervals", tier) + 1):
            if (text := call(grid, "Get label of interval", tier, interval)).startswith("suspected: "):
                found.append((call(grid, "Get start time of interval", tier, interval), text))
    assert len(found) == len(scan.segments)
    assert call(grid, "Get tier name", 1) == "sound"
    last = call(grid, "Get number of tiers")
    assert call(grid, "Get tier name", last) == "outcome"
    assert call(grid, "Get label of interval", last, 1) == outcome(scan)
    assert call(grid, "Get end time") == max([scan.duration_s, *(s.end_s for s in scan.segments)])
    if scan == forged():
        assert found == [(1.2, "suspected: sound (0.93)"), (4.0, "suspected: picture (0.81)"),
                         (6.4, "suspected: sound and picture (0.72)")]  # fmt: skip


@pytest.mark.parametrize("scan", SCANS)
def test_elan_reads_every_segment(scan: Scan, tmp_path: Path) -> None:
    document = pympi.Eaf(str(written(scan, "eaf", tmp_path)))
    tiers = {name: document.get_annotation_data_for_tier(name) for name in document.get_tier_names()}
    assert sum(map(len, tiers.values())) == len(scan.segments)
    for labels in tiers.values():
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(sorted(labels)))
    (linked,) = document.get_linked_files()
    assert linked["MEDIA_URL"].startswith("file:///")
    if scan == forged():
        assert tiers["picture"] == [(4000, 4800, "suspected: picture (0.81)")]
        assert linked["MEDIA_URL"] == (Path.cwd() / "interview.mp4").as_uri()


@pytest.mark.parametrize("scan", SCANS)
def test_rttm_is_read_by_pyannote(scan: Scan, tmp_path: Path) -> None:
    path = written(scan, "rttm", tmp_path)
    found = [
        (round(segment.start, 3), round(segment.end, 3), label)
        for annotation in (load_rttm(str(path)).values() if scan.segments else ())
        for segment, _, label in annotation.itertracks(yield_label=True)
    ]
    assert len(found) == len(scan.segments)
    if scan == forged():
        assert list(load_rttm(str(path))) == ["interview"]
        assert found == [(1.2, 1.9, "audio"), (4.0, 4.8, "visual"), (6.4, 7.0, "both")]


@pytest.mark.parametrize("scan", SCANS)
def test_audacity_labels_are_two_times_and_a_text(scan: Scan, tmp_path: Path) -> None:
    lines = written(scan, "audacity", tmp_path).read_text().splitlines()
    labels = [(float(start), float(end), text) for start, end, text in (line.split("\t") for line in lines)]
    assert [start for start, _, _ in labels] == sorted(s.start_s for s in scan.segments)
    assert all(start < end and text.startswith("suspected: ") for start, end, text in labels)


@pytest.mark.parametrize("scan", SCANS)
def test_label_studio_gets_frames_from_1_and_seconds(scan: Scan, tmp_path: Path) -> None:
    (task,) = json.loads(written(scan, "labelstudio", tmp_path).read_text())
    (prediction,) = task["predictions"]
    regions = prediction["result"]
    assert len({region["id"] for region in regions}) == len(regions)
    n_pictures = sum(segment.modality != "audio" for segment in scan.segments)
    n_sounds = sum(segment.modality != "visual" for segment in scan.segments)
    assert [region["to_name"] for region in regions].count("video") == n_pictures
    assert [region["to_name"] for region in regions].count("audio") == n_sounds
    if scan == forged():
        assert regions[0]["value"] == {"start": 1.2, "end": 1.9, "channel": 0, "labels": ["suspected"]}
        assert regions[1]["value"] == {"ranges": [{"start": 101, "end": 120}], "timelinelabels": ["suspected"]}
        known = {"media": "interview.mp4", "fps": 25.0, "content": "", "outcome": "suspected", "reasons": []}
        assert task["data"] == known


# -- tables


def test_parquet_has_a_row_per_segment_with_its_types(tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    for scan in (clean(file="clean.mp4"), forged(segments=SPLICES[:1]), forged()):  # the last one again
        export.TABLES["parquet"].merge(scan, path)
    table = pyarrow.parquet.read_table(path)
    assert tuple(table.column_names) == export.CSV_COLUMNS
    assert table["file"].to_pylist() == ["clean.mp4"] + ["interview.mp4"] * 3
    assert table["start_s"].to_pylist() == [None, 1.2, 4.0, 6.4]
    assert table["track"].to_pylist() == [None, None, 0, 1]
    assert table["is_fake"].to_pylist() == [False, True, True, True]


def test_another_table_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"file": ["a"], "price": [1]}), path)
    for content in (path.read_bytes(), b"price\n1\n", path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="expected a table of fakespan"):
            export.TABLES["parquet"].merge(forged(), path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("scan", SCANS)
def test_any_scan_is_a_table(scan: Scan, tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(written(scan, "parquet", tmp_path))
    assert len(table) == max(len(scan.segments), 1)


# -- all


def test_formats_that_have_a_place_for_it_say_the_outcome(tmp_path: Path) -> None:
    share = JudgedShare(either=0.2, sound=0.2, picture=0.0)
    scan = clean(judged_share=share, reasons=("music_or_noise", "no_face"))
    fields = {"outcome": "inconclusive", "reasons": ["music_or_noise", "no_face"]}
    timeline = otio.adapters.read_from_file(str(written(scan, "otio", tmp_path)))
    about = timeline.metadata["fakespan"]
    assert {"outcome": about["outcome"], "reasons": list(about["reasons"])} == fields
    assert about["judged_share"]["sound"] == 0.2
    (task,) = json.loads(written(scan, "labelstudio", tmp_path).read_text())
    assert task["data"].items() >= fields.items()
    properties = dict(pympi.Eaf(str(written(scan, "eaf", tmp_path))).properties)
    note = ElementTree.parse(written(scan, "fcpxml", tmp_path)).findtext(".//note")
    events = otio.adapters.read_from_file(str(written(scan, "edl", tmp_path)), rate=25)
    for text in (properties["outcome"], note, events.name):
        assert "inconclusive: nothing was found" in text
        assert "(not the rest: music or noise, no face)" in text


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("format_", ["otio", "edl", "fcpxml"])
def test_editing_programs_get_any_scan(format_: str, scan: Scan, tmp_path: Path) -> None:
    path = written(scan, format_, tmp_path)
    if format_ == "otio":
        assert len(otio.adapters.read_from_file(str(path)).tracks[0][0].markers) == len(scan.segments)
    elif format_ == "fcpxml":
        assert len(ElementTree.parse(path).findall(".//keyword")) == len(scan.segments)
    else:
        text = path.read_text()
        assert text.count("\n* LOC: ") == len(scan.segments)
        assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}


@pytest.mark.parametrize(
    ("format_", "library"),
    [
        ("otio", "opentimelineio"),
        ("edl", "opentimelineio"),
        ("fcpxml", "opentimelineio"),
        ("textgrid", "praatio"),
        ("eaf", "pympi-ling"),
        ("parquet", "pyarrow"),
    ],
)
def test_a_missing_library_is_named(
    format_: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = library.removesuffix("-ling")
    for name in [module, *(name for name in sys.modules if name.startswith(f"{module}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{library}.*pip install 'fakespan\[formats\]'"):
        written(forged(), format_, tmp_path)
    assert list(tmp_path.iterdir()) == []
