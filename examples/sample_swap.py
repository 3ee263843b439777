"""A recording of any length, and what an attacker who swaps faces does to all of it: DFDC's kind of forgery.

Another face with the same motions is drawn by a generator of low resolution and laid over the recorded one in every
frame, its colour a little off and flickering, opaque in some clips and faint in others; in some the voice went through
a vocoder from beginning to end. Nothing outside the face is touched, and the loudness stays. The lens is soft in some
recordings, for the real clip and its fakes alike, so that a blurred face alone says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fakespan.forge.spectrum import stretch, through_mel
from sample_camera import Takes, film
from sample_face import Look, Puppet
from sample_overlay import Overlay, lay_over
from sample_sentences import FORGEABLE, PLAIN, parse
from sample_sound import in_room, limited, room_tone
from sample_visemes import mouth_track
from sample_voice import ENGINES, SAMPLE_RATE, Voice, speak, voices

__all__ = ["Recording", "record", "swap_face", "swap_voice"]

Frames = NDArray[np.uint8]
Sound = NDArray[np.float32]
_FACE_X, _FACE_Y = 222.0, 125.0  # of the portrait, in its pixels
_OPACITY = (0.04, 0.5)  # of the face that is laid over the recorded one, from clip to clip
_HOLD = 6  # frames for which the generator's colour stays the same


@dataclass(frozen=True, slots=True)
class Recording:
    """An untouched clip, and what is needed to draw it again."""

    takes: Takes
    sound: Sound  # (samples,) at 16 kHz
    softness: float  # of the lens: standard deviation of its blur as a share of the picture's side

    def through_lens(self, frames: Frames) -> Frames:
        """Frames (n, size, size, 3) RGB, its own or forged ones, as this camera gives them."""
        sigma = self.softness * frames.shape[1]
        return frames if sigma < 0.2 else np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])


def record(seed: int, size: int, seconds: float, fps: int) -> Recording:
    """A portrait that speaks, sentence after sentence, for so many seconds.

    Args:
        seed: chooses words, voice, pose, light and everything else.
        size: height and width, even, pixels.
        seconds: length.
        fps: frames a second.

    Raises:
        RuntimeError: a speech program is not installed (names the package).
    """
    rng = np.random.default_rng([seed, 2006_07397])
    engine = str(rng.choice(ENGINES))
    voice = Voice(engine, str(rng.choice(voices(engine))), int(rng.integers(125, 160)))
    dry, phones = _talk(voice, seconds, rng)
    n_frames = round(seconds * fps)
    mouth = mouth_track(phones, (np.arange(n_frames) + 0.5) / fps, rng.uniform(0.8, 1.1))
    takes = film(mouth, size, int(rng.integers(2**31)), is_plain=False)
    loud = (dry / (np.sqrt(np.mean(dry**2)) + 1e-9) * 0.07).astype(np.float32)
    sound = limited(in_room(loud, rng) + room_tone(len(dry), rng))
    return Recording(takes, sound, softness=max(0.0, float(rng.uniform(-0.004, 0.008))))


def swap_face(takes: Takes, rng: np.random.Generator) -> Frames:
    """A copy of the recording in which another face speaks, from the first frame to the last.

    How much of the recorded face shines through decides how hard it is to find: with it come the camera's grain and the
    face's own detail, of which the drawn one has little.
    """
    donor = Puppet(_other(takes.puppet.look, rng), takes.puppet.size)
    drawn = np.stack([donor.draw(motion) for motion in takes.motions])
    style, opacity = _style(takes.puppet.look, rng), np.float32(rng.uniform(*_OPACITY))
    forged = np.empty_like(takes.frames)
    for k in range(0, len(drawn), _HOLD):
        recorded, held = takes.frames[k : k + _HOLD], _flicker(style, rng)
        swapped = lay_over(recorded, drawn[k : k + _HOLD], held, rng).astype(np.float32)
        forged[k : k + _HOLD] = np.rint(recorded + opacity * (swapped - recorded))
    return forged


def swap_voice(sound: Sound, rng: np.random.Generator) -> Sound:
    """The same words through a vocoder, or at another pitch, from the first sample to the last."""
    if rng.random() < 0.6:
        words = through_mel(sound, int(rng.integers(40, 96)), int(rng.integers(8, 33)), rng)
    else:
        ratio = float(2 ** (rng.choice([-1, 1]) * rng.uniform(1.0, 4.0) / 12))
        slower = stretch(sound, 1 / ratio)
        place = np.linspace(0, len(slower) - 1, len(sound))
        words = np.interp(place, np.arange(len(slower)), slower).astype(np.float32)
    return _faded(_at_level(words, sound), sound, int(rng.integers(40, 240)))


def _at_level(words: Sound, like: Sound) -> Sound:
    """The words at the loudness (RMS) of another sound, changed by at most 12 dB."""
    gain = float(np.sqrt((np.mean(like**2) + 1e-7) / (np.mean(words**2) + 1e-7)))
    return np.asarray(words * np.clip(gain, 0.25, 4.0), np.float32)


def _faded(words: Sound, sound: Sound, n_fade: int) -> Sound:
    """The words, cross-faded with the recording over so many samples at both ends."""
    n_fade = min(n_fade, len(words) // 4)
    weight = np.ones(len(words), np.float32)
    if n_fade:
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n_fade, dtype=np.float32) + 0.5) / n_fade)
        weight[:n_fade], weight[-n_fade:] = ramp, ramp[::-1]
    return np.asarray(weight * words + (1 - weight) * sound, np.float32)


def _talk(voice: Voice, seconds: float, rng: np.random.Generator) -> tuple[Sound, list[tuple[str, float, float]]]:
    """Sentences with pauses between, cut after so many seconds; and when each phoneme is spoken."""
    n_samples = round(seconds * SAMPLE_RATE)
    sound, phones, at_s = np.zeros(n_samples, np.float32), [], float(rng.uniform(0.0, 0.5))
    while at_s < seconds:
        line = parse(str(rng.choice(FORGEABLE)))
        words = line.before if rng.random() < 0.5 else tuple(str(rng.choice(PLAIN)).split())
        said = speak(words, voice)
        first = round(at_s * SAMPLE_RATE)
        part = said.sound[: n_samples - first]
        sound[first : first + len(part)] = part
        phones += [(name, at_s + start_s, at_s + end_s) for name, start_s, end_s in said.phones]
        at_s += len(said.sound) / SAMPLE_RATE + float(rng.uniform(0.1, 0.5))
    return sound, phones


def _other(look: Look, rng: np.random.Generator) -> Look:
    """Somebody else in the same light and framing."""
    return replace(
        look,
        jaw_width=look.jaw_width * rng.uniform(0.92, 1.08),
        eye_size=look.eye_size * rng.uniform(0.92, 1.08),
        face_length=look.face_length * rng.uniform(0.97, 1.03),
        gamma=look.gamma * rng.uniform(0.9, 1.1),
    )


def _style(look: Look, rng: np.random.Generator) -> Overlay:
    """How this attacker's tool leaves a face that is shown as `look` says."""
    x, y = (_FACE_X - look.centre[0]) / look.side + 0.5, (_FACE_Y - look.centre[1]) / look.side + 0.5
    tint = rng.normal(0, 2, 3)
    return Overlay(
        centre=(1 - x if look.mirrored else x, y),
        radii=(rng.uniform(40, 48) / look.side, rng.uniform(50, 60) / look.side),
        feather=float(rng.uniform(0.03, 0.08)),
        shrink=float(rng.uniform(1.2, 2.2)),
        noise=float(rng.uniform(1, 4)),
        colour=(float(tint[0]), float(tint[1]), float(tint[2])),
        contrast=float(rng.normal(1.0, 0.03)),
    )


def _flicker(style: Overlay, rng: np.random.Generator) -> Overlay:
    """The same for a few frames: colour and place are never quite the same again."""
    red, green, blue = (float(c + rng.normal(0, 0.5)) for c in style.colour)
    shift = rng.normal(0, 0.003, 2)
    return replace(style, colour=(red, green, blue), shift=(float(shift[0]), float(shift[1])))
