"""Tells waiting requests that a job changed: one look at the database for all of them, whichever machine works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Set

from fakespan.serve.jobs import Job, Jobs

__all__ = ["Hub"]

LOOK_S = 0.25
OVERLAP_S = 5.0  # clocks of machines and commits differ; what was told already is not told again

_log = logging.getLogger("fakespan.serve")


class Hub:
    """Subscriptions to jobs. It looks only while anybody waits."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._waiting: dict[asyncio.Queue[Job | None], str | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._told: dict[str, float] = {}

    @contextlib.asynccontextmanager
    async def subscribed(self, job_id: str | None = None) -> AsyncIterator[asyncio.Queue[Job | None]]:
        """A queue of the states of one job, or of all jobs, from now on; None: it was deleted, or the service stops."""
        changes: asyncio.Queue[Job | None] = asyncio.Queue()
        self._waiting[changes] = job_id
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            yield changes
        finally:
            del self._waiting[changes]

    async def until_final(self, job_id: str, timeout_s: float) -> None:
        """Wait until the job has ended, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self.subscribed(job_id) as changes:
                job = await asyncio.to_thread(self._jobs.get, job_id)
                while job is not None and not job.is_final:
                    job = await changes.get()

    def close(self) -> None:
        """Let everybody who waits go."""
        for changes in self._waiting:
            changes.put_nowait(None)

    async def _look(self) -> None:
        newest = time.time()
        while self._waiting:
            since = min(newest, time.time()) - OVERLAP_S  # the clock may have been set back
            awaited = {job_id for job_id in self._waiting.values() if job_id}
            changed, kept = await asyncio.to_thread(self._read, since, awaited)
            for job in changed:
                newest = max(newest, job.changed)
                if self._told.get(job.id) != job.changed:
                    self._told[job.id] = job.changed
                    self._tell(job.id, job)
            for job_id in awaited - kept:
                self._tell(job_id, None)
            self._told = {job_id: changed for job_id, changed in self._told.items() if changed >= since}
            await asyncio.sleep(LOOK_S)

    def _read(self, since: float, awaited: Set[str]) -> tuple[list[Job], Set[str]]:
        """The jobs that changed, and the awaited ones that exist. No news if the database does not answer."""
        try:
            return self._jobs.changed_since(since), self._jobs.existing(awaited)
        except Exception:
            _log.exception("a look for changed jobs failed")
            return [], awaited

    def _tell(self, job_id: str, news: Job | None) -> None:
        for changes, wanted in self._waiting.items():
            if wanted == job_id or (wanted is None and news is not None):
                changes.put_nowait(news)
