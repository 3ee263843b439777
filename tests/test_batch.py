"""Examples become batches: everything in its place, the padding empty, each target of its own modality."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.data.batch import collate
from fakespan.data.clock import fit_clock
from fakespan.data.example import Example
from fakespan.media.features import log_mel

T, D = 30, 10


def example(n: int = 20, seed: int = 0, **spans) -> Example:
    rng = np.random.default_rng(seed)
    faces = rng.integers(1, 256, (n, 96, 96, 3), np.uint8)
    return Example(f"clip {seed}", faces, (0.1 * rng.standard_normal(640 * n)).astype(np.float32), **spans)


EXAMPLES = [
    example(20, 0, audio_spans=((0.2, 0.48),)),
    example(T, 1, audio_spans=((0.2, 0.4),), visual_spans=((0.6, 0.92),)),
    example(12, 2),
]


def test_kind_and_spans_of_an_example():
    span, other = (0.2, 0.4), (0.6, 0.8)
    assert (EXAMPLES[2].kind, EXAMPLES[2].spans) == ("real", ())
    assert (EXAMPLES[0].kind, EXAMPLES[1].kind) == ("audio", "both")
    assert example(visual_spans=(span,)).kind == "visual"
    assert example(audio_spans=(other, span), visual_spans=(span,)).spans == (span, other)


def test_shapes_and_padding():
    batch = collate(EXAMPLES, T, D)
    assert batch.names == ("clip 0", "clip 1", "clip 2")
    assert batch.n_frames.tolist() == [20, 30, 12]
    assert batch.is_untouched.tolist() == [False, False, True]
    assert batch.video.shape == (3, 3, T, 96, 96)
    assert batch.audio.shape == (3, 64, 4 * T)
    for k, e in enumerate(EXAMPLES):
        n = len(e.faces)
        np.testing.assert_allclose(batch.video[k, :, :n].permute(1, 2, 3, 0).numpy() * 255, e.faces, atol=1e-4)
        assert not batch.video[k, :, n:].any()
        padded = np.pad(e.sound, (0, 640 * (T - n)))
        np.testing.assert_allclose(batch.audio[k], log_mel(padded), atol=1e-5)


def test_each_target_is_of_the_spans_of_its_own_modality():
    batch = collate(EXAMPLES, T, D)
    sound = [(7, 5)], [(5, 5)], []  # (frames, first frame) of each clip's spans at 25 a second
    picture = [], [(8, 15)], []
    both = [(7, 5)], [(5, 5), (8, 15)], []
    for target, expected in ((batch.audio_map, sound), (batch.visual_map, picture), (batch.fused_map, both)):
        for k, spans in enumerate(expected):
            found = [(d + 1, t) for d, t in np.argwhere(np.isclose(target[k].numpy(), 1)).tolist()]
            assert found == spans
            assert bool(target[k].any()) == bool(spans)
    assert float(batch.fused_map[0, 4, 5]) == pytest.approx(5 / 7)  # five of the seven forged frames
    for frames, expected in ((batch.audio_frames, sound), (batch.visual_frames, picture)):
        for k, spans in enumerate(expected):
            forged = {frame for length, first in spans for frame in range(first, first + length)}
            assert set(np.flatnonzero(frames[k]).tolist()) == forged
            assert set(frames[k].tolist()) <= {0.0, 1.0}


def test_the_missing_picture_of_clips_of_sound_takes_no_memory_elsewhere_either():
    batch = collate([dataclasses.replace(one, has_picture=False) for one in EXAMPLES], T, D)
    moved = batch.to(torch.device("meta"))
    assert moved.video.shape == (3, 3, T, 96, 96)
    assert moved.video.untyped_storage().nbytes() <= 4
    assert moved.audio.shape == batch.audio.shape


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="30 frames does not fit into 25"):
        collate(EXAMPLES, 25, D)
    long = dataclasses.replace(EXAMPLES[0], sound=np.zeros(21 * 640, np.float32))
    with pytest.raises(ValueError, match="clip 0: 13440 samples"):
        collate([long], T, D)


def test_a_little_sound_may_be_missing():
    short = dataclasses.replace(EXAMPLES[0], sound=EXAMPLES[0].sound[:-700])
    assert collate([short], T, D).audio.shape == (1, 64, 4 * T)


def test_boundary_targets_come_when_a_network_has_a_generator():
    example = Example("a", np.zeros((20, 96, 96, 3), np.uint8), np.zeros(20 * 640, np.float32), ((0.2, 0.4),))
    plain, rich = collate([example], 32, 8), collate([example], 32, 8, boundaries=True)
    assert plain.fused_boundaries is None
    # 0.2 s and 0.4 s are a quarter and a half of the clip; anchor i lies at i / 8
    assert rich.fused_boundaries[0].argmax(dim=-1).tolist() == [2, 4]
    assert rich.fused_boundaries[0].amax(dim=-1).tolist() == pytest.approx([1, 1])
    np.testing.assert_array_equal(rich.audio_boundaries, rich.fused_boundaries)
    assert not rich.visual_boundaries.any()


@settings(deadline=None)
@given(st.integers(1, 300), st.sampled_from([("pad", 300, 40), ("pad", 300, 256), ("stretch", 100, 100)]))
def test_a_clip_that_is_forged_throughout_is_so_to_its_last_frame(n, sizes):
    """DFDC's fakes: n / 25 * 25 is not always n in floats, and a span longer than D frames is met in part."""
    clock, n_padded, longest = sizes
    span = ((0.0, n / 25),)
    clip = Example("a", np.zeros((n, 2, 2, 3), np.uint8), np.zeros(640 * n, np.float32), span, span)
    batch = collate([fit_clock(clip, clock, n_padded)], n_padded, longest)
    own = int(batch.n_frames[0])
    assert own == (n if clock == "pad" else n_padded)
    for frames in (batch.visual_frames[0], batch.audio_frames[0]):
        assert frames.tolist() == [1.0] * own + [0.0] * (n_padded - own)
    for target in (batch.fused_map, batch.visual_map, batch.audio_map):
        assert float(target.max()) == pytest.approx(min(longest, own) / own, abs=1e-6)
        from_begin = float(target[0, min(longest, own) - 1, 0])  # the longest span that begins with the clip
        assert from_begin == pytest.approx(min(longest, own) / own, abs=1e-6)
