"""`fakespan evaluate` on tiny sets: what is written, and that neither a kill nor the batch size changes it.

Stand-ins for the network say what a perfect one would, so that the numbers are known.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from clips import tone, write_clip
from datasets import cut_short, make_avdeepfake1m, make_dfdc, make_forgerynet, make_lavdf, write_json, write_test_clip
from fakespan.boundary_map import iou_map_target
from fakespan.data.manifest import load_manifest
from fakespan.data.prepare import prepare
from fakespan.data.sets import open_set
from fakespan.errors import DataError, MissingExtraError, UsageError
from fakespan.evaluate import run as run_module
from fakespan.evaluate.folder import MAPS
from fakespan.evaluate.run import SetOptions, evaluate_set
from fakespan.localizer import ClipMaps, load_model
from fakespan.models.digest import weights_digest
from fakespan.scoring import proposal_writer
from fakespan.scoring.proposals import read_proposals

N_TEST, D = 8, 40
OPTIONS = SetOptions(n_workers=0)


@pytest.fixture(scope="module")
def lavdf(tmp_path_factory) -> Path:
    """Two each of real, audio, visual and both, of a second."""
    return make_lavdf(tmp_path_factory.mktemp("lavdf") / "LAV", 1, 1, N_TEST, seconds=1.0)


@pytest.fixture(scope="module")
def tiny(tiny_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load_model(tiny_path, "cpu")
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(lavdf, tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "whole"
    evaluate_set(tiny, f"lavdf:{lavdf}", folder, OPTIONS)
    return folder


@pytest.fixture(scope="module")
def on_frames(tmp_path_factory) -> Path:
    """The same, with every span on the frames' borders, so that a map can name it exactly."""
    root = make_lavdf(tmp_path_factory.mktemp("frames") / "LAV", 0, 0, N_TEST, seconds=1.0)
    for name in ("metadata.json", "metadata.min.json"):
        entries = json.loads((root / name).read_text())
        for k, entry in enumerate(entries):
            entry["fake_periods"] = [[0.04 * k, 0.04 * (k + 10)] for _ in entry["fake_periods"]]
        write_json(root / name, entries)
    return root


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """They take a second; `uninterrupted`, which is made before this takes hold, has them."""
    monkeypatch.setattr(run_module, "draw", lambda score, folder: [])


def perfect(examples):
    """The maps of a network that knows."""
    answers = []
    for e in examples:
        n = len(e.faces)
        answers.append(ClipMaps(25.0, *(iou_map_target(s, n, n, D) for s in (e.spans, e.visual_spans, e.audio_spans))))
    return answers


def proposals_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / f"{name}.json").read_bytes() for name in MAPS}


def rows_of(evaluation) -> dict[tuple[str, str], dict[str, float]]:
    return {(row.map_name, row.subset): row.values for row in evaluation.table.rows}


# -- what is written --------------------------------------------------------------------------------------------------


def test_a_set_becomes_proposals_and_the_published_table(uninterrupted):
    names = {path.name for path in uninterrupted.iterdir()}
    wanted = {"run.json", "result.json", "table.md", "table.csv"}
    assert names >= {f"{m}.{s}" for m in MAPS for s in ("json", "parquet")} | wanted
    assert not [name for name in names if "part" in name]
    with (uninterrupted / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["map"], r["subset"]) for r in rows] == [(m, s) for m in MAPS for s in ("full", "visual", "audio")]
    assert {(r["subset"], r["clips"], r["spans"]) for r in rows} == {
        ("full", "8", "6"), ("visual", "6", "4"), ("audio", "6", "4")}  # fmt: skip
    columns = ["AP@0.5", "AP@0.75", "AP@0.95", "AR@100", "AR@50", "AR@20", "AR@10", "AUC"]
    assert list(rows[0])[4:] == columns
    assert (
        (uninterrupted / "table.md").read_text().startswith(f"| map | subset | clips | spans | {' | '.join(columns)}")
    )
    result = json.loads((uninterrupted / "result.json").read_text())
    assert result["settings"]["data"] == "lavdf:LAV"
    assert str(uninterrupted.parent.parent) not in (uninterrupted / "result.json").read_text()
    assert result["clips"]["all"] == N_TEST
    assert set(result["fused, by kind"]) == {"audio", "visual", "both"}
    assert {len(score["buckets"]) for score in result["scores"].values()} == {4}
    for name in MAPS:
        plots = {path.name for path in (uninterrupted / "plots" / name).iterdir()}
        assert plots == {"precision_recall.png", "recall.png", "scores.png"}
    for key in ("fakespan", "torch"):
        assert key in result["versions"]


