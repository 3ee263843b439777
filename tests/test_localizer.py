"""A file's way to its segments, with a stand-in network that knows the truth: what is bright or loud is forged.

A real network, with random weights, only shows that everything fits together.
"""

from __future__ import annotations

import dataclasses
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fakespan
from clips import tone, write_clip
from conftest import TINY
from fakespan.boundary_map import iou_map_target
from fakespan.checkpoint import Checkpoint
from fakespan.config import SAMPLES_PER_FRAME, PostConfig
from fakespan.data.clip import read_example
from fakespan.errors import CheckpointError, MediaError, UsageError
from fakespan.localizer import ClipMaps, Localizer, load_model
from fakespan.localizer import file as file_module
from fakespan.localizer.file import FileScan
from fakespan.localizer.findings import find_curves, find_segments, stretch_score
from fakespan.localizer.options import ScanOptions
from fakespan.localizer.stretch import Stretch, listen
from fakespan.media.faces import TrackEnd, TrackFrame
from fakespan.media.features import log_mel, sound_input
from fakespan.models import build_model
from fakespan.types import FaceTrack, Sample, Unjudged
from remux import with_dead_pictures

POST = PostConfig(threshold=0.5)
FACE = FaceTrack(0, 0.0, 8.0, (0.0, 0.0, 1.0, 1.0))


def iou_map(is_forged: np.ndarray) -> np.ndarray:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_forged, [False]]).astype(int)))
    n = len(is_forged)
    return iou_map_target(edges.reshape(-1, 2) / 25, n, n, TINY.max_duration)


def judge(faces, sound):
    """What a perfect network would say."""
    parts = {}
    if faces is not None:
        is_lit = faces.mean(axis=(1, 2, 3)) > 120
        parts |= {"visual": iou_map(is_lit), "visual_frames": is_lit.astype(np.float32)}
    if sound is not None:
        is_loud = np.abs(sound.reshape(-1, SAMPLES_PER_FRAME)).mean(axis=1) > 0.1
        parts |= {"audio": iou_map(is_loud), "audio_frames": is_loud.astype(np.float32)}
    return ClipMaps(25.0, np.maximum(parts.get("visual", 0), parts.get("audio", 0)), **parts)


def faces_with(n_frames: int, *lit: tuple[int, int]) -> np.ndarray:
    faces = np.full((n_frames, 32, 32, 3), 40, np.uint8)
    for begin, end in lit:
        faces[begin:end] = 210
    return faces


def sound_with(n_frames: int, *loud: tuple[int, int]) -> np.ndarray:
    sound = np.full(n_frames * SAMPLES_PER_FRAME, 0.01, np.float32)
    for begin, end in loud:
        sound[begin * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME] = 0.5
    sound[1::2] *= -1
    return sound


def clip(folder: Path, n_frames: int, lit=(), loud=(), *, has_picture=True, has_sound=True) -> Path:
    pictures = faces_with(n_frames, *lit) if has_picture else []
    sound = sound_with(n_frames, *loud)[None] if has_sound else None
    options = {"sound_rate": 16_000, "audio_codec": "pcm_s16le", "b_frames": False}
    return write_clip(folder / "clip.mkv", pictures, np.arange(len(pictures)) / 25, sound=sound, **options)


def scanned(path: Path, faces="whole", post=POST, progress=None):
    return FileScan(judge, TINY, path, ScanOptions(faces, "all"), progress).run().result("perfect", TINY, post)


def spans(result):
    return [(s.start_s, s.end_s, s.modality, s.track) for s in result.segments]


# -- one file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lit", "loud", "expected"),
    [
        ([(30, 38)], [], (1.2, 1.52, "visual", 0)),
        ([], [(30, 38)], (1.2, 1.52, "audio", None)),
        ([(30, 38)], [(30, 38)], (1.2, 1.52, "both", 0)),
    ],
)
def test_a_planted_span_is_found_at_its_time_in_its_modality(tmp_path, lit, loud, expected):
    result = scanned(clip(tmp_path, 60, lit, loud))
    assert spans(result) == [expected]
    assert result.is_fake
    assert result.score == result.segments[0].score == 1.0
    assert result.duration_s == pytest.approx(2.4, abs=0.05)
    assert result.notes == ()


def test_an_untouched_clip_has_no_segment(tmp_path):
    result = scanned(clip(tmp_path, 60))
    assert (result.segments, result.score, result.is_fake) == ((), 0.0, False)


