"""The reference job in stock backtrader: BackBroker, PandasData, one netted position.

The broker nets long and short, so the strategy keeps positions and sets itself; the contract is
linear. The work is the same: SMA 24/720 with dip entries as limits that live one bar, ten entries
a set, one take-profit per Position or set, replaced as it grows.
"""

from __future__ import annotations

from datetime import timedelta

import backtrader as bt
import pandas as pd

SIZE, SET_SIZE, MAX_SETS, TAKE_PROFIT = 0.01, 10, {1: 3, -1: 2}, 0.02


class Holding:
    """Entries of one side that one take-profit closes."""

    def __init__(self, side: int) -> None:
        self.side, self.entries, self.cost = side, 0, 0.0
        self.take_profit: bt.Order | None = None


class StockCryptoSim(bt.Strategy):
    """The reference job as a stock strategy."""

    def __init__(self) -> None:
        self.short = bt.indicators.SMA(self.data.close, period=24)
        self.long = bt.indicators.SMA(self.data.close, period=720)
        self.held: dict[int, Holding | None] = {1: None, -1: None}
        self.sets = {1: 0, -1: 0}
        self.exits: dict[int, Holding] = {}
        self.equity: list[float] = []
        self.fills = 0

    def notify_order(self, order: bt.Order) -> None:
        """Keep positions and sets."""
        if order.status != order.Completed:
            return
        self.fills += 1
        closed = self.exits.pop(order.ref, None)
        if closed is None:
            self._entered(1 if order.isbuy() else -1, order.executed.price)
        elif closed.entries >= SET_SIZE:
            self.sets[closed.side] -= 1
        else:
            self.held[closed.side] = None

    def _entered(self, side: int, price: float) -> None:
        held = self.held[side] = self.held[side] or Holding(side)
        held.entries += 1
        held.cost += price
        if held.take_profit is not None:
            del self.exits[held.take_profit.ref]
            self.cancel(held.take_profit)
        average = held.cost / held.entries
        send = self.sell if side > 0 else self.buy
        held.take_profit = send(
            exectype=bt.Order.Limit,
            price=average * (1.0 + side * TAKE_PROFIT),
            size=SIZE * held.entries,
        )
        self.exits[held.take_profit.ref] = held
        if held.entries >= SET_SIZE and self.sets[side] < MAX_SETS[side]:
            self.held[side] = None
            self.sets[side] += 1

    def next(self) -> None:
        """Signal, order, record."""
        self.equity.append(self.broker.getvalue())
        short, long, before = self.short[0], self.long[0], self.long[-1]
        close, last = self.data.close[0], self.data.close[-1]
        valid = timedelta(minutes=90)
        if short > long and long > before and close < last:
            if self.sets[1] < MAX_SETS[1]:
                self.buy(exectype=bt.Order.Limit, price=close, size=SIZE, valid=valid)
        elif short < long and long <= before and close > last and self.sets[-1] < MAX_SETS[-1]:
            self.sell(exectype=bt.Order.Limit, price=close, size=SIZE, valid=valid)


def run(bars: pd.DataFrame) -> tuple[int, float]:
    """Run the job; return fills and final equity."""
    cerebro = bt.Cerebro(stdstats=False)
    naive = bars.set_axis(bars.index.tz_localize(None))
    cerebro.adddata(bt.feeds.PandasData(dataname=naive, openinterest=None))
    cerebro.broker.setcash(1_000_000.0)
    cerebro.broker.setcommission(commission=0.0001)
    cerebro.addstrategy(StockCryptoSim)
    strategy = cerebro.run()[0]
    return strategy.fills, strategy.equity[-1]
