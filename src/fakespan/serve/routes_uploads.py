"""/v1/uploads: resumable uploads, by the router of tuspyserver behind checks of our own.

That router writes before it checks, waits for locks within the event loop, and reads a body that comes with a creation
into memory. So tokens, room and one writer at a time are checked before it, and what is not needed is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from tuspyserver import create_tus_router

from fakespan.serve.access import need, scheme_of
from fakespan.serve.problems import Problem
from fakespan.serve.service import Service
from fakespan.serve.tokens import Token

__all__ = ["router"]

DAYS_KEPT = 1
MOST_DIGITS = 18  # of a size in bytes
_DEFAULTS = {"filename": "dW5uYW1lZA==", "filetype": "YXBwbGljYXRpb24vb2N0ZXQtc3RyZWFt"}  # in Base64


def router(service: Service) -> APIRouter:
    """The routes."""
    busy: set[str] = set()

    async def guarded(request: Request, _: Annotated[Token, Depends(need("write"))]) -> AsyncIterator[None]:
        headers, path = request.headers, request.url.path
        if any(name in headers for name in ("upload-concat", "upload-defer-length", "x-http-method-override")):
            raise Problem("bad_request", "expected an upload of known length, in one piece")
        if request.method == "POST":
            await asyncio.to_thread(_check_creation, request, service)
            _complete(request)
        if request.method != "PATCH":
            yield
            return
        if path in busy:
            raise Problem("busy", "another request is writing to this upload", retry_after_s=1)
        if len(busy) >= service.settings.max_uploads:
            raise Problem("too_many_uploads", f"{len(busy)} files are being received", retry_after_s=2)
        busy.add(path)
        try:
            yield
        finally:
            busy.discard(path)

    def capabilities() -> Response:
        return _capabilities(service.settings.max_upload_bytes)

    routes = APIRouter(dependencies=[Depends(guarded, scope="request")])
    for path in ("/v1/uploads", "/v1/uploads/"):
        routes.add_api_route(path, capabilities, methods=["OPTIONS"], include_in_schema=False)
    routes.include_router(
        create_tus_router(
            prefix="/v1/uploads",
            files_dir=str(service.store.resumable),
            max_size=service.settings.max_upload_bytes,
            days_to_keep=DAYS_KEPT,
            tags=["uploads"],
        ),
        include_in_schema=False,
    )
    return routes


def _capabilities(max_upload_bytes: int) -> Response:
    """What of tus is understood: the other router states what is refused here, and only for `/v1/uploads/`."""
    headers = {
        "tus-resumable": "1.0.0",
        "tus-version": "1.0.0",
        "tus-extension": "creation,expiration,termination",
        "tus-max-size": str(max_upload_bytes),
    }
    return Response(status_code=204, headers=headers)


def _check_creation(request: Request, service: Service) -> None:
    headers = request.headers
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Problem("bad_request", "expected a creation without data; send it by PATCH")
    stated = headers.get("upload-length", "")
    if not stated.isdecimal() or len(stated) > MOST_DIGITS or int(stated) == 0:
        raise Problem("bad_request", "expected the header Upload-Length, in bytes")
    service.store.check_room(int(stated))


def _complete(request: Request) -> None:
    """Add what that router needs to resume an upload and tus leaves to the client: name and type of the file."""
    headers = MutableHeaders(raw=request.scope["headers"])  # the list that the router reads, too
    stated = [part.split() for part in headers.get("upload-metadata", "").split(",") if part.strip()]
    known = {part[0] for part in stated if len(part) > 1}
    missing = [[name, text] for name, text in _DEFAULTS.items() if name not in known]
    headers["upload-metadata"] = ",".join(" ".join(part) for part in stated + missing)
    if "origin" in headers:  # a page over https does not follow a Location over http
        headers["x-forwarded-proto"] = scheme_of(request)
