"""What the service says of itself: models, problems, health, metrics, a session for the page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import Response

from fakespan.serve.access import COOKIE, Admin, Reader, Served, address_of, need, scheme_of
from fakespan.serve.problems import REASONS, Problem
from fakespan.serve.schema import ModelOut, refusals

__all__ = ["router"]

COOKIE_S = 30 * 86_400


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["service"], responses=refusals(401, 403, 421, 422, 429, 500, 503))
    add = routes.add_api_route
    add("/v1/models", models, response_model=list[ModelOut])
    add("/v1/problems", problems)
    add("/v1/session", session)
    add("/v1/session", log_in, methods=["POST"], status_code=204)
    add("/v1/session", log_out, methods=["DELETE"], status_code=204)
    add("/healthz", health)
    add("/readyz", ready)
    add("/metrics", metrics, responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
    return routes


def models(service: Served, _: Reader) -> Any:
    """The models that scan; the first is the default."""
    names = list(service.settings.model_names)
    return [{"name": name, "is_default": name == names[0], **service.pool.models[name]} for name in names]


def problems() -> dict[str, dict[str, Any]]:
    """Every reason that a problem can have, with its status."""
    return {name: {"status": reason.status, "title": reason.title} for name, reason in REASONS.items()}


def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


def ready(service: Served) -> dict[str, str]:
    """The database answers and there is room for files."""
    service.jobs.counts()
    service.store.check_room()
    return {"status": "ready"}


def metrics(request: Request, _: Admin) -> Response:
    """Numbers for Prometheus."""
    return Response(request.app.state.metrics.text(), media_type="text/plain; version=0.0.4")


def session(request: Request, service: Served) -> dict[str, Any]:
    """Who asks; for the page, which asks for a token if one is needed."""
    try:
        token = need("read")(request)
    except Problem as problem:
        if problem.status != 401:
            raise
        return {"name": None, "scopes": [], "needs_token": True}
    return {"name": token.name, "scopes": sorted(token.scopes), "needs_token": service.needs_token}


def log_in(request: Request, service: Served, token: Annotated[str, Body(embed=True, max_length=200)]) -> Response:
    """Keep the token in a cookie that scripts cannot read, for the page."""
    request.app.state.rate_limit.check(address_of(request))
    if service.needs_token and service.tokens.find(token) is None:
        raise Problem("wrong_token")
    response = Response(status_code=204)
    if service.needs_token:
        is_secure = scheme_of(request) == "https"
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=is_secure, max_age=COOKIE_S)
    return response


def log_out() -> Response:
    """Forget the token."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
