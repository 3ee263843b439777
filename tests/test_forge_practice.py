"""Practice forgeries say the truth about themselves; the bank decodes each clip once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from clips import write_clip
from fakespan.boundary_map import frame_target
from fakespan.config import SAMPLE_RATE
from fakespan.errors import ConfigError, DataError
from fakespan.forge import bank, practice
from fakespan.forge.bank import Clip, load_bank
from fakespan.forge.practice import PracticeConfig, make_example
from fakespan.media.features import prepare_crop

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE, N_FRAMES = 48, 80


def clip(seed: int, speaker: str = "grid", n_frames: int = N_FRAMES) -> Clip:
    """Coloured noise and noise: every frame and every sample differs from every other."""
    rng = np.random.default_rng(seed)
    faces = rng.integers(30, 220, (n_frames, SIDE, SIDE, 3), np.uint8)
    sound = (0.1 * rng.standard_normal(n_frames * 640)).astype(np.float32)
    return Clip(f"{speaker}/{seed}.mp4", speaker, faces, sound)


CLIPS = [clip(0), clip(1), clip(2)]
WHOLE = PracticeConfig(n_frames=N_FRAMES, disturb=False)


@pytest.fixture
def without_codec(monkeypatch):
    monkeypatch.setattr(practice, "through_codec", lambda faces, sound, rng: (faces, sound))


@pytest.fixture
def with_cheap_forgers(monkeypatch, without_codec):
    """What a forgery looks like does not matter: the forged are zeros."""
    monkeypatch.setattr(practice, "forge_faces", lambda faces, donor, look, rng: np.zeros_like(faces))
    monkeypatch.setattr(practice, "_forge_sound", lambda sound, span, donor, rng: (_muted(sound, span), "muted"))


def _muted(sound, span):
    out = sound.copy()
    out[span[0] * 640 : span[1] * 640] = 0
    return out


def make(k: int, config: PracticeConfig = WHOLE, clips=CLIPS):
    return make_example(clips, k % len(clips), config, np.random.default_rng([7, k]))


def only(kind: str, **options) -> PracticeConfig:
    kinds = tuple(float(kind == name) for name in ("real", "audio", "visual", "both"))
    return PracticeConfig(**{"n_frames": N_FRAMES, "disturb": False, "kinds": kinds, **options})


def changed_frames(example, original: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Frames whose picture, and whose sound, is not the original's."""
    seen = [not np.array_equal(a, prepare_crop(b)) for a, b in zip(example.faces, original.faces, strict=True)]
    heard = (example.sound != original.sound).reshape(len(example.faces), 640).any(axis=1)
    return np.flatnonzero(seen), np.flatnonzero(heard)


def frames_of(spans, n: int = N_FRAMES) -> np.ndarray:
    return np.flatnonzero(frame_target(spans, n))


@pytest.mark.parametrize("k", range(3))
@pytest.mark.parametrize("kind", ["audio", "visual", "both"])
def test_the_truth_is_what_changed(without_codec, kind, k):
    example = make(k, only(kind, two_spans=0.5))
    seen, heard = changed_frames(example, CLIPS[k % 3])
    np.testing.assert_array_equal(seen, frames_of(example.visual_spans))
    np.testing.assert_array_equal(heard, frames_of(example.audio_spans))
    assert example.kind == kind
    assert example.method
    if kind == "both":
        assert example.audio_spans == example.visual_spans == example.spans


@pytest.mark.parametrize("k", range(15))
def test_cheap_forgeries_tell_the_truth_too(with_cheap_forgers, k):
    example = make(k, only("both", two_spans=1.0, std_span_s=0.6))
    seen, heard = changed_frames(example, CLIPS[k % 3])
    np.testing.assert_array_equal(seen, frames_of(example.spans))
    np.testing.assert_array_equal(heard, frames_of(example.spans))
    for start_s, end_s in example.spans:
        assert 0 <= start_s < end_s <= N_FRAMES / 25 + 1e-9
        assert 0.2 - 1e-6 <= end_s - start_s <= 1.6 + 1e-6
    for (_, end_s), (start_s, _) in zip(example.spans, example.spans[1:], strict=False):
        assert start_s - end_s > 0.2


def test_kinds_and_second_spans_come_in_the_shares_asked_for(with_cheap_forgers):
    config = PracticeConfig(n_frames=N_FRAMES, disturb=False, kinds=(4, 3, 2, 1), two_spans=0.5)
    examples = [make(k, config) for k in range(300)]
    counts = Counter(example.kind for example in examples)
    for kind, share in zip(("real", "audio", "visual", "both"), (0.4, 0.3, 0.2, 0.1), strict=True):
        assert counts[kind] / 300 == pytest.approx(share, abs=0.08)
    n_spans = Counter(len(example.spans) for example in examples if example.kind != "real")
    assert 0.1 < n_spans[2] / (n_spans[1] + n_spans[2]) < 0.5  # a second one that comes near the first is dropped
    lengths = [end - start for example in examples for start, end in example.spans]
    assert np.mean(lengths) == pytest.approx(0.65, abs=0.1)


def test_a_real_clip_is_the_clip_itself(without_codec):
    example = make(1, only("real"))
    seen, heard = changed_frames(example, CLIPS[1])
    assert len(seen) == len(heard) == 0
    assert (example.kind, example.spans, example.name) == ("real", (), "grid/1.mp4")


