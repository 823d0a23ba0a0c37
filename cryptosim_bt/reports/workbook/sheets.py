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
    Sheet,
    coin_amount,
    in_words,
    invested,
    without_zeros,
)
from cryptosim_bt.results.result import Result


def sheets_of(result: Result, facts: RunFacts, words: Words) -> list[Sheet]:
    """Return the sheets of a run, in the order of the workbook."""
    return [
        bars_sheet(result, facts, words),
        days_sheet(result, facts),
        _trades(result.trades, facts, words),
        _orders(result.orders, facts, words),
        _sets(result.sets, facts, words),
        _fills(result.fills, facts, words),
        _funding(result.funding, facts, words),
    ]


def _trades(trades: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    margin = invested(trades["contracts"], trades["entry_price"], facts)
    held = (trades["exit_time"] - trades["entry_time"]).dt.total_seconds() / 3600
    columns = [
        Column("entry_time", "time", facts.local(trades["entry_time"])),
        Column("exit_time", "time", facts.local(trades["exit_time"])),
        in_words("side", trades["side"], words),
        coin_amount(trades["contracts"], trades["entry_price"], facts),
        Column("entry_price", "price", trades["entry_price"]),
        Column("exit_price", "price", trades["exit_price"]),
        Column("invested_margin", "money", margin),
        Column("net_pnl", "pnl", trades["net_pnl"]),
        Column("return_on_margin", "percent", trades["net_pnl"] / without_zeros(margin) * 100),
        in_words("exit_reason", trades["exit_reason"], words),
        Column("id", "count", trades["id"]),
        Column("contracts", "contracts", trades["contracts"]),
        Column("gross_pnl", "pnl", trades["gross_pnl"]),
        Column("fees", "money", trades["fees"]),
        Column("funding_paid", "money", trades["funding_paid"]),
        Column("group", "text", trades["group"]),
        Column("hours_held", "hours", held),
        Column("transaction", "count", trades["transaction"]),
    ]
    return Sheet("trades", columns)


def _orders(orders: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    columns = [
        Column("order_id", "count", orders["order_id"]),
        Column("created", "time", facts.local(orders["created"])),
        in_words("role", orders["role"], words),
        in_words("side", orders["side"], words),
        in_words("action", orders["action"], words),
        in_words("type", orders["type"], words),
        Column("price", "price", orders["price"]),
        Column("contracts", "contracts", orders["contracts"]),
        coin_amount(orders["contracts"], orders["price"], facts),
        in_words("status", orders["status"], words),
        Column("ended", "time", facts.local(orders["ended"])),
        Column("filled_contracts", "contracts", orders["filled_contracts"]),
        Column("fill_price", "price", orders["fill_price"]),
        Column("group", "text", orders["group"]),
        in_words("reason", orders["reason"], words),
    ]
    if "limit_price" in orders:  # of a plain backtrader strategy
        columns += [
            Column("limit_price", "price", orders["limit_price"]),
            Column("parent_id", "count", orders["parent_id"]),
        ]
    return Sheet("orders", columns)


def _sets(sets: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    margin = invested(sets["contracts"], sets["average_entry"], facts)
    closed = sets["status"] == "closed"
    columns = [
        Column("set", "text", sets["set"]),
        in_words("side", sets["side"], words),
        in_words("status", sets["status"], words),
        Column("born", "time", facts.local(sets["born"])),
        Column("ended", "time", facts.local(sets["ended"])),
        Column("entries", "count", sets["entries"]),
        Column("contracts", "contracts", sets["contracts"]),
        coin_amount(sets["contracts"], sets["average_entry"], facts),
        Column("average_entry", "average", sets["average_entry"]),
        Column("invested_margin", "money", margin),
        Column("take_profit_price", "price", sets["take_profit_price"]),
        Column("stop_loss_price", "price", sets["stop_loss_price"]),
        Column("exit_price", "price", sets["exit_price"]),
        in_words("exit_reason", sets["exit_reason"], words),
        Column("net_pnl", "pnl", sets["net_pnl"]),
        Column("return_on_margin", "percent",
               (sets["net_pnl"] / without_zeros(margin) * 100).where(closed)),
        Column("group_pnl", "pnl", sets["group_pnl"]),
        Column("fees", "money", sets["fees"]),
        Column("funding_paid", "money", sets["funding_paid"]),
        Column("transactions", "text", sets["transactions"]),
    ]  # fmt: skip
    return Sheet("sets", columns)


def _fills(fills: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    columns = [
        Column("time", "time", facts.local(fills["time"])),
        Column("order_id", "count", fills["order_id"]),
        in_words("role", fills["role"], words),
        in_words("side", fills["side"], words),
        Column("price", "price", fills["price"]),
        Column("contracts", "contracts", fills["contracts"]),
        coin_amount(fills["contracts"], fills["price"], facts),
        Column("fee", "money", fills["fee"]),
        in_words("liquidity", fills["liquidity"], words),
        Column("group", "text", fills["group"]),
        Column("group_pnl", "pnl", fills["group_pnl"]),
        Column("realized_pnl", "pnl", fills["realized_pnl"]),
        Column("balance", "money", fills["balance"]),
        Column("shortfall", "value", fills["shortfall"]),
        Column("transaction", "count", fills["transaction"]),
        Column("time_utc", "time", fills["time"].dt.tz_localize(None)),
    ]
    return Sheet("fills", columns)


def _funding(funding: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    columns = [
        Column("time", "time", facts.local(funding["time"])),
        Column("due", "time", facts.local(funding["due"])),
        in_words("side", funding["side"], words),
        Column("funding_rate", "rate", funding["rate"]),
        Column("funding_price", "price", funding["price"]),
        Column("contracts", "contracts", funding["contracts"]),
        Column("payment", "pnl", funding["payment"]),
        Column("balance", "money", funding["balance"]),
        Column("time_utc", "time", funding["time"].dt.tz_localize(None)),
    ]
    return Sheet("funding", columns)
