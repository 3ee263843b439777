"""Plans the clips of a data set: a pure function of the survey, the config, the count and the seed.

A scene is an excerpt of a take. As in LAV-DF every scene gives one real clip and forged versions of it, all in one
split; no source file is in two splits. Of the words only the pauses matter here: long takes are split there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from fakespan.config import FPS
from fakespan.errors import DataError
from fakespan.forge.studio.config import ForgeConfig
from fakespan.forge.studio.survey import Take

__all__ = ["SPLITS", "Entry", "Kind", "Plan", "Scene", "plan"]

Kind = Literal["real", "audio", "visual", "both"]
KINDS: tuple[Kind, ...] = ("real", "audio", "visual", "both")
SPLITS = ("train", "dev", "test")
EDGE_S = 0.1  # margin before the first and after the last word of a scene


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip to make."""

    file: str  # "train/000001.mp4"
    kind: Kind
    seed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """An excerpt of a take, frames [first, stop) of its face track, and the clips to make from it."""

    take: Take
    first: int
    stop: int
    split: str
    entries: tuple[Entry, ...]

    @property
    def original(self) -> str | None:
        """The file of the real clip."""
        return next((entry.file for entry in self.entries if entry.kind == "real"), None)


@dataclass(frozen=True)
class Plan:
    """All scenes of a data set, and the takes of each split."""

    scenes: tuple[Scene, ...]
    takes: dict[str, tuple[Take, ...]]

    def lenders(self, scene: Scene) -> list[Take]:
        """The other takes of a scene's speaker in the same split, the donors of words."""
        own = scene.take
        return [t for t in self.takes[scene.split] if t.speaker == own.speaker and t.file != own.file]


def plan(takes: Sequence[Take], config: ForgeConfig, count: int, seed: int) -> Plan:
    """The scenes of a set of `count` clips.

    Raises:
        DataError: no take is usable, or a split with clips has no files.
    """
    usable = [take for take in takes if not take.problem]
    if not usable:
        got = f"{len(takes)} files, none of them usable (first: {takes[0].problem})" if takes else "no file"
        raise DataError("source", expected="clips of people talking", got=got, remedy="use other clips")
    rng = np.random.default_rng([seed, count])
    scenes: list[Scene] = []
    of_split: dict[str, tuple[Take, ...]] = {}
    for split, (n_clips, chosen) in _splits(usable, config, count, rng).items():
        of_split[split] = tuple(chosen)
        if n_clips:
            scenes += _scenes(chosen, split, n_clips, config, seed, rng)
    return Plan(tuple(scenes), of_split)


def _splits(
    takes: Sequence[Take], config: ForgeConfig, count: int, rng: np.random.Generator
) -> dict[str, tuple[int, list[Take]]]:
    """Number of clips and takes of each split."""
    named = {split: getattr(config, split) for split in SPLITS}
    if any(named.values()):
        of = {s: [t for t in takes if any(PurePosixPath(t.file).match(p) for p in named[s])] for s in SPLITS}
        held_out = {t.file for s in ("dev", "test") for t in of[s]}
        of["train"] = [t for t in of["train"] if t.file not in held_out]
    else:
        order, sizes = rng.permutation(len(takes)), _shared_out(len(takes), config.splits)
        ends = np.cumsum(sizes)
        of = {s: [takes[k] for k in sorted(order[e - n : e])] for s, n, e in zip(SPLITS, sizes, ends, strict=True)}
    shares = [share if of[s] or not any(named.values()) else 0 for s, share in zip(SPLITS, config.splits, strict=True)]
    counts = _shared_out(count, shares)
    for split, n in zip(SPLITS, counts, strict=True):
        if n and not of[split]:
            got = f"none for it, of {len(takes)} usable"
            raise DataError(
                f"split {split}", expected="source files", got=got, remedy="change splits or give more clips"
            )
    return {split: (n, of[split]) for split, n in zip(SPLITS, counts, strict=True)}


