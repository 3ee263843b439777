"""What the service connects to: files from allowed hosts, signed callbacks, and never an address that is not public."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook

from fakespan.serve import addresses
from fakespan.serve.addresses import is_public, resolve
from fakespan.serve.outbound import fetch
from fakespan.serve.problems import Problem
from fakespan.serve.store import Store
from services import PATIENCE_S, SAMPLE, until, variant

Answer = Callable[[BaseHTTPRequestHandler], None]

NOT_PUBLIC = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",  # carrier's NAT
    "169.254.169.254",  # metadata of cloud machines
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fc00::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Name -> addresses, instead of the network's name service; every look-up is counted under "lookups"."""
    known: dict[str, list[str]] = {"lookups": []}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **options)
        known["lookups"].append(host)
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in a], socket.SOCK_STREAM, 6, "", (a, port)) for a in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.fixture
def web() -> Iterator[Callable[[Answer], str]]:
    """Starts web servers on this machine that answer as they are told; gives their port."""
    servers = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def do_POST(self) -> None:
                answer(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return str(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def file_answer(content: bytes, asked: list[str] | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if asked is not None:
            asked.append(handler.headers["host"])
        handler.send_response(200)
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def redirect(target: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("location", target)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "data", quota_bytes=1e9, min_free_bytes=0, max_file_bytes=1_000_000)


# ---- addresses


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_known(address, names):
    assert not is_public(address)
    names["files.example"] = [address.partition("%")[0]]
    with pytest.raises(ValueError, match="public"):
        resolve("https://files.example/a.mp4")


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_allowed(address):
    assert is_public(address)


def test_one_bad_address_among_good_ones_is_enough(names):
    names["files.example"] = ["93.184.215.14", "10.0.0.1"]
    with pytest.raises(ValueError, match="public"):
        resolve("https://files.example/a.mp4")


def test_the_address_is_pinned_and_the_name_kept(names):
    names["files.example"] = ["93.184.215.14"]
    target = resolve("https://files.example/a%20b.mp4?x=1#y")
    assert (target.url, target.host) == ("https://93.184.215.14:443/a%20b.mp4?x=1", "files.example")
    assert names["lookups"] == ["files.example"]


def test_a_name_in_another_script_is_asked_for_as_the_network_writes_it(names):
    names["xn--exmple-cua.com"] = ["93.184.215.14"]
    target = resolve("https://exämple.com:8443/a.mp4")
    assert (target.host, target.header) == ("xn--exmple-cua.com", "xn--exmple-cua.com:8443")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://files.example/",
        "ftp://files.example/a.mp4",
        "https://user:secret@files.example/",
        "https://",
        "//files.example/a.mp4",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://[::ffff:7f00:1]/",
        "http://localhost/",
        "http://1.1.1.1/a\x01b.mp4",
    ],
)
def test_other_ways_to_write_an_address_lead_nowhere(url):
    with pytest.raises(ValueError, match="expected"):
        resolve(url)


# ---- fetching


def test_a_file_is_fetched_from_an_allowed_host(names, web, store):
    asked: list[str] = []
    names["files.example"] = ["127.0.0.1"]
    port = web(file_answer(b"content", asked))
    incoming = fetch(f"http://files.example:{port}/a.mp4", store, ["files.example"], private=True)
    incoming.finish()
    assert incoming.path.read_bytes() == b"content"
    assert asked == [f"files.example:{port}"]
    assert names["lookups"] == ["files.example"]  # once: nobody can change the name in between


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://other.example/a.mp4", "url_not_allowed"),
        ("http://169.254.169.254/latest", "url_not_allowed"),
        ("file:///etc/passwd", "url_not_allowed"),
        ("/again", "fetch_failed"),  # for ever
        ("http://[", "url_not_allowed"),
    ],
)
def test_a_redirect_does_not_lead_elsewhere(names, web, store, target, reason):
    names["files.example"] = ["127.0.0.1"]
    port = web(redirect(target))
    with pytest.raises(Problem) as refused:
        fetch(f"http://files.example:{port}/a.mp4", store, ["files.example"], private=True)
    assert refused.value.reason == reason


def test_a_host_that_became_private_is_not_asked(names, web, store):
    asked: list[str] = []
    port = web(file_answer(b"secret", asked))
    names["files.example"] = ["127.0.0.1"]
    with pytest.raises(Problem) as refused:
        fetch(f"http://files.example:{port}/a.mp4", store, ["files.example"])
    assert refused.value.reason == "fetch_failed"
    assert asked == []


@pytest.mark.parametrize(
    ("content", "reason"), [(bytes(2_000_000), "too_large"), (b"PK\x03\x04" + bytes(99), "not_media")]
)
def test_what_is_fetched_has_the_limits_of_an_upload(names, web, store, content, reason):
    names["files.example"] = ["127.0.0.1"]
    port = web(file_answer(content))
    with pytest.raises(Problem) as refused:
        fetch(f"http://files.example:{port}/a.mp4", store, ["files.example"], private=True)
    assert refused.value.reason == reason
    assert list(store.incoming_folder.iterdir()) == []


