"""The zoo of small neural vocoders and codecs: what each makes, where it lies in time, and what is written of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fakespan.errors import CheckpointError, DataError, UsageError
from fakespan.media.decode import read_sound
from programs import load_program

RATE = 16_000
TINY: dict[str, dict[str, Any]] = {
    "hifi": {"width": 16},
    "subband": {"width": 16},
    "istft": {"width": 16, "n_blocks": 2},
    "codec": {"width": 32, "n_codebooks": 3, "n_codes": 16},
    "flow": {"width": 16, "n_blocks": 2},
    "nsf": {"width": 16, "n_blocks": 1, "channels": 8},
}


def program(name: str) -> Any:
    return load_program("examples/zoo", name)


def speech(seconds: float, pitch_hz: float, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Harmonics in syllables, and a little noise."""
    t = np.arange(int(seconds * RATE)) / RATE
    harmonics = sum(np.cos(2 * np.pi * k * pitch_hz * t + k) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0.02, 1)
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.1 * syllables * (harmonics + 0.05 * noise)).astype(np.float32)


def burst(at_sample: int, n_samples: int) -> torch.Tensor:
    sound = torch.full((1, n_samples), 0.0)
    sound[0, at_sample - 80 : at_sample + 80] = 0.3 * torch.hann_window(160) * torch.randn(160)
    return sound


