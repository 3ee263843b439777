"""What proposals are worth on a data set: the columns of its published table, for each map and subset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fakespan.data.manifest import Subset
from fakespan.evaluate.proposals import Proposals
from fakespan.evaluate.table import Row
from fakespan.metrics import auc, average_precision, average_recall
from fakespan.types import Sample

__all__ = ["Columns", "columns_of", "rate_kinds", "rate_map"]


@dataclass(frozen=True)
class Columns:
    """Of a table."""

    ious: tuple[float, ...]  # AP at each
    counts: tuple[int, ...]  # AR at each

    @property
    def names(self) -> tuple[str, ...]:
        """As the papers head them."""
        return (*(f"AP@{iou:g}" for iou in self.ious), *(f"AR@{n}" for n in self.counts), "AUC")


LAVDF = Columns((0.5, 0.75, 0.95), (100, 50, 20, 10))  # 2204.06228, section 5
LEFT_OUT = {"full": None, "visual": "audio", "audio": "visual"}  # subset: the kind of clip that it drops
AVDEEPFAKE1M = Columns((0.5, 0.75, 0.9, 0.95), (50, 30, 20, 10, 5))  # 2311.15308, section 4


def columns_of(source: str) -> Columns:
    """The columns that a set is published with."""
    return AVDEEPFAKE1M if source.startswith("avdeepfake1m:") else LAVDF


def rate_map(
    proposals: Proposals,
    samples: Sequence[Sample],
    map_name: str,
    subset: Subset,
    columns: Columns,
) -> Row:
    """One row: what the proposals of a map are worth on a subset. A clip without proposals counts as nothing found."""
    chosen = [s for s in samples if s.kind != LEFT_OUT[subset]]
    values = _values(proposals, chosen, columns)
    return Row(map_name, subset, len(chosen), sum(len(s.spans) for s in chosen), values)


def rate_kinds(proposals: Proposals, samples: Sequence[Sample], columns: Columns) -> dict[str, Any]:
    """The same numbers for the fakes of each kind and of each method, each together with the real clips."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.is_fake:
            method = sample.facts.get("method") or sample.facts.get("audio_model")
            for name in dict.fromkeys([sample.kind, *([f"method {method}"] if isinstance(method, str) else [])]):
                groups.setdefault(name, []).append(sample)
    real = [s for s in samples if not s.is_fake]
    return {
        name: {"fakes": len(fakes), **{c: _plain(v) for c, v in _values(proposals, fakes + real, columns).items()}}
        for name, fakes in sorted(groups.items())
    }


def _values(proposals: Proposals, samples: Sequence[Sample], columns: Columns) -> dict[str, float]:
    """Column -> share; what a set without fakes, or without real clips, cannot tell is left out."""
    labels = {s.name: np.array(s.spans).reshape(-1, 2) for s in samples}
    values: dict[str, float] = {}
    if any(s.is_fake for s in samples) and any(name in proposals for name in labels):
        ap = average_precision(proposals, labels, columns.ious)
        ar = average_recall(proposals, labels, columns.counts)
        values |= {f"AP@{iou:g}": value for iou, value in ap.items()} | {f"AR@{n}": value for n, value in ar.items()}
    if len({s.is_fake for s in samples}) == 2:
        peaks = [float(proposals[name][:, 0].max(initial=0.0)) if name in proposals else 0.0 for name in labels]
        values["AUC"] = auc(peaks, [s.is_fake for s in samples])
    return values


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
