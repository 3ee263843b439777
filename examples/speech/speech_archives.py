"""Sounds that lie in a game's own archives, taken out: zip files, and the talkie of `flight-of-the-amazon-queen`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from fakespan.errors import DataError

__all__ = ["take_out"]

_SOUNDS = (".ogg", ".wav", ".mp3", ".opus", ".flac")
_TALKIE_MAGIC = b"QTBL"
_TALKIE_HEAD, _TALKIE_ENTRY = 15, 21  # bytes; see `_talkie_entries`
_MP3 = 1  # the compression of the talkie that is packaged


def take_out(tree: Path) -> None:
    """Puts the sounds of every known archive below `tree` into a folder beside it, named as it is with ".d" added.

    Raises:
        DataError: an archive is damaged.
    """
    for path in sorted(tree.rglob("*")):
        reader = {".wz": _zipped, ".pk3": _zipped, ".1c": _talkie}.get(path.suffix)
        if reader is None or not path.is_file():
            continue
        folder = path.with_name(path.name + ".d")
        for name, content in reader(path):
            file = folder / name
            if not file.resolve().is_relative_to(folder.resolve()):
                raise _damaged(path, f"a file outside it, {name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.lower().endswith(_SOUNDS):
                    yield name, archive.read(name)
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(path, str(error)) from error


def _talkie(path: Path) -> Iterator[tuple[str, bytes]]:
    """The speech and effects (`NAME.SB`) as MP3 files."""
    content = path.read_bytes()
    if content[:4] != _TALKIE_MAGIC or content[12] != _MP3:
        raise _damaged(path, "an archive of another kind")
    for name, start, size in _talkie_entries(content):
        if name.endswith(".SB"):
            yield name[:-3] + ".mp3", content[start : start + size]


def _talkie_entries(content: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each file in it.

    The header is 4 bytes of magic, 6 of version, 2 unused, 1 of compression, 2 the number of entries; an entry is 12
    bytes of name, 1 of disk, 4 of offset, 4 of size; big-endian. As seen in the packaged file.
    """
    n_entries = int.from_bytes(content[13:_TALKIE_HEAD], "big")
    starts = range(_TALKIE_HEAD, _TALKIE_HEAD + n_entries * _TALKIE_ENTRY, _TALKIE_ENTRY)
    for entry in (content[start : start + _TALKIE_ENTRY] for start in starts):
        name = entry[:12].rstrip(b"\0").decode("latin-1")
        yield name, int.from_bytes(entry[13:17], "big"), int.from_bytes(entry[17:21], "big")


def _damaged(path: Path, got: str) -> DataError:
    return DataError(path.name, expected="an archive of sounds", got=got, remedy="the package is skipped")
