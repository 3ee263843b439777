"""Joins the graphs of the three steps of a network to one ONNX graph in which a modality may be missing.

ONNX has no optional tensors that every runtime accepts, so a missing modality is an input of zero length: each step is
the branch of an `If` node, and only the steps whose inputs are there are run. The outputs of a missing modality have
zero length, too, and the score is then that of the other modality alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, compose, helper

__all__ = ["INPUTS", "OUTPUTS", "Step", "joined"]

INPUTS = {
    "faces": "(batch, frames, 96, 96, 3) uint8: RGB face crops of one track at 25 fps. No frames: there is no face.",
    "sound": "(batch, samples) float32: mono at 16 kHz in -1..1, 640 samples for each frame. No samples: no sound.",
}
"""The inputs of the joined graph, in words for its users."""
OUTPUTS = {
    "score": "(batch, D, frames): entry [d, t] is the score, 0..1, that a forged span begins at frame t and has d + 1 "
    "frames; from both modalities, or from the one that is there.",
    "visual": "likewise from the faces alone.",
    "audio": "likewise from the sound alone.",
    "visual_frames": "(batch, frames): probability, 0..1, that the face is forged in a frame.",
    "audio_frames": "(batch, frames): probability, 0..1, that the sound is forged in a frame.",
}
"""Its outputs. Without a face the visual ones have no entries, without sound the audio ones."""


@dataclass(frozen=True)
class Step:
    """One step as an ONNX model, and the names of its outputs in the joined graph."""

    model: ModelProto
    outputs: Sequence[str]


def joined(video: Step, audio: Step, fuse: ModelProto) -> ModelProto:
    """One model of the three steps.

    Args:
        video: input `faces`; outputs `visual`, `visual_frames`, and the tensors of the branch.
        audio: input `sound`; outputs `audio`, `audio_frames`, and the tensors of the branch.
        fuse: its inputs have the names of those tensors; one output.
    """
    kept = {value.name for value in fuse.graph.input} | OUTPUTS.keys()
    steps = [
        *_is_there("faces", 1, "has_faces"),
        *_is_there("sound", 1, "has_sound"),
        helper.make_node("And", ["has_faces", "has_sound"], ["has_both"], "has_both"),
        _if_there("has_faces", video, "video/", kept),
        _if_there("has_sound", audio, "audio/", kept),
        _score(fuse),
    ]
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["batch", "frames", 96, 96, 3], INPUTS["faces"])
    sound = helper.make_tensor_value_info("sound", TensorProto.FLOAT, ["batch", "samples"], INPUTS["sound"])
    graph = helper.make_graph(steps, "fakespan", [faces, sound], [_output(name) for name in OUTPUTS])
    return helper.make_model(graph, opset_imports=video.model.opset_import, ir_version=video.model.ir_version)


def _is_there(name: str, axis: int, answer: str) -> list[NodeProto]:
    """Nodes that tell whether an axis of an input has entries."""
    size, none = f"{name}/size", f"{name}/none"
    zero = helper.make_tensor(none, TensorProto.INT64, [1], [0])
    return [
        helper.make_node("Shape", [name], [size], size, start=axis, end=axis + 1),
        helper.make_node("Constant", [], [none], none, value=zero),
        helper.make_node("Greater", [size, none], [answer], answer),
    ]


def _if_there(condition: str, step: Step, prefix: str, kept: set[str]) -> NodeProto:
    """The step if its input is there, or else outputs without entries."""
    graph = _branch(step.model, prefix)
    pairs = [pair for pair in zip(step.outputs, graph.output, strict=True) if pair[0] in kept]
    del graph.output[:]
    graph.output.extend(value for _, value in pairs)
    empty = helper.make_graph(
        [_empty(f"{prefix}no_{name}", value) for name, value in pairs],
        f"{prefix}none",
        [],
        [_like(value, f"{prefix}no_{name}") for name, value in pairs],
    )
    names = [name for name, _ in pairs]
    return helper.make_node("If", [condition], names, prefix.strip("/"), then_branch=graph, else_branch=empty)


def _score(fuse: ModelProto) -> NodeProto:
    """The fused map, or that of the only modality."""
    only = [helper.make_node("If", ["has_faces"], ["only/score"], "only", **{
        f"{branch}_branch": helper.make_graph(
            [helper.make_node("Identity", [name], [f"only/{name}"], f"only/{name}")], f"only_{name}", [],
            [helper.make_tensor_value_info(f"only/{name}", TensorProto.FLOAT, [None, None, None])],
        ) for branch, name in (("then", "visual"), ("else", "audio"))
    })]  # fmt: skip
    alone = helper.make_graph(
        only, "only", [], [helper.make_tensor_value_info("only/score", TensorProto.FLOAT, [None] * 3)]
    )
    both = _branch(fuse, "fuse/")
    return helper.make_node("If", ["has_both"], ["score"], "fuse", then_branch=both, else_branch=alone)


def _branch(model: ModelProto, prefix: str) -> GraphProto:
    """The graph of a step with names of its own; its inputs come from the graph around it, by their names."""
    graph = onnx.GraphProto()
    graph.CopyFrom(compose.add_prefix(model, prefix, rename_inputs=False).graph)
    del graph.input[:]
    del graph.value_info[:]
    return graph


def _empty(name: str, like: ValueInfoProto) -> NodeProto:
    rank = len(like.type.tensor_type.shape.dim)
    value = helper.make_tensor(name, TensorProto.FLOAT, [0] * rank, [])
    return helper.make_node("Constant", [], [name], name, value=value)


def _like(value: ValueInfoProto, name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * len(value.type.tensor_type.shape.dim))


def _output(name: str) -> ValueInfoProto:
    axes = ["batch", "frames"] if name.endswith("_frames") else ["batch", "durations", "frames"]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, axes, OUTPUTS[name])
