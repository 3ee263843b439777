"""What a model file says of itself, whatever its format: name, config, post-processing and facts, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakespan.config import ModelConfig, PostConfig, from_mapping, to_mapping

__all__ = ["FORMAT", "Description"]

FORMAT = 1
"""Version of the JSON; it increases when a field changes its meaning."""


@dataclass(frozen=True)
class Description:
    """A network's name and everything but its weights."""

    name: str
    model: ModelConfig
    post: PostConfig
    notes: Mapping[str, Any] = field(default_factory=dict)  # plain facts: training data, metrics ...
    head: Any = None  # the JSON of a joined verdict head

    def record(self) -> dict[str, Any]:
        """As plain values: `format`, `name`, `model`, `post`, `notes`, and `verdict` if there is a head."""
        record = {
            "format": FORMAT,
            "name": self.name,
            "model": to_mapping(self.model),
            "post": to_mapping(self.post),
            "notes": dict(self.notes),
        }
        return record if self.head is None else {**record, "verdict": self.head}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Description:
        """The inverse of `record`.

        Raises ConfigError, KeyError, TypeError, ValueError or AttributeError for an invalid record, whose format is
        checked by the caller.
        """
        return cls(
            str(record["name"]),
            from_mapping(ModelConfig, record["model"], "model"),
            from_mapping(PostConfig, record["post"], "post"),
            dict(record.get("notes", {})),
            record.get("verdict"),
        )
