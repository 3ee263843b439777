"""Requests that the service makes: it fetches files from allowed hosts and posts signed callbacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from standardwebhooks import Webhook

from fakespan.serve.addresses import Target, resolve
from fakespan.serve.problems import Problem
from fakespan.serve.store import Incoming, Store

__all__ = ["check_callback", "check_url", "fetch", "post_signed"]

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_MOST_REDIRECTS = 3


def check_url(url: str, hosts: Sequence[str]) -> None:
    """Raise Problem unless files may be fetched from the host of this URL."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        is_web = parts.scheme in ("http", "https") and parts.username is None and parts.port != 0
    except ValueError:
        host, is_web = "", False
    if not is_web or host not in {allowed.lower() for allowed in hosts}:
        raise Problem("url_not_allowed", "expected an https URL of a host that the service was told to trust")


def check_callback(url: str, *, private: bool) -> None:
    """Raise Problem unless a callback may go to this URL as its host resolves now."""
    try:
        resolve(url, private=private)
    except ValueError as error:
        raise Problem("callback_not_allowed", str(error)) from error


def fetch(
    url: str, store: Store, hosts: Sequence[str], watch: Callable[[], None] = lambda: None, *, private: bool = False
) -> Incoming:
    """Download a file into the store. Every step of a redirect must lead to an allowed host.

    Args:
        url: as the client gave it.
        store: receives the file and limits its size.
        hosts: allowed ones.
        watch: called after each block; what it raises ends the download.
        private: private addresses are allowed; for tests with a server on this machine.

    Raises:
        Problem: fetch_failed, url_not_allowed, or what the store raises.
    """
    for _ in range(_MOST_REDIRECTS + 1):
        check_url(url, hosts)
        target = _resolved(url, private)
        try:
            with _client() as client, _stream(client, target) as response:
                if not response.is_redirect:
                    return _saved(response, store, watch)
                url = _joined(url, response.headers.get("location", ""))
        except httpx.HTTPError as error:
            raise Problem("fetch_failed", f"expected an answer, got {type(error).__name__}") from error
    raise Problem("fetch_failed", f"expected at most {_MOST_REDIRECTS} redirects")


def _joined(url: str, location: str) -> str:
    """Where a redirect leads; empty, which is no allowed URL, for a location that is none."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def post_signed(url: str, secret: str, message_id: str, body: Mapping[str, Any], *, private: bool) -> None:
    """Post a Standard Webhook. Raises ValueError for an address that is not allowed, httpx.HTTPError for a failure."""
    target, data, now = resolve(url, private=private), json.dumps(dict(body)), datetime.now(tz=UTC)
    headers = {
        "host": target.header,
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, data),
    }
    with _client() as client:
        response = client.post(target.url, content=data, headers=headers, extensions={"sni_hostname": target.host})
    if not response.is_success:
        raise httpx.HTTPError(f"status {response.status_code}")


def _client() -> httpx.Client:
    return httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False)


def _stream(client: httpx.Client, target: Target) -> Any:
    headers = {"host": target.header, "accept-encoding": "identity"}
    extensions = {"sni_hostname": target.host}
    return client.stream("GET", target.url, headers=headers, extensions=extensions)


def _resolved(url: str, private: bool) -> Target:
    try:
        return resolve(url, private=private)
    except ValueError as error:
        raise Problem("fetch_failed", str(error)) from error


def _saved(response: httpx.Response, store: Store, watch: Callable[[], None]) -> Incoming:
    if response.status_code != httpx.codes.OK:
        raise Problem("fetch_failed", f"expected status 200, got {response.status_code}")
    stated = response.headers.get("content-length", "0")
    store.check_room(int(stated) if stated.isdecimal() else 0)
    incoming = store.receive()
    try:
        for block in response.iter_raw():
            incoming.write(block)
            watch()
    except BaseException:
        incoming.discard()
        raise
    return incoming
