"""The command line: reads options, calls the library, prints. Heavy imports wait until a command needs them.

One module for each command; `shared` holds what they have in common.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fakespan import __version__
from fakespan.cli import evaluate, forge, info, maps, prepare, scan, score, train, verdict
from fakespan.cli.shared import complain, wants_debug
from fakespan.errors import FakespanError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Finds the forged seconds of a video.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich takes longer than all else that --help does
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The `fakespan` command: exit code 0 done, 1 some input failed, 2 wrong usage, 130 stopped."""
    try:
        app(args=[a for a in sys.argv[1:] if a != "--debug"], prog_name="fakespan")
    except FakespanError as error:
        complain(error, wants_debug())
        sys.exit(error.exit_code)


for command in (
    scan.scan,
    scan.report,
    info.info,
    train.train,
    evaluate.evaluate,
    score.score,
    prepare.prepare,
    forge.forge,
    maps.maps,
):
    app.command()(command)
app.add_typer(verdict.app, name="verdict")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Finds the forged seconds of a video."""
    if version:
        print(f"fakespan {__version__}")
        raise typer.Exit
