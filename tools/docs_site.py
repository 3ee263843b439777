"""Hooks of the documentation site: pages that do not lie in docs/, and links between them.

The documents in the root of the repository become pages (README.md is the start page), the reference of the command
line is written from the commands themselves, and a link from a document to another file of the repository, for instance
a config, takes that file into the site. So every link is valid both in the repository and in the site.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "MODEL_CARD.md",
    "README.md",
    "SECURITY.md",
    "benchmarks/README.md",
)
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)]*)?(\))")
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents of the root, the files that pages link to, and the reference of the command line."""
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, _place(name), content=text))
    files.append(File.generated(config, "reference/cli.md", content=_command_line()))
    for name in sorted({n for page in files.documentation_pages() for n in _files_linked_from(page)}):
        if files.get_file_from_path(_place(name)) is None:
            files.append(File.generated(config, _place(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead each link from the place of a file in the repository to its place in the site."""
    here = page.file.src_uri

    def moved(found: re.Match[str]) -> str:
        name = _in_repository(here, found[2])
        if name is None:
            return found[0]
        target = posixpath.relpath(_place(name), posixpath.dirname(here) or ".")
        return f"{found[1]}{target}{found[3] or ''}{found[4]}"

    parts = CODE.split(markdown)  # every second part is code
    return "".join(part if k % 2 else LINK.sub(moved, part) for k, part in enumerate(parts))


def _place(name: str) -> str:
    """Where a file of the repository lies in the site."""
    if name == "README.md":
        return "index.md"
    return name.removeprefix("docs/")


def _source(place: str) -> str:
    """Where a page of the site lies in the repository; `_place` the other way."""
    if place == "index.md":
        return "README.md"
    return place if place in DOCUMENTS else f"docs/{place}"


def _in_repository(page: str, target: str) -> str | None:
    """The file of the repository that a page links to; None for an address or a file that is not there."""
    if ":" in target or target.startswith("/"):
        return None
    name = posixpath.normpath(posixpath.join(posixpath.dirname(_source(page)), target))
    return name if (ROOT / name).is_file() else None


def _files_linked_from(page: File) -> set[str]:
    prose = "".join(CODE.split(page.content_string)[::2])
    targets = (_in_repository(page.src_uri, found[2]) for found in LINK.finditer(prose))
    return {name for name in targets if name is not None}


def _command_line() -> str:
    """The commands with their options, as typer describes them."""
    command = [sys.executable, "-m", "typer", "fakespan.cli", "utils", "docs", "--name", "fakespan"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if run.returncode:
        raise PluginError(f"typer: expected the commands of fakespan.cli, got exit code {run.returncode}: {run.stderr}")
    return run.stdout
