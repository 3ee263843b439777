"""The errors about a model file."""

from __future__ import annotations

from pathlib import Path

from fakespan.errors import CheckpointError, FakespanError

__all__ = ["REMEDY", "bad_content", "bad_file"]

REMEDY = "download the file again, or use another model file"


def bad_file(path: Path, expected: str, got: str, remedy: str = REMEDY) -> CheckpointError:
    """The error about a model file. What was found may come from the file: it is cut short."""
    return CheckpointError(path, expected=expected, got=got if len(got) < 300 else f"{got[:300]} ...", remedy=remedy)


def bad_content(path: Path, expected: str, error: Exception) -> CheckpointError:
    """The error about content of a model file that raised another error."""
    if isinstance(error, FakespanError):
        return bad_file(path, expected, f"{error.subject}: {error.got} instead of {error.expected}", error.remedy)
    return bad_file(path, expected, f"{type(error).__name__}: {error}")
