"""Which generators there are, and the named settings of each that make one system of the zoo differ from another."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piper import Piper, PiperSettings
from torch import nn

from codec import Codec, CodecSettings
from fakespan.errors import CheckpointError, UsageError
from flow import Flow, FlowSettings
from hifi import Hifi, HifiSettings
from istft import Istft, IstftSettings
from nsf import Nsf, NsfSettings
from subband import Subband, SubbandSettings

__all__ = ["KINDS", "PRESETS", "Kind", "Preset", "build", "family_of", "find_preset", "parse_settings", "read_config"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A generator, its settings, and the family of neural generators it stands for."""

    network: type[nn.Module]
    settings: type[Any]
    family: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A kind with settings of its own. `adversarial` False: never judged by discriminators."""

    kind: str
    settings: dict[str, Any]
    adversarial: bool = True


KINDS = {
    "hifi": Kind(Hifi, HifiSettings, "gan"),
    "istft": Kind(Istft, IstftSettings, "gan"),
    "subband": Kind(Subband, SubbandSettings, "gan"),
    "codec": Kind(Codec, CodecSettings, "codec"),
    "flow": Kind(Flow, FlowSettings, "flow"),
    "nsf": Kind(Nsf, NsfSettings, "nsf"),
    "piper": Kind(Piper, PiperSettings, "vits"),
}

PRESETS = {
    "hifi": Preset("hifi", {}),
    "istft": Preset("istft", {}),
    "subband": Preset("subband", {}),
    "codec": Preset("codec", {}),
    "nsf": Preset("nsf", {}),
    "flow": Preset("flow", {}, adversarial=False),
    "bigvgan": Preset("hifi", {"act": "snake", "rates": (4, 4, 4, 4), "width": 160, "n_mels": 100}),
    "istftnet": Preset("istft", {"rates": (8, 5), "hop": 4, "head_fft": 16, "n_blocks": 1}),
    "hifi-nearest": Preset("hifi", {"up": "nearest", "rates": (5, 4, 4, 2), "width": 192}),
    "spectral-codec": Preset("istft", {"n_codebooks": 4, "hop": 320, "head_fft": 1280, "n_blocks": 8}),
    "istft-hop256": Preset("istft", {"hop": 256, "head_fft": 1024, "n_mels": 100, "n_blocks": 6}),
    "subband-shuffle": Preset("subband", {"up": "shuffle", "rates": (4, 4, 4), "n_bands": 4}),
    "codec-nearest": Preset("codec", {"up": "nearest", "rates": (5, 4, 4, 2, 2), "n_codebooks": 6, "n_codes": 512}),
    # for a GPU
    "hifi-large": Preset("hifi", {"width": 256, "kernels": (3, 7, 11), "dilations": (1, 3, 5)}),
    "bigvgan-large": Preset("hifi", {"act": "snake", "rates": (4, 4, 4, 4), "width": 320, "dilations": (1, 3, 5)}),
    "istft-large": Preset("istft", {"width": 384, "n_blocks": 8, "n_mels": 100, "hop": 256, "head_fft": 1024}),
    "codec-large": Preset("codec", {"width": 320, "n_codes": 1024}),
}


def find_preset(name: str) -> Preset:
    """Raises UsageError where there is none of that name."""
    if name not in PRESETS:
        raise UsageError("KIND", expected=f"one of {', '.join(PRESETS)}", got=repr(name), remedy="name one of them")
    return PRESETS[name]


def build(kind: str, settings: dict[str, Any]) -> nn.Module:
    """The network of a kind, its settings given as a JSON object may give them.

    Raises:
        CheckpointError: there is no such kind or setting.
    """
    known = KINDS.get(kind)
    names = {field.name for field in dataclasses.fields(known.settings)} if known else set()
    if known is None or not set(settings) <= names:
        raise CheckpointError(
            "settings",
            expected=f"a kind of {', '.join(KINDS)} and its own settings",
            got=f"{kind} {settings}",
            remedy="see kinds.py",
        )
    typed = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return known.network(known.settings(**typed))


def family_of(kind: str, settings: dict[str, Any]) -> str:
    """The family that a network stands for: what quantises is a codec, whatever makes its samples."""
    return "codec" if settings.get("n_codebooks") else KINDS[kind].family


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """["width=64", "rates=[8,4]"] -> a dict; what is no JSON is a string."""
    return {name: _value(text) for name, _, text in (pair.partition("=") for pair in pairs)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_config(folder: Path) -> dict[str, Any]:
    """A trained system's config.json. Raises CheckpointError where there is none."""
    try:
        return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(folder, expected="config.json", got="none that reads", remedy="train it first") from error
