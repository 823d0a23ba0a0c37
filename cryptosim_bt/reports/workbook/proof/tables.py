"""Checks of the tables: trades, sets, fills, funding, bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.reports.workbook.proof.checks import Line
from cryptosim_bt.reports.workbook.proof.formulas import on_tick
from cryptosim_bt.reports.workbook.proof.proof import Proof
from cryptosim_bt.reports.workbook.row_xml import Formula

# Beyond so many bars the legs are not compared bar by bar: equity tells of them.
LEGS_BARS = 20_000

# A formula for a row of a table.
OfRow = Callable[[int], str]


def add_tables(proof: Proof) -> None:
    """Add the checks of trades, sets, fills, funding and bars."""
    _add_trades(proof)
    _add_sets(proof)
    _add_fills(proof)
    _add_funding(proof)
    _add_bars(proof)


def _add_trades(proof: Proof) -> None:
    trades, steps = proof.result.trades, proof.steps
    sheet = proof.places.sheet("steps")
    spans = [steps.rows_of[number] for number in trades["transaction"].tolist()]
    names = [f"{proof.words('proof.trade')} {number}" for number in trades["id"].tolist()]

    def total(column: str) -> OfRow:
        return lambda row: f"SUM({sheet}{steps.area(column, *spans[row])})"

    def last(column: str) -> OfRow:
        return lambda row: sheet + steps.cell(column, spans[row][1])

    def average(value: OfRow) -> OfRow:
        return lambda row: proof.math.average(last("step_entered")(row), value(row))

    gross, fees, funding = (total(f"step_{name}") for name in ("gross", "fee", "funding"))
    formulas: dict[str, tuple[str, OfRow]] = {
        "contracts": ("contracts", last("step_entered")),
        "entry_price": ("average", average(last("step_entry_value"))),
        "exit_price": ("average", average(total("step_exit_value"))),
        "gross_pnl": ("money", gross),
        "fees": ("money", fees),
        "funding_paid": ("money", funding),
        "net_pnl": ("money", lambda row: f"{gross(row)}-{fees(row)}-{funding(row)}"),
    }
    rows = list(range(len(trades)))
    for column, (kind, formula) in formulas.items():
        proof.add_column("trades", column, kind, rows, names.__getitem__, formula)


def _add_sets(proof: Proof) -> None:
    sets, steps = proof.result.sets, proof.steps
    names, sheet = sets["set"].tolist(), proof.places.sheet("steps")
    events = [proof.replay.sets[name] for name in names]

    def made(column: str, row: int) -> str:
        return proof.ledger_cell(column, events[row].made)

    def average(row: int) -> str:
        return proof.math.average(made("group_held", row), made("group_entry_value", row))

    def total(column: str) -> OfRow:
        return lambda row: f"SUM({sheet}{steps.area(column, *steps.rows_of_set[names[row]])})"

    def gained(row: int) -> str:
        closed = events[row].closed
        return "0" if closed is None else proof.ledger_cell("set_pnl", closed)

    fees, funding = total("step_fee"), total("step_funding")
    formulas: dict[str, tuple[str, OfRow]] = {
        "contracts": ("contracts", lambda row: made("group_held", row)),
        "average_entry": ("average", average),
        "group_pnl": ("money", gained),
        "fees": ("money", fees),
        "funding_paid": ("money", funding),
        "net_pnl": ("money", lambda row: f"{gained(row)}-{fees(row)}-{funding(row)}"),
    }
    rows = list(range(len(sets)))
    for column, (kind, formula) in formulas.items():
        proof.add_column("sets", column, kind, rows, names.__getitem__, formula)
    _add_take_profits(proof, names, average)


def _add_take_profits(proof: Proof, names: list[str], average: OfRow) -> None:
    sets = proof.result.sets
    rows = [row for row in range(len(sets)) if pd.notna(sets["take_profit_price"].iloc[row])]
    sides, times = sets["side"].tolist(), proof.times("sets", rows)

    def line(place: int, row: int) -> Line:
        which = rows[place]
        up = sides[which] == "long"
        raw = Formula(f"({average(which)})*(1{'+' if up else '-'}take_profit)")
        engine = proof.places.cell("sets", "take_profit_price", which)
        helpers = (raw, None, None, None, None)
        return Line(names[which], times[place], on_tick(f"I{row}", up=up), engine, helpers)

    proof.add_block("sets", "take_profit_price", "average", len(rows), line)


def _of_event(proof: Proof, column: str, *, is_funding: bool) -> OfRow:
    """Return the ledger's cell of a column for a row of the fills, or of the funding."""
    event_of = {
        event.row: number
        for number, event in enumerate(proof.replay.events)
        if event.is_funding == is_funding
    }
    return lambda row: proof.ledger_cell(column, event_of[row])


