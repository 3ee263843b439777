from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakespan.errors import DataError, UsageError
from fakespan.report import export, html, timeline, words
from fakespan.report.axis import tick_step
from fakespan.report.names import result_name
from fakespan.types import FORMAT, Scan, Segment, Source, TimeRange
from scans import HOSTILE_NAME, audio_only, clean, forged, hour_long, patchy


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# -- JSON


@pytest.mark.parametrize(
    "scan", [forged(), clean(), patchy(), audio_only(), forged(file=HOSTILE_NAME), forged(file="\udcff.mp4")]
)
def test_json_gives_back_the_same_scan(scan: Scan, tmp_path: Path) -> None:
    export.write_json(scan, tmp_path / "result.json")
    assert export.read_json(tmp_path / "result.json") == scan


def test_json_is_versioned_and_states_the_verdict() -> None:
    record = json.loads(export.json_text(forged()))
    assert (record["format"], record["is_fake"]) == (FORMAT, True)


def test_results_of_older_versions_are_read() -> None:
    record = clean().to_dict()
    for newer in ("verdict", "not_judged"):
        del record[newer]
    assert Scan.from_dict(record) == clean()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "not JSON"),
        ("{}", f"expected a fakespan result ({FORMAT}), got a record of format None; "),
        ("[]", "not an object"),
        ("[" * 100_000, "nested"),
        (b"\xff\xfe\x00", "not JSON"),
        ('{"format": "fakespan.scan/2"}', "fakespan.scan/2"),
        (f'{{"format": "{FORMAT}"}}', "without the field 'file'"),
    ],
)
def test_other_files_are_refused_with_a_reason(content: str | bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=re.escape(word)):
        export.read_json(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("score", "high"),
        ("score", True),
        ("score", float("nan")),
        ("file", 3),
        ("segments", [{"start_s": 2, "end_s": 1, "score": 1, "modality": "audio"}]),
        ("segments", [{"start_s": 1, "end_s": 2, "score": 1, "modality": '"><script>'}]),
        ("tracks", [{"id": 0, "start_s": 0, "end_s": 1, "box": [0, 0, 1]}]),
        ("media", None),
        ("notes", [1]),
        ("not_judged", [{"start_s": 2, "end_s": 1, "reason": "gap"}]),
        ("not_judged", [{"start_s": 1, "end_s": 2, "reason": "<b>"}]),
        ("not_judged", None),
        ("notes", "text"),
        ("file", "a\0b"),
        ("file", "\ud800.mp4"),
        ("file", ""),
        ("duration_s", -1),
        ("duration_s", 10**400),
        ("threshold", 1.5),
        ("curves", [{"modality": "audio", "track": None, "start_s": 0, "fps": 0, "values": [0.5]}]),
        ("curves", {"modality": "audio"}),
        ("source", {"name": "x", "size_bytes": -1, "sha256": "0" * 64}),
        ("source", {"name": "x", "size_bytes": 1, "sha256": "../../etc/passwd"}),
        ("verdict", []),
    ],
)
def test_a_record_with_wrong_values_is_refused(key: str, value: object, tmp_path: Path) -> None:
    record = {**forged().to_dict(), key: value}
    (tmp_path / "x.json").write_text(json.dumps(record))
    with pytest.raises(DataError) as told:
        export.read_json(tmp_path / "x.json")
    assert "\n" not in str(told.value)
    assert key in str(told.value) or "NaN" in str(told.value) or "must not end" in str(told.value)


