"""Prints what the torch-free tests need of pyproject.toml: every requirement but torch and what pulls it in."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

NEEDS_TORCH = frozenset({"torch", "lightning", "silero-vad", "tensorboard"})
READERS = frozenset({"otio-cmx3600-adapter", "otio-fcpx-xml-adapter", "praat-parselmouth", "pyannote.database"})
OF_DEVELOPMENT = READERS | {"hypothesis", "pytest", "pytest-xdist"}


def requirements(project: dict[str, Any]) -> list[str]:
    """Requirements without blanks, which a shell can take word by word."""
    extras = project["optional-dependencies"]
    names = ("forge", "formats", "train", "onnx", "provenance", "sign")
    wanted = [*project["dependencies"], *(r for name in names for r in extras.get(name, []))]
    wanted = [r for r in wanted if _name(r) not in NEEDS_TORCH]
    wanted += [r for r in extras["dev"] if _name(r) in OF_DEVELOPMENT]
    return [r.replace(" ", "") for r in wanted]


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    print(*requirements(tomllib.loads(text)["project"]))
