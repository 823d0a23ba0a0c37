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

from cryptosim_bt import Result, load_settings, run_backtest
from cryptosim_bt.cli import plugins_for
from cryptosim_bt.plugins import Kind
from tests.plain_runs import hourly, run_config, write_run
from tests.scenarios import stock_strategies as stock

CODE = Path(stock.__file__)
RATE = 0.0005


class FractionsOfCoins(bt.CommInfoBase):
    """backtrader's stock scheme, but for its whole shares: coins have fractions."""

    params = (
        ("stocklike", True), ("commission", RATE), ("percabs", True),
        ("commtype", bt.CommInfoBase.COMM_PERC),
    )  # fmt: skip

    def getsize(self, price, cash):
        return cash / price


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
def invariants(result: Result) -> None:
    bars, fills, trades = result.bars, result.fills, result.trades
    np.testing.assert_allclose(bars["equity"], bars["balance"] + bars["unrealized_pnl"])
    # Contracts of a leg are its fills: entries less exits.
    rows = bars["time"].searchsorted(fills["time"])
    for side in ("long", "short"):
        signed = np.where(fills["role"] == "entry", 1.0, -1.0) * fills["contracts"]
        held = np.zeros(len(bars))
        np.add.at(held, rows, signed * (fills["side"] == side))
        np.testing.assert_allclose(bars[f"{side}_contracts"], held.cumsum(), atol=1e-9)
    # The balance is the start, what exits earned, fees and funding.
    money = fills["realized_pnl"].sum() - fills["fee"].sum() + fills["shortfall"].sum()
    money += result.funding["payment"].sum() + result.summary["initial_balance"]
    assert bars["balance"].iloc[-1] == pytest.approx(money, abs=1e-9 * abs(money))
    net = trades["gross_pnl"] - trades["fees"] - trades["funding_paid"]
    np.testing.assert_allclose(trades["net_pnl"], net)
    assert len(result.sets) == 0
    assert result.summary["open_sets"] == 0


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


# ---------------------------------------------------------------------- hedge mode
HEDGED = """
import backtrader as bt

class Hedged(bt.Strategy):
    def next(self):
        if len(self) == 1:
            self.buy(size=2, side="long")
            self.sell(size=1, side="short", tradeid=5)
        if len(self) == 2:
            self.sell(size=2, side="long")
        if len(self) == 3:
            self.buy(size=1, side="short", tradeid=5)
"""


def test_hedge_mode_keeps_the_legs_apart(tmp_path):
    # Long 2 at 100, out at 110: +20. Short 1 at 100, back at 120: -20.
    prices = [(each,) * 4 for each in (100.0, 100.0, 110.0, 120.0)]
    result = run_config(write_run(tmp_path, hourly(*prices), "Hedged", HEDGED, mode="hedge"))
    assert result.bars["long_contracts"].tolist() == [0.0, 2.0, 0.0, 0.0]
    assert result.bars["short_contracts"].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert result.trades["side"].tolist() == ["long", "short"]
    assert result.trades["gross_pnl"].tolist() == pytest.approx([20.0, -20.0])
    assert result.orders["role"].tolist() == ["entry", "entry", "exit", "exit"]
    assert result.orders["side"].tolist() == ["long", "short", "long", "short"]
    invariants(result)


# ---------------------------------------------------------------------- the window
EARLY = """
import backtrader as bt

class {name}(bt.Strategy):
    params = dict(period=3)

    def __init__(self):
        self.mean = bt.ind.SMA(period=self.p.period)

    def next(self):
        if not self.position:
            self.buy()
"""


def test_minimum_period_is_taken_from_the_window(tmp_path):
    # As in backtrader: bars 1 and 2 have no mean of three; the order of bar 3 fills in bar 4.
    bars = hourly(*[(100.0 + hour,) * 4 for hour in range(6)])
    result = run_config(write_run(tmp_path, bars, "Early", EARLY.format(name="Early")))
    assert len(result.bars) == 6
    assert result.fills["time"].tolist() == [result.bars["time"].iloc[3]]
    assert result.bars["sma_3"].isna().tolist() == [True, True, False, False, False, False]


def test_warmup_gives_indicators_bars_before_the_start(tmp_path):
    # Two bars before the start: the mean is there at the first bar, whose order fills in the next.
    bars = hourly(*[(100.0 + hour,) * 4 for hour in range(6)])
    path = write_run(tmp_path, bars, "Early", EARLY.format(name="Early"))
    result = run_config(
        path, "strategy.warmup=2", "backtest.trading_period.start_date=2024-01-01 02:00"
    )
    assert len(result.bars) == 4
    assert result.summary["bars_loaded"] == 6
    assert result.fills["time"].tolist() == [result.bars["time"].iloc[1]]
    assert result.bars["sma_3"].tolist() == [101.0, 102.0, 103.0, 104.0]


