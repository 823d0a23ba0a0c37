"""report.xlsx: how the sheets of a run look. What stands in them is decided in `sheets`.

Rows are streamed (openpyxl's write-only mode), so that memory does not grow with cells.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.comments import Comment
from openpyxl.formatting.rule import FormulaRule
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter

from cryptosim_bt.result import Result
from cryptosim_bt.run_facts import RunFacts
from cryptosim_bt.sheets import Column, Sheet, Tone, sheets_of
from cryptosim_bt.summary_rows import SummaryRow, summary_sections
from cryptosim_bt.wording import Words

# What one sheet of Excel holds.
EXCEL_ROWS = 1_048_576
# Rows that are turned into Python values at a time.
_BLOCK = 10_000
# Set in paper size codes: A3, which holds the bars' columns at a legible size.
_A3 = "8"

_TIME_FORMAT = "yyyy-mm-dd hh:mm"
_INK: dict[Tone, str] = {"long": "1F5FA8", "short": "C55A11", "profit": "00803C", "loss": "C00000"}
# Named, because a font without a name is each program's own; without Korean letters, which Excel
# and LibreOffice then take from a font that has them.
_FONT = "Calibri"
_PLAIN = Font(name=_FONT, size=11)
_TITLE_FONT = Font(name=_FONT, size=16, bold=True)
_BANNER_FONT = Font(name=_FONT, size=12, bold=True, color="C00000")
_SECTION_FONT = Font(name=_FONT, size=11, bold=True, color="1F3864")
_NOTE_FONT = Font(name=_FONT, size=11, color="595959")
_HEADER_FONT = Font(name=_FONT, size=11, bold=True, color="FFFFFF")
_HEADER_FILL = PatternFill("solid", fgColor="1F3864")
_HEADER_ALIGNMENT = Alignment(horizontal="center", vertical="center", wrap_text=True)
_SECTION_FILL = PatternFill("solid", fgColor="D9E2F3")
_FILLED_BAR = PatternFill("solid", bgColor="FFF8DC")
_LIQUIDATED_BAR = PatternFill("solid", bgColor="F8CBCB")
_HAIRLINE = Border(bottom=Side(style="hair", color="BFBFBF"))
_TOP = Alignment(vertical="top", wrap_text=True)
_LEFT = Alignment(horizontal="left", vertical="top", wrap_text=True)

_VALUE_WIDTH, _LINE_HEIGHT = 40, 15
# Widths in characters of the usual font.
_WIDTHS = {
    "time": 16.5, "price": 11.0, "average": 12.0, "number": 11.0, "contracts": 10.0,
    "amount": 12.0, "count": 8.0, "money": 14.0, "value": 14.0, "pnl": 14.5, "percent": 10.0,
    "hours": 9.0, "text": 10.0,
}  # fmt: skip
_WIDER = {"fill_actions": 32.0, "fill_prices": 18.0, "fill_contracts": 12.0, "fill_orders": 11.0,
          "reason": 30.0, "exit_reason": 12.0, "buy_signal": 11.0, "sell_signal": 11.0,
          "role": 12.0}  # fmt: skip


@dataclass(frozen=True)
class _Look:
    """What the sheets of one workbook share."""

    book: Any
    facts: RunFacts
    words: Words
    row_limit: int

    def number_format(self, kind: str) -> str:
        """Return Excel's format of a kind of column."""
        facts = self.facts
        price, money = facts.price_decimals, facts.money_decimals
        contracts = _number(facts.contract_decimals)
        formats = {
            "time": _TIME_FORMAT,
            "price": _number(price),
            "average": _number(price + 2),
            "number": _number(4),
            "contracts": f'{contracts};-{contracts};"-"',
            "amount": _number(8),
            "count": '#,##0;-#,##0;"-"',
            "money": _number(money),
            "value": f'{_number(money)};-{_number(money)};"-"',
            "pnl": _signed(money),
            "percent": _signed(2),
            "hours": "#,##0.0",
            "fraction": "0.00%",
            "ratio": "#,##0.00",
        }
        return formats.get(kind, "General")


def write_workbook(result: Result, path: Path, row_limit: int = EXCEL_ROWS) -> Path:
    """Write a run as a workbook; return its path.

    Parameters
    ----------
    row_limit
        Rows that a sheet may have, heading included. A longer table is cut, and a note under its
        last row and in the summary says so.
    """
    facts = RunFacts.of(result)
    words = Words.of(facts)
    look = _Look(Workbook(write_only=True), facts, words, row_limit)
    sheets = sheets_of(result, facts, words)
    _write_summary(result, sheets, look)
    for sheet in sheets:
        _write_sheet(sheet, look)
    look.book.save(path)
    return path


