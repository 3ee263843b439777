"""The studio: what it plans, what it makes of the bundled sample, and that it goes on where it was stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fakespan
from clips import load_pictures
from fakespan.config import from_mapping, load_toml, to_mapping
from fakespan.data.manifest import load_manifest
from fakespan.errors import ConfigError, DataError
from fakespan.forge.labels import Word
from fakespan.forge.studio import ForgeConfig, forge_set
from fakespan.forge.studio.plan import plan
from fakespan.forge.studio.survey import Take, look_at, run_jobs, survey
from fakespan.forge.studio.tools import redraw_with
from fakespan.media.decode import read_sound
from fakespan.media.encode import write_video
from fakespan.media.probe import probe

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample_real.mp4"
CONFIGS = sorted((Path(__file__).parents[1] / "configs" / "forge").glob("*.toml"))
QUICK = ForgeConfig(voice=("donor-clean", "resynthesis-mel"), lips=("donor-clean", "redraw-generated"), max_clip_s=4.0)


def take(name: str, seconds: float = 4.0, speaker: str = "s", problem: str = "") -> Take:
    words = tuple(Word(f"w{k}", 0.4 + 0.4 * k, 0.7 + 0.4 * k) for k in range(int((seconds - 0.8) / 0.4)))
    return Take(name, 1, speaker, round(25 * seconds), words, problem)


TAKES = [take(f"{k}.mp4", 3.0 + 0.3 * k) for k in range(20)]


@given(st.integers(1, 300), st.integers(0, 50))
@settings(max_examples=40)
def test_a_plan_has_the_clips_that_were_asked_for(count, seed):
    planned = plan(TAKES, ForgeConfig(), count, seed)
    entries = [entry for scene in planned.scenes for entry in scene.entries]
    kinds = Counter(entry.kind for entry in entries)
    assert len(entries) == len({entry.file for entry in entries}) == count
    assert max(kinds.values()) - min(kinds[k] for k in ("real", "audio", "visual", "both")) <= 0.1 * count + 6
    assert plan(TAKES, ForgeConfig(), count, seed) == planned


def test_every_fake_of_a_large_plan_has_its_real_twin_and_files_keep_to_one_split():
    planned = plan(TAKES, ForgeConfig(), 200, 3)
    assert all(scene.original for scene in planned.scenes)
    splits = {}
    for scene in planned.scenes:
        assert splits.setdefault(scene.take.file, scene.split) == scene.split
    assert set(splits.values()) == {"train", "dev", "test"}
    assert all(
        lender in planned.takes[scene.split] and lender.file != scene.take.file
        for scene in planned.scenes
        for lender in planned.lenders(scene)
    )


def test_names_do_not_tell_the_kind():
    entries = [entry for scene in plan(TAKES, ForgeConfig(), 400, 1).scenes for entry in scene.entries]
    numbers = {kind: [int(e.file[-10:-4]) for e in entries if e.kind == kind] for kind in ("real", "both")}
    assert abs(np.mean(numbers["real"]) - np.mean(numbers["both"])) < 25


def test_long_takes_are_cut_at_pauses_and_no_word_is_lost_at_the_ends():
    long = take("long.mp4", 40.0)
    scenes = plan([long], ForgeConfig(splits=(1, 0, 0), max_clip_s=8.0), 40, 0).scenes
    stretches = {(scene.first, scene.stop) for scene in scenes}
    assert len({first // 100 for first, _ in stretches}) > 3
    for scene in scenes:
        assert 1.6 * 25 <= scene.stop - scene.first <= 8.0 * 25
        assert any(w.start_s * 25 >= scene.first and w.end_s * 25 <= scene.stop for w in long.words)


def test_lengths_of_clips_vary_though_their_sources_are_alike():
    alike = [take(f"{k}.mp4", 4.0) for k in range(30)]
    lengths = {s.stop - s.first for s in plan(alike, ForgeConfig(), 100, 0).scenes}
    assert len(lengths) >= 5


def test_patterns_choose_the_splits():
    config = ForgeConfig(train=("*.mp4",), dev=("1.mp4",), test=("[2-4].mp4",))
    planned = plan(TAKES, config, 60, 0)
    assert [t.file for t in planned.takes["dev"]] == ["1.mp4"]
    assert {t.file for t in planned.takes["test"]} == {"2.mp4", "3.mp4", "4.mp4"}
    assert len(planned.takes["train"]) == 16


def test_even_folders_give_as_many_scenes_however_many_files_they_hold():
    takes = [take(f"many/{k}.mp4") for k in range(18)] + [take(f"few/{k}.mp4") for k in range(2)]
    config = ForgeConfig(splits=(1, 0, 0), even_folders=True)
    folders = Counter(s.take.file.split("/", maxsplit=1)[0] for s in plan(takes, config, 120, 0).scenes)
    assert abs(folders["many"] - folders["few"]) <= 1
    uneven = Counter(s.take.file.split("/", maxsplit=1)[0] for s in plan(takes, ForgeConfig(), 120, 0).scenes)
    assert uneven["many"] > 3 * uneven["few"]


def test_files_that_no_pattern_names_are_not_looked_at(source, tmp_path):
    config = ForgeConfig(test=("one.mp4", "two.mp4"), splits=(0, 0, 1))
    assert [take.file for take in survey(source, tmp_path / "notes.jsonl", config, 1)] == ["one.mp4", "two.mp4"]


def test_nothing_usable_is_told_with_a_reason():
    with pytest.raises(DataError, match=r"none of them usable.*no word found"):
        plan([take("a.mp4", problem="no word found")], ForgeConfig(), 4, 0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"voice": ["donor-magic"]}, "forge.voice"),
        ({"lips": []}, "forge.lips"),
        ({"lips": ["plugin"]}, "forge.lips_plugin"),
        ({"kinds": [0, 0, 0, 0]}, "forge.kinds"),
        ({"min_clip_s": 9.0, "max_clip_s": 3.0}, "forge.min_clip_s"),
        ({"crf": [30, 20]}, "forge.crf"),
        ({"two_spans": 2.0}, "forge.two_spans"),
        ({"speaker": "file"}, "did you mean speakers"),
    ],
)
def test_values_that_cannot_be_are_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        from_mapping(ForgeConfig, values, "forge")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_hold_what_their_file_says(path):
    table = load_toml(path)["forge"]
    config = json.loads(json.dumps(to_mapping(from_mapping(ForgeConfig, table, "forge"))))
    assert {key: config[key] for key in table if key != "swap"} == {k: v for k, v in table.items() if k != "swap"}
    assert config["swap"].items() >= table.get("swap", {}).items()
    assert sum(config["splits"]) == pytest.approx(1)


@pytest.mark.parametrize("prefix", ["", "small_"])
def test_the_methods_held_out_are_in_no_training_set(prefix):
    folder = CONFIGS[0].parent
    seen, unseen = (
        from_mapping(ForgeConfig, load_toml(folder / f"{prefix}{name}.toml")["forge"], "forge")
        for name in ("seen", "unseen")
    )
    assert not set(seen.voice) & set(unseen.voice)
    assert not set(seen.lips) & set(unseen.lips)
    assert seen.test == unseen.test
    assert not set(unseen.train + unseen.dev)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two takes of one person with corpus labels, one file without a face, one that is no video."""
    folder = tmp_path_factory.mktemp("source")
    frames, sound = load_pictures(SAMPLE), read_sound(SAMPLE)
    said = look_at(SAMPLE, SAMPLE.parent, ForgeConfig()).words
    for name, first, stop in (("one", 0, 104), ("two", 104, 208)):
        write_video(folder / f"{name}.mp4", frames[first:stop], 25, sound[640 * first : 640 * stop])
        inside = [w for w in said if w.start_s * 25 >= first and w.end_s * 25 <= stop]
        rows = [
            f"{int((w.start_s - first / 25) * 25000)} {int((w.end_s - first / 25) * 25000)} {w.text}" for w in inside
        ]
        (folder / f"{name}.align").write_text("\n".join(rows))
    write_video(folder / "empty.mp4", np.full((60, 96, 96, 3), 90, np.uint8), 25, sound[:38400])
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    before = {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in source.iterdir()}
    out = tmp_path_factory.mktemp("made") / "set"
    config = ForgeConfig(voice=QUICK.voice, lips=QUICK.lips, max_clip_s=4.0, splits=(1, 1, 0))
    result = forge_set(source, out, config, count=12, seed=5, n_workers=2)
    assert {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in source.iterdir()} == before
    return out, result


