"""Two experts, one scale: what genuine files say of scores, and what follows for the network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from clips import spoken, write_clip
from fakespan.checkpoint import load_checkpoint, save_checkpoint
from fakespan.cli import app
from fakespan.config import ModelConfig, PostConfig
from fakespan.errors import DataError, UsageError
from fakespan.localizer import load_model
from fakespan.localizer.alarms import (
    Alarms,
    Scale,
    count_alarms,
    fit_scales,
    forged_scores,
    read_alarms,
    save_alarms,
    set_scales,
    threshold_for,
)
from fakespan.models import build_model
from fakespan.models.expert import agreement, seam_confidence
from fakespan.models.experts import Experts
from fakespan.models.sound import sound_views
from sound_banks import TINY_EXPERTS


def network(seed: int = 0) -> Experts:
    torch.manual_seed(seed)
    built = build_model(TINY_EXPERTS).eval()
    assert isinstance(built, Experts)
    return built


def saved(path: Path, seed: int = 0, model: ModelConfig = TINY_EXPERTS) -> Path:
    torch.manual_seed(seed)
    save_checkpoint(path, build_model(model).eval(), name=path.stem, model=model)
    return path


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of five seconds of speech."""
    folder = tmp_path_factory.mktemp("genuine")
    for k in range(3):
        write_clip(folder / f"{k}.wav", sound=spoken(5.0), sound_rate=16_000, audio_codec="pcm_s16le")
    return folder


def test_a_louder_recording_looks_the_same_to_the_sound_expert() -> None:
    power = torch.randn(1, 1, 256, 40)
    torch.testing.assert_close(sound_views(power), sound_views(power + 3.0), atol=1e-4, rtol=1e-4)


def test_spans_that_their_frames_do_not_confirm_lose_their_score() -> None:
    frames = torch.full((1, 1, 20), -6.0)
    frames[..., 5:11] = 6.0
    middle = torch.arange(20) + 0.5
    offsets = torch.stack([(middle - 5).clamp(min=0), (11 - middle).clamp(min=0)])[None]
    score = agreement(frames, offsets, 8)[0]
    assert score[5, 5] == pytest.approx(1, abs=0.02)  # six frames from the fifth on
    assert score[2, 5] == pytest.approx(0.5, abs=0.02)
    best = divmod(int(score[:, :12].argmax()), 12)
    assert best == (5, 5)


def test_seams_confirm_spans_and_the_clips_borders_are_undecided() -> None:
    seams = torch.full((1, 2, 20), -8.0)
    seams[0, 0, 5] = seams[0, 1, 9] = 8.0
    score = seam_confidence(seams, 20)[0]
    assert score[4, 5] > 0.99  # five frames from the fifth on
    assert score[3, 5] < 0.05
    assert score[9, 0] == pytest.approx(0.5**0.5, abs=0.01)  # from the clip's start to the seam


@torch.inference_mode()
def test_scales_change_scores_and_not_their_order() -> None:
    experts, audio = network(), torch.randn(1, 1, 256, 160)
    plain = experts.encode_audio(audio).map
    experts.scales[1] = torch.tensor([2.0, 1.0])
    scaled = experts.encode_audio(audio).map
    torch.testing.assert_close(scaled, torch.sigmoid(2 * torch.logit(plain, eps=1e-6) + 1))


@torch.inference_mode()
def test_two_experts_that_agree_say_more_than_one_and_a_silent_one_says_nothing() -> None:
    experts, video, audio = network(), torch.rand(1, 3, 40, 96, 96), torch.randn(1, 1, 256, 160)
    seen, heard = experts.encode_video(video), experts.encode_audio(audio)
    fused = experts.fuse(seen, heard).fused
    assert (fused > torch.maximum(seen.map, heard.map)).all()
    silent = dataclasses.replace(seen, map=torch.zeros_like(seen.map))
    torch.testing.assert_close(experts.fuse(silent, heard).fused, heard.map, atol=1e-5, rtol=1e-4)


