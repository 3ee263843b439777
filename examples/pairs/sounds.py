r"""The sound bank that the sound expert is trained on: one index over recordings that stay where they are.

    python examples/pairs/sounds.py --out runs/bank/sound --clips CLIPS \\
        --speech runs/speech --zoo runs/zoo/twins --voices runs/voices

CLIPS holds `neural_voice` (genuine utterances and what published generators made of them), `talking`,
`talking_more` and `grid_s1`; each of the other folders is written by another program here. A missing folder is
skipped with a message. All recordings of every fourteenth speaker are for validation; families and systems named
by --leave-out are not listed at all. With --fold the bank lacks the speakers and the systems that `folds.py` names for
it; with --left-out it has instead just the published utterances of these speakers, for `rate_sounds.py`.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from folds import N_FOLDS, is_speaker_left_out, is_system_left_out

from fakespan.errors import FakespanError
from fakespan.media.probe import probe

KINDS = {"copysyn": "twin", "tts": "voice", "enhanced": "benign", "processed": "benign", "real": "real"}
MIN_SPEECH_S = 1.2
FOR_CALIBRATION = {"tuxpaint-stamps-default", "flight-of-the-amazon-queen"}  # packages that no bank lists
VALIDATION_SHARE = 1 / 14
MEDIA = {".mp4", ".mpg", ".mov", ".webm", ".mkv", ".avi", ".wav", ".flac"}
Row = dict[str, Any]


def main() -> None:
    """Write OUT/index.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bank")
    parser.add_argument("--clips", type=Path, help="folder with neural_voice, talking, talking_more, grid_s1")
    parser.add_argument("--speech", type=Path, help="corpus of examples/speech")
    parser.add_argument("--zoo", type=Path, help="folder of twins, one folder a system, of examples/zoo")
    parser.add_argument("--voices", type=Path, help="folder of spoken words, one folder a voice, of examples/voices")
    parser.add_argument("--leave-out", nargs="*", default=[], help="families or systems not to list, for a fold")
    parser.add_argument("--fold", type=int, choices=range(N_FOLDS), help="the fold that the bank is for")
    parser.add_argument("--left-out", action="store_true", help="what the fold left out, for its validation")
    options = parser.parse_args()
    if options.left_out and options.fold is None:
        parser.error("--left-out needs --fold")
    rows: list[Row] = []
    for read, folder in (
        (neural_voice, options.clips and options.clips / "neural_voice"),
        (people, options.clips),
        (speech, options.speech),
        (zoo, options.zoo),
        (voices, options.voices),
    ):
        if folder is None or not folder.is_dir():
            print(f"{read.__name__}: no such folder, skipped")
            continue
        rows += read(folder)
    rows = [row for row in rows if not {row["family"], row["system"]} & set(options.leave_out)]
    if options.fold is not None:
        rows = [row for row in rows if is_in_fold(row, options.fold, left_out=options.left_out)]
    for row in rows:
        row["split"] = "left out" if options.left_out else "validation" if is_held_out(row["speaker"]) else "train"
    write(options.out, rows)
    hours = collections.Counter[str]()
    for row in rows:
        hours[f"{row['split']} {row['kind']}"] += row["seconds"] / 3600
    print(", ".join(f"{name} {value:.2f} h" for name, value in sorted(hours.items())))
    systems = {row["system"] for row in rows if row["kind"] != "real"}
    print(f"{len(systems)} systems, {len({row['speaker'] for row in rows})} speakers")


def is_in_fold(row: Row, fold: int, *, left_out: bool) -> bool:
    """Whether a recording is in the bank that a fold trains on, or in the one that it is validated on."""
    is_twin, is_hidden = row["kind"] == "twin", is_speaker_left_out(row["speaker"], fold)
    if left_out:
        return is_hidden and (is_twin or row["kind"] == "real")
    return not is_hidden and not (is_twin and is_system_left_out(row["system"], fold))


def neural_voice(folder: Path) -> Iterator[Row]:
    """Utterances and what published generators, enhancers and codecs made of them."""
    for line in _lines(folder):
        kind = "real" if line["label"] == "real" else KINDS.get(line["kind"])
        real = (folder / line["path"]).with_name("real.flac")
        if kind is None or (kind in ("twin", "benign") and not real.is_file()):
            continue
        system = f"{line['repo']}:{line['system']}"
        yield row(folder / line["path"], kind, line["speaker"], system, line["family"], line["seconds"], real)


def people(folder: Path) -> Iterator[Row]:
    """Talking people, and the sentences of GRID's speaker."""
    for name in ("talking", "talking_more", "grid_s1"):
        for path in sorted(p for p in (folder / name).rglob("*") if p.suffix in MEDIA):
            try:
                info = probe(path)
            except FakespanError as error:
                print(error)
                continue
            if info.has_audio and info.duration_s >= 1:
                speaker = name if name == "grid_s1" else f"{name}/{path.stem}"
                yield row(path, "real", speaker, "real", "real", info.duration_s)


def speech(folder: Path) -> Iterator[Row]:
    """Genuine speech of games and telephone systems, without telephone-band files and calibration packages."""
    for line in _lines(folder):
        if line["package"] in FOR_CALIBRATION:
            continue
        if not line["telephone"] and line["seconds"] >= MIN_SPEECH_S:
            yield row(folder / line["path"], "real", line["speaker"], "real", "real", line["seconds"])


def zoo(folder: Path) -> Iterator[Row]:
    """Twins that our own generators made, of the recordings that their index names, which are listed too."""
    listed: set[Path] = set()
    for index in sorted(folder.glob("*/index.jsonl")):
        for line in _lines(index.parent):
            twin, real = ((index.parent / line[key]).resolve() for key in ("twin", "real"))
            if real not in listed:
                listed.add(real)
                yield row(real, "real", line["speaker"], "real", "real", line["seconds"])
            yield row(twin, "twin", line["speaker"], f"zoo:{line['system']}", line["family"], line["seconds"], real)


def voices(folder: Path) -> Iterator[Row]:
    """Words that neural voices spoke."""
    for index in sorted(folder.glob("*/index.jsonl")):
        for line in _lines(index.parent):
            path = index.parent / line["path"]
            yield row(path, "voice", line["speaker"], f"voice:{line['system']}", line["family"], line["seconds"])


def row(  # noqa: PLR0917 - one line of a table
    path: Path, kind: str, speaker: str, system: str, family: str, seconds: float, real: Path | None = None
) -> Row:
    """One line of the index; paths are absolute until it is written."""
    original = str(real.resolve()) if real is not None and kind in ("twin", "benign") else ""
    return {
        "path": str(path.resolve()), "kind": kind, "speaker": speaker, "system": "real" if kind == "real" else system,
        "family": "real" if kind == "real" else family, "seconds": round(float(seconds), 3), "real": original,
    }  # fmt: skip


def is_held_out(speaker: str) -> bool:
    """One speaker in fourteen, by name."""
    return int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:4]) < VALIDATION_SHARE * 2**32


def write(out: Path, rows: list[Row]) -> None:
    """The index, with paths relative to it, each recording once."""
    out.mkdir(parents=True, exist_ok=True)
    unique = {line["path"]: line for line in rows}
    for line in unique.values():
        for key in ("path", "real"):
            line[key] = line[key] and os.path.relpath(line[key], out.resolve())
    part = out / f".index.{os.getpid()}.part"
    part.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in unique.values()), encoding="utf-8")
    os.replace(part, out / "index.jsonl")


def _lines(folder: Path) -> Iterator[Row]:
    for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


if __name__ == "__main__":
    main()
