"""`fakespan serve`: a page and an API that scan uploaded files, and the tokens for them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakespan.cli.shared import AsJson, printable, show
from fakespan.errors import MissingExtraError

if TYPE_CHECKING:
    from fakespan.serve.settings import Settings
    from fakespan.serve.tokens import Tokens

app = typer.Typer(
    help="Run the service: a page and an API that scan uploaded files.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
token_app = typer.Typer(help="Tokens of clients on other machines.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(token_app, name="token")

Config = Annotated[Path | None, typer.Option(help="TOML file with settings; docs/service.md lists them.")]
Data = Annotated[Path | None, typer.Option(help="Folder of uploads, results and database. [default: fakespan-data]")]
Database = Annotated[str | None, typer.Option(help="URL of a PostgreSQL database; default: SQLite in --data.")]


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on; others than 127.0.0.1 need tokens.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="0: any free port. [default: 8000]")] = None,
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Run the service until it is interrupted.

    Every setting of the file can also be an environment variable, as FAKESPAN_SERVE_PORT.
    """
    if context.invoked_subcommand is not None:
        context.obj = (config, data, database)
        return
    settings = _settings(config, host=host, port=port, data=data, database=database)
    from fakespan.serve.server import run

    run(settings, lambda address: print(f"fakespan serves at {address}", flush=True))


@token_app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it.")],
    scopes: Annotated[list[str], typer.Option("--scope", help="read, write or admin; may be repeated.")] = [
        "read",
        "write",
    ],
    as_json: AsJson = False,
) -> None:
    """Make a token and print it. It is stored as a hash and cannot be shown again."""
    secret = _tokens(context).create(name, scopes)
    show(secret, {"name": name, "scopes": scopes, "token": secret}, as_json=as_json)


@token_app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the tokens."""
    tokens = _tokens(context).all()
    records = [
        {"name": t.name, "scopes": sorted(t.scopes), "created": _date(t.created), "revoked": _date(t.revoked)}
        for t in tokens
    ]
    lines = [
        f"{printable(token.name)}: {', '.join(sorted(token.scopes))}; created {_date(token.created)}"
        + (f"; revoked {_date(token.revoked)}" if token.revoked else "")
        for token in tokens
    ]
    show("\n".join(lines) or "no tokens", records, as_json=as_json)


@token_app.command()
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a token.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a token at once and for good."""
    _tokens(context).revoke(name)
    show(f"revoked: {printable(name)}", {"name": name, "revoked": True}, as_json=as_json)


def _settings(config: Path | None, **options: object) -> Settings:
    try:
        import dbos  # noqa: F401
        import fastapi  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    from fakespan.serve.settings import load_settings

    plain = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
    return load_settings(config, os.environ, plain)


def _tokens(context: typer.Context) -> Tokens:
    parent = context.parent.parent if context.parent else None
    config, data, database = parent.obj if parent and parent.obj else (None, None, None)
    settings = _settings(config, data=data, database=database)
    from fakespan.serve.database import connect
    from fakespan.serve.tokens import Tokens

    settings.folder.mkdir(parents=True, exist_ok=True)
    return Tokens(connect(settings.database_url))


def _date(time_s: float | None) -> str | None:
    return None if time_s is None else datetime.fromtimestamp(time_s, tz=UTC).date().isoformat()
