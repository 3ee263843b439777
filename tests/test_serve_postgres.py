"""Two services on one PostgreSQL database: the contract of the API holds across both, also when one of them dies.

The tests of test_serve_api.py and test_serve_links.py that need HTTP alone are run again: jobs go to one service,
questions to the other.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from postgres import postgres
from services import Process, children_of, ended, submit, until
from test_serve_api import (  # noqa: F401 - run again, with the fixture `served` of this module
    job,
    test_a_cancelled_job_has_ended,
    test_a_client_that_waits_for_a_failure_gets_its_reason,
    test_a_client_that_waits_gets_the_result_itself,
    test_a_submitted_file_is_scanned_and_its_forged_second_found,
    test_events_lead_to_the_end,
    test_events_of_all_jobs_tell_of_new_ones,
    test_other_options_are_another_scan,
    test_the_file_is_played_by_ranges,
    test_the_list_has_pages_and_a_filter,
    test_the_result_comes_in_every_format,
    test_the_same_file_is_not_scanned_again,
)
from test_serve_links import (  # noqa: F401 - as above
    test_a_link_dies_with_its_job,
    test_a_link_expires,
    test_a_link_is_of_one_job,
    test_a_link_is_told_once_and_listed_without_its_secret,
    test_a_revoked_link_is_gone_and_the_others_are_not,
)

pytestmark = pytest.mark.slow


class Pair:
    """Two services on one database and one folder."""

    def __init__(self, url: str, data: Path) -> None:
        self.data = data
        settings = {"FAKESPAN_SERVE_DATABASE": url, "FAKESPAN_SERVE_DEAD_S": "2", "FAKESPAN_SERVE_SWEEP_S": "1"}
        self._settings = settings
        self.first, self.second = self.start("one"), self.start("two")

    def start(self, machine: str) -> Process:
        return Process("--data", self.data, FAKESPAN_SERVE_MACHINE=machine, **self._settings)

    @property
    def http(self) -> httpx.Client:
        return self.second.http

    @property
    def address(self) -> str:
        return self.second.address

    def submit(self, content: bytes | None = None, name: str = "sample.mp4", **fields: Any) -> httpx.Response:
        return submit(self.first.http, content, name, **fields)

    def ended(self, job_id: str) -> dict[str, Any]:
        return ended(self.http, job_id)

    def stop(self) -> None:
        for process in (self.first, self.second):
            process.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with postgres() as url:
        pair = Pair(url, tmp_path_factory.mktemp("shared"))
        yield pair
        pair.stop()


def test_the_jobs_of_a_dead_service_are_finished_by_the_other(served):
    (worker,) = children_of(served.first.process.pid)
    os.kill(worker, signal.SIGSTOP)
    jobs = [served.submit(threshold=0.8 + k / 1000).json()["id"] for k in range(4)]
    until(lambda: len(served.http.get("/v1/jobs?state=done").json()["jobs"]) >= 1)
    served.first.kill(worker)
    assert {served.ended(job_id)["state"] for job_id in jobs} == {"done"}
    served.first = served.start("one")
    assert served.ended(served.submit(threshold=0.81).json()["id"])["state"] == "done"


def test_no_database_password_is_told(served):
    assert "postgresql://" not in served.first.log + served.second.log
