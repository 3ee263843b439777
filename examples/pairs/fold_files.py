"""A folder of links to the genuine files of a picture bank whose people a fold of `train_picture.py` left out.

    python examples/pairs/fold_files.py BANK CLIPS --fold 0 --out FOLDER

For `fakespan experts alarms`: a model is wrong more often on people it never saw. Files that hold several panels, or
that are forged in parts, are left out, as are all but 20 GRID sentences.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from folds import fold_of

from fakespan.practice.picture_bank import PictureBank

PARTS = ("", "neural_lips", "talking", "talking_more", "grid_s1")
MOST_OF_GRID = 20


def main() -> None:
    """Link the files into FOLDER."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    parser.add_argument("clips", type=Path, help="folder with the parts that the bank was made of")
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    files = genuine_files(PictureBank(options.bank), options.clips, options.fold)
    options.out.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        link = options.out / f"{number:03d}-{file.name}"
        link.unlink(missing_ok=True)
        link.symlink_to(file.resolve())
    print(f"{len(files)} files of people in fold {options.fold}")


def genuine_files(bank: PictureBank, clips: Path, fold: int) -> list[Path]:
    """Sorted, GRID last."""
    sources = {
        entry.source
        for entry in bank.entries
        if entry.role == "real"
        and not entry.spans
        and fold_of(entry.person) == fold
        and "side_by_side" not in entry.source
    }
    found = [path for source in sorted(sources) if (path := _place(clips, source)) is not None]
    grid = [path for path in found if path.parent.name == "grid_s1"]
    return [path for path in found if path not in grid] + grid[:MOST_OF_GRID]


def _place(clips: Path, source: str) -> Path | None:
    return next((clips / part / source for part in PARTS if (clips / part / source).is_file()), None)


if __name__ == "__main__":
    main()