def _scenes(  # noqa: PLR0917
    takes: Sequence[Take], split: str, n_clips: int, config: ForgeConfig, seed: int, rng: np.random.Generator
) -> list[Scene]:
    """Scenes of one split, with their clips numbered in random order, independent of the kind."""
    counts = dict(zip(KINDS, _shared_out(n_clips, config.kinds), strict=True))
    n_scenes = counts["real"] or -(-n_clips // 3)
    kinds: list[list[Kind]] = [[] for _ in range(n_scenes)]
    for kind in KINDS:
        for k in _rounds(n_scenes, counts[kind], rng):
            kinds[k].append(kind)
    numbers = rng.permutation(n_clips).tolist()
    scenes = []
    for own, (take, first, stop) in zip(kinds, _stretches(takes, config, n_scenes, rng), strict=True):
        named = [(kind, numbers.pop()) for kind in own]
        entries = tuple(Entry(f"{split}/{n:06}.mp4", kind, (seed, SPLITS.index(split), n)) for kind, n in named)
        scenes.append(Scene(take, *_trimmed(take, first, stop, config, rng), split, entries))
    return scenes


def _stretches(
    takes: Sequence[Take], config: ForgeConfig, n_scenes: int, rng: np.random.Generator
) -> list[tuple[Take, int, int]]:
    """Choose scenes without replacement until all were used, over all takes or, with `even_folders`, per folder."""
    folders: dict[PurePosixPath, list[tuple[Take, int, int]]] = {}
    for take in takes:
        folder = PurePosixPath(take.file).parent if config.even_folders else PurePosixPath()
        folders.setdefault(folder, []).extend((take, *piece) for piece in _pieces(take, config))
    sizes = _shared_out(n_scenes, [1.0] * len(folders))
    drawn = [
        [stretches[k] for k in _rounds(len(stretches), n, rng)]
        for stretches, n in zip(folders.values(), sizes, strict=True)
    ]
    return [one for n in range(max(sizes)) for own in drawn for one in own[n : n + 1]]


def _rounds(n: int, count: int, rng: np.random.Generator) -> list[int]:
    """`count` of the numbers 0..n-1 in random order, without replacement until all were used."""
    return np.concatenate([rng.permutation(n) for _ in range(-(-count // n))] or [np.zeros(0, int)])[:count].tolist()  # type: ignore[no-any-return]


def _pieces(take: Take, config: ForgeConfig) -> list[tuple[int, int]]:
    """Split a take at its longest pauses until no piece is too long; pieces that are too short are dropped."""
    todo, done = [(0, take.n_frames)], []
    longest, least = round(config.max_clip_s * FPS), round(config.min_clip_s * FPS)
    while todo:
        first, stop = todo.pop()
        if stop - first <= longest:
            done.append((first, stop))
            continue
        pauses = [
            (b.start_s - a.end_s, round((a.end_s + b.start_s) / 2 * FPS))
            for a, b in zip(take.words, take.words[1:], strict=False)
        ]
        inside = [(gap, at) for gap, at in pauses if first + least <= at <= stop - least]
        at = max(inside)[1] if inside else (first + stop) // 2
        todo += [(first, at), (at, stop)]
    kept = [(a, b) for a, b in sorted(done) if b - a >= least and _spoken(take, a, b)]
    return kept or [(0, min(take.n_frames, longest))]


def _spoken(take: Take, first: int, stop: int) -> bool:
    return any(w.start_s * FPS >= first and w.end_s * FPS <= stop for w in take.words)


def _trimmed(take: Take, first: int, stop: int, config: ForgeConfig, rng: np.random.Generator) -> tuple[int, int]:
    """Trim both ends slightly, without cutting words: lengths must not reveal which clips are forged."""
    inside = [w for w in take.words if w.start_s * FPS >= first and w.end_s * FPS <= stop]
    room = round(config.trim_s * FPS)
    low, high = rng.integers(0, room + 1, 2).tolist()
    spare = stop - first - round(config.min_clip_s * FPS)
    before = min(low, int((min(w.start_s for w in inside) - EDGE_S) * FPS) - first) if inside else 0
    after = min(high, stop - int((max(w.end_s for w in inside) + EDGE_S) * FPS) - 1) if inside else 0
    before = max(0, min(before, spare // 2))
    after = max(0, min(after, spare // 2))
    return first + before, stop - after


def _shared_out(count: int, shares: Sequence[float]) -> list[int]:
    """Divide `count` into integers by these shares, by the largest-remainder method."""
    exact = np.array(shares, float) / np.sum(shares) * count
    parts = np.floor(exact).astype(int)
    for k in np.argsort(parts - exact, kind="stable")[: count - int(parts.sum())]:
        parts[k] += 1
    return [int(part) for part in parts]
