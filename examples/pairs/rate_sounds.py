r"""AP of a sound expert on systems and speakers that a fold left out of its training.

    python examples/pairs/sounds.py --out RUN/left-out0 --clips CLIPS --fold 0 --left-out
    python examples/pairs/rate_sounds.py RUN/sound0/experts.safetensors RUN/left-out0 --fold 0

Clips of 2 to 4 s of these speakers, 70 % of them with a span (or two) of a neural twin, spliced as in practice; seed 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from folds import N_FOLDS, is_system_left_out
from rating import Rated, n_found, rated, row

from fakespan.checkpoint import load_checkpoint
from fakespan.config import SAMPLES_PER_FRAME, PostConfig
from fakespan.media.features import log_power
from fakespan.models.expert import refined_map
from fakespan.models.sound import SoundExpert
from fakespan.practice.sound import SoundPractice, SoundRecipe
from fakespan.practice.sound_bank import Recording, SoundBank, load_sound_bank

MIN_FRAMES, MAX_FRAMES = 50, 100
SHARES = {"forged": 0.7, "voices": 0.0, "two_spans": 0.1}


def main() -> None:
    """Print one row for the systems left out, for their families, and for the other systems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("bank", type=Path, help="written by sounds.py --left-out")
    parser.add_argument("--fold", type=int, required=True, choices=range(N_FOLDS))
    parser.add_argument("--clips", type=int, default=480, help="in each row")
    parser.add_argument("--threshold", type=float, help="also count the spans that are found from this score on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(options.model)
    network: Any = checkpoint.network
    recordings = load_sound_bank([options.bank])

    def is_new(recording: Recording) -> bool:
        return is_system_left_out(recording.system, options.fold)

    rows: dict[str, tuple[Callable[[Recording], bool], bool]] = {
        "systems left out": (is_new, True),
        "of these GAN vocoders": (lambda r: is_new(r) and r.family == "gan", True),
        "of these codecs": (lambda r: is_new(r) and r.family == "codec", True),
        "of these others": (lambda r: is_new(r) and r.family not in {"gan", "codec"}, True),
        "systems left out, edited and through channels": (is_new, False),
        "known systems": (lambda r: not is_new(r), True),
    }
    for name, (is_wanted, is_clean) in rows.items():
        bank = SoundBank.of((r for r in recordings if r.kind == "real" or is_wanted(r)), "left out")
        if not bank.twins:
            continue
        clips = rate(network.sound.eval(), bank, SoundRecipe(clean=is_clean, **SHARES), options.clips, checkpoint.post)
        print(f"{row(name, clips)}, {len(bank.twins)} twins{_found(clips, options.threshold)}", flush=True)


@torch.no_grad()
def rate(expert: SoundExpert, bank: SoundBank, recipe: SoundRecipe, n_clips: int, post: PostConfig) -> list[Rated]:
    """Practice clips of the bank, judged in one pass each."""
    practice, rng = SoundPractice(bank, recipe), np.random.default_rng(1)
    clips = []
    for _ in range(n_clips):
        clip = practice.draw(int(rng.integers(MIN_FRAMES, MAX_FRAMES)), rng)
        boundary_map = refined_map(expert(log_power(torch.from_numpy(clip.sound)[None])))[0].numpy()
        clips.append(rated(boundary_map, len(clip.sound) // SAMPLES_PER_FRAME, clip.spans, clip.speaker, post))
    return clips


def _found(clips: Sequence[Rated], threshold: float | None) -> str:
    return "" if threshold is None else f", {n_found(clips, threshold)} spans found"


if __name__ == "__main__":
    main()
