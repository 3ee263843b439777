"""The loop of a voice program that stays alive: a JSON line in for each text, a JSON line out for each wav.

Standard library and numpy alone, as it runs in the voices' own environment (`make voices`), without fakespan.

    in   {"text": "nine", "length_s": 0.4, "reference": "/.../reference.wav", "out": "/.../out.wav", "seed": 7}
    out  {"wav": "/.../out.wav"}, or {"error": "why not, in one line"}
"""

from __future__ import annotations

import json
import os
import sys
import wave
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["serve", "tempo_for", "write_wav"]

Sound = NDArray[np.float32]
MIN_TEMPO, MAX_TEMPO = 0.6, 1.7  # beyond these both voices swallow or drawl


def serve(answer: Callable[[dict[str, Any]], None]) -> None:
    """Answers requests until there are no more; `answer` writes the wav that a request names as `out`."""
    replies = _own_stdout()
    for line in sys.stdin:
        try:
            request = json.loads(line)
            answer(request)
            reply = {"wav": request["out"]}
        except Exception as error:  # whatever a network or a text may bring: the next request may do
            reply = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]}
        print(json.dumps(reply), file=replies, flush=True)


def _own_stdout() -> TextIO:
    """The real standard output; what a library prints goes to standard error, so that no reply is torn."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def tempo_for(spoken: Sound, rate: int, length_s: float | None) -> float:
    """How much faster than `spoken` a text must be said to last `length_s` without the silence around it."""
    if not length_s:
        return 1.0
    loud = np.flatnonzero(np.abs(spoken) > 0.02 * np.max(np.abs(spoken), initial=1e-9))
    return float(np.clip((loud[-1] - loud[0] + 1) / rate / length_s, MIN_TEMPO, MAX_TEMPO)) if len(loud) else 1.0


def write_wav(path: str, sound: Sound, rate: int) -> None:
    """Mono, 16 bit."""
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
