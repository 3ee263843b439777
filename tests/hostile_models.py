"""Model files made to run code, to exhaust memory or time, or to crash; and a program that opens them under limits.

`python hostile_models.py GOOD FILE...` loads GOOD without limits, then opens each FILE with 200 MB and one second of
CPU more than before. It prints a JSON line for each: the file, the class of the error and its message.
"""

from __future__ import annotations

import io
import json
import pickle
import resource
import signal
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

MOST_BYTES, MOST_CPU_S = 200 << 20, 1.0


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.target), "w"))


# -- checkpoints: a pickle in a ZIP archive


def archive(data: bytes, records: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A checkpoint with this pickle and these tensors."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression, compresslevel=1) as file:
        file.writestr("archive/data.pkl", data)
        file.writestr("archive/byteorder", "little")
        file.writestr("archive/version", "3\n")
        for name, content in (records or {}).items():
            file.writestr(f"archive/data/{name}", content)
    return buffer.getvalue()


def saved(record: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(record, buffer)
    return buffer.getvalue()


def tensor(n_stored: int, size: tuple[int, ...], stride: tuple[int, ...], *, kind: bytes = b"FloatStorage") -> bytes:
    """Opcodes of a tensor of any shape over storage 0, which claims `n_stored` numbers."""
    storage = b"".join((
        b"(X\x07\x00\x00\x00storagectorch\n", kind, b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu", number(n_stored), b"tQ"
    ))  # fmt: skip
    shape = b"(" + b"".join(map(number, size)) + b"t"
    steps = b"(" + b"".join(map(number, stride)) + b"t"
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + shape + steps + b"\x89" + hooks + b"tR"


def number(value: int) -> bytes:
    return pickle.LONG1 + bytes([9]) + value.to_bytes(9, "little")


def published(tensors: bytes, *, more: bytes = b"") -> bytes:
    """A pickle of {"state_dict": {"fusion.v_attn_block.x": tensors}}."""
    name = b"X\x15\x00\x00\x00fusion.v_attn_block.x"
    return b"\x80\x02}(X\x0a\x00\x00\x00state_dict}" + name + tensors + b"s" + more + b"u."


def with_tensor(n_stored: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A checkpoint with such a tensor, of which 64 bytes are in the file."""
    return archive(published(tensor(n_stored, size, stride)), {"0": bytes(64)})


def laughs(n: int = 60) -> Any:
    """2 ** n references to a text."""
    value: Any = "ha"
    for _ in range(n):
        value = [value, value]
    return value


CHECKPOINTS: dict[str, Callable[[Path, dict[str, Any]], bytes]] = {
    "code": lambda folder, good: saved({"state_dict": Code(folder / "harm")}),
    "code_beside_weights": lambda folder, good: saved({**good, "callbacks": Code(folder / "harm")}),
    "code_old_pickle": lambda folder, good: pickle.dumps(Code(folder / "harm"), protocol=2),
    "code_new_pickle": lambda folder, good: pickle.dumps(Code(folder / "harm"), protocol=5),
    "code_after_much": lambda folder, good: pickle.dumps([0] * 300_000 + [Code(folder / "harm")], protocol=2),
    "laughs_hyper": lambda folder, good: saved({**good, "hyper_parameters": {"temporal_dim": laughs()}}),
    "laughs_widths": lambda folder, good: saved({**good, "hyper_parameters": {"ve_features": laughs()}}),
    "laughs_epoch": lambda folder, good: saved({**good, "epoch": laughs()}),
    "nested_hyper": lambda folder, good: archive(published(
        b"N", more=b"X\x10\x00\x00\x00hyper_parameters" + b"]" * 10**5 + b"a" * (10**5 - 1))),
    "long_bytes": lambda folder, good: archive(b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x."),
    "long_text": lambda folder, good: archive(b"\x80\x04\x8d" + (1 << 34).to_bytes(8, "little") + b"x."),
    "long_number": lambda folder, good: archive(b"\x80\x02\x8b" + (1 << 30).to_bytes(4, "little") + b"x."),
    "many_sets": lambda folder, good: archive(b"\x80\x04" + b"\x8f" * (8 << 20) + b"."),
    "many_lists_deflated": lambda folder, good: archive(b"\x80\x02" + b"]" * (16 << 20), {}, zipfile.ZIP_DEFLATED),
    "tensor_deflated": lambda folder, good: archive(
        published(tensor(1 << 26, (1 << 26,), (1,))), {"0": bytes(1 << 28)}, zipfile.ZIP_DEFLATED),
    "tensor_beyond_record": lambda folder, good: with_tensor(1 << 40, (1 << 40,), (1,)),
    "tensor_shortly_beyond": lambda folder, good: with_tensor(4096, (4096,), (1,)),
    "tensor_expanded": lambda folder, good: with_tensor(16, (1 << 20, 1 << 20), (0, 0)),
    "tensor_without_record": lambda folder, good: archive(published(tensor(16, (16,), (1,)))),
    "many_entries": lambda folder, good: archive(b"\x80\x02}.", {str(k): b"" for k in range(60_000)}),
    "ten_thousand_entries": lambda folder, good: archive(b"\x80\x02}.", {str(k): b"" for k in range(9_900)}),
    "number_as_name": lambda folder, good: saved({**good, "state_dict": {3: torch.zeros(1)}}),
    "sparse": lambda folder, good: other_weights(good, torch.Tensor.to_sparse),
    "meta": lambda folder, good: other_weights(good, lambda weight: weight.to("meta")),
    "complex": lambda folder, good: other_weights(good, lambda weight: weight.to(torch.complex64)),
    "expanded": lambda folder, good: saved(expanded(good)),
    "nan": lambda folder, good: other_weights(good, lambda weight: weight * torch.nan),
    "old_format": lambda folder, good: old_format(good),
    "old_format_huge": lambda folder, good: old_format({"state_dict": torch.zeros(3)}).replace(
        b"K\x03", b"J\xff\xff\xff\x7f"),
    "sampling_bomb": lambda folder, good: saved({**good, "hyper_parameters": {
        **good["hyper_parameters"], "temporal_dim": 200_000, "max_duration": 100_000, "boundary_samples": 1000}}),
    "width_bomb": lambda folder, good: saved({**good, "hyper_parameters": {
        **good["hyper_parameters"], "ve_features": [2] * 50_000}}),
    "feature_bomb": lambda folder, good: saved({**good, "hyper_parameters": {
        **good["hyper_parameters"], "v_cla_feature_in": 10**9}}),
    "empty_archive": lambda folder, good: archive(b""),
    "text": lambda folder, good: b"Dear reader,\n" * 100_000,
    "zeros": lambda folder, good: bytes(8 << 20),
}  # fmt: skip


def other_weights(good: dict[str, Any], change: Callable[[torch.Tensor], torch.Tensor]) -> bytes:
    return saved({**good, "state_dict": {name: change(weight) for name, weight in good["state_dict"].items()}})


def expanded(good: dict[str, Any]) -> dict[str, Any]:
    """A network whose weights of any size are one number, repeated without memory."""
    n_wide = 30_000
    state = dict(good["state_dict"])
    for name, value in state.items():
        if "boundary_module.block1" in name:
            state[name] = torch.zeros(1).as_strided([n_wide if n == 4 else n for n in value.shape], [0] * value.ndim)
        elif "boundary_module.block0" in name:
            state[name] = torch.zeros(1).as_strided([n_wide, *value.shape[1:]], [0] * value.ndim)
    return {**good, "state_dict": state,
            "hyper_parameters": {**good["hyper_parameters"], "boundary_features": (n_wide, n_wide)}}  # fmt: skip


def old_format(record: Any) -> bytes:
    """A file as torch wrote it before version 1.6."""
    buffer = io.BytesIO()
    torch.save(record, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


# -- safetensors: a JSON header, then numbers


def ours(good: bytes, **changes: Any) -> bytes:
    """A model file of ours with other entries in its header."""
    n = struct.unpack("<Q", good[:8])[0]
    head = json.loads(good[8 : 8 + n])
    ours = {**json.loads(head["__metadata__"]["fakespan"]), **changes}
    return with_header({**head, "__metadata__": {"fakespan": json.dumps(ours)}}, good[8 + n :])


def with_header(head: Any, numbers: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def model_table(good: bytes, **changes: Any) -> dict[str, Any]:
    n = struct.unpack("<Q", good[:8])[0]
    return {**json.loads(json.loads(good[8 : 8 + n])["__metadata__"]["fakespan"])["model"], **changes}


def other_numbers(good: bytes, change: Callable[[torch.Tensor], torch.Tensor]) -> bytes:
    from safetensors.torch import load

    n = struct.unpack("<Q", good[:8])[0]
    metadata = json.loads(good[8 : 8 + n])["__metadata__"]
    return save({name: change(value).contiguous() for name, value in load(good).items()}, metadata=metadata)


SAFETENSORS: dict[str, Callable[[bytes], bytes]] = {
    "header_beyond_file": lambda good: struct.pack("<Q", 1 << 62) + good[8:],
    "header_of_20_mb": lambda good: with_header(b'{"__metadata__":{"fakespan":"{}"}}' + b" " * (20 << 20)),
    "many_tensors": lambda good: with_header(b"{%s}" % b",".join(
        b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % k for k in range(300_000))),
    "many_notes": lambda good: with_header({"__metadata__": {str(k): "x" for k in range(1_000_000)}}),
    "nested_header": lambda good: with_header(b"[" * (1 << 20)),
    "nested_notes": lambda good: with_header({"__metadata__": {"fakespan": "[" * (1 << 20)}}),
    "huge_shape": lambda good: with_header({"__metadata__": {"fakespan": "{}"}, "a": {
        "dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}, bytes(4)),
    "empty_huge_shape": lambda good: with_header({"__metadata__": {"fakespan": "{}"}, "a": {
        "dtype": "F32", "shape": [1 << 62, 0], "data_offsets": [0, 0]}}),
    "overlapping": lambda good: with_header({"__metadata__": {"fakespan": "{}"}, **{
        str(k): {"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]} for k in range(1000)}}, bytes(4096)),
    "long_clip": lambda good: ours(good, model=model_table(good, n_frames=10**9)),
    "huge_number": lambda good: ours(good, format=10**400),
    "frames_bomb": lambda good: ours(good, model=model_table(good, n_frames=10**9, max_duration=10**9)),
    "samples_bomb": lambda good: ours(good, model=model_table(good, n_samples=10**9)),
    "feature_bomb": lambda good: ours(good, model=model_table(good, n_features=10**12)),
    "widths_bomb": lambda good: ours(good, model=model_table(good, video_widths=[4] * 100_000)),
    "wrong_shapes": lambda good: ours(good, model=model_table(good, n_features=32)),
    "wide_shapes": lambda good: ours(good, model=model_table(good, boundary_widths=[2**40, 2**40])),
    "head_bomb": lambda good: ours(good, verdict={
        "format": 1, "config": {"rows": 10**9, "columns": 10**9, "widths": [10**9, 10**9]}, "mlp": {}}),
    "nan": lambda good: other_numbers(good, lambda value: value * torch.nan if value.is_floating_point() else value),
    "wrong_type": lambda good: other_numbers(good, lambda value: value.to(torch.int64)),
    "float8": lambda good: other_numbers(good, lambda value: value.to(torch.float8_e4m3fn)),
    "truncated": lambda good: good[: len(good) // 2],
}  # fmt: skip


def write_all(folder: Path, ours: bytes, theirs: dict[str, Any]) -> list[Path]:
    """Write every case, from a good file of ours and the content of a published checkpoint."""
    paths = []
    for name, make in CHECKPOINTS.items():
        paths.append(folder / f"{name}.ckpt")
        paths[-1].write_bytes(make(folder, theirs))
    for name, change in SAFETENSORS.items():
        paths.append(folder / f"{name}.safetensors")
        paths[-1].write_bytes(change(ours))
    return paths


# -- the program


def open_within_limits(path: Path, load: Callable[[Path], object]) -> dict[str, str]:
    """Load a file with `MOST_BYTES` and `MOST_CPU_S` more than now; beyond the CPU time the process is killed."""
    used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + MOST_BYTES, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    try:
        load(path)
        told = {"error": "none", "message": "it was loaded"}
    except Exception as error:
        causes = [error, error.__cause__, error.__context__]
        n_memory = sum(isinstance(e, MemoryError) or "alloc" in str(e).lower() for e in causes)
        told = {"error": "MemoryError" if n_memory else type(error).__name__, "message": str(error)}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return {"file": path.name, **told}


def main() -> None:
    """Open the files of the command line."""
    from fakespan.checkpoint import load_checkpoint

    good, *hostile = map(Path, sys.argv[1:])
    load_checkpoint(good)
    for path in hostile:
        print(json.dumps(open_within_limits(path, load_checkpoint)), flush=True)


if __name__ == "__main__":
    main()
