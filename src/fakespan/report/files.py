"""Writing a report so that a reader never meets half of one."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from fakespan.errors import UsageError

__all__ = ["write_text"]


def write_text(path: Path, text: str, sources: Iterable[str] = ()) -> None:
    """Write UTF-8 text beside its place, then move it there in one step; on failure nothing is left.

    Args:
        path: the file to write; one that exists is replaced.
        text: what to write; line ends stay as they are.
        sources: names of scanned files, which a report must not replace.

    Raises:
        UsageError: the path is a scanned file or a folder, or cannot be written.
    """
    path = Path(path)
    if any(_is_same_file(path, source) for source in sources):
        raise UsageError(
            path,
            expected="a new file for the report",
            got="the scanned file itself",
            remedy="choose another name, nothing was written",
        )
    part = path.with_name(f".fakespan-{secrets.token_hex(6)}.part")
    try:
        with part.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        raise UsageError(
            path,
            expected="a file that can be written",
            got=(error.strerror or str(error)).lower(),
            remedy="choose a folder that exists and may be written to",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _is_same_file(path: Path, source: str) -> bool:
    try:
        return path.samefile(source)
    except (OSError, ValueError):  # one of them is missing, or no path at all
        return False
