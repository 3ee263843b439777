"""`scoring.truth` reads metadata as arrays, the loaders read it as Samples: both say the same of every video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets import KINDS, avdeepfake1m_entry, lavdf_entry, write_json
from fakespan.data.manifest import load_manifest
from fakespan.errors import DataError
from fakespan.scoring.truth import Truth, read_truth

ODD_LAVDF: list[dict[str, Any]] = [
    {},
    {"split": "val"},
    {"video_frames": None, "duration": 3.5},
    {"video_frames": 51},
    {"modify_audio": False, "modify_video": False},  # spans all the same
    {"modify_audio": None},
    {"fake_periods": [[0.5, 0.5], [1.0, 1.25]]},
    {"fake_periods": []},  # said to be forged, but where?
]
ODD_AVDEEPFAKE1M: list[dict[str, Any]] = [
    {},
    {"video_frames": 51},
    {"modify_type": "audio_modified", "visual_fake_segments": [[0.5, 0.75]]},  # the release's known flaw
    {"modify_type": None},
    {"modify_type": "nobody knows"},
]


def assert_both_agree(metadata: Path, source: str, split: str | None = None) -> None:
    said = read_truth(metadata)
    samples = Truth.of_samples(load_manifest(source).choose(split), said.preset)
    assert said.names == samples.names
    assert said.splits == samples.splits
    assert said.kinds.tolist() == samples.kinds.tolist()
    np.testing.assert_array_equal(said.durations_s, samples.durations_s)
    for name, spans in said.labels.items():
        np.testing.assert_array_equal(spans, samples.labels[name])


@pytest.mark.parametrize("kind", KINDS)
def test_both_readers_of_lavdf_agree(tmp_path, kind):
    entries = [
        lavdf_entry(f"dev/{k}.mp4", "dev", kind, None, 2.0, seed=k) | change for k, change in enumerate(ODD_LAVDF)
    ]
    assert_both_agree(write_json(tmp_path / "metadata.json", entries), f"lavdf:{tmp_path}")


@pytest.mark.parametrize("kind", KINDS)
def test_both_readers_of_avdeepfake1m_agree(tmp_path, kind):
    changes = [c for c in ODD_AVDEEPFAKE1M if kind == "audio" or "visual_fake_segments" not in c]
    entries = [avdeepfake1m_entry("val", kind, f"id{k}", 2.0, seed=k) | change for k, change in enumerate(changes)]
    metadata = write_json(tmp_path / "val_metadata.json", entries)
    assert_both_agree(metadata, f"avdeepfake1m:{tmp_path}", "val")


def test_a_score_takes_fake_segments_alone_where_a_loader_adds_what_the_streams_know(tmp_path):
    entry = avdeepfake1m_entry("val", "audio", "id0", 2.0) | {"fake_segments": [], "audio_fake_segments": [[0.5, 1.0]]}
    metadata = write_json(tmp_path / "val_metadata.json", [entry])
    (sample,) = load_manifest(f"avdeepfake1m:{tmp_path}").samples
    assert sample.spans == ((0.5, 1.0),)
    assert len(read_truth(metadata).labels[sample.name]) == 0


def test_a_flag_that_is_text_counts_for_no_reader(tmp_path):
    """The text "False" is true in many languages."""
    entry = lavdf_entry("dev/0.mp4", "dev", "audio", None, 2.0) | {"modify_video": "False"}
    metadata = write_json(tmp_path / "metadata.json", [entry])
    with pytest.raises(DataError, match=r"true or false for modify_video, got 'False' in dev/0\.mp4"):
        read_truth(metadata)
    with pytest.raises(DataError, match=r"got no clip and 1 problem; the first: dev/0\.mp4: expected true or false"):
        load_manifest(f"lavdf:{tmp_path}")
