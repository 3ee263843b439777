"""Making a store: the same clips as reading directly, whoever interrupts it, wherever it is damaged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader
from typer.testing import CliRunner

from datasets import cut_short, make_dfdc, make_lavdf, write_json
from fakespan.cli import app
from fakespan.data import prepare as prepare_module
from fakespan.data import shards
from fakespan.data.packing import MAX_ERROR
from fakespan.data.prepare import prepare
from fakespan.data.sets import open_set
from fakespan.data.store import StoreOptions, check_store
from fakespan.errors import DataError, UsageError

N = 12


@pytest.fixture(scope="module")
def lavdf(tmp_path_factory) -> Path:
    return make_lavdf(tmp_path_factory.mktemp("set") / "lavdf", 8, 2, 2, seconds=1.0)


@pytest.fixture(scope="module")
def whole(lavdf, tmp_path_factory) -> Path:
    """A finished store."""
    folder = tmp_path_factory.mktemp("store") / "whole"
    made = prepare(f"lavdf:{lavdf}", folder)
    assert (made.n_clips, made.n_new, made.n_frames, made.problems) == (N, N, N * 25, ())
    return folder


@pytest.fixture
def few_clips_a_shard(monkeypatch):
    """Shards of four clips, so that one holds several."""
    monkeypatch.setattr(prepare_module, "N_SHARDS", 3)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def call(*arguments: object, **options):
    """fakespan prepare ..."""
    return CliRunner().invoke(app, ["prepare", *map(str, arguments)], **options)


def test_a_store_gives_what_the_set_gives(lavdf, whole):
    direct, stored = open_set(f"lavdf:{lavdf}"), open_set(f"store:{whole}")
    assert [s.name for s in stored.samples] == [s.name for s in direct.samples]
    for k in range(N):
        ours, theirs = stored[k], direct[k]
        assert (ours.name, ours.start_s, ours.method) == (theirs.name, theirs.start_s, theirs.method)
        assert (ours.audio_spans, ours.visual_spans) == (theirs.audio_spans, theirs.visual_spans)
        assert (ours.has_picture, ours.has_sound) == (theirs.has_picture, theirs.has_sound)
        assert ours.faces.shape == theirs.faces.shape
        assert np.abs(ours.faces.astype(int) - theirs.faces).max() <= MAX_ERROR
        np.testing.assert_allclose(ours.sound, theirs.sound, atol=1 / 32768)  # full scale is half a step short


def test_a_store_of_mouths_gives_the_mouths_of_the_set(lavdf, tmp_path):
    prepare(f"lavdf:{lavdf}", tmp_path / "store", StoreOptions(limit=2, framing="mouth"))
    direct, stored = (open_set(s, framing="mouth") for s in (f"lavdf:{lavdf}", f"store:{tmp_path / 'store'}"))
    assert np.abs(stored[1].faces.astype(int) - direct[1].faces).max() <= MAX_ERROR
    assert not np.array_equal(direct[1].faces, open_set(f"lavdf:{lavdf}")[1].faces)


def test_a_store_has_the_whole_truth(lavdf, whole):
    for ours, theirs in zip(open_set(f"store:{whole}").samples, open_set(f"lavdf:{lavdf}").samples, strict=True):
        for name in ("name", "split", "duration_s", "segments", "original", "n_frames", "facts", "kind"):
            assert getattr(ours, name) == getattr(theirs, name)
    assert [s.split for s in open_set(f"store:{whole}", "dev").samples] == ["validation"] * 2
    assert {s.kind for s in open_set(f"store:{whole}", "train", subset="audio").samples} == {"real", "audio", "both"}


def test_a_stored_fake_of_dfdc_is_forged_throughout(tmp_path):
    """Its metadata says 10 s of every clip."""
    root = make_dfdc(tmp_path / "DFDC", 1, 1, 1, n_test=0, seconds=1.16)
    prepare(f"dfdc:{root}", tmp_path / "store", StoreOptions(faces="whole"))
    real, fake = (open_set(f"store:{tmp_path / 'store'}")[k] for k in range(2))
    assert (len(fake.faces), fake.audio_spans, fake.visual_spans) == (29, ((0.0, 1.16),), ((0.0, 1.16),))
    assert real.spans == ()


def test_two_loader_workers_read_a_store(whole):
    clips = open_set(f"store:{whole}", "train")
    direct = [clips[k] for k in range(len(clips))]
    loader = DataLoader(clips, batch_size=None, num_workers=2)
    for ours, theirs in zip(loader, direct, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours.faces, theirs.faces)


def test_clips_without_sound_or_picture_are_stored_as_such(tmp_path):
    from clips import tone, write_clip
    from datasets import write_test_clip

    root = make_lavdf(tmp_path / "lavdf", 2, 0, 0, seconds=1.0, kinds=("real",))
    write_test_clip(root / "train/000000.mp4", 1.0, sound=False)
    write_clip(root / "train/000001.mp4", sound=tone(1.0, 16_000), sound_rate=16_000)
    prepare(f"lavdf:{root}", tmp_path / "store")
    silent, blind = (open_set(f"store:{tmp_path / 'store'}")[k] for k in range(2))
    assert (silent.has_picture, silent.has_sound, silent.sound.any()) == (True, False, False)
    assert (blind.has_picture, blind.has_sound, blind.faces.any()) == (False, True, False)
    assert len(blind.sound) == 640 * len(blind.faces)


@pytest.mark.slow
def test_processes_make_the_same_store(lavdf, whole, tmp_path):
    made = prepare(f"lavdf:{lavdf}", tmp_path / "store", workers=2)
    assert made.n_new == N
    assert contents(tmp_path / "store") == contents(whole)


def test_a_finished_store_is_left_alone(lavdf, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "store")
    made = prepare(f"lavdf:{lavdf}", tmp_path / "store")
    assert (made.n_clips, made.n_new) == (N, 0)
    assert contents(tmp_path / "store") == contents(whole)


SCRIPT = """
import sys, time
import fakespan.data.prepare as p, fakespan.data.shard_tasks as t
p.N_SHARDS = 3
read = t.read_example
t.read_example = lambda *a: (time.sleep(0.05), read(*a))[1]
p.prepare(sys.argv[1], p.Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("few_clips_a_shard")
def test_killed_in_the_midst_it_loses_the_clip_in_hand_and_goes_on(lavdf, tmp_path):
    prepare(f"lavdf:{lavdf}", tmp_path / "whole")
    folder = tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, f"lavdf:{lavdf}", str(folder)])
    try:
        while n_lines(folder) < 6 and process.poll() is None:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    n_there = n_lines(folder)
    assert n_there < N
    with pytest.raises(DataError, match="complete store"):
        open_set(f"store:{folder}")
    made = prepare(f"lavdf:{lavdf}", folder)
    assert (made.n_clips, made.n_new) == (N, N - n_there)
    assert contents(folder) == contents(tmp_path / "whole")