@pytest.mark.slow
def test_the_set_is_one_that_the_lavdf_loader_takes(made):
    out, result = made
    manifest = load_manifest(f"lavdf:{out}")
    assert not manifest.problems
    assert (
        Counter(s.kind for s in manifest.samples) == result.n_clips == {"real": 4, "audio": 2, "visual": 4, "both": 2}
    )
    for sample in manifest.samples:
        facts = probe(sample.path)
        assert (facts.width, facts.height, facts.fps) == (224, 224, 25)
        assert abs(facts.duration_s - sample.n_frames / 25) < 0.1
        assert all(0 <= a < b <= sample.n_frames / 25 + 0.05 for a, b in sample.spans)


@pytest.mark.slow
def test_what_was_passed_over_is_named(made):
    _, result = made
    assert set(result.passed_over) == {"empty.mp4", "broken.mp4"}
    assert result.failed == {}
    assert result.n_files == 2


@pytest.mark.slow
def test_forged_clips_differ_from_their_twins_in_the_span_and_in_the_modality_that_the_record_names(made):
    out, _ = made
    records = json.loads((out / "metadata.json").read_text())
    real = {r["file"]: r for r in records}
    for record in (r for r in records if r["kind"] != "real"):
        twin = real[record["original"]]
        a, b = record["fake_periods"][0]
        faces, own = load_pictures(out / record["file"]), load_pictures(out / twin["file"])
        sound, heard = read_sound(out / record["file"]), read_sound(out / twin["file"])
        first, stop = int(a * 25), int(b * 25)
        if len(faces) == len(own) and len(record["fake_periods"]) == 1:
            if record["kind"] == "visual":
                mouths = np.s_[:, 110:180, 70:155]  # elsewhere the codec's noise is all there is
                changed = np.abs(faces[mouths].astype(int) - own[mouths]).mean(axis=(1, 2, 3))
                assert changed[first + 1 : stop - 1].mean() > 1.1 * np.delete(changed, np.s_[first:stop]).mean()
            apart = np.abs(sound - heard[: len(sound)])
            if record["kind"] == "audio":
                inside = apart[int(a * 16000) + 300 : int(b * 16000) - 300].mean()
                assert inside > 3 * np.delete(apart, np.s_[int(a * 16000) : int(b * 16000)]).mean()
        if record["kind"] == "visual":
            assert all(not s["voice"] and s["lips"] for s in record["forged"])
        if record["kind"] == "audio":
            assert all(s["voice"] and not s["lips"] for s in record["forged"])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_set_though_it_was_killed(made, source, tmp_path):
    out, _ = made
    again = tmp_path / "again"
    program = (
        "from pathlib import Path; from fakespan.forge.studio import ForgeConfig, forge_set\n"
        "if __name__ == '__main__':\n"
        f"    config = ForgeConfig(voice={QUICK.voice!r}, lips={QUICK.lips!r}, max_clip_s=4.0, splits=(1, 1, 0))\n"
        f"    forge_set(Path({str(source)!r}), Path({str(again)!r}), config, count=12, seed=5, n_workers=1)\n"
    )
    script = tmp_path / "forge.py"
    script.write_text(program)
    running = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    while len(list(again.glob(".studio/clips/*.json"))) < 2:
        assert running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    n_done = len(list(again.glob(".studio/clips/*.json")))
    assert 2 <= n_done < 12
    kept = {p: p.stat().st_mtime_ns for p in again.glob("*/*.mp4")}
    subprocess.run([sys.executable, str(script)], check=True)
    assert (again / "metadata.json").read_text() == (out / "metadata.json").read_text()
    finished = [p for p in again.glob("*/*.mp4") if p in kept and p.stat().st_mtime_ns == kept[p]]
    assert len(finished) >= n_done
    name = json.loads((out / "metadata.json").read_text())[0]["file"]
    np.testing.assert_array_equal(load_pictures(out / name), load_pictures(again / name))


