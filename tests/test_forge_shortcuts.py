"""Nothing but the forgery tells a forged clip from a real one: not its size, length, loudness, silence or packets."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

import fakespan
from clips import load_pictures
from fakespan.forge.studio import ForgeConfig, forge_set
from fakespan.media.decode import read_sound
from fakespan.media.encode import write_video
from fakespan.metrics import auc

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample_real.mp4"
CONFIG = ForgeConfig(
    kinds=(3, 1, 1, 1),
    voice=("donor-clean", "resynthesis-mel", "resynthesis-phase", "resynthesis-images"),
    lips=("donor-clean", "donor-generated", "redraw-generated"),
    splits=(1, 0, 0),
    speakers="folder",
)
FEATURES = ("bytes", "bytes a frame", "frames", "loudness", "peak", "leading silence", "unevenness of packets")


def features(path: Path) -> list[float]:
    """What a lazy classifier would look at; in the order of FEATURES."""
    sound, n_bytes = read_sound(path), path.stat().st_size
    with av.open(path) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    loud = np.abs(sound) > 0.1 * np.abs(sound).max()
    return [
        n_bytes,
        n_bytes / len(sizes),
        len(sizes),
        float(np.sqrt((sound**2).mean())),
        float(np.abs(sound).max()),
        float(loud.argmax()),
        float(np.std(sizes) / np.mean(sizes)),
    ]


def held_out_scores(x: np.ndarray, y: np.ndarray, n_folds: int = 8) -> np.ndarray:
    """Scores of a linear classifier (ridge regression), each clip's by the clips of the other folds."""
    table = np.c_[(x - x.mean(0)) / (x.std(0) + 1e-9), np.ones(len(x))]
    fold, scores = np.random.default_rng(0).permutation(len(x)) % n_folds, np.zeros(len(x))
    for k in range(n_folds):
        known = table[fold != k]
        weights = np.linalg.solve(known.T @ known + np.eye(table.shape[1]), known.T @ (y[fold != k] - 0.5))
        scores[fold == k] = table[fold == k] @ weights
    return scores


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """160 clips, half of them real, of four pieces of the sample: what a classifier sees, and which are forged."""
    folder = tmp_path_factory.mktemp("clips")
    source, out = folder / "person", folder / "set"
    source.mkdir()
    frames, sound = load_pictures(SAMPLE), read_sound(SAMPLE)
    for k, (first, stop) in enumerate(((0, 104), (52, 156), (104, 208))):
        write_video(source / f"{k}.mp4", frames[first:stop], 25, sound[640 * first : 640 * stop])
    result = forge_set(source, out, CONFIG, count=160, seed=2, n_workers=2)
    assert not result.failed
    records = json.loads((out / "metadata.json").read_text())
    is_forged = np.array([record["kind"] != "real" for record in records])
    assert is_forged.sum() == 80
    return np.array([features(out / record["file"]) for record in records]), is_forged


@pytest.mark.slow
def test_a_simple_classifier_learns_nothing(clips):
    x, is_forged = clips
    assert 0.4 <= auc(held_out_scores(x, is_forged.astype(float)), is_forged) <= 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", FEATURES)
def test_no_feature_tells_forged_from_real(clips, name):
    x, is_forged = clips
    assert 0.37 <= auc(x[:, FEATURES.index(name)], is_forged) <= 0.63  # chance, give or take its spread of 160 clips
