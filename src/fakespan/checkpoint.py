"""One file that rebuilds its network unaided, and the import of the published checkpoints.

Our format is safetensors; its header's metadata key "fakespan" holds the JSON
{"format": 1, "name": ..., "model": {...}, "post": {...}, "notes": {...}}. Published checkpoints are the files that
Lightning wrote for BA-TFD and BA-TFD+; they are read by a loader that takes tensors and plain values only. No file is
ever trusted with code.
"""

from __future__ import annotations

import json
import os
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fakespan.config import ModelConfig, PostConfig, from_mapping, to_mapping
from fakespan.errors import CheckpointError, ConfigError
from fakespan.models import build_model
from fakespan.models.published import config_from_published, family_from_names, rename_published

__all__ = ["FORMAT", "Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = 1
"""Version of the header's JSON; it grows when a field changes its meaning."""
HEADER_KEY = "fakespan"
REMEDY = "take the file from its source again, or another model file"


@dataclass(frozen=True)
class Checkpoint:
    """A network and all that is needed to use it."""

    name: str
    model: ModelConfig
    post: PostConfig
    network: nn.Module  # in eval mode
    notes: Mapping[str, Any] = field(default_factory=dict)  # plain facts: training data, metrics ...


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """The network in a file of ours, or in a published checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, of another program, of a newer format, or its weights do
            not fit the network that it describes.
    """
    path = Path(path)
    description, state = _read_ours(path) if _is_safetensors(path) else _read_published(path)
    _check_fit(path, description.model, state)
    with torch.random.fork_rng(devices=[]):  # fresh weights draw random numbers: leave the caller's alone
        network = build_model(description.model)
    network.load_state_dict(state)
    network.to(device).eval()
    return Checkpoint(description.name, description.model, description.post, network, description.notes)


def save_checkpoint(
    path: str | Path,
    network: nn.Module,
    *,
    name: str,
    model: ModelConfig,
    post: PostConfig | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write a network with its config; the file appears only once it is whole.

    Args:
        path: of the file, by custom *.safetensors; an older one is replaced.
        network: as `build_model(model)` gives it.
        name: what a report calls the model.
        model: its sizes.
        post: how its map is read; the defaults unless given.
        notes: plain facts (whatever JSON takes).

    Raises:
        CheckpointError: the folder cannot be written to, or the weights are not finite or not of this config.
    """
    path = Path(path)
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    _check_fit(path, model, state)
    header = {
        "format": FORMAT,
        "name": name,
        "model": to_mapping(model),
        "post": to_mapping(post or PostConfig()),
        "notes": dict(notes or {}),
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(save(state, metadata={HEADER_KEY: json.dumps(header)}))  # save_file would hide it from others
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        raise _error(path, "a place to write to", str(error), "choose another folder") from error
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Description:
    name: str
    model: ModelConfig
    post: PostConfig
    notes: Mapping[str, Any]


def _is_safetensors(path: Path) -> bool:
    """By content: 8 bytes of header length, then JSON."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise _error(path, "a model file", error.strerror or str(error), "check the path") from error
    return start[8:] == b"{" or path.suffix == ".safetensors"


def _read_ours(path: Path) -> tuple[_Description, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise _error(path, "a safetensors file", f"a damaged one ({error})") from error
    if HEADER_KEY not in metadata:
        raise _error(path, "a model file of fakespan", "safetensors of another program (no fakespan header)")
    try:
        return _description(path, json.loads(metadata[HEADER_KEY])), state
    except (ConfigError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _error(path, "a readable fakespan header", f"{type(error).__name__}: {error}") from error


def _description(path: Path, header: Mapping[str, Any]) -> _Description:
    if header.get("format") != FORMAT:
        remedy = "update fakespan, or take a model file made for this version"
        raise _error(path, f"a header of format {FORMAT}", f"format {header.get('format')!r}", remedy)
    return _Description(
        str(header["name"]),
        from_mapping(ModelConfig, header["model"], "model"),
        from_mapping(PostConfig, header["post"], "post"),
        dict(header.get("notes", {})),
    )


def _read_published(path: Path) -> tuple[_Description, dict[str, Tensor]]:
    record = _load_plain(path)
    state = record.get("state_dict") if isinstance(record, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise _error(path, "a Lightning checkpoint with a state_dict of tensors", "a file without one")
    family = family_from_names(state)
    if family is None:
        raise _error(path, "the weights of BA-TFD or BA-TFD+", "a checkpoint of another network", REMEDY)
    try:
        model = config_from_published(family, record.get("hyper_parameters") or {}, state)
    except (ConfigError, AttributeError, TypeError) as error:
        raise _error(path, "hyper_parameters as the published networks have them", str(error)) from error
    notes = {"source": "published checkpoint", "file": path.name, "epoch": record.get("epoch")}
    return _Description(path.stem, model, PostConfig(), notes), rename_published(state)


def _load_plain(path: Path) -> Any:
    """What torch saved, if it is tensors and plain values; the loader refuses to run anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "global" in str(error):
            got = "a pickle that asks for code to be run, which was refused"
            raise _error(path, "a checkpoint of plain weights", got, "do not trust this file") from error
        raise _error(path, "a checkpoint", "a damaged file, or no checkpoint at all") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise _error(path, "a checkpoint", f"a damaged file ({type(error).__name__})") from error


def _check_fit(path: Path, config: ModelConfig, state: Mapping[str, Tensor]) -> None:
    """Names, shapes and values, against the network that the config describes (built without memory)."""
    try:
        with torch.device("meta"):
            wanted = {key: tuple(value.shape) for key, value in build_model(config).state_dict().items()}
    except (ConfigError, RuntimeError) as error:
        raise _error(path, "a config that makes a network", str(error)) from error
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or unknown:
        said = [f"{len(names)} {what} (first: {names[0]})" for what, names in
                (("missing", missing), ("unknown", unknown)) if names]  # fmt: skip
        raise _error(path, f"the weights of a {config.family} network", " and ".join(said))
    for key, shape in wanted.items():
        if tuple(state[key].shape) != shape:
            raise _error(path, f"{key} of shape {shape} by its config", f"{tuple(state[key].shape)}")
        if not torch.isfinite(state[key]).all():
            raise _error(path, "finite weights", f"infinite or NaN values in {key}", "use an earlier checkpoint")


def _error(path: Path, expected: str, got: str, remedy: str = REMEDY) -> CheckpointError:
    return CheckpointError(path, expected=expected, got=got, remedy=remedy)
