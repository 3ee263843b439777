"""The client against a running service, as docs/service.md uses it."""

from __future__ import annotations

import functools

import httpx
import pytest

from fakespan.client import Client, ServiceError
from fakespan.errors import UsageError
from services import SAMPLE, variant


def test_a_file_goes_out_and_its_scan_comes_back(served):
    looks = []
    with Client(served.address) as client:
        job = client.submit(SAMPLE, threshold=0.7, priority=1)
        job = client.wait(job, timeout_s=60, progress=looks.append)
        scan = client.result(job)
        assert (job.state, job.is_final, job.name) == ("done", True, "sample.mp4")
        assert looks[-1] == job
        assert (scan.threshold, len(scan.segments)) == (0.7, 1)
        assert job.id in [found.id for found in client.jobs("done")]
        assert client.report(job).startswith("<!doctype html>")
        assert client.page(job) == f"{served.address}/#{job.id}"
        client.delete(job)
        with pytest.raises(ServiceError, match="the id of a job") as gone:
            client.job(job.id)
        assert (gone.value.reason, gone.value.status) == ("not_found", 404)


def test_a_link_is_made_for_others_and_revoked(served):
    with Client(served.address) as client:
        job = client.wait(client.submit(SAMPLE))
        link = client.share(job, days=1)
        assert "Suspected forged" in httpx.get(link.url).text
        assert [(found.id, found.expires, found.url) for found in client.links(job)] == [(link.id, link.expires, None)]
        client.revoke(job, link)
        assert client.links(job) == []
        assert httpx.get(link.url).status_code == 404
        client.delete(job)


def test_a_part_of_a_file_with_a_prior(served):
    with Client(served.address) as client:
        job = client.wait(client.submit(SAMPLE, start="0:05", end="7", audio_track=1, prior=0.01))
        scan = client.result(job)
        client.delete(job)
    assert (scan.asked.start_s, scan.asked.end_s) == (5.0, 7.0)
    assert [round(segment.start_s, 1) for segment in scan.segments] == [5.8]
    assert (scan.evidence.options.audio_track, scan.evidence.options.prior) == (1, 0.01)


def test_what_cannot_be_sent_or_read_has_a_reason(served, tmp_path):
    text = tmp_path / "clip.mp4"
    text.write_text("no video")
    with Client(served.address) as client:
        with pytest.raises(UsageError, match="no such file"):
            client.submit(tmp_path / "missing.mp4")
        with pytest.raises(ServiceError) as refused:
            client.submit(SAMPLE, faces="all")
        assert refused.value.reason == "invalid_option"
        job = client.wait(client.submit(text))
        assert job.state == "failed"
        with pytest.raises(ServiceError) as failed:
            client.result(job)
        assert failed.value.reason == "unreadable_media"
        refusal = (
            rf"^/v1/jobs/{job.id}/links: expected an answer of the service, got a refusal \(expected a media file, got"
        )
        with pytest.raises(ServiceError, match=refusal):
            client.share(job)
        with pytest.raises(ServiceError, match="url_not_allowed"):
            client.submit("https://example.org/clip.mp4")


def test_a_wait_has_an_end(served):
    with Client(served.address) as client:
        job = client.submit(SAMPLE, threshold=0.701)
        with pytest.raises(TimeoutError):
            client.wait(job, timeout_s=0)
        client.wait(job)


def test_a_busy_service_is_asked_again_when_it_says(monkeypatch):
    pauses_s, asked = [], []
    job = {"id": "1", "state": "done", "name": "clip.mp4", "progress": 1.0}
    answers = [httpx.Response(429, headers={"retry-after": "7"}), httpx.Response(503), httpx.Response(200, json=job)]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return answers[len(asked) - 1]

    client = functools.partial(httpx.Client, transport=httpx.MockTransport(answer))
    monkeypatch.setattr("fakespan.client.httpx.Client", client)
    monkeypatch.setattr("fakespan.client.time.sleep", pauses_s.append)
    with Client("http://busy.example") as patient:
        assert patient.job("1").is_final
    assert asked == ["/v1/jobs/1"] * 3
    assert pauses_s == [7.0, 0.1]


def test_a_service_that_stays_busy_is_given_up(served):
    with variant(served, requests_per_minute=1) as busy, Client(busy.address, patience_s=0.1) as client:
        assert list(client.jobs("running")) == []
        with pytest.raises(ServiceError) as refused:
            next(client.jobs())
        assert (refused.value.reason, refused.value.status) == ("too_many_requests", 429)


def test_no_service_at_all_is_an_error_of_one_line():
    with Client("http://127.0.0.1:9", timeout_s=5) as client, pytest.raises(ServiceError) as failed:
        client.job("0" * 32)
    assert failed.value.reason == "no_answer"
    assert "\n" not in str(failed.value)
