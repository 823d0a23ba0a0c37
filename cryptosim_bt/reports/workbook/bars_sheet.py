"""The sheets of bars and days."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.columns import (
    TONES,
    Column,
    Kind,
    Sheet,
    each_pair,
    invested,
    objects,
    without_zeros,
)
from cryptosim_bt.results import account_figures
from cryptosim_bt.results.result import Result

_BUY_SIGNALS = {1: ("long", "entry"), -2: ("short", "exit")}
_SELL_SIGNALS = {-1: ("short", "entry"), 2: ("long", "exit")}
_FILLS: dict[str, Kind] = {
    "fill_orders": "count", "fill_actions": "text", "fill_prices": "price",
    "fill_contracts": "contracts", "fill_pnl": "pnl", "fill_fees": "money",
}  # fmt: skip


def bars_sheet(result: Result, facts: RunFacts, words: Words) -> Sheet:
    """Return one row per bar: prices, indicators, signal, fills, what is held, the account."""
    bars = result.bars
    prices = [Column("time", "time", facts.local(bars["time"]))]
    prices += [Column(name, "price", bars[name]) for name in ("open", "high", "low", "close")]
    rest = [
        _signal("buy_signal", _BUY_SIGNALS, bars["signal"], words),
        _signal("sell_signal", _SELL_SIGNALS, bars["signal"], words),
        *_bar_fills(result, facts, words),
        *(column for side in SIDES for column in _leg(side, bars, facts)),
        Column("net_contracts", "contracts", bars["long_contracts"] - bars["short_contracts"]),
        Column("position_return", "percent", _position_return(bars, facts)),
        Column("unrealized_pnl", "pnl", bars["unrealized_pnl"]),
        Column("margin", "money", bars["margin"]),
        Column("balance", "money", bars["balance"]),
        Column("equity", "money", bars["equity"]),
        Column("cumulative_return", "percent", (bars["equity"] / facts.initial_balance - 1) * 100),
        Column("drawdown", "percent", -100 * drawdown(result, facts)),
        Column("mark", "price", bars["mark"]),
        Column("liquidation_below", "price", bars["liquidation_below"]),
        Column("liquidation_above", "price", bars["liquidation_above"]),
        Column("time_utc", "time", bars["time"].dt.tz_localize(None)),
    ]
    taken = {words.heading(column.name) for column in (*prices, *rest)}
    return Sheet("bars", [*prices, *_indicators(result, facts, taken, words), *rest])


def _indicators(
    result: Result, facts: RunFacts, taken: set[str], words: Words
) -> Iterator[Column]:
    """Yield the indicators' columns, numbered where a heading of theirs is taken already."""
    for name in (*result.indicators, *result.texts):
        number, free = 1, name
        while words.heading(free) in taken:
            number += 1
            free = f"{name}_#{number}"
        taken.add(words.heading(free))
        kind: Kind = "average" if facts.panels.get(name) == "price" else "number"
        yield Column(free, "text" if name in result.texts else kind, result.bars[name])


def drawdown(result: Result, facts: RunFacts) -> pd.Series:
    """Return how far equity is below its peak at each bar, a positive fraction."""
    equity = result.bars["equity"].to_numpy(np.float64)
    return pd.Series(account_figures.drawdowns(facts.initial_balance, equity))


def local_days(result: Result, facts: RunFacts) -> pd.Series:
    """Return the local day in which each bar opens."""
    days: pd.Series = facts.local(result.bars["time"]).dt.normalize()
    return days


