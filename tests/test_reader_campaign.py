"""The short form of the campaign on readers: 25 damaged files of each kind; see tests/campaigns/readers.py."""

from __future__ import annotations

from pathlib import Path

from campaigns.readers import campaign, kinds_of


def test_a_damaged_file_gives_a_result_or_one_typed_line(tmp_path: Path) -> None:
    found = campaign(kinds_of(tmp_path), n_files=25, seed=3)
    assert {name: outcomes.total() for name, outcomes in found.items()} == dict.fromkeys(found, 25)
    assert {(name, what) for name, outcomes in found.items() for what in outcomes} <= {
        (name, what) for name in found for what in ("read", "refused")
    }
