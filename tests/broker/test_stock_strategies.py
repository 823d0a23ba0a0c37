"""Stock backtrader strategies on FuturesBroker: as on stock BackBroker, to the last figure.

On a linear contract with leverage 1 every strategy of `stock_strategies.py` gives the same fills
(bar, price, size, fee, PnL, position), the same states of its orders and the same equity at every
bar as stock BackBroker on the same bars; on an inverse contract the equity is the formula over its
own fills.
"""

from __future__ import annotations

import os
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import FuturesBroker, FuturesCommission, InverseContract, LinearContract
from cryptosim_bt.backtest.lean_loop import ArrayData, LeanCerebro
from cryptosim_bt.data.feed import DataRequest
from cryptosim_bt.feeds.sample import SampleFeed
from tests.broker import stock_strategies as stock

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CRYPTOSIM_DATA", REPOSITORY.parent / "shared" / "data"))
REAL = DATA / "binance_BTCUSDT_perp_1h.csv.gz"

STOCK_LIKE = {"commission": 0.0005}
FUTURES_LIKE = {"commission": 1.5, "margin": 20.0, "mult": 2.0}
RATE = 0.0005

# Columns of a recorded fill that any scheme of the same rates shares: all but its value.
COMMON = [0, 1, 2, 3, 4, 6, 7, 8, 9]


def assert_same(expected, found, what):
    assert len(expected) == len(found), what
    np.testing.assert_allclose(
        np.array(found, dtype=float), np.array(expected, dtype=float), rtol=1e-9, atol=1e-9,
        err_msg=what,
    )  # fmt: skip


def by_order(states):
    """States in order of bar and order: what one bar does to several has no order of its own."""
    return sorted(states, key=lambda state: state[:2])


def assert_like_backbroker(strategy, bars, scheme, **params):
    theirs = stock.run(strategy, bars, scheme=scheme, **params)
    ours = stock.run(strategy, bars, FuturesBroker(), scheme, **params)
    assert len(theirs.fills) >= 20
    for what in ("fills", "trades", "money"):
        assert_same(getattr(theirs, what), getattr(ours, what), what)
    assert by_order(theirs.states) == by_order(ours.states)
    return theirs, ours


@pytest.fixture(scope="module")
def real_bars():
    if REAL.exists():
        bars = pd.read_csv(REAL, index_col=0)
        bars.index = pd.to_datetime(bars.index, unit="ms", utc=True)
        bars = bars.iloc[20_000:21_500]
    else:  # a made-up market at such prices
        start, end = (pd.Timestamp(day, tz="UTC") for day in ("2024-11-01", "2025-03-01"))
        bars = SampleFeed().load(DataRequest("BTC/USDT:USDT", "1h", start, end, 0, None))
    bars.index = bars.index.tz_localize(None)
    return bars


@pytest.mark.parametrize("scheme", [STOCK_LIKE, FUTURES_LIKE], ids=["stock", "futures"])
@pytest.mark.parametrize("strategy", stock.KINDS, ids=lambda kind: kind.__name__)
def test_stock_strategy_random_bars_is_as_on_backbroker(strategy, scheme):
    assert_like_backbroker(strategy, stock.random_bars(1_500, seed=3), scheme)


@pytest.mark.parametrize("strategy", stock.KINDS, ids=lambda kind: kind.__name__)
def test_stock_strategy_real_bars_is_as_on_backbroker(strategy, real_bars):
    # Enough money for eight coins many times over: margin is another test.
    params = {"value": 1e6} if strategy is stock.TargetValue else {}
    theirs = stock.run(strategy, real_bars, scheme=STOCK_LIKE, cash=1e8, **params)
    ours = stock.run(strategy, real_bars, FuturesBroker(), STOCK_LIKE, cash=1e8, **params)
    assert len(theirs.fills) >= 20
    for what in ("fills", "trades", "money"):
        assert_same(getattr(theirs, what), getattr(ours, what), what)


