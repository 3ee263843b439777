r"""Speak a bank of words and short phrases with a voice program that stays alive.

    python examples/voices/bank.py --voice "runs/voices/venv/bin/python examples/voices/piper_voice.py" \
        --system piper --family vits --minutes 18 --out runs/voices/piper

writes 16 kHz FLAC files without the silence around them and index.jsonl: path, text, system, family, speaker, seconds,
and seed. The words are the commonest that pocketsphinx's language model knows, the phrases what it finds likely to
follow one another; some are spoken faster or slower than the voice would. Equal options give equal texts and lengths
asked for; a bank that was begun goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from fakespan.config import SAMPLE_RATE
from fakespan.errors import FakespanError, MissingExtraError
from fakespan.forge.synth import PluginEngine

__all__ = ["main", "texts", "write_flac"]

MIN_S, MAX_S = 0.2, 1.6  # what is kept: about the spans of LAV-DF
N_WORDS = 3000  # the commonest, of which phrases are made
PHRASES = (0.45, 0.3, 0.15, 0.1)  # shares of texts of one, two, three and four words


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line."""
    options = _options().parse_args(arguments)
    try:
        n, seconds = _speak(options)
    except FakespanError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{options.out}: {n} files, {seconds / 60:.1f} minutes")
    return 0


def texts(rng: np.random.Generator) -> Iterator[str]:
    """Common words and likely phrases without end; the first 800 words come once each, in order."""
    model, words = _language_model()
    words = words[:N_WORDS]
    once = iter(words[:800])
    while True:
        n = 1 + int(rng.choice(len(PHRASES), p=PHRASES))
        if n == 1:
            yield next(once, None) or str(rng.choice(words[:1500]))
            continue
        phrase = [words[int(rng.integers(600))]]
        for _ in range(n - 1):
            phrase.append(_follower(model, words, phrase[-1], rng))
        yield " ".join(phrase)


def write_flac(path: Path, sound: NDArray[np.float32]) -> None:
    """Mono 16 bit at 16 kHz."""
    with av.open(str(path), "w", format="flac") as file:
        stream = file.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        pcm = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        file.mux([*stream.encode(frame), *stream.encode(None)])


def _speak(options: argparse.Namespace) -> tuple[int, float]:
    out, index = Path(options.out), Path(options.out, "index.jsonl")
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in index.read_text("utf-8").splitlines()] if index.is_file() else []
    seconds, n = sum(line["seconds"] for line in lines), len(lines)
    rng, n_tried = np.random.default_rng(options.seed), max((line["seed"] + 1 for line in lines), default=0)
    silence = np.zeros(SAMPLE_RATE, np.float32)  # these voices hear no reference
    voice = PluginEngine(options.voice)
    with index.open("a", encoding="utf-8") as notes:
        for seed, text in enumerate(texts(rng)):
            if seconds >= 60 * options.minutes:
                break
            tempo = float(np.exp(rng.normal(0, 0.2))) if rng.random() < 0.6 else 1.0
            if seed < n_tried:
                continue
            length_s = None if tempo == 1.0 else max(MIN_S, 0.075 * len(text) / tempo)
            spoken = voice.speak(text, silence, np.random.default_rng(seed), length_s=length_s)
            if not MIN_S <= len(spoken) / SAMPLE_RATE <= MAX_S:
                continue
            name = f"{n:05d}.flac"
            write_flac(out / name, spoken)
            line = {"path": name, "text": text, "system": options.system, "family": options.family}
            line |= {"speaker": options.speaker or options.system, "seed": seed}
            line["seconds"] = round(len(spoken) / SAMPLE_RATE, 3)
            print(json.dumps(line), file=notes, flush=True)
            seconds, n = seconds + line["seconds"], n + 1
    voice.close()
    return n, seconds


def _language_model() -> tuple[Any, list[str]]:
    """A model of English that pocketsphinx carries, and its words by falling likelihood."""
    try:
        import pocketsphinx  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("pocketsphinx", "forge") from error
    folder = Path(pocketsphinx.get_model_path(), "en-us")
    config = pocketsphinx.Config(lm=str(folder / "en-us.lm.bin"))
    model = pocketsphinx.NGramModel(config, pocketsphinx.LogMath(), str(folder / "en-us.lm.bin"))
    known = (line.split()[0] for line in (folder / "cmudict-en-us.dict").read_text("utf-8").splitlines())
    words = [word for word in known if re.fullmatch(r"[a-z']{2,}|a|i", word)]
    return model, sorted(words, key=lambda word: (-model.prob([word]), word))


def _follower(model: Any, words: list[str], before: str, rng: np.random.Generator) -> str:
    """A word that may well come next, not always the likeliest."""
    likely = sorted(words, key=lambda word: -model.prob([word, before]))[:25]
    return str(rng.choice(likely))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--voice", required=True, help="a voice program that stays alive")
    parser.add_argument("--out", required=True, help="folder for the bank")
    parser.add_argument("--system", required=True, help="name of the voice in the index")
    parser.add_argument("--family", required=True, help="kind of its generator, for instance vits")
    parser.add_argument("--speaker", default="", help="whose voice it is (default: the system)")
    parser.add_argument("--minutes", type=float, default=18.0, help="of sound")
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
