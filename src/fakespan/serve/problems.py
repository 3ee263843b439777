"""Typed reasons of refusals and failures, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fakespan.errors import FakespanError, MediaError, NotInFileError

__all__ = ["MEDIA_TYPE", "REASONS", "Problem", "Reason", "reason_of", "record"]

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Reason:
    """An HTTP status and one sentence for people."""

    status: int
    title: str


REASONS: Mapping[str, Reason] = {
    "bad_request": Reason(400, "The request is not understood."),
    "no_token": Reason(401, "A token is needed."),
    "wrong_token": Reason(401, "The token is unknown or was revoked."),
    "missing_scope": Reason(403, "The token lacks the scope that this action needs."),
    "cross_origin": Reason(403, "The request comes from a page of another host."),
    "url_not_allowed": Reason(403, "Files are not fetched from this URL."),
    "callback_not_allowed": Reason(403, "Callbacks are not sent to this URL."),
    "not_found": Reason(404, "There is no such resource."),
    "method_not_allowed": Reason(405, "The resource does not know this method."),
    "upload_deleted": Reason(404, "The uploaded file has been deleted."),
    "too_slow": Reason(408, "The upload stopped."),
    "not_finished": Reason(409, "The job has not ended yet."),
    "cancelled": Reason(409, "The job was cancelled."),
    "conflict": Reason(409, "The resource is in another state."),
    "too_large": Reason(413, "The file is larger than the service accepts."),
    "not_media": Reason(415, "The file is an archive or a document, not a media file."),
    "wrong_host": Reason(421, "The service is not known under this host name."),
    "invalid_option": Reason(422, "An option has an invalid value."),
    "unreadable_media": Reason(422, "The file cannot be read as a media file."),
    "invalid_scan": Reason(422, "The file cannot be scanned with these options."),
    "out_of_memory": Reason(422, "The scan needed more memory than it may use."),
    "time_limit": Reason(422, "The scan took longer than it may take."),
    "crashed": Reason(422, "The process that scanned the file died, twice."),
    "fetch_failed": Reason(422, "The file could not be fetched from its URL."),
    "busy": Reason(423, "Another request is writing to this upload."),
    "too_many_requests": Reason(429, "Too many requests in a minute."),
    "internal": Reason(500, "The service failed; its log says more."),
    "queue_full": Reason(503, "The queue is full."),
    "too_many_uploads": Reason(503, "Too many uploads at the same time."),
    "stopping": Reason(503, "The service is stopping."),
    "storage_full": Reason(507, "There is no room for the file."),
}
"""Reason -> status and title; the keys are part of the API."""

_FURTHER = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 422: "invalid_option"}


class Problem(Exception):  # noqa: N818 - the term of RFC 9457
    """A refusal that is sent to the client as problem details.

    Args:
        reason: a key of `REASONS`.
        detail: what was expected and what was got; names no path of the machine.
        retry_after_s: when the client may try again.
        facts: further members of the answer.
    """

    def __init__(self, reason: str, detail: str = "", *, retry_after_s: int | None = None, **facts: Any) -> None:
        super().__init__(detail or REASONS[reason].title)
        self.reason, self.detail, self.retry_after_s, self.facts = reason, detail, retry_after_s, facts

    @property
    def status(self) -> int:
        """HTTP status."""
        return REASONS[self.reason].status

    @classmethod
    def of_status(cls, status: int, detail: str) -> Problem:
        """The problem for a status that a library chose; what a library says of its own failure is not sent."""
        if status >= 500:
            return cls("internal")
        return cls(
            _FURTHER.get(status, "bad_request"), detail, **({"status": status} if status not in _FURTHER else {})
        )


def record(problem: Problem) -> dict[str, Any]:
    """The JSON of a problem."""
    reason = REASONS[problem.reason]
    known = {
        "type": f"/v1/problems#{problem.reason}",
        "title": reason.title,
        "status": reason.status,
        "reason": problem.reason,
    }
    return known | ({"detail": problem.detail} if problem.detail else {}) | problem.facts


def reason_of(error: Exception) -> tuple[str, str]:
    """Reason and detail of a scan that failed; the detail leaves out the subject, which is a path of the machine."""
    if not isinstance(error, FakespanError):
        return "internal", ""
    detail = f"expected {error.expected}, got {error.got}; {error.remedy}"
    is_unreadable = isinstance(error, MediaError) and not isinstance(error, NotInFileError)
    return ("unreadable_media" if is_unreadable else "invalid_scan"), detail
