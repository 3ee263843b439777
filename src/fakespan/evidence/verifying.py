"""Verifies a result: was it signed by this key, does it belong to this file, can it be repeated?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fakespan.evidence.signing import is_signed_by
from fakespan.files import fingerprint
from fakespan.localizer import load_model, shipped_models
from fakespan.report.reading import read_record
from fakespan.types import Evidence, Progress, Scan, Segment
from fakespan.version import __version__

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["TOLERANCE_S", "TOLERANCE_SCORE", "Check", "Questions", "Verification", "is_same", "verify"]

TOLERANCE_S, TOLERANCE_SCORE = 0.04, 0.01
"""How far times and scores of a repeated scan may lie from the recorded ones: a frame, and rounding."""
ROUNDING = 1e-6  # of a difference of two decimals


@dataclass(frozen=True)
class Check:
    """The answer to one question about a result."""

    name: Literal["signature", "file", "version", "model", "scan"]
    state: Literal["holds", "differs", "not_checked"]
    text: str


@dataclass(frozen=True)
class Verification:
    """All answers. Another version of fakespan is told, but is no fault by itself."""

    checks: tuple[Check, ...]
    asked: frozenset[str]  # names of the checks that must hold

    @property
    def holds(self) -> bool:
        """Whether every check that was asked for holds."""
        return all(check.state == "holds" for check in self.checks if check.name in self.asked)


@dataclass(frozen=True)
class Questions:
    """What is asked about a result.

    Args:
        key: of the one who must have signed; None: anybody, or nobody.
        model: file of the model; None: the shipped one that the result names.
        is_repeated: whether the file is scanned again.
        device: for that scan.
    """

    key: Ed25519PublicKey | None = None
    model: Path | None = None
    is_repeated: bool = True
    device: str = "auto"


def verify(result: Path, file: Path, questions: Questions, progress: Progress | None = None) -> Verification:
    """Answer the questions about a result.

    Args:
        result: JSON of a scan, from anybody.
        file: the media file that it should belong to.
        questions: what is asked.
        progress: of the repeated scan.

    Raises:
        DataError: the result cannot be read.
        MediaError, CheckpointError, UsageError: the file cannot be scanned, or the model not be loaded.
        MissingExtraError: a library of an extra is not installed.
        OSError: the file cannot be read.
    """
    scan, record = read_record(result)
    model = questions.model or _shipped(scan)
    checks = [_signature(scan, record, questions.key), _file(scan, file), _version(scan), _model(scan, model)]
    if questions.is_repeated:
        is_repeatable = all(check.state == "holds" for check in checks if check.name in ("file", "model"))
        if is_repeatable and model is not None and scan.evidence is not None:
            checks.append(_repeated(scan, scan.evidence, file, (model, questions.device), progress))
        else:
            checks.append(Check("scan", "not_checked", "only the same file can be scanned again, with the same model"))
    asked = {"file", "model"} | ({"scan"} if questions.is_repeated else set())
    return Verification(tuple(checks), frozenset(asked | ({"signature"} if questions.key is not None else set())))


def _shipped(scan: Scan) -> Path | None:
    """The shipped model that has the recorded name; the name is compared with names, and is no path."""
    if scan.evidence is None or scan.evidence.model_file is None:
        return None
    return next((path for path in shipped_models() if path.name == scan.evidence.model_file.name), None)


def _signature(scan: Scan, record: Mapping[str, Any], key: Ed25519PublicKey | None) -> Check:
    """Whether the result is exactly what the owner of the key signed.

    Args:
        scan: the result.
        record: its JSON as it was read, with fields that this version does not know.
        key: None: not asked.
    """
    if scan.signature is None:
        state: Literal["differs", "not_checked"] = "not_checked" if key is None else "differs"
        return Check("signature", state, "the result is not signed")
    name = f"key {scan.signature.key_sha256[:16]}..."
    if key is None:
        return Check("signature", "not_checked", f"signed with {name}; give --key to check it")
    if is_signed_by(key, record):
        return Check("signature", "holds", f"signed with this key ({name}), unchanged since")
    return Check("signature", "differs", "not signed with this key, or changed since")


def _file(scan: Scan, file: Path) -> Check:
    """Whether the result is of this content. OSError is propagated."""
    if scan.source is None:
        return Check("file", "not_checked", "a result of an older version, which does not record the content")
    size_bytes, sha256 = fingerprint(file)
    if (size_bytes, sha256) == (scan.source.size_bytes, scan.source.sha256):
        return Check("file", "holds", f"the scanned content (SHA-256 {sha256[:16]}..., {size_bytes} bytes)")
    recorded = f"recorded: {scan.source.sha256[:16]}..., {scan.source.size_bytes} bytes"
    return Check("file", "differs", f"other content ({recorded}; this file: {sha256[:16]}..., {size_bytes} bytes)")


def _version(scan: Scan) -> Check:
    """Whether the result was made by this version of fakespan."""
    if scan.fakespan_version == __version__:
        return Check("version", "holds", f"made by fakespan {__version__}, as installed")
    return Check("version", "differs", f"made by fakespan {scan.fakespan_version or '?'}, installed is {__version__}")


def _model(scan: Scan, model: Path | None) -> Check:
    """Whether the result was made with this model file. OSError is propagated.

    Args:
        scan: the result.
        model: None: the file is not known.
    """
    if scan.evidence is None or scan.evidence.model_file is None:
        return Check("model", "not_checked", "the result does not record the model file")
    recorded = scan.evidence.model_file
    if model is None:
        text = f"{recorded.name} is not a shipped model; name its file with --model"
        return Check("model", "not_checked", text)
    size_bytes, sha256 = fingerprint(model)
    if (size_bytes, sha256) == (recorded.size_bytes, recorded.sha256):
        return Check("model", "holds", f"{recorded.name} (SHA-256 {sha256[:16]}...)")
    return Check("model", "differs", f"made with {recorded.name} ({recorded.sha256[:16]}...), this is {sha256[:16]}...")


def _repeated(
    scan: Scan, evidence: Evidence, file: Path, network: tuple[Path, str], progress: Progress | None
) -> Check:
    """Whether a scan with the recorded options says the same. `network` is a model file and a device."""
    again = load_model(*network).scan(file, progress=progress, **dataclasses.asdict(evidence.options))
    if again.evidence is not None and again.evidence.config_sha256 != evidence.config_sha256:
        return Check("scan", "differs", "this version reads another config from the model file")
    if is_same(scan, again):
        text = f"repeated with {_listed(scan.segments)}, at most {TOLERANCE_S:g} s and {TOLERANCE_SCORE:g} apart"
        return Check("scan", "holds", text)
    now = f"{again.outcome}, score {again.score:.2f}, {_listed(again.segments)}"
    before = f"{scan.outcome}, score {scan.score:.2f}, {_listed(scan.segments)}"
    return Check("scan", "differs", f"recorded: {before}; now: {now}")


def is_same(one: Scan, other: Scan) -> bool:
    """Whether two scans say the same, within the tolerance: outcome, score, and the segments one by one."""
    return (
        one.outcome == other.outcome
        and len(one.segments) == len(other.segments)
        and abs(one.score - other.score) <= TOLERANCE_SCORE + ROUNDING
        and _is_paired(one.segments, other.segments)
    )


def _is_paired(ones: tuple[Segment, ...], others: tuple[Segment, ...]) -> bool:
    """Whether each segment has its own among the others; within the tolerance their order may change."""
    left = _sorted(others)
    for one in _sorted(ones):
        place = next((k for k, other in enumerate(left) if _is_close(one, other)), None)
        if place is None:
            return False
        del left[place]
    return True


def _sorted(segments: tuple[Segment, ...]) -> list[Segment]:
    return sorted(segments, key=lambda s: (s.modality, s.start_s, s.end_s))


def _is_close(one: Segment, other: Segment) -> bool:
    apart_s = max(abs(one.start_s - other.start_s), abs(one.end_s - other.end_s))
    is_near = apart_s <= TOLERANCE_S + ROUNDING and abs(one.score - other.score) <= TOLERANCE_SCORE + ROUNDING
    return is_near and one.modality == other.modality


def _listed(segments: tuple[Segment, ...]) -> str:
    """The first three segments, and how many more."""
    if not segments:
        return "no segment"
    told = [f"{s.start_s:.2f}-{s.end_s:.2f} s ({s.modality}, {s.score:.2f})" for s in segments[:3]]
    return ", ".join(told) + (f" and {len(segments) - 3} more" if len(segments) > 3 else "")
