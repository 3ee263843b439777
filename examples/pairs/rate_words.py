r"""AP of a model on words that neural voices spoke, among recordings of speakers that no training has.

    python examples/voices/bank.py --voice "runs/voices/venv/bin/python examples/voices/kokoro_voice.py" \
        --system kokoro --family istft --minutes 4 --out runs/unheard/kokoro
    python examples/pairs/sounds.py --out runs/words --clips CLIPS --speech runs/speech --voices runs/unheard
    python examples/pairs/rate_words.py src/fakespan/weights/small.safetensors runs/words

Clips of 2 to 4 s of the speakers that `sounds.py` keeps for validation, 70 % of them with a word (or two) of the voice,
spliced as in practice; seed 1. The voice is unheard, too, if the model was trained without it.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import torch
from rate_sounds import SHARES, rate
from rating import n_found, row

from fakespan.checkpoint import load_checkpoint
from fakespan.practice.sound import SoundRecipe
from fakespan.practice.sound_bank import Recording, SoundBank, load_sound_bank


def main() -> None:
    """Print two rows for each voice: as spliced, and edited and through channels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("bank", type=Path, help="written by sounds.py with --voices")
    parser.add_argument("--clips", type=int, default=260, help="in each row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(options.model)
    network: Any = checkpoint.network
    for name, bank in words_of(load_sound_bank([options.bank])).items():
        for manner, is_clean in (("as spliced", True), ("edited and through channels", False)):
            recipe = SoundRecipe(clean=is_clean, **{**SHARES, "voices": 1.0})
            clips = rate(network.sound.eval(), bank, recipe, options.clips, checkpoint.post)
            n = n_found(clips, checkpoint.post.threshold)
            print(f"{row(f'{name}, {manner}', clips)}, {n} spans found", flush=True)


def words_of(recordings: list[Recording]) -> dict[str, SoundBank]:
    """The words of each voice of examples/voices, and the genuine recordings of the speakers kept for validation."""
    genuine = [r for r in recordings if r.kind == "real" and r.split == "validation"]
    voices = [dataclasses.replace(r, split="validation") for r in recordings if r.system.startswith("voice:")]
    spoken = {name: [r for r in voices if r.system == name] for name in sorted({r.system for r in voices})}
    return {name: SoundBank.of([*genuine, *words], "validation") for name, words in spoken.items()}


if __name__ == "__main__":
    main()
