"""`fakespan verify` and `fakespan keys`: are results genuine, and can they be repeated?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from fakespan.cli.shared import AsJson, Device, bar, printable, show

__all__ = ["keys", "verify_"]

FORMAT = "fakespan.verify/1"
DOES_NOT_HOLD = 3  # exit code

keys = typer.Typer(help="Key pairs that sign results.", no_args_is_help=True)

_STATES = {"holds": "holds", "differs": "DIFFERS", "not_checked": "not checked"}


@keys.command()
def create(
    key: Annotated[Path, typer.Argument(metavar="KEY", help="File of the private key, such as desk.pem.")],
    as_json: AsJson = False,
) -> None:
    """Make a key pair: KEY is the private key, beside it lies the public one (.pub.pem)."""
    from fakespan.evidence.keys import create_keys

    public, digest = create_keys(key)
    lines = [
        f"private key (keep it secret): {printable(key)}",
        f"public key (give it to those who verify): {printable(public)}",
        f"SHA-256 of the public key: {digest}",
    ]
    record = {"private_key": str(key), "public_key": str(public), "key_sha256": digest}
    show("\n".join(lines), record, as_json=as_json)


def verify_(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="JSON file written by `fakespan scan`.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The media file that it should belong to.")],
    key: Annotated[
        Path | None, typer.Option(help="Public key (PEM) of the one who signed; the result must be signed with it.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model file; default: the shipped one that the result names.")
    ] = None,
    rescan: Annotated[bool, typer.Option("--rescan/--no-rescan", help="Scan the file again and compare.")] = True,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Tell whether a result is unchanged, belongs to a file and can be repeated. Exit code 3 if it does not hold."""
    from fakespan.evidence.keys import public_key
    from fakespan.evidence.verifying import Questions, verify

    questions = Questions(None if key is None else public_key(key), model, rescan, device)
    with bar(file.name) as progress:
        found = verify(result, file, questions, progress)
    checks = [dataclasses.asdict(check) for check in found.checks]
    lines = [f"{_STATES[check.state]:<12} {check.name:<10} {printable(check.text)}" for check in found.checks]
    show("\n".join(lines), {"format": FORMAT, "holds": found.holds, "checks": checks}, as_json=as_json)
    if not found.holds:
        raise typer.Exit(DOES_NOT_HOLD)
