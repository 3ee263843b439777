"""Practice pictures made once and kept as what the picture expert's encoder reads, for `train_picture.py`.

    python examples/pairs/picture_pool.py BANK POOL --seed 1 --shards 60

A shard holds 20 forged stretches, each with its genuine twin (now and then a clip that somebody else forged in parts),
as energies (40, 80, 35, 8, 8) float16 beside their truth. A shard takes some 3 seconds of one core. Several may run at
once with other seeds; training takes in what is there and looks for more.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from fakespan.files import replacing
from fakespan.models.picture import picture_energies
from fakespan.practice.picture import (
    PictureExample,
    PicturePractice,
    draw_twins,
    make_partial_example,
    make_picture_pair,
)
from fakespan.practice.picture_bank import OWN_FAMILY, PictureBank, Twins

N_PAIRS = 20
WITH_TWINS = 0.65  # share of examples whose clip has twins by others
IN_PARTS = 0.06  # share of pairs in place of which a clip forged in parts is shown


def shard(bank: PictureBank, config: PicturePractice, rng: np.random.Generator) -> tuple[np.ndarray, list[Any]]:
    """Energies (40, n, 35, 8, 8) and a row of truth for each."""
    every = [one for one in bank.twins() if one.real.n_frames >= config.n_frames // 2]
    pairs = [one for one in every if any(fake.family != OWN_FAMILY for fake in one.fakes)]
    energies = np.zeros((2 * N_PAIRS, config.n_frames, 35, 8, 8), np.float16)
    rows: list[Any] = []
    while len(rows) < 2 * N_PAIRS:
        for example, person in _examples(bank, every, pairs, config, rng):
            n = len(example.faces)
            faces = torch.from_numpy(example.faces).permute(0, 3, 1, 2)[None].float() / 255
            energies[len(rows), :n] = picture_energies(faces)[0].numpy()
            row = dataclasses.asdict(example)
            del row["faces"]
            rows.append({**row, "n": n, "person": person})
    return energies, rows


def _examples(
    bank: PictureBank, every: list[Twins], pairs: list[Twins], config: PicturePractice, rng: np.random.Generator
) -> list[tuple[PictureExample, str]]:
    """A forged stretch and its genuine twin; or two clips forged in parts."""
    partial = bank.partial()
    if partial and rng.random() < IN_PARTS:
        chosen = [partial[k] for k in rng.integers(0, len(partial), 2)]
        return [(make_partial_example(bank, entry, config, rng), entry.person) for entry in chosen]
    twins = draw_twins(pairs if pairs and rng.random() < WITH_TWINS else every, rng)
    return [(example, twins.real.person) for example in make_picture_pair(bank, twins, config, rng)]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shards", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    options.pool.mkdir(parents=True, exist_ok=True)
    for k in range(options.shards):
        name = f"{options.seed}-{k:04d}"
        if (options.pool / f"{name}.json").exists():
            continue
        rng = np.random.default_rng([options.seed, k])
        energies, rows = shard(PictureBank(options.bank), PicturePractice(), rng)
        np.save(options.pool / f"{name}.npy", energies)
        with replacing(options.pool / f"{name}.json") as part:
            part.write_text(json.dumps(rows), encoding="utf-8")
        print(f"shard {name}", flush=True)


if __name__ == "__main__":
    main()
