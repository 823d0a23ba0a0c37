"""The tables of the workbook: a run as sheets of columns, made from a `Result` alone.

What stands in a cell is decided here; how it looks, in `workbook`. Amounts of money that the
tables of the result do not hold come from the run's contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from cryptosim_bt.contracts import SIDES, Side
from cryptosim_bt.orders import Role
from cryptosim_bt.result import Result
from cryptosim_bt.run_facts import RunFacts
from cryptosim_bt.wording import Words

Kind = Literal[
    "time", "price", "average", "number", "contracts", "amount", "count", "money", "value",
    "pnl", "percent", "hours", "text",
]  # fmt: skip
Tone = Literal["long", "short", "profit", "loss"]

_BUY_SIGNALS = {1: ("long", "entry"), -2: ("short", "exit")}
_SELL_SIGNALS = {-1: ("short", "entry"), 2: ("long", "exit")}
_TONES: dict[str, Tone] = {
    "long": "long", "short": "short", "take_profit": "profit", "stop_loss": "loss",
    "liquidation": "loss",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column: its name in `wording`, what its values are, and their colours if they differ."""

    name: str
    kind: Kind
    values: pd.Series
    tones: Sequence[Tone | None] | None = None


@dataclass(frozen=True)
class Sheet:
    """One sheet of rows; ``name`` is the table of the result that it shows."""

    name: str
    columns: list[Column]

    def __len__(self) -> int:
        return len(self.columns[0].values)


def sheets_of(result: Result, facts: RunFacts, words: Words) -> list[Sheet]:
    """Return the sheets of a run, in the order of the workbook."""
    return [
        _bars(result, facts, words),
        _trades(result.trades, facts, words),
        _orders(result.orders, facts, words),
        _sets(result.sets, facts, words),
        _fills(result.fills, facts, words),
    ]


# ---------------------------------------------------------------------- bars
def _bars(result: Result, facts: RunFacts, words: Words) -> Sheet:
    bars = result.bars
    columns = [Column("time", "time", facts.local(bars["time"]))]
    columns += [Column(name, "price", bars[name]) for name in ("open", "high", "low", "close")]
    for name in result.indicators:
        over_price = result.panels.get(name, "price") == "price"
        columns.append(Column(name, "average" if over_price else "number", bars[name]))
    columns.append(_signal("buy_signal", _BUY_SIGNALS, bars["signal"], words))
    columns.append(_signal("sell_signal", _SELL_SIGNALS, bars["signal"], words))
    columns += _bar_fills(result, words)
    for side in SIDES:
        columns += _leg(side, bars, facts)
    net = bars["long_contracts"] - bars["short_contracts"]
    columns += [
        Column("net_contracts", "contracts", net),
        Column("position_return", "percent", _position_return(bars, facts)),
        Column("unrealized_pnl", "pnl", bars["unrealized_pnl"]),
        Column("margin", "money", bars["margin"]),
        Column("balance", "money", bars["balance"]),
        Column("equity", "money", bars["equity"]),
        Column("cumulative_return", "percent", (bars["equity"] / facts.initial_balance - 1) * 100),
        Column("mark", "price", bars["mark"]),
        Column("liquidation_below", "price", bars["liquidation_below"]),
        Column("liquidation_above", "price", bars["liquidation_above"]),
        Column("time_utc", "time", bars["time"].dt.tz_localize(None)),
    ]
    return Sheet("bars", columns)


def _signal(
    name: str, meanings: dict[int, tuple[str, str]], signals: pd.Series, words: Words
) -> Column:
    texts = {signal: " ".join(map(words.term, meaning)) for signal, meaning in meanings.items()}
    values = signals.tolist()
    tones = [_TONES[meanings[value][0]] if value in meanings else None for value in values]
    return Column(name, "text", _objects(texts.get(value) for value in values), tones)


