"""Key pairs for signatures (Ed25519), in PEM files.

Contract: a file that exists is never replaced, and a private key can be read by its owner alone from the start.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakespan.errors import MissingExtraError, UsageError

if TYPE_CHECKING:  # of the extra `sign`
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["create_keys", "key_digest", "private_key", "public_key"]

_MOST_BYTES = 10_000
_CREATE = "create one with: fakespan keys create KEY.pem"


def create_keys(path: Path) -> tuple[Path, str]:
    """Make a key pair: the private key in `path`, the public one beside it, with the suffix `.pub.pem`.

    Returns:
        The path of the public key, and its digest.

    Raises:
        UsageError: one of the files exists or cannot be written, or the path is that of a folder.
        MissingExtraError: cryptography is not installed.
    """
    _check_library()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    if not path.name:
        raise UsageError(path, expected="a new file for a key", got="a folder", remedy="add a name such as KEY.pem")
    key = Ed25519PrivateKey.generate()
    public = path.with_name(f"{path.stem}.pub.pem")
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    known = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write_new(public, known, 0o644)
    try:
        _write_new(path, secret, 0o600)
    except UsageError:
        public.unlink()
        raise
    return public, key_digest(key.public_key())


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key. Raises UsageError or MissingExtraError."""
    _check_library()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    content = _content(path, "a private key")
    try:
        key: Any = serialization.load_pem_private_key(content, None)
    except TypeError as error:  # a password is missing
        remedy = "write it without a password with: openssl pkey"
        raise UsageError(path, expected="a private key", got="an encrypted one", remedy=remedy) from error
    except Exception as error:
        got = "a public key" if b"PUBLIC KEY" in content else "another file"
        raise UsageError(path, expected="a private Ed25519 key (PEM)", got=got, remedy=_CREATE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(path, expected="a private Ed25519 key (PEM)", got="a key of another kind", remedy=_CREATE)
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key. Raises UsageError or MissingExtraError."""
    _check_library()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    content, expected = _content(path, "a public key"), "a public Ed25519 key (PEM)"
    remedy = "give the file KEY.pub.pem of the one who signed"
    try:
        key: Any = serialization.load_pem_public_key(content)
    except Exception as error:
        got = "a private key" if b"PRIVATE KEY" in content else "another file"
        raise UsageError(path, expected=expected, got=got, remedy=remedy) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(path, expected=expected, got="a key of another kind", remedy=remedy)
    return key


def key_digest(key: Ed25519PublicKey) -> str:
    """SHA-256, in hex, of a public key as DER (SubjectPublicKeyInfo), by which people recognise it."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    told = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(told).hexdigest()


def _check_library() -> None:
    try:
        import cryptography  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingExtraError("cryptography", "sign") from error


def _content(path: Path, expected: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        got = (error.strerror or str(error)).lower()
        raise UsageError(path, expected=expected, got=got, remedy="check the path") from error


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")
        try:
            with file:
                file.write(content)
        except OSError:
            path.unlink()  # half a key would be in the way of the next one
            raise
    except FileExistsError as error:
        remedy = "choose another name; keys are never replaced"
        raise UsageError(path, expected="a new file for a key", got="an existing file", remedy=remedy) from error
    except OSError as error:
        got = (error.strerror or str(error)).lower()
        raise UsageError(
            path, expected="a file that can be written", got=got, remedy="choose another folder"
        ) from error
