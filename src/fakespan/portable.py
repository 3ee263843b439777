"""Model files in the ONNX format: read and run by onnxruntime, without torch.

`fakespan export` writes them (`fakespan.export`). The metadata key "fakespan" describes the network; features are part
of the graph, so that its inputs are face crops and a waveform.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fakespan.arrays import AnyArray, Float32Array, UInt8Array
from fakespan.config import ModelConfig, PostConfig
from fakespan.description import FORMAT, Description
from fakespan.errors import CheckpointError, MissingExtraError, UsageError

__all__ = ["METADATA_KEY", "SUFFIX", "PortableModel", "load_portable"]

METADATA_KEY = "fakespan"
SUFFIX = ".onnx"
GRAPH_FACTS = ("opset", "inputs", "outputs", "weights", "fakespan")
"""Of the metadata: version of the operators, inputs and outputs in words, digest of the weights, writing version."""
OF_FACES, OF_SOUND = ("visual", "visual_frames"), ("audio", "audio_frames")
REMEDY = "write it again with `fakespan export`, or use another model file"


@dataclass(frozen=True)
class PortableModel:
    """A network with everything needed to use it, as `Checkpoint`, that runs itself, as a `Runner`."""

    path: Path
    name: str
    model: ModelConfig
    post: PostConfig
    notes: Mapping[str, Any]
    digest: str  # of the weights that were exported, see `models.digest`
    graph: Mapping[str, Any]  # facts of the file, for people: see GRAPH_FACTS
    session: Any
    head: None = None
    backend: Literal["onnx"] = "onnx"
    device_name: str = "cpu"

    def __call__(self, faces: UInt8Array | None, sound: Float32Array | None, n_frames: int) -> dict[str, Float32Array]:
        """The maps and curves of a batch, see `localizer.runner`. Raises CheckpointError if the graph fails."""
        names = ["score", *(OF_FACES if faces is not None else ()), *(OF_SOUND if sound is not None else ())]
        given: dict[str, AnyArray] = {
            "faces": np.zeros((1, 0, 96, 96, 3), np.uint8) if faces is None else faces,
            "sound": np.zeros((1, 0), np.float32) if sound is None else sound,
        }
        try:
            return dict(zip(names, self.session.run(names, given), strict=True))
        except Exception as error:  # onnxruntime has no class for its errors
            raise _bad(self.path, "a graph that runs", _first_line(error)) from error


def load_portable(path: str | Path, content: bytes | None = None) -> PortableModel:
    """Load an ONNX file written by `fakespan export`.

    Args:
        path: the file.
        content: its content, if it was read already.

    Raises:
        CheckpointError: the file is missing, damaged, of another program or of a newer format.
        MissingExtraError: onnxruntime is not installed.
    """
    path = Path(path)
    try:
        content = path.read_bytes() if content is None else content
    except OSError as error:
        raise _bad(path, "a model file", error.strerror or str(error), "check the path") from error
    session = _session(path, content)
    record = _record(path, session)
    try:
        told = Description.of(record)
        digest = str(record["weights"])
    except (UsageError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _bad(path, "a readable fakespan header", f"{type(error).__name__}: {error}") from error
    graph = {name: record.get(name) for name in GRAPH_FACTS}
    return PortableModel(path, told.name, told.model, told.post, told.notes, digest, graph, session)


def _session(path: Path, content: bytes) -> Any:
    """The graph, optimised for this machine. Read from memory, it cannot name other files as its weights."""
    try:
        import onnxruntime  # noqa: PLC0415 - of the extra `onnx`
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors come as exceptions
    options.intra_op_num_threads = _n_threads()
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no class for its errors
        raise _bad(path, "an ONNX file", f"a damaged one ({_first_line(error)})") from error


def _record(path: Path, session: Any) -> Mapping[str, Any]:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise _bad(path, "a model file of fakespan", "the ONNX file of another program (no fakespan metadata)")
    try:
        record = json.loads(metadata[METADATA_KEY])
        if record["format"] != FORMAT:
            remedy = "update fakespan, or use a model file of this version"
            raise _bad(path, f"a header of format {FORMAT}", f"format {record['format']!r}", remedy)
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise _bad(path, "a readable fakespan header", f"{type(error).__name__}: {error}") from error
    inputs, outputs = ({value.name for value in values} for values in (session.get_inputs(), session.get_outputs()))
    if inputs != {"faces", "sound"} or not {"score", *OF_FACES, *OF_SOUND} <= outputs:
        raise _bad(path, "the inputs and outputs of fakespan", ", ".join(sorted(inputs | outputs)) or "none")
    return dict(record)


def _n_threads() -> int:
    """As many threads as torch would use: those of OMP_NUM_THREADS, or 0, one for each core."""
    number = os.environ.get("OMP_NUM_THREADS", "")
    return int(number) if number.isdigit() else 0


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _bad(path: Path, expected: str, got: str, remedy: str = REMEDY) -> CheckpointError:
    return CheckpointError(path, expected=expected, got=got, remedy=remedy)
