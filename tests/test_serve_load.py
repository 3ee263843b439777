"""Fifty clients at once: none is dropped, those refused are told when to come back, and memory stays bounded."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from fakespan.client import Client
from services import Process, ended, submit

pytestmark = pytest.mark.slow

N_CLIENTS, SIZE = 50, 3_000_000


def peak_mb(process: Process) -> float:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1e3


def content(number: int) -> bytes:
    return b"no media %d " % number + bytes(SIZE)


def test_fifty_clients_at_once(tmp_path):
    process = Process("--data", tmp_path / "data", FAKESPAN_SERVE_MAX_UPLOADS="12", FAKESPAN_SERVE_MAX_QUEUED="40")
    try:
        before_mb = peak_mb(process)

        def post(number: int) -> httpx.Response:
            with httpx.Client(base_url=process.address, timeout=300) as http:
                return submit(http, content(number))

        with ThreadPoolExecutor(N_CLIENTS) as clients:
            answers = list(clients.map(post, range(N_CLIENTS)))
        states = Counter(answer.status_code for answer in answers)
        assert set(states) <= {202, 503}
        assert states[202] >= 12
        assert all(int(a.headers["retry-after"]) > 0 for a in answers if a.status_code == 503)

        def patient(number: int) -> str:
            file = tmp_path / f"{number}.mp4"
            file.write_bytes(content(100 + number))
            with Client(process.address, timeout_s=300) as client:
                return client.submit(file).id

        with ThreadPoolExecutor(N_CLIENTS) as clients:
            accepted = list(clients.map(patient, range(N_CLIENTS)))
        accepted += [answer.json()["id"] for answer in answers if answer.status_code == 202]
        assert {ended(process.http, job_id)["state"] for job_id in accepted} == {"failed"}  # they are no media
        assert peak_mb(process) < before_mb + 80  # of 300 MB that came in
    finally:
        process.stop()
