"""Proposals and labels of many videos in concatenated arrays: the common format of readers and metrics.

Contract: seconds, float32. Each is a mapping from a video's name to its (n, 3) score, start, end or (m, 2) start, end,
so it can be used like a dict of arrays. float32, because the published evaluators compute in it: their ties are ties
here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import Float32Array, Float64Array, Int64Array
from fakespan.errors import DataError
from fakespan.metrics.places import Tally

__all__ = ["Labels", "Proposals", "lay_out"]


class _Flat(Mapping[str, Float32Array]):
    """Common base: V names, each with a range of rows."""

    names: tuple[str, ...]
    offsets: Int64Array

    @property
    @abstractmethod
    def columns(self) -> tuple[Float32Array, ...]:
        """All values, column by column."""

    @cached_property
    def index(self) -> dict[str, int]:
        """Name -> index in `names`."""
        return {name: k for k, name in enumerate(self.names)}

    def __getitem__(self, name: str) -> Float32Array:
        k = self.index[name]
        part = slice(int(self.offsets[k]), int(self.offsets[k + 1]))
        return np.stack([column[part] for column in self.columns], axis=1)

    def __contains__(self, name: object) -> bool:
        return name in self.index

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.names)} videos, {int(self.offsets[-1])} rows)"

    def taken(self, names: tuple[str, ...]) -> tuple[Int64Array, list[Float32Array]]:
        """Offsets and columns for these names in their order; unknown names have no rows."""
        places = np.array([self.index.get(name, -1) for name in names], dtype=np.int64)
        begins = self.offsets[places] * (places >= 0)
        lengths = np.where(places >= 0, np.diff(self.offsets, append=0)[places], 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], lengths)
        return offsets, [column[rows] for column in self.columns]


@dataclass(frozen=True, eq=False, repr=False)
class Proposals(_Flat):
    """Proposals of V videos, P in total, in the order of each video's list; [name] gives (n, 3).

    >>> found = Proposals.of({"a": [[0.9, 1, 2], [0.8, 4, 5]], "b": []})
    >>> found["a"].shape, found["b"].shape, found.n_proposals
    ((2, 3), (0, 3), 2)
    """

    names: tuple[str, ...]  # (V,) each once
    offsets: Int64Array  # (V + 1,) where each video's begin
    score: Float32Array  # (P,)
    start_s: Float32Array  # (P,)
    end_s: Float32Array  # (P,)

    @classmethod
    def of(cls, tables: Mapping[str, ArrayLike]) -> Proposals:
        """Concatenate (n, 3) tables of score, start, end in seconds.

        Raises:
            DataError: a table is not of that shape.
        """
        if isinstance(tables, Proposals):
            return tables
        table, offsets = lay_out(tables, 3, "proposals")
        return cls(tuple(tables), offsets, *_singles(table))

    @property
    def columns(self) -> tuple[Float32Array, ...]:
        """Score, start and end of all proposals."""
        return self.score, self.start_s, self.end_s

    @property
    def n_proposals(self) -> int:
        """All rows."""
        return len(self.score)

    @cached_property
    def tally(self) -> Tally:
        """For ranks of a few scores among all."""
        return Tally(self.score)

    def ordered(self, names: tuple[str, ...]) -> Proposals:
        """The proposals of these videos, in this order; a video without proposals has none."""
        if names == self.names:
            return self
        offsets, columns = self.taken(names)
        return Proposals(names, offsets, *columns)


@dataclass(frozen=True, eq=False, repr=False)
class Labels(_Flat):
    """Forged spans of V videos, L in total, in the order of the metadata; [name] gives (m, 2).

    >>> Labels.of({"a": [[1, 2], [4, 5]], "b": []})
    Labels(2 videos, 2 rows)
    """

    names: tuple[str, ...]  # (V,) each once
    offsets: Int64Array  # (V + 1,) where each video's begin
    start_s: Float32Array  # (L,)
    end_s: Float32Array  # (L,)

    @classmethod
    def of(cls, tables: Mapping[str, ArrayLike]) -> Labels:
        """Concatenate (m, 2) tables of start and end in seconds.

        Raises:
            DataError: a table is not of that shape.
        """
        if isinstance(tables, Labels):
            return tables
        table, offsets = lay_out(tables, 2, "labels")
        return cls(tuple(tables), offsets, *_singles(table))

    @property
    def columns(self) -> tuple[Float32Array, ...]:
        """Start and end of all labels."""
        return self.start_s, self.end_s

    @property
    def n_labels(self) -> int:
        """All rows."""
        return len(self.start_s)


def lay_out(tables: Mapping[str, ArrayLike], n_columns: int, what: str) -> tuple[Float64Array, Int64Array]:
    """Concatenate tables: (sum of n, n_columns), and the offsets (V + 1,).

    Raises:
        DataError: a table has another shape or contains values that are not numbers.
    """
    parts = [_table(name, table, n_columns, what) for name, table in tables.items()]
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate(parts) if parts else np.zeros((0, n_columns)), offsets


def _table(name: str, values: ArrayLike, n_columns: int, what: str) -> Float64Array:
    remedy = "give score, begin, end" if n_columns == 3 else "give start, end"
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        expected = f"numbers (n, {n_columns})"
        raise DataError(f"{what} of {name}", expected=expected, got=str(error)[:80], remedy=remedy) from error
    if table.size == 0 and table.ndim < 3:
        return np.zeros((0, n_columns))
    if table.ndim != 2 or table.shape[1] != n_columns:
        raise DataError(f"{what} of {name}", expected=f"numbers (n, {n_columns})", got=f"{table.shape}", remedy=remedy)
    return table


def _singles(table: Float64Array) -> Float32Array:
    """The columns in float32; values beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(table.T, dtype=np.float32)