def test_a_span_on_a_windows_border_is_reported_once(tmp_path):
    result = scanned(clip(tmp_path, 200, [(60, 68)], [(120, 130)]))  # the first window ends at 64
    assert spans(result) == [(2.4, 2.72, "visual", 0), (4.8, 5.2, "audio", None)]


def test_curves_cover_every_frame(tmp_path):
    result = scanned(clip(tmp_path, 150, [(70, 78)]))
    assert [(c.modality, c.track, c.start_s, c.fps) for c in result.curves] == [
        (kind, 0, 0.0, 25.0) for kind in ("visual", "audio", "fused")
    ]
    visual, audio, fused = (np.array(curve.values) for curve in result.curves)
    assert len(visual) == len(audio) == len(fused) == 150
    assert np.flatnonzero(visual).tolist() == np.flatnonzero(fused > 0.9).tolist() == list(range(70, 78))
    assert not audio.any()


def test_sound_alone(tmp_path):
    result = scanned(clip(tmp_path, 100, loud=[(50, 57)], has_picture=False))
    assert spans(result) == [(2.0, 2.28, "audio", None)]
    assert result.notes == ("no picture: scored by the sound alone",)
    assert {c.modality for c in result.curves} == {"audio", "fused"}


def test_picture_alone(tmp_path):
    result = scanned(clip(tmp_path, 60, [(30, 38)], has_sound=False))
    assert spans(result) == [(1.2, 1.52, "visual", 0)]
    assert result.notes == ("no sound: scored by the picture alone",)
    assert {c.modality for c in result.curves} == {"visual", "fused"}


def test_faces_that_are_not_wanted(tmp_path):
    path = clip(tmp_path, 60, [(10, 18)], [(30, 38)])
    result = scanned(path, faces="none")
    assert spans(result) == [(1.2, 1.52, "audio", None)]
    assert "--faces none" in result.notes[0]


def test_digital_silence_is_told(tmp_path):
    path = write_clip(tmp_path / "x.wav", sound=np.zeros((1, 32_000), np.float32), audio_codec="pcm_s16le")
    assert "the sound is digital silence" in scanned(path).notes


def test_a_sound_that_is_shorter_than_the_picture_is_told(tmp_path):
    sound = sound_with(30)[None]
    path = write_clip(
        tmp_path / "x.mkv",
        faces_with(100),
        np.arange(100) / 25,
        sound=sound,
        sound_rate=16_000,
        audio_codec="pcm_s16le",
        b_frames=False,
    )
    result = scanned(path)
    assert result.duration_s == pytest.approx(4.0)
    assert "picture and sound differ in length by 2.8 s" in result.notes
    assert result.not_judged == (Unjudged(1.2, 4.0, "gap", "audio"),)
    assert (result.judged_share.sound, result.reasons) == (0.3, ("gap",))


