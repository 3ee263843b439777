"""Make a data set in LAV-DF's layout out of nothing but free parts: portraits that speak, untouched and forged.

    python examples/make_set.py OUT --count 60 [--seed 0] [--size 224] [--seconds 3] [--workers 2]

writes OUT/{train,dev,test}/000000.mp4, OUT/metadata.json and OUT/metadata.min.json, which `fakespan ... --data
lavdf:OUT` reads. Kinds come in LAV-DF's shares (27 % real; the rest audio, visual or both), splits as 60/20/20; real
and forged clips of a take are the same recording (see `set_plan`), equal outside the forged span, and take the same
road through H.264 and AAC, so that length, loudness, voice or codec tell nothing. `--seconds` keeps a window of that
length around the forged span, anywhere in it: small clips for quick experiments.

Equal options give equal metadata. If killed, it resumes where it was: what OUT/.takes lists is kept. Needs espeak-ng
and flite (`apt install espeak-ng flite`). A take (about four clips) costs 5 s of one core: 60 clips 80 s, half with
two.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.media.encode import write_video
from make_sample import Clip, make_pair
from sample_camera import FPS
from sample_voice import SAMPLE_RATE
from set_folder import SIGNS, claim, fill, keep, kept, write_json
from set_plan import SPLITS, Take, plan

__all__ = ["MIN_FIELDS", "Options", "make_set"]

MIN_FIELDS = (
    *("file", "n_fakes", "fake_periods", "duration", "original", "modify_video", "modify_audio", "split"),
    *("video_frames", "audio_channels", "audio_frames"),
)
_MORE_FIELDS = ("text", "text_forged", "words_before", "words_after", "method", "voice", "seed", "credits")
_ENCODER: dict[str, Any] = {"crf": 23, "preset": "veryfast", "audio_bitrate": 64_000, "repeatable": True}
_MARGIN = 3  # frames of the recording that a window keeps on both sides of the span, where there are as many
_N_TRIES = 5  # seeds tried for a take: some have no line of a natural length


@dataclass(frozen=True, slots=True)
class Options:
    """What makes one set differ from another."""

    count: int = 60
    seed: int = 0
    size: int = 224
    seconds: float | None = None  # None: clips of 6 to 10 s, as they were recorded

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count: expected at least 1, got {self.count}")
        if self.seed < 0:
            raise ValueError(f"seed: expected at least 0, got {self.seed}")
        if self.size % 2 or self.size < 64:
            raise ValueError(f"size: expected an even number from 64, got {self.size}")
        if self.seconds is not None and not self.seconds >= 1.5:
            raise ValueError(f"seconds: expected at least 1.5 around a forged word, got {self.seconds}")


def make_set(out: Path, options: Options, workers: int = 1) -> Path:
    """Make the set, or what is still missing of it; gives the path of its metadata.json.

    Raises:
        ValueError: the folder holds a set of other options.
        RuntimeError: a speech program is not installed (names the package).
    """
    takes = plan(options.count, options.seed)
    for folder in (SIGNS, *SPLITS):
        (out / folder).mkdir(parents=True, exist_ok=True)
    claim(out, options)
    missing = [(out, options, take) for take in takes if _records(out, take) is None]
    fill("make_set", _make_take, missing, len(takes) - len(missing), workers)
    records = [record for take in takes for record in _records(out, take) or ()]
    records.sort(key=lambda record: (list(SPLITS).index(record["split"]), record["file"]))
    write_json(out / "metadata.min.json", [{field: record[field] for field in MIN_FIELDS} for record in records])
    write_json(out / "metadata.json", records)
    return out / "metadata.json"


def _make_take(out: Path, options: Options, take: Take) -> None:
    """Write the clips of one take and then, as the sign that they are whole, its record."""
    real, forged = _recorded(take, options.size)
    window = _window(forged.truth, take.seed, options.seconds)
    records = []
    for entry in take.entries:
        frames = (forged if entry.kind in ("visual", "both") else real).frames[window]
        sound = (forged if entry.kind in ("audio", "both") else real).sound[_samples(window)]
        write_video(out / entry.file, frames, FPS, sound, **_ENCODER)
        place = {"file": entry.file, "split": take.split, "original": take.original}
        records.append(_record({**forged.truth, **place}, entry.kind, window))
    keep(out, take.number, [entry.file for entry in take.entries], records)


def _recorded(take: Take, size: int) -> tuple[Clip, Clip]:
    """The untouched and the wholly forged recording; the other kinds are put together from the two."""
    for k in range(_N_TRIES):
        try:
            return make_pair(take.seed + k * 500_000, "both", size=size)
        except RuntimeError as error:
            if "natural length" not in str(error) or k == _N_TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _window(truth: dict[str, Any], seed: int, seconds: float | None) -> slice:
    """The frames that are kept: all, or `seconds` of them with the span anywhere inside."""
    n_frames = truth["video_frames"]
    n_kept = n_frames if seconds is None else min(n_frames, round(seconds * FPS))
    ((start_s, end_s),) = truth["fake_periods"]
    first, last = int(start_s * FPS), int(end_s * FPS) + 1
    lowest, highest = max(0, last + _MARGIN - n_kept), min(n_frames - n_kept, first - _MARGIN)
    low, high = sorted((min(lowest, n_frames - n_kept), max(highest, 0)))
    begin = int(np.random.default_rng([seed, 7]).integers(low, high + 1))
    return slice(begin, begin + n_kept)


def _samples(window: slice) -> slice:
    per_frame = SAMPLE_RATE // FPS
    return slice(window.start * per_frame, window.stop * per_frame)


def _record(truth: dict[str, Any], kind: str, window: slice) -> dict[str, Any]:
    """The metadata of one clip, published fields first."""
    start_s, n_frames = window.start / FPS, window.stop - window.start
    cut = {
        "duration": n_frames / FPS,
        "video_frames": n_frames,
        "audio_frames": n_frames * SAMPLE_RATE // FPS,
        "fake_periods": [[round(instant - start_s, 3) for instant in period] for period in truth["fake_periods"]],
        "modify_audio": kind in ("audio", "both"),
        "modify_video": kind in ("visual", "both"),
        "method": {stream: made if kind in (stream, "both") else None for stream, made in truth["method"].items()},
    }
    if kind == "real":
        cut |= {"fake_periods": [], "n_fakes": 0, "original": None}
        cut |= dict.fromkeys(("text_forged", "words_before", "words_after"))
    merged = {**truth, **cut}
    return {field: merged[field] for field in (*MIN_FIELDS, *_MORE_FIELDS)}


def _records(out: Path, take: Take) -> list[dict[str, Any]] | None:
    return kept(out, take.number, [entry.file for entry in take.entries])


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Make a small data set in LAV-DF's layout.")
    parser.add_argument("out", type=Path, help="folder of the set; one that holds a part of it is filled up")
    parser.add_argument("--count", type=int, default=60, help="clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=224, help="height and width of the picture, pixels")
    parser.add_argument("--seconds", type=float, help="length of the clips; as recorded (6 to 10 s) unless given")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args(arguments)
    try:
        options = Options(given.count, given.seed, given.size, given.seconds)
        print(make_set(given.out, options, given.workers))
    except (RuntimeError, ValueError, OSError) as error:
        print(f"make_set: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
