"""Who may do what, and what hostile or unlucky clients get: the right status, and nothing left on the disk."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakespan.serve.access import RateLimit
from fakespan.serve.problems import REASONS
from fakespan.serve.tokens import Tokens
from services import SAMPLE, Running, files_below, submit, until, variant

BOUNDARY = b"b0undary"
TUS = {"tus-resumable": "1.0.0"}
START = b'--b0undary\r\ncontent-disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'


@pytest.fixture
def clean(served: Running) -> Iterator[None]:
    """Whatever the test does leaves no file behind."""
    folder, jobs = served.service.settings.folder, served.service.jobs
    until(lambda: not jobs.page(("queued", "running"), None, 1))  # what other tests left to do writes files, too
    before = files_below(folder)
    yield
    until(lambda: files_below(folder) <= before)


@pytest.fixture(scope="module")
def tokens(served: Running) -> Tokens:
    return Tokens(served.service.engine)


@pytest.fixture(scope="module")
def guarded(served: Running) -> Iterator[Running]:
    """The service as others than this machine see it: with tokens."""
    with variant(served, host="0.0.0.0") as found:
        yield found


def resumable(http: httpx.Client, content: bytes) -> str:
    """The address of a finished resumable upload."""
    facts = {"upload-length": str(len(content)), "upload-metadata": "filename YS5tcDQ=,filetype dmlkZW8vbXA0"}
    place = http.post("/v1/uploads", headers={**TUS, **facts}).headers["location"]
    kind = {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
    assert http.patch(place, content=content, headers={**TUS, **kind}).status_code == 204
    return str(place)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def post_raw(address: str, headers: str, body: bytes = b"", *, wait: bool = True) -> bytes:
    """What the service answers to bytes that no client library would send; the body may stop early."""
    url = httpx.URL(address)
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        head = f"POST /v1/jobs HTTP/1.1\r\nhost: {url.host}\r\ncontent-type: multipart/form-data; boundary=b0undary\r\n"
        connection.sendall(f"{head}{headers}\r\n\r\n".encode() + body)
        if not wait:
            return b""
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            return f"HTTP/1.1 {answer.status}\r\n{answer.headers}".encode() + answer.read()


# ---- tokens


def test_elsewhere_a_token_with_the_scope_is_needed(guarded, tokens):
    reader, writer = tokens.create("reader", ["read"]), tokens.create("writer", ["read", "write"])
    nobody = guarded.http.get("/v1/jobs")
    assert (nobody.status_code, nobody.json()["reason"]) == (401, "no_token")
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert guarded.http.get("/v1/jobs", headers=bearer("fakespan_guess")).json()["reason"] == "wrong_token"
    assert guarded.http.get("/v1/jobs", headers=bearer(reader)).status_code == 200
    file = {"file": ("a.mp4", SAMPLE.read_bytes())}
    refused = guarded.http.post("/v1/jobs", files=file, headers=bearer(reader))
    assert (refused.status_code, refused.json()["reason"]) == (403, "missing_scope")
    accepted = guarded.http.post("/v1/jobs", files=file, headers=bearer(writer))
    assert (accepted.status_code, accepted.json()["owner"]) == (202, "writer")
    assert guarded.http.get("/metrics", headers=bearer(writer)).json()["reason"] == "missing_scope"
    tokens.revoke("reader")
    assert guarded.http.get("/v1/jobs", headers=bearer(reader)).json()["reason"] == "wrong_token"
    assert guarded.http.get("/healthz").status_code == 200


PRIVATE = ["/v1/jobs", "/v1/events", "/v1/models", "/metrics"]
PRIVATE += [f"/v1/jobs/{'0' * 32}{end}" for end in ("", "/events", "/result", "/report", "/media", "/thumbnail")]


@pytest.mark.parametrize("path", PRIVATE)
def test_nothing_is_told_without_a_token(guarded, path):
    assert guarded.http.get(path).status_code == 401


def test_no_upload_is_written_without_a_token(guarded, clean):
    tus = {"tus-resumable": "1.0.0", "upload-length": "5"}
    assert guarded.http.post("/v1/uploads", headers=tus).status_code == 401
    patch = {**tus, "upload-offset": "0", "content-type": "application/offset+octet-stream"}
    for path in ("/v1/uploads/" + "0" * 32, "/v1/uploads/..%2fjobs.sqlite"):
        assert guarded.http.patch(path, headers=patch, content=b"12345").status_code in (401, 404, 405)
        assert guarded.http.head(path, headers=tus).status_code in (401, 404, 405)
        assert guarded.http.delete(path, headers=tus).status_code in (401, 404, 405)


def test_a_token_is_stored_as_a_hash_only(served, tokens):
    secret = tokens.create("hashed", ["read"])
    stored = b"".join(path.read_bytes() for path in served.service.settings.folder.glob("jobs.sqlite*"))
    assert b"hashed" in stored
    assert secret.encode() not in stored
    assert secret.removeprefix("fakespan_").encode() not in stored


def test_tokens_are_made_listed_and_revoked_on_the_command_line(call, tmp_path):
    data = ("serve", "--data", tmp_path)
    code, secret, _ = call(*data, "token", "create", "desk", "--scope", "read")
    assert (code, secret.startswith("fakespan_")) == (0, True)
    assert call(*data, "token", "create", "desk")[0] == 2
    assert call(*data, "token", "create", "x", "--scope", "root")[0] == 2
    code, listed, _ = call(*data, "token", "list", "--json")
    (record,) = json.loads(listed)
    assert (record["name"], record["scopes"], record["revoked"]) == ("desk", ["read"], None)
    assert secret.strip() not in listed
    assert call(*data, "token", "revoke", "desk")[0] == 0
    assert "revoked" in call(*data, "token", "list")[1]
    assert call(*data, "token", "revoke", "desk")[0] == 2


# ---- browsers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:8000", "["])
def test_a_name_that_resolves_to_this_machine_is_not_served(served, host):
    answer = served.http.get("/v1/jobs", headers={"host": host})
    assert answer.json()["reason"] == "wrong_host"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8000"])
def test_this_machine_is_served_under_its_names(served, host):
    assert served.http.get("/v1/jobs", headers={"host": host}).status_code == 200


def test_a_proxy_name_is_served_when_it_is_set(served):
    with variant(served, public_hosts=("scan.example",)) as found:
        assert found.http.get("/v1/jobs", headers={"host": "scan.example"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://["}, {"sec-fetch-site": "cross-site"}],
)
def test_a_page_of_another_site_cannot_submit_or_delete(served, headers, clean):
    for answer in (
        served.http.post("/v1/jobs", files={"file": ("a.mp4", SAMPLE.read_bytes())}, headers=headers),
        served.http.delete("/v1/jobs/" + "0" * 32, headers=headers),
    ):
        assert answer.json()["reason"] == "cross_origin"


def test_every_answer_carries_the_security_headers(served, monkeypatch):
    monkeypatch.setattr(served.service.jobs, "counts", lambda: 1 / 0)
    for path, status in (("/", 200), ("/healthz", 200), ("/nothing", 404), ("/readyz", 500), ("/v1/jobs?limit=x", 422)):
        answer = served.http.get(path)
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers


def test_a_failure_tells_nothing_of_the_machine(served, monkeypatch):
    monkeypatch.setattr(served.service.jobs, "page", lambda *_: Path("/no/such/secret").read_text())
    answer = served.http.get("/v1/jobs")
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "/v1/problems#internal",
        "title": REASONS["internal"].title,
        "status": 500,
        "reason": "internal",
    }


def test_through_a_proxy_with_tls_the_page_is_served_as_over_https(served, tokens):
    secret = tokens.create("proxied", ["read", "write"])
    with variant(served, host="0.0.0.0", public_hosts=("scan.example",)) as found:
        for scheme, is_secure in (("https", True), ("http", False)):
            page = {"host": "scan.example", "origin": f"{scheme}://scan.example"}
            answer = found.http.post("/v1/session", json={"token": secret}, headers=page)
            assert answer.status_code == 204
            assert ("; Secure" in answer.headers["set-cookie"]) is is_secure
            made = found.http.post("/v1/uploads", headers={**TUS, **page, **bearer(secret), "upload-length": "5"})
            assert made.headers["location"].startswith(f"{scheme}://scan.example/v1/uploads/")
            path = httpx.URL(made.headers["location"]).path
            assert found.http.delete(path, headers={**TUS, **page, **bearer(secret)}).status_code == 204


# ---- files


def test_a_file_that_is_too_large_is_refused_before_it_is_read(served, clean):
    with variant(served, max_upload_mb=1) as small:
        answer = post_raw(small.address, "content-length: 5000000")  # and not a byte of it
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"reason":"too_large"' in answer


def test_a_file_that_is_too_large_is_refused_without_a_stated_length(served, clean):
    block = bytes(100_000)
    chunks = [START, *[block] * 11]
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    with variant(served, max_upload_mb=1) as small:
        answer = post_raw(small.address, "transfer-encoding: chunked", body)
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_client_that_stops_sending_is_dropped(served, clean):
    with variant(served, upload_idle_s=0.2) as hasty:
        answer = post_raw(hasty.address, "content-length: 1000", START + b"some")
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_client_that_goes_away_leaves_nothing(served, clean):
    folder = served.service.store.incoming_folder
    url = httpx.URL(served.address)
    with socket.create_connection((url.host, url.port)) as connection:
        head = "POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: multipart/form-data; boundary=b0undary\r\n"
        connection.sendall(f"{head}content-length: 1000\r\n\r\n".encode() + START + b"some")
        until(lambda: list(folder.iterdir()))
    until(lambda: not list(folder.iterdir()))


def bomb() -> bytes:
    """50 MB of zeros in 50 kB of zip."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.mp4", bytes(50_000_000))
    return data.getvalue()


