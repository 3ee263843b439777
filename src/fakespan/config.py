"""Typed configuration to and from TOML. An unknown key is an error that suggests the most similar known key.

Each table of a TOML file is a frozen dataclass; values are validated in `__post_init__`, and errors name the key.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fakespan.errors import ConfigError
from fakespan.files import decoded
from fakespan.rates import GenuineRates

__all__ = [
    "FPS",
    "SAMPLES_PER_FRAME",
    "SAMPLE_RATE",
    "ModelConfig",
    "PostConfig",
    "VerdictConfig",
    "from_mapping",
    "load_toml",
    "to_mapping",
]

FPS = 25.0
"""Video frame rate of all networks, in frames per second."""
SAMPLE_RATE = 16_000
"""Audio sample rate of all networks, in samples per second."""
SAMPLES_PER_FRAME = int(SAMPLE_RATE / FPS)
"""Audio samples per video frame: 640."""

SOFT = -0.25
"""Log sharpness of a face against its clip from which on the picture expert does not judge it (docs/scan.md)."""

MOST_FRAMES, MOST_WIDTHS, MOST_SHIFTS = 100_000, 64, 16  # a model file must not ask for any amount of memory

Family = Literal["batfd", "batfd_plus", "small", "experts"]
Sampling = Literal["bmn", "reference"]
Decoding = Literal["aligned", "published"]
Clock = Literal["pad", "stretch"]
Framing = Literal["face", "mouth"]
Backend = Literal["auto", "torch", "onnx"]
VideoEncoderName = Literal["c3d", "mvit_t", "mvit_s", "mvit_b", "frames", "mouth"]
AudioEncoderName = Literal["cnn", "vit_t", "vit_s", "vit_b", "mel", "spectrum", "texture"]

T = TypeVar("T")


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a network. The defaults are those of the published BA-TFD (2204.06228, section 4)."""

    family: Family = "batfd"
    video_encoder: VideoEncoderName = "c3d"
    audio_encoder: AudioEncoderName = "cnn"
    n_frames: int = 512  # T, frames of a clip after padding
    max_duration: int = 40  # D, longest proposal in frames
    clock: Clock = "pad"  # a clip becomes T frames by padding (LAV-DF), or by resampling in time (AV-Deepfake1M)
    framing: Framing = "face"  # the whole face crop, or its middle below the eyes ("mouth"), twice as large
    n_samples: int = 10  # N, points sampled per proposal
    sampling: Sampling = "bmn"  # "reference" runs the published weights
    n_features: int = 256  # C_f, width of both encoders' outputs
    video_widths: tuple[int, ...] = (64, 96, 128, 128)  # c3d: per block; frames, mouth: per stage; mvit: unused
    audio_widths: tuple[int, ...] = (32, 64, 64)  # cnn: per block; mel, spectrum, texture: per stage; vit: unused
    boundary_widths: tuple[int, int] = (512, 128)
    boundary_generator: bool = False  # BA-TFD+ only: the complementary start and end probabilities
    sound_shifts: int = 1  # experts only: scans average over so many shifts of the audio within a frame

    def __post_init__(self) -> None:
        for key in ("n_frames", "max_duration", "n_samples", "n_features"):
            if getattr(self, key) < 1:
                raise _bad_value(key, "a number of at least 1", getattr(self, key))
        if self.n_frames > MOST_FRAMES:
            raise _bad_value("n_frames", f"at most {MOST_FRAMES}", self.n_frames)
        if self.max_duration > self.n_frames:
            raise _bad_value("max_duration", f"at most n_frames ({self.n_frames})", self.max_duration)
        if self.boundary_generator and self.family != "batfd_plus":
            raise _bad_value("boundary_generator", "false unless family is batfd_plus", True)
        most = MOST_SHIFTS if self.family == "experts" else 1
        if not 1 <= self.sound_shifts <= most:
            raise _bad_value("sound_shifts", f"1 to {most} for the family {self.family}", self.sound_shifts)
        for key in ("video_widths", "audio_widths", "boundary_widths"):
            widths = getattr(self, key)
            if not 1 <= len(widths) <= MOST_WIDTHS or min(widths) < 1:
                raise _bad_value(key, f"1 to {MOST_WIDTHS} positive widths", widths)

    @property
    def is_fixed_length(self) -> bool:
        """Whether the network wants clips padded to exactly T frames."""
        return self.family in ("batfd", "batfd_plus")


