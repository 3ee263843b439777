"""Options that mean the same everywhere: --json, --quiet, --workers, choices, exit codes, completion."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from datasets import make_lavdf
from fakespan.cli import EXIT_CODES, app
from fakespan.cli.shared import bar
from fakespan.report.export import json_text
from scans import clean, forged

Call = Callable[..., tuple[int, str, str]]


def commands(group: Any, name: str = "fakespan") -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


COMMANDS = sorted(name for name, _ in commands(typer.main.get_command(app)))
OPTION = re.compile(r"^ {2}(?:-\w, )?(--[\w-]+)(?: (<[^>]+>))?(.*(?:\n {4,}.*)*)", re.MULTILINE)


@pytest.fixture(scope="module")
def options() -> dict[str, dict[str, tuple[str, str]]]:
    """Command -> option -> type and help, as --help prints them."""
    run = CliRunner()
    found = {}
    for name in COMMANDS:
        text = run.invoke(app, [*name.split()[1:], "--help"], prog_name="fakespan").stdout
        found[name] = {m[1]: (m[2] or "", " ".join(m[3].split())) for m in OPTION.finditer(text)}
    return found


Options = dict[str, dict[str, tuple[str, str]]]


FILES = {"fakespan scan", "fakespan bulk"}  # of any users: their workers and faces are not those of data sets
PROTOCOLS = {"fakespan mcp"}  # their output is that of a protocol


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - PROTOCOLS))
def test_every_command_prints_json(options: Options, name: str) -> None:
    assert "--json" in options[name]


@pytest.mark.parametrize("flag", ["--workers", "--batch-size", "--limit", "--faces", "--device"])
def test_an_option_of_several_commands_means_the_same_in_all(options: Options, flag: str) -> None:
    own = {*FILES, "fakespan train"}  # files can do without faces, train names devices and limits each split
    meanings = [found[flag] for name, found in options.items() if flag in found and name not in own]
    assert len(meanings) > 1
    assert len(set(meanings)) == 1


def test_no_workers_are_a_choice_and_the_cores_are_the_default(options: Options) -> None:
    (meaning,) = {found["--workers"] for name, found in options.items() if "--workers" in found and name not in FILES}
    assert "0: none" in meaning[1]
    assert "Default: by the cores" in meaning[1]
    assert "x>=0" in meaning[1]


@pytest.mark.parametrize(
    "flag",
    [
        "--decoding",
        "--faces",
        "--format",
        "--framing",
        "--missing",
        "--pack",
        "--precision",
        "--preset",
        "--split",
        "--subset",
        "--way",
    ],
)
def test_a_choice_names_its_values(options: Options, flag: str) -> None:
    types = {found[flag][0] for found in options.values() if flag in found}
    assert types
    assert all("|" in kind for kind in types)


def test_an_impossible_choice_is_wrong_usage(call: Call) -> None:
    code, out, err = call("prepare", "--data", "lavdf:x", "--out", "y", "--subset", "nonsense")
    assert (code, out) == (2, "")
    for word in ("--subset", "nonsense", "full", "visual", "audio"):
        assert word in err


def test_a_prior_that_cannot_be_is_wrong_usage_and_told_once(call: Call, tiny_path: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for prior, expected in (("1", "a share above 0 and below 1"), ("0.1", "a model that gives a probability")):
        code, out, err = call("scan", *files, "--model", tiny_path, "--prior", prior)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert expected in err


def test_help_states_the_exit_codes(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    assert EXIT_CODES in " ".join(out.split())


def results(folder: Path) -> list[Path]:
    paths = [folder / "a.json", folder / "b.json"]
    for path, scan in zip(paths, (forged(), clean()), strict=True):
        path.write_text(json_text(scan), encoding="utf-8")
    return paths


def test_report_prints_its_records(call: Call, tmp_path: Path) -> None:
    code, out, err = call("report", *results(tmp_path), "--out", tmp_path / "out", "--json")
    assert (code, err) == (0, "")
    assert [json.loads(line)["is_fake"] for line in out.splitlines()] == [True, False]
    assert len(list((tmp_path / "out").glob("*.html"))) == 2


@pytest.mark.parametrize("place", [0, 1, 5])
def test_quiet_prints_errors_alone(call: Call, tmp_path: Path, place: int) -> None:
    words: list[object] = ["report", *results(tmp_path), tmp_path / "missing.json", "--out", tmp_path / "out"]
    words.insert(place, "--quiet")
    code, out, err = call(*words)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "missing.json" in err
    assert len(list((tmp_path / "out").glob("*.html"))) == 2


def test_quiet_leaves_json(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("report", *results(tmp_path), "--out", tmp_path, "--json", "--quiet")
    assert code == 0
    assert len(out.splitlines()) == 2


def test_results_reach_a_file_while_a_terminal_shows_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    with bar("2 files") as progress:
        progress(1, 2)
        print('{"file":"a.mp4"}')
    assert capsys.readouterr().out == '{"file":"a.mp4"}\n'
    assert "2 files" in terminal.getvalue()


@pytest.mark.parametrize(("line", "expected"), [("fakespan sc", {"scan", "score"}), ("fakespan verdict f", {"fit"})])
def test_the_shell_completes_commands(line: str, expected: set[str]) -> None:
    program = "import sys; sys.argv = ['fakespan']; from fakespan.cli import main; main()"
    words = {"_FAKESPAN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={**os.environ, **words}
    )
    assert set(run.stdout.split()) == expected


def test_control_characters_of_names_are_printed_as_escapes(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("keys", "create", tmp_path / "a\nb\x1b.pem")
    assert code == 0
    assert str(tmp_path / r"a\nb\x1b.pem") in out


def test_names_are_printed_as_they_are(call: Call, tmp_path: Path) -> None:
    """rich would replace `:lips:` by a picture."""
    folder = tmp_path / "a:lips:b"
    make_lavdf(folder, 1, 0, 0, seconds=0.4)
    _, out, _ = call("info", "--data", f"lavdf:{folder}", "--quick")
    assert "a:lips:b" in out.replace("\n", "")
