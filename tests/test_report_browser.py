"""The page in a real browser: a click on a segment plays that segment, and nothing leaves the machine."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as Tab

from clips import tone, write_clip
from fakespan.media.probe import probe
from fakespan.report.closeups import NO_CLOSEUPS, CloseUp, CloseUps, Difference, Image, Reference
from fakespan.report.export import vtt_text
from fakespan.report.html import write_html
from fakespan.types import Scan, Segment
from scans import HOSTILE_NAME, audio_only, clean, forged, hour_long, part

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "expected the program chromium, got none on the PATH; install it with: apt install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8.6 s of a moving stripe and a tone, H.264 and AAC."""
    path = tmp_path_factory.mktemp("video") / "interview.mp4"
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 90, "yuv420p"
        sound: Any = container.add_stream("aac", rate=16_000, layout="mono")
        for k in range(215):
            picture = np.zeros((90, 160, 3), np.uint8)
            picture[:, k % 150 : k % 150 + 10] = 255
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(pictures.encode(None))
        tone = (0.1 * np.sin(np.arange(137_600) * 0.1)).astype(np.float32)
        for start in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


class Visit:
    """A page in a tab, with what it complained about and what it asked for."""

    def __init__(self, browser: Browser, page: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.tab: Tab = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.errors.append("dialog"), dialog.dismiss()))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(page.as_uri())

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def ready(self) -> Visit:
        self.wait("media.readyState >= 2")
        return self

    def wait(self, condition: str) -> None:
        self.tab.wait_for_function(f"() => {{ const media = document.getElementById('media'); return {condition}; }}")

    def time(self) -> float:
        return float(self.tab.evaluate("document.getElementById('media').currentTime"))

    def first_played(self) -> float:
        return float(self.tab.evaluate("document.getElementById('media').played.start(0)"))

    def is_playing(self) -> bool:
        return bool(self.tab.evaluate("!document.getElementById('media').paused"))


@pytest.fixture
def visit(browser: Browser, video: Path, tmp_path: Path) -> Iterator[Any]:
    """Opens the page of a scan of `video`; its errors and requests are checked at the end."""
    visits: list[Visit] = []

    def go(scan: Scan, *, embed: bool = False, closeups: CloseUps = NO_CLOSEUPS, **options: Any) -> Visit:
        write_html(scan, tmp_path / "report.html", media=video, embed=embed, closeups=closeups)
        visits.append(Visit(browser, tmp_path / "report.html", **options))
        return visits[-1].ready()

    yield go
    for opened in visits:
        assert opened.errors == []
        assert {url.split(":")[0] for url in opened.requests} <= {"file", "data"}
        opened.context.close()


