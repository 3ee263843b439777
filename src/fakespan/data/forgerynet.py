"""ForgeryNet, temporal forgery localization (arXiv 2103.05630): one list of videos per split, video only.

Contract: `ROOT/{Training,Validation,Test}/video_list.txt`, videos in `video/` beside it. A line is

    <n> <name> <n times: first frame, frames, fake?> <fake?> <three-way class> <sixteen-way class>

according to the readme and the authors. Undocumented and assumed: frames are counted from 0; the frame rates differ and
are not in the list, so frame k is at k / 25 s, the network's clock, and a reader must show every frame of the file in
turn (facts["clock"] is "frames"). The list may cover only a part of the video; the rest is not annotated and may be
forged too (facts["annotated_frames"]: the first frame, and the one after the last). Videos of the methods 2 and 8 are
forged throughout, and the published lists omit them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fakespan.config import FPS
from fakespan.data.entries import Reading, Unusable, collect, read_text, segment, split_of, tidy_name
from fakespan.errors import DataError
from fakespan.types import Sample, Segment

__all__ = ["METHODS", "read"]

_FOLDERS = {"Training": "train", "Validation": "validation", "Test": "test"}
METHODS = (
    *("FaceShifter", "FS-GAN", "DeepFakes", "BlendFace", "MMReplacement", "DeepFakes-StarGAN-Stack"),
    *("Talking Head Video", "ATVG-Net", "StarGAN-BlendFace-Stack", "First Order Motion", "StyleGAN2", "MaskGAN"),
    *("StarGAN2", "SC-FEGAN", "DiscoFaceGAN", "RAVDESS", "CREMA-D", "AVSpeech", "VoxCeleb2"),
)
"""Names of the sixteen-way classes from 1 on, as the authors gave them; the last four are sources of real videos."""
_N_REAL = 4


def read(root: Path) -> Reading:
    """The clips of a ForgeryNet folder.

    Raises:
        DataError: no video_list.txt in the folders of the splits, or one that is not a text file.
    """
    reading = Reading()
    lists = [(root / folder / "video_list.txt", folder) for folder in _FOLDERS]
    found = [(path, folder) for path, folder in lists if path.is_file()]
    if not found:
        expected = "Training/video_list.txt or Validation/video_list.txt in it"
        raise DataError(root, expected=expected, got="neither", remedy="give the folder that holds Training")
    for path, folder in found:
        lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
        where = f"{folder}/video_list.txt"
        collect(reading, lines, partial(_sample, root, folder), where, _name_in)
    return reading


def _sample(root: Path, folder: str, words: list[str], reading: Reading) -> Sample:
    name = tidy_name(_name_in(words))
    path, split = root / folder / "video" / name, split_of(_FOLDERS[folder])
    if len(words) <= 2:
        return Sample(name, path, split, 0.0, facts={"labelled": False, "clock": "frames"})
    numbers = _numbers([words[0], *words[2:]])
    n, cells, classes = numbers[0], numbers[1:-3], numbers[-3:]
    if len(cells) != 3 * n:
        raise Unusable("entry", f"expected {n} segments of three numbers, got {len(cells)} numbers")
    stretches = [(cells[3 * k], cells[3 * k] + cells[3 * k + 1], bool(cells[3 * k + 2])) for k in range(n)]
    segments = tuple(_segment(start, end) for start, end, is_fake in stretches if is_fake)
    if classes[0] and not segments:
        raise Unusable("label", "labelled as fake, but without forged segments")
    if segments and not classes[0]:
        reading.note("label", name, "labelled as real, but with a forged segment; the segment is used")
    first, last = min((s[0] for s in stretches), default=0), max((s[1] for s in stretches), default=0)
    method = METHODS[classes[2] - 1] if 0 < classes[2] <= len(METHODS) - _N_REAL else ""
    facts = {"clock": "frames", "annotated_frames": (first, last), "class": classes[2]}
    return Sample(name, path, split, last / FPS, segments, facts=facts | ({"method": method} if method else {}))


def _name_in(words: list[str]) -> str:
    return words[1] if len(words) > 1 else words[0]


def _numbers(words: list[str]) -> list[int]:
    if len(words) < 4 or not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
        raise Unusable("entry", "expected whole numbers around the name")
    return [int(word) for word in words]


def _segment(start: int, end: int) -> Segment:
    return segment(start / FPS, end / FPS, "visual")
