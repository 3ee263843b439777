"""Tools of a worker process: the face detector, the speech engines, external programs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import SAMPLE_RATE
from fakespan.errors import DataError
from fakespan.forge.pitch import track_pitch
from fakespan.forge.programs import fill_template, run_program, split_template
from fakespan.forge.speech import Donor
from fakespan.forge.studio.config import ForgeConfig
from fakespan.forge.synth import Engine, PluginEngine, choose_voice, engines, write_wav
from fakespan.media.detect import FaceDetector

__all__ = ["Tools", "redraw_with"]

LIPS_TIMEOUT_S = 600.0


@dataclass
class Tools:
    """Created once per worker process."""

    config: ForgeConfig
    detector: FaceDetector = field(default_factory=FaceDetector)
    engines: tuple[Engine, ...] = field(default_factory=engines)
    plugin: PluginEngine | None = field(init=False)  # may be persistent

    def __post_init__(self) -> None:
        self.plugin = PluginEngine(self.config.voice_plugin) if "plugin" in self.config.voice else None

    def voice_methods(self, config: ForgeConfig) -> list[str]:
        """The methods of the config whose programs are installed.

        Raises:
            DataError: none of them.
        """
        found = [m for m in config.voice if self.engines or not m.startswith("synthesis")]
        if not found:
            remedy = "run: apt-get install espeak-ng flite, or list other methods under voice"
            raise DataError("forge.voice", expected="an installed speech synthesiser", got="none", remedy=remedy)
        return found

    def speak(
        self, text: str, reference: Float32Array, rng: np.random.Generator, *, plugin_length_s: float | None = None
    ) -> tuple[str, Donor]:
        """Synthesise a text with the most similar voice; returns the name of the voice and the words.

        Args:
            text: the text to say.
            reference: speech of the speaker.
            rng: random choice of the voice and its parameters.
            plugin_length_s: use the external program instead, with about this length.

        Raises:
            DataError: the program failed.
        """
        if plugin_length_s is not None:
            assert self.plugin is not None
            spoken = self.plugin.speak(text, reference, rng, length_s=plugin_length_s)
            return "voice plug-in", Donor(spoken, 0.0, len(spoken) / SAMPLE_RATE)
        f0_hz = track_pitch(reference).median_hz()
        engine, voice = choose_voice(self.engines, f0_hz, rng)
        spoken = engine.speak(text, voice, rng, f0_hz=f0_hz)
        return f"{engine.name} {voice}", Donor(spoken, 0.0, len(spoken) / SAMPLE_RATE, engine.sample(voice))

    def redraw(self, faces: UInt8Array, spoken: Float32Array) -> UInt8Array:
        """The frames returned by the external lip-sync program."""
        return redraw_with(self.config.lips_plugin, faces, spoken)


def redraw_with(command: str, faces: UInt8Array, spoken: Float32Array) -> UInt8Array:
    """Runs a lip-sync program: frames and audio in, the same number of frames out.

    The command has the placeholders {frames} (a folder of 000000.png ...), {wav} (16 kHz, the audio to be spoken) and
    {out} (an empty folder for the new frames, with the same names and size).

    Raises:
        UsageError: a placeholder is missing.
        DataError: the program failed, or its output has other frames.
    """
    words = split_template(command, [("frames",), ("wav",), ("out",)])
    name = f"lips program {words[0]}"
    with tempfile.TemporaryDirectory(prefix="fakespan-") as folder:
        frames, out = Path(folder, "frames"), Path(folder, "out")
        frames.mkdir()
        out.mkdir()
        names = [f"{k:06}.png" for k in range(len(faces))]
        for file, face in zip(names, faces, strict=True):
            cv2.imwrite(str(frames / file), face[:, :, ::-1])
        write_wav(Path(folder, "speech.wav"), spoken)
        places = {"frames": str(frames), "wav": str(Path(folder, "speech.wav")), "out": str(out)}
        run_program(fill_template(words, places), name, LIPS_TIMEOUT_S)
        read = [cv2.imread(str(out / file), cv2.IMREAD_COLOR) for file in names]
    given = [face for face in read if face is not None and face.shape == faces.shape[1:]]
    if len(given) < len(names):
        got = f"{len(given)} of them"
        size = "x".join(map(str, faces.shape[1:3]))
        raise DataError(name, expected=f"{len(faces)} frames of {size}", got=got, remedy="try the program by hand")
    return np.stack(given)[:, :, :, ::-1].astype(np.uint8)
