"""What the documents promise exists: commands, options, make targets, files, names."""

from __future__ import annotations

import re
import shlex
import tomllib
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
MAKEFILE = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "small.mk"))


def blocks(language: str, document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(program: str) -> list[str]:
    """Every command line of a program in the shell blocks of all documents, once."""
    lines = "\n".join(block for document in DOCUMENTS for block in blocks("sh", document)).replace("\\\n", " ")
    found = (line.split("#", maxsplit=1)[0].strip() for line in lines.splitlines())
    return list(dict.fromkeys(line for line in found if line.startswith(f"{program} ")))


@pytest.mark.parametrize("line", commands("fakespan"))
def test_every_command_of_the_documents_is_understood(line: str) -> None:
    words = shlex.split(line.split(" | ", maxsplit=1)[0])[1:]
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):  # `fakespan verdict fit` is two deep
        name, *words = words
        command = command.commands[name]
    assert not [word for word in words if word.startswith("configs/") and not (ROOT / word).is_file()]
    context = command.make_context(name, words)
    assert context.params


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_config_of_the_documents_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for config in re.findall(r"(?<![\w/])(?:\.\./)?(configs/[\w/]+\.toml)", text):
        assert (ROOT / config).is_file(), config


@pytest.mark.parametrize("line", commands("make"))
def test_every_make_target_of_the_documents_exists(line: str) -> None:
    targets = [
        word for word in line.split("#", maxsplit=1)[0].split()[1:] if not word.startswith("-") and "=" not in word
    ]
    assert targets
    assert all(re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE) for target in targets)


@pytest.mark.parametrize("line", commands("python"))
def test_every_program_of_the_documents_exists(line: str) -> None:
    program = next(word for word in line.split()[1:] if not word.startswith("-"))
    assert (ROOT / program).is_file()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_examples_use_public_names(document: str) -> None:
    for example in blocks("python", document):
        compile(example, document, "exec")
        for name in re.findall(r"(?<!from )\bfakespan\.(\w+)", example):
            assert name in fakespan.__all__


def test_the_first_screen_tells_what_to_expect() -> None:
    first = "\n".join(README.splitlines()[:60])
    for part in ("finds the forged seconds", "](docs/report.png)", "pip install .", "fakespan scan", "MODEL_CARD.md"):
        assert part in first


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
    for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines():
        if line.startswith("make "):
            for target in line.split()[1:]:
                assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE), target


def test_an_installation_without_torch_names_every_other_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["onnx"]} - {"torch>=2.6"}
    document = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    section = document.split("## Install without torch")[1].split("##")[0]
    assert set(re.findall(r"'([\w-]+>=[^']+)'", section)) == wanted
