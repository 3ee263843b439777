"""The one door to sets of clips."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from datasets import make_lavdf
from fakespan.data.sets import open_set
from fakespan.errors import DataError, MediaError, UsageError


@pytest.fixture(scope="module")
def lavdf(tmp_path_factory):
    return make_lavdf(tmp_path_factory.mktemp("set") / "lavdf", 4, 2, 2, seconds=1.0)


def test_random_access_by_split_subset_and_limit(lavdf):
    everything = open_set(f"lavdf:{lavdf}")
    train = open_set(f"lavdf:{lavdf}", "train")
    assert (len(everything), len(train)) == (8, 4)
    assert [s.kind for s in train.samples] == ["real", "audio", "visual", "both"]
    last, first = train[3], train[0]
    assert (last.name, first.name) == (train.samples[3].name, train.samples[0].name)
    assert (last.audio_spans, first.audio_spans) == (train.samples[3].audio_spans, ())
    assert last.faces.shape == (25, 96, 96, 3)
    assert [s.kind for s in open_set(f"lavdf:{lavdf}", "train", subset="visual").samples] == ["real", "visual", "both"]
    assert len(open_set(f"lavdf:{lavdf}", "train", limit=2)) == 2


def test_a_set_travels_to_a_worker(lavdf):
    train = open_set(f"lavdf:{lavdf}", "train")
    copy = pickle.loads(pickle.dumps(train))
    np.testing.assert_array_equal(copy[1].faces, train[1].faces)


@pytest.mark.parametrize("source", ["lavfd:/somewhere", "/somewhere", "", "lavdf"])
def test_unknown_kind_names_the_known_ones(source):
    with pytest.raises(UsageError, match=r"lavdf:FOLDER or .*store:FOLDER"):
        open_set(source)


def test_unknown_faces(lavdf):
    with pytest.raises(UsageError, match="auto or whole"):
        open_set(f"lavdf:{lavdf}", faces="none")


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        open_set(f"lavdf:{tmp_path / 'nowhere'}")


def test_missing_clip_is_named_when_it_is_asked_for(lavdf, tmp_path):
    root = make_lavdf(tmp_path / "lavdf", 1, 0, 0, seconds=0.5)
    clips = open_set(f"lavdf:{root}")
    clips.samples[0].path.unlink()
    with pytest.raises(MediaError, match=r"000000\.mp4"):
        clips[0]
