"""Wording that all reports share: times, positions, modalities, the verdict.

Nothing here claims more than the scan shows: a segment is "suspected", and a file without one is not called genuine.
File names are untrusted: `printable` escapes what could control a terminal or reverse the reading order.
"""

from __future__ import annotations

import math
from pathlib import Path

from fakespan.rates import MOST_GENUINE
from fakespan.report.grades import TIERS, of_genuine
from fakespan.types import FaceTrack, Outcome, Reason, Scan, Segment, Unjudged, Verdict

__all__ = [
    "LIMITS",
    "MODALITIES",
    "OUTCOMES",
    "REASONS",
    "WHOLE_LIMIT",
    "absent",
    "compared",
    "comparison",
    "content",
    "file_url",
    "found",
    "in_order",
    "media_facts",
    "printable",
    "skipped",
    "span_ms",
    "suspicion",
    "timecode",
    "unjudged",
    "verdict",
    "where",
    "whole",
]

_SUSPECTED = {"audio": "sound", "visual": "picture", "both": "sound and picture"}
MODALITIES = {"audio": "sound", "visual": "picture", "both": "both"}
"""Display name of each modality, in the order of the timeline's rows."""

REASONS: dict[Reason, str] = {
    "gap": "nothing recorded",
    "damaged": "damaged",
    "silence": "silence",
    "music_or_noise": "music or noise",
    "tone": "a tone over the sound",
    "no_face": "no face",
    "face_too_small": "face too small",
    "face_too_soft": "face out of focus",
    "face_still": "face that stands still",
    "too_short": "too short",
    "sound_only": "sound only",
    "picture_only": "picture only",
    "not_asked": "not asked for",
}
"""Why something was not judged, in a word or a few."""

OUTCOMES: dict[Outcome, str] = {
    "suspected": "suspected forged",
    "nothing_found": "no forgery found",
    "inconclusive": "inconclusive",
}
"""The finding about a file, in a word or a few."""

LIMITS = (
    "A finding is a hint, not a proof: listen to and look at each suspected segment, and weigh it with other evidence.",
    "Strong compression, noise, cuts, dubbing and filters can raise the score of a genuine recording.",
    "A file without findings is not necessarily genuine: the model misses forgeries unlike those it was trained on.",
    "Inconclusive means neither forged nor genuine: the model judges speech and faces, and found too little of either.",
)

WHOLE_LIMIT = "The verdict on the whole file and the list of segments answer different questions, and may differ."


