"""From a finished strategy to a `Result`: the tables and the summary."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import backtrader as bt
import numpy as np
import pandas as pd

from cryptosim_bt.accounting.orders import FundingPayment
from cryptosim_bt.accounting.position_sets import PositionSet, Trade
from cryptosim_bt.backtest.prepare import Prepared
from cryptosim_bt.backtest.summary import summarize
from cryptosim_bt.broker.backtrader_time import float_ms
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.data.timeframe import utc_index
from cryptosim_bt.plugins.registry import is_plain
from cryptosim_bt.results.performance import FigureInputs, performance
from cryptosim_bt.results.result import COUNTS, FIRST_BAR_COLUMNS, LAST_BAR_COLUMNS, Result
from cryptosim_bt.strategy.plain_ledger import PlainOrderLife
from cryptosim_bt.strategy.run_record import Fill, OrderLife, record_of


def gather(prepared: Prepared, strategy: bt.Strategy) -> Result:
    """Return the result of a strategy that has run."""
    bars, panels = _bars_table(prepared, strategy)
    record = record_of(strategy)
    book = record.book
    tables = {
        "bars": bars,
        "fills": _rows(Fill, record.fills),
        "trades": _rows(Trade, book.trades),
        "orders": _rows(
            PlainOrderLife if is_plain(type(strategy)) else OrderLife,
            list(record.order_lives.values()),
        ),
        "sets": _sets_table(book.sets),
        "funding": _rows(FundingPayment, record.funding),
        "ambiguous": _with_times(
            pd.DataFrame(strategy.broker.exchange.ambiguous, columns=["time_ms", "kind"])
        ),
    }
    for name, columns in COUNTS.items():
        for column in set(columns) & set(tables[name]):
            tables[name][column] = tables[name][column].astype("Int64")
    summary = summarize(prepared, strategy, bars, tables["trades"])
    settings = prepared.settings.resolved()
    return Result(settings=settings, summary=summary, panels=panels, **tables)


def performance_so_far(strategy: bt.Strategy) -> dict[str, Any]:
    """Return all figures of a strategy that runs or has run; {} before its first bar.

    In the middle of a run, the bars are those up to the last one that is over.
    """
    plain, book = is_plain(type(strategy)), record_of(strategy).book
    context = strategy.broker.ledger.context if plain else strategy.p.context
    bars = strategy.analyzers.bar_recorder.table()
    rows = slice(context.warmup, context.warmup + len(bars))
    for column in ("open", "close"):
        bars[column] = np.array(getattr(strategy.data, column).array[rows], dtype=np.float64)
    days = np.array(strategy.data.datetime.array[rows], dtype=np.float64)
    bars["time"] = utc_index(np.rint(float_ms(days)).astype(np.int64))
    scheme = strategy.broker.getcommissioninfo(strategy.data)
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
    prepared: Prepared, strategy: bt.Strategy
) -> tuple[pd.DataFrame, dict[str, str]]:
    recorded = strategy.analyzers.bar_recorder.table()
    # Fewer where the strategy itself has ended the run.
    window = prepared.window.iloc[: len(recorded)]
    table = pd.DataFrame({"time": window.index})
    for column in ("open", "high", "low", "close", "volume"):
        table[column] = window[column].to_numpy()
    panels = {}
    columns = [(column, panel.name, values) for panel in prepared.panels
               for column, values in panel.columns.items()]  # fmt: skip
    for column, panel, values in columns or _own_indicators(strategy):
        table[column] = values[prepared.warmup : prepared.warmup + len(recorded)]
        panels[column] = panel
    return pd.concat([table, recorded], axis=1), panels


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
            values = np.array(getattr(indicator.lines, alias).array, dtype=np.float64)
            found.append((f"{name}_#{taken + 1}" if taken else name, panel, values))
    return found


def _numbers(indicator: bt.Indicator) -> list[int]:
    """Return an indicator's whole-number parameters: its periods."""
    return [value for value in indicator.p._getvalues() if type(value) is int]


def _rows(kind: type, rows: list[Any]) -> pd.DataFrame:
    """Return records as a table; ``..._ms`` becomes a UTC time column."""
    types = get_type_hints(kind)  # those of its bases first
    names = list(types)
    table = pd.DataFrame(
        {name: [getattr(row, name) for row in rows] for name in names}, columns=names
    )
    if not rows:
        # Without a value, pandas takes every column for numbers.
        texts = [name for name, type_ in types.items() if _is_text(type_)]
        table = table.astype(dict.fromkeys(texts, pd.Series([""]).dtype))
    return _with_times(table)


def _is_text(type_: Any) -> bool:
    # str, one that may be missing, or a Literal of texts.
    return type_ is str or any(each is str or isinstance(each, str) for each in get_args(type_))


def _with_times(table: pd.DataFrame) -> pd.DataFrame:
    for name in [column for column in table.columns if column.endswith("_ms")]:
        column = pd.to_datetime(table[name].astype("Int64"), unit="ms", utc=True)
        table[name] = column.astype("datetime64[ms, UTC]")
    return table.rename(columns=lambda name: name.removesuffix("_ms"))


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
