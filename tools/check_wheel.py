"""`python -I check_wheel.py SAMPLES FOLDER`: the installed fakespan, and not the source tree, finds the forged word."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any


def problems(scan: dict[str, Any], truth: list[list[float]], tolerance_s: float = 0.2) -> list[str]:
    """How a scan differs from the truth: the forged spans in seconds, and no others."""
    found = [[segment["start_s"], segment["end_s"]] for segment in scan["segments"]]
    close = len(found) == len(truth) and all(
        abs(a - b) <= tolerance_s
        for span, true in zip(found, truth, strict=True)
        for a, b in zip(span, true, strict=True)
    )
    return [] if close else [f"expected segments at {truth} s, got {found}"]


def main(samples: Path, folder: Path) -> int:
    """Scan the sample with the installed command; exit code 1 when anything is wrong."""
    import fakespan  # noqa: PLC0415 - the installed one, which is looked at here

    home, environment = Path(fakespan.__file__).resolve(), Path(sys.prefix).resolve()
    wrong = [] if environment in home.parents else [f"expected fakespan in {environment}, got {home}"]
    shutil.copy(samples / "sample.mp4", folder / "clip.mp4")
    command = [Path(sys.prefix) / "bin" / "fakespan", "scan", "clip.mp4", "--json", "--out", "results"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        wrong.append(f"expected a scan, got exit code {run.returncode}: {run.stderr}")
    else:
        truth = json.loads((samples / "sample.json").read_text(encoding="utf-8"))
        wrong += problems(json.loads(run.stdout), truth["fake_periods"])
        wrong += [
            f"expected {name}, got none"
            for name in ("clip.html", "clip.json")
            if not (folder / "results" / name).is_file()
        ]
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    outcome = "failed" if wrong else "finds the forged word of the sample"
    print(f"fakespan {fakespan.__version__} from {home.parent}: {outcome}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
