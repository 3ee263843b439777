from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakespan.errors import UsageError
from fakespan.report import html, timeline
from fakespan.report.words import found, verdict
from fakespan.types import Curve, JudgedShare, Scan, Source
from scans import HOSTILE_NAME, audio_only, clean, forged, hour_long, part, patchy

VOID = {"meta", "link", "input", "br", "img", "rect", "line", "path"}


@dataclass
class Page(HTMLParser):
    """The elements of a page, as a browser would see them."""

    text: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    words: str = ""
    inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style"):
            (self.scripts if self.inside == "script" else self.styles).append(data)
        else:
            self.words += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(scan: Scan, media_url: str | None = "./clip.mp4") -> Page:
    return Page(html.render_html(scan, media_url))


@pytest.mark.parametrize(
    "scan",
    [
        forged(),
        clean(),
        audio_only(),
        hour_long(),
        forged(file=HOSTILE_NAME, model=HOSTILE_NAME, notes=(HOSTILE_NAME, "</script><script>alert(2)</script>")),
    ],
)
def test_the_page_stands_alone_and_runs_nothing_of_others(scan: Scan) -> None:
    seen = page(scan)
    assert not re.search(r"(https?:)?//[a-z]", html.render_html(clean(notes=())))
    assert [a.get("type", "") for a in seen.all("script")] == ["application/json", ""]
    assert len(seen.all("style")) == 1
    for tag, attributes in seen.elements:
        assert "style" not in attributes, tag  # its policy would ignore it
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert attributes.get(name, "data:,") in ("data:,", "./clip.mp4")
    assert not re.search(r"url\(|@import", "".join(seen.styles))


