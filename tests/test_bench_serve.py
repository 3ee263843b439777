"""benchmarks/bench_serve.py: files of equal work that no stored result answers, and what is counted beside the scan."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from fakespan.media import probe
from programs import load_program

bench: Any = load_program("benchmarks", "bench_serve")


class Service:
    """A client of a service whose jobs end when they are looked at the third time."""

    address = "http://127.0.0.1:1"

    def __init__(self) -> None:
        self.looks = 0
        self.enough = threading.Event()
        self.thresholds: list[float] = []

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, file: Any, **options: Any) -> Any:
        self.thresholds.append(options.get("threshold"))
        return SimpleNamespace(file=file)

    def job(self, job: Any) -> Any:
        self.looks += 1
        if self.looks >= 3:
            self.enough.set()
        return job

    def wait(self, job: Any) -> Any:
        record = {"created": "2026-11-27T09:00:59.900+00:00", "ended": "2026-11-27T09:01:00.500+00:00", "scan_s": 0.45}
        assert self.enough.wait(60)
        return SimpleNamespace(state="done", record=record, **vars(job))


def test_the_files_differ_but_not_in_what_is_scanned(tmp_path):
    paths = bench.copies(tmp_path, 3)
    assert len({path.read_bytes() for path in paths}) == 3
    assert {probe.probe(path) for path in paths} == {probe.probe(bench.SAMPLE)}


def test_what_a_job_takes_beside_its_scan():
    service = Service()
    service.enough.set()
    assert bench.overheads_s(service, ["a", "b"]) == pytest.approx([0.15, 0.15])
    assert service.thresholds[0] != service.thresholds[1]  # or the second result would be the stored one


def test_questions_are_asked_as_long_as_the_jobs_run(monkeypatch):
    service = Service()
    monkeypatch.setattr(bench, "Client", lambda _: service)
    took, answers = bench.serve_s(service, ["a", "b"])
    assert len(answers) == service.looks >= 3
    assert sum(answers) < took


def test_quantiles():
    assert [bench.quantile([*range(101)], share) for share in (0.5, 0.95)] == [50, 95]
