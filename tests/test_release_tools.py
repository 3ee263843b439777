"""`make release` and `make dist` refuse what must not go out."""

from __future__ import annotations

import re

import pytest

from programs import load_program

release, wheel, torch_free = (load_program("tools", name) for name in ("check_release", "check_wheel", "torch_free"))

GOOD = """# Changelog

## [Unreleased]

## [1.2.0] - 2030-01-31

### Added
- News.

## [1.1.0] - 2029-01-01
- Old.
"""


def test_a_changelog_with_the_version_its_date_and_its_news_is_ready() -> None:
    assert release.changelog_problems(GOOD, "1.2.0") == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[1.2.0]", "[1.3.0]", r"expected \[Unreleased\] and then \[1.2.0\] on top"),
        ("## [Unreleased]\n", "", r"expected \[Unreleased\] and then"),
        ("## [Unreleased]\n", "## [Unreleased]\n- Later.\n", r"nothing under \[Unreleased\]"),
        (" - 2030-01-31", "", "expected a date like .* got none"),
        ("2030-01-31", "soon", "expected a date like .* got soon"),
        ("### Added\n- News.\n", "", r"expected what changed under \[1.2.0\], got nothing"),
    ],
)
def test_an_unready_changelog_is_told(old: str, new: str, problem: str) -> None:
    (told,) = release.changelog_problems(GOOD.replace(old, new, 1), "1.2.0")
    assert re.search(problem, told)


def test_the_tag_must_lie_on_a_clean_commit() -> None:
    assert release.tag_problems("1.2.0", ["v1.2.0"], "") == []
    assert "expected the tag v1.2.0 on this commit, got ['v1.1.0']" in release.tag_problems("1.2.0", ["v1.1.0"], "")[0]
    assert "got changes: M README.md" in release.tag_problems("1.2.0", ["v1.2.0"], " M README.md\n")[0]


def test_the_version_is_read_from_the_package() -> None:
    assert release.version_of('"""Docs."""\n\n__version__ = "1.2.0"\n') == "1.2.0"


@pytest.mark.parametrize(
    ("found", "is_right"),
    [
        ([(5.9, 6.5)], True),
        ([(5.0, 6.5)], False),
        ([(5.9, 7.5)], False),
        ([], False),
        ([(5.9, 6.5), (1.0, 2.0)], False),
    ],
)
def test_an_installed_wheel_must_find_the_forged_word_and_nothing_else(found, is_right: bool) -> None:
    scan = {"segments": [{"start_s": start, "end_s": end} for start, end in found]}
    assert (wheel.problems(scan, [[5.84, 6.58]]) == []) is is_right


def test_requirements_without_torch_are_words_for_a_shell() -> None:
    extras = {
        "forge": ["silero-vad>=6", "praatio>=6"],
        "formats": ["pyarrow>=18"],
        "train": ["lightning>=2.6,!=2.6.2"],
        "dev": ["ruff", "pytest>=8"],
    }
    project = {"dependencies": ["av >=18, <19", "torch>=2.6"], "optional-dependencies": extras}
    assert torch_free.requirements(project) == ["av>=18,<19", "praatio>=6", "pyarrow>=18", "pytest>=8"]
