"""Rows of a worksheet as XML, streamed to a file, and put into a workbook that openpyxl wrote.

openpyxl makes the book: styles, headings, widths, filters, charts. Its cells are objects, and a
million rows of them take minutes; so the rows below the headings are written here as text, a
block at a time, and spliced into the saved book.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite
from pathlib import Path
from shutil import copyfileobj
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.utils import get_column_letter
from openpyxl.writer.excel import ExcelWriter

# Day 0 of Excel's calendar.
_EPOCH = pd.Timestamp("1899-12-30")
_DAY_NS = 86_400 * 10**9
_END_OF_ROWS = b"</sheetData>"
# A level at which a year of minutes takes seconds to pack.
_COMPRESSION = 3


class Formula(str):
    """A formula, without its ``=``. Any other text is text, whatever it begins with."""

    __slots__ = ()


class RowFile:
    """The rows of one sheet, from a row on, in a file of their own; to be closed."""

    def __init__(self, path: Path, first_row: int, width: int) -> None:
        self._file = path.open("wb")
        self._row = first_row
        self._letters = [get_column_letter(number) for number in range(1, width + 1)]

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()

    def write(self, columns: Sequence[Sequence[Any]], styles: Sequence[Any]) -> None:
        """Write a block of rows, given as columns.

        Parameters
        ----------
        columns
            Values of each column, all of one length: numbers, texts, `Formula`, naive times; None
            or NaN leaves a cell out, infinity is a text.
        styles
            For each column a style's number, or one for every row.
        """
        count = len(columns[0])
        if not count:
            return
        start = self._row
        cells = [
            _cells(letter, start, values, style)
            for letter, values, style in zip(self._letters, columns, styles, strict=True)
        ]
        lines = [
            f'<row r="{row}">{"".join(line)}</row>'
            for row, line in enumerate(zip(*cells, strict=True), start)
        ]
        self._file.write("\n".join(lines).encode("utf-8"))
        self._row += count


def excel_times(times: pd.Series) -> list[float | None]:
    """Return naive times as Excel counts them: days since 1899-12-30; None where there is none."""
    since = (times - _EPOCH).astype("timedelta64[ns]").to_numpy()
    days = since.astype(np.int64) / _DAY_NS
    return [None if missing else day for day, missing in zip(days.tolist(), times.isna().tolist(),
                                                             strict=True)]  # fmt: skip


def _cells(letter: str, start: int, values: Sequence[Any], style: Any) -> list[str]:
    styles = [style] * len(values) if isinstance(style, int) else style
    rows = enumerate(zip(values, styles, strict=True), start)
    if set(map(type, values)) == {float}:
        # Most columns of the bars: written here, without a call per cell.
        return [
            f'<c r="{letter}{row}" s="{each}"><v>{value!r}</v></c>'
            if isfinite(value)
            else _cell(f"{letter}{row}", value, each)
            for row, (value, each) in rows
        ]
    return [_cell(f"{letter}{row}", value, each) for row, (value, each) in rows]


def _cell(place: str, value: Any, style: int) -> str:
    kind = type(value)
    if value is None or value is pd.NA or value != value:  # or NaN
        return ""
    if kind is Formula:
        return f'<c r="{place}" s="{style}"><f>{escape(value)}</f></c>'
    if kind is float and not isfinite(value):
        value, kind = str(value), str  # no number to a workbook
    if kind is str:
        kept = escape(ILLEGAL_CHARACTERS_RE.sub("", value))
        space = ' xml:space="preserve"' if kept != kept.strip() else ""
        return f'<c r="{place}" s="{style}" t="inlineStr"><is><t{space}>{kept}</t></is></c>'
    if kind is int or kind is float:
        return f'<c r="{place}" s="{style}"><v>{value!r}</v></c>'
    if isinstance(value, datetime):
        days = (value - _EPOCH.to_pydatetime()).total_seconds() / 86_400
        return f'<c r="{place}" s="{style}"><v>{days!r}</v></c>'
    return _cell(place, value.item(), style)  # numpy's own numbers


class _Archive(zipfile.ZipFile):
    """A zip file whose parts have no date of their own: zip begins in 1980, clocks may not."""

    def writestr(self, zinfo_or_arcname: str | zipfile.ZipInfo, *args: Any, **kwargs: Any) -> None:
        part = zinfo_or_arcname
        if isinstance(part, str):
            part = zipfile.ZipInfo(part)
            part.compress_type = self.compression
        super().writestr(part, *args, **kwargs)


def save(book: Workbook, path: Path) -> None:
    """Save a book as openpyxl does, whatever year the clock shows."""
    archive = _Archive(path, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False)
    ExcelWriter(book, archive).save()


def splice(book: Path, rows: Mapping[str, Path], target: Path) -> None:
    """Write a book again with rows put into its sheets.

    Parameters
    ----------
    book
        The file that openpyxl saved.
    rows
        Name of a sheet's part in the book (``xl/worksheets/sheet1.xml``) and the file of its rows.
    target
        The whole book.
    """
    with (
        zipfile.ZipFile(book) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as made,
    ):
        for item in source.infolist():
            content = source.read(item)
            if item.filename not in rows:
                made.writestr(item, content)
                continue
            head, end, tail = content.partition(_END_OF_ROWS)
            assert end, f"{item.filename} has no rows to add to"
            with made.open(item.filename, "w", force_zip64=True) as part:
                part.write(head)
                with rows[item.filename].open("rb") as file:
                    copyfileobj(file, part)
                part.write(end + tail)
