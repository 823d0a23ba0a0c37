"""Bars that match orders when not the strategy's bars: finer (R40), or with mark prices (R38)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from cryptosim_bt.exchange.fill_rules import BarValues

_PRICES = ["open", "high", "low", "close"]


class MatchingArrays(NamedTuple):
    """The bars that match orders: ``trades`` and ``mark`` are rows of open, high, low, close.

    ``times_ms`` is int64, all others float64; ``volume`` is in contracts, inf where it limits no
    fill; ``mark`` is ``trades`` where the last price stands for it.
    """

    times_ms: np.ndarray
    trades: np.ndarray
    mark: np.ndarray
    volume: np.ndarray


class MatchingBars:
    """Bars in order of time, handed out as a strategy bar passes over them.

    Parameters
    ----------
    bars
        Trades' bars of the matching timeframe.
    mark
        The mark price's bars at the same times; None where the last price stands for the mark.
    volume
        Volume of each bar in contracts; None where fills are not limited by it.
    """

    def __init__(
        self, bars: pd.DataFrame, mark: pd.DataFrame | None, volume: np.ndarray | None
    ) -> None:
        times = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
        trades = bars[_PRICES].to_numpy(np.float64).T
        marks = trades if mark is None else mark[_PRICES].to_numpy(np.float64).T
        volumes = np.full(len(bars), math.inf) if volume is None else volume
        self.arrays = MatchingArrays(times, trades, marks, volumes)
        self._times, prices = times.tolist(), trades.tolist()
        mark_prices = prices if mark is None else marks.tolist()
        self.has_volume = volume is not None
        self._columns = (self._times, *prices, *mark_prices, volumes.tolist())
        self._next = 0

    def rewind(self) -> None:
        """Begin again, for another run over the same bars."""
        self._next = 0

    def mark_range(self, opens_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mark's low and high from each time to the next, at least one bar in each."""
        starts = np.searchsorted(self.arrays.times_ms, opens_ms)
        _, highs, lows, _ = self.arrays.mark
        return np.minimum.reduceat(lows, starts), np.maximum.reduceat(highs, starts)

    def between(self, start_ms: int, end_ms: int) -> Iterator[BarValues]:
        """Yield the values of bars that open in [start, end); earlier ones are passed over."""
        times = self._times
        while self._next < len(times) and times[self._next] < end_ms:
            row = self._next
            self._next += 1
            if times[row] >= start_ms:
                yield tuple(column[row] for column in self._columns)
