"""Which clips a step sees, how fast it learns from them, and what a config may say."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fakespan.errors import ConfigError, UsageError
from fakespan.train import RunConfig, TrainConfig, config_text, load_run_config
from fakespan.train.order import Order, Shard, TrainSampler, ValidationSampler
from fakespan.train.schedule import Average, EpochSchedule, base_rate, cosine_rate, make_optimizer
from tiny_training import tiny_run

# --- order ---


@given(st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_sees_every_clip_once(n_clips, seed):
    order = Order(n_clips, seed, "epoch")
    for turn in range(3):
        seen = [order.clip(turn * n_clips + k) for k in range(n_clips)]
        assert sorted(seen) == list(range(n_clips))


def test_every_epoch_and_every_seed_has_its_own_order():
    def turn(seed, number):
        return [Order(50, seed, "epoch").clip(number * 50 + k) for k in range(50)]

    assert turn(1, 0) == turn(1, 0)
    assert turn(1, 0) != turn(1, 1)
    assert turn(1, 0) != turn(2, 0)


def test_the_published_way_draws_with_replacement():
    drawn = [Order(100, 1, "published").clip(k) for k in range(1000)]
    n_different = len(set(drawn[:100]))
    assert 55 < n_different < 72  # 100 draws of 100 give 63 on average
    assert set(drawn) <= set(range(100))
    counts = np.bincount(drawn, minlength=100)
    assert counts.max() < 30
    assert counts.mean() == 10


def test_clips_made_on_the_fly_come_one_after_the_other():
    assert [Order(5, 1, "endless").clip(k) for k in (0, 3, 17)] == [0, 3, 17]


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4), st.integers(0, 4))
def test_a_step_sees_the_same_clips_however_it_is_divided(batch_size, accumulate, n_processes, first, n_steps):
    order, total = Order(17, 1, "epoch"), batch_size * accumulate * n_processes
    steps = first, first + n_steps
    whole = list(TrainSampler(order, total, 1, steps))
    shards = [TrainSampler(order, batch_size, accumulate, steps, Shard(r, n_processes)) for r in range(n_processes)]
    batches = [list(shard) for shard in shards]
    assert all(len(shard) == len(b) == n_steps * accumulate for shard, b in zip(shards, batches, strict=True))
    for step in range(n_steps):
        parts = [
            clip for a in range(accumulate) for shard in batches for clip in shard[step * accumulate + a]
        ]  # batch by batch, within a batch process by process
        assert parts == whole[step]


def test_a_resumed_run_sees_the_clips_that_it_would_have_seen():
    order = Order(7, 3, "epoch")
    assert list(TrainSampler(order, 2, 2, (4, 9))) == list(TrainSampler(order, 2, 2, (0, 9)))[8:]


@given(st.integers(1, 30), st.integers(0, 40), st.integers(1, 4), st.integers(1, 4))
def test_validation_clips_are_shared_out_without_doubles(n_clips, n_wanted, batch_size, n_processes):
    samplers = [ValidationSampler(n_clips, n_wanted, batch_size, Shard(r, n_processes)) for r in range(n_processes)]
    parts = [[clip for batch in sampler for clip in batch] for sampler in samplers]
    assert [len(list(s)) for s in samplers] == [len(s) for s in samplers]
    everything = sorted(clip for part in parts for clip in part)
    assert everything == sorted(ValidationSampler(n_clips, n_wanted, 1).clips)
    assert len(set(everything)) == len(everything) == min(n_clips, n_wanted or n_clips)


# --- schedule ---


@pytest.mark.parametrize(("total", "rate"), [(4, 1e-5), (16, 4e-5), (2, 5e-6)])
def test_the_published_rate_grows_with_the_batch(total, rate):
    assert base_rate(TrainConfig(learning_rate=1e-5, lr_per_batch=4), total) == pytest.approx(rate)
    assert base_rate(TrainConfig(learning_rate=1e-5), total) == 1e-5


def schedule_of(**options):
    settings = TrainConfig(optimizer="adam", betas=(0.5, 0.9), weight_decay=1e-4, learning_rate=1e-5, **options)
    optimizer = make_optimizer(settings, nn.Linear(1, 1).parameters(), settings.learning_rate)
    return optimizer, EpochSchedule(settings, optimizer)


def test_ba_tfd_halves_its_rate_after_three_epochs_without_a_better_loss():
    optimizer, schedule = schedule_of(schedule="plateau", lr_factor=0.5, lr_patience=3)
    rates = []
    for loss in (1.0, 0.9, 0.9, 0.9, 0.95, 0.9, 0.8, 0.8):
        schedule.end_epoch(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-5] * 5 + [5e-6] * 3)


def test_ba_tfd_plus_takes_a_share_off_after_every_epoch():
    optimizer, schedule = schedule_of(schedule="exponential", lr_factor=0.992)
    for _ in range(500):
        optimizer.step()
        schedule.end_epoch(None)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-5 * 0.992**500)


def test_the_published_optimiser_is_adam():
    optimizer, _ = schedule_of()
    assert type(optimizer) is torch.optim.Adam
    assert (optimizer.defaults["betas"], optimizer.defaults["weight_decay"]) == ((0.5, 0.9), 1e-4)


def test_the_cosine_warms_up_and_ends_at_nothing():
    rates = [cosine_rate(1.0, step, 10, step / 100) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.1, abs=1e-3)
    assert np.argmax(rates) == 9
    assert np.all(np.diff(rates[9:]) < 0)
    assert rates[49] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert cosine_rate(1.0, 50, 10, 2.0) == pytest.approx(0)  # time was shorter than thought


def test_a_schedule_goes_on_from_its_state():
    _, schedule = schedule_of(schedule="plateau", lr_factor=0.5, lr_patience=1)
    for loss in (1.0, 2.0):
        schedule.end_epoch(loss)
    optimizer, again = schedule_of(schedule="plateau", lr_factor=0.5, lr_patience=1)
    again.load_state_dict(schedule.state_dict())
    again.end_epoch(2.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-6)


def test_the_average_forgets_the_untrained_weights_and_then_moves_slowly():
    network = nn.Linear(1, 1, bias=False)
    average = Average(network, 0.75)
    values, by_hand = [5.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0], None
    for n, value in enumerate(values):
        network.weight.data.fill_(value)
        average.update(network)
        decay = min(0.75, (1 + n) / (10 + n))
        by_hand = value if by_hand is None else by_hand * decay + value * (1 - decay)
    assert float(average.network.weight) == pytest.approx(by_hand)
    assert not average.network.weight.requires_grad
    assert Average(network, 0.0).network is network


# --- config ---


@pytest.mark.parametrize(
    "options",
    [
        {"n_steps": 0},
        {"batch_size": 0},
        {"n_workers": -1},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"average": 1.0},
        {"accumulate": 0},
        {"lr_factor": 0.0},
        {"betas": (0.5, 1.0)},
        {"time_limit_min": -1.0},
        {"save_every": 0},
        {"clip_norm": -1.0},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="train." + next(iter(options))):
        TrainConfig(**options)


def test_a_run_may_be_as_long_as_its_epochs_say():
    assert TrainConfig(n_steps=0, n_epochs=500).n_epochs == 500


@pytest.mark.parametrize("name", ["", "a/b", "..", "last"])
def test_a_run_has_a_name_that_can_be_a_file(name):
    with pytest.raises(ConfigError, match="name"):
        RunConfig(name=name)


def test_a_config_is_written_as_it_is_read(tmp_path):
    run = tiny_run(precision="bf16", betas=(0.5, 0.9), learning_rate=1e-5)
    run = dataclasses.replace(run, name='a "b" ü')
    path = tmp_path / "config.toml"
    path.write_text(config_text(run), encoding="utf-8")
    assert load_run_config(path) == run


def test_keys_can_be_changed_on_the_command_line(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\n[train]\nn_steps = 3\n')
    changes = ["train.batch_size=5", "model.sampling=reference", "train.betas=[0.5, 0.9]", "name=y"]
    run = load_run_config(path, changes)
    assert (run.train.n_steps, run.train.batch_size, run.train.betas) == (3, 5, (0.5, 0.9))
    assert (run.model.sampling, run.name) == ("reference", "y")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.batch_size", "table.key=value"),
        ("train.a.b=1", "table.key=value"),
        ("=3", "table.key=value"),
        ("name.x=3", "name is not a table"),
        ("train.batch_sise=3", "did you mean batch_size"),
        ("train.batch_size=many", "of type int, got 'many'"),
    ],
)
def test_a_change_that_cannot_be_is_told(tmp_path, change, said):
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\n')
    with pytest.raises(UsageError, match=said):
        load_run_config(path, [change])
