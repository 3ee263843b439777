"""benchmarks/bench_onnx.py and onnx_int8.py: what they compare is the same model on the same forgeries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from clips import spoken, tone, write_clip
from fakespan.localizer import load_model
from programs import load_program

bench: Any = load_program("benchmarks", "bench_onnx")
int8: Any = load_program("benchmarks", "onnx_int8")
RATE = 16_000


def test_only_the_span_is_exchanged_and_as_loud_as_the_recording() -> None:
    rng = np.random.default_rng(3)
    real = (0.2 * rng.standard_normal(32_000)).astype(np.float32)
    mixed = int8.exchanged(real, 10 * real[::-1], 8_000, 16_000)
    assert np.array_equal(mixed[:8_001], real[:8_001])
    assert np.array_equal(mixed[16_000:], real[16_000:])
    np.testing.assert_allclose(mixed[8_160:15_841], real[::-1][8_160:15_841], rtol=1e-3)


def test_every_generated_sound_of_two_seconds_is_forged_once_where_it_says(tmp_path: Path) -> None:
    lengths = {"long": 3, "short": 1}
    lines = []
    for name, seconds in lengths.items():
        (tmp_path / name).mkdir()
        for system in ("real", "vocoder"):
            write_clip(tmp_path / name / f"{system}.flac", sound=tone(seconds, RATE, 500 if system == "real" else 900),
                       sound_rate=RATE, audio_codec="flac")  # fmt: skip
            lines.append({"path": f"{name}/{system}.flac", "kind": "copysyn", "system": system})
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ((sound, (start_s, end_s)),) = int8.forged_sounds(tmp_path)
    assert len(sound) == 3 * RATE
    inside = sound[int(start_s * RATE) + 200 : int(end_s * RATE) - 200]
    assert abs(loudest_hz(inside) - 900) < 10
    assert abs(loudest_hz(sound[: int(start_s * RATE)]) - 500) < 10


def test_a_quantised_file_is_the_same_model_and_smaller(tmp_path: Path) -> None:
    usual, (name, path) = int8.SHIPPED, next(iter(k for k in int8.kinds(tmp_path).items() if "int8" in k[0]))
    assert "MatMul" in name
    assert path.stat().st_size < usual.stat().st_size
    sound = spoken(2.0)[0]
    (float_spans,), (float_map,) = int8.sound_proposals(load_model(usual), [sound])
    (spans,), (score,) = int8.sound_proposals(load_model(path), [sound])
    assert 0 < np.abs(score - float_map).max() < 0.1
    assert spans.shape[1] == float_spans.shape[1] == 3


def test_ap_of_what_is_found() -> None:
    spans = [[(1.0, 2.0)], [(3.0, 4.0)]]
    right = [np.array([[0.9, 1.0, 2.0]]), np.array([[0.8, 3.0, 4.0]])]
    late = [right[0], np.array([[0.8, 3.4, 4.0]])]
    assert int8.ap(right, spans) == {0.5: 50.0, 0.75: 50.0}  # a perfect result with n labels gets 1 - 1/n
    assert int8.ap(late, spans) == {0.5: 50.0, 0.75: 0.0}


def test_a_measurement_tells_the_network_from_the_whole_scan(tiny_path: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", sound=spoken(1.5), sound_rate=RATE)
    found = bench.measure(tiny_path, [clip], n_scans=1)
    assert 0 < found["network_ms"] < found["scan_ms"]
    other = {key: 3 * value for key, value in found.items()}
    assert bench.row("x", [found, other, found]) == bench.row("x", [found])


def loudest_hz(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * RATE / len(sound))
