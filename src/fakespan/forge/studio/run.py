"""The workflow of the studio: survey, plan, make all clips, write the metadata. An interrupted run can be resumed.

OUT/train|dev|test/000000.mp4   224x224 face crops, 25 fps, 16 kHz mono, as in LAV-DF
OUT/metadata.json               LAV-DF's fields, and the details: words before and after, methods, donors
OUT/metadata.min.json           LAV-DF's fields, and the methods, to break down results
OUT/forge.json                  digest of the source files' names, seed, config, counts, skipped files with reasons
OUT/.studio/                    the survey and a record of each finished clip; may be removed when the set is complete
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.config import FPS, SAMPLES_PER_FRAME, to_mapping
from fakespan.errors import DataError, FakespanError, MediaError
from fakespan.files import differences, replacing, sweep, told_of_disk
from fakespan.forge.labels import Word
from fakespan.forge.studio.config import ForgeConfig
from fakespan.forge.studio.make import Forged, Stage, make_clip
from fakespan.forge.studio.plan import Entry, Plan, Scene, plan
from fakespan.forge.studio.survey import Take, find_media, run_jobs, survey
from fakespan.forge.studio.tools import Tools
from fakespan.forge.studio.track import Track, read_track
from fakespan.media.encode import write_video
from fakespan.types import Progress

__all__ = ["Result", "forge_set"]

LAVDF_FIELDS = (
    "file",
    "n_fakes",
    "fake_periods",
    "duration",
    "original",
    "modify_video",
    "modify_audio",
    "split",
    "video_frames",
    "audio_channels",
    "audio_frames",
)
BITRATES = (64_000, 96_000, 128_000)


@dataclass(frozen=True)
class Result:
    """The result of a run."""

    n_clips: dict[str, int]  # per kind
    n_files: int  # source files used
    passed_over: dict[str, str]  # skipped source file -> reason
    failed: dict[str, str]  # clip that could not be made -> reason
    fell_back: dict[str, list[str]]  # clip -> planned methods that were replaced, with reasons


def forge_set(
    source: Path,
    out: Path,
    config: ForgeConfig,
    *,
    count: int,
    seed: int,
    n_workers: int,
    progress: Progress | None = None,
) -> Result:
    """Make a data set of `count` clips in LAV-DF's layout from the genuine clips below a folder.

    Equal source, config, count and seed give equal data sets; an incomplete one is resumed.

    Raises:
        DataError: no usable source, `out` holds another data set, or it cannot be written.
        MissingExtraError: the extra `forge` is not installed.
    """
    with told_of_disk(out):
        return _forged(source, out, config, count, seed, n_workers, progress)


def _forged(  # noqa: PLR0917
    source: Path, out: Path, config: ForgeConfig, count: int, seed: int, n_workers: int, progress: Progress | None
) -> Result:
    work = out / ".studio"
    _claim(out, {"seed": seed, "count": count, "config": to_mapping(config), "source": _digest(source, out)})
    (work / "clips").mkdir(parents=True, exist_ok=True)
    takes = survey(source, work / "survey.jsonl", config, n_workers, _titled(progress, "listening"))
    planned = plan(takes, config, count, seed)
    scenes = planned.scenes
    for split in {scene.split for scene in scenes}:
        (out / split).mkdir(exist_ok=True)
    failed = _make_all(planned, source, out, config, n_workers, _titled(progress, "forging"))
    records = [record for scene in scenes for entry in scene.entries if (record := _record(out, entry)) is not None]
    records.sort(key=lambda record: str(record["file"]))
    _write_json(out / "metadata.json", records)
    short = [{key: record[key] for key in (*LAVDF_FIELDS, "method")} for record in records]
    _write_json(out / "metadata.min.json", short)
    used = {scene.take.file for scene in scenes}
    passed_over = {take.file: take.problem for take in takes if take.problem}
    fell_back = {str(r["file"]): r["fallbacks"] for r in records if r.get("fallbacks")}
    result = Result(dict(Counter(str(r["kind"]) for r in records)), len(used), passed_over, failed, fell_back)
    _write_json(out / "forge.json", {**json.loads((out / "forge.json").read_text()), **dataclasses.asdict(result)})
    return result


def _digest(source: Path, out: Path) -> str:
    """Digest of the names of all source files. Raises DataError if there are none, or the set would lie among them."""
    names = [path.relative_to(source).as_posix() for path in find_media(source)]
    if out.resolve().is_relative_to(source.resolve()):
        remedy = "choose another folder: forged clips would count as genuine"
        raise DataError(out, expected="a folder outside of the source", got="one inside it", remedy=remedy)
    return hashlib.blake2b("\n".join(names).encode(), digest_size=16).hexdigest()


def _claim(out: Path, settings: Mapping[str, Any]) -> None:
    """Check that the folder is new or holds this data set.

    Raises:
        DataError: it has other content.
    """
    note = out / "forge.json"
    sweep(out, deep=True)
    if note.is_file():
        known = _settings(note)
        # a set of an earlier version does not name its source
        for name, _, _ in differences({key: known.get(key, value) for key, value in settings.items()}, settings):
            got = f"a set with another {name}"
            raise DataError(out, expected="a new folder or this set", got=got, remedy="choose another folder")
        return
    if out.is_dir() and any(out.iterdir()):
        raise DataError(out, expected="a new or empty folder", got="other files", remedy="choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    _write_json(note, settings)


def _settings(note: Path) -> dict[str, Any]:
    """What a set says of itself. Raises DataError if it is damaged, or the file of another program."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise DataError(note, expected="the settings of a set", got="something else", remedy="choose another folder")
    return known


