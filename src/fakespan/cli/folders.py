"""The media files in folders, for commands that take files or folders. What is left out is said."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from fakespan.cli.shared import remark, reported
from fakespan.errors import FakespanError, MediaError
from fakespan.media.suffixes import MEDIA_SUFFIXES

__all__ = ["media_files"]


def media_files(paths: Iterable[Path]) -> tuple[list[Path], list[FakespanError]]:
    """Replace folders by the media files in them.

    Folders that cannot be read or have no media are reported on stderr and returned. Other files and linked folders are
    counted on stderr, and so are files named twice, of which one is kept.
    """
    media: list[Path] = []
    failures: list[FakespanError] = []
    for path in paths:
        if not os.path.isdir(path):  # unlike Path.is_dir: False if it cannot be known
            media.append(path)
            continue
        left_out: Counter[str] = Counter()
        inside = sorted(_inside(path, left_out, failures))
        media += inside
        kinds = ", ".join(f"{n} {kind}" for kind, n in left_out.most_common(8)) + (" ..." if len(left_out) > 8 else "")
        if inside and left_out:
            n_out, remedy = left_out.total(), "name a file to scan it"
            remark(f"{path}: left out {n_out} that are not media by their suffix ({kinds}); {remedy}")
        elif not inside:
            with reported(path, failures):
                got, remedy = f"none in it ({kinds or 'empty'})", "name the files themselves"
                raise MediaError(path, expected="a folder with media files", got=got, remedy=remedy)
    once: dict[str, Path] = {}
    for path in media:
        once.setdefault(os.path.abspath(path), path)
    if n_again := len(media) - len(once):
        remark(f"left out {n_again} that {'is' if n_again == 1 else 'are'} named twice, also as part of a folder")
    return list(once.values()), failures


def _inside(folder: Path, left_out: Counter[str], failures: list[FakespanError]) -> Iterator[Path]:
    """The media files at any depth; iterative, since folders may be nested thousands deep."""
    folders = [str(folder)]
    while folders:
        here = folders.pop()
        with reported(Path(here), failures):
            for entry in _entries(here):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                kind = _kind(entry)
                if kind:
                    left_out[kind] += 1
                else:
                    yield Path(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise MediaError(
            folder,
            expected="a folder that can be read",
            got=(error.strerror or str(error)).lower(),
            remedy="check its permissions; the files in it were not scanned",
        ) from error


def _kind(entry: os.DirEntry[str]) -> str:
    """Why an entry is left out; empty for a media file."""
    suffix = os.path.splitext(entry.name)[1].lower()
    if os.path.isdir(entry.path):
        return "linked folder"
    if not os.path.isfile(entry.path):
        return "device, pipe or broken link"
    return "" if suffix in MEDIA_SUFFIXES else suffix or "without a suffix"
