"""The networks. B batch, C channels, T frames, D longest proposal in frames, N samples per proposal.

`build_model` is the only place that turns a config into parts; each family's module is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from fakespan.config import ModelConfig

__all__ = ["build_model"]


def build_model(config: ModelConfig) -> nn.Module:
    """A network of the config's family and sizes, with fresh weights; called with video and audio it gives an `Output`.

    Raises ConfigError when the family has no such encoder.
    """
    if config.family == "batfd":
        from fakespan.models.batfd import build_batfd  # noqa: PLC0415

        return build_batfd(config)
    if config.family == "batfd_plus":
        from fakespan.models.batfd_plus import build_batfd_plus  # noqa: PLC0415

        return build_batfd_plus(config)
    from fakespan.models.small import build_small  # noqa: PLC0415

    return build_small(config)
