"""Word times from audio: voice activity detection, forced alignment, speech recognition.

pocketsphinx (its English model is in the package) aligns a known text within 0.01 s (median, GRID). Its recognition
without a text is often wrong, but the word boundaries are usable for forging. silero-vad detects speech.
pocketsphinx is in the extra `forge`.

Audio is mono float32 at 16 kHz, times are in seconds.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from fakespan.arrays import Float32Array
from fakespan.config import SAMPLE_RATE
from fakespan.errors import MissingExtraError
from fakespan.forge.labels import Passage, Word, clean

__all__ = ["Listener"]

FRAME_S = 0.01  # of pocketsphinx
MIN_WORD_S = 0.06


class Listener:
    """The recogniser and the voice activity detector, loaded once (0.4 s) for many clips.

    Raises:
        MissingExtraError: the extra `forge` is not installed.
    """

    def __init__(self) -> None:
        try:
            import pocketsphinx  # noqa: PLC0415
            import silero_vad  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtraError(error.name or "pocketsphinx", "forge") from error
        self._silero = silero_vad
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the package's model is a TorchScript file
            self._detector = silero_vad.load_silero_vad()
        self._library: Any = pocketsphinx
        self._decoder: Any = None  # free recognition
        self._aligner: Any = None

    def _new_decoder(self) -> Any:
        return self._library.Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")

    def regions(self, sound: Float32Array) -> list[tuple[float, float]]:
        """Start and end of every speech region, in seconds."""
        found = self._silero.get_speech_timestamps(
            torch.from_numpy(np.ascontiguousarray(sound)), self._detector, sampling_rate=SAMPLE_RATE
        )
        return [(r["start"] / SAMPLE_RATE, r["end"] / SAMPLE_RATE) for r in found]

    def recognise(self, sound: Float32Array) -> list[Word]:
        """The recognised words, region by region; the text may be wrong."""
        self._decoder = self._decoder or self._new_decoder()
        words: list[Word] = []
        for start_s, end_s in self.regions(sound):
            words += _decode(self._decoder, sound, start_s, end_s)
        return words

    def align(self, sound: Float32Array, passage: Passage) -> list[Word]:
        """Forced alignment of a known text; words that are not in the pronunciation dictionary are dropped.

        Returns an empty list if nothing can be aligned: another text is spoken, or no word is in the dictionary.
        """
        self._aligner = self._aligner or self._new_decoder()
        known = [word for word in map(clean, passage.text.split()) if word and self._aligner.lookup_word(word)]
        if not known:
            return []
        try:
            self._aligner.set_align_text(" ".join(known))
        except RuntimeError:
            return []
        end_s = len(sound) / SAMPLE_RATE if passage.end_s is None else passage.end_s
        return _decode(self._aligner, sound, passage.start_s, end_s)


def _decode(decoder: Any, sound: Float32Array, start_s: float, end_s: float) -> list[Word]:
    """The words that the decoder finds in a region."""
    stretch = sound[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)]
    if len(stretch) < SAMPLE_RATE // 10:
        return []
    level = float(np.abs(stretch).max())
    pcm = (stretch * (0.7 / level if level > 1e-4 else 1.0) * 32767).astype("<i2").tobytes()
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, full_utt=True)
    finally:
        decoder.end_utt()
    if decoder.hyp() is None:
        return []
    found = [
        Word(clean(s.word.split("(")[0]), start_s + s.start_frame * FRAME_S, start_s + (s.end_frame + 1) * FRAME_S)
        for s in decoder.seg() or ()
        if s.word[:1] not in "<["
    ]
    return [w for w in found if w.text and w.end_s - w.start_s >= MIN_WORD_S]
