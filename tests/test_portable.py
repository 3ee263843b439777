"""ONNX files are read and run without torch; what is no model of fakespan is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import fakespan
from fakespan import portable
from fakespan.errors import CheckpointError, MissingExtraError, UsageError
from fakespan.localizer import Localizer, load_model
from fakespan.portable import load_portable

PACKAGE = Path(fakespan.__file__).parent
SAMPLE = PACKAGE / "samples" / "sample.mp4"
SMALL = PACKAGE / "weights" / "small.onnx"

WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
sys.argv = ["fakespan", *sys.argv[1:]]
from fakespan.cli import main
try:
    main()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


def without_torch(*arguments: object) -> tuple[int, str, str]:
    """The command in a process that cannot import torch."""
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout, run.stderr


def test_the_sample_is_scanned_without_torch():
    code, out, err = without_torch("scan", SAMPLE, "--json")
    assert (code, err.split()) == (0, ["False"]), err
    (segment,) = json.loads(out)["segments"]
    assert segment["modality"] == "visual"
    assert segment["start_s"] == pytest.approx(5.84, abs=0.2)
    assert segment["end_s"] == pytest.approx(6.58, abs=0.2)


def test_info_tells_of_an_onnx_file_what_it_tells_of_the_weights_and_needs_no_torch(call):
    code, out, err = without_torch("info", SMALL, "--json")
    assert (code, err.split()) == (0, ["False"]), err
    told = json.loads(out)
    assert told["format"] == "onnx"
    assert told["opset"] == onnx.load(SMALL).opset_import[0].version
    assert set(told["inputs"]) == {"faces", "sound"}
    assert "float32" in told["inputs"]["sound"]
    weights = json.loads(call("info", SMALL.with_suffix(".safetensors"), "--json")[1])
    assert all(told[name] == weights[name] for name in ("name", "model", "post", "notes"))
    assert told["post"]["rates"]["visual"]["minutes"] > 0


def test_what_needs_torch_says_so_where_it_is_missing(tmp_path):
    code, _, err = without_torch("scan", SAMPLE, "--backend", "torch")
    assert code == 2
    assert "pip install 'fakespan[" in err


@pytest.fixture(scope="module")
def small() -> Localizer:
    return load_model(SMALL)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (SMALL.with_suffix(".safetensors"), {"backend": "onnx"}, "fakespan export"),
        (SMALL, {"backend": "torch"}, "--backend onnx or auto"),
        (SMALL, {"device": "cuda"}, "auto or cpu"),
        ("small", {"backend": "ONNX"}, "backend: expected auto, torch or onnx, got 'ONNX'"),
    ],
)
def test_a_backend_that_cannot_run_the_model_is_refused(model, options, message):
    with pytest.raises(UsageError, match=message):
        load_model(model, **options)


def test_what_wants_the_weights_says_which_file_has_them(small):
    with pytest.raises(UsageError, match="safetensors"):
        _ = small.network


def other_graph(path: Path, metadata: dict[str, str]) -> Path:
    value = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n"])
    out = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph([helper.make_node("Relu", ["faces"], ["score"])], "other", [value], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "another program"),
        ({"fakespan": "no JSON"}, "readable fakespan header"),
        ({"fakespan": "[]"}, "readable fakespan header"),
        ({"fakespan": '{"format": 2}'}, "update fakespan"),
        ({"fakespan": '{"format": 1}'}, "inputs and outputs of fakespan"),
    ],
)
def test_files_of_others_are_refused(tmp_path, metadata, message):
    with pytest.raises(CheckpointError, match=message):
        load_portable(other_graph(tmp_path / "a.onnx", metadata))


def test_damaged_and_missing_files_are_refused(tmp_path):
    damaged = tmp_path / "a.onnx"
    damaged.write_bytes(SMALL.read_bytes()[:100_000])
    for path in (damaged, tmp_path / "none.onnx"):
        with pytest.raises(CheckpointError):
            load_portable(path)


def test_weights_in_other_files_are_not_read(tmp_path):
    """A model file that came from somewhere must not read what lies beside it."""
    model = onnx.load(SMALL)
    (tmp_path / "secret").write_bytes(bytes(1 << 20))
    node = next(node for node in model.graph.node if node.op_type == "If")
    weight = next(part.g for part in node.attribute if part.name == "then_branch").initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="secret")
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="damaged"):
        load_portable(tmp_path / "a.onnx")


def test_a_graph_that_fails_is_an_error_of_the_file(small):
    with pytest.raises(CheckpointError, match="a graph that runs"):
        small.runner(np.zeros((1, 2, 95, 96, 3), np.uint8), None, 2)


def test_a_missing_onnxruntime_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"fakespan\[onnx\]"):
        load_portable(SMALL)


@pytest.mark.parametrize(("variable", "expected"), [("3", 3), ("", 0), ("many", 0)])
def test_the_user_limits_the_threads(monkeypatch, variable, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    made = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda _, options, **__: made.append(options))
    portable._session(SMALL, b"")
    assert made[0].intra_op_num_threads == expected
