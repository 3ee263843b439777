"""A self-contained HTML page for a scan: video, timeline, curves and table; no network requests, no libraries.

The content security policy allows only the page's own style and script, by their hashes; all text from the scan is
escaped by the template. The video is linked by a relative path or embedded as a data URI.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jinja2
from markupsafe import Markup

from fakespan.errors import UsageError
from fakespan.files import write_text
from fakespan.report import timeline, words
from fakespan.report.axis import axis_of, file_axis
from fakespan.report.closeups import NO_CLOSEUPS, CloseUps, Reference, reference_view, view
from fakespan.report.evidence import evidence_facts
from fakespan.report.grades import TIER_LIMIT, strength
from fakespan.report.outcomes import about
from fakespan.report.provenance import provenance_facts
from fakespan.types import FORMAT, FaceTrack, Scan, Segment, Source

__all__ = ["EMBED_LIMIT_MB", "render_html", "write_html"]

EMBED_LIMIT_MB = 64
"""Largest file to embed; larger pages are slow or fail in browsers."""

_TEMPLATES = Path(__file__).with_name("templates")


def render_html(
    scan: Scan,
    media_url: str | None = None,
    closeups: CloseUps = NO_CLOSEUPS,
    reference_url: str | None = None,
) -> str:
    """Render the page as text.

    Args:
        scan: the scan to show.
        media_url: URL of the file, relative to the page, or a data URI; None: no player.
        closeups: stills and spectrograms of the segments, and the comparison with an untouched take.
        reference_url: URL of that take; None: no second player.
    """
    rows = [_table_row(scan, segment) for segment in words.in_order(scan)]
    template = _environment().get_template("report.html.j2")
    return template.render(
        scan=scan,
        name=words.printable(Path(scan.file).name),
        file=words.printable(scan.file),
        verdict=words.verdict(scan),
        comparison=words.comparison(scan),
        found=words.found(scan),
        about=about(scan, words.whole(scan)),
        has_whole=scan.verdict is not None,
        facts=words.media_facts(scan),
        rows=rows,
        closeups=view(closeups, rows),
        closeups_note=closeups.note,
        reference=None if closeups.reference is None else reference_view(closeups.reference, reference_url),
        unjudged=[words.unjudged(part) for part in scan.not_judged],
        is_hatched=bool(timeline.hatched(scan)),
        faces=[_face(track) for track in scan.tracks],
        zooms=timeline.zooms(axis_of(scan).length_s),
        curve_kinds=[k for k in ("audio", "visual", "fused") if any(c.modality == k for c in scan.curves)],
        gutter=Markup(timeline.gutter(scan)),  # noqa: S704 - escaped where it is made
        plot=Markup(timeline.plot(scan)),  # noqa: S704
        evidence=evidence_facts(scan),
        provenance=provenance_facts(scan),
        media_url=media_url,
        player=_player_data(scan, media_url, closeups.reference),
        **_limits(scan),
        format=FORMAT,
        **_assets(),
    )


def write_html(
    scan: Scan,
    path: Path,
    *,
    media: Path | None = None,
    embed: bool = False,
    closeups: CloseUps = NO_CLOSEUPS,
) -> None:
    """Write the page.

    Args:
        scan: the scan to show.
        path: the page to write.
        media: the scanned file; None: `scan.file`, relative to the current folder.
        embed: embed the file in the page instead of linking it, so that the page can be sent by itself. Its size and
            SHA-256 must be those of `scan.source`; a scan without a source embeds only a `media` named by the caller.
        closeups: see `render_html`.

    Raises:
        UsageError: the page cannot be written, or the file to embed is too large, not a regular file, not the scanned
            one or not readable.
    """
    if embed and media is None and scan.source is None:
        raise UsageError(
            scan.file,
            expected="a result that records the content of its file",
            got="one of an older version, without it",
            remedy="scan the file again, or link it (no embed)",
        )
    media = Path(scan.file) if media is None else Path(media)
    url = _data_uri(media, scan.source) if embed else _link(media, Path(path))
    take = None if closeups.reference is None else Path(closeups.reference.file)
    take_url = None if take is None else _data_uri(take, None) if embed else _link(take, Path(path))
    sources = [scan.file, str(media), *([] if take is None else [str(take)])]
    write_text(path, render_html(scan, url, closeups, take_url), sources)


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _limits(scan: Scan) -> dict[str, Any]:
    """The sentences on what a finding can and cannot prove."""
    has_tier = any(segment.tier for segment in scan.segments)
    return {
        "limits": words.LIMITS,
        "whole_limit": words.WHOLE_LIMIT,
        "tier_limit": TIER_LIMIT if has_tier else "",
    }


def _assets() -> dict[str, str]:
    """The page's style and script, and their hashes for its policy."""
    style, script = (_asset(name) for name in ("report.css", "report.js"))
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704 - our own files
    return {**own, "style_hash": _hash(style), "script_hash": _hash(script)}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["timecode"] = words.timecode
    environment.filters["printable"] = words.printable
    return environment


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _link(media: Path, page: Path) -> str:
    """URL of the file relative to the page; absolute if no relative path exists (another drive)."""
    try:
        relative = os.path.relpath(media.resolve(), page.resolve().parent)
    except ValueError:
        return media.resolve().as_uri()
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))  # "./": a name like "data:x" is not a scheme