def n_lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.jsonl"))


@pytest.mark.usefixtures("few_clips_a_shard")
def test_cut_off_anywhere_it_goes_on(lavdf, tmp_path):
    """As a kill or a power failure leaves it: files of any shorter length, data without a line, lines without data."""
    prepare(f"lavdf:{lavdf}", tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    index, tar = whole["shard-00001.jsonl"], whole["shard-00001.tar"]
    rng = np.random.default_rng(0)
    cuts = zip(rng.integers(0, len(index), 7), rng.integers(0, len(tar), 7), strict=True)
    for n_index, n_tar in (*cuts, (len(index), len(tar) - 700)):  # and inside the two blocks of zeros at the end
        for cut_index, cut_tar in ((n_index, n_tar), (n_index, len(tar)), (len(index), n_tar)):
            folder = tmp_path / "store"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(tmp_path / "whole", folder)
            os.truncate(folder / "shard-00001.jsonl", cut_index)
            os.truncate(folder / "shard-00001.tar", cut_tar)
            made = prepare(f"lavdf:{lavdf}", folder)
            assert made.n_clips == N
            assert made.n_new <= 4
            assert contents(folder) == whole


@pytest.mark.usefixtures("few_clips_a_shard")
def test_a_damaged_byte_is_named_and_its_shard_made_anew_alone(lavdf, tmp_path):
    folder = tmp_path / "store"
    prepare(f"lavdf:{lavdf}", folder)
    whole = contents(folder)
    assert check_store(folder) == {}
    flip(folder / "shard-00001.tar", 2000)
    clips = open_set(f"store:{folder}")
    with pytest.raises(DataError, match=r"shard-00001: .*train/000004.mp4.*--redo shard-00001"):
        clips[4]
    assert clips[5].name == "train/000005.mp4"
    assert list(check_store(folder)) == ["shard-00001"]
    untouched = (folder / "shard-00000.tar").stat().st_mtime_ns
    made = prepare(f"lavdf:{lavdf}", folder, redo=["damaged"])
    assert (made.n_clips, made.n_new) == (N, 4)
    assert contents(folder) == whole
    assert (folder / "shard-00000.tar").stat().st_mtime_ns == untouched
    assert prepare(f"lavdf:{lavdf}", folder, redo=["shard-00002"]).n_new == 4
    with pytest.raises(UsageError, match="shard-00000 to shard-00002"):
        prepare(f"lavdf:{lavdf}", folder, redo=["shard-00003"])


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_lost_shard_is_named(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "store")
    (tmp_path / "store" / "shard-00003.tar").unlink()
    with pytest.raises(DataError, match="shard-00003"):
        open_set(f"store:{tmp_path / 'store'}")
    assert check_store(tmp_path / "store") == {"shard-00003": "no such file or directory"}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"split": "train"}, "split"),
        ({"limit": 3}, "limit"),
        ({"faces": "auto"}, "faces"),
        ({"subset": "audio"}, "subset"),
        ({"framing": "mouth"}, "framing"),
    ],
)
def test_other_parameters_are_refused(lavdf, whole, options, word):
    before = contents(whole)
    with pytest.raises(DataError, match=f"{word}.*existing store.*use another --out"):
        prepare(f"lavdf:{lavdf}", whole, StoreOptions(**options))
    assert contents(whole) == before


