"""The proposals of many videos laid end to end: what the readers give and the metrics take, without a list per video.

Contract: seconds, float32. It is a mapping from a video's name to (n, 3) score, start, end, so whatever takes a dict of
arrays takes it too. Why float32: the published evaluators compute in it, so that their ties are ties here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fakespan.errors import DataError

__all__ = ["Proposals", "lay_out"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Proposals(Mapping[str, Singles]):
    """Proposals of V videos, P in all, each video's in the order of its list.

    >>> found = Proposals.of({"a": [[0.9, 1, 2], [0.8, 4, 5]], "b": []})
    >>> found["a"].shape, found["b"].shape, found.n_proposals
    ((2, 3), (0, 3), 2)
    """

    names: tuple[str, ...]  # (V,) each once
    offsets: Ints  # (V + 1,) where each video's begin
    score: Singles  # (P,)
    start_s: Singles  # (P,)
    end_s: Singles  # (P,)

    @classmethod
    def of(cls, tables: Mapping[str, ArrayLike]) -> Proposals:
        """Lays (n, 3) tables of score, start, end in seconds end to end.

        Raises:
            DataError: a table is not of that shape.
        """
        if isinstance(tables, Proposals):
            return tables
        table, offsets = lay_out(tables, 3, "proposals")
        score, start_s, end_s = np.ascontiguousarray(table.T, dtype=np.float32)
        return cls(tuple(tables), offsets, score, start_s, end_s)

    @property
    def n_proposals(self) -> int:
        """Of all videos."""
        return len(self.score)

    @cached_property
    def index(self) -> dict[str, int]:
        """Name -> its place in `names`."""
        return {name: k for k, name in enumerate(self.names)}

    def __getitem__(self, name: str) -> Singles:
        """(n, 3) score, start, end in seconds of one video."""
        k = self.index[name]
        part = slice(int(self.offsets[k]), int(self.offsets[k + 1]))
        return np.stack([self.score[part], self.start_s[part], self.end_s[part]], axis=1)

    def __contains__(self, name: object) -> bool:
        return name in self.index

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Proposals({len(self.names)} videos, {self.n_proposals} proposals)"


def lay_out(tables: Mapping[str, ArrayLike], n_columns: int, what: str) -> tuple[Floats, Ints]:
    """The tables end to end, (sum of n, n_columns), and where each begins (V + 1,).

    Raises:
        DataError: a table has another shape, or something that is no number in it.
    """
    parts = [_table(name, table, n_columns, what) for name, table in tables.items()]
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate(parts) if parts else np.zeros((0, n_columns)), offsets


def _table(name: str, values: ArrayLike, n_columns: int, what: str) -> Floats:
    remedy = "give score, begin, end" if n_columns == 3 else "give start, end"
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = f"numbers (n, {n_columns})"
        raise DataError(f"{what} of {name}", expected=wanted, got=str(error)[:80], remedy=remedy) from error
    if table.size == 0 and table.ndim < 3:
        return np.zeros((0, n_columns))
    if table.ndim != 2 or table.shape[1] != n_columns:
        raise DataError(f"{what} of {name}", expected=f"numbers (n, {n_columns})", got=f"{table.shape}", remedy=remedy)
    return table
