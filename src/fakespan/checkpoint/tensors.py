"""Reads and writes safetensors files with a JSON header: untrusted input, atomic output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fakespan.checkpoint.errors import bad_file
from fakespan.checkpoint.guards import check_header, check_tensors
from fakespan.files import replacing

__all__ = ["HEAD_KEY", "MODEL_KEY", "check_weights", "read_tensors", "shapes", "write_tensors"]

MODEL_KEY = "fakespan"
HEAD_KEY = "fakespan.verdict"
KINDS = {MODEL_KEY: "a model file of fakespan", HEAD_KEY: "a verdict head of fakespan"}


def read_tensors(path: Path, key: str) -> tuple[Any, dict[str, Tensor]]:
    """The header's JSON under a key, and the tensors. Raises CheckpointError if it is not such a file."""
    check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise bad_file(path, "a safetensors file", f"a damaged one ({error})") from error
    if key not in metadata:
        other = next((kind for known, kind in KINDS.items() if known in metadata), None)
        raise bad_file(path, KINDS[key], other or "safetensors of another program (no fakespan header)")
    check_tensors(path, tensors)
    try:
        return json.loads(metadata[key]), tensors
    except (ValueError, RecursionError) as error:
        raise bad_file(path, "a readable fakespan header", f"{type(error).__name__}: {error}") from error


def write_tensors(path: Path, key: str, header: str, tensors: Mapping[str, Tensor]) -> None:
    """Write the file; an older one is replaced once the new one is whole. `header` is JSON.

    Raises CheckpointError if it cannot be written.
    """
    try:
        with replacing(path) as part:
            part.write_bytes(save(dict(tensors), metadata={key: header}))  # save_file would set restrictive permissions
    except (OSError, SafetensorError) as error:
        raise bad_file(path, "a writable folder", str(error), "choose another folder") from error


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor of a network."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def check_weights(path: Path, what: str, expected: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> None:
    """Validate names, shapes and values of weights. Raises CheckpointError if they do not match `what`."""
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        parts = [f"{len(names)} {kind} (first: {names[0]})" for kind, names in
                (("missing", missing), ("unknown", unknown)) if names]  # fmt: skip
        raise bad_file(path, f"the weights of {what}", " and ".join(parts))
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise bad_file(path, f"{name} of shape {shape} by its config", f"{tuple(state[name].shape)}")
        if not torch.isfinite(state[name]).all():
            raise bad_file(path, "finite weights", f"infinite or NaN values in {name}", "use an earlier checkpoint")
