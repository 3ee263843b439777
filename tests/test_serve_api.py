"""The API with the real model and the bundled sample: what a program sees from submission to deletion."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakespan.serve.store import Store
from fakespan.types import Scan
from services import SAMPLE, Running, files_below, until


@pytest.fixture(scope="module")
def job(served: Running) -> dict[str, Any]:
    """The sample, scanned."""
    answer = served.submit(callback="")
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["links"]["self"]
    return served.ended(answer.json()["id"])


def test_a_submitted_file_is_scanned_and_its_forged_second_found(served, job):
    assert (job["state"], job["progress"], job["name"]) == ("done", 1.0, "sample.mp4")
    assert job["summary"]["is_fake"] is True
    assert job["summary"]["n_segments"] == 1
    result = served.http.get(job["links"]["result"]).json()
    (segment,) = Scan.from_dict(result).segments
    assert segment.start_s == pytest.approx(5.84, abs=0.2)
    assert segment.end_s == pytest.approx(6.58, abs=0.2)
    assert (result["file"], result["source"]["name"]) == ("sample.mp4", "sample.mp4")  # and no path of the machine


def test_the_answer_says_when_files_are_deleted(job):
    assert job["upload_expires"][:10] > job["created"][:10]
    assert job["result_expires"] > job["upload_expires"]


@pytest.mark.parametrize(
    ("link", "kind", "start"),
    [
        ("csv", "text/csv; charset=utf-8", b"file,duration_s"),
        ("vtt", "text/vtt; charset=utf-8", b"WEBVTT"),
        ("report", "text/html; charset=utf-8", b"<!doctype html>"),
        ("thumbnail", "image/jpeg", b"\xff\xd8"),
        ("media", "video/mp4", b"\x00\x00\x00"),
    ],
)
def test_the_result_comes_in_every_format(served, job, link, kind, start):
    answer = served.http.get(job["links"][link])
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content.startswith(start)


def test_a_file_without_a_picture_has_no_link_to_one(served):
    music = (SAMPLE.parent / "music.wav").read_bytes()
    links = served.ended(served.submit(music, name="music.wav").json()["id"])["links"]
    assert "report" in links
    assert "thumbnail" not in links


def test_the_report_shows_mouths_and_sound_of_each_segment(served, job):
    page = served.http.get(job["links"]["report"]).text
    assert page.count('<img src="data:image/webp;base64,') == 14
    assert page.count('<image href="data:image/webp;base64,') == 1


def test_the_file_is_played_by_ranges(served, job):
    part = served.http.get(job["links"]["media"], headers={"range": "bytes=1000-1999"})
    assert part.status_code == 206
    assert part.content == SAMPLE.read_bytes()[1000:2000]


def test_head_is_answered_as_get_without_its_body(served, job):
    links = [job["links"][name] for name in ("self", "result", "report", "media", "thumbnail")]
    for path in ["/", "/healthz", "/readyz", "/page/app.js", "/v1/openapi.json", *links]:
        got, head = served.http.get(path), served.http.head(path)
        assert (path, head.status_code, head.content) == (path, 200, b"")
        for name in ("content-type", "content-length"):
            assert head.headers[name] == got.headers[name]
    part = served.http.head(job["links"]["media"], headers={"range": "bytes=1000-1999"})
    assert (part.status_code, part.headers["content-length"]) == (206, "1000")
    assert served.http.head(job["links"]["events"]).status_code == 405  # it has no end
    assert served.http.head("/v1/jobs/" + "0" * 32).status_code == 404


def test_a_client_can_ask_what_of_tus_is_understood(served):
    for path in ("/v1/uploads", "/v1/uploads/"):
        answer = served.http.options(path)
        assert answer.status_code == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-extension"] == "creation,expiration,termination"  # and not what is refused
        assert answer.headers["tus-max-size"] == str(served.service.settings.max_upload_bytes)


def test_the_same_file_is_not_scanned_again(served, job):
    again = served.submit(name="other name.mov").json()
    assert (again["state"], again["reused"], again["summary"]) == ("done", True, job["summary"])
    result = served.http.get(again["links"]["result"]).json()
    assert result["file"] == "other name.mov"


def test_other_options_are_another_scan(served):
    other = served.submit(threshold=0.99)
    assert other.json()["reused"] is False
    assert served.ended(other.json()["id"])["summary"]["n_segments"] == 0


def test_a_client_that_waits_gets_the_result_itself(served):
    answer = served.submit(prefer="wait=50", threshold=0.5)
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=50"
    assert Scan.from_dict(answer.json()).threshold == 0.5
    assert served.http.get(answer.headers["location"]).json()["state"] == "done"


def test_a_client_that_waits_for_a_failure_gets_its_reason(served):
    answer = served.submit(b"not a video at all, only text", name="a.mp4", prefer="wait=50")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["reason"] == "unreadable_media"
    assert "text file" in problem["detail"]
    assert "/uploads/" not in answer.text
    failed = served.http.get(f"/v1/jobs/{problem['job']}").json()
    assert (failed["state"], failed["problem"]["reason"]) == ("failed", "unreadable_media")


@pytest.mark.parametrize("options", [{"audio_track": "7"}, {"start": "100"}])
def test_what_a_file_does_not_have_is_no_fault_of_its_format(served, options):
    answer = served.submit(prefer="wait=50", **options)
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_scan")


@pytest.mark.parametrize("text", ["no JSON", "[1]", '[null, "a"]', "[1" + 400 * "0" + ', "a"]', 20_000 * "["])
def test_a_page_of_the_list_that_nobody_was_told_of_is_refused(served, text):
    after = base64.urlsafe_b64encode(text.encode()).decode()
    answer = served.http.get("/v1/jobs", params={"after": after})
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_option")


@pytest.mark.parametrize("way", ["form", "resumable"])
def test_while_a_large_folder_is_counted_others_are_answered(served, monkeypatch, way):
    is_counting, may_end, real = threading.Event(), threading.Event(), Store.check_room

    def count(store: Store, n_bytes: int = 0) -> None:
        is_counting.set()
        assert may_end.wait(30)
        real(store, n_bytes)

    def ask() -> int:
        if way == "form":
            return served.submit(threshold=0.57).status_code
        tus = {"tus-resumable": "1.0.0", "upload-length": "5"}
        return int(served.http.post("/v1/uploads", headers=tus).status_code)

    monkeypatch.setattr(Store, "check_room", count)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask)
        try:
            assert is_counting.wait(30)
            assert served.http.get("/healthz", timeout=5).status_code == 200
        finally:
            may_end.set()
        assert asked.result() in (201, 202)


def test_events_lead_to_the_end(served):
    answer = served.submit(threshold=0.31)
    states = []
    with served.http.stream("GET", answer.json()["links"]["events"]) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        for line in events.iter_lines():
            if line.startswith("data:"):
                states.append(json.loads(line[5:])["state"])
    assert states[-1] == "done"
    assert states == sorted(states, key=["queued", "running", "done"].index)


def test_events_of_all_jobs_tell_of_new_ones(served):
    done: set[str] = set()
    connected, is_over = threading.Event(), threading.Event()

    def listen() -> None:
        with httpx.Client(base_url=served.address, timeout=60) as http, http.stream("GET", "/v1/events") as events:
            connected.set()
            for line in events.iter_lines():
                if line.startswith("data:"):
                    told = json.loads(line[5:])
                    done.update({told["id"]} if told["state"] == "done" else set())
                if is_over.is_set():
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    connected.wait(60)
    job_id = served.submit(threshold=0.32).json()["id"]
    try:
        until(lambda: job_id in done)  # jobs of other tests may end meanwhile
    finally:
        is_over.set()
        served.submit(threshold=0.321)  # its events end the listening
        thread.join(60)


def test_the_list_has_pages_and_a_filter(served, job):
    served.ended(served.submit(threshold=0.33).json()["id"])
    found, link, pages = [], "/v1/jobs?limit=1&state=done", 0
    while link:
        page = served.http.get(link).json()
        found += page["jobs"]
        link, pages = page["next"], pages + 1
    ids = [j["id"] for j in found]
    assert {j["state"] for j in found} == {"done"}
    assert job["id"] in ids
    assert len(ids) == len(set(ids)) == pages > 1
    assert [j["created"] for j in found] == sorted((j["created"] for j in found), reverse=True)
    assert served.http.get("/v1/jobs?state=running").json() == {"jobs": [], "next": None}


def test_a_deleted_job_takes_its_files_along_unless_another_job_needs_them(served, tmp_path):
    folder = served.service.settings.folder
    first = served.ended(served.submit(threshold=0.41).json()["id"])
    second = served.submit(threshold=0.41).json()
    with_both = files_below(folder)
    assert served.http.delete(first["links"]["self"]).status_code == 204
    assert '"action": "delete"' in (folder / "audit.jsonl").read_text(encoding="utf-8")
    assert served.http.get(first["links"]["self"]).json()["reason"] == "not_found"
    assert files_below(folder) == with_both
    assert served.http.delete(second["links"]["self"]).status_code == 204
    gone = with_both - files_below(folder)
    assert {Path(name).suffix for name in gone} == {".json", ".jpg", ".closeups"}  # other jobs still need the upload


def test_a_cancelled_job_has_ended(served):
    clip = SAMPLE.read_bytes()
    jobs = [served.submit(clip, threshold=0.6 + k / 100).json() for k in range(3)]
    last = jobs[-1]["links"]["self"]
    answer = served.http.delete(last)
    assert answer.status_code in (202, 204)  # 204: it was done already
    if answer.status_code == 202:
        assert served.ended(jobs[-1]["id"])["state"] == "cancelled"
        assert served.http.get(f"{last}/result").json()["reason"] == "cancelled"
    for job in jobs[:-1]:
        assert served.ended(job["id"])["state"] == "done"


def test_the_service_says_what_it_is(served):
    (model,) = served.http.get("/v1/models").json()
    assert (model["name"], model["is_default"], len(model["sha256"])) == ("small", True, 64)
    assert served.http.get("/healthz").json() == {"status": "ok"}
    assert served.http.get("/readyz").json() == {"status": "ready"}
    metrics = served.http.get("/metrics").text
    assert 'fakespan_jobs{state="done"}' in metrics
    assert "fakespan_jobs_accepted_total" in metrics


def test_every_problem_of_the_list_is_documented(served):
    problems = served.http.get("/v1/problems").json()
    assert problems["unreadable_media"]["status"] == 422
    document = served.http.get("/v1/openapi.json").json()
    assert "/v1/jobs/{job_id}/result" in document["paths"]


def test_actions_are_in_the_audit(served, job):
    lines = (served.service.settings.folder / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    first = next(r for r in records if r.get("job") == job["id"])
    assert {
        "who": "local",
        "action": "submit",
        "file": job["file_sha256"],
        "name": "sample.mp4",
    }.items() <= first.items()


def test_a_resumable_upload_becomes_a_job(served):
    content = SAMPLE.read_bytes() + b"\x00"
    tus = {"tus-resumable": "1.0.0"}
    name = "filename c2FtcGxlLm1wNA==,filetype dmlkZW8vbXA0"
    made = served.http.post("/v1/uploads", headers={**tus, "upload-length": str(len(content)), "upload-metadata": name})
    assert made.status_code == 201
    place = made.headers["location"]
    kind = {"content-type": "application/offset+octet-stream"}
    half = len(content) // 2
    served.http.patch(place, content=content[:half], headers={**tus, **kind, "upload-offset": "0"})
    upload = place.rsplit("/", 1)[1]
    early = served.http.post("/v1/jobs", files={"upload": (None, upload)})
    assert early.json()["reason"] == "conflict"
    assert served.http.head(place, headers=tus).headers["upload-offset"] == str(half)
    served.http.patch(place, content=content[half:], headers={**tus, **kind, "upload-offset": str(half)})
    answer = served.http.post("/v1/jobs", files={"upload": (None, upload)})
    assert answer.status_code == 202
    job = served.ended(answer.json()["id"])
    assert (job["state"], job["name"], job["size"]) == ("done", "sample.mp4", len(content))
    assert served.http.post("/v1/jobs", files={"upload": (None, upload)}).json()["reason"] == "not_found"
    assert not [name for name in files_below(served.service.settings.folder) if upload in name]


@pytest.mark.parametrize("metadata", [{}, {"upload-metadata": "filename YS5tcDQ="}, {"upload-metadata": "filetype"}])
def test_an_upload_resumes_whatever_was_said_of_its_file(served, metadata):
    tus = {"tus-resumable": "1.0.0"}
    made = served.http.post("/v1/uploads", headers={**tus, "upload-length": "4", **metadata})
    kind = {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
    served.http.patch(made.headers["location"], content=b"ab", headers={**tus, **kind})
    asked = served.http.head(made.headers["location"], headers=tus)
    assert (asked.status_code, asked.headers.get("upload-offset")) == (200, "2")


def test_a_file_that_kills_its_worker_twice_is_failed_and_the_next_one_is_scanned(served):
    pool, jobs = served.service.pool, served.service.jobs
    stopped = pool.pids()[0]
    os.kill(stopped, signal.SIGSTOP)  # as a decoder that hangs
    job_id = served.submit(threshold=0.21).json()["id"]
    until(lambda: jobs.get(job_id).state == "running")
    while jobs.get(job_id).state == "running":  # twice, or more often: a death between two requests is nobody's fault
        pid = pool.pids()[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: pool.pids()[0] != pid or jobs.get(job_id).state != "running")
    failed = served.ended(job_id)
    assert jobs.get(job_id).deaths == 2
    assert (failed["state"], failed["problem"]["reason"]) == ("failed", "crashed")
    assert served.ended(served.submit(threshold=0.22).json()["id"])["state"] == "done"


def test_a_worker_that_dies_once_costs_nothing_but_time(served):
    (pid,) = served.service.pool.pids()
    os.kill(pid, signal.SIGSTOP)
    job_id = served.submit(threshold=0.23).json()["id"]
    until(lambda: served.service.jobs.get(job_id).state == "running")
    os.kill(pid, signal.SIGKILL)
    assert served.ended(job_id)["state"] == "done"