@pytest.mark.parametrize("scheme", [STOCK_LIKE, FUTURES_LIKE], ids=["stock", "futures"])
@pytest.mark.parametrize("seed", range(4))
def test_any_orders_at_random_are_as_on_backbroker(seed, scheme):
    bars = stock.random_bars(1_200, seed)
    assert_like_backbroker(stock.AnyOrder, bars, scheme, seed=seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_stock_like_scheme_little_cash_refuses_the_same_orders(seed):
    bars = stock.random_bars(1_200, seed)
    theirs = stock.run(stock.MarketCross, bars, scheme=STOCK_LIKE, cash=810.0)
    ours = stock.run(stock.MarketCross, bars, FuturesBroker(), STOCK_LIKE, cash=810.0)
    assert "Margin" in {state[2] for state in theirs.states}
    assert by_order(theirs.states) == by_order(ours.states)
    assert_same(theirs.money, ours.money, "money")


def linear(rate=RATE):
    return FuturesCommission(contract=LinearContract(1.0), maker=rate, taker=rate)


NO_TARGET_VALUE = [
    each for each in (*stock.KINDS, stock.AnyOrder)
    # Their sizes come from the scheme's getsize, which is whole shares in backtrader's.
    if each not in (stock.TargetPercent, stock.TargetValue)
]  # fmt: skip


@pytest.mark.parametrize("strategy", NO_TARGET_VALUE, ids=lambda kind: kind.__name__)
def test_linear_contract_leverage_1_is_as_on_backbroker(strategy):
    bars = stock.random_bars(1_500, seed=5)
    theirs = stock.run(strategy, bars, scheme=STOCK_LIKE)
    ours = stock.run(strategy, bars, FuturesBroker(commission=linear()))
    assert_same(np.array(theirs.fills)[:, COMMON], np.array(ours.fills)[:, COMMON], "fills")
    equity = [money[0] for money in theirs.money]
    assert_same(equity, [money[0] for money in ours.money], "equity")
    assert_same(theirs.trades, ours.trades, "trades")


@pytest.mark.parametrize("strategy", [stock.MarketCross, stock.Brackets, stock.AnyOrder])
def test_analyzers_tell_what_they_tell_on_backbroker(strategy):
    bars = stock.random_bars(1_200, seed=9)
    theirs, ours = assert_like_backbroker(strategy, bars, STOCK_LIKE)
    mine, his = ours.analyzers, theirs.analyzers
    for path in (("total", "closed"), ("won", "total"), ("pnl", "net", "total"), ("len", "max")):
        values = [each.TradeAnalyzer.get_analysis() for each in (his, mine)]
        for key in path:
            values = [value[key] for value in values]
        assert values[1] == pytest.approx(values[0], rel=1e-9)
    for name, key in (("Returns", "rtot"), ("SQN", "sqn")):
        expected = getattr(his, name).get_analysis()[key]
        assert getattr(mine, name).get_analysis()[key] == pytest.approx(expected, rel=1e-7)
    expected = his.DrawDown.get_analysis().max.moneydown
    assert mine.DrawDown.get_analysis().max.moneydown == pytest.approx(expected, rel=1e-9)


def test_observers_and_both_run_loops_see_the_same():
    bars = stock.random_bars(900, seed=2)
    runs = []
    for make, observe in ((bt.Cerebro, True), (LeanCerebro, True), (LeanCerebro, False)):
        cerebro = make(stdstats=False)
        table = bars.tz_localize("UTC")
        cerebro.adddata(ArrayData(dataname=table, bar="1h"))
        cerebro.broker = FuturesBroker(cash=1e6, commission=linear())
        if observe:
            for observer in (bt.observers.Broker, bt.observers.Trades, bt.observers.BuySell):
                cerebro.addobserver(observer)
        cerebro.addsizer(bt.sizers.FixedSize, stake=5)
        cerebro.addstrategy(stock.AnyOrder, seed=4)
        runs.append(cerebro.run()[0])
    for other in runs[1:]:
        assert other.fills == runs[0].fills
        assert other.states == runs[0].states
        assert other.money[-len(runs[0].money) :] == runs[0].money
    values = runs[0].stats.broker.value.array
    assert [value for value in values if value == value][-1] == runs[0].broker.getvalue()


# ---------------------------------------------------------------------- inverse
def inverse_equity(fills, closes, start, contract_size):
    """The formula: a size n at price p brings +n*cs/p and is worth -n*cs/close until it goes."""
    equity, cash, size = [], start, 0.0
    by_bar: dict[int, list] = {}
    for fill in fills:
        by_bar.setdefault(fill[0], []).append(fill)
    done: dict[int, tuple[float, float, float]] = {}
    for bar, close in enumerate(closes, start=1):
        for fill in by_bar.get(bar, ()):
            price, whole, fee = fill[3], fill[4], fill[6]
            # An order's figures are sums over its fills so far.
            amount, paid = done.get(fill[1], (0.0, 0.0, 0.0))[:2]
            cash += (whole - amount) * contract_size / price - (fee - paid)
            size += whole - amount
            done[fill[1]] = (whole, fee, price)
        equity.append(cash - size * contract_size / close)
    return equity


@pytest.mark.parametrize(
    "strategy",
    [each for each in NO_TARGET_VALUE if each is not stock.TrailingStopLimit]
    + [stock.TargetPercent],
    ids=lambda kind: kind.__name__,
)
def test_inverse_contract_equity_is_the_formula_over_its_fills(strategy):
    bars = stock.random_bars(1_500, seed=7)
    scheme = FuturesCommission(contract=InverseContract(10.0), maker=0.0002, taker=0.0005)
    ours = stock.run(strategy, bars, FuturesBroker(commission=scheme), cash=1_000.0)
    expected = inverse_equity(ours.fills, bars["close"], 1_000.0, 10.0)
    assert len(ours.fills) >= 20
    np.testing.assert_allclose(
        [money[0] for money in ours.money], expected, rtol=0.0, atol=1e-9 * 1_000.0
    )


def test_inverse_contract_trades_average_as_the_contract_does():
    # In at 100 and 200, out at 400: 10*10*(1/100 + 1/200 - 2/400) coins, one trade.
    class Pyramid(stock.Recorded):
        def act(self):
            if len(self) in (21, 22):
                self.buy(size=10)
            elif len(self) == 23:
                self.close()

    prices = [100.0] * 22 + [200.0, 400.0, 400.0]
    index = pd.date_range("2024-01-01", periods=len(prices), freq="1h")
    bars = pd.DataFrame(
        {name: prices for name in ("open", "high", "low", "close")} | {"volume": 1.0}, index=index
    )
    scheme = FuturesCommission(contract=InverseContract(10.0))
    ours = stock.run(Pyramid, bars, FuturesBroker(commission=scheme), cash=50.0)
    assert [trade[2] for trade in ours.trades] == [pytest.approx(1.0 + 0.5 - 0.5)]
    assert ours.broker.getvalue() == pytest.approx(50.0 + 1.0)
