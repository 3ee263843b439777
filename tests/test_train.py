"""Training: it runs and repeats itself, goes on after a kill as if nothing had been, and stops where it must."""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fakespan.checkpoint import load_checkpoint, save_checkpoint
from fakespan.config import ModelConfig, PostConfig, from_mapping
from fakespan.errors import CheckpointError, ConfigError, DataError, FakespanError, UsageError
from fakespan.models.outputs import Output
from fakespan.train import RunConfig, fit_threshold, keeper, load_run_config, train
from fakespan.train import run as run_module
from fakespan.train.folder import RunFolder
from little_room import little_room
from tiny_training import BATFD, PLUS, SMALL, TinySet, changed, losses, rows, tiny_data, tiny_run

pytestmark = pytest.mark.usefixtures("one_thread")

STOPPED_AT = 5  # steps; states are saved every second one, epochs are three steps


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).network.state_dict()


def same_weights(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


# --- a run ---


def test_a_run_leaves_a_folder_that_explains_itself(tmp_path):
    run, told = tiny_run(clips_per_epoch=4), []
    path = train(run, tiny_data(validation=TinySet(3)), tmp_path / "a", lambda *what: told.append(what))
    assert path == tmp_path / "a" / "tiny.safetensors"
    assert [(step, total) for step, total, _ in told] == [(k, 6) for k in range(1, 7)]
    assert {p.name for p in path.parent.iterdir()} == {
        *("config.toml", "log.csv", "epochs.csv", "tensorboard", "loss.png", "learning_rate.png"),
        *("last.ckpt", "best.ckpt", "last.safetensors", "best.safetensors", "tiny.safetensors"),
    }
    assert load_run_config(path.parent / "config.toml") == run
    assert np.isfinite(losses(path.parent)).all()
    assert [row["epoch"] for row in rows(path.parent)] == [1, 1, 2, 2, 3, 3]
    epochs = rows(path.parent, "epochs.csv")
    assert [(row["epoch"], row["step"]) for row in epochs] == [(1, 2), (2, 4), (3, 6)]
    means = losses(path.parent)[:, 0].reshape(3, 2).mean(1)
    np.testing.assert_allclose([row["train_loss"] for row in epochs], means, rtol=1e-6)
    assert all(math.isfinite(row["validation_loss"]) for row in epochs)
    assert next((path.parent / "tensorboard").glob("events*")).stat().st_size > 500
    assert (path.parent / "loss.png").read_bytes().startswith(b"\x89PNG")
    checkpoint = load_checkpoint(path)
    assert (checkpoint.name, checkpoint.model, checkpoint.notes["step"]) == ("tiny", run.model, 6)
    assert checkpoint.notes["data"] == "tiny"
    assert from_mapping(RunConfig, checkpoint.notes["config"]) == run


def test_a_run_can_be_repeated_and_depends_on_its_seed(tmp_path):
    for name, options in (("a", {}), ("again", {"n_workers": 1}), ("other", {"seed": 2})):
        train(tiny_run(n_steps=3, **options), tiny_data(), tmp_path / name)
    np.testing.assert_array_equal(losses(tmp_path / "again"), losses(tmp_path / "a"))
    assert not np.array_equal(losses(tmp_path / "other"), losses(tmp_path / "a"))
    assert same_weights(tmp_path / "a" / "last.safetensors", tmp_path / "again" / "tiny.safetensors")


def test_a_run_may_start_from_a_model_of_the_same_network(tmp_path):
    first = train(tiny_run(n_steps=2), tiny_data(), tmp_path / "first")
    unchanged = tiny_run(n_steps=1, start=str(first), learning_rate=1e-12, average=0.0)
    again = train(unchanged, tiny_data(), tmp_path / "again")
    for (name, before), after in zip(weights(first).items(), weights(again).values(), strict=True):
        assert torch.allclose(before, after) or "running" in name or "num_batches" in name
    assert str(tmp_path).encode() not in again.read_bytes()  # a model may be published
    other = dataclasses.replace(unchanged, model=dataclasses.replace(unchanged.model, n_features=16))
    with pytest.raises(ConfigError, match=r"train\.start: expected a model of the same"):
        train(other, tiny_data(), tmp_path / "other")
    assert not (tmp_path / "other").exists()  # the folder is free for the corrected call


def test_time_that_runs_out_ends_a_run_with_a_checkpoint(tmp_path):
    path = train(tiny_run(time_limit_min=1e-6), tiny_data(), tmp_path)
    assert len(losses(tmp_path)) == 1
    assert rows(tmp_path)[0]["learning_rate"] == pytest.approx(0, abs=1e-12)  # the schedule still reached its end
    assert load_checkpoint(path).notes["step"] == 1


def test_a_second_run_does_not_replace_the_first_unless_told_to(tmp_path):
    run = tiny_run(n_steps=1)
    train(run, tiny_data(), tmp_path)
    before = (tmp_path / "log.csv").read_bytes()
    with pytest.raises(UsageError, match="expected a new folder for this run, got the folder of another"):
        train(run, tiny_data(), tmp_path)
    assert (tmp_path / "log.csv").read_bytes() == before
    (tmp_path / "mine.txt").touch()
    train(changed(run, seed=2), tiny_data(), tmp_path, overwrite=True)
    assert (tmp_path / "log.csv").read_bytes() != before
    assert (tmp_path / "mine.txt").exists()


def test_the_best_weights_are_kept_when_asked_for(tmp_path, monkeypatch):
    from fakespan.train.module import TrainingModule

    told = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(TrainingModule, "_validate", lambda self: next(told))
    path = train(tiny_run(clips_per_epoch=4, keep="best"), tiny_data(validation=TinySet(2)), tmp_path)
    assert load_checkpoint(path).notes["step"] == load_checkpoint(tmp_path / "best.safetensors").notes["step"] == 4
    assert load_checkpoint(tmp_path / "last.safetensors").notes["step"] == 6


def test_what_the_validation_loss_says_is_the_mean_over_its_clips(tmp_path):
    """Three clips in batches of two and one: each clip counts the same; the weights are those that are kept."""
    path = train(tiny_run(BATFD, n_steps=2), tiny_data(validation=TinySet(3)), tmp_path)
    network = load_checkpoint(path).network
    from fakespan.losses import Targets, localization_loss
    from fakespan.train.feed import Feed

    totals = []
    for k in range(3):
        batch = Feed(TinySet(3), BATFD)[[k]].batch
        truth = {f.name: getattr(batch, f.name) for f in dataclasses.fields(Targets)}
        with torch.no_grad():
            totals.append(float(localization_loss(network(batch.video, batch.audio), Targets(**truth)).total))
    assert rows(tmp_path, "epochs.csv")[-1]["validation_loss"] == pytest.approx(np.mean(totals), rel=1e-4)


# --- stopping early ---


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({"stop_patience": 2, "schedule": "constant"}, 8),  # the loss is best after the second epoch
        ({"schedule": "plateau", "lr_patience": 0, "lr_factor": 0.1, "min_learning_rate": 2e-4}, 6),
        ({"schedule": "exponential", "lr_factor": 0.5, "min_learning_rate": 2e-4}, 6),
    ],
)
def test_a_run_ends_when_it_no_longer_learns(tmp_path, monkeypatch, options, last):
    from fakespan.train.module import TrainingModule

    told = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    monkeypatch.setattr(TrainingModule, "_validate", lambda self: next(told))
    run = tiny_run(n_steps=0, n_epochs=6, clips_per_epoch=4, **options)
    train(run, tiny_data(validation=TinySet(2)), tmp_path)
    assert len(rows(tmp_path)) == last
    log = (tmp_path / "log.csv").read_bytes()
    train(run, tiny_data(validation=TinySet(2)), tmp_path, resume=True)  # there is nothing left to do
    assert (tmp_path / "log.csv").read_bytes() == log