@pytest.mark.slow
@pytest.mark.parametrize("content", ["half a li", "[1]"])
def test_a_folder_with_a_strange_forge_json_is_refused(source, tmp_path, content):
    (tmp_path / "forge.json").write_text(content)
    with pytest.raises(DataError, match="expected the settings of a set"):
        forge_set(source, tmp_path, ForgeConfig(), count=3, seed=1, n_workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["forge.json"]


def test_another_set_s_folder_is_not_touched(made, source, tmp_path):
    out, _ = made
    with pytest.raises(DataError, match="a set with another seed"):
        forge_set(source, out, QUICK, count=12, seed=6, n_workers=1)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="other files"):
        forge_set(source, tmp_path, QUICK, count=12, seed=6, n_workers=1)
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_a_set_of_other_source_files_is_not_resumed(source, tmp_path):
    copy, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(source, copy)
    forge_set(copy, out, QUICK, count=1, seed=6, n_workers=0)
    (copy / "empty.mp4").rename(copy / "another.mp4")
    with pytest.raises(DataError, match="a set with another source"):
        forge_set(copy, out, QUICK, count=1, seed=6, n_workers=0)
    with pytest.raises(DataError, match="outside of the source"):
        forge_set(copy, copy / "out", QUICK, count=1, seed=6, n_workers=0)


