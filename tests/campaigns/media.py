"""Damages media files and scans each as the command does: only a result or one typed line may come out.

`python tests/campaigns/media.py --files 250 --seed 1` makes a second of the bundled clip in 20 containers and codecs
and damages each 250 times: bits flipped, cut, blocks doubled, removed, swapped or zeroed, numbers of the header
replaced, and the container's own parts (boxes, elements, chunks, packets, pages, tags) resized, renamed, renumbered,
emptied, left out or copied elsewhere. Every scan runs in a process forked from one that is ready; it may take five
times the length of the film plus ten seconds of CPU time, two minutes by the clock, and 1.5 GB. `--keep FOLDER` keeps
the files that did otherwise.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that has threads must not fork

import argparse
import contextlib
import gc
import io
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the makers of the tests

import fakespan.localizer
from campaigns import damage, structure
from campaigns.readers import rendered
from clips import write_clip
from fakespan import cli
from fakespan.config import ModelConfig
from fakespan.errors import FakespanError
from fakespan.localizer.runner import Answers
from remade import SAMPLE, sample_pictures, sample_sound

FIRST, LAST, SIDE = 140, 165, 112  # pictures of the sample, most of them forged
FILM_S = (LAST - FIRST) / 25
MOST_CPU_S, MOST_CLOCK_S = 5 * FILM_S + 10, 120
MOST_BYTES, MOST_ADDRESSES = 1_500_000_000, 6_000_000_000
ANYWHERE = (
    damage.flipped,
    damage.cut,
    damage.doubled,
    damage.removed,
    damage.swapped,
    damage.zeroed,
    damage.header_field,
    damage.header_field,
)


@dataclass(frozen=True)
class Kind:
    """A container and its codecs."""

    suffix: str
    video: str = ""
    audio: str = ""
    rate: int = 48_000
    pix_fmt: str = "yuv420p"

    @property
    def name(self) -> str:
        """For the table."""
        return " ".join(filter(None, (self.suffix[1:], self.video, self.audio)))

    @property
    def damages(self) -> Sequence[damage.Damage]:
        """Damage anywhere and, as often, of the parts of its container."""
        parse = structure.PARTS.get(self.suffix)
        return ANYWHERE if parse is None else (*ANYWHERE, *structure.damages(parse))


KINDS = (
    Kind(".mp4", "libx264", "aac"),
    Kind(".mp4", "libx265", "ac3"),
    Kind(".mov", "mjpeg", "pcm_s16le", pix_fmt="yuvj420p"),
    Kind(".3gp", "mpeg4", "aac"),
    Kind(".mkv", "libx264", "flac"),
    Kind(".mkv", "ffv1", "pcm_s16le"),
    Kind(".webm", "libvpx", "libopus"),
    Kind(".webm", "libvpx-vp9", "libopus"),
    Kind(".avi", "mpeg4", "libmp3lame"),
    Kind(".flv", "flv", "libmp3lame", 44_100),
    Kind(".flv", "libx264", "aac"),
    Kind(".ts", "libx264", "aac"),
    Kind(".ts", "mpeg2video", "mp2"),
    Kind(".mpg", "mpeg2video", "mp2"),
    Kind(".wmv", "wmv2", "libmp3lame", 44_100),
    Kind(".mxf", "mpeg2video", "pcm_s16le"),
    Kind(".ogg", "", "libopus"),
    Kind(".wav", "", "pcm_s16le"),
    Kind(".mp3", "", "libmp3lame"),
    Kind(".flac", "", "flac"),
)


@dataclass
class Tried:
    """What came of the files of a kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    longest_cpu_s: float = 0.0
    most_bytes: int = 0


def good_file(kind: Kind, folder: Path) -> Path:
    """A second of the sample."""
    pictures = [cv2.resize(picture, (SIDE, SIDE)) for picture in sample_pictures()[FIRST:LAST]] if kind.video else []
    heard = sample_sound()[0, FIRST * 640 : LAST * 640]
    times = np.arange(round(FILM_S * kind.rate)) / kind.rate
    sound = np.interp(times, np.arange(len(heard)) / 16_000, heard).astype(np.float32)[None]
    path = folder / f"{kind.name.replace(' ', '-')}{kind.suffix}"
    codecs = {"video_codec": kind.video, "audio_codec": kind.audio, "pix_fmt": kind.pix_fmt}
    return write_clip(path, pictures, np.arange(len(pictures)) / 25, sound=sound, sound_rate=kind.rate, **codecs)


def scan_in_child(path: Path, out: Path, err: Path) -> tuple[int, Any]:
    """Fork, scan as the command does with its output in two files; its wait status and what it used."""
    child = os.fork()
    if child == 0:
        _become_the_command(path, out, err)
    _, status, used = os.wait4(child, 0)
    return status, used


