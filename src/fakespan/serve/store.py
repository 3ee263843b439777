"""Uploads and results in one folder, named by content: written beside, synchronised, and moved.

    uploads/ab/abcd...   a file, by its SHA-256
    results/ab/abcd....json, .jpg, .closeups    a scan and its pictures, by the key of file, model and options
    incoming/            what is being received; resumable/  uploads that may go on

A name from outside never becomes part of a path: every path is made of hexadecimal digits.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fakespan.files import replacing
from fakespan.serve.problems import Problem

__all__ = ["Incoming", "Store", "is_archive", "result_key"]

_HEX = re.compile(r"[0-9a-f]{64}")
_ARCHIVES: tuple[bytes, ...] = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x07\x08",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"7z\xbc\xaf\x27\x1c",
)
_ARCHIVES += (b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd", b"MSCF", b"xar!", b"!<arch>", b"\x1f\x9d", b"LZIP", b"%PDF")
_HEAD_BYTES = 512


class Incoming:
    """A file while it is received: write blocks, then `finish`; `discard` removes it."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.size, self._limit = path, 0, limit
        self._digest, self._head = hashlib.sha256(), b""
        self._file: IO[bytes] = path.open("xb")

    def write(self, block: bytes) -> None:
        """Append; raises Problem if it becomes too large, is an archive, or the disk is full."""
        self.size += len(block)
        if self.size > self._limit:
            raise Problem("too_large", f"expected at most {self._limit} bytes")
        if len(self._head) < _HEAD_BYTES:
            self._head += block[: _HEAD_BYTES - len(self._head)]
            if is_archive(self._head):
                raise Problem("not_media", "expected a video or sound file, got an archive; unpack it first")
        self._digest.update(block)
        with _on_disk():
            self._file.write(block)

    def finish(self) -> str:
        """Synchronise and close; the SHA-256 in hex. Raises Problem for an empty file, or if the disk is full."""
        if not self.size:
            raise Problem("unreadable_media", "expected a media file, got an empty file")
        with _on_disk():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Close and remove it; it may have been moved already."""
        with contextlib.suppress(OSError):  # what is left in the buffer of a file that does not fit
            self._file.close()
        self.path.unlink(missing_ok=True)


class Store:
    """The data folder.

    Args:
        folder: created if missing.
        quota_bytes: most that uploads and results may take together.
        min_free_bytes: what must stay free on the disk.
        max_file_bytes: largest upload.
    """

    def __init__(self, folder: Path, *, quota_bytes: float, min_free_bytes: float, max_file_bytes: int) -> None:
        self.folder, self.max_file_bytes = folder, max_file_bytes
        self._quota, self._min_free = quota_bytes, min_free_bytes
        self.incoming_folder, self.resumable = folder / "incoming", folder / "resumable"
        self._uploads, self._results = folder / "uploads", folder / "results"
        for path in (self._uploads, self._results, self.incoming_folder, self.resumable):
            path.mkdir(parents=True, exist_ok=True)
        self._used, self._counted_at = 0, float("-inf")

    def upload_path(self, sha256: str) -> Path:
        """Where the upload of this hash lies."""
        return _place(self._uploads, sha256)

    def result_path(self, key: str, suffix: str = ".json") -> Path:
        """Where the result of this key lies."""
        return _place(self._results, key).with_suffix(suffix)

    def check_room(self, n_bytes: int = 0) -> None:
        """Raise Problem unless so many bytes more fit into the quota and onto the disk."""
        if n_bytes > self.max_file_bytes:
            raise Problem("too_large", f"expected at most {self.max_file_bytes} bytes, got {n_bytes}")
        if self.used_bytes() + n_bytes > self._quota:
            raise Problem("storage_full", "the quota of the service is used up", retry_after_s=600)
        if shutil.disk_usage(self.folder).free - n_bytes < self._min_free:
            raise Problem("storage_full", "the disk of the service is nearly full", retry_after_s=600)

    def used_bytes(self, max_age_s: float = 5.0) -> int:
        """Bytes in the folder, counted at most every `max_age_s` seconds."""
        if time.monotonic() - self._counted_at > max_age_s:
            self._used = sum(size for _, size, _ in _files(self.folder))
            self._counted_at = time.monotonic()
        return self._used

    def receive(self) -> Incoming:
        """A new file to write an upload to."""
        return Incoming(self.incoming_folder / f"{secrets.token_hex(16)}.part", self.max_file_bytes)

    def adopt(self, path: Path, sha256: str) -> Path:
        """Move a received file to its place. The same file may be there already; its age starts anew."""
        target = self.upload_path(sha256)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
        os.utime(target)
        _sync_folder(target.parent)
        return target

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one holder at a time, over all processes of the folder: a file and the row that names it go together."""
        import fcntl  # noqa: PLC0415 - not on Windows

        with (self.folder / "store.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def write_result(self, key: str, text: str) -> None:
        """Store a scan. It is whole or not there at all."""
        path = self.result_path(key)
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as part, part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)

    def remove_orphans(self, uploads: set[str], results: set[str], older_than_s: float) -> int:
        """Remove files that no job refers to and that nobody touched for a while; how many."""
        limit, n_removed = time.time() - older_than_s, 0
        for folder, known in ((self._uploads, uploads), (self._results, results)):
            for path, _, touched in _files(folder):
                if touched <= limit and path.stem not in known:
                    path.unlink(missing_ok=True)
                    n_removed += 1
        return n_removed

    def remove_abandoned(self, older_than_s: float) -> int:
        """Remove uploads that were never finished and that nobody touched for a while; how many files."""
        limit, n_removed = time.time() - older_than_s, 0
        for folder in (self.incoming_folder, self.resumable):
            for path, _, touched in _files(folder):
                if touched <= limit:
                    path.unlink(missing_ok=True)
                    n_removed += 1
        return n_removed


def result_key(file_sha256: str, model_sha256: str, options: object, version: str) -> str:
    """The key under which equal scans share their result: same file, same model, same settings, same version."""
    parts = json.dumps([file_sha256, model_sha256, options, version], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def is_archive(head: bytes) -> bool:
    r"""Whether a file starts as an archive, a compressed file or a PDF does.

    >>> is_archive(b"PK\x03\x04"), is_archive(b"\x00\x00\x00\x20ftypisom")
    (True, False)
    """
    return head.startswith(_ARCHIVES) or head[257:262] == b"ustar"


def _place(folder: Path, digest: str) -> Path:
    assert _HEX.fullmatch(digest), digest
    return folder / digest[:2] / digest


@contextlib.contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Problem("storage_full", "the file could not be written", retry_after_s=600) from error


def _files(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Every file below: path, bytes, time of the last change. Files that vanish meanwhile are left out."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            with contextlib.suppress(OSError):
                status = path.stat()
                yield path, status.st_size, status.st_mtime


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
