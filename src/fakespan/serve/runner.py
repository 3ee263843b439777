"""What happens to one job, from its place in the queue to its end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from fakespan.report.words import verdict
from fakespan.serve.jobs import Ending, Job, Jobs
from fakespan.serve.outbound import fetch
from fakespan.serve.pool import Answer, Pool, Worker
from fakespan.serve.problems import Problem
from fakespan.serve.settings import Settings
from fakespan.serve.store import Store, result_key
from fakespan.types import Scan
from fakespan.version import __version__

__all__ = ["DAY_S", "Runner", "key_of", "stored_ending", "summary_of"]

DAY_S = 86_400.0
MOST_DEATHS = 2  # worker processes that one job may kill
STORE_S = 0.5  # least time between two writes of the progress

_log = logging.getLogger("fakespan.serve")


class Runner:
    """Runs jobs with the workers of this machine."""

    def __init__(self, settings: Settings, jobs: Jobs, store: Store, pool: Pool) -> None:
        self._settings, self._jobs, self._store, self._pool = settings, jobs, store, pool
        self._stopping = threading.Event()
        self._n_running, self._idle = 0, threading.Condition()

    def run(self, job_id: str) -> bool:
        """Bring a job to its end; False if the service stops before.

        May be called again after an interruption; a job that has ended stays as it is.
        """
        with self._pool.worker() as worker, self._counted():
            if self._stopping.is_set():
                return False
            if not self._jobs.start(job_id):
                self._end(job_id, Ending("cancelled"))
                return True
            while (ending := self._try(job_id, worker)) is not None:
                if self._end(job_id, ending):
                    return True
            self._jobs.put_back(job_id)
            return False

    def stop(self, timeout_s: float) -> None:
        """Stop the scans in progress, put their jobs back, and start no others."""
        self._stopping.set()
        with self._idle:
            self._idle.wait_for(lambda: self._n_running == 0, timeout_s)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._n_running += 1
        try:
            yield
        finally:
            with self._idle:
                self._n_running -= 1
                self._idle.notify_all()

    def _try(self, job_id: str, worker: Worker) -> Ending | None:
        job = self._jobs.get(job_id)
        try:
            return self._ending(job, worker) if job else Ending("cancelled")
        except Problem as problem:
            return Ending("failed", problem.reason, problem.detail)
        except Exception:
            _log.exception("a job failed", extra={"job": job_id})
            return Ending("failed", "internal", "")

    def _ending(self, job: Job, worker: Worker) -> Ending | None:
        """How the job ends; None if the service stops before."""
        watch = _Watch(self._jobs, job, self._stopping)
        try:
            job = self._fetched(job, watch)
        except _Stopped as stopped:
            return None if stopped.reason == "stopping" else Ending("cancelled")
        if job.upload is None:
            return Ending("failed", "upload_deleted", "")
        key = key_of(job, self._pool.models)
        if (ending := stored_ending(self._store, key)) is not None:
            return ending
        request = {
            "path": str(self._store.upload_path(job.upload)),
            "picture": str(self._store.result_path(key, ".jpg")),
            "closeups": str(self._store.result_path(key, ".closeups")),
            "model": job.options.model,
            "options": _scan_options(job),
        }
        while True:
            answer = worker.scan(request, watch)
            if answer.reason == "stopping":
                return None
            if answer.reason != "crashed" or self._jobs.died(job.id) >= MOST_DEATHS:
                return self._stored(key, answer)
            _log.warning("the worker died and the job is tried again", extra={"job": job.id})

    def _fetched(self, job: Job, watch: _Watch) -> Job:
        if job.upload is not None or job.url is None:
            return job
        limit_s = self._settings.time_limit_s
        deadline = time.monotonic() + limit_s

        def check() -> None:
            watch.check()
            if time.monotonic() > deadline:  # a slow host must not keep a worker for ever
                raise Problem("fetch_failed", f"expected the whole file within {limit_s:g} s")

        incoming = fetch(job.url, self._store, self._settings.url_hosts, check)
        try:
            sha256 = incoming.finish()
            with self._store.locked():
                self._store.adopt(incoming.path, sha256)
                self._jobs.attach(job.id, sha256, incoming.size)
        finally:
            incoming.discard()
        return dataclasses.replace(job, upload=sha256, file_sha256=sha256, size=incoming.size)

    def _stored(self, key: str, answer: Answer) -> Ending:
        if answer.reason == "cancelled":
            return Ending("cancelled")
        if answer.scan is None:
            return Ending("failed", answer.reason, answer.detail)
        scan = Scan.from_dict({**answer.scan, "file": ""})
        self._store.write_result(key, json.dumps(scan.to_dict(), allow_nan=False))
        return Ending("done", result=key, summary=summary_of(scan), scan_s=answer.scan_s)

    def _end(self, job_id: str, ending: Ending) -> bool:
        """Record how the job ended; False if its result was deleted with another job meanwhile."""
        expires = time.time() + self._settings.keep_results_days * DAY_S
        with self._store.locked():
            if ending.result is not None and not self._store.result_path(ending.result).exists():
                return False
            has_ended = self._jobs.end(job_id, ending, expires)
        if has_ended:
            facts = {"job": job_id, "state": ending.state, "reason": ending.reason, "reused": ending.reused}
            _log.info("job ended", extra=facts)
        return True


class _Stopped(Exception):  # noqa: N818 - never leaves the module
    """The work is to be stopped."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Watch:
    """Stores the progress, and says when the work is to be stopped."""

    def __init__(self, jobs: Jobs, job: Job, stopping: threading.Event) -> None:
        self._jobs, self._job, self._stopping = jobs, job, stopping
        self._stored_at = 0.0

    def __call__(self, done_s: float, total_s: float) -> str | None:
        if self._stopping.is_set():
            return "stopping"
        if time.monotonic() - self._stored_at < STORE_S:
            return None
        self._stored_at = time.monotonic()
        return None if self._jobs.progress(self._job.id, done_s, total_s) else "cancelled"

    def check(self) -> None:
        """Raise _Stopped when the work is to be stopped, before there is any progress."""
        if reason := self(0.0, 0.0):
            raise _Stopped(reason)


def key_of(job: Job, models: Mapping[str, Any]) -> str:
    """The key of the result of a job whose file is known."""
    assert job.file_sha256 is not None
    options = dataclasses.asdict(job.options)
    return result_key(job.file_sha256, models[job.options.model]["sha256"], options, __version__)


def stored_ending(store: Store, key: str) -> Ending | None:
    """The ending of a job whose result is there already; None if it is not."""
    try:
        scan = Scan.from_dict(json.loads(store.result_path(key).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    return Ending("done", result=key, reused=True, summary=summary_of(scan))


def summary_of(scan: Scan) -> dict[str, Any]:
    """What a list shows of a scan."""
    return {
        "is_fake": scan.is_fake,
        "verdict": verdict(scan),
        "score": scan.score,
        "threshold": scan.threshold,
        "duration_s": scan.duration_s,
        "n_segments": len(scan.segments),
        "has_picture": scan.media.has_video,
    }


def _scan_options(job: Job) -> dict[str, Any]:
    options = dataclasses.asdict(job.options)
    del options["model"]
    return options
