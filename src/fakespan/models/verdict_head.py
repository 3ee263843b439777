"""Video-level label from the boundary map: the maximum of the map, or a 3-layer network over it.

The authors describe both methods for DFDC (BA-TFD, arXiv 2204.06228, section 5; neither is in their released code): the
maximum of the map against a threshold fitted on validation clips, and a separate 3-layer network trained on the maps of
the frozen localizer and the labels of the videos. A `Head` contains both, fitted.

Only the fused map is used (or that of the only modality), at the network's own clock: it exists for every file. The
size of the network's input does not depend on the clip, see `map_features`. A map with more than the localizer's T
frames is split into windows, and the score of the video is the maximum over them, see `map_windows`.

Legend: D longest span in frames, T frames of the localizer's window, n frames of the clip, F features.
Deviation: the network's input and sizes are unpublished; the grid, its logarithmic scale and the widths are ours.
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

CALIBRATION_FLOOR = 1e-6  # scores are clipped before calibration: 0 and 1 have no logit
FARTHEST = 8.0  # standardised features are clipped at so many standard deviations


class VerdictMLP(nn.Module):
    """Three linear layers from the features of a map to the logit of "forged".

    Features are standardised with the statistics of the training maps (buffers, see `standardise`).
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
        """Build from a config with random weights."""
        return cls(n_features(config.rows, config.columns), config.widths, config.dropout)

    def standardise(self, features: Tensor) -> None:
        """Set mean and deviation from the features (k, F) of the training maps; near-constant ones are not scaled."""
        self.mean.copy_(features.mean(0))
        self.std.copy_(features.std(0, correction=0).clamp_min(0.05))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) -> logits (B,)."""
        near = ((features - self.mean) / self.std).clamp(-FARTHEST, FARTHEST)
        logits: Tensor = self.layers(near)
        return logits.squeeze(-1)


@dataclass(frozen=True)
class Calibration:
    """Platt scaling (1999) of a score: sigmoid(scale * logit(score) + offset).

    Raises UsageError unless both are finite and the scale is at least 0, so that probabilities increase with scores.
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
        return 0.5 * (1 + np.tanh(logits / 2))  # the sigmoid, without overflow


@dataclass(frozen=True)
class WayFit:
    """Threshold and calibration of one method, fitted on validation clips.

    Raises UsageError for a threshold outside 0..1.
    """

    threshold: float  # a probability, after calibration
    raw_threshold: float  # the same of the score itself
    calibration: Calibration

    def __post_init__(self) -> None:
        for name in ("threshold", "raw_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                got = str(getattr(self, name))
                raise UsageError(name, expected="a number in 0..1", got=got, remedy="fit the head again")

    @classmethod
    def of(cls, raw_threshold: float, calibration: Calibration) -> WayFit:
        """Build from a threshold of the raw score and the calibration."""
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
    """Both verdict methods, fitted on the maps of one localizer.

    Raises UsageError if only one of the network and its threshold is given, or if the deciding method is missing.
    """

    config: VerdictConfig
    model: HeadModel
    maximum: WayFit
    mlp: VerdictMLP | None = None  # None: only the maximum
    mlp_fit: WayFit | None = None
    decides: Way | None = None  # the method that scans use; None: the network if there is one
    others: Mapping[str, WayFit] = field(default_factory=dict)  # baselines, by name
    notes: Mapping[str, Any] = field(default_factory=dict)  # plain facts: data, counts, metrics

    def __post_init__(self) -> None:
        if (self.mlp is None) != (self.mlp_fit is None):
            got = "one without the other"
            raise UsageError("head", expected="a network and its threshold", got=got, remedy="give both or neither")
        if self.decides not in (None, "maximum", "mlp") or (self.decides == "mlp" and self.mlp is None):
            expected, got = "a method of this head", repr(self.decides)
            raise UsageError("way", expected=expected, got=got, remedy="choose maximum, or mlp if there is one")
        if self.mlp is not None:
            self.mlp.eval()

    @property
    def way(self) -> Way:
        """The method that decides."""
        return self.decides or ("maximum" if self.mlp is None else "mlp")

    @property
    def fake_share(self) -> float | None:
        """Share of fakes in the validation clips, for which the probabilities hold; None if unknown."""
        facts = self.notes.get("validation")
        try:
            return float(facts["fake"]) / float(facts["clips"])  # type: ignore[index]
        except (TypeError, KeyError, ValueError, ZeroDivisionError):
            return None

    def fit_of(self, way: Way | None = None) -> WayFit:
        """Threshold and calibration of a method; raises UsageError if the network is missing."""
        fit = self.maximum if (way or self.way) == "maximum" else self.mlp_fit
        if fit is None:
            raise UsageError("way", expected="maximum", got="mlp", remedy="this head has no network: fit one")
        return fit

    def features(self, score_map: Float32Array) -> Float32Array:
        """Input features of the network for each window of a map (D, n): (windows, F)."""
        self._check(score_map)
        parts = map_windows(score_map, self.model.n_frames)
        return np.stack([map_features(part, self.config.rows, self.config.columns) for part in parts])

    @torch.inference_mode()
    def score(self, score_map: Float32Array, way: Way | None = None) -> float:
        """The raw score of one map, in 0..1, before calibration.

        Args:
            score_map: (D, n), the fused map of the clip's own frames at the localizer's clock.
            way: "maximum" is `boundary_map.peak`, "mlp" the sigmoid of the network's largest logit over the windows;
                default: the one that decides.

        Raises:
            UsageError: the map does not have the localizer's number of rows, or the network is missing.
        """
        self.fit_of(way)
        self._check(score_map)
        if (way or self.way) == "maximum" or self.mlp is None:
            return peak(score_map)
        return float(self.mlp(torch.from_numpy(self.features(score_map))).max().double().sigmoid())

    def probability(self, score: float, way: Way | None = None) -> float:
        """The calibrated probability of a raw score of a method (default: the one that decides)."""
        return float(self.fit_of(way).calibration(score))

    def _check(self, score_map: Float32Array) -> None:
        if score_map.ndim != 2 or score_map.shape[0] != self.model.max_duration:
            expected, got = f"shape ({self.model.max_duration}, n)", f"{score_map.shape}"
            raise UsageError("map", expected=expected, got=got, remedy="use maps of the head's own model")
