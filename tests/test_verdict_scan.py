"""A head joined to its model, and what a scan then says of the whole file; without a head it says what is missing."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clips import spoken, write_clip
from conftest import TINY
from fakespan.boundary_map import at_clock, peak
from fakespan.checkpoint import Checkpoint, load_checkpoint, load_head, save_checkpoint, save_head
from fakespan.config import SAMPLES_PER_FRAME, ModelConfig, PostConfig
from fakespan.errors import CheckpointError, DataError
from fakespan.localizer import Clip, Localizer
from fakespan.localizer.maps import window_frames
from fakespan.localizer.stretch import Stretch, listen
from fakespan.localizer.verdict import at_network_clock, head_verdict
from fakespan.models import build_model
from fakespan.models.verdict_head import Calibration, WayFit
from fakespan.report.export import csv_text, json_text, read_json
from fakespan.report.html import render_html
from fakespan.report.terminal import render
from fakespan.report.words import whole
from fakespan.train.run import RunConfig, fit_threshold
from fakespan.types import Scan, Verdict
from heads import a_head, head_of
from scans import audio_only, clean, forged
from tiny_training import TinySet

WITH_MLP = Verdict("mlp", score=0.61234, threshold=0.41, probability=0.93)
WITH_MAXIMUM = Verdict("maximum", score=0.2, threshold=0.41, probability=0.12)
PLAIN = Verdict("maximum", score=0.93, threshold=0.5)


def network(model: ModelConfig) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build_model(model).eval()


def localizer(model: ModelConfig = TINY) -> Localizer:
    """A random network with a head."""
    plain = Checkpoint("random", model, PostConfig(), network(model))
    return Localizer(dataclasses.replace(plain, head=head_of(plain)), "cpu")


@pytest.fixture
def head_path(tiny_path, tmp_path):
    """A head of the tiny model."""
    save_head(tmp_path / "head.safetensors", head_of(load_checkpoint(tiny_path)))
    return tmp_path / "head.safetensors"


@pytest.fixture
def voice(tmp_path):
    return write_clip(tmp_path / "voice.wav", sound=spoken(1.0), sound_rate=16_000, audio_codec="pcm_s16le")


# -- joined to a checkpoint


def test_a_joined_model_is_the_model_and_the_head(call, tiny_path, head_path, tmp_path):
    out = tmp_path / "joined.safetensors"
    assert call("verdict", "join", head_path, "--model", tiny_path, "--out", out)[::2] == (0, "")
    plain, joined, head = load_checkpoint(tiny_path), load_checkpoint(out), load_head(head_path)
    for key, value in plain.network.state_dict().items():
        assert torch.equal(value, joined.network.state_dict()[key])
    assert (joined.name, joined.model, joined.post, joined.notes) == (plain.name, plain.model, plain.post, plain.notes)
    assert joined.head is not None
    assert dataclasses.replace(joined.head, mlp=head.mlp) == head
    for key, value in head.mlp.state_dict().items():
        assert torch.equal(value, joined.head.mlp.state_dict()[key])
    assert plain.head is None
    code, facts, _ = call("info", out, "--json")
    assert code == 0
    assert json.loads(facts)["verdict"]["model"]["name"] == "tiny"
    assert json.loads(call("info", tiny_path, "--json")[1])["verdict"] is None
    assert json.loads(call("info", head_path, "--json")[1])["verdict"]["config"]["widths"] == [6, 5]


def test_a_head_may_hold_the_maximum_alone(tmp_path):
    judge = localizer()
    head = dataclasses.replace(judge.head, mlp=None, mlp_fit=None)
    path = tmp_path / "joined.safetensors"
    save_checkpoint(path, judge.network, name="x", model=TINY, head=head)
    assert load_checkpoint(path).head == head
    assert not any(key.startswith("verdict.") for key in load_file(path))


def test_a_head_of_another_model_is_refused_and_nothing_is_written(call, tiny_path, tmp_path):
    other = Checkpoint("other", TINY, PostConfig(), network(TINY))
    save_head(tmp_path / "head.safetensors", head_of(other))
    (tmp_path / "out.safetensors").write_text("what was there")
    out = tmp_path / "out.safetensors"
    join = ("verdict", "join", tmp_path / "head.safetensors", "--model", tiny_path, "--out", out)
    code, _, err = call(*join, "--overwrite")
    assert code == 1
    assert "expected a verdict head fitted on maps of tiny (" in err
    assert "got one of other (" in err
    assert "store maps of this model and fit a head on them" in err
    assert len(err.splitlines()) == 1
    assert out.read_text() == "what was there"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("change", [{"max_duration": 11}, {"n_frames": 65}, {"clock": "stretch"}])
def test_the_same_weights_at_another_size_are_another_model(tmp_path, change):
    judge = localizer()
    head = dataclasses.replace(judge.head, model=dataclasses.replace(judge.head.model, **change))
    with pytest.raises(CheckpointError, match="fitted on maps of x"):
        save_checkpoint(tmp_path / "x.safetensors", judge.network, name="x", model=TINY, head=head)


def test_a_file_that_is_there_is_replaced_only_when_asked_for(call, tiny_path, head_path, tmp_path):
    out = tmp_path / "joined.safetensors"
    out.write_text("precious")
    join = ("verdict", "join", head_path, "--model", tiny_path, "--out", out)
    code, _, err = call(*join)
    assert (code, out.read_text()) == (2, "precious")
    assert "use --overwrite" in err
    assert call(*join, "--overwrite")[0] == 0
    assert load_checkpoint(out).head is not None


def test_a_joined_head_of_other_weights_is_refused_when_the_file_is_read(tmp_path):
    judge, path = localizer(), tmp_path / "x.safetensors"
    save_checkpoint(path, judge.network, name="x", model=TINY, head=judge.head)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    tensors["visual_classifier.weight"] *= 1.5
    save_file(tensors, path, metadata=header)
    with pytest.raises(CheckpointError, match="fitted on maps of x"):
        load_checkpoint(path)


def test_the_head_is_not_overwritten_by_what_it_is_joined_to(call, tiny_path, head_path):
    before = head_path.read_bytes()
    code, _, err = call("verdict", "join", head_path, "--model", tiny_path, "--out", head_path)
    assert (code, head_path.read_bytes()) == (2, before)
    assert "--out: expected a new file, got the head itself" in err


def test_a_model_is_no_head(call, tiny_path, tmp_path):
    code, _, err = call("verdict", "join", tiny_path, "--model", tiny_path, "--out", tmp_path / "x.safetensors")
    assert (code, "expected a verdict head of fakespan, got a model file of fakespan" in err) == (1, True)


def test_a_threshold_that_is_set_anew_keeps_the_head(tmp_path):
    judge = localizer()
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, judge.network, name="x", model=TINY, head=judge.head)
    examples = [TinySet(2, lengths=(12,))[0]]
    assert fit_threshold(path, RunConfig(name="x", model=TINY), examples).head is not None


# -- what a scan says


def test_a_scan_with_a_head_gives_a_calibrated_probability(call, tiny_path, head_path, voice, tmp_path):
    joined = tmp_path / "joined.safetensors"
    call("verdict", "join", head_path, "--model", tiny_path, "--out", joined)
    said, head = Localizer(load_checkpoint(joined), "cpu").scan(voice).verdict, load_head(head_path)
    assert (said.way, said.threshold) == ("mlp", round(head.mlp_fit.threshold, 4))
    assert said.probability == pytest.approx(head.probability(said.score), abs=1e-3)
    code, out, _ = call("scan", voice, "--model", joined, "--device", "cpu")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("whole recording:"))
    assert f"forged with probability {said.probability:.2f} (3-layer MLP over the map;" in line


def test_a_scan_says_on_what_the_probability_was_calibrated(tiny_path, voice, tmp_path):
    plain = load_checkpoint(tiny_path)
    head = head_of(plain, notes={"validation": {"clips": 8, "fake": 6}})
    result = Localizer(dataclasses.replace(plain, head=head), "cpu").scan(voice)
    assert result.verdict.fake_share == 0.75
    assert "(3-layer MLP over the map, calibrated where 75% of the videos are forged;" in whole(result)
    (tmp_path / "x.json").write_text(json_text(result))
    assert read_json(tmp_path / "x.json").verdict == result.verdict


@pytest.mark.parametrize("notes", [{}, {"validation": 3}, {"validation": {"clips": 0, "fake": 0}}])
def test_a_head_that_does_not_say_on_what_it_was_fitted_has_no_share(notes):
    assert a_head(notes=notes).fake_share is None


def test_without_a_head_the_maximum_stands_in_and_the_scan_says_so(call, tiny_path, voice):
    result = Localizer(load_checkpoint(tiny_path), "cpu").scan(voice, threshold=0.25)
    assert result.verdict == Verdict("maximum", result.score, 0.25, None)
    assert result.verdict.is_fake == result.is_fake
    out = " ".join(call("scan", voice, "--model", tiny_path, "--device", "cpu")[1].split())
    assert f"score {result.score:.2f}, the maximum of the map, not calibrated (this model has no verdict head)" in out


def test_the_verdict_changes_nothing_else(tiny_path, voice):
    plain = load_checkpoint(tiny_path)
    sure = WayFit.of(0.5, Calibration(0, 9))  # whatever it sees is forged
    head = head_of(plain, mlp_fit=sure)
    with_head = Localizer(dataclasses.replace(plain, head=head), "cpu").scan(voice, threshold=1.0)
    without = Localizer(plain, "cpu").scan(voice, threshold=1.0)
    assert dataclasses.replace(with_head, verdict=without.verdict) == without
    assert (with_head.is_fake, with_head.verdict.is_fake) == (False, True)
    assert with_head.verdict.threshold == round(sure.threshold, 4)  # --threshold is that of segments


def noise(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    sound = (0.3 * rng.standard_normal(n * SAMPLES_PER_FRAME)).astype(np.float32)
    return rng.integers(0, 255, (n, 96, 96, 3), np.uint8), sound


@pytest.mark.parametrize(("clock", "n"), [("pad", 20), ("pad", 75), ("stretch", 32), ("stretch", 50)])
def test_a_file_gets_the_verdict_of_the_maps_that_a_head_is_fitted_on(clock, n):
    """A head is fitted on what `Localizer.judge` gives; a file goes another way to the same score."""
    judge = localizer(dataclasses.replace(TINY, clock=clock, n_frames=32))
    faces, sound = noise(n)
    (maps,) = judge.judge([Clip(n, faces, sound)])
    stretch = Stretch(judge.judge_clip, judge.model, 0, sound)
    for face in faces:
        stretch.push(face)
    told = stretch.finish().score
    for head in (judge.head, dataclasses.replace(judge.head, mlp=None, mlp_fit=None)):
        said = head_verdict(head, [told], judge.model)
        assert said.score == pytest.approx(head.score(maps.score), abs=2e-4)
        assert said.way == head.way


def test_the_worst_stretch_of_a_file_speaks_for_it():
    head = a_head(with_mlp=False)
    maps = [np.full((10, n), level, np.float32) for n, level in ((30, 0.2), (5, 0.8), (90, 0.4))]
    assert head_verdict(head, maps, TINY).score == pytest.approx(0.8)
    assert head_verdict(head, maps[::2], TINY).score == pytest.approx(0.4)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.integers(0, 20), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_a_stretched_map_comes_back_to_the_clock_of_its_network(rows, more, longer, seed):
    n_steps = rows + more
    model = ModelConfig(n_frames=n_steps, max_duration=rows, clock="stretch")
    n = min(n_steps + longer, window_frames(model))
    score_map = np.random.default_rng(seed).random((rows, n_steps), dtype=np.float32)
    fits = np.arange(n_steps) + np.arange(rows)[:, None] < n_steps
    (back,) = at_network_clock(at_clock(score_map, n), model)
    np.testing.assert_array_equal(back, score_map * fits)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(0, 20), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_map_of_any_length_keeps_its_peak_and_its_rows(rows, more, n, seed):
    model = ModelConfig(n_frames=rows + more, max_duration=rows, clock="stretch")
    longest = -(-rows * min(n, window_frames(model)) // model.n_frames)
    score_map = np.random.default_rng(seed).random((longest, n), dtype=np.float32)
    parts = list(at_network_clock(score_map, model))
    assert all(part.shape == (rows, model.n_frames) for part in parts)
    whole = [part for part in parts if part.size]
    assert max(map(peak, whole)) <= peak(score_map)
    if n <= window_frames(model):
        assert peak(whole[0]) == peak(score_map)


@pytest.mark.parametrize("clock", ["pad", "stretch"])
@pytest.mark.parametrize(("begin", "end"), [(0, 12), (40, 52), (20, 200), (0, 260), (3, 255)])
def test_sound_beside_a_face_is_judged_whatever_its_length(clock, begin, end):
    judge = localizer(dataclasses.replace(TINY, clock=clock, n_frames=32))
    maps = listen(judge.judge_clip, judge.model, noise(260)[1], begin, end)
    parts = list(at_network_clock(maps.score, judge.model))
    assert all(part.shape[0] == 10 for part in parts)
    assert all(1 <= part.shape[1] <= 32 for part in parts) or clock == "pad"
    said = head_verdict(judge.head, [maps.score], judge.model)
    assert 0 <= said.score <= 1


# -- what is shown


def shown(scan: Scan, width: int = 200) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(render(scan))
    return buffer.getvalue()


SAID = [
    (WITH_MLP, "forged with probability 0.93 (3-layer MLP over the map; counts as forged from 0.41 on)"),
    (WITH_MAXIMUM, "forged with probability 0.12 (maximum of the map, calibrated; would count as forged from 0.41 on)"),
    (
        PLAIN,
        "score 0.93, the maximum of the map, not calibrated (this model has no verdict head); counts as forged from "
        "0.50 on",
    ),
    (dataclasses.replace(WITH_MLP, probability=0.9999), "forged with probability above 0.99 ("),
    (dataclasses.replace(WITH_MLP, probability=0.0), "forged with probability below 0.01 ("),
]


@pytest.mark.parametrize(("verdict", "said"), SAID)
def test_terminal_and_page_say_the_same_of_the_whole_file(verdict, said):
    scan = forged(verdict=verdict)
    assert f"whole video: {said}" in shown(scan)
    page = render_html(scan)
    assert f"Whole video: {said}" in page
    assert "answer different questions" in page


def test_a_recording_is_no_video():
    assert "whole recording: score" in shown(audio_only(verdict=PLAIN))


def test_a_narrow_window_holds_it_all():
    text = shown(forged(verdict=PLAIN), 40)
    assert max(map(len, text.splitlines())) <= 40
    assert "this model has no verdict head" in " ".join(text.split())


def test_an_older_scan_says_nothing_of_it():
    assert "whole" not in shown(forged())
    assert "hole video" not in render_html(forged())


def test_segments_decide_the_headline_whatever_the_verdict():
    text = shown(clean(verdict=WITH_MLP))
    assert text.splitlines()[1].startswith("no forgery found")
    assert "counts as forged from 0.41" in text


@pytest.mark.parametrize("verdict", [None, WITH_MLP, WITH_MAXIMUM, PLAIN])
def test_json_gives_back_the_verdict(tmp_path, verdict):
    scan = forged(verdict=verdict)
    (tmp_path / "x.json").write_text(json_text(scan))
    assert read_json(tmp_path / "x.json") == scan
    assert read_json(tmp_path / "x.json").is_fake is scan.is_fake is forged().is_fake


def test_an_older_record_still_loads():
    record = forged(verdict=WITH_MLP).to_dict()
    del record["verdict"]
    assert Scan.from_dict(json.loads(json.dumps(record))) == forged()


@pytest.mark.parametrize(
    "changes",
    [{"way": "guess"}, {"score": None}, {"score": float("nan")}, {"probability": "high"}, {"threshold": True}],
)
def test_a_record_with_a_wrong_verdict_is_refused(tmp_path, changes):
    record = forged(verdict=WITH_MLP).to_dict()
    record["verdict"] |= changes
    (tmp_path / "x.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="expected a fakespan result"):
        read_json(tmp_path / "x.json")
    record["verdict"] = 3
    (tmp_path / "x.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="expected a fakespan result"):
        read_json(tmp_path / "x.json")


def test_the_table_has_the_verdict():
    rows = csv.DictReader(csv_text([clean(verdict=WITH_MLP), clean(verdict=PLAIN), clean()]).splitlines())
    names = ("verdict_way", "verdict_score", "verdict_probability", "verdict_threshold")
    found = [[row[name] for name in names] for row in rows]
    assert found == [["mlp", "0.6123", "0.9300", "0.41"], ["maximum", "0.9300", "", "0.5"], [""] * 4]
