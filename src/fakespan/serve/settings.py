"""Settings of the service: defaults, a TOML file, environment variables, and command line options, in this order."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from fakespan.config import from_mapping, load_toml
from fakespan.errors import ConfigError, UsageError

__all__ = ["PREFIX", "Settings", "load_settings"]

PREFIX = "FAKESPAN_SERVE_"
"""Start of the names of environment variables: FAKESPAN_SERVE_PORT sets `port`."""
MOST_DAYS = 36_500  # that files are kept: each job states a date, which must exist


@dataclass(frozen=True)
class Settings:
    """All settings. Sizes are powers of ten (1 MB = 1,000,000 bytes)."""

    host: str = "127.0.0.1"
    port: int = 8000
    data: str = "fakespan-data"  # folder of uploads, results and the SQLite database
    database: str = ""  # URL of a PostgreSQL database; "": SQLite in the data folder
    machine: str = ""  # name of this process among several on one database; "": host name and port
    models: tuple[str, ...] = ("small",)  # names or files; the first is the default
    device: str = "auto"
    scans_at_once: int = 1
    niceness: int = 5  # added to that of the scans, so that the API answers while they run
    memory_mb: int = 4_000  # a scan that needs more is stopped
    time_limit_s: float = 3_600.0  # of one scan, and before it of fetching its file
    max_upload_mb: int = 2_000
    max_uploads: int = 16  # received at the same time
    max_queued: int = 1_000
    upload_idle_s: float = 30.0  # an upload that sends nothing for so long is dropped
    requests_per_minute: int = 1_200  # of one token, or without tokens of one address
    quota_gb: float = 50.0  # of uploads and results together
    min_free_gb: float = 1.0  # left on the disk
    keep_uploads_days: float = 7.0  # 0: deleted after the scan
    keep_results_days: float = 30.0
    sweep_s: float = 60.0  # time between two searches for expired and orphaned files
    orphan_s: float = 600.0  # age from which a file that no job names is removed; it may be on its way to one
    dead_s: float = 30.0  # silence after which the jobs of another machine are taken over
    url_hosts: tuple[str, ...] = ()  # from which jobs may fetch their file; (): none
    private_callbacks: bool = False  # callbacks may go to private addresses
    public_hosts: tuple[str, ...] = ()  # further names under which browsers reach the service, behind a proxy

    def __post_init__(self) -> None:
        positive = ("scans_at_once", "memory_mb", "time_limit_s", "max_upload_mb", "max_uploads", "max_queued")
        for key in (
            *positive,
            "upload_idle_s",
            "requests_per_minute",
            "quota_gb",
            "keep_results_days",
            "sweep_s",
            "dead_s",
        ):
            if not getattr(self, key) > 0:
                raise _bad(key, "a number above 0", getattr(self, key))
        for key in ("min_free_gb", "keep_uploads_days", "niceness", "orphan_s"):
            if not getattr(self, key) >= 0:
                raise _bad(key, "a number of at least 0", getattr(self, key))
        for key in ("keep_uploads_days", "keep_results_days"):
            if getattr(self, key) > MOST_DAYS:
                raise _bad(key, f"at most {MOST_DAYS}", getattr(self, key))
        if not 0 <= self.port <= 65_535:
            raise _bad("port", "a port from 0 to 65535", self.port)
        if not self.models:
            raise _bad("models", "at least one model", self.models)
        if len(set(self.model_names)) < len(self.models):
            raise _bad("models", "models of different names", self.models)

    @property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data).absolute()

    @property
    def model_names(self) -> dict[str, str]:
        """Name in the API -> what `load_model` takes."""
        return {Path(model).stem: model for model in self.models}

    @property
    def database_url(self) -> str:
        """What SQLAlchemy takes: the PostgreSQL database through psycopg, or SQLite in the data folder."""
        if not self.database:
            return f"sqlite:///{self.folder / 'jobs.sqlite'}"
        scheme, separator, rest = self.database.partition("://")
        if scheme.partition("+")[0] not in ("postgresql", "postgres") or not separator:
            raise _bad("database", "a URL as postgresql://user@host/name", scheme)
        return f"postgresql+psycopg://{rest}"

    @property
    def executor(self) -> str:
        """Name under which this process takes jobs; a restarted process continues those of its name at once."""
        if not self.database:
            return "local"
        return self.machine or f"{socket.gethostname()}:{self.port}"

    @property
    def max_upload_bytes(self) -> int:
        """Largest file that is accepted."""
        return self.max_upload_mb * 1_000_000


def load_settings(path: Path | None, environment: Mapping[str, str], options: Mapping[str, Any]) -> Settings:
    """The settings of a file (or none), overridden by environment variables, overridden by options that are not None.

    Raises ConfigError for an unknown key or an invalid value, and names it.
    """
    values = dict(load_toml(path)) if path else {}
    values |= _from_environment(environment)
    values |= {key: value for key, value in options.items() if value is not None}
    return from_mapping(Settings, values, "serve")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    hints = get_type_hints(Settings)
    known = {PREFIX + f.name.upper(): f.name for f in dataclasses.fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            if variable not in known:
                raise ConfigError(variable, expected="the name of a setting", got="none", remedy="see docs/service.md")
            values[known[variable]] = _parsed(variable, hints[known[variable]], text)
    return values


def _parsed(variable: str, hint: Any, text: str) -> Any:
    if hint is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise _bad(variable, "true or false", text)
        return text.lower() in ("true", "1")
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError as error:
            raise _bad(variable, "a number", text) from error
    return text if hint is str else tuple(part.strip() for part in text.split(",") if part.strip())


def _bad(key: str, expected: str, got: object) -> UsageError:
    return ConfigError(key, expected=expected, got=repr(got), remedy="change this setting of the service")