def test_longer_warmup_than_needed_changes_nothing_but_the_bars_loaded(tmp_path):
    bars = hourly(*[(100.0 + hour,) * 4 for hour in range(9)])
    path = write_run(tmp_path, bars, "Early", EARLY.format(name="Early"))
    start = "backtest.trading_period.start_date=2024-01-01 04:00"
    few, many = (run_config(path, start, f"strategy.warmup={count}") for count in (2, 4))
    pd.testing.assert_frame_equal(few.bars, many.bars)
    pd.testing.assert_frame_equal(few.fills, many.fills)


def test_run_that_the_strategy_stops_ends_there(tmp_path):
    code = EARLY.format(name="Early") + "        if len(self) == 4: self.env.runstop()\n"
    bars = hourly(*[(100.0 + hour,) * 4 for hour in range(8)])
    result = run_config(write_run(tmp_path, bars, "Early", code))
    assert len(result.bars) == 4
    invariants(result)


def test_money_paid_in_is_in_the_balance_and_no_defect(tmp_path):
    code = EARLY.format(name="Saver") + "        self.broker.add_cash(50.0)\n"
    bars = hourly(*[(100.0,) * 4] * 5)
    result = run_config(write_run(tmp_path, bars, "Saver", code, balance=1_000.0, rate=0.0))
    assert result.bars["balance"].tolist() == [1_000.0, 1_000.0, 1_050.0, 1_100.0, 1_150.0]


WATCHER = """
import backtrader as bt

class Watcher(bt.Strategy):
    def __init__(self):
        self.average = bt.indicators.SMA(self.data.close, period=3)
        self.seen = []

    def next(self):
        stats = self.stats
        self.seen.append((
            stats.broker.value[0], stats.broker.cash[0], stats.trades.pnlplus[-1],
            self.observers.buysell[0].buy[0], stats.buysell[0].sell[0], len(stats.broker),
            self.broker.getvalue(),
        ))
        if len(self) in (4, 9):
            self.buy(size=2)
        if len(self) in (7, 11):
            self.close()

    def stop(self):
        type(self).last_seen = self.seen
"""


def test_observers_tell_next_what_stock_cerebro_tells(tmp_path):
    bars = hourly(*[(each, each + 2.0, each - 1.0, each + 1.0) for each in range(100, 115)])
    path = write_run(tmp_path, bars, "Watcher", WATCHER, rate=0.0)
    settings = load_settings(path)
    registry = plugins_for(settings)
    run_backtest(settings, registry)
    kind = registry.get(Kind.STRATEGY, "Watcher", "").cls
    ours = kind.last_seen
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.broker.setcash(1_000_000.0)
    cerebro.addstrategy(kind)
    cerebro.run()
    assert len(ours) == 13
    # In cash backtrader's broker pays for a whole coin, which is what leverage 1 ties up here.
    np.testing.assert_allclose(ours, kind.last_seen, rtol=1e-12)


def test_backtraders_own_signal_strategy_runs(tmp_path):
    # The strategy of backtrader's front page; its SignalStrategy is not ours.
    code = """
import backtrader as bt

class SmaCross(bt.SignalStrategy):
    def __init__(self):
        sma1, sma2 = bt.ind.SMA(period=10), bt.ind.SMA(period=30)
        crossover = bt.ind.CrossOver(sma1, sma2)
        self.signal_add(bt.SIGNAL_LONG, crossover)
"""
    bars = stock.random_bars(600, seed=1)
    code = code.replace("SmaCross", "FrontPage")
    path = write_run(tmp_path, bars, "FrontPage", code)
    result = run_config(path)
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.broker.setcash(1_000_000.0)
    cerebro.broker.addcommissioninfo(FractionsOfCoins())
    namespace: dict = {"__name__": __name__}
    exec(code, namespace)
    cerebro.addstrategy(namespace["FrontPage"])
    strategy = cerebro.run()[0]
    assert len(result.trades) >= 5
    assert result.summary["final_equity"] == pytest.approx(strategy.broker.getvalue(), rel=1e-12)


