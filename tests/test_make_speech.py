"""The program that makes a corpus of genuine speech: what it reads, cuts, drops and writes, on packages made here."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.errors import DataError, MediaError
from fakespan.media.decode import read_sound
from programs import load_program

RATE = 16_000
TEXT = "the prime minister was wrong about the weather, and so was everybody who had listened to him. "
WORDS = ("bird", "house", "seven", "tree", "yellow", "car", "window")


def _load(name: str) -> Any:
    return load_program("examples/speech", name)


@pytest.fixture(scope="module")
def sound_of() -> Any:
    return _load("speech_sound")


def _speak(path: Path, text: str, voice: str = "slt") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)


def _encode(path: Path, sound: np.ndarray, codec: str, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    headless = {".g722": "g722", ".ALS": "u8"}
    with av.open(str(path), "w", format=headless.get(path.suffix)) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
        for one in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(one))


def _noise(seconds: float, low_hz: float, high_hz: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    n = int(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / rate)
    sound = np.fft.irfft(np.where((hz >= low_hz) & (hz <= high_hz), spectrum, 0), n)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


# -- a corpus of a package made here


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A .deb in a cache, as apt would leave it, and what the program knows of it."""
    root = tmp_path_factory.mktemp("package")
    sounds = root / "tree" / "usr" / "share" / "sounds"
    _speak(sounds / "ann" / "long.wav", 4 * TEXT)
    _speak(sounds / "bob" / "short.wav", TEXT, "rms")
    for word in WORDS:
        _speak(sounds / "ann" / f"word_{word}.wav", word)
    _encode(sounds / "bob" / "again.opus", 0.5 * read_sound(sounds / "ann" / "long.wav", 48_000), "libopus", 48_000)
    _encode(sounds / "bob" / "wind.wav", 0.1 * _noise(3, 100, 3000), "pcm_s16le")
    (sounds / "bob" / "broken.wav").write_bytes(b"RIFF and then nothing")
    (sounds / "bob" / "readme.txt").write_text("no sound")
    (root / "tree" / "DEBIAN").mkdir()
    control = "Package: spoken\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: nobody\nDescription: none\n"
    (root / "tree" / "DEBIAN" / "control").write_text(control)
    deb = root / "spoken_1%3a2.0-1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root / "tree"), str(deb)], check=True)
    voices = _load("speech_packages")
    known = voices.Package(
        "spoken", "CC0-1.0", r"/sounds/.*\.(wav|opus)$", lambda path: voices.Voice(path.parts[-2], "en", "f")
    )
    return known, deb


def _corpus(package: Any, out: Path) -> list[Any]:
    known, deb = package
    (out / "cache").mkdir(parents=True, exist_ok=True)
    (out / "cache" / deb.name).write_bytes(deb.read_bytes())
    return _load("fetch").make_corpus(out, (known,))


def _lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "index.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def corpus(package: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    out = tmp_path_factory.mktemp("corpus")
    return out, _corpus(package, out)


@pytest.mark.slow
def test_every_utterance_is_a_mono_flac_of_1_to_12_s_at_16_khz(corpus: Any) -> None:
    out, _ = corpus
    lines = _lines(out)
    assert sorted(line["path"] for line in lines) == sorted(p.relative_to(out).as_posix() for p in out.rglob("*.flac"))
    for line in lines:
        with av.open(str(out / line["path"])) as file:
            stream = file.streams.audio[0]
            assert (stream.codec_context.name, stream.rate, stream.layout.name) == ("flac", RATE, "mono")
        sound = read_sound(out / line["path"])
        assert len(sound) / RATE == pytest.approx(line["seconds"], abs=1e-3)
        assert 1 <= line["seconds"] <= 12
        assert 20 * np.log10(np.std(sound)) == pytest.approx(line["rms_db"], abs=0.2)


@pytest.mark.slow
def test_copies_noise_and_broken_files_are_counted_and_left_out(corpus: Any) -> None:
    out, (part,) = corpus
    assert part["version"] == "1:2.0-1"
    assert part["counts"] == {"files": 12, "unreadable": 1, "without_speech": 1, "copies": 1}
    said_by = Counter(line["speaker"] for line in _lines(out))
    assert set(said_by) == {"ann", "bob"}
    facts = {(line["package"], line["language"], line["sex"], line["licence"]) for line in _lines(out)}
    assert facts == {("spoken", "en", "f", "CC0-1.0")}


