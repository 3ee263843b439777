"""Jobs survive what kills the service or its workers, with SQLite; the long form is campaigns/serve_kill.py."""

from __future__ import annotations

import json
import os
import signal

import pytest

from campaigns.serve_kill import Campaign
from services import Process, children_of, ended, files_below, submit, until

pytestmark = pytest.mark.slow


def worker_of(process: Process) -> int:
    (worker,) = children_of(process.process.pid)
    return worker


def test_kills_at_random_moments_lose_no_job_and_leave_no_file(tmp_path):
    campaign = Campaign(tmp_path, seed=2)
    campaign.run(4, most_pause_s=0.6)
    jobs = campaign.finish()
    assert campaign.killed["service"] >= 1
    assert campaign.killed["worker"] >= 1
    assert len(jobs) == 4
    assert campaign.faults(jobs) == []


def test_a_stop_puts_the_running_job_back_and_the_next_start_finishes_it(tmp_path):
    first = Process("--data", tmp_path)
    os.kill(worker_of(first), signal.SIGSTOP)  # the scan takes as long as we want
    jobs = [submit(first.http, threshold=0.5 + k / 100).json()["id"] for k in range(3)]
    until(lambda: first.http.get(f"/v1/jobs/{jobs[0]}").json()["state"] == "running")
    first.stop()
    assert first.process.returncode == 0
    second = Process("--data", tmp_path)
    try:
        assert {ended(second.http, job)["state"] for job in jobs} == {"done"}
    finally:
        second.stop()


def test_one_data_folder_has_one_service_unless_there_is_a_database(tmp_path):
    first = Process("--data", tmp_path)
    try:
        with pytest.raises(AssertionError, match="in use by another service"):
            Process("--data", tmp_path)
    finally:
        first.stop()


def test_scans_have_limits_of_time_and_memory(tmp_path):
    process = Process("--data", tmp_path, FAKESPAN_SERVE_TIME_LIMIT_S="1")
    try:
        os.kill(worker_of(process), signal.SIGSTOP)
        slow = ended(process.http, submit(process.http).json()["id"])
        assert (slow["state"], slow["problem"]["reason"]) == ("failed", "time_limit")
    finally:
        process.stop()
    process = Process("--data", tmp_path, FAKESPAN_SERVE_MEMORY_MB="20")
    try:
        large = ended(process.http, submit(process.http).json()["id"])
        assert (large["state"], large["problem"]["reason"]) == ("failed", "out_of_memory")
        assert str(tmp_path) not in json.dumps(large)
        assert not [name for name in files_below(tmp_path) if name.startswith("incoming")]
    finally:
        process.stop()
