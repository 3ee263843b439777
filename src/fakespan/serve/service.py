"""The parts of the service, put together; what the API asks of them; and the housekeeping thread."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from fakespan.errors import UsageError
from fakespan.files import replacing, try_lock
from fakespan.serve.audit import Audit
from fakespan.serve.database import connect
from fakespan.serve.durable import Durable
from fakespan.serve.jobs import Ending, Job, Jobs
from fakespan.serve.links import Links
from fakespan.serve.pool import Pool
from fakespan.serve.problems import Problem
from fakespan.serve.runner import DAY_S, Runner, key_of, stored_ending
from fakespan.serve.settings import Settings
from fakespan.serve.store import Store
from fakespan.serve.tokens import Tokens

__all__ = ["Service"]

BEATS = 6  # signs of life within the time after which a machine counts as dead
ABANDONED_S = 86_400.0  # an upload that nobody continued for so long is removed

_log = logging.getLogger("fakespan.serve")


class Service:
    """Everything behind the API. `open` starts it, `close` stops it.

    Args:
        settings: of the service.
        describe: the JSON of a job, for callbacks.
    """

    def __init__(self, settings: Settings, describe: Callable[[Job], dict[str, Any]]) -> None:
        self.settings = settings
        folder = settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            lock = undo.enter_context((folder / "service.lock").open("ab"))
            if not settings.database and not try_lock(lock):
                got, remedy = "one in use by another service", "stop the other one, or give both a PostgreSQL database"
                raise UsageError(folder, expected="a free data folder", got=got, remedy=remedy)
            self.store = Store(
                folder,
                quota_bytes=settings.quota_gb * 1e9,
                min_free_bytes=settings.min_free_gb * 1e9,
                max_file_bytes=settings.max_upload_bytes,
            )
            self.engine: sa.Engine = connect(settings.database_url)
            undo.callback(self.engine.dispose)
            self.jobs, self.links, self.tokens = Jobs(self.engine), Links(self.engine), Tokens(self.engine)
            self.audit = Audit(folder / "audit.jsonl")
            undo.callback(self.audit.close)
            self.pool = Pool(settings)
            undo.callback(self.pool.stop)
            runner = Runner(settings, self.jobs, self.store, self.pool)
            self.durable = Durable(
                settings, self.engine, self.jobs, runner, secret=_secret(settings), describe=describe
            )
            undo.callback(self.durable.close)
            self._undo = undo.pop_all()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)

    @property
    def needs_token(self) -> bool:
        """Whether clients must show a token: everywhere but on the loopback address."""
        return self.settings.host not in ("127.0.0.1", "::1", "localhost")

    def open(self) -> None:
        """Start to run jobs."""
        self.durable.open()
        if not self.settings.database:  # nobody else receives anything here
            for path in self.store.incoming_folder.iterdir():
                path.unlink(missing_ok=True)
        self.sweep()
        self._thread.start()

    def close(self) -> None:
        """Put running jobs back, and stop all processes and threads."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)
        self._undo.close()

    def check_queue(self) -> None:
        """Raise Problem if no further job is accepted; asked before a file is taken into the store."""
        if self.jobs.counts().get("queued", 0) >= self.settings.max_queued:
            raise Problem("queue_full", f"{self.settings.max_queued} jobs are waiting", retry_after_s=30)

    def submit(self, job: Job) -> Job:
        """Accept a job whose upload, if it has one, is in the store; it may be done at once."""
        self.jobs.add(job)
        ending = stored_ending(self.store, key_of(job, self.pool.models)) if job.upload else None
        if ending is None or not self.jobs.end(job.id, ending, self.result_expires()):
            self.durable.submit(job)
        elif job.callback:
            self.durable.submit(job)  # which finds it ended and only calls back
        return self.jobs.get(job.id) or job

    def job(self, job_id: str) -> Job:
        """The job; raises Problem if there is none."""
        job = self.jobs.get(job_id)
        if job is None:
            raise Problem("not_found", "expected the id of a job")
        return job

    def result_expires(self) -> float:
        """When a result that is stored now expires."""
        return time.time() + self.settings.keep_results_days * DAY_S

    def upload_expires(self) -> float:
        """When an upload that is stored now expires."""
        return time.time() + self.settings.keep_uploads_days * DAY_S

    def cancel(self, job: Job) -> None:
        """Stop a job that has not ended."""
        self.jobs.ask_to_cancel(job.id)
        if job.state == "queued":
            self.jobs.end(job.id, Ending("cancelled"), self.result_expires())

    def delete(self, job: Job) -> None:
        """Remove a job that has ended, with those of its files that no other job needs."""
        with self.store.locked():
            self.jobs.delete(job.id)
            uploads, results = self.jobs.files()
            if job.upload and job.upload not in uploads:
                self.store.upload_path(job.upload).unlink(missing_ok=True)
            if job.result and job.result not in results:
                for suffix in (".json", ".jpg", ".closeups"):
                    self.store.result_path(job.result, suffix).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what has expired, and files that a crash left behind."""
        now = time.time()
        self.jobs.forget_uploads(now)
        self.links.forget_expired()
        for job_id in self.jobs.expired(now):
            if (job := self.jobs.get(job_id)) is not None:
                self.delete(job)
                self.audit.write("service", "expire", job=job.id, file=job.file_sha256)
        with self.store.locked():
            n_removed = self.store.remove_orphans(*self.jobs.files(), older_than_s=self.settings.orphan_s)
        n_removed += self.store.remove_abandoned(ABANDONED_S)
        if n_removed:
            _log.info("files removed", extra={"files": n_removed})

    def _keep_house(self) -> None:
        swept_at = time.monotonic()
        while not self._stop.wait(self.settings.dead_s / BEATS):
            with _logged("housekeeping failed"):
                self.durable.beat()
                if n_adopted := self.durable.adopt():
                    _log.warning("jobs of a dead machine taken over", extra={"jobs": n_adopted})
                if time.monotonic() - swept_at >= self.settings.sweep_s:
                    swept_at = time.monotonic()
                    self.durable.requeue()
                    self.durable.tidy()
                    self.sweep()


@contextlib.contextmanager
def _logged(message: str) -> Any:
    try:
        yield
    except Exception:
        _log.exception(message)


def _secret(settings: Settings) -> str:
    """The secret that signs callbacks, made at the first start; in a file that only this user reads."""
    path = settings.folder / "callback-secret"
    if not path.exists():
        with replacing(path) as part:
            part.chmod(0o600)
            part.write_text("whsec_" + b64encode(secrets.token_bytes(32)).decode(), encoding="ascii")
    return path.read_text(encoding="ascii").strip()
