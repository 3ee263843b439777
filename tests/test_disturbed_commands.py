"""The short form of the campaigns on commands that are killed, or lose the room or the permission to write.

See tests/campaigns/kill.py and disk.py. They fork, so they run in a process of their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from campaigns import disk, kill
from campaigns.interrupted import Bench
from campaigns.tiny_commands import tiny_commands
folder = Path(sys.argv[1])
bench = Bench(folder, tiny_commands(folder / "inputs", ["prepare", "maps"]))
print(kill.campaign(bench, 2, 1) + disk.campaign(bench, "size", 2, 1) + disk.campaign(bench, "permission", 2, 1))
"""


def test_what_disturbed_runs_leave_does_no_harm(tmp_path: Path) -> None:
    call = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ended = subprocess.run(call, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    *told, n_faults = ended.stdout.splitlines()
    assert n_faults == "0", ended.stdout
    assert any("killed" in line for line in told)
    assert any("x size" in line and "refused" in line for line in told)
