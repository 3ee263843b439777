"""Wording of what a file says of itself: content credentials and the traces of its making. No verdict rests on it."""

from __future__ import annotations

from fakespan.report.words import printable
from fakespan.types import Action, Credentials, Making, MediaTrack, Scan

__all__ = ["credentials_line", "provenance_facts"]

_STATES = {
    "none": "none",
    "valid": "signed, and not changed since; whether the signer can be trusted was not checked",
    "invalid": "NOT VALID: changed after they were signed, or badly signed",
    "elsewhere": "kept elsewhere, and not fetched",
    "unreadable": "cannot be read",
    "not_looked_at": "not looked at",
}
_MOST_TAGS, _MOST_ACTIONS, _MOST_CHARACTERS = 20, 10, 160  # on the page; the JSON has all
_TRIVIAL = {"compatible_brands", "language", "minor_version"}  # tags that say nothing, or that the tracks say


def credentials_line(scan: Scan) -> str:
    """The content credentials on one line; empty if there are none, or if the result does not tell."""
    if scan.provenance is None or scan.provenance.credentials.state == "none":
        return ""
    credentials = scan.provenance.credentials
    parts = [_state(credentials)]
    parts += [f"by {credentials.issuer}"] if credentials.issuer else []
    parts += ["they say that a trained model generated a part"] if credentials.says_ai else []
    return printable(f"content credentials: {'; '.join(parts)}")


def provenance_facts(scan: Scan) -> list[tuple[str, str]]:
    """Name and text of each fact, without control characters; none for results of older versions."""
    if scan.provenance is None:
        return []
    facts = [*_credentials(scan.provenance.credentials), *_making(scan.provenance.making)]
    facts.append(("Tracks", ", ".join(_track(track) for track in scan.media.streams)))
    return [(name, printable(text)) for name, text in facts if text]


def _state(credentials: Credentials) -> str:
    return _STATES[credentials.state] + (f" ({credentials.detail})" if credentials.detail else "")


def _credentials(credentials: Credentials) -> list[tuple[str, str]]:
    signer = ", ".join(part for part in (credentials.issuer, credentials.signer, credentials.signed_at) if part)
    more = len(credentials.actions) - _MOST_ACTIONS
    actions = [_action(action) for action in credentials.actions[:_MOST_ACTIONS]]
    return [
        ("Content credentials", _state(credentials)),
        ("Signed by", signer),
        ("Failed checks", ", ".join(credentials.failures)),
        ("Made with", credentials.generator),
        ("Stated edits", "; ".join(actions + ([f"and {more} more"] if more > 0 else []))),
        ("Stated as AI-generated", "a part of it, by a trained model" if credentials.says_ai else ""),
        ("Stated sources", ", ".join(credentials.source_types)),
    ]


def _action(action: Action) -> str:
    """An edit on one line.

    >>> _action(Action("c2pa.created", software="Example 2", source_type="trainedAlgorithmicMedia"))
    'created (Example 2, trainedAlgorithmicMedia)'
    """
    about = ", ".join(part for part in (action.software, action.source_type, action.when) if part)
    return action.name.removeprefix("c2pa.") + (f" ({about})" if about else "")


def _making(making: Making) -> list[tuple[str, str]]:
    lists = [f"track {found.track}: {found.n_entries}" for found in making.edit_lists if found.n_entries > 1]
    tags = [f"{tag.place}: {tag.name} = {tag.value}" for tag in making.tags if tag.name not in _TRIVIAL]
    more = [f"and {len(tags) - _MOST_TAGS} more"] if len(tags) > _MOST_TAGS else []
    return [
        ("Container", making.detail),
        ("Written by", making.application),
        ("Created at", making.created_at),
        ("Encoders", "; ".join(f"{trace.place}: {_short(trace.value)}" for trace in making.encoders)),
        ("Frame rate", _rate(making)),
        ("Edit lists", f"with several entries: {', '.join(lists)}" if lists else ""),
        ("Clock", _clock(making)),
        ("Tags", "; ".join(tags[:_MOST_TAGS] + more)),
    ]


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def _rate(making: Making) -> str:
    if making.is_variable_rate is None or making.shortest_step_s is None or making.longest_step_s is None:
        return ""
    if not making.is_variable_rate:
        return "constant"
    return f"variable: steps of {1000 * making.shortest_step_s:.1f} to {1000 * making.longest_step_s:.1f} ms"


def _clock(making: Making) -> str:
    """What the clock of the file does besides running."""
    told = [(making.n_gaps, "jumps ahead"), (making.n_restarts, "goes back")]
    return ", ".join(f"{what} {n} time{'s' * (n > 1)}" for n, what in told if n)


def _track(track: MediaTrack) -> str:
    about = " ".join(part for part in (track.codec, track.language, track.title) if part)
    return f"{track.kind} {track.number}" + (f" {about}" if about else "") + (" (judged)" if track.is_judged else "")
