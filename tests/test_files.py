"""Files are replaced whole or not at all, locked by one process, and compared by their settings."""

from __future__ import annotations

import errno
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from fakespan.config import load_toml
from fakespan.data.entries import read_json, read_text
from fakespan.files import differences, replacing, sweep, try_lock


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as part:
            part.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "missing" / "a.txt") as part:
        part.write_text("new")


def locks(path: Path) -> bool:
    with path.open("ab") as file:
        return try_lock(file)


def test_one_process_holds_a_lock_until_it_closes_the_file(tmp_path):
    path = tmp_path / "index"
    with multiprocessing.get_context("spawn").Pool(1) as other:
        with path.open("ab") as file:
            assert try_lock(file)
            assert not other.apply(locks, [path])
        assert other.apply(locks, [path])


@pytest.mark.parametrize("reason", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EAGAIN"])
def test_a_file_system_without_locks_is_not_one_in_use(tmp_path, monkeypatch, reason):
    """As Lustre mounted without them, and network file systems whose lock server is away."""

    def refused(*_):
        raise OSError(getattr(errno, reason), "refused")

    monkeypatch.setattr("fcntl.flock", refused)
    path = tmp_path / f".fakespan-{0:012x}.part"
    path.write_bytes(b"of another process, perhaps")
    assert locks(path) == (reason != "EAGAIN")
    sweep(tmp_path)
    assert path.exists()


def test_differences_name_nested_settings_and_what_is_missing():
    before = {"seed": 1, "model": {"name": "a", "widths": [1, 2]}, "gone": True}
    now = {"new": 0.5, "seed": 1, "model": {"name": "b", "widths": (1, 2)}}
    assert differences(before, now) == [("new", None, 0.5), ("model.name", "a", "b"), ("gone", True, None)]
    assert differences(now, now) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_reader_of_text_takes_every_unicode_encoding(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    for text, read in (('{"a": "\u00fc"}', read_json), ("a = '\u00fc'", load_toml)):
        path.write_text(text, encoding=encoding)
        assert read(path) == {"a": "\u00fc"}
    path.write_text("a,\u00fc\n", encoding=encoding)
    assert read_text(path) == "a,\u00fc\n"


KILLED = """
import os, sys
from pathlib import Path
from fakespan.files import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_text("half of the n")
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_swept_and_what_is_being_written_stays(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.txt")], check=False)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "b.txt")], check=False)
    (tmp_path / "below").mkdir()
    left = list(tmp_path.glob("*.part"))
    assert len(left) == 2
    left[0].rename(tmp_path / "below" / left[0].name)
    with replacing(tmp_path / "c.txt") as part:
        part.write_text("whole")
        sweep(tmp_path)
        assert set(tmp_path.rglob("*.part")) == {part, tmp_path / "below" / left[0].name}
        sweep(tmp_path, deep=True)
        assert list(tmp_path.rglob("*.part")) == [part]
    assert (tmp_path / "c.txt").read_text() == "whole"


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as told, replacing(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")  # as writing into an open file does
    assert told.value.filename == str(tmp_path / "a.txt")