def _bar_fills(result: Result, words: Words) -> list[Column]:
    """Return what filled in each bar. One fill gives numbers, several give lists as text."""
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
        found["fill_orders"][at] = _one_or_list(numbers)
        found["fill_actions"][at] = ", ".join(actions)
        found["fill_prices"][at] = _one_or_list(members["price"].tolist())
        found["fill_contracts"][at] = _one_or_list(members["contracts"].tolist())
        exits = members.loc[members["role"] != Role.ENTRY.value, "group_pnl"]
        found["fill_pnl"][at] = float(exits.sum()) if len(exits) else None
        found["fill_fees"][at] = float(members["fee"].sum())
        if Role.LIQUIDATION.value in roles:
            tones[at] = "loss"
        elif len(set(sides)) == 1:
            tones[at] = _TONES[sides[0]]
    kinds: dict[str, Kind] = {
        "fill_orders": "count", "fill_actions": "text", "fill_prices": "price",
        "fill_contracts": "contracts", "fill_pnl": "pnl", "fill_fees": "money",
    }  # fmt: skip
    return [
        Column(name, kinds[name], _objects(values), tones if name == "fill_actions" else None)
        for name, values in found.items()
    ]


def _one_or_list(values: list[Any]) -> Any:
    if len(values) < 2:
        return values[0] if values else None
    return ", ".join(f"{value:.15g}" for value in values)


def _leg(side: Side, bars: pd.DataFrame, facts: RunFacts) -> list[Column]:
    contracts = bars[f"{side}_contracts"]
    value = _each(facts.contract.notional, contracts, bars["close"])
    return [
        Column(f"{side}_contracts", "contracts", contracts),
        Column(f"{side}_sets", "count", bars[f"{side}_sets"]),
        Column(f"{side}_average", "average", bars[f"{side}_average"]),
        Column(f"{side}_value", "value", value),
    ]


def _position_return(bars: pd.DataFrame, facts: RunFacts) -> pd.Series:
    margin = sum(
        _invested(bars[f"{side}_contracts"], bars[f"{side}_average"], facts).fillna(0.0)
        for side in SIDES
    )
    return bars["unrealized_pnl"] / _without_zeros(pd.Series(margin)) * 100