def lag_of(sound: np.ndarray[Any, Any], copy: np.ndarray[Any, Any]) -> int:
    """Samples by which the copy comes later, by cross-correlation."""
    n = 2 * len(sound)
    peaks = np.fft.irfft(np.fft.rfft(copy, n) * np.conj(np.fft.rfft(sound, n)), n)
    lag = int(np.argmax(peaks))
    return lag if lag < len(sound) else lag - n


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six short utterances of three speakers, with an index."""
    write = program("utterances").write_flac
    folder = tmp_path / "speech"
    lines = []
    for number in range(6):
        write(folder / f"{number}.flac", speech(1.2 + 0.1 * number, 100 + 30 * number, number))
        entry = {"path": f"{number}.flac", "speaker": f"s{number % 3}", "seconds": 1.2 + 0.1 * number, "bw_hz": 8000}
        lines.append(json.dumps(entry))
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", TINY)
def test_every_kind_copies_as_many_samples_as_it_hears_and_learns_from_them(kind: str) -> None:
    torch.manual_seed(0)
    net = program("kinds").build(kind, TINY[kind])
    sound = torch.from_numpy(speech(0.8, 120, 1)[: 12_800 // net.hop * net.hop])[None]
    made = net(sound)
    assert made.sound.shape == sound.shape
    assert made.sound.isfinite().all()
    (made.sound.square().mean() + sum(made.penalties.values())).backward()
    dumb = [name for name, one in net.named_parameters() if one.grad is None]
    assert dumb == []


@pytest.mark.parametrize("kind", TINY)
def test_what_a_kind_makes_of_a_burst_lies_where_the_burst_was(kind: str) -> None:
    torch.manual_seed(3)
    net = program("kinds").build(kind, TINY[kind])
    n_samples, at = 12_800, 6_000
    sound = burst(at, n_samples)
    with torch.inference_mode():
        net(torch.from_numpy(speech(0.8, 120, 1))[None])  # gives codebooks their codes
        net.eval()
        torch.manual_seed(1)
        silence = net(torch.zeros(1, n_samples)).sound[0]
        torch.manual_seed(1)
        heard = net(sound).sound[0]
    energy = (heard - silence).square().double()
    middle = float((energy * torch.arange(n_samples)).sum() / energy.sum())
    assert abs(middle - at) < 800  # its reach is many times that
    assert energy[:1_500].sum() + energy[-1_500:].sum() < 0.05 * energy.sum()


def test_a_vocoder_that_has_learnt_a_sound_copies_it_without_delay() -> None:
    torch.manual_seed(0)
    train, copysyn = program("train"), program("copysyn")
    trainer = train.Trainer(train.Plan("istft", {"width": 48, "n_blocks": 2}, n_steps=60, adversarial=False, rate=4e-3))
    sound = speech(0.64, 200, 5)
    for _ in range(60):
        trainer.learn(torch.from_numpy(sound)[None])
    system = copysyn.System("x", "istft", "gan", trainer.net.eval())
    copy = copysyn.copy_of(system, sound)
    loud = np.abs(sound), np.abs(copy)
    smooth = [np.convolve(one, np.hanning(400), "same") for one in loud]
    assert abs(lag_of(smooth[0] - smooth[0].mean(), smooth[1] - smooth[1].mean())) <= 16


@pytest.mark.parametrize("clock_hz", [16_000, 22_000, 13_000])
def test_copying_neither_delays_nor_cuts_whatever_the_clock(clock_hz: int) -> None:
    copysyn = program("copysyn")
    sound = speech(0.777, 140, 2)
    sound[12_000:] = 0
    same = torch.nn.Module()
    same.hop = 160
    same.forward = lambda x: SimpleNamespace(sound=x)
    copy = copysyn.copy_of(copysyn.System("x", "x", "x", same, clock_hz=clock_hz), sound)
    assert copy.shape == sound.shape
    assert lag_of(sound, copy) == 0
    assert np.mean((copy - sound) ** 2) < 1e-2 * np.mean(sound**2)


def test_sub_bands_become_the_sound_again() -> None:
    for n_bands in (2, 4, 8):
        bank = program("pqmf").PQMF(n_bands, n_taps=62 if n_bands < 8 else 126)
        sound = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))
        bands = bank.analysis(sound)
        assert bands.shape == (2, n_bands, 8_000 // n_bands)
        error = (bank.synthesis(bands) - sound)[:, 200:-200]
        assert error.square().mean() < 1e-4 * sound.square().mean()


def test_a_sub_band_holds_its_own_share_of_the_spectrum() -> None:
    tone = torch.cos(2 * torch.pi * 5_000 * torch.arange(8_000) / RATE)[None]
    energy = program("pqmf").PQMF(4).analysis(tone)[0, :, 100:-100].square().mean(1)
    assert energy.argmax() == 2  # 4 to 6 kHz
    assert energy[2] > 0.99 * energy.sum()


def test_the_quantiser_uses_its_codes_and_more_codebooks_say_more() -> None:
    torch.manual_seed(0)
    quantiser = program("quantiser").ResidualQuantiser(8, 3, 16, inner=8)
    features = torch.randn(4, 8, 50)
    for _ in range(40):
        quantiser(features, 3)
    quantiser.eval()
    _, _, indices = quantiser(features)
    assert indices.shape == (4, 3, 50)
    assert all(len(indices[:, book].unique()) >= 12 for book in range(3))
    losses = [float(quantiser(features, n_used)[1].detach()) for n_used in (1, 2, 3)]
    assert losses[0] > losses[1] > losses[2]
    assert quantiser(features, 2)[2].shape[1] == 2


def test_the_quantiser_lets_gradients_through() -> None:
    quantiser = program("quantiser").ResidualQuantiser(8, 2, 16)
    features = torch.randn(1, 8, 30, requires_grad=True)
    quantiser(features)[0].sum().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() > 0


@pytest.mark.parametrize("hertz", [90.0, 150.0, 310.0])
def test_the_pitch_of_voices_is_found_and_noise_has_none(hertz: float) -> None:
    pitch = program("nsf").pitch
    t = torch.arange(RATE) / RATE
    voice = sum(torch.cos(2 * torch.pi * hertz * k * t) / k for k in range(1, 10))
    found = pitch(0.1 * voice[None], 160)
    assert found.shape == (1, 101)
    assert (found[0, 5:-5] - hertz).abs().max() < 0.02 * hertz
    noise = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    assert (pitch(0.1 * noise, 160) > 0).float().mean() < 0.1


def test_the_spectral_distance_is_that_of_the_levels() -> None:
    distance = program("spectra").log_spectral_distance_db
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    assert distance(noise, noise) == 0
    assert distance(noise, 2 * noise) == pytest.approx(6.02, abs=0.05)
    assert distance(torch.zeros(4_000), torch.zeros(4_000)) == 0


def test_speakers_take_turns_and_nobody_is_left_out(corpus: Path) -> None:
    utterances = program("utterances")
    found = utterances.find_utterances(corpus)
    order = utterances.mixed(found, seed=4)
    assert sorted(one.path for one in order) == sorted(one.path for one in found)
    assert [{one.speaker for one in order[i : i + 3]} for i in (0, 3)] == [{"s0", "s1", "s2"}] * 2
    assert order == utterances.mixed(found[::-1], seed=4)
    assert any(order != utterances.mixed(found, seed) for seed in range(5))


def test_a_folder_without_an_index_is_speech_too(corpus: Path) -> None:
    (corpus / "index.jsonl").unlink()
    assert len(program("utterances").find_utterances(corpus.parent)) == 6


def test_narrow_speech_can_be_left_out(corpus: Path) -> None:
    lines = [json.loads(line) for line in (corpus / "index.jsonl").read_text(encoding="utf-8").splitlines()]
    lines[0]["bw_hz"] = 3_400
    (corpus / "index.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert len(program("utterances").find_utterances(corpus, min_bw_hz=3_800)) == 5


def test_what_is_no_speech_is_said_in_one_line(corpus: Path, tmp_path: Path) -> None:
    utterances = program("utterances")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: expected an index\.jsonl"):
        utterances.find_utterances(tmp_path / "empty")
    with (corpus / "index.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"path": "6.flac"}\n')
    with pytest.raises(DataError, match=r"index\.jsonl:7: expected an object"):
        utterances.find_utterances(corpus)


def test_training_goes_on_where_it_was(corpus: Path, tmp_path: Path) -> None:
    train, utterances = program("train"), program("utterances")
    segments = utterances.Segments(utterances.find_utterances(corpus), 1.0, 1)
    out = tmp_path / "hifi"
    short = {"minutes": 1e6, "n_batch": 2, "n_samples": 7_000, "alone": 0.5}
    train.train(train.Plan("hifi", TINY["hifi"], n_steps=2, **short), segments, out, "hifi")
    train.train(train.Plan("hifi", TINY["hifi"], n_steps=4, **short), segments, out, "hifi")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["step"] for entry in log] == [2, 4]
    assert "fooling" in log[-1]
    assert {"config.json", "early.safetensors", "model.safetensors"} <= {path.name for path in out.iterdir()}
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["family"] == "gan"


def test_twins_are_as_long_and_as_loud_as_what_they_copy(corpus: Path, tmp_path: Path) -> None:
    copysyn, utterances = program("copysyn"), program("utterances")
    torch.manual_seed(0)
    net = program("kinds").build("istft", TINY["istft"]).eval()
    system, out = copysyn.System("istft-x", "istft", "gan", net), tmp_path / "twins"
    copysyn.copy_speech(system, utterances.find_utterances(corpus), out, minutes=0.07)
    entries = [json.loads(line) for line in (out / "index.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(entry["seconds"] for entry in entries) >= 0.07 * 60
    assert (out / "DONE").exists()
    for entry in entries:
        real, twin = read_sound(entry["real"]), read_sound(out / entry["twin"])
        assert len(real) == len(twin) == round(entry["seconds"] * RATE)
        assert np.std(twin) == pytest.approx(np.std(real), rel=0.1)
        assert (entry["system"], entry["kind"], entry["family"]) == ("istft-x", "istft", "gan")
        assert entry["lsd_db"] > 0
    before = (out / "index.jsonl").stat().st_mtime_ns
    copysyn.copy_speech(system, [], out, minutes=5)
    assert (out / "index.jsonl").stat().st_mtime_ns == before


def test_what_quantises_is_of_the_codecs_family() -> None:
    kinds = program("kinds")
    families = {name: kinds.family_of(preset.kind, preset.settings) for name, preset in kinds.PRESETS.items()}
    assert {name for name, family in families.items() if family == "codec"} == {
        *("codec", "codec-nearest", "codec-large", "spectral-codec"),
    }
    assert list(families.values()).count("gan") >= 6


def test_every_preset_can_be_built_and_all_its_variants_be_called() -> None:
    kinds, zoo = program("kinds"), program("make_zoo")
    names = [name + way.suffix for name in kinds.PRESETS for way in zoo.variants(name)]
    assert len(names) == len(set(names))
    for name, preset in kinds.PRESETS.items():
        net = kinds.build(preset.kind, preset.settings).eval()
        with torch.inference_mode():
            for way in zoo.variants(name):
                assert net(torch.zeros(1, 8 * net.hop), **way.options).sound.shape == (1, 8 * net.hop)


def test_what_is_not_there_is_said_in_one_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = program("kinds")
    with pytest.raises(UsageError, match="KIND: expected one of hifi"):
        kinds.find_preset("wavenet")
    with pytest.raises(CheckpointError, match="settings: expected"):
        kinds.build("hifi", {"depth": 3})
    asked = ["--model", str(tmp_path), "--speech", str(corpus), "--out", str(tmp_path / "out")]
    assert program("copysyn").main(asked) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "config.json" in said
    assert not (tmp_path / "out").exists()