# ---------------------------------------------------------------------- data sheets
def _write_sheet(sheet: Sheet, look: _Look) -> None:
    page = _page(look, f"{sheet.name}_sheet")
    shown = _shown_rows(sheet, look.row_limit)
    last = get_column_letter(len(sheet.columns))
    headings = [look.words.heading(column.name) for column in sheet.columns]
    for number, column in enumerate(sheet.columns, 1):
        letter = get_column_letter(number)
        page.column_dimensions[letter].width = _width(column, headings[number - 1])
    page.freeze_panes = "B2"
    page.row_dimensions[1].height = 32
    page.print_title_rows = "1:1"
    page.auto_filter.ref = f"A1:{last}{shown + 1}"
    if sheet.name == "bars" and shown:
        _shade_filled_bars(page, sheet, f"A2:{last}{shown + 1}", look)
    page.append(_header_cells(page, sheet, headings, look))
    pens = [_Pen(page, column, look.number_format(column.kind)) for column in sheet.columns]
    for start in range(0, shown, _BLOCK):
        blocks = [pen.values(start, min(start + _BLOCK, shown)) for pen in pens]
        for row in zip(*blocks, strict=True):
            page.append(row)
    if shown < len(sheet):
        page.append([_cell(page, _cut_note(sheet, shown, look), font=_BANNER_FONT)])


def _header_cells(page: Any, sheet: Sheet, headings: list[str], look: _Look) -> list[Any]:
    cells = []
    for column, heading in zip(sheet.columns, headings, strict=True):
        cell = _cell(page, heading, font=_HEADER_FONT, fill=_HEADER_FILL,
                     alignment=_HEADER_ALIGNMENT)  # fmt: skip
        note = look.words.note(column.name)
        if column.name == sheet.columns[0].name and look.facts.synthetic:
            note = f"{note}\n{look.words.term('synthetic')}".strip()
        if note:
            cell.comment = Comment(note, "CryptoSim", height=70, width=280)
        cells.append(cell)
    return cells


