"""Digest of a network's weights, by which results, stored maps and verdict heads identify their network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["weights_digest"]


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256, in hex, of a network's weights: names, types, shapes and bytes, independent of device and order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
