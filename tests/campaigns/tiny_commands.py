"""Every command that writes, on inputs made on the spot, with work of about a second."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the makers of the tests

from campaigns.interrupted import Command, fresh, run

__all__ = ["NAMES", "tiny_commands"]

NAMES = ("scan", "report", "prepare", "train", "forge", "maps", "evaluate", "verdict fit")
FACES, DEVICE, NO_WORKERS = ("--faces", "whole"), ("--device", "cpu"), ("--workers", "0")
FORMATS = ("-f", "html", "-f", "json", "-f", "csv", "-f", "vtt", "-f", "svg")
FORGE = """
[forge]
voice = ["donor-clean", "resynthesis-mel"]
lips = ["donor-clean", "redraw-generated"]
max_clip_s = 2.5
splits = [1, 0, 0]
"""
VERDICT = """
[verdict]
rows = 4
columns = 4
widths = [8, 4]
restarts = 2
epochs = 10
batch_size = 8
"""


def tiny_commands(folder: Path, names: Sequence[str] = NAMES) -> list[Command]:
    """The commands; their inputs are made in the folder."""
    import torch

    torch.set_num_threads(1)  # a child of a process that has used more could wait for them for ever
    made = fresh(folder)
    makers = {
        "scan": _scan,
        "report": _report,
        "prepare": _prepare,
        "train": _train,
        "forge": _forge,
        "maps": _maps,
        "evaluate": _evaluate,
        "verdict fit": _verdict_fit,
    }
    return [dataclasses.replace(makers[name](made), name=name) for name in names]


def _command(*arguments: object, resume: Sequence[str] = (), not_compared: Sequence[str] = ()) -> Command:
    return Command("", tuple(map(str, arguments)), tuple(resume), tuple(not_compared))


def _scan(folder: Path) -> Command:
    from datasets import write_test_clip

    clips = [write_test_clip(folder / f"{name}.mp4", 1.0, seed=k) for k, name in enumerate(("one", "two", "three"))]
    return _command("scan", *clips, "--out", "out", *_model(folder), *FACES, *FORMATS)


def _report(folder: Path) -> Command:
    from datasets import write_test_clip

    place = fresh(folder / "scanned")
    clips = [write_test_clip(folder / f"shown{k}.mp4", 1.0, seed=10 + k) for k in range(4)]
    _done(_command("scan", *clips, "--out", "out", *_model(folder), *FACES, "-f", "json"), place)
    return _command("report", *sorted((place / "out").glob("*.json")), "--out", "out", *FORMATS, "--embed")


def _prepare(folder: Path) -> Command:
    return _command("prepare", "--data", _lavdf(folder), "--out", "out", "--workers", 1)


def _train(folder: Path) -> Command:
    from fakespan.train import config_text
    from tiny_training import tiny_run

    config = _text(folder / "train.toml", config_text(tiny_run()))
    passing = ("*.ckpt", "*.png", "tensorboard/*")  # they hold times
    data = ("--data", _lavdf(folder))
    return _command("train", config, *data, "--out", "out", *DEVICE, resume=["--resume"], not_compared=passing)


def _forge(folder: Path) -> Command:
    takes = fresh(folder / "takes")
    _write_takes(takes)
    config = _text(folder / "forge.toml", FORGE)
    return _command("forge", takes, "out", "--config", config, "--count", 4, *NO_WORKERS)


def _maps(folder: Path) -> Command:
    return _command("maps", *_maps_of(folder, "test"), "--out", "out")


def _evaluate(folder: Path) -> Command:
    return _command("evaluate", "--data", _lavdf(folder), "--out", "out", *_model(folder), *NO_WORKERS)


def _verdict_fit(folder: Path) -> Command:
    for split in ("train", "validation"):
        _done(_command("maps", *_maps_of(folder, split), "--out", "out"), fresh(folder / "maps" / split))
    maps = ("--train", folder / "maps" / "train" / "out", "--val", folder / "maps" / "validation" / "out")
    config = _text(folder / "verdict.toml", VERDICT)
    out = ("--config", config, "--out", "out/head.safetensors")
    return _command("verdict", "fit", *maps, *out, resume=["--overwrite"])


def _done(command: Command, place: Path) -> None:
    ended = run(command, place)
    assert ended.code == 0, ended


def _model(folder: Path) -> tuple[str, ...]:
    """Options: a network with random weights, always the same."""
    import torch

    from fakespan.checkpoint import save_checkpoint
    from fakespan.models import build_model
    from tiny_training import SMALL

    path = folder / "tiny.safetensors"
    if not path.exists():
        model = dataclasses.replace(SMALL, n_frames=16, max_duration=8)
        torch.manual_seed(0)
        save_checkpoint(path, build_model(model), name="tiny", model=model)
    return ("--model", str(path), *DEVICE)


def _lavdf(folder: Path) -> str:
    from datasets import make_lavdf

    root = folder / "LAV"
    return f"lavdf:{root if root.exists() else make_lavdf(root, 8, 2, 8, seconds=0.5)}"


def _maps_of(folder: Path, split: str) -> tuple[str, ...]:
    from datasets import make_dfdc

    root = folder / "DFDC"
    if not root.exists():
        make_dfdc(root, 2, 2, 1, n_validation=8, n_test=16, seconds=0.5)
    return ("--data", f"dfdc:{root}", "--split", split, *_model(folder), *FACES, *NO_WORKERS)


def _write_takes(folder: Path) -> None:
    """Two takes of the bundled sample with the words that are said in it."""
    import fakespan
    from clips import load_pictures
    from fakespan.media.decode import read_sound
    from fakespan.media.encode import write_video

    sample = Path(fakespan.__file__).parent / "samples" / "sample_real.mp4"
    frames, sound = load_pictures(sample), read_sound(sample)
    for name, first in (("one", 25), ("two", 100)):
        write_video(folder / f"{name}.mp4", frames[first : first + 60], 25, sound[640 * first : 640 * (first + 60)])
        lines = [f"{7000 + 9000 * k} {7000 + 9000 * k + 7000} word{k}" for k in range(5)]  # 25,000 a second
        _text(folder / f"{name}.align", "\n".join(lines))


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
