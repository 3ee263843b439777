"""The Lightning module of a training run: steps, validation at the end of epochs, and states for resuming.

Lightning provides devices, mixed precision, accumulation and the communication between processes. Counting of steps and
epochs, validation and resuming are implemented here: the loader yields the whole run as one sequence of batches, and
the randomness of a step (clips, dropout) is a function of the seed and the step number, so a resumed run has the same
losses as an uninterrupted one.

Importing this module imports lightning (seconds); only `fakespan.train.run` does so, when training begins.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Protocol

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from fakespan.losses import LossTerms, Targets, localization_loss
from fakespan.train.config import RunConfig
from fakespan.train.experts import expert_losses
from fakespan.train.feed import Fed
from fakespan.train.keeper import Keeper
from fakespan.train.order import Shard
from fakespan.train.processes import agreed, end_together, summed
from fakespan.train.schedule import Average, EpochSchedule, base_rate, cosine_rate, make_optimizer
from fakespan.train.step import Counters, Plan, Step
from fakespan.train.trouble import Trouble, not_finite, nothing_validated, too_many_damaged
from fakespan.types import Progress

__all__ = ["TrainingModule"]


class Loaders(Protocol):
    """Builds the data loaders; implemented in `fakespan.train.run`."""

    def training(self, shard: Shard, first_step: int) -> DataLoader[Fed]: ...
    def validation(self, shard: Shard) -> DataLoader[Fed] | None: ...


class TrainingModule(LightningModule):
    """A network in training.

    Lightning calls, in this order: `configure_optimizers`, `train_dataloader`, `on_train_start`; then for each batch
    `transfer_batch_to_device`, `training_step`, after the last batch of a step `configure_gradient_clipping`, and
    `on_train_batch_end`. The state that they create lives until the end of the run, except for the `Step`, which is
    created by the first batch of a step and replaced by the first batch of the next one.

    Args:
        run: the config.
        network: with random weights, or those of the state.
        plan: the plan of the run.
        keeper: writes states and logs.
        loaders: builds the data loaders of a process.
        state: the state to resume from, as saved by `Keeper`.
        progress: called after every step.
    """

    def __init__(
        self,
        run: RunConfig,
        network: nn.Module,
        plan: Plan,
        keeper: Keeper,
        loaders: Loaders,
        *,
        state: dict[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        # for the whole run
        self.run, self.network, self.plan, self.keeper = run, network, plan, keeper
        self.loaders, self._progress = loaders, progress
        self.counters = Counters(**{**state["counters"], "is_over": False}) if state else Counters()
        self.average = Average(network, run.train.average)
        self._rate = base_rate(run.train, plan.total_batch)
        self._late = 0.0  # recent loss, for the progress; 0 before the first step
        # until `on_train_start` has restored everything from it
        self._state = state
        # from `configure_optimizers` on
        self._optimizer: Optimizer
        self._schedule: EpochSchedule
        # from `train_dataloader` on
        self.validation: DataLoader[Fed] | None = None
        # from `on_train_start` on
        self._began: float  # seconds, of the same clock as the time limit
        # from the first batch of the first step on; see `training_step`
        self._step: Step

    # --- Lightning hooks ---

    def train_dataloader(self) -> DataLoader[Fed]:
        """The batches of the rest of the run, for this process."""
        shard = Shard(self.global_rank, self.trainer.world_size)
        self.validation = self.loaders.validation(shard)
        return self.loaders.training(shard, self.counters.step)

    def configure_optimizers(self) -> Optimizer:
        """The optimiser, with its saved state if the run is resumed; schedules are stepped by `_end_epoch`."""
        self._optimizer = make_optimizer(self.run.train, self.network.parameters(), self._rate)
        self._schedule = EpochSchedule(self.run.train, self._optimizer)
        if self._state:
            self.network.load_state_dict(self._state["network"])
            self.average.load_state_dict(self._state["average"])
            self._optimizer.load_state_dict(self._state["optimizer"])
            self._schedule.load_state_dict(self._state["schedule"])
        return self._optimizer

    def on_train_start(self) -> None:
        """Restore the state, now that everything is on its device."""
        self.average.to(self.device)
        end_together(self.trainer)
        if self._state and self._state["scaler"]:
            self.trainer.precision_plugin.load_state_dict(self._state["scaler"])
        self._state = None
        self._began = time.monotonic() - 60 * self.counters.minutes

    def transfer_batch_to_device(self, batch: Fed, device: torch.device, dataloader_idx: int) -> Fed:
        """Move a batch of our own type."""
        return batch.to(device)

    def training_step(self, fed: Fed, batch_idx: int) -> Tensor:
        """The loss of one batch; raises FakespanError if the run cannot continue."""
        part = batch_idx % self.run.train.accumulate
        if part == 0:
            self._step = self._begin_step()
        torch.manual_seed(self._random_seed(part))
        self.counters.damaged |= fed.damaged
        trouble = too_many_damaged(self.counters, self.plan, is_readable=fed.batch is not None)
        terms = None
        if fed.batch is not None and trouble is None:
            terms = self._losses(self.network, fed)
            self._step.names += fed.batch.names
            if not torch.isfinite(terms.total):
                trouble = not_finite(self._step, "loss", float(terms.total.detach()))
        trouble = agreed(self.trainer, trouble, self.device)
        if trouble is not None:
            self._fail(trouble)
        assert terms is not None
        self._step.add(terms, self.run.train.accumulate)
        return terms.total

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient, and stop if it is not finite (in fp16 the scaler skips those)."""
        limit = self.run.train.clip_norm or float("inf")
        self._step.gradient = float(nn.utils.clip_grad_norm_(self.network.parameters(), limit))
        is_scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        if not np.isfinite(self._step.gradient) and not is_scaled:
            self._fail(not_finite(self._step, "gradient", self._step.gradient))

    def on_train_batch_end(self, outputs: Any, batch: Fed, batch_idx: int) -> None:
        """After the last batch of a step: average, log, validate, save, and check the stopping criteria."""
        if (batch_idx + 1) % self.run.train.accumulate:
            return
        counters, plan = self.counters, self.plan
        counters.step += 1
        counters.minutes = (time.monotonic() - self._began) / 60
        self.average.update(self.network)
        self._log_step()
        counters.is_over |= counters.step >= plan.n_steps or self._step.share >= 1
        if counters.step % plan.epoch_steps == 0 or counters.is_over:
            self._end_epoch()
        if counters.step % self.run.train.save_every == 0 or counters.is_over:
            self._save("last")
        self.trainer.should_stop = counters.is_over

    # --- a step ---

    def _begin_step(self) -> Step:
        """Begin the next step and set its learning rate."""
        number, share = self.counters.step + 1, self._share_done()
        if self.run.train.schedule == "cosine":
            rate = cosine_rate(self._rate, number, self.run.train.warmup_steps, share)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
        return Step.begin(number, share, self.network)

    def _share_done(self) -> float:
        """Finished share of the run after this step, by steps or by time; all processes use that of the first."""
        by_steps, limit = (self.counters.step + 1) / self.plan.n_steps, self.run.train.time_limit_min
        if not limit:
            return min(1.0, by_steps)
        minutes = (time.monotonic() - self._began) / 60
        return float(self.trainer.strategy.broadcast(min(1.0, max(by_steps, minutes / limit))))

    def _random_seed(self, part: int) -> int:
        """Seed of dropout for one batch of a step in one process."""
        numbers = [self.run.train.seed, 3, self.counters.step, part, self.global_rank]
        return int(np.random.SeedSequence(numbers).generate_state(1)[0])

    def _losses(self, network: nn.Module, fed: Fed) -> LossTerms:
        """The output for a batch; networks of fixed length get the begin of the padding, to skip it."""
        assert fed.batch is not None
        if self.run.model.family == "experts":
            return expert_losses(network, fed.batch)
        output = network(fed.batch.video, fed.batch.audio, fed.longest)
        named = {f.name for f in dataclasses.fields(Targets)}
        targets = {f.name: getattr(fed.batch, f.name) for f in dataclasses.fields(fed.batch) if f.name in named}
        return localization_loss(output, Targets(**targets), self.run.loss)

    def _log_step(self) -> None:
        sums = summed(self.trainer, torch.from_numpy(self._step.losses), self.device)
        means = sums / self.trainer.world_size
        total, is_first = float(means[0]), self._late == 0
        self._late = total if is_first else 0.98 * self._late + 0.02 * total
        self.counters.epoch_loss += total
        if self.trainer.is_global_zero:
            self.keeper.log_step([*self._where(), *means.tolist(), self._step.gradient])
            if self._progress:
                self._progress(self.counters.step, self.plan.n_steps, f"loss {self._late:.3f}")

    def _where(self) -> list[float]:
        """Step, epoch, minutes, learning rate."""
        step = self.counters.step
        rate = self._optimizer.param_groups[0]["lr"]
        return [step, self.plan.epoch_of(step), self.counters.minutes, rate]

    # --- an epoch ---

    def _end_epoch(self) -> None:
        """Validate, save the best, update the learning rate, and stop if configured."""
        options, counters = self.run.train, self.counters
        # validation result
        loss = self._validate() if self.validation is not None else None
        if self.trainer.is_global_zero:
            self.keeper.log_epoch(self._epoch_row(loss))
        is_better = counters.update_best(loss)
        # learning rate; the last epoch may be shorter than the others and does not change it
        if counters.step % self.plan.epoch_steps == 0:
            counters.epoch_loss = 0.0
            self._schedule.end_epoch(loss)
        # early stopping
        rate = self._optimizer.param_groups[0]["lr"]
        counters.is_over |= 0 < options.stop_patience <= counters.n_stale
        counters.is_over |= options.schedule != "cosine" and rate < options.min_learning_rate
        if is_better:
            self._save("best")

    def _epoch_row(self, loss: float | None) -> list[float]:
        """Values in the order of the log columns."""
        step, epoch, minutes, rate = self._where()
        train_loss = self.counters.epoch_loss / ((step - 1) % self.plan.epoch_steps + 1)
        validation_loss = float("nan") if loss is None else loss
        return [epoch, step, minutes, rate, train_loss, validation_loss, len(self.counters.damaged)]

    @torch.no_grad()
    def _validate(self) -> float:
        """The mean loss over the validation clips, of the weights that are saved."""
        assert self.validation is not None
        network, sums = self.average.network.eval(), torch.zeros(2, dtype=torch.float64)
        for fed in self.validation:
            self.counters.damaged |= fed.damaged
            if fed.batch is not None:
                with self.trainer.precision_plugin.val_step_context():
                    total = self._losses(network, fed.to(self.device)).total
                sums += torch.tensor([float(total) * len(fed.batch.names), len(fed.batch.names)], dtype=torch.float64)
        self.network.train()
        total, n_clips = summed(self.trainer, sums, self.device).tolist()
        if n_clips == 0:
            self._fail(nothing_validated())
        return float(total / n_clips)

    # --- failure ---

    def _fail(self, trouble: Trouble) -> None:
        """Save the state from before this step, and raise."""
        self._step.undo(self.network)
        self._save("last", with_model=False)
        raise trouble.error

    # --- states ---

    def _save(self, name: str, *, with_model: bool = True) -> None:
        if not self.trainer.is_global_zero:
            return
        state = {
            "counters": dataclasses.asdict(self.counters),
            "total_batch": self.plan.total_batch,
            "n_clips": self.plan.n_clips,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self.trainer.precision_plugin.state_dict(),
        }
        self.keeper.save(name, state, self.average.network if with_model else None)
