"""Who may do what: tokens, scopes, the rate limit, and protection of a service on this machine from pages elsewhere."""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fakespan.serve.jobs import Job
from fakespan.serve.problems import Problem
from fakespan.serve.service import Service
from fakespan.serve.settings import Settings
from fakespan.serve.tokens import LOCAL, Token

__all__ = [
    "COOKIE",
    "Admin",
    "Found",
    "Guard",
    "RateLimit",
    "Reader",
    "Served",
    "Writer",
    "address_of",
    "need",
    "scheme_of",
]

COOKIE = "fakespan_token"
"""Cookie of the page; programs send `Authorization: Bearer TOKEN`."""
_log = logging.getLogger("fakespan.serve")
_SAFE = ("GET", "HEAD", "OPTIONS")
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


class RateLimit:
    """At most so many requests of one client within a minute. Requests are checked in several threads."""

    def __init__(self, per_minute: int) -> None:
        self._most, self._lock = per_minute, threading.Lock()
        self._seen: dict[str, deque[float]] = defaultdict(deque)

    def check(self, client: str) -> None:
        """Count a request; raise Problem if it is one too many."""
        with self._lock:
            self._check(client, time.monotonic())

    def _check(self, client: str, now: float) -> None:
        seen = self._seen[client]
        while seen and seen[0] < now - 60:
            seen.popleft()
        if len(seen) >= self._most:
            raise Problem(
                "too_many_requests",
                f"expected at most {self._most} requests a minute",
                retry_after_s=max(1, int(seen[0] + 61 - now)),
            )
        seen.append(now)
        if len(self._seen) > 10_000:
            self._seen = defaultdict(deque, {key: times for key, times in self._seen.items() if times[-1] > now - 60})


class Guard:
    """Outermost layer: checks the host name and the origin, and adds the security headers.

    Without tokens, a page of another site could reach the service on this machine through the browser: by a form (the
    origin gives it away) or by a name that resolves to 127.0.0.1 (the host name does).
    """

    def __init__(self, app: ASGIApp, settings: Settings, refuse: Callable[[Problem], ASGIApp]) -> None:
        self._app, self._settings, self._refuse = app, settings, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        is_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                present = {name.lower() for name, _ in message["headers"]}
                own = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in present]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        problem = self._fault(Headers(scope=scope), scope["method"])
        app = self._app if problem is None else self._refuse(problem)
        try:
            await app(scope, receive, send_with_headers)
        except Exception:
            _log.exception("a request failed", extra={"path": getattr(scope.get("route"), "path", None)})  # no secrets
            if is_started:
                raise
            await self._refuse(Problem("internal"))(scope, receive, send_with_headers)

    def _fault(self, headers: Headers, method: str) -> Problem | None:
        host = headers.get("host", "")
        if not self._is_known(host):
            return Problem("wrong_host", "see the setting public_hosts")
        origin = headers.get("origin")
        is_foreign = origin is not None and _parts(origin).netloc != host
        if method not in _SAFE and (is_foreign or headers.get("sec-fetch-site") == "cross-site"):
            return Problem("cross_origin")
        return None

    def _is_known(self, host: str) -> bool:
        name = (_parts(f"//{host}").hostname or "") if host.isascii() and " " not in host else ""
        if name in {"localhost", self._settings.host, *self._settings.public_hosts}:
            return True
        try:
            return bool(ipaddress.ip_address(name))  # no name that could be made to resolve to here
        except ValueError:
            return False


def _parts(url: str) -> SplitResult:
    """The parts of an address that anybody may have sent; empty ones if it is none."""
    try:
        return urlsplit(url)
    except ValueError:  # a bracket without its twin
        return urlsplit("")


def need(scope: str) -> Callable[[Request], Token]:
    """A dependency that lets a request through if its token has the scope."""

    def check(request: Request) -> Token:
        service: Service = request.app.state.service
        limit: RateLimit = request.app.state.rate_limit
        address = address_of(request)
        if not service.needs_token:
            limit.check(address)
            return LOCAL
        secret = _secret(request)
        token = service.tokens.find(secret) if secret else None
        limit.check(token.name if token else address)
        if token is None:
            raise Problem("wrong_token" if secret else "no_token")
        if scope not in token.scopes:
            raise Problem("missing_scope", f"expected a token with the scope {scope}")
        return token

    return check


def address_of(request: Request) -> str:
    """The address that asks: that of the proxy, if there is one."""
    return request.client.host if request.client else ""


def scheme_of(request: Request) -> str:
    """`https` or `http`, as a browser sees it: through a proxy with TLS, only the origin that it names tells."""
    return _parts(request.headers.get("origin", "")).scheme or request.url.scheme


def _secret(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]
Reader = Annotated[Token, Depends(need("read"))]
Writer = Annotated[Token, Depends(need("write"))]
Admin = Annotated[Token, Depends(need("admin"))]


def _job(job_id: str, service: Served) -> Job:
    return service.job(job_id)


Found = Annotated[Job, Depends(_job)]
"""The job of the path; stands behind the token, so that nobody learns without one which jobs there are."""
