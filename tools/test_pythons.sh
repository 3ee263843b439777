#!/bin/sh
# test_pythons.sh VERSION...: the tests that need no torch, on each of these Pythons that is found. torch is never installed
# there: outside of 3.11 the registry's torch is a CUDA build of several GB.
set -eu
cd "$(dirname "$0")/.."

find_python() {
    for candidate in "python$1" "$(command -v pyenv >/dev/null 2>&1 && pyenv root)/versions/$1".*/bin/python; do
        # a pyenv shim may exist for a version that is not switched on
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

for version in "$@"; do
    python=$(find_python "$version")
    [ -n "$python" ] || { echo "test-pythons: no Python $version on this machine; not run on it"; continue; }
    venv=".venv-pythons/$version"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    requirements=$("$venv/bin/python" tools/torch_free.py)
    echo "test-pythons: Python $version, installing into $venv:" $requirements
    sh tools/install.sh "$venv/bin/python" $requirements
    PYTHONPATH=src:tests OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest -q -n 2 -p without_torch -p no:cacheprovider -r fE \
        -m "not browser and not programs and not slow" tests src
done
