"""Who does the work: processes of this machine, or actors on a Ray cluster.

Contract of both: outcomes come as they are ready, and at most two files per worker are taken from the listing ahead of
them, so that memory does not grow with the number of files, however slow the reader of the outcomes is.
"""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain
from typing import Any, TypeVar

from fakespan.bulk.listing import Item
from fakespan.bulk.outcome import Outcome, work
from fakespan.bulk.worker import Setup, Worker
from fakespan.errors import MediaError, MissingExtraError, UsageError

__all__ = ["Engine", "on_ray", "on_this_machine"]

Engine = Callable[[Iterable[Item], Container[bytes]], Generator[Outcome, None, None]]
"""Called with the files, and the contents that need no scan."""

T = TypeVar("T")
_AHEAD = 2  # files per worker: one in work, one that waits for it
_NODE_RETRIES = 1  # a file whose node died is tried once more


def on_this_machine(setup: Setup, n_workers: int) -> Engine:
    """An engine of worker processes, each with its own copy of the model."""

    def engine(items: Iterable[Item], known: Container[bytes]) -> Generator[Outcome, None, None]:
        workers = [Worker(setup) for _ in range(n_workers)]
        free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in workers:
            free.put(worker)

        def one(item: Item) -> Outcome:
            worker = free.get()
            try:
                return work(item, worker, known)
            finally:
                free.put(worker)

        with ThreadPoolExecutor(n_workers) as threads:
            try:
                yield from _in_window(items, lambda item: threads.submit(one, item), n_workers * _AHEAD)
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
                for worker in workers:
                    worker.stop()

    return engine


def _in_window(items: Iterable[T], submit: Callable[[T], Future[Outcome]], size: int) -> Iterator[Outcome]:
    source, pending = iter(items), set[Future[Outcome]]()
    while True:
        while len(pending) < size and (item := next(source, None)) is not None:
            pending.add(submit(item))
        if not pending:
            return
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def on_ray(
    setup: Setup, n_workers: int | None = None, *, address: str | None = None, cpus: float = 1.0, gpus: float = 0.0
) -> Engine:
    """An engine of Ray actors, each with a worker process.

    Args:
        setup: of the scans.
        n_workers: number of actors; default: as many as fit into the cluster.
        address: of an existing cluster; None: Ray is started on this machine and stopped at the end.
        cpus: cores of each actor.
        gpus: share of a GPU of each actor.

    Raises:
        UsageError: the cluster cannot be reached, or has no room for an actor.
        MissingExtraError: ray is not installed.
    """

    def engine(items: Iterable[Item], known: Container[bytes]) -> Generator[Outcome, None, None]:
        ray, source = _ray(), iter(items)
        if (first := next(source, None)) is None:
            return  # without starting Ray
        with _cluster(ray, address):
            count = n_workers or _room(ray, cpus, gpus)
            options = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": -1, "max_task_retries": _NODE_RETRIES}
            actor = ray.remote(**options)(_Actor)
            actors, contents = [actor.remote(setup) for _ in range(count)], ray.put(known)
            try:
                for one in actors:
                    one.know.remote(contents)
                yield from _from_actors(ray, actors, chain([first], source))
            finally:
                for one in actors:
                    ray.kill(one)

    return engine


class _Actor:
    """A worker on a node of the cluster."""

    def __init__(self, setup: Setup) -> None:
        self.worker, self.known = Worker(setup), frozenset[bytes]()

    def know(self, contents: frozenset[bytes]) -> None:
        """Take contents that need no scan. An actor that Ray restarts forgets them; the table drops doubles."""
        self.known = contents

    def work(self, item: Item) -> Outcome:
        """See `outcome.work`."""
        return work(item, self.worker, self.known)


def _from_actors(ray: Any, actors: list[Any], items: Iterable[Item]) -> Iterator[Outcome]:
    source, pending = iter(items), dict[Any, tuple[Any, Item]]()
    free = [actor for actor in actors for _ in range(_AHEAD)]
    while True:
        while free and (item := next(source, None)) is not None:
            actor = free.pop()
            pending[actor.work.remote(item)] = actor, item
        if not pending:
            return
        (ready, *_), _ = ray.wait(list(pending), num_returns=1)
        actor, item = pending.pop(ready)
        free.insert(0, actor)  # the one that waits longest is next
        yield _answer(ray, ready, item)


def _answer(ray: Any, ready: Any, item: Item) -> Outcome:
    try:
        outcome: Outcome = ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:  # of its node or its memory
        got, remedy = f"{type(error).__name__} of the cluster", "scan it alone to see why"
        failure = MediaError(item.name, expected="a file that can be scanned", got=got, remedy=remedy)
        return Outcome(item, "failed", error=failure)
    return outcome


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    try:
        import ray  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("ray", "bulk") from error
    return ray


@contextlib.contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if ray.is_initialized():  # by the caller, who also ends it
        yield
        return
    try:
        ray.init(address=address or "local", **quiet, **({} if address else {"include_dashboard": False}))
    except (ConnectionError, ValueError, RuntimeError) as error:
        got = str(error).splitlines()[0][:100]
        raise UsageError("--address", expected="a Ray cluster", got=got, remedy="check it with: ray status") from error
    try:
        yield
    finally:
        ray.shutdown()


def _room(ray: Any, cpus: float, gpus: float) -> int:
    """How many actors fit into the cluster."""
    there = ray.cluster_resources()
    rooms = [there.get(name, 0.0) / share for name, share in (("CPU", cpus), ("GPU", gpus)) if share]
    if count := int(min(rooms, default=1)):
        return count
    expected = f"a cluster with {cpus:g} CPU cores and {gpus:g} GPUs for a worker"
    got = f"{there.get('CPU', 0):g} and {there.get('GPU', 0):g}"
    raise UsageError("--num-cpus, --num-gpus", expected=expected, got=got, remedy="ask for less")