def printable(text: str) -> str:
    r"""The text with control, direction and undecodable characters shown as escapes.

    >>> printable("a\x1b[31m.mp4")
    'a\\x1b[31m.mp4'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def file_url(name: str) -> str:
    """The file as a URL with its absolute path, for tools that open it; ASCII.

    >>> file_url("/a/b c.mp4")
    'file:///a/b%20c.mp4'
    """
    path = Path(name).absolute()
    try:
        return path.as_uri()
    except UnicodeEncodeError:  # no file can have this name
        return Path(printable(str(path))).as_uri()


def timecode(time_s: float, decimals: int = 2) -> str:
    """Format a time as hours (if any), minutes and seconds.

    >>> timecode(3.2), timecode(3725.5, 1)
    ('0:03.20', '1:02:05.5')
    """
    seconds, rest = divmod(round(time_s * 10**decimals), 10**decimals)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    text = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{text}:{seconds % 60:02d}" + (f".{rest:0{decimals}d}" if decimals else "")


def in_order(scan: Scan) -> list[Segment]:
    """The segments by start time; all reports number them in this order."""
    return sorted(scan.segments, key=lambda s: (s.start_s, s.end_s))


def suspicion(segment: Segment) -> str:
    """What is suspected, its score and its tier, for tools that show one line of text.

    >>> suspicion(Segment(1.2, 1.9, 0.93, "audio")), suspicion(Segment(1.2, 1.9, 0.93, "audio", tier="very_strong"))
    ('suspected: sound (0.93)', 'suspected: sound (0.93, very strong evidence)')
    """
    tier = "" if segment.tier is None else f", {TIERS[segment.tier]} evidence"
    return f"suspected: {_SUSPECTED[segment.modality]} ({segment.score:.2f}{tier})"


def span_ms(segment: Segment) -> tuple[int, int]:
    """Start and end in milliseconds, at least one apart."""
    start_ms = round(segment.start_s * 1000)
    return start_ms, max(round(segment.end_s * 1000), start_ms + 1)


def content(scan: Scan) -> str:
    """The scanned content as "SHA-256 ...", by which a result is known to belong to a file; empty if unknown."""
    return f"SHA-256 {scan.source.sha256}" if scan.source else ""


def unjudged(part: Unjudged) -> str:
    """A stretch that was not judged, and why.

    >>> unjudged(Unjudged(2.0, 3.5, "gap")), unjudged(Unjudged(4.0, 6.0, "silence", "audio"))
    ('not judged: 0:02.00 to 0:03.50 (nothing recorded)', 'sound not judged: 0:04.00 to 0:06.00 (silence)')
    """
    what = "" if part.modality == "both" else f"{MODALITIES[part.modality]} "
    return f"{what}not judged: {timecode(part.start_s)} to {timecode(part.end_s)} ({REASONS[part.reason]})"


def verdict(scan: Scan) -> str:
    """The finding about the whole file, in two or three words."""
    return OUTCOMES[scan.outcome]


def whole(scan: Scan) -> str:
    """The video-level verdict as a sentence, with its method and threshold.

    Empty for scans of older versions, and where nothing was judged.

    >>> from fakespan.types import MediaInfo, Verdict
    >>> verdict = Verdict("mlp", score=0.6, threshold=0.41, probability=0.93)  # unknown fake_share
    >>> whole(Scan("x", 1.0, 0.8, 0.7, (), "m", MediaInfo(1.0, True, True), verdict=verdict))
    'whole video: forged with probability 0.93 (3-layer MLP over the map; counts as forged from 0.41 on)'
    """
    verdict = scan.verdict
    if verdict is None or (scan.judged_share is not None and scan.judged_share.either == 0):
        return ""
    name = "whole video" if scan.media.has_video else "whole recording"
    name = name if scan.asked is None else "this part"
    if verdict.genuine_chance is not None:
        return f"{name}: {_rated(verdict, verdict.genuine_chance)}"
    counts = f"{_counts(verdict)} from {verdict.threshold:.2f} on"
    if verdict.probability is None:
        how = "the maximum of the map, not calibrated (this model has no verdict head)"
        return f"{name}: score {verdict.score:.2f}, {how}; {counts}"
    how = "3-layer MLP over the map" if verdict.way == "mlp" else "maximum of the map, calibrated"
    if verdict.fake_share is not None:
        how = f"{how.removesuffix(', calibrated')}, calibrated where {verdict.fake_share:.0%} of the videos are forged"
        how += "" if verdict.prior is None else f", corrected: {_if(verdict.prior)}"
    return f"{name}: forged with probability {_probability(verdict.probability)} ({how}; {counts})"


def _rated(verdict: Verdict, chance: float) -> str:
    """A verdict by how often genuine files reach the score.

    >>> _rated(Verdict("maximum", 0.93, 0.7, probability=0.8, genuine_chance=0.07, prior=0.5), 0.07)[:48]
    'forged with probability 0.80, if 50 of 100 such '
    """
    reached = f"{of_genuine(chance)} with as much to judge reach its score of {verdict.score:.2f}"
    needed = f"a score of {verdict.threshold:.2f} or more"
    if verdict.probability is not None and verdict.prior is not None:
        reached = f"forged with probability {_probability(verdict.probability)}, {_if(verdict.prior)}; {reached}"
        needed = f"a suspected segment, a probability of {verdict.threshold:.2f} or more, and a score"
    return (
        f"{reached} ({_counts(verdict)} with {needed} that at most {100 * MOST_GENUINE:.0f} of 100 genuine files reach)"
    )


def _counts(verdict: Verdict) -> str:
    return f"{'counts' if verdict.is_fake else 'would count'} as forged"


def compared(scan: Scan) -> str:
    """Score and threshold of a scan as a clause."""
    score, how, threshold = comparison(scan)
    return f"score {score} {how} the threshold {threshold}"


def comparison(scan: Scan) -> tuple[str, str, str]:
    """Score, "reaches" or "is below", and threshold; with as many digits as tell a score below it from it."""
    is_unclear = not scan.is_fake and f"{scan.score:.2f}" == f"{scan.threshold:.2f}"
    digits = 4 if is_unclear else 2
    return f"{scan.score:.{digits}f}", "reaches" if scan.is_fake else "is below", f"{scan.threshold:.{digits}f}"


def found(scan: Scan) -> str:
    """Number and length of the suspected segments, for instance "2 suspected segments, 1.32 s of 8.60 s"."""
    n = len(scan.segments)
    if scan.outcome == "inconclusive":
        return "nothing was found, but too little of the file could be judged"
    if not n:
        return "no suspected segment"
    covered, reached, end_s = 0.0, 0.0, math.inf  # overlapping segments count once
    if scan.asked is not None:
        reached, end_s = scan.asked.start_s, scan.asked.end_s
    for segment in in_order(scan):
        covered += max(0.0, min(segment.end_s, end_s) - max(segment.start_s, reached))
        reached = max(reached, segment.end_s)
    whole_s = scan.duration_s if scan.asked is None else scan.asked.length_s
    whole = f"{whole_s:.2f} s" if whole_s < 60 else timecode(whole_s, 0) + (" min" if round(whole_s) < 3600 else " h")
    return f"{n} suspected segment{'s' * (n != 1)}, {covered:.2f} s of {whole}"


def media_facts(scan: Scan) -> list[str]:
    """Duration as scanned, video and audio properties of the file, one phrase each."""
    media = scan.media
    names = media.container.split(",")  # FFmpeg names a family: "mov,mp4,m4a,..."
    facts = [f"{timecode(scan.duration_s)} {'mp4' if 'mp4' in names else printable(names[0])}".rstrip()]
    if media.has_video:
        rate = f", {media.fps:.5g} fps" if media.fps else ""
        turned = f", turned by {media.rotation_deg} degrees" if media.rotation_deg else ""
        facts.append(f"picture {printable(media.video_codec)} {media.width}x{media.height}{rate}{turned}")
    if media.has_audio:
        channels = {1: "mono", 2: "stereo"}.get(media.n_channels, f"{media.n_channels} channels")
        facts.append(f"sound {printable(media.audio_codec)} {media.sample_rate / 1000:g} kHz {channels}")
    facts += [] if media.has_video else ["no picture"]
    facts += [] if media.has_audio else ["no sound"]
    return facts


def _if(prior: float) -> str:
    """What a probability assumes."""
    return f"if {100 * prior:.3g} of 100 such files are"


def _probability(share: float) -> str:
    """Two decimals, but never 0 or 1."""
    return "below 0.01" if share < 0.005 else "above 0.99" if share >= 0.995 else f"{share:.2f}"


def absent(scan: Scan, modality: str) -> str:
    """Why a scan cannot have segments of this modality; empty if it can."""
    media, share = scan.media, scan.judged_share
    is_seen = media.has_video and (share is None or share.picture is not None)
    if modality == "both":
        return "" if media.has_audio and is_seen else "needs sound and picture"
    if modality == "visual" and media.has_video and not is_seen:
        return "the picture was not looked at"
    has_it = media.has_audio if modality == "audio" else media.has_video
    return "" if has_it else f"no {MODALITIES[modality]} in this file"


def skipped(track: FaceTrack) -> str:
    """Why a face was not scanned, to follow its name; empty if it was."""
    return "" if track.is_scanned else f", too {'small' if track.is_small else 'short'} to scan"


def where(track: FaceTrack) -> str:
    """Position of a face in the frame, for instance "upper left"."""
    if track.is_whole:
        return "whole picture"
    x, y, width, height = track.box
    column = "left" if x + width / 2 < 0.36 else "right" if x + width / 2 > 0.64 else ""
    row = "upper" if y + height / 2 < 0.3 else "lower" if y + height / 2 > 0.7 else ""
    return " ".join(part for part in (row, column or "centre") if part)