def alarms(minutes: float, *scores: float) -> Alarms:
    return Alarms(minutes, tuple(sorted(scores, reverse=True)), ("f",) * len(scores))


def test_on_the_common_scale_both_experts_are_wrong_equally_often() -> None:
    def logistic(low: float, high: float) -> Alarms:
        """The k-th of 400 alarms in 100 minutes is rarer than the next; the scores are logits between two."""
        logits = low + (high - low) * np.log(np.arange(1, 401) / 400) / np.log(1 / 400)
        return alarms(100, *(1 / (1 + np.exp(-logits))))

    quiet, loud = logistic(-6.0, -1.0), logistic(-1.0, 2.0)
    for found, scale in zip((quiet, loud), fit_scales(quiet, loud), strict=True):
        assert scale(found.score_at(1.0)) == pytest.approx(0.5, abs=0.005)
        assert scale(found.score_at(0.3)) == pytest.approx(0.7, abs=0.005)
        assert scale(found.score_at(0.1)) == pytest.approx(1 / (1 + 0.1**0.7), abs=0.005)


def test_a_threshold_lets_through_no_more_than_it_may() -> None:
    seen, heard = alarms(10, 0.9, 0.8, 0.8, 0.4), alarms(20, 0.95, 0.7)
    for allowed in (0.05, 0.1, 0.2, 0.4, 1.0):
        threshold = threshold_for(allowed, seen, heard)
        assert seen.per_minute(threshold) + heard.per_minute(threshold) <= allowed
    assert threshold_for(0.1, seen) == pytest.approx(0.801)
    assert threshold_for(0.0, seen, heard) == pytest.approx(0.951)


def test_a_threshold_is_not_below_what_was_counted() -> None:
    seen, heard = alarms(10, 0.9, 0.4), alarms(20, 0.95, 0.0302)
    assert threshold_for(100.0, heard) == pytest.approx(0.031)
    assert threshold_for(100.0, seen, heard) == pytest.approx(0.4)


def test_counts_of_several_models_add_up() -> None:
    both = Alarms.merged([alarms(10, 0.9, 0.2), alarms(30, 0.5)])
    assert (both.minutes, both.scores) == (40, (0.9, 0.5, 0.2))
    assert both.scaled(Scale(1, 0)).scores == pytest.approx(both.scores)


def test_too_few_genuine_minutes_tell_no_rate() -> None:
    with pytest.raises(DataError, match="at least 60 minutes"):
        alarms(5, 0.9, 0.8).score_at(0.05)


def test_an_expert_is_asked_alone_and_then_both_are_again(tmp_path: Path) -> None:
    localizer = load_model(saved(tmp_path / "m.safetensors"), "cpu")
    set_scales(localizer, (Scale(1, 9), Scale(1, 9)))  # both cry wolf
    sounds = {tmp_path / f"{k}.wav": spoken(5.0) for k in range(3)}
    options = {"sound_rate": 16_000, "audio_codec": "pcm_s16le"}
    files = [write_clip(path, sound=sound, **options) for path, sound in sounds.items()]
    before = localizer.network.state_dict()["scales"].clone()
    heard = count_alarms(localizer, files, "audio")
    assert heard.scores
    assert heard.minutes == pytest.approx(0.24, abs=0.02)  # some of it is silence
    assert set(heard.files) <= {f.name for f in files}
    with pytest.raises(DataError, match="files with a face to judge, got 3 without"):  # no minutes, so no rate
        count_alarms(localizer, files, "visual")
    torch.testing.assert_close(localizer.network.state_dict()["scales"], before)


def test_files_that_cannot_be_scanned_are_told_and_passed_over(genuine: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"nothing")
    localizer = load_model(saved(tmp_path / "m.safetensors"), "cpu")
    found = count_alarms(localizer, [broken, *genuine.glob("*.wav")])
    assert len(found.failed) == 1
    assert "broken.wav" in found.failed[0]
    with pytest.raises(DataError, match="genuine files"):
        count_alarms(localizer, [broken])


