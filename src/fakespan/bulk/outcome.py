"""What came of one file."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from fakespan.bulk.listing import Item
from fakespan.bulk.places import fetched, version_of
from fakespan.bulk.worker import Worker
from fakespan.errors import FakespanError, InputError
from fakespan.types import Scan

__all__ = ["Outcome", "content_key", "work"]

_KEY_BYTES = 16  # enough that nobody can make a file that is taken for another one


@dataclass(frozen=True)
class Outcome:
    """The result for one file."""

    item: Item  # with its version
    state: Literal["scanned", "same", "failed"]  # same: its content was scanned before, under any name
    sha256: str = ""
    scan: Scan | None = None
    error: FakespanError | None = None
    work_s: float = 0.0


def content_key(sha256: str) -> bytes:
    """By which a content is known to be scanned: the first 128 bits of its SHA-256."""
    return bytes.fromhex(sha256)[:_KEY_BYTES]


def work(item: Item, worker: Worker, known: Container[bytes]) -> Outcome:
    """Fetch and scan one file.

    Args:
        item: the file.
        worker: scans it.
        known: keys of contents that need no scan.

    Raises:
        FakespanError: no file can be scanned: the model or an option is wrong, or a library is missing.
    """
    worker.start()
    started = time.monotonic()
    item = Item(item.name, item.version or version_of(item.name))
    try:
        with fetched(item.name) as (path, sha256):
            if content_key(sha256) in known:
                return Outcome(item, "same", sha256)
            scan = worker.scan(path)
    except InputError as error:
        named = type(error)(item.name, expected=error.expected, got=error.got, remedy=error.remedy)
        return Outcome(item, "failed", error=named, work_s=time.monotonic() - started)
    source = scan.source and dataclasses.replace(scan.source, name=PurePath(item.name).name)
    scan = dataclasses.replace(scan, file=item.name, source=source)
    return Outcome(item, "scanned", sha256, scan, work_s=time.monotonic() - started)