def test_what_a_kill_left_in_the_folder_is_no_other_file(source, tmp_path):
    """Killed while forge.json was being written."""
    (tmp_path / ".fakespan-0123456789ab.part").write_text("{")
    result = forge_set(source, tmp_path, QUICK, count=1, seed=6, n_workers=0)
    assert sum(result.n_clips.values()) == 1
    assert not list(tmp_path.rglob("*.part"))


def test_a_killed_worker_is_told_with_what_to_do():
    with pytest.raises(DataError, match="a process that was killed; repeat the command"):
        list(run_jobs(os._exit, {"clip": (9,)}, 1))


def test_half_a_line_of_the_survey_is_surveyed_again(source, tmp_path):
    notes = tmp_path / "notes.jsonl"
    survey(source, notes, ForgeConfig(), 0)
    whole = notes.read_bytes()
    notes.write_bytes(whole[:-20])
    assert survey(source, notes, ForgeConfig(), 0) == survey(source, notes, ForgeConfig(), 0)
    assert notes.read_bytes() == whole


def test_a_folder_without_media_is_told(tmp_path):
    with pytest.raises(DataError, match="folder with media files"):
        forge_set(tmp_path, tmp_path / "out", QUICK, count=2, seed=0, n_workers=1)
    with pytest.raises(DataError, match="no such folder"):
        forge_set(tmp_path / "nowhere", tmp_path / "out", QUICK, count=2, seed=0, n_workers=1)
    assert not (tmp_path / "out").exists()  # a corrected command may have another seed


def lips_program(folder: Path, body: str) -> str:
    path = folder / "lips.py"
    path.write_text(
        f"import shutil, sys\nfrom pathlib import Path\nframes, wav, out = map(Path, sys.argv[1:])\n{body}\n"
    )
    return f"{sys.executable} {path} {{frames}} {{wav}} {{out}}"


def test_a_lip_sync_program_gives_the_frames(tmp_path):
    body = "assert wav.stat().st_size == 44 + 2 * 1920\nfor p in sorted(frames.iterdir()): shutil.copy(p, out / p.name)"
    faces = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), np.uint8)
    given = redraw_with(lips_program(tmp_path, body), faces, np.zeros(1920, np.float32))
    np.testing.assert_array_equal(given, faces)