@dataclass(frozen=True)
class PostConfig:
    """Post-processing: from the boundary map to segments."""

    threshold: float = 0.5  # a segment, and a file, counts as forged from this score on
    decoding: Decoding = "aligned"  # "published" reproduces published tables
    nms_alpha: float = 0.7234  # soft-NMS of BMN, as published
    nms_t1: float = 0.1968
    nms_t2: float = 0.4123
    max_proposals: int = 101
    rates: GenuineRates | None = None  # how often genuine recordings reach a score; written by `experts calibrate`

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise _bad_value("threshold", "a number in 0..1", self.threshold)
        if self.nms_alpha <= 0:
            raise _bad_value("nms_alpha", "a number above 0", self.nms_alpha)
        if self.max_proposals < 1:
            raise _bad_value("max_proposals", "a number of at least 1", self.max_proposals)


@dataclass(frozen=True)
class VerdictConfig:
    """A video-level head: its input, layer sizes and fitting (table [verdict])."""

    rows: int = 20  # groups of span lengths (the D rows of the map), max-pooled
    columns: int = 32  # groups of the clip's frames, max-pooled
    widths: tuple[int, int] = (128, 32)  # of the two hidden layers; the third gives the logit
    dropout: float = 0.3
    seed: int = 1  # of the first restart; incremented for each further one
    restarts: int = 5  # the one with the best validation AUC is kept
    epochs: int = 200  # at most
    patience: int = 20  # epochs without a better validation AUC
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        for key in ("rows", "columns", "restarts", "epochs", "patience", "batch_size"):
            if getattr(self, key) < 1:
                raise _bad_value(key, "a number of at least 1", getattr(self, key))
        if min(self.widths) < 1:
            raise _bad_value("widths", "positive widths", self.widths)
        if self.seed < 0:
            raise _bad_value("seed", "a number of at least 0", self.seed)
        if not 0 <= self.dropout < 1:
            raise _bad_value("dropout", "a number from 0 to below 1", self.dropout)
        if not self.learning_rate > 0:
            raise _bad_value("learning_rate", "a number above 0", self.learning_rate)
        if not self.weight_decay >= 0:
            raise _bad_value("weight_decay", "a number of at least 0", self.weight_decay)


def load_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError if it is missing or not valid TOML."""
    try:
        return tomllib.loads(decoded(path.read_bytes()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(path, expected="a TOML file", got=f"{reason}", remedy="see configs/ for examples") from error


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str = "config") -> T:
    """Build a frozen dataclass from a TOML table; lists become tuples, tables become nested dataclasses.

    Raises ConfigError for an unknown key, a wrong type or an invalid value.

    >>> from_mapping(PostConfig, {"threshold": 0.25}).threshold
    0.25
    """
    hints = get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known keys are {', '.join(known)}"
            raise ConfigError(where, expected="known keys only", got=f"the key {key!r}", remedy=remedy)
    return cls(**{key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()})


def to_mapping(config: Any) -> dict[str, Any]:
    """The inverse of `from_mapping`: plain values, nested tables as dicts, None omitted."""
    plain: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            plain[f.name] = to_mapping(value)
        elif value is not None:
            plain[f.name] = list(value) if isinstance(value, tuple) else value
    return plain


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Convert a value to the hinted type; raises ConfigError if that is impossible."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert(next(a for a in get_args(hint) if a is not type(None)), value, where)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(hint, value, where)  # type: ignore[arg-type]
    if origin is Literal:
        if value not in get_args(hint):
            raise _bad_value(where, "one of " + ", ".join(map(str, get_args(hint))), value)
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return _convert_items(get_args(hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(hint, type) or not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _bad_value(where, f"a value of type {getattr(hint, '__name__', hint)}", value)
    return value


def _convert_items(hints: tuple[Any, ...], items: list[Any] | tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_convert(hints[0], item, where) for item in items)
    if len(items) != len(hints):
        raise _bad_value(where, f"{len(hints)} values", items)
    return tuple(_convert(h, item, where) for h, item in zip(hints, items, strict=True))


def _bad_value(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(key, expected=expected, got=f"{got!r:.100}", remedy="change this key in the config")
