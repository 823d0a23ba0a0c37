"""The figures of a run (R26): returns, drawdown, ratios, trades. Pure functions of arrays.

A figure that has no value is None, never 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]

MS_PER_YEAR = 365 * 86_400_000


def total_return(initial: float, final: float) -> float:
    """Return ``final / initial - 1``."""
    return final / initial - 1.0


def annual_return(total: float, window_ms: int) -> float | None:
    """Return ``(1 + total) ** (365 days / window) - 1``.

    None where a short, strong window gives a number too large to write.
    """
    if total <= -1.0:
        return -1.0
    exponent = math.log1p(total) * MS_PER_YEAR / window_ms
    return math.expm1(exponent) if exponent < 700.0 else None


def max_drawdown(initial: float, equity: Array) -> float:
    """Return the largest fall from a peak as a positive fraction of the peak.

    The first point is the initial balance, the others the equity at each bar's close.
    """
    path = np.concatenate(([initial], equity))
    peaks = np.maximum.accumulate(path)
    return float(np.max(1.0 - path / peaks))


def bar_returns(initial: float, equity: Array) -> Array:
    """Return each bar's return on the equity before it; 0 once nothing is left."""
    before = np.concatenate(([initial], equity[:-1]))
    return np.divide(equity, before, out=np.ones_like(equity), where=before > 0.0) - 1.0


def sharpe(returns: Array, bars_per_year: float) -> float | None:
    """Return mean / sample deviation (n-1) of per-bar returns, times sqrt(bars per year).

    Risk-free 0. None with fewer than two bars, or when the deviation is 0.
    """
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / deviation * math.sqrt(bars_per_year) if deviation else None


def sortino(returns: Array, bars_per_year: float) -> float | None:
    """Return mean / root mean square of the negative parts over all bars, annualised.

    None when no bar lost.
    """
    if not len(returns):
        return None
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(np.mean(returns)) / downside * math.sqrt(bars_per_year) if downside else None


def trade_figures(trades: pd.DataFrame) -> dict[str, Any]:
    """Return trades, wins, losses, win_rate and profit_factor of closed Transactions.

    A win has net_pnl > 0; what is not a win is a loss. win_rate is None without trades,
    profit_factor None without losses of money.
    """
    net = trades["net_pnl"].to_numpy(np.float64)
    wins = int(np.count_nonzero(net > 0.0))
    lost = float(-net[net < 0.0].sum())
    return {
        "trades": len(net),
        "wins": wins,
        "losses": len(net) - wins,
        "win_rate": wins / len(net) if len(net) else None,
        "profit_factor": float(net[net > 0.0].sum()) / lost if lost else None,
    }


def figures(
    bars: pd.DataFrame, trades: pd.DataFrame, initial: float, timeframe_ms: int, *, inverse: bool
) -> dict[str, Any]:
    """Return all figures of R26.

    Parameters
    ----------
    bars
        open, close and equity of the trading window.
    trades
        Closed Transactions with net_pnl.
    initial
        Initial balance.
    timeframe_ms
        Length of a bar; the window is its length times the bars.
    inverse
        Whether the account is kept in the coin: then ``total_return_usd`` has a value.
    """
    equity = bars["equity"].to_numpy(np.float64)
    first_open, last_close = float(bars["open"].iloc[0]), float(bars["close"].iloc[-1])
    total = total_return(initial, float(equity[-1]))
    returns = bar_returns(initial, equity)
    bars_per_year = MS_PER_YEAR / timeframe_ms
    in_usd = float(equity[-1]) * last_close / (initial * first_open) - 1.0
    return {
        "total_return": total,
        "total_return_usd": in_usd if inverse else None,
        "annual_return": annual_return(total, timeframe_ms * len(bars)),
        "max_drawdown": max_drawdown(initial, equity),
        "sharpe": sharpe(returns, bars_per_year),
        "sortino": sortino(returns, bars_per_year),
        "buy_and_hold_return": last_close / first_open - 1.0,
        **trade_figures(trades),
    }
