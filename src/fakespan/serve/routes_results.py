"""/v1/jobs/{id}/...: the result of a job as JSON, page, CSV and WebVTT; its file and its picture."""

from __future__ import annotations

import dataclasses
import json
import mimetypes
from typing import Any

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from fakespan.report.closeups import NO_CLOSEUPS, CloseUps, closeups_from_json
from fakespan.report.export import csv_text, json_text, vtt_text
from fakespan.report.html import render_html
from fakespan.serve.access import Found, Reader, Served
from fakespan.serve.jobs import Job
from fakespan.serve.problems import Problem
from fakespan.serve.schema import refusals
from fakespan.serve.service import Service
from fakespan.types import Scan

__all__ = ["media_response", "report_response", "result_response", "router", "scan_of"]

# the page inside our own page; its own policy, in the page, allows its style and script by their hashes
_REPORT_HEADERS = {
    "content-security-policy": "frame-ancestors 'self'",
    "x-frame-options": "SAMEORIGIN",
}
_REFUSALS = refusals(401, 403, 404, 409, 421, 422, 429, 500)


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"], responses=_REFUSALS)
    add = routes.add_api_route
    add("/result", result, responses=_content("application/json"))
    add("/result.csv", table, responses=_content("text/csv"), response_class=Response)
    add("/result.vtt", captions, responses=_content("text/vtt"), response_class=Response)
    add("/report", report, response_class=HTMLResponse)
    add("/media", media, responses={206: {"description": "The range"}}, response_class=FileResponse)
    add("/thumbnail", thumbnail, responses=_content("image/jpeg"), response_class=FileResponse)
    return routes


def result(service: Served, _: Reader, job: Found) -> Response:
    """The result, as `fakespan scan --json` prints it."""
    return result_response(service, job)


def table(service: Served, _: Reader, job: Found) -> Response:
    """One row for each segment."""
    return Response(csv_text(scan_of(service, job)), media_type="text/csv")


def captions(service: Served, _: Reader, job: Found) -> Response:
    """The segments as captions."""
    return Response(vtt_text(scan_of(service, job)), media_type="text/vtt")


def report(service: Served, _: Reader, job: Found) -> Response:
    """The report page, with the player while the uploaded file is kept."""
    response = report_response(service, job, f"/v1/jobs/{job.id}/media")
    response.headers.update(_REPORT_HEADERS)
    return response


def media(service: Served, _: Reader, job: Found) -> Response:
    """The uploaded file; ranges are understood."""
    return media_response(service, job)


def media_response(service: Service, job: Job) -> Response:
    """The uploaded file of a job. Raises Problem if it has been deleted."""
    path = service.store.upload_path(job.upload) if job.upload else None
    if path is None or not path.is_file():
        raise Problem("upload_deleted")
    kind = mimetypes.guess_type(job.name)[0] or ""
    return FileResponse(path, media_type=kind if kind.startswith(("video/", "audio/")) else "application/octet-stream")


def thumbnail(service: Served, _: Reader, job: Found) -> Response:
    """The first picture, small."""
    path = service.store.result_path(job.result, ".jpg") if job.result else None
    if path is None or not path.is_file():
        raise Problem("not_found", "expected a job with a picture")
    return FileResponse(path, media_type="image/jpeg")


def report_response(service: Service, job: Job, media_url: str) -> Response:
    """The report page, with the player while the uploaded file is kept. Raises Problem as `scan_of`."""
    url = media_url if job.upload else None
    return HTMLResponse(render_html(scan_of(service, job), url, _closeups(service, job)))


def result_response(service: Service, job: Job) -> Response:
    """The result of a job that has ended. Raises Problem if it has not, or if it has none."""
    return Response(json_text(scan_of(service, job)), media_type="application/json")


def scan_of(service: Service, job: Job) -> Scan:
    """The result of a job that has ended. Raises Problem if it has not, or if it has none."""
    if job.state == "failed":
        raise Problem(job.reason or "internal", job.detail or "", job=job.id)
    if job.state == "cancelled":
        raise Problem("cancelled", job=job.id)
    if job.state != "done" or job.result is None:
        raise Problem("not_finished", f"expected a job that is done, got one that is {job.state}", retry_after_s=1)
    try:
        text = service.store.result_path(job.result).read_text(encoding="utf-8")
    except FileNotFoundError as error:  # deleted meanwhile
        raise Problem("not_found", "expected a result, got one that was deleted") from error
    scan = Scan.from_dict(json.loads(text))
    source = scan.source and dataclasses.replace(scan.source, name=job.name)  # it was scanned under its hash
    return dataclasses.replace(scan, file=job.name, source=source)


def _closeups(service: Service, job: Job) -> CloseUps:
    """The images of the segments; none if the scan had no segment, or was made by an older version."""
    path = service.store.result_path(job.result, ".closeups") if job.result else None
    try:
        return closeups_from_json(path.read_text(encoding="utf-8")) if path else NO_CLOSEUPS
    except FileNotFoundError:
        return NO_CLOSEUPS


def _content(kind: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {}}}}
