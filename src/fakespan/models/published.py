"""Converts published checkpoints: names of weights, and arguments of the constructor.

The layers are the same and no weight is changed; only the prefixes of the names differ. The encoders and blocks of
BA-TFD+ (mvit, vit, proposal block, boundary generator) keep their published names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from fakespan.config import Family, ModelConfig, from_mapping

__all__ = ["config_from_published", "family_from_names", "rename_published"]

T = TypeVar("T")

STRETCHED_FRAMES = 100  # T of the AV-Deepfake1M baseline (2311.15308)

_RENAMES = (
    # c3d: block and index of the convolution in it -> its number
    (r"^video_encoder\.block0\.0\.conv\.", "video_encoder.convs.0."),
    (r"^video_encoder\.block0\.1\.conv\.", "video_encoder.convs.1."),
    (r"^video_encoder\.block1\.0\.conv\.", "video_encoder.convs.2."),
    (r"^video_encoder\.block1\.1\.conv\.", "video_encoder.convs.3."),
    (r"^video_encoder\.block2\.0\.conv\.", "video_encoder.convs.4."),
    (r"^video_encoder\.block2\.1\.conv\.", "video_encoder.convs.5."),
    (r"^video_encoder\.block3\.0\.conv\.", "video_encoder.convs.6."),
    (r"^video_encoder\.block3\.2\.conv\.", "video_encoder.convs.7."),
    (r"^video_encoder\.block3\.5\.conv\.", "video_encoder.project."),
    # cnn
    (r"^audio_encoder\.block0\.1\.conv\.", "audio_encoder.conv0."),
    (r"^audio_encoder\.block1\.0\.conv\.", "audio_encoder.conv1."),
    (r"^audio_encoder\.block1\.1\.conv\.", "audio_encoder.conv2."),
    (r"^audio_encoder\.block2\.0\.conv\.", "audio_encoder.conv3."),
    (r"^audio_encoder\.block2\.2\.conv\.", "audio_encoder.conv4."),
    # heads of both networks
    (r"^(video|audio)_frame_classifier\.lr_layer\.conv\.", r"\1_classifier."),
    (r"^(video|audio)_boundary_module\.block0\.0\.conv\.", r"\1_boundary.proposals.sampled."),
    (r"^(video|audio)_boundary_module\.block1\.0\.conv\.", r"\1_boundary.proposals.project."),
    (r"^(video|audio)_boundary_module\.block1\.1\.conv\.", r"\1_boundary.context."),
    (r"^(video|audio)_boundary_module\.block1\.2\.conv\.", r"\1_boundary.score."),
    (r"^(video|audio)_boundary_module\.", r"\1_boundary."),
    (r"^video_(classifier|boundary)\.", r"visual_\1."),
    # any fusion: fusion, prb_fusion_*, cbg_fusion_*
    (r"\bv_attn_block\.attn_from_", "visual_trust.of_"),
    (r"\ba_attn_block\.attn_from_", "audio_trust.of_"),
    (r"_trust\.of_bm\.conv\.", "_trust.of_map."),
    (r"_trust\.of_self_features\.conv\.", "_trust.of_own."),
    (r"_trust\.of_another_features\.conv\.", "_trust.of_other."),
)

_GENERATOR = "_comp_boundary_generator."


def rename_published(state: Mapping[str, T]) -> dict[str, T]:
    """Rename the weights of a published state dict.

    The published BA-TFD+ includes the weights of its boundary generator even if they are unused (there are no fusions
    for its curves then): these are dropped.

    >>> list(rename_published({"fusion.a_attn_block.attn_from_bm.conv.bias": 0}))
    ['fusion.audio_trust.of_map.bias']
    """
    has_generator = _has_boundary_generator(state)
    return {_renamed(name): value for name, value in state.items() if has_generator or _GENERATOR not in name}


def _has_boundary_generator(names: Mapping[str, Any]) -> bool:
    return any(name.startswith("cbg_fusion_start.") for name in names)


def _renamed(name: str) -> str:
    for pattern, ours in _RENAMES:
        name = re.sub(pattern, ours, name)
    return name


def family_from_names(names: Mapping[str, Any]) -> Family | None:
    """The published network with these (published) weight names; None if there is none."""
    if any(name.startswith("prb_fusion_p.") for name in names):
        return "batfd_plus"
    return "batfd" if any(name.startswith("fusion.v_attn_block.") for name in names) else None


def config_from_published(family: Family, hyper_parameters: Mapping[str, Any], names: Mapping[str, Any]) -> ModelConfig:
    """The config of a published network; values that the checkpoint lacks are the published defaults.

    The checkpoint does not state its clock: T = 100 is taken for that of the AV-Deepfake1M baseline, "stretch".

    Raises ConfigError for an invalid value.
    """
    is_plus = family == "batfd_plus"
    values = {
        "video_encoder": hyper_parameters.get("v_encoder", "mvit_b" if is_plus else "c3d"),
        "audio_encoder": hyper_parameters.get("a_encoder", "vit_b" if is_plus else "cnn"),
        "n_frames": hyper_parameters.get("temporal_dim", 512),
        "max_duration": hyper_parameters.get("max_duration", 40),
        "n_samples": hyper_parameters.get("boundary_samples", 10),
        "n_features": hyper_parameters.get("v_cla_feature_in", 256),
        "boundary_widths": hyper_parameters.get("boundary_features", (512, 128)),
        "boundary_generator": _has_boundary_generator(names),
    }
    for ours, theirs in (("video_widths", "ve_features"), ("audio_widths", "ae_features")):
        if hyper_parameters.get(theirs):  # an empty list: the encoder has none
            values[ours] = hyper_parameters[theirs]
    if values["n_frames"] == STRETCHED_FRAMES:
        values["clock"] = "stretch"
    return from_mapping(ModelConfig, {"family": family, "sampling": "reference", **values}, "hyper_parameters")
