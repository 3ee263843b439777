"""Wording of the outcome of a scan: what was judged, and whether verdict and segments agree."""

from __future__ import annotations

import dataclasses
from typing import Any

from fakespan.rates import MOST_GENUINE
from fakespan.report.words import REASONS, found, timecode, verdict
from fakespan.types import Reason, Scan

__all__ = ["about", "agreement", "judged", "outcome", "outcome_fields"]

_OF_THE_FILE: tuple[Reason, ...] = ("sound_only", "picture_only", "too_short")  # they leave out no part of a stream


def about(scan: Scan, whole: str) -> list[str]:
    """The sentences below the finding: what was judged, the verdict on the whole file, and how they agree."""
    return [line for line in (judged(scan), whole, agreement(scan)) if line]


def judged(scan: Scan) -> str:
    """How much of the file was judged, and why not all of it; empty for scans of older versions.

    >>> from fakespan.types import JudgedShare, MediaInfo
    >>> share, why = JudgedShare(either=0.0, sound=0.0), ("music_or_noise",)
    >>> judged(Scan("x", 9.0, 0.0, 0.7, (), "m", MediaInfo(9.0, False, True), judged_share=share, reasons=why))
    'judged: 0 % of the sound (not the rest: music or noise)'
    """
    share = scan.judged_share
    if share is None:
        return ""
    parts = [(share.sound, "sound"), (share.picture, "picture")]
    text = " and ".join(f"{_percent(part)} of the {name}" for part, name in parts if part is not None)
    listed = {part.reason for part in scan.not_judged}
    why = ", ".join(REASONS[r] for r in scan.reasons if not text or r in listed or r not in _OF_THE_FILE)
    what = "judged"
    if scan.asked is not None:
        what += f" of {timecode(scan.asked.start_s)} to {timecode(scan.asked.end_s)}"
    if not text:
        return f"{what}: nothing ({why})"
    if not why and any(part not in (None, 1) for part, _ in parts):
        why = "stretches too short to list"
    return f"{what}: {text}" + (f" (not the rest: {why})" if why else "")


def outcome(scan: Scan) -> str:
    """The outcome and what was judged, on one line, for tools that show no more."""
    return "; ".join(text for text in (f"{verdict(scan)}: {found(scan)}", judged(scan), agreement(scan)) if text)


def outcome_fields(scan: Scan) -> dict[str, Any]:
    """The outcome with its reasons and judged shares, as in the JSON, for formats that take such fields."""
    share = scan.judged_share
    fields = {"outcome": scan.outcome, "reasons": list(scan.reasons)}
    return fields if share is None else {**fields, "judged_share": dataclasses.asdict(share)}


def agreement(scan: Scan) -> str:
    """Why the verdict on the whole file differs from the outcome, as a sentence; empty if they agree."""
    if scan.verdict is None or scan.verdict.is_fake == (scan.outcome == "suspected"):
        return ""
    name = "whole file" if scan.asked is None else "part"
    if scan.verdict.is_fake:
        return (
            f"The {name} counts as forged although no segment reaches its threshold: the verdict weighs all spans "
            "together, and does not say where."
        )
    chance = scan.verdict.genuine_chance
    if chance is not None and chance <= MOST_GENUINE:
        return (
            f"A segment is suspected although the {name} does not count as forged: if so few such files are forged, "
            "a genuine one is more likely."
        )
    return (
        f"A segment is suspected although the {name} does not count as forged: its score is one that genuine files "
        "of this length may reach."
    )


def _percent(share: float) -> str:
    """Whole percent, 0 and 100 only if exact."""
    return f"{0 if share == 0 else 100 if share == 1 else min(max(round(100 * share), 1), 99)} %"
