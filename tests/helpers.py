"""What several test files share: a run below the configuration's files, and comparing tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import Result, SignalStrategy, load_settings
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.backtest import run as backtest
from cryptosim_bt.backtest.bar_recorder import BarRecorder
from cryptosim_bt.backtest.gather import gather
from cryptosim_bt.backtest.lean_loop import ArrayData
from cryptosim_bt.backtest.prepare import Prepared, prepare
from cryptosim_bt.backtest.run import execute
from cryptosim_bt.config.document import Document
from cryptosim_bt.config.settings import Settings, settings_of
from cryptosim_bt.data.feed import DataSource
from cryptosim_bt.data.timeframe import TIMEFRAMES, utc_index
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.strategy.sizers import BaseAmountSizer

Bar = tuple[int, float, float, float, float]

ROOT = Path(__file__).resolve().parents[1]
DATA = (ROOT / os.environ.get("CRYPTOSIM_DATA", "../shared/data")).resolve()
CASES = DATA.parent / "cases-certain-first"
HOUR_MS = 3_600_000
# 2025-01-01 00:00 UTC; in Asia/Seoul it is 09:00 and the day ends with bar 14 of a table of hours.
NEW_YEAR_MS = 1_735_689_600_000

# The settings of a small run in the words of `tests.known.oracle`; a test changes what it is about.
PLAIN: Mapping[str, Any] = {
    "contract": "linear",
    "contract_size": 1.0,
    "lot": 1.0,
    "tick": 0.5,
    "min_contracts": None,
    "maintenance_margin_rate": 0.004,
    "liquidation_fee_rate": None,
    "position_size": 1.0,
    "leverage": 5.0,
    "use_tp": True,
    "take_profit_pct": 0.02,
    "use_sl": False,
    "stop_loss_pct": 1.0,
    "order_cancel_timeout": 3600.0,
    "timeframe_ms": HOUR_MS,
    "position_set_size": 10,
    "max_long_set": 3,
    "max_short_set": 2,
    "max_concurrent_positions": None,
    "daily_loss_limit_pct": None,
    "initial_balance": 1000.0,
    "maker": 0.0,
    "taker": 0.0,
    "funding": (),
    "entry_fill": "next_bar",
    "price_improvement": True,
    "limit_fill": "touch",
    "slippage": 0.0,
    "event_order": "rules",
    "linear_pnl": "exchange",
    "close_at_end": False,
    "timezone": "UTC",
}


def require_data(name: str) -> Path:
    """Return a file of recorded market data, or skip the test where it is not there."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path}: recorded market data are not part of the repository")
    return path


def require_case(name: str) -> Path:
    """Return the folder of a known case, or skip the test where it is not there."""
    path = CASES / name
    if not path.is_dir():
        pytest.skip(f"no {path}: the known cases stand beside the recorded market data")
    return path


class GivenSignals(SignalStrategy):
    """A strategy whose signals are made by the test."""

    @classmethod
    def warmup(cls, params: Any) -> int:
        return 0


def settings_for(rules: Mapping[str, Any], start: str = "2020-01-01") -> Settings:
    """Return the framework's settings for settings in the oracle's words."""
    timeframe = next(name for name, ms in TIMEFRAMES.items() if ms == rules["timeframe_ms"])
    symbol = "BTC/USD:BTC" if rules["contract"] == "inverse" else "BTC/USDT:USDT"

    def chosen(*names: str) -> dict[str, Any]:
        return {name: rules[name] for name in names}

    values = {
        "data": {"source": "sample", "timeframe": timeframe},
        "trading": {
            "symbol": symbol,
            **chosen("position_size", "leverage", "use_tp", "take_profit_pct", "use_sl",
                     "stop_loss_pct", "order_cancel_timeout"),
        },
        "instrument": chosen("contract_size", "lot", "tick", "min_contracts",
                             "maintenance_margin_rate", "liquidation_fee_rate"),
        "position_set": chosen("position_set_size", "max_long_set", "max_short_set"),
        "risk": chosen("max_concurrent_positions", "daily_loss_limit_pct"),
        "strategy": {"name": "given_signals"},
        "backtest": {
            "trading_period": {"start_date": start, "end_date": "2099-01-01"},
            "fees": chosen("maker", "taker"),
            "funding": {"rate": 0.0},
            "fill": chosen("entry_fill", "price_improvement", "limit_fill", "slippage"),
            **chosen("initial_balance", "linear_pnl", "close_at_end"),
        },
        "timezone": rules["timezone"],
    }  # fmt: skip
    return settings_of(Document("test", values), ROOT)


def bar_table(bars: Sequence[Bar]) -> pd.DataFrame:
    """Return bars (open time in ms, open, high, low, close) as the framework's table."""
    array = np.array([bar[1:] for bar in bars], dtype=np.float64)
    index = utc_index(np.array([bar[0] for bar in bars], dtype=np.int64))
    table = pd.DataFrame(array, columns=["open", "high", "low", "close"], index=index)
    return table.assign(volume=1.0)


