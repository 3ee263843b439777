"""Access tokens: random, stored as a hash, with scopes, revocable."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from fakespan.errors import UsageError
from fakespan.serve.database import TOKENS

__all__ = ["LOCAL", "SCOPES", "Token", "Tokens", "digest"]

SCOPES = ("read", "write", "admin")
"""read: jobs and results; write: new jobs, deletion; admin: metrics."""


@dataclass(frozen=True)
class Token:
    """Who asks, and what they may do."""

    name: str
    scopes: frozenset[str]
    created: float = 0.0
    revoked: float | None = None


LOCAL = Token("local", frozenset(SCOPES))
"""Everybody on this machine, where no token is needed."""


class Tokens:
    """The table of tokens."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, name: str, scopes: Iterable[str]) -> str:
        """A new token, told only this once. Raises UsageError if the name is taken or a scope is unknown."""
        chosen = list(dict.fromkeys(scopes))
        if not chosen or set(chosen) - set(SCOPES):
            got = ", ".join(chosen) or "none"
            raise UsageError("--scope", expected=" or ".join(SCOPES), got=got, remedy="choose from them")
        if not name.isprintable() or not name.strip():
            raise UsageError("NAME", expected="a printable name", got=repr(name), remedy="choose another name")
        secret = f"fakespan_{secrets.token_urlsafe(32)}"
        row = {"name": name, "digest": digest(secret), "scopes": " ".join(chosen), "created": time.time()}
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(TOKENS).values(**row))
        except sa.exc.IntegrityError as error:
            raise UsageError(
                name, expected="a new name", got="that of another token", remedy="choose another name"
            ) from error
        return secret

    def find(self, secret: str) -> Token | None:
        """The token, unless it is unknown or revoked."""
        query = sa.select(TOKENS).where(TOKENS.c.digest == digest(secret), TOKENS.c.revoked.is_(None))
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _token(row)

    def revoke(self, name: str) -> None:
        """Revoke for good; its name stays taken. Raises UsageError if there is no such token."""
        query = sa.update(TOKENS).where(TOKENS.c.name == name, TOKENS.c.revoked.is_(None)).values(revoked=time.time())
        with self._engine.begin() as connection:
            if not connection.execute(query).rowcount:
                remedy = "see: fakespan serve token list"
                raise UsageError(name, expected="the name of a token that is valid", got="another", remedy=remedy)

    def all(self) -> list[Token]:
        """Every token that was ever made."""
        with self._engine.connect() as connection:
            return [_token(row) for row in connection.execute(sa.select(TOKENS).order_by(TOKENS.c.created))]


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    return Token(row.name, frozenset(row.scopes.split()), row.created, row.revoked)


def digest(secret: str) -> str:
    """What is stored of a secret, which is random and long enough to need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()
