"""Which clips a made set has: kinds in LAV-DF's shares, versions of one recording together, splits of recordings.

A take is one recording: one seed, one sentence, one voice, one look. LAV-DF makes every fake from a real clip of the
same split; so do we: a take gives its real clip and up to three forged versions of it, and no take is in two splits.
What is said and seen in a take is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["KINDS", "SPLITS", "Entry", "Take", "plan"]

KINDS = {"real": 36_431, "audio": 33_170, "visual": 33_543, "both": 33_160}  # clips of each kind in LAV-DF
SPLITS = {"train": 0.6, "dev": 0.2, "test": 0.2}


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip of the set."""

    file: str  # "train/000000.mp4"
    kind: str  # one of KINDS


@dataclass(frozen=True, slots=True)
class Take:
    """One recording and the clips that are made of it; one of them is the real one."""

    number: int
    split: str
    seed: int
    entries: tuple[Entry, ...]

    @property
    def original(self) -> str:
        """The file of the real clip."""
        return next(entry.file for entry in self.entries if entry.kind == "real")


def plan(count: int, seed: int) -> tuple[Take, ...]:
    """The takes of a set of `count` clips; equal arguments, equal plan.

    Up to 3 takes (about 11 clips) are too few for three splits: then dev, or dev and test, stay empty.

    >>> [entry.kind for entry in plan(4, seed=1)[0].entries]
    ['audio', 'real', 'visual', 'both']
    """
    rng = np.random.default_rng([seed, 2204_06228])
    of_kind = dict(zip(KINDS, _shared_out(count, list(KINDS.values())), strict=True))
    n_takes = of_kind["real"] = max(of_kind["real"], -(-count // len(KINDS)))  # every clip needs its real twin
    of_kind["both"] -= sum(of_kind.values()) - count
    split_of = rng.permutation(np.repeat(list(SPLITS), _split_sizes(n_takes)))
    kinds: list[list[str]] = [["real"] for _ in range(n_takes)]
    for kind in ("audio", "visual", "both"):
        for number in rng.permutation(n_takes)[: of_kind[kind]]:
            kinds[number].append(kind)
    n_named = dict.fromkeys(SPLITS, 0)
    takes = []
    for number, split in enumerate(map(str, split_of)):
        mixed = [kinds[number][k] for k in rng.permutation(len(kinds[number]))]  # a name must not tell the kind
        entries = tuple(Entry(f"{split}/{n_named[split] + k:06}.mp4", kind) for k, kind in enumerate(mixed))
        n_named[split] += len(entries)
        takes.append(Take(number, split, 1_000_000 * (seed + 1) + number, entries))
    return tuple(takes)


def _shared_out(count: int, shares: Sequence[float]) -> list[int]:
    """`count` in whole numbers by these shares; the largest remainders are rounded up."""
    wanted = np.array(shares) / np.sum(shares) * count
    parts = np.floor(wanted).astype(int)
    for k in np.argsort(parts - wanted, kind="stable")[: count - parts.sum()]:
        parts[k] += 1
    return [int(part) for part in parts]


def _split_sizes(n_takes: int) -> list[int]:
    """Takes of train, dev and test: none is empty when there are three takes or more."""
    if n_takes < 3:
        return [1, 0, n_takes - 1]
    dev, test = (max(size, 1) for size in _shared_out(n_takes, list(SPLITS.values()))[1:])
    return [n_takes - dev - test, dev, test]
