"""Names of result files: after the scanned file, and never that of another file's results."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from fakespan.types import Scan

__all__ = ["result_name"]

_HASH_DIGITS = 12
_LONGEST_STEM_BYTES = 200  # file systems allow 255, and a hash and a suffix follow


def result_name(scan: Scan, folder: Path, suffixes: Collection[str], taken: Collection[str] = ()) -> str:
    """Name, without a suffix, for the results of a scan in a folder.

    It is the file's, `clip`; if results there belong to other content, `clip-1a2b3c4d5e6f` with the start of its
    SHA-256. Results belong to a content if one of them contains its SHA-256.

    Args:
        scan: the scan.
        folder: the output folder.
        suffixes: of the results that may be there, for instance "json".
        taken: names that this run used, in lower case.
    """
    sha256 = scan.source.sha256 if scan.source else ""
    names = (name for name in _names(scan, sha256) if name.casefold() not in taken)
    return next(name for name in names if _is_ours([folder / f"{name}.{suffix}" for suffix in suffixes], sha256))


def _names(scan: Scan, sha256: str) -> Iterator[str]:
    stem = Path(scan.file).stem or "scan"
    while len(os.fsencode(stem)) > _LONGEST_STEM_BYTES:
        stem = stem[:-1]  # a whole character: some systems refuse names with half a one
    yield stem
    if sha256:
        stem = f"{stem}-{sha256[:_HASH_DIGITS]}"
        yield stem
    yield from (f"{stem}-{number}" for number in itertools.count(2))


def _is_ours(paths: Collection[Path], sha256: str) -> bool:
    """Whether there is no result yet, or one of this content."""
    there = [path for path in paths if os.path.lexists(path)]
    if not there or not sha256:
        return all(path.is_file() for path in there)
    return sha256[:_HASH_DIGITS] in there[0].stem or any(sha256.encode() in _content(path) for path in there)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""
