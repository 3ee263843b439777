"""From clips to batches: padding by family, damaged clips, boundary targets, devices."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fakespan.config import ModelConfig
from fakespan.data.batch import Batch, collate
from fakespan.data.clock import fit_clock
from fakespan.data.sets import ClipSet
from fakespan.train.feed import Fed, Feed, IntactClips, make_loader
from fakespan.train.order import Order, TrainSampler
from fakespan.types import Sample
from tiny_training import BATFD, PLUS, SMALL, D, T, TinySet


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    found = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def test_small_pads_to_the_longest_of_the_batch_and_others_to_their_length():
    clips = TinySet(lengths=(5, 7, 3))
    for model, n_padded in ((SMALL, 7), (BATFD, T)):
        fed = Feed(clips, model)[[0, 1, 2]]
        assert fed.longest == 7
        assert fed.batch.video.shape == (3, 3, n_padded, 96, 96)
        assert fed.batch.fused_map.shape == (3, D, n_padded)
        assert fed.batch.n_frames.tolist() == [5, 7, 3]


@pytest.mark.parametrize(("clock", "forged"), [("pad", [2, 3, 4, 5]), ("stretch", [0, 1])])
def test_clips_come_at_the_clock_of_the_network(clock, forged):
    """A clip of 17 frames, forged from 0.08 to 0.24 s, for T = 8: its beginning, or the whole of it in 8 frames."""
    model, clips = dataclasses.replace(BATFD, clock=clock), TinySet(lengths=(17,))
    batch = Feed(clips, model)[[1]].batch
    assert batch.n_frames.tolist() == [T]
    assert batch.video.shape[2] == T
    assert np.flatnonzero(batch.audio_frames[0]).tolist() == forged
    beginning = collate([fit_clock(clips[1], "pad", T)], T, D).audio
    assert torch.equal(batch.audio, beginning) == (clock == "pad")


def test_a_boundary_generator_gets_its_targets():
    clips = TinySet()
    assert Feed(clips, PLUS)[[0, 1]].batch.fused_boundaries.shape == (2, 2, T)
    assert Feed(clips, BATFD)[[0, 1]].batch.fused_boundaries is None


def test_the_next_clip_takes_the_place_of_a_damaged_one():
    fed = Feed(TinySet(6, damaged=(2, 3, 5)), SMALL)[[1, 2, 5]]
    assert fed.batch.names == ("clip1.mp4", "clip4.mp4", "clip0.mp4")
    assert list(fed.damaged) == ["clip 2", "clip 3", "clip 5"]
    assert "clip2.mp4: expected a clip, got rubbish" in fed.damaged["clip 2"]


def test_a_set_without_a_readable_clip_gives_no_batch():
    fed = Feed(TinySet(20, damaged=range(20)), SMALL)[[3]]
    assert fed.batch is None
    assert len(fed.damaged) == 8  # it does not search for ever
    assert fed.to(torch.device("cpu")).batch is None


def test_other_errors_are_not_hidden():
    with pytest.raises(IndexError):
        Feed(TinySet(3), SMALL)[[7]]


def test_a_batch_moves_to_a_device_whole():
    fed = Feed(TinySet(), PLUS)[[0, 1]]
    moved = fed.to(torch.device("meta"))
    assert (moved.longest, moved.batch.names) == (fed.longest, fed.batch.names)
    assert {t.device.type for t in tensors(moved.batch).values()} == {"meta"}
    assert set(tensors(moved.batch)) == set(tensors(fed.batch)) >= {"video", "audio", "fused_map", "fused_boundaries"}


def test_intact_clips_pass_over_the_damaged():
    told = []
    clips = IntactClips(TinySet(6, lengths=(T + 4,), damaged=(2,)), [1, 2, 5], lambda *what: told.append(what))
    assert len(clips) == 3
    assert [(e.name, len(e.faces)) for e in clips] == [("clip1.mp4", T + 4), ("clip5.mp4", T + 4)]
    assert told == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize("n_workers", [0, 1])
def test_workers_change_nothing_and_leave_the_networks_random_numbers_alone(n_workers):
    sampler = TrainSampler(Order(5, 1, "epoch"), 2, 1, (0, 4))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    loader = make_loader(Feed(TinySet(5), SMALL), sampler, n_workers, pin_memory=False)
    names = [fed.batch.names for fed in loader if isinstance(fed, Fed)]
    assert torch.equal(torch.get_rng_state(), before)
    assert names == [tuple(f"clip{k}.mp4" for k in clips) for clips in sampler]


def test_workers_start_although_the_main_process_has_used_opencv_with_threads():
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((1500, 1500, 3), np.uint8), (0, 0), 5)
    loader = make_loader(Feed(TinySet(4), SMALL), TrainSampler(Order(4, 1, "epoch"), 2, 1, (0, 2)), 1, pin_memory=False)
    loader.timeout = 60  # it would wait for ever
    assert len(list(loader)) == 2
    cv2.setNumThreads(before)


def test_names_of_a_published_set_are_told():
    clips = TinySet(4, damaged=(1,))
    samples = tuple(Sample(f"train/{k}.mp4", Path("x"), "train", 1.0) for k in range(4))
    named = ClipSet("tiny", samples, lambda sample: clips[samples.index(sample)])
    assert list(Feed(named, ModelConfig(family="small", n_frames=T, max_duration=D))[[1]].damaged) == ["train/1.mp4"]