@pytest.mark.slow
def test_an_utterance_holds_the_speech_of_its_source_from_its_start_on(package: Any, corpus: Any) -> None:
    out, tree = corpus[0], package[1].parent / "tree"
    whole_s = Counter[str]()
    for line in _lines(out):
        if line["seams_s"]:
            continue
        start = round(line["start_s"] * RATE)
        found, source = read_sound(out / line["path"]), read_sound(tree / line["source"])
        assert found == pytest.approx(source[start : start + len(found)], abs=1e-3)
        whole_s[PurePosixPath(line["source"]).name] += line["seconds"]
    for name, seconds in whole_s.items():
        (source,) = tree.rglob(name)
        assert seconds > 0.85 * len(read_sound(source)) / RATE


@pytest.mark.slow
def test_single_words_are_joined_and_their_seams_told(corpus: Any) -> None:
    joined = [line for line in _lines(corpus[0]) if line["seams_s"]]
    assert joined
    for line in joined:
        assert PurePosixPath(line["source"]).name.startswith("word_")
        assert 0 < min(line["seams_s"]) <= max(line["seams_s"]) < line["seconds"]
        sound = read_sound(corpus[0] / line["path"])
        for seam_s in line["seams_s"]:
            assert abs(sound[round(seam_s * RATE)]) < 0.01  # faded: no click


@pytest.mark.slow
def test_a_second_run_makes_what_lacks_and_nothing_else(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _corpus(package, tmp_path)
    before = (tmp_path / "index.jsonl").read_bytes()
    files = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*.flac")}
    with monkeypatch.context() as untouched:
        untouched.setattr(_load("fetch"), "unpack", None)
        _corpus(package, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in files} == {path: time for path, (time, _) in files.items()}

    lost = sorted(files)[1]
    lost.unlink()
    _corpus(package, tmp_path)
    made = {path: path.read_bytes() for path in tmp_path.rglob("*.flac")}
    assert made == {path: whole for path, (_, whole) in files.items()}
    assert (tmp_path / "index.jsonl").read_bytes() == before
    assert not list((tmp_path / "cache").glob("tree*"))


def test_a_package_that_cannot_be_had_is_said_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _load("fetch").main(["--out", str(tmp_path / "out"), "--only", "klettres-data", "gcin-voice"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in said] == ["klettres-data", "gcin-voice"] or len(said) == 2
    assert all("skipped" in line for line in said)
    assert not list(tmp_path.rglob("*.flac"))


def test_an_unknown_package_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _load("fetch").main(["--out", str(tmp_path), "--only", "nothing-of-the-kind"])
    assert "nothing-of-the-kind" in capsys.readouterr().err


# -- reading and measuring


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.g722", "g722", 16_000),
        ("a.ALS", "pcm_u8", 11_025),
        ("a.opus", "libopus", 48_000),
        ("a.wav", "pcm_s16le", 44_100),
    ],
)
def test_every_kind_of_file_is_read(sound_of: Any, tmp_path: Path, name: str, codec: str, rate: int) -> None:
    time_s = np.arange(2 * rate) / rate
    _encode(tmp_path / name, 0.4 * np.sin(2 * np.pi * 440 * time_s), codec, rate)
    found = sound_of.read(tmp_path / name)
    assert found.rate == rate
    assert found.seconds == pytest.approx(2, abs=0.05)
    spectrum = np.abs(np.fft.rfft(found.sound[4000:20_000]))
    assert spectrum.argmax() == pytest.approx(440, abs=1)


def test_headless_gsm_is_read(sound_of: Any, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (100, 33), np.uint8)  # of 20 ms
    frames[:, 0] = 0xD0 | frames[:, 0] & 0x0F
    (tmp_path / "a.gsm").write_bytes(frames.tobytes())
    found = sound_of.read(tmp_path / "a.gsm")
    assert (found.rate, found.seconds) == (8000, pytest.approx(2, abs=0.05))
    assert found.sound.std() > 0


def test_tags_of_another_encoding_are_no_trouble(sound_of: Any, tmp_path: Path) -> None:
    _encode(tmp_path / "a.wav", _noise(1, 0, 4000), "pcm_s16le")
    body = (tmp_path / "a.wav").read_bytes()[8:]
    body += b"LIST" + (16).to_bytes(4, "little") + b"INFOINAM" + (4).to_bytes(4, "little") + b"\xca\xe5\xf4\0"
    (tmp_path / "b.wav").write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    with pytest.raises(UnicodeDecodeError):
        av.open(str(tmp_path / "b.wav"))
    assert sound_of.read(tmp_path / "b.wav").seconds == pytest.approx(1)


