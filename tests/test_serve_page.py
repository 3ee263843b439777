"""The page of the service in Chromium, with the real model: upload, progress, report, deletion, keyboard, widths."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fakespan.serve.tokens import Tokens
from services import SAMPLE, Running, submit, until, variant
from test_report_browser import ARGUMENTS

pytestmark = pytest.mark.browser

GENUINE = SAMPLE.with_name("sample_real.mp4")
VIDEO = "document.querySelector('#frame').contentDocument?.querySelector('video')"
HTML_NAME = "<img src=x onerror=alert(1)>.mp4"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, served: Running) -> Iterator[Callable[..., Page]]:
    """Opens the page; afterwards nothing was blocked, thrown, or asked of another host."""
    faults: list[str] = []
    tabs: list[Page] = []

    def open_(address: str = "", **options: Any) -> Page:
        base = (address or served.address).partition("#")[0]
        tab = browser.new_context(locale="en-GB", **options).new_page()
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        tab.on(
            "request", lambda request: request.url.startswith((base.rstrip("/"), "data:")) or faults.append(request.url)
        )
        tab.goto(address or base)
        tabs.append(tab)
        return tab

    yield open_
    for tab in tabs:
        tab.context.close()
    assert [fault for fault in faults if "401" not in fault] == []


def row(tab: Page, name: str) -> Any:
    return tab.locator("#list li", has=tab.get_by_text(name, exact=True)).first


def test_a_file_that_could_not_be_judged_is_not_called_clear_and_a_deleted_one_is_said(visit, served):
    with variant(served, keep_uploads_days=0.0) as brief:
        job = served.ended(submit(brief.http, name="short take.mp4", start=8.0).json()["id"])
    served.service.jobs.forget_uploads(time.time())
    tab = visit()
    badge = row(tab, "short take.mp4").locator(".badge")
    badge.wait_for()
    assert (badge.inner_text(), badge.get_attribute("class")) == ("inconclusive", "badge neutral")
    row(tab, "short take.mp4").get_by_role("link").click()
    tab.locator("#kept").get_by_text("The file has been deleted; the report is kept until").wait_for()
    tab.frame_locator("#frame").get_by_text("Inconclusive").first.wait_for()
    served.http.delete(job["links"]["self"])


def test_a_report_that_is_deleted_while_it_opens_is_said_to_be_gone(browser, served):
    job = served.ended(submit(served.http, name="gone.mp4").json()["id"])
    tab = browser.new_context().new_page()
    tab.goto(served.address)
    row(tab, "gone.mp4").wait_for()

    def delete_first(route):
        served.http.delete(job["links"]["self"])
        route.continue_()

    tab.route("**/report", delete_first)
    row(tab, "gone.mp4").get_by_role("link").click()
    tab.get_by_text("The report of gone.mp4 cannot be read; the file may have been deleted meanwhile.").wait_for()
    assert tab.locator("#desk").is_visible()
    assert tab.locator("#report").is_hidden()
    tab.context.close()


def test_files_are_uploaded_followed_read_and_deleted(visit, served, tmp_path):
    text = tmp_path / HTML_NAME
    text.write_text("no video")
    forged, genuine = tmp_path / "forged take.mp4", tmp_path / "genuine take.mp4"
    shutil.copy(SAMPLE, forged)
    shutil.copy(GENUINE, genuine)
    tab = visit()
    tab.get_by_text("Options", exact=True).click()
    tab.fill("#threshold", "0.735")  # nobody scanned with it before
    tab.set_input_files("#files", [forged, genuine, text])
    row(tab, forged.name).locator(".badge.suspected").wait_for(timeout=60_000)
    row(tab, genuine.name).locator(".badge.clear").wait_for(timeout=60_000)
    failed = row(tab, HTML_NAME)
    failed.locator(".badge.failed").wait_for(timeout=60_000)
    assert "cannot be read as a media file" in failed.locator(".facts").inner_text()
    assert tab.locator("#uploads li").count() == 0
    assert "1 suspected segment" in row(tab, forged.name).locator(".facts").inner_text()
    row(tab, forged.name).locator("img").wait_for()

    row(tab, forged.name).get_by_role("link").click()
    report = tab.frame_locator("#frame")
    report.get_by_text("Suspected forged").wait_for()
    until(lambda: tab.evaluate(f"{VIDEO}?.readyState >= 1"))  # wait_for_function needs unsafe-eval
    report.locator(".segment").first.click()
    until(lambda: tab.evaluate(f"{VIDEO}?.currentTime > 5"))
    assert tab.locator("#desk").is_hidden()
    tab.get_by_role("button", name="Back to the list").click()

    row(tab, forged.name).get_by_role("button", name=f"Delete {forged.name}").click()
    row(tab, forged.name).wait_for(state="detached")
    names = [job["name"] for job in served.http.get("/v1/jobs").json()["jobs"]]
    assert forged.name not in names
    assert genuine.name in names


def test_a_file_that_somebody_else_submits_appears_with_its_progress(visit, served):
    tab = visit()
    tab.locator("#list, #empty").first.wait_for(state="attached")
    submit(served.http, name="from elsewhere.mp4", threshold=0.7361)
    row(tab, "from elsewhere.mp4").locator(".badge.suspected").wait_for(timeout=60_000)
    assert "from elsewhere.mp4: suspected forged" in tab.locator("#news").inner_text()


def test_files_are_dropped_onto_the_page(visit):
    tab = visit()
    tab.locator("#drop").wait_for()
    data = tab.evaluate_handle(
        "() => { const d = new DataTransfer(); d.items.add(new File(['no video'], 'dropped.mp4')); return d; }"
    )
    tab.dispatch_event("#drop", "dragenter", {"dataTransfer": data})
    assert "over" in (tab.get_attribute("#drop", "class") or "")
    tab.dispatch_event("#drop", "drop", {"dataTransfer": data})
    row(tab, "dropped.mp4").locator(".badge.failed").wait_for(timeout=60_000)


def test_everything_works_from_the_keyboard(visit, served):
    job = served.ended(submit(served.http, name="by keyboard.mp4").json()["id"])
    tab = visit()
    row(tab, "by keyboard.mp4").wait_for()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Enter")
    while tab.evaluate("document.activeElement.textContent") != "by keyboard.mp4":
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.locator("#report").wait_for()
    assert tab.evaluate("document.activeElement.id") == "report-title"
    tab.keyboard.press("Escape")
    tab.locator("#desk").wait_for()
    assert tab.evaluate("document.activeElement.textContent") == "by keyboard.mp4"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.ariaLabel") == "Delete by keyboard.mp4"
    tab.keyboard.press("Enter")
    row(tab, "by keyboard.mp4").wait_for(state="detached")
    assert served.http.get(job["links"]["self"]).status_code == 404
    assert tab.evaluate("document.activeElement.closest('#jobs') !== null")


def test_a_report_is_shared_and_the_link_revoked_from_the_keyboard(visit, served):
    job = served.ended(submit(served.http, name="for an editor.mp4").json()["id"])
    tab = visit(f"{served.address}/#{job['id']}")
    tab.get_by_role("button", name="Share").press("Enter")
    tab.get_by_role("combobox", name="Valid for").press("ArrowDown")
    tab.get_by_role("button", name="Make a link").press("Enter")
    tab.get_by_text("by local on").wait_for()
    link = tab.input_value("#share-url")
    seen = visit(link)
    seen.get_by_text("Suspected forged").first.wait_for()
    until(lambda: seen.evaluate("document.querySelector('video').readyState >= 1"))

    tab.get_by_role("button", name="Revoke the link").press("Enter")
    tab.get_by_text("The link was revoked").wait_for()
    assert tab.evaluate("document.activeElement.id") == "share-close"
    assert httpx.get(link).status_code == 404
    tab.keyboard.press("Escape")
    tab.locator("#share").wait_for(state="hidden")
    assert tab.locator("#report").is_visible()  # the key closed the dialog alone
    assert tab.evaluate("document.activeElement.id") == "share-open"


def test_a_link_leads_to_the_report(visit, served):
    job = served.ended(submit(served.http, name="linked.mp4").json()["id"])
    tab = visit(f"{served.address}/#{job['id']}")
    tab.frame_locator("#frame").get_by_text("Suspected forged").wait_for()
    assert tab.title() == "linked.mp4: suspected forged"


@pytest.mark.parametrize("options", [{"viewport": {"width": 360, "height": 740}}, {"color_scheme": "dark"}])
def test_no_window_is_too_narrow(visit, served, options):
    served.ended(submit(served.http, name="a name that is " + "very " * 20 + "long.mp4").json()["id"])
    tab = visit(**options)
    tab.locator("#list li").first.wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.locator("#list a[href]").first.click()
    tab.locator("#report").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.goto(f"{served.address}/docs")
    tab.get_by_role("heading", name="POST /v1/jobs", exact=True).wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_elsewhere_the_page_asks_for_a_token(visit, served):
    tokens = Tokens(served.service.engine)
    reader = tokens.create("reader of the page", ["read"])
    with variant(served, host="0.0.0.0") as guarded:
        served.ended(submit(served.http, name="guarded.mp4").json()["id"])
        tab = visit(guarded.address)
        tab.fill("#token", "wrong")
        tab.get_by_role("button", name="Log in").click()
        tab.get_by_text("The token is unknown").wait_for()
        tab.fill("#token", reader)
        tab.keyboard.press("Enter")
        row(tab, "guarded.mp4").wait_for()
        assert tab.locator("#add").is_hidden()  # it may only read
        row(tab, "guarded.mp4").get_by_role("link").click()
        tab.frame_locator("#frame").get_by_text("Suspected forged").wait_for()
        tab.get_by_role("button", name="Log out").click()
        tab.locator("#log-in").wait_for()
    tokens.revoke("reader of the page")


def test_no_other_site_may_frame_or_script_the_page(served):
    policy = httpx.get(served.address).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
