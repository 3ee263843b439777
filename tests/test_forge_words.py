"""Words found by label files and by ear, and what they are swapped for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakespan.errors import ConfigError, DataError
from fakespan.forge import lexicon
from fakespan.forge.labels import Labels, Passage, Word, read_labels
from fakespan.forge.lexicon import opposites, same_kind
from fakespan.forge.listening import Listener
from fakespan.forge.words import SwapConfig, choose_swap
from fakespan.media.decode import read_sound
from fakespan.report.export import SUFFIXES, WRITERS
from scans import forged

SAID = (Word("bin", 0.5, 0.75), Word("blue", 0.75, 1.0), Word("don't", 1.2, 1.5))
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2
            text = "AH"
    item [2]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 2
        intervals: size = 5
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "sil"
        intervals [2]:
            xmin = 0.5
            xmax = 0.75
            text = "Bin"
        intervals [3]:
            xmin = 0.75
            xmax = 1.0
            text = "blue"
        intervals [4]:
            xmin = 1.2
            xmax = 1.5
            text = "don't"
        intervals [5]:
            xmin = 1.5
            xmax = 2
            text = ""
"""
WHISPERX = {
    "segments": [
        {
            "text": "Bin blue, don't.",
            "words": [
                {"word": "Bin", "start": 0.5, "end": 0.75, "score": 0.9},
                {"word": "blue,", "start": 0.75, "end": 1.0},
                {"word": "7"},
                {"word": "don’t.", "start": 1.2, "end": 1.5},
            ],
        }
    ]
}
FORMATS = {
    ".align": "0 12500 sil\n12500 18750 bin\n18750 25000 blue\n25000 30000 sp\n30000 37500 don't\n",
    ".TextGrid": TEXTGRID,
    ".json": json.dumps(WHISPERX),
    ".ctm": ";; made\nclip A 0.5 0.25 bin 0.9\nclip A 0.75 0.25 BLUE\nclip A 1.2 0.3 don't\nother A 0 1 word\n",
    ".vtt": "WEBVTT\n\n00:00.500 --> 00:01.000\nBin<00:00:00.750><c> blue</c>\n\n00:01.200 --> 00:01.500\ndon't\n",
    ".txt": "Text:  BIN BLUE DON'T\n\nWORD START END ASDSCORE\nBIN 0.5 0.75 9\nBLUE 0.75 1.0 8\nDON'T 1.2 1.5 7\n",
}
BROKEN = {
    ".align": "0 x bin\n",
    ".TextGrid": "File type",
    ".json": '{"word_segments": [{"word": "a", "start": "soon", "end": 2}]}',
    ".ctm": "clip A 0.5\n",
    ".vtt": "00:00 nothing",
    ".txt": "Text:\n",
}