def test_the_policy_lets_only_the_pages_own_style_and_script_through() -> None:
    seen = page(forged())
    (policy,) = (a["content"] for a in seen.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    for kind, content in (("script-src", seen.scripts[-1]), ("style-src", "".join(seen.styles))):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in policy
    assert "unsafe" not in policy


def test_hostile_text_is_shown_as_text() -> None:
    seen = page(forged(file=HOSTILE_NAME.replace("/", ""), notes=("<img src=x onerror=alert(1)>",)))
    assert "<script>alert(1)<script>[red]x[red]\\x1b[31m\\u202e\\n--> =1+1 &amp; {{ 7*7 }}.mp4" in seen.words
    assert "<img src=x onerror=alert(1)>" in seen.words
    assert not seen.all("img")


def test_verdict_segments_and_limits_are_in_the_page() -> None:
    seen = page(forged())
    for words in (
        "Suspected forged",
        "3 suspected segments",
        "0:04.00",
        "face 0, left",
        "a hint, not a proof",
        "small",
    ):
        assert words in seen.words
    assert [a["data-segment"] for a in seen.all("rect") if "data-segment" in a] == ["0", "1", "2"]
    assert [a["aria-label"] for a in seen.all("button") if a.get("class") == "play"][1] == (
        "Play segment 2, picture, from 0:04.00 to 0:04.80"
    )


def test_a_clean_file_has_no_segments_and_is_not_called_genuine() -> None:
    seen = page(clean())
    assert "No forgery found" in seen.words
    assert "A file without findings is not necessarily genuine" in seen.words
    assert not seen.all("table")


def test_a_score_just_below_the_threshold_is_told_from_it() -> None:
    seen = page(clean(score=0.7487, threshold=0.749))
    assert "Score 0.7487 is below the threshold of 0.7490" in " ".join(seen.words.split())


def test_sound_alone_has_a_sound_player() -> None:
    seen = page(audio_only())
    assert (len(seen.all("audio")), len(seen.all("video"))) == (1, 0)
    assert "no picture in this file" in seen.words


def test_a_page_without_media_has_no_player() -> None:
    seen = page(forged(), None)
    assert not seen.all("video")
    assert json.loads(seen.scripts[0])["source"] == ""


def test_an_hour_makes_a_small_page() -> None:
    assert len(html.render_html(hour_long(), "hour.mp4")) < 400_000


def test_the_player_knows_the_segments_by_the_tables_numbers() -> None:
    scan = forged(segments=forged().segments[::-1])
    known = json.loads(page(scan).scripts[0])["segments"]
    assert [s["start"] for s in known] == [1.2, 4.0, 6.4]


# -- the linked or embedded file


@pytest.mark.parametrize("name", ["clip.mp4", "a b#c?d%20.mp4", "data:text,x.mp4", HOSTILE_NAME.replace("/", "")])
def test_the_video_is_linked_relative_to_the_page(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    html.write_html(forged(file=str(tmp_path / name)), tmp_path / "out" / "report.html")
    (video,) = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8")).all("video")
    assert video["src"].startswith("./../")
    assert unquote(video["src"]) == f"./../{name}"
    assert not set(video["src"]) & set(" #?\"'<>")


def test_the_video_is_embedded_on_request(tmp_path: Path) -> None:
    (tmp_path / "clip.webm").write_bytes(b"frames")
    html.write_html(forged(), tmp_path / "report.html", media=tmp_path / "clip.webm", embed=True)
    (video,) = Page((tmp_path / "report.html").read_text()).all("video")
    assert video["src"] == "data:video/webm;base64," + base64.b64encode(b"frames").decode()


def recorded(path: Path) -> Scan:
    """A scan of this file."""
    content = path.read_bytes()
    return forged(file=str(path), source=Source(path.name, len(content), hashlib.sha256(content).hexdigest()))


def test_what_cannot_be_embedded_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate((html.EMBED_LIMIT_MB + 1) * 1_000_000)
    os.mkfifo(tmp_path / "pipe.mp4")
    source = Source("x.mp4", 0, "0" * 64)
    words = {"large.mp4": "expected at most 64 MB", "gone.mp4": "no such file", "pipe.mp4": "expected a regular file"}
    for name, word in words.items():
        scan = forged(file=str(tmp_path / name), source=source)
        with pytest.raises(UsageError, match=word):
            html.write_html(scan, tmp_path / "report.html", embed=True)
    assert not (tmp_path / "report.html").exists()


def test_only_the_scanned_content_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"frames")
    scan = recorded(tmp_path / "clip.mp4")
    html.write_html(scan, tmp_path / "report.html", embed=True)
    assert base64.b64encode(b"frames").decode() in (tmp_path / "report.html").read_text()
    (tmp_path / "clip.mp4").write_bytes(b"Frames")
    with pytest.raises(UsageError, match="other content than the result records"):
        html.write_html(scan, tmp_path / "second.html", embed=True)
    assert not (tmp_path / "second.html").exists()


def test_a_record_of_somebody_else_embeds_no_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(UsageError, match="scan the file again"):
        html.write_html(forged(file=str(tmp_path / "secret.txt")), tmp_path / "report.html", embed=True)
    assert not (tmp_path / "report.html").exists()


# -- the timeline


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=400),
    st.floats(1, 60),
    st.floats(0, 100),
    st.integers(1, 50),
)
def test_pooling_keeps_every_peak_at_its_time(values: list[float], fps: float, start_s: float, n_most: int) -> None:
    span_s = start_s + len(values) / fps
    points = timeline.pool(Curve("audio", None, start_s, fps, tuple(values)), span_s, n_most)
    assert len(points) <= n_most + 1
    assert max(score for _, score in points) == max(values)
    for time_s, score in points:
        assert values[round((time_s - start_s) * fps)] == score
    assert points == sorted(points, key=lambda point: point[0])


def test_short_curves_are_drawn_as_they_are() -> None:
    curve = forged().curves[0]
    assert [score for _, score in timeline.pool(curve, 8.6)] == list(curve.values)


