"""A bank of faces from pairs of genuine and generated videos, for practice with what real generators leave.

    python examples/pairs/pictures.py CLIPS BANK [--only PART]

CLIPS is a folder whose `index.jsonl` has a line for each video: `path`, `role` (real, fake, side-by-side), `pair` (a
fake's original), `method`, `family`, `person`, `spans` in seconds for a video forged in parts, `panels` for videos that
show several side by side. Videos without an index (`CLIPS/*.mp4`) are genuine, one person each. The face is followed in
the original; the same boxes are cut from the others. About an hour of 1080p takes 20 minutes of one core.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fakespan.config import FPS
from fakespan.errors import FakespanError
from fakespan.media.crop import CROP_SIZE, prepare_crop
from fakespan.media.decode import Picture, read_pictures
from fakespan.media.faces import FaceConfig, TrackEnd, follow_faces
from fakespan.practice.picture_bank import BANK_BOX, BankWriter, Entry

MEDIA = (".mp4", ".mov", ".mpg", ".avi", ".mkv", ".webm")
MIN_FRAMES = 20
Faces = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Member:
    """One picture of several that show the same instant."""

    picture: Picture
    panel: Box | None  # x, y, width, height of its part; None: all of it

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return (self.panel[2], self.panel[3]) if self.panel else (self.picture.width, self.picture.height)

    def crop(self, box: Box, at_most: int | None) -> Faces:
        """The box, in pixels of this part."""
        x, y = self.panel[:2] if self.panel else (0, 0)
        x0, y0, x1, y1 = box
        return self.picture.crop(x0 + x, y0 + y, x1 + x, y1 + y, at_most=at_most)


class Together:
    """Pictures of one instant as one picture: found by the first, cut from all, their channels side by side."""

    def __init__(self, index: int, members: Sequence[Member]) -> None:
        self.index, self._members = index, members
        self.width, self.height = members[0].size
        self.is_after_hole = any(member.picture.is_after_hole for member in members)

    def crop(self, x0: int, y0: int, x1: int, y1: int, *, at_most: int | None = None) -> Faces:
        """The box of every member as 224x224, and a channel that says how large it was: a quarter of its side."""
        crops = []
        for member in self._members:
            sx, sy = member.size[0] / self.width, member.size[1] / self.height
            box = (round(x0 * sx), round(y0 * sy), round(x1 * sx), round(y1 * sy))
            crops.append(_face(member.crop(box, at_most)))
        side = max(1, x1 - x0)
        mark = np.full((CROP_SIZE, CROP_SIZE, 1), min(255, side // 4), np.uint8)
        return np.concatenate([*crops, mark], axis=2)

    def thumbnail(self, max_side: int, *, gray: bool = False) -> Faces:
        """Of the first."""
        member = self._members[0]
        if member.panel is None:
            return member.picture.thumbnail(max_side, gray=gray) if gray else member.picture.thumbnail(max_side)
        x, y, width, height = member.panel
        return member.picture.crop(x, y, x + width, y + height, at_most=max_side)


def _face(crop: Faces) -> Faces:
    return prepare_crop(crop, CROP_SIZE)


def together(paths: Sequence[Path], panels: Sequence[Box], shifts: Sequence[int]) -> Iterator[Together]:
    """The pictures of several files (or of the panels of one), as long as all last."""
    streams = [
        itertools.islice(read_pictures(path, threads=1), shift, None) for path, shift in zip(paths, shifts, strict=True)
    ]
    for index, pictures in enumerate(zip(*streams, strict=False)):
        if panels:
            yield Together(index, [Member(pictures[0], panel) for panel in panels])
        else:
            yield Together(index, [Member(picture, None) for picture in pictures])


def longest_track(pictures: Iterator[Together]) -> tuple[Faces, int, int] | None:
    """Crops (n, 224, 224, 3 k) of the longest track, its first frame, and the side of its boxes in pixels."""
    tracks: dict[int, list[Faces]] = {}
    first: dict[int, int] = {}
    for event in follow_faces(pictures, config=FaceConfig(face_size=CROP_SIZE)):
        if not isinstance(event, TrackEnd):
            first.setdefault(event.track, event.index)
            x0, y0, x1, y1 = BANK_BOX
            tracks.setdefault(event.track, []).append(event.face[y0:y1, x0:x1].copy())
    if not tracks:
        return None
    best = max(tracks, key=lambda k: len(tracks[k]))
    faces = np.stack(tracks[best])
    return faces[..., :-1], first[best], 4 * int(np.median(faces[:, 0, 0, -1]))


def clips_of(folder: Path) -> Iterator[tuple[list[dict[str, Any]], list[Path], list[Box]]]:
    """What belongs together: rows of the index (the original first), their files, panels."""
    index = folder / "index.jsonl"
    if not index.exists():
        for path in sorted(p for p in folder.iterdir() if p.suffix in MEDIA):
            person = folder.name if folder.name.startswith("grid") else path.stem
            yield [{"path": path.name, "role": "real", "person": person}], [path], []
        return
    rows = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
    fakes: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["role"] == "fake":
            fakes.setdefault(row.get("pair") or row["path"], []).append(row)
    for row in rows:
        path = folder / row["path"]
        if row["role"] == "side-by-side":
            members = [{**row, "role": p["role"], "method": p["method"], "family": p["family"]} for p in row["panels"]]
            yield members, [path], [tuple(p["crop_xywh"]) for p in row["panels"]]
        elif row["role"] == "real":
            own = fakes.get(row["path"], [])
            for one in own:
                yield [row, one], [path, folder / one["path"]], []
            if not own:
                yield [row], [path], []
        elif not row.get("pair"):
            yield [row], [path], []


def entries(members: list[dict[str, Any]], paths: list[Path], panels: list[Box]) -> Iterator[tuple[Entry, Faces]]:
    """The clips that the bank keeps of these files."""
    shifts = [0] * len(paths)
    offset = next((int((m.get("align") or {}).get("offset_frames") or 0) for m in members[1:]), 0)
    if offset and not panels:
        shifts = [max(0, -offset), max(0, offset)]
    found = longest_track(together(paths, panels, shifts))
    if found is None or len(found[0]) < MIN_FRAMES:
        return
    faces, begin, side = found
    names = [_name(m, k, _source(members)) for k, m in enumerate(members)]
    for k, member in enumerate(members):
        spans = member.get("spans")
        yield (
            Entry(
                file=names[k],
                role=member["role"],
                pair=names[0] if k else None,
                generator=member.get("method") if member["role"] == "fake" else None,
                family=member.get("family"),
                person=member["person"],
                source=_source(members),
                n_frames=len(faces),
                face_px=side,
                spans=_in_frames(spans, begin, len(faces)) if isinstance(spans, list) else (),
            ),
            np.ascontiguousarray(faces[..., 3 * k : 3 * k + 3]),
        )


def _in_frames(spans_s: list[list[float]], begin: int, n: int) -> tuple[tuple[int, int], ...]:
    spans = [(max(0, round(a * FPS) - begin), min(n, round(b * FPS) - begin)) for a, b in spans_s]
    return tuple((a, b) for a, b in spans if b > a)


def _source(members: list[dict[str, Any]]) -> str:
    return " | ".join(dict.fromkeys(str(m["path"]) for m in members))


def _name(member: dict[str, Any], k: int, source: str) -> str:
    return f"{member['role']}-{hashlib.sha256(f'{source} {k}'.encode()).hexdigest()[:12]}.npy"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--only", default="", help="paths that contain this")
    parser.add_argument("--limit", type=int, default=0, help="so many clips, spread over the folder")
    options = parser.parse_args()
    writer = BankWriter(options.bank)
    work = [one for one in clips_of(options.clips) if options.only in _source(one[0])]
    if options.limit:
        work = [work[round(k)] for k in np.linspace(0, len(work) - 1, min(options.limit, len(work)))]
    done = writer.sources
    for members, paths, panels in work:
        if _source(members) in done:
            continue
        try:
            clips = list(entries(members, paths, panels))
        except FakespanError as problem:
            print(f"left out: {problem}")
            continue
        writer.add(clips)
        what = f"{len(clips)} x {clips[0][0].n_frames} frames" if clips else "no face"
        print(f"{what}: {_source(members)[-80:]}", flush=True)


if __name__ == "__main__":
    main()
