"""Make a sample clip: a portrait that speaks, untouched and forged, with the truth.

    python examples/make_sample.py --out DIR [--seed N] [--kind both|audio|visual] [--size 320]

writes `sample.mp4` (forged), `sample_real.mp4` (untouched) and `sample.json` (the truth, in the style of LAV-DF's
metadata). Seed 0 is the clip that fakespan brings along. As in LAV-DF a word is swapped for its opposite: in the sound
the new word is synthesised and cross-faded in, in the picture the lower face is drawn anew by a generator of low
resolution that follows the new word. Everything comes from free parts: scikit-image's public-domain portrait, espeak-ng
and flite (`apt install espeak-ng flite`).

    sys.path.insert(0, "examples")
    from make_sample import make_clip
    frames, sound, truth = make_clip(seed=7, kind="both")  # (n, H, W, 3) uint8 RGB at 25 fps, (samples,) at 16 kHz

Equal seed, equal frames and sound (one machine, one version of the speech programs).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fakespan.media.encode import write_video
from sample_camera import FPS, film, forge_picture
from sample_sentences import FORGEABLE, PLAIN, Line, parse
from sample_sound import fit_length, in_room, limited, quietest_near, room_tone, splice
from sample_visemes import mouth_track
from sample_voice import ENGINES, SAMPLE_RATE, Speech, Voice, speak, voices

__all__ = ["KINDS", "Clip", "make_clip", "make_pair"]

KINDS = ("both", "audio", "visual", "real")
_SHORTEST_S, _LONGEST_S = 0.42, 0.98  # of a forged span
_RATE_LIMITS = (0.55, 1.7)  # how much a word may be sped up or slowed down to fit


@dataclass(frozen=True, slots=True)
class Clip:
    """Picture, sound and truth of one clip."""

    frames: NDArray[np.uint8]  # (n, H, W, 3) RGB at 25 fps
    sound: NDArray[np.float32]  # (n * 640,) at 16 kHz
    truth: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Who says what in a clip, and which words are swapped."""

    line: Line
    first: int  # index of the first word that is exchanged; short swaps take words before them along
    real: Speech
    donor: Speech
    voice: Voice
    donor_voice: Voice
    lead_s: float  # silence before the speech
    span_s: tuple[float, float]  # of the swapped words in the speech
    donor_span_s: tuple[float, float]


def make_clip(
    seed: int, kind: str = "both", engine: str | None = None, size: int = 320
) -> tuple[NDArray[np.uint8], NDArray[np.float32], dict[str, Any]]:
    """One clip: `make_pair`'s forged half, or its untouched half for kind "real"."""
    real, forged = make_pair(seed, "both" if kind == "real" else kind, engine, size)
    clip = real if kind == "real" else forged
    return clip.frames, clip.sound, clip.truth


def make_pair(seed: int, kind: str = "both", engine: str | None = None, size: int = 320) -> tuple[Clip, Clip]:
    """The untouched and the forged version of one clip; they are equal outside the forged span.

    Args:
        seed: chooses sentence, voice, pose, light and everything else.
        kind: what is forged: "both", "audio" or "visual".
        engine: "espeak-ng" or "flite"; None lets the seed choose.
        size: height and width of the picture, even, pixels.

    Raises:
        ValueError: unknown kind or engine, odd size.
        RuntimeError: a speech program is not installed (names the package).
    """
    _check(kind, engine, size)
    rng = np.random.default_rng([seed, 2305_01979])
    plan = _plan(rng, seed, engine)
    sound, forged_sound = _sounds(plan, rng)
    n_frames = len(sound) * FPS // SAMPLE_RATE
    times_s = (np.arange(n_frames) + 0.5) / FPS - plan.lead_s
    liveliness = rng.uniform(0.8, 1.1)
    real_mouth = mouth_track(plan.real.phones, times_s, liveliness)
    takes = film(real_mouth, size, int(rng.integers(2**31)), is_plain=seed == 0)
    start_s, end_s = (round(plan.lead_s + instant, 3) for instant in plan.span_s)
    touched = range(int(start_s * FPS), int(end_s * FPS))
    truth = _truth(plan, (start_s, end_s), n_frames, kind, seed)
    real = Clip(takes.frames, sound, {**truth, "file": "sample_real.mp4", **_UNTOUCHED})
    frames = takes.frames
    if kind != "audio":
        donor_mouth = mouth_track(plan.donor.phones, _donor_times(plan, times_s), liveliness)
        frames = forge_picture(takes, donor_mouth, touched, int(rng.integers(2**31)), is_plain=seed == 0)
    return real, Clip(frames, sound if kind == "visual" else forged_sound, truth)


