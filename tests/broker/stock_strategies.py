"""Strategies of the kinds that backtrader's users write, and a run that records what they saw."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

SIZE = 8


class Recorded(bt.Strategy):
    """Keeps fills, order states, trades and the money of every bar."""

    params = (("seed", 0),)

    def __init__(self):
        self.cross = bt.ind.CrossOver(bt.ind.SMA(period=6), bt.ind.SMA(period=20))
        self.fills, self.states, self.trades, self.money = [], [], [], []
        self.first_ref = None

    def notify_order(self, order):
        if self.first_ref is None:
            self.first_ref = order.ref
        name = order.getstatusname()
        self.states.append((len(self), order.ref - self.first_ref, name))
        if name in ("Completed", "Partial"):
            done = order.executed
            self.fills.append(
                (len(self), order.ref - self.first_ref, done.dt, done.price, done.size, done.value,
                 done.comm, done.pnl, done.psize, done.pprice)
            )  # fmt: skip

    def notify_trade(self, trade):
        if trade.isclosed:
            self.trades.append((len(self), trade.tradeid, trade.pnl, trade.pnlcomm, trade.barlen))

    def next(self):
        position = self.position
        self.money.append(
            (self.broker.getvalue(), self.broker.getcash(), position.size, position.price)
        )
        self.act()

    def prenext(self):
        self.money.append((self.broker.getvalue(), self.broker.getcash(), 0.0, 0.0))

    def act(self):
        raise NotImplementedError


class MarketCross(Recorded):
    """Always in the market: turns around with market orders."""

    def act(self):
        if self.cross > 0:
            self.buy(size=SIZE if not self.position else 2 * SIZE)
        elif self.cross < 0:
            self.sell(size=SIZE if not self.position else 2 * SIZE)


class CloseAndEnter(Recorded):
    """Closes what it has, enters the other way, long and short, by the same signal."""

    def act(self):
        if self.cross > 0:
            self.close()
            self.buy(size=SIZE)
        elif self.cross < 0:
            self.close()
            self.sell(size=SIZE)


class Brackets(Recorded):
    """A limit entry below the close with a stop and a target, and its mirror image."""

    def act(self):
        if self.position or any(order.alive() for order in getattr(self, "bracket", ())):
            return
        price = self.data.close[0]
        endless = {"valid": None}
        options = {
            "size": SIZE, "valid": timedelta(hours=6), "stopargs": endless, "limitargs": endless,
        }  # fmt: skip
        if self.cross > 0:
            self.bracket = self.buy_bracket(
                price=price * 0.998, stopprice=price * 0.98, limitprice=price * 1.02, **options
            )
        elif self.cross < 0:
            self.bracket = self.sell_bracket(
                price=price * 1.002, stopprice=price * 1.02, limitprice=price * 0.98, **options
            )


class MarketBrackets(Recorded):
    """A market entry whose low side is a trailing stop."""

    def act(self):
        if not self.position and self.cross > 0:
            price = self.data.close[0]
            self.buy_bracket(
                size=SIZE, exectype=bt.Order.Market, limitprice=price * 1.03,
                stopexec=bt.Order.StopTrail, stopargs={"trailpercent": 0.015},
                stopprice=price,
            )  # fmt: skip


class TrailingStop(Recorded):
    """Market entries both ways, out by a trailing stop: by amount, by percent."""

    def act(self):
        if self.position or (getattr(self, "exit", None) and self.exit.alive()):
            return
        price = self.data.close[0]
        if self.cross > 0:
            self.buy(size=SIZE)
            self.exit = self.sell(
                size=SIZE, exectype=bt.Order.StopTrail, trailamount=price * 0.01
            )
        elif self.cross < 0:
            self.sell(size=SIZE)
            self.exit = self.buy(size=SIZE, exectype=bt.Order.StopTrail, trailpercent=0.01)


class TrailingStopLimit(Recorded):
    """Out by a trailing stop limit; closed at market if the limit was left behind."""

    def act(self):
        pending = getattr(self, "exit", None)
        if self.position and pending is not None and len(self) - self.entered > 40:
            self.cancel(pending)
            self.close()
            self.exit = None
        elif not self.position and self.cross > 0:
            price = self.data.close[0]
            self.buy(size=SIZE)
            self.exit = self.sell(
                size=SIZE, exectype=bt.Order.StopTrailLimit, price=price, plimit=price * 1.001,
                trailpercent=0.01,
            )  # fmt: skip
            self.entered = len(self)


class StopLimitEntry(Recorded):
    """Breakouts by stop limits, wide and tight; out by stop or after some bars."""

    def act(self):
        price = self.data.close[0]
        if self.position:
            if len(self) - self.bar > 30:
                self.cancel(self.protection)
                self.close()
            return
        if len(self) % 7:
            return
        tight = len(self) % 2 == 0
        if self.cross >= 0:
            self.bar = len(self)
            self.buy(
                size=SIZE, exectype=bt.Order.StopLimit, price=price * 1.003,
                plimit=price * (1.001 if tight else 1.006), valid=timedelta(hours=5),
            )  # fmt: skip
            self.protection = self.sell(
                size=SIZE, exectype=bt.Order.Stop, price=price * 0.985, valid=timedelta(hours=30)
            )
        else:
            self.bar = len(self)
            self.sell(
                size=SIZE, exectype=bt.Order.StopLimit, price=price * 0.997,
                plimit=price * (0.999 if tight else 0.994), valid=timedelta(hours=5),
            )  # fmt: skip
            self.protection = self.buy(
                size=SIZE, exectype=bt.Order.Stop, price=price * 1.015, valid=timedelta(hours=30)
            )


class OneCancelsOther(Recorded):
    """Three limits at three prices, of which one may fill; held for some bars."""

    def act(self):
        if self.position:
            if len(self) - self.bar >= 12:
                self.close()
            return
        if any(order.alive() for order in getattr(self, "orders", ())):
            return
        price = self.data.close[0]
        first = self.buy(
            size=SIZE, exectype=bt.Order.Limit, price=price * 0.997, valid=timedelta(hours=8)
        )
        second = self.buy(size=SIZE, exectype=bt.Order.Limit, price=price * 0.99, oco=first)
        third = self.sell(size=SIZE, exectype=bt.Order.Limit, price=price * 1.006, oco=first)
        self.orders = [first, second, third]

    def notify_order(self, order):
        super().notify_order(order)
        if order.status == order.Completed:
            self.bar = len(self)


class TargetSize(Recorded):
    """A position that follows the clock: long, flat, short."""

    def act(self):
        if len(self) % 11 == 0:
            self.order_target_size(target=(len(self) // 11) % 5 * SIZE - 2 * SIZE)


class TargetPercent(Recorded):
    """Rebalances to a share of equity, long only."""

    def act(self):
        if len(self) % 13 == 0:
            self.order_target_percent(target=((len(self) // 13) % 4) * 0.25)


class TargetValue(Recorded):
    """Holds a fixed value, and at times nothing."""

    params = (("value", 400.0),)

    def act(self):
        if len(self) % 17 == 0:
            self.order_target_value(target=0.0 if len(self) % 3 else self.p.value)


class SessionClose(Recorded):
    """In at the market, out at the end of the session; and entries by close orders."""

    def act(self):
        if len(self) % 31 == 0:
            self.buy(size=SIZE)
            self.sell(size=SIZE, exectype=bt.Order.Close)
        elif len(self) % 53 == 0:
            self.sell(size=SIZE, exectype=bt.Order.Close)
        elif self.position and len(self) % 17 == 0:
            self.close(exectype=bt.Order.Close)


class DayLimits(Recorded):
    """Limits for the day and until a date, some of them better than the next open."""

    def act(self):
        price, late = self.data.close[0], self.data.num2date(self.data.datetime[0])
        if self.position:
            if len(self) % 9 == 0:
                self.close(exectype=bt.Order.Limit, price=price, valid=bt.Order.DAY)
        elif len(self) % 5 == 0:
            self.buy(
                size=SIZE, exectype=bt.Order.Limit, price=price * 1.002, valid=bt.Order.DAY
            )
        elif len(self) % 5 == 2:
            self.sell(
                size=SIZE, exectype=bt.Order.Limit, price=price * 1.004,
                valid=late + timedelta(hours=3),
            )  # fmt: skip


class Sized(Recorded):
    """Leaves the size to a sizer, and keeps two trades apart by their tradeid."""

    def act(self):
        if self.cross > 0:
            self.buy(tradeid=1)
        elif self.cross < 0:
            self.sell(tradeid=1)
        if len(self) % 40 == 0:
            self.buy(size=3, tradeid=2)
        elif len(self) % 40 == 20:
            self.sell(size=3, tradeid=2)


class AnyOrder(Recorded):
    """Sends orders of every kind at random, and cancels some."""

    def start(self):
        self.random = np.random.default_rng(self.p.seed)
        self.sent = []

    def act(self):
        draw = self.random
        self.sent = [order for order in self.sent if order.alive()]
        old = [order for order in self.sent if order.status == order.Accepted]
        if old and draw.random() < 0.15:
            self.cancel(old[draw.integers(len(old))])
        if draw.random() < 0.5 or len(self.sent) > 12:
            return
        if draw.random() < 0.25:
            self.sent += self._bracket(draw)
            return
        group = [order for order in self.sent if order.parent is None and order.transmit]
        oco = group[-1] if group and draw.random() < 0.3 else None
        self.sent.append(self._single(draw, oco))

    def _single(self, draw, oco):
        price = self.data.close[0]
        send = self.buy if draw.random() < 0.5 else self.sell
        kind = int(draw.integers(7))
        near = price * (1.0 + draw.normal(0.0, 0.006))
        options: dict[str, Any] = {"size": int(draw.integers(1, 9)), "exectype": kind, "oco": oco}
        options["valid"] = [None, bt.Order.DAY, timedelta(hours=int(draw.integers(1, 20)))][
            int(draw.integers(3))
        ]
        if kind not in (bt.Order.Market, bt.Order.Close):
            options["price"] = near
        if kind in (bt.Order.StopLimit, bt.Order.StopTrailLimit):
            options["plimit"] = near * (1.0 + draw.normal(0.0, 0.004))
        if kind in (bt.Order.StopTrail, bt.Order.StopTrailLimit):
            name = "trailamount" if draw.random() < 0.5 else "trailpercent"
            options[name] = 0.008 * (price if name == "trailamount" else 1.0)
        return send(**options)

    def _bracket(self, draw):
        price = self.data.close[0]
        kind = bt.Order.Market if draw.random() < 0.5 else bt.Order.Limit
        long = draw.random() < 0.5
        stop, limit = (0.99, 1.01) if long else (1.01, 0.99)
        return (self.buy_bracket if long else self.sell_bracket)(
            size=int(draw.integers(1, 9)), exectype=kind, price=price,
            stopprice=price * stop, limitprice=price * limit,
        )  # fmt: skip


KINDS = (
    MarketCross, CloseAndEnter, Brackets, MarketBrackets, TrailingStop, TrailingStopLimit,
    StopLimitEntry, OneCancelsOther, TargetSize, TargetPercent, TargetValue, SessionClose,
    DayLimits, Sized,
)  # fmt: skip


def random_bars(count: int, seed: int) -> pd.DataFrame:
    """Hourly bars of a random walk with gaps, prices near 100."""
    draw = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.004, count)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(draw.normal(0.0, 0.002, count))
    high = np.maximum(open_, close) * np.exp(np.abs(draw.normal(0.0, 0.003, count)))
    low = np.minimum(open_, close) * np.exp(-np.abs(draw.normal(0.0, 0.003, count)))
    index = pd.date_range("2024-01-01 05:00", periods=count, freq="1h")
    columns = {"open": open_, "high": high, "low": low, "close": close, "volume": 1.0}
    return pd.DataFrame(columns, index=index)


def run(strategy, bars, broker=None, scheme=None, cash=1_000_000.0, **params):
    """Run a strategy as a script of the web would; return it."""
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    if broker is not None:
        cerebro.broker = broker
    cerebro.broker.setcash(cash)
    if scheme is not None:
        cerebro.broker.setcommission(**scheme)
    cerebro.addsizer(bt.sizers.FixedSize, stake=SIZE)
    for analyzer in ("TradeAnalyzer", "DrawDown", "Returns", "TimeReturn", "SQN"):
        cerebro.addanalyzer(getattr(bt.analyzers, analyzer), _name=analyzer)
    cerebro.addstrategy(strategy, **params)
    return cerebro.run()[0]
