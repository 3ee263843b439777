"""Links to a report for people without a token: what they show, when they end, and what they never tell."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fakespan.serve.tokens import Tokens
from services import SAMPLE, Running, until, variant


@pytest.fixture(scope="module")
def job(served: Running) -> Iterator[dict[str, Any]]:
    """The sample, scanned."""
    found = served.ended(served.submit(name="shared.mp4").json()["id"])
    yield found
    served.http.delete(found["links"]["self"])


@pytest.fixture(scope="module")
def secrets(served: Running) -> Iterator[dict[str, str]]:
    """A token for each scope."""
    tokens = Tokens(served.service.engine)
    yield {scope: tokens.create(f"sharing {scope}", [scope]) for scope in ("read", "write")}
    for scope in ("read", "write"):
        tokens.revoke(f"sharing {scope}")


def share(http: httpx.Client, job: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer = http.post(f"{job['links']['self']}/links", json=options)
    assert answer.status_code == 201, answer.text
    link: dict[str, Any] = answer.json()
    return link


def test_a_link_shows_the_report_and_plays_the_file(served, job):
    link = share(served.http, job)
    page = served.http.get(link["url"])
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Suspected forged" in page.text
    assert f'src="{link["url"]}/media"' in page.text
    assert f"/v1/jobs/{job['id']}" not in page.text
    part = served.http.get(f"{link['url']}/media", headers={"range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, SAMPLE.read_bytes()[1000:2000])
    assert link["created"][:10] < link["expires"][:10] < job["result_expires"][:10]


def test_a_link_is_told_once_and_listed_without_its_secret(served, job):
    link = share(served.http, job)
    answer = served.http.get(f"{job['links']['self']}/links")
    assert {key: link[key] for key in ("id", "created", "expires", "owner")} in answer.json()
    assert link["url"].rsplit("/", 1)[1] not in answer.text


def test_a_revoked_link_is_gone_and_the_others_are_not(served, job):
    link, other = share(served.http, job), share(served.http, job)
    path = f"{job['links']['self']}/links/{link['id']}"
    assert served.http.delete(path).status_code == 204
    assert served.http.delete(path).json()["reason"] == "not_found"
    assert served.http.get(f"{link['url']}/media").json()["reason"] == "not_found"
    assert served.http.get(other["url"]).status_code == 200


def test_a_link_expires(served, job):
    link = share(served.http, job, days=1e-6)
    until(lambda: served.http.get(link["url"]).status_code == 404)
    assert link["id"] not in served.http.get(f"{job['links']['self']}/links").text


def test_a_link_ends_with_its_result(served, job):
    assert share(served.http, job, days=365)["expires"] == job["result_expires"]


def test_a_link_dies_with_its_job(served):
    gone = served.ended(served.submit(name="soon deleted.mp4").json()["id"])
    link = share(served.http, gone)
    served.http.delete(gone["links"]["self"])
    answer = served.http.get(link["url"])
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "This link is not valid" in answer.text
    assert served.http.get(f"{link['url']}/media").status_code == 404


def test_a_link_is_of_one_job(served, job):
    other = served.ended(served.submit(name="not shared.mp4").json()["id"])
    link = share(served.http, job)
    assert served.http.delete(f"{other['links']['self']}/links/{link['id']}").status_code == 404
    assert served.http.get(f"{other['links']['self']}/links").json() == []
    served.http.delete(other["links"]["self"])


@pytest.mark.parametrize(
    "change", ["/{id}/wrong", "/wrong/{secret}", "/{id}/{secret}x", "/{id}/{secret}/result", "/{id}"]
)
def test_only_the_whole_link_leads_to_the_report(served, job, change):
    link = share(served.http, job)
    path = "/shared" + change.format(id=link["id"], secret=link["url"].rsplit("/", 1)[1])
    for tail in ("", "/media"):
        answer = served.http.get(path + tail)
        assert answer.status_code == 404
        assert "Suspected" not in answer.text


@pytest.mark.parametrize("days", [0, -1, 366, "soon", None, [7]])
def test_a_wrong_time_is_refused(served, job, days):
    answer = served.http.post(f"{job['links']['self']}/links", json={"days": days})
    assert answer.json()["reason"] == "invalid_option"


def test_a_job_without_a_result_has_no_link(served):
    failed = served.ended(served.submit(b"no video", name="text.mp4").json()["id"])
    answer = served.http.post(f"{failed['links']['self']}/links")
    assert answer.json()["reason"] == "unreadable_media"
    assert served.http.post(f"/v1/jobs/{'0' * 32}/links").status_code == 404


def test_a_link_needs_no_token_and_gives_none(served, job, secrets):
    reader, writer = ({"authorization": f"Bearer {secrets[scope]}"} for scope in ("read", "write"))
    path = f"{job['links']['self']}/links"
    with variant(served, host="0.0.0.0") as guarded:
        assert guarded.http.post(path).status_code == 401
        assert guarded.http.post(path, headers=reader).status_code == 403
        link = guarded.http.post(path, headers=writer).json()
        assert link["owner"] == "sharing write"
        assert guarded.http.delete(f"{path}/{link['id']}", headers=reader).status_code == 403
        page = guarded.http.get(link["url"])
        assert page.status_code == 200
        assert "set-cookie" not in page.headers
        assert guarded.http.get(path).status_code == 401
        secret = {"authorization": f"Bearer {link['url'].rsplit('/', 1)[1]}"}
        assert guarded.http.get(job["links"]["self"], headers=secret).status_code == 401


def test_the_page_of_a_link_tells_nobody_its_address(served, job):
    headers = served.http.get(share(served.http, job)["url"]).headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "noindex" in headers["x-robots-tag"]
    assert headers["x-frame-options"] == "DENY"


def test_requests_by_links_are_counted(served, job):
    url = share(served.http, job)["url"]
    with variant(served, requests_per_minute=2) as slow:
        assert [slow.http.get(url).status_code for _ in range(3)] == [200, 200, 429]
        wrong = [slow.http.get("/shared/a/b").status_code for _ in range(3)]
        assert wrong == [404, 404, 429]


def test_what_is_done_with_links_is_audited_and_secrets_are_not_written_down(served, job, monkeypatch, caplog):
    link = share(served.http, job)
    served.http.get(link["url"])
    served.http.delete(f"{job['links']['self']}/links/{link['id']}")
    audit = (served.service.settings.folder / "audit.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in audit.splitlines() if link["id"] in line]
    assert [(line["who"], line["action"]) for line in lines] == [
        ("local", "share"),
        (f"link {link['id']}", "open"),
        ("local", "revoke_link"),
    ]
    assert {line["file"] for line in lines} == {job["file_sha256"]}
    monkeypatch.setattr(served.service.links, "find", lambda *_: 1 / 0)
    with caplog.at_level(logging.INFO):
        assert served.http.get(link["url"]).status_code == 500
    logged = [str(record.__dict__) for record in caplog.records if record.name.startswith("fakespan")]
    assert any("a request failed" in line for line in logged)
    assert link["url"].rsplit("/", 1)[1] not in audit + "".join(logged)


def test_expired_links_are_swept(served, job):
    link = share(served.http, job, days=1e-6)
    until(lambda: served.http.get(link["url"]).status_code == 404)
    served.service.sweep()
    with served.service.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id FROM fakespan_links").scalars().all()
    assert link["id"] not in rows
