"""The result files of `scan` and `report`: their folder, formats and names."""

from __future__ import annotations

import enum
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from fakespan.cli.shared import note, output_folder, remark, reported
from fakespan.errors import FakespanError, MediaError, UsageError

if TYPE_CHECKING:
    from fakespan.types import Scan

__all__ = ["Format", "ResultFiles", "check_formats"]


class Format(enum.StrEnum):
    """Output formats of --out; typer has no lists of literals."""

    html = "html"
    json = "json"
    csv = "csv"
    vtt = "vtt"
    svg = "svg"
    parquet = "parquet"
    otio = "otio"
    edl = "edl"
    fcpxml = "fcpxml"
    labelstudio = "labelstudio"
    textgrid = "textgrid"
    eaf = "eaf"
    rttm = "rttm"
    audacity = "audacity"


def check_formats(
    out: Path | None, formats: Collection[Format] | None, embed: bool, reference: Path | None = None
) -> None:
    """Refuse options that would have no effect, and a reference that is no media file. Raises UsageError."""
    asked = {"--format": bool(formats), "--embed": embed, "--reference": reference is not None}
    if out is None and any(asked.values()):
        option = next(name for name, is_asked in asked.items() if is_asked)
        raise UsageError(option, expected="--out with it", got="none", remedy="add --out FOLDER")
    for option in ("--embed", "--reference"):
        if asked[option] and formats and Format.html not in formats:
            got = " and ".join(formats)
            raise UsageError(option, expected="--format html with it", got=got, remedy=f"add -f html, or drop {option}")
    if reference is not None:
        _check_media(reference)


def _check_media(reference: Path) -> None:
    from fakespan.media.probe import probe

    try:
        probe(reference)
    except MediaError as error:
        raise UsageError(reference, expected=error.expected, got=error.got, remedy=error.remedy) from error


class ResultFiles:
    """The files that --out writes. The results of a file are written as soon as it is scanned.

    Raises:
        UsageError: the folder cannot be made or written to, or its results.csv or results.parquet is another table.
        MissingExtraError: a format needs a library that is not installed.
    """

    def __init__(self, folder: Path, formats: Collection[Format], embed: bool, reference: Path | None = None) -> None:
        from fakespan.report.export import TABLES
        from fakespan.report.libraries import check_libraries

        self.folder, self.embed, self.reference = output_folder(folder), embed, reference
        self.formats, self.taken = tuple(dict.fromkeys(formats)), set[str]()
        check_libraries(format_.value for format_ in self.formats)
        for format_ in self.formats:
            if format_ in TABLES:
                TABLES[format_].read_rows(self._table(format_))

    def write(self, result: Scan, failures: list[FakespanError], *, quiet: bool = False) -> None:
        """Write the results of one file and print their paths. A failure is reported and added to `failures`."""
        from fakespan.files import locked

        with reported(Path(result.file), failures), locked(self.folder):
            name = self._name(result)
            written = [self._write_as(format_, name, result) for format_ in self.formats]
            if not quiet:
                note("written: " + ", ".join(map(str, written)))

    def _table(self, format_: Format) -> Path:
        """The table of all results in the folder."""
        return self.folder / f"results.{format_.value}"

    def _name(self, result: Scan) -> str:
        from fakespan.report.export import SUFFIXES, TABLES
        from fakespan.report.names import result_name

        suffixes = ["json", *(suffix for suffix in SUFFIXES.values() if suffix != "json")]
        alone = result_name(result, self.folder / "none", (), self.taken)
        name = result_name(result, self.folder, suffixes, self.taken)
        if name != alone and not set(self.formats) <= set(TABLES):
            remark(f"{self.folder / alone}.*: results of another file or of other content, kept; these are {name}.*")
        self.taken.add(name.casefold())
        return name

    def _write_as(self, format_: Format, name: str, result: Scan) -> Path:
        from fakespan.report.export import SUFFIXES, TABLES, WRITERS
        from fakespan.report.html import write_html

        if format_ in TABLES:
            path = self._table(format_)
            TABLES[format_].merge(result, path)
            return path
        path = self.folder / f"{name}.{SUFFIXES[format_]}"
        if format_ is Format.html:
            from fakespan.closeup.make import close_ups

            write_html(result, path, embed=self.embed, closeups=close_ups(Path(result.file), result, self.reference))
        else:
            WRITERS[format_.value](result, path)
        return path
