"""Who may import whom (ARCHITECTURE.md), and what importing must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fakespan

PACKAGE = Path(fakespan.__file__).parent

# part: what it may import of fakespan; `errors`, `arrays`, its own submodules and fakespan itself are always allowed
ALLOWED = {
    "errors": "",
    "arrays": "",
    "windows": "",
    "types": "",
    "config": "types",
    "segments": "types",
    "boundary_map": "types segments",
    "metrics": "types segments",
    "losses": "",
    "media": "types config",
    "models": "config boundary_map windows",
    "data": "types config boundary_map media",
    "forge": "types config media data segments boundary_map",
    "checkpoint": "config models",
    "scoring": "types config metrics data report",
    "localizer": "types config windows segments boundary_map media models checkpoint",
    "evaluate": "types config metrics segments boundary_map data models localizer scoring report",
    "verdict": "types config metrics boundary_map segments data models checkpoint localizer report",
    "train": "types config losses data models checkpoint localizer forge media report",
    "bulk": "types config localizer checkpoint models",
    "export": "types config localizer checkpoint models",
    "report": "types",
    "server": "types config checkpoint localizer report",
}
ALWAYS = {"errors", "arrays"}
ANYTHING = {"cli", "__main__", "__init__"}  # doors without logic; nothing imports cli but __main__

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


def names_of_parts() -> set[str]:
    return {part_of(path) for path in PACKAGE.rglob("*.py")}


def imports_of(path: Path) -> set[str]:
    package = ["fakespan", *path.relative_to(PACKAGE).parent.parts]
    return set(imported_parts(path.read_text(encoding="utf-8"), package)) & names_of_parts()


def bound_modules() -> list[Path]:
    return [path for path in modules() if part_of(path) not in ANYTHING]


@pytest.mark.parametrize("path", bound_modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_imports_only_what_its_part_may(path):
    part = part_of(path)
    assert part in ALLOWED, f"{part} has no row in the import table: give it one here and in ARCHITECTURE.md"
    allowed = {*ALLOWED[part].split(), *ALWAYS, part}
    assert imports_of(path) <= allowed, f"{part} may import {sorted(allowed)}"


def test_nothing_imports_the_command_line():
    guilty = [
        str(path.relative_to(PACKAGE)) for path in modules() if part_of(path) != "cli" and "cli" in imports_of(path)
    ]
    assert guilty == []


def test_the_table_has_no_circles():
    done: set[str] = set()
    while left := {part for part in ALLOWED if part not in done}:
        ready = {part for part in left if set(ALLOWED[part].split()) <= done}
        assert ready, f"these import each other: {sorted(left)}"
        done |= ready


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


def present(module: str) -> bool:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("module", [name for name in LIGHT if present(name)])
def test_importing_it_loads_no_heavy_library(module):
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
