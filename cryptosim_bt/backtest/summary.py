"""The summary of a run (summary.json)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from cryptosim_bt._version import __version__
from cryptosim_bt.backtest.prepare import Prepared
from cryptosim_bt.backtest.provenance import provenance
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.results import metrics
from cryptosim_bt.results.result import LAST_PRICE
from cryptosim_bt.strategy.run_record import record_of

# What is computed from the tables, by its place in the summary.
_OF_BARS = ("bars_traded", "start", "end")
_OF_MONEY = ("final_balance", "final_equity", "unrealized_pnl", "total_return", "total_return_usd",
             "annual_return", "max_drawdown", "sharpe", "sortino")  # fmt: skip
_OF_TRADES = ("trades", "wins", "losses", "win_rate", "profit_factor")


def counts(prepared: Prepared, strategy: bt.Strategy) -> dict[str, Any]:
    """Return the summary of a run as far as it needs no table; the rest is None in its place."""
    settings = prepared.settings
    account, exchange = strategy.broker.account, strategy.broker.exchange
    record = record_of(strategy)
    lives = record.order_lives.values()
    return {
        "bars_loaded": len(prepared.bars),
        **dict.fromkeys(_OF_BARS),
        "symbol": settings.instrument.symbol,
        "currency": settings.instrument.currency,
        "initial_balance": settings.keys.backtest.initial_balance,
        **dict.fromkeys(_OF_MONEY),
        "fills": len(record.fills),
        **dict.fromkeys(_OF_TRADES),
        "fees_paid": account.fees_paid,
        "funding_paid": account.funding_paid,
        "funding_missing": _missing_funding(
            prepared, exchange.funding.exposure, account.funding_paid
        ),
        **({"funding_late": exchange.funding.late} if exchange.funding.late else {}),
        "entries_refused": dict(record.refused),
        "orders_expired": sum(life.status == "expired" for life in lives),
        "liquidations": exchange.liquidations,
        "shortfall": account.shortfall,
        "margin_mode": settings.keys.trading.margin_mode,
        "mark": settings.keys.data.mark_path
        or ("venue" if settings.keys.data.mark else LAST_PRICE),
        "min_liquidation_distance": None,
        "ambiguous_bars": _ambiguous_bars(exchange.ambiguous),
        "open_sets": len(record.book.open_sets()),
        "open_contracts": {side: leg.contracts for side, leg in account.legs.items()},
        "buy_and_hold_return": None,
        "data": {
            "source": prepared.source.source,
            "file": prepared.source.file,
            "sha256": prepared.source.sha256,
            "synthetic": prepared.source.synthetic,
        },
        "version": __version__,
        # Now, not when it is asked for: files change.
        "provenance": provenance(prepared),
    }


def summarize(
    prepared: Prepared, counted: Mapping[str, Any], bars: pd.DataFrame, trades: pd.DataFrame
) -> dict[str, Any]:
    """Return the summary of a run: its `counts`, and the figures of R26."""
    step_ms, last = prepared.settings.timeframe_ms, bars.iloc[-1]
    return {
        **counted,
        "bars_traded": len(bars),
        "start": iso_utc(bars["time"].iloc[0]),
        "end": iso_utc(bars["time"].iloc[-1] + pd.Timedelta(step_ms, unit="ms")),
        "final_balance": float(last["balance"]),
        "final_equity": float(last["equity"]),
        "unrealized_pnl": float(last["unrealized_pnl"]),
        "min_liquidation_distance": _liquidation_distance(
            prepared, bars, counted["liquidations"]
        ),
        **metrics.figures(
            bars,
            trades,
            counted["initial_balance"],
            step_ms,
            inverse=prepared.settings.instrument.kind == "inverse",
        ),
    }


def _liquidation_distance(
    prepared: Prepared, bars: pd.DataFrame, liquidations: int
) -> float | None:
    """Return how near the run came to a liquidation, a fraction of the price; 0: to one (R33).

    The low and high of each bar (the mark's, where it has one of its own) against the liquidation
    prices that stood at the close before it, and each close against its own. None if nothing could
    ever be liquidated.
    """
    if liquidations:
        return 0.0
    below, above = bars["liquidation_below"], bars["liquidation_above"]
    low, high = bars["low"].to_numpy(), bars["high"].to_numpy()
    if prepared.matching is not None:
        low, high = prepared.matching.mark_range(
            pd.DatetimeIndex(bars["time"]).as_unit("ms").asi8
        )
    distances = pd.concat(
        [
            1.0 - below / bars["mark"],
            1.0 - below.shift() / low,
            above / bars["mark"] - 1.0,
            above.shift() / high - 1.0,
        ]
    )
    nearest = distances.min()
    return None if np.isnan(nearest) else max(0.0, float(nearest))


def _ambiguous_bars(found: list[tuple[int, str]]) -> dict[str, int]:
    """Return how many bars could not say what came first, in all and by kind (R43)."""
    by_kind = Counter(kind for _, kind in found)
    return {"total": len({time_ms for time_ms, _ in found}), **dict(sorted(by_kind.items()))}


def _missing_funding(
    prepared: Prepared, exposure: Mapping[int, float], funding_paid: float
) -> dict[str, Any] | None:
    """Return the share of funding times filled in, and what they could have cost (R48).

    ``funding_paid_worst`` and ``_best`` are the run's funding had each of them been the rate of
    the series that is worst or best for what was held: ``exposure``, the notional of the long less
    that of the short leg at each funding time. None where nothing was missing.
    """
    series = prepared.funding_series
    if series is None or not series.missing:
        return None
    used = dict(prepared.funding)
    worst = best = funding_paid
    for time_ms in series.missing_ms.tolist():
        exposed = exposure.get(time_ms, 0.0)
        costs = [exposed * rate for rate in (series.lowest, series.highest)]
        worst += max(costs) - exposed * used[time_ms]
        best += min(costs) - exposed * used[time_ms]
    return {
        "share": series.missing / series.expected,
        "missing": series.missing,
        "first": None if series.first_missing is None else iso_utc(series.first_missing),
        "funding_paid_worst": worst,
        "funding_paid_best": best,
    }
