"""Resumable uploads (tus 1.0): what the router of tuspyserver leaves behind becomes a file of the store."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from pathlib import Path

from fakespan.serve.problems import Problem
from fakespan.serve.store import Incoming, Store
from fakespan.serve.upload import display_name

__all__ = ["take_upload"]

_ID = re.compile(r"[0-9a-f]{32}")
_BLOCK = 1 << 20


def take_upload(store: Store, upload_id: str) -> tuple[Incoming, str]:
    """A finished upload as a received file, and its name for display. The upload itself is gone afterwards.

    Raises Problem if there is none, or if it is not complete.
    """
    if not _ID.fullmatch(upload_id):
        raise Problem("invalid_option", "upload: expected the id of a resumable upload")
    source, about = store.resumable / upload_id, store.resumable / f"{upload_id}.info"
    try:
        facts = json.loads(about.read_text(encoding="utf-8"))
        taken = source.rename(store.incoming_folder / f"{secrets.token_hex(16)}.taken") if _is_whole(facts) else None
    except (OSError, ValueError) as error:
        raise Problem("not_found", "expected the id of a resumable upload") from error
    if taken is None:
        raise Problem("conflict", "expected an upload that is complete")
    about.unlink(missing_ok=True)
    name = str((facts.get("metadata") or {}).get("filename", ""))
    try:
        return _received(store, taken), display_name(name)
    finally:
        taken.unlink(missing_ok=True)


def _is_whole(facts: object) -> bool:
    return isinstance(facts, dict) and facts.get("size") == facts.get("offset") and not facts.get("is_partial")


def _received(store: Store, path: Path) -> Incoming:
    incoming = store.receive()
    with contextlib.ExitStack() as undo, path.open("rb") as file:
        undo.callback(incoming.discard)
        while block := file.read(_BLOCK):
            incoming.write(block)
        undo.pop_all()
    return incoming
