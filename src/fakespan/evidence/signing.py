"""Signatures of results: Ed25519 (RFC 8032) over the canonical JSON (RFC 8785) of the whole record.

Signed is the record with `signature.value` empty. So the order of fields and white space may change, nothing else.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fakespan.errors import MissingExtraError, UsageError
from fakespan.evidence.keys import key_digest
from fakespan.types import Scan, Signature

if TYPE_CHECKING:  # of the extra `sign`
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["is_signed_by", "sign"]


def sign(scan: Scan, key: Ed25519PrivateKey) -> Scan:
    """The scan with a signature, in place of any that it had.

    Raises:
        UsageError: its JSON has no canonical form, for instance for a file name that is not Unicode.
        MissingExtraError: rfc8785 is not installed.
    """
    unsigned = dataclasses.replace(scan, signature=Signature("Ed25519", key_digest(key.public_key()), ""))
    try:
        content = _canonical(unsigned.to_dict())
    except ValueError as error:
        raise UsageError(
            scan.file,
            expected="a result that can be signed",
            got=f"one without canonical JSON ({error!s:.100})",
            remedy="rename the file if its name is not Unicode",
        ) from error
    value = base64.b64encode(key.sign(content)).decode()
    return dataclasses.replace(unsigned, signature=Signature("Ed25519", key_digest(key.public_key()), value))


def is_signed_by(key: Ed25519PublicKey, record: Mapping[str, Any]) -> bool:
    """Whether the record of a result, as it was read, is what the owner of the key signed.

    Raises:
        MissingExtraError: rfc8785 is not installed.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - a key is there, so is its library

    signature = record.get("signature")
    if not isinstance(signature, dict) or not isinstance(signature.get("value"), str):
        return False
    try:
        value = base64.b64decode(signature["value"], validate=True)
        key.verify(value, _canonical({**record, "signature": {**signature, "value": ""}}))
    except (InvalidSignature, ValueError, RecursionError):
        return False
    return True


def _canonical(record: Mapping[str, Any]) -> bytes:
    """The canonical JSON. Raises ValueError if there is none."""
    try:
        import rfc8785  # noqa: PLC0415 - of the extra `sign`
    except ImportError as error:
        raise MissingExtraError("rfc8785", "sign") from error
    return rfc8785.dumps(json.loads(json.dumps(record, allow_nan=False)))
