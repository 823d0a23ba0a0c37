"""The lean loop, backtrader's own loop and its bar-by-bar loop give the same run."""

from __future__ import annotations

import datetime
import gc
from dataclasses import replace
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import FuturesBroker, Result
from cryptosim_bt.backtest.gather import gather
from cryptosim_bt.backtest.lean_loop import ArrayData, LeanCerebro
from cryptosim_bt.backtest.run import Prepared, cerebro_for, execute
from cryptosim_bt.exchange.matching_bars import MatchingBars
from cryptosim_bt.results.result import TABLES
from tests.helpers import (
    PLAIN,
    bar_table,
    changed,
    flat_hours,
    prepared_run,
    run_with_cerebro,
    sample_run,
)

pytestmark = pytest.mark.usefixtures("quiet_framework")

STRATEGIES = ("simple_ma", "rsi_dip")
SET_OF_DEALS = (
    "trading.use_sl=true", "trading.stop_loss_pct=0.03", "backtest.close_at_end=true",
    "position_set.position_set_size=3", "trading.leverage=20",
)  # fmt: skip
MODES: dict[str, tuple[type[bt.Cerebro], dict[str, Any]]] = {
    "stock loop": (bt.Cerebro, {"stdstats": False}),
    "stock loop with observers": (bt.Cerebro, {"stdstats": True}),
    "bar by bar": (bt.Cerebro, {"stdstats": False, "runonce": False}),
    "lean cerebro, bar by bar": (LeanCerebro, {"stdstats": False, "runonce": False}),
    "lean loop with observers": (LeanCerebro, {"stdstats": True}),
}


@pytest.fixture(scope="module", params=STRATEGIES)
def prepared(request: pytest.FixtureRequest) -> Prepared:
    return sample_run(request.param, *SET_OF_DEALS)


@pytest.fixture(scope="module")
def lean(prepared: Prepared) -> Result:
    result, _ = execute(prepared)
    assert len(result.trades) >= 5
    return result


@pytest.mark.parametrize("mode", MODES)
def test_run_in_any_loop_gives_the_same_tables(
    prepared: Prepared, lean: Result, mode: str
) -> None:
    kind, options = MODES[mode]
    cerebro = kind(stdstats=options["stdstats"])
    other = run_with_cerebro(
        prepared, cerebro, **{name: value for name, value in options.items() if name != "stdstats"}
    )
    for name in ("bars", "fills", "trades", "orders", "sets"):
        pd.testing.assert_frame_equal(getattr(lean, name), getattr(other, name), check_exact=True)
    assert lean.summary == other.summary


# What a run may leave behind: a lost day, liquidated legs, a plain strategy's orders, funding paid,
# bars passed over, expired and replaced orders.
TWICE = {
    "daily loss": ("risk.daily_loss_limit_pct=0.01",),
    "isolated": (
        "trading.leverage=50", "trading.margin_mode=isolated", "trading.position_size=0.2",
    ),
    "stops": SET_OF_DEALS,
    "bar by bar": ("strategy.name=rsi_dip",),
    "plain": ("strategy.name=SmaCross", "trading.position_mode=net", "backtest.close_at_end=true"),
}  # fmt: skip


@pytest.mark.parametrize("finer", [False, True])
@pytest.mark.parametrize("case", TWICE)
def test_second_run_of_a_cerebro_is_the_first_again(case: str, finer: bool) -> None:
    prepared = sample_run("simple_ma", *TWICE[case])
    if finer:
        prepared = replace(prepared, matching=MatchingBars(prepared.window, None, None))
    cerebro = cerebro_for(prepared)
    first, *others = [
        gather(prepared, cerebro.run(**options)[0]) for options in ({}, {}, {"runonce": False})
    ]
    assert len(first.fills) >= 5
    if case == "daily loss":
        assert first.summary["entries_refused"]["daily_loss"] > 0
    for other in others:
        for name in TABLES:
            table = getattr(first, name)
            pd.testing.assert_frame_equal(table, getattr(other, name), check_exact=True)
        assert first.summary == other.summary


