"""Where files lie: this machine, or an object store or server that fsspec reaches (s3, gs, az, http).

Contract: a name is a path or a URL, as the user gave or a listing found it. Only the protocols here are used: a list of
files written by somebody else can name no other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from fakespan.errors import MediaError, MissingExtraError, UsageError

__all__ = ["Fetched", "fetched", "filesystem", "is_remote", "reason_of", "version_of"]

_PROTOCOLS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "http": "aiohttp", "https": "aiohttp"}
_BLOCK_BYTES = 1 << 20

Fetched = tuple[Path, str]
"""A local file and the SHA-256 of its content."""


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return "://" in name


def filesystem(name: str) -> Any:
    """The fsspec file system of a URL.

    Raises:
        UsageError: another protocol than s3, gs, az, http and https.
        MissingExtraError: the library for it is not installed.
    """
    protocol = name.partition("://")[0].lower()
    if protocol not in _PROTOCOLS:
        raise UsageError(
            name,
            expected=f"a path or a URL ({', '.join(_PROTOCOLS)})",
            got=f"{protocol}://",
            remedy="copy the files first",
        )
    try:
        import fsspec  # noqa: PLC0415 - of an extra

        # listings may have millions of entries: they are not kept
        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtraError(_PROTOCOLS[protocol], "bulk") from error


def version_of(name: str, facts: Mapping[str, Any] | None = None) -> str:
    """A text that changes when the content may have: the ETag, or size and time of change; empty if unknown.

    Args:
        name: path or URL.
        facts: what a listing of fsspec says about it; without, the file or the store is asked.
    """
    if not is_remote(name):
        with contextlib.suppress(OSError, ValueError):
            facts_here = os.stat(name)
            return f"{facts_here.st_size}-{facts_here.st_mtime_ns}"
        return ""
    if facts is None:
        try:
            facts = filesystem(name).info(name)
        except Exception:  # of any store; fetching it will tell
            return ""
    lowered = {key.lower(): value for key, value in (facts or {}).items()}
    etag = lowered.get("etag") or lowered.get("md5hash")
    changed = lowered.get("lastmodified") or lowered.get("updated")
    return str(etag).strip('"') if etag else f"{lowered.get('size')}-{changed}" if changed else ""


@contextlib.contextmanager
def fetched(name: str) -> Iterator[Fetched]:
    """A local copy of the file, or the file itself, during the block. Raises MediaError if it cannot be read."""
    if not is_remote(name):
        path = Path(name)
        try:
            if not path.is_file():  # also a pipe, which would never end
                raise FileNotFoundError(2, "no such file" if not path.exists() else "not a regular file")
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from error
        yield path, sha256
        return
    suffix = PurePosixPath(name.partition("?")[0]).suffix[:16]
    with tempfile.TemporaryDirectory(prefix="fakespan-") as folder:
        path = Path(folder) / f"file{suffix}"
        try:
            with filesystem(name).open(name, "rb", cache_type="none") as source, path.open("wb") as target:
                sha256 = _copy(source, target)
        except MissingExtraError:
            raise
        except UsageError as error:  # one name of a list, as a file that is not there
            raise MediaError(name, expected=error.expected, got=error.got, remedy=error.remedy) from error
        except Exception as error:  # of any store
            raise _unreadable(name, error) from error
        yield path, sha256


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := source.read(_BLOCK_BYTES):
        digest.update(block)
        target.write(block)
    return digest.hexdigest()


def reason_of(error: Exception) -> str:
    """Why something cannot be read, in the words of the system or the store."""
    told = error.strerror if isinstance(error, OSError) else None
    return (told or str(error) or type(error).__name__).lower()


def _unreadable(name: str, error: Exception) -> MediaError:
    remedy = "check its address and permissions"
    return MediaError(name, expected="a file that can be read", got=reason_of(error), remedy=remedy)
