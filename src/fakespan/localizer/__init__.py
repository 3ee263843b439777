"""Localizes forged segments in media files: a file in, a `Scan` out.

Faces are tracked, each track goes through the network in windows together with the audio of the same time, and the maps
of the windows are stitched. Parts without a face are scored by their audio alone. Memory does not grow with the length
of the video: at most one window of small face crops is buffered per track.

Independent of data sets, labels and output formats.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast, get_args

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import Backend, Decoding, ModelConfig, PostConfig
from fakespan.errors import MissingExtraError, UsageError
from fakespan.files import fingerprint
from fakespan.localizer.evidence import Recorder
from fakespan.localizer.file import FileScan
from fakespan.localizer.judge import Clip, Judge
from fakespan.localizer.maps import ClipMaps
from fakespan.localizer.options import Choices, ScanOptions
from fakespan.localizer.runner import Runner
from fakespan.localizer.verdict import check_prior
from fakespan.media.choice import choose_tracks
from fakespan.portable import SUFFIX, PortableModel, load_portable
from fakespan.types import Progress, Scan, Source

if TYPE_CHECKING:  # torch is imported for the models that need it
    import torch
    from torch import nn

    from fakespan.checkpoint import Checkpoint
    from fakespan.localizer.torch_runner import TorchRunner
    from fakespan.models.outputs import Output
    from fakespan.models.verdict_head import Head

__all__ = ["Clip", "ClipMaps", "Localizer", "load_model", "model_path", "model_source", "scan", "shipped_models"]


class Localizer:
    """A network with its config and post-processing, ready to scan files.

    Args:
        checkpoint: the network.
        device: "auto", "cpu", "cuda" ...
        file: the file that it was loaded from, for the record.
    """

    def __init__(
        self, checkpoint: Checkpoint | PortableModel, device: str = "auto", file: Source | None = None
    ) -> None:
        self.name = checkpoint.name
        self.model: ModelConfig = checkpoint.model
        self.post: PostConfig = checkpoint.post
        self.notes: Mapping[str, Any] = checkpoint.notes
        self.head: Head | None = checkpoint.head  # for the video-level label
        self.decoder_threads = 0  # for the pictures of a file; 0: one per core
        self.runner: Runner = _runner(checkpoint, device)
        self._recorder = Recorder(self.runner, self.model, file)

    @property
    def network(self) -> nn.Module:
        """The network itself. Raises UsageError for a model in an ONNX file."""
        return self._torch.network

    @property
    def device(self) -> torch.device:
        """Where the network runs. Raises UsageError for a model in an ONNX file."""
        return self._torch.device

    @property
    def digest(self) -> str:
        """Identifies the network's weights, see `models.digest`."""
        return self.runner.digest

    def predict(self, video: torch.Tensor, audio: torch.Tensor) -> Output:
        """Maps of a batch of clips.

        Args:
            video: (B, 3, T, 96, 96) faces in 0..1, framed as `model.framing` says (see `media.crop.prepare_crop`).
            audio: a waveform (B, 640 T) at 16 kHz; or log-mel (B, 64, 4T); or the output of
                `media.features.sound_input` for the model's audio encoder. The shipped model accepts a log-mel, but
                looks at finer bands, which that lacks.

        Returns:
            `.fused`, `.visual`, `.audio`, each (B, D, T) in 0..1, and `.start`, `.end` (B, T) or None.

        Raises:
            UsageError: the model is in an ONNX file.
        """
        return self._torch.predict(video, audio)

    @property
    def _torch(self) -> TorchRunner:
        if isinstance(self.runner, PortableModel):
            expected, remedy = "a model with weights for torch", "use its .safetensors or .ckpt file"
            raise UsageError("model", expected=expected, got=f"the ONNX file {self.runner.path}", remedy=remedy)
        return cast("TorchRunner", self.runner)

    def judge(self, clips: Sequence[Clip], batch_size: int = 8) -> list[ClipMaps | None]:
        """The maps of each clip of any length, at the network's clock; None for a clip without a face and audio.

        Clips are passed as they are, at 25 fps, and fitted to the network here. With the "pad" clock a clip of more
        than T frames is processed in overlapping windows, which are stitched; with "stretch" it becomes T frames, and
        `fps` is 25 T / n.

        Args:
            clips: video and audio of each clip.
            batch_size: number of clips per batch.
        """
        return Judge(self.runner, self.model)(clips, batch_size)

    def judge_clip(self, faces: UInt8Array | None, sound: Float32Array | None) -> ClipMaps:
        """The maps of one clip.

        Args:
            faces: (n, 96, 96, 3) RGB bytes, framed as `model.framing` says, or None.
            sound: (640 n,) at 16 kHz, or None; padded with silence to n frames.

        Raises:
            UsageError: there is neither a frame nor audio.
        """
        (maps,) = self.judge([Clip.of(faces, sound)])
        if maps is None:
            raise UsageError("clip", expected="at least one frame", got="none", remedy="give faces or audio")
        return maps

    def options(self, **choices: Unpack[Choices]) -> ScanOptions:
        """The options of a scan. Raises UsageError for one that is invalid, or that this model cannot follow."""
        options = ScanOptions(**choices)
        check_prior(options.prior, self.head, self.post.rates)
        return options

    def scan(
        self,
        path: str | Path,
        *,
        threshold: float | None = None,
        decoding: Decoding | None = None,
        progress: Progress | None = None,
        **choices: Unpack[Choices],
    ) -> Scan:
        """Find the forged segments of one file.

        Args:
            path: any file that FFmpeg reads.
            threshold: score from which a segment counts as forged; default: the model's. A verdict head keeps its own.
            decoding: "aligned" or "published"; default: the model's.
            progress: called with the processed and the total duration in seconds.
            choices: faces, sound, start_s, end_s, video_track, audio_track, prior; see `ScanOptions`.

        Raises:
            MediaError: the file cannot be read, or has neither picture nor sound that can be decoded.
            NotInFileError: it has no such track, ends before `start_s` or begins after `end_s`.
            UsageError: an invalid option.
        """
        options = self.options(**choices)
        post = dataclasses.replace(
            self.post,
            threshold=self.post.threshold if threshold is None else threshold,
            decoding=decoding or self.post.decoding,
        )
        evidence = self._recorder.evidence(options, post)
        choice = choose_tracks(path, video=options.video_track, audio=options.audio_track)
        file = FileScan(self.judge_clip, self.model, Path(path), options, progress, choice)
        file.decoder_threads = self.decoder_threads
        return dataclasses.replace(file.run().result(self.name, self.model, post, self.head), evidence=evidence)