def labelled(folder: Path, suffix: str, text: str) -> Path:
    media = folder / "clip.mp4"
    media.touch()
    media.with_suffix(suffix).write_text(text, encoding="utf-8")
    return media


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_says_the_same_words(tmp_path, suffix):
    labels = read_labels(labelled(tmp_path, suffix, FORMATS[suffix]))
    assert [w.text for w in labels.words] == [w.text for w in SAID]
    np.testing.assert_allclose(
        [(w.start_s, w.end_s) for w in labels.words], [(w.start_s, w.end_s) for w in SAID], atol=1e-6
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_label_files_in_utf_16_are_read(tmp_path, suffix):  # Praat writes TextGrids with accents so
    media = labelled(tmp_path, suffix, "")
    media.with_suffix(suffix).write_text(
        re.sub("blue", "größe", FORMATS[suffix], flags=re.IGNORECASE), encoding="utf-16"
    )
    assert [w.text for w in read_labels(media).words] == ["bin", "größe", "don't"]


@pytest.mark.parametrize("suffix", BROKEN)
def test_a_damaged_label_file_is_named(tmp_path, suffix):
    with pytest.raises(DataError, match=f"clip{suffix}"):
        read_labels(labelled(tmp_path, suffix, BROKEN[suffix]))


def test_a_huge_label_file_is_not_read(tmp_path):
    with pytest.raises(DataError, match="at most 16 MB"):
        read_labels(labelled(tmp_path, ".txt", "a " * 2**23 + "b"))


def test_without_labels_there_are_none(tmp_path):
    assert read_labels(labelled(tmp_path, ".md", "no labels")) is None
    assert read_labels(labelled(tmp_path, ".json", '{"format": "of another program"}')) is None
    assert read_labels(labelled(tmp_path, ".json", '{"format": "fakespan.scan/1", "segments": []}')) is None


@pytest.mark.parametrize("name", ["json", "vtt", "textgrid", "audacity", "labelstudio"])
@pytest.mark.parametrize("scan", [forged(), forged(segments=[], score=0.1)], ids=["suspected", "clear"])
def test_a_result_beside_a_clip_does_not_say_what_is_said(tmp_path, name, scan):
    media = tmp_path / "clip.mp4"
    WRITERS[name](scan, tmp_path / f"clip.{SUFFIXES[name]}")
    assert read_labels(media) is None
    (tmp_path / "clip.txt").write_text("it is said")
    assert read_labels(media) == Labels(passages=(Passage("it is said"),))


def test_sentences_with_times_are_passages(tmp_path):
    media = labelled(tmp_path, ".en.vtt", "WEBVTT\n\n00:01.000 --> 00:03.500\n<v Ann>Ben &amp; I\nagree</v>\n")
    assert read_labels(media) == Labels(passages=(Passage("Ben & I agree", 1.0, 3.5),))


def test_a_plain_transcript_is_one_passage(tmp_path):
    assert read_labels(labelled(tmp_path, ".txt", "it is\nsaid")) == Labels(passages=(Passage("it is said"),))


@pytest.mark.parametrize(("one", "other"), [("safe", "dangerous"), ("won", "lost"), ("is", "isn't")])
def test_opposites_hold_both_ways(one, other):
    assert other in opposites(one)
    assert one in opposites(other)


def test_a_kind_holds_its_words_and_never_the_word_itself():
    assert "green" in same_kind("red")
    assert "red" not in same_kind("red")
    assert same_kind("parliament") == ()


def test_wordnets_antonyms_are_read(tmp_path):
    (tmp_path / "data.adj").write_text(
        "  1 This is the licence\n"
        "00000100 00 a 02 calm 0 quiet(p) 0 002 ! 00000200 a 0102 & 00000300 a 0000 | not stormy\n"
        "00000200 00 a 02 windy 0 stormy 1 001 ! 00000100 a 0201 | \n",
        encoding="latin-1",
    )
    assert set(lexicon._wordnet(tmp_path)) == {("calm", "stormy"), ("stormy", "calm")}


def grid(*texts: str, start_s: float = 0.5, length_s: float = 0.3) -> tuple[Word, ...]:
    return tuple(Word(t, start_s + k * length_s, start_s + (k + 1) * length_s) for k, t in enumerate(texts))


CLIP = grid("the", "door", "is", "open", "near", "monday")


def test_an_opposite_that_the_speaker_says_comes_first():
    elsewhere = {"a": grid("on", "friday"), "b": grid("shops", "closed", "at", "noon")}
    config = SwapConfig(mean_span_s=0.3, std_span_s=0.01)
    swap = choose_swap(CLIP, elsewhere, config, np.random.default_rng(0), source="donor")
    assert (swap.before, swap.after, swap.rule) == ("open", "closed", "opposite")
    assert (swap.start_s, swap.end_s) == (CLIP[3].start_s, CLIP[3].end_s)
    assert (swap.donor.clip, swap.donor.start_s, swap.donor.end_s) == ("b", 0.8, 1.1)


def test_then_a_word_of_the_same_kind():
    elsewhere = {"a": grid("on", "friday"), "b": grid("paint", "walls")}
    swap = choose_swap(CLIP, elsewhere, SwapConfig(mean_span_s=0.3), np.random.default_rng(1), source="donor")
    assert swap.rule == "kind"
    assert swap.after in ("on", "friday", "on friday")


def test_then_anything_else_that_the_speaker_says():
    swap = choose_swap(CLIP, {"b": grid("paint", "walls")}, SwapConfig(), np.random.default_rng(2), source="donor")
    assert swap.rule == "other"
    assert set(swap.after.split()) <= {"paint", "walls"}


def test_nobody_to_lend_words_means_no_swap():
    assert choose_swap(CLIP, {}, SwapConfig(), np.random.default_rng(0), source="donor") is None
    assert choose_swap((), {"a": CLIP}, SwapConfig(), np.random.default_rng(0), source="synthesis") is None


def test_what_is_synthesised_changes_one_word():
    swap = choose_swap(CLIP, {}, SwapConfig(), np.random.default_rng(3), source="synthesis")
    before, after = swap.before.split(), swap.after.split()
    assert swap.donor is None
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


@given(st.integers(0, 10_000), st.sampled_from(["donor", "synthesis", "same"]))
def test_spans_keep_their_limits_and_away_from_taken_ones(seed, source):
    config = SwapConfig(0.2, 1.0, 0.6, 0.3)
    elsewhere = {"a": grid("shops", "closed", "at", "noon", "on", "friday")}
    swap = choose_swap(CLIP, elsewhere, config, np.random.default_rng(seed), source=source, taken=[(0.5, 0.8)])
    assert 0.2 <= swap.end_s - swap.start_s <= 1.0 + 1e-9
    assert swap.start_s > 1.1
    assert (swap.before == swap.after) == (source == "same")


def test_equal_seeds_swap_equal_words():
    elsewhere = {"a": grid("shops", "closed", "at", "noon", "on", "friday")}
    draws = [choose_swap(CLIP, elsewhere, SwapConfig(), np.random.default_rng(5), source="donor") for _ in range(2)]
    assert draws[0] == draws[1]


def test_lengths_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="min_span_s"):
        SwapConfig(min_span_s=2.0)


