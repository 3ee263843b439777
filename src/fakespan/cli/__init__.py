"""The command line: parses options, calls the library, prints. Heavy imports are deferred until a command needs them.

One module per command; `shared` holds the common parts.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from fakespan.cli import (
    alarms,
    bulk,
    evaluate,
    experts,
    export,
    forge,
    info,
    maps,
    mcp,
    prepare,
    scan,
    score,
    serve,
    train,
    verdict,
    verify,
)
from fakespan.cli.shared import ANYWHERE, complain, unforeseen, wants_debug
from fakespan.errors import FakespanError, UsageError
from fakespan.version import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    help="Finds the forged seconds of a video.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich takes longer than the rest of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)


EXIT_CODES = (
    "Exit codes: 0 done; 1 an input failed (the others were done); 2 wrong usage; 3 verify: the result does not hold; "
    "130 interrupted."
)


def main() -> None:
    """The `fakespan` command."""
    try:
        try:
            app(args=_arguments(), prog_name="fakespan")
        finally:
            sys.stdout.flush()  # here, where a full disk can be told
    except BrokenPipeError:  # the reader left
        _discard_output()
        sys.exit(1)
    except Exception as error:
        failure = error if isinstance(error, FakespanError) else unforeseen("standard output", error)
        complain(failure, wants_debug())
        _discard_output()
        sys.exit(failure.exit_code)


def _arguments() -> list[str]:
    """What Typer parses. An empty argument comes from a variable that is not set; as a path it would be this folder."""
    given = [argument for argument in sys.argv[1:] if argument not in ANYWHERE]
    for before, argument in zip(["", *given], given, strict=False):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            place = argument.removesuffix("=") or (before if before.startswith("-") else "command line")
            expected, remedy = "a value, file or folder", "check the variables in the command"
            raise UsageError(place, expected=expected, got="an empty argument", remedy=remedy)
    return given


def _discard_output() -> None:
    """What is still buffered cannot be written: the interpreter must not try again when it ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


for command in (
    scan.scan,
    scan.report,
    bulk.bulk,
    info.info,
    train.train,
    evaluate.evaluate,
    alarms.alarms,
    score.score,
    prepare.prepare,
    forge.forge,
    maps.maps,
    mcp.mcp,
    export.export,
):
    app.command()(command)
app.command("verify")(verify.verify_)
app.add_typer(verify.keys, name="keys")
app.add_typer(experts.app, name="experts")
app.add_typer(verdict.app, name="verdict")
app.add_typer(serve.app, name="serve")


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print no progress and no results, except with --json; errors are printed.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")] = False,
) -> None:
    """Finds the forged seconds of a video. --quiet and --debug may stand anywhere on the command line."""
    if version:
        print(f"fakespan {__version__}")
        raise typer.Exit
