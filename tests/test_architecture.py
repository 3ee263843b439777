"""Who may import whom (ARCHITECTURE.md), and what importing must not load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import fakespan

PACKAGE = Path(fakespan.__file__).parent

DOCUMENT = PACKAGE.parent.parent / "ARCHITECTURE.md"  # its table is the one list of who may import whom
ALWAYS = {"errors", "arrays"}
ANYTHING = {"cli", "__main__", "__init__"}  # doors without logic; nothing imports cli but __main__


def read_table(text: str) -> dict[str, set[str]]:
    """The import table of the document: each part, and what it may import beside ALWAYS and its own modules."""
    cells = re.findall(r"^\| ([a-z_, ]+) \| ([a-z_ -]+) \|$", text, flags=re.MULTILINE)
    return {part: set(names.replace("-", "").split()) for parts, names in cells for part in parts.split(", ")
            if part != "part"}  # fmt: skip


ALLOWED = read_table(DOCUMENT.read_text(encoding="utf-8"))

# what a person waits for at the prompt, or has where torch is not
LIGHT = [
    "fakespan",
    "fakespan.errors",
    "fakespan.types",
    "fakespan.config",
    "fakespan.report",
    "fakespan.verdict",
    "fakespan.scoring",
]
HEAVY = ["torch", "cv2", "av"]


def part_of(path: Path) -> str:
    """The top-level part that a file belongs to: media/probe.py -> media."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_parts(source: str, package: list[str]) -> Iterator[str]:
    """Every part of fakespan that a module imports, anywhere in it. `package` is the module's own, from fakespan on."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parent, *([node.module] if node.module else [])])
            # `from fakespan import media` names the part in the list
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "fakespan" else [base]
        else:
            continue
        for name in names:
            root, _, rest = name.partition(".")
            if root == "fakespan" and rest:
                yield rest.split(".")[0]


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py")


@cache
def names_of_parts() -> set[str]:
    return {part_of(path) for path in PACKAGE.rglob("*.py")}


@cache
def imports_of(path: Path) -> set[str]:
    package = ["fakespan", *path.relative_to(PACKAGE).parent.parts]
    return set(imported_parts(path.read_text(encoding="utf-8"), package)) & names_of_parts()


def bound_modules() -> list[Path]:
    return [path for path in modules() if part_of(path) not in ANYTHING]


@pytest.mark.parametrize("path", bound_modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_imports_only_what_its_part_may(path):
    part = part_of(path)
    assert part in ALLOWED, f"{part} has no row in the import table of ARCHITECTURE.md: give it one"
    allowed = ALLOWED[part] | ALWAYS | {part}
    assert imports_of(path) <= allowed, f"{part} may import {sorted(allowed)}"


def test_nothing_imports_the_command_line():
    guilty = [
        str(path.relative_to(PACKAGE)) for path in modules() if part_of(path) != "cli" and "cli" in imports_of(path)
    ]
    assert guilty == []


def test_every_row_of_the_table_is_a_part_and_every_grant_is_used():
    used = {part: set[str]() for part in ALLOWED}
    for path in bound_modules():
        used.setdefault(part_of(path), set()).update(imports_of(path) - {part_of(path)} - ALWAYS)
    assert used == ALLOWED, "the table of ARCHITECTURE.md (right) against what the code imports (left)"


def test_the_table_has_no_circles():
    done: set[str] = set()
    while left := {part for part in ALLOWED if part not in done}:
        ready = {part for part in left if ALLOWED[part] <= done}
        assert ready, f"these import each other: {sorted(left)}"
        done |= ready


def test_the_table_is_read_as_it_is_written():
    text = "| part | may import |\n|---|---|\n| types, windows | - |\n| media | types files |\n"
    assert read_table(text) == {"types": set(), "windows": set(), "media": {"types", "files"}}


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import fakespan.media.probe", ["fakespan"], {"media"}),
        ("from fakespan import media, errors", ["fakespan"], {"media", "errors"}),
        ("from fakespan.media.probe import probe", ["fakespan"], {"media"}),
        ("from .probe import probe", ["fakespan", "media"], {"media"}),
        ("from ..scan import Localizer", ["fakespan", "server"], {"scan"}),
        ("from .. import scan", ["fakespan", "server"], {"scan"}),
        ("def f():\n    from fakespan import cli", ["fakespan"], {"cli"}),
        ("import fakespanner.cli\nimport torch\nfrom json import loads", ["fakespan"], set()),
    ],
)
def test_the_reader_sees_every_form_of_import(source, package, expected):
    assert set(imported_parts(source, package)) == expected


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_loads_no_heavy_library(module):
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
