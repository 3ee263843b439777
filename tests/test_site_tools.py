"""The documentation site: links lead from the repository's places to the site's, and nothing foreign is loaded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from programs import load_program

site, checker = load_program("tools", "docs_site"), load_program("tools", "check_site")


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "docs/results.md", "results.md"),
        ("index.md", "MODEL_CARD.md", "MODEL_CARD.md"),
        ("index.md", "docs/verdict.md#length", "verdict.md#length"),
        ("results.md", "data.md", "data.md"),
        ("forge.md", "../configs/forge/seen.toml", "configs/forge/seen.toml"),
        ("benchmarks/README.md", "../docs/verdict.md", "../verdict.md"),
        ("reference/python.md", "../../README.md", "../index.md"),
        ("results.md", "https://arxiv.org/abs/2204.06228", "https://arxiv.org/abs/2204.06228"),
        ("results.md", "missing.md", "missing.md"),  # the strict build tells of it
    ],
)
def test_links_are_led_to_their_place_in_the_site(page: str, link: str, expected: str) -> None:
    place = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert site.on_page_markdown(f"see [this]({link}).", place, None, None) == f"see [this]({expected})."


def test_code_is_left_alone() -> None:
    text = "`[a](docs/data.md)` and\n```sh\n[b](docs/data.md)\n```\n[c](docs/data.md)"
    place = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    assert site.on_page_markdown(text, place, None, None) == text.replace("[c](docs/", "[c](")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.html", '<a href="https://arxiv.org">paper</a><img src="b.png"><link rel="icon" href="c.png">', []),
        ("a.html", '<script src="https://unpkg.com/x"></script>', ["https://unpkg.com/x"]),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/css">', ["//fonts.example/css"]),
        ("a.html", '<pre class="mermaid">graph</pre>', ["a mermaid diagram"]),
        ("a.css", 'a{background:url("data:image/svg+xml,x")} @import "x.css";', []),
        ("a.css", "a{background:url(https://host.example/x.png)}", ["https://host.example/x.png"]),
    ],
)
def test_what_a_page_loads_from_other_hosts_is_found(name: str, text: str, expected: list[str], tmp_path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert checker.foreign(tmp_path / name) == expected
    assert checker.main(tmp_path) == (1 if expected else 0)


def test_a_folder_without_a_site_is_no_clean_site(tmp_path) -> None:
    assert checker.main(tmp_path) == 2
