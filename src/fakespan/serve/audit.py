"""Log lines as JSON: what the service does, with the ids of jobs, and an audit of who did what to which file."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Audit", "log_as_json"]

_OWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_KEPT_FROM_LIBRARIES = ("color_message", "websocket")


class Audit:
    """A file of JSON lines, one for each action: time, who, action, and facts as the job and the hash of its file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, who: str, action: str, **facts: Any) -> None:
        """Append one line."""
        line = json.dumps({"time": _now(), "who": who, "action": action, **_present(facts)})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def log_as_json() -> None:
    """Let every logger write JSON lines to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "tuspyserver"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = {key: value for key, value in record.__dict__.items() if key not in _OWN}
        for key in _KEPT_FROM_LIBRARIES:
            facts.pop(key, None)
        line = {
            "time": _now(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({**line, **_present(facts)}, default=str)


def _present(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value is not None and value is not False}


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds")
