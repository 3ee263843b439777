"""Links that show the report of one job to whoever has them: random, stored as a hash, expiring, revocable."""

from __future__ import annotations

import dataclasses
import hmac
import secrets
import time
from dataclasses import dataclass

import sqlalchemy as sa

from fakespan.serve.database import LINKS
from fakespan.serve.jobs import Job
from fakespan.serve.tokens import digest

__all__ = ["Link", "Links"]


@dataclass(frozen=True)
class Link:
    """One row; times are seconds since 1970. The id is no secret."""

    id: str
    job: str
    digest: str
    owner: str  # name of the token that made it
    created: float
    expires: float


class Links:
    """The table of links. The database removes those of a job together with the job."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, job: Job, owner: str, keep_s: float) -> tuple[Link, str] | None:
        """A new link and its secret, told only this once; None if the job was deleted meanwhile.

        It ends with the result of the job, if that is earlier.
        """
        secret, now = secrets.token_urlsafe(32), time.time()
        expires = now + keep_s if job.result_expires is None else min(now + keep_s, job.result_expires)
        link = Link(secrets.token_hex(8), job.id, digest(secret), owner, now, expires)
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(LINKS).values(**dataclasses.asdict(link)))
        except sa.exc.IntegrityError:
            return None
        return link, secret

    def find(self, link_id: str, secret: str) -> Link | None:
        """The link, unless it is unknown, revoked or expired, or the secret is another."""
        found = self._select(LINKS.c.id == link_id)
        is_right = hmac.compare_digest(found[0].digest if found else digest(""), digest(secret))
        return found[0] if found and is_right else None

    def of(self, job: Job) -> list[Link]:
        """The links of a job that have not expired, oldest first."""
        return self._select(LINKS.c.job == job.id)

    def revoke(self, job: Job, link_id: str) -> bool:
        """Remove a link of the job; False if it has no such link."""
        return self._delete(LINKS.c.job == job.id, LINKS.c.id == link_id) > 0

    def forget_expired(self) -> None:
        """Remove those that have expired."""
        self._delete(LINKS.c.expires < time.time())

    def _select(self, where: sa.ColumnElement[bool]) -> list[Link]:
        query = sa.select(LINKS).where(where, LINKS.c.expires >= time.time()).order_by(LINKS.c.created)
        with self._engine.connect() as connection:
            return [Link(**row) for row in connection.execute(query).mappings()]

    def _delete(self, *where: sa.ColumnElement[bool]) -> int:
        with self._engine.begin() as connection:
            return int(connection.execute(sa.delete(LINKS).where(*where)).rowcount)
