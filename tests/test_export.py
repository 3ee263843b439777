"""`fakespan export`: the ONNX file does what torch does, and describes itself."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from conftest import TINY
from fakespan.checkpoint import Checkpoint, load_checkpoint
from fakespan.config import ModelConfig, PostConfig, to_mapping
from fakespan.errors import CheckpointError
from fakespan.export.onnx_file import TOLERANCE, save_checked, write_onnx
from fakespan.export.programs import example
from fakespan.localizer import Localizer, load_model
from fakespan.localizer.torch_runner import TorchRunner
from fakespan.models import build_model
from fakespan.models.proposal_gather import gathered_proposals
from fakespan.models.sampling import sampling_bags
from test_localizer_judge import BATFD, CLIPS, PARTS, PLUS

EXPERTS = dataclasses.replace(
    TINY, family="experts", video_encoder="mouth", audio_encoder="texture", audio_widths=(4, 4, 8), framing="mouth"
)
FAMILIES = {
    "batfd": BATFD,
    "batfd_plus": dataclasses.replace(PLUS, boundary_generator=False),
    "batfd_plus with a boundary generator": PLUS,
    "transformers": dataclasses.replace(
        PLUS, video_encoder="mvit_t", audio_encoder="vit_t", boundary_generator=False, sampling="bmn"
    ),
    "small": TINY,
}


@pytest.fixture(autouse=True, scope="module")
def _no_trace() -> Iterator[None]:
    """pytest keeps every record of the tracer's own log, which takes longer than tracing."""
    logger = logging.getLogger("torch.__trace")
    logger.propagate = False
    yield
    logger.propagate = True


def checkpoint_of(model: ModelConfig, seed: int = 0) -> Checkpoint:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_model(model)
    return Checkpoint("random", model, PostConfig(threshold=0.25), network.eval(), {"data": "none"})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    path = tmp_path_factory.mktemp("export") / "experts.onnx"
    assert write_onnx(path, checkpoint_of(EXPERTS)).difference <= TOLERANCE
    return path


def assert_same_maps(onnx_model: Localizer, torch_model: Localizer) -> None:
    """Clips of many lengths, some without a face or sound, alone and in batches."""
    for ours, theirs in zip(onnx_model.judge(CLIPS, 3), torch_model.judge(CLIPS, 3), strict=True):
        assert (ours is None) == (theirs is None)
        for name in PARTS if ours is not None else ():
            a, b = getattr(ours, name), getattr(theirs, name)
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, atol=TOLERANCE)


@pytest.mark.slow
def test_the_file_gives_the_maps_of_torch_for_every_length_batch_and_modality(exported):
    assert_same_maps(load_model(exported), Localizer(checkpoint_of(EXPERTS), "cpu"))


@pytest.mark.slow
def test_a_boundary_generator_can_be_exported(tmp_path):
    checkpoint = checkpoint_of(PLUS)
    write_onnx(tmp_path / "a.onnx", checkpoint)
    assert_same_maps(load_model(tmp_path / "a.onnx"), Localizer(checkpoint, "cpu"))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_tracers_see_of_a_network_is_the_network(family, monkeypatch, one_thread):
    """The other families are traced in `fakespan export` itself; here, that the code for tracers does the same."""
    model = FAMILIES[family]
    runner = TorchRunner(checkpoint_of(model).network, model, "cpu")
    faces, sound = (x.numpy() for x in example(24, 2))
    usual = runner(faces, sound, 24)
    monkeypatch.setattr("torch.compiler.is_compiling", lambda: True)
    for name, value in runner(faces, sound, 24).items():
        np.testing.assert_allclose(value, usual[name], atol=1e-5)


@pytest.mark.slow
def test_the_file_describes_itself(exported):
    model = onnx.load(exported)
    (record,) = (json.loads(entry.value) for entry in model.metadata_props if entry.key == "fakespan")
    assert record["model"] == to_mapping(EXPERTS)
    assert record["post"]["threshold"] == 0.25
    assert record["scales"] == [[1.0, 0.0], [1.0, 0.0]]
    assert record["opset"] == next(entry.version for entry in model.opset_import if not entry.domain)
    for value in (*model.graph.input, *model.graph.output):
        assert value.doc_string in {**record["inputs"], **record["outputs"]}.values()
    assert [axis.dim_param for value in model.graph.input for axis in value.type.tensor_type.shape.dim] == [
        "batch", "frames", "", "", "", "batch", "samples"
    ]  # fmt: skip
    assert str(Path(__file__).parents[1]) not in exported.read_bytes().decode("latin-1")  # no paths of this machine


@pytest.mark.slow
def test_nothing_is_written_that_differs_from_torch(exported, tmp_path):
    out = tmp_path / "other.onnx"
    with pytest.raises(CheckpointError, match=r"outputs of torch within 0\.0001, got a difference of"):
        save_checked(out, exported.read_bytes(), checkpoint_of(EXPERTS, seed=1))
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_torch_cannot_trace_is_named(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("No complex padding. More advice\nfor the developers of torch")

    monkeypatch.setattr("fakespan.export.onnx_file._traced", fail)
    with pytest.raises(CheckpointError, match="a network that can be traced, got RuntimeError: No complex padding;"):
        write_onnx(tmp_path / "a.onnx", checkpoint_of(TINY))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_told_otherwise(call, tiny_path, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fakespan.export.onnx_file._traced", lambda *_: pytest.fail("traced although the file is there")
    )
    out = tmp_path / "a.onnx"
    out.touch()
    code, _, err = call("export", tiny_path, "--out", out)
    assert code == 2
    assert "use --overwrite" in err


@pytest.mark.parametrize("sampling", ["bmn", "reference"])
@pytest.mark.parametrize(("n_frames", "max_duration", "n_samples"), [(1, 3, 4), (40, 12, 10), (77, 40, 9)])
def test_gathering_samples_is_the_product_with_the_sampling_table(sampling, n_frames, max_duration, n_samples):
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, 5, n_frames, generator=random)
    kernel = torch.randn(n_samples, 3, 5, generator=random)
    table = sampling_bags(n_frames, np.arange(max_duration), n_samples, sampling).dense(n_frames * n_samples)
    rows = torch.einsum("nkc,bct->btnk", kernel, features).flatten(1, 2)
    torch.testing.assert_close(
        gathered_proposals(features, kernel, max_duration, sampling), torch.from_numpy(table) @ rows, atol=1e-4, rtol=0
    )


def test_the_shipped_onnx_file_is_the_shipped_model():
    """If it is not: fakespan export small --out src/fakespan/weights/small.onnx --overwrite."""
    weights = Path(load_model.__code__.co_filename).parents[1] / "weights"
    ours, theirs = load_model("small", backend="onnx"), Localizer(load_checkpoint(weights / "small.safetensors"))
    assert (ours.digest, ours.model, ours.post, ours.name) == (theirs.digest, theirs.model, theirs.post, theirs.name)
