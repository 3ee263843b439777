"""Damage to any bytes: bits flipped, cut, blocks doubled, removed, swapped or zeroed, numbers replaced."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

__all__ = [
    "Damage",
    "cut",
    "damaged",
    "doubled",
    "extreme",
    "flipped",
    "header_field",
    "removed",
    "swapped",
    "unusual",
    "zeroed",
]

Damage = Callable[[bytes, random.Random], bytes]
EXTREMES = (
    b"0",
    b"-1",
    b"1e999",
    b"1e-300",
    b"9" * 400,
    b"NaN",
    b"true",
    b"null",
    b'""',
    b"[]",
    b"{}",
    b"-0.0",
    b"1.5",
)
MOST_IN_BLOCK, MOST_IN_HEADER = 64, 512


def damaged(content: bytes, rng: random.Random, kinds: Sequence[Damage]) -> bytes:
    """The content with one to four faults."""
    for _ in range(rng.randint(1, 4)):
        content = rng.choice(kinds)(content, rng)
    return content


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8) if content else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)] if rng.random() < 0.3 else content


def doubled(content: bytes, rng: random.Random) -> bytes:
    first, last = block(content, rng)
    return content[:last] + content[first:]


def removed(content: bytes, rng: random.Random) -> bytes:
    first, last = block(content, rng)
    return content[:first] + content[last:]


def swapped(content: bytes, rng: random.Random) -> bytes:
    first, last = block(content, rng)
    middle = (first + last) // 2
    return content[:first] + content[middle:last] + content[first:middle] + content[last:]


def zeroed(content: bytes, rng: random.Random) -> bytes:
    """Zeros over up to four kilobytes, as of a lost sector."""
    first = rng.randrange(len(content) + 1)
    last = min(len(content), first + rng.choice((64, 512, 4096)))
    return content[:first] + bytes(last - first) + content[last:]


def header_field(content: bytes, rng: random.Random) -> bytes:
    """A number of one to eight bytes near the begin or the end of the content replaced by an unusual one."""
    near = rng.randrange(min(len(content), MOST_IN_HEADER) + 1)
    at = rng.choice((near, len(content) - near))
    number = unusual(rng.choice((1, 2, 4, 8)), rng)[: len(content) - at]
    return content[:at] + number + content[at + len(number) :]


def unusual(n_bytes: int, rng: random.Random) -> bytes:
    """A number of so many bytes, in either order of bytes: none, the largest, one beyond, or any."""
    least = 2 ** (8 * n_bytes - 1)
    number = rng.choice((0, 1, least - 1, least, 2 * least - 1, rng.randrange(2 * least)))
    return number.to_bytes(n_bytes, rng.choice(("big", "little")))


def extreme(content: bytes, rng: random.Random) -> bytes:
    """A number or a word of JSON replaced; binary content is left as it is."""
    places = list(
        re.finditer(rb"(?<=[\[:, ])(-?\d[\d.eE+-]*|true|false|null|\"[^\"]{0,40}\")(?=[\],} ])", content[:200_000])
    )
    if not places:
        return content
    place = rng.choice(places)
    return content[: place.start()] + rng.choice(EXTREMES) + content[place.end() :]


def block(content: bytes, rng: random.Random) -> tuple[int, int]:
    first = rng.randrange(len(content) + 1)
    return first, min(len(content), first + rng.randint(1, MOST_IN_BLOCK))