@pytest.mark.parametrize(
    "content", [bomb(), b"\x1f\x8b\x08" + bytes(99), b"%PDF-1.7" + bytes(99), bytes(257) + b"ustar" + bytes(250)]
)
def test_archives_are_refused_whatever_their_name(served, content, clean):
    answer = served.submit(content, name="clip.mp4")
    assert (answer.status_code, answer.json()["reason"]) == (415, "not_media")


def test_an_empty_file_is_refused(served, clean):
    assert served.submit(b"").status_code == 422


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "..\\..\\boot.ini", "/etc/cron.d/x", "a\x00b.mp4", "con:stream", "x" * 1000, "%2e%2e%2f"],
)
def test_a_file_name_is_for_display_only(served, name):
    before = files_below(served.service.settings.folder)
    job = served.submit(name=name).json()
    assert "/" not in job["name"]
    assert "\\" not in job["name"]
    assert len(job["name"]) <= 200
    new = files_below(served.service.settings.folder) - before
    assert all(set(Path(path).stem) <= set("0123456789abcdef") for path in new)
    served.ended(job["id"])
    served.http.delete(job["links"]["self"])


def test_markup_in_a_file_name_stays_text(served):
    name = "<script>alert(1)</script>.html"
    job = served.ended(served.submit(name=name).json()["id"])
    assert "<script>alert(1)" not in served.http.get(job["links"]["report"]).text
    media = served.http.get(job["links"]["media"])
    assert media.headers["content-type"] == "application/octet-stream"  # and not what the name says
    assert "script" in job["name"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/..%2f..%2fjobs.sqlite",
        "/v1/jobs/../../../etc/passwd/media",
        "/page/..%2fapp.py",
        "/page/..%5capp.py",
        "/v1/uploads/..%2f..%2fjobs.sqlite",
        "/v1/jobs/" + "0" * 32 + "/media%00",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out(served, path):
    answer = served.http.get(path)
    assert answer.status_code in (404, 405)
    assert b"SQLite format" not in answer.content
    assert b"import" not in answer.content


# ---- forms


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model": "../x"}, "invalid_option"),
        ({"threshold": "2"}, "invalid_option"),
        ({"threshold": "nan"}, "invalid_option"),
        ({"faces": "all"}, "invalid_option"),
        ({"start": "soon"}, "invalid_option"),
        ({"start": "1:20", "end": "1:02"}, "invalid_option"),
        ({"audio_track": "0"}, "invalid_option"),
        ({"prior": "0"}, "invalid_option"),
        ({"priority": "0"}, "invalid_option"),
        ({"priority": "9" * 5000}, "invalid_option"),
        ({"surprise": "1"}, "invalid_option"),
        ({"url": "http://files.example/a.mp4"}, "bad_request"),  # a file and a URL
        ({"upload": "0" * 32}, "bad_request"),
        ({"callback": "file:///etc/passwd"}, "callback_not_allowed"),
        ({"model": "x" * 20_000}, "bad_request"),
    ],
)
def test_a_wrong_option_is_refused(served, fields, reason, clean):
    answer = served.submit(b"\x00" + SAMPLE.read_bytes(), **fields)
    assert answer.json()["reason"] == reason
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b"hello"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=b0undary", b"no part"),
        ("multipart/form-data; boundary=b0undary", START + b"no end"),
        ("multipart/form-data; boundary=b0undary", START + b"x\r\n" + START + b"x\r\n--b0undary--\r\n"),
        ("multipart/form-data; boundary=b0undary", b'--b0undary\r\nx: "' + b"y" * 9000 + b"\r\n\r\n"),
        ("multipart/form-data; boundary=" + "b" * 100_000, b""),
    ],
)
def test_a_form_that_is_none_is_refused(served, kind, body, clean):
    answer = served.http.post("/v1/jobs", content=body, headers={"content-type": kind})
    assert answer.status_code in (400, 431)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"upload-length": "5"}, b"12345"),  # would be read into memory
        ({"upload-defer-length": "1"}, b""),
        ({"upload-length": "-5"}, b""),
        ({"upload-length": "0"}, b""),
        ({"upload-length": "9" * 5_000}, b""),
        ({"upload-concat": "final;" + "0" * 32 + " " + "0" * 32}, b""),
    ],
)
def test_resumable_uploads_take_no_short_cuts(served, headers, body, clean):
    answer = served.http.post("/v1/uploads", headers={"tus-resumable": "1.0.0", **headers}, content=body)
    assert answer.json()["reason"] == "bad_request"