def test_progress_ends_with_everything(tmp_path):
    told = []
    scanned(clip(tmp_path, 60), progress=lambda done_s, total_s: told.append((done_s, total_s)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 2


def test_pictures_whose_packets_are_damaged_leave_the_sound(tmp_path):
    dead = with_dead_pictures(clip(tmp_path, 60, loud=[(30, 38)]), tmp_path / "dead.mkv")
    result = scanned(dead)
    assert spans(result) == [(1.2, 1.52, "audio", None)]
    assert result.notes == ("a picture stream that cannot be decoded: scored by the sound alone",)
    assert result.not_judged == ()


def test_a_picture_of_which_nothing_decodes_leaves_the_sound(tmp_path, monkeypatch):
    def nothing(path, **_):
        raise MediaError(path, expected="pictures", got="none", remedy="-")
        yield

    monkeypatch.setattr(file_module, "read_pictures", nothing)
    result = scanned(clip(tmp_path, 60, loud=[(30, 38)]))
    assert spans(result) == [(1.2, 1.52, "audio", None)]
    assert result.notes == ("a picture stream that cannot be decoded: scored by the sound alone",)
    with pytest.raises(MediaError, match="got none"):
        scanned(clip(tmp_path, 60, has_sound=False))


# -- several faces, or none -------------------------------------------------------------------------------------------


def followed(monkeypatch, *tracks: tuple[FaceTrack, np.ndarray]):
    """Let these faces be found in any video."""

    def follow(pictures, mode, config):
        n_pictures = sum(1 for _ in pictures)
        for index in range(n_pictures):
            for track, faces in tracks:
                k = index - round(track.start_s * 25)
                if track.is_scanned and 0 <= k < len(faces):
                    yield TrackFrame(track.id, index, faces[k])
        for track, _ in tracks:
            yield TrackEnd(track)

    monkeypatch.setattr(file_module, "follow_faces", follow)


def face(number, begin, end, **options):
    return FaceTrack(number, begin / 25, end / 25, (0.1, 0.1, 0.2, 0.2), **options)


def test_two_faces_are_judged_each_by_itself(tmp_path, monkeypatch):
    left, right = faces_with(100, (20, 27)), faces_with(60, (30, 36))
    followed(monkeypatch, (face(0, 0, 100), left), (face(1, 40, 100), right))
    result = scanned(clip(tmp_path, 100, loud=[(85, 92)]), faces="auto")
    assert spans(result) == [
        (0.8, 1.08, "visual", 0),
        (2.8, 3.04, "visual", 1),
        (3.4, 3.68, "audio", None),  # heard with both faces, said once
    ]
    assert [len(c.values) for c in result.curves if c.modality == "visual"] == [100, 60]
    assert {(c.track, c.start_s) for c in result.curves} == {(0, 0.0), (1, 1.6)}
    assert result.notes == ()


def test_what_has_no_face_is_judged_by_its_sound(tmp_path, monkeypatch):
    followed(monkeypatch, (face(0, 50, 100), faces_with(50, (20, 26))), (face(1, 0, 12, is_scanned=False), ()))
    result = scanned(clip(tmp_path, 150, loud=[(20, 28), (85, 90), (130, 136)]), faces="auto")
    assert spans(result) == [
        (0.8, 1.12, "audio", None),
        (2.8, 3.04, "visual", 0),
        (3.4, 3.6, "audio", None),
        (5.2, 5.44, "audio", None),
    ]
    assert result.notes == (
        "4.0 s without a face: scored by the sound alone",
        "1 face track skipped: too short to scan",
    )


def test_a_face_that_is_too_small_leaves_the_sound_and_is_told(tmp_path, monkeypatch):
    followed(monkeypatch, (face(0, 0, 60, is_scanned=False, is_small=True), ()))
    result = scanned(clip(tmp_path, 60, loud=[(30, 38)]), faces="auto")
    assert spans(result) == [(1.2, 1.52, "audio", None)]
    assert "1 face track skipped: too small to scan" in result.notes
    assert {(part.reason, part.modality) for part in result.not_judged} >= {("face_too_small", "visual")}


def test_no_face_leaves_the_sound(tmp_path, monkeypatch):
    followed(monkeypatch)
    result = scanned(clip(tmp_path, 60, loud=[(30, 38)]), faces="auto")
    assert spans(result) == [(1.2, 1.52, "audio", None)]
    assert result.notes == ("no face that is large enough for long enough: scored by the sound alone",)
    result = scanned(clip(tmp_path, 60, has_sound=False), faces="auto")
    assert (result.outcome, result.reasons) == ("inconclusive", ("no_face", "picture_only", "too_short"))


# -- one stretch ------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 160), st.integers(2, TINY.max_duration), st.integers(0, 160), st.booleans())
def test_wherever_it_lies_it_is_found_once(n_after, length, begin, is_heard):
    n = begin + length + n_after
    sound = sound_with(n, (begin, begin + length)) if is_heard else np.zeros(0, np.float32)
    stretch = Stretch(judge, TINY, 0, sound)
    for image in faces_with(n, *([] if is_heard else [(begin, begin + length)])):
        stretch.push(image)
    maps = stretch.finish()
    assert maps.score.shape == (TINY.max_duration, n)
    (found,) = find_segments(maps, FACE, POST)
    assert (found.start_s, found.end_s) == (round(begin / 25, 3), round((begin + length) / 25, 3))
    assert found.modality == ("audio" if is_heard else "visual")
    assert stretch_score(maps) == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(0, 80), st.integers(2, TINY.max_duration), st.integers(0, 80))
def test_sound_is_judged_within_its_stretch_only(first, offset, length, n_after):
    begin = first + offset
    end = begin + length + n_after
    sound = sound_with(end + 50, (begin, begin + length))
    maps = listen(judge, TINY, sound, first, end)
    assert maps.score.shape == (TINY.max_duration, end - first)
    (found,) = find_segments(maps, None, POST)
    assert (found.start_s, found.end_s) == (round(begin / 25, 3), round((begin + length) / 25, 3))
    assert [len(c.values) for c in find_curves(maps, None)] == [end - first] * 2


def test_one_window_of_faces_is_held_whatever_the_length():
    class Face(np.ndarray):  # plain arrays pass through np.stack all the same
        pass

    alive, longest = weakref.WeakSet(), 0

    class Key:
        """What lives as long as a face does."""

    stretch = Stretch(judge, TINY, 0, np.zeros(0, np.float32))
    for image in faces_with(500):
        image_ = image.view(Face)
        image_.key = Key()
        alive.add(image_.key)
        stretch.push(image_)
        del image_
        longest = max(longest, len(alive))
    assert longest <= TINY.n_frames + 1
    assert stretch.finish().score.shape[1] == 500


@pytest.mark.parametrize("threshold", [0.5, 0.70004, 0.7, 0.0])
@pytest.mark.parametrize("decoding", ["aligned", "published"])
def test_verdict_and_segments_agree_at_the_threshold(threshold, decoding):
    for score in (threshold - 1e-5, threshold, threshold + 1e-5):
        stretch = Stretch(lambda faces, sound, s=score: said(len(faces), s), TINY, 0, np.zeros(0, np.float32))
        for image in faces_with(20):
            stretch.push(image)
        maps = stretch.finish()
        found = find_segments(maps, FACE, PostConfig(threshold=threshold, decoding=decoding))
        assert bool(found) == (stretch_score(maps) >= threshold)


def said(n_frames, score):
    answer = np.zeros((TINY.max_duration, n_frames), np.float32)
    answer[4, 7] = score
    return ClipMaps(25.0, answer, visual=answer, visual_frames=answer[0])


# -- a real network ---------------------------------------------------------------------------------------------------


def test_a_model_file_scans_a_clip(tiny_path, tmp_path):
    path = clip(tmp_path, 80, [(30, 38)])
    result = fakespan.scan(path, model=tiny_path, faces="whole", device="cpu")
    assert (result.model, result.file, result.threshold) == ("tiny", str(path), 0.5)
    assert 0 <= result.score <= 1
    assert all(len(c.values) == 80 for c in result.curves)
    assert fakespan.Scan.from_dict(result.to_dict()) == result
    assert callable(fakespan.scan)
    assert fakespan.scan(path, tiny_path, "cpu", faces="whole", threshold=0.999).segments == ()


def test_a_network_is_shown_the_framing_that_it_was_trained_on(tmp_path):
    slope = np.broadcast_to(np.linspace(0, 255, 96)[:, None, None], (30, 96, 96, 3)).astype(np.uint8)
    path, shown = write_clip(tmp_path / "slope.mkv", slope, np.arange(30) / 25, b_frames=False), {}
    for framing in ("face", "mouth"):

        def seen(faces, sound, framing=framing):
            shown[framing] = faces
            return judge(faces, sound)

        FileScan(seen, dataclasses.replace(TINY, framing=framing), path, ScanOptions("whole")).run()
        sample = Sample("a", path, "test", 1.2)
        np.testing.assert_array_equal(shown[framing], read_example(sample, "whole", framing).faces)
    assert not np.array_equal(shown["face"], shown["mouth"])


@pytest.mark.parametrize("n_frames", [1, 2, 9])
def test_very_short_clips(tiny_path, tmp_path, n_frames):
    result = load_model(tiny_path, "cpu").scan(clip(tmp_path, n_frames), faces="whole")
    assert result.duration_s == pytest.approx(n_frames / 25)


def test_predict_gives_the_maps_of_a_batch(tiny_path):
    localizer = load_model(tiny_path, "cpu")
    output = localizer.predict(torch.rand(2, 3, 32, 96, 96), torch.rand(2, 64, 128))
    assert output.fused.shape == output.visual.shape == output.audio.shape == (2, TINY.max_duration, 32)
    assert output.start is None
    assert output.end is None
    assert isinstance(localizer.network, torch.nn.Module)


@pytest.mark.parametrize("encoder", ["mel", "spectrum"])
def test_predict_takes_sound_log_mel_and_what_the_network_hears(encoder):
    model = dataclasses.replace(TINY, audio_encoder=encoder)
    torch.manual_seed(0)
    localizer = Localizer(Checkpoint("random", model, POST, build_model(model)), "cpu")
    video, sound = torch.rand(2, 3, 12, 96, 96), 0.1 * torch.randn(2, 12 * SAMPLES_PER_FRAME)
    heard = localizer.predict(video, sound_input(encoder, sound))
    assert torch.equal(localizer.predict(video, sound).fused, heard.fused)
    mel = localizer.predict(video, log_mel(sound))
    assert mel.fused.shape == heard.fused.shape
    assert torch.equal(mel.visual, heard.visual)
    assert torch.equal(mel.audio, heard.audio) == (encoder == "mel")


def test_judge_agrees_with_predict(tiny_path):
    localizer = load_model(tiny_path, "cpu")
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 255, (20, 96, 96, 3), dtype=np.uint8)
    sound = rng.normal(0, 0.1, 20 * SAMPLES_PER_FRAME).astype(np.float32)
    both, seen, heard = (localizer.judge_clip(*given) for given in ((faces, sound), (faces, None), (None, sound)))
    assert (seen.audio, seen.audio_frames, heard.visual, heard.visual_frames) == (None,) * 4
    np.testing.assert_array_equal(both.visual, seen.score)
    np.testing.assert_array_equal(both.audio, heard.score)
    assert both.score.shape == (TINY.max_duration, 20)
    assert both.audio_frames.shape == both.visual_frames.shape == (20,)
    video = torch.from_numpy(faces).permute(3, 0, 1, 2)[None].float() / 255
    np.testing.assert_allclose(both.score, localizer.predict(video, torch.from_numpy(sound)[None]).fused[0], atol=1e-5)


