"""/v1/jobs: submit, follow, list, cancel and delete jobs."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fakespan.serve.access import Found, Reader, Served, Writer
from fakespan.serve.forms import FORM_SCHEMA, receive_job
from fakespan.serve.jobs import Job, State
from fakespan.serve.problems import Problem
from fakespan.serve.routes_results import result_response
from fakespan.serve.schema import EXAMPLE, JobList, JobOut, describe, refusals
from fakespan.serve.service import Service
from fakespan.serve.watch import Hub

__all__ = ["router"]

MOST_WAIT_S = 60
_REFUSALS = refusals(400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 500, 503, 507)
_DONE = {"description": "The job", "content": {"application/json": {"example": dict(EXAMPLE)}}}


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["jobs"], responses=_REFUSALS)
    add = routes.add_api_route
    submitted = {200: {"description": "The result, with Prefer: wait"}, 202: _DONE}
    kinds: dict[str, Any] = {"openapi_extra": FORM_SCHEMA, "response_model": JobOut, "responses": submitted}
    add("/jobs", submit, methods=["POST"], status_code=202, **kinds)
    add("/jobs", list_jobs, response_model=JobList)
    add("/jobs/{job_id}", show, response_model=JobOut, responses={200: _DONE})
    add("/jobs/{job_id}", delete, methods=["DELETE"], status_code=204, responses={202: _DONE})
    add("/jobs/{job_id}/events", events, response_class=EventSourceResponse)
    add("/events", all_events, response_class=EventSourceResponse)
    return routes


async def submit(
    request: Request,
    service: Served,
    token: Writer,
    prefer: Annotated[str, Header(description="wait=SECONDS", examples=["wait=30"])] = "",
) -> Response:
    """Scan a file: a form with `file`, or with `upload` (a finished resumable upload), or with `url`.

    With `Prefer: wait=30` the answer is the result itself, if it is there within so many seconds.
    """
    job = await receive_job(request, service, token)
    wait_s = _wait_s(prefer)
    if wait_s and not job.is_final:
        await request.app.state.hub.until_final(job.id, wait_s)
        ended = await asyncio.to_thread(service.jobs.get, job.id)
        job = ended or job
    headers = {"location": f"/v1/jobs/{job.id}"}
    if wait_s:
        headers["preference-applied"] = f"wait={wait_s}"
    if wait_s and job.is_final:
        response = await asyncio.to_thread(result_response, service, job)
        response.headers.update(headers)
        return response
    return JSONResponse(await _described(service, job), 202, headers)


def list_jobs(
    service: Served,
    _: Reader,
    state: Annotated[list[State] | None, Query(description="may be repeated")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="jobs on the page")] = 50,
    after: Annotated[str, Query(description="from `next` of the page before")] = "",
) -> Any:
    """The jobs, newest first."""
    found = service.jobs.page(state or [], _read_cursor(after), limit + 1)
    page, more = found[:limit], len(found) > limit
    query = "".join(f"&state={s}" for s in state or [])
    link = f"/v1/jobs?limit={limit}{query}&after={_cursor(page[-1])}" if more else None
    return {"jobs": [describe(job, service.jobs.position(job)) for job in page], "next": link}


def show(service: Served, _: Reader, job: Found) -> Any:
    """State, progress, position in the queue, and times of a job."""
    return describe(job, service.jobs.position(job))


def delete(service: Served, token: Writer, job: Found) -> Response:
    """Delete a job that has ended, with its files (204); cancel one that has not (202)."""
    if job.is_final:
        service.delete(job)
        service.audit.write(token.name, "delete", job=job.id, file=job.file_sha256)
        return Response(status_code=204)
    service.cancel(job)
    service.audit.write(token.name, "cancel", job=job.id, file=job.file_sha256)
    return JSONResponse(describe(service.job(job.id)), 202)


async def events(request: Request, service: Served, _: Reader, job: Found) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events `job`, each with the job as JSON, until it has ended."""
    hub: Hub = request.app.state.hub
    async with hub.subscribed(job.id) as changes:
        current = await asyncio.to_thread(service.jobs.get, job.id)
        while current is not None:
            yield ServerSentEvent(data=await _described(service, current), event="job")
            if current.is_final:
                return
            current = await changes.get()


async def all_events(request: Request, service: Served, _: Reader) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events `job` of all jobs."""
    hub: Hub = request.app.state.hub
    async with hub.subscribed() as changes:
        yield ServerSentEvent(comment="connected")
        while (current := await changes.get()) is not None:
            yield ServerSentEvent(data=await _described(service, current), event="job")


async def _described(service: Service, job: Job) -> dict[str, Any]:
    return describe(job, await asyncio.to_thread(service.jobs.position, job))


def _wait_s(prefer: str) -> int:
    """The seconds of `Prefer: wait=N` (RFC 7240); 0 if there is none."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", prefer)
    return min(int(found[1]), MOST_WAIT_S) if found else 0


def _cursor(job: Job) -> str:
    return base64.urlsafe_b64encode(json.dumps([job.created, job.id]).encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[float, str] | None:
    if not text:
        return None
    try:
        created, job_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return float(created), str(job_id)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # anybody may have written it
        raise Problem("invalid_option", "after: expected what `next` of the page before contains") from error
