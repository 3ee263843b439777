#!/bin/sh
# A virtual environment with fakespan and all its extras. uv is tried first for its speed, then pip.
set -eu
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "expected Python 3.11 or newer: set PYTHON=" >&2; exit 1; }
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv || true
links=${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}
if [ -x .venv/bin/uv ] &&
    UV_FIND_LINKS="$links" .venv/bin/uv pip install --quiet --python .venv/bin/python -c constraints.txt -e '.[dev]'; then
    exit 0
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
