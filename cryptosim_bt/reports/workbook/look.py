"""How the workbook looks: fonts, colours, formats of numbers, widths; its cells and pages."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.formatting.rule import FormulaRule
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.columns import Tone
from cryptosim_bt.reports.workbook.row_xml import Formula

# Set in paper size codes: A3, which holds the bars' columns at a legible size.
_A3 = "8"
_TIME_FORMAT = "yyyy-mm-dd hh:mm"
INK: dict[Tone, str] = {"long": "1F5FA8", "short": "C55A11", "profit": "00803C", "loss": "C00000"}
# Named, because a font without a name is each program's own; without Korean letters, which Excel
# and LibreOffice then take from a font that has them.
_FONT = "Calibri"
PLAIN = Font(name=_FONT, size=11)
TITLE_FONT = Font(name=_FONT, size=16, bold=True)
BANNER_FONT = Font(name=_FONT, size=12, bold=True, color="C00000")
SECTION_FONT = Font(name=_FONT, size=11, bold=True, color="1F3864")
NOTE_FONT = Font(name=_FONT, size=11, color="595959")
HEADER_FONT = Font(name=_FONT, size=11, bold=True, color="FFFFFF")
VERDICT_FONT = Font(name=_FONT, size=14, bold=True)
HEADER_FILL = PatternFill("solid", fgColor="1F3864")
HEADER_ALIGNMENT = Alignment(horizontal="center", vertical="center", wrap_text=True)
SECTION_FILL = PatternFill("solid", fgColor="D9E2F3")
FILLED_BAR = PatternFill("solid", bgColor="FFF8DC")
WRONG = PatternFill("solid", bgColor="F8CBCB")
RIGHT = PatternFill("solid", bgColor="D5EBD8")
HAIRLINE = Border(bottom=Side(style="hair", color="BFBFBF"))
TOP = Alignment(vertical="top", wrap_text=True)
LEFT = Alignment(horizontal="left", vertical="top", wrap_text=True)

# Widths in characters of the usual font.
_WIDTHS = {
    "time": 16.5, "date": 12.0, "price": 11.0, "average": 12.0, "number": 11.0, "contracts": 10.0,
    "amount": 12.0, "count": 8.0, "money": 14.0, "value": 14.0, "pnl": 14.5, "percent": 10.0,
    "hours": 9.0, "text": 10.0, "rate": 10.0, "fine": 16.0, "tiny": 14.0, "figure": 18.0,
    "difference": 12.0,
}  # fmt: skip
_WIDER = {"fill_actions": 32.0, "fill_prices": 18.0, "fill_contracts": 12.0, "fill_orders": 11.0,
          "reason": 30.0, "exit_reason": 12.0, "buy_signal": 11.0, "sell_signal": 11.0,
          "role": 12.0, "transactions": 24.0, "proof_what": 22.0, "proof_kind": 16.0,
          "proof_figure": 28.0, "verdict": 14.0}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What the sheets of one workbook share."""

    book: Any
    facts: RunFacts
    words: Words
    _styles: dict[tuple[str, Tone | None], int] = field(default_factory=dict)

    def number_format(self, kind: str) -> str:
        """Return Excel's format of a kind of column or figure."""
        facts = self.facts
        price, money = facts.price_decimals, facts.money_decimals
        contracts = _number(facts.contract_decimals)
        formats = {
            "time": _TIME_FORMAT,
            "date": "yyyy-mm-dd",
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
            "rate": "0.0000%",
            "whole": "#,##0",
            # Entry values: parts of a coin, or dollars.
            "fine": _number(12 if facts.instrument.kind == "inverse" else 4),
            "tiny": "0.0000000000",
            "difference": "0.0E+00;-0.0E+00;0",
        }
        return formats.get(kind, "General")

    def style(self, page: Any, kind: str, tone: Tone | None = None) -> int:
        """Return the number of a style of the book: format, side, ink."""
        if (kind, tone) not in self._styles:
            # Several fills of a bar are a list: text among numbers, which stand on the right.
            side = "left" if kind == "text" else "right"
            placed = Alignment(horizontal=side, indent=1 if side == "left" else 0)
            made = cell(page, None, number_format=self.number_format(kind), alignment=placed)
            if tone is not None:
                made.font = Font(name=_FONT, size=11, color=INK[tone])
            self._styles[kind, tone] = made.style_id
        return self._styles[kind, tone]

    def page(self, name: str) -> Any:
        """Return a new sheet, set up for print."""
        page = self.book.create_sheet(self.words(f"workbook.sheet.{name}"))
        page.page_setup.orientation = "landscape"
        page.page_setup.paperSize = _A3
        page.sheet_properties.pageSetUpPr.fitToPage = True
        page.page_setup.fitToHeight = 0
        zone, symbol = self.facts.zone.key, self.facts.instrument.symbol
        header = f"{self.words('workbook.title')} · {symbol} · {zone}"
        if self.facts.synthetic:
            page.sheet_properties.tabColor = "C00000"
            header += f" · {self.words('workbook.synthetic_short')}"
        page.oddHeader.left.text = header
        page.oddFooter.right.text = "&P / &N"
        return page


def cell(page: Any, value: Any, **style: Any) -> Any:
    """Return a cell with a value and a style."""
    made = WriteOnlyCell(page)
    made.font = PLAIN
    for name, look in style.items():
        setattr(made, name, look)
    number_format = made.number_format
    if isinstance(value, Formula):
        made.value = f"={value}"
    elif isinstance(value, str):
        made.value = ILLEGAL_CHARACTERS_RE.sub("", value)
        # A text that begins with "=" is no formula: symbols and paths come from outside.
        made.data_type = "s"
    elif isinstance(value, float):
        # All digits: openpyxl would write sixteen, and the last bit be lost.
        made.value = repr(value)
        made.data_type = "n"
    elif value is not None:
        made.value = value
    # openpyxl gives times a format of its own.
    if made.number_format != number_format:
        made.number_format = number_format
    return made


def shade(page: Any, area: str, rules: Mapping[str, PatternFill]) -> None:
    """Fill cells by the first formula that holds of them."""
    for formula, fill in rules.items():
        rule = FormulaRule(formula=[formula], fill=fill, stopIfTrue=True)
        page.conditional_formatting.add(area, rule)


def column_width(name: str, kind: str, heading: str) -> float:
    """Return a width for the values, and for the longest word of the heading on two lines."""
    word = max(columns_of(part) for part in heading.split(" "))
    # Two more for the filter's arrow.
    return max(_WIDER.get(name, _WIDTHS[kind]), word + 2.0)


def columns_of(text: str) -> float:
    """Return how wide a text is in digits; Korean letters are as wide as two."""
    wide = (unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return sum_floats(1.9 if each else 1.1 for each in wide)


def _number(decimals: int) -> str:
    return f"#,##0.{'0' * decimals}" if decimals else "#,##0"


def _signed(decimals: int) -> str:
    figure = _number(decimals)
    return f"+{figure};-{figure};{figure}"