def _check(kind: str, engine: str | None, size: int) -> None:
    if kind not in KINDS[:-1]:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if engine is not None and engine not in ENGINES:
        raise ValueError(f"engine: expected one of {', '.join(ENGINES)}, got {engine!r}")
    if size % 2 or size < 64:
        raise ValueError(f"size: expected an even number from 64, got {size}")


def _plan(rng: np.random.Generator, seed: int, engine: str | None) -> _Plan:
    """Draw until the swapped words have a natural length: some voices swallow, some drawl."""
    for _ in range(40):
        line, voice, donor_voice = _cast(rng, seed, engine)
        real, donor = speak(line.before, voice), speak(line.after, donor_voice)
        for extra in range(min(3, line.first) + 1):  # short words take their neighbours along, the same in both
            span = _span(real, line.first - extra, line.first + line.n_before)
            donor_span = _span(donor, line.first - extra, line.first + line.n_after)
            length_s, donor_length_s = span[1] - span[0], donor_span[1] - donor_span[0]
            fits = _RATE_LIMITS[0] <= donor_length_s / max(length_s, 0.01) <= _RATE_LIMITS[1]
            if _SHORTEST_S <= length_s <= _LONGEST_S and fits:
                lead_s = round(float(rng.uniform(0.2, 0.7)), 3)
                return _Plan(line, line.first - extra, real, donor, voice, donor_voice, lead_s, span, donor_span)
    raise RuntimeError(f"no line of a natural length found for seed {seed} and engine {engine}")


def _cast(rng: np.random.Generator, seed: int, engine: str | None) -> tuple[Line, Voice, Voice]:
    """Text and voices. Most forgers have the victim's voice, some only one that is like it."""
    before, after = (str(rng.choice(PLAIN)) for _ in range(2))
    layout = rng.integers(3)
    line = parse(str(rng.choice(FORGEABLE)), before if layout != 1 else "", after if layout == 1 else "")
    chosen = engine or str(rng.choice(ENGINES))
    pace = int(rng.integers(125, 160))
    voice = Voice(chosen, str(rng.choice(voices(chosen))), pace)
    other = Voice(chosen, str(rng.choice(voices(chosen))), pace)
    donor_voice = other if rng.random() < 0.3 else voice
    if seed == 0:
        voice = donor_voice = Voice(engine or "flite", "slt" if engine != "espeak-ng" else "en-us+f3", 140)
        line = parse(FORGEABLE[1], PLAIN[0])
    return line, voice, donor_voice


def _span(speech: Speech, first: int, stop: int) -> tuple[float, float]:
    """From the first to the last word, cut where it is quiet."""
    return (
        quietest_near(speech.sound, speech.words[first][0]),
        quietest_near(speech.sound, speech.words[stop - 1][1]),
    )


