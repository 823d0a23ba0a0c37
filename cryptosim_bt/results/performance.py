"""All figures of a run in one nested dict: what performance.json holds.

Made from tables alone, so that a run, a run that goes on, and a run read back give the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.contracts import (
    FirstCryptoSimContract,
    InverseContract,
    LinearContract,
)
from cryptosim_bt.accounting.instrument import kind_of, split_symbol
from cryptosim_bt.data.timeframe import milliseconds
from cryptosim_bt.results import account_figures, trade_figures
from cryptosim_bt.results.metrics import Array
from cryptosim_bt.results.result import Result


@dataclass(frozen=True)
class FigureInputs:
    """What the figures need to know beside the tables.

    Attributes
    ----------
    initial
        Initial balance in the settlement currency.
    zone
        Where a month begins.
    """

    symbol: str
    contract: InverseContract | LinearContract
    initial: float
    timeframe_ms: int
    zone: ZoneInfo

    @property
    def inverse(self) -> bool:
        """Whether the account is kept in the coin."""
        return kind_of(self.symbol) == "inverse"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> FigureInputs:
        """Gather it from a run's resolved settings."""
        symbol = settings["trading"]["symbol"]
        kinds: dict[str, type[InverseContract | LinearContract]] = {
            "exchange": LinearContract,
            "cryptosim": FirstCryptoSimContract,
        }
        linear = kinds[settings["backtest"]["linear_pnl"]]
        kind = InverseContract if kind_of(symbol) == "inverse" else linear
        return cls(
            symbol=symbol,
            contract=kind(settings["instrument"]["contract_size"]),
            initial=settings["backtest"]["initial_balance"],
            timeframe_ms=milliseconds(settings["data"]["timeframe"]),
            zone=ZoneInfo(settings["timezone"]),
        )


def performance_of(result: Result) -> dict[str, Any]:
    """Return all figures of a finished run."""
    return performance(result.bars, result.trades, result.sets, FigureInputs.of(result.settings))


def performance(
    bars: pd.DataFrame, trades: pd.DataFrame, sets: pd.DataFrame, market: FigureInputs
) -> dict[str, Any]:
    """Return all figures; {} before the first bar.

    Parameters
    ----------
    bars
        time, open, close, mark, balance, unrealized_pnl, equity, margin and contracts of both
        sides, one row a bar.
    trades, sets
        As in trades.csv and sets.csv.
    """
    if not len(bars):
        return {}
    base, quote, currency = split_symbol(market.symbol)
    initials, paths = _both_moneys(bars, market)
    step, inverse = market.timeframe_ms, market.inverse
    own = "coin" if inverse else "quote"
    in_money = {
        name: account_figures.return_figures(initials[name], paths[name], step) for name in paths
    }
    first_open, closes = float(bars["open"].iloc[0]), bars["close"].to_numpy(np.float64)
    return {
        "currency": currency,
        "coin": base,
        "quote": quote,
        "bars": len(bars),
        "result": {
            "initial_balance": market.initial,
            "final_balance": float(bars["balance"].iloc[-1]),
            "unrealized_pnl": float(bars["unrealized_pnl"].iloc[-1]),
            "final_equity": float(bars["equity"].iloc[-1]),
        },
        "account": in_money[own],
        "in_coin": in_money["coin"],
        "in_quote": in_money["quote"],
        "holding": account_figures.against_holding(
            initials["quote"], paths["quote"], first_open, closes, step
        ),
        **account_figures.market_figures(bars, market.contract),
        "trades": trade_figures.trade_parts(trades, inverse=inverse),
        "by_exit_reason": trade_figures.by_key(trades, trades["exit_reason"], inverse=inverse),
        "by_month": _by_month(bars, trades, market, initials, paths),
        "sets": trade_figures.set_figures(sets),
    }


def _both_moneys(
    bars: pd.DataFrame, market: FigureInputs
) -> tuple[dict[str, float], dict[str, Array]]:
    """Return initial balance and equity in coin and in quote currency.

    Converted at the first open and at each bar's close, as total_return_usd is (R26).
    """
    equity, closes = bars["equity"].to_numpy(np.float64), bars["close"].to_numpy(np.float64)
    first_open, initial = float(bars["open"].iloc[0]), market.initial
    if market.inverse:
        return (
            {"coin": initial, "quote": initial * first_open},
            {"coin": equity, "quote": equity * closes},
        )
    return (
        {"coin": initial / first_open, "quote": initial},
        {"coin": equity / closes, "quote": equity},
    )


def _by_month(
    bars: pd.DataFrame,
    trades: pd.DataFrame,
    market: FigureInputs,
    initials: Mapping[str, float],
    paths: Mapping[str, Array],
) -> dict[str, dict[str, Any]]:
    times, zone, own = bars["time"], market.zone, "coin" if market.inverse else "quote"
    returns = {
        name: account_figures.monthly_returns(times, zone, initials[name], paths[name])
        for name in paths
    }
    closes, first_open = bars["close"].to_numpy(np.float64), float(bars["open"].iloc[0])
    held = account_figures.monthly_returns(times, zone, first_open, closes)
    falls = account_figures.monthly_drawdowns(times, zone, initials[own], paths[own])
    closed_in = account_figures.month_keys(trades["exit_time"], zone)
    return {
        month: {
            "return": returns[own][month],
            "return_in_coin": returns["coin"][month],
            "return_in_quote": returns["quote"][month],
            "holding_return": held[month],
            "max_drawdown": falls[month],
            "trades": trade_figures.trade_block(trades[closed_in == month], inverse=market.inverse),
        }
        for month in returns[own]
    }


def write_performance(result: Result, path: Path) -> Path:
    """Write performance.json; return its path."""
    text = json.dumps(performance_of(result), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path
