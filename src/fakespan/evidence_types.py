"""What a result records about its own making, and what a file tells about its own; `types` has them for everybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fakespan.media_types import Source

__all__ = ["Evidence", "Library", "ScanChoices", "Signature"]


@dataclass(frozen=True, slots=True)
class Library:
    """A library that took part in a scan."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class ScanChoices:
    """The options of a scan that its result depends on; those of `Localizer.scan`, with defaults filled in."""

    faces: Literal["auto", "whole", "none"]
    sound: Literal["speech", "all"]
    threshold: float
    decoding: Literal["aligned", "published"]
    video_track: int | None = None  # as asked for; None: chosen by the program
    audio_track: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a result was made: enough to repeat it. Names neither a user nor a computer."""

    scanned_at: str = field(compare=False)  # begin of the scan, ISO 8601 in UTC; scans that differ in it are the same
    options: ScanChoices
    config_sha256: str  # of the effective config of network and post-processing, see docs/evidence.md
    config_size_bytes: int
    backend: Literal["torch", "onnx"]
    device: str  # "cpu", or the kind of accelerator
    machine: str  # system, architecture and number of cores
    libraries: tuple[Library, ...]  # by name
    model_file: Source | None = None  # None: the network was not loaded from a file


@dataclass(frozen=True, slots=True)
class Signature:
    """A digital signature of a result as a whole."""

    algorithm: Literal["Ed25519"]
    key_sha256: str  # of the public key (DER, SubjectPublicKeyInfo), 64 hexadecimal digits
    value: str  # in base64
