"""The sheets of the workbook that are tables: a heading, and rows streamed below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from openpyxl.comments import Comment
from openpyxl.formatting.rule import FormulaRule
from openpyxl.utils import get_column_letter

from cryptosim_bt.reports.workbook.columns import Column, Sheet
from cryptosim_bt.reports.workbook.look import (
    BANNER_FONT,
    FILLED_BAR,
    HEADER_ALIGNMENT,
    HEADER_FILL,
    HEADER_FONT,
    WRONG,
    Look,
    cell,
    column_width,
)
from cryptosim_bt.reports.workbook.row_xml import RowFile, excel_times

# Rows that are turned into Python values at a time.
_BLOCK = 10_000
_HEADER_HEIGHT = 32
Written = Callable[[int], None]


class Rows:
    """Where the rows of a workbook's sheets go until the book is put together.

    Parameters
    ----------
    directory
        For their files.
    written
        Called with the number of rows after each block.
    """

    def __init__(self, directory: Path, written: Written) -> None:
        self._directory, self.written = directory, written
        self._files: list[tuple[Any, Path]] = []

    def file(self, page: Any, first_row: int, width: int) -> RowFile:
        """Return the file for a page's rows."""
        path = self._directory / f"rows{len(self._files)}.xml"
        self._files.append((page, path))
        return RowFile(path, first_row, width)

    def parts(self) -> dict[str, Path]:
        """Return the files by the parts of the saved book that they belong to."""
        return {page.path.lstrip("/"): path for page, path in self._files}


def write_sheet(sheet: Sheet, look: Look, rows: Rows, row_limit: int) -> Any:
    """Write a table of the run; return its page."""
    page = look.page(sheet.name)
    shown = shown_rows(sheet, row_limit)
    last = get_column_letter(len(sheet.columns))
    _set_up(page, [(column.name, column.kind) for column in sheet.columns], look, shown)
    if sheet.name == "bars" and shown:
        _shade_filled_bars(page, sheet, f"A2:{last}{shown + 1}", look)
    page.append(_header(page, [column.name for column in sheet.columns], look))
    styles = [_Styles(page, column, look) for column in sheet.columns]
    with rows.file(page, 2, len(sheet.columns)) as file:
        for start in range(0, shown, _BLOCK):
            stop = min(start + _BLOCK, shown)
            values = [_values(column, start, stop) for column in sheet.columns]
            inks = [each.of(block, start, stop)
                    for each, block in zip(styles, values, strict=True)]  # fmt: skip
            file.write(values, inks)
            rows.written(stop - start)
        if shown < len(sheet):
            style = cell(page, None, font=BANNER_FONT).style_id
            blank: list[list[Any]] = [[None] for _ in sheet.columns[1:]]
            file.write([[cut_note(sheet, shown, look)], *blank], [style] * len(sheet.columns))
    return page


def write_formulas(
    name: str, columns: Sequence[tuple[str, str]], lines: Iterator[dict[str, Any]], count: int,
    look: Look, rows: Rows,
) -> Any:  # fmt: skip
    """Write a sheet of formulas, one mapping of column to value a row; return its page."""
    page = look.page(name)
    _set_up(page, columns, look, count)
    page.append(_header(page, [column for column, _ in columns], look))
    styles = [look.style(page, kind) for _, kind in columns]
    names = [column for column, _ in columns]
    with rows.file(page, 2, len(columns)) as file:
        while block := list(islice(lines, _BLOCK)):
            file.write([[line.get(column) for line in block] for column in names], styles)
            rows.written(len(block))
    return page


def shown_rows(sheet: Sheet, row_limit: int) -> int:
    """Return the rows that fit: a heading stands above them, a note below if some do not."""
    return len(sheet) if len(sheet) + 1 <= row_limit else row_limit - 2


def cut_note(sheet: Sheet, shown: int, look: Look) -> str:
    """Return the sentence on rows that do not fit."""
    return look.words("workbook.row_limit", shown=shown, total=len(sheet), file=f"{sheet.name}.csv")


def header_cell(page: Any, name: str, look: Look, *, first: bool = False) -> Any:
    """Return the heading of a column with its explanation."""
    heading = look.words.heading(name)
    made = cell(page, heading, font=HEADER_FONT, fill=HEADER_FILL, alignment=HEADER_ALIGNMENT)
    note = look.words.note(name)
    if first and look.facts.synthetic:
        note = f"{note}\n{look.words('workbook.synthetic')}".strip()
    if note:
        made.comment = Comment(note, "CryptoSim", height=70, width=280)
    return made


def _header(page: Any, names: Sequence[str], look: Look) -> list[Any]:
    return [header_cell(page, name, look, first=not place) for place, name in enumerate(names)]


def _set_up(page: Any, columns: Sequence[tuple[str, str]], look: Look, count: int) -> None:
    for number, (name, kind) in enumerate(columns, 1):
        width = column_width(name, kind, look.words.heading(name))
        page.column_dimensions[get_column_letter(number)].width = width
    page.freeze_panes = "B2"
    page.row_dimensions[1].height = _HEADER_HEIGHT
    page.print_title_rows = "1:1"
    page.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{count + 1}"


def _values(column: Column, start: int, stop: int) -> list[Any]:
    series = column.values.iloc[start:stop]
    if pd.api.types.is_datetime64_any_dtype(series):
        return excel_times(series)
    if series.dtype == np.float64:
        return series.tolist()  # NaN leaves its cell out
    return series.astype(object).where(series.notna(), None).tolist()


class _Styles:
    """The styles of one column's cells: one, or one a row where they are coloured."""

    def __init__(self, page: Any, column: Column, look: Look) -> None:
        self._tones = column.tones
        self._signed = column.kind in ("pnl", "percent")
        self._plain = look.style(page, column.kind)
        self._inked = {}
        if self._signed or self._tones is not None:
            self._inked = {tone: look.style(page, column.kind, tone)
                           for tone in ("long", "short", "profit", "loss", None)}  # fmt: skip

    def of(self, values: list[Any], start: int, stop: int) -> Any:
        if self._tones is not None:
            return [self._inked[tone] for tone in self._tones[start:stop]]
        if not self._signed:
            return self._plain
        profit, loss = self._inked["profit"], self._inked["loss"]
        return [
            self._plain if not value else (profit if value > 0 else loss) for value in values
        ]


def _shade_filled_bars(page: Any, sheet: Sheet, area: str, look: Look) -> None:
    names = [column.name for column in sheet.columns]
    actions = f"${get_column_letter(names.index('fill_actions') + 1)}2"
    liquidation = look.words.shown("liquidation")
    search = f'ISNUMBER(SEARCH("{liquidation}",{actions}))'
    page.conditional_formatting.add(
        area, FormulaRule(formula=[search], fill=WRONG, stopIfTrue=True)
    )
    page.conditional_formatting.add(area, FormulaRule(formula=[f'{actions}<>""'], fill=FILLED_BAR))
