"""Content credentials (C2PA) of a file: who signed what about it. Extra `provenance`.

Contract: nothing is fetched from a network. Whatever is wrong with a file, the answer is a `Credentials` that says so;
every text and every list is cut to a bounded length. A valid signature says that the credentials belong to the file;
whether the signer can be trusted is not checked, because no list of trusted certificates is shipped.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fakespan.errors import MissingExtraError
from fakespan.types import Action, Credentials

__all__ = ["read_credentials"]

_SETTINGS = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False}}
_AI = {"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicData"}
_MOST_JSON = 16 << 20
_MOST_ITEMS, _MOST_CHARACTERS = 100, 300


def read_credentials(path: Path) -> Credentials:
    """What the content credentials of a local file say."""
    try:
        import c2pa  # noqa: PLC0415 - of the extra `provenance`
    except (ImportError, OSError):  # OSError: its native library does not load
        return Credentials("not_looked_at", MissingExtraError("c2pa-python", "provenance").remedy)
    try:
        with path.open("rb") as file, c2pa.Reader(None, file, context=c2pa.Context.from_dict(_SETTINGS)) as reader:
            text = reader.json()
        if len(text) > _MOST_JSON:
            return Credentials("unreadable", f"more than {_MOST_JSON >> 20} MiB")
        return _credentials(json.loads(text))
    except c2pa.C2paError.ManifestNotFound:
        return Credentials("none")
    except c2pa.C2paError.NotSupported:
        return Credentials("none", "files of this format carry none")
    except MemoryError:
        raise
    except Exception as error:  # a damaged or hostile file: anything
        is_remote = str(error).startswith("Remote")
        return Credentials("elsewhere" if is_remote else "unreadable", _text(error))


def _credentials(store: Mapping[str, Any]) -> Credentials:
    """The report of the library in our words. Raises KeyError, TypeError or AttributeError if it has another form."""
    manifests = list(_manifests(store))
    last = manifests[-1]
    signature = last.get("signature_info") or {}
    contents = [a.get("data") for manifest in manifests for a in manifest.get("assertions", [])]
    source_types = sorted(set(itertools.islice(_source_types(contents), _MOST_ITEMS)))
    results = store.get("validation_results") or {}
    failures = [_text(f.get("code")) for f in (results.get("activeManifest") or {}).get("failure", [])]
    return Credentials(
        state="invalid" if store.get("validation_state") == "Invalid" or failures else "valid",
        issuer=_text(signature.get("issuer")),
        signer=_text(signature.get("common_name")),
        signed_at=_text(signature.get("time")),
        generator=_software((last.get("claim_generator_info") or [last.get("claim_generator")])[0]),
        says_ai=not _AI.isdisjoint(source_types),
        source_types=tuple(source_types),
        actions=tuple(itertools.islice(_actions(contents), _MOST_ITEMS)),
        failures=tuple(sorted(set(failures)))[:_MOST_ITEMS],
    )


def _manifests(store: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The manifests of the file and of what it was made from, each once, the active one last."""
    order: list[str] = []
    waiting = [store["active_manifest"]]
    while waiting and len(order) < _MOST_ITEMS:
        label = waiting.pop(0)
        if label in order or label not in store["manifests"]:
            continue
        order.append(label)
        waiting += [i.get("active_manifest") for i in store["manifests"][label].get("ingredients", [])]
    return (store["manifests"][label] for label in reversed(order))


def _actions(contents: list[Any]) -> Iterator[Action]:
    for content in contents:
        for action in content.get("actions", []) if isinstance(content, dict) else []:
            yield Action(
                _text(action.get("action")),
                _text(action.get("when")),
                _software(action.get("softwareAgent")),
                _last_part(action.get("digitalSourceType")),
            )


def _source_types(contents: list[Any]) -> Iterator[str]:
    """Every digital source type that assertions state, at whatever depth."""
    waiting = list(contents)
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
            told = [v for key, v in value.items() if key.lower().endswith("digitalsourcetype")]
            yield from (_last_part(v) for v in told if isinstance(v, str))
        elif isinstance(value, list):
            waiting += value


def _last_part(address: Any) -> str:
    return _text(address).rstrip("/").rpartition("/")[2]


def _software(value: Any) -> str:
    """A program: a name, or an object with name and version."""
    if isinstance(value, dict):
        return _text(f"{value.get('name') or ''} {value.get('version') or ''}".strip())
    return _text(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:_MOST_CHARACTERS]
