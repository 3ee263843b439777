"""A small client of `fakespan serve`: submit a file, wait, read the result.

    from fakespan.client import Client

    with Client("http://127.0.0.1:8000") as client:
        job = client.submit("clip.mp4")
        scan = client.result(client.wait(job))
        for segment in scan.segments:
            print(segment.start_s, segment.end_s, segment.modality, segment.score)

Needs httpx: `pip install 'fakespan[client]'`. Files are streamed; a busy service is asked again when it says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from fakespan.errors import InputError, MissingExtraError, UsageError
from fakespan.types import Scan

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("httpx", "client") from error

__all__ = ["Client", "Job", "Link", "ServiceError"]

_BUSY = (429, 503)
_FINAL = ("done", "failed", "cancelled")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


class ServiceError(InputError):
    """The service refused or failed a request; `reason` is one of `GET /v1/problems`."""

    def __init__(self, subject: object, *, reason: str, status: int, got: str) -> None:
        super().__init__(subject, expected="an answer of the service", got=got, remedy=f"the reason is {reason}")
        self.reason, self.status = reason, status


@dataclass(frozen=True)
class Job:
    """A job as the service described it last; `record` holds all fields (docs/service.md)."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    name: str
    progress: float  # 0..1
    record: Mapping[str, Any]

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.state in _FINAL


@dataclass(frozen=True)
class Link:
    """A link that shows the report of one job to whoever has it."""

    id: str
    expires: str  # ISO 8601
    url: str | None  # None: it was told when the link was made, and is not told again


class Client:
    """A connection to a service.

    Args:
        address: of the service, as it prints it.
        token: from `fakespan serve token create`; None on the same machine.
        timeout_s: of one request; an upload may take longer, as long as it goes on.
        patience_s: how long a busy service is asked again.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        token: str | None = None,
        *,
        timeout_s: float = 60.0,
        patience_s: float = 300.0,
    ) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.address = address.rstrip("/")
        self._http = httpx.Client(base_url=self.address, headers=headers, timeout=timeout_s)
        self._patience_s = patience_s

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def submit(self, file: str | Path, **options: Any) -> Job:
        """Send a file to be scanned.

        Args:
            file: a path, or an http(s) URL, if the service fetches from its host.
            options: model, threshold, faces, start, end, video_track, audio_track, prior, priority,
                callback.

        Raises:
            UsageError: the file cannot be read.
            ServiceError: the service refuses it.
        """
        fields = {name: (None, str(value)) for name, value in options.items() if value is not None}
        if str(file).startswith(("http://", "https://")):
            form = {**fields, "url": (None, str(file))}
            return self._job(self._asked(file, lambda: self._http.post("/v1/jobs", files=form)))

        def post() -> httpx.Response:
            with Path(file).open("rb") as content:
                return self._http.post("/v1/jobs", files={**fields, "file": (Path(file).name, content)})

        try:
            return self._job(self._asked(file, post))
        except OSError as error:
            got = (error.strerror or str(error)).lower()
            raise UsageError(file, expected="a file to send", got=got, remedy="check the path") from error

    def job(self, job: Job | str) -> Job:
        """The job as it is now."""
        return self._job(self._get(self._path(job)))

    def jobs(self, state: str | None = None) -> Iterator[Job]:
        """All jobs, newest first, or those in one state."""
        link: str | None = f"/v1/jobs?state={state}" if state else "/v1/jobs"
        while link:
            page = self._get(link).json()
            yield from map(_parsed, page["jobs"])
            link = page["next"]

    def wait(
        self, job: Job | str, timeout_s: float | None = None, progress: Callable[[Job], None] | None = None
    ) -> Job:
        """Wait until a job has ended.

        Args:
            job: the job, or its id.
            timeout_s: for how long; None: for ever.
            progress: called with the job each time that it was looked at.

        Raises TimeoutError.
        """
        deadline, pause_s = (time.monotonic() + timeout_s if timeout_s is not None else None), _FIRST_PAUSE_S
        while True:
            now = self.job(job)
            if progress is not None:
                progress(now)
            if now.is_final:
                return now
            if deadline is not None and time.monotonic() + pause_s > deadline:
                raise TimeoutError(f"{now.id}: still {now.state}")
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)

    def result(self, job: Job | str) -> Scan:
        """The scan of a job that is done. Raises ServiceError with the reason if it is not, or has failed."""
        return Scan.from_dict(self._get(f"{self._path(job)}/result").json())

    def report(self, job: Job | str) -> str:
        """The report page, as HTML."""
        return self._get(f"{self._path(job)}/report").text

    def delete(self, job: Job | str) -> None:
        """Delete a job that has ended, with its files; cancel one that has not."""
        path = self._path(job)
        self._asked(path, lambda: self._http.delete(path))

    def share(self, job: Job | str, days: float = 7.0) -> Link:
        """Make a link for people without a token; it never outlives the result of the job."""
        path = f"{self._path(job)}/links"
        return self._link(self._asked(path, lambda: self._http.post(path, json={"days": days})).json())

    def links(self, job: Job | str) -> list[Link]:
        """The links of a job that are valid."""
        return [self._link(record) for record in self._get(f"{self._path(job)}/links").json()]

    def revoke(self, job: Job | str, link: Link) -> None:
        """End a link at once."""
        path = f"{self._path(job)}/links/{link.id}"
        self._asked(path, lambda: self._http.delete(path))

    def page(self, job: Job | str) -> str:
        """Address at which people see the job."""
        return f"{self.address}/#{_id(job)}"

    def _get(self, path: str) -> httpx.Response:
        return self._asked(path, lambda: self._http.get(path))

    def _asked(self, subject: object, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer; a busy service is asked again."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                response = ask()
            except httpx.HTTPError as error:
                got = f"{type(error).__name__}: {error}"
                raise ServiceError(subject, reason="no_answer", status=0, got=got) from error
            pause_s = _seconds(response.headers.get("retry-after"))
            if response.status_code not in _BUSY or time.monotonic() + pause_s > deadline:
                return _checked(subject, response)
            time.sleep(pause_s)

    def _link(self, record: Mapping[str, Any]) -> Link:
        return Link(record["id"], record["expires"], self.address + record["url"] if "url" in record else None)

    @staticmethod
    def _path(job: Job | str) -> str:
        return f"/v1/jobs/{_id(job)}"

    @staticmethod
    def _job(response: httpx.Response) -> Job:
        return _parsed(response.json())


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id


def _parsed(record: Mapping[str, Any]) -> Job:
    return Job(record["id"], record["state"], record["name"], record["progress"], record)


def _checked(subject: object, response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        problem = response.json()
        reason, got = problem["reason"], f"a refusal ({problem.get('detail') or problem['title']})"
    except (ValueError, KeyError, TypeError):
        reason, got = "no_service", f"status {response.status_code}"
    raise ServiceError(subject, reason=reason, status=response.status_code, got=got)


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdecimal() else _FIRST_PAUSE_S
