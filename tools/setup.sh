#!/bin/sh
# A virtual environment with fakespan and all its extras.
set -eu
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "expected Python 3.11 or newer: set PYTHON=" >&2; exit 1; }
echo "setup: installing into .venv what pyproject.toml names: fakespan in place, torch (0.9 GB), its extras and the"
echo "setup: development tools; half a minute to five. Nothing outside of .venv is changed."
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv || true
sh tools/install.sh .venv/bin/python -e '.[dev]'
