"""The page and its files, and the reference of the API; nothing comes from another host."""

from __future__ import annotations

from pathlib import Path

import jinja2
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from fakespan.serve.problems import REASONS, Problem

__all__ = ["router"]

_FOLDER = Path(__file__).with_name("page")
_FILES = {"app.css": "text/css", "app.js": "text/javascript", "tus.min.js": "text/javascript"}


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/", page)
    routes.add_api_route("/page/{name}", file)
    routes.add_api_route("/docs", reference)
    return routes


def page() -> Response:
    """The page."""
    return FileResponse(_FOLDER / "index.html", media_type="text/html")


def file(name: str) -> Response:
    """Its style and script."""
    if name not in _FILES:
        raise Problem("not_found")
    return FileResponse(_FOLDER / name, media_type=_FILES[name], headers={"cache-control": "no-cache"})


def reference(request: Request) -> Response:
    """The OpenAPI document for people."""
    loader = jinja2.FileSystemLoader(_FOLDER)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.ChainableUndefined)
    template = environment.get_template("reference.html.j2")
    return HTMLResponse(template.render(api=request.app.openapi(), reasons=REASONS))
