"""The networks. Legend: B batch, C channels, T frames, D longest proposal in frames, N samples per proposal.

`build_model` is the only place that builds networks from a config; the module of a family is imported on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from fakespan.config import ModelConfig

__all__ = ["build_model"]


def build_model(config: ModelConfig) -> nn.Module:
    """Build a network with random weights; called with video and audio it returns an `Output`.

    Raises ConfigError if the family does not have the encoder.
    """
    if config.family == "batfd":
        from fakespan.models.batfd import build_batfd  # noqa: PLC0415

        return build_batfd(config)
    if config.family == "batfd_plus":
        from fakespan.models.batfd_plus import build_batfd_plus  # noqa: PLC0415

        return build_batfd_plus(config)
    if config.family == "experts":
        from fakespan.models.experts import build_experts  # noqa: PLC0415

        return build_experts(config)
    from fakespan.models.small import build_small  # noqa: PLC0415

    return build_small(config)