@pytest.mark.parametrize("scan", [forged(), clean(curves=()), audio_only(), forged(file=HOSTILE_NAME), hour_long()])
def test_the_timeline_is_a_picture_of_its_own(scan: Scan, tmp_path: Path) -> None:
    timeline.write_svg(scan, tmp_path / "timeline.svg")
    root = ET.parse(tmp_path / "timeline.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    marks = [rect for rect in root.iter(f"{svg}rect") if "segment" in rect.get("class", "")]
    assert len(marks) == len(scan.segments)
    assert len(list(root.iter(f"{svg}path"))) == len(scan.curves)
    assert not list(root.iter(f"{svg}script"))


@pytest.mark.parametrize("letter", ["m", "\u63a5"])
@pytest.mark.parametrize("scan", [forged(), clean(judged_share=JudgedShare(0.0, sound=0.0))])
def test_a_long_name_leaves_room_for_the_finding(scan: Scan, letter: str) -> None:
    root = ET.fromstring(timeline.svg(dataclasses.replace(scan, file=f"{letter * 120}.mp4")))
    title = next(text.text or "" for text in root.iter() if text.get("class") == "title")
    name, _, finding = title.partition("...: ")
    assert (set(name), finding) == ({letter}, f"{verdict(scan)}: {found(scan)}")
    assert 80 < len(title) + len(name) * (letter != "m") <= (960 - 24) / 9  # columns of 9 pixels


def test_segments_lie_in_the_row_of_their_modality_at_their_time() -> None:
    root = ET.fromstring(timeline.plot(forged()))
    marks = [rect for rect in root.iter("rect") if "segment" in rect.get("class", "")]
    assert [mark.get("class") for mark in marks] == ["segment audio", "segment visual", "segment both"]
    assert len({mark.get("y") for mark in marks}) == 3
    assert float(marks[1].get("x", "").rstrip("%")) == pytest.approx(100 * 4.0 / 8.6, abs=0.001)
    assert float(marks[1].get("width", "").rstrip("%")) == pytest.approx(100 * 0.8 / 8.6, abs=0.001)


def test_what_was_not_judged_is_marked_at_its_time_and_said() -> None:
    root = ET.fromstring(timeline.plot(patchy()))
    first, second = [rect for rect in root.iter("rect") if rect.get("class") == "unjudged"]
    assert float(first.get("x", "").rstrip("%")) == pytest.approx(100 * 2.0 / 8.6, abs=0.001)
    assert float(first.get("width", "").rstrip("%")) == pytest.approx(100 * 1.5 / 8.6, abs=0.001)
    assert "damaged" in (second.findtext("title") or "")
    assert "Not judged: 0:02.00 to 0:03.50 (nothing recorded)" in html.render_html(patchy())
    assert "ot judged" not in html.render_html(clean())


def test_the_timeline_of_a_part_is_that_part() -> None:
    root = ET.fromstring(timeline.plot(part()))
    (segment,) = [rect for rect in root.iter("rect") if "segment" in rect.get("class", "")]
    assert (segment.get("x"), segment.get("width")) == ("0.0000%", "80.0000%")
    assert not [rect for rect in root.iter("rect") if rect.get("class") == "unjudged"]
    faces = [rect for rect in root.iter("rect") if rect.get("class") == "face" and "x" in rect.attrib]
    assert [(face.get("x"), face.get("width")) for face in faces] == [("0.0000%", "100.0000%")] * 2
    assert "Not judged: 0:05.00 to 0:08.60 (not asked for)" in html.render_html(part())


def test_curves_are_drawn_near_zero_however_late_the_clock_starts() -> None:
    """Browsers draw with 32 bits: of 1.7e9 s, the steps between two numbers are two minutes."""

    def drawn(start_s: float) -> tuple[str | None, list[str | None]]:
        curves = tuple(dataclasses.replace(curve, start_s=curve.start_s + start_s) for curve in forged().curves)
        scan = forged(curves=curves, media=dataclasses.replace(forged().media, starts_at_s=start_s), segments=())
        scan = dataclasses.replace(scan, tracks=(), not_judged=())
        root = ET.fromstring(timeline.plot(scan))
        return root.findall("svg")[0].get("viewBox"), [path.get("d") for path in root.iter("path")]

    assert drawn(1_700_000_000.0) == drawn(0.0)


@pytest.mark.parametrize("duration_s", [8.02, 8.32, 8.5])
def test_the_last_time_of_the_axis_fits_a_narrow_page(duration_s: float) -> None:
    root = ET.fromstring(timeline.plot(clean(duration_s=duration_s, curves=(), tracks=(), segments=(), not_judged=())))
    last = next(text for text in root.iter("text") if text.text == "0:08")
    room_px, half_label_px = (100 - float(last.get("x", "").rstrip("%"))) / 100 * 275, 15
    assert last.get("text-anchor") == "end" or room_px >= half_label_px


def test_a_file_of_no_length_has_a_timeline() -> None:
    root = ET.fromstring(timeline.plot(clean(duration_s=0.0, curves=(), tracks=())))
    assert [text.text for text in root.iter("text")] == ["0:00.0", "0:00.1"]  # the axis has a length all the same
    assert [rect.get("class") for rect in root.iter("rect")] == ["lane"] * 3
    assert "no suspected segment" in root.get("aria-label", "")
