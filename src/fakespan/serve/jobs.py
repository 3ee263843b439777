"""Jobs as rows of a table. The states are queued, running, and one of done, failed and cancelled, which are final."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from fakespan.serve.database import JOBS

__all__ = ["FINAL", "Ending", "Faces", "Job", "Jobs", "Options", "State"]

Faces = Literal["auto", "whole", "none"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL = ("done", "failed", "cancelled")
_OPEN = ("queued", "running")


@dataclass(frozen=True)
class Options:
    """What a client may choose for a scan."""

    model: str
    threshold: float | None = None
    faces: Faces = "auto"
    start_s: float | None = None
    end_s: float | None = None
    video_track: int | None = None
    audio_track: int | None = None
    prior: float | None = None


@dataclass(frozen=True)
class Job:
    """One row; times are seconds since 1970. `fakespan.serve.database` says what the fields mean."""

    name: str
    options: Options
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: State = "queued"
    size: int | None = None
    upload: str | None = None
    file_sha256: str | None = None
    url: str | None = None
    result: str | None = None
    reused: bool = False
    summary: Mapping[str, Any] | None = None
    reason: str | None = None
    detail: str | None = None
    progress_s: float = 0.0
    total_s: float = 0.0
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    scan_s: float | None = None
    changed: float = field(default_factory=time.time)
    priority: int = 5
    deaths: int = 0
    cancelled: bool = False
    callback: str | None = None
    callback_state: str | None = None
    owner: str = ""
    upload_expires: float | None = None
    result_expires: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL


@dataclass(frozen=True)
class Ending:
    """How a job ended."""

    state: Literal["done", "failed", "cancelled"]
    reason: str | None = None
    detail: str | None = None
    result: str | None = None
    reused: bool = False
    summary: Mapping[str, Any] | None = None
    scan_s: float | None = None


class Jobs:
    """The table of jobs. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, job: Job) -> None:
        """Insert a new job."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(JOBS).values(**_to_row(job)))

    def get(self, job_id: str) -> Job | None:
        """The job, or None."""
        found = self._select(sa.select(JOBS).where(JOBS.c.id == job_id))
        return found[0] if found else None

    def page(self, states: Sequence[str], before: tuple[float, str] | None, limit: int) -> list[Job]:
        """The newest jobs first: those in one of the states (or any), created before (time, id) if that is given."""
        query = sa.select(JOBS).order_by(JOBS.c.created.desc(), JOBS.c.id.desc()).limit(limit)
        if states:
            query = query.where(JOBS.c.state.in_(states))
        if before is not None:
            query = query.where(sa.tuple_(JOBS.c.created, JOBS.c.id) < before)
        return self._select(query)

    def changed_since(self, time_s: float) -> list[Job]:
        """The jobs of which anything changed since then, oldest change first."""
        return self._select(sa.select(JOBS).where(JOBS.c.changed >= time_s).order_by(JOBS.c.changed))

    def existing(self, job_ids: Set[str]) -> set[str]:
        """Those of the jobs that were not deleted."""
        query = sa.select(JOBS.c.id).where(JOBS.c.id.in_(job_ids))
        with self._engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def waiting(self) -> list[Job]:
        """All jobs that have not ended."""
        return self._select(sa.select(JOBS).where(JOBS.c.state.in_(_OPEN)))

    def position(self, job: Job) -> int | None:
        """How many queued jobs are before this one, plus one; None if it is not queued."""
        if job.state != "queued":
            return None
        before = sa.tuple_(JOBS.c.priority, JOBS.c.created) < (job.priority, job.created)
        query = sa.select(sa.func.count()).where(JOBS.c.state == "queued", before)
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one()) + 1

    def counts(self) -> dict[str, int]:
        """State -> number of jobs."""
        query = sa.select(JOBS.c.state, sa.func.count()).group_by(JOBS.c.state)
        with self._engine.connect() as connection:
            return {state: int(count) for state, count in connection.execute(query)}

    def start(self, job_id: str) -> bool:
        """Mark as running; False if it has ended or is to be cancelled. A job that was interrupted starts again."""
        now = time.time()
        where = sa.and_(JOBS.c.state.in_(_OPEN), JOBS.c.cancelled.is_(False))
        return self._update(job_id, where, state="running", started=now, progress_s=0.0)

    def progress(self, job_id: str, done_s: float, total_s: float) -> bool:
        """Store the progress; False if the job has ended or is to be cancelled."""
        where = sa.and_(JOBS.c.state == "running", JOBS.c.cancelled.is_(False))
        return self._update(job_id, where, progress_s=done_s, total_s=total_s)

    def put_back(self, job_id: str) -> bool:
        """Queue a running job again, because the service stops."""
        return self._update(job_id, JOBS.c.state == "running", state="queued", started=None, progress_s=0.0)

    def attach(self, job_id: str, upload: str, size: int) -> bool:
        """Store which file was fetched for it."""
        return self._update(job_id, JOBS.c.state.in_(_OPEN), upload=upload, file_sha256=upload, size=size)

    def died(self, job_id: str) -> int:
        """Count a worker that died of it; the number so far."""
        self._update(job_id, sa.true(), deaths=JOBS.c.deaths + 1)
        job = self.get(job_id)
        return job.deaths if job else 0

    def ask_to_cancel(self, job_id: str) -> bool:
        """Mark a job that has not ended: its worker will stop it."""
        return self._update(job_id, JOBS.c.state.in_(_OPEN), cancelled=True)

    def end(self, job_id: str, ending: Ending, result_expires: float) -> bool:
        """Move to a final state; False if it was in one already. Only the first ending counts."""
        values = dataclasses.asdict(ending) | {"summary": _dump(ending.summary)}
        where = JOBS.c.state.in_(_OPEN)
        return self._update(job_id, where, ended=time.time(), result_expires=result_expires, **values)

    def called_back(self, job_id: str, state: str) -> bool:
        """Store what became of the callback."""
        return self._update(job_id, sa.true(), callback_state=state)

    def delete(self, job_id: str) -> None:
        """Remove the row."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(JOBS).where(JOBS.c.id == job_id))

    def forget_uploads(self, now: float) -> int:
        """Let go of uploads that have expired, of ended jobs; the sweep then removes the files."""
        where = sa.and_(JOBS.c.upload_expires < now, JOBS.c.state.in_(FINAL), JOBS.c.upload.is_not(None))
        with self._engine.begin() as connection:
            return int(connection.execute(sa.update(JOBS).where(where).values(upload=None, changed=now)).rowcount)

    def expired(self, now: float) -> list[str]:
        """Ended jobs whose results have expired."""
        query = sa.select(JOBS.c.id).where(JOBS.c.result_expires < now, JOBS.c.state.in_(FINAL))
        with self._engine.connect() as connection:
            return [row.id for row in connection.execute(query)]

    def files(self) -> tuple[set[str], set[str]]:
        """Uploads and results that any job refers to."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(JOBS.c.upload, JOBS.c.result)).all()
        return {row.upload for row in rows if row.upload}, {row.result for row in rows if row.result}

    def _select(self, query: sa.Select[Any]) -> list[Job]:
        with self._engine.connect() as connection:
            return [_from_row(row) for row in connection.execute(query).mappings()]

    def _update(self, job_id: str, where: sa.ColumnElement[bool], **values: Any) -> bool:
        query = sa.update(JOBS).where(JOBS.c.id == job_id, where).values(changed=time.time(), **values)
        with self._engine.begin() as connection:
            return bool(connection.execute(query).rowcount)


def _to_row(job: Job) -> dict[str, Any]:
    row = {f.name: getattr(job, f.name) for f in dataclasses.fields(job)}
    return row | {"options": json.dumps(dataclasses.asdict(job.options)), "summary": _dump(job.summary)}


def _from_row(row: Mapping[Any, Any]) -> Job:
    summary = row["summary"]
    options = Options(**json.loads(row["options"]))
    return Job(**{**row, "options": options, "summary": None if summary is None else json.loads(summary)})


def _dump(summary: Mapping[str, Any] | None) -> str | None:
    return None if summary is None else json.dumps(dict(summary))
