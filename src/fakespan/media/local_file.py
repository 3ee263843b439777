"""An untrusted path as one local, regular file, in a form that FFmpeg reads."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import IO

from fakespan.errors import MediaError

__all__ = ["opened", "regular_file"]


def regular_file(path: Path) -> Path:
    """The absolute path; raises MediaError unless it is a non-empty regular file."""
    try:
        is_folder, is_file, size = path.is_dir(), path.is_file(), path.stat().st_size
    except (OSError, ValueError) as error:
        why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
        got = "no such file" if isinstance(error, FileNotFoundError) else f"an unreadable path ({why})"
        raise MediaError(
            path, expected="a media file", got=got, remedy="check the path; only local files are read"
        ) from error
    if is_folder:
        raise MediaError(path, expected="a media file", got="a folder", remedy="name the files in it")
    if not is_file:
        raise MediaError(path, expected="a media file", got="a device or pipe", remedy="save it to a file first")
    if size == 0:
        raise MediaError(path, expected="a media file", got="an empty file", remedy="copy or download it again")
    return path.resolve()


class _File(io.BufferedReader):
    """A file that answers FFmpeg's impossible seeks as the system does; exceptions PyAV would print to stderr."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """The new position, or a negative number."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def opened(path: str | Path, local: Path) -> IO[bytes]:
    """The file for reading. Raises MediaError."""
    try:
        return _File(io.FileIO(local))
    except OSError as error:
        got = (error.strerror or str(error)).lower()
        raise MediaError(path, expected="a media file", got=got, remedy="check its permissions") from error
