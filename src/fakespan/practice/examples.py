"""Practice clips as a training set: example k is deterministic and exists for every k."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fakespan.config import FPS, SAMPLES_PER_FRAME
from fakespan.data.example import Example
from fakespan.media.crop import FACE_SIZE
from fakespan.practice.picture import PicturePractice, draw_twins, make_picture_example
from fakespan.practice.picture_bank import PictureBank, Twins
from fakespan.practice.sound import SoundPractice

__all__ = ["PictureExamples", "SoundExamples"]


class SoundExamples:
    """Audio-only clips.

    Args:
        practice: draws them.
        seed: of all of them.
        n_examples: how many count as all.
        group: clips in a row that have one length, so that a batch needs no padding.
    """

    def __init__(self, practice: SoundPractice, seed: int, n_examples: int, group: int = 1) -> None:
        self.practice, self.seed, self.n_examples, self.group = practice, seed, n_examples, group

    def __len__(self) -> int:
        return self.n_examples

    def __getitem__(self, k: int) -> Example:
        recipe = self.practice.recipe
        length = np.random.default_rng([self.seed, 1, k // self.group])
        n_frames = round(float(np.exp(length.uniform(*np.log([recipe.min_frames, recipe.max_frames])))))
        clip = self.practice.draw(n_frames, np.random.default_rng([self.seed, 2, k]))
        return Example(
            f"practice sound {k}",
            np.broadcast_to(np.zeros((), np.uint8), (n_frames, FACE_SIZE, FACE_SIZE, 3)),
            clip.sound,
            audio_spans=tuple((a / FPS, b / FPS) for a, b in clip.spans),
            method=clip.method,
            has_picture=False,
        )


class PictureExamples:
    """Video-only clips; arguments as for `SoundExamples`."""

    def __init__(
        self, bank: PictureBank, twins: Sequence[Twins], practice: PicturePractice, seed: int, n_examples: int
    ) -> None:
        self.bank, self.twins, self.practice = bank, twins, practice
        self.seed, self.n_examples = seed, n_examples

    def __len__(self) -> int:
        return self.n_examples

    def __getitem__(self, k: int) -> Example:
        rng = np.random.default_rng([self.seed, 2, k])
        clip = make_picture_example(self.bank, draw_twins(self.twins, rng), self.practice, rng)
        return Example(
            f"practice picture {k}",
            clip.faces,
            np.zeros(len(clip.faces) * SAMPLES_PER_FRAME, np.float32),
            visual_spans=tuple((a / FPS, b / FPS) for a, b in clip.spans),
            method=clip.method,
            has_sound=False,
        )
