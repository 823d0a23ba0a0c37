"""Backtrader strategies of the web, unchanged, run from a configuration: as on stock BackBroker.

On a linear contract with leverage 1 the tables of a run hold the fills and the equity that stock
BackBroker gives the same class on the same bars; on an inverse contract the equity is the formula
over the run's own fills.
"""

from __future__ import annotations

from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import Result
from tests.broker import stock_strategies as stock
from tests.plain_runs import FractionsOfCoins, hourly, invariants, run_config, write_run

CODE = Path(stock.__file__)


def on_backbroker(strategy, bars):
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.broker.setcash(1_000_000.0)
    cerebro.broker.addcommissioninfo(FractionsOfCoins())
    cerebro.addstrategy(strategy)
    return cerebro.run()[0]


def orders_of(result: Result) -> list[tuple[float, ...]]:
    """Filled orders by bar and number: price, signed size, fee, PnL."""
    fills = result.fills
    sums = fills.groupby("order_id")[["fee", "realized_pnl"]].sum()
    orders = result.orders[result.orders["status"] == "filled"].set_index("order_id")
    sign = np.where(orders["action"] == "buy", 1.0, -1.0)
    table = pd.DataFrame({
        "bar": result.bars["time"].searchsorted(orders["ended"]) + 1,
        "price": orders["fill_price"],
        "size": sign * orders["contracts"],
        "fee": sums["fee"],
        "pnl": sums["realized_pnl"],
    }, index=orders.index)  # fmt: skip
    return by_bar(table.itertuples(index=False, name=None))


def stock_orders(strategy) -> list[tuple[float, ...]]:
    return by_bar((fill[0], fill[3], fill[4], fill[6], fill[7]) for fill in strategy.fills)


def by_bar(rows) -> list[tuple[float, ...]]:
    """Rows by bar, price and size: the last digit of a price orders nothing."""
    return sorted(rows, key=lambda row: (row[0], round(row[1], 6), row[2]))


