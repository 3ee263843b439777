"""A pytest plugin for an installation without torch (`make test-pythons`): what needs it is named, not failed.

Only a missing torch, or a missing library that needs torch, excuses a test. REQUIRED names the test files that must
have run, so that a torch that creeps in somewhere is noticed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

EXCUSED = frozenset(
    {"lightning", "mkdocs", "onnx", "onnxscript", "playwright", "silero_vad", "skimage", "tensorboard", "torch"}
)
REQUIRED = frozenset(
    {
        "test_boundary_map.py",
        "test_metrics.py",
        "test_proposals.py",
        "test_public_api.py",
        "test_report_export.py",
        "test_report_html.py",
        "test_report_terminal.py",
        "test_score.py",
        "test_segments.py",
    }
)


def missing_library(error: BaseException | None) -> str | None:
    """The excused library that an error, or what caused it, could not import."""
    while error is not None:
        if isinstance(error, subprocess.CalledProcessError) and "No module named 'torch'" in str(error.stderr):
            return "torch"
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXCUSED:
            return error.name
        if type(error).__name__ == "MissingExtraError":
            return str(getattr(error, "subject", None))
        error = error.__cause__ or error.__context__
    return None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that cannot be imported without torch is skipped."""
    report = yield
    call = getattr(report, "call", None)
    if report.failed and call is not None and call.excinfo is not None:
        _excuse(report, missing_library(call.excinfo.value), str(collector.path))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """So is a test that imports torch while it runs."""
    report = yield
    if report.failed and call.excinfo is not None:
        _excuse(report, missing_library(call.excinfo.value), str(item.path))
    return report


def _excuse(report: pytest.CollectReport | pytest.TestReport, library: str | None, path: str) -> None:
    if library is not None:
        report.outcome = "skipped"
        report.longrepr = (path, 0, f"not run: needs {library}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much could not be run, and whether what needs no torch was."""
    passed = {Path(report.location[0]).name for report in terminalreporter.stats.get("passed", [])}
    skipped = {Path(str(report.longrepr[0])).name for report in terminalreporter.stats.get("skipped", [])}
    terminalreporter.write_line(f"test files without a test that ran: {' '.join(sorted(skipped - passed)) or 'none'}")
    terminalreporter.write_line(f"required, but not run: {' '.join(sorted(REQUIRED - passed)) or 'none'}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Exit code 1 when a required file did not run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    passed = {Path(report.location[0]).name for report in reporter.stats.get("passed", [])}
    if REQUIRED - passed and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