def test_a_real_clip_goes_through_the_codec_like_any_other():
    still = np.repeat(data.astronaut()[None, 20:190:2, 140:310:2], 20, axis=0)[:, :84, :84]
    sound = (0.3 * np.sin(2 * np.pi * 300 * np.arange(20 * 640) / SAMPLE_RATE)).astype(np.float32)
    original = Clip("a/b.mp4", "b", still, sound)
    example = make_example([original], 0, only("real"), np.random.default_rng(1))
    gap = example.faces.astype(float) - prepare_crop(still[0])
    assert 0 < np.abs(gap).mean() < 10
    assert np.corrcoef(example.sound, sound)[0, 1] > 0.95


def test_an_example_follows_from_the_generator_alone():
    config = PracticeConfig(n_frames=30)
    first, again, other = make(4, config), make(4, config), make(7, config)
    assert (first.name, first.spans, first.method) == (again.name, again.spans, again.method)
    np.testing.assert_array_equal(first.faces, again.faces)
    np.testing.assert_array_equal(first.sound, again.sound)
    assert first.name == other.name
    assert not np.array_equal(first.faces, other.faces)


@pytest.mark.parametrize("k", range(6))
def test_disturbed_clips_keep_shape_range_and_truth(without_codec, k):
    config = PracticeConfig(n_frames=30)
    example = make(k, config)
    assert (example.faces.shape, example.faces.dtype) == ((30, 96, 96, 3), np.uint8)
    assert (example.sound.shape, example.sound.dtype) == ((30 * 640,), np.float32)
    assert np.abs(example.sound).max() <= 1
    assert all(end_s <= 1.2 + 1e-6 for _, end_s in example.spans)


def test_a_clip_of_any_length_will_do(without_codec):
    for n in (22, 30, 200):
        example = make_example([clip(5, n_frames=n)], 0, only("both"), np.random.default_rng(0))
        assert len(example.faces) == min(n, N_FRAMES)
        assert len(example.sound) == 640 * len(example.faces)
        assert len(example.spans) >= 1


def test_words_are_lent_by_the_same_speaker_and_never_by_the_span_itself():
    lone, twins = [clip(3, "lone", 200)], [clip(4, "a", 200), clip(5, "b", 200), clip(6, "a", 200)]
    rng = np.random.default_rng(0)
    for _ in range(80):
        donor = practice._find_donor(lone, 0, (90, 110), rng)
        if donor is not None:
            assert not any(np.array_equal(face, own) for face in donor[0] for own in lone[0].faces[90:110])
            assert len(donor[1]) == 640 * len(donor[0]) >= 640 * 30
        donor = practice._find_donor(twins, 0, (90, 110), rng)
        if donor is not None:
            assert any(np.array_equal(donor[0][0], face) for face in twins[2].faces)


@pytest.mark.parametrize(
    "options", [{"n_frames": 0}, {"kinds": (0.0, 0.0, 0.0, 0.0)}, {"kinds": (1.0, -1.0, 1.0, 1.0)}, {"min_span_s": 2.0}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="practice." + next(iter(options))):
        PracticeConfig(**options)


# --- the bank ---


def talking_head(path: Path, n: int = 30, silent: bool = False, faceless: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    portrait = np.zeros((256, 256, 3), np.uint8) + 90 if faceless else data.astronaut()[0:256, 96:352]
    sound = (0.2 * np.random.default_rng(0).standard_normal((1, n * 640))).astype(np.float32)
    pictures, times_s = [portrait] * n, np.arange(n) / 25
    return write_clip(path, pictures, times_s, sound=None if silent else sound, sound_rate=SAMPLE_RATE)


@pytest.fixture(scope="module")
def heads(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("heads")
    (folder / "text.mp4").write_text("no video")
    return [
        talking_head(folder / "grid_1" / "a.mp4"),
        talking_head(folder / "other" / "b.mp4", silent=True),
        talking_head(folder / "other" / "c.mp4", faceless=True),
        folder / "text.mp4",
        talking_head(folder / "other" / "d.mp4", n=34),
    ]


def test_the_bank_holds_faces_and_sound_of_the_usable_clips_and_decodes_once(heads, tmp_path, monkeypatch):
    seen = []
    clips = load_bank(heads, tmp_path, lambda paths: (seen.append(p) or p for p in paths))
    assert seen == heads
    assert [c.name for c in clips] == ["grid_1/a.mp4", "other/d.mp4"]
    assert [c.speaker for c in clips] == ["grid_1", "d"]
    for c in clips:
        assert c.faces.shape[1:] == (224, 224, 3)
        assert len(c.faces) >= 25
        assert len(c.sound) == 640 * len(c.faces)
    assert not list(tmp_path.glob("*.part"))

    monkeypatch.setattr(bank, "_decode", lambda path: pytest.fail(f"{path} was decoded again"))
    again = load_bank(heads, tmp_path)
    np.testing.assert_array_equal(again[1].faces, clips[1].faces)
    np.testing.assert_array_equal(again[1].sound, clips[1].sound)


@pytest.mark.parametrize("part", ["faces", "sound"])
@pytest.mark.parametrize("damage", [b"", b"not an array", None])
def test_a_damaged_cache_is_made_anew(heads, tmp_path, monkeypatch, part, damage):
    whole = np.zeros((30, 224, 224, 3), np.uint8), np.ones(30 * 640, np.float32)
    monkeypatch.setattr(bank, "_decode", lambda path: whole)
    load_bank(heads[:1], tmp_path)
    (file,) = tmp_path.glob(f"*-{part}.npy")
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[: size // 2] if damage is None else damage)
    (again,) = load_bank(heads[:1], tmp_path)
    np.testing.assert_array_equal(again.sound, whole[1])
    assert file.stat().st_size == size


def test_a_bank_without_clips_is_an_error(heads, tmp_path):
    with pytest.raises(DataError, match="clips with a face and audio"):
        load_bank(heads[1:2], tmp_path)
