"""Maps in memory, with the doors of `fakespan.verdict.maps.MapSet`, and clips whose maps are made to a pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fakespan.verdict.maps import MapEntry, MapsHeader, MapsModel

D, T = 8, 32
MODEL = MapsModel("tiny", "0123456789abcdef" * 4, "small", D, T, "pad")
Pattern = Callable[[np.random.Generator, bool], np.ndarray]


@dataclass(frozen=True)
class Stored:
    """A stand-in for MapSet: maps (D, n) and frame probabilities (2, n) by number."""

    folder: Path
    header: MapsHeader
    entries: tuple[MapEntry, ...]
    maps: tuple[np.ndarray, ...]
    curves: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def fused(self, k: int) -> np.ndarray:
        return self.maps[k]

    def frames(self, k: int) -> np.ndarray:
        return self.curves[k]

    def with_model(self, **changes) -> Stored:
        return replace(self, header=replace(self.header, model=replace(self.header.model, **changes)))

    def with_entries(self, change: Callable[[MapEntry], MapEntry]) -> Stored:
        return replace(self, entries=tuple(change(entry) for entry in self.entries))

    def only(self, keep: Callable[[MapEntry], bool]) -> Stored:
        kept = [k for k, entry in enumerate(self.entries) if keep(entry)]
        parts = [tuple(part[k] for k in kept) for part in (self.entries, self.maps, self.curves)]
        return replace(self, entries=parts[0], maps=parts[1], curves=parts[2])


def stored(name: str, pattern: Pattern, n: int = 60, *, seed: int = 0, n_fake: int | None = None) -> Stored:
    """n clips, of which half (or n_fake) are fakes, each of an original of its own; frames say nothing."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) < (n // 2 if n_fake is None else n_fake)
    maps = tuple(np.float16(pattern(generator, bool(label))).astype(np.float32) for label in labels)
    curves = tuple(generator.random((2, m.shape[1]), np.float32) for m in maps)
    offsets = np.cumsum([0, *(m.shape[1] for m in maps)])
    entries = tuple(
        MapEntry(k, f"{name}{k}.mp4", int(label), "both" if label else "real", f"of-{name}{k}.mp4" if label else None,
                 m.shape[1], int(offset), 25.0, True, True, (0, 0, 0, 0))
        for k, (label, m, offset) in enumerate(zip(labels, maps, offsets, strict=False))
    )  # fmt: skip
    header = MapsHeader(MODEL, "dfdc:tiny", name, {}, n, f"{name}-{seed}", True, n, int(offsets[-1]))
    return Stored(Path("maps") / name, header, entries, maps, curves)


def plain(generator: np.random.Generator, is_fake: bool) -> np.ndarray:
    """Noise, and in a fake a strong place about as long as half of its rows."""
    n = int(generator.integers(16, T + 1))
    found = generator.random((D, n)) * 0.3
    if is_fake:
        row, column = generator.integers(D // 2), generator.integers(n - D)
        found[row : row + D // 2, column : column + 3] = generator.uniform(0.6, 0.9, (D // 2, 3))
    return found


def blind_to_the_maximum(generator: np.random.Generator, is_fake: bool) -> np.ndarray:
    """A real clip has one strong cell, a fake a broad block of moderate ones: the maximum points the wrong way."""
    n = int(generator.integers(24, T + 1))
    found = generator.random((D, n)) * 0.1
    if is_fake:
        begin = generator.integers(n - 16)
        found[2:6, begin : begin + 8] = generator.uniform(0.4, 0.6, (4, 8))
    else:
        found[generator.integers(D), generator.integers(n - D)] = generator.uniform(0.5, 0.9)
    return found
