"""Rating a verdict head: the table's numbers computed directly, intervals, pictures, and the two commands."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import fakespan.verdict.maps as map_files
from fakespan.boundary_map import peak
from fakespan.checkpoint import load_head, save_head
from fakespan.cli import app
from fakespan.config import VerdictConfig
from fakespan.errors import CheckpointError, ConfigError, DataError, UsageError
from fakespan.metrics import auc
from fakespan.metrics.binary import best_threshold, eer, score_precision
from fakespan.report.verdict_plots import Bins, Curve, Kinds, plot_histograms, plot_reliability, plot_roc
from fakespan.verdict.fit import fit_head
from fakespan.verdict.rate import rate_maps
from fakespan.verdict.table import draw, render, render_fit
from fakespan.verdict.ways import frame_maximum, top_proposal
from verdict_maps import MODEL, D, plain, stored

WAYS = ["maximum", "mlp", "frames", "proposal"]
FEW = VerdictConfig(rows=4, columns=8, widths=(8, 4), restarts=1, epochs=8, batch_size=16, learning_rate=1e-2)


def softer(generator, is_fake):
    """Like `plain`, with kinds that overlap."""
    return np.clip(plain(generator, is_fake) * generator.uniform(0.25, 1), 0, 1)


@pytest.fixture(scope="module")
def maps():
    return {name: stored(name, softer, seed=k, n=90, n_fake=60) for k, name in enumerate(("train", "val", "test"))}


@pytest.fixture(scope="module")
def head(maps):
    return fit_head(maps["train"], maps["val"], FEW)


@pytest.fixture(scope="module")
def rating(maps, head):
    return rate_maps(maps["test"], head, n_bootstrap=100)


def raw_scores(split, head):
    """Each way, the slow way."""
    numbers = range(len(split))
    return {
        "maximum": [peak(split.fused(k)) for k in numbers],
        "mlp": [head.score(split.fused(k), "mlp") for k in numbers],
        "frames": [frame_maximum(split.frames(k)) for k in numbers],
        "proposal": [top_proposal(split.fused(k)) for k in numbers],
    }


def test_the_numbers_are_those_of_the_scores(maps, head, rating):
    truth = np.array([entry.label == 1 for entry in maps["test"].entries])
    assert [way.name for way in rating.ways] == WAYS
    for way, (name, found) in zip(rating.ways, raw_scores(maps["test"], head).items(), strict=True):
        scores, values = np.array(found), way.values
        assert (values["AUC"], values["EER"]) == (pytest.approx(auc(scores, truth)), pytest.approx(eer(scores, truth)))
        assert values["AP"] == pytest.approx(score_precision(scores, truth))
        fit = {"maximum": head.maximum, "mlp": head.mlp_fit, **head.others}[name]
        called = scores >= fit.raw_threshold
        assert values["accuracy"] == pytest.approx((called == truth).mean())
        assert values["balanced accuracy"] == pytest.approx((called[truth].mean() + (~called)[~truth].mean()) / 2)
        probabilities = np.array([float(fit.calibration(score)) for score in scores])
        assert (called == (probabilities >= fit.threshold)).all()
        for word, said in (("raw", scores), ("calibrated", probabilities)):
            assert values[f"Brier {word}"] == pytest.approx(((said - truth) ** 2).mean())
            bins = np.minimum((said * 15).astype(int), 14)
            gaps = [abs((said - truth)[bins == b].sum()) for b in range(15)]
            assert values[f"ECE {word}"] == pytest.approx(sum(gaps) / len(truth))
    assert rating.gain == pytest.approx(rating.ways[1].values["AUC"] - rating.ways[0].values["AUC"])


def test_thresholds_and_calibrations_come_from_validation_alone(maps, head):
    truth = np.array([entry.label == 1 for entry in maps["val"].entries])
    scores = raw_scores(maps["val"], head)
    for name, fit in {"maximum": head.maximum, "mlp": head.mlp_fit, **head.others}.items():
        assert fit.raw_threshold == pytest.approx(best_threshold(scores[name], truth))
        said = fit.calibration(scores[name])
        n_fake, n_real = truth.sum(), (~truth).sum()
        wanted = (n_fake * (n_fake + 1) / (n_fake + 2) + n_real / (n_real + 2)) / len(truth)
        assert said.mean() == pytest.approx(wanted, abs=1e-3)


def test_intervals_hold_the_numbers_and_come_again(maps, head, rating):
    for way in rating.ways:
        assert set(way.intervals) == set(way.values)
        for name, (low, high) in way.intervals.items():
            assert low <= high
            if not name.startswith("ECE"):  # a smaller sample has more of it: biased upwards
                assert low <= way.values[name] <= high
    assert rating.gain_interval[0] <= rating.gain <= rating.gain_interval[1]
    assert rate_maps(maps["test"], head, n_bootstrap=100) == rating
    assert rate_maps(maps["test"], head, n_bootstrap=100, seed=1) != rating
    assert rate_maps(maps["test"], head).ways[0].intervals == {}


def test_calibration_mends_what_the_raw_maximum_says_wrongly(rating):
    values = rating.ways[0].values
    assert values["ECE calibrated"] < values["ECE raw"]
    assert values["Brier calibrated"] < values["Brier raw"]


def test_it_is_plain_json(rating):
    record = json.loads(json.dumps(rating.to_dict(), allow_nan=False))
    assert record["format"] == "fakespan.verdict/1"
    assert (record["clips"], record["fake"], record["split"]) == (90, 60, "test")
    assert [way["published"] for way in record["ways"]] == [True, True, False, False]
    assert record["ways"][1]["values"]["AUC"] == rating.ways[1].values["AUC"]
    assert record["bootstrap"] == {"resamples": 100, "seed": 0, "level": 0.95}


def shown(what) -> str:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(what)
    return console.export_text()


def test_the_table_fits_a_terminal_and_holds_the_numbers(rating, head):
    text = shown(render(rating, "head.safetensors"))
    assert max(map(len, text.splitlines())) <= 80
    assert "tiny on dfdc:tiny test: 90 videos, 60 fake" in text
    assert text.split("AUC", 1)[1].split()[:4] == [f"{100 * way.values['AUC']:.2f}" for way in rating.ways]
    assert "…" not in text
    fitted = shown(render_fit(head, "head.safetensors"))
    assert f"{head.mlp_fit.threshold:.4f}" in fitted
    assert "the network learned from 90 videos (60 fake)" in " ".join(fitted.split())


def test_a_head_without_a_network_or_other_fits_is_rated_as_far_as_it_goes(maps, head):
    found = rate_maps(maps["test"], replace(head, mlp=None, mlp_fit=None, others={}), n_bootstrap=20)
    assert [way.name for way in found.ways] == ["maximum", "frames", "proposal"]
    assert (found.gain, found.gain_interval, found.ways[1].fit) == (None, None, None)
    assert set(found.ways[1].values) == {"AUC", "AP", "EER"}
    assert "-" in shown(render(found, "head"))


def test_what_a_reader_must_know_is_said(maps, head):
    (note,) = rate_maps(maps["val"], head).notes
    assert "validation clips that the head was fitted on" in note
    (note,) = rate_maps(maps["test"], replace(head, notes={"shared_originals": 3})).notes
    assert "3 originals in both" in note


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.with_model(digest="f" * 64), CheckpointError, "a verdict head fitted on maps of tiny .ffff"),
        (lambda s: s.with_model(max_duration=9), CheckpointError, "D=9"),
        (lambda s: s.only(lambda e: e.label == 0), DataError, "got 0 fake and 30 real"),
        (lambda s: s.only(lambda e: False), DataError, "got 0 fake and 0 real"),
    ],
)
def test_what_cannot_be_rated_is_told(maps, head, change, error, message):
    with pytest.raises(error, match=message):
        rate_maps(change(maps["test"]), head)


def size_of(path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) > 10_000
    return struct.unpack(">II", data[16:24])


def test_pictures_are_drawn(rating, tmp_path):
    paths = draw(rating, tmp_path / "plots")
    assert [path.name for path in paths] == ["roc.png", "reliability.png", "histograms.png"]
    assert all(min(size_of(path)) > 400 for path in paths)
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == ["histograms.png", "reliability.png", "roc.png"]
    assert draw(replace(rating, scored=None), tmp_path) == []


def test_pictures_of_odd_numbers_are_drawn(tmp_path):
    size_of(plot_histograms(tmp_path / "a.png", {"maximum": Kinds([0.5, 0.5], [], 0.5), "mlp": Kinds([], [0.1, 1])}))
    size_of(plot_roc(tmp_path / "b.png", {"mlp": Curve([0, 1], [0, 1], 0.5)}))
    bins = Bins([0.5], [1.0], [3], 0.5)
    size_of(plot_reliability(tmp_path / "c.png", {"maximum": (bins, Bins([], [], [], float("nan")))}))


# --- the commands, on maps in files ---


class OnDisk:
    """Puts stand-ins where `open_maps` looks, by the names of folders."""

    def __init__(self, sets) -> None:
        self.sets = sets

    def __call__(self, folder):
        if folder.name not in self.sets:
            raise DataError(folder, expected="a folder of maps", got="no such folder", remedy="make one")
        return self.sets[folder.name]


@pytest.fixture
def run(maps, monkeypatch, tmp_path):
    monkeypatch.setattr(map_files, "open_maps", OnDisk(maps))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text(
        "[verdict]\nrows = 4\ncolumns = 8\nwidths = [8, 4]\nrestarts = 1\nepochs = 4\nlearning_rate = 1e-2\n"
    )

    def call(*arguments: str):
        result = CliRunner().invoke(app, ["verdict", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


FIT = ("fit", "--train", "train", "--val", "val", "--out", "head.safetensors", "--config", "few.toml")
TEST = ("test", "--maps", "test", "--head", "head.safetensors", "--bootstrap", "10")


def test_a_head_is_fitted_and_rated_from_the_command_line(run, tmp_path):
    fitted = run(*FIT)
    assert fitted.exit_code == 0
    assert "maximum" in fitted.output
    head = load_head(tmp_path / "head.safetensors")
    assert head.model.digest == MODEL.digest
    assert head.config.epochs == 4
    assert head.model.max_duration == D
    result = run(*TEST, "--plots", "plots", "--out", "numbers.json", "--json")
    assert result.exit_code == 0
    assert json.loads(result.output) == json.loads((tmp_path / "numbers.json").read_text())
    assert len(list((tmp_path / "plots").iterdir())) == 3
    assert "balanced accuracy" in run(*TEST).output
    printed = json.loads(run(*FIT, "--overwrite", "--json").output)
    assert printed["maximum"]["threshold"] == head.maximum.threshold


def test_nothing_is_overwritten_unasked(run, tmp_path):
    save = tmp_path / "head.safetensors"
    save.write_text("precious")
    with pytest.raises(UsageError, match="got an existing file; change --out, or use --overwrite"):
        run(*FIT)
    assert save.read_text() == "precious"
    assert run(*FIT, "--overwrite").exit_code == 0
    (tmp_path / "numbers.json").write_text("precious")
    with pytest.raises(UsageError, match="use --overwrite"):
        run(*TEST, "--out", "numbers.json")
    assert (tmp_path / "numbers.json").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--train", "nowhere"), DataError, "a folder of maps, got no such folder"),
        (("--val", "train"), DataError, "no original, nor its fakes, in both"),
        (("--out", "nowhere/head"), UsageError, "an existing folder"),
        (("--out", "."), UsageError, "got a folder"),
        (("--config", "typo.toml"), ConfigError, "typo.toml.verdict: .* the key 'row'; did you mean rows"),
        (("--config", "other.toml"), ConfigError, "the key 'model'"),
    ],
)
def test_a_wrong_call_writes_nothing(run, tmp_path, arguments, error, message):
    (tmp_path / "typo.toml").write_text("[verdict]\nrow = 3\n")
    (tmp_path / "other.toml").write_text("[model]\nn_frames = 3\n")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        run(*FIT, *arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_originals_may_be_shared_if_asked_for(run, tmp_path):
    assert run(*FIT, "--val", "train", "--allow-shared-originals").exit_code == 0
    assert load_head(tmp_path / "head.safetensors").notes["shared_originals"] == 150


def test_a_head_of_another_model_is_refused(run, maps, head, tmp_path):
    other = replace(head, model=replace(head.model, digest="e" * 64, name="another"))
    save_head(tmp_path / "head.safetensors", other)
    with pytest.raises(CheckpointError, match="got one of another"):
        run(*TEST, "--out", "numbers.json")
    assert not (tmp_path / "numbers.json").exists()