def test_the_plateau_schedule_needs_validation_clips(tmp_path):
    with pytest.raises(ConfigError, match="validation clips for the plateau schedule"):
        train(tiny_run(schedule="plateau"), tiny_data(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- kill and resume ---

SCHEDULES = {
    "small-cosine": tiny_run(n_steps=9, clips_per_epoch=6, accumulate=1),
    "batfd-plateau": tiny_run(
        BATFD, n_steps=9, clips_per_epoch=8, batch_size=1, accumulate=2, schedule="plateau", lr_patience=0, average=0.0
    ),
}


def killed(run: RunConfig, folder: Path) -> None:
    """A process of its own, forked, that trains and is killed in the middle of a step."""

    def die(step: int, total: int, note: str) -> None:
        if step == STOPPED_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    data = tiny_data(TinySet(7), TinySet(3))
    process = multiprocessing.get_context("fork").Process(target=train, args=(run, data, folder, die))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path, name):
    run, data = SCHEDULES[name], tiny_data(TinySet(7), TinySet(3))
    whole = train(run, data, tmp_path / "whole")
    killed(run, tmp_path / "killed")
    assert not (tmp_path / "killed" / "tiny.safetensors").exists()
    steps = []
    resumed = train(run, data, tmp_path / "killed", lambda step, *_: steps.append(step), resume=True)
    assert steps == list(range(STOPPED_AT, 10))  # the last state was that of step 4
    np.testing.assert_array_equal(losses(tmp_path / "killed"), losses(tmp_path / "whole"))
    columns = ("step", "epoch", "learning_rate", "train_loss", "validation_loss")
    before, after = (
        [[row[c] for c in columns] for row in rows(tmp_path / f, "epochs.csv")] for f in ("whole", "killed")
    )
    assert after == before
    assert same_weights(whole, resumed)


@pytest.mark.parametrize("n_saved", [2, 3])
def test_killed_between_a_state_and_its_model_it_gives_the_same_model(tmp_path, monkeypatch, n_saved):
    whole = train(tiny_run(), tiny_data(), tmp_path / "whole")
    n_left = iter(range(n_saved, 0, -1))

    def save(path: Path, *arguments, **options) -> None:
        if next(n_left) == 1:
            raise KeyboardInterrupt
        save_checkpoint(path, *arguments, **options)

    monkeypatch.setattr(keeper, "save_checkpoint", save)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_run(), tiny_data(), tmp_path / "killed")
    monkeypatch.undo()
    assert same_weights(train(tiny_run(), tiny_data(), tmp_path / "killed", resume=True), whole)


