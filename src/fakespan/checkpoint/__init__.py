"""Self-describing model files, and import of the published checkpoints.

Our format is safetensors; its header's metadata key "fakespan" holds the JSON {"format": 1, "name": ..., "model":
{...}, "post": {...}, "notes": {...}}, with "verdict" where a verdict head is joined to it (see `checkpoint.head`).
Published checkpoints are files written by Lightning for BA-TFD and BA-TFD+; they are read by a loader that accepts only
tensors and plain values. No code from a file is ever executed.
"""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fakespan.checkpoint.errors import REMEDY, bad_content
from fakespan.checkpoint.errors import bad_file as _error
from fakespan.checkpoint.guards import check_archive, check_tensors, plain
from fakespan.checkpoint.head import (
    check_head_belongs,
    head_entry,
    head_from,
    head_tensors,
    is_head,
    load_head,
    model_of,
    save_head,
)
from fakespan.checkpoint.tensors import MODEL_KEY, check_weights, read_tensors, shapes, write_tensors
from fakespan.config import ModelConfig, PostConfig
from fakespan.description import FORMAT, Description
from fakespan.errors import ConfigError
from fakespan.models import build_model
from fakespan.models.published import config_from_published, family_from_names, rename_published
from fakespan.models.verdict_head import Head

__all__ = [
    "FORMAT",
    "Checkpoint",
    "head_entry",
    "is_head",
    "load_checkpoint",
    "load_head",
    "model_of",
    "save_checkpoint",
    "save_head",
]

VERDICT = "verdict."  # prefix of the tensor names of a joined head


@dataclass(frozen=True)
class Checkpoint:
    """A network with everything needed to use it."""

    name: str
    model: ModelConfig
    post: PostConfig
    network: nn.Module  # in eval mode
    notes: Mapping[str, Any] = field(default_factory=dict)  # plain facts: training data, metrics ...
    head: Head | None = None  # for video-level labels


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Load a model file of fakespan or a published checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, of another program or of a newer format, its weights do
            not match the network that it describes, or its head was fitted on maps of another network.
    """
    path = Path(path)
    description, state = _read_ours(path) if _is_safetensors(path) else _read_published(path)
    head = None
    if description.head is not None:
        state, joined = _split_head(state)
        head = head_from(path, description.head, joined)
    _check_fit(path, description.model, state)
    with torch.random.fork_rng(devices=[]):  # keep the caller's random state
        network = build_model(description.model)
    network.load_state_dict(state)
    if head is not None:
        check_head_belongs(path, head, model_of(description.name, description.model, network))
    network.to(device).eval()
    return Checkpoint(description.name, description.model, description.post, network, description.notes, head)


def save_checkpoint(
    path: str | Path,
    network: nn.Module,
    *,
    name: str,
    model: ModelConfig,
    post: PostConfig | None = None,
    notes: Mapping[str, Any] | None = None,
    head: Head | None = None,
) -> None:
    """Write a network with its config, atomically.

    Args:
        path: the file, by convention *.safetensors; an existing one is replaced.
        network: as returned by `build_model(model)`.
        name: name of the model in reports.
        model: its architecture.
        post: its post-processing; default: `PostConfig()`.
        notes: JSON-serialisable facts.
        head: a verdict head fitted on maps of this network.

    Raises:
        CheckpointError: the folder is not writable, the weights are not finite or do not match the config, or the head
            was fitted on maps of another network.
    """
    path = Path(path)
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    _check_fit(path, model, state)
    if head is not None:
        check_head_belongs(path, head, model_of(name, model, network))
        state |= {VERDICT + key: value for key, value in head_tensors(head).items()}
    entry = None if head is None else head_entry(head)
    record = Description(name, model, post or PostConfig(), notes or {}, entry).record()
    write_tensors(path, MODEL_KEY, json.dumps(record), state)


def _is_safetensors(path: Path) -> bool:
    """Detect by content: 8 bytes of header length, then JSON."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise _error(path, "a model file", error.strerror or str(error), "check the path") from error
    return start[8:] == b"{" or path.suffix == ".safetensors"


def _read_ours(path: Path) -> tuple[Description, dict[str, Tensor]]:
    header, state = read_tensors(path, MODEL_KEY)
    try:
        return _description(path, header), state
    except (ConfigError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise bad_content(path, "a readable fakespan header", error) from error


def _split_head(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Separate the network's weights from those of a joined head, without their prefix."""
    joined = {key.removeprefix(VERDICT): value for key, value in state.items() if key.startswith(VERDICT)}
    return {key: value for key, value in state.items() if not key.startswith(VERDICT)}, joined


def _description(path: Path, header: Mapping[str, Any]) -> Description:
    if header.get("format") != FORMAT:
        remedy = "update fakespan, or use a model file of this version"
        raise _error(path, f"a header of format {FORMAT}", f"format {header.get('format')!r}", remedy)
    return Description.of(header)


def _read_published(path: Path) -> tuple[Description, dict[str, Tensor]]:
    record = _load_plain(path)
    state = record.get("state_dict") if isinstance(record, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise _error(path, "a Lightning checkpoint with a state_dict of tensors", "a file without one")
    check_tensors(path, state)
    family = family_from_names(state)
    if family is None:
        raise _error(path, "the weights of BA-TFD or BA-TFD+", "a checkpoint of another network", REMEDY)
    try:
        parameters = {key: plain(value) for key, value in (record.get("hyper_parameters") or {}).items()}
        model = config_from_published(family, parameters, state)
    except (ConfigError, AttributeError, TypeError) as error:
        raise bad_content(path, "hyper_parameters of a published network", error) from error
    notes = {"source": "published checkpoint", "file": path.name, "epoch": plain(record.get("epoch"))}
    return Description(path.stem, model, PostConfig(), notes), rename_published(state)


def _load_plain(path: Path) -> Any:
    """The content of a torch file with only tensors and plain values; anything else is refused."""
    check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "global" in str(error):
            got = "a pickle with code, which was not executed"
            raise _error(path, "a checkpoint of plain weights", got, "do not trust this file") from error
        raise _error(path, "a checkpoint", "a damaged file, or a file that is not a checkpoint") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise _error(path, "a checkpoint", f"a damaged file ({type(error).__name__})") from error


def _check_fit(path: Path, config: ModelConfig, state: Mapping[str, Tensor]) -> None:
    """Validate names, shapes and values against the network of the config (built on the meta device)."""
    try:
        with torch.device("meta"):
            expected = shapes(build_model(config))
    except (ConfigError, RuntimeError) as error:
        raise bad_content(path, "a config of a network", error) from error
    check_weights(path, f"a {config.family} network", expected, state)
