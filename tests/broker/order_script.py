"""A strategy without a book that follows a script, and runs of it on made-up bars."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from cryptosim_bt import FuturesBroker, FuturesCommission, LinearContract
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.exchange.matching_bars import MatchingBars

HOUR_MS = 3_600_000
QUARTER_MS = HOUR_MS // 4

Prices = float | tuple[float, float, float, float]
Step = Callable[[Any], Any]


class Script(bt.Strategy):
    """Runs one function a bar, by the bar's number from 1; records what it hears."""

    params = (("steps", None),)

    def __init__(self):
        self.heard, self.reasons, self.closed, self.sent = [], {}, [], {}
        self.equity, self.cash, self.fills = [], [], []

    def notify_order(self, order):
        self.heard.append((len(self), order.ref, order.getstatusname()))
        if order.info.get("reason") is not None:
            self.reasons[order.ref] = order.info.reason
        self.sent[order.ref] = order
        for bit in order.executed.iterpending():
            self.fills.append((len(self), order.ref, bit.size, round(bit.price, 9)))

    def notify_trade(self, trade):
        if trade.isclosed:
            self.closed.append((len(self), trade.tradeid, trade.pnl, trade.pnlcomm))

    def next(self):
        self.equity.append(self.broker.getvalue())
        self.cash.append(self.broker.getcash())
        step = self.p.steps.get(len(self))
        if step is not None:
            step(self)

    def states(self, order):
        return [(bar, state) for bar, ref, state in self.heard if ref == order.ref]

    def parts(self, order):
        """Return an order's fills as (bar, signed size, price)."""
        return [(bar, size, price) for bar, ref, size, price in self.fills if ref == order.ref]

    @property
    def ambiguous(self):
        """Return the kinds of the ambiguous bars with the number of the bar, from 1."""
        first = pd.Timestamp("2024-01-01").value // 1_000_000
        step = self.broker.p.matching_ms or HOUR_MS
        listed = self.broker.exchange.ambiguous
        return [((time - first) // step + 1, kind) for time, kind in listed]


def make_bars(*prices: Prices, step_ms: int = HOUR_MS) -> pd.DataFrame:
    """Bars from (open, high, low, close), or from one price four times."""
    rows = [price if isinstance(price, tuple) else (price,) * 4 for price in prices]
    step = pd.Timedelta(step_ms, unit="ms")
    index = pd.date_range("2024-01-01", periods=len(rows), freq=step)
    return pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=index).assign(
        volume=1.0
    )


def hours_of(fine: pd.DataFrame) -> pd.DataFrame:
    """The hours that finer bars make."""
    ways = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return fine.resample("1h").agg(ways)


def commission(leverage=10.0, fee=0.0, maintenance=0.0, contract=None):
    return FuturesCommission(
        contract=contract or LinearContract(1.0), maker=fee, taker=fee, futures_leverage=leverage,
        tiers=MaintenanceTiers.single(maintenance), liquidation_fee_rate=0.0,
    )  # fmt: skip


def play(
    bars: pd.DataFrame,
    steps: Mapping[int, Step],
    *,
    cash: float = 1_000.0,
    volumes: Sequence[float] | None = None,
    fine: pd.DataFrame | None = None,
    mark: pd.DataFrame | None = None,
    sessionend: datetime.time | None = None,
    **options: Any,
) -> Script:
    """Run a script; ``volumes`` are those of the bars that match orders, in contracts."""
    matching = bars if fine is None else fine
    if fine is not None or mark is not None:
        counted = None if volumes is None else np.array(volumes, dtype=float)
        options["matching_bars"] = MatchingBars(matching.tz_localize("UTC"), mark, counted)
        options["has_mark"] = mark is not None
        options["matching_ms"] = HOUR_MS if fine is None else QUARTER_MS
    elif volumes is not None:
        bars = bars.assign(volume=volumes)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars, sessionend=sessionend))
    options.setdefault("commission", commission())
    cerebro.broker = FuturesBroker(cash=cash, **options)
    cerebro.addstrategy(Script, steps=steps)
    return cerebro.run()[0]


def keep(orders: list[bt.Order], make: Step) -> Step:
    """Return a step that sends an order, or several, and keeps them."""

    def step(strategy):
        made = make(strategy)
        orders.extend(made if isinstance(made, list) else [made])

    return step


FLAT = make_bars(*[100.0] * 6)