def test_a_run_goes_on_when_it_is_given_more_steps(tmp_path):
    run = tiny_run(n_steps=2, schedule="constant")
    train(run, tiny_data(), tmp_path / "a")
    train(changed(run, n_steps=4), tiny_data(), tmp_path / "a", resume=True)
    train(changed(run, n_steps=4), tiny_data(), tmp_path / "b")
    np.testing.assert_array_equal(losses(tmp_path / "a"), losses(tmp_path / "b"))


def test_only_the_same_run_is_gone_on_with(tmp_path):
    run = tiny_run(n_steps=2)
    train(run, tiny_data(), tmp_path)
    for other, said in (
        (changed(run, learning_rate=0.5), "train.learning_rate: expected 0.001, as in"),
        (dataclasses.replace(run, model=BATFD), "model.family: expected 'small'"),
    ):
        with pytest.raises(ConfigError, match=said):
            train(other, tiny_data(), tmp_path, resume=True)
    with pytest.raises(UsageError, match="--data: expected tiny, as before"):
        train(run, dataclasses.replace(tiny_data(), source="lavdf:x"), tmp_path, resume=True)
    with pytest.raises(UsageError, match="--data: expected 12 clips, as before, got 3"):
        train(run, tiny_data(TinySet(3)), tmp_path, resume=True)
    with pytest.raises(ConfigError, match="expected 2 clips per step"):
        train(run, tiny_data(), tmp_path, resume=True, device="cpu", n_devices=2)


