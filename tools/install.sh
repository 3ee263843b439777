#!/bin/sh
# install.sh PYTHON ARGUMENTS...: `pip install` into the environment of PYTHON, under constraints.txt. uv is tried first
# for its speed, if .venv has it, then pip.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$1
shift
uv="$root/.venv/bin/uv"
links=${PIP_FIND_LINKS:-$("$python" -m pip config get global.find-links 2>/dev/null || true)}
if [ -x "$uv" ] &&
    UV_FIND_LINKS="$links" "$uv" pip install --quiet --python "$python" -c "$root/constraints.txt" "$@"; then
    exit 0
fi
"$python" -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" "$@"