def test_what_is_no_sound_is_refused(sound_of: Any, tmp_path: Path) -> None:
    (tmp_path / "a.ogg").write_bytes(b"nothing")
    with pytest.raises(MediaError, match="skipped"):
        sound_of.read(tmp_path / "a.ogg")


@pytest.mark.parametrize(("high_hz", "rate"), [(3400, 16_000), (5500, 22_050), (10_000, 44_100), (3400, 8_000)])
def test_the_bandwidth_is_where_the_spectrum_drops(sound_of: Any, high_hz: float, rate: int) -> None:
    sound = _noise(2, 0, high_hz, rate)
    assert sound_of.bandwidth_hz(sound, rate) == pytest.approx(high_hz, abs=100 + 0.005 * rate)
    assert sound_of.bandwidth_hz(0.01 * sound, rate) == pytest.approx(high_hz, abs=100 + 0.005 * rate)
    assert sound_of.bandwidth_hz(_noise(2, 0, rate / 2, rate), rate) == pytest.approx(rate / 2, abs=150)


def test_a_fingerprint_finds_copies_and_nothing_else(sound_of: Any, tmp_path: Path) -> None:
    prints = []
    for seed, text in enumerate((TEXT, " ".join(WORDS), TEXT[::-1], TEXT.replace("wrong", "right"))):
        _speak(tmp_path / f"{seed}.wav", text)
        prints.append(sound_of.fingerprint(read_sound(tmp_path / f"{seed}.wav")))
    for k, one in enumerate(prints):
        assert not sound_of.alike(one, prints[:k] + prints[k + 1 :])
        _encode(tmp_path / "copy.opus", 0.3 * read_sound(tmp_path / f"{k}.wav", 48_000), "libopus", 48_000)
        assert sound_of.alike(sound_of.fingerprint(read_sound(tmp_path / "copy.opus")), prints)
    assert not sound_of.alike(prints[0], [])


# -- cutting


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 20), st.floats(0.05, 3)), min_size=1, max_size=6))
def test_pieces_cover_all_speech_in_order_and_are_never_longer_than_12_s(lengths: list[tuple[float, float]]) -> None:
    utterances = _load("speech_utterances")
    spans, now_s = [], 0.0
    for spoken_s, pause_s in lengths:
        spans.append((now_s + pause_s, now_s + pause_s + spoken_s))
        now_s = spans[-1][1]
    sound = np.random.default_rng(0).standard_normal(round((now_s + 0.5) * RATE)).astype(np.float32)
    found = [(p.start_s, p.start_s + p.seconds) for p in utterances.pieces("a", sound, spans)]
    assert all(b - a <= 12 + 1e-3 for a, b in found)
    assert all(one[1] <= other[0] + 1e-3 for one, other in itertools.pairwise(found))
    for start_s, stop_s in spans:
        covered_s = sum(max(0.0, min(b, stop_s) - max(a, start_s)) for a, b in found)
        assert covered_s == pytest.approx(stop_s - start_s, abs=2e-3)


def test_what_is_too_long_is_cut_where_it_is_quiet() -> None:
    sound = _noise(18, 100, 4000)
    sound[int(8.0 * RATE) : int(8.2 * RATE)] *= 0.01
    one, other = _load("speech_utterances").pieces("a", sound, [(0.2, 17.8)])
    assert one.start_s + one.seconds == pytest.approx(other.start_s)
    assert 8.0 <= other.start_s <= 8.2


def test_joined_pieces_keep_their_order_and_a_rest_is_left_out() -> None:
    utterances = _load("speech_utterances")
    pieces = [utterances.Piece(str(k), 0.0, np.full(round(0.7 * RATE), 0.1 * k, np.float32)) for k in range(1, 7)]
    (one,) = utterances.join(pieces)
    assert [piece.source for piece in one.pieces] == ["1", "2", "3", "4", "5"]
    assert one.seams_s == pytest.approx((0.7, 1.4, 2.1, 2.8))
    middles = one.sound[(np.arange(5) * 0.7 * RATE + 0.35 * RATE).astype(int)]
    assert middles == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


# -- packages