def test_wrong_options_are_told(tiny_path, tmp_path):
    localizer, path = load_model(tiny_path, "cpu"), clip(tmp_path, 5)
    with pytest.raises(UsageError, match="expected auto, whole or none, got 'hole'"):
        localizer.scan(path, faces="hole")
    with pytest.raises(UsageError, match="threshold"):
        localizer.scan(path, threshold=1.5)
    with pytest.raises(UsageError, match="aligned or published"):
        localizer.scan(path, faces="whole", decoding="other")
    with pytest.raises(UsageError, match="--device: expected an available device"):
        load_model(tiny_path, "abacus")


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="a path, got 'enormous'"):
        load_model("enormous")
    with pytest.raises(CheckpointError, match="check the path"):
        load_model(tmp_path / "none.safetensors")


def test_the_missing_end_of_a_file_counts_as_not_judged(tmp_path, tiny_path):
    path, sample = tmp_path / "cut.mp4", Path(fakespan.__file__).parent / "samples" / "sample.mp4"
    path.write_bytes(sample.read_bytes()[:60_000])  # 1.9 s of the 8.28 s that its index states
    result = load_model(tiny_path).scan(path, threshold=1.0)
    assert result.duration_s == pytest.approx(8.28, abs=0.05)
    assert result.judged_share.picture < 0.25
    assert result.outcome == "inconclusive"