def test_a_finished_model_without_its_state_is_not_replaced_by_resuming(tmp_path):
    path = train(tiny_run(n_steps=1), tiny_data(), tmp_path)
    (tmp_path / "last.ckpt").unlink()
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"expected last\.ckpt to resume from.*--overwrite"):
        train(tiny_run(n_steps=2), tiny_data(), tmp_path, resume=True)
    assert path.read_bytes() == before


def test_a_run_is_not_both_resumed_and_overwritten(tmp_path):
    with pytest.raises(UsageError, match="expected it or --overwrite, got both"):
        train(tiny_run(n_steps=1), tiny_data(), tmp_path, resume=True, overwrite=True)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told(tmp_path):
    train(tiny_run(n_steps=1), tiny_data(), tmp_path)
    before = (tmp_path / "last.ckpt").read_bytes()
    with little_room(1000), pytest.raises(UsageError, match="expected free space for a training state"):
        RunFolder(tmp_path).save_state("last", {"weights": torch.zeros(1000)})
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04"])
def test_a_damaged_state_is_told(tmp_path, content):
    train(tiny_run(n_steps=1), tiny_data(), tmp_path)
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: expected a training state"):
        train(tiny_run(n_steps=3), tiny_data(), tmp_path, resume=True)


# --- numbers ---


@pytest.mark.parametrize("batch_size", [1, 2])
def test_accumulated_batches_learn_as_one_big_batch(tmp_path, batch_size):
    """Without norms over the batch; the learning rate follows the clips of a step."""
    options = {"n_steps": 3, "average": 0.0, "optimizer": "adam", "lr_per_batch": 4, "schedule": "constant"}
    run = tiny_run(BATFD, batch_size=4, **options)
    train(run, tiny_data(), tmp_path / "big")
    train(changed(run, batch_size=batch_size, accumulate=4 // batch_size), tiny_data(), tmp_path / "parts")
    np.testing.assert_allclose(losses(tmp_path / "parts"), losses(tmp_path / "big"), rtol=2e-4)
    assert {row["learning_rate"] for row in rows(tmp_path / "parts")} == {1e-3}
    ours, theirs = weights(tmp_path / "parts" / "tiny.safetensors"), weights(tmp_path / "big" / "tiny.safetensors")
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("precision", "sampling"), [("bf16", "bmn"), ("bf16", "reference"), ("32", "bmn")])
def test_a_tiny_ba_tfd_plus_with_boundary_generator_trains(tmp_path, precision, sampling):
    model = dataclasses.replace(PLUS, sampling=sampling)
    train(tiny_run(model, n_steps=3, precision=precision, average=0.0), tiny_data(), tmp_path)
    assert np.isfinite(losses(tmp_path)).all()
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "tiny.safetensors").values())


def test_gradients_are_clipped(tmp_path):
    """The optimiser is plain enough to show it: with next to no gradient left, next to nothing is learnt."""
    options = {"n_steps": 2, "average": 0.0, "optimizer": "adam", "weight_decay": 0.0, "schedule": "constant"}
    train(tiny_run(BATFD, clip_norm=1e-12, **options), tiny_data(), tmp_path / "clipped")
    train(tiny_run(BATFD, clip_norm=0.0, **options), tiny_data(), tmp_path / "free")
    start = tiny_run(BATFD, **{**options, "learning_rate": 1e-30})
    before = weights(train(start, tiny_data(), tmp_path / "start"))

    def moved(name):
        after = weights(tmp_path / name / "tiny.safetensors")
        return max(float((after[key] - value).abs().max()) for key, value in before.items())

    assert moved("clipped") < 0.1 * moved("free")


