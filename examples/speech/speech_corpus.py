"""The folder of the corpus: one part for each package, and an index over the parts.

OUT/cache/*.deb            as apt gave them
OUT/NAME/*.flac            the utterances of a package
OUT/parts/NAME.json        written when they are all there: the sign that a package is done
OUT/index.jsonl            one line for each utterance of all parts, in the order of the packages
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from speech_packages import Package, Voice
from speech_sound import RATE, Fingerprint, Recording, alike, fingerprint, level_db, read, write_flac
from speech_utterances import SHORTEST_S, Piece, Sound, Utterance, join, pieces

from fakespan.errors import MediaError

__all__ = ["TELEPHONE_HZ", "Part", "PartBuilder", "build_part", "fingerprints", "load_part", "write_index"]

TELEPHONE_HZ = 3800.0  # a source that ends below may have come through a telephone
_SAID_EVERY = 200  # files
Part = dict[str, Any]
Regions = Callable[[Sound], list[tuple[float, float]]]


def load_part(out: Path, name: str, settings: dict[str, Any]) -> Part | None:
    """What was made of a package with the same settings, or None when that is not all there."""
    try:
        part: Part = json.loads((out / "parts" / f"{name}.json").read_text(encoding="utf-8"))
        whole = all((out / one["path"]).stat().st_size > 0 for one in part["utterances"])
    except (OSError, ValueError, KeyError):
        return None
    return part if whole and part["settings"] == settings else None


def build_part(builder: PartBuilder, tree: Path, version: str, settings: dict[str, Any]) -> Part:
    """Makes the utterances of an unpacked package.

    Args:
        builder: takes the recordings; knows the package.
        tree: where the package is unpacked.
        version: of the package.
        settings: kept with the part; "limit" is the number of files that are looked at, None for all.
    """
    name = builder.package.name
    files = _files(tree, builder.package)[: settings["limit"]]
    for n_done, file in enumerate(files):
        if n_done and n_done % _SAID_EVERY == 0:
            print(f"speech: {name}: {n_done} of {len(files)} files", file=sys.stderr, flush=True)
        builder.add(file, tree / file)
    builder.finish()
    part = {"package": name, "version": version, "settings": settings, "counts": builder.counts}
    part |= {"fingerprints": [[one.seconds, one.bits.hex()] for one in builder.own], "utterances": builder.lines}
    _write(builder.out / "parts" / f"{name}.json", json.dumps(part, indent=0))
    return part


def fingerprints(part: Part) -> list[Fingerprint]:
    """Of the recordings of a part."""
    return [Fingerprint(seconds, bytes.fromhex(bits)) for seconds, bits in part["fingerprints"]]


def write_index(out: Path, parts: Iterable[Part]) -> None:
    """The index of all parts, whole or not at all."""
    lines = [json.dumps({"package": p["package"], **one}) + "\n" for p in parts for one in p["utterances"]]
    _write(out / "index.jsonl", "".join(lines))


@dataclass
class PartBuilder:
    """Takes the recordings of one package one by one and writes their utterances.

    Args:
        out: folder of the corpus.
        package: which one.
        regions: a signal -> start and end of its stretches of speech, in seconds.
        known: fingerprints of the recordings of the packages before.
    """

    out: Path
    package: Package
    regions: Regions
    known: list[Fingerprint]
    own: list[Fingerprint] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("files", "unreadable", "without_speech", "copies"), 0)
    )
    _facts: dict[str, tuple[Voice, Recording]] = field(default_factory=dict)  # by source, without the sound
    _short: defaultdict[str, list[Piece]] = field(default_factory=lambda: defaultdict(list))  # by speaker

    def __post_init__(self) -> None:
        folder = self.out / self.package.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def add(self, source: str, path: Path) -> None:
        """One recording: what is spoken in it, if it is none that was there before."""
        self.counts["files"] += 1
        try:
            recording = read(path)
        except MediaError:
            self.counts["unreadable"] += 1
            return
        spoken = self.regions(recording.sound)
        if not spoken:
            self.counts["without_speech"] += 1
            return
        mark = fingerprint(recording.sound[round(spoken[0][0] * RATE) : round(spoken[-1][1] * RATE)])
        if alike(mark, self.known) or alike(mark, self.own):
            self.counts["copies"] += 1
            return
        self.own.append(mark)
        voice = self.package.voice(PurePosixPath("/" + source))
        self._facts[source] = voice, replace(recording, sound=recording.sound[:0])
        for piece in pieces(source, recording.sound, spoken):
            if piece.seconds < SHORTEST_S:
                self._short[voice.speaker].append(piece)
            else:
                self._keep(Utterance((piece,)))

    def finish(self) -> None:
        """Joins what was too short on its own, speaker by speaker."""
        for waiting in self._short.values():
            for utterance in join(waiting):
                self._keep(utterance)
        self._short.clear()

    def _keep(self, utterance: Utterance) -> None:
        """Writes an utterance and its line of the index."""
        path = f"{self.package.name}/{len(self.lines):05}.flac"
        write_flac(self.out / path, utterance.sound)
        first = utterance.pieces[0]
        voice = self._facts[first.source][0]
        recordings = [self._facts[piece.source][1] for piece in utterance.pieces]
        bandwidth_hz = min(one.bandwidth_hz for one in recordings)
        line = {
            "path": path, "source": first.source, "start_s": round(first.start_s, 5),
            "speaker": voice.speaker, "sex": voice.sex, "language": voice.language,
            "seconds": round(utterance.seconds, 3), "seams_s": [round(t, 4) for t in utterance.seams_s],
            "codec": recordings[0].codec, "source_hz": min(one.rate for one in recordings),
            "bw_hz": round(bandwidth_hz), "telephone": bandwidth_hz < TELEPHONE_HZ,
            "rms_db": round(level_db(utterance.sound), 1), "licence": self.package.licence,
        }  # fmt: skip
        self.lines.append(line)


def _files(tree: Path, package: Package) -> list[str]:
    """Recordings of a package below its tree, in order."""
    every = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    return [file for file in every if re.search(package.files, "/" + file) and not (tree / file).is_symlink()]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
