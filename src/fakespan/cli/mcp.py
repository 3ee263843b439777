"""`fakespan mcp`: tools for assistants, on stdin and stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fakespan.cli.shared import Model
from fakespan.errors import MissingExtraError


def mcp(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Only files below it are opened.")],
    model: Model = "small",
) -> None:
    """Serve the tools scan_file, get_result and explain_segment to an assistant (Model Context Protocol, stdio)."""
    try:
        from fakespan.mcp_server import create_server
    except ImportError as error:
        raise MissingExtraError("mcp", "mcp") from error
    create_server(folder, model).run()
