"""AP of a picture expert on generators and people that a fold left out of its training, and its controls.

    python examples/pairs/rate_pictures.py RUN/fold0/picture.safetensors BANK --fold 0 [--scale small.safetensors]

From each generated twin of these people three forged excerpts of 2 to 6 s, and a genuine counterpart with the same
re-encoding; clips that others forged in parts; and controls: genuine excerpts in which a stretch was changed as a
whole, and said to be forged so that its AUC tells whether the expert takes it for one. Seed 99.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from folds import LIP_SYSTEMS, N_FOLDS, fold_of
from rating import Rated, n_found, rated, row

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.checkpoint import load_checkpoint
from fakespan.config import FPS, PostConfig
from fakespan.media.encode import roundtrip_video
from fakespan.metrics import auc
from fakespan.models.expert import refined_map
from fakespan.models.picture import PictureExpert
from fakespan.practice.looks import Look, null_event
from fakespan.practice.picture import PicturePractice, make_partial_example, make_picture_pair
from fakespan.practice.picture_bank import OWN_FAMILY, PictureBank, Twins

AS_IT_IS = PicturePractice(n_frames=150, two_spans=0.2, twin=1.0, nulls=0.0, disturb=False)
N_DRAWS = 3  # excerpts of each twin
ENCODED_AGAIN = 23  # CRF of the controls, after the change
CONTROLS = {"softened": Look(blur=1.3), "shrunk": Look(shrink=2.2), "brighter": Look(tint=(18, 18, 18))}
Span = tuple[int, int]


@dataclass(frozen=True)
class Excerpt:
    """A clip to judge."""

    kind: str  # "known generators", "generators left out", "genuine", "forged in parts", or a control
    person: str
    faces: UInt8Array
    spans: tuple[Span, ...]


def main() -> None:
    """Print a row for each kind of excerpt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("bank", type=Path, help="picture bank")
    parser.add_argument("--fold", type=int, required=True, choices=range(N_FOLDS))
    parser.add_argument("--scale", type=Path, help="a calibrated model whose scale and threshold count")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network: Any = load_checkpoint(options.model).network
    judged: dict[str, list[tuple[Rated, float]]] = {}
    scale, post, threshold = _calibration(options.scale)
    for excerpt in excerpts(PictureBank(options.bank), options.fold):
        judged.setdefault(excerpt.kind, []).append(judge(network.picture.eval(), excerpt, scale, post))
    genuine = [clip for clip, _ in judged.pop("genuine", [])]
    for kind, results in sorted(judged.items()):
        clips = [clip for clip, _ in results]
        if kind in CONTROLS:
            within = np.nanmean([auc_within for _, auc_within in results])
            print(f"{kind}: AUC of frames within the clips {100 * within:.0f}, {_segments(clips, threshold)}")
        else:
            found = "" if threshold is None else f", {n_found(clips, threshold)} spans found"
            print(f"{row(kind, clips)}{found}; {row('beside genuine ones', [*clips, *genuine])}")
    print(f"genuine: {_segments(genuine, threshold)}")


def excerpts(bank: PictureBank, fold: int) -> Iterator[Excerpt]:
    """All excerpts of the people that the fold left out, and all clips forged in parts."""
    rng = np.random.default_rng(99)
    shown: set[str] = set()
    for one in map(_by_others, bank.twins()):
        person = one.real.person
        if fold_of(person) != fold or one.real.n_frames < 50:
            continue
        for fake in (fake for fake in one.fakes if fake.family != "swap" for _ in range(N_DRAWS)):
            kind = "generators left out" if fake.generator in LIP_SYSTEMS[fold] else "known generators"
            config = dataclasses.replace(AS_IT_IS, n_frames=int(rng.integers(50, 151)))
            forged, _ = make_picture_pair(bank, Twins(one.real, (fake,)), config, rng)
            yield Excerpt(kind, person, forged.faces, forged.spans)
        if one.real.source not in shown:
            shown.add(one.real.source)
            yield from genuine_excerpts(bank, one, rng)
    for entry in bank.partial():
        forged = make_partial_example(bank, entry, AS_IT_IS, rng)
        yield Excerpt("forged in parts by others", entry.person, forged.faces, forged.spans)


def _by_others(one: Twins) -> Twins:
    """Without copies by our own networks."""
    return dataclasses.replace(one, fakes=tuple(fake for fake in one.fakes if fake.family != OWN_FAMILY))


def genuine_excerpts(bank: PictureBank, one: Twins, rng: np.random.Generator) -> Iterator[Excerpt]:
    """The clip as it is, and with each control."""
    _, genuine = make_picture_pair(bank, one, AS_IT_IS, rng)
    yield Excerpt("genuine", one.real.person, genuine.faces, ())
    n = len(genuine.faces)
    begin = int(rng.integers(3, max(4, n - 34)))
    span = begin, min(n - 3, begin + int(rng.integers(8, 30)))
    for name, look in CONTROLS.items():
        changed = roundtrip_video(null_event(genuine.faces, *span, rng, look), crf=ENCODED_AGAIN)
        yield Excerpt(name, one.real.person, changed, (span,))


@torch.no_grad()
def judge(expert: PictureExpert, excerpt: Excerpt, scale: tuple[float, float], post: PostConfig) -> tuple[Rated, float]:
    """What the expert found, and the AUC of frames within the clip (NaN without a span)."""
    faces = torch.from_numpy(np.ascontiguousarray(excerpt.faces)).permute(3, 0, 1, 2)[None].float() / 255
    output = expert(faces)
    logits = torch.logit(refined_map(output)[0], eps=1e-6)
    boundary_map: Float32Array = torch.sigmoid(scale[0] * logits + scale[1]).numpy()
    inside = np.zeros(len(excerpt.faces), bool)
    for begin, end in excerpt.spans:
        inside[begin:end] = True
    within = auc(output.frames[0, 0].numpy(), inside) if 0 < inside.sum() < len(inside) else float("nan")
    return rated(boundary_map, len(excerpt.faces), excerpt.spans, excerpt.person, post), within


def _calibration(path: Path | None) -> tuple[tuple[float, float], PostConfig, float | None]:
    """Factor and offset of the picture's logits, post-processing, threshold; raw scores without a model."""
    if path is None:
        return (1.0, 0.0), PostConfig(), None
    checkpoint = load_checkpoint(path)
    network: Any = checkpoint.network
    factor, offset = network.scales[0].tolist()
    return (factor, offset), checkpoint.post, checkpoint.post.threshold


def _segments(clips: Sequence[Rated], threshold: float | None) -> str:
    minutes = sum(clip.n_frames for clip in clips) / FPS / 60
    told = f"{len(clips)} clips, {minutes:.1f} minutes"
    if threshold is None:
        return told
    return f"{sum(int((clip.proposals[:, 0] >= threshold).sum()) for clip in clips)} segments in {told}"


if __name__ == "__main__":
    main()
