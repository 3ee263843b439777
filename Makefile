# Everything a person or CI runs; `make help` lists it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CLIPS ?= ../shared/clips
.DEFAULT_GOAL := help
.PHONY: help setup system demo test test-fast lint types no-cuda bench small evaluate sample clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/.ready  ## a virtual environment in .venv with everything for development (half a minute to five)

.venv/.ready: pyproject.toml constraints.txt tools/setup.sh
	PYTHON="$(PYTHON)" sh tools/setup.sh
	@touch $@

system:  ## what the tests need beside Python: Chromium, espeak-ng, flite
	sh tools/system.sh

demo: setup  ## scan the bundled sample clip; results in demo/
	@$(BIN)/python -c "import json; t = json.load(open('src/fakespan/samples/sample.json')); \
	print('truth:', *(f'{a:.2f}-{b:.2f} s' for a, b in t['fake_periods']), '(' + t['words_before'], '->', t['words_after'] + ')')"
	$(BIN)/fakespan scan src/fakespan/samples/sample.mp4 --out demo

test: setup system  ## the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2

test-fast: setup  ## the tests that take no browser and less than a few seconds each
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not slow and not browser"

lint: setup  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy --strict on src
	$(BIN)/mypy

no-cuda: setup  ## fail when a CUDA package got installed
	@! $(BIN)/python -m pip list 2>/dev/null | grep -iE '^(nvidia|cuda|triton)' || (echo "expected no CUDA package"; exit 1)

bench: setup  ## every benchmark, one after the other
	@for program in benchmarks/bench_*.py; do echo "== $$program"; $(BIN)/python $$program || exit 1; done

# One core trains while the other makes examples; glibc keeps freed memory for the next step.
small: export OMP_NUM_THREADS = 1
small: export MALLOC_MMAP_MAX_ = 0
small: export MALLOC_TRIM_THRESHOLD_ = 17179869184
small: setup  ## train the shipped model anew from the real clips in CLIPS, rate it, put it in place
	$(BIN)/fakespan train configs/small.toml --data practice:$(CLIPS) --out runs/small --overwrite
	$(BIN)/fakespan evaluate --config configs/small.toml --data practice:$(CLIPS) --model runs/small/small.safetensors --out runs/small/test.json
	mkdir -p src/fakespan/weights && cp runs/small/small.safetensors src/fakespan/weights/small.safetensors

evaluate: setup  ## rate the shipped model on the held-out clips in CLIPS
	$(BIN)/fakespan evaluate --config configs/small.toml --data practice:$(CLIPS)

sample: setup system  ## make the bundled sample clip anew
	$(BIN)/python examples/make_sample.py --kind visual --out src/fakespan/samples

clean:  ## remove what was made, but not the environment
	rm -rf demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
