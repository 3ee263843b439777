"""What the documents promise exists: commands, options, make targets, files, names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import fakespan
from fakespan.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "MODEL_CARD.md",
    "ARCHITECTURE.md",
    "benchmarks/README.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))),
]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def shell_lines() -> list[str]:
    return [
        line.split("#", maxsplit=1)[0].strip() for block in blocks("sh") for line in block.splitlines() if line.strip()
    ]


@pytest.mark.parametrize("line", [line for line in shell_lines() if line.startswith("fakespan")])
def test_every_command_of_the_readme_is_understood(line: str) -> None:
    words = shlex.split(line.split("|", maxsplit=1)[0])[1:]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):  # `fakespan verdict fit` is two deep
        name, *words = words
        command = command.commands[name]
    context = command.make_context(name, words)
    assert context.params


@pytest.mark.parametrize("line", [line for line in shell_lines() if line.startswith("make")])
def test_every_make_target_of_the_readme_exists(line: str) -> None:
    assert re.search(
        rf"^{line.split(maxsplit=2)[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
    )


def test_the_python_example_uses_public_names() -> None:
    (example,) = blocks("python")
    compile(example, "README.md", "exec")
    for name in re.findall(r"fakespan\.(\w+)", example):
        assert name in fakespan.__all__


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    path = ROOT / document
    text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_is_left_to_fill_in(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert not re.search(r"^(DEMO|SPEED|CARD)$|\bDURATION\b|\bTBD\b", text, flags=re.MULTILINE)


def test_ci_calls_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines():
        if line.startswith("make "):
            for target in line.split()[1:]:
                assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