def load_model(model: str | Path = "small", device: str = "auto", backend: Backend = "auto") -> Localizer:
    """Load a `Localizer`.

    Args:
        model: a shipped name, a model file (.safetensors), a published checkpoint (.ckpt), or an ONNX file (.onnx) of
            `fakespan export`.
        device: "auto", "cpu", "cuda" ...; an ONNX file runs on the CPU.
        backend: "torch"; "onnx" runs a shipped model or an ONNX file with onnxruntime, and torch is not imported;
            "auto": onnx for an ONNX file, and for a shipped model where torch is not installed.

    Raises:
        CheckpointError: the file is missing, damaged or not a model.
        UsageError: an unknown name, a device that is not available, or a backend that cannot run the file.
        MissingExtraError: a library of an extra is not installed.
    """
    if backend not in get_args(Backend):
        expected = "auto, torch or onnx"
        raise UsageError("backend", expected=expected, got=repr(backend), remedy="choose one of them")
    wants_onnx = backend == "onnx" or (backend == "auto" and not _has_torch())
    path = model_path(model, SUFFIX if wants_onnx else ".safetensors")
    is_onnx = path.suffix == SUFFIX
    if backend != "auto" and is_onnx != wants_onnx:
        remedy = "write one with `fakespan export`" if wants_onnx else "use --backend onnx or auto"
        expected = "an ONNX file" if wants_onnx else "a .safetensors or .ckpt file"
        raise UsageError(path, expected=f"{expected} for --backend {backend}", got="another", remedy=remedy)
    if is_onnx:
        return Localizer(load_portable(path), device, model_source(path))
    try:
        from fakespan.checkpoint import load_checkpoint  # noqa: PLC0415 - imports torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch") from error
    return Localizer(load_checkpoint(path), device, model_source(path))


def scan(path: str | Path, model: str | Path = "small", device: str = "auto", **options: Any) -> Scan:
    """Scan one file; see `Localizer.scan` for the options. For several files, load the model once."""
    return load_model(model, device).scan(path, **options)


def model_path(model: str | Path, suffix: str = ".safetensors") -> Path:
    """The file of a shipped model, in the format of that suffix, or the given path itself."""
    shipped = {path.stem: path for path in shipped_models() if path.suffix == suffix}
    if str(model) in shipped:
        return shipped[str(model)]
    if Path(model).suffix or Path(model).name != str(model) or Path(model).exists():
        return Path(model)
    raise UsageError(
        "--model",
        expected=" or ".join([*sorted(shipped), "a path"]),
        got=repr(str(model)),
        remedy="give the path of a .safetensors, .onnx or .ckpt file",
    )


def shipped_models() -> list[Path]:
    """The model files that fakespan brings along, in every format."""
    return sorted((Path(__file__).parent.parent / "weights").glob("*.*"))


def model_source(path: Path) -> Source:
    """Identity of a model file by its content. OSError is propagated."""
    return Source(path.name, *fingerprint(path))


def _has_torch() -> bool:
    try:
        return importlib.util.find_spec("torch") is not None
    except ImportError:
        return False


def _runner(checkpoint: Checkpoint | PortableModel, device: str) -> Runner:
    if isinstance(checkpoint, PortableModel):
        if device not in ("auto", "cpu"):
            remedy = "use its .safetensors or .ckpt file there"
            raise UsageError("--device", expected="auto or cpu for an ONNX file", got=repr(device), remedy=remedy)
        return checkpoint
    from fakespan.localizer.torch_runner import TorchRunner  # noqa: PLC0415 - imports torch

    return TorchRunner(checkpoint.network, checkpoint.model, device)
