"""The charts sheet: equity with balance, and drawdown, as Excel's own charts of the cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openpyxl.chart import AreaChart, LineChart, Reference
from openpyxl.chart.axis import TextAxis
from openpyxl.chart.layout import Layout, ManualLayout
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText
from openpyxl.drawing.line import LineProperties
from openpyxl.drawing.text import (
    CharacterProperties,
    Paragraph,
    ParagraphProperties,
    RichTextProperties,
)
from openpyxl.utils import get_column_letter, quote_sheetname

from cryptosim_bt.data.timeframe import DAY_MS
from cryptosim_bt.reports.workbook.columns import Sheet
from cryptosim_bt.reports.workbook.look import BANNER_FONT, NOTE_FONT, TITLE_FONT, Look, cell
from cryptosim_bt.reports.workbook.tables import shown_rows

# Points that Excel draws at ease; of more bars, the days are drawn.
CHART_BARS = 20_000
_WIDTH_CM, _HEIGHT_CM = 30.0, 10.5
_LABELS = 10
# Of fewer days, labels show the hour; of fewer, the day; else the month.
_HOUR_DAYS, _DAY_DAYS = 10, 300
_BLUE, _GREY, _RED, _GRID = "1F5FA8", "8C8C8C", "D98880", "D9D9D9"
_LINE_EMU = 15_875  # 1.25 points
# By 45 degrees: labels in a row run into each other where a program draws more of them.
_SLANTED = RichText(
    bodyPr=RichTextProperties(rot=-2_700_000),
    p=[Paragraph(pPr=ParagraphProperties(defRPr=CharacterProperties(sz=900)))],
)


def add_charts(
    page: Any, sheets: Sequence[Sheet], look: Look, row_limit: int, chart_bars: int
) -> None:
    """Draw the account of a run on a page: from its bars, or from its days where they are many."""
    words, tables = look.words, {sheet.name: sheet for sheet in sheets}
    sheet = tables["bars" if len(tables["bars"]) <= min(chart_bars, row_limit - 1) else "days"]
    count = shown_rows(sheet, row_limit)
    for letter in "ABCDEFGHIJKLMNOPQR":
        page.column_dimensions[letter].width = 9
    page.append([cell(page, words("workbook.sheet.charts"), font=TITLE_FONT)])
    source = words(f"workbook.sheet.{sheet.name}")
    page.append([cell(page, words("workbook.chart.note", sheet=source), font=NOTE_FONT)])
    if look.facts.synthetic:
        page.append([cell(page, words("workbook.synthetic"), font=BANNER_FONT)])
    if not count:
        return
    money = look.facts.instrument.currency
    account = _chart(LineChart(), sheet, ("equity", "balance"), count, look, money)
    for series, colour in zip(account.series, (_BLUE, _GREY), strict=True):
        series.smooth = False
        series.marker.symbol = "none"
        line = LineProperties(solidFill=colour, w=_LINE_EMU)
        series.graphicalProperties = GraphicalProperties(ln=line)
    account.title = words("workbook.chart.account")
    of_coin = look.facts.instrument.kind == "inverse"
    account.y_axis.number_format = "#,##0.000" if of_coin else "#,##0"
    page.add_chart(account, "A4")
    fall = _chart(AreaChart(), sheet, ("drawdown",), count, look, "%")
    fall.title = words("workbook.chart.drawdown")
    fall.series[0].graphicalProperties = GraphicalProperties(solidFill=_RED)
    fall.y_axis.number_format = "0.0"
    fall.legend = None
    page.add_chart(fall, "A27")


def _chart(
    chart: Any, sheet: Sheet, names: Sequence[str], count: int, look: Look, unit: str
) -> Any:
    words = look.words
    columns = [column.name for column in sheet.columns]
    title = quote_sheetname(words(f"workbook.sheet.{sheet.name}"))
    for name in names:
        number = columns.index(name) + 1
        chart.add_data(_area(title, number, 1, count + 1), titles_from_data=True)
    chart.set_categories(_area(title, 1, 2, count + 1))
    chart.width, chart.height = _WIDTH_CM, _HEIGHT_CM
    # Bars stand side by side; a date axis of Excel would join the hours of a day.
    axis = TextAxis(axId=10, crossAx=100, noMultiLvlLbl=True)
    axis.auto = False
    axis.tickLblPos, axis.tickMarkSkip = "low", max(1, count // _LABELS)
    axis.tickLblSkip = max(1, count // _LABELS)
    days = count * (look.facts.timeframe_ms if sheet.name == "bars" else DAY_MS) / DAY_MS
    # Short, because not every program leaves labels out that have no room.
    axis.number_format = (
        "dd hh:mm" if days < _HOUR_DAYS else "mm-dd" if days < _DAY_DAYS else "yyyy-mm"
    )
    axis.txPr = _SLANTED
    axis.title = words("workbook.chart.time_axis")
    chart.x_axis = axis
    chart.y_axis.title = unit
    chart.y_axis.majorGridlines.spPr = GraphicalProperties(ln=LineProperties(solidFill=_GRID))
    for each in (chart.x_axis, chart.y_axis):
        # openpyxl hides axes that do not say otherwise.
        each.delete = False
        if each.title is not None:
            each.title.overlay = False
    chart.legend.position = "t"
    chart.legend.overlay = False
    chart.layout = Layout(ManualLayout(xMode="edge", yMode="edge", x=0.08, y=0.2, w=0.89, h=0.64))
    return chart


def _area(sheet: str, column: int, first: int, last: int) -> Reference:
    letter = get_column_letter(column)
    return Reference(range_string=f"{sheet}!${letter}${first}:${letter}${last}")
