"""What several test files share: the command line, one thread, and a tiny network with random weights in a file.

torch is imported where it is needed: `make test-pythons` runs tests where it is not installed.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from fakespan import cli
from fakespan.config import ModelConfig, PostConfig

settings.register_profile("fakespan", deadline=None)  # a busy machine is no failure
settings.load_profile("fakespan")

TINY = ModelConfig(
    family="small",
    video_encoder="frames",
    audio_encoder="mel",
    n_frames=64,
    max_duration=10,
    n_samples=4,
    n_features=16,
    video_widths=(4, 4, 8, 8),
    audio_widths=(4, 4, 8, 8),
    boundary_widths=(8, 8),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the programs beside the library form a tier of their own."""
    for item in items:
        if hasattr(getattr(item, "module", None), "load_program"):
            item.add_marker("programs")


def pytest_collection_finish() -> None:
    """The garbage collector passes over what was imported, and runs less often: it took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file; what it says is random, but always the same."""
    import torch

    from fakespan.checkpoint import save_checkpoint
    from fakespan.models import build_model

    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(TINY)
    save_checkpoint(path, network, name="tiny", model=TINY, post=PostConfig(threshold=0.5))
    return path


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running service with the shipped model, which all tests of this process share."""
    from services import running

    settings = {"private_callbacks": True, "url_hosts": ("files.example",), "requests_per_minute": 10**6}
    with running(tmp_path_factory.mktemp("service"), **settings) as found:
        found.service.durable.pauses_s = (0.01, 0.01)
        yield found


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Calls the command in this process: exit code, stdout and stderr."""

    def call_(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fakespan", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capfd.readouterr()
        return int(left.value.code or 0), out, err

    return call_


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tiny networks and short spectra are slower on several threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
