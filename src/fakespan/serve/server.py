"""Runs the service until a signal stops it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from fakespan.errors import UsageError
from fakespan.serve.app import create_app
from fakespan.serve.audit import log_as_json
from fakespan.serve.schema import describe
from fakespan.serve.service import Service
from fakespan.serve.settings import Settings

__all__ = ["run", "server_config"]

GRACE_S = 5  # for requests in progress, when the service stops
KEEP_ALIVE_S = 15


def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; running jobs are put back into the queue.

    Args:
        settings: of the service.
        announce: called with the address of the page once it answers.

    Raises:
        UsageError: the address, the data folder, or a model cannot be used.
    """
    with _listener(settings) as listener:
        host, port = listener.getsockname()[:2]
        log_as_json()
        logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
        service = Service(settings, describe)
        app = create_app(service)
        server = _Server(server_config(app), lambda: announce(f"http://{_in_url(host)}:{port}/"), app.state.hub.close)
        try:
            service.open()
            with _survived_signals():
                server.run(sockets=[listener])
        finally:
            service.close()


@contextlib.contextmanager
def _survived_signals() -> Iterator[None]:
    """At its end uvicorn raises the signal that stopped it once more; the service is not closed yet then."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def server_config(app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves the application: it says nothing of itself and believes no header about who asks."""
    return uvicorn.Config(
        app,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


class _Server(uvicorn.Server):
    """Says when it has started, and lets those go who wait for events before it stops."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._started, self._stopping = started, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # named as TCP, or asyncio does not switch off Nagle's algorithm, which costs 40 ms an answer
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        got = (error.strerror or str(error)).lower()
        address = f"{settings.host}:{settings.port}"
        raise UsageError(
            address, expected="a free address of this machine", got=got, remedy="change --host or --port"
        ) from error
    return listener