def _become_the_command(path: Path, out: Path, err: Path) -> NoReturn:
    code = 70
    try:
        signal.alarm(MOST_CLOCK_S)
        for limit, most in ((resource.RLIMIT_CPU, round(MOST_CPU_S)), (resource.RLIMIT_AS, MOST_ADDRESSES)):
            resource.setrlimit(limit, (most, most))
        for name, number in ((out, 1), (err, 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        code = _exit_code(path)
        sys.stdout.flush()
    finally:
        os._exit(code)


def _exit_code(path: Path) -> int:
    """Run the command in this process."""
    sys.argv = ["fakespan", "scan", str(path), "--json", "--backend", "onnx"]
    try:
        cli.main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def outcome(status: int, used: Any, out: Path, err: Path) -> str:
    """ "read", "refused", or what else happened."""
    code = os.waitstatus_to_exitcode(status)
    told = err.read_text(encoding="utf-8", errors="replace")
    if used.ru_maxrss * 1024 > MOST_BYTES:
        return f"more than {MOST_BYTES / 1e9:.1f} GB"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    if code == 0:
        return told[:300] or _read_again(out)
    is_one_line = told.count("\n") == 1 and len(told) < 1500 and told.startswith("fakespan: ")
    is_foreseen = "please report" not in told
    return "refused" if code == 1 and is_one_line and is_foreseen else f"exit code {code}: {told[-300:]}"


def _read_again(result: Path) -> str:
    """A result is one that other commands read and show."""
    try:
        rendered(result)
    except FakespanError as error:
        return f"a result that is refused: {error}"[:300]
    return "read"


class Noise:
    """Stands in for the network, which sees nothing of a file but crops and samples and would take half of the time."""

    backend, device_name, digest = "onnx", "cpu", "noise"

    def __init__(self, model: ModelConfig) -> None:
        self.model = model

    def __call__(self, faces: np.ndarray | None, sound: np.ndarray | None, n_frames: int) -> Answers:
        """The same noise for every clip."""
        del n_frames
        n = len(sound if faces is None else faces)
        rng = np.random.default_rng(0)
        names = ["", *(["visual"] if faces is not None else []), *(["audio"] if sound is not None else [])]
        maps = {
            name or "score": rng.random((n, self.model.max_duration, self.model.n_frames), np.float32) for name in names
        }
        return maps | {f"{name}_frames": rng.random((n, self.model.n_frames), np.float32) for name in names if name}


def warmed() -> None:
    """Load what a scan needs once, for all children."""
    cv2.setNumThreads(1)
    av.logging.set_level(None)
    localizer = fakespan.localizer.load_model("small", "cpu", "onnx")
    localizer.runner = Noise(localizer.model)
    fakespan.localizer.load_model = lambda *_: localizer
    with contextlib.redirect_stdout(io.StringIO()):
        assert _exit_code(SAMPLE) == 0
    gc.freeze()


def campaign(
    kinds: Sequence[Kind], n_files: int, seed: int, folder: Path, keep: Path | None = None
) -> dict[str, Tried]:
    """For each kind, what came of so many damaged files."""
    out, err, found = folder / "result.json", folder / "errors", {}
    for kind in kinds:
        good = good_file(kind, folder)
        content, path = good.read_bytes(), folder / f"damaged{kind.suffix}"
        status, used = scan_in_child(good, out, err)
        assert outcome(status, used, out, err) == "read", (kind.name, outcome(status, used, out, err))
        found[kind.name] = tried = Tried()
        for k in range(n_files):
            path.write_bytes(damage.damaged(content, random.Random(f"{seed} {kind.name} {k}"), kind.damages))
            status, used = scan_in_child(path, out, err)
            what = outcome(status, used, out, err)
            tried.outcomes[what] += 1
            tried.longest_cpu_s = max(tried.longest_cpu_s, used.ru_utime + used.ru_stime)
            tried.most_bytes = max(tried.most_bytes, used.ru_maxrss * 1024)
            if keep is not None and what not in ("read", "refused"):
                path.replace(keep / f"{seed}-{k}-{good.name}")
    return found


def main() -> int:
    """Run the campaign; 1 if anything else than a result or a typed line came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=250, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", help="only kinds whose name contains this")
    parser.add_argument("--keep", type=Path, help="an existing folder for the files that did otherwise")
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if (options.kind or "") in kind.name]
    warmed()
    n_else = 0
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            (tried,) = campaign([kind], options.files, options.seed, Path(folder), options.keep).values()
        n_else += _told(kind.name, tried, time.monotonic() - began)
    return 1 if n_else else 0


def _told(name: str, tried: Tried, wall_s: float) -> int:
    """Print what came of a kind; how many files did otherwise."""
    outcomes = tried.outcomes
    n_read, n_refused = outcomes.pop("read", 0), outcomes.pop("refused", 0)
    most = f"at most {tried.longest_cpu_s:.1f} s of CPU time and {tried.most_bytes / 1e6:.0f} MB"
    print(f"{name}: {n_read} read, {n_refused} refused, {outcomes.total()} else; {most}; {wall_s:.0f} s", flush=True)
    for what, n in outcomes.most_common():
        print(f"  {n} x {what}", flush=True)
    return outcomes.total()


if __name__ == "__main__":
    sys.exit(main())
