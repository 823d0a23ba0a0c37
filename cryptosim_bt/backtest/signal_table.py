"""What a strategy makes of the bars before the run: its warm-up, its signals and its columns."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

import backtrader as bt
import numpy as np
import pandas as pd

from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import PluginError, listed, shown
from cryptosim_bt.plugins.failures import failures_of
from cryptosim_bt.plugins.registry import is_plain
from cryptosim_bt.results.result import FIRST_BAR_COLUMNS, LAST_BAR_COLUMNS
from cryptosim_bt.strategy.indicators import IndicatorPanel, panels_of
from cryptosim_bt.strategy.signal_strategy import SIGNALS, SignalStrategy

# Columns of a strategy's table that are not drawn: what it was given, and what it answers.
_NO_INDICATORS = ("open", "high", "low", "close", "volume", "signal")
# A spreadsheet takes a cell that begins so for a formula, wherever it came from.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class SignalTable:
    """What `generate_signals` gave: signals (None: decided bar by bar), and its other columns.

    Numbers are drawn in ``panels``; ``texts`` (dates, words, lists) stand in bars.csv alone.
    """

    signals: list[int] | None = None
    panels: tuple[IndicatorPanel, ...] = ()
    texts: Mapping[str, np.ndarray] = field(default_factory=dict)


def warmup_bars(strategy: type[bt.Strategy], params: SimpleNamespace, name: str) -> int:
    """Return how many bars a strategy needs before its first signal (R3).

    Raises
    ------
    PluginError
        If it does not say so in a whole number of 0 or more.
    """
    with failures_of({f"strategy {name}": strategy}):
        needed = strategy.warmup(params)
    try:
        count = operator.index(needed)
    except TypeError:
        count = -1
    if count < 0 or isinstance(needed, bool):
        raise PluginError(
            f"strategy {name}: warmup() returned {shown(needed)}; allowed: a whole number of bars, "
            f"0 or more, such as int(...) of it; in {_place(strategy.warmup)}"
        )
    return count


def signal_table(
    strategy: type[bt.Strategy], params: SimpleNamespace, bars: pd.DataFrame, name: str
) -> SignalTable:
    """Compute a strategy's table once over all bars, of which it gets a copy.

    Raises
    ------
    PluginError
        If it is no table with a row for each of the bars, or a signal or a column's name is
        none that is allowed.
    PluginFailed
        If its code raises an exception.
    """
    inherited: Any = SignalStrategy.generate_signals
    if is_plain(strategy) or strategy.generate_signals.__func__ is inherited.__func__:
        return SignalTable()
    with failures_of({f"strategy {name}": strategy}):
        table = strategy.generate_signals(bars.copy(), params)

    def refuse(sentence: str) -> NoReturn:
        place = _place(strategy.generate_signals)
        raise PluginError(f"strategy {name}: generate_signals() {sentence}; in {place}")

    table = _aligned(table, bars, refuse)
    signals = _signals(table["signal"], refuse)
    numbers, texts = {}, {}
    for column, values in _own_columns(table, refuse).items():
        found = _numbers(values)
        if found is None:
            texts[column] = np.array([_text(value) for value in values], dtype=object)
        else:
            numbers[column] = found
    panels = {_safe(column): panel for column, panel in strategy.plot_panels.items()}
    return SignalTable(signals, panels_of(numbers, panels), texts)


def _aligned(
    table: Any, bars: pd.DataFrame, refuse: Callable[[str], NoReturn]
) -> pd.DataFrame:
    """Return a table in the order of the bars, by its index."""
    if not isinstance(table, pd.DataFrame):
        refuse(f"returned {shown(table) if table is None else type(table).__name__}; it must "
               "return a DataFrame with a 'signal' column, one row a bar")  # fmt: skip
    if list(table.columns).count("signal") != 1:
        refuse(f"returned a table without one 'signal' column, but {listed(table.columns)}")
    if table.index.equals(bars.index):
        return table
    same = len(table) == len(bars) and not table.index.has_duplicates
    if not same or not table.index.isin(bars.index).all():
        refuse(
            f"returned {len(table)} rows whose index is not that of the {len(bars)} bars; let it "
            "return one row for each of them, such as bars.assign(...) or .reindex(bars.index)"
        )
    return table.reindex(bars.index)


def _signals(column: pd.Series, refuse: Callable[[str], NoReturn]) -> list[int]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if not pd.api.types.is_numeric_dtype(column):  # the text "1" is no signal
        numbers = np.where([isinstance(each, str) for each in column], np.nan, numbers)
    wrong = ~np.isin(numbers, sorted(SIGNALS))
    if wrong.any():
        row = int(np.argmax(wrong))
        found = shown(column.astype(object).iloc[row])
        refuse(
            f"gave the signal {found} at {iso_utc(column.index[row])}; allowed: 1, -1, 2, -2, 0 "
            f"({int(wrong.sum())} such bars)"
        )
    signals: list[int] = numbers.astype(int).tolist()
    return signals


def _own_columns(
    table: pd.DataFrame, refuse: Callable[[str], NoReturn]
) -> dict[str, pd.Series]:
    """Return a table's own columns by names that stand in bars.csv for nothing else."""
    columns: dict[str, pd.Series] = {}
    for place, name in enumerate(table.columns):
        column = _safe(str(name))
        if column in _NO_INDICATORS:
            continue
        if column in columns or column in (*FIRST_BAR_COLUMNS, *LAST_BAR_COLUMNS):
            refuse(
                f"gave a column {column!r}, which stands in its table twice or is one of bars.csv "
                "itself; give it a name of its own"
            )
        columns[column] = table.iloc[:, place]
    return columns


def _numbers(values: pd.Series) -> np.ndarray | None:
    """Return a column as numbers, infinite ones among them; None where it holds something else."""
    kind = values.dtype
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return values.to_numpy(np.float64, na_value=np.nan)
    if not pd.api.types.is_object_dtype(kind) or any(isinstance(value, str) for value in values):
        return None
    try:
        return values.astype(np.float64).to_numpy()
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str | None:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    return _safe(str(value))


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _place(method: Any) -> str:
    """Return where a method of a strategy is written."""
    code = inspect.unwrap(getattr(method, "__func__", method)).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"