@pytest.mark.parametrize("body", ["raise SystemExit(3)", "shutil.copy(frames / '000000.png', out / '000000.png')"])
def test_a_lip_sync_program_that_fails_is_named(tmp_path, body):
    with pytest.raises(DataError, match="lips program"):
        redraw_with(lips_program(tmp_path, body), np.zeros((3, 16, 16, 3), np.uint8), np.zeros(1920, np.float32))


def test_files_that_are_gone_while_forging_fail_their_clips_alone(source, tmp_path):
    copy = tmp_path / "source"
    shutil.copytree(source, copy)
    out = tmp_path / "out"
    config = ForgeConfig(voice=("resynthesis-mel",), lips=("redraw-generated",), splits=(1, 0, 0))

    def remove(done: float, total: float, note: str = "") -> None:
        if "listening" in note and done == total:
            (copy / "two.mp4").unlink()

    result = forge_set(copy, out, config, count=8, seed=1, n_workers=1, progress=remove)
    assert sum(result.n_clips.values()) + len(result.failed) == 8
    assert result.failed
    assert all("two.mp4" in why for why in result.failed.values())


VOICE_THAT_STAYS = """
import json, sys, wave
for line in sys.stdin:
    request = json.loads(line)
    with wave.open(request["out"], "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        n = int(16000 * request["length_s"])
        file.writeframes(b"".join((k * 311 % 20011 - 10000).to_bytes(2, "little", signed=True) for k in range(n)))
    print(json.dumps({"wav": request["out"]}), flush=True)
"""


@pytest.fixture(scope="module")
def broken_lips(tmp_path_factory):
    return lips_program(tmp_path_factory.mktemp("lips"), "raise SystemExit('no mouth')")


def test_a_method_that_fails_is_replaced_by_another_of_the_config(source, broken_lips, tmp_path):
    config = ForgeConfig(
        voice=("plugin", "resynthesis-mel"),
        voice_plugin=f"{sys.executable} -c 'raise SystemExit(\"no voice\")'",
        lips=("plugin", "redraw-generated"),
        lips_plugin=broken_lips,
        splits=(1, 0, 0),
    )
    result = forge_set(source, tmp_path / "set", config, count=16, seed=2, n_workers=1)
    assert result.failed == {}
    planned = plan([take("1.mp4"), take("2.mp4")], config, 16, 2)
    kinds = Counter(entry.kind for scene in planned.scenes for entry in scene.entries)
    assert result.n_clips == kinds
    records = json.loads((tmp_path / "set" / "metadata.json").read_text())
    used = {method for record in records for method in record["method"].split()}
    assert used == {"resynthesis-mel", "redraw-generated"}
    reasons = {why.split(":")[0] for reasons in result.fell_back.values() for why in reasons}
    assert reasons == {"voice plugin", "lips plugin"}
    assert all("\n" not in why for reasons in result.fell_back.values() for why in reasons)
    told = {record["file"] for record in records if record["fallbacks"]}
    assert told == set(result.fell_back)
    assert not any(record["fallbacks"] for record in records if record["kind"] == "real")


def test_lips_that_cannot_be_done_at_all_leave_clips_with_forged_sound_alone(source, broken_lips, tmp_path):
    program = tmp_path / "voice.py"
    program.write_text(VOICE_THAT_STAYS)
    config = ForgeConfig(
        voice=("plugin",),
        voice_plugin=f"{sys.executable} {program}",
        lips=("plugin",),
        lips_plugin=broken_lips,
        splits=(1, 0, 0),
    )
    result = forge_set(source, tmp_path / "set", config, count=8, seed=1, n_workers=1)
    assert result.failed == {}
    assert set(result.n_clips) == {"real", "audio"}
    assert sum(result.n_clips.values()) == 8
    for record in json.loads((tmp_path / "set" / "metadata.json").read_text()):
        assert (record["modify_audio"], record["modify_video"]) == (record["kind"] == "audio", False)
        assert {span["voice"] for span in record["forged"]} <= {"plugin"}
        if record["fallbacks"]:
            assert record["fallbacks"][0].split(":")[0] in {"visual", "both"}
            assert "no mouth" in record["fallbacks"][0]
    assert len(load_manifest(f"lavdf:{tmp_path / 'set'}").samples) == 8
