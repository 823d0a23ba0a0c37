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
Span = tuple[int, int]


# Columns that the ledger has for each event. Of an entry it has no PnL: blank, which reads as 0.
_OF_EVENTS: dict[str, dict[str, tuple[str, str]]] = {
    "fills": {
        "fee": ("money", "event_fee"), "realized_pnl": ("money", "event_realized"),
        "group_pnl": ("money", "event_group_pnl"), "shortfall": ("money", "event_shortfall"),
        "balance": ("money", "event_balance"),
    },
    "funding": {
        "contracts": ("contracts", "event_contracts"), "payment": ("money", "event_payment"),
        "balance": ("money", "event_balance"),
    },
}  # fmt: skip


def add_tables(proof: Proof) -> None:
    """Add the checks of trades, sets, fills, funding and bars."""
    _add_trades(proof)
    _add_sets(proof)
    _add_events(proof, "fills", proof.words("proof.fill"))
    _add_events(proof, "funding", proof.words("proof.funding"))
    _add_bars(proof)


def _add_trades(proof: Proof) -> None:
    trades, steps = proof.result.trades, proof.steps
    sheet, spans = proof.places.sheet("steps"), [steps.rows_of[n] for n in trades["transaction"]]
    names = [f"{proof.words('proof.trade')} {number}" for number in trades["id"]]

    def last(column: str) -> OfRow:
        return lambda row: sheet + steps.cell(column, spans[row][1])

    def average(value: OfRow) -> OfRow:
        return lambda row: proof.math.average(last("step_entered")(row), value(row))

    gross = _total(proof, spans, "step_gross")
    proof.add_columns("trades", names, {
        "contracts": ("contracts", last("step_entered")),
        "entry_price": ("average", average(last("step_entry_value"))),
        "exit_price": ("average", average(_total(proof, spans, "step_exit_value"))),
        "gross_pnl": ("money", gross),
        **_after_costs(proof, spans, gross),
    })  # fmt: skip


def _add_sets(proof: Proof) -> None:
    names = proof.result.sets["set"].tolist()
    events = [proof.replay.sets[name] for name in names]
    spans = [proof.steps.rows_of_set[name] for name in names]

    def made(column: str, row: int) -> str:
        return proof.ledger.at(column, events[row].made)

    def average(row: int) -> str:
        return proof.math.average(made("group_held", row), made("group_entry_value", row))

    def gained(row: int) -> str:
        closed = events[row].closed
        return "0" if closed is None else proof.ledger.at("set_pnl", closed)

    proof.add_columns("sets", names, {
        "contracts": ("contracts", lambda row: made("group_held", row)),
        "average_entry": ("average", average),
        "group_pnl": ("money", gained),
        **_after_costs(proof, spans, gained),
    })  # fmt: skip
    _add_take_profits(proof, names, average)


def _total(proof: Proof, spans: list[Span], column: str) -> OfRow:
    sheet = proof.places.sheet("steps")
    return lambda row: f"SUM({sheet}{proof.steps.area(column, *spans[row])})"


def _after_costs(
    proof: Proof, spans: list[Span], gross: OfRow
) -> dict[str, tuple[str, OfRow]]:
    """Return fees, funding, and what they leave of a PnL."""
    fees, funding = (_total(proof, spans, name) for name in ("step_fee", "step_funding"))
    return {
        "fees": ("money", fees),
        "funding_paid": ("money", funding),
        "net_pnl": ("money", lambda row: f"{gross(row)}-{fees(row)}-{funding(row)}"),
    }


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


def _add_events(proof: Proof, table: str, what: str) -> None:
    events = [number for number, event in enumerate(proof.replay.events)
              if event.is_funding == (table == "funding")]  # fmt: skip
    events.sort(key=lambda number: proof.replay.events[number].row)
    names = [f"{what} {row}" for row, _ in enumerate(events, 1)]

    def of_event(column: str) -> OfRow:
        return lambda row: proof.ledger.at(column, events[row])

    proof.add_columns(table, names, {
        column: (kind, of_event(name)) for column, (kind, name) in _OF_EVENTS[table].items()
    })  # fmt: skip


# ---------------------------------------------------------------------- bars
def _add_bars(proof: Proof) -> None:
    rows: list[int] = proof.bars.tolist()
    name = proof.words("proof.bar")
    names = dict.fromkeys(rows, name)

    def ledger(column: str) -> OfRow:
        return lambda row: proof.ledger.at(column, proof.event_of(row))

    def unrealized(row: int) -> str:
        return proof.unrealized(proof.event_of(row), proof.mark(row), of_groups=False)

    proof.add_columns("bars", names, {
        "balance": ("money", ledger("event_balance")), "unrealized_pnl": ("money", unrealized),
    })  # fmt: skip
    _add_equity(proof, rows, name)
    if proof.every_bar and len(rows) <= LEGS_BARS:
        proof.add_columns("bars", names, _legs(proof, ledger))
        start = proof.checks.starts.get(("bars", "equity"))
        if start is not None:
            # The check of a bar's equity has the computed one, and its fall beside it.
            proof.add_columns("bars", names, {
                "cumulative_return": (
                    "percent", lambda row: f"(E{start + row}/initial_balance-1)*100"
                ),
                "drawdown": ("percent", lambda row: f"-100*K{start + row}"),
            })  # fmt: skip


def _legs(proof: Proof, ledger: Callable[[str], OfRow]) -> dict[str, tuple[str, OfRow]]:
    def close(row: int) -> str:
        return proof.places.cell("bars", "close", row)

    def average(side: Side) -> OfRow:
        held, value = ledger(f"{side}_held"), ledger(f"{side}_entry_value")
        return lambda row: f"IF({held(row)}=0,0,{proof.math.average(held(row), value(row))})"

    def value(side: Side) -> OfRow:
        held = ledger(f"{side}_held")
        return lambda row: f"IF({held(row)}=0,0,{proof.math.notional(held(row), close(row))})"

    long, short = (ledger(f"{side}_held") for side in SIDES)
    formulas: dict[str, tuple[str, OfRow]] = {}
    for side in SIDES:
        formulas[f"{side}_contracts"] = "contracts", ledger(f"{side}_held")
        formulas[f"{side}_average"] = "average", average(side)
        formulas[f"{side}_value"] = "money", value(side)
    formulas["net_contracts"] = "contracts", lambda row: f"{long(row)}-{short(row)}"
    if not proof.own_mark:
        formulas["mark"] = "average", close
    return formulas


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
        computed = f"{proof.ledger.at('book_balance', event)}+{other}"
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
