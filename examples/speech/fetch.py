"""Hours of genuine speech from Debian packages, cut to utterances, with an index: free, and the same for everybody.

    python examples/speech/fetch.py --out FOLDER [--only NAME ...] [--limit FILES]

The packages (`speech_packages`) are downloaded with apt and unpacked, never installed. What silero-vad hears as speech
becomes mono FLAC at 16 kHz, in stretches of 1 to 12 s (`speech_utterances`); copies are dropped; FOLDER/index.jsonl
says of each its source, speaker, language, bandwidth, level and licence (`speech_corpus`). If killed, it resumes with
the package at which it was.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Container
from pathlib import Path
from urllib.parse import unquote

import torch
from speech_archives import take_out
from speech_corpus import Part, PartBuilder, build_part, fingerprints, load_part, write_index
from speech_debs import fetch, unpack
from speech_packages import PACKAGES, Package
from speech_sound import Fingerprint

from fakespan.errors import DataError, FakespanError
from fakespan.forge.listening import Listener

__all__ = ["main", "make_corpus"]

_VERSION = 1  # of what is made from equal packages; another makes every part anew


def make_corpus(
    out: Path, packages: tuple[Package, ...] = PACKAGES, only: Container[str] | None = None, limit: int | None = None
) -> list[Part]:
    """Makes what is missing of the corpus; the index grows after each package.

    Args:
        out: its folder.
        packages: which it is made of.
        only: names of packages to make; others stay in the index if they are there. None for all.
        limit: files of each package that are looked at.

    Raises:
        MissingExtraError: silero-vad is not installed.
    """
    listener = Listener()
    known, parts = list[Fingerprint](), list[Part]()
    settings = {"version": _VERSION, "limit": limit}
    for package in packages:
        part = load_part(out, package.name, settings)
        if part is None and (only is None or package.name in only):
            part = _made(out, package, listener, known, settings)
        if part is not None:
            known += fingerprints(part)
            parts.append(part)
            write_index(out, parts)
            _say(part)
    return parts


def _made(
    out: Path, package: Package, listener: Listener, known: list[Fingerprint], settings: dict[str, int | None]
) -> Part | None:
    """A part made anew, or None for a package that cannot be had: that is said."""
    tree = out / "cache" / f"tree-{package.name}"
    try:
        deb = fetch(package.name, out / "cache")
        take_out(unpack(deb, tree))
        builder = PartBuilder(out, package, listener.regions, known)
        return build_part(builder, tree, unquote(deb.name.split("_")[1]), settings)
    except DataError as error:
        print(f"speech: {error}", file=sys.stderr, flush=True)
        return None
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _say(part: Part) -> None:
    spoken_s = sum(one["seconds"] for one in part["utterances"])
    n_speakers = len({one["speaker"] for one in part["utterances"]})
    counts = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in part["counts"].items())
    said = f"{spoken_s / 60:.1f} min, {len(part['utterances'])} utterances, {n_speakers} speakers ({counts})"
    print(f"speech: {part['package']}: {said}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Make a corpus of genuine speech from Debian packages.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus; an incomplete one is resumed")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these packages")
    parser.add_argument("--limit", type=int, help="files of each package, for a trial")
    given = parser.parse_args(arguments)
    if unknown := set(given.only or ()) - {one.name for one in PACKAGES}:
        parser.error(f"--only: expected names of packages in speech_packages.py, got {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    try:
        parts = make_corpus(given.out, PACKAGES, given.only, given.limit)
    except (FakespanError, OSError) as error:
        print(f"speech: {error}", file=sys.stderr)
        return 1
    spoken_s = sum(one["seconds"] for part in parts for one in part["utterances"])
    print(f"{given.out / 'index.jsonl'}: {spoken_s / 3600:.2f} h")
    return 0 if parts else 1


if __name__ == "__main__":
    sys.exit(main())
