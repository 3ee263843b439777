"""Make a data set in DFDC's layout out of nothing but free parts: portraits that speak, real and with a swapped face.

    python examples/make_dfdc.py OUT --count 90 [--seed 0] [--seconds 10] [--size 224] [--fakes-per-real 1]

writes OUT/dfdc_train_part_{0,1}/ (clips and a metadata.json) and OUT/test/ (clips and a labels.csv), which
`fakespan ... --data dfdc:OUT` reads. As in DFDC a fake is forged from its first frame to its last (see `sample_swap`),
30 % of them in the sound too, and its part says which clip it was made from; in DFDC there are five fakes for each real
clip (`--fakes-per-real 5`). A recording and all that was made of it are in one split: half of the recordings are for
training, a quarter for validation (as in DFDC they have no folder: their names are such that the loader holds them
out), a quarter for the test. Real and fake clips are as long and as loud as each other and take the same road through
H.264 and AAC.

Equal options give equal metadata. If killed, it resumes where it was. Needs espeak-ng and flite (`apt install espeak-ng
flite`). A real clip of 10 s at 112 pixels and its fake cost 3 s of one core.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.data.dfdc import held_out
from fakespan.media.encode import write_video
from sample_swap import record, swap_face, swap_voice
from set_folder import SIGNS, claim, fill, keep, kept, write_json, write_text

__all__ = ["Options", "Take", "make_set", "plan"]

SPLITS = {"train": 0.5, "validation": 0.25, "test": 0.25}  # of the recordings
N_PARTS = 2
VOICE_SHARE = 0.3  # of the fakes
_ENCODER: dict[str, Any] = {"crf": 23, "preset": "veryfast", "audio_bitrate": 64_000, "repeatable": True}


@dataclass(frozen=True, slots=True)
class Options:
    """What makes one set differ from another."""

    count: int = 60
    seed: int = 0
    size: int = 224
    seconds: float = 10.0
    fps: int = 30
    fakes_per_real: int = 1

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("seed", 0), ("fakes_per_real", 1), ("seconds", 0.5)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if self.size % 2 or self.size < 64:
            raise ValueError(f"size: expected an even number from 64, got {self.size}")
        if self.fps not in (25, 30):
            raise ValueError(f"fps: expected 25 or 30, got {self.fps}")


@dataclass(frozen=True, slots=True)
class Take:
    """One recording: its real clip and the fakes that are made of it."""

    number: int
    split: str
    seed: int
    folder: str
    original: str
    fakes: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Below the set's folder, the original first."""
        return tuple(f"{self.folder}/{name}" for name in (self.original, *self.fakes))


def plan(options: Options) -> tuple[Take, ...]:
    """The takes of a set; equal options, equal plan.

    Up to 2 takes are too few for three splits: then validation, or validation and test, stay empty.

    >>> [len(take.fakes) for take in plan(Options(count=5, fakes_per_real=2))]
    [2, 1]
    """
    rng = np.random.default_rng([options.seed, 2006_07397])
    n_takes = -(-options.count // (1 + options.fakes_per_real))
    n_fakes = np.diff(np.arange(n_takes + 1) * (options.count - n_takes) // n_takes)[::-1]
    takes, names = [], set[str]()
    for number, split in enumerate(map(str, rng.permutation(np.repeat(list(SPLITS), _sizes(n_takes))))):
        original = _name(rng, names, None if split == "test" else split == "validation")
        fakes = tuple(_name(rng, names, None) for _ in range(n_fakes[number]))
        folder = "test" if split == "test" else f"dfdc_train_part_{number % N_PARTS}"
        takes.append(Take(number, split, 1_000_000 * (options.seed + 1) + number, folder, original, fakes))
    return tuple(takes)


def make_set(out: Path, options: Options, workers: int = 1) -> Path:
    """Make the set, or what is still missing of it; gives its folder.

    Raises:
        ValueError: the folder holds a set of other options.
        RuntimeError: a speech program is not installed (names the package).
    """
    takes = plan(options)
    for folder in (SIGNS, *sorted({take.folder for take in takes})):
        (out / folder).mkdir(parents=True, exist_ok=True)
    claim(out, options)
    missing = [(out, options, take) for take in takes if kept(out, take.number, take.files) is None]
    fill("make_dfdc", _make_take, missing, len(takes) - len(missing), workers)
    for folder in sorted({take.folder for take in takes}):
        records = [r for take in takes if take.folder == folder for r in kept(out, take.number, take.files) or ()]
        _write_labels(out / folder, sorted(records, key=lambda record: str(record["name"])))
    return out


def _sizes(n_takes: int) -> list[int]:
    """Takes of train, validation and test: none is empty when there are three takes or more."""
    if n_takes < 3:
        return [1, 0, n_takes - 1]
    validation, test = (max(1, round(SPLITS[split] * n_takes)) for split in ("validation", "test"))
    return [n_takes - validation - test, validation, test]


def _name(rng: np.random.Generator, taken: set[str], is_held_out: bool | None) -> str:
    """Ten letters, as DFDC names its clips; such that the loader holds the clip out, or does not, if that matters."""
    while True:
        name = "".join(map(chr, rng.integers(97, 123, 10))) + ".mp4"
        if name not in taken and is_held_out in (None, held_out(name)):
            taken.add(name)
            return name


def _make_take(out: Path, options: Options, take: Take) -> None:
    """Write the clips of one take and then, as the sign that they are whole, what is said of them."""
    real = record(take.seed, options.size, options.seconds, options.fps)
    frames = real.through_lens(real.takes.frames)
    write_video(out / take.files[0], frames, options.fps, real.sound, **_ENCODER)
    records: list[dict[str, Any]] = [{"name": take.original, "label": "REAL", "original": None}]
    for k, name in enumerate(take.fakes):
        rng = np.random.default_rng([take.seed, k])
        sound = swap_voice(real.sound, rng) if rng.random() < VOICE_SHARE else real.sound
        frames = real.through_lens(swap_face(real.takes, rng))
        write_video(out / take.folder / name, frames, options.fps, sound, **_ENCODER)
        records.append({"name": name, "label": "FAKE", "original": take.original})
    keep(out, take.number, take.files, records)


def _write_labels(folder: Path, records: list[dict[str, Any]]) -> None:
    """A part has a metadata.json, the test set a table that says nothing of originals; both as published."""
    if folder.name == "test":
        rows = [f"{record['name']},{int(record['label'] == 'FAKE')}\n" for record in records]
        write_text(folder / "labels.csv", "filename,label\n" + "".join(rows))
        return
    split = {"split": "train"}
    facts = {r["name"]: {"label": r["label"], **split, "original": r["original"]} for r in records}
    write_json(folder / "metadata.json", facts)


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Make a small data set in DFDC's layout.")
    parser.add_argument("out", type=Path, help="folder of the set; one that holds a part of it is filled up")
    parser.add_argument("--count", type=int, default=60, help="clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=224, help="height and width of the picture, pixels")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clips")
    parser.add_argument("--fps", type=int, default=30, help="frames a second, 25 or 30")
    parser.add_argument("--fakes-per-real", type=int, default=1, help="fakes of each recording, at most; DFDC has 5")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args(arguments)
    try:
        fields = (given.count, given.seed, given.size, given.seconds, given.fps, given.fakes_per_real)
        print(make_set(given.out, Options(*fields), given.workers))
    except (RuntimeError, ValueError, OSError) as error:
        print(f"make_dfdc: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