def _data_uri(media: Path, source: Source | None) -> str:
    """The file as a data URI; with a source only if it has that content, so that a record cannot ask for any file."""
    content = _content(media)
    if source is not None and (len(content), hashlib.sha256(content).hexdigest()) != (source.size_bytes, source.sha256):
        raise UsageError(
            media,
            expected="the scanned file to embed",
            got="a file with other content than the result records",
            remedy="scan the file again, or link it (no embed)",
        )
    mime = mimetypes.guess_type(media.name)[0] or ""
    mime = mime if mime.startswith(("video/", "audio/")) else "video/mp4"
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _content(media: Path) -> bytes:
    """The content of a regular file that is small enough to embed. Raises UsageError."""
    limit = EMBED_LIMIT_MB * 1_000_000
    try:
        facts = media.stat()
        is_regular = stat.S_ISREG(facts.st_mode)
        content = media.read_bytes() if is_regular and facts.st_size <= limit else b""
    except OSError as error:
        raise UsageError(
            media,
            expected="the scanned file to embed",
            got=(error.strerror or str(error)).lower(),
            remedy="run this in the folder of the file, or link it (no embed)",
        ) from error
    if not is_regular:
        remedy = "link it (no embed)"
        raise UsageError(media, expected="a regular file to embed", got="a folder, device or pipe", remedy=remedy)
    if facts.st_size > limit:
        raise UsageError(
            media,
            expected=f"at most {EMBED_LIMIT_MB} MB to embed",
            got=f"{facts.st_size / 1e6:.0f} MB",
            remedy="link it (no embed), and keep page and file together",
        )
    return content


def _table_row(scan: Scan, segment: Segment) -> dict[str, Any]:
    track = next((track for track in scan.tracks if track.id == segment.track), None)
    what = "sound and picture" if segment.modality == "both" else words.MODALITIES[segment.modality]
    place = "" if segment.track is None else f"face {segment.track}"
    if track is not None:
        place = words.where(track) if track.is_whole else f"{place}, {words.where(track)}"
    return {"segment": segment, "what": what, "where": place, "strength": strength(segment)}


def _face(track: FaceTrack) -> dict[str, Any]:
    return {
        "track": track,
        "where": words.where(track),
        "skipped": words.skipped(track),
        "box": [round(100 * share, 1) for share in track.box],
    }


def _player_data(scan: Scan, media_url: str | None, reference: Reference | None) -> dict[str, Any]:
    """Data for the page's script; the template encodes it as JSON that cannot end its script element."""
    axis, whole = axis_of(scan), file_axis(scan)
    return {
        "start": whole.start_s,
        "span": whole.length_s,
        "axis": {"start": axis.start_s, "span": axis.length_s},
        "source": "inside it" if (media_url or "").startswith("data:") else words.printable(unquote(media_url or "")),
        "hasVideo": scan.media.has_video,
        "offset": None if reference is None else reference.offset_s,
        "codecs": [words.printable(c) for c in (scan.media.video_codec, scan.media.audio_codec) if c],
        "segments": [
            {"start": s.start_s, "end": s.end_s, "modality": s.modality, "track": s.track} for s in words.in_order(scan)
        ],
        "tracks": [
            {"id": t.id, "start": t.start_s, "end": t.end_s, "box": t.box, "whole": t.is_whole} for t in scan.tracks
        ],
    }
