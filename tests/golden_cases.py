"""The golden cases as the tests use them; see tests/golden/README.md for what they are."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fakespan.config import ModelConfig

GOLDEN = Path(__file__).parent / "golden"
TINY = ModelConfig(
    n_frames=16,
    max_duration=4,
    n_samples=3,
    n_features=8,
    video_widths=(2, 2, 2, 2),
    audio_widths=(2, 2, 2),
    boundary_widths=(4, 4),
)

_spec = importlib.util.spec_from_file_location("golden_fill", GOLDEN / "fill.py")
_fill = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fill)
fill_state = _fill.fill_state
inputs = _fill.inputs


@dataclass(frozen=True)
class GoldenCase:
    """One published network: its constructor's arguments, outputs, and state dict's shapes by published name."""

    hyper_parameters: dict[str, Any]
    expected: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]

    def published_state(self) -> dict[str, torch.Tensor]:
        """The state dict under the published names, filled as for the expected outputs."""
        return fill_state({name: _empty(name, shape) for name, shape in self.shapes.items()})


def golden_case(name: str) -> GoldenCase:
    """The case of this name, for instance "batfd_small"."""
    record = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        expected = {key: arrays[key] for key in arrays}
    shapes = {key: tuple(shape) for key, shape in record["state"].items()}
    return GoldenCase(record["hyper_parameters"], expected, shapes)


def assert_matches(expected: dict[str, np.ndarray], got: dict[str, torch.Tensor]) -> None:
    """Every expected array within the golden tolerances: features 1e-3 relative, all else 1e-4 absolute.

    Features of full-size cases hold every k-th channel only.
    """
    for key, want in expected.items():
        have = got[key].detach().numpy()
        if key.endswith("features"):
            have = have[:, :: have.shape[1] // want.shape[1]]
            scale = math.sqrt(float(np.square(want).mean()))
            np.testing.assert_allclose(have, want, rtol=1e-3, atol=1e-3 * scale, err_msg=key)
        else:
            np.testing.assert_allclose(have, want, rtol=0, atol=1e-4, err_msg=key)


def _empty(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.int64 if name.endswith("num_batches_tracked") else torch.float32)