@pytest.mark.parametrize("embed", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_click_on_a_segment_plays_exactly_that_segment(visit: Any, number: int, embed: bool) -> None:
    page = visit(forged(), embed=embed)
    segment = forged().segments[number]
    page.tab.click(f".segment[data-segment='{number}']")
    page.wait(f"!media.paused && media.currentTime > {segment.start_s} && media.currentTime < {segment.end_s}")
    page.wait("media.paused")
    assert page.first_played() == pytest.approx(segment.start_s, abs=0.05)
    assert page.time() == pytest.approx(segment.end_s, abs=0.05)
    assert page.tab.get_attribute("tr.current", "data-segment") == str(number)


def test_the_tables_button_works_by_keyboard(visit: Any) -> None:
    page = visit(forged())
    page.tab.focus("button.play[data-segment='1']")
    page.tab.keyboard.press("Enter")
    page.wait("!media.paused && media.currentTime > 4 && media.currentTime < 4.8")


def test_a_click_on_the_timeline_seeks_and_does_not_play(visit: Any) -> None:
    page = visit(forged())
    box = page.tab.locator("#plot").bounding_box()
    page.tab.click("#plot", position={"x": box["width"] * 0.3, "y": box["height"] * 0.6})
    assert page.time() == pytest.approx(0.3 * 8.6, abs=0.05)
    assert not page.is_playing()
    assert float(page.tab.get_attribute("#head", "aria-valuenow")) == pytest.approx(0.3 * 8.6, abs=0.05)


def test_the_timeline_of_a_part_begins_and_seeks_within_it(visit: Any) -> None:
    page = visit(part())
    page.wait("media.currentTime === 4")
    box = page.tab.locator("#plot").bounding_box()
    page.tab.click("#plot", position={"x": box["width"] * 0.9, "y": box["height"] * 0.3})
    assert page.time() == pytest.approx(4.9, abs=0.05)
    page.tab.evaluate("document.getElementById('media').currentTime = 1")
    page.wait("document.getElementById('head').style.left === '0%'")


def test_the_playhead_moves_with_the_video(visit: Any) -> None:
    page = visit(forged())
    page.tab.click("#play")
    page.wait("media.currentTime > 0.3")
    page.tab.click("#play")
    page.wait("media.paused")
    share = page.tab.evaluate("parseFloat(document.getElementById('head').style.left) / 100")
    assert share * 8.6 == pytest.approx(page.time(), abs=0.05)


def test_context_is_played_around_a_segment(visit: Any) -> None:
    page = visit(forged())
    page.tab.check("#context")
    page.tab.click("button.play[data-segment='0']")
    page.wait("!media.paused && media.currentTime > 0.7")
    page.wait("media.paused")
    assert page.first_played() == pytest.approx(0.7, abs=0.05)
    assert page.time() == pytest.approx(2.4, abs=0.05)


def test_closeups_are_shown_at_any_width_and_play_their_surroundings(visit: Any) -> None:
    webp = cv2.imencode(".webp", np.zeros((128, 128, 3), np.uint8))[1].tobytes()
    mouths = tuple(Image(time_s, time_s, webp) for time_s in (3.8, 4.2, 4.4, 4.9))
    closeups = CloseUps((CloseUp(2, mouths, Image(3.0, 5.8, webp)),))
    page = visit(forged(), closeups=closeups, viewport={"width": 360, "height": 640})
    shown = page.tab.evaluate("[...document.images].map((image) => image.naturalWidth * image.clientWidth)")
    assert len(shown) == 4
    assert min(shown) > 0  # its policy lets them through
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 360
    page.tab.click("button.play[data-around='1.5']")
    page.wait("!media.paused && media.currentTime > 2.5 && media.currentTime < 4")
    assert page.first_played() == pytest.approx(2.5, abs=0.05)
    page.tab.emulate_media(media="print")
    assert not page.tab.is_visible("button.play[data-around='1.5']")


def test_the_untouched_take_plays_the_same_place_alongside(visit: Any, video: Path) -> None:
    take = Reference(str(video), True, -1.0, 0.9, (Difference(4.0, 4.8, "visual"),))
    page = visit(forged(), closeups=CloseUps(reference=take))
    page.tab.wait_for_function("() => document.getElementById('reference').readyState >= 2")
    page.tab.click("button.compare[data-both]")
    page.wait("!media.paused && media.currentTime > 4 && !document.getElementById('reference').paused")
    page.tab.wait_for_function("() => document.getElementById('reference').paused")
    assert page.tab.evaluate("document.getElementById('reference').played.start(0)") == pytest.approx(3.0, abs=0.05)
    assert page.tab.evaluate("document.getElementById('reference').muted")


def test_a_looped_segment_begins_again(visit: Any) -> None:
    page = visit(forged())
    page.tab.check("#loop")
    page.tab.evaluate(
        "document.getElementById('media').addEventListener('seeked', () => { window.n = (window.n || 0) + 1; })"
    )
    page.tab.click("button.play[data-segment='2']")
    page.wait("window.n >= 3 && !media.paused && media.currentTime >= 6.4 && media.currentTime < 7")


def test_a_segment_at_the_very_end_is_looped_too(visit: Any) -> None:
    page = visit(forged(segments=(Segment(8.1, 8.6, 0.9, "audio"),)))
    page.tab.check("#context")
    page.tab.check("#loop")
    page.tab.click("button.play[data-segment='0']")
    page.wait("media.currentTime > 8.3")
    page.wait("!media.paused && media.currentTime < 8.0 && media.currentTime >= 7.55")


def test_keys_go_from_segment_to_segment(visit: Any) -> None:
    page = visit(forged())
    for key, number in (("n", 0), ("n", 1), ("n", 2), ("n", 2), ("p", 1)):
        page.tab.keyboard.press(key)
        segment = forged().segments[number]
        assert segment.start_s <= page.time() <= segment.end_s + 0.05
    page.wait("media.paused")
    page.tab.keyboard.press("Space")
    page.wait("!media.paused")
    page.tab.keyboard.press("Space")
    page.wait("media.paused")
    before = page.time()
    page.tab.keyboard.press("ArrowRight")
    assert page.time() == pytest.approx(before + 0.04, abs=0.001)


def test_the_playhead_can_be_dragged_and_moved_by_keys(visit: Any) -> None:
    page = visit(forged())
    page.tab.locator("#plot").scroll_into_view_if_needed()
    box = page.tab.locator("#plot").bounding_box()
    page.tab.mouse.move(box["x"] + 1, box["y"] + 8)
    page.tab.mouse.down()
    page.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 8)
    page.tab.mouse.up()
    assert page.time() == pytest.approx(4.3, abs=0.1)
    page.tab.focus("#head")
    page.tab.keyboard.press("Home")
    assert page.time() == 0


def test_the_suspected_face_is_boxed_during_its_segment(visit: Any) -> None:
    page = visit(forged())
    assert page.tab.locator("#boxes .suspect").count() == 0
    page.tab.click("#plot", position={"x": page.tab.locator("#plot").bounding_box()["width"] * 4.4 / 8.6, "y": 5})
    page.tab.wait_for_selector("#boxes .suspect:visible")
    box, player = (page.tab.locator(place).first.bounding_box() for place in ("#boxes .suspect", "#media"))
    width = min(player["width"], player["height"] * 16 / 9)
    left = player["x"] + (player["width"] - width) / 2
    assert box["x"] == pytest.approx(left + 0.08 * width, abs=2)
    assert box["width"] == pytest.approx(0.25 * width, abs=2)
    assert page.tab.inner_text("#boxes .suspect") == "face 0: suspected"


