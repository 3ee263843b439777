"""How often genuine recordings reach a score: rates, tiers, the chance of a file, and how a scan says them."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from clips import spoken, write_clip
from fakespan.checkpoint import load_checkpoint, save_checkpoint
from fakespan.config import PostConfig, from_mapping, to_mapping
from fakespan.errors import CheckpointError, ConfigError, UsageError
from fakespan.localizer import Localizer, load_model
from fakespan.localizer.verdict import plain_verdict
from fakespan.rates import MOST_GENUINE, TIER_MINUTES, FalseSegments, GenuineRates, Minutes
from fakespan.report.html import render_html
from fakespan.report.outcomes import agreement
from fakespan.report.reading import read_json
from fakespan.report.table import table_rows
from fakespan.report.terminal import render
from fakespan.report.words import whole
from fakespan.types import Segment, Verdict
from heads import head_of
from scans import forged

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a voice."""
    path = tmp_path_factory.mktemp("rates") / "voice.wav"
    write_clip(path, sound=spoken(3.0), sound_rate=16_000, audio_codec="pcm_s16le")
    return path


def scores_of(rate: float, minutes: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Scores of a Poisson process of segments whose logits are exponential, `rate` of them a minute above 0.5."""
    logits = rng.exponential(0.7, rng.poisson(rate * minutes))
    return tuple(sorted((float(1 / (1 + math.exp(-x))) for x in logits), reverse=True))


def measured(minutes: float, seed: int = 1) -> FalseSegments:
    return FalseSegments(minutes, scores_of(1.0, minutes, np.random.default_rng(seed)))


def test_a_rate_is_the_number_of_segments_by_the_minute_and_falls_with_the_score() -> None:
    count = FalseSegments(20, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4))
    assert count.per_minute(0.4) == pytest.approx(7 / 20)
    assert count.per_minute(0.5) == pytest.approx(5 / 20)
    rates = [count.per_minute(score) for score in np.linspace(0, 1, 101)]
    assert all(a >= b for a, b in pairwise(rates))
    assert rates[-1] == pytest.approx(1 / 200)  # not below one in ten times what was measured


@pytest.mark.parametrize("score", [0.95, 0.98])
def test_rates_of_high_scores_are_rather_too_high(score: float) -> None:
    true = (1 / score - 1) ** (1 / 0.7)
    told = [measured(60, seed).per_minute(score) for seed in range(200)]
    assert np.mean(np.array(told) >= true) > 0.8
    assert np.median(told) < 12 * true


def test_without_segments_to_count_the_measured_minutes_are_the_limit() -> None:
    count = FalseSegments(30, ())
    assert count.per_minute(0.99) == pytest.approx(1 / 30)
    assert FalseSegments(30, (0.8,)).per_minute(0.7) == pytest.approx(2 / 30)


def test_a_tier_is_given_only_if_as_much_was_measured() -> None:
    for minutes, best in ((5, "weak"), (50, "moderate"), (500, "strong"), (700, "very_strong")):
        rates = GenuineRates(audio=FalseSegments(minutes, ()))
        assert rates.tier(0.999, "audio") == best
    assert GenuineRates(audio=FalseSegments(700, ())).tier(0.999, "both") is None
    hour, both = measured(600), GenuineRates(measured(600), measured(600, 2))
    for score in (0.3, 0.7, 0.9, 0.97):
        tier, rate = both.tier(score, "visual"), hour.per_minute(score)
        assert rate * TIER_MINUTES[tier] <= 1
        assert both.per_minute(score, "both") == pytest.approx(rate + both.audio.per_minute(score))
    found = both.tier_scores("visual")
    assert found["weak"] == 0
    assert found["moderate"] < found["strong"]
    for tier, score in found.items():
        if score:
            assert both.tier(score, "visual") == tier
            assert both.tier(score - 0.001, "visual") != tier


@pytest.mark.parametrize("minutes", [0.1, 1.0, 10.0])
def test_the_share_of_genuine_files_that_count_as_forged_does_not_rise_with_their_length(minutes: float) -> None:
    rates, rng = GenuineRates(audio=measured(300)), np.random.default_rng(2)
    files = [max(scores_of(1.0, minutes, rng), default=0.0) for _ in range(1000)]
    verdicts = [Verdict("maximum", s, 0.5, genuine_chance=rates.chance(s, Minutes(audio=minutes))) for s in files]
    assert np.mean([verdict.is_fake for verdict in verdicts]) <= MOST_GENUINE + 0.015


def test_a_file_of_which_nothing_measured_was_judged_has_no_chance() -> None:
    rates = GenuineRates(audio=measured(100))
    assert rates.chance(0.9, Minutes()) is None
    assert rates.chance(0.9, Minutes(visual=1, audio=1)) is None
    short, long = (rates.chance(0.9, Minutes(audio=minutes)) for minutes in (0.1, 10))
    assert 0 < short < long < 1


# -- the probability of a file ----------------------------------------------------------------------------------------


def spans_of(n: int, seed: int = 3) -> tuple[float, ...]:
    """Scores of forged spans whose logits are logistic around 2."""
    return tuple(float(1 / (1 + math.exp(-x))) for x in np.random.default_rng(seed).logistic(2.0, 0.8, n))


RATES = GenuineRates(audio=measured(600), forged=spans_of(300))


@pytest.mark.parametrize("prior", [0.5, 0.1])
@pytest.mark.parametrize("minutes", [0.2, 2.0])
def test_of_files_with_a_probability_that_share_is_forged(minutes: float, prior: float) -> None:
    rng, told, labels = np.random.default_rng(4), [], []
    for is_forged in rng.random(2000) < prior:
        score = max(scores_of(1.0, minutes, rng), default=0.0)
        score = max(score, spans_of(1, int(rng.integers(1 << 30)))[0]) if is_forged else score
        told.append(RATES.probability(score, Minutes(audio=minutes), prior))
        labels.append(is_forged)
    probabilities, forged_ones = np.array(told), np.array(labels)
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.0)):
        chosen = (low <= probabilities) & (probabilities < high)
        if chosen.sum() >= 100:
            assert forged_ones[chosen].mean() == pytest.approx(probabilities[chosen].mean(), abs=0.12)


def test_a_probability_rises_with_the_score_and_falls_with_the_length() -> None:
    scores = [0.0, 0.2, 0.5, 0.8, 0.9, 0.97, 0.999, 1.0]
    table = [[RATES.probability(s, Minutes(audio=m), 0.5) for s in scores] for m in (0.1, 1, 10)]
    for row in table:
        assert all(a <= b for a, b in pairwise(row))
    for short, long in pairwise(table):
        assert long[4] < short[4]
    assert table[0][0] < 0.2
    assert table[0][-1] > 0.9
    assert RATES.probability(0.9, Minutes(audio=1), 0.01) < 0.1 < RATES.probability(0.9, Minutes(audio=1), 0.5)


@pytest.mark.parametrize("minutes", [0.05, 0.5, 5.0])
def test_no_file_counts_as_forged_without_a_segment(minutes: float) -> None:
    for score in np.linspace(0, 0.79, 40):
        assert not plain_verdict(float(score), 0.8, RATES, Minutes(audio=minutes), 0.5).is_fake
    assert plain_verdict(0.999, 0.8, RATES, Minutes(audio=0.5), 0.5).is_fake
    assert not plain_verdict(0.999, 0.8, RATES, Minutes(audio=0.5), 0.001).is_fake


def test_too_little_that_was_measured_gives_no_probability() -> None:
    few = dataclasses.replace(RATES, forged=RATES.forged[:19])
    silent = dataclasses.replace(RATES, audio=FalseSegments(600, (0.9,) * 19))
    for rates in (few, silent, GenuineRates(forged=RATES.forged)):
        assert rates.probability(0.9, Minutes(audio=1), 0.5) is None
    assert RATES.probability(0.9, Minutes(visual=1, audio=1), 0.5) is None


def test_a_scan_tells_a_probability_for_the_prior_that_is_asked_for(tiny_path, voice) -> None:
    localizer = load_model(tiny_path, "cpu")
    with pytest.raises(UsageError, match="prior: expected a model that gives a probability"):
        localizer.scan(voice, prior=0.1)
    localizer.post = dataclasses.replace(localizer.post, rates=RATES)
    even, rare = localizer.scan(voice), localizer.scan(voice, prior=0.01)
    assert (even.verdict.prior, rare.verdict.prior, rare.evidence.options.prior) == (0.5, 0.01, 0.01)
    odds = [v.probability / (1 - v.probability) for v in (even.verdict, rare.verdict)]
    assert odds[1] == pytest.approx(odds[0] / 99, rel=0.3)
    assert rare.verdict.genuine_chance == even.verdict.genuine_chance
    assert "if 1 of 100 such files are" in whole(rare)
    for prior in (0.0, 1.0, math.nan):
        with pytest.raises(UsageError, match="a share above 0 and below 1"):
            localizer.scan(voice, prior=prior)


def test_the_probability_of_a_head_is_corrected_for_a_prior(tiny_path, voice) -> None:
    plain = load_checkpoint(tiny_path)
    head = dataclasses.replace(head_of(plain), notes={"validation": {"clips": 10, "fake": 5}})
    localizer = Localizer(dataclasses.replace(plain, head=head), "cpu")
    before, same, rare = (localizer.scan(voice, prior=prior).verdict for prior in (None, 0.5, 0.01))
    assert same.probability == before.probability
    assert 99 * rare.probability / (1 - rare.probability) == pytest.approx(
        before.probability / (1 - before.probability), rel=0.3
    )
    unknown = Localizer(dataclasses.replace(plain, head=dataclasses.replace(head, notes={})), "cpu")
    with pytest.raises(UsageError, match="prior"):
        unknown.scan(voice, prior=0.1)


@pytest.mark.parametrize(
    "record",
    [
        {"minutes": 0.0, "scores": [0.5]},
        {"minutes": math.nan, "scores": [0.5]},
        {"minutes": math.inf, "scores": [0.5]},
        {"minutes": 3.0, "scores": [0.5, 0.6]},
        {"minutes": 3.0, "scores": [1.5, 0.6]},
        {"minutes": 3.0, "scores": [math.nan, 0.6]},
        {"minutes": 3.0, "scores": [0.5] * 10_001},
        {"minutes": 3.0, "scores": "many"},
        {"minutes": 3.0, "scores": [0.5], "more": 1},
    ],
)
def test_a_table_that_cannot_be_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        from_mapping(PostConfig, {"rates": {"audio": record}})


def test_rates_are_kept_in_a_model_file_and_checked_when_it_is_read(call, tiny_path, tmp_path) -> None:
    plain, path = load_checkpoint(tiny_path), tmp_path / "rated.safetensors"
    post = dataclasses.replace(plain.post, rates=GenuineRates(measured(100), measured(50)))
    save_checkpoint(path, plain.network, name="rated", model=plain.model, post=post)
    assert load_checkpoint(path).post == post
    code, out, _ = call("info", path, "--json")
    told = json.loads(out)["post"]["rates"]
    assert (code, told["visual"]["minutes"], told["audio"]["minutes"]) == (0, 100, 50)
    low, high = told["audio"]["at_threshold"]["per_minute_95"]
    assert low < told["audio"]["at_threshold"]["per_minute"] < high
    assert told["audio"]["tiers_from"]["strong"] is None  # 50 minutes do not tell of an hour
    damaged = path.read_bytes().replace(rb"\"minutes\": 100", rb"\"minutes\": -10")
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=r"rates\.minutes"):
        load_checkpoint(path)
    assert "rates" not in to_mapping(plain.post)


def test_a_scan_grades_its_segments_and_its_file(tiny_path, voice) -> None:
    localizer = load_model(tiny_path, "cpu")
    before = localizer.scan(voice, threshold=0.0)
    localizer.post = dataclasses.replace(localizer.post, rates=GenuineRates(audio=measured(50)))
    after = localizer.scan(voice, threshold=0.0)
    assert [(s.start_s, s.score) for s in after.segments] == [(s.start_s, s.score) for s in before.segments]
    assert {s.tier for s in before.segments} == {None}
    for segment in after.segments:
        assert segment.tier == localizer.post.rates.tier(segment.score, "audio")
        assert segment.genuine_per_hour == pytest.approx(60 * measured(50).per_minute(segment.score), abs=0.01)
    judged_min = after.judged_share.sound * after.duration_s / 60
    chance = -math.expm1(-judged_min * measured(50).per_minute(after.score))
    assert after.verdict.genuine_chance == pytest.approx(chance, abs=1e-3)


GRADED = forged(
    score=0.93,
    segments=(Segment(1.2, 1.9, 0.93, "audio", tier="moderate", genuine_per_hour=4.0),),
    verdict=Verdict("maximum", 0.93, 0.5, genuine_chance=0.12),
)


def test_all_reports_say_the_tier_and_the_chance(tmp_path) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=200, color_system=None)
    console.print(render(GRADED))
    text, page, (row,) = stream.getvalue(), render_html(GRADED), table_rows(GRADED)
    for shown in (text, page):
        assert "moderate (once in 15 min)" in shown
        assert "12 of 100 genuine files with as much to judge reach its score of 0.93" in shown
        assert agreement(GRADED) in shown
    assert "strong once in an hour" in page
    assert (row["tier"], row["genuine_per_hour"], row["verdict_genuine_chance"]) == ("moderate", 4.0, 0.12)
    path = tmp_path / "scan.json"
    path.write_text(json.dumps(GRADED.to_dict()))
    assert read_json(path) == GRADED
    assert "Evidence" not in render_html(forged())


def test_a_segment_in_a_file_that_does_not_count_as_forged_is_explained() -> None:
    assert not GRADED.verdict.is_fake
    assert "one that genuine files of this length may reach" in agreement(GRADED)
    rare = dataclasses.replace(GRADED.verdict, genuine_chance=0.01)
    assert not agreement(dataclasses.replace(GRADED, verdict=rare))
    unlikely = dataclasses.replace(rare, probability=0.2, prior=0.01)
    assert "if so few such files are forged" in agreement(dataclasses.replace(GRADED, verdict=unlikely))
    rounded = dataclasses.replace(unlikely, genuine_chance=0.0)
    assert "if so few such files are forged" in agreement(dataclasses.replace(GRADED, verdict=rounded))