def test_the_files_are_the_published_format(uninterrupted, lavdf):
    samples = load_manifest(f"lavdf:{lavdf}").choose("test")
    found = json.loads((uninterrupted / "fused.json").read_text())
    assert set(found) == {s.name for s in samples}
    for table in found.values():
        scores, begins, ends = np.array(table).T
        assert len(table) == 101
        assert (np.diff(scores) <= 0).all()
        assert ((begins == np.round(begins)) & (ends > begins) & (ends <= 25)).all()  # frames
    in_seconds = read_proposals(uninterrupted / "fused.parquet")
    for name, table in found.items():
        np.testing.assert_allclose(in_seconds[name], np.array(table) / [1, 25, 25], rtol=1e-6)


def test_a_perfect_network_gets_the_perfect_numbers(tmp_path, tiny, on_frames):
    said = evaluate_set(tiny, f"lavdf:{on_frames}", tmp_path / "out", OPTIONS, judge=perfect)
    rows = rows_of(said)
    for map_name, subset, n_spans in (("fused", "full", 6), ("visual", "visual", 4), ("audio", "audio", 4)):
        best = 1 - 1 / n_spans  # the published curve begins at the first proposal
        wanted = {"AP@0.5": best, "AP@0.75": best, "AP@0.95": best, "AUC": 1}
        wanted |= dict.fromkeys(("AR@100", "AR@50", "AR@20", "AR@10"), 1)
        assert rows[map_name, subset] == pytest.approx(wanted)
    # the sound says nothing of what was forged in the picture alone: two fakes of six look like the two real ones
    assert rows["audio", "full"]["AUC"] == pytest.approx((4 * 2 + 2 * 2 * 0.5) / (6 * 2))


@pytest.mark.parametrize(
    ("kind", "make", "split"),
    [
        ("avdeepfake1m", lambda root: make_avdeepfake1m(root, 0, 8, 0, seconds=1.0), "validation"),
        ("forgerynet", lambda root: make_forgerynet(root, 1, 6), "validation"),
    ],
)
def test_times_fit_those_of_the_labels_in_every_set(tmp_path, tiny, kind, make, split):
    options = SetOptions(n_workers=0, split=split, faces="whole")
    said = evaluate_set(tiny, f"{kind}:{make(tmp_path / 'set')}", tmp_path / "out", options, judge=perfect)
    row = said.table.rows[0]
    assert row.n_spans > 2
    assert row.values["AP@0.75"] == pytest.approx(1 - 1 / row.n_spans)
    assert row.values["AUC"] == 1


def test_a_set_that_labels_whole_videos_is_rated_by_auc(tmp_path, tiny):
    root = make_dfdc(tmp_path / "DFDC", 2, 1, 2, n_test=0, seconds=1.0)
    options = SetOptions(n_workers=0, split="train", faces="whole")
    said = evaluate_set(tiny, f"dfdc:{root}", tmp_path / "out", options, judge=perfect)
    assert said.table.rows[0].values["AUC"] == 1
    assert any("labels whole videos" in note for note in said.notes)


def test_the_published_decoding_ends_each_span_a_frame_early(tmp_path, tiny, on_frames):
    options = dataclasses.replace(OPTIONS, decoding="published")
    said = evaluate_set(tiny, f"lavdf:{on_frames}", tmp_path / "out", options, judge=perfect)
    full = rows_of(said)["fused", "full"]
    assert full["AP@0.75"] == pytest.approx(1 - 1 / 6)
    assert full["AP@0.95"] == 0  # nine frames of ten
    assert 0.8 <= full["AR@10"] < 0.9  # of the ten thresholds 0.95 is not passed, 0.9 by rounding alone
    best = read_proposals(tmp_path / "out" / "fused.json")
    for sample in load_manifest(f"lavdf:{on_frames}").choose("test"):
        for start_s, end_s in sample.spans:
            assert best[sample.name][0] == pytest.approx((1, start_s, end_s - 0.04), abs=1e-6)


