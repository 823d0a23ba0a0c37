"""The proof in the workbook: its sheet, its names, its verdict on the summary."""

from __future__ import annotations

from typing import Any

import numpy as np
from openpyxl.workbook.defined_name import DefinedName

from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.workbook.bars_sheet import local_days
from cryptosim_bt.reports.workbook.look import (
    LEFT,
    NOTE_FONT,
    RIGHT,
    VERDICT_FONT,
    WRONG,
    Look,
    cell,
    shade,
)
from cryptosim_bt.reports.workbook.proof.checks import (
    COLUMNS,
    FIRST_ROW,
    HEADING_ROW,
    TOLERANCE,
)
from cryptosim_bt.reports.workbook.proof.places import Places
from cryptosim_bt.reports.workbook.proof.proof import Proof
from cryptosim_bt.reports.workbook.row_xml import Formula
from cryptosim_bt.reports.workbook.summary import PROVED, VERDICT
from cryptosim_bt.reports.workbook.summary_rows import SETTING
from cryptosim_bt.reports.workbook.tables import (
    Rows,
    batched,
    header,
    set_up,
    write_formulas,
)
from cryptosim_bt.results.result import Result

# Names of the workbook that formulas use: cells of the summary.
_NAMES = {
    "initial_balance": "initial_balance",
    "contract_size": f"{SETTING}instrument.contract_size",
    "tick": f"{SETTING}instrument.tick",
    "liquidation_fee": f"{SETTING}instrument.liquidation_fee_rate",
    "maker_fee": f"{SETTING}backtest.fees.maker",
    "taker_fee": f"{SETTING}backtest.fees.taker",
    "leverage": f"{SETTING}trading.leverage",
    "take_profit": f"{SETTING}trading.take_profit_pct",
}
_VERDICT_CELL = "B1"


def proved_bars(result: Result, facts: RunFacts, shown: int, formula_bars: int) -> np.ndarray:
    """Return the rows of the bars that are proved: all, or beyond a number each day's last."""
    count = len(result.bars)
    if count <= formula_bars:
        return np.arange(min(count, shown))
    days = local_days(result, facts)
    last = np.flatnonzero((days != days.shift(-1)).to_numpy())
    return last[last < shown]


def define_names(look: Look, places: Places) -> None:
    """Give the workbook the names that formulas use."""
    for name, figure in _NAMES.items():
        look.book.defined_names[name] = DefinedName(name, attr_text=places.figure(figure))
    tolerance = f"{places.sheet('proof')}$B$2"
    look.book.defined_names["tolerance"] = DefinedName("tolerance", attr_text=tolerance)
    # The file holds no results of formulas: whoever opens it computes them.
    look.book.calculation.fullCalcOnLoad = True


def verdicts(proof: Proof | None, look: Look, places: Places) -> dict[str, str | Formula]:
    """Return what the summary says of the proof, by the names of its rows."""
    words = look.words
    if proof is None:
        not_proved = words("proof.not_proved")
        return {VERDICT: not_proved} | {f"{VERDICT}:{table}": not_proved for table in PROVED}
    sheet, last = places.sheet("proof"), FIRST_ROW + max(0, proof.checks.count - 1)
    rows, values = f"{sheet}A{FIRST_ROW}:A{last}", f"{sheet}H{FIRST_ROW}:H{last}"
    found: dict[str, str | Formula] = {VERDICT: Formula(sheet + _VERDICT_CELL)}
    for table in PROVED:
        name = words(f"workbook.sheet.{table}")
        wrong, given = (f'COUNTIFS({rows},"{name}",{values},"{words(each)}")'
                        for each in ("proof.wrong", "proof.given"))  # fmt: skip
        total = f'COUNTIF({rows},"{name}")'
        found[f"{VERDICT}:{table}"] = Formula(
            f'{total}-{given}&"{words("proof.checked")}"&{wrong}&"{words("proof.differing")}"'
            f'&{given}&"{words("proof.quoted")}"'
        )
    return found


def write_proof(proof: Proof, look: Look, rows: Rows, proof_page: Any) -> None:
    """Write the sheets of the proof, its ledger and its steps."""
    _write_checks(proof, look, rows, proof_page)
    write_formulas("ledger", proof.ledger, look, rows)
    write_formulas("steps", proof.steps, look, rows)


def _write_checks(proof: Proof, look: Look, rows: Rows, page: Any) -> None:
    words = look.words
    last = FIRST_ROW + max(0, proof.checks.count - 1)
    set_up(page, COLUMNS, look, max(1, proof.checks.count), HEADING_ROW)
    page.row_dimensions[1].height = 22
    verdict, wrong = f"H{FIRST_ROW}:H{last}", words("proof.wrong")
    shade(page, f"A{FIRST_ROW}:H{last}", {f'$H{FIRST_ROW}="{wrong}"': WRONG})
    shade(page, "B1", {f'$B$1="{words("proof.right")}"': RIGHT, '$B$1<>""': WRONG})
    count = f'COUNTIF({verdict},"{wrong}")'
    text = Formula(f'IF({count}=0,"{words("proof.right")}",{count}&"{words("proof.rows_wrong")}")')
    given = Formula(
        f'COUNTIF({verdict},"{words("proof.given")}")+{proof.checks.left_out}'
        f'&"{words("proof.rows_given")}"'
    )
    page.append([cell(page, words("workbook.sheet.proof"), font=VERDICT_FONT),
                 cell(page, text, font=VERDICT_FONT), cell(page, given)])  # fmt: skip
    page.append([cell(page, words("proof.tolerance")),
                 cell(page, TOLERANCE, number_format="0E+00", alignment=LEFT),
                 cell(page, words("proof.tolerance_note"), font=NOTE_FONT)])  # fmt: skip
    note = "proof.note" if proof.every_bar else "proof.days_note"
    page.append([cell(page, words(note), font=NOTE_FONT)])
    page.append(header(page, COLUMNS, look))
    plain = {kind: look.style(page, kind) for _, kind in COLUMNS if kind != "figure"}

    def styles(block: list[Any]) -> list[Any]:
        figures = [look.style(page, kind) for _, kind in block]
        return [figures if kind == "figure" else plain[kind] for _, kind in COLUMNS]

    rows.stream(page, FIRST_ROW, len(COLUMNS), (
        (list(zip(*(cells for cells, _ in block), strict=True)), styles(block))
        for block in batched(proof.rows())
    ))  # fmt: skip
