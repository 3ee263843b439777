"""Wording of what a result records about its own making."""

from __future__ import annotations

from fakespan.report.words import printable
from fakespan.types import Evidence, Scan, ScanChoices

__all__ = ["evidence_facts"]


def evidence_facts(scan: Scan) -> list[tuple[str, str]]:
    """Name and text of each fact, without control characters; none for results of older versions."""
    facts = [] if scan.evidence is None else _facts(scan.evidence)
    if scan.signature is not None:
        signature = scan.signature
        text = f"{signature.algorithm}, key {signature.key_sha256}; not checked here, use: fakespan verify"
        facts.append(("Signature", text))
    return [(name, printable(text)) for name, text in facts]


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    facts = [("Scanned at", evidence.scanned_at)]
    if (file := evidence.model_file) is not None:
        facts.append(("Model file", f"{file.name}, {file.size_bytes} bytes, SHA-256 {file.sha256}"))
    facts.append(("Config", f"{evidence.config_size_bytes} bytes, SHA-256 {evidence.config_sha256}"))
    facts.append(("Options", _options(evidence.options)))
    facts.append(("Machine", f"{evidence.machine}; {evidence.backend} on {evidence.device}"))
    facts.append(("Libraries", ", ".join(f"{library.name} {library.version}" for library in evidence.libraries)))
    return facts


def _options(options: ScanChoices) -> str:
    """The options by their names on the command line.

    >>> _options(ScanChoices("auto", "speech", 0.74, "aligned", audio_track=2, start_s=62.0))
    'faces auto, sound speech, threshold 0.74, decoding aligned, start 62, audio track 2'
    """
    parts = [f"faces {options.faces}", f"sound {options.sound}", f"threshold {options.threshold:g}"]
    parts.append(f"decoding {options.decoding}")
    chosen = {
        "start": options.start_s,
        "end": options.end_s,
        "video track": options.video_track,
        "audio track": options.audio_track,
        "prior": options.prior,
    }
    return ", ".join(parts + [f"{name} {number:g}" for name, number in chosen.items() if number is not None])