def test_intervals_hold_their_numbers(tmp_path, tiny, lavdf, uninterrupted):
    shutil.copytree(uninterrupted, tmp_path / "out")
    options = dataclasses.replace(OPTIONS, n_bootstrap=30)
    told = []
    said = evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "out", options, lambda *what, **note: told.append(note))
    assert {"note": "intervals of audio"} in told
    for row in said.table.rows:
        for name, (low, high) in row.intervals.items():
            assert 0 <= low <= high <= 1
            assert name in row.values
    assert "AP@0.5 low" in (tmp_path / "out" / "table.csv").read_text()
    assert "--bootstrap 30" in said.result["command"]
    assert said.result["command"].startswith("fakespan evaluate --data lavdf:LAV --model tiny --split test")


def test_without_matplotlib_there_is_a_word_in_place_of_the_plots(tmp_path, tiny, lavdf, monkeypatch):
    def missing(score, folder):
        raise MissingExtraError("matplotlib", "train")

    monkeypatch.setattr(run_module, "draw", missing)
    said = evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "out", SetOptions(n_workers=0, limit=4))
    assert any("no plots were written" in note for note in said.notes)
    assert said.table is not None


def test_a_prepared_store_gives_nearly_the_same(tmp_path, tiny):
    root = make_avdeepfake1m(tmp_path / "AV", 0, 4, 0, seconds=1.0)
    prepare(f"avdeepfake1m:{root}", tmp_path / "store")
    options = SetOptions(split="validation", n_workers=0)
    said = [evaluate_set(tiny, source, tmp_path / source.partition(":")[0], options)
            for source in (f"avdeepfake1m:{root}", f"store:{tmp_path / 'store'}")]  # fmt: skip
    assert said[0].table.columns == said[1].table.columns
    assert "AP@0.9" in said[1].table.columns
    a, b = (read_proposals(s.folder / "fused.json") for s in said)
    assert a.names == b.names
    for name in a:
        assert a[name][0, 0] == pytest.approx(b[name][0, 0], abs=0.05)  # the store is not quite lossless


def test_an_option_for_each_choice_of_clips(tmp_path, tiny, lavdf):
    options = SetOptions(n_workers=0, subset="audio", limit=3, decoding="published")
    said = evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "out", options, judge=perfect)
    assert {row.subset for row in said.table.rows} == {"audio"}
    assert said.result["clips"]["all"] == 3
    assert len(read_proposals(tmp_path / "out" / "fused.json")) == 3
    dev = SetOptions(n_workers=0, split="dev")
    said = evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "dev", dev)  # one real clip: nothing can be told
    assert said.result["settings"]["split"] == "validation"
    assert all(np.isnan(v) or v == 0 for row in said.table.rows for v in row.values.values())


# -- batches, kills ---------------------------------------------------------------------------------------------------


def test_batches_and_workers_change_nothing(tmp_path, tiny, lavdf, uninterrupted):
    together = SetOptions(n_workers=1, batch_size=3)
    said = evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "out", together)
    whole = json.loads((uninterrupted / "result.json").read_text())
    for row, before in zip(said.table.rows, whole["table"], strict=True):
        assert row.to_dict() == pytest.approx(before, abs=1e-6)
    for name in MAPS:
        a, b = (read_proposals(folder / f"{name}.json") for folder in (uninterrupted, tmp_path / "out"))
        for clip in a:
            np.testing.assert_allclose(a[clip][:, 0], b[clip][:, 0], atol=1e-5)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from fakespan.evaluate.run import SetOptions, evaluate_set
