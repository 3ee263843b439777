"""A media file -> `Scan`: where it was forged, and how sure the model is.

The picture is followed face by face, each track goes through the network in windows together with the sound of the same
time, and the windows' maps are stitched. Stretches without a face are judged by their sound alone. Memory does not grow
with the picture's length: at most one window of small face crops is held per track.

What this package does not know: data sets, labels, and how a result is shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.checkpoint import Checkpoint, load_checkpoint
from fakespan.config import FPS, SAMPLES_PER_FRAME, Decoding, ModelConfig, PostConfig
from fakespan.errors import UsageError
from fakespan.localizer.clock import ClipMaps
from fakespan.localizer.file import FileScan
from fakespan.media.clock import stretch_faces, stretch_sound
from fakespan.media.faces import FaceMode
from fakespan.media.features import input_of_mel, sound_input
from fakespan.models.outputs import Output
from fakespan.models.verdict_head import Head
from fakespan.types import Progress, Scan

__all__ = ["ClipMaps", "Localizer", "load_model", "scan"]


class Localizer:
    """A network with its clock and thresholds, ready for files."""

    def __init__(self, checkpoint: Checkpoint, device: str = "auto") -> None:
        self.name = checkpoint.name
        self.model: ModelConfig = checkpoint.model
        self.post: PostConfig = checkpoint.post
        self.notes: Mapping[str, Any] = checkpoint.notes
        self.head: Head | None = checkpoint.head  # for the label of the whole file
        self.device = _device(device)
        self.network: nn.Module = checkpoint.network.to(self.device).eval()

    @property
    def is_fixed_length(self) -> bool:
        """Whether the network wants clips padded to exactly T frames."""
        return self.model.is_fixed_length

    @torch.inference_mode()
    def predict(self, video: torch.Tensor, audio: torch.Tensor) -> Output:
        """Maps of a batch of clips.

        Args:
            video: (B, 3, T, 96, 96) faces in 0..1, framed as `model.framing` says (see `media.features.prepare_crop`).
            audio: the sound itself, (B, 640 T) at 16 kHz; or log-mel (B, 64, 4T); or what `media.features.sound_input`
                gives for the model's audio encoder. `small` hears phases, which a log-mel has lost: it takes one, and
                hears less.

        Returns:
            `.fused`, `.visual`, `.audio`, each (B, D, T) in 0..1, and `.start`, `.end` (B, T) or None.
        """
        heard = audio.to(self.device)
        if audio.ndim == 2:
            heard = sound_input(self.model.audio_encoder, heard)
        elif audio.ndim == 3:
            heard = input_of_mel(self.model.audio_encoder, heard)
        output: Output = self.network(video.to(self.device), heard)
        return output

    def judge(self, faces: UInt8Array | None, sound: Float32Array | None) -> dict[str, Float32Array]:
        """What the network says of one clip, or of what there is of it, frame by frame at 25 a second.

        Args:
            faces: (n, 96, 96, 3) RGB bytes, framed as `model.framing` says, or None.
            sound: (640 n,) at 16 kHz, or None.

        Returns:
            `score`, `visual`, `audio`: maps (D, n); `visual_frames`, `audio_frames`: probabilities (1, n). Those of a
            missing modality are missing; `score` is the map that decides, the fused one where there are both. With the
            "stretch" clock the maps have ceil(D n / T) rows.
        """
        return self.judge_clip(faces, sound).at_file_clock(self._n_judged(faces, sound))

    @torch.inference_mode()
    def judge_clip(self, faces: UInt8Array | None, sound: Float32Array | None) -> ClipMaps:
        """What the network says of one clip of any length, at the network's own clock: `ClipMaps` with `fps`.

        Give the clip as it is, at 25 frames a second (not through `data.clock`): here it is fitted to the network. With
        the "stretch" clock it becomes T frames, and `fps` is 25 T / n. With "pad" a network of fixed length judges the
        first T frames, and `fps` is 25.

        Args:
            faces: (n, 96, 96, 3) RGB bytes, framed as `model.framing` says, or None.
            sound: (640 n,) at 16 kHz, or None; what is missing to n frames is silence.

        Raises:
            UsageError: there is neither a frame nor the sound of one.
        """
        n = self._n_judged(faces, sound)
        if not n:
            raise UsageError("clip", expected="at least one frame", got="none", remedy="give faces or sound")
        n_steps = self.model.n_frames if self.model.clock == "stretch" else n
        n_padded = self.model.n_frames if self.is_fixed_length else n_steps
        network: Any = self.network
        answer: dict[str, torch.Tensor] = {}
        seen = heard = None
        if faces is not None:
            fitted = stretch_faces(faces, n_steps) if n_steps != n else faces[:n]
            seen = network.see(_video_input(fitted, n_padded, self.device), n_steps)
            answer |= {"score": seen.score_map, "visual": seen.score_map, "visual_frames": seen.logits.sigmoid()}
        if sound is not None:
            fitted_sound = stretch_sound(sound, n, n_steps) if n_steps != n else sound[: n * SAMPLES_PER_FRAME]
            padded = np.pad(fitted_sound, (0, n_padded * SAMPLES_PER_FRAME - len(fitted_sound)))
            heard = network.hear(sound_input(self.model.audio_encoder, padded[None]).to(self.device), n_steps)
            answer |= {"score": heard.score_map, "audio": heard.score_map, "audio_frames": heard.logits.sigmoid()}
        if seen is not None and heard is not None:
            answer["score"] = network.fuse(seen, heard).score_map
        fps = FPS * n_steps / n
        return ClipMaps(fps, **{name: part[0, :, :n_steps].float().cpu().numpy() for name, part in answer.items()})

    def _n_judged(self, faces: UInt8Array | None, sound: Float32Array | None) -> int:
        """Frames of a clip that the network looks at."""
        n = len(faces) if faces is not None else len(sound if sound is not None else ()) // SAMPLES_PER_FRAME
        return min(n, self.model.n_frames) if self.is_fixed_length and self.model.clock == "pad" else n

    def scan(
        self,
        path: str | Path,
        *,
        faces: FaceMode = "auto",
        threshold: float | None = None,
        decoding: Decoding | None = None,
        progress: Progress | None = None,
    ) -> Scan:
        """Find the forged segments of one file.

        Args:
            path: any file that FFmpeg reads.
            faces: "auto" follows faces, "whole" takes the picture as one face crop, "none" uses the sound alone.
            threshold: from which score on something counts as forged; the model's own unless given. A verdict head
                keeps its own.
            decoding: "aligned" or "published"; the model's own unless given.
            progress: called now and then with the seconds done and the seconds there are.

        Raises:
            MediaError: the file cannot be read, or holds neither a face nor sound.
            UsageError: an option is none of those named here.
        """
        if faces not in get_args(FaceMode):
            raise UsageError("faces", expected="auto, whole or none", got=repr(faces), remedy="choose one of them")
        post = dataclasses.replace(
            self.post,
            threshold=self.post.threshold if threshold is None else threshold,
            decoding=decoding or self.post.decoding,
        )
        return FileScan(self.judge, self.model, Path(path), faces, post, progress, self.head).run(self.name)


def load_model(model: str | Path = "small", device: str = "auto") -> Localizer:
    """A `Localizer` from a shipped name, a file of ours (.safetensors) or a published checkpoint (.ckpt)."""
    return Localizer(load_checkpoint(_model_path(model)), device)


def scan(path: str | Path, model: str | Path = "small", device: str = "auto", **options: Any) -> Scan:
    """Scan one file; see `Localizer.scan` for the options. For several files load the model once."""
    return load_model(model, device).scan(path, **options)


def _video_input(faces: UInt8Array, n_padded: int, device: torch.device) -> torch.Tensor:
    """Faces (n, 96, 96, 3) -> (1, 3, T, 96, 96) in 0..1, zero-padded."""
    video = torch.zeros(1, 3, n_padded, *faces.shape[1:3], device=device)
    video[0, :, : len(faces)] = torch.from_numpy(faces).to(device).permute(3, 0, 1, 2).float().div_(255)
    return video


def _model_path(model: str | Path) -> Path:
    folder = Path(__file__).parent.parent / "weights"
    shipped = {path.stem: path for path in folder.glob("*.safetensors")}
    if str(model) in shipped:
        return shipped[str(model)]
    if Path(model).suffix or Path(model).name != str(model) or Path(model).exists():
        return Path(model)
    raise UsageError(
        "--model",
        expected=" or ".join([*sorted(shipped), "a path"]),
        got=repr(str(model)),
        remedy="give the path of a .safetensors or .ckpt file",
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            "--device", expected="a device that this machine has", got=repr(name), remedy="use --device cpu or auto"
        ) from error
