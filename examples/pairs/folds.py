"""What each of three folds leaves out of training: a third of the people, and some generators of every kind.

A model is validated on both together. Of published systems of sound the first word of the name decides, so that all
versions of one are in the same fold; networks of `examples/zoo` of the same kind are left out with them.
"""

from __future__ import annotations

import hashlib
import re

N_FOLDS = 3
IN_EVERY_FOLD = ("fillets", "asterisk")  # speech corpora that no published system copied: always trained on
SOUND_SYSTEMS = (
    "melgan parallel apnet style fb dac audiodec speechtokenizer speech vqvae diffwave clarinet",
    "hifigan istftnet encodec soundstream ticodec cpc hubert waveglow",
    "pwg mb freecodec hificodec hilcodec mobilespeech mscacodec stablecodec supercodec svcodec wavegrad wavenet",
)
ZOO_SYSTEMS = ("subband", "hifi|bigvgan|istftnet", "codec")  # regular expressions
LIP_SYSTEMS = (
    ("Wav2Lip", "Wav2Lip-HQ", "Wav2Lip-GAN (partial)", "Wav2Lip (partial, name insertion)"),
    ("Diff2Lip",),
    ("PC-AVS",),
)


def fold_of(person: str) -> int:
    """0, 1 or 2, by the name of a person or speaker."""
    return int(hashlib.md5(person.encode(), usedforsecurity=False).hexdigest(), 16) % N_FOLDS


def is_speaker_left_out(speaker: str, fold: int) -> bool:
    """Whether this fold does not train on any recording of the speaker."""
    return fold_of(speaker) == fold and not speaker.startswith(IN_EVERY_FOLD)


def is_system_left_out(system: str, fold: int) -> bool:
    """Whether this fold does not train on twins by this system, as a bank names it ("owner/repository:system")."""
    if system.startswith("zoo:"):
        return re.search(ZOO_SYSTEMS[fold], system) is not None
    name = system.rpartition(":")[2].lower()
    first = re.split(r"[-_ (.0-9]", name, maxsplit=1)[0]
    return first in SOUND_SYSTEMS[fold].split()
