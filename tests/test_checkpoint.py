"""Model files: what is written comes back, published files run, and every bad file gets one clear sentence."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from fakespan.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fakespan.config import PostConfig
from fakespan.errors import CheckpointError
from fakespan.models import build_model
from golden_cases import GOLDEN, TINY, fill_state, inputs

LIGHTNING = GOLDEN / "lightning_batfd_tiny.ckpt"


@pytest.fixture
def saved(tmp_path):
    """A file of ours and the network in it."""
    network = build_model(TINY).eval()
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(
        path, network, name="tiny", model=TINY, post=PostConfig(threshold=0.3), notes={"trained_on": "noise", "ap": 0.5}
    )
    return path, network


def rewritten(path, header=None, **tensors):
    """The file of ours with another header or other tensors."""
    checkpoint = load_checkpoint(path)
    state = {**checkpoint.network.state_dict(), **tensors}
    state = {key: value for key, value in state.items() if value is not None}
    good = {"format": 1, "name": "tiny", "model": {**MODEL_TABLE}, "post": {}, "notes": {}}
    save_file(state, path, metadata={"fakespan": header if isinstance(header, str) else json.dumps(header or good)})
    return path


MODEL_TABLE = {
    "family": "batfd",
    "n_frames": 16,
    "max_duration": 4,
    "n_samples": 3,
    "n_features": 8,
    "video_widths": [2, 2, 2, 2],
    "audio_widths": [2, 2, 2],
    "boundary_widths": [4, 4],
}


def test_what_is_saved_comes_back(saved):
    path, network = saved
    back = load_checkpoint(path)
    assert isinstance(back, Checkpoint)
    assert (back.name, back.model, back.post.threshold) == ("tiny", TINY, 0.3)
    assert back.notes == {"trained_on": "noise", "ap": 0.5}
    assert not back.network.training
    for key, value in network.state_dict().items():
        torch.testing.assert_close(back.network.state_dict()[key], value, rtol=0, atol=0)
    with torch.inference_mode():
        torch.testing.assert_close(back.network(*inputs(1, 16)).fused, network(*inputs(1, 16)).fused)


def test_saving_leaves_one_file_and_replaces_an_older_one(saved):
    path, network = saved
    save_checkpoint(path, network, name="again", model=TINY)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert load_checkpoint(path).name == "again"


def test_loading_draws_no_random_numbers(saved):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    load_checkpoint(saved[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_saving_to_no_folder_says_so(saved, tmp_path):
    with pytest.raises(CheckpointError, match="choose another folder"):
        save_checkpoint(tmp_path / "none" / "x.safetensors", saved[1], name="x", model=TINY)


def test_a_network_that_diverged_is_not_saved(saved, tmp_path):
    _, network = saved
    torch.nn.init.constant_(network.visual_classifier.bias, float("nan"))
    with pytest.raises(CheckpointError, match=r"NaN values in visual_classifier\.bias"):
        save_checkpoint(tmp_path / "nan.safetensors", network, name="x", model=TINY)
    assert not (tmp_path / "nan.safetensors").exists()


@torch.inference_mode()
def test_a_published_checkpoint_becomes_a_running_network():
    checkpoint = load_checkpoint(LIGHTNING)
    model = checkpoint.model
    assert (checkpoint.name, model.family, model.sampling) == ("lightning_batfd_tiny", "batfd", "reference")
    assert (model.n_frames, model.max_duration, model.n_features) == (64, 40, 32)
    assert (model.video_widths, model.audio_widths, model.boundary_widths) == ((4, 6, 8, 8), (4, 6, 8), (16, 8))
    published = torch.load(LIGHTNING, weights_only=True)["state_dict"]
    want = fill_state(published)["video_boundary_module.block0.0.conv.weight"]
    torch.testing.assert_close(checkpoint.network.state_dict()["visual_boundary.proposals.sampled.weight"], want)
    output = checkpoint.network(*inputs(1, 64), n_frames=10)
    assert output.fused.shape == (1, 40, 64)


def test_a_published_checkpoint_saved_as_ours_is_the_same(tmp_path):
    theirs = load_checkpoint(LIGHTNING)
    save_checkpoint(tmp_path / "x.safetensors", theirs.network, name="x", model=theirs.model, notes=theirs.notes)
    ours = load_checkpoint(tmp_path / "x.safetensors")
    assert ours.model == theirs.model
    for key, value in theirs.network.state_dict().items():
        assert torch.equal(ours.network.state_dict()[key], value)


def test_a_file_of_ours_under_another_name_still_loads(saved):
    path = saved[0].rename(saved[0].with_suffix(".ckpt"))
    assert load_checkpoint(path).name == "tiny"


class Malicious:
    """Would make a file if it were unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("form", ["torch", 2, 5])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, form):
    path, target = tmp_path / "evil.ckpt", tmp_path / "made_by_evil"
    if form == "torch":
        torch.save({"state_dict": {}, "hyper_parameters": Malicious(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Malicious(target), protocol=form))
    said = "code, which was not executed" if form == "torch" else "a plain pickle; .* it was not opened"
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors", ".pt"])
@pytest.mark.parametrize("content", [b"", b"\x00", b"not a model at all", b"PK\x03\x04" + bytes(50)])
def test_a_damaged_file_is_told(tmp_path, suffix, content):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="download the file again"):
        load_checkpoint(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_told(saved, tmp_path, share):
    for source in (saved[0], LIGHTNING):
        content = source.read_bytes()
        path = tmp_path / f"cut{source.suffix}"
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(path)


def test_altered_weights_of_a_published_checkpoint_are_told(tmp_path):
    content = bytearray(LIGHTNING.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"the checksum of .* differs"):
        load_checkpoint(tmp_path / "x.ckpt")


@pytest.mark.parametrize("name", ["missing.ckpt", "missing.safetensors", "."])
def test_a_missing_file_is_told(tmp_path, name):
    with pytest.raises(CheckpointError, match="check the path"):
        load_checkpoint(tmp_path / name)


def test_safetensors_of_another_program_are_told(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="safetensors of another program"):
        load_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"format": 2}, "expected a header of format 1, got format 2; update fakespan"),
        ("no json", "readable fakespan header"),
        ("[]", "readable fakespan header"),
        ({"format": 1, "name": "x"}, "readable fakespan header"),
        ({"format": 1, "name": "x", "model": {"famly": "batfd"}, "post": {}}, "did you mean family"),
        ({"format": 1, "name": "x", "model": {"n_frames": -1}, "post": {}}, "n_frames"),
        ({"format": 1, "name": "x", "model": {**MODEL_TABLE, "audio_widths": [2, 2, 3]}, "post": {}}, "audio_widths"),
        ({"format": 1, "name": "x", "model": {**MODEL_TABLE, "max_duration": 5}, "post": {}}, r"of shape \(5, "),
        ({"format": 1, "name": "x", "model": {**MODEL_TABLE, "n_features": 10**9}, "post": {}}, "audio_widths"),
        (
            {"format": 1, "name": "x", "model": {**MODEL_TABLE, "boundary_widths": [10**7, 10**7]}, "post": {}},
            "of shape",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_told(saved, header, said):
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(rewritten(saved[0], header))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_told(saved, value):
    path = rewritten(saved[0], **{"visual_classifier.bias": torch.full((1,), value)})
    with pytest.raises(CheckpointError, match=r"finite weights.*visual_classifier\.bias"):
        load_checkpoint(path)


def test_a_missing_or_unknown_weight_is_told(saved):
    path = rewritten(saved[0], **{"visual_classifier.bias": None, "stranger": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"1 missing \(first: visual_classifier.bias\) and 1 unknown"):
        load_checkpoint(path)


def lightning(tmp_path, **changes):
    record = torch.load(LIGHTNING, weights_only=True)
    path = tmp_path / "x.ckpt"
    torch.save({**record, **changes}, path)
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state_dict": {"layer1.weight": torch.zeros(2)}}, "checkpoint of another network"),
        ({"state_dict": {}}, "checkpoint of another network"),
        ({"state_dict": None}, "a file without one"),
        ({"state_dict": {"a": 3}}, "a file without one"),
        ({"hyper_parameters": {"v_encoder": "resnet"}}, "v.*resnet"),
        ({"hyper_parameters": {"temporal_dim": "many"}}, "n_frames"),
        ({"hyper_parameters": [1]}, "hyper_parameters of a published network"),
        ({"hyper_parameters": {}}, "of shape"),
    ],
)
def test_a_foreign_lightning_checkpoint_is_told(tmp_path, changes, said):
    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(lightning(tmp_path, **changes))


def test_a_tensor_alone_is_told(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="a file without one"):
        load_checkpoint(tmp_path / "x.pt")
