"""The command `fakespan evaluate`: what is printed, and exit codes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
import typer

from datasets import make_avdeepfake1m, make_lavdf
from fakespan import cli
from fakespan.evaluate import run as run_module


@pytest.fixture
def evaluate(call, tiny_path):
    """`fakespan evaluate` with the tiny network unless another is named: exit code, stdout and stderr."""

    def evaluate_(*arguments: object) -> tuple[int, str, str]:
        model = () if "--model" in arguments else ("--model", tiny_path)
        return call("evaluate", *arguments, *model, "--device", "cpu")

    return evaluate_


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """They take a second; test_evaluate_set looks at them."""
    monkeypatch.setattr(run_module, "draw", lambda score, folder: [])


@pytest.fixture(scope="module")
def lavdf(tmp_path_factory) -> Path:
    return make_lavdf(tmp_path_factory.mktemp("lavdf") / "LAV", 0, 0, 4, seconds=0.6)


def test_the_table_is_shown(evaluate, lavdf, tmp_path):
    code, out, err = evaluate("--data", f"lavdf:{lavdf}", "--out", tmp_path / "out", "--workers", 0)
    assert (code, err) == (0, "")
    assert out.startswith("tiny on lavdf:LAV, test split, 4 clips, aligned decoding")
    for word in ("fused", "visual", "audio", "AP@0.95", "AR@100", "AUC", "percent; full: 4 clips, 3 spans"):
        assert word in out
    assert (tmp_path / "out" / "table.md").exists()


def test_score_says_the_same_of_the_files(evaluate, lavdf, tmp_path, monkeypatch, capfd):
    evaluate("--data", f"lavdf:{lavdf}", "--out", tmp_path / "out", "--workers", 0)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    for name in ("fused.json", "audio.parquet"):
        arguments = ["score", tmp_path / "out" / name, lavdf / "metadata.json", "--split", "test", "--json"]
        monkeypatch.setattr(sys, "argv", ["fakespan", *map(str, arguments)])
        with pytest.raises(SystemExit):
            cli.main()
        said = json.loads(capfd.readouterr().out)
        wanted = result["scores"][name.partition(".")[0]]
        assert len(said["subsets"]) == 3
        for group, before in zip(said["subsets"], wanted["subsets"], strict=True):
            assert group == {**before, "values": pytest.approx(before["values"], abs=1e-6)}


def test_json_is_the_result_and_nothing_else(evaluate, lavdf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = evaluate("--data", f"lavdf:{lavdf}", "--limit", 2, "--workers", 0, "--json")
    assert (code, err) == (0, "")
    folder = tmp_path / "runs" / "eval-tiny-lavdf-test"
    assert json.loads(out) == json.loads((folder / "result.json").read_text())


def test_what_cannot_be_read_is_one_line_and_the_exit_code(evaluate, tmp_path):
    root = make_lavdf(tmp_path / "LAV", 0, 0, 4, seconds=0.6)
    (root / "test/000003.mp4").write_text("not a video")
    code, out, err = evaluate("--data", f"lavdf:{root}", "--out", tmp_path / "out", "--workers", 0)
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith("fakespan: test/000003.mp4: expected a readable clip, got ")
    assert "1 clip not readable" in out
    assert "AP@0.5" in out


def test_without_labels_there_is_no_table(evaluate, tmp_path):
    root = make_avdeepfake1m(tmp_path / "AV", 0, 0, 1, seconds=0.6)
    code, out, err = evaluate("--data", f"avdeepfake1m:{root}", "--out", tmp_path / "out", "--workers", 0)
    assert (code, err) == (0, "")
    assert "nothing is scored" in " ".join(out.split())
    assert "AP@0.5" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--data", "lavdf:nowhere"], 1, "expected the folder of a lavdf set"),
        (["--data", "lavender:x"], 2, "--data"),
        (["--data", "lavdf:{set}", "--split", "exam"], 2, "'exam' is not one of 'train', 'validation', 'test'"),
        (["--data", "lavdf:{set}", "--split", "train"], 1, "expected clips in the train split, got none"),
        (["--data", "lavdf:{set}", "--decoding", "odd"], 2, "--decoding"),
        (["--data", "lavdf:{set}", "--limit", "0"], 2, "--limit"),
        (["--data", "lavdf:{set}", "--model", "nothing"], 2, "expected"),
        (["--data", "lavdf:{set}", "--out", "{set}/metadata.json"], 2, "expected a folder to write to"),
    ],
)
def test_bad_input_is_told_in_one_line(evaluate, lavdf, tmp_path, monkeypatch, *, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    found, out, err = evaluate(*(a.format(set=lavdf) for a in arguments))
    assert (found, out) == (code, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def test_every_command_of_the_document_is_understood():
    text = (Path(__file__).parent.parent / "docs" / "evaluation.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("fakespan evaluate")]
    command = vars(typer.main.get_command(cli.app))["commands"]["evaluate"]
    assert len(lines) > 4
    for line in lines:
        assert command.make_context("evaluate", shlex.split(line, comments=True)[2:]).params["data"]
