"""From a finished strategy to a `Result`: the tables and the summary."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import backtrader as bt
import numpy as np
import pandas as pd

from cryptosim_bt.accounting.orders import FundingPayment
from cryptosim_bt.accounting.position_sets import PositionSet, Trade
from cryptosim_bt.backtest.bar_recorder import BarRows
from cryptosim_bt.backtest.prepare import Prepared
from cryptosim_bt.backtest.summary import counts, summarize
from cryptosim_bt.broker.backtrader_time import float_ms
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.data.timeframe import utc_index
from cryptosim_bt.plugins.parameters import resolved
from cryptosim_bt.plugins.registry import is_plain
from cryptosim_bt.results.performance import FigureInputs, performance
from cryptosim_bt.results.result import (
    COUNTS,
    FIRST_BAR_COLUMNS,
    LAST_BAR_COLUMNS,
    TEXT_PANEL,
    Result,
)
from cryptosim_bt.strategy.plain_ledger import PlainOrderLife
from cryptosim_bt.strategy.run_record import Fill, OrderLife, record_of


def gather(prepared: Prepared, strategy: bt.Strategy) -> Result:
    """Return the result of a strategy that has run.

    Its tables are made of the run's records when they are asked for; Cerebro and all in it can go.
    """
    record, ambiguous = record_of(strategy), strategy.broker.exchange.ambiguous
    fills, funding = record.fills, record.funding
    trades, sets = record.book.trades, record.book.sets
    lives = list(record.order_lives.values())
    life = PlainOrderLife if is_plain(type(strategy)) else OrderLife
    rows, counted = strategy.analyzers.bar_recorder.rows, counts(prepared, strategy)
    indicators = [(column, panel.name, values) for panel in prepared.panels
                  for column, values in panel.columns.items()]  # fmt: skip
    indicators += [(column, TEXT_PANEL, values) for column, values in prepared.texts.items()]
    indicators = indicators or _own_indicators(strategy)
    window = slice(prepared.warmup, prepared.warmup + len(rows))
    said = prepared.parts.results(strategy, window)
    return Result.made_when_asked({
        "settings": lambda _: resolved(prepared.settings, prepared.params),
        "summary": lambda run: summarize(prepared, counted, run.bars, run.trades),
        "backtrader": lambda _: said,
        "panels": lambda _: {column: panel for column, panel, _values in indicators},
        "bars": lambda _: _bars_table(prepared, rows, indicators),
        "fills": lambda _: _rows(Fill, fills, COUNTS["fills"]),
        "trades": lambda _: _rows(Trade, trades),
        "orders": lambda _: _rows(life, lives, COUNTS["orders"]),
        "sets": lambda _: _sets_table(sets),
        "funding": lambda _: _rows(FundingPayment, funding),
        "ambiguous": lambda _: _with_times(pd.DataFrame(ambiguous, columns=["time_ms", "kind"])),
    })  # fmt: skip


def performance_so_far(strategy: bt.Strategy) -> dict[str, Any]:
    """Return all figures of a strategy that runs or has run; {} before its first bar.

    In the middle of a run, the bars are those up to the last one that is over.
    """
    plain, book = is_plain(type(strategy)), record_of(strategy).book
    context = strategy.broker.ledger.context if plain else strategy.p.context
    bars = strategy.analyzers.bar_recorder.rows.table()
    rows = slice(context.warmup, context.warmup + len(bars))
    for column in ("open", "close"):
        bars[column] = np.array(getattr(strategy.data, column).array[rows], dtype=np.float64)
    days = np.array(strategy.data.datetime.array[rows], dtype=np.float64)
    bars["time"] = utc_index(np.rint(float_ms(days)).astype(np.int64))
    scheme = strategy.broker.account.scheme
    known = isinstance(scheme, FuturesCommission)
    market = FigureInputs(
        symbol=context.instrument.symbol,
        contract=scheme.p.contract if known else context.instrument.contract(),
        initial=context.initial_balance,
        timeframe_ms=context.timeframe_ms,
        zone=context.zone,
    )
    return performance(bars, _rows(Trade, book.trades), _sets_table(book.sets), market)


def _bars_table(
    prepared: Prepared, rows: BarRows, indicators: list[tuple[str, str, Any]]
) -> pd.DataFrame:
    # Fewer rows where the strategy itself has ended the run.
    window, first = prepared.window.iloc[: len(rows)], prepared.warmup
    table = pd.DataFrame({"time": window.index})
    for column in ("open", "high", "low", "close", "volume"):
        table[column] = window[column].to_numpy()
    for column, panel, values in indicators:
        kind = object if panel == TEXT_PANEL else np.float64
        table[column] = np.array(values[first : first + len(rows)], dtype=kind)
    return pd.concat([table, rows.table()], axis=1)


def _own_indicators(strategy: bt.Strategy) -> list[tuple[str, str, Any]]:
    """Return name, panel and values of the backtrader indicators that a strategy made itself."""
    found: list[tuple[str, str, Any]] = []
    for indicator in strategy._lineiterators[bt.LineIterator.IndType]:
        if not isinstance(indicator, bt.Indicator):
            continue
        label = "_".join(
            str(part) for part in (type(indicator).__name__.lower(), *_numbers(indicator))
        )
        panel = label if indicator.plotinfo.subplot else "price"
        aliases = indicator.getlinealiases()
        for alias in aliases:
            name = label if len(aliases) == 1 else f"{label}_{alias}"
            taken = sum(each[0] == name or each[0].startswith(f"{name}_#") for each in found)
            taken += name in FIRST_BAR_COLUMNS or name in LAST_BAR_COLUMNS
            values = getattr(indicator.lines, alias).array
            found.append((f"{name}_#{taken + 1}" if taken else name, panel, values))
    return found


def _numbers(indicator: bt.Indicator) -> list[int]:
    """Return an indicator's whole-number parameters: its periods."""
    return [value for value in indicator.p._getvalues() if type(value) is int]


