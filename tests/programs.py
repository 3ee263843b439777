"""The programs beside the library, imported for tests: they are no package, and find each other in their own folder."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def load_program(folder: str, name: str) -> Any:
    """The module `name` of "examples", "benchmarks" or "tools"."""
    sys.path.insert(0, str(ROOT / folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)
