"""Activation checkpointing: parts of an encoder are recomputed in the backward pass instead of being stored.

Gradients stay the same; a step of BA-TFD at T = 512 takes 1.6 times as long. Most of its memory is the activations of
the first block of c3d, 64 channels of 96x96 pixels per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["Recomputing", "save_memory"]


class Recomputing(nn.Module):
    """A module that can recompute parts of itself; `save_memory` switches this on.

    Only for parts without random numbers and running statistics, which a second run would change.
    """

    recomputes = False

    def recomputed(self, part: Callable[..., Tensor], *args: Any) -> Tensor:
        """part(*args); only the arguments are stored for the backward pass if this module recomputes."""
        if not (self.recomputes and torch.is_grad_enabled()):
            return part(*args)
        result: Tensor = checkpoint(part, *args, use_reentrant=False, preserve_rng_state=False)
        return result


def save_memory(network: nn.Module, on: bool = True) -> bool:
    """Let the encoders of a network recompute their activations in backward; returns whether any can.

    c3d recomputes pieces of time, mvit and vit blocks; cnn and the encoders of `small` are light and unaffected.
    Results, gradients and weight names do not change. Call it once before training:

        network = build_model(config)
        save_memory(network)
    """
    able = [module for module in network.modules() if isinstance(module, Recomputing)]
    for module in able:
        module.recomputes = on
    return bool(able)
