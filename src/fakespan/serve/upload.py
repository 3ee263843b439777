"""Reads a form with a file from the network straight into the store; nothing is kept in memory or in another folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from fakespan.report.words import printable
from fakespan.serve.problems import Problem
from fakespan.serve.store import Incoming, Store

__all__ = ["Form", "display_name", "read_form"]

MOST_PARTS, MOST_FIELD_BYTES, MOST_HEADER_BYTES = 20, 16_384, 8_192
MOST_NAME = 200


@dataclass
class Form:
    """What a client sent: fields as text, and at most one file."""

    fields: dict[str, str] = field(default_factory=dict)
    incoming: Incoming | None = None
    name: str = ""

    def discard(self) -> None:
        """Remove the file, unless it was moved to its place."""
        if self.incoming is not None:
            self.incoming.discard()


async def read_form(request: Request, store: Store, idle_s: float) -> Form:
    """Read a multipart form. Raises Problem; then nothing is left on the disk."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise Problem("bad_request", "expected a form of type multipart/form-data")
    stated = request.headers.get("content-length", "")
    n_bytes = max(0, int(stated) - MOST_FIELD_BYTES) if stated.isdecimal() else 0
    await asyncio.to_thread(store.check_room, n_bytes)  # it may count the files of a large folder
    form = Form()
    try:
        reader = _Reader(form, store)
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        async for block in _blocks(request, idle_s):
            parser.write(block)
        parser.finalize()
        if not reader.is_complete:
            raise Problem("bad_request", "expected a form that ends with its boundary")
    except (FormParserError, UnicodeDecodeError) as error:
        form.discard()
        raise Problem("bad_request", "expected a well-formed form") from error
    except BaseException:
        form.discard()
        raise
    return form


async def _blocks(request: Request, idle_s: float) -> AsyncIterator[bytes]:
    stream = request.stream().__aiter__()
    while True:
        try:
            yield await asyncio.wait_for(anext(stream), idle_s)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Problem("too_slow", f"nothing was received for {idle_s:g} s") from error
        except ClientDisconnect as error:
            raise Problem("bad_request", "the client went away") from error


class _Reader:
    """Collects the parts as the parser finds them."""

    def __init__(self, form: Form, store: Store) -> None:
        self._form, self._store = form, store
        self._n_parts, self.is_complete = 0, False
        self._headers: dict[str, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._field, self._is_file = "", False

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(self._name, data[start:end], MOST_HEADER_BYTES),
            "on_header_value": lambda data, start, end: self._add(self._value, data[start:end], MOST_HEADER_BYTES),
            "on_header_end": self._header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._data(data[start:end]),
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._n_parts += 1
        if self._n_parts > MOST_PARTS:
            raise Problem("bad_request", f"expected at most {MOST_PARTS} fields")
        self._headers = {}

    def _add(self, buffer: bytearray, data: bytes, limit: int) -> None:
        if len(buffer) + len(data) > limit:
            raise Problem("bad_request", f"expected a field of at most {limit} bytes")
        buffer += data

    def _header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition"))
        self._field = options.get(b"name", b"").decode()
        self._is_file = self._field == "file"
        if self._is_file:
            if self._form.incoming is not None:
                raise Problem("bad_request", "expected one file a job")
            self._form.name = display_name(options.get(b"filename", b"").decode(errors="replace"))
            self._form.incoming = self._store.receive()

    def _data(self, data: bytes) -> None:
        if self._is_file and self._form.incoming is not None:
            self._form.incoming.write(data)
        else:
            self._add(self._value, data, MOST_FIELD_BYTES)

    def _close(self) -> None:
        if not self._is_file:
            self._form.fields[self._field] = self._value.decode()
        self._value = bytearray()

    def _end(self) -> None:
        self.is_complete = True


def display_name(name: str) -> str:
    r"""A file name for display: its last part, without control characters, not too long. It never becomes a path.

    >>> display_name("../../etc/clip.mp4"), display_name("C:\\clip.mp4"), display_name("")
    ('clip.mp4', 'clip.mp4', 'unnamed')
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    shown = printable(last).strip()
    return shown[-MOST_NAME:] or "unnamed"
