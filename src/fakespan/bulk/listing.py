"""The files that a run is about, one after the other: no list of them is kept in memory.

An input is a media file, a folder, a pattern (`clips/**/*.mp4`), a list (`.txt`: a name per line; `.csv`, `.parquet`: a
column of names), or a URL of any of these. Relative names in a list are relative to the list's folder.
"""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from glob import has_magic, iglob
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from fakespan.bulk.places import filesystem, is_remote, reason_of, version_of
from fakespan.errors import DataError, FakespanError, MediaError, MissingExtraError
from fakespan.media.suffixes import MEDIA_SUFFIXES

__all__ = ["Item", "listing"]

_COLUMNS = ("file", "path", "url", "uri", "video", "name")  # by preference
_LISTS = (".txt", ".csv", ".parquet")
_ROWS = 1024  # of a Parquet list at a time


class Item(NamedTuple):
    """A file to scan: path or URL, and its version if the listing states it (see `places.version_of`)."""

    name: str
    version: str = ""


def listing(inputs: Sequence[str], column: str | None = None) -> Iterator[Item]:
    """The files of all inputs.

    Args:
        inputs: paths, patterns or URLs.
        column: of CSV and Parquet lists; default: the first of file, path, url, uri, video and name that is there.

    Raises:
        MediaError: an input is not there, or a folder or pattern without media files.
        DataError: a list without the column, or one that cannot be read.
        UsageError: a URL of a protocol that is not supported.
        MissingExtraError: a library for the input is not installed.
    """
    for text in inputs:
        found = _remote(text, column) if is_remote(text) else _local(text, column)
        item = None
        for item in found:
            yield item
        if item is None:
            remedy = "name the files themselves, or a list of them"
            raise MediaError(
                text, expected="a folder, pattern or list with media files", got="none in it", remedy=remedy
            )


def _local(text: str, column: str | None) -> Iterator[Item]:
    path = Path(text)
    if path.is_dir():
        yield from map(Item, _walk(text))
    elif not path.exists() and has_magic(text):
        yield from (Item(name) for name in iglob(text, recursive=True) if _is_media(name) and os.path.isfile(name))
    elif path.suffix.lower() in _LISTS:
        try:
            with path.open("rb") as file:
                yield from _listed(file, path.suffix.lower(), column, text, str(path.parent))
        except OSError as error:
            got = (error.strerror or str(error)).lower()
            raise DataError(text, expected="a list of files", got=got, remedy="check the path") from error
    elif path.exists():
        yield Item(text)
    else:
        raise MediaError(text, expected="a file, folder, pattern or URL", got="no such file", remedy="check the path")


def _walk(folder: str) -> Iterator[str]:
    """The media files at any depth, and folders that cannot be read: they fail like a file. Links are not followed."""
    folders = [folder]
    while folders:
        here = folders.pop()
        try:
            with os.scandir(here) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            yield here
            continue
        folders += [entry.path for entry in reversed(inside) if entry.is_dir(follow_symlinks=False)]
        yield from (entry.path for entry in inside if _is_media(entry.name) and entry.is_file())


def _remote(url: str, column: str | None) -> Iterator[Item]:
    try:
        yield from _stored(url, column)
    except FakespanError:
        raise
    except Exception as error:  # of any store
        expected, remedy = "a list or folder that can be read", "check its address and permissions"
        raise DataError(url, expected=expected, got=reason_of(error), remedy=remedy) from error


def _stored(url: str, column: str | None) -> Iterator[Item]:
    protocol, _, _ = url.partition("://")
    files = filesystem(url)
    suffix = PurePosixPath(url.partition("?")[0]).suffix.lower()
    if suffix in _LISTS:
        with files.open(url, "rb") as file:
            yield from _listed(file, suffix, column, url, url.rpartition("/")[0])
    elif _is_media(url) and not has_magic(url):
        yield Item(url)
    elif protocol in ("http", "https"):
        remedy = "servers have no listing: give a list (.txt, .csv, .parquet) of their files"
        raise MediaError(url, expected="a media file or a list", got="another address", remedy=remedy)
    else:
        facts = files.glob(url, detail=True).values() if has_magic(url) else _objects(files, url)
        for fact in facts:
            name = f"{protocol}://{fact['name']}"
            if fact.get("type") == "file" and _is_media(name):
                yield Item(name, version_of(name, fact))


def _objects(files: Any, url: str) -> Iterator[dict[str, Any]]:
    for _, _, inside in files.walk(url, detail=True):
        yield from (inside[name] for name in sorted(inside))


def _listed(file: IO[bytes], suffix: str, column: str | None, source: str, folder: str) -> Iterator[Item]:
    """The names of an open list."""
    if suffix == ".parquet":
        names = _parquet_names(file, column, source)
    elif suffix == ".csv":
        names = _csv_names(codecs.iterdecode(file, "utf-8-sig"), column, source)
    else:
        lines = codecs.iterdecode(file, "utf-8-sig", "surrogateescape")
        names = (line.rstrip("\r\n") for line in lines)
    for name in names:
        if name.strip():
            is_whole = is_remote(name) or os.path.isabs(name)
            yield Item(name if is_whole else f"{folder}/{name}" if is_remote(folder) else os.path.join(folder, name))


def _csv_names(lines: Iterable[str], column: str | None, source: str) -> Iterator[str]:
    try:
        reader = csv.DictReader(lines, strict=True)
        chosen = _column(reader.fieldnames or (), column, source)
        for row in reader:
            yield row[chosen] or ""
    except (ValueError, csv.Error) as error:
        raise DataError(source, expected="a CSV file in UTF-8", got=str(error), remedy="export it again") from error


def _parquet_names(file: IO[bytes], column: str | None, source: str) -> Iterator[str]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("pyarrow", "bulk") from error
    try:
        table = parquet.ParquetFile(file)
        chosen = _column(table.schema_arrow.names, column, source)
        for batch in table.iter_batches(_ROWS, columns=[chosen]):
            yield from (str(name or "") for name in batch.column(0).to_pylist())
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        got = str(error).splitlines()[0][:80]
        raise DataError(source, expected="a Parquet file", got=got, remedy="export it again") from error


def _column(names: Iterable[str], column: str | None, source: str) -> str:
    there = list(names)
    wanted = _COLUMNS if column is None else (column,)
    if chosen := next((name for name in wanted if name in there), None):
        return chosen
    expected, got = f"a column {' or '.join(wanted)}", f"the columns {', '.join(there)[:80] or 'none'}"
    raise DataError(source, expected=expected, got=got, remedy="name it with --column")


def _is_media(name: str) -> bool:
    return os.path.splitext(name.partition("?")[0] if is_remote(name) else name)[1].lower() in MEDIA_SUFFIXES
