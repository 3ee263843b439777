"""Copies of any speaker by the decoder of piper's voice Joe: train the encoder that drives it, and copy speech.

    python examples/zoo/make_piper.py --speech runs/speech --out runs/zoo [--minutes 6] [--copy 12]

`examples/voices/piper_decoder.py` takes the decoder out of the voice first (`make voices`). Three systems come of it,
in OUT/twins: `piper` (the decoder as it is), `piper-early` (its encoder before the discriminators) and `piper-ft` (the
decoder fine-tuned against them, for half the minutes). If killed, it resumes where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch
from piper import DECODER, fit_to_latents, read_decoder
from safetensors.torch import save_file

from copysyn import copy_speech, load_system
from fakespan.errors import FakespanError
from kinds import build
from train import Plan, train
from utterances import Segments, find_utterances

__all__ = ["main", "make"]

FOLLOW = 0.1  # the decoder's rate when it is fine-tuned, as a share of the encoder's


def make(speech: Path, out: Path, decoder: Path, *, minutes: float, copy_minutes: float, fit_steps: int) -> None:
    """Trains both networks and copies speech with each."""
    heard, copied = (find_utterances(speech, bw_hz) for bw_hz in (6500, 3800))
    settings = {"decoder": str(decoder)}
    start = _start(out / "piper" / "start.safetensors", decoder, fit_steps)
    plain = Plan("piper", settings, minutes, seed=1, alone=0.55, rate=1e-3)
    tuned = Plan("piper", {**settings, "follow": FOLLOW}, minutes / 2, seed=2, alone=0.0, rate=5e-4)
    for name, plan, ways in (("piper", plain, ("model", "early")), ("piper-ft", tuned, ("model",))):
        if not (out / name / "model.safetensors").is_file():
            train(plan, Segments(heard, 40.0, plan.seed), out / name, name, start)
        start = out / name / "model.safetensors"
        for way in ways:
            system = load_system(out / name, name if way == "model" else f"{name}-{way}", way)
            print(copy_speech(system, copied, out / "twins" / system.name, copy_minutes), flush=True)


def _start(path: Path, decoder: Path, n_steps: int) -> Path:
    """Weights with an encoder that knows the voice's own latents; written where they are not there yet."""
    if path.is_file():
        return path
    torch.manual_seed(0)
    net = build("piper", {"decoder": str(decoder)})
    error = fit_to_latents(net, read_decoder(decoder), n_steps)
    print(f"the voice's own latents: mean squared error {error:.2f}", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), f"{path}.part")
    os.replace(f"{path}.part", path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--speech", type=Path, required=True, metavar="INDEX_OR_FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--decoder", type=Path, default=Path(DECODER), metavar="FILE")
    parser.add_argument("--minutes", type=float, default=6.0, help="of training, of this processor")
    parser.add_argument("--copy", type=float, default=12.0, help="minutes of speech that a system copies")
    parser.add_argument("--fit-steps", type=int, default=300, help="on the voice's own sentences")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        lengths = {"minutes": given.minutes, "copy_minutes": given.copy, "fit_steps": given.fit_steps}
        make(given.speech, given.out, given.decoder, **lengths)
    except FakespanError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
