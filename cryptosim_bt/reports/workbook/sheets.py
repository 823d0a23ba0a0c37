"""The tables of the workbook: a run as sheets of columns, made from a `Result` alone.

What stands in a cell is decided here; how it looks, in `look`. Amounts of money that the
tables of the result do not hold come from the run's contract.
"""

from __future__ import annotations

import pandas as pd

from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.bars_sheet import bars_sheet, days_sheet
from cryptosim_bt.reports.workbook.columns import (
    Column,
    Kind,
    Sheet,
    each_pair,
    in_words,
    invested,
    without_zeros,
)
from cryptosim_bt.results.result import Result

# Column and kind of every table but bars and days. A word has a translation, a text has none.
_SHEETS: dict[str, dict[str, Kind]] = {
    "trades": {
        "entry_time": "time", "exit_time": "time", "side": "word", "base_amount": "amount",
        "entry_price": "price", "exit_price": "price", "invested_margin": "money",
        "net_pnl": "pnl", "return_on_margin": "percent", "exit_reason": "word", "id": "count",
        "contracts": "contracts", "gross_pnl": "pnl", "fees": "money", "funding_paid": "money",
        "group": "text", "hours_held": "hours", "transaction": "count",
    },
    "orders": {
        "order_id": "count", "created": "time", "role": "word", "side": "word", "action": "word",
        "type": "word", "price": "price", "contracts": "contracts", "base_amount": "amount",
        "status": "word", "ended": "time", "filled_contracts": "contracts", "fill_price": "price",
        "group": "text", "reason": "word",
        # of a plain backtrader strategy
        "limit_price": "price", "parent_id": "count",
    },
    "sets": {
        "set": "text", "side": "word", "status": "word", "born": "time", "ended": "time",
        "entries": "count", "contracts": "contracts", "base_amount": "amount",
        "average_entry": "average", "invested_margin": "money", "take_profit_price": "price",
        "stop_loss_price": "price", "exit_price": "price", "exit_reason": "word",
        "net_pnl": "pnl", "return_on_margin": "percent", "group_pnl": "pnl", "fees": "money",
        "funding_paid": "money", "transactions": "text",
    },
    "fills": {
        "time": "time", "order_id": "count", "role": "word", "side": "word", "price": "price",
        "contracts": "contracts", "base_amount": "amount", "fee": "money", "liquidity": "word",
        "group": "text", "group_pnl": "pnl", "realized_pnl": "pnl", "balance": "money",
        "shortfall": "value", "transaction": "count", "time_utc": "time",
    },
    "funding": {
        "time": "time", "due": "time", "side": "word", "funding_rate": "rate",
        "funding_price": "price", "contracts": "contracts", "payment": "pnl", "balance": "money",
        "time_utc": "time",
    },
}  # fmt: skip
# The price at which a row's contracts are worth their coins and their margin.
_PRICED = {"trades": "entry_price", "orders": "price", "sets": "average_entry", "fills": "price"}


def sheets_of(result: Result, facts: RunFacts, words: Words) -> list[Sheet]:
    """Return the sheets of a run, in the order of the workbook."""
    sheets = [bars_sheet(result, facts, words), days_sheet(result, facts)]
    for name, kinds in _SHEETS.items():
        table = _with_made_columns(name, getattr(result, name), facts)
        sheets.append(Sheet(name, [
            in_words(column, table[column], words) if kind == "word"
            else Column(column, kind, table[column])
            for column, kind in kinds.items() if column in table
        ]))  # fmt: skip
    return sheets


def _with_made_columns(name: str, table: pd.DataFrame, facts: RunFacts) -> pd.DataFrame:
    """Return a table with local times and the columns that the result does not hold."""
    table = table.copy(deep=False)
    if name == "trades":
        held = table["exit_time"] - table["entry_time"]
        table["hours_held"] = held.dt.total_seconds() / 3600
    if name == "funding":
        table["funding_rate"], table["funding_price"] = table["rate"], table["price"]
    if "time" in table:
        table["time_utc"] = table["time"]
    for column in table.select_dtypes("datetimetz"):
        zoneless = table[column].dt.tz_localize(None)
        table[column] = zoneless if column == "time_utc" else facts.local(table[column])
    if name in _PRICED:
        pair = table["contracts"], table[_PRICED[name]]
        table["base_amount"] = each_pair(facts.base_amount, *pair)
        table["invested_margin"] = invested(*pair, facts)
    if name in ("trades", "sets"):
        share = table["net_pnl"] / without_zeros(table["invested_margin"]) * 100
        table["return_on_margin"] = share if name == "trades" else share.where(
            table["status"] == "closed"
        )
    return table