def _rows(kind: type, rows: list[Any], counts: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return records as a table; ``..._ms`` becomes a UTC time column, ``counts`` whole numbers."""
    types = get_type_hints(kind)  # those of its bases first
    names = list(types)
    table = pd.DataFrame(
        {name: [getattr(row, name) for row in rows] for name in names}, columns=names
    )
    if not rows:
        # Without a value, pandas takes every column for numbers.
        texts = [name for name, type_ in types.items() if _is_text(type_)]
        table = table.astype(dict.fromkeys(texts, pd.Series([""]).dtype))
    table = table.astype({name: "Int64" for name in counts if name in table})
    return _with_times(table)


def _is_text(type_: Any) -> bool:
    # str, one that may be missing, or a Literal of texts.
    return type_ is str or any(each is str or isinstance(each, str) for each in get_args(type_))


def _with_times(table: pd.DataFrame) -> pd.DataFrame:
    for name in [column for column in table.columns if column.endswith("_ms")]:
        given = table[name].astype("float64").fillna(_NOT_A_TIME)
        table[name] = utc_index(given.to_numpy().astype(np.int64))
    return table.rename(columns=lambda name: name.removesuffix("_ms"))


_NOT_A_TIME = float(np.iinfo(np.int64).min)
_SET_COLUMNS = (
    "number", "side", "born_ms", "ended_ms", "entries", "members", "entered_contracts",
    "entry_average", "take_profit_price", "stop_loss_price", "exit_price", "exit_reason",
    "group_pnl", "fees", "funding_paid",
)  # fmt: skip


def _sets_table(sets: list[PositionSet]) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {"set": [group.name for group in sets]}
    for name in _SET_COLUMNS[1:]:
        columns[name] = [getattr(group, name) for group in sets]
    table = _with_times(pd.DataFrame(columns))
    table["net_pnl"] = table["group_pnl"] - table["fees"] - table["funding_paid"]
    table["status"] = np.where(table["ended"].isna(), "open", "closed")
    return table.rename(
        columns={
            "members": "transactions",
            "entered_contracts": "contracts",
            "entry_average": "average_entry",
        }
    )
