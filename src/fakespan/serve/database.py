"""The tables of the service, in SQLite or PostgreSQL; dbos keeps its own tables in the same database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fakespan.errors import UsageError

__all__ = ["JOBS", "LINKS", "MACHINES", "TOKENS", "connect"]

VERSION = 1
"""Of the tables: to be raised with every change of them that another version of fakespan cannot work with."""
_META = sa.MetaData()

JOBS = sa.Table(
    "fakespan_jobs",
    _META,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),  # of the file, for display only
    sa.Column("size", sa.BigInteger),  # bytes; None until a URL has been fetched
    sa.Column("upload", sa.String(64), index=True),  # SHA-256 of the file; None: not fetched yet, or deleted
    sa.Column("file_sha256", sa.String(64)),  # kept when the upload is deleted
    sa.Column("url", sa.Text),
    sa.Column("options", sa.Text, nullable=False),  # JSON
    sa.Column("result", sa.String(64), index=True),  # key of the stored result
    sa.Column("reused", sa.Boolean, nullable=False, default=False),
    sa.Column("summary", sa.Text),  # JSON: what the list shows of the result
    sa.Column("reason", sa.String(40)),  # of a failure
    sa.Column("detail", sa.Text),
    sa.Column("progress_s", sa.Float, nullable=False, default=0.0),
    sa.Column("total_s", sa.Float, nullable=False, default=0.0),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("scan_s", sa.Float),
    sa.Column("changed", sa.Float, nullable=False, index=True),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False, default=0),  # worker processes that died of it
    sa.Column("cancelled", sa.Boolean, nullable=False, default=False),
    sa.Column("callback", sa.Text),
    sa.Column("callback_state", sa.String(16)),
    sa.Column("owner", sa.Text, nullable=False, default=""),  # name of the token
    sa.Column("upload_expires", sa.Float),
    sa.Column("result_expires", sa.Float),
)

TOKENS = sa.Table(
    "fakespan_tokens",
    _META,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.Text, nullable=False),  # separated by spaces
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("revoked", sa.Float),
)

LINKS = sa.Table(
    "fakespan_links",
    _META,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("job", sa.ForeignKey(JOBS.c.id, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)

MACHINES = sa.Table(
    "fakespan_machines",
    _META,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("alive", sa.Float, nullable=False),
)


_VERSIONS = sa.Table("fakespan_version", sa.MetaData(), sa.Column("version", sa.Integer, nullable=False))


def connect(url: str) -> sa.Engine:
    """An engine with the tables in place. SQLite keeps a write-ahead log, so that readers never wait for a writer.

    Raises UsageError if the database cannot be reached, is none, or has tables of another version.
    """
    if url.startswith("sqlite"):
        engine = sa.create_engine(url, connect_args={"timeout": 30}, pool_size=20, max_overflow=40)
        sa.event.listen(engine, "connect", _prepare_sqlite)
    else:
        engine = sa.create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
    try:
        _make_tables(engine)
    except sa.exc.DBAPIError as error:
        engine.dispose()
        got, remedy = " ".join(str(error.orig).split())[:200], "check that it runs, its permissions and the disk"
        raise UsageError("database", expected="one that can be used", got=got, remedy=remedy) from error
    except UsageError:
        engine.dispose()
        raise
    return engine


def _make_tables(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name != "sqlite":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7142023)"))  # two processes start at once
        _check_version(connection)
        _META.create_all(connection)


def _check_version(connection: sa.Connection) -> None:
    """Refuse tables of another version, before anything of them is touched."""
    stated = VERSION if not sa.inspect(connection).has_table(JOBS.name) else 1  # the first ones state none
    _VERSIONS.create(connection, checkfirst=True)
    if_none = sa.select(sa.literal(stated)).where(~sa.exists(sa.select(_VERSIONS)))
    connection.execute(sa.insert(_VERSIONS).from_select(["version"], if_none))
    found = connection.execute(sa.select(_VERSIONS.c.version)).scalar_one()
    if found != VERSION:
        got = f"version {found}, of {'a newer' if found > VERSION else 'an older'} fakespan"
        remedy = "use that fakespan, or another --data or --database"
        raise UsageError("database", expected=f"tables of version {VERSION}", got=got, remedy=remedy)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"  # a transaction that writes waits at its start, not in its middle
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a committed job survives a power cut
    connection.execute("PRAGMA foreign_keys=ON")
