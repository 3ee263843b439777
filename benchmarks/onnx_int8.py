"""What 8-bit weights cost: AP of the float and of the quantised ONNX file on the same partial forgeries.

python benchmarks/onnx_int8.py CLIPS [MODEL.onnx]      CLIPS: a folder of pairs, see examples/pairs/sounds.py

Sound: of every pair of `neural_voice/` (a recording, and the same from a neural vocoder or codec), a stretch of 0.3 to
1.2 s of the recording is exchanged for the generated one. Picture: the clips of `neural_lips/` with known spans, whose
mouths are scanned without sound. The shipped model was trained on both, so only the differences mean anything.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import QuantType, quantize_dynamic

import fakespan
from fakespan.arrays import Float32Array, Float64Array
from fakespan.boundary_map import decode, to_seconds
from fakespan.localizer import Localizer, load_model
from fakespan.media.decode import read_sound
from fakespan.segments import soft_nms

RATE = 16_000
SHIPPED = Path(fakespan.__file__).parent / "weights" / "small.onnx"
INT8 = {"int8 MatMul": ["MatMul", "Gemm"], "int8 MatMul, Conv": ["MatMul", "Gemm", "Conv"]}
"""Names of the quantised models, and the operators of each that have 8-bit weights."""

Sound = tuple[Float32Array, tuple[float, float]]
"""16 kHz, and its forged span in seconds."""
Video = tuple[Path, list[tuple[float, float]]]


def main() -> None:
    clips, model = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else SHIPPED
    sounds, lips = list(forged_sounds(clips / "neural_voice")), list(forged_lips(clips / "neural_lips"))
    print(f"{len(sounds)} forged sounds, {len(lips)} forged videos; AP in percent; change: of any score of a sound")
    print(f"{'weights':20} {'size':>8} {'sound 0.5':>10} {'0.75':>6} {'picture 0.5':>12} {'0.75':>6} {'change':>8}")
    with tempfile.TemporaryDirectory() as folder:
        float_scores: list[Float32Array] = []
        for name, path in kinds(Path(folder), model).items():
            localizer = load_model(path)
            heard, scores = sound_proposals(localizer, [sound for sound, _ in sounds])
            seen = [lip_proposals(localizer, path) for path, _ in lips]
            float_scores = float_scores or scores
            change = max(float(np.abs(a - b).max()) for a, b in zip(scores, float_scores, strict=True))
            first, second = ap(heard, [[span] for _, span in sounds]), ap(seen, [spans for _, spans in lips])
            rates = f"{first[0.5]:10.1f} {first[0.75]:6.1f} {second[0.5]:12.1f} {second[0.75]:6.1f} {change:8.3f}"
            print(f"{name:20} {path.stat().st_size / 1e6:5.1f} MB {rates}", flush=True)


def kinds(folder: Path, model: Path = SHIPPED) -> dict[str, Path]:
    """The ONNX file as it is, and its quantised copies, which are written into a folder."""
    copies = {name: quantised(model, folder / f"{k}.onnx", INT8[name]) for k, name in enumerate(INT8)}
    return {"onnxruntime": model, **copies}


def quantised(model: Path, out: Path, operators: list[str]) -> Path:
    """The file with 8-bit weights of these operators, whose inputs are quantised as they come."""
    options = {"EnableSubgraph": True}  # the steps of the network are branches
    quantize_dynamic(
        model, out, op_types_to_quantize=operators, weight_type=QuantType.QInt8, per_channel=True, extra_options=options
    )
    return out


def forged_sounds(folder: Path) -> Iterator[Sound]:
    """One forged sound for each generated file of at least two seconds; seed 0."""
    rng = np.random.default_rng(0)
    for row in rows(folder):
        path = folder / row["path"]
        original = path.with_name("real.flac")
        if row["kind"] != "copysyn" or row["system"] == "real" or not original.exists():
            continue
        real, made = read_sound(original), read_sound(path)
        n = min(len(real), len(made))
        if n >= 2 * RATE:
            length = int(RATE * rng.uniform(0.3, 1.2))
            begin = int(rng.integers(RATE // 4, n - length - RATE // 4))
            yield exchanged(real[:n], made[:n], begin, begin + length), (begin / RATE, (begin + length) / RATE)


def exchanged(real: Float32Array, made: Float32Array, begin: int, end: int) -> Float32Array:
    """The recording with samples [begin, end) of the generated one, as loud as it and blended over 10 ms inside."""
    at = np.arange(len(real))
    share = np.clip(np.minimum(at - begin, end - at) / (RATE / 100), 0, 1)
    level = np.sqrt((real**2).mean() / max(float((made**2).mean()), 1e-9))
    return (real * (1 - share) + made * level * share).astype(np.float32)


def forged_lips(folder: Path) -> Iterator[Video]:
    """Videos and their forged spans in seconds."""
    for row in rows(folder):
        if isinstance(row["spans"], list) and row["spans"]:
            yield folder / row["path"], [(span[0], span[1]) for span in row["spans"]]


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, (folder / "index.jsonl").read_text(encoding="utf-8").splitlines())


def sound_proposals(localizer: Localizer, sounds: list[Float32Array]) -> tuple[list[Float64Array], list[Float32Array]]:
    """Of each sound the proposals in seconds and the map of scores."""
    found, scores, post = [], [], localizer.post
    for sound in sounds:
        maps = localizer.judge_clip(None, sound)
        cells = decode(maps.score, maps.n_steps, post.decoding)
        kept = soft_nms(cells, post.nms_alpha, post.nms_t1, post.nms_t2, maps.fps, max_proposals=post.max_proposals)
        found.append(to_seconds(kept, maps.fps))
        scores.append(maps.score)
    return found, scores


def lip_proposals(localizer: Localizer, path: Path) -> Float64Array:
    """(n, 3) score, start and end in seconds of what a scan finds in the picture, from a low threshold on."""
    segments = localizer.scan(path, threshold=0.05).segments
    return np.array([(s.score, s.start_s, s.end_s) for s in segments if s.modality != "audio"]).reshape(-1, 3)


def ap(found: list[Float64Array], spans: list[list[tuple[float, float]]]) -> dict[float, float]:
    """Percent by IoU."""
    labels = {str(k): np.array(s, float).reshape(-1, 2) for k, s in enumerate(spans)}
    rates = fakespan.metrics.average_precision({str(k): p for k, p in enumerate(found)}, labels, [0.5, 0.75])
    return {iou: 100 * rate for iou, rate in rates.items()}


if __name__ == "__main__":
    main()