from fakespan.evaluate.predict import judge_with
from fakespan.localizer import load_model
localizer = load_model(sys.argv[1], "cpu")
answer, n_calls = judge_with(localizer, 2), []
def judge(examples):
    n_calls.append(1)
    if len(n_calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(examples)
evaluate_set(localizer, sys.argv[2], Path(sys.argv[3]), SetOptions(n_workers=0, batch_size=2), judge=judge)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(tmp_path, tiny, tiny_path, lavdf):
    source, folder = f"lavdf:{lavdf}", tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", KILLED, tiny_path, source, folder], capture_output=True, check=False)
    assert done.returncode == -9
    assert (folder / "fused.part.jsonl").read_bytes().count(b"\n") == 1 + 4
    with (folder / "visual.part.jsonl").open("r+b") as file:
        file.seek(-30, 2)
        file.truncate()  # the kill tore its last line
    told = []
    options = SetOptions(n_workers=0, batch_size=2)
    said = evaluate_set(tiny, source, folder, options, lambda *what: told.append(what))
    assert (said.result["clips"]["all"], said.result["clips"]["predicted in this run"]) == (N_TEST, 5)
    assert told[-1][:2] == (N_TEST, N_TEST)
    whole = tmp_path / "whole"
    evaluate_set(tiny, source, whole, options)
    assert proposals_of(folder) == proposals_of(whole)
    assert (folder / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()


def test_a_run_that_is_done_is_only_rated_again(tmp_path, tiny, lavdf, uninterrupted):
    def nobody(examples):
        raise AssertionError("nothing is left to judge")

    before = proposals_of(uninterrupted)
    said = evaluate_set(tiny, f"lavdf:{lavdf}", uninterrupted, OPTIONS, judge=nobody)
    assert said.result["clips"]["predicted in this run"] == 0
    assert proposals_of(uninterrupted) == before


def test_a_stop_between_two_files_is_mended(tmp_path, tiny, lavdf, uninterrupted, monkeypatch):
    folder, add = tmp_path / "out", proposal_writer.ProposalWriter.add

    def stop_at_the_second_audio(self, name, table):
        if self.stem.name == "audio" and self.done:
            raise KeyboardInterrupt
        add(self, name, table)

    monkeypatch.setattr(proposal_writer.ProposalWriter, "add", stop_at_the_second_audio)
    with pytest.raises(KeyboardInterrupt):
        evaluate_set(tiny, f"lavdf:{lavdf}", folder, OPTIONS)
    monkeypatch.undo()
    said = evaluate_set(tiny, f"lavdf:{lavdf}", folder, OPTIONS)
    assert said.result["clips"]["predicted in this run"] == N_TEST - 1
    assert proposals_of(folder) == proposals_of(uninterrupted)


# -- runs that must not be mixed --------------------------------------------------------------------------------------


def test_another_run_is_refused_by_what_differs(tmp_path, tiny, lavdf):
    folder, source = tmp_path / "out", f"lavdf:{lavdf}"
    evaluate_set(tiny, source, folder, SetOptions(n_workers=0, limit=2))
    for options, said in (
        (SetOptions(n_workers=0, limit=2, decoding="published"), 'decoding "published", got one with "aligned"'),
        (SetOptions(n_workers=0, limit=3), "a run with clips 3, got one with 2"),
        (SetOptions(n_workers=0, limit=1, split="validation"), 'split "validation"'),
    ):
        with pytest.raises(UsageError, match=said) as refused:
            evaluate_set(tiny, source, folder, options)
        assert "--overwrite" in str(refused.value)
    other = load_model("small", "cpu")
    with pytest.raises(UsageError, match='model "small", got one with "tiny"'):
        evaluate_set(other, source, folder, SetOptions(n_workers=0, limit=2))
    options = SetOptions(n_workers=0, limit=2, decoding="published", overwrite=True)
    assert evaluate_set(tiny, source, folder, options).result["settings"]["decoding"] == "published"


def test_weights_are_known_by_their_values(tiny, tiny_path):
    digest = weights_digest(tiny.network.state_dict())
    other = load_model(tiny_path, "cpu").network
    assert weights_digest(other.state_dict()) == digest
    next(other.parameters()).data[0] += 1e-6
    assert weights_digest(other.state_dict()) != digest


@pytest.mark.parametrize("harm", ["[]", "{", "\ud83c"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, tiny, lavdf, harm):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "run.json").write_bytes(harm.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError, match=r"run\.json: expected the settings of a run"):
        evaluate_set(tiny, f"lavdf:{lavdf}", folder, OPTIONS)
    (folder / "run.json").unlink()
    (folder / "fused.json").write_text("mine")
    with pytest.raises(UsageError, match=r"expected a new folder, .* got fused.json of an unknown run"):
        evaluate_set(tiny, f"lavdf:{lavdf}", folder, OPTIONS)
    assert (folder / "fused.json").read_text() == "mine"


# -- clips that are not like the rest ---------------------------------------------------------------------------------


def test_clips_without_sound_or_picture_are_judged_by_what_there_is(tmp_path, tiny):
    root = make_lavdf(tmp_path / "LAV", 0, 0, 4, seconds=1.0)
    write_test_clip(root / "test/000001.mp4", 1.0, sound=False)
    write_clip(root / "test/000002.mp4", sound=tone(1.0))
    said = evaluate_set(tiny, f"lavdf:{root}", tmp_path / "out", OPTIONS)
    assert {k: said.result["clips"][k] for k in ("all", "without sound", "without picture", "unreadable")} == {
        "all": 4, "without sound": 1, "without picture": 1, "unreadable": 0}  # fmt: skip
    assert any("1 clip without audio" in note for note in said.notes)
    found = {name: read_proposals(tmp_path / "out" / f"{name}.json") for name in MAPS}
    assert len(found["audio"]["test/000001.mp4"]) == len(found["visual"]["test/000002.mp4"]) == 0
    for name, other in (("test/000001.mp4", "visual"), ("test/000002.mp4", "audio")):
        np.testing.assert_array_equal(found["fused"][name], found[other][name])
        assert len(found[other][name]) > 50


def test_a_set_without_any_sound_has_no_rows_for_it(tmp_path, tiny):
    root = make_forgerynet(tmp_path / "FN", 1, 2)
    options = SetOptions(split="validation", n_workers=0, faces="whole")
    said = evaluate_set(tiny, f"forgerynet:{root}", tmp_path / "out", options)
    assert {row.map_name for row in said.table.rows} == {"fused", "visual"}
    assert said.result["clips"]["without sound"] == 2
    assert np.isnan(rows_of(said)["fused", "audio"]["AP@0.5"])  # no span is left in this subset


def test_a_clip_that_cannot_be_read_is_named_and_tried_again(tmp_path, tiny):
    root = make_lavdf(tmp_path / "LAV", 0, 0, 4, seconds=1.0)
    path = root / "test/000001.mp4"
    good = path.read_bytes()
    path.write_bytes(good[:2000])
    said = evaluate_set(tiny, f"lavdf:{root}", tmp_path / "out", OPTIONS)
    assert list(said.unreadable) == ["test/000001.mp4"]
    assert said.result["clips"]["unreadable"] == 1
    assert said.table.rows[0].n_clips == 4  # it counts, as one in which nothing was found
    assert "test/000001.mp4" not in read_proposals(tmp_path / "out" / "fused.json")
    path.write_bytes(good)
    said = evaluate_set(tiny, f"lavdf:{root}", tmp_path / "out", OPTIONS)
    assert (said.unreadable, said.result["clips"]["predicted in this run"]) == ({}, 1)
    assert "test/000001.mp4" in read_proposals(tmp_path / "out" / "fused.json")


def test_a_clip_that_is_gone_after_it_was_predicted_counts_as_predicted(tmp_path, tiny):
    """It is read once more because its batch is not complete."""
    root = make_lavdf(tmp_path / "LAV", 0, 0, 2, seconds=1.0)
    first, second = (root / "test" / f"00000{k}.mp4" for k in range(2))
    whole = second.read_bytes()
    second.write_bytes(whole[:2000])
    options = SetOptions(n_workers=0, batch_size=2)
    assert list(evaluate_set(tiny, f"lavdf:{root}", tmp_path / "out", options).unreadable) == ["test/000001.mp4"]
    first.unlink()
    second.write_bytes(whole)
    steps = []
    said = evaluate_set(tiny, f"lavdf:{root}", tmp_path / "out", options, lambda *step: steps.append(step[:2]))
    assert said.unreadable == {}
    assert steps[-1] == (2, 2)
    assert set(read_proposals(tmp_path / "out" / "fused.json")) == {"test/000000.mp4", "test/000001.mp4"}


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> Path:
    root = make_lavdf(tmp_path_factory.mktemp("cut") / "LAV", 0, 0, 4, seconds=1.0)
    cut_short(root / "test/000001.mp4")
    return root


def test_a_clip_that_is_cut_short_is_judged_and_named_after_an_interruption_too(cut, tmp_path, tiny):
    def killed(examples):
        if examples[0].name == "test/000002.mp4":
            raise KeyboardInterrupt
        return perfect(examples)

    with pytest.raises(KeyboardInterrupt):
        evaluate_set(tiny, f"lavdf:{cut}", tmp_path / "out", OPTIONS, judge=killed)
    said = evaluate_set(tiny, f"lavdf:{cut}", tmp_path / "out", OPTIONS, judge=perfect)
    ((name, message),) = said.damaged.items()
    assert name == "test/000001.mp4"
    assert message.startswith("damaged or cut short at 0.")
    assert (said.result["damaged"], said.result["clips"]["damaged"]) == (said.damaged, 1)
    assert any(note.startswith("1 clip damaged or cut short: scored whole") for note in said.notes)
    assert name in read_proposals(tmp_path / "out" / "fused.json")


def test_strict_refuses_a_clip_that_is_cut_short(cut, tmp_path, tiny):
    strict = SetOptions(n_workers=0, strict=True)
    said = evaluate_set(tiny, f"lavdf:{cut}", tmp_path / "out", strict, judge=perfect)
    assert (list(said.unreadable), said.damaged) == (["test/000001.mp4"], {})
    assert "expected a clip without damage" in said.unreadable["test/000001.mp4"]
    assert said.result["command"].endswith(" --strict")
    assert "test/000001.mp4" not in read_proposals(tmp_path / "out" / "fused.json")
    with pytest.raises(UsageError, match="strict"):
        evaluate_set(tiny, f"lavdf:{cut}", tmp_path / "out", OPTIONS, judge=perfect)


def test_a_long_clip_is_judged_in_windows(tmp_path, tiny):
    root = make_lavdf(tmp_path / "LAV", 0, 0, 1, seconds=4.0)  # 100 frames, the network sees 64
    said = evaluate_set(tiny, f"lavdf:{root}", tmp_path / "out", OPTIONS)
    assert said.result["clips"]["in windows"] == 1
    assert read_proposals(tmp_path / "out" / "fused.json")["test/000000.mp4"][:, 2].max() > 3


def test_a_test_set_without_labels_gets_proposals_only(tmp_path, tiny):
    root = make_avdeepfake1m(tmp_path / "AV", 0, 4, 2, seconds=1.0)
    said = evaluate_set(tiny, f"avdeepfake1m:{root}", tmp_path / "test", OPTIONS)
    assert said.table is None
    assert any("labels of this split are not public" in note for note in said.notes)
    assert len(read_proposals(tmp_path / "test" / "fused.json")) == 2
    assert not (tmp_path / "test" / "table.md").exists()
    said = evaluate_set(tiny, f"avdeepfake1m:{root}", tmp_path / "val", SetOptions(split="val", n_workers=0))
    assert said.table.columns[:4] == ("AP@0.5", "AP@0.75", "AP@0.9", "AP@0.95")
    assert said.table.columns[4:] == ("AR@50", "AR@30", "AR@20", "AR@10", "AR@5", "AUC")
    assert "method yourtts" in said.result["fused, by kind"]


# -- bad input --------------------------------------------------------------------------------------------------------


def test_nan_from_the_network_names_the_clip(tmp_path, tiny, lavdf):
    def broken(examples):
        return [ClipMaps(25.0, np.full((D, 25), np.nan, np.float32)) for _ in examples]

    with pytest.raises(DataError, match=r"test/00000\d.mp4: expected numbers from the network, got NaN"):
        evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "out", OPTIONS, judge=broken)


class Deadly(Dataset):
    """A set of which one clip kills whoever decodes it."""

    def __init__(self, clips):
        self.clips, self.samples, self.source = clips, clips.samples, clips.source

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, k):
        return self.clips[k] if k != 5 else os._exit(1)