@pytest.mark.parametrize(
    ("package", "path", "speaker", "language", "sex"),
    [
        ("fillets-ng-data-cs", "fillets-ng/sound/dump/cs/sm-m-x.ogg", "fillets-cs-small", "cs", "f"),
        ("fillets-ng-data-nl", "fillets-ng/sound/dump/nl/v-zes1.ogg", "fillets-nl-big", "nl", "m"),
        ("fillets-ng-data-nl", "fillets-ng/sound/share/border/nl/sp-shout_small_00.ogg", "fillets-nl-small", "nl", "f"),
        ("asterisk-core-sounds-es-g722", "sounds/es_MX_f_Allison/digits/1.g722", "asterisk-allison", "es", "f"),
        ("asterisk-prompt-es-co", "asterisk/sounds/es/digits/h-1.gsm", "asterisk-es-co", "es", ""),
        ("tuxpaint-stamps-default", "tuxpaint/stamps/a/dog_desc_fr.ogg", "tuxpaint-fr", "fr", ""),
        ("tuxpaint-stamps-default", "tuxpaint/stamps/a/dog_desc.ogg", "tuxpaint-en", "en", ""),
        ("ktuberling-data", "ktuberling/sounds/sr@latin/hat.wav", "ktuberling-sr@latin", "sr", ""),
        ("klettres-data", "klettres/pt_BR/alpha/a.ogg", "klettres-pt_BR", "pt", ""),
        ("hedgewars-data", "games/hedgewars/Data/Sounds/voices/Default_uk/Boom.ogg", "hedgewars-default_uk", "uk", ""),
        ("gcin-voice", "gcin-voice/ogg/x/5.ogg", "gcin-5", "zh", ""),
        ("drascula-spanish", "scummvm/drascula/es/BJ12.ALS", "drascula-es-bj", "es", ""),
        ("flight-of-the-amazon-queen", "s/queen.1c.d/020006J1.mp3", "amazonqueen-joe", "en", "m"),
        ("flight-of-the-amazon-queen", "s/queen.1c.d/020006P1.mp3", "amazonqueen-02", "en", ""),
        ("warzone2100-data", "games/warzone2100/base.wz.d/audio/tutorial/tut1.ogg", "warzone-tutorial", "en", ""),
    ],
)  # fmt: skip
def test_who_speaks_is_read_from_the_path(package: str, path: str, speaker: str, language: str, sex: str) -> None:
    (known,) = (one for one in _load("speech_packages").PACKAGES if one.name == package)
    assert re.search(known.files, f"/usr/share/{path}")
    voice = known.voice(PurePosixPath(f"/usr/share/{path}"))
    assert (voice.speaker, voice.language, voice.sex) == (speaker, language, sex)


@pytest.mark.parametrize(
    ("package", "path"),
    [
        ("hedgewars-data", "/usr/share/games/hedgewars/Data/Sounds/voices/Robot/Boom.ogg"),
        ("flight-of-the-amazon-queen", "/usr/share/s/queen.1c.d/1001SSSS.mp3"),
        ("tuxpaint-stamps-default", "/usr/share/tuxpaint/stamps/a/dog.ogg"),
        ("warzone2100-data", "/usr/share/games/warzone2100/base.wz.d/audio/sfx/boom.ogg"),
    ],
)
def test_what_no_person_says_is_not_looked_at(package: str, path: str) -> None:
    (known,) = (one for one in _load("speech_packages").PACKAGES if one.name == package)
    assert not re.search(known.files, path)


def test_sounds_are_taken_out_of_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "base.wz", "w") as archive:
        archive.writestr("audio/one.ogg", b"first")
        archive.writestr("text/one.txt", b"no sound")
    names, contents = (b"020006J1.SB", b"ROOM.PCX", b"JOE01261.SB"), (b"hello", b"picture", b"good morning")
    start, entries = 15 + 21 * len(names), b""
    for name, content in zip(names, contents, strict=True):
        entries += name.ljust(12, b"\0") + b"\1" + start.to_bytes(4, "big") + len(content).to_bytes(4, "big")
        start += len(content)
    head = b"QTBLCEM10\0\0\0\1" + len(names).to_bytes(2, "big")
    (tmp_path / "queen.1c").write_bytes(head + entries + b"".join(contents))
    _load("speech_archives").take_out(tmp_path)
    made = [path for folder in tmp_path.glob("*.d") for path in folder.rglob("*") if path.is_file()]
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in made}
    assert found == {
        "base.wz.d/audio/one.ogg": b"first",
        "queen.1c.d/020006J1.mp3": b"hello",
        "queen.1c.d/JOE01261.mp3": b"good morning",
    }


def test_an_archive_cannot_write_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with zipfile.ZipFile(tmp_path / "tree" / "base.wz", "w") as archive:
        archive.writestr("../../escaped.ogg", b"bad")
    with pytest.raises(DataError, match="outside"):
        _load("speech_archives").take_out(tmp_path / "tree")
    assert not (tmp_path / "escaped.ogg").exists()


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.wz").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"base\.wz.*skipped"):
        _load("speech_archives").take_out(tmp_path)