def test_a_network_of_another_family_has_no_experts(genuine: Path, tmp_path: Path) -> None:
    localizer = load_model("small", "cpu")
    localizer.model = dataclasses.replace(localizer.model, family="small", sound_shifts=1)
    with pytest.raises(UsageError, match="experts"):
        count_alarms(localizer, list(genuine.glob("*.wav")), "audio")


def test_minutes_are_those_in_which_somebody_speaks(tmp_path: Path) -> None:
    sound = np.pad(spoken(3.0), ((0, 0), (0, 7 * 16_000)))
    file = write_clip(tmp_path / "pause.wav", sound=sound, sound_rate=16_000, audio_codec="pcm_s16le")
    heard = count_alarms(load_model(saved(tmp_path / "m.safetensors"), "cpu"), [file], "audio")
    assert heard.minutes == pytest.approx(3 / 60, abs=0.02)


def test_a_calibrated_model_keeps_what_was_counted(tmp_path: Path) -> None:
    model, out = saved(tmp_path / "m.safetensors"), tmp_path / "calibrated.safetensors"
    counts = [alarms(minutes, *(0.002 * k for k in range(1, 400))) for minutes in (20, 40)]
    paths = [tmp_path / "visual.json", tmp_path / "audio.json"]
    for path, count in zip(paths, counts, strict=True):
        save_alarms(path, count, "m", None)
    given = ["--visual", str(paths[0]), "--audio", str(paths[1]), "--out", str(out)]
    command = ["experts", "calibrate", str(model), *given]
    few = CliRunner().invoke(app, [*command, "--forged", str(tmp_path / "few.wav")])
    assert few.exit_code != 0
    assert not out.exists()
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    post = load_checkpoint(out).post
    assert (post.rates.visual.minutes, post.rates.audio.minutes) == (20, 40)
    kept = [post.rates.visual, post.rates.audio]
    assert sum(sum(score >= post.threshold for score in kind.scores) / kind.minutes for kind in kept) <= 0.25
    with pytest.raises(DataError, match="at least 20 forged files"):
        forged_scores(load_model(out, "cpu"), [tmp_path / "one.wav"])


def test_join_takes_each_expert_from_its_file(tmp_path: Path) -> None:
    picture, sound = saved(tmp_path / "p.safetensors", 1), saved(tmp_path / "s.safetensors", 2)
    out = tmp_path / "joined.safetensors"
    call = CliRunner().invoke(app, ["experts", "join", str(picture), str(sound), "--out", str(out), "--name", "two"])
    assert call.exit_code == 0, call.output
    joined = load_checkpoint(out)
    weights = joined.network.state_dict()
    for part, path in (("picture.", picture), ("sound.", sound)):
        given = load_checkpoint(path).network.state_dict()
        assert all(torch.equal(weights[key], given[key]) for key in weights if key.startswith(part))
    assert joined.name == "two"


def test_a_joined_model_has_the_post_processing_of_the_sound_expert(tmp_path: Path) -> None:
    picture, sound, out = (tmp_path / f"{name}.safetensors" for name in ("picture", "sound", "joined"))
    saved(picture, 1)
    own = PostConfig(nms_alpha=0.31)
    save_checkpoint(sound, build_model(TINY_EXPERTS), name="sound", model=TINY_EXPERTS, post=own)
    assert CliRunner().invoke(app, ["experts", "join", str(picture), str(sound), "--out", str(out)]).exit_code == 0
    assert load_checkpoint(out).post == own


