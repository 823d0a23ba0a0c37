"""A lean run loop and array data for backtrader.

``Cerebro._runonce`` spends more time on bookkeeping than a strategy on its work. `LeanCerebro`
runs the plain case, one strategy over datas of equal length that are `ArrayData`, in a tight loop
with the same results, and hands everything else to backtrader's own loop.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from cryptosim_bt.broker.backtrader_time import day_number
from cryptosim_bt.broker.futures_broker import FuturesBroker
from cryptosim_bt.data.timeframe import DAY_MS, milliseconds
from cryptosim_bt.plugins.analyzer import ReportAnalyzer

# The progress callback receives every so many bars.
PROGRESS_STEP = 2_000


def day_numbers(bars: pd.DataFrame) -> np.ndarray:
    """Return a bar table's open times as backtrader's float days."""
    ms = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    return day_number(ms.astype(np.float64))


class ArrayData(bt.feed.DataBase):
    """A bar table as a backtrader data, filled by one copy a line.

    Params:

      - ``dataname``: the bar table (UTC open times; open, high, low, close, volume)
      - ``bar``: its timeframe, such as ``"1h"``
      - ``further``: arrays of further lines by their names; see `data_of`
    """

    params: Any = (("bar", "1h"), ("further", {}))

    def start(self) -> None:
        """Turn the table into one float array a line."""
        super().start()
        bar_ms = milliseconds(self.p.bar)
        whole_days = bar_ms % DAY_MS == 0
        # Here and not in __init__: backtrader sets both from its own params after that.
        self._timeframe = bt.TimeFrame.Days if whole_days else bt.TimeFrame.Minutes
        self._compression = bar_ms // (DAY_MS if whole_days else 60_000)
        self.p.timeframe, self.p.compression = self._timeframe, self._compression
        bars: pd.DataFrame = self.p.dataname
        self._row = 0
        self._columns = {name: bars[name].to_numpy(np.float64) for name in
                         ("open", "high", "low", "close", "volume")}  # fmt: skip
        self._columns |= self.p.further
        self._columns["datetime"] = day_numbers(bars)
        self._columns["openinterest"] = np.zeros(len(bars))

    def preload(self) -> None:
        """Fill every line with one copy."""
        if self._filters:
            super().preload()
            return
        for name in self.getlinealiases():
            line = getattr(self.lines, name)
            line.array = array("d", np.ascontiguousarray(self._columns[name]).tobytes())
            line.array.extend([float("nan")] * line.extension)
        self._row = len(self._columns["datetime"])  # nothing is left for _load
        self._last()
        self.home()

    def _load(self) -> bool:
        if self._row >= len(self._columns["datetime"]):
            return False
        for name in self.getlinealiases():
            getattr(self.lines, name)[0] = float(self._columns[name][self._row])
        self._row += 1
        return True


def data_of(bars: pd.DataFrame, bar: str, further: Mapping[str, np.ndarray]) -> ArrayData:
    """Return a bar table as a data, with a line for each further array."""
    own = {"lines": tuple(further), "__module__": __name__}
    make: Any = type(ArrayData)  # the metaclass, which makes a line of each name
    kind: Any = make("ArrayDataWithLines", (ArrayData,), own) if further else ArrayData
    data: ArrayData = kind(dataname=bars, bar=bar, further=dict(further))
    return data


class LeanCerebro(bt.Cerebro):
    """Cerebro with the lean loop and a progress callback.

    Parameters
    ----------
    progress
        Called with the number of bars done, every few thousand bars and at the end.
    warmup
        How many bars come before the trading window: backtrader's analyzers, which would count
        each as a flat day, begin after them.
    """

    def __init__(
        self,
        *,
        progress: Callable[[int], None] | None = None,
        warmup: int = 0,
        **options: object,
    ) -> None:
        super().__init__(**options)
        self._progress = progress
        self._warmup = warmup

    _pretimers: list[Any]

    def runstrategies(self, iterstrat: Any, predata: bool = False) -> Any:
        """Run strategies once; the timers that they add end with them.

        backtrader keeps them, and a later run would wake strategies of an earlier one, which could
        trade in it.
        """
        timers = list(self._pretimers)
        try:
            return super().runstrategies(iterstrat, predata=predata)
        finally:
            self._pretimers = timers

    def _is_plain(self, strategies: list[bt.Strategy]) -> bool:
        bars = self.datas[0].buflen()
        return (
            len(strategies) == 1
            and not self.runwriters
            and not self._timers
            and not self._timerscheat
            and not self.p.cheat_on_open
            and not self.p.oldsync
            and all(isinstance(data, ArrayData) and data.buflen() == bars for data in self.datas)
        )

    def _runnext(self, runstrats: list[bt.Strategy]) -> None:
        self._hold_back(runstrats)
        super()._runnext(runstrats)

    def _hold_back(self, runstrats: list[bt.Strategy]) -> None:
        """Let backtrader's analyzers see the trading window only; ours know it themselves."""
        for analyzer in [each for strategy in runstrats for each in strategy.analyzers]:
            if self._warmup and not isinstance(analyzer, ReportAnalyzer):
                for name in ("_prenext", "_nextstart", "_next"):
                    step = getattr(analyzer, name)
                    setattr(analyzer, name, partial(_after, self._warmup, analyzer.strategy, step))
                for each in (analyzer, *analyzer._children):
                    if isinstance(each, bt.analyzers.AnnualReturn):  # it looks back at the end
                        each.data = _Window(each.data, self._warmup)

    def _runonce(self, runstrats: list[bt.Strategy]) -> None:
        self._hold_back(runstrats)
        if not self._is_plain(runstrats):
            super()._runonce(runstrats)
            return
        strategy = runstrats[0]
        strategy._once()
        strategy.reset()
        self._prepare(strategy)
        # All that was made before the run, the imported modules above all, outlives it: without
        # this, Python's collector searches it again and again while the run makes new objects.
        gc.freeze()
        try:
            self._loop(strategy)
        finally:
            gc.unfreeze()

    def _prepare(self, strategy: bt.Strategy) -> None:
        """Collect the lines that a bar moves on; backtrader's ``advance`` does it one by one."""
        clock = self.datas[0].lines.datetime.array
        strategy.lines.datetime.array = array("d", clock[: self.datas[0].buflen()])
        owners = [*self.datas, *strategy._lineiterators[bt.LineIterator.IndType]]
        lines = [line for owner in owners for line in _lines_of(owner)]
        lines.append(strategy.lines.datetime)
        self._moving = list({id(line): line for line in lines}.values())
        # A strategy's own lines grow as it goes, empty, whatever `__init__` bound to them: so it
        # is in backtrader's loop.
        self._own = [line for line in strategy.lines.lines if line is not strategy.lines.datetime]

    def _loop(self, strategy: bt.Strategy) -> None:
        bars = self.datas[0].buflen()
        first = max(strategy._minperiods)
        listens = _overridden(strategy, "notify_cashvalue", "notify_fund")
        observers = strategy._lineiterators[bt.LineIterator.ObsType]
        # A list: backtrader's own collection is walked by index, to its IndexError, every time.
        analyzers = list(strategy.analyzers)
        if isinstance(self._broker, FuturesBroker):
            # backtrader's observers and every notify_order want all of them; nobody else does.
            self._broker.notify_all = bool(observers) or _overridden(strategy, "notify_order")
        for row in range(bars):
            count = row + 1
            self._move_to(row)
            self._brokernotify()
            if self._event_stop:
                return
            noted = strategy._orderspending or strategy._tradespending
            if noted or listens:
                strategy._notify()
            self._advance(strategy, analyzers, first - count)
            if observers:
                strategy._next_observers(first - count, once=True)
            if noted:
                strategy.clear()
            if self._event_stop:
                return
            if not count % PROGRESS_STEP:
                self._report(count)
        self._report(bars)

    def _move_to(self, row: int) -> None:
        count = row + 1
        for line in self._moving:
            line._idx = row
            line.lencount = count
        for line in self._own:
            line.forward()

    def _report(self, bars: int) -> None:
        if self._progress is not None:
            self._progress(bars)

    @staticmethod
    def _advance(strategy: bt.Strategy, analyzers: list[bt.Analyzer], status: int) -> None:
        """Call the strategy and its analyzers; ``status`` > 0 is the warm-up."""
        strategy._minperstatus = status
        if status < 0:
            strategy.next()
            for analyzer in analyzers:
                analyzer._next()
            return
        if status == 0:
            strategy.nextstart()
        else:
            strategy.prenext()
        strategy._next_analyzers(status, once=True)


def _after(warmup: int, strategy: bt.Strategy, step: Callable[[], None]) -> None:
    if len(strategy) > warmup:
        step()


class _Window:
    """A data without the bars before the trading window."""

    def __init__(self, data: bt.feed.DataBase, warmup: int) -> None:
        self._data, self._warmup = data, warmup

    def __len__(self) -> int:
        return len(self._data) - self._warmup

    def __getattr__(self, name: str) -> Any:
        return getattr(self._data, name)


def _overridden(strategy: bt.Strategy, *hooks: str) -> bool:
    """Tell whether the strategy or one of its analyzers overrides one of backtrader's hooks."""
    analyzers = [*strategy.analyzers, *strategy._slave_analyzers]
    for analyzer in analyzers:
        analyzers.extend(analyzer._children)  # the list grows as it is walked
    listeners = [(strategy, bt.Strategy), *((each, bt.Analyzer) for each in analyzers)]
    return any(
        getattr(type(listener), hook) is not getattr(base, hook)
        for listener, base in listeners
        for hook in hooks
    )


def _lines_of(owner: Any) -> list[Any]:
    if isinstance(owner, bt.linebuffer.LineActions):
        return [owner]
    return list(owner.lines.lines)
