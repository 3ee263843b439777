"""The picture expert and its fixed front end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fakespan.config import ModelConfig
from fakespan.models.picture import PictureExpert, picture_energies, softness_discount

CONFIG = ModelConfig(family="small", n_features=32, max_duration=12, n_samples=4, boundary_widths=(16, 8))


def some_faces(n_frames: int = 6, seed: int = 0) -> torch.Tensor:
    """Rough pictures (1, T, 3, 96, 96) in 0.2..0.8."""
    torch.manual_seed(seed)
    return F.avg_pool2d(torch.rand(n_frames, 3, 98, 98), 3, stride=1).mul(0.6).add(0.2)[None]


@pytest.mark.parametrize("n_frames", [1, 9, 40])
def test_clips_of_any_length_are_answered(n_frames: int) -> None:
    output = PictureExpert(CONFIG).eval()(some_faces(n_frames).transpose(1, 2))
    assert output.frames.shape == (1, 1, n_frames)
    assert output.map.shape == (1, CONFIG.max_duration, n_frames)


def test_it_is_small() -> None:
    shipped = ModelConfig(family="small", n_features=128, boundary_widths=(96, 48))
    assert sum(p.numel() for p in PictureExpert(shipped).parameters()) < 1_000_000


def test_energies_are_those_of_cosine_patterns() -> None:
    faces = some_faces(2)
    luma = faces[0].mean(1).double().numpy()
    light = (luma - luma.mean((1, 2), keepdims=True)) / (luma.std((1, 2), ddof=1, keepdims=True) + 0.05)
    change = 2 * (light[1] - light[0])
    k = np.arange(4)
    for fy, fx in ((0, 0), (1, 2), (3, 3)):
        pattern = np.outer(np.cos(np.pi * (k + 0.5) * fy / 4), np.cos(np.pi * (k + 0.5) * fx / 4))
        pattern /= np.linalg.norm(pattern)
        place = change[24:36, 60:72]  # row 2, column 5 of the grid
        blocks = [abs((place[y : y + 4, x : x + 4] * pattern).sum()) for y in (0, 4, 8) for x in (0, 4, 8)]
        expected = np.log(np.mean(blocks) + 0.03)
        assert float(picture_energies(faces)[0, 1, 16 + 4 * fy + fx, 2, 5]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("n_times", [2, 3, 6])
def test_a_video_of_fewer_pictures_a_second_changes_like_one_of_25(n_times: int) -> None:
    faces = some_faces(8)
    plain, slow = picture_energies(faces), picture_energies(faces.repeat_interleave(n_times, dim=1))
    torch.testing.assert_close(slow, plain.repeat_interleave(n_times, dim=1))


def test_a_frozen_picture_does_not_change() -> None:
    faces = some_faces(3)
    frozen = torch.cat([faces, faces[:, -1:].expand(-1, 12, -1, -1, -1)], dim=1)
    changes = picture_energies(frozen)[0, :, 16:32].mean((1, 2, 3))
    torch.testing.assert_close(changes[2:8], changes[2].expand(6))
    torch.testing.assert_close(changes[8:], torch.full((7,), np.log(0.03)), rtol=0, atol=1e-3)


def test_light_and_contrast_of_the_whole_crop_say_nothing() -> None:
    faces = some_faces()
    plain, lit = picture_energies(faces), picture_energies(0.8 * faces + 0.1)
    assert float((plain - lit)[:, :, :32].abs().mean()) < 0.1 * float(plain[:, :, :32].std())


def test_a_soft_mouth_shows_more_than_a_soft_crop() -> None:
    """As the encoder is shown it, each place against the others; soft from frame 10 on."""
    torch.manual_seed(0)
    faces = some_faces(20)
    soft = F.avg_pool2d(faces.flatten(0, 1), 5, stride=1, padding=2, count_include_pad=False).unflatten(0, (1, 20))
    crop, mouth = faces.clone(), faces.clone()
    crop[:, 10:] = soft[:, 10:]
    mouth[:, 10:, :, 36:72, 30:66] = soft[:, 10:, :, 36:72, 30:66]

    def stands_out(x: torch.Tensor) -> float:
        """Detail of the mouth's places beside that of the others, soft frames against sharp ones."""
        detail = picture_energies(x)[0, :, :16].mean(1)  # (T, 8, 8)
        gap = detail[:, 3:6, 3:5].mean((1, 2)) - detail.mean((1, 2))
        return abs(float(gap[10:].mean() - gap[:10].mean()))

    assert stands_out(mouth) > 5 * stands_out(crop)


def test_a_span_whose_whole_crop_is_much_softer_is_not_accused() -> None:
    faces = some_faces(40)
    soft = F.avg_pool2d(F.avg_pool2d(faces.flatten(0, 1), 5, 1, 2), 5, 1, 2).view(faces.shape)
    crop, mouth = faces.clone(), faces.clone()
    crop[:, 10:20] = soft[:, 10:20]
    mouth[:, 10:20, :, 42:66, 38:58] = soft[:, 10:20, :, 42:66, 38:58]
    span = 9, 10  # duration of 10 frames, from frame 10
    assert softness_discount(crop.transpose(1, 2), 20)[0][span] < 0.01
    assert softness_discount(mouth.transpose(1, 2), 20)[0][span] > 0.9
    assert softness_discount(faces.transpose(1, 2), 20).min() > 0.99


def test_the_discount_of_a_padded_clip_is_that_of_its_own_frames() -> None:
    faces = some_faces(30)
    faces[:, 5:12] = F.avg_pool2d(faces[:, 5:12].flatten(0, 1), 5, 1, 2).view(faces[:, 5:12].shape)
    padded = torch.cat([faces, torch.zeros_like(faces)], 1).transpose(1, 2)
    alone = softness_discount(faces.transpose(1, 2), 8)
    torch.testing.assert_close(softness_discount(padded, 8, torch.tensor([30]))[..., :22], alone[..., :22])


def test_training_sees_no_discount() -> None:
    network = PictureExpert(CONFIG)
    faces = some_faces(30)
    faces[:, 5:15] = F.avg_pool2d(faces[:, 5:15].flatten(0, 1), 9, 1, 4).view(faces[:, 5:15].shape)
    judged = network.eval()(faces.transpose(1, 2)).map
    plain = network.head(network.encoder.read(picture_energies(faces))).map
    assert judged[0, 9, 5] < 0.1 * plain[0, 9, 5]
    torch.testing.assert_close(judged[0, 5, 20:24], plain[0, 5, 20:24], atol=0.05, rtol=0.1)


def test_it_learns_a_span_by_heart() -> None:
    torch.manual_seed(0)
    energies = picture_energies(some_faces(40))
    energies[:, 15:25, :16, 3:6, 2:6] -= 1.0
    inside = torch.zeros(40)
    inside[15:25] = 1
    network = PictureExpert(CONFIG)
    optimiser = torch.optim.Adam(network.parameters(), 0.005)
    for _ in range(40):
        logits = network.head(network.encoder.read(energies)).frames[0, 0]
        loss = F.binary_cross_entropy_with_logits(logits, inside)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert ((logits > 0).float() == inside).all()
