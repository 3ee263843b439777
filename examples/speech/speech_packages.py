"""Which packages hold speech of people, and who speaks in which of their files.

The speaker of a file is a guess from its folder and name. Equal names are the same voice as far as the packages tell:
the voice of the English Asterisk prompts also speaks the Spanish ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["PACKAGES", "Package", "Voice"]


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks in a file; `sex` is "f", "m" or "" where nothing tells."""

    speaker: str
    language: str
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """One Debian package.

    Args:
        name: of the package.
        licence: of the recordings, as its copyright file says.
        files: what the path of a recording below the unpacked tree looks like (searched).
        voice: the speaker of such a path.
    """

    name: str
    licence: str
    files: str
    voice: Callable[[PurePosixPath], Voice]


def _asterisk(path: PurePosixPath) -> Voice:
    """`.../sounds/es_MX_f_Allison/digits/1.g722`."""
    language, _, sex, name = next(
        part for part in path.parts if re.fullmatch(r"[a-z]{2}_[A-Z]{2}_[fm]_\w+", part)
    ).split("_")
    return Voice(f"asterisk-{name.lower()}", language, sex)


def _fillets(path: PurePosixPath) -> Voice:
    """`.../sound/LEVEL/cs/dr-m-sest.ogg`: m is the small fish, a woman, v the big one, a man; others by level."""
    level, language = path.parts[-3:-1]
    tokens = re.split("[-_]", path.stem)
    if {"m", "small"} & set(tokens):
        return Voice(f"fillets-{language}-small", language, "f")
    if {"v", "big"} & set(tokens):
        return Voice(f"fillets-{language}-big", language, "m")
    role = tokens[1] if len(tokens) > 2 else re.sub(r"\d", "", tokens[0])
    return Voice(f"fillets-{language}-{level}-{role}", language)


def _tux_paint(path: PurePosixPath) -> Voice:
    """`.../stamps/animals/dog_desc_fr.ogg`, without a language in English: about one volunteer a language."""
    language = path.stem.rpartition("_desc")[2].strip("_") or "en"
    return Voice(f"tuxpaint-{language}", language.split("_")[0])


def _kde(path: PurePosixPath) -> Voice:
    """`.../klettres/nb/alpha/a.ogg`, `.../ktuberling/sounds/wa/hat.ogg`: about one volunteer a language."""
    folder = path.parts[path.parts.index("share") + 1 :]
    locale = folder[2] if folder[1] == "sounds" else folder[1]
    return Voice(f"{folder[0]}-{locale}", re.split("[_@]", locale)[0])


def _hedgewars(path: PurePosixPath) -> Voice:
    """`.../voices/Default_uk/Boom.ogg`."""
    name = path.parts[-2]
    return Voice(f"hedgewars-{name.lower()}", name.partition("_")[2] or "en")


def _gcin(path: PurePosixPath) -> Voice:
    """`.../SYLLABLE/3.ogg`: two speakers, by number."""
    return Voice(f"gcin-{path.stem}", "zh")


def _drascula(path: PurePosixPath) -> Voice:
    """`.../es/BJ12.ALS`: letters for the others, none for the hero."""
    letters, language = re.sub(r"\d.*", "", path.stem) or "hero", path.parts[-2]
    return Voice(f"drascula-{language}-{letters.lower()}", language)


def _amazon_queen(path: PurePosixPath) -> Voice:
    """`020006J1`: of dialogue 02, J the hero, P whom he talks to; `C18D_101`: scene 18; `JOE01261`: the hero."""
    name = path.stem
    if name.startswith("JOE") or name[6:7] == "J":
        return Voice("amazonqueen-joe", "en", "m")
    return Voice(f"amazonqueen-{(re.match('[A-Z]*[0-9]{0,2}', name) or [name])[0].lower()}", "en")


def _warzone(path: PurePosixPath) -> Voice:
    """`.../audio/tutorial/tut1.ogg`."""
    return Voice(f"warzone-{path.parts[-2]}", "en")


def _only(speaker: str, language: str, sex: str = "") -> Callable[[PurePosixPath], Voice]:
    return lambda _: Voice(speaker, language, sex)


_WARZONE = r"base\.wz\.d/(audio/(memressp|tutorial|taunts|proxmessages|vtoltalk|trnsppil|extra|countdown|multi)|seq)"

PACKAGES = (
    Package("fillets-ng-data-cs", "GPL-2.0-only", r"/sound/.*\.ogg$", _fillets),
    Package("fillets-ng-data-nl", "GPL-2.0-only", r"/sound/.*\.ogg$", _fillets),
    *(
        Package(f"asterisk-core-sounds-{language}-g722", licence, r"/sounds/.*\.g722$", _asterisk)
        for language, licence in (
            ("en", "CC-BY-SA-3.0"),
            ("es", "CC-BY-SA-3.0"),
            ("fr", "CC-BY-SA-3.0"),
            ("it", "CC-BY-3.0"),
            ("ru", "CC-BY-3.0"),
        )
    ),
    Package("tuxpaint-stamps-default", "GPL-2.0-or-later", r"_desc(_\w+)?\.ogg$", _tux_paint),
    Package("ktuberling-data", "GPL-2.0-or-later", r"/ktuberling/sounds/.*\.(ogg|wav|opus)$", _kde),
    Package("klettres-data", "GPL-2.0-or-later", r"/klettres/.*\.ogg$", _kde),
    Package("gcin-voice", "GPL-3.0-only OR LGPL-3.0-only OR CC-BY-3.0", r"/gcin-voice/.*\.ogg$", _gcin),
    Package("hedgewars-data", "GFDL-1.3", r"/voices/(?!Robot/).*\.ogg$", _hedgewars),
    Package("warzone2100-data", "GPL-2.0-or-later", rf"{_WARZONE}.*\.ogg$", _warzone),
    Package("asterisk-prompt-it-menardi-wav", "CC-BY-SA-3.0", r"/sounds/.*\.wav$", _asterisk),
    Package("asterisk-prompt-es-co", "GPL-2.0-only", r"/sounds/.*\.gsm$", _only("asterisk-es-co", "es")),
    Package("asterisk-prompt-fr-armelle", "BSD-3-Clause", r"/sounds/.*\.gsm$", _only("asterisk-armelle", "fr", "f")),
    Package("drascula", "LicenseRef-Drascula", r"\.ALS$", _drascula),
    Package("drascula-spanish", "LicenseRef-Drascula", r"\.ALS$", _drascula),
    Package("flight-of-the-amazon-queen", "LicenseRef-Amazon-Queen", r"/(?!\d+S+\.)[^/]*\.mp3$", _amazon_queen),
)
