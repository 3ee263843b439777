"""Speak one text with the espeak-ng library and print when each word and each phoneme begins.

The command line tool of espeak-ng gives no times, its library does (events of speak_lib.h). The library keeps state
between calls, so `sample_voice` runs this file as a process of its own: equal text, equal sound. Reads
{"text", "voice", "rate"} as JSON from stdin; writes {"sample_rate", "words", "phones", "end_s", "pcm"} to stdout, words
as [character, start_s], phones as [name, start_s], pcm as base64 of 16-bit samples.
"""

from __future__ import annotations

import base64
import ctypes
import json
import sys
from typing import Any

_SYNCHRONOUS, _PHONEME_EVENTS, _DONT_EXIT = 2, 1, 0x8000
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME, _EVENT_MSG_TERMINATED = 0, 1, 7, 6
_RATE_PARAMETER, _UTF8, _BY_CHARACTER = 1, 1, 1


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


def _speak(text: str, voice: str, rate: int) -> dict[str, Any]:
    """Sound and times of one text; raises OSError without the library and ValueError for an unknown voice."""
    library = ctypes.CDLL("libespeak-ng.so.1")
    sample_rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS | _DONT_EXIT)
    if sample_rate <= 0 or library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {voice!r}")
    pcm, words, phones = bytearray(), [], []
    end_s = 0.0

    def collect(wav: Any, n_samples: int, events: Any) -> int:
        nonlocal end_s
        if wav and n_samples > 0:
            pcm.extend(ctypes.string_at(wav, 2 * n_samples))
        k = 0
        while events[k].type != 0:
            event, k = events[k], k + 1
            start_s = event.audio_position / 1000
            if event.type == _EVENT_WORD:
                words.append([event.text_position - 1, start_s])
            elif event.type == _EVENT_PHONEME:
                phones.append([event.id.string.decode(errors="replace"), start_s])
            else:
                end_s = max(end_s, start_s)
        return 0

    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
    callback = prototype(collect)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetParameter(_RATE_PARAMETER, rate, 0)
    raw = text.encode()
    library.espeak_Synth(raw, ctypes.c_size_t(len(raw) + 1), 0, _BY_CHARACTER, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    library.espeak_Terminate()
    sound = base64.b64encode(bytes(pcm)).decode()
    return {"sample_rate": sample_rate, "words": words, "phones": phones, "end_s": end_s, "pcm": sound}


if __name__ == "__main__":
    json.dump(_speak(**json.load(sys.stdin)), sys.stdout)