def prepared_run(
    bars: Sequence[Bar],
    signals: Sequence[int],
    rules: Mapping[str, Any],
    warmup: Sequence[Bar] = (),
    strategy: type[SignalStrategy] = GivenSignals,
    **params: Any,
) -> Prepared:
    """Return a run of given bars and signals; ``warmup`` bars come before them."""
    settings = settings_for(rules)
    return Prepared(
        settings=settings,
        strategy=strategy,
        params=SimpleNamespace(**params),
        bars=bar_table([*warmup, *bars]),
        warmup=len(warmup),
        source=DataSource("test"),
        signals=[0] * len(warmup) + list(signals),
        panels=(),
        funding=[tuple(due) for due in rules["funding"]],
        funding_series=None,
        matching=None,
        tiers=MaintenanceTiers.single(settings.instrument.maintenance_margin_rate),
        analyzers={},
    )


def simulate_with_framework(
    bars: Sequence[Bar],
    signals: Sequence[int],
    rules: Mapping[str, Any],
    warmup: Sequence[Bar] = (),
) -> Result:
    """Run bars and signals through the whole framework below the configuration's files."""
    prepared = prepared_run(bars, signals, rules, warmup)
    result, _ = execute(prepared, event_order=rules["event_order"])
    return result


def hours(
    *prices: tuple[float, float, float, float], start_ms: int = NEW_YEAR_MS, step_ms: int = HOUR_MS
) -> list[Bar]:
    """Return bars of (open, high, low, close), one after another."""
    return [(start_ms + step_ms * row, *each) for row, each in enumerate(prices)]


def flat_hours(count: int, price: float, start_ms: int = NEW_YEAR_MS) -> list[Bar]:
    """Return bars in which nothing happens."""
    return hours(*[(price, price, price, price)] * count, start_ms=start_ms)


def changed(rules: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return settings with some of them changed; an unknown name is a mistake of the test."""
    unknown = set(changes) - set(rules)
    assert not unknown, f"no such setting: {unknown}"
    return {**rules, **changes}


def without_analyzers(settings: Settings) -> Settings:
    """Return settings whose run writes nothing, so that plugins of reports do not matter."""
    report = settings.keys.report.model_copy(update={"analyzers": []})
    return replace(settings, keys=settings.keys.model_copy(update={"report": report}))


def assert_same_rows(
    table: pd.DataFrame,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    scale: float = 1.0,
) -> None:
    """Compare a table of the framework with rows of the oracle (times in ms; None = NaN = 0).

    Numbers agree to 1e-9, relative or as a share of ``scale``, the size of the account.
    """
    assert len(table) == len(rows), f"{len(table)} rows, expected {len(rows)}"
    for column in columns:
        if column.endswith("_ms"):
            name = column.removesuffix("_ms")
            named = table[name if name in table else f"{name}_time"]
            times = pd.DatetimeIndex(named).as_unit("ms").asi8
            assert times.tolist() == [row[column] for row in rows], column
            continue
        values = table[column].tolist()
        wanted = [row[column] for row in rows]
        for row, (value, expected) in enumerate(zip(values, wanted, strict=True)):
            assert same(value, expected, scale), f"{column}[{row}]: {value!r}, not {expected!r}"


def same(value: Any, expected: Any, scale: float = 1.0) -> bool:
    """Tell whether two cells are equal, numbers to 1e-9 relative or of ``scale``."""
    value, expected = (0.0 if pd.isna(each) else each for each in (value, expected))
    if isinstance(expected, str):
        return bool(value == expected)
    return bool(abs(value - expected) <= 1e-9 * max(scale, abs(expected)))


def run_with_cerebro(
    prepared: Prepared,
    cerebro: bt.Cerebro,
    commission: bt.CommInfoBase | None = None,
    **options: Any,
) -> Result:
    """Run a prepared backtest through any Cerebro, with one's own commission scheme if given."""
    keys = prepared.settings.keys
    cerebro.adddata(ArrayData(dataname=prepared.bars, bar=keys.data.timeframe))
    cerebro.broker = backtest._broker(prepared, "rules")
    if commission is not None:
        cerebro.broker.addcommissioninfo(commission)
    cerebro.addsizer(
        BaseAmountSizer,
        instrument=prepared.settings.instrument,
        amount=keys.trading.position_size,
    )
    context = backtest._context(prepared)
    cerebro.addstrategy(prepared.strategy, context=context, **vars(prepared.params))
    cerebro.addanalyzer(BarRecorder, _name="bar_recorder")
    (strategy,) = cerebro.run(**options)
    return gather(prepared, strategy)


def sample_run(strategy: str, *overrides: str) -> Prepared:
    """Return the shipped configuration on the built-in sample with a shipped strategy."""
    settings = load_settings(
        ROOT / "config" / "config.yaml", [f"strategy.name={strategy}", *overrides]
    )
    return prepare(without_analyzers(settings), discover())
