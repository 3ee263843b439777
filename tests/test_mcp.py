"""The tools for assistants, called over the protocol: in this process, and once by the command on stdin and stdout."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from fakespan.errors import UsageError
from fakespan.mcp_server import create_server
from services import SAMPLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("assistant")
    (root / "videos").mkdir()
    shutil.copy(SAMPLE, root / "videos" / "clip.mp4")
    (root / "videos" / "notes.txt").write_text("no video")
    shutil.copy(SAMPLE, root / "secret.mp4")
    (root / "videos" / "link.mp4").symlink_to(root / "secret.mp4")
    return root / "videos"


@pytest.fixture(scope="module")
def server(folder: Path) -> Any:
    return create_server(folder)


def ask(server: Any, tool: str, **arguments: Any) -> Any:
    """The result of one call."""

    async def call() -> Any:
        async with Client(server) as client:
            return await client.call_tool(tool, arguments)

    return anyio.run(call)


def test_a_scan_tells_where_the_forgery_is_and_what_it_is_worth(server):
    found = ask(server, "scan_file", file="clip.mp4").structured_content
    assert found["verdict"] == "suspected forged"
    (segment,) = found["segments"]
    assert segment["start_s"] == pytest.approx(5.84, abs=0.2)
    assert any("hint, not a proof" in limit for limit in found["limits"])


def test_a_segment_is_explained_by_the_scores_in_it_and_beside_it(server):
    told = ask(server, "explain_segment", file="clip.mp4", number=1).structured_content
    picture = next(scores for scores in told["scores"] if scores["of"] == "visual")
    assert picture["highest_inside"] > 2 * picture["mean_elsewhere"]
    assert told["where"] == "centre"


def test_a_part_of_a_file_is_scanned_apart_from_the_whole(server):
    (segment,) = ask(server, "scan_file", file="clip.mp4", start="0:05", end="7.5").structured_content["segments"]
    assert segment["start_s"] == pytest.approx(5.84, abs=0.2)
    part = ask(server, "get_result", file="clip.mp4", start="0:05", end="7.5").structured_content
    assert part["asked"] == {"start_s": 5.0, "end_s": 7.5}
    before = ask(server, "scan_file", file="clip.mp4", end="0:05").structured_content
    assert before["segments"] == []


def test_a_result_is_that_of_the_scan_without_its_curves(server):
    result = ask(server, "get_result", file="clip.mp4").structured_content
    assert result["format"].startswith("fakespan.scan/")
    assert result["file"] == "clip.mp4"  # as it was asked for, and no path of the machine
    assert "curves" not in result
    assert len(result["segments"]) == 1


@pytest.mark.parametrize(
    "file", ["../secret.mp4", "/etc/passwd", "link.mp4", "missing.mp4", ".", "", "a\0b", "a" * 5000]
)
def test_no_file_outside_the_folder_is_opened(server, file):
    answer = ask(server, "scan_file", file=file)
    assert answer.is_error
    assert "below the folder" in answer.content[0].text


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("explain_segment", {"file": "clip.mp4", "number": 2}),
        ("scan_file", {"file": "notes.txt"}),
        ("scan_file", {"file": "clip.mp4", "start": "7", "end": "5"}),
    ],
)
def test_what_cannot_be_answered_is_an_error_with_a_reason(server, tool, arguments):
    answer = ask(server, tool, **arguments)
    assert answer.is_error
    assert "expected" in answer.content[0].text


def test_a_part_without_segments_has_none_to_explain(server):
    answer = ask(server, "explain_segment", file="clip.mp4", number=1, end="0:05")
    assert "expected the number of a suspected segment, got a file without any" in answer.content[0].text


def test_the_folder_must_exist(tmp_path):
    with pytest.raises(UsageError, match="expected a folder"):
        create_server(tmp_path / "missing")


def test_the_command_speaks_the_protocol_on_stdin_and_stdout(folder):
    command = StdioServerParameters(command=sys.executable, args=["-m", "fakespan", "mcp", str(folder)])

    async def tools() -> list[str]:
        async with Client(command) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert set(anyio.run(tools)) == {"scan_file", "get_result", "explain_segment"}