def test_a_zoomed_timeline_still_seeks_true_to_time(visit: Any) -> None:
    page = visit(forged())
    page.tab.select_option("#zoom", "4")
    box = page.tab.locator("#plot").bounding_box()
    assert box["width"] == pytest.approx(4 * page.tab.locator("#scroller").bounding_box()["width"], abs=2)
    page.tab.locator(".segment[data-segment='0']").click()
    page.wait("media.currentTime > 1.2 && media.currentTime < 1.9")


@pytest.mark.parametrize(("ending", "codecs"), [(".webm", ("libvpx", "libopus")), (".mp4", ("libx264", "aac"))])
def test_a_click_plays_the_span_of_a_file_whose_clock_starts_late(
    browser: Browser, tmp_path: Path, ending: str, codecs: tuple[str, str]
) -> None:
    """The pictures are bright during the span alone. Chromium takes the 4 s of the MP4 for its end, which is at 9 s."""
    pictures = [np.full((90, 160, 3), 230 if 50 <= k < 75 else 20, np.uint8) for k in range(100)]
    path = write_clip(
        tmp_path / f"late{ending}",
        pictures,
        5.0 + np.arange(100) / 25,
        sound=tone(4.0, 48_000),
        sound_rate=48_000,
        sound_start_s=5.0,
        video_codec=codecs[0],
        audio_codec=codecs[1],
    )
    scan = clean(file=path.name, duration_s=4.0, media=probe(path), segments=(Segment(7.0, 8.0, 0.9, "audio"),))
    write_html(scan, tmp_path / "report.html", media=path)
    with Visit(browser, tmp_path / "report.html") as page:
        page.ready()
        page.tab.click(".segment[data-segment='0']")
        page.wait("!media.paused && media.playbackRate === 1 && media.currentTime > 7.2 && media.currentTime < 7.8")
        shot = cv2.imdecode(np.frombuffer(page.tab.locator("#media").screenshot(), np.uint8), cv2.IMREAD_COLOR)
        middle = shot[shot.shape[0] // 2, shot.shape[1] // 2]
        page.wait("media.paused")
        assert middle.min() > 125
        assert page.time() == pytest.approx(8.0, abs=0.05)
        assert page.errors == []


@pytest.mark.parametrize("scan", [clean(), hour_long(), forged(tracks=(), curves=(), notes=())])
@pytest.mark.parametrize("options", [{"viewport": {"width": 400, "height": 800}}, {"color_scheme": "dark"}])
def test_no_window_is_too_narrow(visit: Any, scan: Scan, options: dict[str, Any]) -> None:
    page = visit(scan, **options)
    assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_a_telephone_all_of_a_segment_is_seen_without_scrolling_sideways(visit: Any) -> None:
    graded = tuple(replace(segment, tier="weak", genuine_per_hour=6.0) for segment in forged().segments)
    page = visit(forged(segments=graded), viewport={"width": 360, "height": 740})
    assert page.tab.evaluate("(area => area.scrollWidth <= area.clientWidth)(document.querySelector('.scroll'))")
    assert page.tab.is_visible(".segments tbody .num")
    assert page.tab.locator(".segments tbody").get_by_text("weak").first.is_visible()


def test_a_hostile_name_is_found_and_harmless(browser: Browser, video: Path, tmp_path: Path) -> None:
    name = HOSTILE_NAME.replace("/", "")
    shutil.copy(video, tmp_path / name)
    scan = forged(
        file=str(tmp_path / name), model=HOSTILE_NAME, notes=(HOSTILE_NAME, "</script><script>alert(2)</script>")
    )
    write_html(scan, tmp_path / "report.html")
    with Visit(browser, tmp_path / "report.html") as page:
        page.ready()
        assert page.errors == []


@pytest.mark.parametrize("scan", [forged(), forged(file=HOSTILE_NAME), clean()])
def test_the_captions_are_read_by_the_browser(browser: Browser, scan: Scan) -> None:
    tab = browser.new_page()
    url = "data:text/vtt;base64," + base64.b64encode(vtt_text(scan).encode()).decode()
    tab.set_content(f'<video><track default kind="captions" src="{url}"></video>')
    tab.wait_for_function("document.querySelector('track').readyState === 2")
    cues = tab.evaluate("[...document.querySelector('track').track.cues].map((c) => [c.startTime, c.endTime, c.line])")
    assert cues == [[s.start_s, s.end_s, 0] for s in scan.segments]
    tab.close()


@pytest.mark.parametrize("scan", [forged(), audio_only()])
def test_a_file_that_does_not_play_is_explained(browser: Browser, scan: Scan, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    write_html(scan, tmp_path / "report.html", media=broken)
    with Visit(browser, tmp_path / "report.html") as page:
        page.tab.wait_for_selector("#trouble:visible")
        assert "./broken.mp4" in page.tab.inner_text("#trouble")
        page.tab.click(".segment[data-segment='0']")  # still leads to its time
        assert float(page.tab.get_attribute("#head", "aria-valuenow") or 0) == pytest.approx(1.2)
        assert page.errors == []
