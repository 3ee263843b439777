"""Prefetches an iterator in a thread with a short queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["run_ahead"]

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def run_ahead(items: Iterator[T], size: int) -> Generator[T, None, None]:
    """Yield the same items, up to `size` of them computed ahead in a thread.

    An error in `items` is raised here, after the items before it. Closing this generator stops and joins the thread.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(size)
    is_stopped = threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not _put(waiting, item, is_stopped):
                    return
        except BaseException as caught:  # raised in the consumer
            error = caught
        _put(waiting, _End(error), is_stopped)

    thread = threading.Thread(target=work, name="fakespan-decode", daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        is_stopped.set()
        thread.join()


def _put(waiting: queue.Queue[T], item: T, is_stopped: threading.Event) -> bool:
    """Put an item; False if the consumer stopped before there was room."""
    while not is_stopped.is_set():
        try:
            waiting.put(item, timeout=0.05)
        except queue.Full:
            continue
        return True
    return False
