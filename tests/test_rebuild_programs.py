"""`make small`: the order of its steps, their minutes, and the vocoder that a package carries."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from fakespan.errors import CheckpointError
from programs import ROOT, load_program

pytestmark = pytest.mark.programs

PYTHON = sys.executable


def run(*arguments: str | Path, status: int = 0) -> str:
    done = subprocess.run([*map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


# the chain ------------------------------------------------------------------------------------------------------------


def recipes(folder: Path, *targets: str) -> str:
    """What make would run, in a folder in which nothing has been made."""
    places = [f"{name}={folder / name.lower()}" for name in ("RUN", "SPEECH", "ZOO", "VOICES", "CLIPS")]
    return run("make", "--dry-run", "--no-print-directory", *targets, *places, f"READY={ROOT / 'Makefile'}")


def test_small_needs_every_part_and_only_what_is_missing(tmp_path: Path) -> None:
    whole = recipes(tmp_path, "small")
    steps = ["fetch.py", "onnx_vocoder.py", "bank.py", "sounds.py", "picture_pool.py", "calibrate", "weights/"]
    places = [whole.index(step) for step in steps]
    assert places == sorted(places)
    assert whole.count("train_picture.py") == 4  # the expert and three folds
    assert "--fold 1 --without Diff2Lip" in whole
    for done in ("speech/done", "run/picture-bank/done", "voices/venv/done"):
        (tmp_path / done).parent.mkdir(parents=True)
        (tmp_path / done).touch()
    rest = recipes(tmp_path, "small")
    assert not any(step in rest for step in ("fetch.py", "pictures.py", "pip install"))
    assert "picture_pool.py" in rest


def test_every_program_of_the_chain_is_there(tmp_path: Path) -> None:
    words = recipes(tmp_path, "small", "rate-folds", "zoo", "voices").replace('"', " ").split()
    programs = {word for word in words if word.endswith(".py")}
    assert len(programs) > 12
    assert all((ROOT / program).is_file() for program in programs)


# tools/timed.py -------------------------------------------------------------------------------------------------------


def test_minutes_of_a_step_add_up_over_its_runs(tmp_path: Path) -> None:
    timed = ROOT / "tools" / "timed.py"
    wait = "import time; time.sleep(0.6)"
    for status in (0, 3):  # an interrupted run counts, and its status is told
        run(PYTHON, timed, tmp_path, "step", PYTHON, "-c", f"{wait}; raise SystemExit({status})", status=status)
    assert float((tmp_path / "step").read_text()) >= 0.02
    run(PYTHON, timed, tmp_path, "other", PYTHON, "-c", "pass")
    run(PYTHON, timed, tmp_path, "other", PYTHON, "-c", "import os; os.kill(os.getpid(), 9)", status=137)
    run(PYTHON, timed, tmp_path, "none", tmp_path / "no-such-command", status=127)
    lines = run(PYTHON, timed, tmp_path).splitlines()
    assert [line.split()[2] for line in lines] == ["step", "other", "all"]
    assert float(lines[-1].split()[0]) == pytest.approx(sum(float(line.split()[0]) for line in lines[:-1]), abs=0.11)


# examples/voices/package_files.py -------------------------------------------------------------------------------------


def test_files_of_a_package_are_copied_and_missing_ones_are_told(tmp_path: Path) -> None:
    program = ROOT / "examples" / "voices" / "package_files.py"
    run(PYTHON, program, "numpy", "version.py", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["version.py"]
    arguments = [PYTHON, program, "numpy", "no.onnx", "--out", tmp_path]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "numpy: expected no.onnx" in done.stderr
    assert "Traceback" not in done.stderr


# examples/zoo/onnx_vocoder.py -----------------------------------------------------------------------------------------


@pytest.fixture
def vocoders(tmp_path: Path) -> Path:
    """Networks of a vocoder's form: each sample of a frame is the level of its lowest band."""
    lowest = helper.make_node("Slice", ["mel", "first", "second", "axis"], ["lowest"])
    held = helper.make_node("Resize", ["lowest", "", "scales"], ["audio"], mode="nearest")
    constants = [
        *(
            helper.make_tensor(name, TensorProto.INT64, [1], [k])
            for name, k in (("first", 0), ("second", 1), ("axis", 1))
        ),
        helper.make_tensor("scales", TensorProto.FLOAT, [3], [1.0, 1.0, 256.0]),
    ]
    inputs = [helper.make_tensor_value_info("mel", TensorProto.FLOAT, [1, 80, "frames"])]
    outputs = [helper.make_tensor_value_info("audio", TensorProto.FLOAT, [1, 1, "samples"])]
    graph = helper.make_graph([lowest, held], "vocoder", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(tmp_path / "hifigan.onnx"))
    shutil.copyfile(tmp_path / "hifigan.onnx", tmp_path / "hifigan_int8.onnx")
    return tmp_path


def test_log_mels_are_those_of_hifigan(vocoders: Path) -> None:
    """A tone of amplitude a between two bands' centres; a silence is the floor; frame k lies around (k + 1/2) * 256."""
    program: Any = load_program("examples/zoo", "onnx_vocoder")
    net = program.OnnxVocoder(vocoders / "hifigan.onnx")
    time_s = torch.arange(22_050) / 22_050
    sound = 0.1 * torch.sin(2 * torch.pi * 1000.0 * time_s)[None, : 86 * 256]
    mels = net.log_mels(sound)
    assert mels.shape == (1, 80, 86)
    filters = program.slaney_mels()
    areas = filters.sum(1) * 22_050 / 1024
    assert torch.allclose(areas[40:], torch.ones(40), atol=0.02)  # equal areas; bins are coarse below
    loudest = int(mels[0, :, 40].argmax())
    assert loudest == int((filters * (torch.arange(513) * 22_050 / 1024 - 1000).abs().lt(22)).sum(1).argmax())
    assert torch.allclose(net.log_mels(torch.zeros(1, 2560)), torch.tensor(-11.51), atol=0.6)
    late = torch.zeros(1, 20 * 256)
    late[0, 10 * 256 + 128] = 1.0
    assert int(net.log_mels(late)[0].mean(0).argmax()) == 10


def test_copies_lie_at_the_time_of_their_originals(vocoders: Path, tmp_path: Path) -> None:
    program: Any = load_program("examples/zoo", "onnx_vocoder")
    copysyn: Any = load_program("examples/zoo", "copysyn")
    net = program.OnnxVocoder(vocoders / "hifigan.onnx")
    for clock_hz in (22_050, 19_000, 16_000):
        system = copysyn.System("x", "hifigan", "gan", net, clock_hz=clock_hz)
        sound = np.zeros(32_000, np.float32)
        sound[16_000:24_000] = 0.3 * np.sin(2 * np.pi * 40 / 16_000 * np.arange(8_000))  # in the lowest band
        copy = copysyn.copy_of(system, sound)
        assert copy.shape == sound.shape
        is_loud = np.flatnonzero(copy > -4)
        assert abs(is_loud[0] - 16_000) < 900
        assert abs(is_loud[-1] - 24_000) < 900


def test_what_is_no_network_is_told(tmp_path: Path) -> None:
    program: Any = load_program("examples/zoo", "onnx_vocoder")
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    for name in ("bad.onnx", "none.onnx"):
        with pytest.raises(CheckpointError, match="make voices"):
            program.OnnxVocoder(tmp_path / name)
