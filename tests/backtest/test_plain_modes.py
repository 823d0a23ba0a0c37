"""Plain strategies from a configuration: hedge mode, warm-up, observers, finer bars, parts."""

from __future__ import annotations

from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import InputError, load_settings, run_backtest
from cryptosim_bt.backtest.prepare import prepare
from cryptosim_bt.backtest.run import cerebro_for
from cryptosim_bt.plugins.registry import Kind, plugins_for
from tests.broker import stock_strategies as stock
from tests.plain_runs import FractionsOfCoins, hourly, invariants, run_config, write_run

CODE = Path(stock.__file__)


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
    # R49: in hedge mode each order names its leg.
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
    # R50.
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
    # Both extremes are 11 away and the close is not below the open: the path falls first.
    assert band == {"rules": 990.0, "best": 1_010.0, "worst": 990.0, "path": 990.0}


JUDGED = """
import backtrader as bt

class Judged(bt.Strategy):
    def __init__(self):
        days = dict(timeframe=bt.TimeFrame.Days)
        add, of = self._addanalyzer, bt.analyzers
        for analyzer in (of.AnnualReturn, of.Returns, of.PeriodStats, of.DrawDown, of.SQN,
                         of.TradeAnalyzer, of.VWR, of.Calmar, of.GrossLeverage, of.TimeDrawDown):
            add(analyzer)
        add(of.Returns, _name="daily", **days)
        add(of.TimeReturn, _name="days", **days)
        add(of.PeriodStats, _name="day_stats", **days)
        add(of.SharpeRatio, _name="sharpe", riskfreerate=0.0, annualize=True, **days)

    def next(self):
        hour = self.data.datetime.time().hour
        if hour == 3:
            self.buy(size=4 if self.data.datetime.date().day % 2 else 2)
        elif hour == 17:
            self.close()
"""


def test_stock_analyzers_see_the_trading_window_only(tmp_path):
    # R3: 400 bars before the start, the new year among them, are no flat days of the account.
    bars = stock.random_bars(1_600, seed=8)
    bars.index += pd.Timestamp("2024-12-18") - pd.Timestamp("2024-01-01")
    window = bars.iloc[400:]
    assert {bars.index[0].year, window.index[0].year} == {2024, 2025}
    path = write_run(tmp_path, bars, "Judged", JUDGED)
    start = f"backtest.trading_period.start_date={window.index[0]}"
    settings = load_settings(path, [start, "strategy.warmup=400"])
    prepared = prepare(settings, plugins_for(settings))
    runs = [stock_run(prepared.strategy, window)]
    runs += [cerebro_for(prepared).run(runonce=lean)[0] for lean in (True, False)]
    found = [
        {name: plain(each.get_analysis()) for name, each in run.analyzers.getitems()
         if name != "bar_recorder"} for run in runs
    ]  # fmt: skip
    assert set(found[0]["annualreturn"]) == {2025}
    assert found[0]["tradeanalyzer"]["total"]["closed"] >= 40
    for ours in found[1:]:
        for name, expected in found[0].items():
            assert ours[name] == approximately(expected), name


def stock_run(kind, bars):
    cerebro = bt.Cerebro()
    data = bt.feeds.PandasData(dataname=bars, timeframe=bt.TimeFrame.Minutes, compression=60)
    cerebro.adddata(data)
    cerebro.broker.setcash(1_000_000.0)
    cerebro.broker.addcommissioninfo(FractionsOfCoins())
    cerebro.addstrategy(kind)
    return cerebro.run()[0]


def plain(value):
    return {str(k) if hasattr(k, "year") else k: plain(v) for k, v in value.items()} if isinstance(
        value, dict
    ) else value  # fmt: skip


def approximately(value):
    if isinstance(value, dict):
        return {key: approximately(each) for key, each in value.items()}
    # Drawdowns are differences of figures near 1 000 000.
    is_float = isinstance(value, float)
    return pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True) if is_float else value


# ---------------------------------------------------------------------- further columns
READS_LINES = """
import backtrader as bt

class ReadsLines(bt.Strategy):
    def __init__(self):
        self.mean = bt.ind.SMA(self.data.open_interest, period=3)
        self.seen = []

    def next(self):
        mood = self.data.lines.Mood[0]
        print(len(self), mood, self.data.open_interest[-1], self.mean[0])
        if mood > 0.5 and not self.position:
            self.buy()
        elif mood < 0.5 and self.position:
            self.close()
"""


def test_further_columns_of_the_data_are_lines(tmp_path, capsys):
    bars = hourly(*[(100.0 + hour,) * 4 for hour in range(8)])
    bars["Mood"] = [0.0, 0.0, 0.0, 1.0, 1.0, np.nan, 0.0, 0.0]
    bars["open_interest"] = np.arange(8) * 10.0
    path = write_run(tmp_path, bars, "ReadsLines", READS_LINES)
    start = "backtest.trading_period.start_date=2024-01-01 03:00"
    sets = ("data.lines=[Mood, open_interest]", "strategy.warmup=3", start)
    result = run_config(path, *sets)
    # From bar 4 on: its mood; the interest of the bar before; the mean of the last three.
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["4", "1.0", "20.0", "20.0"]
    assert rows[2][1] == "nan"
    assert rows[-1] == ["8", "0.0", "60.0", "60.0"]
    assert result.fills["time"].dt.hour.tolist() == [4, 7]
    settings = load_settings(path, sets)
    prepared = prepare(settings, plugins_for(settings))
    for lean in (True, False):
        assert cerebro_for(prepared).run(runonce=lean)[0].broker.getvalue() == (
            pytest.approx(result.summary["final_equity"])
        )
    assert settings.resolved()["data"]["lines"] == ["Mood", "open_interest"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [("[mood]", "no column 'mood' in the data"), ("[close]", "names that no bar has"),
     ("[a b]", "names that no bar has"), ("mood", "allowed: a list")],
)  # fmt: skip
def test_line_that_the_data_lack_is_told(lines, words, tmp_path):
    path = write_run(tmp_path, hourly(*[(100.0,) * 4] * 8), "Hedged", HEDGED)
    with pytest.raises(InputError, match=rf"data\.lines: .*{words}"):
        run_config(path, f"data.lines={lines}")
