"""Figures of an account beyond R26: risk, time in market, exposure, months, against holding.

Pure functions of arrays and tables. A figure that has no value is None, never 0. The formula of
each stands in ``docs/metrics.md``.
"""

from __future__ import annotations

import math
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.accounting.contracts import SIDES, InverseContract, LinearContract
from cryptosim_bt.results import metrics
from cryptosim_bt.results.metrics import MS_PER_YEAR, Array


# ---------------------------------------------------------------------- one path of equity
def drawdowns(initial: float, equity: Array) -> Array:
    """Return at each bar how far equity is below its peak, a positive fraction of the peak.

    The initial balance is the first peak.
    """
    peaks = np.maximum(np.maximum.accumulate(equity), initial)
    return 1.0 - equity / peaks


def longest_drawdown(initial: float, equity: Array) -> int:
    """Return the bars of the longest stretch below a peak; 0 where equity never fell."""
    below = np.concatenate(([0], (drawdowns(initial, equity) > 0.0).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(below))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def ulcer_index(initial: float, equity: Array) -> float:
    """Return the root mean square of the drawdowns at the bars' closes, a fraction."""
    return math.sqrt(float(np.mean(drawdowns(initial, equity) ** 2)))


def calmar(annual_return: float | None, max_drawdown: float) -> float | None:
    """Return annual return / maximum drawdown; None without one of the two."""
    if annual_return is None or not max_drawdown:
        return None
    return annual_return / max_drawdown


def annual_volatility(returns: Array, bars_per_year: float) -> float | None:
    """Return the sample deviation (n-1) of per-bar returns times sqrt(bars per year).

    None with fewer than two bars.
    """
    if len(returns) < 2:
        return None
    return float(np.std(returns, ddof=1)) * math.sqrt(bars_per_year)


def return_figures(initial: float, equity: Array, timeframe_ms: int) -> dict[str, Any]:
    """Return the figures of one path of equity: those of R26 and the risk beside them.

    Parameters
    ----------
    initial
        Value before the first bar, above 0.
    equity
        Value at each bar's close, in the same money.
    timeframe_ms
        Length of a bar.
    """
    returns = metrics.bar_returns(initial, equity)
    bars_per_year = MS_PER_YEAR / timeframe_ms
    total = metrics.total_return(initial, float(equity[-1]))
    annual = metrics.annual_return(total, timeframe_ms * len(equity))
    fall = metrics.max_drawdown(initial, equity)
    return {
        "total_return": total,
        "annual_return": annual,
        "max_drawdown": fall,
        "longest_drawdown_bars": longest_drawdown(initial, equity),
        "annual_volatility": annual_volatility(returns, bars_per_year),
        "sharpe": metrics.sharpe(returns, bars_per_year),
        "sortino": metrics.sortino(returns, bars_per_year),
        "calmar": calmar(annual, fall),
        "ulcer_index": ulcer_index(initial, equity),
    }


# ---------------------------------------------------------------------- against holding
def against_holding(
    initial: float, equity: Array, first_open: float, closes: Array, timeframe_ms: int
) -> dict[str, Any]:
    """Return the figures of the coin, bought at the first open and held, and how the run compares.

    Parameters
    ----------
    initial, equity
        The account in quote currency.
    first_open, closes
        Price of the coin.

    Returns
    -------
    dict
        `return_figures` of the coin; ``excess_return``, the account's total return less the
        coin's; ``beta`` and ``correlation`` of per-bar returns, None where one of them does not
        move.
    """
    coin = return_figures(first_open, closes, timeframe_ms)
    mine = metrics.bar_returns(initial, equity)
    theirs = metrics.bar_returns(first_open, closes)
    excess = metrics.total_return(initial, float(equity[-1])) - coin["total_return"]
    return {**coin, "excess_return": excess, **_beta(mine, theirs)}


def _beta(mine: Array, theirs: Array) -> dict[str, float | None]:
    a, b = mine - np.mean(mine), theirs - np.mean(theirs)
    shared, mine_squares, their_squares = float(a @ b), float(a @ a), float(b @ b)
    both = math.sqrt(mine_squares * their_squares)
    return {
        "beta": shared / their_squares if their_squares else None,
        "correlation": shared / both if both else None,
    }


# ---------------------------------------------------------------------- time and exposure
def market_figures(
    bars: pd.DataFrame, contract: InverseContract | LinearContract
) -> dict[str, Any]:
    """Return how long and how heavily the account was in the market, at the bars' closes.

    Parameters
    ----------
    bars
        mark, equity, margin, long_contracts and short_contracts after each bar.
    contract
        Arithmetic of the market.

    Returns
    -------
    dict
        ``time_in_market``: shares of bars with contracts of any side, of each and of both.
        ``exposure``: notional / equity: gross (long + short), net (long - short) and each side,
        as mean over the bars with equity above 0, gross also as maximum. ``margin_use``: mean and
        maximum of margin / equity. None where no bar has equity.
    """
    held = {side: bars[f"{side}_contracts"].to_numpy(np.float64) for side in SIDES}
    mark, equity = bars["mark"].to_numpy(np.float64), bars["equity"].to_numpy(np.float64)
    is_in = {side: held[side] > 0.0 for side in SIDES}
    alive = equity > 0.0
    share = {
        side: notionals(contract, held[side][alive], mark[alive]) / equity[alive] for side in SIDES
    }
    use = bars["margin"].to_numpy(np.float64)[alive] / equity[alive]
    gross = share["long"] + share["short"]
    return {
        "time_in_market": {
            "any": float(np.mean(is_in["long"] | is_in["short"])),
            "long": float(np.mean(is_in["long"])),
            "short": float(np.mean(is_in["short"])),
            "both": float(np.mean(is_in["long"] & is_in["short"])),
        },
        "exposure": {
            "average_gross": _mean(gross),
            "max_gross": _largest(gross),
            "average_net": _mean(share["long"] - share["short"]),
            "average_long": _mean(share["long"]),
            "average_short": _mean(share["short"]),
        },
        "margin_use": {"average": _mean(use), "max": _largest(use)},
    }


def notionals(contract: InverseContract | LinearContract, contracts: Array, prices: Array) -> Array:
    """Return `contract.notional` of many contracts and prices at once."""
    counts: Any = contracts
    at: Any = prices
    return np.asarray(contract.notional(counts, at), dtype=np.float64)


def _mean(values: Array) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _largest(values: Array) -> float | None:
    return float(np.max(values)) if len(values) else None


# ---------------------------------------------------------------------- months
def month_keys(times: pd.Series, zone: ZoneInfo) -> npt.NDArray[np.str_]:
    """Return the local month (``2025-01``) of each UTC time."""
    local = pd.DatetimeIndex(times).tz_convert(zone).tz_localize(None)
    months: npt.NDArray[np.str_] = local.to_numpy("datetime64[M]").astype("U7")
    return months


def monthly_returns(
    times: pd.Series, zone: ZoneInfo, initial: float, equity: Array
) -> dict[str, float | None]:
    """Return of each local month: last equity / last equity of the month before - 1.

    A bar belongs to the month in which it opens. The first month begins with the initial balance.
    None for a month that began with nothing.
    """
    months = month_keys(times, zone)
    last = np.append(np.flatnonzero(months[1:] != months[:-1]), len(months) - 1)
    ends = equity[last]
    begins = np.concatenate(([initial], ends[:-1]))
    return {
        str(month): float(end / begin) - 1.0 if begin > 0.0 else None
        for month, begin, end in zip(months[last], begins, ends, strict=True)
    }


def monthly_drawdowns(
    times: pd.Series, zone: ZoneInfo, initial: float, equity: Array
) -> dict[str, float]:
    """Return the deepest point below the peak so far within each local month."""
    falls = pd.Series(drawdowns(initial, equity)).groupby(month_keys(times, zone)).max()
    return {str(month): float(fall) for month, fall in falls.items()}