def test_a_joined_model_has_no_scales_of_an_earlier_calibration(tmp_path: Path) -> None:
    calibrated = load_checkpoint(saved(tmp_path / "m.safetensors", 1))
    calibrated.network.load_state_dict({**calibrated.network.state_dict(), "scales": torch.full((2, 2), 3.0)})
    picture, out = tmp_path / "p.safetensors", tmp_path / "joined.safetensors"
    save_checkpoint(picture, calibrated.network, name="p", model=calibrated.model, post=calibrated.post)
    call = CliRunner().invoke(app, ["experts", "join", str(picture), str(picture), "--out", str(out)])
    assert call.exit_code == 0, call.output
    assert load_checkpoint(out).network.state_dict()["scales"].tolist() == [[1, 0], [1, 0]]


def test_join_refuses_experts_of_other_sizes(tmp_path: Path) -> None:
    picture = saved(tmp_path / "p.safetensors", 1)
    sound = saved(tmp_path / "s.safetensors", 2, dataclasses.replace(TINY_EXPERTS, n_features=12))
    call = CliRunner().invoke(
        app, ["experts", "join", str(picture), str(sound), "--out", str(tmp_path / "o.safetensors")]
    )
    assert isinstance(call.exception, UsageError)
    assert not (tmp_path / "o.safetensors").exists()


def test_alarms_and_calibrate_by_the_command_line(
    genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakespan.localizer.alarms.RATES", (18.0, 16.0, 14.0))
    monkeypatch.setattr("fakespan.localizer.alarms.FLOOR", 0.001)
    model, out, count = saved(tmp_path / "m.safetensors"), tmp_path / "o.safetensors", tmp_path / "audio.json"
    run = CliRunner()
    call = run.invoke(
        app, ["experts", "alarms", str(model), "--only", "audio", "--genuine", str(genuine), "--out", str(count)]
    )
    assert call.exit_code == 0, call.output
    heard = read_alarms(count)
    assert heard.minutes == pytest.approx(0.25, abs=0.06)
    arguments = ["experts", "calibrate", str(model), "--visual", str(count), "--audio", str(count), "--out", str(out)]
    call = run.invoke(app, [*arguments, "--per-minute", "4", "--json"])
    assert call.exit_code == 0, call.output
    facts = json.loads(call.output[call.output.index("{") :])
    assert facts["visual_per_minute"] + facts["audio_per_minute"] <= 4
    calibrated = load_checkpoint(out)
    assert calibrated.post.threshold == facts["threshold"]
    assert calibrated.notes["genuine"]["audio_minutes"] == pytest.approx(0.25, abs=0.06)


def test_alarms_name_the_files_that_could_not_be_counted(genuine: Path, tmp_path: Path) -> None:
    model, count, bad = saved(tmp_path / "m.safetensors"), tmp_path / "audio.json", tmp_path / "bad\x1b[31m.wav"
    bad.write_text("no sound")
    sources = [part for path in (genuine, bad) for part in ("--genuine", str(path))]
    call = CliRunner().invoke(
        app, ["experts", "alarms", str(model), "--only", "audio", *sources, "--out", str(count), "--device", "cpu"]
    )
    assert call.exit_code == 1
    assert call.stderr.startswith("fakespan: ")
    assert r"bad\x1b[31m.wav" in call.stderr
    assert read_alarms(count).n_files > 0


def test_calibrate_needs_enough_genuine_minutes(tmp_path: Path) -> None:
    model, out, count = saved(tmp_path / "m.safetensors"), tmp_path / "o.safetensors", tmp_path / "c.json"
    save_alarms(count, alarms(2, 0.5, 0.4), "m", "audio")
    arguments = ["experts", "calibrate", str(model), "--visual", str(count), "--audio", str(count), "--out", str(out)]
    call = CliRunner().invoke(app, arguments)
    assert isinstance(call.exception, DataError)
    assert "at least 10 minutes" in str(call.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "fakespan.alarms/9"}', '{"format": "fakespan.alarms/1", "minutes": 1}']
)
def test_what_is_no_count_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "count.json"
    path.write_text(text)
    with pytest.raises(DataError, match="experts alarms"):
        read_alarms(path)
