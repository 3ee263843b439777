"""What can go wrong, for a person to read: what was expected, what came, what to do.

    FakespanError
    ├── UsageError             the call itself is wrong (exit code 2)
    │   ├── ConfigError        a config file or value
    │   └── MissingExtraError  an optional dependency is not installed
    └── InputError             one input cannot be used (exit code 1, the other inputs are still done)
        ├── MediaError         a media file
        ├── CheckpointError    a model file
        └── DataError          a data set, a label file or a proposals file

Each class takes its facts and builds the sentence, so that every message has the same three parts on one line.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "FakespanError",
    "InputError",
    "MediaError",
    "MissingExtraError",
    "UsageError",
]


class FakespanError(Exception):
    """Base of all errors that fakespan raises on purpose.

    Args:
        subject: what it is about, for instance a path or a key.
        expected: what was wanted.
        got: what came instead.
        remedy: what the user can do.
    """

    exit_code = 1

    def __init__(self, subject: object, *, expected: str, got: str, remedy: str) -> None:
        self.subject, self.expected, self.got, self.remedy = str(subject), expected, got, remedy
        sentence = f"{subject}: expected {expected}, got {got}; {remedy}"
        super().__init__(" ".join(sentence.split()))


class UsageError(FakespanError):
    """The call is wrong, whatever the input."""

    exit_code = 2


class ConfigError(UsageError):
    """A config file, key or value that does not fit."""


class MissingExtraError(UsageError):
    """A library that belongs to one of the extras is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            library,
            expected=f"the library {library}",
            got="an installation without it",
            remedy=f"run: pip install 'fakespan[{extra}]'",
        )


class InputError(FakespanError):
    """One input cannot be used; others may."""


class MediaError(InputError):
    """A media file that cannot be read, or in which there is nothing to look at."""


class CheckpointError(InputError):
    """A model file that is damaged, unsafe or of another kind."""


class DataError(InputError):
    """A data set, label file or proposals file that does not fit."""