def test_half_precision_needs_a_gpu(tmp_path):
    with pytest.raises(UsageError, match="--precision: expected a GPU for 16"):
        train(tiny_run(precision="16"), tiny_data(), tmp_path, device="cpu")


@pytest.mark.parametrize(("device", "n"), [("abacus", 1), ("cuda:x", 1), ("cuda:99", 1), ("cuda", 99)])
def test_a_device_that_is_not_there_is_told(tmp_path, device, n):
    with pytest.raises(UsageError, match="--device"):
        train(tiny_run(), tiny_data(), tmp_path, device=device, n_devices=n)


# --- trouble ---


def test_a_loss_that_is_no_number_stops_the_run_names_the_clips_and_leaves_a_good_state(tmp_path):
    run, clips = tiny_run(sampling="epoch", save_every=100), TinySet(12, nan=(3,))
    with pytest.raises(FakespanError, match=r"step \d: expected a finite loss, got nan on .*clip3\.mp4") as caught:
        train(run, tiny_data(clips), tmp_path)
    stopped_at = int(caught.value.subject.split()[1])
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["counters"]["step"] == stopped_at - 1
    assert all(torch.isfinite(value).all() for value in state["network"].values())
    assert not list(tmp_path.glob("*.safetensors"))
    train(run, tiny_data(), tmp_path / "healthy")
    train(run, tiny_data(), tmp_path, resume=True)  # the clip was mended
    np.testing.assert_array_equal(losses(tmp_path), losses(tmp_path / "healthy"))


def test_a_gradient_that_is_no_number_stops_the_run_too(tmp_path, monkeypatch):
    class Spoilt(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * float("inf")

    from fakespan.models.small import Small

    fuse = Small.fuse

    def spoilt(self, seen, heard) -> Output:
        output = fuse(self, seen, heard)
        return dataclasses.replace(output, fused=Spoilt.apply(output.fused))

    monkeypatch.setattr(Small, "fuse", spoilt)
    with pytest.raises(FakespanError, match=r"step 1: expected a finite gradient, got (nan|inf) on clip\d+\.mp4, clip"):
        train(tiny_run(), tiny_data(), tmp_path)


def test_an_interruption_is_one_and_the_run_can_be_gone_on_with(tmp_path):
    def stop(step, *_):
        if step == 3:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_run(), tiny_data(), tmp_path, stop)
    assert signal.getsignal(signal.SIGINT) is before
    train(tiny_run(), tiny_data(), tmp_path, resume=True)
    assert len(losses(tmp_path)) == 6


def test_a_few_damaged_clips_are_passed_over_and_counted(tmp_path):
    train(tiny_run(clips_per_epoch=12), tiny_data(TinySet(12, damaged=(2, 7)), TinySet(4, damaged=(0,))), tmp_path)
    (epoch,) = rows(tmp_path, "epochs.csv")
    assert epoch["damaged_clips"] == 3
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert "got rubbish" in state["counters"]["damaged"]["clip 2"]


def test_too_many_damaged_clips_stop_the_run(tmp_path):
    clips = TinySet(40, damaged=range(0, 40, 3))
    with pytest.raises(DataError, match=r"the training set: expected readable clips, got 1\d unreadable of about"):
        train(tiny_run(n_steps=50), tiny_data(clips), tmp_path)
    with pytest.raises(
        DataError, match=r"12 unreadable of about 2 \(the first: clip0\.mp4: expected a clip, got rubbish"
    ):
        train(tiny_run(), tiny_data(TinySet(40, damaged=range(40))), tmp_path / "all")


# --- the threshold ---


