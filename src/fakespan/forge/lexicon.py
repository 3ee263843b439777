"""Replacements for words: the opposite, or a word of the same kind.

The lists are this project's own (`opposites.txt`, `kinds.txt`); if WordNet's dictionary files are installed (the Debian
package wordnet-base), its antonyms are added.
"""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

__all__ = ["of_about_its_length", "opposites", "same_kind"]

FOLDER = Path(__file__).parent
WORDNET_FOLDERS = ("/usr/share/wordnet", "/usr/local/share/wordnet", "/usr/local/WordNet-3.0/dict")


def opposites(word: str) -> tuple[str, ...]:
    """The sorted opposites of a word (lower case), if it has any.

    >>> opposites("won")
    ('lost',)
    """
    return _opposites().get(word, ())


def same_kind(word: str) -> tuple[str, ...]:
    """The sorted other words of its kind: other colours for a colour, other digits for a digit.

    >>> same_kind("monday")[:2]
    ('friday', 'saturday')
    """
    return _kinds().get(word, ())


def of_about_its_length(word: str) -> tuple[str, ...]:
    """Words of the lists that are written with about as many letters, sorted; they have nothing else in common.

    >>> len(of_about_its_length("telephone")) > 20
    True
    """
    return tuple(other for other in _all_words() if abs(len(other) - len(word)) <= 1 and other != word)


@functools.cache
def _all_words() -> tuple[str, ...]:
    return tuple(sorted({*_opposites(), *_kinds()}))


@functools.cache
def _opposites() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, set[str]] = defaultdict(set)
    for line in _lines("opposites.txt"):
        left, _, right = line.partition("|")
        for one in left.split():
            found[one] |= set(right.split())
        for one in right.split():
            found[one] |= set(left.split())
    for one, other in _wordnet(_wordnet_folder()):
        found[one].add(other)
    return {word: tuple(sorted(others)) for word, others in found.items()}


@functools.cache
def _kinds() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, set[str]] = defaultdict(set)
    for line in _lines("kinds.txt"):
        words = set(line.partition(":")[2].split())
        for word in words:
            found[word] |= words - {word}
    return {word: tuple(sorted(others)) for word, others in found.items()}


def _lines(name: str) -> Iterator[str]:
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _wordnet_folder() -> Path | None:
    named = [os.environ[key] for key in ("WNSEARCHDIR",) if key in os.environ]
    return next((Path(f) for f in (*named, *WORDNET_FOLDERS) if (Path(f) / "data.adj").is_file()), None)


def _wordnet(folder: Path | None) -> Iterator[tuple[str, str]]:
    """Pairs of antonyms in WordNet's data files (format: wndb(5WN)): the pointers "!" between words of two synsets."""
    if folder is None:
        return
    for part, letter in (("adj", "a"), ("adv", "r"), ("noun", "n"), ("verb", "v")):
        path = folder / f"data.{part}"
        if path.is_file():
            yield from _antonyms(path.read_text(encoding="latin-1").splitlines(), letter)


def _antonyms(lines: Iterable[str], letter: str) -> Iterator[tuple[str, str]]:
    words: dict[str, list[str]] = {}
    pointers: list[tuple[str, int, str, int]] = []
    for line in lines:
        fields = line.split(" | ", maxsplit=1)[0].split()
        if line.startswith("  ") or len(fields) < 6:
            continue  # the licence at the top
        n_words = int(fields[3], 16)
        words[fields[0]] = [w.split("(")[0].lower() for w in fields[4 : 4 + 2 * n_words : 2]]
        begin = 5 + 2 * n_words
        for k in range(int(fields[begin - 1])):
            symbol, target, part, places = fields[begin + 4 * k : begin + 4 * k + 4]
            if symbol == "!" and part == letter:
                pointers.append((fields[0], int(places[:2], 16), target, int(places[2:], 16)))
    for source, own, target, other in pointers:
        if own and other and target in words:
            pair = words[source][own - 1], words[target][other - 1]
            if "_" not in "".join(pair):
                yield pair