def test_a_store_of_all_splits_is_named_as_users_know_it(lavdf, whole):
    with pytest.raises(DataError, match="expected split all, as in the existing store, got train"):
        prepare(f"lavdf:{lavdf}", whole, StoreOptions(split="train"))


def test_a_store_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="got no such folder"):
        open_set(f"store:{tmp_path / 'nowhere'}")


def test_metadata_that_changed_are_refused(lavdf, whole, tmp_path):
    other = tmp_path / "lavdf"
    shutil.copytree(lavdf, other)
    entries = json.loads((other / "metadata.min.json").read_text())
    entries[1]["fake_periods"][0][1] += 0.01
    write_json(other / "metadata.min.json", entries)
    with pytest.raises(DataError, match="changed metadata"):
        prepare(f"lavdf:{other}", whole)


def test_bad_clips_are_named_and_tried_again(lavdf, whole, tmp_path):
    broken = tmp_path / "lavdf"
    shutil.copytree(lavdf, broken)
    (broken / "train/000002.mp4").write_bytes(b"no video")
    (broken / "test/000001.mp4").unlink()
    run = CliRunner().invoke(
        app, ["prepare", "--data", f"lavdf:{broken}", "--out", str(tmp_path / "store"), "--workers", "1"]
    )
    assert run.exit_code == 1
    assert "10 clips" in run.output
    assert "train/000002.mp4" in run.output
    assert "test/000001.mp4" in run.output
    assert len(open_set(f"store:{tmp_path / 'store'}")) == 10
    shutil.copytree(lavdf, broken, dirs_exist_ok=True)
    made = prepare(f"lavdf:{broken}", tmp_path / "store")
    assert (made.n_clips, made.n_new, made.problems) == (N, 2, ())
    assert contents(tmp_path / "store") == contents(whole)


CUT = "train/000002.mp4"


@pytest.fixture(scope="module")
def with_a_cut_clip(lavdf, tmp_path_factory) -> Path:
    broken = tmp_path_factory.mktemp("cut") / "lavdf"
    shutil.copytree(lavdf, broken)
    cut_short(broken / CUT)
    return broken


def test_a_clip_that_is_cut_short_is_kept_and_named_each_time(with_a_cut_clip, tmp_path):
    arguments = ["--data", f"lavdf:{with_a_cut_clip}", "--out", tmp_path / "store", "--limit", 4, "--workers", 1]
    for n_new in (4, 0):
        run = call(*arguments, "--json")
        assert run.exit_code == 0
        said = json.loads(run.stdout)
        assert (said["clips"], said["new"], said["problems"]) == (4, n_new, [])
        ((name, message),) = ((clip["name"], clip["message"]) for clip in said["damaged"])
        assert name == CUT
        assert message.startswith("damaged or cut short at 0.")
        assert f"{CUT}: {message}" in run.stderr
        assert "1 clip is damaged or cut short" in run.stderr
    clips = open_set(f"store:{tmp_path / 'store'}")
    (damaged,) = (clip for clip in map(clips.__getitem__, range(len(clips))) if clip.damaged)
    ((start_s, end_s),) = damaged.damaged
    assert damaged.name == CUT
    assert 0 < start_s < 0.4
    assert end_s == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("is_resumed", [False, True])
