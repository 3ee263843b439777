"""A worker process without a network: `fakespan.bulk.child` for tests. It answers with the scan of the setup's options.

A file whose content begins with "kill" ends it, one with "bad" is an error. Each request is noted in a file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    setup = json.loads(sys.stdin.readline())
    if setup["model"] == "missing":
        error = {"kind": "UsageError", "subject": "--model", "expected": "a model", "got": "none", "remedy": "name one"}
        print(json.dumps({"error": error}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        path = json.loads(line)["path"]
        content = Path(path).read_bytes()
        with Path(setup["options"]["log"]).open("a") as log:
            log.write(content.decode() + "\n")
        if content.startswith(b"kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if content.startswith(b"bad"):
            answer = {
                "error": {"kind": "MediaError", "subject": path, "expected": "a video", "got": "none", "remedy": "x"}
            }
        else:
            answer = {"scan": setup["options"]["scan"]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
