"""One label for a whole video from its boundary map: the maximum of the map, or a 3-layer network over it.

Both ways are those that the authors describe for DFDC (BA-TFD, arXiv 2204.06228, section 5; their code holds neither):
the largest score of the map against a threshold fitted on validation clips, and a separate network of three layers that
learns from the frozen localizer's maps and the videos' labels. A `Head` holds both, fitted.

Only the deciding map is looked at (fused, or that of the only modality), at the network's own clock: it exists for
every file. What the network sees is of one size whatever the clip's length, see `map_features`. A map of more than the
localizer's T frames is looked at in windows, and the video's score is the largest of theirs, see `map_windows`.

Legend: D longest span in frames, T frames of the localizer's window, n the clip's own frames, F features.
Deviation: nobody published the network's input or sizes; the grid, its logarithmic scale and the widths are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from fakespan.arrays import Float32Array, Float64Array
from fakespan.boundary_map import peak
from fakespan.config import Clock, VerdictConfig
from fakespan.errors import UsageError
from fakespan.models.map_features import logit, map_features, map_windows, n_features

__all__ = [
    "Calibration",
    "Head",
    "HeadModel",
    "VerdictMLP",
    "Way",
    "WayFit",
]

Way = Literal["maximum", "mlp"]

CALIBRATION_FLOOR = 1e-6  # of a score that is calibrated: 0 and 1 have no logit
FARTHEST = 8.0  # standard deviations; what lies farther from the training maps counts as this far


class VerdictMLP(nn.Module):
    """Three linear layers from a map's features to the logit of "this video is forged".

    Features are brought to mean 0 and deviation 1 by the training maps' (buffers, see `standardise`).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_inputs: int, widths: tuple[int, int] = (128, 32), dropout: float = 0.3) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_inputs))
        self.register_buffer("std", torch.ones(n_inputs))
        first, second = widths
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, first),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(second, 1),
        )

    @classmethod
    def of(cls, config: VerdictConfig) -> VerdictMLP:
        """One of the config's sizes with fresh weights, drawn from torch's random numbers."""
        return cls(n_features(config.rows, config.columns), config.widths, config.dropout)

    def standardise(self, features: Tensor) -> None:
        """Take mean and deviation from the training maps' features (k, F); what hardly varies is not blown up."""
        self.mean.copy_(features.mean(0))
        self.std.copy_(features.std(0, correction=0).clamp_min(0.05))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) -> logits (B,)."""
        near = ((features - self.mean) / self.std).clamp(-FARTHEST, FARTHEST)
        logits: Tensor = self.layers(near)
        return logits.squeeze(-1)


@dataclass(frozen=True)
class Calibration:
    """From a score to a probability: sigmoid(scale * logit(score) + offset), after Platt (1999).

    Raises UsageError unless both are finite and the scale is at least 0: a higher score is never a lower probability.
    """

    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and math.isfinite(self.offset) and self.scale >= 0):
            got = f"scale {self.scale}, offset {self.offset}"
            raise UsageError(
                "calibration", expected="finite numbers, scale >= 0", got=got, remedy="fit it on more clips"
            )

    def __call__(self, scores: ArrayLike) -> Float64Array:
        """Probabilities of scores in 0..1, of the same shape."""
        logits = self.scale * logit(np.asarray(scores, np.float64), CALIBRATION_FLOOR) + self.offset
        return 0.5 * (1 + np.tanh(logits / 2))  # the sigmoid, without an overflow


@dataclass(frozen=True)
class WayFit:
    """What validation clips said of one way: a video counts as forged from the threshold on.

    Raises UsageError for a threshold outside 0..1.
    """

    threshold: float  # a probability, after calibration
    raw_threshold: float  # the same of the score itself
    calibration: Calibration

    def __post_init__(self) -> None:
        for name in ("threshold", "raw_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                got = str(getattr(self, name))
                raise UsageError(name, expected="a number in 0..1", got=got, remedy="fit the head anew")

    @classmethod
    def of(cls, raw_threshold: float, calibration: Calibration) -> WayFit:
        """With the threshold that belongs to a threshold of the score."""
        return cls(float(calibration(raw_threshold)), raw_threshold, calibration)


@dataclass(frozen=True)
class HeadModel:
    """The localizer whose maps a head was fitted on."""

    name: str
    digest: str  # of its weights, see `weights_digest`
    n_frames: int  # T
    max_duration: int  # D
    clock: Clock


@dataclass(frozen=True)
class Head:
    """Both ways to a verdict, fitted on the maps of one localizer.

    Raises UsageError when the network comes without its threshold, or the other way round, or is to decide and missing.
    """

    config: VerdictConfig
    model: HeadModel
    maximum: WayFit
    mlp: VerdictMLP | None = None  # None: the maximum alone
    mlp_fit: WayFit | None = None
    decides: Way | None = None  # the way that a scan tells of; None: the network where there is one
    others: Mapping[str, WayFit] = field(default_factory=dict)  # ways that are only compared, by name
    notes: Mapping[str, Any] = field(default_factory=dict)  # plain facts: data, counts, metrics

    def __post_init__(self) -> None:
        if (self.mlp is None) != (self.mlp_fit is None):
            got = "one without the other"
            raise UsageError("head", expected="a network and its threshold", got=got, remedy="give both or neither")
        if self.decides not in (None, "maximum", "mlp") or (self.decides == "mlp" and self.mlp is None):
            expected, got = "a way that the head has", repr(self.decides)
            raise UsageError("way", expected=expected, got=got, remedy="choose maximum, or mlp where there is one")
        if self.mlp is not None:
            self.mlp.eval()

    @property
    def way(self) -> Way:
        """The way that decides."""
        return self.decides or ("maximum" if self.mlp is None else "mlp")

    @property
    def fake_share(self) -> float | None:
        """Of the validation clips, for which its probabilities hold; None where the notes do not say."""
        facts = self.notes.get("validation")
        try:
            return float(facts["fake"]) / float(facts["clips"])  # type: ignore[index]
        except (TypeError, KeyError, ValueError, ZeroDivisionError):
            return None

    def fit_of(self, way: Way | None = None) -> WayFit:
        """Threshold and calibration of a way; raises UsageError for that of a missing network."""
        fit = self.maximum if (way or self.way) == "maximum" else self.mlp_fit
        if fit is None:
            raise UsageError("way", expected="maximum", got="mlp", remedy="this head has no network: fit one")
        return fit

    def features(self, score_map: Float32Array) -> Float32Array:
        """What the network sees of each window of a map (D, n): (windows, F)."""
        self._check(score_map)
        parts = map_windows(score_map, self.model.n_frames)
        return np.stack([map_features(part, self.config.rows, self.config.columns) for part in parts])

    @torch.inference_mode()
    def score(self, score_map: Float32Array, way: Way | None = None) -> float:
        """The raw score of one map, in 0..1, before calibration.

        Args:
            score_map: (D, n), the deciding map of a clip's own frames at the localizer's clock.
            way: "maximum" is `boundary_map.peak`, "mlp" the sigmoid of the network's largest logit over the windows;
                the head's own unless given.

        Raises:
            UsageError: the map has another number of rows than the localizer's, or the way needs a missing network.
        """
        self.fit_of(way)
        self._check(score_map)
        if (way or self.way) == "maximum" or self.mlp is None:
            return peak(score_map)
        return float(self.mlp(torch.from_numpy(self.features(score_map))).max().double().sigmoid())

    def probability(self, score: float, way: Way | None = None) -> float:
        """The calibrated probability that belongs to a raw score of a way (the head's own unless given)."""
        return float(self.fit_of(way).calibration(score))

    def _check(self, score_map: Float32Array) -> None:
        if score_map.ndim != 2 or score_map.shape[0] != self.model.max_duration:
            wanted, got = f"({self.model.max_duration}, n)", f"{score_map.shape}"
            raise UsageError("map", expected=f"shape {wanted}", got=got, remedy="take maps of the head's own model")
