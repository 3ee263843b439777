"""Modules and functions stay short enough to be read from top to bottom (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fakespan

PACKAGE = Path(fakespan.__file__).parent
MOST_LINES, MOST_FUNCTION_LINES, MOST_NESTING, MOST_PARAMETERS = 300, 45, 4, 8

# still too long: take a name out when it is mended, and put none in
TOO_LARGE: set[str] = set()

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)


def nesting(node: ast.AST, depth: int = 0) -> int:
    """How many blocks lie within each other; an `elif` is no deeper than its `if`, inner functions count alone."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, nesting(child, depth + (isinstance(child, BLOCKS) and not is_elif)))
    return deepest


def n_parameters(function: Function) -> int:
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def faults(name: str, source: str) -> Iterator[tuple[str, str]]:
    """What is too large in a module, as (what, why)."""
    if (n_lines := len(source.splitlines())) > MOST_LINES:
        yield name, f"{n_lines} lines, more than {MOST_LINES}"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Function):
            continue
        n_lines = (node.end_lineno or 0) - node.lineno + 1
        if n_lines > MOST_FUNCTION_LINES:
            yield f"{name} {node.name}", f"{n_lines} lines, more than {MOST_FUNCTION_LINES}"
        if nesting(node) > MOST_NESTING:
            yield f"{name} {node.name}", f"{nesting(node)} blocks within each other, more than {MOST_NESTING}"
        # a command has as many parameters as it has options
        if n_parameters(node) > MOST_PARAMETERS and not name.startswith("cli/"):
            yield f"{name} {node.name}", f"{n_parameters(node)} parameters, more than {MOST_PARAMETERS}"


MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_too_large(name):
    found = faults(name, (PACKAGE / name).read_text(encoding="utf-8"))
    assert [(what, why) for what, why in found if what not in TOO_LARGE] == []


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("\n" * 301, "301 lines"),
        ("def f():\n" + "    pass\n" * 45, "46 lines"),
        ("def f():\n" + "".join(f"{'    ' * k}if x:\n" for k in range(1, 6)) + "    " * 6 + "pass\n", "5 blocks"),
        ("def f(a, b, c, d, *, e, f, g, h, i):\n    pass\n", "9 parameters"),
        ("class C:\n    def f(self, a, b, c, d, e, f, g, h):\n        pass\n", ""),
        ("def f():\n    if a:\n        pass\n" + "    elif b:\n        pass\n" * 5, ""),
    ],
)
def test_the_measure_sees_what_is_too_large(source, why):
    assert [reason for _, reason in faults("x.py", source) if not reason.startswith(why or "nothing")] == []
    assert bool(list(faults("x.py", source))) == bool(why)
