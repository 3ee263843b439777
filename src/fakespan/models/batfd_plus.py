"""BA-TFD+ (2305.01979, figure 2): BA-TFD with transformers, proposal relations and, optionally, boundary probabilities.

As in BA-TFD each modality has an encoder, a frame classifier and a boundary module. The boundary module outputs three
maps, each fused with its counterpart of the other modality; the prediction is the mean of the three. With a boundary
generator the clip is also encoded backwards in time, and both runs together give the start and end probabilities.

Deviations: with `n_frames`, c3d and cnn do not compute on padding, with the same result; mvit and vit attend to the
padding too, and the cells of the maps to one another, so there it is computed. `sampling="bmn"` samples spans as in the
paper (see `fakespan.models.sampling`) and keeps the cells of the channel branch in place (`fakespan.models.relation`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError
from fakespan.models.audio_encoder import build_audio_encoder
from fakespan.models.boundary import ProposalFeatures
from fakespan.models.complementary import BoundaryGenerator, combined_boundaries
from fakespan.models.fusion import Fusion
from fakespan.models.network import COLUMNS_PER_FRAME, Network, branch_evidence
from fakespan.models.outputs import Boundaries, Branch, Maps, Output, Stream
from fakespan.models.padding import encode_padded
from fakespan.models.relation import RelationBoundaryModule
from fakespan.models.video_encoder import build_video_encoder

__all__ = ["BaTfdPlus", "build_batfd_plus"]

T = TypeVar("T")


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


class BaTfdPlus(Network):
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

    def encode_video(self, video: Tensor, n_frames: int | None = None) -> Branch:
        """The branch of the faces (B, 3, T, 96, 96) alone."""
        generator = self.video_comp_boundary_generator if self.has_generator else None
        encode = _ClipEncoder(self.video_encoder, self.visual_classifier, 1, n_frames)
        return _branch(encode, video, self.visual_boundary, generator)

    def encode_audio(self, audio: Tensor, n_frames: int | None = None) -> Branch:
        """The branch of the log-mel (B, 64, 4T) alone."""
        generator = self.audio_comp_boundary_generator if self.has_generator else None
        encode = _ClipEncoder(self.audio_encoder, self.audio_classifier, COLUMNS_PER_FRAME, n_frames)
        return _branch(encode, audio, self.audio_boundary, generator)

    def fuse(self, visual: Branch, audio: Branch) -> Output:
        """The output of both branches together."""
        maps = self._fused_maps(visual, audio)
        boundaries = self._fused_boundaries(visual, audio) if self.has_generator else None
        start, end = combined_boundaries(boundaries) if boundaries else (None, None)
        return Output(
            fused=maps.mean,
            visual=visual.map,
            audio=audio.map,
            visual_logits=visual.logits,
            audio_logits=audio.logits,
            visual_features=visual.features,
            audio_features=audio.features,
            start=start,
            end=end,
            visual_start=visual.start,
            visual_end=visual.end,
            audio_start=audio.start,
            audio_end=audio.end,
            fused_parts=Stream(maps, boundaries),
            visual_parts=visual.parts,
            audio_parts=audio.parts,
        )

    def _fused_maps(self, visual: Branch, audio: Branch) -> Maps:
        maps, other, evidence = _maps(visual), _maps(audio), (visual.evidence, audio.evidence)
        return Maps(
            p=self.prb_fusion_p(maps.p, other.p, *evidence),
            c=self.prb_fusion_c(maps.c, other.c, *evidence),
            p_c=self.prb_fusion_p_c(maps.p_c, other.p_c, *evidence),
        )

    def _fused_boundaries(self, visual: Branch, audio: Branch) -> Boundaries:
        """Each run's probabilities, weighted by that run's evidence."""
        of_video, of_audio = _boundaries(visual), _boundaries(audio)
        forward = visual.evidence, audio.evidence
        backward = _not_none(visual.reversed_evidence), _not_none(audio.reversed_evidence)
        return Boundaries(
            start=_fused_curve(self.cbg_fusion_start, of_video.start, of_audio.start, forward),
            end=_fused_curve(self.cbg_fusion_end, of_video.end, of_audio.end, forward),
            reversed_start=_fused_curve(
                self.cbg_fusion_start, of_video.reversed_start, of_audio.reversed_start, backward
            ),
            reversed_end=_fused_curve(self.cbg_fusion_end, of_video.reversed_end, of_audio.reversed_end, backward),
        )


@dataclass(frozen=True)
class _ClipEncoder:
    """Encoder and frame classifier of one modality."""

    encoder: nn.Module
    classifier: nn.Module
    columns: int  # input columns per frame
    n_frames: int | None

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, C_f, T) and frame logits (B, 1, T)."""
        features = self._encoded(self.encoder, x)
        return features, *branch_evidence(features, self.classifier)

    def backwards(self, x: Tensor) -> Tensor:
        """Evidence (B, C_f + 1, T) of the reversed clip; index 0 is the last frame."""
        # reversed, the padding comes first; reversed again, it is a clip with a padded tail
        features = self._encoded(lambda clip: self.encoder(clip.flip(2)).flip(-1), x).flip(-1)
        return branch_evidence(features, self.classifier)[1]

    def _encoded(self, encode: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        reach = getattr(self.encoder, "reach", None)
        return encode_padded(encode, x, self.n_frames, reach=reach, axis=2, columns=self.columns)


def _branch(
    encode: _ClipEncoder, x: Tensor, boundary: RelationBoundaryModule, generator: BoundaryGenerator | None
) -> Branch:
    features, logits, evidence = encode(x)
    maps: Maps = boundary(evidence)
    if generator is None:
        return Branch(features, logits, evidence, maps.mean, parts=Stream(maps))
    reversed_evidence = encode.backwards(x)
    run, back = generator(evidence), generator(reversed_evidence)
    boundaries = Boundaries(run.start, run.end, back.start, back.end)
    start, end = combined_boundaries(boundaries)
    parts = Stream(maps, boundaries, run.features, back.features)
    return Branch(features, logits, evidence, maps.mean, start, end, parts, reversed_evidence)


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