def test_a_decoder_that_dies_is_told_and_what_was_done_is_kept(tmp_path, tiny, lavdf, monkeypatch):
    monkeypatch.setattr(run_module, "open_set", lambda *args, **options: Deadly(open_set(*args, **options)))
    with pytest.raises(
        DataError, match=r"expected running decoder processes, got a DataLoader worker that was killed after \d clips"
    ):
        evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "out", SetOptions(n_workers=1))
    monkeypatch.undo()
    said = evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "out", OPTIONS)
    assert said.result["clips"]["predicted in this run"] <= N_TEST


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("n_workers", -1), ("n_bootstrap", -5)])
def test_numbers_that_make_no_sense_are_refused(name, value):
    with pytest.raises(UsageError, match=f"{name}: expected at least"):
        SetOptions(**{name: value})


def test_a_split_without_clips_is_told(tmp_path, tiny):
    root = make_lavdf(tmp_path / "LAV", 1, 0, 0, seconds=0.2)
    with pytest.raises(DataError, match="expected clips in the test split, got none"):
        evaluate_set(tiny, f"lavdf:{root}", tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_told(tmp_path, tiny, lavdf):
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="expected a folder to write to"):
        evaluate_set(tiny, f"lavdf:{lavdf}", tmp_path / "out", OPTIONS)