def test_strict_leaves_a_clip_that_is_cut_short_out(with_a_cut_clip, lavdf, whole, tmp_path, *, is_resumed):
    """Also if an earlier call without it has put the clip into the store; later, the intact clip is added."""
    source, store, few = f"lavdf:{with_a_cut_clip}", tmp_path / "store", StoreOptions(limit=4)
    if is_resumed:
        assert prepare(source, store, few).n_clips == 4
    made = prepare(source, store, few, strict=True)
    assert (made.n_clips, made.damaged) == (3, ())
    assert [problem["name"] for problem in made.problems] == [CUT]
    assert "expected a clip without damage" in made.problems[0]["message"]
    assert CUT not in [sample.name for sample in open_set(f"store:{store}").samples]
    made = prepare(f"lavdf:{lavdf}", store, few, strict=True)
    assert (made.n_clips, made.n_new, made.problems) == (4, 1, ())


def test_a_full_disk_leaves_nothing_half_written(lavdf, tmp_path, monkeypatch):
    """The disk is full while the seventh clip is written; with room, the same command goes on."""
    n_packed = 0
    write = shards.ShardWriter._write

    def full(self, name, data):
        nonlocal n_packed
        n_packed += 1
        if n_packed == 14:
            write(self, name, data[:100])
            raise OSError(28, "No space left on device")
        return write(self, name, data)

    monkeypatch.setattr(shards.ShardWriter, "_write", full)
    with pytest.raises(DataError, match=r"no space left on device; free some space"):
        prepare(f"lavdf:{lavdf}", tmp_path / "store")
    monkeypatch.undo()
    assert n_lines(tmp_path / "store") == 6
    assert prepare(f"lavdf:{lavdf}", tmp_path / "store").n_new == 6
    assert check_store(tmp_path / "store") == {}


def test_a_folder_that_cannot_be_made(lavdf, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="a writable folder with free space"):
        prepare(f"lavdf:{lavdf}", tmp_path / "file" / "store")


def test_two_at_once_are_refused(lavdf, tmp_path):
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    prepare(f"lavdf:{lavdf}", tmp_path / "store")
    with shards.ShardWriter(tmp_path / "store", 0, 1), pytest.raises(DataError, match="another process is writing"):
        prepare(f"lavdf:{lavdf}", tmp_path / "store")


def test_check_and_json_on_the_command_line(lavdf, tmp_path):
    folder = tmp_path / "store"
    made = CliRunner().invoke(
        app, ["prepare", "--data", f"lavdf:{lavdf}", "--out", str(folder), "--workers", "1", "--json"]
    )
    assert made.exit_code == 0
    record = json.loads(made.stdout)
    assert (record["clips"], record["new"], record["problems"]) == (N, N, [])
    assert record["bytes"] == sum(len(data) for data in contents(folder).values())
    checked = call("--out", folder, "--check")
    assert (checked.exit_code, checked.stdout) == (0, "undamaged\n")
    flip(folder / "shard-00005.tar", 1000)
    checked = call("--out", folder, "--check", "--json")
    assert checked.exit_code == 1
    assert list(json.loads(checked.stdout)["damaged"]) == ["shard-00005"]


def test_wrong_calls(lavdf, whole, tmp_path):
    with pytest.raises(UsageError, match="--data"):
        call("--out", tmp_path, catch_exceptions=False)
    with pytest.raises(UsageError, match="--workers"):
        prepare(f"lavdf:{lavdf}", tmp_path / "store", workers=0)
    with pytest.raises(UsageError, match="--framing"):
        prepare(f"lavdf:{lavdf}", tmp_path / "store", StoreOptions(framing="nose"))
    with pytest.raises(UsageError, match=r"framed as 'mouth'.*got a store of 'face'.*--framing mouth"):
        open_set(f"store:{whole}", framing="mouth")
    with pytest.raises(UsageError, match="whole, as in the store"):
        open_set(f"store:{whole}", faces="auto")
    with pytest.raises(DataError, match=r"store\.json"):
        open_set(f"store:{lavdf}")