def test_timer_of_a_strategy_ends_with_its_run() -> None:
    class BuysAtSix(bt.Strategy):
        def __init__(self) -> None:
            self.add_timer(when=datetime.time(6))

        def notify_timer(self, *_: Any, **__: Any) -> None:
            self.buy(size=1)

    cerebro = LeanCerebro()
    cerebro.adddata(ArrayData(dataname=bar_table(flat_hours(72, 100.0)), bar="1h"))
    cerebro.broker = FuturesBroker(cash=1000.0)
    cerebro.addstrategy(BuysAtSix)
    assert [cerebro.run()[0].position.size for _ in range(3)] == [3.0] * 3


def test_progress_of_the_lean_loop_ends_with_all_bars() -> None:
    heard: list[tuple[int, int]] = []
    run = prepared_run(flat_hours(4500, 100.0), [0] * 4500, PLAIN)
    execute(run, lambda done, total: heard.append((done, total)))
    assert heard == [(2000, 4500), (4000, 4500), (4500, 4500)]


@pytest.mark.parametrize("fails", [False, True])
def test_collector_of_python_is_as_before_after_a_run(fails: bool) -> None:
    frozen: list[int] = []

    def progress(done: int, total: int) -> None:
        frozen.append(gc.get_freeze_count())
        if fails:
            raise KeyboardInterrupt

    run = prepared_run(flat_hours(50, 100.0), [0] * 50, PLAIN)
    if fails:
        with pytest.raises(KeyboardInterrupt):
            execute(run, progress)
    else:
        execute(run, progress)
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0
    assert gc.isenabled()


def test_array_data_holds_the_bars_as_backtrader_lines() -> None:
    table = bar_table(flat_hours(3, 100.0))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(ArrayData(dataname=table, bar="4h"))
    seen: list[tuple[Any, float]] = []

    class Watch(bt.Strategy):
        def next(self) -> None:
            seen.append((self.data.datetime.datetime(0), self.data.close[0]))

    cerebro.addstrategy(Watch)
    cerebro.run()
    assert [close for _, close in seen] == [100.0] * 3
    naive = table.index.tz_localize(None)
    assert [abs(pd.Timestamp(time) - wanted).total_seconds() < 0.001
            for (time, _), wanted in zip(seen, naive, strict=True)] == [True] * 3  # fmt: skip
    data = cerebro.datas[0]
    assert (data._timeframe, data._compression) == (bt.TimeFrame.Minutes, 240)


def test_days_are_backtraders_days() -> None:
    data = ArrayData(dataname=bar_table(flat_hours(1, 1.0)), bar="1d")
    assert (data._timeframe, data._compression) == (bt.TimeFrame.Days, 1)


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_first_bar_that_trades_is_the_bar_after_the_warmup(warmup: int) -> None:
    # R3: a signal in the warm-up would be an order; the first signal of the window is one.
    bars = flat_hours(10, 100.0)
    run = prepared_run(bars[warmup:], [1] + [0] * (9 - warmup), PLAIN, warmup=bars[:warmup])
    result, _ = execute(run)
    assert len(result.bars) == 10 - warmup
    assert result.bars["time"].iloc[0] == run.bars.index[warmup]
    assert result.fills["time"].tolist() == [run.bars.index[warmup + 1]]


def test_signal_in_the_warmup_does_nothing() -> None:
    # R3
    bars = flat_hours(6, 100.0)
    run = prepared_run(bars[3:], [0, 0, 0], PLAIN, warmup=bars[:3])
    assert run.signals is not None
    run.signals[2] = 1
    result, _ = execute(run)
    assert result.fills.empty
    assert result.orders.empty


def test_run_of_one_bar_is_a_run() -> None:
    rules = changed(PLAIN, entry_fill="signal_close", close_at_end=True)
    result, _ = execute(prepared_run(flat_hours(1, 100.0), [1], rules))
    assert result.fills["role"].tolist() == ["entry", "close_at_end"]
    assert np.isfinite(result.bars["equity"]).all()
