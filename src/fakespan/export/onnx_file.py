"""Writes a checkpoint as one self-describing ONNX file, after comparing it with torch.

The metadata key "fakespan" holds the JSON of `description.Description`, with the digest of the weights, the scales of a
network of experts, and the inputs and outputs in words.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fakespan.checkpoint import Checkpoint
from fakespan.config import ModelConfig
from fakespan.description import Description
from fakespan.errors import CheckpointError, MissingExtraError
from fakespan.export.programs import AudioProgram, FuseProgram, VideoProgram, example, tensors_of
from fakespan.files import replacing
from fakespan.localizer.torch_runner import TorchRunner
from fakespan.models.digest import weights_digest
from fakespan.models.outputs import Branch
from fakespan.portable import METADATA_KEY, PortableModel, load_portable
from fakespan.version import __version__

try:
    import onnx
    import onnxscript  # noqa: F401 - torch's exporter needs it

    from fakespan.export.onnx_graph import INPUTS, OUTPUTS, Step, joined
except ImportError as error:
    raise MissingExtraError(error.name or "onnx", "export") from error

__all__ = ["OPSET", "TOLERANCE", "Exported", "save_checked", "write_onnx"]

OPSET = 18
TOLERANCE = 1e-4  # largest difference from torch, of any score or probability
EXAMPLE_FRAMES, N_STEPS = 24, 6  # of the traced clips
FEW, MANY = 8, 76  # frames of the compared clips, beside T where the network wants clips of T frames


@dataclass(frozen=True)
class Exported:
    """A written file."""

    n_bytes: int
    opset: int
    difference: float  # the largest from torch, of any score or probability


def write_onnx(path: str | Path, checkpoint: Checkpoint) -> Exported:
    """Write a network as an ONNX file, atomically, if it does what torch does.

    Args:
        path: the file; an existing one is replaced.
        checkpoint: the network, on the CPU.

    Raises:
        CheckpointError: an output differs from torch's by more than `TOLERANCE`, or the file cannot be written.
        MissingExtraError: a library of the extra `export` is not installed.
    """
    path, network = Path(path), checkpoint.network.eval()
    if checkpoint.head is not None:
        expected, remedy = (
            "a model without a verdict head",
            "use it with torch, or export the model before its head was joined",
        )
        raise CheckpointError(checkpoint.name, expected=expected, got="one with a head", remedy=remedy)
    try:
        model = _traced(network, checkpoint.model)
    except (RuntimeError, ValueError, TypeError) as error:  # what torch's exporters raise
        reason = str(error).split(". ", maxsplit=1)[0].split("\n", maxsplit=1)[0]
        got, remedy = f"{type(error).__name__}: {reason}", "use this model with torch"
        raise CheckpointError(
            checkpoint.name, expected="a network that can be traced", got=got, remedy=remedy
        ) from error
    record = _record(checkpoint)
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(record, allow_nan=False)})
    model.producer_name, model.producer_version = "fakespan", __version__
    model.doc_string = f"{checkpoint.name}: finds the forged seconds of a video. The metadata describes its use."
    onnx.checker.check_model(model)
    return save_checked(path, model.SerializeToString(), checkpoint)


def save_checked(path: Path, content: bytes, checkpoint: Checkpoint) -> Exported:
    """Write the content of an ONNX file if it does what torch does with the checkpoint; see `write_onnx`."""
    runner = TorchRunner(checkpoint.network, checkpoint.model, "cpu")
    difference = _difference(path, runner, load_portable(path, content))
    if not difference <= TOLERANCE:
        got, remedy = f"a difference of {difference:.2g}", "use the model with torch; nothing was written"
        raise CheckpointError(path, expected=f"the outputs of torch within {TOLERANCE}", got=got, remedy=remedy)
    try:
        with replacing(path) as part:
            part.write_bytes(content)
    except OSError as error:
        remedy = "choose another folder"
        raise CheckpointError(path, expected="a writable folder", got=str(error.strerror), remedy=remedy) from error
    return Exported(len(content), OPSET, difference)


def _record(checkpoint: Checkpoint) -> dict[str, Any]:
    record = Description(checkpoint.name, checkpoint.model, checkpoint.post, checkpoint.notes).record()
    state = checkpoint.network.state_dict()
    if "scales" in state:
        record["scales"] = state["scales"].tolist()
    words = {"inputs": INPUTS, "outputs": OUTPUTS}
    return {**record, "weights": weights_digest(state), "opset": OPSET, "fakespan": __version__, **words}


@torch.no_grad()
def _traced(network: nn.Module, config: ModelConfig) -> onnx.ModelProto:
    """The three steps as one graph."""
    faces, sound = example(EXAMPLE_FRAMES, n_clips=2)
    video, audio = VideoProgram(network), AudioProgram(network, config)
    visual, heard = video.branch(faces), audio.branch(sound)
    fuse = FuseProgram(network, visual, heard)
    names = _names(visual, heard)
    return joined(
        Step(_onnx(video, [faces], ["faces"], 1), ["visual", "visual_frames", *names[0]]),
        Step(_onnx(audio, [sound], ["sound"], 1), ["audio", "audio_frames", *names[1]]),
        _onnx(fuse, [*tensors_of(visual).values(), *tensors_of(heard).values()], [*names[0], *names[1]], -1),
    )


def _names(visual: Branch, audio: Branch) -> tuple[list[str], list[str]]:
    return list(tensors_of(visual, "visual.")), list(tensors_of(audio, "audio."))


def _onnx(program: nn.Module, inputs: list[Tensor], names: list[str], time_axis: int) -> onnx.ModelProto:
    """One step as an ONNX model, with dynamic batch and time axes, and only the inputs that it uses."""
    step = torch.export.Dim("step", min=1)  # of the length: boundary generators want a multiple of 4 frames
    axes = tuple(
        {0: torch.export.Dim.DYNAMIC, time_axis % x.ndim: x.shape[time_axis] // N_STEPS * step} for x in inputs
    )
    shapes = (axes,) if isinstance(program, FuseProgram) else axes
    with _silence():
        traced = torch.export.export(program.eval(), tuple(inputs), dynamic_shapes=shapes, strict=False)
        exported: Any = torch.onnx.export(
            traced, (), dynamo=True, input_names=names, opset_version=OPSET, verbose=False
        )
    model: onnx.ModelProto = exported.model_proto
    for node in model.graph.node:  # the exporter notes the lines of Python code and their paths
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    used = {name for node in model.graph.node for name in node.input}
    kept = [value for value in model.graph.input if value.name in used]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without what the exporter says of torch's own code and of missing libraries that it does not need."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def _difference(path: Path, torch_runner: TorchRunner, portable: PortableModel) -> float:
    """The largest difference of any output, over lengths, batches and missing modalities."""
    worst = 0.0
    for n_frames, n_clips in _cases(torch_runner.model):
        faces, sound = (x.numpy() for x in example(n_frames, n_clips, seed=n_frames))
        for seen, heard in ((faces, sound), (faces, None), (None, sound)):
            theirs, ours = torch_runner(seen, heard, n_frames), portable(seen, heard, n_frames)
            if theirs.keys() != ours.keys():
                got, remedy = ", ".join(ours), "use the model with torch; nothing was written"
                raise CheckpointError(path, expected=", ".join(theirs), got=got, remedy=remedy)
            worst = max(worst, *(float(np.abs(theirs[name] - ours[name]).max()) for name in theirs))
    return worst


def _cases(model: ModelConfig) -> Iterator[tuple[int, int]]:
    """Frames and number of clips."""
    if model.is_fixed_length:
        yield min(FEW, model.n_frames), 2
        yield model.n_frames, 1
    else:
        yield from ((1, 1), (FEW - 1, 3), (MANY, 1), (model.n_frames, 1))
