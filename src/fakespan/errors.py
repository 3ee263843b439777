"""Exceptions with messages for users: what was expected, what was found, and the remedy.

    FakespanError
    ├── UsageError             the call itself is wrong (exit code 2)
    │   ├── ConfigError        a config file or value
    │   └── MissingExtraError  an optional dependency is not installed
    └── InputError             one input cannot be used (exit code 1, the other inputs are still processed)
        ├── MediaError         a media file
        ├── CheckpointError    a model file
        └── DataError          a data set, label file or proposals file

Each class builds its message from these parts, so that every message has the same form on one line.
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
    "NotInFileError",
    "UsageError",
]


class FakespanError(Exception):
    """Base class of all errors that fakespan raises deliberately.

    Args:
        subject: what the error is about, for instance a path or a key.
        expected: what was expected.
        got: what was found instead.
        remedy: what the user can do.
    """

    exit_code = 1

    def __init__(self, subject: object, *, expected: str, got: str, remedy: str) -> None:
        self.subject, self.expected, self.got, self.remedy = str(subject), expected, got, remedy
        sentence = f"{subject}: expected {expected}, got {got}; {remedy}"
        super().__init__(" ".join(sentence.split()))

    def __reduce__(self) -> tuple[object, ...]:
        """For processes that send errors to each other: they are made of keywords, which pickling does not keep."""
        return _restored, (type(self), self.args, self.__dict__)


class UsageError(FakespanError):
    """The call itself is wrong, independent of the input."""

    exit_code = 2


class ConfigError(UsageError):
    """An invalid config file, key or value."""


class MissingExtraError(UsageError):
    """A library of an optional extra is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            library,
            expected=f"the library {library}",
            got="an installation without it",
            remedy=f"run: pip install 'fakespan[{extra}]'",
        )


class InputError(FakespanError):
    """One input cannot be used; others may still be processed."""


class MediaError(InputError):
    """A media file that cannot be read or has nothing to scan."""


class NotInFileError(MediaError):
    """A readable media file without what was asked for: a track of that number, or that stretch of time."""


class CheckpointError(InputError):
    """A model file that is damaged, unsafe or of the wrong kind."""


class DataError(InputError):
    """An invalid data set, label file or proposals file."""


def _restored(kind: type[FakespanError], arguments: tuple[object, ...], state: dict[str, object]) -> FakespanError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error
