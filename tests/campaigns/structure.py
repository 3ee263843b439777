"""Damage that knows the parts of a container: boxes of MP4, elements of EBML, chunks, packets, pages, tags."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from campaigns.damage import Damage, unusual

__all__ = ["PARTS", "Part", "boxes", "chunks", "damages", "elements", "packets", "tags"]

BOXES_OF_BOXES = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"moof", b"traf", b"mvex"))
MASTERS = frozenset(
    map(bytes.fromhex, ("18538067", "1549a966", "1654ae6b", "ae", "e0", "e1", "1f43b675", "a0", "1c53bb6b"))
)
PACKET = 188


@dataclass(frozen=True)
class Part:
    """Where a part lies, with its header, and the field that says its size or what follows from it."""

    begin: int
    payload: int
    end: int
    field: int
    field_bytes: int


Parse = Callable[[bytes], Iterator[Part]]


def boxes(content: bytes, at: int = 0, end: int | None = None) -> Iterator[Part]:
    """Of MP4 and its kin, those within others too."""
    end = len(content) if end is None else end
    while at + 8 <= end:
        n_bytes = int.from_bytes(content[at : at + 4], "big")
        if not 8 <= n_bytes <= end - at:
            return
        yield Part(at, at + 8, at + n_bytes, at, 4)
        if content[at + 4 : at + 8] in BOXES_OF_BOXES:
            yield from boxes(content, at + 8, at + n_bytes)
        at += n_bytes


def elements(content: bytes, at: int = 0, end: int | None = None) -> Iterator[Part]:
    """Of Matroska and WebM, those within others too."""
    end = len(content) if end is None else end
    while at + 2 <= end:
        n_id = _n_bytes(content[at])
        n_size = _n_bytes(content[at + n_id]) if at + n_id < end else 9
        field, payload = at + n_id, at + n_id + n_size
        if n_id > 4 or n_size > 8 or payload > end:
            return
        n_bytes = int.from_bytes(content[field:payload], "big") & ((1 << 7 * n_size) - 1)
        last = min(end, payload + n_bytes)  # of an unknown size: to the end
        yield Part(at, payload, last, field, n_size)
        if content[at:field] in MASTERS:
            yield from elements(content, payload, last)
        at = last


def _n_bytes(first: int) -> int:
    """Bytes of a number of EBML by its first one."""
    return 9 - first.bit_length()


def chunks(content: bytes, at: int = 0, end: int | None = None) -> Iterator[Part]:
    """Of AVI and WAV, those within lists too."""
    end = len(content) if end is None else end
    while at + 8 <= end:
        n_bytes = int.from_bytes(content[at + 4 : at + 8], "little")
        last = min(end, at + 8 + n_bytes + n_bytes % 2)
        yield Part(at, at + 8, last, at + 4, 4)
        if content[at : at + 4] in (b"RIFF", b"LIST"):
            yield from chunks(content, at + 12, last)
        at = last


def packets(content: bytes) -> Iterator[Part]:
    """Of a transport stream; the field is flags, PID and counter."""
    for at in range(0, len(content) - PACKET + 1, PACKET):
        yield Part(at, at + 4, at + PACKET, at + 1, 3)


def tags(content: bytes) -> Iterator[Part]:
    """Of FLV."""
    at = 13
    while at + 15 <= len(content):
        end = at + 15 + int.from_bytes(content[at + 1 : at + 4], "big")
        yield Part(at, at + 11, min(end, len(content)), at + 1, 3)
        at = end


def begun_by(mark: bytes, field: int, field_bytes: int) -> Parse:
    """Parts that begin with a mark, up to the next one: pages of Ogg, packs of MPEG."""

    def parse(content: bytes) -> Iterator[Part]:
        at = content.find(mark)
        while at >= 0:
            following = content.find(mark, at + len(mark))
            end = len(content) if following < 0 else following
            yield Part(at, min(end, at + field + field_bytes), end, at + field, field_bytes)
            at = following

    return parse


PARTS: dict[str, Parse] = {
    **dict.fromkeys((".mp4", ".mov", ".3gp", ".m4a"), boxes),
    **dict.fromkeys((".mkv", ".webm"), elements),
    **dict.fromkeys((".avi", ".wav"), chunks),
    ".ts": packets,
    ".flv": tags,
    ".ogg": begun_by(b"OggS", 6, 8),  # the position
    ".mpg": begun_by(b"\0\0\1", 3, 3),  # what it is, and the length of a packet
}
"""The parts of a file by its suffix."""


def damages(parse: Parse) -> list[Damage]:
    """Kinds of damage to one part of a file that is still readable as such."""

    def to_a_part(change: Callable[[bytes, Part, random.Random], bytes]) -> Damage:
        def damage(content: bytes, rng: random.Random) -> bytes:
            parts = list(parse(content))
            return change(content, rng.choice(parts), rng) if parts else content

        return damage

    def moved(content: bytes, rng: random.Random) -> bytes:
        """A part copied to where another begins, or into it."""
        parts = list(parse(content))
        if not parts:
            return content
        part, other = rng.choice(parts), rng.choice(parts)
        at = rng.choice((other.begin, other.payload))
        return content[:at] + content[part.begin : part.end] + content[at:]

    return [*map(to_a_part, (resized, renamed, renumbered, emptied, left_out)), moved]


def resized(content: bytes, part: Part, rng: random.Random) -> bytes:
    """Another size."""
    return content[: part.field] + unusual(part.field_bytes, rng) + content[part.field + part.field_bytes :]


def renamed(content: bytes, part: Part, rng: random.Random) -> bytes:
    """A bit of its header flipped: another type."""
    changed, at = bytearray(content), rng.randrange(part.begin, max(part.payload, part.begin + 1))
    changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def renumbered(content: bytes, part: Part, rng: random.Random) -> bytes:
    """A number among its first 64 bytes replaced."""
    n_bytes = min(64, part.end - part.payload)
    at = part.payload + rng.randrange(max(1, n_bytes))
    number = unusual(rng.choice((1, 2, 4, 8)), rng)[: max(0, part.end - at)]
    return content[:at] + number + content[at + len(number) :]


def emptied(content: bytes, part: Part, rng: random.Random) -> bytes:
    """All zeros, or nothing, within it."""
    n_bytes = part.end - part.payload if rng.random() < 0.5 else 0
    return content[: part.payload] + bytes(n_bytes) + content[part.end :]


def left_out(content: bytes, part: Part, rng: random.Random) -> bytes:
    """The whole part removed; the sizes of those around it stay."""
    del rng
    return content[: part.begin] + content[part.end :]