# ---------------------------------------------------------------------- other tables
def _trades(trades: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    margin = _invested(trades["contracts"], trades["entry_price"], facts)
    held = (trades["exit_time"] - trades["entry_time"]).dt.total_seconds() / 3600
    columns = [
        Column("entry_time", "time", facts.local(trades["entry_time"])),
        Column("exit_time", "time", facts.local(trades["exit_time"])),
        _words("side", trades["side"], words),
        _amount(trades["contracts"], trades["entry_price"], facts),
        Column("entry_price", "price", trades["entry_price"]),
        Column("exit_price", "price", trades["exit_price"]),
        Column("invested_margin", "money", margin),
        Column("net_pnl", "pnl", trades["net_pnl"]),
        Column("return_on_margin", "percent", trades["net_pnl"] / _without_zeros(margin) * 100),
        _words("exit_reason", trades["exit_reason"], words),
        Column("id", "count", trades["id"]),
        Column("contracts", "contracts", trades["contracts"]),
        Column("gross_pnl", "pnl", trades["gross_pnl"]),
        Column("fees", "money", trades["fees"]),
        Column("funding_paid", "money", trades["funding_paid"]),
        Column("group", "text", trades["group"]),
        Column("hours_held", "hours", held),
    ]
    return Sheet("trades", columns)


def _orders(orders: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    columns = [
        Column("order_id", "count", orders["order_id"]),
        Column("created", "time", facts.local(orders["created"])),
        _words("role", orders["role"], words),
        _words("side", orders["side"], words),
        _words("action", orders["action"], words),
        _words("type", orders["type"], words),
        Column("price", "price", orders["price"]),
        Column("contracts", "contracts", orders["contracts"]),
        _amount(orders["contracts"], orders["price"], facts),
        _words("status", orders["status"], words),
        Column("ended", "time", facts.local(orders["ended"])),
        Column("filled_contracts", "contracts", orders["filled_contracts"]),
        Column("fill_price", "price", orders["fill_price"]),
        Column("group", "text", orders["group"]),
        _words("reason", orders["reason"], words),
    ]
    if "limit_price" in orders:  # of a plain backtrader strategy
        columns += [
            Column("limit_price", "price", orders["limit_price"]),
            Column("parent_id", "count", orders["parent_id"]),
        ]
    return Sheet("orders", columns)


def _sets(sets: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    margin = _invested(sets["contracts"], sets["average_entry"], facts)
    closed = sets["status"] == "closed"
    columns = [
        Column("set", "text", sets["set"]),
        _words("side", sets["side"], words),
        _words("status", sets["status"], words),
        Column("born", "time", facts.local(sets["born"])),
        Column("ended", "time", facts.local(sets["ended"])),
        Column("entries", "count", sets["entries"]),
        Column("contracts", "contracts", sets["contracts"]),
        _amount(sets["contracts"], sets["average_entry"], facts),
        Column("average_entry", "average", sets["average_entry"]),
        Column("invested_margin", "money", margin),
        Column("take_profit_price", "price", sets["take_profit_price"]),
        Column("stop_loss_price", "price", sets["stop_loss_price"]),
        Column("exit_price", "price", sets["exit_price"]),
        _words("exit_reason", sets["exit_reason"], words),
        Column("net_pnl", "pnl", sets["net_pnl"]),
        Column("return_on_margin", "percent",
               (sets["net_pnl"] / _without_zeros(margin) * 100).where(closed)),
        Column("group_pnl", "pnl", sets["group_pnl"]),
        Column("fees", "money", sets["fees"]),
        Column("funding_paid", "money", sets["funding_paid"]),
    ]  # fmt: skip
    return Sheet("sets", columns)


def _fills(fills: pd.DataFrame, facts: RunFacts, words: Words) -> Sheet:
    columns = [
        Column("time", "time", facts.local(fills["time"])),
        Column("order_id", "count", fills["order_id"]),
        _words("role", fills["role"], words),
        _words("side", fills["side"], words),
        Column("price", "price", fills["price"]),
        Column("contracts", "contracts", fills["contracts"]),
        _amount(fills["contracts"], fills["price"], facts),
        Column("fee", "money", fills["fee"]),
        _words("liquidity", fills["liquidity"], words),
        Column("group", "text", fills["group"]),
        Column("group_pnl", "pnl", fills["group_pnl"]),
        Column("realized_pnl", "pnl", fills["realized_pnl"]),
        Column("time_utc", "time", fills["time"].dt.tz_localize(None)),
    ]
    return Sheet("fills", columns)


# ---------------------------------------------------------------------- helpers
def _words(name: str, values: pd.Series, words: Words) -> Column:
    """Return a column of the tables' own values in words, coloured by what they are."""
    raw = values.astype(object).where(values.notna(), None).tolist()
    shown = {value: words.shown(value) for value in set(raw) if value is not None}
    return Column(name, "text", _objects(map(shown.get, raw)), [_TONES.get(v) for v in raw])


def _amount(contracts: pd.Series, prices: pd.Series, facts: RunFacts) -> Column:
    return Column("base_amount", "amount", _each(facts.base_amount, contracts, prices))


def _invested(contracts: pd.Series, entries: pd.Series, facts: RunFacts) -> pd.Series:
    """Return the initial margin at an entry price, blank where nothing is held."""
    margin = facts.contract.initial_margin
    return _each(lambda count, price: margin(count, price, facts.leverage), contracts, entries)


def _each(
    function: Callable[[float, float], float], contracts: pd.Series, prices: pd.Series
) -> pd.Series:
    # One by one: the contracts' arithmetic is of floats. A float divided by NaN is NaN.
    pairs = zip(contracts.astype(float).tolist(), prices.astype(float).tolist(), strict=True)
    return pd.Series([function(*pair) for pair in pairs], dtype=np.float64)


def _without_zeros(values: pd.Series) -> pd.Series:
    """Return values with 0 as blank, to divide by."""
    return values.where(values != 0.0)


def _objects(values: Iterable[Any]) -> pd.Series:
    return pd.Series(list(values), dtype=object)
