# All tasks for developers and CI; `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CLIPS ?= ../shared/clips
.DEFAULT_GOAL := help
.PHONY: help setup system hooks demo serve-demo test test-fast test-programs test-pythons coverage lint types docs no-cuda dist \
        release bench sample clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/.ready  ## create the development environment in .venv (0.5 to 5 minutes)

.venv/.ready: pyproject.toml constraints.txt tools/setup.sh tools/install.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh
	@touch $@

system:  ## install the programs that the tests need: Chromium, espeak-ng, flite, PostgreSQL
	@sh tools/system.sh

demo: setup  ## scan the bundled sample and a recording without speech; results in demo/
	@$(BIN)/python -c "import json; t = json.load(open('src/fakespan/samples/sample.json')); \
	print('truth:', *(f'{a:.2f}-{b:.2f} s' for a, b in t['fake_periods']), '(' + t['words_before'], '->', t['words_after'] + ')')"
	$(BIN)/fakespan scan src/fakespan/samples/sample.mp4 src/fakespan/samples/music.wav --out demo

serve-demo: setup  ## start the service, submit the sample to it, print the finding, stop
	$(BIN)/python -m fakespan.serve.demo

hooks: setup  ## install git hooks: lint and types before commits, documents and fast tests before pushes
	$(BIN)/pre-commit install

test: setup system  ## run the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2

test-fast: setup  ## run the fast tests, without a browser
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not slow and not browser and not programs"

test-programs: setup system  ## run the tests of examples/, benchmarks/ and tools/
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m programs

PYTHONS ?= 3.12 3.13
test-pythons:  ## run the torch-free tests on each of PYTHONS that is installed
	@sh tools/test_pythons.sh $(PYTHONS)

coverage: setup system  ## run the whole test suite with branch coverage; fails below the floor
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

lint: setup  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy: strict on src, names and calls in tests
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini

docs: export NO_MKDOCS_2_WARNING = 1
docs: setup  ## build the documentation site in build/site; broken links and unknown references fail
	$(BIN)/mkdocs build --quiet
	$(BIN)/python tools/check_site.py build/site

dist: setup  ## wheel and sdist in dist/; the wheel, installed outside of here, scans the sample
	sh tools/dist.sh

release: setup  ## check version, tag and changelog, then dist
	$(BIN)/python tools/check_release.py
	$(MAKE) dist

no-cuda: setup  ## fail when a CUDA package got installed
	@! $(BIN)/python -m pip list 2>/dev/null | grep -iE '^(nvidia|cuda|triton)' || (echo "expected no CUDA package"; exit 1)

bench: setup  ## run all benchmarks
	@for program in benchmarks/bench_*.py; do echo "== $$program"; $(BIN)/python $$program || exit 1; done

sample: setup system  ## rebuild the bundled samples
	$(BIN)/python examples/make_sample.py --kind visual --out src/fakespan/samples
	$(BIN)/python examples/make_music.py --out src/fakespan/samples/music.wav

clean:  ## remove what was made, but not the environment
	rm -rf demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

include small.mk