def test_a_resumable_upload_has_room_or_is_refused(served, clean):
    tus = {"tus-resumable": "1.0.0", "upload-length": str(10**13)}
    assert served.http.post("/v1/uploads", headers=tus).status_code == 413
    with variant(served, quota_gb=1e-9) as full:
        answer = full.http.post("/v1/uploads", headers={**tus, "upload-length": "5"})
    assert answer.json()["reason"] == "storage_full"


# ---- limits


def test_too_many_requests_are_told_when_to_come_back(served):
    with variant(served, requests_per_minute=3) as slow:
        answers = [slow.http.get("/v1/jobs") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 61


def test_requests_of_many_clients_are_counted_in_many_threads():
    limit = RateLimit(2)
    for k in range(10_001):
        limit.check(f"client {k}")
    switching_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(limit.check, [f"another {k}" for k in range(500)])) == [None] * 500
    finally:
        sys.setswitchinterval(switching_s)


def test_one_token_does_not_use_up_the_requests_of_another(served, tokens):
    one, other = tokens.create("one", ["read"]), tokens.create("other", ["read"])
    with variant(served, requests_per_minute=2, host="0.0.0.0") as slow:
        codes = [slow.http.get("/v1/jobs", headers=bearer(one)).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert slow.http.get("/v1/jobs", headers=bearer(other)).status_code == 200


def test_a_full_disk_is_refused_before_it_is_full(served, clean):
    for changes in ({"quota_gb": 1e-9}, {"min_free_gb": 1e9}):
        with variant(served, **changes) as full:
            answer = full.submit()
            assert (answer.status_code, answer.json()["reason"]) == (507, "storage_full")
            assert int(answer.headers["retry-after"]) > 0
            assert full.http.get("/readyz").status_code == 507


def test_uploads_at_the_same_time_are_limited(served):
    with variant(served, max_uploads=1) as narrow:
        url = httpx.URL(narrow.address)
        with socket.create_connection((url.host, url.port)) as connection:
            head = (
                "POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: multipart/form-data; boundary=b0undary\r\n"
            )
            connection.sendall(f"{head}content-length: 1000\r\n\r\n".encode() + START + b"some")
            until(lambda: list(served.service.store.incoming_folder.iterdir()))
            answer = narrow.submit()
            assert (answer.status_code, answer.json()["reason"]) == (503, "too_many_uploads")
            assert int(answer.headers["retry-after"]) > 0
        until(lambda: narrow.submit().status_code == 202)


def test_a_full_queue_refuses_and_nothing_is_left(served, clean):
    with variant(served, max_queued=1) as short:
        (pid,) = served.service.pool.pids()
        os.kill(pid, signal.SIGSTOP)
        try:
            jobs: list[dict[str, Any]] = []
            # thresholds of no other test: a result that is known ends at once
            while (answer := submit(short.http, threshold=0.437 + len(jobs) / 1000)).status_code == 202:
                jobs.append(answer.json())
                until(lambda: served.service.jobs.counts().get("running"))  # the first of them leaves the queue
            assert (answer.status_code, answer.json()["reason"]) == (503, "queue_full")
            assert int(answer.headers["retry-after"]) > 0
            before = files_below(served.service.settings.folder)
            assert submit(short.http, SAMPLE.read_bytes() + b"another").status_code == 503
            assert files_below(served.service.settings.folder) == before
            place = resumable(short.http, SAMPLE.read_bytes() + b"resumable")
            form = {"upload": (None, place.rsplit("/", 1)[1])}
            refused = [short.http.post("/v1/jobs", files=form).json()["reason"] for _ in range(2)]
            assert refused == ["queue_full", "queue_full"]  # the upload is still there for another attempt
            assert short.http.delete(place, headers=TUS).status_code == 204
        finally:
            os.kill(pid, signal.SIGCONT)
        for job in jobs:
            served.ended(job["id"])
            served.http.delete(job["links"]["self"])


def test_many_writers_of_one_upload_do_not_block_the_service(served):
    tus = {"tus-resumable": "1.0.0"}
    made = served.http.post(
        "/v1/uploads",
        headers={**tus, "upload-length": "1000", "upload-metadata": "filename YQ==,filetype YQ=="},
    )
    url = httpx.URL(made.headers["location"])
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(
            f"PATCH {url.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ntus-resumable: 1.0.0\r\nupload-offset: 0\r\n"
            "content-type: application/offset+octet-stream\r\ncontent-length: 1000\r\n\r\nsome".encode()
        )
        stored = served.service.store.resumable / url.path.rsplit("/", 1)[1]
        until(lambda: stored.stat().st_size == 4)
        patch = {**tus, "upload-offset": "0", "content-type": "application/offset+octet-stream"}
        second = served.http.patch(str(url), headers=patch, content=b"other")
        assert (second.status_code, second.json()["reason"]) == (423, "busy")
    until(lambda: served.http.delete(str(url), headers=tus).status_code == 204)
    assert threading.active_count() < 100