def test_a_wrong_value_is_told_with_its_place(tmp_path: Path) -> None:
    record = forged().to_dict()
    record["curves"][2]["fps"] = 0
    (tmp_path / "x.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=re.escape("got 0 in curves[2].fps, which is from 0.001 to 100000;")):
        export.read_json(tmp_path / "x.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_result_is_read_in_any_unicode_encoding(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(export.json_text(forged()), encoding=encoding)
    assert export.read_json(tmp_path / "x.json") == forged()


def test_a_result_of_a_recording_whose_clock_counts_from_1970_is_read(tmp_path: Path) -> None:
    start_s = 1_700_000_000.0
    media = dataclasses.replace(forged().media, starts_at_s=start_s)
    times = (Segment(start_s + 1.2, start_s + 1.9, 0.93, "audio"),)
    scan = forged(media=media, segments=times, asked=TimeRange(start_s + 1.0, start_s + 2.0))
    export.write_json(scan, tmp_path / "clip.json")
    assert export.read_json(tmp_path / "clip.json") == scan


def test_damaged_results_are_refused_or_rendered_but_never_crash(tmp_path: Path) -> None:
    """Seeded damage of every field: another type, an extreme number, or the field removed."""
    rng = random.Random(12)
    extremes = [0, -1, 1e300, -1e300, 10**400, 1e-300, True, None, "", "\ud800", "a\0", [], {}, [[]], "x" * 5000]
    path, n_rendered = tmp_path / "x.json", 0
    for _ in range(600):
        record = forged().to_dict()
        holder, key = rng.choice(list(places(record)))
        if rng.random() < 0.15 and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = rng.choice(extremes)
        path.write_text(json.dumps(record))
        try:
            scan = export.read_json(path)
        except DataError:
            continue
        n_rendered += 1
        assert all(render(scan) for render in (timeline.svg, export.csv_text, export.vtt_text, html.render_html))
    assert 20 < n_rendered < 400  # the rest is refused


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container inside a JSON value with each of its keys; of long lists only the first item."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from places(inner)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json: expected a fakespan result .* got no such file"):
        export.read_json(tmp_path / "nowhere.json")


# -- CSV


def test_csv_has_a_row_per_segment_in_order_of_time() -> None:
    shuffled = dataclasses.replace(forged(), segments=forged().segments[::-1])
    rows = read_csv(export.csv_text(shuffled))
    assert [(row["segment"], row["start_s"], row["modality"], row["track"]) for row in rows] == [
        ("1", "1.200", "audio", ""),
        ("2", "4.000", "visual", "0"),
        ("3", "6.400", "both", "1"),
    ]


def test_the_document_describes_every_field_and_column() -> None:
    document = Path(__file__).parents[1].joinpath("docs", "results.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in document.split("\n## ")}
    json_fields = sections["JSON (`fakespan.scan/1`)"].split("\n\n")
    (fields,) = (
        block for block in json_fields if block.startswith("| field | type | meaning |\n|---|---|---|\n| `format`")
    )
    assert {f.name for f in dataclasses.fields(Scan)} <= set(re.findall(r"`(\w+)`", fields))
    assert set(export.CSV_COLUMNS) <= set(re.findall(r"`(\w+)`", sections["CSV"]))


def test_csv_keeps_files_without_segments() -> None:
    rows = read_csv(export.csv_text([clean(file="clean.mp4"), forged()]))
    assert [row["file"] for row in rows] == ["clean.mp4"] + ["interview.mp4"] * 3
    assert (rows[0]["is_fake"], rows[0]["segment"], rows[0]["start_s"]) == ("false", "", "")


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", "  =1", "\uff1d1", "\t=1", "\r=1", "\n=1"])
def test_no_cell_of_a_spreadsheet_begins_a_formula(name: str) -> None:
    (row,) = read_csv(export.csv_text(clean(file=name, model=name)))
    for cell in (row["file"], row["model"]):
        assert cell[0] in "'\\"


def test_a_hostile_name_stays_in_its_cell() -> None:
    text = export.csv_text(clean(file=HOSTILE_NAME + ',x"'))
    assert len(text.splitlines()) == 2
    assert read_csv(text)[0]["file"] == words.printable(HOSTILE_NAME + ',x"')


# -- WebVTT

TIMING = re.compile(r"(\d\d+):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d\d+):([0-5]\d):([0-5]\d)\.(\d{3})( line:0)$")


def cues(text: str) -> list[tuple[int, int, str]]:
    """Start and end in ms and text of each cue, read as WebVTT defines it: blocks between empty lines."""
    header, *blocks = text.rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    found = []
    for block in blocks:
        lines = block.split("\n")
        if lines[0] == "NOTE":
            assert "-->" not in block
            continue
        match = TIMING.fullmatch(lines[1])
        assert match, lines[1]
        h, m, s, ms, h2, m2, s2, ms2 = map(int, match.groups()[:8])
        found.append((ms + 1000 * (s + 60 * (m + 60 * h)), ms2 + 1000 * (s2 + 60 * (m2 + 60 * h2)), lines[2]))
    return found


def test_vtt_has_a_cue_per_segment() -> None:
    assert cues(export.vtt_text(forged())) == [
        (1200, 1900, "suspected: sound (0.93)"),
        (4000, 4800, "suspected: picture (0.81)"),
        (6400, 7000, "suspected: sound and picture (0.72)"),
    ]


def test_vtt_of_a_hostile_name_and_without_segments_is_valid() -> None:
    assert cues(export.vtt_text(clean(file=HOSTILE_NAME, fakespan_version="-->\n\nx"))) == []


@given(st.lists(st.tuples(st.floats(0, 4e5), st.floats(0, 100)), max_size=5))
def test_cues_are_in_order_and_last(spans: list[tuple[float, float]]) -> None:
    segments = tuple(Segment(start, start + length, 0.9, "audio") for start, length in spans)
    found = cues(export.vtt_text(forged(segments=segments)))
    assert len(found) == len(spans)
    assert all(start < end for start, end, _ in found)
    assert found == sorted(found, key=lambda cue: cue[0])


# -- files


def test_every_format_has_a_writer_that_leaves_one_file(tmp_path: Path) -> None:
    for suffix, write in export.WRITERS.items():
        write(forged(), tmp_path / f"result.{suffix}")
    assert {p.name for p in tmp_path.iterdir()} == {f"result.{suffix}" for suffix in export.WRITERS}
    assert all(path.stat().st_size for path in tmp_path.iterdir())


def test_the_command_line_offers_every_format() -> None:
    from fakespan.cli.output import Format

    assert {format_.value for format_ in Format} == set(export.WRITERS)


@pytest.mark.parametrize("suffix", export.WRITERS)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    path = tmp_path / f"result.{suffix}"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UsageError, match="no space left"):
        export.WRITERS[suffix](forged(), path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


@pytest.mark.parametrize("suffix", export.WRITERS)
def test_places_that_cannot_be_written_are_said(suffix: str, tmp_path: Path) -> None:
    for path in (tmp_path / "no folder" / "x", tmp_path):
        with pytest.raises(UsageError, match="expected a file that can be written"):
            export.WRITERS[suffix](forged(), path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", export.WRITERS)
def test_the_scanned_file_is_never_replaced(suffix: str, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"precious")
    with pytest.raises(UsageError, match="the scanned file itself"):
        export.WRITERS[suffix](forged(file=str(video)), video)
    assert video.read_bytes() == b"precious"


def of_content(content: bytes, file: str = "clip.mp4") -> Scan:
    """A scan of a file with this content."""
    return forged(file=file, source=Source(Path(file).name, len(content), hashlib.sha256(content).hexdigest()))


def test_results_of_different_files_never_collide(tmp_path: Path) -> None:
    suffixes = ("json", "html")
    first, second = of_content(b"1"), of_content(b"2", "other/clip.mov")
    assert result_name(first, tmp_path, suffixes) == "clip"
    export.write_json(first, tmp_path / "clip.json")
    assert result_name(first, tmp_path, suffixes) == "clip"  # scanned again: replaced
    name = result_name(second, tmp_path, suffixes)
    assert name == f"clip-{second.source.sha256[:12] if second.source else ''}"
    export.write_json(second, tmp_path / f"{name}.json")
    assert result_name(second, tmp_path, suffixes) == name
    assert result_name(of_content(b"1", "copy/CLIP.mp4"), tmp_path, suffixes, {"clip"}).startswith("CLIP-")


@pytest.mark.parametrize("suffix", sorted(set(export.SUFFIXES) - {"audacity", "rttm", "textgrid"}))  # no place for it
def test_every_format_names_the_content_so_that_its_results_are_known(suffix: str, tmp_path: Path) -> None:
    export.WRITERS[suffix](of_content(b"1"), tmp_path / f"clip.{suffix}")
    assert result_name(of_content(b"1"), tmp_path, [suffix]) == "clip"
    assert result_name(of_content(b"2"), tmp_path, [suffix]) != "clip"


def test_results_of_files_whose_content_is_unknown_are_numbered() -> None:
    assert result_name(forged(file="a/clip.mp4"), Path("none"), ["json"], {"clip", "clip-2"}) == "clip-3"


def test_a_long_name_leaves_room_for_a_suffix(tmp_path: Path) -> None:
    name = result_name(of_content(b"1", "\u00e9" * 125 + ".mp4"), tmp_path, ["json"])
    export.write_json(of_content(b"1"), tmp_path / f"{name}.labelstudio.json")


@pytest.mark.parametrize("letter", ["\u0438", "\u63a5", "\U0001f3a5"])
def test_a_long_name_is_cut_between_two_characters(letter: str, tmp_path: Path) -> None:
    name = result_name(forged(file=f"a{letter * 120}.mp4"), tmp_path, ["json"])
    assert name == f"a{letter * 120}"[: len(name)]
    assert 190 < len(name.encode()) <= 200


def test_a_table_takes_in_scans_of_several_runs(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    export.write_csv(clean(file="first.mp4"), table)  # by a version that knew no SHA-256
    export.merge_csv(of_content(b"1", "first.mp4"), table)
    export.merge_csv(of_content(b"2", "second.mp4"), table)
    export.merge_csv(dataclasses.replace(of_content(b"2", "second.mp4"), segments=()), table)  # again, less found
    table.write_text(table.read_text(encoding="utf-8"), encoding="utf-8-sig")  # as a spreadsheet saves it
    export.merge_csv(of_content(b"1", "first.mp4"), table)
    rows = read_csv(table.read_text(encoding="utf-8"))
    assert sorted(row["file"] for row in rows) == ["first.mp4"] * 3 + ["second.mp4"]


@pytest.mark.parametrize("content", [b"name,price\nx,1\n", b"\xff\x00\xfe", b'file,score\na,"b\n', b"file,score\na\n"])
def test_another_table_is_never_replaced(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_bytes(content)
    with pytest.raises(UsageError, match="expected a table of fakespan"):
        export.merge_csv(forged(), tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_bytes() == content


# -- words


@given(st.text())
def test_printable_text_has_no_steering_characters(text: str) -> None:
    assert words.printable(text).isprintable()


@given(st.integers(0, 10**7))
def test_timecodes_can_be_read_back(hundredths: int) -> None:
    parts = [float(p) for p in words.timecode(hundredths / 100).split(":")]
    assert round(100 * sum(p * 60**k for k, p in enumerate(reversed(parts)))) == hundredths


@given(st.floats(0.01, 1e6), st.integers(1, 500))
def test_ticks_are_never_too_many(duration_s: float, n_most: int) -> None:
    assert 0 < duration_s / tick_step(duration_s, n_most) <= n_most


def test_overlapping_segments_are_counted_once() -> None:
    segments = (Segment(1, 3, 0.9, "audio"), Segment(2, 4, 0.9, "visual"), Segment(2, 2.5, 0.9, "both"))
    assert words.found(forged(segments=segments)) == "3 suspected segments, 3.00 s of 8.60 s"


def test_an_hour_is_said_in_hours() -> None:
    assert words.found(hour_long()) == "60 suspected segments, 36.00 s of 1:00:00 h"
    nearly = dataclasses.replace(hour_long(), duration_s=3599.6)
    assert words.found(nearly) == "60 suspected segments, 36.00 s of 1:00:00 h"
