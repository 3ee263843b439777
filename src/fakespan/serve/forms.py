"""From a submitted form to a job in the queue: every field is checked, and the file and its row go together."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

from starlette.requests import Request

from fakespan.errors import UsageError
from fakespan.serve.jobs import Faces, Job, Options
from fakespan.serve.outbound import check_callback, check_url
from fakespan.serve.problems import Problem
from fakespan.serve.resumable import take_upload
from fakespan.serve.service import Service
from fakespan.serve.tokens import Token
from fakespan.serve.upload import Form, display_name, read_form
from fakespan.times import parse_range

__all__ = ["FORM_SCHEMA", "receive_job"]

FACES = get_args(Faces)
MOST_TRACKS = 1000
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "file": {"type": "string", "format": "binary", "description": "the file itself"},
    "upload": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "id of a finished resumable upload"},
    "url": {"type": "string", "format": "uri", "description": "where the file is fetched, if the service allows it"},
    "model": {"type": "string", "description": "one of /v1/models", "example": "small"},
    "threshold": {"type": "number", "minimum": 0, "maximum": 1, "description": "default: the model's"},
    "faces": {"type": "string", "enum": list(FACES), "default": "auto"},
    "start": {"type": "string", "description": "judge from this time on: seconds, m:ss or h:mm:ss", "example": "1:02"},
    "end": {"type": "string", "description": "judge up to this time", "example": "1:20"},
    "video_track": {"type": "integer", "minimum": 1, "description": "default: the one with most faces"},
    "audio_track": {"type": "integer", "minimum": 1, "description": "default: the one with most speech"},
    "prior": {
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "description": "share of forged files among such files; default: 0.5",
    },
    "priority": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5, "description": "1 is first"},
    "callback": {"type": "string", "format": "uri", "description": "gets a signed POST when the job has ended"},
}
FORM_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": dict(_FIELDS), "additionalProperties": False}
            }
        },
    }
}
"""The body of `POST /v1/jobs` for OpenAPI."""


async def receive_job(request: Request, service: Service, token: Token) -> Job:
    """Read the form and put its job into the queue. Raises Problem; then nothing is left on the disk."""
    metrics = request.app.state.metrics
    try:
        with _place(request, service):
            form = await read_form(request, service.store, service.settings.upload_idle_s)
        try:
            job = await asyncio.to_thread(_accept, form, service, token)
        finally:
            form.discard()
    except Problem as problem:
        metrics.refused.labels(problem.reason).inc()
        raise
    metrics.accepted.inc()
    metrics.upload_bytes.observe(job.size or 0)
    return job


@contextlib.contextmanager
def _place(request: Request, service: Service) -> Iterator[None]:
    """One of the places for uploads that are received at the same time."""
    state = request.app.state
    if state.n_uploads >= service.settings.max_uploads:
        raise Problem("too_many_uploads", f"{state.n_uploads} files are being received", retry_after_s=2)
    state.n_uploads += 1
    try:
        yield
    finally:
        state.n_uploads -= 1


def _accept(form: Form, service: Service, token: Token) -> Job:
    fields = {name: value for name, value in form.fields.items() if value}
    if unknown := set(form.fields) - set(_FIELDS):
        raise Problem("invalid_option", f"expected the fields {', '.join(_FIELDS)}, got {min(unknown)[:40]!r}")
    sources = [name for name in ("upload", "url") if name in fields] + ["file"] * (form.incoming is not None)
    if len(sources) != 1:
        raise Problem("bad_request", "expected one of the fields file, upload and url")
    job = Job(
        name=form.name or "unnamed",
        options=_options(fields, service),
        priority=_number(fields, "priority", (1, 9), 5, int),
        callback=_callback(fields, service),
        owner=token.name,
        upload_expires=service.upload_expires(),
    )
    job = _with_file(job, form, fields, service)
    service.audit.write(token.name, "submit", job=job.id, file=job.file_sha256, url=job.url, name=job.name)
    return job


def _with_file(job: Job, form: Form, fields: Mapping[str, str], service: Service) -> Job:
    service.check_queue()
    if "url" in fields:
        check_url(fields["url"], service.settings.url_hosts)
        name = display_name(unquote(urlsplit(fields["url"]).path))  # a query may hold a signature
        return service.submit(dataclasses.replace(job, url=fields["url"], name=name))
    if "upload" in fields:
        form.incoming, name = take_upload(service.store, fields["upload"])
        job = dataclasses.replace(job, name=name)
    assert form.incoming is not None
    sha256, size = form.incoming.finish(), form.incoming.size
    job = dataclasses.replace(job, upload=sha256, file_sha256=sha256, size=size)
    with service.store.locked():
        service.store.adopt(form.incoming.path, sha256)
        return service.submit(job)


def _options(fields: Mapping[str, str], service: Service) -> Options:
    names = list(service.settings.model_names)
    model, faces = fields.get("model", names[0]), fields.get("faces", "auto")
    if model not in names:
        raise Problem("invalid_option", f"model: expected {' or '.join(names)}")
    if faces not in FACES:
        raise Problem("invalid_option", f"faces: expected {', '.join(FACES)}")
    try:
        start_s, end_s = parse_range(fields.get("start"), fields.get("end"))
    except UsageError as error:
        raise Problem("invalid_option", f"{error.subject}: expected {error.expected}") from error
    threshold = _number(fields, "threshold", (0, 1), None, float)
    prior = _number(fields, "prior", (0, 1), None, float)
    if prior in (0, 1):
        raise Problem("invalid_option", "prior: expected a number between 0 and 1")
    video, audio = (_number(fields, f"{kind}_track", (1, MOST_TRACKS), None, int) for kind in ("video", "audio"))
    return Options(model, threshold, faces, start_s, end_s, video, audio, prior)  # type: ignore[arg-type]


def _number(fields: Mapping[str, str], name: str, limits: tuple[int, int], default: Any, kind: Any) -> Any:
    if name not in fields:
        return default
    least, most = limits
    try:
        value = kind(fields[name])
    except ValueError:
        value = most + 1
    if not least <= value <= most:
        raise Problem("invalid_option", f"{name}: expected a number from {least} to {most}")
    return value


def _callback(fields: Mapping[str, str], service: Service) -> str | None:
    if "callback" in fields:
        check_callback(fields["callback"], private=service.settings.private_callbacks)
    return fields.get("callback")