@pytest.fixture(scope="module")
def listener():
    return Listener()


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A second of silence, then a sentence of a synthesiser."""
    assert shutil.which("flite"), "run make system"
    path = tmp_path_factory.mktemp("speech") / "said.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", "the prime minister was wrong", "-o", str(path)], check=True)
    with wave.open(str(path)) as file:
        assert file.getframerate() == 16000
    sound = read_sound(path)
    return np.concatenate([np.zeros(16000, np.float32), sound, np.zeros(8000, np.float32)])


def test_speech_is_found_where_somebody_speaks(listener, speech):
    ((start_s, end_s),) = listener.regions(speech)
    assert start_s == pytest.approx(1.1, abs=0.2)
    assert end_s == pytest.approx(len(speech) / 16000 - 0.6, abs=0.25)
    assert listener.regions(np.zeros(32000, np.float32)) == []


def test_a_known_text_is_aligned_in_its_place(listener, speech):
    words = listener.align(speech, Passage("The prime minister, xqzzy, was wrong!"))
    assert [w.text for w in words] == ["the", "prime", "minister", "was", "wrong"]
    assert words[0].start_s > 0.9
    assert all(a.end_s <= b.start_s + 1e-6 for a, b in pairwise(words))
    assert listener.align(speech, Passage("xqzzy")) == []


def test_words_are_recognised_without_a_text(listener, speech):
    words = listener.recognise(speech)
    assert {"prime", "minister"} <= {w.text for w in words}
    assert all(0.9 < w.start_s < w.end_s <= len(speech) / 16000 for w in words)


def test_a_synthesiser_says_some_word_of_that_length_where_no_better_one_is_known():
    words = [Word("telephone", 0.5, 1.1)]
    swap = choose_swap(words, {}, SwapConfig(), np.random.default_rng(0), source="synthesis")
    assert swap is not None
    assert swap.rule == "other"
    assert swap.donor is None
    assert swap.after != "telephone"
    assert 8 <= len(swap.after) <= 10
