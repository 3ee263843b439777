"""What is checked about a model file of unknown origin before a library parses it, and before its tensors are used.

torch and safetensors run no code of a file, but they believe the sizes in it: a file of a few kilobytes could take all
memory or minutes. All functions raise CheckpointError. The largest checkpoint has 4,018 entries with its optimiser, and
a pickle of half a megabyte; the header of our files has about 20 kB.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fakespan.checkpoint.errors import REMEDY, bad_file

__all__ = ["check_archive", "check_header", "check_tensors", "plain"]

MOST_HEADER_BYTES = 4 << 20
MOST_DIRECTORY_BYTES = 2 << 20
MOST_ENTRIES = 10_000
MOST_PICKLE_BYTES = 1 << 20
MOST_ITEMS = 64
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x06"
_NOT_OPENED = "save it with torch 1.6 or newer if you trust it; it was not opened, since it can hold code"


def check_header(path: Path) -> None:
    """The JSON header of a safetensors file is small. Files that cannot be read are left to the library."""
    try:
        with path.open("rb") as file:
            (n_bytes,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
    except OSError:
        return
    if MOST_HEADER_BYTES < n_bytes <= path.stat().st_size:
        raise bad_file(path, f"a header of at most {MOST_HEADER_BYTES >> 20} MB", f"one of {n_bytes >> 20} MB")


def check_archive(path: Path) -> None:
    """A checkpoint is an uncompressed ZIP archive with a small pickle, whose entries do not overlap."""
    with path.open("rb") as file:
        start, size = file.read(4), path.stat().st_size
        file.seek(max(0, size - (1 << 16)))
        tail = file.read()
    if start != b"PK\x03\x04":
        is_pickle = start[:1] == b"\x80"
        got, remedy = ("a plain pickle", _NOT_OPENED) if is_pickle else ("a file that is not a checkpoint", REMEDY)
        raise bad_file(path, "a checkpoint of torch (a ZIP archive)", got, remedy)
    if _directory_bytes(tail) > MOST_DIRECTORY_BYTES:
        raise bad_file(
            path, f"a directory of at most {MOST_DIRECTORY_BYTES >> 20} MB", "more entries than a checkpoint"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, struct.error) as error:
        raise bad_file(path, "a checkpoint", f"a damaged file ({error})") from error
    if len(entries) > MOST_ENTRIES:
        raise bad_file(path, f"at most {MOST_ENTRIES} entries", f"{len(entries)}")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise bad_file(path, "a checkpoint as torch writes it", "compressed entries")
    if sum(entry.file_size for entry in entries) > size:
        raise bad_file(path, "a checkpoint as torch writes it", "entries that are larger than the file")
    n_pickled = max((entry.file_size for entry in entries if entry.filename.endswith(".pkl")), default=0)
    if n_pickled > MOST_PICKLE_BYTES:
        raise bad_file(path, f"a pickle of at most {MOST_PICKLE_BYTES >> 20} MB", f"one of {n_pickled >> 20} MB")
    _check_sums(path)


def _check_sums(path: Path) -> None:
    """Every entry has the CRC-32 that the archive states; torch itself would load altered weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            altered = archive.testzip()
    except (
        zipfile.BadZipFile,
        ValueError,
        NotImplementedError,
        RuntimeError,
        OSError,
        EOFError,
        struct.error,
    ) as error:
        raise bad_file(path, "a checkpoint", f"a damaged file ({error})") from error
    if altered is not None:
        raise bad_file(path, "a checkpoint", f"a damaged file (the checksum of {altered} differs)")


def _directory_bytes(tail: bytes) -> int:
    """Size of the archive's directory, by its last record or the 64-bit one before it; 0 if there is none."""
    end, end_64 = tail.rfind(_END), tail.rfind(_END_64)
    small = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    large = int.from_bytes(tail[end_64 + 40 : end_64 + 48], "little") if end_64 >= 0 else 0
    return large if small == 0xFFFFFFFF else max(small, large)


def check_tensors(path: Path, state: Mapping[Any, Tensor]) -> None:
    """Names are text, tensors are dense numbers in memory, and all together no larger than the file."""
    for name, value in state.items():
        is_plain = type(value) in (Tensor, nn.Parameter) and value.layout == torch.strided and not value.is_quantized
        if not isinstance(name, str) or not is_plain or value.device.type != "cpu":
            raise bad_file(path, "named tensors of numbers", f"{str(name)[:80]!r}: {type(value).__name__}")
        is_counter = value.dtype == torch.int64 and value.ndim == 0
        if value.dtype not in FLOATS and not is_counter:
            raise bad_file(path, "weights of 16 to 64 bits", f"{name[:80]} of {value.dtype}")
    n_bytes = sum(value.numel() * value.element_size() for value in state.values())
    if n_bytes > path.stat().st_size:
        raise bad_file(path, "weights that are stored in the file", f"{n_bytes >> 20} MB of them in a smaller file")


def plain(value: Any) -> Any:
    """A number, a short text or a short list of numbers; any other value becomes the name of its type."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, str) and len(value) < 100):
        return value
    if isinstance(value, int) and abs(value) < 1 << 63:
        return value
    if (
        isinstance(value, list | tuple)
        and len(value) <= MOST_ITEMS
        and all(type(item) in (int, float) for item in value)
    ):
        return value
    return f"<{type(value).__name__}>"
