"""The sheets of the workbook that are tables: a heading, and rows streamed below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from openpyxl.comments import Comment
from openpyxl.utils import get_column_letter

from cryptosim_bt.reports.workbook.columns import Column, Sheet, Tone
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
    shade,
)
from cryptosim_bt.reports.workbook.row_xml import RowFile, excel_times

# Rows that are turned into Python values at a time.
BLOCK = 10_000
_SIGNED = ("pnl", "percent")
_HEADER_HEIGHT = 32
Progress = Callable[[int, int], None]


class Rows:
    """Where the rows of a workbook's sheets go until the book is put together.

    Parameters
    ----------
    directory
        For their files.
    progress
        Called with (rows done, rows in all) after each block.
    """

    def __init__(self, directory: Path, total: int, progress: Progress | None) -> None:
        self._directory, self._done, self._total = directory, 0, total
        self._progress = progress
        self._files: list[tuple[Any, Path]] = []

    def stream(
        self, page: Any, first_row: int, width: int, blocks: Iterable[tuple[Any, Any]]
    ) -> None:
        """Write blocks of rows, each as columns and their styles, below a page's heading."""
        path = self._directory / f"rows{len(self._files)}.xml"
        self._files.append((page, path))
        with closing(RowFile(path, first_row, width)) as file:
            for columns, styles in blocks:
                file.write(columns, styles)
                self._done += len(columns[0])
                if self._progress is not None:
                    self._progress(self._done, self._total)

    def parts(self) -> dict[str, Path]:
        """Return the files by the parts of the saved book that they belong to."""
        return {page.path.lstrip("/"): path for page, path in self._files}


def write_sheet(sheet: Sheet, look: Look, rows: Rows, row_limit: int) -> None:
    """Write a table of the run."""
    page = look.page(sheet.name)
    shown = shown_rows(sheet, row_limit)
    columns = [(column.name, column.kind) for column in sheet.columns]
    area = set_up(page, columns, look, shown)
    if sheet.name == "bars" and shown:
        _shade_filled_bars(page, sheet, area, look)
    page.append(header(page, columns, look))
    rows.stream(page, 2, len(columns), _blocks(page, sheet, look, shown))


def _blocks(page: Any, sheet: Sheet, look: Look, shown: int) -> Iterator[tuple[Any, Any]]:
    inks = [_inks(page, column, look) for column in sheet.columns]
    for start in range(0, shown, BLOCK):
        stop = min(start + BLOCK, shown)
        values = [_values(column, start, stop) for column in sheet.columns]
        yield values, [_styles(column, ink, block, start)
                       for column, ink, block in zip(sheet.columns, inks, values, strict=True)]
    if shown < len(sheet):
        style = cell(page, None, font=BANNER_FONT).style_id
        blank: list[list[Any]] = [[None] for _ in sheet.columns[1:]]
        yield [[cut_note(sheet, shown, look)], *blank], [style] * len(sheet.columns)


def write_formulas(name: str, table: Any, look: Look, rows: Rows) -> None:
    """Write a sheet of formulas: a table with ``columns`` and ``rows()``, mappings of them."""
    page, columns = look.page(name), table.columns
    set_up(page, columns, look, len(table))
    page.append(header(page, columns, look))
    styles = [look.style(page, kind) for _, kind in columns]
    rows.stream(page, 2, len(columns), (
        ([[line.get(column) for line in block] for column, _ in columns], styles)
        for block in batched(table.rows())
    ))  # fmt: skip


def batched(lines: Iterator[Any]) -> Iterator[list[Any]]:
    """Yield lines in lists of as many as are written at a time."""
    while block := list(islice(lines, BLOCK)):
        yield block


def shown_rows(sheet: Sheet, row_limit: int) -> int:
    """Return the rows that fit: a heading stands above them, a note below if some do not."""
    return len(sheet) if len(sheet) + 1 <= row_limit else row_limit - 2


def cut_note(sheet: Sheet, shown: int, look: Look) -> str:
    """Return the sentence on rows that do not fit."""
    return look.words("workbook.row_limit", shown=shown, total=len(sheet), file=f"{sheet.name}.csv")


def header(page: Any, columns: Sequence[tuple[str, str]], look: Look) -> list[Any]:
    """Return the headings of columns with their explanations."""
    cells = []
    for place, (name, _) in enumerate(columns):
        made = cell(page, look.words.heading(name), font=HEADER_FONT, fill=HEADER_FILL,
                    alignment=HEADER_ALIGNMENT)  # fmt: skip
        note = look.words.note(name)
        if not place and look.facts.synthetic:
            note = f"{note}\n{look.words('workbook.synthetic')}".strip()
        if note:
            made.comment = Comment(note, "CryptoSim", height=70, width=280)
        cells.append(made)
    return cells


def set_up(
    page: Any, columns: Sequence[tuple[str, str]], look: Look, count: int, row: int = 1
) -> str:
    """Set widths, a heading in a row, its filter; return the cells of the rows below it."""
    for number, (name, kind) in enumerate(columns, 1):
        width = column_width(name, kind, look.words.heading(name))
        page.column_dimensions[get_column_letter(number)].width = width
    last = get_column_letter(len(columns))
    page.freeze_panes = f"{'B' if row == 1 else 'A'}{row + 1}"
    page.row_dimensions[row].height = _HEADER_HEIGHT
    page.print_title_rows = f"{row}:{row}"
    page.auto_filter.ref = f"A{row}:{last}{row + count}"
    return f"A{row + 1}:{last}{row + count}"


def _values(column: Column, start: int, stop: int) -> list[Any]:
    series = column.values.iloc[start:stop]
    if pd.api.types.is_datetime64_any_dtype(series):
        return excel_times(series)
    if series.dtype == np.float64:
        return series.tolist()  # NaN leaves its cell out
    return series.astype(object).where(series.notna(), None).tolist()


def _inks(page: Any, column: Column, look: Look) -> dict[str | None, int]:
    """Return the styles of a column's cells by tone; "" is that of most of them."""
    inks: dict[str | None, int] = {"": look.style(page, column.kind)}
    if column.tones is not None or column.kind in _SIGNED:
        tones: tuple[Tone | None, ...] = ("long", "short", "profit", "loss", None)
        inks |= {tone: look.style(page, column.kind, tone) for tone in tones}
    return inks


def _styles(column: Column, inks: dict[str | None, int], values: list[Any], start: int) -> Any:
    if column.tones is not None:
        return [inks[tone] for tone in column.tones[start : start + len(values)]]
    if column.kind not in _SIGNED:
        return inks[""]
    return [inks["profit" if value > 0 else "loss"] if value else inks[""] for value in values]


def _shade_filled_bars(page: Any, sheet: Sheet, area: str, look: Look) -> None:
    names = [column.name for column in sheet.columns]
    actions = f"${get_column_letter(names.index('fill_actions') + 1)}2"
    liquidation = look.words.shown("liquidation")
    search = f'ISNUMBER(SEARCH("{liquidation}",{actions}))'
    shade(page, area, {search: WRONG, f'{actions}<>""': FILLED_BAR})