def _make_all(  # noqa: PLR0917
    planned: Plan, source: Path, out: Path, config: ForgeConfig, n_workers: int, progress: Progress | None
) -> dict[str, str]:
    """Make all missing clips; returns those that failed, with reasons."""
    scenes = planned.scenes
    left = [s for s in scenes if any(_record(out, entry) is None for entry in s.entries)]
    total = sum(len(s.entries) for s in scenes)
    failed: dict[str, str] = {}
    done = total - sum(len(s.entries) for s in left)
    jobs = {k: (scene, planned.lenders(scene), source, out, config) for k, scene in enumerate(left)}
    for k, lost in run_jobs(_make_scene, jobs, n_workers):
        failed.update(lost)
        done += len(left[k].entries)
        if progress:
            progress(done, total)
    return failed


def _make_scene(scene: Scene, lenders: Sequence[Take], source: Path, out: Path, config: ForgeConfig) -> dict[str, str]:
    """Make the clips of one scene; returns those that failed, with reasons."""
    shelf = _Shelf(source)
    tools, failed = _tools(config), {}
    for entry in scene.entries:
        if _record(out, entry) is not None:
            continue
        try:
            stage = _stage(scene, lenders, shelf)
            made = make_clip(stage, entry.kind, config, tools, np.random.default_rng(entry.seed))
            _write_clip(made, scene, entry, out, config)
        except FakespanError as error:
            failed[entry.file] = str(error)
    return failed


@functools.lru_cache(maxsize=1)
def _tools(config: ForgeConfig) -> Tools:
    """The tools of a worker process: a persistent voice program is started once and ends with the worker."""
    return Tools(config)


class _Shelf:
    """A small cache of decoded tracks."""

    def __init__(self, source: Path, n_kept: int = 12) -> None:
        self.source, self.n_kept = source, n_kept
        self.tracks: dict[str, Track] = {}

    def __call__(self, file: str) -> Track:
        if file not in self.tracks:
            track = read_track(self.source / file)
            if track is None:
                raise MediaError(
                    file, expected="a face with audio", got="none any more", remedy="do not change the source files"
                )
            while len(self.tracks) >= self.n_kept:
                del self.tracks[next(iter(self.tracks))]
            self.tracks[file] = track
        return self.tracks[file]


def _stage(scene: Scene, lenders: Sequence[Take], shelf: _Shelf) -> Stage:
    track, begin_s = shelf(scene.take.file), scene.first / FPS
    inside = [w for w in scene.take.words if w.start_s >= begin_s and w.end_s * FPS <= scene.stop]
    words = tuple(Word(w.text, w.start_s - begin_s, w.end_s - begin_s) for w in inside)
    # the rest of a long take can be a donor too
    rest = [w for w in scene.take.words if w.end_s <= begin_s or w.start_s * FPS >= scene.stop]
    elsewhere: dict[str, Sequence[Word]] = {take.file: take.words for take in lenders}
    if rest:
        elsewhere[scene.take.file] = rest
    return Stage(
        track.faces[scene.first : scene.stop],
        track.sound[scene.first * SAMPLES_PER_FRAME : scene.stop * SAMPLES_PER_FRAME],
        words,
        elsewhere,
        shelf,
    )


def _write_clip(made: Forged, scene: Scene, entry: Entry, out: Path, config: ForgeConfig) -> None:
    """Write the clip, then its record: a clip without a record is made again."""
    rng = np.random.default_rng([*entry.seed, 1])  # independent of the forgery, so that quality reveals nothing
    crf, bitrate = int(rng.integers(config.crf[0], config.crf[1] + 1)), int(rng.choice(BITRATES))
    path, faces, sound = out / entry.file, made.faces, made.sound
    write_video(path, faces, FPS, sound, crf=crf, audio_bitrate=bitrate, repeatable=True)
    record = {
        "file": entry.file,
        "n_fakes": len(made.spans),
        "fake_periods": [[round(s.start_s, 4), round(s.end_s, 4)] for s in made.spans],
        "duration": len(made.faces) / FPS,
        "original": None if made.kind == "real" else scene.original,
        "modify_video": made.kind in ("visual", "both"),
        "modify_audio": made.kind in ("audio", "both"),
        "split": scene.split,
        "video_frames": len(made.faces),
        "audio_channels": 1,
        "audio_frames": len(made.sound),
        "kind": made.kind,
        "fallbacks": list(made.fallbacks),
        "source": {"file": scene.take.file, "frames": [scene.first, scene.stop], "speaker": scene.take.speaker},
        "forged": [dataclasses.asdict(s) for s in made.spans],
        "method": " ".join(sorted({m for s in made.spans for m in (s.voice, s.lips) if m})),
        "crf": crf,
        "audio_bitrate": bitrate,
    }
    _write_json(_record_path(out, entry), record)


def _record_path(out: Path, entry: Entry) -> Path:
    return out / ".studio" / "clips" / (entry.file.replace("/", "-") + ".json")


def _record(out: Path, entry: Entry) -> dict[str, Any] | None:
    """The record of a finished clip; None if it is not finished."""
    path = _record_path(out, entry)
    if not path.is_file() or not (out / entry.file).is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _write_json(path: Path, value: object) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _titled(progress: Progress | None, title: str) -> Progress | None:
    return None if progress is None else functools.partial(progress, note=f"({title})")
