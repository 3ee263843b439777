"""Configuration of a forged data set: kinds, methods, lengths, splits, quality."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fakespan.errors import ConfigError
from fakespan.forge.speech import METHODS as VOICE_METHODS
from fakespan.forge.words import SwapConfig

__all__ = ["LIPS_METHODS", "VOICE_METHODS", "ForgeConfig"]

# family: source of the mouths; suffix: whether a generator's artefacts are added
LIPS_METHODS = ("donor-clean", "donor-generated", "sound-clean", "sound-generated", "redraw-generated", "plugin")
PLUGIN_VOICE = "plugin"


@dataclass(frozen=True)
class ForgeConfig:
    """A forged data set (table [forge]). The shares of kinds and of two spans are LAV-DF's (2204.06228, section 3)."""

    kinds: tuple[float, float, float, float] = (36_431, 33_170, 33_543, 33_160)  # real, audio, visual, both
    two_spans: float = 0.144  # share of the fakes with a second span
    voice: tuple[str, ...] = VOICE_METHODS  # methods for the audio, see forge.speech; "plugin" runs voice_plugin
    lips: tuple[str, ...] = LIPS_METHODS[:-1]  # methods for the video; "plugin" runs lips_plugin
    voice_plugin: str = ""  # a command with {text} {reference} {out}
    lips_plugin: str = ""  # a command with {frames} {wav} {out}
    speakers: Literal["auto", "folder", "file"] = "auto"  # whose clips share donor words, see survey
    even_folders: bool = False  # the same number of clips from every folder, however many files it has
    splits: tuple[float, float, float] = (0.6, 0.2, 0.2)  # train, dev, test, in source files
    train: tuple[str, ...] = ()  # patterns below the source folder; if any is given, files that match none are not used
    dev: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    min_clip_s: float = 1.6
    max_clip_s: float = 12.0  # longer sources are split at pauses
    trim_s: float = 0.4  # largest random trim at both ends of every clip, real or forged
    crf: tuple[int, int] = (17, 24)  # range of the random H.264 quality of every clip, real or forged
    swap: SwapConfig = field(default_factory=SwapConfig)

    def __post_init__(self) -> None:
        if min(self.kinds) < 0 or sum(self.kinds) <= 0:
            raise _bad("kinds", "shares of at least 0, not all of them 0", self.kinds)
        if min(self.splits) < 0 or sum(self.splits) <= 0:
            raise _bad("splits", "shares of at least 0, not all of them 0", self.splits)
        if not 0 <= self.two_spans <= 1:
            raise _bad("two_spans", "a share in 0..1", self.two_spans)
        for key, known in (("voice", (*VOICE_METHODS, PLUGIN_VOICE)), ("lips", LIPS_METHODS)):
            wrong = sorted(set(getattr(self, key)) - set(known))
            if wrong or not getattr(self, key):
                raise _bad(key, f"some of {', '.join(known)}", wrong or "nothing")
            if "plugin" in getattr(self, key) and not getattr(self, f"{key}_plugin"):
                raise _bad(f"{key}_plugin", 'a command, as the method "plugin" is listed', "")
        if not 0.5 <= self.min_clip_s <= self.max_clip_s:
            raise _bad("min_clip_s", f"a length in 0.5..max_clip_s ({self.max_clip_s})", self.min_clip_s)
        if not 0 <= self.crf[0] <= self.crf[1] <= 51:
            raise _bad("crf", "two numbers in 0..51, the smaller first", self.crf)


def _bad(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"forge.{key}", expected=expected, got=repr(got), remedy="change this key in the config")
