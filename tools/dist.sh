#!/bin/sh
# Wheel and sdist in dist/; the wheel, installed into a fresh environment outside the repository, scans the sample.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
rm -rf dist
echo "dist: building wheel and sdist"
.venv/bin/python -m build --outdir dist . >"$folder/build.log" 2>&1 || { cat "$folder/build.log" >&2; exit 1; }
ls -l dist
echo "dist: installing the wheel and what it depends on (torch) into an environment of its own, removed afterwards"
.venv/bin/python -m venv "$folder/venv"
sh tools/install.sh "$folder/venv/bin/python" dist/*.whl
"$folder/venv/bin/python" -I tools/check_wheel.py src/fakespan/samples "$folder"
