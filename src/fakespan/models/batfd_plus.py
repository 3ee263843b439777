"""BA-TFD+ (2305.01979, figure 2): BA-TFD with transformers, proposal relations and, optionally, boundary probabilities.

As in BA-TFD each modality has an encoder, a frame classifier and a boundary module. The boundary module outputs three
maps, each fused with its counterpart of the other modality; the prediction is the mean of the three. With a boundary
generator the clip is also encoded backwards in time, and both runs together give the start and end probabilities.

Deviations: `n_frames` avoids computation on padding if the encoder allows it; `sampling="bmn"` samples spans as in the
paper (see `fakespan.models.sampling`) and keeps the cells of the channel branch in place (`fakespan.models.relation`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError, UsageError
from fakespan.models.audio_encoder import build_audio_encoder
from fakespan.models.boundary import ProposalFeatures
from fakespan.models.complementary import BoundaryGenerator, combined_boundaries
from fakespan.models.fusion import Fusion
from fakespan.models.outputs import Boundaries, Branch, Maps, Output, Stream
from fakespan.models.padding import encode_padded
from fakespan.models.relation import RelationBoundaryModule
from fakespan.models.video_encoder import build_video_encoder

__all__ = ["BaTfdPlus", "build_batfd_plus"]

T = TypeVar("T")

COLUMNS_PER_FRAME = 4  # of the log-mel


def build_batfd_plus(config: ModelConfig) -> BaTfdPlus:
    """Build BA-TFD+. Raises ConfigError for an encoder of another family or an incompatible T."""
    if config.boundary_generator and config.n_frames % 4:
        raise ConfigError(
            "n_frames",
            expected="a multiple of 4 with a boundary generator",
            got=f"{config.n_frames}",
            remedy="change n_frames or set boundary_generator to false",
        )
    n_evidence = config.n_features + 1

    def boundary() -> RelationBoundaryModule:
        proposals = ProposalFeatures(
            n_evidence, config.boundary_widths, config.max_duration, config.n_samples, config.sampling
        )
        return RelationBoundaryModule(proposals, config.boundary_widths[1], scatter=config.sampling == "reference")

    def fusion() -> Fusion:
        return Fusion(n_evidence, config.max_duration)

    return BaTfdPlus(
        build_video_encoder(config),
        build_audio_encoder(config),
        (boundary(), boundary()),
        (fusion(), fusion(), fusion()),
        config.n_features,
        boundary_parts=BoundaryParts.build(n_evidence) if config.boundary_generator else None,
    )


@dataclass(frozen=True)
class BoundaryParts:
    """The modules for start and end probabilities."""

    visual_generator: BoundaryGenerator
    audio_generator: BoundaryGenerator
    start_fusion: Fusion
    end_fusion: Fusion

    @classmethod
    def build(cls, n_evidence: int) -> BoundaryParts:
        """Build them for evidence with this many channels."""
        return cls(
            BoundaryGenerator(n_evidence), BoundaryGenerator(n_evidence), Fusion(n_evidence, 1), Fusion(n_evidence, 1)
        )


@dataclass(frozen=True)
class PlusBranch(Branch):
    """A branch of a network with an optional backward run."""

    reversed_evidence: Tensor | None = None  # (B, C + 1, T): index 0 is the last frame


class BaTfdPlus(nn.Module):
    """Encoders, frame classifiers and boundary modules of both modalities, fusions, and optional boundary generators.

    Args:
        video_encoder: (B, 3, T, 96, 96) -> (B, C_f, T); with a limited `reach` in frames, padding is not computed.
        audio_encoder: (B, 64, 4T) -> (B, C_f, T); likewise.
        boundaries: boundary modules of video and audio, (B, C_f + 1, T) -> three maps (B, D, T).
        fusions: fusions of the maps p, c and p_c.
        n_features: C_f.
        boundary_parts: None for a network without start and end probabilities.
    """

    def __init__(
        self,
        video_encoder: nn.Module,
        audio_encoder: nn.Module,
        boundaries: tuple[RelationBoundaryModule, RelationBoundaryModule],
        fusions: tuple[Fusion, Fusion, Fusion],
        n_features: int,
        *,
        boundary_parts: BoundaryParts | None = None,
    ) -> None:
        super().__init__()
        self.video_encoder, self.audio_encoder = video_encoder, audio_encoder
        self.visual_classifier = nn.Conv1d(n_features, 1, 1)
        self.audio_classifier = nn.Conv1d(n_features, 1, 1)
        self.visual_boundary, self.audio_boundary = boundaries
        self.prb_fusion_p, self.prb_fusion_c, self.prb_fusion_p_c = fusions
        self.has_generator = boundary_parts is not None
        if boundary_parts is not None:
            self.video_comp_boundary_generator = boundary_parts.visual_generator
            self.audio_comp_boundary_generator = boundary_parts.audio_generator
            self.cbg_fusion_start, self.cbg_fusion_end = boundary_parts.start_fusion, boundary_parts.end_fusion

    def forward(self, video: Tensor, audio: Tensor, n_frames: int | None = None) -> Output:
        """Maps (B, D, T) from faces (B, 3, T, 96, 96) in 0..1 and log-mel (B, 64, 4T).

        `n_frames`: all clips of the batch are padding (zeros, silence) after so many frames. c3d and cnn then encode
        only the clip, with the same result. mvit and vit attend to the padding too, and the cells of the maps to one
        another: the published outputs depend on it, so the padding is computed.

        Raises UsageError if video and audio differ in length.
        """
        if audio.shape[-1] != COLUMNS_PER_FRAME * video.shape[2]:
            raise UsageError(
                "audio",
                expected=f"{COLUMNS_PER_FRAME} columns for each of {video.shape[2]} frames",
                got=f"{audio.shape[-1]} columns",
                remedy="pad both to the same length",
            )
        return self.fuse(self.see(video, n_frames), self.hear(audio, n_frames))

    def see(self, video: Tensor, n_frames: int | None = None) -> PlusBranch:
        """What the faces alone say."""
        generator = self.video_comp_boundary_generator if self.has_generator else None
        encode = _ClipEncoder(self.video_encoder, self.visual_classifier, 1, n_frames)
        return _branch(encode, video, self.visual_boundary, generator)

    def hear(self, audio: Tensor, n_frames: int | None = None) -> PlusBranch:
        """What the sound alone says."""
        generator = self.audio_comp_boundary_generator if self.has_generator else None
        encode = _ClipEncoder(self.audio_encoder, self.audio_classifier, COLUMNS_PER_FRAME, n_frames)
        return _branch(encode, audio, self.audio_boundary, generator)

    def fuse(self, seen: PlusBranch, heard: PlusBranch) -> Output:
        """Both together."""
        maps = self._fused_maps(seen, heard)
        boundaries = self._fused_boundaries(seen, heard) if self.has_generator else None
        start, end = combined_boundaries(boundaries) if boundaries else (None, None)
        return Output(
            fused=maps.mean,
            visual=seen.map,
            audio=heard.map,
            visual_logits=seen.logits,
            audio_logits=heard.logits,
            visual_features=seen.features,
            audio_features=heard.features,
            start=start,
            end=end,
            visual_start=seen.start,
            visual_end=seen.end,
            audio_start=heard.start,
            audio_end=heard.end,
            fused_parts=Stream(maps, boundaries),
            visual_parts=seen.parts,
            audio_parts=heard.parts,
        )

    def _fused_maps(self, seen: PlusBranch, heard: PlusBranch) -> Maps:
        visual, audio, evidence = _maps(seen), _maps(heard), (seen.evidence, heard.evidence)
        return Maps(
            p=self.prb_fusion_p(visual.p, audio.p, *evidence),
            c=self.prb_fusion_c(visual.c, audio.c, *evidence),
            p_c=self.prb_fusion_p_c(visual.p_c, audio.p_c, *evidence),
        )

    def _fused_boundaries(self, seen: PlusBranch, heard: PlusBranch) -> Boundaries:
        """The probabilities of each run, weighted by the evidence of that run."""
        visual, audio = _boundaries(seen), _boundaries(heard)
        forward = seen.evidence, heard.evidence
        backward = _not_none(seen.reversed_evidence), _not_none(heard.reversed_evidence)
        return Boundaries(
            start=_fused_curve(self.cbg_fusion_start, visual.start, audio.start, forward),
            end=_fused_curve(self.cbg_fusion_end, visual.end, audio.end, forward),
            reversed_start=_fused_curve(self.cbg_fusion_start, visual.reversed_start, audio.reversed_start, backward),
            reversed_end=_fused_curve(self.cbg_fusion_end, visual.reversed_end, audio.reversed_end, backward),
        )


@dataclass(frozen=True)
class _ClipEncoder:
    """Encoder and frame classifier of one modality."""

    encoder: nn.Module
    classifier: nn.Module
    columns: int  # input columns per frame
    n_frames: int | None

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C_f, T) and frame logits (B, 1, T)."""
        features = self._encoded(self.encoder, x)
        return features, self.classifier(features)

    def backwards(self, x: Tensor) -> Tensor:
        """Evidence (B, C_f + 1, T) of the reversed clip; index 0 is the last frame."""
        # reversed, the padding comes first; reversed again, it is a clip with a padded tail
        features = self._encoded(lambda clip: self.encoder(clip.flip(2)).flip(-1), x).flip(-1)
        return torch.cat([features, self.classifier(features)], dim=1)

    def _encoded(self, encode: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        reach = getattr(self.encoder, "reach", None)
        if reach is None:
            return encode(x)
        return encode_padded(encode, x, self.n_frames, reach=reach, axis=2, columns=self.columns)


def _branch(
    encode: _ClipEncoder, x: Tensor, boundary: RelationBoundaryModule, generator: BoundaryGenerator | None
) -> PlusBranch:
    features, logits = encode(x)
    evidence = torch.cat([features, logits], dim=1)  # (B, C_f + 1, T)
    maps: Maps = boundary(evidence)
    if generator is None:
        return PlusBranch(features, logits, evidence, maps.mean, parts=Stream(maps))
    reversed_evidence = encode.backwards(x)
    run, back = generator(evidence), generator(reversed_evidence)
    boundaries = Boundaries(run.start, run.end, back.start, back.end)
    start, end = combined_boundaries(boundaries)
    parts = Stream(maps, boundaries, run.features, back.features)
    return PlusBranch(features, logits, evidence, maps.mean, start, end, parts, reversed_evidence)


def _fused_curve(fusion: Fusion, visual: Tensor, audio: Tensor, evidence: tuple[Tensor, Tensor]) -> Tensor:
    """Curves (B, T), fused as maps of one duration."""
    fused: Tensor = fusion(visual[:, None], audio[:, None], *evidence)
    return fused.squeeze(1)


def _maps(branch: Branch) -> Maps:
    assert branch.parts is not None
    return _not_none(branch.parts.maps)


def _boundaries(branch: Branch) -> Boundaries:
    assert branch.parts is not None
    return _not_none(branch.parts.boundaries)


def _not_none(value: T | None) -> T:
    assert value is not None
    return value
