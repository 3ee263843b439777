"""/v1/jobs/{id}/links: links to a report for people without a token; /shared: what such a link shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from fakespan.serve.access import Found, Reader, Served, Writer, address_of
from fakespan.serve.jobs import Job
from fakespan.serve.links import Link
from fakespan.serve.problems import Problem
from fakespan.serve.routes_results import media_response, report_response, scan_of
from fakespan.serve.runner import DAY_S
from fakespan.serve.schema import LinkOut, NewLinkOut, describe_link, refusals
from fakespan.serve.service import Service

__all__ = ["SHARED", "router"]

SHARED = "/shared"
MOST_DAYS = 365
_GONE = Path(__file__).with_name("page") / "gone.html"
_REFUSALS = refusals(401, 403, 404, 409, 421, 422, 429, 500)
_HEADERS = {"x-robots-tag": "noindex, nofollow"}
_Days = Annotated[float, Body(embed=True, gt=0, le=MOST_DAYS, description="until it expires; never after the result")]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["links"], responses=_REFUSALS)
    add, path = routes.add_api_route, "/v1/jobs/{job_id}/links"
    add(path, share, methods=["POST"], status_code=201, response_model=NewLinkOut)
    add(path, list_links, response_model=list[LinkOut])
    add(path + "/{link_id}", revoke, methods=["DELETE"], status_code=204)
    add(SHARED + "/{link_id}/{secret}", shared_report, include_in_schema=False)
    add(SHARED + "/{link_id}/{secret}/media", shared_media, include_in_schema=False)
    return routes


def share(service: Served, token: Writer, job: Found, days: _Days = 7.0) -> Any:
    """Make a link to the report and the file of this job, for people without a token; its `url` is told only now."""
    scan_of(service, job)  # refuses a job without a result
    made = service.links.create(job, token.name, days * DAY_S)
    if made is None:
        raise Problem("not_found", "expected a job, got one that was deleted")
    link, secret = made
    service.audit.write(token.name, "share", job=job.id, file=job.file_sha256, link=link.id)
    return describe_link(link) | {"url": f"{SHARED}/{link.id}/{secret}"}


def list_links(service: Served, _: Reader, job: Found) -> Any:
    """The links that are valid, oldest first, without their secrets."""
    return [describe_link(link) for link in service.links.of(job)]


def revoke(service: Served, token: Writer, job: Found, link_id: str) -> Response:
    """End a link at once."""
    if not service.links.revoke(job, link_id):
        raise Problem("not_found", "expected the id of a link of this job")
    service.audit.write(token.name, "revoke_link", job=job.id, file=job.file_sha256, link=link_id)
    return Response(status_code=204)


def shared_report(request: Request, service: Served, link_id: str, secret: str) -> Response:
    """The report page; a page that says so if the link is not valid, whatever the reason."""
    found = _found(request, service, link_id, secret)
    if found is None:
        return FileResponse(_GONE, status_code=404, media_type="text/html", headers=_HEADERS)
    link, job = found
    response = report_response(service, job, f"{SHARED}/{link_id}/{secret}/media")
    response.headers.update({**_HEADERS, "content-security-policy": "frame-ancestors 'none'"})
    service.audit.write(f"link {link.id}", "open", job=job.id, file=job.file_sha256)
    return response


def shared_media(request: Request, service: Served, link_id: str, secret: str) -> Response:
    """The file, for the player of the report page; ranges are understood."""
    found = _found(request, service, link_id, secret)
    if found is None:
        raise Problem("not_found", "expected a link that is valid")
    return media_response(service, found[1])


def _found(request: Request, service: Service, link_id: str, secret: str) -> tuple[Link, Job] | None:
    """The link and its job, counted as a request: of the link, or of the address if there is no such link."""
    link = service.links.find(link_id, secret)
    request.app.state.rate_limit.check(f"link {link.id}" if link else address_of(request))
    job = service.jobs.get(link.job) if link else None
    return (link, job) if link and job else None