class _Pen:
    """The cells of one column: one object per colour, filled again for every row.

    Streaming writes a cell before the next row is asked for; making a styled cell costs more
    than writing it.
    """

    def __init__(self, page: Any, column: Column, number_format: str) -> None:
        self._column = column
        self._signed = column.kind in ("pnl", "percent")
        # Several fills of a bar are a list: text among numbers, which stand on the right.
        side = "left" if column.kind == "text" else "right"
        style = {
            "number_format": number_format,
            "alignment": Alignment(horizontal=side, indent=1 if side == "left" else 0),
        }
        self._cells: dict[Tone | None, Any] = {None: _cell(page, None, **style)}
        for tone in _INK:
            ink = Font(name=_FONT, size=11, color=_INK[tone])
            self._cells[tone] = _cell(page, None, font=ink, **style)

    def values(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the cells of some rows; None where there is no value."""
        series = self._column.values.iloc[start:stop]
        values = series.astype(object).where(series.notna(), None).tolist()
        tones: Iterable[Tone | None] = repeat(None)
        if self._signed:
            tones = map(_tone_of, values)
        elif self._column.tones is not None:
            tones = self._column.tones[start:stop]
        for value, tone in zip(values, tones, strict=False):
            yield None if value is None else _fill(self._cells[tone], value)


def _tone_of(amount: float | None) -> Tone | None:
    return ("profit" if amount > 0 else "loss") if amount else None


def _shade_filled_bars(page: Any, sheet: Sheet, area: str, look: _Look) -> None:
    names = [column.name for column in sheet.columns]
    actions = f"${get_column_letter(names.index('fill_actions') + 1)}2"
    liquidation = look.words.shown("liquidation")
    search = f'ISNUMBER(SEARCH("{liquidation}",{actions}))'
    page.conditional_formatting.add(
        area, FormulaRule(formula=[search], fill=_LIQUIDATED_BAR, stopIfTrue=True)
    )
    page.conditional_formatting.add(area, FormulaRule(formula=[f'{actions}<>""'], fill=_FILLED_BAR))


def _shown_rows(sheet: Sheet, row_limit: int) -> int:
    """Return the rows that fit: a heading stands above them, a note below if some do not."""
    return len(sheet) if len(sheet) + 1 <= row_limit else row_limit - 2


def _cut_note(sheet: Sheet, shown: int, look: _Look) -> str:
    return look.words.term("row_limit", shown=shown, total=len(sheet), file=f"{sheet.name}.csv")


# ---------------------------------------------------------------------- summary
def _write_summary(result: Result, sheets: Sequence[Sheet], look: _Look) -> None:
    page = _page(look, "summary_sheet")
    for letter, width in zip("ABC", (38, _VALUE_WIDTH, 84), strict=True):
        page.column_dimensions[letter].width = width
    page.freeze_panes = "A2"
    page.row_dimensions[1].height = 26
    sections = [*summary_sections(result, look.facts, look.words)]
    settings = sections.pop()
    sections += [(look.words.term("section_sheets"), _about(sheets, look)), settings]
    lines = [*_summary_head(page, sheets, look)]
    for heading, rows in sections:
        lines += [[], *_section(page, heading, rows, look)]
    for number, line in enumerate(lines, 1):
        # Excel makes no room by itself for a value that is too long for one line.
        needed = _columns_of(str(line[1].value)) / _VALUE_WIDTH if len(line) > 1 else 0
        if needed > 1:
            page.row_dimensions[number].height = _LINE_HEIGHT * math.ceil(needed)
        page.append(line)


def _summary_head(page: Any, sheets: Sequence[Sheet], look: _Look) -> Iterator[list[Any]]:
    words = look.words
    title = f"{words.term('title')} · {look.facts.instrument.symbol}"
    yield [_cell(page, title, font=_TITLE_FONT)]
    if look.facts.synthetic:
        yield [_cell(page, words.term("synthetic"), font=_BANNER_FONT)]
    for sheet in sheets:
        shown = _shown_rows(sheet, look.row_limit)
        if shown < len(sheet):
            note = f"{words.term(f'{sheet.name}_sheet')}: {_cut_note(sheet, shown, look)}"
            yield [_cell(page, note, font=_BANNER_FONT)]
    yield [_cell(page, words.term("times_note"))]
    yield [_cell(page, words.term("colours_note"))]


def _about(sheets: Sequence[Sheet], look: _Look) -> list[SummaryRow]:
    words = look.words
    return [
        SummaryRow(words.term(f"{sheet.name}_sheet"), len(sheet), "plain",
                   words.term(f"{sheet.name}_note"))
        for sheet in sheets
    ]  # fmt: skip


def _section(page: Any, heading: str, rows: list[SummaryRow], look: _Look) -> Iterator[list[Any]]:
    words = look.words
    is_settings = heading == words.term("section_settings")
    last = words.term("settings_note" if is_settings else "meaning")
    yield [
        _cell(page, text, font=_SECTION_FONT, fill=_SECTION_FILL)
        for text in (heading, words.term("value"), last)
    ]
    for row in rows:
        yield [
            _cell(page, row.label, alignment=_TOP, border=_HAIRLINE),
            _cell(page, row.value, number_format=_figure_format(row, look), alignment=_LEFT,
                  border=_HAIRLINE),
            _cell(page, row.note, font=_NOTE_FONT, alignment=_TOP, border=_HAIRLINE),
        ]  # fmt: skip


def _figure_format(row: SummaryRow, look: _Look) -> str:
    if row.kind == "plain" and isinstance(row.value, int) and row.value >= 1_000:
        return "#,##0"
    return look.number_format(row.kind)


# ---------------------------------------------------------------------- cells and pages
def _page(look: _Look, name: str) -> Any:
    page = look.book.create_sheet(look.words.term(name))
    page.page_setup.orientation = "landscape"
    page.page_setup.paperSize = _A3
    page.sheet_properties.pageSetUpPr.fitToPage = True
    page.page_setup.fitToHeight = 0
    header = f"{look.words.term('title')} · {look.facts.instrument.symbol} · {look.facts.zone.key}"
    if look.facts.synthetic:
        page.sheet_properties.tabColor = "C00000"
        header += f" · {look.words.term('synthetic_short')}"
    page.oddHeader.left.text = header
    page.oddFooter.right.text = "&P / &N"
    return page


def _cell(page: Any, value: Any, **style: Any) -> Any:
    cell = WriteOnlyCell(page)
    cell.font = _PLAIN
    for name, look in style.items():
        setattr(cell, name, look)
    return cell if value is None else _fill(cell, value)


def _fill(cell: Any, value: Any) -> Any:
    if isinstance(value, str):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
        # A text that begins with "=" is no formula: symbols and paths come from outside.
        cell.data_type = "s"
    elif isinstance(value, float):
        # All digits: openpyxl would write sixteen, and the last bit be lost.
        cell.value = repr(value)
        cell.data_type = "n"
    else:
        number_format = cell.number_format
        cell.value = value
        # openpyxl gives times a format of its own.
        if cell.number_format != number_format:
            cell.number_format = number_format
    return cell


def _width(column: Column, heading: str) -> float:
    """Return a width for the values, and for the longest word of the heading on two lines."""
    word = max(_columns_of(part) for part in heading.split(" "))
    # Two more for the filter's arrow.
    return max(_WIDER.get(column.name, _WIDTHS[column.kind]), word + 2.0)


def _columns_of(text: str) -> float:
    """Return how wide a text is in digits; Korean letters are as wide as two."""
    return sum(1.9 if unicodedata.east_asian_width(letter) in "WF" else 1.1 for letter in text)


def _number(decimals: int) -> str:
    return f"#,##0.{'0' * decimals}" if decimals else "#,##0"


def _signed(decimals: int) -> str:
    figure = _number(decimals)
    return f"+{figure};-{figure};{figure}"
