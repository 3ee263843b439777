"""Tools for assistants, over the Model Context Protocol: scan a file, read its result, explain a segment.

Only files below one folder are opened, and nothing is written. Results are kept in memory as long as the process runs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from fakespan.errors import FakespanError, UsageError
from fakespan.localizer import load_model
from fakespan.report import words
from fakespan.report.grades import strength
from fakespan.times import parse_range
from fakespan.types import Curve, Scan, Segment
from fakespan.version import __version__

__all__ = ["Tools", "create_server"]

INSTRUCTIONS = (
    "Finds spans of a video or sound recording that may have been forged. A finding is a hint, not a proof, and a file "
    "without findings is not necessarily genuine: say so when you report results."
)


class Tools:
    """What the tools do.

    Args:
        folder: the only one whose files are opened, with those below it.
        model: name or file of the model; it is loaded when the first file is scanned.
    """

    def __init__(self, folder: Path, model: str = "small") -> None:
        if not folder.is_dir():
            raise UsageError(folder, expected="a folder", got="none", remedy="name the folder of the media files")
        self._folder, self._model = folder.resolve(), model
        self._scan: Any = None
        self._results: dict[tuple[Path, int, int, float | None, float | None], Scan] = {}

    def scan_file(self, file: str, start: str | None = None, end: str | None = None) -> dict[str, Any]:
        """Scan a video or sound file for forged spans.

        Args:
            file: path relative to the folder that was named at start.
            start: judge only what comes after this time (seconds, m:ss or h:mm:ss); times are those of the whole file.
            end: judge only what comes before this time.
        """
        scan = self._result(file, start, end)
        return {
            "file": file,
            "verdict": words.verdict(scan),
            "found": words.found(scan),
            "score": scan.score,
            "threshold": scan.threshold,
            "segments": [_told(number, segment) for number, segment in enumerate(words.in_order(scan), 1)],
            "not_judged": [words.unjudged(part) for part in scan.not_judged],
            "notes": list(scan.notes),
            "limits": list(words.LIMITS),
        }

    def get_result(self, file: str, start: str | None = None, end: str | None = None) -> dict[str, Any]:
        """The whole result of a file, as `fakespan scan --json` prints it, without the curves; scans it if needed.

        Args:
            file: path relative to the folder that was named at start.
            start: as it was given to scan_file.
            end: likewise.
        """
        return {key: value for key, value in self._result(file, start, end).to_dict().items() if key != "curves"}

    def explain_segment(
        self, file: str, number: int, start: str | None = None, end: str | None = None
    ) -> dict[str, Any]:
        """What speaks for one suspected segment: where it is, and the scores within it and beside it.

        Args:
            file: path relative to the folder that was named at start.
            number: of the segment in the result, from 1 on.
            start: as it was given to scan_file.
            end: likewise.
        """
        scan = self._result(file, start, end)
        segments = words.in_order(scan)
        if not 1 <= number <= len(segments):
            expected = f"a number from 1 to {len(segments)}" if segments else "the number of a suspected segment"
            got = str(number) if segments else "a file without any"
            raise UsageError("number", expected=expected, got=got, remedy="see scan_file")
        segment = segments[number - 1]
        track = next((track for track in scan.tracks if track.id == segment.track), None)
        return {
            **_told(number, segment),
            "where": "sound" if track is None else words.where(track),
            "scores": [_compared(curve, segment) for curve in scan.curves if curve.track in (None, segment.track)],
            "limits": list(words.LIMITS),
        }

    def _result(self, file: str, start: str | None, end: str | None) -> Scan:
        start_s, end_s = parse_range(start, end)
        try:
            path = (self._folder / file).resolve()
            is_there = path.is_relative_to(self._folder) and path.is_file()
        except (OSError, ValueError):  # a name that no file can have
            is_there = False
        if not is_there:
            remedy = "give a path relative to that folder"
            raise UsageError(file, expected="a file below the folder named at start", got="none there", remedy=remedy)
        status = path.stat()
        key = (path, status.st_size, status.st_mtime_ns, start_s, end_s)
        if key not in self._results:
            self._scan = self._scan or load_model(self._model).scan
            self._results[key] = self._scan(path, start_s=start_s, end_s=end_s)
        return dataclasses.replace(self._results[key], file=file)


def create_server(folder: Path, model: str = "small") -> MCPServer:
    """A server with the tools; `run()` serves on stdin and stdout. Raises UsageError if there is no such folder."""
    tools = Tools(folder, model)
    server = MCPServer("fakespan", version=__version__, instructions=INSTRUCTIONS)
    for tool in (tools.scan_file, tools.get_result, tools.explain_segment):
        server.add_tool(_with_reasons(tool))
    return server


def _with_reasons(tool: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The tool with errors that the assistant is told; of others it learns only that there was one."""

    @functools.wraps(tool)
    def told(*args: Any, **options: Any) -> dict[str, Any]:
        try:
            return tool(*args, **options)
        except FakespanError as error:
            raise ToolError(str(error)) from error

    return told


def _told(number: int, segment: Segment) -> dict[str, Any]:
    return {
        "number": number,
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "at": f"{words.timecode(segment.start_s)} to {words.timecode(segment.end_s)}",
        "score": segment.score,
        "suspected_in": words.MODALITIES[segment.modality],
        "evidence": strength(segment),
    }


def _compared(curve: Curve, segment: Segment) -> dict[str, Any]:
    """The highest score of a curve within the segment, and its mean elsewhere; None where the curve is not defined."""
    first, last = (round((time_s - curve.start_s) * curve.fps) for time_s in (segment.start_s, segment.end_s))
    inside = curve.values[max(first, 0) : max(last, 0)]
    outside = curve.values[: max(first, 0)] + curve.values[max(last, 0) :]
    return {
        "of": curve.modality,
        "highest_inside": round(max(inside), 3) if inside else None,
        "mean_elsewhere": round(sum(outside) / len(outside), 3) if outside else None,
    }
