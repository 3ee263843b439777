"""`make release`: version, tag and changelog agree, and the working tree is what was tagged."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
RELEASE = re.compile(r"^## \[([^\]]+)\](?: - (.*))?$", re.MULTILINE)


def version_of(source: str) -> str:
    """The version that the package states."""
    (version,) = VERSION.findall(source)
    return str(version)


def changelog_problems(changelog: str, version: str) -> list[str]:
    r"""What stands between a changelog and the release of a version.

    >>> changelog_problems("## [Unreleased]\n\n## [1.0.0] - 2030-01-31\n\n### Added\n- All.\n", "1.0.0")
    []
    """
    heads = list(RELEASE.finditer(changelog))
    names = [head[1] for head in heads]
    if names[:2] != ["Unreleased", version]:
        return [f"CHANGELOG.md: expected [Unreleased] and then [{version}] on top, got {names[:2]}"]
    wrong = []
    if changelog[heads[0].end() : heads[1].start()].strip():
        wrong.append(f"CHANGELOG.md: expected nothing under [Unreleased], got entries; move them to [{version}]")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", heads[1][2] or ""):
        wrong.append(f"CHANGELOG.md: expected a date like 2030-01-31 after [{version}], got {heads[1][2] or 'none'}")
    end = heads[2].start() if len(heads) > 2 else len(changelog)
    if not changelog[heads[1].end() : end].strip():
        wrong.append(f"CHANGELOG.md: expected what changed under [{version}], got nothing")
    return wrong


def tag_problems(version: str, tags: list[str], changed: str) -> list[str]:
    """What is wrong with the tags of the commit that lies here, and with the working tree (`git status --short`)."""
    wrong = []
    if f"v{version}" not in tags:
        wrong.append(f"git: expected the tag v{version} on this commit, got {tags or 'none'}; git tag v{version}")
    if changed:
        wrong.append(f"git: expected a clean working tree, got changes: {' '.join(changed.split())}")
    return wrong


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Exit code 1 and a line for each problem, or the version."""
    source = (ROOT / "src" / "fakespan" / "version.py").read_text(encoding="utf-8")
    version = version_of(source)
    wrong = changelog_problems((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    wrong += tag_problems(version, _git("tag", "--points-at", "HEAD").split(), _git("status", "--short"))
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    print(f"release {version}: {'not yet' if wrong else 'version, tag and changelog agree'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