@pytest.mark.parametrize("kind", stock.KINDS, ids=lambda kind: kind.__name__)
def test_linear_leverage_1_fills_and_equity_are_backbrokers(kind, tmp_path):
    bars = stock.random_bars(1_200, seed=11)
    theirs = on_backbroker(kind, bars)
    ours = run_config(write_run(tmp_path, bars, kind.__name__, CODE))
    assert len(theirs.fills) >= 10
    np.testing.assert_allclose(orders_of(ours), stock_orders(theirs), rtol=1e-9, atol=1e-9)
    equity = [money[0] for money in theirs.money]
    np.testing.assert_allclose(ours.bars["equity"], equity, rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_any_orders_at_random_are_backbrokers(seed, tmp_path):
    bars = stock.random_bars(900, seed)
    theirs = on_backbroker(stock.AnyOrder, bars)
    ours = run_config(write_run(tmp_path, bars, "AnyOrder", CODE))
    np.testing.assert_allclose(orders_of(ours), stock_orders(theirs), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        ours.bars["equity"], [money[0] for money in theirs.money], rtol=1e-9
    )
    ends = ours.orders["status"].value_counts()
    assert {"filled", "cancelled", "expired"} <= set(ends.index)
    assert set(ours.orders["type"]) == {
        "market", "close", "limit", "stop", "stop_limit", "trailing_stop", "trailing_stop_limit",
    }  # fmt: skip


@pytest.mark.parametrize("kind", [*stock.KINDS, stock.AnyOrder], ids=lambda kind: kind.__name__)
def test_inverse_equity_is_the_formula_over_the_fills(kind, tmp_path):
    # A size n entered at p brings n*cs/p, is worth -n*cs/close until it goes.
    bars = stock.random_bars(900, seed=7)
    path = write_run(tmp_path, bars, kind.__name__, CODE, inverse=True, balance=1_000.0)
    ours = run_config(path)
    assert len(ours.fills) >= 10
    fills = ours.fills
    buys = (fills["side"] == "long") == (fills["role"] == "entry")
    size = np.where(buys, 1.0, -1.0) * fills["contracts"]
    rows = ours.bars["time"].searchsorted(fills["time"])
    cash, held = np.zeros(len(bars)), np.zeros(len(bars))
    np.add.at(cash, rows, size * 10.0 / fills["price"] - fills["fee"])
    np.add.at(held, rows, size)
    equity = 1_000.0 + cash.cumsum() - held.cumsum() * 10.0 / ours.bars["close"]
    np.testing.assert_allclose(ours.bars["equity"], equity, rtol=0.0, atol=1e-9 * 1_000.0)


# ---------------------------------------------------------------------- what the tables say
@pytest.mark.parametrize("inverse", [False, True], ids=["linear", "inverse"])
@pytest.mark.parametrize("kind", [stock.AnyOrder, stock.MarketCross, stock.Brackets])
def test_tables_add_up_with_fees_funding_and_leverage(kind, inverse, tmp_path):
    bars = stock.random_bars(600, seed=3)
    balance = 1_000.0 if not inverse else 20.0
    path = write_run(tmp_path, bars, kind.__name__, CODE, inverse=inverse, balance=balance,
                     leverage=5.0)  # fmt: skip
    result = run_config(path, "backtest.funding.rate=0.0003", "backtest.fees.maker=0.0001")
    assert len(result.funding) > 0
    invariants(result)


def test_flip_is_an_exit_and_an_entry_and_ends_a_trade(tmp_path):
    # R51.
    # In 2 at 100, out by selling 5 at 110: +20; short 3 at 110, bought back at 104: +18.
    code = """
import backtrader as bt

class Turn(bt.Strategy):
    def next(self):
        if len(self) == 1: self.buy(size=2)
        if len(self) == 2: self.sell(size=5)
        if len(self) == 3: self.close()
"""
    prices = [(100.0,) * 4, (100.0,) * 4, (110.0,) * 4, (104.0,) * 4]
    result = run_config(write_run(tmp_path, hourly(*prices), "Turn", code, rate=0.001))
    rows = result.fills[["order_id", "role", "side", "price", "contracts", "fee", "group_pnl"]]
    assert [tuple(row) for row in rows.itertuples(index=False)] == [
        (1, "entry", "long", 100.0, 2.0, pytest.approx(0.2), 0.0),
        (2, "exit", "long", 110.0, 2.0, pytest.approx(0.22), pytest.approx(20.0)),
        (2, "entry", "short", 110.0, 3.0, pytest.approx(0.33), 0.0),
        (3, "exit", "short", 104.0, 3.0, pytest.approx(0.312), pytest.approx(18.0)),
    ]
    assert result.orders["role"].tolist() == ["entry", "flip", "exit"]
    assert result.orders["side"].tolist() == ["net"] * 3
    trades = result.trades
    assert trades["contracts"].tolist() == [2.0, 3.0]
    assert trades["gross_pnl"].tolist() == pytest.approx([20.0, 18.0])
    assert trades["fees"].tolist() == pytest.approx([0.42, 0.642])
    assert trades["exit_reason"].tolist() == ["market", "market"]


@pytest.mark.parametrize(
    ("inverse", "entry", "exit", "gross"),
    [
        # In 1 at 100 and 1 at 200, out 1 at 200 and 1 at 400.
        (False, 150.0, 300.0, 300.0),
        # 10 USD each: 10/100 + 10/200 - 10/200 - 10/400 coins, averages harmonic.
        (True, 2 / (1 / 100 + 1 / 200), 2 / (1 / 200 + 1 / 400), 0.1 - 0.025),
    ],
    ids=["linear", "inverse"],
)
def test_trade_is_a_position_from_flat_to_flat(inverse, entry, exit, gross, tmp_path):
    # R51.
    code = """
import backtrader as bt

class Pyramid(bt.Strategy):
    def next(self):
        if len(self) in (1, 2): self.buy()
        if len(self) in (3, 4): self.sell()
"""
    prices = [(each,) * 4 for each in (100.0, 100.0, 200.0, 200.0, 400.0)]
    path = write_run(tmp_path, hourly(*prices), "Pyramid", code, inverse=inverse, rate=0.0)
    result = run_config(path)
    (trade,) = result.trades.to_dict("records")
    assert (trade["side"], trade["contracts"]) == ("long", 2.0)
    assert trade["entry_price"] == pytest.approx(entry)
    assert trade["exit_price"] == pytest.approx(exit)
    assert trade["gross_pnl"] == pytest.approx(gross, abs=1e-12)
    assert trade["entry_time"] == result.bars["time"].iloc[1]
    assert trade["exit_time"] == result.bars["time"].iloc[4]


def test_bracket_tells_parent_types_and_reasons(tmp_path):
    code = """
import backtrader as bt

class Bracket(bt.Strategy):
    def next(self):
        if len(self) == 1:
            self.buy_bracket(size=1, exectype=bt.Order.Market, stopprice=90, limitprice=110)
"""
    prices = [(100.0,) * 4, (100.0, 101.0, 99.0, 100.0), (100.0, 111.0, 99.0, 110.0)]
    orders = run_config(write_run(tmp_path, hourly(*prices), "Bracket", code)).orders
    assert orders["type"].tolist() == ["market", "stop", "limit"]
    assert orders["status"].tolist() == ["filled", "cancelled", "filled"]
    assert orders["parent_id"].fillna(0).tolist() == [0, 1, 1]
    assert orders["price"].fillna(0).tolist() == [0.0, 90.0, 110.0]
    assert orders["role"].fillna("").tolist() == ["entry", "", "exit"]
    assert orders["reason"].tolist()[1] == "the other side of its bracket filled"


def test_order_without_margin_is_counted_as_refused(tmp_path):
    code = """
import backtrader as bt

class TooMuch(bt.Strategy):
    def next(self):
        if len(self) == 1: self.buy(size=100)
"""
    prices = [(100.0,) * 4] * 4
    result = run_config(write_run(tmp_path, hourly(*prices), "TooMuch", code, balance=500.0))
    assert result.orders["status"].tolist() == ["margin"]
    assert result.summary["entries_refused"] == {"margin": 1}
    assert result.summary["fills"] == 0


# ---------------------------------------------------------------------- the exchange's doing
LEVERED = """
import backtrader as bt

class Levered(bt.Strategy):
    def __init__(self):
        self.seen = []

    def next(self):
        if len(self) == 1:
            self.buy(size=10)
            self.sell(size=10, exectype=bt.Order.Limit, price=200)
"""


def test_liquidation_ends_the_trade_and_the_orders(tmp_path):
    # 10 coins at 100 on 100: at p the equity 100 + 10*(p - 100) meets 1 % of 10*p: p = 900/9.9.
    prices = [(100.0,) * 4, (100.0,) * 4, (100.0, 100.0, 80.0, 80.0), (80.0,) * 4]
    path = write_run(tmp_path, hourly(*prices), "Levered", LEVERED, balance=100.0, leverage=10.0,
                     rate=0.0, instrument={"maintenance_margin_rate": 0.01})  # fmt: skip
    result = run_config(path)
    price = 900.0 / 9.9
    assert result.summary["liquidations"] == 1
    last = result.fills.iloc[-1]
    assert (last["role"], last["side"], last["contracts"]) == ("liquidation", "long", 10.0)
    assert last["price"] == pytest.approx(price)
    assert pd.isna(last["order_id"])
    (trade,) = result.trades.to_dict("records")
    assert trade["exit_reason"] == "liquidation"
    assert trade["gross_pnl"] == pytest.approx(10.0 * (price - 100.0))
    assert result.orders["status"].tolist() == ["filled", "cancelled"]
    assert result.orders["reason"].tolist()[1] == "liquidation"
    assert result.bars["equity"].iloc[-1] == pytest.approx(100.0 + 10.0 * (price - 100.0))
    invariants(result)


def test_gap_through_the_account_is_forgiven(tmp_path):
    # Opens at 70: 100 + 10*(70 - 100) = -200 is the exchange's loss.
    prices = [(100.0,) * 4, (100.0,) * 4, (70.0,) * 4]
    path = write_run(tmp_path, hourly(*prices), "Levered", LEVERED, balance=100.0, leverage=10.0,
                     rate=0.0)  # fmt: skip
    result = run_config(path)
    assert result.summary["shortfall"] == pytest.approx(200.0)
    assert result.fills["shortfall"].iloc[-1] == pytest.approx(200.0)
    assert result.summary["final_equity"] == 0.0
    invariants(result)


def test_close_at_end_closes_and_pays_the_fee(tmp_path):
    # 10 at 100, closed at the last close 105 for 0.1 %: 2000 - 1 + 50 - 1.05.
    prices = [(100.0,) * 4, (100.0,) * 4, (105.0,) * 4]
    path = write_run(tmp_path, hourly(*prices), "Levered", LEVERED, balance=2_000.0, rate=0.001)
    result = run_config(path, "backtest.close_at_end=true")
    assert result.trades["exit_reason"].tolist() == ["close_at_end"]
    assert result.bars["balance"].iloc[-1] == pytest.approx(2_000.0 - 1.0 + 50.0 - 1.05)
    assert result.summary["open_contracts"] == {"long": 0.0, "short": 0.0}
    invariants(result)
