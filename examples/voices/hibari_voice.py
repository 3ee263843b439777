"""hibari (a distilled Kokoro with an inverse-STFT head) as a voice program that stays alive, in `make voices`' Python.

    runs/voices/venv/bin/python examples/voices/hibari_voice.py

Its package brings one speaker, an American woman, so the reference is not heard. Equal requests give equal sound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hibari import Hibari
from service import serve, tempo_for, write_wav


def main() -> None:
    """Loads the voice and answers."""
    voice = Hibari()

    def answer(request: dict[str, Any]) -> None:
        seed = int(request.get("seed", 0))
        pace = float(np.random.default_rng(seed).uniform(0.92, 1.08))
        spoken = voice(request["text"], speed=pace, seed=seed)
        tempo = tempo_for(spoken, voice.sample_rate, request.get("length_s"))
        if abs(tempo - 1) > 0.03:
            spoken = voice(request["text"], speed=float(np.clip(pace * tempo, 0.5, 2.0)), seed=seed)
        write_wav(request["out"], spoken, voice.sample_rate)

    serve(answer)


if __name__ == "__main__":
    main()
