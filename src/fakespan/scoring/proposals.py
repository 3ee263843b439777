"""Proposals files: reading published formats, and incremental writing.

Contract: `read_proposals` gives `Proposals` (seconds, float32) of a published JSON file, {file: [[score, begin, end],
...]} with begin and end in frames or seconds, or of a Parquet file with the columns file, score, start_s, end_s.
`ProposalWriter` writes video by video and can be resumed. Scoring is done elsewhere.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fakespan.arrays import Int64Array
from fakespan.config import FPS
from fakespan.errors import DataError, UsageError
from fakespan.metrics.flat import Proposals
from fakespan.scoring.proposal_writer import ProposalWriter
from fakespan.scoring.proposals_json import parse_proposals
from fakespan.scoring.proposals_parquet import read_parquet

__all__ = ["ProposalWriter", "Proposals", "read_proposals"]


def read_proposals(path: str | Path, fps: float = FPS) -> Proposals:
    """Read a proposals file.

    Args:
        path: .parquet, otherwise JSON.
        fps: unit of begin and end in a JSON file: 25 for frames as published, 1 for seconds. Parquet is in seconds.

    Returns:
        The proposals of each video in the order of its list. Values are not validated: see `scoring.check`.

    Raises:
        DataError: the file cannot be read, is damaged, or has another structure.
        UsageError: fps is not a positive number.
        MissingExtraError: Parquet without pyarrow.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError("fps", expected="a positive number", got=str(fps), remedy="25 for frames, 1 for seconds")
    path = Path(path)
    return read_parquet(path) if path.suffix == ".parquet" else read_json(path, fps)


def read_json(path: Path, fps: float = FPS) -> Proposals:
    """Read a JSON file; see `read_proposals`."""
    try:
        with path.open("rb", buffering=0) as file:
            names, counts, columns = parse_proposals(file, path, fps)
    except OSError as error:
        raise _unreadable(path, error) from error
    return Proposals(names, _offsets(counts), *columns)


def _unreadable(path: Path, error: OSError) -> DataError:
    got = str(error.strerror or error).lower()[:120]
    return DataError(path, expected="a proposals file", got=got, remedy="check the path")


def _offsets(counts: list[int]) -> Int64Array:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
