"""The folder of an evaluation: what is rated with what, so that a killed run goes on and never mixes two of them.

Contract: FOLDER/run.json is written before the first prediction. A later run of the same settings goes on; any other is
refused with the name of what differs. Nothing but the files named here is ever removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakespan.config import PostConfig, to_mapping
from fakespan.errors import UsageError
from fakespan.files import differences, write_text
from fakespan.localizer import Localizer
from fakespan.models.digest import weights_digest
from fakespan.types import Sample

__all__ = ["MAPS", "RunFolder", "describe"]

FORMAT = "fakespan.evaluation/1"
MAPS = ("fused", "visual", "audio")
"""The maps that are rated; each has its own proposal files."""
REMEDY = "choose another --out, or start anew with --overwrite"


@dataclass(frozen=True)
class RunFolder:
    """Where an evaluation keeps its files."""

    path: Path
    settings: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> RunFolder:
        """Begins a run in this folder, or goes on with it.

        Args:
            path: made if missing.
            settings: see `describe`.
            overwrite: forget what an earlier run predicted.

        Raises:
            UsageError: the folder holds a run of other settings, or proposals of an unknown one, or cannot be used.
        """
        folder = cls(path, settings)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if overwrite:
                folder._forget()
        except OSError as error:
            got = str(error.strerror or error).lower()
            raise UsageError(path, expected="a folder to write to", got=got, remedy="change --out") from error
        folder._claim()
        return folder

    def stem(self, map_name: str) -> Path:
        """Where the proposals of a map go, without a suffix."""
        return self.path / map_name

    @property
    def digest(self) -> str:
        """Names the run, for its parts."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]

    def _claim(self) -> None:
        record = self.path / "run.json"
        if record.exists():
            self._compare(record, _read(record))
            return
        strangers = [p.name for name in MAPS for p in self.path.glob(f"{name}.*")]
        if strangers:
            got = f"{strangers[0]} of an unknown run"
            raise UsageError(self.path, expected="a new folder, or one with run.json", got=got, remedy=REMEDY)
        write_text(record, json.dumps(self.settings, indent=1) + "\n")

    def _compare(self, record: Path, before: Mapping[str, Any]) -> None:
        for key, then, now in differences(before, self.settings):
            what = f"a run with {key} {json.dumps(now)}"
            raise UsageError(record, expected=what, got=f"one with {json.dumps(then)}", remedy=REMEDY)

    def _forget(self) -> None:
        names = [f"{name}{suffix}" for name in MAPS for suffix in (".json", ".parquet", ".part.jsonl")]
        names += [f"plots/{name}/{plot}.png" for name in MAPS for plot in ("precision_recall", "recall", "scores")]
        for name in [*names, "run.json", "result.json", "table.md", "table.csv"]:
            (self.path / name).unlink(missing_ok=True)


def describe(
    localizer: Localizer, post: PostConfig, data: str, samples: Sequence[Sample], **options: Any
) -> dict[str, Any]:
    """The settings that decide what is predicted, as plain values.

    Args:
        localizer: the network.
        post: from its maps to proposals.
        data: the set, by kind and name.
        samples: the clips that are rated, in their order.
        options: whatever else decides it.
    """
    names = "\n".join(sample.name for sample in samples)
    return {
        "format": FORMAT,
        "model": localizer.name,
        "weights": weights_digest(localizer.network.state_dict()),
        "data": data,
        **options,
        "clips": len(samples),
        "names": hashlib.sha256(names.encode()).hexdigest(),
        "decoding": post.decoding,
        "soft_nms": {k.removeprefix("nms_"): v for k, v in to_mapping(post).items() if k.startswith(("nms_", "max_"))},
    }


def _read(record: Path) -> Mapping[str, Any]:
    try:
        settings = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        got = f"a damaged file ({type(error).__name__})"
        raise UsageError(record, expected="the settings of a run", got=got, remedy=REMEDY) from error
    if not isinstance(settings, dict):
        raise UsageError(record, expected="the settings of a run", got="something else", remedy=REMEDY)
    return settings
