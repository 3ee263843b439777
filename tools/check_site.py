"""Fails when a built page would load anything from another host: `python tools/check_site.py build/site`.

A link that a person may click can lead anywhere; scripts, styles, fonts, pictures and frames must lie in the site.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

LOADS = {"audio": "src", "embed": "src", "iframe": "src", "img": "src", "object": "data", "script": "src",
         "source": "src", "track": "src", "video": "src"}  # fmt: skip
FOREIGN = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)


class Loaded(HTMLParser):
    """Collects the foreign addresses that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        values = {name: value or "" for name, value in attrs}
        address = values.get(LOADS.get(tag, ""), "")
        if tag == "link" and values.get("rel") != "canonical":
            address = values.get("href", "")
        if FOREIGN.match(address):
            self.found.append(address)
        if "mermaid" in values.get("class", "").split():  # the theme would fetch a library to draw it
            self.found.append("a mermaid diagram")


def foreign(path: Path) -> list[str]:
    """What a page or a style sheet loads from other hosts."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return IN_STYLE.findall(text)
    page = Loaded()
    page.feed(text)
    return page.found + IN_STYLE.findall(text)


def main(folder: Path) -> int:
    """Exit code 1 when something is foreign, 2 when there is no site."""
    files = sorted(path for suffix in ("html", "css") for path in folder.rglob(f"*.{suffix}"))
    if not files:
        print(f"{folder}: expected a built site, got no page; run make docs", file=sys.stderr)
        return 2
    problems = [f"{path.relative_to(folder)}: loads {what}" for path in files for what in foreign(path)]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    print(f"{folder}: {len(files)} pages and style sheets, {len(problems)} loads from other hosts")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
