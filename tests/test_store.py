"""A store of which nothing is taken for granted: hostile and damaged files give one clear error."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from datasets import make_lavdf
from fakespan.data.prepare import prepare
from fakespan.data.sets import open_set
from fakespan.errors import DataError


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("store")
    make_lavdf(root / "lavdf", 2, 0, 0, seconds=0.4)
    prepare(f"lavdf:{root / 'lavdf'}", root / "store")
    return root / "store"


@pytest.fixture
def store(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "store")


def edit(path: Path, change) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record) + "\n")


HOSTILE = {
    "path climbing": lambda r: r["sample"].update(name="../../etc/passwd"),
    "absolute path": lambda r: r["sample"].update(name="/etc/passwd"),
    "negative offset": lambda r: r["faces"].__setitem__(0, -512),
    "beyond the end": lambda r: r["faces"].__setitem__(1, 10**12),
    "no length": lambda r: r["faces"].__setitem__(1, 0),
    "half an offset": lambda r: r["faces"].__setitem__(0, 0.5),
    "offset of text": lambda r: r["faces"].__setitem__(0, "0"),
    "two numbers": lambda r: r.update(faces=[0, 1]),
    "huge clip": lambda r: r.update(n_frames=10**9),
    "no frames": lambda r: r.update(n_frames=0),
    "other length of sound": lambda r: r.update(n_frames=9),
    "neither": lambda r: r.update(faces=None, sound=None),
    "no truth": lambda r: r.pop("sample"),
    "split": lambda r: r["sample"].update(split="elsewhere"),
    "span backwards": lambda r: r["sample"].update(segments=[[2.0, 1.0, "audio"]]),
    "modality": lambda r: r["sample"].update(segments=[[1.0, 2.0, "smell"]]),
    "span of text": lambda r: r["sample"].update(segments="none"),
    "modality of lists": lambda r: r["sample"].update(segments=[[1.0, 2.0, []]]),
    "facts": lambda r: r["sample"].update(facts=[]),
    "start": lambda r: r.update(start_s="soon"),
    "damage": lambda r: r.update(damaged=[[0.5]]),
    "time of damage": lambda r: r.update(damaged=[[0.5, "end"]]),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_index_is_named(store, change):
    edit(store / "shard-00000.jsonl", change)
    with pytest.raises(DataError, match=r"shard-00000.*line 1 of its index"):
        open_set(f"store:{store}")


@pytest.mark.parametrize("text", [b"{", b"[]\n", b"\xff\n", b'"x"\n', b"[" * 100_000 + b"\n"])
def test_a_line_that_is_no_record(store, text):
    (store / "shard-00001.jsonl").write_bytes(text)
    with pytest.raises(DataError, match="shard-00001"):
        open_set(f"store:{store}")


def test_a_checksum_that_fits_does_not_make_bytes_faces(store):
    """Bytes of the sound, with their true checksum, in place of the faces."""
    edit(store / "shard-00000.jsonl", lambda r: r.update(faces=r["sound"]))
    with pytest.raises(DataError, match="shard-00000"):
        open_set(f"store:{store}")[0]


def test_wrong_numbers_of_frames_are_found_when_it_is_read(store):
    def change(record):
        record.update(n_frames=9, sound=None)

    edit(store / "shard-00000.jsonl", change)
    with pytest.raises(DataError, match="shard-00000"):
        open_set(f"store:{store}")[0]


def test_the_same_clip_twice(store):
    shutil.copy(store / "shard-00000.jsonl", store / "shard-00001.jsonl")
    shutil.copy(store / "shard-00000.tar", store / "shard-00001.tar")
    with pytest.raises(DataError, match="each clip once"):
        open_set(f"store:{store}")


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(format="fakespan.store/9"),
        lambda r: r.update(packing={}),
        lambda r: r.pop("digest"),
        lambda r: r.update(n_clips=-1),
        lambda r: r.update(n_clips="2"),
        lambda r: r.update(clips_per_shard=0),
        lambda r: r.update(faces=["whole"]),
    ],
)
def test_a_header_that_does_not_fit(store, change):
    edit(store / "store.json", change)
    with pytest.raises(DataError, match=r"store\.json"):
        open_set(f"store:{store}")


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_header_that_is_none(store, text):
    (store / "store.json").write_text(text)
    with pytest.raises(DataError, match=r"store\.json"):
        open_set(f"store:{store}")


def test_problems_that_are_none(store):
    (store / "problems.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match=r"problems\.json"):
        open_set(f"store:{store}")


def test_a_shard_is_a_tar_file_for_anybody(store):
    with tarfile.open(store / "shard-00000.tar") as tar:
        assert tar.getnames() == ["000000.faces.ycc.lz4", "000000.sound.wav"]
        assert tar.extractfile("000000.sound.wav").read(4) == b"RIFF"