def test_indicator_named_like_a_column_keeps_a_name_of_its_own(tmp_path):
    code = """
import backtrader as bt

class Equity(bt.Indicator):
    lines = ("value",)
    def __init__(self):
        self.lines.value = self.data.close * 2.0

class Odd(bt.Strategy):
    def __init__(self):
        self.equity_indicator = Equity(self.data)
"""
    bars = hourly(*[(100.0,) * 4] * 3)
    result = run_config(write_run(tmp_path, bars, "Odd", code, balance=10.0))
    assert result.bars["equity"].tolist() == [10.0] * 3
    assert result.bars["equity_#2"].tolist() == [200.0] * 3


def test_finer_bars_give_fills_their_own_times(tmp_path):
    # Bars of four hours; the limit at 98 is met in the third hour of the second of them.
    code = """
import backtrader as bt

class Fine(bt.Strategy):
    def next(self):
        if len(self) == 1:
            self.buy(size=1, exectype=bt.Order.Limit, price=98.0)
"""
    fine = hourly(*[(100.0,) * 4] * 6, (100.0, 100.0, 97.0, 99.0), (99.0,) * 4, *[(99.0,) * 4] * 4)
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    coarse = fine.resample("4h").agg(how)
    fine.rename_axis("timestamp").to_csv(tmp_path / "fine.csv")
    path = write_run(tmp_path, coarse, "Fine", code, rate=0.0)
    result = run_config(
        path, "data.timeframe=4h", "data.fill_timeframe=1h", f"data.fill_path={tmp_path}/fine.csv"
    )
    assert result.fills["price"].tolist() == [98.0]
    assert result.fills["time"].tolist() == [pd.Timestamp("2024-01-01 06:00", tz="UTC")]
    assert result.bars["long_contracts"].tolist() == [0.0, 1.0, 1.0]


def test_timers_of_the_strategy_take_backtraders_own_loop(tmp_path):
    # A strategy with a timer is not run by the lean loop; its record is the same.
    code = """
import backtrader as bt

class Timed(bt.Strategy):
    def __init__(self):
        self.add_timer(when=bt.timer.SESSION_START)

    def notify_timer(self, timer, when):
        self.buy(size=1)
"""
    bars = hourly(*[(100.0 + hour,) * 4 for hour in range(50)])
    result = run_config(write_run(tmp_path, bars, "Timed", code))
    assert len(result.bars) == 50
    assert len(result.fills) >= 2
    invariants(result)


def test_order_that_fills_in_parts_is_one_order_of_several_fills(tmp_path):
    # A fifth of 10 coins a bar: 5 fill as 2, 2, 1, each at its bar's open; average 102.
    code = """
import backtrader as bt

class Large(bt.Strategy):
    def next(self):
        if len(self) == 1: self.buy(size=5)
"""
    prices = [(each,) * 4 for each in (100.0, 100.0, 102.0, 106.0, 106.0)]
    path = write_run(tmp_path, hourly(*prices).assign(volume=10.0), "Large", code, rate=0.0)
    result = run_config(path, "backtest.fill.max_volume_share=0.2", "data.volume_unit=base")
    assert result.fills["contracts"].tolist() == [2.0, 2.0, 1.0]
    assert result.fills["order_id"].tolist() == [1, 1, 1]
    (order,) = result.orders.to_dict("records")
    assert (order["status"], order["filled_contracts"]) == ("filled", 5.0)
    assert order["fill_price"] == pytest.approx((2 * 100 + 2 * 102 + 106) / 5)
    assert result.bars["long_contracts"].tolist() == [0.0, 2.0, 4.0, 5.0, 5.0]


def test_bar_that_meets_both_sides_of_a_bracket_is_ambiguous(tmp_path):
    # In at 100; the third bar meets 90 and 110. By the rules the older, the stop, comes first.
    code = """
import backtrader as bt

class Bracket(bt.Strategy):
    def next(self):
        if len(self) == 1:
            self.buy_bracket(size=1, exectype=bt.Order.Market, stopprice=90, limitprice=110)
"""
    prices = [(100.0,) * 4, (100.0,) * 4, (100.0, 111.0, 89.0, 100.0)]
    path = write_run(tmp_path, hourly(*prices), "Bracket", code, balance=1_000.0, rate=0.0)
    settings = load_settings(path)
    result, _ = run_backtest(settings, plugins_for(settings), ambiguity=True)
    assert result.summary["ambiguous_bars"] == {"total": 1, "take_profit_and_stop": 1}
    band = {name: each["final_equity"] for name, each in result.summary["ambiguity"].items()}
    assert band == {"rules": 990.0, "best": 1_010.0, "worst": 990.0}
