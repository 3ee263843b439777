"""Selects frames of a speaker that match new audio, one by one, by the audio they were recorded with.

A small unit selection: for every frame of the new audio the recorded frames with the most similar audio are candidates,
and the path through them with the fewest jumps is taken (Viterbi). So the lips follow words that were never filmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fakespan.arrays import BoolArray, Float32Array, UInt8Array
from fakespan.media.features import log_mel

__all__ = ["choose_mouths"]

CONTEXT = 2  # frames to each side that a sound is recorded with
N_CANDIDATES = 24
JUMP_COST = 0.35  # of leaving a run of filmed frames, in units of the mean distance of candidates
PICTURE_COST = 1.2  # weight of the difference of the two mouths at a jump


def choose_mouths(
    sound: Float32Array, filmed: Sequence[tuple[UInt8Array, Float32Array]], forbidden: tuple[int, int] | None = None
) -> UInt8Array:
    """Select faces (n, S, S, 3) for n frames of new audio (640 samples each) from clips of the same speaker.

    Args:
        sound: (640 n,) the audio to be spoken, at 16 kHz.
        filmed: faces (m, S, S, 3) and their sound (640 m,), at least one of them.
        forbidden: frames [begin, end) of the first clip that must not be used.
    """
    recorded = np.concatenate([_audio_features(own) for _, own in filmed])
    target = _audio_features(sound)
    faces = [face for clip, _ in filmed for face in clip]
    follows = np.concatenate([np.r_[np.ones(len(clip) - 1, bool), False] for clip, _ in filmed])
    distance = np.linalg.norm(target[:, None] - recorded[None], axis=2)
    if forbidden is not None:
        distance[:, forbidden[0] : forbidden[1]] = np.inf
    candidates = np.argsort(distance, axis=1)[:, :N_CANDIDATES]
    path = _path(distance, candidates, np.stack([_mouth(face) for face in faces]), follows)
    return np.stack([faces[k] for k in path])


def _path(distance: Float32Array, candidates: NDArray[np.intp], mouths: Float32Array, follows: BoolArray) -> list[int]:
    """The cheapest path through the candidates: distance of the audio, and of the pictures at jumps."""
    own = np.take_along_axis(distance, candidates, axis=1)
    scale = float(own[np.isfinite(own)].mean())
    spread = float(np.linalg.norm(mouths - mouths.mean(0), axis=1).mean()) + 1e-6
    cost, back = own[0] / scale, []
    for k in range(1, len(candidates)):
        last, now = candidates[k - 1], candidates[k]
        looks = np.linalg.norm(mouths[last][:, None] - mouths[now][None], axis=2) / spread
        runs_on = (last[:, None] + 1 == now[None]) & follows[last][:, None]
        step = cost[:, None] + np.where(runs_on, 0.0, JUMP_COST + PICTURE_COST * looks)
        back.append(step.argmin(0))
        cost = step.min(0) + own[k] / scale
    place = int(cost.argmin())
    path = [int(candidates[-1][place])]
    for k in range(len(back) - 1, -1, -1):
        place = int(back[k][place])
        path.append(int(candidates[k][place]))
    return path[::-1]


def _audio_features(sound: Float32Array) -> Float32Array:
    """Audio features of each frame with its neighbours, (n, features): a few mel bands, without level and timbre."""
    mel = log_mel(sound).numpy()
    n = mel.shape[1] // 4
    frames = mel[:, : 4 * n].reshape(16, 4, n, 4).mean(axis=(1, 3)).T  # 16 bands, 25 a second
    frames = (frames - frames.mean(0)) / (frames.std(0) + 0.3)  # another voice, another microphone
    padded = np.pad(frames, ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    shares = (0.5, 0.8, 1.0, 0.8, 0.5)
    return np.concatenate([w * padded[k : k + n] for k, w in enumerate(shares)], axis=1).astype(np.float32)


def _mouth(face: UInt8Array) -> Float32Array:
    """A thumbnail of the lower face, flattened."""
    side = face.shape[0]
    lower: Any = face[int(0.45 * side) : int(0.8 * side), int(0.25 * side) : int(0.75 * side)]
    small = cv2.resize(cv2.cvtColor(lower, cv2.COLOR_RGB2GRAY), (16, 12), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).ravel()