def _sounds(plan: _Plan, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The sound of both versions, a whole number of frames long."""
    speech = plan.real.sound / (np.sqrt(np.mean(plan.real.sound**2)) + 1e-9) * 0.07
    wet = in_room(speech.astype(np.float32), rng)
    tail_s = max(rng.uniform(0.3, 0.8), 6.0 - plan.lead_s - len(wet) / SAMPLE_RATE)
    n_samples = int((plan.lead_s + len(wet) / SAMPLE_RATE + tail_s) * FPS) * SAMPLE_RATE // FPS
    dry = np.zeros(n_samples, np.float32)
    first = round(plan.lead_s * SAMPLE_RATE)
    dry[first : first + len(wet)] = wet
    tone = room_tone(n_samples, rng)
    start, end = (round(instant * SAMPLE_RATE) for instant in plan.span_s)
    cut = slice(*(round(instant * SAMPLE_RATE) for instant in plan.donor_span_s))
    n_mels = None if rng.random() < 0.2 else int(rng.choice([64, 80, 100]))
    word = fit_length(plan.donor.sound[cut], end - start, n_mels, rng)
    kept_tone = np.float32(rng.uniform(0.3, 1.0))  # the forger's word brings no room of its own
    forged = splice(dry, word, (first + start) / SAMPLE_RATE, fade_s := rng.uniform(0.005, 0.010))
    quieter = splice(tone, tone[first + start : first + end] * kept_tone, (first + start) / SAMPLE_RATE, fade_s, False)
    return limited(dry + tone), limited(forged + quieter)


def _donor_times(plan: _Plan, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Instants of the donor's speech that belong to instants of the real one, inside the span."""
    share = (times_s - plan.span_s[0]) / (plan.span_s[1] - plan.span_s[0])
    return plan.donor_span_s[0] + share * (plan.donor_span_s[1] - plan.donor_span_s[0])


_ENCODER: dict[str, Any] = {"crf": 23, "preset": "medium", "audio_bitrate": 64_000}
_UNTOUCHED = {"fake_periods": [], "n_fakes": 0, "modify_audio": False, "modify_video": False, "original": None}


def _truth(plan: _Plan, period_s: tuple[float, float], n_frames: int, kind: str, seed: int) -> dict[str, Any]:
    line, first = plan.line, plan.first
    return {
        "file": "sample.mp4",
        "original": "sample_real.mp4",
        "split": "test",
        "duration": n_frames / FPS,
        "n_fakes": 1,
        "fake_periods": [list(period_s)],
        "modify_audio": kind != "visual",
        "modify_video": kind != "audio",
        "video_frames": n_frames,
        "audio_channels": 1,
        "audio_frames": n_frames * SAMPLE_RATE // FPS,
        "text": " ".join(line.before),
        "text_forged": " ".join(line.after),
        "words_before": " ".join(line.before[first : line.first + line.n_before]),
        "words_after": " ".join(line.after[first : line.first + line.n_after]),
        "method": {
            "audio": f"{plan.donor_voice.engine} {plan.donor_voice.name}, Griffin-Lim" if kind != "visual" else None,
            "visual": "lower face drawn anew at low resolution, soft mask" if kind != "audio" else None,
        },
        "voice": f"{plan.voice.engine} {plan.voice.name}",
        "seed": seed,
        "credits": "portrait: scikit-image astronaut (NASA, public domain); voices: espeak-ng, flite",
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Make a sample clip: a portrait that speaks, untouched and forged.")
    parser.add_argument("--out", type=Path, required=True, help="folder for sample.mp4, sample_real.mp4, sample.json")
    parser.add_argument("--seed", type=int, default=0, help="0 is the clip that fakespan brings along")
    parser.add_argument("--kind", choices=KINDS[:-1], default="both", help="what is forged")
    parser.add_argument("--engine", choices=ENGINES, help="speech program; the seed chooses unless given")
    parser.add_argument("--size", type=int, default=320, help="height and width of the picture, pixels")
    options = parser.parse_args(arguments)
    try:
        real, forged = make_pair(options.seed, options.kind, options.engine, options.size)
    except (RuntimeError, ValueError) as error:
        print(f"make_sample: {error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for clip in (real, forged):  # the same encoder, once
        write_video(options.out / clip.truth["file"], clip.frames, FPS, clip.sound, **_ENCODER)
    (options.out / "sample.json").write_text(json.dumps(forged.truth, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(forged.truth, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
