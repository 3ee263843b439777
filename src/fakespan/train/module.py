"""What Lightning runs: the steps, the validation at an epoch's end, and the states from which a run goes on.

Lightning brings the devices, mixed precision, accumulation and the exchange between processes. Counting steps and
epochs, validation and resuming are done here: the loader gives the whole run as one row of batches, and all that is
random in a step (the clips, what is dropped out) is a function of the seed and the step's number, so a run that was
killed has, once resumed, the losses that it would have had.

Importing this module imports lightning (seconds); only `fakespan.train.run` does, when training begins.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from fakespan.errors import DataError, FakespanError
from fakespan.losses import LossTerms, Targets, localization_loss
from fakespan.train.config import RunConfig
from fakespan.train.experts import expert_losses
from fakespan.train.feed import Fed
from fakespan.train.keeper import Keeper
from fakespan.train.order import Shard
from fakespan.train.schedule import Average, EpochSchedule, base_rate, cosine_rate, make_optimizer
from fakespan.types import Progress

__all__ = ["Plan", "TrainingModule", "Trouble"]


LEAST_DAMAGED, MOST_DAMAGED = 10, 0.01  # clips, and their share of the clips seen, from which a run is stopped


@dataclass(frozen=True)
class Plan:
    """The numbers that the config and the data set make together."""

    n_steps: int  # of the whole run
    epoch_steps: int  # of one epoch
    total_batch: int  # clips of one step, on all devices
    n_clips: int  # of the set; 0 when it is endless


class Loaders(Protocol):
    """What makes the batches; `fakespan.train.run` has it."""

    def training(self, shard: Shard, first_step: int) -> DataLoader[Fed]: ...
    def validation(self, shard: Shard) -> DataLoader[Fed] | None: ...


@dataclass
class Counters:
    """Where a run is; plain values, kept in its states."""

    step: int = 0  # steps that are done
    minutes: float = 0.0
    best: float = float("inf")  # lowest validation loss
    n_stale: int = 0  # epochs since then
    epoch_loss: float = 0.0  # sum over the steps of this epoch
    is_over: bool = False
    damaged: dict[str, str] = field(default_factory=dict)  # clips that could not be read, and why


@dataclass(frozen=True)
class Trouble:
    """Why a run cannot go on; it travels between processes, and its `error` is what the user sees."""

    kind: type[FakespanError]
    subject: str
    expected: str
    got: str
    remedy: str

    @property
    def error(self) -> FakespanError:
        """To be raised."""
        return self.kind(self.subject, expected=self.expected, got=self.got, remedy=self.remedy)


class TrainingModule(LightningModule):
    """A network in training.

    Args:
        run: the config.
        network: with fresh weights, or those of the state.
        plan: of the run.
        keeper: of states and logs.
        loaders: make the batches of a process.
        state: to go on from, as `Keeper` saved it.
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
        self.run, self.network, self.plan, self.keeper = run, network, plan, keeper
        self.loaders, self._state, self._progress = loaders, state, progress
        self.validation: DataLoader[Fed] | None = None
        self.counters = Counters(**{**state["counters"], "is_over": False}) if state else Counters()
        self.average = Average(network, run.train.average)
        self._rate, self._share, self._late = base_rate(run.train, plan.total_batch), 0.0, 0.0
        self._begin_step()

    # --- what Lightning asks for ---

    def train_dataloader(self) -> DataLoader[Fed]:
        """The rest of the run, for this process."""
        shard = Shard(self.global_rank, self.trainer.world_size)
        self.validation = self.loaders.validation(shard)
        return self.loaders.training(shard, self.counters.step)

    def configure_optimizers(self) -> Optimizer:
        """The optimiser, in its old state when the run is resumed; schedules are stepped by `_end_epoch`."""
        self._optimizer = make_optimizer(self.run.train, self.network.parameters(), self._rate)
        self._schedule = EpochSchedule(self.run.train, self._optimizer)
        if self._state:
            self.network.load_state_dict(self._state["network"])
            self.average.load_state_dict(self._state["average"])
            self._optimizer.load_state_dict(self._state["optimizer"])
            self._schedule.load_state_dict(self._state["schedule"])
        return self._optimizer

    def on_train_start(self) -> None:
        """Everything is on its device now."""
        self.average.to(self.device)
        if self.trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._end_together)
        if self._state and self._state["scaler"]:
            self.trainer.precision_plugin.load_state_dict(self._state["scaler"])
        self._state = None
        self._began = time.monotonic() - 60 * self.counters.minutes

    def transfer_batch_to_device(self, batch: Fed, device: torch.device, dataloader_idx: int) -> Fed:
        """Batches are of our own kind."""
        return batch.to(device)

    def training_step(self, fed: Fed, batch_idx: int) -> Tensor:
        """The loss of one batch; raises FakespanError when the run cannot go on."""
        part = batch_idx % self.run.train.accumulate
        if part == 0:
            self._begin_step()
        torch.manual_seed(self._random_seed(part))
        self.counters.damaged |= fed.damaged
        terms, trouble = None, self._too_many_damaged(fed)
        if fed.batch is not None and trouble is None:
            terms = self._losses(self.network, fed)
            self._names += fed.batch.names
            if not torch.isfinite(terms.total):
                trouble = self._not_finite(f"{float(terms.total.detach())}", "a finite loss")
        self._agree(trouble)
        assert terms is not None
        self._sums += np.array(_numbers(terms)) / self.run.train.accumulate
        return terms.total

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the config, and stop at a gradient that is not finite (in fp16 the scaler passes over those)."""
        limit = self.run.train.clip_norm or float("inf")
        self._gradient = float(nn.utils.clip_grad_norm_(self.network.parameters(), limit))
        if not np.isfinite(self._gradient) and self._loss_scale() is None:
            self._fail(self._not_finite(f"{self._gradient}", "a finite gradient"))

    def on_train_batch_end(self, outputs: Any, batch: Fed, batch_idx: int) -> None:
        """After the last batch of a step: average, log, validate, save, and see whether it is time to stop."""
        if (batch_idx + 1) % self.run.train.accumulate:
            return
        counters, plan = self.counters, self.plan
        counters.step += 1
        counters.minutes = (time.monotonic() - self._began) / 60
        self.average.update(self.network)
        self._log_step()
        counters.is_over |= counters.step >= plan.n_steps or self._share >= 1
        if counters.step % plan.epoch_steps == 0 or counters.is_over:
            self._end_epoch()
        if counters.step % self.run.train.save_every == 0 or counters.is_over:
            self._save("last")
        self.trainer.should_stop = counters.is_over

    def _end_together(self, signum: int, frame: object) -> None:
        """Lightning lets processes that are to end wait for each other, for half an hour; states are always whole."""
        launcher: Any = self.trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.SIGKILL)  # the processes that this one began
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    # --- a step ---

    def _begin_step(self) -> None:
        """Note what must be undone should the step fail, and set the learning rate."""
        self._names: tuple[str, ...] = ()
        self._sums, self._gradient = np.zeros(6), 0.0
        if self._trainer is None:
            return
        self._norms = [buffer.clone() for buffer in _norm_buffers(self.network)]
        self._share = self._share_done()
        if self.run.train.schedule == "cosine":
            rate = cosine_rate(self._rate, self.counters.step + 1, self.run.train.warmup_steps, self._share)
            for group in self._optimizer.param_groups:
                group["lr"] = rate

    def _share_done(self) -> float:
        """How much of the run is over after this step, by steps or by time; all processes take the first's word."""
        by_steps, limit = (self.counters.step + 1) / self.plan.n_steps, self.run.train.time_limit_min
        if not limit:
            return min(1.0, by_steps)
        minutes = (time.monotonic() - self._began) / 60
        return float(self.trainer.strategy.broadcast(min(1.0, max(by_steps, minutes / limit))))

    def _random_seed(self, part: int) -> int:
        """Of what is dropped out in one batch of a step, on one process."""
        numbers = [self.run.train.seed, 3, self.counters.step, part, self.global_rank]
        return int(np.random.SeedSequence(numbers).generate_state(1)[0])

    def _losses(self, network: nn.Module, fed: Fed) -> LossTerms:
        """Of a batch; networks of fixed length are told where the padding begins, which spares them work."""
        assert fed.batch is not None
        if self.run.model.family == "experts":
            return expert_losses(network, fed.batch)
        output = network(fed.batch.video, fed.batch.audio, fed.longest)
        named = {f.name for f in dataclasses.fields(Targets)}
        targets = {f.name: getattr(fed.batch, f.name) for f in dataclasses.fields(fed.batch) if f.name in named}
        return localization_loss(output, Targets(**targets), self.run.loss)

    def _log_step(self) -> None:
        means = self._sum_over_processes(torch.from_numpy(self._sums)) / self.trainer.world_size
        total, is_first = float(means[0]), self._late == 0
        self._late = total if is_first else 0.98 * self._late + 0.02 * total
        self.counters.epoch_loss += total
        if self.trainer.is_global_zero:
            self.keeper.log_step([*self._where(), *means.tolist(), self._gradient])
            if self._progress:
                self._progress(self.counters.step, self.plan.n_steps, f"loss {self._late:.3f}")

    def _where(self) -> list[float]:
        """Step, epoch, minutes, learning rate."""
        step = self.counters.step
        rate = self._optimizer.param_groups[0]["lr"]
        return [step, (step - 1) // self.plan.epoch_steps + 1, self.counters.minutes, rate]

    # --- an epoch ---

    def _end_epoch(self) -> None:
        """Validate, keep the best, change the learning rate, stop where the config says so."""
        options, counters = self.run.train, self.counters
        loss = self._validate() if self.validation is not None else None
        if self.trainer.is_global_zero:
            self.keeper.log_epoch(self._epoch_row(loss))
        is_better = loss is not None and loss < counters.best
        if loss is not None:
            counters.best, counters.n_stale = (loss, 0) if is_better else (counters.best, counters.n_stale + 1)
        if counters.step % self.plan.epoch_steps == 0:
            counters.epoch_loss = 0.0
            self._schedule.end_epoch(loss)
        rate = self._optimizer.param_groups[0]["lr"]
        counters.is_over |= 0 < options.stop_patience <= counters.n_stale
        counters.is_over |= options.schedule != "cosine" and rate < options.min_learning_rate
        if is_better:
            self._save("best")

    def _epoch_row(self, loss: float | None) -> list[float]:
        """In the order of the log's columns."""
        step, epoch, minutes, rate = self._where()
        train_loss = self.counters.epoch_loss / ((step - 1) % self.plan.epoch_steps + 1)
        validation_loss = float("nan") if loss is None else loss
        return [epoch, step, minutes, rate, train_loss, validation_loss, len(self.counters.damaged)]

    @torch.no_grad()
    def _validate(self) -> float:
        """The mean loss over the validation clips, of the weights that are kept."""
        assert self.validation is not None
        network, sums = self.average.network.eval(), torch.zeros(2, dtype=torch.float64)
        for fed in self.validation:
            self.counters.damaged |= fed.damaged
            if fed.batch is not None:
                with self.trainer.precision_plugin.val_step_context():
                    total = self._losses(network, fed.to(self.device)).total
                sums += torch.tensor([float(total) * len(fed.batch.names), len(fed.batch.names)], dtype=torch.float64)
        self.network.train()
        total, n_clips = self._sum_over_processes(sums).tolist()
        if n_clips == 0:
            self._fail(Trouble(DataError, "validation", "clips that can be read", "none", "look at the set's files"))
        return float(total / n_clips)

    # --- trouble ---

    def _too_many_damaged(self, fed: Fed) -> Trouble | None:
        n_damaged = len(self.counters.damaged)
        n_seen = (self.counters.step + 1) * self.plan.total_batch
        n_seen = min(n_seen, self.plan.n_clips) if self.plan.n_clips else n_seen
        if fed.batch is not None and not (n_damaged >= LEAST_DAMAGED and n_damaged > MOST_DAMAGED * n_seen):
            return None
        first = next(iter(self.counters.damaged.values()), "no clip could be read")
        got = f"{n_damaged} damaged of about {n_seen} (the first: {first})"
        remedy = "look at the set with `fakespan info --data`, leave the damaged clips out"
        return Trouble(DataError, "the training set", "clips that can be read", got, remedy)

    def _not_finite(self, got: str, expected: str) -> Trouble:
        remedy = "lower learning_rate, or look at these clips; the state before this step is in last.ckpt"
        got = f"{got} on {', '.join(self._names)}"
        return Trouble(FakespanError, f"step {self.counters.step + 1}", expected, got, remedy)

    def _agree(self, trouble: Trouble | None) -> None:
        """All processes stop when one cannot go on: none may wait for the gradients of another for ever."""
        if self.trainer.world_size > 1:
            n_troubled = self._sum_over_processes(torch.tensor([float(trouble is not None)]))
            if float(n_troubled):
                everyone: list[Trouble | None] = [None] * self.trainer.world_size
                torch.distributed.all_gather_object(everyone, trouble)
                trouble = next(one for one in everyone if one is not None)
        if trouble is not None:
            self._fail(trouble)

    def _fail(self, trouble: Trouble) -> None:
        """Keep the state from before this step, and raise."""
        for buffer, before in zip(_norm_buffers(self.network), self._norms, strict=True):
            buffer.copy_(before)
        self._save("last", with_model=False)
        raise trouble.error

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        if self.trainer.world_size == 1:
            return values
        summed = self.trainer.strategy.reduce(values.to(self.device, torch.float32), reduce_op="sum")
        return torch.as_tensor(summed)

    # --- states ---

    def _loss_scale(self) -> Any:
        """The scaler of fp16 training, or None."""
        return getattr(self.trainer.precision_plugin, "scaler", None)

    def _save(self, name: str, *, with_model: bool = True) -> None:
        if not self.trainer.is_global_zero:
            return
        state = {
            "counters": dataclasses.asdict(self.counters),
            "total_batch": self.plan.total_batch,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self.trainer.precision_plugin.state_dict(),
        }
        self.keeper.save(name, state, self.average.network if with_model else None)


def _numbers(terms: LossTerms) -> list[float]:
    """In the order of the log's columns."""
    parts = (terms.fused.map, terms.visual.map, terms.audio.map, terms.visual_frames, terms.audio_frames)
    return [float(value.detach()) for value in (terms.total, *parts)]


def _norm_buffers(network: nn.Module) -> list[Tensor]:
    """What a forward pass changes: running statistics."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return [buffer for norm in norms for buffer in norm.buffers()]
