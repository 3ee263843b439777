"""The clips of a run: a published data set, a prepared store, or practice clips of banks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.data.augment import AugmentConfig, augment
from fakespan.data.clip import Faces
from fakespan.data.example import Example
from fakespan.data.sets import ClipSet, kinds, open_set
from fakespan.errors import DataError, UsageError
from fakespan.practice.examples import PictureExamples, SoundExamples
from fakespan.practice.picture_bank import PictureBank
from fakespan.practice.sound import SoundPractice
from fakespan.practice.sound_bank import SoundBank, load_sound_bank
from fakespan.train.config import RunConfig
from fakespan.train.feed import Examples, IntactClips
from fakespan.train.order import Order
from fakespan.types import Subset

__all__ = ["TrainingData", "bank_data", "open_data", "set_data"]

N_THRESHOLD = 320  # maximum number of clips for fitting the threshold
BANK_EPOCH, BANK_VALIDATION = 1600, 192  # practice clips of an epoch, of a validation


@dataclass(frozen=True)
class TrainingData:
    """The data of a run."""

    source: str  # as named by the user
    train: Examples
    validation: Examples | None  # None: no validation
    threshold: Sequence[Example]  # the threshold is fitted on the real clips among these
    is_endless: bool = False  # generated on the fly: unlimited


def open_data(
    source: str,
    run: RunConfig,
    *,
    subset: Subset = "full",
    limit: int | None = None,
    faces: Faces | None = None,
) -> TrainingData:
    """Open the source of --data: a published data set, store:, sound-bank: or picture-bank:FOLDER.

    Args:
        source: KIND:FOLDER.
        run: the config.
        subset: "visual" excludes audio-only fakes, "audio" visual-only fakes; data sets only.
        limit: the first so many clips of each split; data sets only.
        faces: face mode; default: what the data set needs; data sets only.

    Raises:
        UsageError: an unknown kind.
        DataError: the folder does not hold such a data set, or has no clips to train on.
    """
    kind = source.partition(":")[0]
    if kind in ("sound-bank", "picture-bank"):
        return bank_data(source, run)
    if kind not in kinds():
        expected = " or ".join(f"{known}:FOLDER" for known in (*kinds(), "sound-bank", "picture-bank"))
        raise UsageError("--data", expected=expected, got=repr(source), remedy="name the kind before the folder")
    return set_data(source, run, subset=subset, limit=limit, faces=faces)


def bank_data(source: str, run: RunConfig) -> TrainingData:
    """Practice clips of one modality, of genuine recordings and their twins (see `fakespan.practice`).

    Raises:
        DataError: a folder is not a bank, or has no training clips.
    """
    kind, _, folders = source.partition(":")
    open_bank = _sound_examples if kind == "sound-bank" else _picture_examples
    train, validation = open_bank([Path(folder) for folder in folders.split(",")], run)
    return TrainingData(source, train, validation, (), is_endless=True)


def _sound_examples(folders: Sequence[Path], run: RunConfig) -> tuple[Examples, Examples | None]:
    recordings = load_sound_bank(folders)
    banks = [SoundBank.of(recordings, split) for split in ("train", "validation")]
    for there, what in (
        (banks[0].twins or banks[0].voices, "recordings of generators"),
        (banks[0].reals, "genuine recordings"),
    ):
        if not there:
            raise DataError(folders[0], expected=f"{what} to train on", got="none", remedy="build the bank again")
    train, validation = (
        SoundExamples(SoundPractice(bank, run.sound), run.train.seed + k, n, run.train.batch_size)
        if bank.reals and (bank.twins or bank.voices)
        else None
        for k, (bank, n) in enumerate(zip(banks, (BANK_EPOCH, BANK_VALIDATION), strict=True))
    )
    assert train is not None
    return train, validation


def _picture_examples(folders: Sequence[Path], run: RunConfig) -> tuple[Examples, Examples | None]:
    bank = PictureBank(folders[0])
    twins = bank.twins()
    held_out = {person for person in {t.real.person for t in twins} if _is_held_out(person)}
    parts = [[t for t in twins if (t.real.person in held_out) == is_held_out] for is_held_out in (False, True)]
    if not parts[0]:
        raise DataError(folders[0], expected="genuine clips to train on", got="none", remedy="build the bank again")
    train, validation = (
        PictureExamples(bank, part, run.picture, run.train.seed + k, n) if part else None
        for k, (part, n) in enumerate(zip(parts, (BANK_EPOCH, BANK_VALIDATION), strict=True))
    )
    assert train is not None
    return train, validation


def _is_held_out(person: str) -> bool:
    """One person in twelve, by name."""
    return int.from_bytes(hashlib.sha256(person.encode()).digest()[:4]) % 12 == 0


def set_data(
    source: str,
    run: RunConfig,
    *,
    subset: Subset = "full",
    limit: int | None = None,
    faces: Faces | None = None,
) -> TrainingData:
    """Train and validation split of a data set. Raises DataError if there are no training clips."""
    chosen: dict[str, Any] = {"subset": subset, "limit": limit, "faces": faces, "framing": run.model.framing}
    train = open_set(source, "train", **chosen)
    validation = open_set(source, "validation", **chosen)
    if not len(train):
        remedy = "check the folder, --subset and --limit"
        raise DataError(source, expected="clips in the train split", got="none", remedy=remedy)
    reals = [k for k, sample in enumerate(validation.samples) if not sample.is_fake][:N_THRESHOLD]
    validated: Examples | None = validation if len(validation) else None
    if run.augment == AugmentConfig():
        return TrainingData(source, train, validated, IntactClips(validation, reals))
    plain = AugmentConfig(n_frames=run.augment.n_frames)
    return TrainingData(
        source,
        AugmentedClips(train, run.augment, Order(len(train), run.train.seed, run.train.sampling)),
        validated and AugmentedClips(validation, plain, Order(len(validation), run.train.seed, "endless")),
        IntactClips(validation, reals),
        is_endless=True,
    )


class AugmentedClips:
    """The clips of a set in training order, with augmentation; number k is always the same.

    Args:
        clips: the set.
        config: the augmentation.
        order: the order of the clips.
    """

    def __init__(self, clips: ClipSet, config: AugmentConfig, order: Order) -> None:
        self.clips, self.config, self.order = clips, config, order

    def __len__(self) -> int:
        return len(self.clips)

    def name(self, k: int) -> str:
        """Name of the k-th clip in training order."""
        return self.clips.name(self.order.clip(k))

    def __getitem__(self, k: int) -> Example:
        clip = self.clips[self.order.clip(k)]
        return augment(clip, self.config, np.random.default_rng([self.order.seed, 4, k]))