def test_a_job_fetches_its_file(served, names, web, monkeypatch):
    names["files.example"] = ["127.0.0.1"]
    monkeypatch.setattr(addresses, "is_public", lambda address: True)
    port = web(file_answer(SAMPLE.read_bytes()))
    form = {"url": (None, f"http://files.example:{port}/some/a%20clip.mp4?key=a/b"), "threshold": (None, "0.61")}
    answer = served.http.post("/v1/jobs", files=form)
    assert (answer.status_code, answer.json()["size"]) == (202, None)
    job = served.ended(answer.json()["id"])
    assert (job["state"], job["name"], job["size"]) == ("done", "a clip.mp4", SAMPLE.stat().st_size)
    assert served.http.get(job["links"]["media"]).headers["content-type"] == "video/mp4"


@pytest.fixture
def endless(names, web, monkeypatch) -> Iterator[tuple[str, threading.Event]]:
    """The URL of a file that comes in drops without end, and whether the first has been sent."""
    names["files.example"] = ["127.0.0.1"]
    monkeypatch.setattr(addresses, "is_public", lambda address: True)
    has_begun, may_end = threading.Event(), threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not may_end.wait(0.02):
                handler.wfile.write(b"a byte or two")
                has_begun.set()

    yield f"http://files.example:{web(drip)}/clip.mp4", has_begun
    may_end.set()


def test_a_job_is_cancelled_while_its_file_is_fetched(served, endless):
    url, has_begun = endless
    job = served.http.post("/v1/jobs", files={"url": (None, url)}).json()
    assert has_begun.wait(PATIENCE_S)
    served.http.delete(job["links"]["self"])
    until(lambda: served.http.get(job["links"]["self"]).json()["state"] == "cancelled")


def test_a_file_that_does_not_come_in_time_fails_its_job(served, endless, monkeypatch):
    runner = served.service.durable._runner
    monkeypatch.setattr(runner, "_settings", dataclasses.replace(runner._settings, time_limit_s=0.2))
    job = served.ended(served.http.post("/v1/jobs", files={"url": (None, endless[0])}).json()["id"])
    assert (job["state"], job["problem"]["reason"]) == ("failed", "fetch_failed")
    assert "within 0.2 s" in job["problem"]["detail"]


def test_a_job_whose_file_is_not_there_fails_with_a_reason(served, names, monkeypatch):
    names["files.example"] = ["127.0.0.1"]
    form = {"url": (None, "http://files.example:9/clip.mp4")}
    job = served.ended(served.http.post("/v1/jobs", files=form).json()["id"])
    assert (job["state"], job["problem"]["reason"]) == ("failed", "fetch_failed")
    assert "127.0.0.1" not in json.dumps(job)


@pytest.mark.parametrize(
    "url", ["http://other.example/a.mp4", "http://127.0.0.1/", "http://[::1", "file:///etc/passwd"]
)
def test_urls_of_other_hosts_are_refused_at_once(served, url):
    answer = served.http.post("/v1/jobs", files={"url": (None, url)})
    assert (answer.status_code, answer.json()["reason"]) == (403, "url_not_allowed")


# ---- callbacks


def test_a_callback_is_signed_and_repeated_until_it_is_taken(served, web):
    seen: list[tuple[dict[str, str], bytes]] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append((dict(handler.headers), handler.rfile.read(int(handler.headers["content-length"]))))
        handler.send_response(500 if len(seen) == 1 else 204)
        handler.end_headers()

    url = f"http://127.0.0.1:{web(answer)}/hook"
    job_id = served.submit(threshold=0.62, callback=url).json()["id"]
    until(lambda: served.http.get(f"/v1/jobs/{job_id}").json()["callback_state"])
    assert served.http.get(f"/v1/jobs/{job_id}").json()["callback_state"] == "delivered"
    place = served.service.settings.folder / "callback-secret"
    assert place.stat().st_mode & 0o777 == 0o600
    secret = place.read_text()
    for headers, body in seen:
        event = Webhook(secret).verify(body, headers)
        assert event["type"] == "job.done"
        assert event["data"]["id"] == job_id
        assert event["timestamp"] == event["data"]["ended"]  # in ISO 8601, as the standard says
    assert len(seen) == 2
    assert len({headers["webhook-id"] for headers, _ in seen}) == 1  # so that the receiver knows it again


def test_a_reused_result_calls_back_too(served, web):
    done = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers["content-length"]))
        handler.send_response(204)
        handler.end_headers()
        done.set()

    served.ended(served.submit(threshold=0.63).json()["id"])
    again = served.submit(threshold=0.63, callback=f"http://127.0.0.1:{web(answer)}/")
    assert again.json()["reused"] is True
    assert done.wait(60)


def test_a_callback_that_nobody_takes_is_given_up(served):
    job_id = served.submit(threshold=0.64, callback="http://127.0.0.1:9/").json()["id"]
    until(lambda: served.http.get(f"/v1/jobs/{job_id}").json()["callback_state"] == "failed")
    assert served.http.get(f"/v1/jobs/{job_id}").json()["state"] == "done"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/"]
)
def test_private_callbacks_are_refused_unless_they_are_allowed(served, url):
    with variant(served, private_callbacks=False) as strict:
        answer = strict.submit(threshold=0.65, callback=url)
    assert (answer.status_code, answer.json()["reason"]) == (403, "callback_not_allowed")