def test_the_threshold_is_fitted_and_written_into_the_file(tmp_path, monkeypatch):
    run = tiny_run(n_steps=1, threshold_share=0.5)
    path = train(run, tiny_data(), tmp_path)
    before = load_checkpoint(path)
    monkeypatch.setattr(run_module, "pick_threshold", lambda scores, share: share * len(scores) / 100)
    after = fit_threshold(path, run, [TinySet()[k] for k in range(8)])
    assert before.post.threshold == PostConfig().threshold
    assert (
        load_checkpoint(path).post == after.post == dataclasses.replace(run.post, threshold=0.02)
    )  # 4 of the 8 are real
    assert after.notes == before.notes
    for name, value in before.network.state_dict().items():
        assert torch.equal(after.network.state_dict()[name], value)


# --- several processes ---

TOGETHER = """
import sys, torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
from pathlib import Path
from fakespan.train import train
from tiny_training import *
from fakespan.train.feed import Feed

seen, read = [], Feed.__getitem__
def noted(self, clips):
    seen.append(list(clips))
    return read(self, clips)
Feed.__getitem__ = noted
run = tiny_run(BATFD, n_steps=3, batch_size=1, average=0.0, clips_per_epoch=4)
out = Path({out!r})
train(run, tiny_data(TinySet(8), TinySet(3)), out, device="cpu", n_devices=2)
import json, os
(out / f"seen-{{os.environ['LOCAL_RANK']}}.json").write_text(json.dumps(seen))
"""


@pytest.mark.slow
def test_two_processes_learn_as_one_and_share_the_clips_out(tmp_path):
    program = tmp_path / "together.py"
    program.write_text(TOGETHER.format(tests=str(Path(__file__).parent), out=str(tmp_path / "two")))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    train(
        tiny_run(BATFD, n_steps=3, average=0.0, clips_per_epoch=4), tiny_data(TinySet(8), TinySet(3)), tmp_path / "one"
    )
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4)
    both = [[row["validation_loss"] for row in rows(tmp_path / name, "epochs.csv")] for name in ("one", "two")]
    np.testing.assert_allclose(*both, rtol=1e-4)
    seen = [json.loads((tmp_path / "two" / f"seen-{rank}.json").read_text()) for rank in (0, 1)]
    trained = [[batch for batch in part if len(batch) == 1][:2] for part in seen]
    assert not {k for batch in trained[0] for k in batch} & {k for batch in trained[1] for k in batch}
    assert not [line for line in done.stderr.splitlines() if line.strip()], done.stderr


ENDLESS = """
import os, sys, torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
from pathlib import Path
from fakespan.train import train
from tiny_training import *

out = Path({out!r})
(out.parent / f"process-{{os.environ.get('LOCAL_RANK', 0)}}").write_text(str(os.getpid()))
train(tiny_run(n_steps=1_000_000, save_every=1), tiny_data(TinySet(8)), out, device="cpu", n_devices=2)
"""


@pytest.mark.slow
def test_two_processes_end_when_the_first_is_told_to(tmp_path):
    """Neither waits for the other, and the state is one to go on from."""
    program, out = tmp_path / "endless.py", tmp_path / "two"
    program.write_text(ENDLESS.format(tests=str(Path(__file__).parent), out=str(out)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen([sys.executable, program], stderr=subprocess.DEVNULL, env=environment)
    wait_until(lambda: (out / "last.ckpt").exists() or first.poll() is not None)
    second = int((tmp_path / "process-1").read_text())
    first.terminate()
    assert first.wait(120) == -signal.SIGTERM
    wait_until(lambda: not is_running(second))
    assert torch.load(out / "last.ckpt", weights_only=True)["counters"]["step"] > 0


def wait_until(is_so, seconds=120.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def is_running(process: int) -> bool:
    """Not so of one that has ended, nor of one whose end nobody has asked about yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_set_of_clips_of_any_length_trains(tmp_path):
    model = ModelConfig(**{**dataclasses.asdict(SMALL), "n_frames": 7})
    train(tiny_run(model, n_steps=2), tiny_data(TinySet(6, lengths=(3, 5, 8))), tmp_path)
    assert np.isfinite(losses(tmp_path)).all()