def days_sheet(result: Result, facts: RunFacts) -> Sheet:
    """Return one row per local day: prices, equity at its end, what it earned and paid."""
    bars, days = result.bars, local_days(result, facts)
    grouped = bars.groupby(days.to_numpy())
    ends = grouped.last()
    before = ends["equity"].shift(fill_value=facts.initial_balance)
    fell = drawdown(result, facts).groupby(days.to_numpy()).max()
    net = result.trades.groupby(facts.local(result.trades["exit_time"]).dt.normalize())["net_pnl"]
    fees, paid = (
        table.groupby(facts.local(table["time"]).dt.normalize())[column].sum()
        for table, column in ((result.fills, "fee"), (result.funding, "payment"))
    )
    columns: dict[str, tuple[Kind, pd.Series]] = {
        "open": ("price", grouped["open"].first()),
        "high": ("price", grouped["high"].max()),
        "low": ("price", grouped["low"].min()),
        "close": ("price", ends["close"]),
        "balance": ("money", ends["balance"]),
        "equity": ("money", ends["equity"]),
        "day_return": ("percent", 100 * (ends["equity"] / before.where(before != 0) - 1)),
        "drawdown": ("percent", -100 * fell),
        "trades_closed": ("count", net.count()),
        "net_pnl": ("pnl", net.sum()),
        "fees": ("money", fees),
        "funding_paid": ("money", -paid),
    }
    found = [Column("day", "date", pd.Series(ends.index))]
    for name, (kind, values) in columns.items():
        each = values.reindex(ends.index, fill_value=0).reset_index(drop=True)
        found.append(Column(name, kind, each.astype(np.int64 if kind == "count" else np.float64)))
    return Sheet("days", found)


def _signal(
    name: str, meanings: dict[int, tuple[str, str]], signals: pd.Series, words: Words
) -> Column:
    texts = {signal: " ".join(map(words.shown, meaning)) for signal, meaning in meanings.items()}
    values = signals.tolist()
    tones = [TONES[meanings[value][0]] if value in meanings else None for value in values]
    return Column(name, "text", objects(texts.get(value) for value in values), tones)


def _bar_fills(result: Result, facts: RunFacts, words: Words) -> list[Column]:
    """Return what filled in each bar; several fills as their average price and their sum."""
    rows = result.bars["time"].searchsorted(result.fills["time"], side="right") - 1
    cells: list[tuple[Any, ...]] = [(None,) * (len(_FILLS) + 1)] * len(result.bars)
    for row, members in result.fills.groupby(rows):
        cells[int(str(row))] = _filled(members, facts, words)
    *columns, tones = zip(*cells, strict=True)
    return [
        Column(name, kind, objects(values), tones if name == "fill_actions" else None)
        for (name, kind), values in zip(_FILLS.items(), columns, strict=True)
    ]


def _filled(fills: pd.DataFrame, facts: RunFacts, words: Words) -> tuple[Any, ...]:
    """Return the cells of one bar's fills and their tone."""
    sides, roles = fills["side"].tolist(), fills["role"].tolist()
    numbers = [int(number) for number in fills["order_id"].dropna()]
    parts = list(zip(fills["contracts"].tolist(), fills["price"].tolist(), strict=True))
    exits = fills.loc[fills["role"] != Role.ENTRY.value, "group_pnl"]
    tone = TONES[sides[0]] if len(set(sides)) == 1 else None
    return (
        # Names of several orders are a list: there is no sum of them.
        numbers[0] if len(numbers) == 1 else ", ".join(map(str, numbers)),
        ", ".join(f"{words.shown(side)} {words.shown(role)}"
                  for side, role in zip(sides, roles, strict=True)),
        parts[0][1] if len(parts) == 1 else facts.contract.average_entry(parts),
        float(fills["contracts"].sum()),
        float(exits.sum()) if len(exits) else None,
        float(fills["fee"].sum()),
        "loss" if Role.LIQUIDATION.value in roles else tone,
    )  # fmt: skip


def _leg(side: Side, bars: pd.DataFrame, facts: RunFacts) -> list[Column]:
    contracts = bars[f"{side}_contracts"]
    value = each_pair(facts.contract.notional, contracts, bars["close"])
    return [
        Column(f"{side}_contracts", "contracts", contracts),
        Column(f"{side}_sets", "count", bars[f"{side}_sets"]),
        Column(f"{side}_average", "average", bars[f"{side}_average"]),
        Column(f"{side}_value", "value", value),
    ]


def _position_return(bars: pd.DataFrame, facts: RunFacts) -> pd.Series:
    long, short = (
        invested(bars[f"{side}_contracts"], bars[f"{side}_average"], facts).fillna(0.0)
        for side in SIDES
    )
    share: pd.Series = bars["unrealized_pnl"] / without_zeros(long + short) * 100
    return share
