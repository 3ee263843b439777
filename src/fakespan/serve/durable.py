"""The queue, on dbos: an accepted job is run to its end, whatever dies meanwhile.

The table of jobs says what a client sees; dbos says what remains to be done. A job is written to the table first and
then queued; `requeue` queues those that a crash left in between. Nothing is stored as a pickle: dbos gets JSON.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, Serializer, SetEnqueueOptions, SetWorkflowID

from fakespan.serve.database import MACHINES
from fakespan.serve.jobs import Job, Jobs
from fakespan.serve.outbound import post_signed
from fakespan.serve.runner import Runner
from fakespan.serve.settings import Settings

__all__ = ["Durable"]

SCANS, CALLBACKS = "scans", "callbacks"
AHEAD = 1  # jobs that wait beside a busy worker, so that it never waits for the queue
POLL_S = 0.1
CALLBACK_PAUSES_S = (5.0, 30.0, 300.0, 1_800.0, 7_200.0, 18_000.0)  # before each further attempt
STOP_S = 10.0  # for the scans in progress to be put back
VERSION = "1"  # of the workflows; jobs of another version are not run

_log = logging.getLogger("fakespan.serve")


class _Json(Serializer):
    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=str)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "fakespan_json"


class Durable:
    """The queues of one process. Only one may be open at a time, which is how dbos works.

    Args:
        settings: of the service.
        engine: of the database.
        jobs: its table.
        runner: runs one job.
        secret: signs callbacks.
        describe: the JSON of a job, for callbacks.
    """

    def __init__(
        self,
        settings: Settings,
        engine: sa.Engine,
        jobs: Jobs,
        runner: Runner,
        *,
        secret: str,
        describe: Callable[[Job], dict[str, Any]],
    ) -> None:
        self._settings, self._engine, self._jobs, self._runner = settings, engine, jobs, runner
        self._secret, self._describe = secret, describe
        self.pauses_s = CALLBACK_PAUSES_S
        config: DBOSConfig = {
            "name": "fakespan",
            "system_database_url": settings.database_url,
            "executor_id": settings.executor,
            "application_version": VERSION,
            "serializer": _Json(),
            "log_level": "ERROR",
        }
        if not settings.database:
            config["system_database_engine"] = engine
        DBOS(config=config)

        @DBOS.workflow(name="scan", max_recovery_attempts=None)
        def scan(job_id: str) -> None:
            self._run(job_id)

        @DBOS.workflow(name="callback", max_recovery_attempts=None)
        def call_back(job_id: str) -> None:
            self._deliver(job_id)

        @DBOS.step(name="post")
        def attempt(job_id: str) -> bool:
            return self._post(job_id)

        self._scan, self._call_back, self._attempt = scan, call_back, attempt

    def open(self) -> None:
        """Start to take jobs, first those that a process of this name left behind."""
        DBOS.launch()
        slots = self._settings.scans_at_once
        DBOS.register_queue(SCANS, worker_concurrency=slots + AHEAD, polling_interval_sec=POLL_S)
        DBOS.register_queue(CALLBACKS, worker_concurrency=8, polling_interval_sec=1.0)
        self.beat()
        self.requeue()

    def close(self) -> None:
        """Take no more jobs; those in progress are queued again by the next start."""
        self._runner.stop(STOP_S)
        DBOS.destroy(destroy_registry=True)

    def submit(self, job: Job) -> None:
        """Queue a job that is in the table. To queue it twice does no harm: it ends once."""
        with SetWorkflowID(f"{job.id}-{secrets.token_hex(4)}"), SetEnqueueOptions(priority=job.priority):
            DBOS.enqueue_workflow(SCANS, self._scan, job.id)

    def requeue(self) -> int:
        """Queue the open jobs that no queue knows: a process died between the table and the queue, or was stopped."""
        open_jobs = self._jobs.waiting()
        found = DBOS.list_workflows(
            status=["PENDING", "ENQUEUED"], name="scan", app_version=VERSION, load_input=False, load_output=False
        )
        known = {status.workflow_id.partition("-")[0] for status in found}
        lost = [job for job in open_jobs if job.id not in known]
        for job in lost:
            self.submit(job)
        return len(lost)

    def tidy(self) -> None:
        """Remove what dbos keeps of workflows that ended an hour ago."""
        before = (datetime.now(tz=UTC) - timedelta(hours=1)).isoformat()
        ended = DBOS.list_workflows(completed_before=before, load_input=False, load_output=False, limit=1_000)
        if ended:
            DBOS.delete_workflows([status.workflow_id for status in ended])

    def beat(self) -> None:
        """Say that this machine is alive."""
        now, name = time.time(), self._settings.executor
        with self._engine.begin() as connection:
            done = connection.execute(sa.update(MACHINES).where(MACHINES.c.name == name).values(alive=now))
            if not done.rowcount:
                connection.execute(sa.insert(MACHINES).values(name=name, alive=now))

    def adopt(self) -> int:
        """Take over the jobs of machines that have died; how many. If that fails, the next look finds them again."""
        where = MACHINES.c.alive < time.time() - self._settings.dead_s
        with self._engine.begin() as connection:
            dead = [row.name for row in connection.execute(sa.delete(MACHINES).where(where).returning(MACHINES.c.name))]
            return self._resume(dead) if dead else 0

    def _resume(self, machines: Sequence[str]) -> int:
        """Queue what these machines left unfinished; how many jobs and callbacks."""
        left = DBOS.list_workflows(status="PENDING", executor_id=list(machines), load_input=False, load_output=False)
        for status in left:
            queue = SCANS if status.name == "scan" else CALLBACKS
            DBOS.resume_workflow(status.workflow_id, queue_name=queue)
        return len(left)

    def _run(self, job_id: str) -> None:
        """Workflow: one scan. `Runner.run` may be repeated, so an interruption anywhere is repaired by another run."""
        if not self._runner.run(job_id):
            return  # the service stops; the job is queued again at the next start
        job = self._jobs.get(job_id)
        if job is not None and job.callback:
            with SetWorkflowID(f"{job_id}-callback"):
                DBOS.enqueue_workflow(CALLBACKS, self._call_back, job_id)

    def _deliver(self, job_id: str) -> None:
        """Workflow: post the callback until it is taken."""
        for pause_s in (0.0, *self.pauses_s):
            if pause_s:
                DBOS.sleep(pause_s)
            if self._attempt(job_id):
                self._jobs.called_back(job_id, "delivered")
                return
        self._jobs.called_back(job_id, "failed")
        _log.warning("a callback was given up", extra={"job": job_id})

    def _post(self, job_id: str) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job.callback is None:
            return True
        data = self._describe(job)
        body = {"type": f"job.{job.state}", "timestamp": data["ended"], "data": data}
        private = self._settings.private_callbacks
        with contextlib.suppress(httpx.HTTPError, ValueError):
            post_signed(job.callback, self._secret, f"msg_{job_id}", body, private=private)
            return True
        return False
