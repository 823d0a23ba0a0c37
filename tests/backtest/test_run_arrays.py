"""The arrays of a run are what the event road sees, bar by bar (R1, R22, R25, R38, R46)."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cryptosim_bt.backtest.prepare import Prepared
from cryptosim_bt.backtest.run import execute
from cryptosim_bt.broker.backtrader_time import epoch_ms
from cryptosim_bt.data.timeframe import utc_index
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.strategy.daily_loss import DailyLossLimit
from cryptosim_bt.strategy.run_record import record_of
from tests.exchange_runs import exchange_run
from tests.helpers import HOUR_MS, NEW_YEAR_MS, PLAIN, changed, flat_hours, prepared_run, sample_run

FLOATS, WHOLE = np.dtype(np.float64), np.dtype(np.int64)


class Seen(ReportAnalyzer):
    """What strategy and broker see at each bar of the window."""

    def start(self) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.atrs: list[float] = []
        self.signals: list[int] = []

    def next(self) -> None:
        data, strategy = self.strategy.data, self.strategy
        prices = (data.open[0], data.high[0], data.low[0], data.close[0], data.volume[0])
        self.rows.append((epoch_ms(data.datetime[0]), *prices))
        self.signals.append(record_of(strategy).last_signal)
        self.atrs.append(strategy.size_atr())


def test_arrays_are_what_a_strategy_sees() -> None:
    run = sample_run(
        "simple_ma", "trading.sizing.method=atr", "trading.sizing.atr_period=5",
        "backtest.trading_period.end_date=2025-01-05",
    )  # fmt: skip
    _, (seen,) = execute(replace(run, analyzers={"seen": Seen}))
    arrays, window = run.arrays(), slice(run.warmup, None)
    assert isinstance(seen, Seen)
    table = np.array(seen.rows)
    assert table[:, 0].tolist() == arrays.times_ms[window].tolist()
    assert table[:, 1:].T.tolist() == arrays.bars[:, window].tolist()
    assert arrays.signals is not None
    assert seen.signals == arrays.signals[window].tolist()
    assert arrays.size_atr is not None
    assert seen.atrs == arrays.size_atr[window].tolist()
    assert arrays.stop_atr is None


def test_shapes_and_types_are_those_that_are_promised() -> None:
    run = sample_run("simple_ma")
    arrays, bars = run.arrays(), len(run.bars)
    window = bars - run.warmup
    for values, dtype, shape in (
        (arrays.times_ms, WHOLE, (bars,)), (arrays.days, WHOLE, (bars,)),
        (arrays.bars, FLOATS, (5, bars)), (arrays.signals, np.dtype(np.int8), (bars,)),
        (arrays.matching.times_ms, WHOLE, (window,)), (arrays.matching.trades, FLOATS, (4, window)),
        (arrays.matching.mark, FLOATS, (4, window)), (arrays.matching.volume, FLOATS, (window,)),
        (arrays.funding_times_ms, WHOLE, (len(run.funding),)),
        (arrays.funding_rates, FLOATS, (len(run.funding),)),
    ):  # fmt: skip
        assert values is not None
        assert (values.dtype, values.shape) == (dtype, shape)
    assert list(zip(arrays.funding_times_ms, arrays.funding_rates, strict=True)) == run.funding
    assert np.isinf(arrays.matching.volume).all()
    assert sample_run("rsi_dip").arrays().signals is None  # decides bar by bar


def finer_run() -> Prepared:
    """Return two hours on half hours, with a mark and volumes of their own."""
    halves = [(NEW_YEAR_MS + HOUR_MS // 2 * row, 100.0 + row, 102.0 + row, 99.0, 101.0 + row)
              for row in range(4)]  # fmt: skip
    mark = [(time_ms, *(price + 0.5 for price in prices)) for time_ms, *prices in halves]
    return exchange_run(
        flat_hours(2, 100.0), {}, PLAIN, fine=halves, fine_timeframe="30m", mark=mark,
        volumes=[5.0, 6.0, 7.0, 8.0],
    )  # fmt: skip


def test_matching_arrays_are_what_the_exchange_is_handed() -> None:
    run = finer_run()
    assert run.matching is not None
    rows = list(run.matching.between(NEW_YEAR_MS, NEW_YEAR_MS + 2 * HOUR_MS))
    found = run.arrays().matching
    columns = np.vstack([found.times_ms, found.trades, found.mark, found.volume])
    assert columns.T.tolist() == [list(map(float, row)) for row in rows]
    assert found.mark[0].tolist() == [100.5, 101.5, 102.5, 103.5]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York", "America/Santiago"])
def test_days_change_where_the_daily_limit_begins_a_day(zone: str) -> None:
    # Half a year of hours, over both changes of the clock.
    bars = flat_hours(24 * 300, 100.0)
    run = prepared_run(bars, [0] * len(bars), changed(PLAIN, timezone=zone))
    days = run.arrays().days
    limit = DailyLossLimit(0.1, ZoneInfo(zone), 100.0)
    begins = []
    for time_ms, *_ in bars:
        limit.check(time_ms, 100.0)
        begins.append(not limit.hit)  # a day that has lost too much stays so until its end
        limit.check(time_ms, 50.0)
        limit.settle(100.0)
    assert begins == [True, *(np.diff(days) != 0).tolist()]
    first = utc_index(np.array([NEW_YEAR_MS])).tz_convert(zone)[0]
    assert days[0] == (first.tz_localize(None) - np.datetime64("1970-01-01")).days

