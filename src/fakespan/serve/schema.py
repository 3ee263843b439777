"""The JSON of the API, as pydantic models: what OpenAPI documents and what clients get."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from fakespan.serve.jobs import Faces, Job, Options, State
from fakespan.serve.links import Link
from fakespan.serve.problems import MEDIA_TYPE, Problem, record

__all__ = [
    "EXAMPLE",
    "JobList",
    "JobOut",
    "LinkOut",
    "ModelOut",
    "NewLinkOut",
    "ProblemOut",
    "describe",
    "describe_link",
    "refusals",
]


class ProblemOut(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(examples=["/v1/problems#unreadable_media"])
    title: str = Field(examples=["The file cannot be read as a media file."])
    status: int = Field(examples=[422])
    reason: str = Field(description="stable, for programs", examples=["unreadable_media"])
    detail: str | None = Field(None, examples=["expected a media file, got a text file; give a video or sound file"])


class SummaryOut(BaseModel):
    """What a list shows of a result."""

    is_fake: bool
    verdict: str
    score: float
    threshold: float
    duration_s: float
    n_segments: int
    has_picture: bool = True  # jobs of earlier versions do not say it


class OptionsOut(BaseModel):
    """The options of a scan."""

    model: str
    threshold: float | None
    faces: Faces
    start_s: float | None = Field(description="of the file; null: from its start")
    end_s: float | None
    video_track: int | None
    audio_track: int | None
    prior: float | None


class JobOut(BaseModel):
    """A job."""

    id: str
    state: State
    name: str = Field(description="of the file, for display")
    size: int | None = Field(description="bytes; null until a URL has been fetched")
    file_sha256: str | None
    options: OptionsOut
    priority: int
    queue_position: int | None = Field(description="1 is next; null unless queued")
    progress: float = Field(description="0 to 1")
    time_left_s: float | None = Field(description="estimate, while it runs")
    created: datetime
    started: datetime | None
    ended: datetime | None
    scan_s: float | None = Field(description="time of the scan itself")
    reused: bool = Field(description="the result of an earlier scan of the same file with the same model and options")
    summary: SummaryOut | None
    problem: ProblemOut | None = Field(description="why it failed")
    callback: str | None
    callback_state: Literal["delivered", "failed"] | None
    owner: str = Field(description="name of the token")
    upload_expires: datetime | None = Field(description="when the uploaded file is deleted; null: it is deleted")
    result_expires: datetime | None = Field(description="when the job and its result are deleted")
    links: dict[str, str]


class JobList(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobOut]
    next: str | None = Field(description="link to the next page")


class LinkOut(BaseModel):
    """A link to a report for people without a token."""

    id: str
    created: datetime
    expires: datetime
    owner: str = Field(description="name of the token that made it")


class NewLinkOut(LinkOut):
    """The same, the only time that it is told whole."""

    url: str = Field(description="path on this service; contains the secret")


class ModelOut(BaseModel):
    """A model that scans."""

    name: str
    is_default: bool
    sha256: str = Field(description="of its file")
    threshold: float = Field(description="score from which a segment counts as forged")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem details that a route may answer with, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": ProblemOut.model_json_schema()}}
    return {status: {"description": "Problem details", "content": content} for status in statuses}


def describe(job: Job, position: int | None = None) -> dict[str, Any]:
    """The JSON of a job."""
    problem = record(Problem(job.reason, job.detail or "")) if job.reason else None
    progress = 1.0 if job.state == "done" else min(1.0, job.progress_s / job.total_s) if job.total_s else 0.0
    return {
        "id": job.id,
        "state": job.state,
        "name": job.name,
        "size": job.size,
        "file_sha256": job.file_sha256,
        "options": dataclasses.asdict(job.options),
        "priority": job.priority,
        "queue_position": position,
        "progress": round(progress, 4),
        "time_left_s": _time_left(job, progress),
        "created": _time(job.created),
        "started": _time(job.started),
        "ended": _time(job.ended),
        "scan_s": job.scan_s,
        "reused": job.reused,
        "summary": None if job.summary is None else dict(job.summary),
        "problem": problem,
        "callback": job.callback,
        "callback_state": job.callback_state,
        "owner": job.owner,
        "upload_expires": _time(job.upload_expires) if job.upload else None,
        "result_expires": _time(job.result_expires),
        "links": _links(job),
    }


def describe_link(link: Link) -> dict[str, Any]:
    """The JSON of a link to a report, without its secret."""
    return {"id": link.id, "created": _time(link.created), "expires": _time(link.expires), "owner": link.owner}


def _links(job: Job) -> dict[str, str]:
    here = f"/v1/jobs/{job.id}"
    links = {"self": here, "events": f"{here}/events"}
    if job.upload:
        links["media"] = f"{here}/media"
    if job.state == "done":
        links |= {"result": f"{here}/result", "report": f"{here}/report"}
        links |= {"csv": f"{here}/result.csv", "vtt": f"{here}/result.vtt"}
        if (job.summary or {}).get("has_picture", True):
            links["thumbnail"] = f"{here}/thumbnail"
    return links


def _time_left(job: Job, progress: float) -> float | None:
    if job.state != "running" or job.started is None or progress < 0.02:
        return None
    return round((time.time() - job.started) * (1 - progress) / progress, 1)


def _time(time_s: float | None) -> str | None:
    return None if time_s is None else datetime.fromtimestamp(time_s, tz=UTC).isoformat(timespec="milliseconds")


EXAMPLE: Mapping[str, Any] = {
    "id": "3f2b8c0d9e6a4c1fb7d5a1c2e3f40516",
    "state": "done",
    "name": "interview.mp4",
    "size": 201064,
    "file_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "options": dataclasses.asdict(Options("small")),
    "priority": 5,
    "queue_position": None,
    "progress": 1.0,
    "time_left_s": None,
    "created": "2026-11-27T09:00:00.000+00:00",
    "started": "2026-11-27T09:00:00.120+00:00",
    "ended": "2026-11-27T09:00:00.560+00:00",
    "scan_s": 0.41,
    "reused": False,
    "summary": {
        "is_fake": True,
        "verdict": "suspected forged",
        "score": 0.77,
        "threshold": 0.76,
        "duration_s": 8.32,
        "n_segments": 1,
        "has_picture": True,
    },
    "problem": None,
    "callback": None,
    "callback_state": None,
    "owner": "desk",
    "upload_expires": "2026-12-04T09:00:00.000+00:00",
    "result_expires": "2026-12-27T09:00:00.560+00:00",
    "links": {"self": "/v1/jobs/3f2b8c0d9e6a4c1fb7d5a1c2e3f40516"},
}