def test_a_file_of_which_another_track_goes_on_is_not_cut_short(tmp_path, tiny_path):
    pictures = [np.full((96, 96, 3), 128, np.uint8)] * 75
    path = write_clip(tmp_path / "clip.mp4", pictures, np.arange(75) / 25, sound=tone(1.0))
    result = load_model(tiny_path).scan(path, faces="none")
    assert result.duration_s == result.media.duration_s == pytest.approx(3.0, abs=0.05)
    assert result.not_judged[-1].end_s == pytest.approx(3.0, abs=0.05)
    assert "damaged" not in result.reasons
    assert not any("cut short" in note for note in result.notes)


@pytest.mark.parametrize("flags", ["+ildct+ilme", ""])
def test_an_interlaced_picture_is_told(tmp_path, tiny_path, flags):
    with av.open(str(tmp_path / "clip.ts"), "w") as output:
        stream = output.add_stream("mpeg2video", rate=25, options={"flags": flags} if flags else {})
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for _ in range(25):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((96, 96, 3), 90, np.uint8), format="rgb24")))
        output.mux(stream.encode())
    result = load_model(tiny_path).scan(tmp_path / "clip.ts")
    assert any("interlaced" in note for note in result.notes) == bool(flags)


@pytest.mark.parametrize(("fps", "is_told"), [(6, True), (9, True), (10, False), (25, False)])
def test_few_pictures_a_second_are_told(tmp_path, tiny_path, fps, is_told):
    pictures = [np.full((96, 96, 3), 60 + k, np.uint8) for k in range(2 * fps)]
    path = write_clip(tmp_path / "slow.mp4", pictures, np.arange(2 * fps) / fps)
    notes = load_model(tiny_path).scan(path).notes
    assert any(note.startswith(f"{fps} pictures a second: ") for note in notes) == is_told


def test_a_slideshow_is_judged_by_its_sound_alone(tmp_path, tiny_path):
    pictures = [np.full((96, 96, 3), 60 + 20 * k, np.uint8) for k in range(4)]
    path = write_clip(tmp_path / "slides.mkv", pictures, np.arange(4.0), sound=tone(4.0))
    result = load_model(tiny_path).scan(path, sound="all")
    assert any("still pictures (1 a second)" in note and "sound alone" in note for note in result.notes)
    assert {curve.modality for curve in result.curves} == {"audio", "fused"}
    assert not result.tracks
