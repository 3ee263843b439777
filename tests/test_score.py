"""`fakespan score`: the published numbers, subsets, lengths, intervals, a clear word for each fault, the command."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fakespan.cli import app
from fakespan.errors import DataError, UsageError
from fakespan.metrics import average_precision, average_recall
from fakespan.scoring.proposals import Proposals, read_proposals
from fakespan.scoring.proposals_parquet import write_parquet
from fakespan.scoring.score import ScoreOptions, read_both, score
from fakespan.scoring.truth import Truth, read_truth
from fakespan.types import Sample, Segment

GOLDEN = Path(__file__).parent / "golden"
PROPOSALS, METADATA = GOLDEN / "metrics_proposals.json", GOLDEN / "metrics_metadata.json"

ENTRIES: list[dict[str, Any]] = [
    {"file": "test/a.mp4", "fake_periods": [[1.0, 1.3]], "modify_audio": True, "modify_video": False, "split": "test"},
    {"file": "test/b.mp4", "fake_periods": [[2.0, 3.0]], "modify_audio": False, "modify_video": True, "split": "test"},
    {"file": "test/c.mp4", "fake_periods": [[1.0, 1.5]], "modify_audio": True, "modify_video": True, "split": "test"},
    {"file": "test/d.mp4", "fake_periods": [], "modify_audio": False, "modify_video": False, "split": "test"},
    {"file": "dev/e.mp4", "fake_periods": [[0.0, 1.0]], "modify_audio": True, "modify_video": True, "split": "dev"},
]
FOUND = {
    "test/a.mp4": [[0.9, 1.0, 1.3], [0.3, 4, 5]],
    "test/b.mp4": [[0.8, 2.0, 3.0]],
    "test/c.mp4": [[0.7, 3.0, 3.5]],
    "test/d.mp4": [[0.6, 1.0, 1.2]],
}


def written(path: Path, record) -> Path:
    path.write_text(json.dumps(record))
    return path


@pytest.fixture
def truth(tmp_path) -> Truth:
    return read_truth(written(tmp_path / "metadata.json", ENTRIES)).only(["test"])


@pytest.fixture(scope="module")
def golden():
    return score(read_proposals(PROPOSALS), read_truth(METADATA), ScoreOptions(n_bootstrap=60))


def test_the_published_numbers(golden):
    expected = json.loads((GOLDEN / "metrics_expected.json").read_text())
    for oracle in (expected, expected["avdeepfake1m"]):
        values = golden.subsets[0].values
        assert [values[f"AP@{t}"] for t in ("0.5", "0.75", "0.95")] == pytest.approx(
            [oracle["ap"][t] for t in ("0.5", "0.75", "0.95")], abs=1e-6
        )
        recalls = {int(float(k)): v for k, v in oracle["ar"].items()}
        assert [values[f"AR@{n}"] for n in (100, 50, 20, 10)] == pytest.approx(
            [recalls[n] for n in (100, 50, 20, 10)], abs=1e-6
        )


def test_a_preset_chooses_thresholds_and_counts():
    proposals = read_proposals(PROPOSALS)
    truth = read_truth(METADATA).prepared(proposals, preset="avdeepfake1m")
    names = [n for n in score(proposals, truth).subsets[0].values if "Activity" not in n]
    assert names == ["AP@0.5", "AP@0.75", "AP@0.9", "AP@0.95", "AR@50", "AR@30", "AR@20", "AR@10", "AR@5", "AUC"]
    own = score(proposals, truth, ScoreOptions(iou_thresholds=[0.3], n_proposals=[1], subsets=["audio"], buckets=()))
    assert [*own.subsets[0].values] == ["AP@0.3", "ActivityNet AP@0.3", "AR@1", "AUC"]
    assert own.buckets == ()


def test_subsets_are_those_videos_alone(truth):
    result = score(FOUND, truth)
    for group, names in zip(result.subsets, ("abcd", "bcd", "acd"), strict=True):
        labels = {f"test/{n}.mp4": truth.labels[f"test/{n}.mp4"] for n in names}
        assert group.n_videos == len(names)
        assert group.n_fakes == group.n_spans == len(names) - 1
        for iou, value in average_precision(FOUND, labels).items():
            assert group.values[f"AP@{iou:g}"] == pytest.approx(value)
        for n, value in average_recall(FOUND, labels).items():
            assert group.values[f"AR@{n}"] == pytest.approx(value)
    assert result.subsets[0].values["AUC"] == 1.0


def test_lengths_part_the_spans(truth):
    short, middle, long, longest = score(FOUND, truth).buckets
    assert (short.name, short.n_spans, middle.n_spans, long.n_spans, longest.n_spans) == ("under 0.4 s", 1, 1, 1, 0)
    assert short.values["AR@10"] == long.values["AR@10"] == 1
    assert middle.values["AR@10"] == 0
    assert math.isnan(longest.values["AR@10"])
    assert math.isnan(longest.values["AP@0.5"])


def test_a_wrong_proposal_counts_against_spans_of_its_own_length(truth):
    """A proposal of 0.3 s that is wrong and scores best harms the short spans alone."""
    worse = {**FOUND, "test/d.mp4": [[0.95, 1.0, 1.3]]}
    before, after = (score(found, truth).buckets for found in (FOUND, worse))
    assert before[0].values["AP@0.5"] == 0  # right from the start: no area of its own
    assert after[0].values["AP@0.5"] == 0.5
    assert after[2].values == before[2].values


def test_the_bootstrap_holds_the_number_and_comes_again(golden):
    again = score(read_proposals(PROPOSALS), read_truth(METADATA), ScoreOptions(n_bootstrap=60))
    other = score(read_proposals(PROPOSALS), read_truth(METADATA), ScoreOptions(n_bootstrap=60, seed=1))
    assert again.to_dict() == golden.to_dict()
    assert other.to_dict()["subsets"] != golden.to_dict()["subsets"]
    group = golden.subsets[0]
    assert set(group.intervals) == set(group.values)
    assert all(low <= group.values[name] <= high for name, (low, high) in group.intervals.items())
    assert all(low < high for low, high in group.intervals.values())
    short = golden.buckets[0]
    assert short.intervals["AR@100"][0] <= short.values["AR@100"] <= short.intervals["AR@100"][1]


def test_a_resample_is_the_set_that_it_draws(truth):
    """What the weights give is what a set with the drawn videos, under other names, gives."""
    rated = score(FOUND, truth).rated
    counts = np.array([2, 0, 1, 3])
    drawn = [(f"{name}{k}", name) for name, n in zip(truth.names, counts, strict=True) for k in range(n)]
    proposals = {new: FOUND[old] for new, old in drawn}
    labels = {new: truth.labels[old] for new, old in drawn}
    values = rated.values(counts, rated.sums(np.ones(3, dtype=bool)))
    assert values["AP@0.5"] == pytest.approx(average_precision(proposals, labels, [0.5])[0.5])
    assert values["AR@10"] == pytest.approx(average_recall(proposals, labels, [10])[10])
    assert values["AUC"] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test/a.mp4": None}, "a list for each video, got none of 1 video: test/a.mp4"),
        ({"test/a.mp4": [[math.nan, 1, 2]]}, "NaN or infinity in 1 proposal of 1 video: test/a.mp4"),
        ({"test/b.mp4": [[math.inf, 1, 2], [0.5, 1, 2]]}, "finite scores, .* test/b.mp4"),
        ({"test/b.mp4": [[0.5, math.nan, 2]]}, "finite times, .* test/b.mp4"),
        ({"test/a.mp4": [[0.9, 2, 1]], "test/b.mp4": [[0.5, 2, 1]]}, "the opposite in 2 proposals of 2 videos: test/a"),
    ],
)
def test_a_fault_is_named_with_its_video(truth, change, message):
    found = {name: rows for name, rows in (FOUND | change).items() if rows is not None}
    with pytest.raises(DataError, match=message):
        score(found, truth)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"x.mp4": [[0.9, 1, 2]]}, "1 video not among the scored videos and ignored: x.mp4"),
        ({"test/a.mp4": []}, "1 video with an empty list: test/a.mp4"),
        ({"test/a.mp4": [[0.3, 4, 5], [0.9, 1.0, 1.3]]}, "1 video with a list that is not sorted.* test/a.mp4"),
        ({"test/a.mp4": [[1.5, 1, 2], [-1, 1, 2]]}, "2 scores outside 0..1, in 1 video: test/a.mp4"),
    ],
)
def test_an_oddity_is_a_note(truth, change, note):
    assert not score(FOUND, truth).notes
    (found,) = score(FOUND | change, truth).notes
    assert re.fullmatch(note, found)


def test_a_wrong_frame_rate_shows(tmp_path):
    truth = read_truth(written(tmp_path / "m.json", [{**e, "duration": 6.0} for e in ENTRIES[:4]]))
    frames = {name: np.array(rows) * [1, 25, 25] for name, rows in FOUND.items()}
    (note,) = score(frames, truth).notes
    assert re.match("5 proposals past the end of the video, in 4 videos .is --fps right", note)


def test_seconds_that_were_taken_for_frames_show(tmp_path):
    truth = read_truth(written(tmp_path / "m.json", [{**e, "duration": 6.0} for e in ENTRIES[:4]]))
    seconds = {name: np.array(rows) / [1, 25, 25] for name, rows in FOUND.items()}
    (note,) = score(seconds, truth).notes
    assert note == "all proposals lie in the first 25th of their videos: if begin and end are in seconds, use --fps 1"


@pytest.mark.parametrize(
    ("span", "note"),
    [
        ([1.0, 1.0], "1 labelled span of length 0, in 1 video: test/a.mp4"),
        ([-1.0, 1.0], "1 labelled span beginning before 0 s, in 1 video: test/a.mp4"),
        ([5.0, 7.0], "1 labelled span past the end of the video, in 1 video: test/a.mp4"),
    ],
)
def test_labels_that_cannot_be_right_are_named(tmp_path, span, note):
    entries = [{**e, "duration": 6.0} for e in ENTRIES[:4]]
    entries[0]["fake_periods"] = [[1.0, 1.3], span]
    assert score(FOUND, read_truth(written(tmp_path / "m.json", entries))).notes == (note,)


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([[0.9, 1.0, 1.0]], "1 proposal of length 0, in 1 video: test/a.mp4"),
        ([[0.9, -2.0, 1.0], [0.1, -1, 2]], "2 proposals beginning before 0 s, in 1 video: test/a.mp4"),
    ],
)
def test_proposals_that_cannot_be_right_are_named(truth, rows, note):
    assert score(FOUND | {"test/a.mp4": rows}, truth).notes == (note,)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_both_files_are_read_in_any_unicode_encoding(tmp_path, encoding):
    (tmp_path / "p.json").write_text(json.dumps(FOUND), encoding=encoding)
    (tmp_path / "m.json").write_text(json.dumps(ENTRIES), encoding=encoding)
    found, truth = read_both(tmp_path / "p.json", tmp_path / "m.json", 1)
    assert (len(found), truth.names[0]) == (4, "test/a.mp4")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", 1], "--seed: expected --bootstrap with it"),
        (["--out", "no/folder/x.json"], "expected a file in an existing folder"),
    ],
)
def test_options_are_tried_before_the_work(tmp_path, options, said):
    assert said in str(run(tmp_path / "none.json", METADATA, *options, code=1).exception)


def test_parquet_has_no_frames(tmp_path):
    assert "leave --fps out" in str(run(tmp_path / "p.parquet", METADATA, "--fps", 25, code=1).exception)


def test_nothing_known_is_an_error(truth):
    for found in ({}, {"other/a.mp4": [[0.9, 1, 2]]}):
        with pytest.raises(DataError, match="expected videos of the metadata, got"):
            score(found, truth, ScoreOptions(missing="zero"))


def test_missing_can_count_as_nothing_found(truth):
    found = {name: rows for name, rows in FOUND.items() if name != "test/a.mp4"}
    result = score(found, truth, ScoreOptions(missing="zero"))
    assert result.notes == ("1 video missing and counted as an empty list: test/a.mp4",)
    assert result.subsets[0].values == score({**found, "test/a.mp4": []}, truth).subsets[0].values
    assert result.subsets[0].values["AUC"] < 1


def test_windows_names_are_the_same_names(truth):
    windows = {name.replace("/", "\\"): rows for name, rows in FOUND.items()}
    assert score(windows, truth).to_dict() == score(FOUND, truth).to_dict()
    with pytest.raises(DataError, match=r"expected each video once, got test/a\.mp4 more than once"):
        score({**FOUND, "test\\a.mp4": []}, truth)


@pytest.mark.parametrize(
    "option",
    [{"iou_thresholds": [1.0]}, {"n_proposals": [0]}, {"subsets": ["all"]}, {"buckets": [1, 0]}, {"missing": "x"}],
)
def test_an_option_that_cannot_be_is_told(truth, option):
    with pytest.raises(UsageError, match="change it"):
        score(FOUND, truth, ScoreOptions(**option))


def test_both_kinds_of_metadata_say_the_same(tmp_path):
    kinds = {(True, False): "audio_modified", (False, True): "visual_modified", (True, True): "both_modified"}
    other = [
        {
            "file": e["file"].replace("/", "\\"),
            "fake_segments": e["fake_periods"],
            "modify_type": kinds.get((e["modify_audio"], e["modify_video"]), "real"),
            "split": e["split"].replace("dev", "val"),
            "video_frames": 200,
            "news": {"nested": [1]},
        }
        for e in ENTRIES
    ]
    a, b = (read_truth(written(tmp_path / f"{k}.json", e)) for k, e in enumerate((ENTRIES, other)))
    assert (a.preset, b.preset) == ("lavdf", "avdeepfake1m")
    assert a.names == b.names
    assert a.kinds.tolist() == b.kinds.tolist() == [1, 2, 3, 0, 3]
    assert a.splits == b.splits
    assert dict(a.labels).keys() == dict(b.labels).keys()
    assert b.durations_s.tolist() == [8.0] * 5


def test_samples_give_the_same_truth(tmp_path):
    modality = {(True, False): "audio", (False, True): "visual", (True, True): "both"}
    samples = [
        Sample(
            e["file"],
            Path(e["file"]),
            "test",
            8.0,
            tuple(Segment(s, t, 1.0, modality[k]) for s, t in e["fake_periods"]),
        )
        for e in ENTRIES[:4]
        for k in [(e["modify_audio"], e["modify_video"])]
    ]
    truth = read_truth(written(tmp_path / "m.json", ENTRIES[:4]))
    assert score(FOUND, Truth.of_samples(samples)).to_dict() == score(FOUND, truth).to_dict()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a complete JSON file"),
        ("{}", "expected a list with one entry per clip, got an object"),
        ("[1]", "expected a list of videos"),
        ("[]", "expected fake_periods or fake_segments, got an empty list"),
        ('[{"file": "a"}]', "fake_periods or fake_segments, got neither"),
        ('[{"fake_periods": []}]', "got entry 1 without"),
        ('[{"file": "a", "fake_periods": []}, {"file": "b", "fake_periods": [1]}]', r"entry 2 \(b\) without"),
        ('[{"file": "a", "fake_periods": [[1, 2, 3]]}]', r"entry 1 \(a\) without"),
        ('[{"file": "a", "fake_periods": [["1", "x"]]}]', r"entry 1 \(a\) without"),
        ('[{"file": "a", "fake_periods": [["1", "2"]]}]', r"entry 1 \(a\) without"),
        ('[{"file": "a", "fake_periods": ["12"]}]', r"entry 1 \(a\) without"),
        ('[{"file": "a", "fake_periods": [[false, true]]}]', r"entry 1 \(a\) without"),
        ('[{"file": "a", "fake_periods": 3}]', "entry 1 without"),
        ('[{"file": "a", "fake_periods": [[2, 1]]}]', r"spans that end after they start, got \[2.0, 1.0\] in a"),
        ('[{"file": "a", "fake_periods": []}, {"file": "a", "fake_periods": []}]', "each video once, got a more"),
        ('[{"file": "a", "fake_periods": [], "split": 3, "duration": "x"}]', "forged span"),
        (
            '[{"file": "a", "fake_periods": [[1, 2]], "modify_video": "False"}]',
            "true or false for modify_video, got 'False' in a",
        ),
    ],
)
def test_metadata_that_does_not_fit_is_told(tmp_path, text, message):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(DataError, match=message):
        score({"a": []}, read_truth(tmp_path / "m.json"))


def run(*arguments, code=0):
    done = CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=True)
    assert done.exit_code == code, done.output
    return done


def test_the_command_prints_a_table_and_json(tmp_path):
    shown = run(PROPOSALS, METADATA, "--bootstrap", 5).output
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"AP@0.5 +10.93 \[", shown)
    assert re.search(r"AR@100 +69.82 +84.62 +92.68 +95.59", shown)
    out = tmp_path / "score.json"
    record = json.loads(run(PROPOSALS, METADATA, "--json", "--out", out).output)
    assert record == json.loads(out.read_text())
    assert record["subsets"][0]["values"]["AR@100"] == pytest.approx(0.88164699)


def test_json_and_parquet_give_equal_numbers(tmp_path):
    write_parquet(tmp_path / "p.parquet", read_proposals(PROPOSALS))
    assert run(tmp_path / "p.parquet", METADATA, "--json").output == run(PROPOSALS, METADATA, "--json").output


def test_only_the_splits_of_the_proposals_are_rated(tmp_path):
    metadata = written(tmp_path / "m.json", ENTRIES)
    found = written(tmp_path / "p.json", FOUND)
    assert json.loads(run(found, metadata, "--fps", 1, "--json").output)["subsets"][0]["videos"] == 4
    assert isinstance(run(found, metadata, "--fps", 1, "--split", "dev", code=1).exception, DataError)
    assert "videos of train" in str(run(found, metadata, "--split", "train", code=1).exception)
    assert "is not one of 'lavdf', 'avdeepfake1m'" in run(found, metadata, "--preset", "x", code=2).output


def test_plots_are_pictures(tmp_path):
    run(PROPOSALS, METADATA, "--plots", tmp_path / "plots")
    found = sorted((tmp_path / "plots").iterdir())
    assert [p.name for p in found] == ["precision_recall.png", "recall.png", "scores.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in found)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="change --plots"):
        raise run(PROPOSALS, METADATA, "--plots", tmp_path / "file", code=1).exception


def test_proposals_survive_as_flat_arrays():
    flat = Proposals.of(FOUND)
    assert {name: rows.shape for name, rows in flat.items()} == {name: (len(FOUND[name]), 3) for name in FOUND}


def test_rating_a_file_loads_no_torch():
    program = (
        "import sys; from fakespan.scoring import proposals, rating, score, score_table, truth;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_both_files_are_read_at_once_as_one_by_one(golden):
    found, truth = read_both(PROPOSALS, METADATA)
    assert found.n_proposals == read_proposals(PROPOSALS).n_proposals
    assert truth.names == read_truth(METADATA).names
    assert score(found, truth).subsets[0].values == golden.subsets[0].values


@pytest.mark.parametrize(
    ("proposals", "metadata", "message"),
    [
        ("[]", "[]", "expected an object of videos"),
        ("{}", "[]", "an empty list"),
        ("[", "{", "proposals.json: expected"),
    ],
)
def test_of_two_bad_files_the_proposals_are_told(tmp_path, proposals, metadata, message):
    paths = tmp_path / "proposals.json", tmp_path / "metadata.json"
    for path, text in zip(paths, (proposals, metadata), strict=True):
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_both(*paths)


def test_a_score_that_is_no_number_is_left_to_the_check(tmp_path):
    values = np.array([np.nan, np.inf, 0.5], dtype=np.float32)
    write_parquet(tmp_path / "p.parquet", Proposals(("test/a.mp4",), np.array([0, 3]), values, values, values))
    found, truth = read_both(tmp_path / "p.parquet", written(tmp_path / "metadata.json", ENTRIES[:1]))
    with pytest.raises(DataError, match="finite scores"):
        score(found, truth)
