"""Word times from a label file beside the media file: GRID, TextGrid, whisperX, CTM, WebVTT, LRS2, plain text.

A label file has the media file's name with another suffix: `clip.align`, `clip.TextGrid`, `clip.json`, `clip.ctm`,
`clip.vtt` (or `clip.en.vtt`), `clip.txt`. Times are in seconds. Some formats have words with times, others only
sentences with times, or the text alone: `Labels.passages` then has what is spoken when, as input of forced alignment.
Results of `fakespan scan` in these formats say what is suspected, not what is said: they are no label files.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakespan.errors import DataError, MissingExtraError
from fakespan.files import decoded

__all__ = ["Labels", "Passage", "Word", "read_labels"]

GRID_RATE = 25_000  # units a second of GRID's .align files
SILENCES = frozenset({"", "sil", "sp", "spn", "<eps>", "<s>", "</s>", "<sil>", "[noise]"})
MAX_BYTES = 16 * 2**20  # no label file of one clip is larger
RESULT_TIERS = {"sound", "picture", "sound and picture", "outcome"}  # of a result as TextGrid
RESULT_TEXT = re.compile(r"WEBVTT\s+NOTE\s+fakespan |[\d.]+\t[\d.]+\tsuspected: ")  # of one as WebVTT, for Audacity
STAMP = re.compile(r"<(?:(\d+):)?(\d{1,2}):(\d{2}\.\d{3})>")


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word."""

    text: str  # lower case, without punctuation
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A transcript of a time range without word times; end None: to the end of the file."""

    text: str
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """The content of a label file: words, or passages to be aligned."""

    words: tuple[Word, ...] = ()
    passages: tuple[Passage, ...] = ()


def read_labels(media: Path) -> Labels | None:
    """The labels beside a media file; None if there are none.

    Raises:
        DataError: a label file is damaged or has no words.
        MissingExtraError: a TextGrid or WebVTT file without the extra `forge`.
    """
    for suffix, read in READERS:
        for path in sorted({media.with_suffix(suffix), *media.parent.glob(f"{_escaped(media.stem)}.*{suffix}")}):
            if path.is_file() and path != media and (labels := _read(path, read, media)) is not None:
                return labels
    return None


def clean(text: str) -> str:
    """Normalise a word as in the dictionaries: lower case, with apostrophes.

    >>> clean("“Don’t!”")
    "don't"
    """
    return re.sub(r"[^\w'-]", "", text.lower().replace("\u2019", "'")).strip("-'_")


def _read(path: Path, read: Callable[[str, Path, Path], Labels | None], media: Path) -> Labels | None:
    if path.stat().st_size > MAX_BYTES:
        raise _error(path, f"a label file of at most {MAX_BYTES // 2**20} MB", f"{path.stat().st_size} bytes")
    try:
        text = decoded(path.read_bytes())
        is_result = RESULT_TEXT.match(text) or (path.name.endswith(".labels.txt") and not text)  # nothing found
        labels = None if is_result else read(text, path, media)
    except (DataError, MissingExtraError):
        raise
    except Exception as error:  # a malicious file may raise anything in its parser
        raise _error(path, f"word labels ({path.suffix})", f"{type(error).__name__}: {error}") from error
    if labels is not None and not labels.words and not labels.passages:
        raise _error(path, "at least one word", "none")
    return labels


def _words(rows: Iterable[tuple[str, float, float]]) -> Labels:
    """Words from rows of text, start, end; silences and rows without length are skipped."""
    found = [Word(clean(t), float(a), float(b)) for t, a, b in rows if t.strip().lower() not in SILENCES]
    kept = [w for w in found if w.text and 0 <= w.start_s < w.end_s < float("inf")]
    return Labels(words=tuple(sorted(kept, key=lambda w: (w.start_s, w.end_s))))


def _read_align(text: str, path: Path, media: Path) -> Labels:
    """GRID: `start end word`, 25,000 units per second."""
    rows = [line.split(maxsplit=2) for line in text.splitlines() if line.strip()]
    return _words((word, int(start) / GRID_RATE, int(end) / GRID_RATE) for start, end, word in rows)


def _read_textgrid(text: str, path: Path, media: Path) -> Labels | None:
    """Praat: the interval tier named words, or the first one; None if it is a result of `fakespan scan`."""
    try:
        from praatio import textgrid  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("praatio", "forge") from error
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="silence")
    if set(grid.tierNames) >= RESULT_TIERS:
        return None
    intervals = [name for name in grid.tierNames if isinstance(grid.getTier(name), textgrid.IntervalTier)]
    if not intervals:
        raise _error(path, "an interval tier", "none")
    named = [name for name in intervals if name.lower().removesuffix("s") == "word" or name.lower().endswith("words")]
    return _words((e.label, e.start, e.end) for e in grid.getTier((named or intervals)[0]).entries)


def _read_whisperx(text: str, path: Path, media: Path) -> Labels | None:
    """whisperX: `word_segments`, or `words` inside `segments`; words without times are skipped.

    Any other JSON is not a label file, nor is a result of `fakespan scan`.
    """
    record: Any = json.loads(text)
    if not isinstance(record, dict) or not {"word_segments", "segments"} & record.keys():
        return None
    if str(record.get("format", "")).startswith("fakespan."):
        return None
    rows = record.get("word_segments") or [w for s in record.get("segments", ()) for w in s.get("words", ())]
    timed = [w for w in rows if "start" in w and "end" in w]
    if timed:
        return _words((str(w["word"]), w["start"], w["end"]) for w in timed)
    segments = [s for s in record.get("segments", ()) if str(s.get("text", "")).strip()]
    return Labels(passages=tuple(Passage(str(s["text"]), float(s["start"]), float(s["end"])) for s in segments))


def _read_ctm(text: str, path: Path, media: Path) -> Labels:
    """NIST: `file channel start length word [confidence]`; of several files the one with the clip's name."""
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith(";;")]
    names = {row[0] for row in rows}
    chosen = [row for row in rows if len(names) == 1 or row[0] == media.stem]
    return _words((row[4], float(row[2]), float(row[2]) + float(row[3])) for row in chosen)


