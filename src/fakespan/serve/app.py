"""The ASGI application: routes, problem details, and the order of the layers."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fakespan.serve import routes_about, routes_jobs, routes_links, routes_page, routes_results, routes_uploads
from fakespan.serve.access import Guard, RateLimit
from fakespan.serve.metrics import Metrics
from fakespan.serve.problems import MEDIA_TYPE, Problem, record
from fakespan.serve.service import Service
from fakespan.serve.watch import Hub
from fakespan.version import __version__

__all__ = ["create_app"]


def create_app(service: Service) -> FastAPI:
    """The API and the page of a service that is open."""
    app = FastAPI(
        title="fakespan",
        version=__version__,
        description="Finds the forged seconds of a video.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.service = service
    app.state.hub = Hub(service.jobs)
    app.state.metrics = Metrics(service)
    app.state.rate_limit = RateLimit(service.settings.requests_per_minute)
    app.state.n_uploads = 0
    for routes in (routes_jobs, routes_results, routes_links, routes_about, routes_page):
        app.include_router(_with_head(routes.router()))
    app.include_router(routes_uploads.router(service))
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_middleware(Guard, settings=service.settings, refuse=problem_response)
    return app


def _with_head(routes: APIRouter) -> APIRouter:
    """Answer HEAD as GET, which FastAPI does not do; not for streams, which have no end, and not in the document."""
    for route in list(routes.routes):
        if not isinstance(route, APIRoute) or route.response_class is EventSourceResponse:
            continue
        if "GET" in (route.methods or ()):
            head = copy.copy(route)
            head.methods, head.include_in_schema = {"HEAD"}, False
            routes.routes.append(head)
    return routes


def problem_response(problem: Problem) -> Response:
    """The HTTP answer for a problem."""
    headers = {} if problem.retry_after_s is None else {"retry-after": str(problem.retry_after_s)}
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    body = record(problem)
    return JSONResponse(body, status_code=body["status"], headers=headers, media_type=MEDIA_TYPE)


async def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem_response(Problem("invalid_option", f"{where}: {first['msg']}"))


async def _on_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem_response(Problem.of_status(error.status_code, str(error.detail)))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
