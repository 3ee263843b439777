"""`python -m fakespan.serve.demo`: starts the service, submits the bundled sample, prints what was found, and stops."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fakespan.client import Client

__all__ = ["main"]

SAMPLE = Path(__file__).parent.parent / "samples" / "sample.mp4"


def main() -> None:
    """Run the demonstration in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fakespan", "serve", "--port", "0", "--data", folder]
        service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
        try:
            _show(_address(service))
        finally:
            service.terminate()
            service.wait()


def _show(address: str) -> None:
    with Client(address) as client:
        job = client.wait(client.submit(SAMPLE), timeout_s=300)
        scan = client.result(job)
        for segment in scan.segments:
            print(f"{scan.file}: {segment.start_s:.2f}-{segment.end_s:.2f} s, {segment.modality}, {segment.score:.2f}")
        print(f"page (while the service ran): {client.page(job)}")


def _address(service: subprocess.Popen[str]) -> str:
    assert service.stdout is not None
    for line in service.stdout:
        if found := re.search(r"http://\S+", line):
            return found[0].rstrip("/")
    raise SystemExit(service.wait() or 1)


if __name__ == "__main__":
    main()
