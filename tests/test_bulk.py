"""Very many files: the listing, the worker processes, the table, and a run that is stopped and repeated."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from fakespan.bulk.engines import on_this_machine
from fakespan.bulk.listing import Item, listing
from fakespan.bulk.outcome import Outcome
from fakespan.bulk.run import State, scan_all
from fakespan.bulk.table import Counts, opened
from fakespan.bulk.worker import Setup, Worker
from fakespan.errors import DataError, FakespanError, MediaError, MissingExtraError, UsageError
from fakespan.line_process import LineProcess
from fakespan.rates import Tier
from fakespan.types import Segment
from scans import forged
from services import until

Call = Callable[..., tuple[int, str, str]]
STUB = str(Path(__file__).with_name("stub_child.py"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Contents that were scanned, a line each."""
    path = tmp_path / "log.txt"
    path.touch()
    return path


@pytest.fixture
def setup(log: Path) -> Setup:
    return Setup(options={"log": str(log), "scan": forged().to_dict()}, program=(STUB,))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of five files."""
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "deep/c.mov", "deep/d.wav", "e.mkv"):
        (folder / name).write_text(f"content of {name}")
    (folder / "notes.txt").write_text("no media")
    return folder


@pytest.fixture
def run(tmp_path: Path, setup: Setup) -> Callable[..., tuple[State, Counts]]:
    """A run into one table with stub processes."""

    def run_(*inputs: object, engine: Any = None, **options: Any) -> tuple[State, Counts]:
        chosen = {"curves": False, "retry_failed": False, **options}
        with opened(tmp_path / "table", {"model": "stub"}, **chosen) as table:
            state = scan_all(list(map(str, inputs)), table, engine or on_this_machine(setup, 2), lambda *_: None)
        return state, table.counts

    return run_


def rows(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.dataset.dataset(tmp_path / "table" / name).to_table().to_pylist()
    return sorted(found, key=lambda row: row["file"])


# -- the listing


def names(*inputs: object, column: str | None = None) -> list[str]:
    return [item.name for item in listing(list(map(str, inputs)), column)]


def test_a_folder_is_listed_in_depth_and_in_order(clips: Path) -> None:
    found = [str(Path(name).relative_to(clips)) for name in names(clips)]
    assert found == ["a.mp4", "b.mp4", "e.mkv", "deep/c.mov", "deep/d.wav"]


def test_patterns_and_files_are_listed(clips: Path) -> None:
    assert sorted(names(clips / "*.mp4")) == [str(clips / "a.mp4"), str(clips / "b.mp4")]
    assert len(names(clips / "**" / "*")) == 5
    assert names(clips / "a.mp4", clips / "deep" / "c.mov") == [str(clips / "a.mp4"), str(clips / "deep" / "c.mov")]


def test_lists_name_files_relative_to_their_folder(clips: Path) -> None:
    (clips / "list.txt").write_text("a.mp4\n\n \ndeep/c.mov\ns3://bucket/x.mp4\n")
    assert names(clips / "list.txt") == [str(clips / "a.mp4"), str(clips / "deep/c.mov"), "s3://bucket/x.mp4"]
    (clips / "list.csv").write_text("id,url,path\n1,http://x/y.mp4,a.mp4\n2,,\n")
    assert names(clips / "list.csv") == [str(clips / "a.mp4")]
    assert names(clips / "list.csv", column="url") == ["http://x/y.mp4"]
    pyarrow.parquet.write_table(pyarrow.table({"clip": ["a.mp4", None, "b.mp4"]}), clips / "list.parquet")
    assert names(clips / "list.parquet", column="clip") == [str(clips / "a.mp4"), str(clips / "b.mp4")]


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("x.csv", "size\n1\n", DataError, "expected a column file or path"),
        ("x.csv", 'file\n"a', DataError, "expected a CSV file"),
        ("x.parquet", "PAR1", DataError, "expected a Parquet file"),
        ("x.txt", "\n", MediaError, "none in it"),
        ("folder/x.pdf", "", MediaError, "expected a file, folder, pattern or URL"),
    ],
)
def test_what_cannot_be_listed_is_said(
    name: str, content: str, error: type[FakespanError], words: str, tmp_path: Path
) -> None:
    if "/" not in name:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=words):
        names(tmp_path / name)


OTHER_PROTOCOLS = ("file:///etc/passwd", "simplecache::s3://b/x.mp4", "ssh://host/x.mp4", "memory://x.mp4")


@pytest.mark.parametrize("url", OTHER_PROTOCOLS)
def test_other_protocols_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="expected a path or a URL"):
        names(url)


def test_names_of_other_protocols_in_a_list_fail_alone(run: Any, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join((*OTHER_PROTOCOLS, str(clips / "a.mp4"))))
    state, counts = run(tmp_path / "list.txt")
    assert (state.done, counts) == (5, Counts(scanned=1, suspected=1, failed=4))
    errors = [row["error"] for row in rows(tmp_path, "files") if row["state"] == "failed"]
    assert all("expected a path or a URL" in error for error in errors)


# -- worker processes


def test_a_file_that_kills_its_worker_is_tried_twice_and_then_an_error(setup: Setup, log: Path, tmp_path: Path) -> None:
    for name, content in (("bomb.mp4", "kill"), ("after.mp4", "after")):
        (tmp_path / name).write_text(content)
    worker = Worker(setup)
    try:
        with pytest.raises(MediaError, match=r"ended the worker process 2 times \(SIGKILL\)"):
            worker.scan(tmp_path / "bomb.mp4")
        assert worker.scan(tmp_path / "after.mp4") == forged()
    finally:
        worker.stop()
    assert log.read_text().split() == ["kill", "kill", "after"]


def test_a_worker_that_is_killed_between_files_is_replaced(setup: Setup, clips: Path) -> None:
    worker = Worker(setup)
    try:
        worker.start()
        process = worker._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not process.is_running)
        assert worker.scan(clips / "a.mp4") == forged()
    finally:
        worker.stop()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stop_while_a_process_starts_ends_that_process(
    when: str, setup: Setup, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[LineProcess] = []
    worker = Worker(dataclasses.replace(setup, program=("-c", "import sys; sys.stdin.read()")))  # never ready
    stopping = threading.Thread(target=worker.stop)

    def start(*arguments: Any, **options: Any) -> LineProcess:
        if when == "before":
            stopping.start()
            stopping.join(0.2)
        started.append(LineProcess(*arguments, **options))
        if when == "after":
            threading.Timer(0.2, stopping.start).start()
        return started[-1]

    monkeypatch.setattr("fakespan.bulk.worker.LineProcess", start)
    with ThreadPoolExecutor(1) as threads:
        outcome = threads.submit(worker.scan, clips / "a.mp4")
        try:
            assert isinstance(outcome.exception(timeout=60), MediaError)
            stopping.join(60)
            assert not stopping.is_alive()
            assert [process.is_running for process in started] == [False]
        finally:
            started[-1].kill()


def test_a_model_that_cannot_be_loaded_ends_the_run(run: Any, clips: Path, log: Path) -> None:
    engine = on_this_machine(Setup("missing", options={"log": str(log)}, program=(STUB,)), 2)
    with pytest.raises(UsageError, match="--model: expected a model"):
        run(clips, engine=engine)


def test_a_run_that_wrote_nothing_binds_nobody_to_its_settings(run: Any, clips: Path, tmp_path: Path) -> None:
    engine = on_this_machine(Setup(model="missing", program=(STUB,)), 1)
    chosen = {"curves": False, "retry_failed": False}
    with (
        pytest.raises(UsageError, match="--model"),
        opened(tmp_path / "table", {"model": "missing"}, **chosen) as table,
    ):
        scan_all([str(clips)], table, engine, lambda *_: None)
    _, counts = run(clips, curves=True)
    assert counts.scanned == 5
    assert len(rows(tmp_path, "curves")) == 5 * len(forged().curves)
    refused = pytest.raises(UsageError, match="model 'stub', now 'other'")
    with refused, opened(tmp_path / "table", {"model": "other"}, curves=True, retry_failed=False):
        pass


def test_little_is_taken_ahead_of_what_is_read(setup: Setup, clips: Path) -> None:
    taken: list[Item] = []

    def endless() -> Iterator[Item]:
        while True:
            taken.append(Item(str(clips / "a.mp4")))
            yield taken[-1]

    outcomes = on_this_machine(setup, 2)(endless(), ())
    assert len(list(islice(outcomes, 20))) == 20
    outcomes.close()
    assert len(taken) <= 20 + 2 * 2


def test_errors_and_outcomes_pass_between_processes() -> None:
    for error in (MediaError("x", expected="a", got="b", remedy="c"), MissingExtraError("ray", "bulk")):
        outcome = Outcome(Item("x", "1"), "failed", error=error)
        found = pickle.loads(pickle.dumps(outcome)).error
        assert (type(found), str(found), found.remedy) == (type(error), str(error), error.remedy)


# -- the table


def test_a_run_writes_a_row_for_each_file_scan_and_segment(run: Any, clips: Path, tmp_path: Path) -> None:
    (clips / "f.mp4").write_text("bad")
    (clips / "g.mp4").write_text("kill")
    (clips / "copy.mp4").write_text("content of a.mp4")
    state, counts = run(clips, curves=True)
    assert (state.done, state.skipped, state.failed) == (8, 0, 2)
    assert counts == Counts(scanned=5, suspected=5, same=1, failed=2)
    files = {Path(row["file"]).name: row for row in rows(tmp_path, "files")}
    assert {name for name, row in files.items() if row["state"] == "failed"} == {"f.mp4", "g.mp4"}
    assert "ended the worker process 2 times" in files["g.mp4"]["error"]
    assert files["copy.mp4"]["sha256"] == files["a.mp4"]["sha256"]
    assert {files["copy.mp4"]["state"], files["a.mp4"]["state"]} == {"same", "scanned"}
    scans = rows(tmp_path, "scans")
    assert {row["sha256"] for row in scans} == {row["sha256"] for row in files.values()} - {None}
    assert {(row["file_score"], row["n_segments"], row["frame_rate"]) for row in scans} == {(0.93, 3, "")}
    assert len(rows(tmp_path, "segments")) == 5 * 3
    assert {len(row["values"]) for row in rows(tmp_path, "curves")} == {215, 165}
    manifest = json.loads((tmp_path / "table" / "manifest.json").read_text())
    assert (manifest["format"], manifest["n_parts"], manifest["counts"]["failed"]) == ("fakespan.bulk/1", 1, 2)


def test_the_evidence_of_each_segment_is_in_its_own_row(run: Any, clips: Path, log: Path, tmp_path: Path) -> None:
    tiers: tuple[tuple[Tier, float], ...] = (("strong", 0.5), ("weak", 9.0))
    segments = [Segment(k, k + 0.5, 0.9, "audio", tier=tier, genuine_per_hour=n) for k, (tier, n) in enumerate(tiers)]
    scan = forged(segments=tuple(segments)).to_dict()
    engine = on_this_machine(Setup(options={"log": str(log), "scan": scan}, program=(STUB,)), 1)
    run(clips / "a.mp4", engine=engine)
    found = rows(tmp_path, "segments")
    assert [(row.get("tier"), row.get("genuine_per_hour")) for row in found] == list(tiers)
    assert not {"tier", "genuine_per_hour"} & rows(tmp_path, "scans")[0].keys()  # the first segment's, of a whole file


def test_a_stopped_run_goes_on_where_it_was(run: Any, setup: Setup, clips: Path, log: Path, tmp_path: Path) -> None:
    def stopped(items: Any, known: Any) -> Iterator[Outcome]:
        yield from islice(on_this_machine(setup, 1)(items, known), 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(clips, engine=stopped)
    state, counts = run(clips)
    assert (state.done, state.skipped) == (3, 2)
    assert counts == Counts(scanned=5, suspected=5)
    assert len(rows(tmp_path, "files")) == 5
    log.write_text("")
    assert run(clips)[0].done == 0
    assert log.read_text() == ""


def test_content_decides_what_is_scanned_again(run: Any, clips: Path, log: Path, tmp_path: Path) -> None:
    run(clips)
    log.write_text("")
    os.utime(clips / "a.mp4", ns=(1, 1))  # touched
    (clips / "b.mp4").rename(clips / "renamed.mp4")
    (clips / "e.mkv").write_text("other content")
    (clips / "deep" / "c.mov").write_text("bad")
    state, counts = run(clips)
    assert sorted(log.read_text().splitlines()) == ["bad", "other content"]
    assert state.done == 4
    once = Counts(scanned=4, suspected=4, same=1, failed=1)  # a.mp4 is still the file that was scanned
    assert counts == once
    assert run(clips)[1] == once  # read from the table
    assert json.loads((tmp_path / "table" / "manifest.json").read_text())["counts"] == dataclasses.asdict(once)


def test_failed_files_are_tried_again_when_wanted(run: Any, clips: Path) -> None:
    (clips / "f.mp4").write_text("bad")
    run(clips)
    assert run(clips)[0].done == 0
    state, counts = run(clips, retry_failed=True)
    assert (state.done, counts.failed) == (1, 1)


def test_a_file_that_was_replaced_by_a_sound_one_no_longer_counts_as_failed(run: Any, clips: Path) -> None:
    (clips / "f.mp4").write_text("bad")
    assert run(clips)[1].failed == 1
    (clips / "f.mp4").write_text("good now")
    assert run(clips)[1] == Counts(scanned=6, suspected=6)
    assert run(clips)[1] == Counts(scanned=6, suspected=6)


def test_what_was_not_tried_again_still_counts_as_failed(run: Any, clips: Path) -> None:
    (clips / "f.mp4").write_text("bad")
    run(clips)
    assert run(clips / "a.mp4", retry_failed=True)[1] == Counts(scanned=5, suspected=5, failed=1)


def test_a_part_that_the_manifest_does_not_count_is_replaced(run: Any, clips: Path, tmp_path: Path) -> None:
    run(clips / "a.mp4")
    for name in ("files", "scans", "segments"):
        (tmp_path / "table" / name / "part-00001.parquet").write_bytes(b"of a killed run")
    run(clips)
    assert len(rows(tmp_path, "files")) == 5


def test_another_folder_other_settings_and_a_table_in_use_are_refused(run: Any, clips: Path, tmp_path: Path) -> None:
    run(clips)
    options = {"curves": False, "retry_failed": False}
    with (
        pytest.raises(UsageError, match=r"model 'stub', now 'other'"),
        opened(tmp_path / "table", {"model": "other"}, **options),
    ):
        pass
    with opened(tmp_path / "table", {"model": "stub"}, **options), pytest.raises(UsageError, match="in use"):
        run(clips)
    with pytest.raises(UsageError, match=r"a folder with \w"), opened(clips, {"model": "stub"}, **options):
        pass
    (tmp_path / "table" / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"manifest\.json"):
        run(clips)


def test_names_that_no_text_can_hold_are_skipped_too(run: Any, clips: Path) -> None:
    strange = os.fsdecode(b"\xff\n\x1b[31m.mp4")
    (clips / strange).write_text("strange")
    assert run(clips)[0].done == 6
    assert run(clips)[0].skipped == 6


# -- object stores


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of a store on this machine, with three clips and a list."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    store = boto3.client("s3")
    store.create_bucket(Bucket="clips")
    for name in ("a.mp4", "deep/b.mov", "deep/c.wav", "notes.md"):
        store.put_object(Bucket="clips", Key=f"set/{name}", Body=f"content of {name}".encode())
    store.put_object(Bucket="clips", Key="set/list.csv", Body=b"path\na.mp4\ns3://clips/set/deep/b.mov\n")
    yield store
    store.close()
    server.stop()


def test_objects_are_listed_scanned_and_skipped_by_their_etag(bucket: Any, run: Any, log: Path, tmp_path: Path) -> None:
    urls = ["s3://clips/set/a.mp4", "s3://clips/set/deep/b.mov", "s3://clips/set/deep/c.wav"]
    assert names("s3://clips/set") == urls
    assert names("s3://clips/set/**/*.mov") == urls[1:2]
    assert names("s3://clips/set/list.csv") == urls[:2]
    state, counts = run("s3://clips/set")
    assert (state.done, counts.scanned) == (3, 3)
    assert [row["file"] for row in rows(tmp_path, "files")] == urls
    log.write_text("")
    bucket.put_object(Bucket="clips", Key="set/deep/b.mov", Body=b"changed")
    assert run("s3://clips/set")[0].done == 1
    assert run("s3://clips/set/list.csv")[0].done == 0
    assert log.read_text() == "changed\n"


def test_an_object_that_is_not_there_is_a_failure(bucket: Any, run: Any, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("s3://clips/set/none.mp4\ns3://clips/set/a.mp4\n")
    state, counts = run(tmp_path / "list.txt")
    assert (state.done, counts.failed, counts.scanned) == (2, 1, 1)


@pytest.mark.parametrize("url", ["s3://clips/set/none.csv", "s3://none/list.txt"])
def test_a_list_that_is_not_there_is_told_by_its_name(bucket: Any, url: str) -> None:
    with pytest.raises(DataError, match=f"{url}: expected a list or folder that can be read"):
        names(url)