def _read_vtt(text: str, path: Path, media: Path) -> Labels:
    """WebVTT: words if the cues contain timestamps, otherwise the text of each cue."""
    try:
        import webvtt  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("webvtt-py", "forge") from error
    cues = webvtt.from_string(text).captions
    if any(STAMP.search(cue.raw_text) for cue in cues):
        return _words(row for cue in cues for row in _stamped(cue))
    spoken = [(_plain(cue.raw_text), _seconds(cue.start_time), _seconds(cue.end_time)) for cue in cues]
    return Labels(passages=tuple(Passage(text, float(a), float(b)) for text, a, b in spoken if text))


def _stamped(cue: Any) -> list[tuple[str, float, float]]:
    """The words of a cue like `one<00:00:01.200> two<00:00:01.500> three`; a timestamp starts the word after it.

    Text after the first word and before the next timestamp has no time and is dropped.
    """
    parts = STAMP.split(cue.raw_text)
    starts = [_seconds(cue.start_time)]
    starts += [
        int(h or 0) * 3600 + int(m) * 60 + float(s) for h, m, s in zip(*(parts[k::4] for k in (1, 2, 3)), strict=True)
    ]
    ends = [*starts[1:], _seconds(cue.end_time)]
    return [
        (word, a, b)
        for text, a, b in zip(map(_plain, parts[::4]), starts, ends, strict=True)
        for word in text.split()[:1]
    ]


def _seconds(time: Any) -> float:
    return float(time.hours * 3600 + time.minutes * 60 + time.seconds + time.milliseconds / 1000)


def _plain(cue: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", cue)).split())


def _read_txt(text: str, path: Path, media: Path) -> Labels:
    """LRS2 and LRS3: `Text:  WORDS`, with an optional table `WORD START END SCORE`; otherwise a plain transcript."""
    lines = text.splitlines()
    tables = [k for k, line in enumerate(lines) if line.split()[:3] == ["WORD", "START", "END"]]
    if tables:
        rows = [line.split() for line in lines[tables[0] + 1 :] if len(line.split()) >= 3]
        return _words((row[0], float(row[1]), float(row[2])) for row in rows)
    texts = [line.removeprefix("Text:").strip() for line in lines if line.startswith("Text:")] or [text]
    plain = " ".join(" ".join(texts).split())
    return Labels(passages=(Passage(plain),) if plain else ())


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)


def _error(path: Path, expected: str, got: str) -> DataError:
    return DataError(path, expected=expected, got=got, remedy="correct or remove this label file")


READERS = (
    (".align", _read_align),
    (".TextGrid", _read_textgrid),
    (".textgrid", _read_textgrid),
    (".json", _read_whisperx),
    (".ctm", _read_ctm),
    (".vtt", _read_vtt),
    (".txt", _read_txt),
)
