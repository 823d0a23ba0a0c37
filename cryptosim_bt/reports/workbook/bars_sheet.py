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
    Tone,
    each_pair,
    invested,
    objects,
    without_zeros,
)
from cryptosim_bt.results import account_figures
from cryptosim_bt.results.result import Result

_BUY_SIGNALS = {1: ("long", "entry"), -2: ("short", "exit")}
_SELL_SIGNALS = {-1: ("short", "entry"), 2: ("long", "exit")}


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
    return Sheet("bars", [*prices, *_indicators(result, taken, words), *rest])


def _indicators(result: Result, taken: set[str], words: Words) -> Iterator[Column]:
    """Yield the indicators' columns, numbered where a heading of theirs is taken already."""
    for name in (*result.indicators, *result.texts):
        number, free = 1, name
        while words.heading(free) in taken:
            number += 1
            free = f"{name}_#{number}"
        taken.add(words.heading(free))
        over_price = result.panels.get(name, "price") == "price"
        kind: Kind = "average" if over_price else "number"
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
    trades = facts.local(result.trades["exit_time"]).dt.normalize()
    paid = facts.local(result.funding["time"]).dt.normalize()
    fees = result.fills.groupby(facts.local(result.fills["time"]).dt.normalize())["fee"].sum()
    net = result.trades.groupby(trades)["net_pnl"]
    funding = -result.funding.groupby(paid)["payment"].sum()

    def per_day(values: pd.Series) -> pd.Series:
        return values.reindex(ends.index, fill_value=0).reset_index(drop=True)

    columns = [
        Column("day", "date", pd.Series(ends.index)),
        Column("open", "price", grouped["open"].first().reset_index(drop=True)),
        Column("high", "price", grouped["high"].max().reset_index(drop=True)),
        Column("low", "price", grouped["low"].min().reset_index(drop=True)),
        Column("close", "price", ends["close"].reset_index(drop=True)),
        Column("balance", "money", ends["balance"].reset_index(drop=True)),
        Column("equity", "money", ends["equity"].reset_index(drop=True)),
        Column("day_return", "percent",
               100 * (ends["equity"] / before.where(before != 0) - 1).reset_index(drop=True)),
        Column("drawdown", "percent", -100 * fell.reset_index(drop=True)),
        Column("trades_closed", "count", per_day(net.count()).astype(np.int64)),
        Column("net_pnl", "pnl", per_day(net.sum()).astype(np.float64)),
        Column("fees", "money", per_day(fees).astype(np.float64)),
        Column("funding_paid", "money", per_day(funding).astype(np.float64)),
    ]  # fmt: skip
    return Sheet("days", columns)


def _signal(
    name: str, meanings: dict[int, tuple[str, str]], signals: pd.Series, words: Words
) -> Column:
    texts = {signal: " ".join(map(words.shown, meaning)) for signal, meaning in meanings.items()}
    values = signals.tolist()
    tones = [TONES[meanings[value][0]] if value in meanings else None for value in values]
    return Column(name, "text", objects(texts.get(value) for value in values), tones)


def _bar_fills(result: Result, facts: RunFacts, words: Words) -> list[Column]:
    """Return what filled in each bar; several fills as their average price and their sum."""
    bars, fills = result.bars, result.fills
    rows = bars["time"].searchsorted(fills["time"], side="right") - 1
    found: dict[str, list[Any]] = {
        name: [None] * len(bars)
        for name in ("fill_orders", "fill_actions", "fill_prices", "fill_contracts", "fill_pnl",
                     "fill_fees")
    }  # fmt: skip
    tones: list[Tone | None] = [None] * len(bars)
    for row, members in fills.groupby(rows, sort=True):
        at = int(str(row))
        sides, roles = members["side"].tolist(), members["role"].tolist()
        actions = [f"{words.shown(side)} {words.shown(role)}"
                   for side, role in zip(sides, roles, strict=True)]  # fmt: skip
        numbers = [int(number) for number in members["order_id"].dropna()]
        parts = list(zip(members["contracts"].tolist(), members["price"].tolist(), strict=True))
        # Names of several orders are a list: there is no sum of them.
        found["fill_orders"][at] = numbers[0] if len(numbers) == 1 else ", ".join(map(str, numbers))
        found["fill_actions"][at] = ", ".join(actions)
        found["fill_prices"][at] = (
            parts[0][1] if len(parts) == 1 else facts.contract.average_entry(parts)
        )
        found["fill_contracts"][at] = float(members["contracts"].sum())
        exits = members.loc[members["role"] != Role.ENTRY.value, "group_pnl"]
        found["fill_pnl"][at] = float(exits.sum()) if len(exits) else None
        found["fill_fees"][at] = float(members["fee"].sum())
        if Role.LIQUIDATION.value in roles:
            tones[at] = "loss"
        elif len(set(sides)) == 1:
            tones[at] = TONES[sides[0]]
    kinds: dict[str, Kind] = {
        "fill_orders": "count", "fill_actions": "text", "fill_prices": "price",
        "fill_contracts": "contracts", "fill_pnl": "pnl", "fill_fees": "money",
    }  # fmt: skip
    return [
        Column(name, kinds[name], objects(values), tones if name == "fill_actions" else None)
        for name, values in found.items()
    ]


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