def _add_fills(proof: Proof) -> None:
    fills = proof.result.fills
    every = list(range(len(fills)))
    names = [f"{proof.words('proof.fill')} {row + 1}" for row in every]
    for column, name, rows in (
        ("fee", "event_fee", every),
        # Of an entry the ledger has none of these: blank, which a formula reads as 0.
        ("realized_pnl", "event_realized", every),
        ("group_pnl", "event_group_pnl", every),
        ("shortfall", "event_shortfall", every),
        ("balance", "event_balance", every),
    ):
        formula = _of_event(proof, name, is_funding=False)
        proof.add_column("fills", column, "money", rows, names.__getitem__, formula)


def _add_funding(proof: Proof) -> None:
    rows = list(range(len(proof.result.funding)))
    names = [f"{proof.words('proof.funding')} {row + 1}" for row in rows]
    for column, kind, name in (
        ("contracts", "contracts", "event_contracts"),
        ("payment", "money", "event_payment"),
        ("balance", "money", "event_balance"),
    ):
        formula = _of_event(proof, name, is_funding=True)
        proof.add_column("funding", column, kind, rows, names.__getitem__, formula)


# ---------------------------------------------------------------------- bars
def _add_bars(proof: Proof) -> None:
    rows: list[int] = proof.bars.tolist()
    name = proof.words("proof.bar")

    def ledger(column: str) -> OfRow:
        return lambda row: proof.ledger_cell(column, proof.event_of(row))

    def unrealized(row: int) -> str:
        return proof.unrealized(proof.event_of(row), proof.mark(row), of_groups=False)

    def add(column: str, kind: str, formula: OfRow) -> None:
        proof.add_column("bars", column, kind, rows, lambda _: name, formula)

    add("balance", "money", ledger("event_balance"))
    add("unrealized_pnl", "money", unrealized)
    _add_equity(proof, rows, name)
    if proof.every_bar and len(rows) <= LEGS_BARS:
        _add_legs(proof, add, ledger)
        _add_returns(proof, add)


def _add_legs(
    proof: Proof, add: Callable[[str, str, OfRow], None], ledger: Callable[[str], OfRow]
) -> None:
    def average(side: Side) -> OfRow:
        held, value = ledger(f"{side}_held"), ledger(f"{side}_entry_value")
        return lambda row: f"IF({held(row)}=0,0,{proof.math.average(held(row), value(row))})"

    def close(row: int) -> str:
        return proof.places.cell("bars", "close", row)

    def value(side: Side) -> OfRow:
        held = ledger(f"{side}_held")
        return lambda row: f"IF({held(row)}=0,0,{proof.math.notional(held(row), close(row))})"

    for side in SIDES:
        add(f"{side}_contracts", "contracts", ledger(f"{side}_held"))
        add(f"{side}_average", "average", average(side))
        add(f"{side}_value", "money", value(side))
    long, short = (ledger(f"{side}_held") for side in SIDES)
    add("net_contracts", "contracts", lambda row: f"{long(row)}-{short(row)}")
    if not proof.own_mark:
        add("mark", "average", close)


def _add_returns(proof: Proof, add: Callable[[str, str, OfRow], None]) -> None:
    start = proof.checks.starts.get(("bars", "equity"))
    if start is None:
        return
    # Of each bar, the check of its equity has the computed one, and its fall beside it.
    add("cumulative_return", "percent", lambda row: f"(E{start + row}/initial_balance-1)*100")
    add("drawdown", "percent", lambda row: f"-100*K{start + row}")


def _add_equity(proof: Proof, rows: list[int], name: str) -> None:
    starts, times = proof.checks.starts, proof.times("bars", rows)
    balances, gains = (starts.get(("bars", each)) for each in ("balance", "unrealized_pnl"))
    if balances is None or gains is None:
        return

    def equity(place: int, row: int) -> Line:
        engine = proof.places.cell("bars", "equity", rows[place])
        helpers = _path(place, row) if proof.every_bar else (None,) * 5
        return Line(name, times[place], f"E{balances + place}+E{gains + place}", engine, helpers)

    proof.add_block("bars", "equity", "money", len(rows), equity)
    start = starts.get(("bars", "equity"))
    if start is None or proof.math.by_group:
        # The first CryptoSim's PnL is by group in both books: there is nothing to compare.
        return

    def books(place: int, _: int) -> Line:
        event, mark = proof.event_of(rows[place]), proof.mark(rows[place])
        other = proof.unrealized(event, mark, of_groups=True)
        computed = f"{proof.ledger_cell('book_balance', event)}+{other}"
        return Line(name, times[place], computed, f"E{start + place}")

    proof.add_block("bars", "books", "money", len(rows), books)


def _path(place: int, row: int) -> tuple[Any, ...]:
    """Return peak, fall, return and its squared loss at a bar's equity (R26)."""
    before, peak = (
        ("initial_balance", "initial_balance") if place == 0 else (f"E{row - 1}", f"J{row - 1}")
    )
    return (
        None,
        Formula(f"MAX({peak},E{row})"),
        Formula(f"1-E{row}/J{row}"),
        Formula(f"IF({before}>0,E{row}/{before},1)-1"),
        Formula(f"MIN(L{row},0)^2"),
    )
