"""Verdict heads on disk: in a separate file, or inside the checkpoint of the model whose maps they were fitted on.

A separate head is a safetensors file whose metadata key "fakespan.verdict" holds the JSON of `head_entry`, and whose
tensors are the network's. Inside a checkpoint the same JSON is in the header under "verdict", and the tensor names have
the prefix "verdict.".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fakespan.checkpoint.errors import bad_content, bad_file
from fakespan.checkpoint.guards import check_header
from fakespan.checkpoint.tensors import HEAD_KEY, check_weights, read_tensors, shapes, write_tensors
from fakespan.config import ModelConfig, VerdictConfig, from_mapping, to_mapping
from fakespan.errors import CheckpointError, UsageError
from fakespan.models.digest import weights_digest
from fakespan.models.verdict_head import Head, HeadModel, VerdictMLP, WayFit

__all__ = [
    "HEAD_FORMAT",
    "check_head_belongs",
    "head_entry",
    "head_from",
    "head_tensors",
    "is_head",
    "load_head",
    "model_of",
    "save_head",
]

HEAD_FORMAT = 1
"""Version of the head's JSON; it increases when a field changes its meaning."""


def save_head(path: str | Path, head: Head) -> None:
    """Write a head atomically; an existing file is replaced.

    Raises CheckpointError: the folder is not writable, the weights are not finite, or the notes are not plain JSON.
    """
    path = Path(path)
    _check_network(path, None if head.mlp is None else head.config, head_tensors(head))
    try:
        header = json.dumps(head_entry(head), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise bad_file(path, "JSON-serialisable notes", str(error), "remove them") from error
    write_tensors(path, HEAD_KEY, header, head_tensors(head))


def load_head(path: str | Path) -> Head:
    """Load a head written by `save_head`.

    Raises CheckpointError: missing, damaged, of another program or of a newer format, not a head, or weights that do
    not match its config.
    """
    path = Path(path)
    entry, tensors = read_tensors(path, HEAD_KEY)
    return head_from(path, entry, tensors)


def is_head(path: str | Path) -> bool:
    """Whether a file is a head according to its header; False if it cannot be read."""
    try:
        check_header(Path(path))
        with safe_open(path, framework="pt") as file:
            return HEAD_KEY in (file.metadata() or {})
    except (SafetensorError, OSError, CheckpointError):
        return False


def head_entry(head: Head) -> dict[str, Any]:
    """A head without its weights, as plain values."""
    return {
        "format": HEAD_FORMAT,
        "config": to_mapping(head.config),
        "model": to_mapping(head.model),
        "maximum": to_mapping(head.maximum),
        "mlp": None if head.mlp_fit is None else to_mapping(head.mlp_fit),
        "way": head.decides,
        "others": {name: to_mapping(fit) for name, fit in head.others.items()},
        "notes": dict(head.notes),
    }


def head_tensors(head: Head) -> dict[str, Tensor]:
    """The weights of its network; empty without a network."""
    state = {} if head.mlp is None else head.mlp.state_dict()
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def head_from(path: Path, entry: Any, tensors: Mapping[str, Tensor]) -> Head:
    """The inverse of `head_entry` and `head_tensors`; `path` is the subject of errors. Raises CheckpointError."""
    try:
        if entry["format"] != HEAD_FORMAT:
            remedy = "update fakespan, or fit the head with this version"
            raise bad_file(path, f"a verdict head of format {HEAD_FORMAT}", f"format {entry['format']!r}", remedy)
        config = from_mapping(VerdictConfig, entry["config"], "config")
        _check_network(path, None if entry["mlp"] is None else config, tensors)
        return Head(
            config=config,
            model=from_mapping(HeadModel, entry["model"], "model"),
            maximum=from_mapping(WayFit, entry["maximum"], "maximum"),
            mlp=None if entry["mlp"] is None else _network(config, tensors),
            mlp_fit=None if entry["mlp"] is None else from_mapping(WayFit, entry["mlp"], "mlp"),
            decides=entry["way"],
            others={name: from_mapping(WayFit, fit, name) for name, fit in entry["others"].items()},
            notes=dict(entry["notes"]),
        )
    except (UsageError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError) as error:
        raise bad_content(path, "a readable verdict head", error) from error


def model_of(name: str, model: ModelConfig, network: nn.Module) -> HeadModel:
    """Identification of a localizer, as stored in a head."""
    digest = weights_digest(network.state_dict())
    return HeadModel(name, digest, model.n_frames, model.max_duration, model.clock)


def check_head_belongs(subject: Path, head: Head, model: HeadModel) -> None:
    """Raise CheckpointError unless the head was fitted on maps of this model (same weights and sizes)."""
    theirs, ours = head.model, model
    if (theirs.digest, theirs.n_frames, theirs.max_duration, theirs.clock) != (
        ours.digest, ours.n_frames, ours.max_duration, ours.clock
    ):  # fmt: skip
        expected, got = (f"{m.name} ({m.digest[:12]}, D={m.max_duration}, T={m.n_frames})" for m in (ours, theirs))
        remedy = "store maps of this model and fit a head on them"
        raise bad_file(subject, f"a verdict head fitted on maps of {expected}", f"one of {got}", remedy)


def _network(config: VerdictConfig, tensors: Mapping[str, Tensor]) -> VerdictMLP:
    with torch.random.fork_rng(devices=[]):  # keep the caller's random state
        network = VerdictMLP.of(config)
    network.load_state_dict(dict(tensors))
    return network.eval()


def _check_network(path: Path, config: VerdictConfig | None, tensors: Mapping[str, Tensor]) -> None:
    """Validate the weights against the config (built on the meta device); without a config there must be none."""
    with torch.device("meta"):
        expected = {} if config is None else shapes(VerdictMLP.of(config))
    check_weights(path, "its verdict network", expected, tensors)
