"""Kills the service and its worker at random moments while jobs are submitted; then counts what became of them.

    python tests/campaigns/serve_kill.py --jobs 30 --seed 1

Every accepted job must end exactly once, as a result or as a typed failure, and no file may be left that no job names.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakespan.serve.database import connect
from fakespan.serve.jobs import Jobs
from fakespan.serve.problems import REASONS
from fakespan.serve.settings import Settings
from services import Process, children_of, ended, files_below, submit, until


class Campaign:
    """One run."""

    def __init__(self, data: Path, seed: int, **settings: str) -> None:
        self.data, self.random, self._settings = data, random.Random(seed), settings
        self.accepted: list[str] = []
        self.killed: Counter[str] = Counter()
        self._logs: list[str] = []
        self.process = self._start()

    def run(self, n_jobs: int, most_pause_s: float) -> None:
        """Submit jobs, and kill something after each."""
        for number in range(n_jobs):
            with contextlib.suppress(httpx.HTTPError):  # killed in the middle of it: not accepted
                content = b"no video" if number % 7 == 6 else None
                answer = submit(self.process.http, content, threshold=0.4 + number / 10_000)
                if answer.status_code == 202:
                    self.accepted.append(answer.json()["id"])
            time.sleep(self.random.uniform(0, most_pause_s))
            self._kill_something()

    def finish(self) -> list[dict[str, Any]]:
        """Wait for the end of all accepted jobs, sweep, and stop; the jobs."""
        self._restart()
        jobs = [ended(self.process.http, job_id) for job_id in self.accepted]
        known = self.process.http.get("/v1/jobs?limit=200").json()["jobs"]
        for job in known:  # those that were stored but whose answer was lost
            ended(self.process.http, job["id"])
        self._restart()  # sweeps
        self.process.stop()
        self._logs.append(self.process.log)
        return jobs

    def faults(self, jobs: list[dict[str, Any]]) -> list[str]:
        """What is wrong with the ends of the jobs and the files that are left."""
        found = [f"{job['id']}: ended as {job['state']}" for job in jobs if not _is_typed_end(job)]
        ends = Counter(re.findall(r'"message": "job ended", "job": "(\w+)"', "".join(self._logs)))
        found += [f"{job_id}: ended {n} times" for job_id, n in ends.items() if n > 1]
        uploads, results = Jobs(connect(Settings(data=str(self.data)).database_url)).files()
        left = {name for name in files_below(self.data) if Path(name).stem not in uploads | results}
        return found + [f"{name}: a file that no job names" for name in sorted(left)]

    def _start(self) -> Process:
        return Process("--data", self.data, FAKESPAN_SERVE_ORPHAN_S="0.2", **self._settings)

    def _restart(self) -> None:
        self.process.kill()
        self._logs.append(self.process.log)
        self.process = self._start()

    def _kill_something(self) -> None:
        what = self.random.choice(["nothing", "worker", "service"])
        self.killed[what] += 1
        if what == "service":
            workers = children_of(self.process.process.pid)
            self._restart()
            until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))  # they end with their service
        if what == "worker":
            for pid in children_of(self.process.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _is_typed_end(job: dict[str, Any]) -> bool:
    if job["state"] == "done":
        return job["summary"] is not None
    return job["state"] == "failed" and job["problem"]["reason"] in set(REASONS) - {"internal"}


def main() -> int:
    """Run a campaign and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=2.0, help="longest time between two kills, in seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), options.seed)
        campaign.run(options.jobs, options.pause)
        jobs = campaign.finish()
        faults = campaign.faults(jobs)
    ends = Counter(job["problem"]["reason"] if job["problem"] else job["state"] for job in jobs)
    print(f"accepted {len(jobs)} of {options.jobs}; killed {dict(campaign.killed)}; ended as {dict(ends)}")
    print(*faults or ["no fault"], sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
