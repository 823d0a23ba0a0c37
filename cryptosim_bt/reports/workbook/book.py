"""report.xlsx: the sheets of a run, put together.

What stands in the tables is decided in `sheets`, what proves them in `proof`, how they look in
`look`. openpyxl makes the book, rows are streamed beside it (`row_xml`), so that memory
does not grow with cells.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from openpyxl import Workbook

from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.workbook.charts import CHART_BARS, add_charts
from cryptosim_bt.reports.workbook.columns import Sheet
from cryptosim_bt.reports.workbook.look import Look
from cryptosim_bt.reports.workbook.proof.checks import HEADING_ROW
from cryptosim_bt.reports.workbook.proof.figures import add_figures
from cryptosim_bt.reports.workbook.proof.places import Places
from cryptosim_bt.reports.workbook.proof.proof import Proof
from cryptosim_bt.reports.workbook.proof.sheets import (
    define_names,
    proved_bars,
    verdicts,
    write_proof,
)
from cryptosim_bt.reports.workbook.proof.tables import add_tables
from cryptosim_bt.reports.workbook.row_xml import save, splice
from cryptosim_bt.reports.workbook.sheets import sheets_of
from cryptosim_bt.reports.workbook.summary import SummaryLayout, write_summary
from cryptosim_bt.reports.workbook.tables import Rows, shown_rows, write_sheet
from cryptosim_bt.results.result import Result

# What one sheet of Excel holds.
EXCEL_ROWS = 1_048_576
# Beyond so many bars, formulas prove the last bar of each day only.
FORMULA_BARS = 100_000


def write_workbook(
    result: Result,
    path: Path,
    row_limit: int = EXCEL_ROWS,
    formula_bars: int = FORMULA_BARS,
    progress: Callable[[int, int], None] | None = None,
    chart_bars: int = CHART_BARS,
) -> Path:
    """Write a run as a workbook; return its path.

    Parameters
    ----------
    row_limit
        Rows that a sheet may have, heading included. A longer table is cut, and a note under its
        last row and in the summary says so.
    formula_bars
        Bars that are proved one by one; of more, each local day's last one is.
    progress
        Called with (rows done, rows in all).
    chart_bars
        Bars that are drawn one by one; of more, the days are.
    """
    facts = RunFacts.of(result)
    words = facts.words()
    look = Look(Workbook(write_only=True), facts, words)
    sheets = sheets_of(result, facts, words)
    layout = SummaryLayout.of(result, sheets, look, row_limit)
    places = Places(sheets, layout.places(), words)
    proof = _proof(result, sheets, look, places, layout, row_limit, formula_bars)
    define_names(look, places)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".report-") as folder:
        total = sum(shown_rows(sheet, row_limit) for sheet in sheets)
        if proof is not None:
            total += proof.checks.count + len(proof.ledger) + len(proof.steps)
        rows = Rows(Path(folder), total, progress)
        write_summary(look.page("summary"), layout, verdicts(proof, look, places), look)
        charts = look.page("charts")
        for sheet in sheets:
            write_sheet(sheet, look, rows, row_limit)
        add_charts(charts, sheets, look, row_limit, chart_bars)
        proof_page = look.page("proof")
        if proof is None:
            proof_page.append([words("proof.not_proved_note")])
        else:
            write_proof(proof, look, rows, proof_page)
        plain = Path(folder) / "book.xlsx"
        save(look.book, plain)
        splice(plain, rows.parts(), path)
    return path


def _proof(
    result: Result, sheets: Sequence[Sheet], look: Look, places: Places, layout: SummaryLayout,
    row_limit: int, formula_bars: int,
) -> Proof | None:  # fmt: skip
    """Return the checks of a run, None where the tables that they read do not fit."""
    events = len(result.fills) + len(result.funding)
    if max(events + 1, len(result.trades), len(result.sets)) >= row_limit:
        return None
    shown = {sheet.name: shown_rows(sheet, row_limit) for sheet in sheets}
    whole = {sheet.name for sheet in sheets if shown[sheet.name] == len(sheet)}
    proof = Proof(
        result, look.facts, look.words, places,
        bars=proved_bars(result, look.facts, shown["bars"], formula_bars),
        every_bar="bars" in whole and len(result.bars) <= formula_bars,
        room=row_limit - HEADING_ROW,
    )  # fmt: skip
    if len(proof.steps) >= row_limit:
        return None
    add_figures(proof, layout.rows(), whole=whole)
    add_tables(proof)
    return proof
