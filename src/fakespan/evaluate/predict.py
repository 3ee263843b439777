"""Predicts the clips of a set: proposals from the fused, visual and audio map of each clip, written incrementally.

Contract: clips are decoded ahead by DataLoader workers and processed in batches. The batches depend only on the set and
the batch size, so that a resumed run gives the same files, bit for bit. A clip without audio has no proposals of the
audio map, and those of its visual map as fused; likewise without video. An unreadable clip is named and skipped, and
tried again by the next run.
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fakespan.arrays import Float64Array
from fakespan.boundary_map import decode, to_seconds
from fakespan.config import FPS, PostConfig
from fakespan.data.example import Example, damage_in_words
from fakespan.data.loading import Unreadable, living_workers, plan, read_batches
from fakespan.data.sets import ClipSet
from fakespan.errors import DataError
from fakespan.evaluate.folder import MAPS, RunFolder
from fakespan.files import replacing
from fakespan.localizer import Clip, ClipMaps, Localizer
from fakespan.scoring.proposal_writer import ProposalWriter
from fakespan.segments import soft_nms
from fakespan.types import Progress

__all__ = ["Judge", "Predicted", "judge_with", "map_proposals", "predict"]

Judge = Callable[[Sequence[Example]], Sequence[ClipMaps | None]]

N_PUBLISHED = 100  # number of best cells to which the AV-Deepfake1M baseline applies soft-NMS


@dataclass
class Predicted:
    """Summary of a run."""

    unreadable: dict[str, str] = field(default_factory=dict)  # name -> message
    damaged: dict[str, str] = field(default_factory=dict)  # predicted, but damaged or cut short: name -> damage
    n_before: int = 0  # clips of an earlier run
    n_clips: int = 0  # predicted now
    seconds: dict[str, float] = field(default_factory=dict)  # time of each part of the work


def judge_with(localizer: Localizer, batch_size: int) -> Judge:
    """A function that runs the localizer on examples."""

    def judge(examples: Sequence[Example]) -> list[ClipMaps | None]:
        clips = [Clip(len(e.faces), *e.present) for e in examples]
        return localizer.judge(clips, batch_size)

    return judge


def predict(
    clips: ClipSet,
    judge: Judge,
    folder: RunFolder,
    post: PostConfig,
    *,
    batch_size: int = 1,
    n_workers: int = 0,
    progress: Progress | None = None,
) -> Predicted:
    """Write the proposals of every clip: fused, visual and audio .json (as published, frames) and .parquet (seconds).

    Args:
        clips: the set.
        judge: see `judge_with`.
        folder: the folder of the run; finished clips are not repeated.
        post: post-processing.
        batch_size: clips per batch.
        n_workers: processes that decode ahead; 0: this process.
        progress: called after each batch.

    Raises:
        DataError: the output of the network has NaN, or the files of an earlier run are damaged.
        UsageError: the folder is not writable.
    """
    predicted, total = Predicted(damaged=folder.damaged()), len(clips)
    with ExitStack() as stack, living_workers(clips.source, lambda: predicted.n_before + predicted.n_clips):
        writers = {name: stack.enter_context(_writer(folder, name)) for name in MAPS if not _is_finished(folder, name)}
        done = {s.name for s in clips.samples if all(s.name in writer for writer in writers.values())}
        predicted.n_before = len(done)
        watch, todo = _Watch(predicted.seconds), _batches(clips, batch_size, done)
        _report(progress, predicted, total)
        for batch in watch.each("reading", read_batches(clips, todo, n_workers)):
            examples = _examples([e for e in batch if isinstance(e, Example) or e.name not in done], predicted, folder)
            with watch.on("network"):
                answers = judge(examples)
            for example, maps in zip(examples, answers, strict=True):
                if example.name not in done:
                    _add(writers, example, maps, post, watch)
                    predicted.n_clips += 1
            _report(progress, predicted, total)
        if predicted.unreadable:
            _keep_parts(writers)
    return predicted


def _examples(batch: Sequence[Example | Unreadable], predicted: Predicted, folder: RunFolder) -> list[Example]:
    """What can be read of a batch; records what cannot, and what is damaged."""
    examples = [e for e in batch if isinstance(e, Example)]
    predicted.unreadable |= {e.name: e.message for e in batch if isinstance(e, Unreadable)}
    damaged = {e.name: damage_in_words(e.damaged) for e in examples if e.damaged}
    if damaged.keys() - predicted.damaged.keys():
        predicted.damaged |= damaged
        folder.keep_damaged(predicted.damaged)
    return examples


def _batches(clips: ClipSet, batch_size: int, done: set[str]) -> list[list[int]]:
    """The batches with unfinished clips; the batches do not depend on what is finished."""
    batches = plan([sample.duration_s for sample in clips.samples], batch_size)
    return [batch for batch in batches if any(clips.samples[k].name not in done for k in batch)]


def map_proposals(maps: ClipMaps | None, example: Example, post: PostConfig) -> dict[str, Float64Array]:
    """Proposals of each map, (k, 3) score, start, end in seconds of the file, best first; none for a missing map.

    With the "stretch" clock the "published" decoding is that of the AV-Deepfake1M baseline: whole frames of the file,
    and soft-NMS on the 100 best cells.

    Raises:
        DataError: a map has NaN.
    """
    if maps is None:
        return {name: np.zeros((0, 3)) for name in MAPS}
    n_frames, found = len(example.faces), {}
    for name, map_ in zip(MAPS, (maps.score, maps.visual, maps.audio), strict=True):
        if map_ is None:
            found[name] = np.zeros((0, 3))
            continue
        if not np.isfinite(map_).all():
            remedy = "use other weights, or a wider number format"
            raise DataError(example.name, expected="numbers from the network", got=f"NaN ({name} map)", remedy=remedy)
        cells, fps = decode(map_, maps.n_steps, post.decoding), maps.fps
        if post.decoding == "published" and fps != FPS:
            cells, fps = _on_file_frames(cells, maps.n_steps, n_frames), FPS
        kept = soft_nms(cells, post.nms_alpha, post.nms_t1, post.nms_t2, fps, max_proposals=post.max_proposals)
        found[name] = to_seconds(kept, fps, example.start_s)
    return found


def _on_file_frames(cells: Float64Array, n_steps: int, n_frames: int) -> Float64Array:
    """The best cells, with begin and end rounded down to frames of the file, in the published order of operations."""
    best = np.sort(np.argsort(-cells[:, 0], kind="stable")[:N_PUBLISHED])
    cells = cells[best]
    cells[:, 1:] = np.floor(cells[:, 1:] / n_steps * n_frames)
    return cells


def _writer(folder: RunFolder, map_name: str) -> ProposalWriter:
    formats = ("json", "parquet") if importlib.util.find_spec("pyarrow") else ("json",)
    return ProposalWriter(folder.stem(map_name), formats=formats, run=folder.digest)


def _is_finished(folder: RunFolder, map_name: str) -> bool:
    """Whether an earlier run has completed the files of this map."""
    stem = folder.stem(map_name)
    return stem.with_suffix(".json").exists() and not stem.with_suffix(".part.jsonl").exists()


def _add(
    writers: dict[str, ProposalWriter], example: Example, maps: ClipMaps | None, post: PostConfig, watch: _Watch
) -> None:
    """Write the proposals of a clip."""
    with watch.on("proposals"):
        tables = map_proposals(maps, example, post)
    with watch.on("writing"):
        for map_name, writer in writers.items():
            if example.name not in writer:  # an interruption may have been between two files
                writer.add(example.name, tables[map_name])


def _report(progress: Progress | None, predicted: Predicted, total: int) -> None:
    if progress:
        gone = predicted.n_before + predicted.n_clips + len(predicted.unreadable)
        progress(gone, total, f"{gone} of {total} clips")


def _keep_parts(writers: dict[str, ProposalWriter]) -> None:
    """Write the final files, but keep the state for resuming: some clips are missing."""
    for writer in writers.values():
        with replacing(writer.part) as kept:
            shutil.copyfile(writer.part, kept)
            writer.close()


class _Watch:
    """Measures the time of each part of the work."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self._part, self._begin = seconds, "", 0.0

    def on(self, part: str) -> _Watch:
        self._part = part
        return self

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self._part] = self.seconds.get(self._part, 0.0) + time.perf_counter() - self._begin

    def each(self, part: str, items: Iterator[Any]) -> Iterator[Any]:
        """Yield the items and measure the waiting time."""
        while True:
            with self.on(part):
                item = next(items, None)
            if item is None:
                return
            yield item
