"""The market of the exchange for tests: a clock, and prices and candles out of given bars."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.accounting.arithmetic import round10
from cryptosim_bt.accounting.instrument import Instrument, VolumeUnit, split_symbol
from cryptosim_bt.data.timeframe import milliseconds
from cryptosim_bt.errors import DataError

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
# OKX's days begin at 16:00 UTC, unless the name of the bar ends in "utc"; its weeks on a Monday.
_HONG_KONG_MS = 8 * _HOUR_MS
_FIRST_MONDAY_MS = 4 * _DAY_MS

_Floats = npt.NDArray[np.float64]


class Clock:
    """The time of the exchange: stands still and is set, or runs at a multiple of the wall clock.

    Parameters
    ----------
    start_ms
        Where it stands at first, milliseconds since 1970 UTC.
    time_scale
        Milliseconds of the exchange in one of the wall; 0 = it moves only when it is set.
    """

    def __init__(self, start_ms: int, time_scale: float = 0.0) -> None:
        self._at_ms = start_ms
        self._scale = time_scale
        self._since = time.monotonic()
        # What the exchange's own clock is wrong by, wherever it is shown or compared.
        self.skew_ms = 0

    @property
    def time_scale(self) -> float:
        """How fast it runs."""
        return self._scale

    @property
    def now_ms(self) -> int:
        """The time that it shows."""
        passed = (time.monotonic() - self._since) * 1000.0 * self._scale
        return self._at_ms + int(passed)

    def set(self, now_ms: int, time_scale: float | None = None) -> None:
        """Set it, never back, and let it run on at its own or another speed."""
        self._at_ms = max(now_ms, self._at_ms)
        self._since = time.monotonic()
        if time_scale is not None:
            self._scale = time_scale


class Candle(NamedTuple):
    """A candle as far as it has come; ``volume`` is in the unit of the bars."""

    time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    finished: bool


def bar_name(wire: str) -> tuple[int, int]:
    """Return length and offset from 1970, in ms, of a bar as OKX names it (``1m``, ``1Dutc``).

    Raises
    ------
    KeyError
        If the exchange has no such bar.
    """
    name = wire.removesuffix("utc")
    if name == "1W":
        length, offset = 7 * _DAY_MS, _FIRST_MONDAY_MS
    elif name[-1] in "mHD" and name == name.strip():
        try:
            length, offset = milliseconds(name.lower()), 0
        except DataError as error:
            raise KeyError(wire) from error
    else:
        raise KeyError(wire)
    if name == wire and length > 4 * _HOUR_MS:
        offset -= _HONG_KONG_MS
    return length, offset % length


class Market:
    """One instrument: prices along the path of R42 through given bars, candles of any length.

    Parameters
    ----------
    instrument
        Contract, grids and base fees.
    bars
        A bar table; it may begin before the exchange does.
    timeframe
        Length of its bars; None = the distance of the first two.
    mark
        The mark price's bars at the same times; None = the trades'.
    funding
        (time in ms, rate) of each funding, positive = longs pay.
    volume_unit
        What the bars' volume counts.
    """

    def __init__(
        self,
        instrument: Instrument,
        bars: pd.DataFrame,
        timeframe: str | None = None,
        mark: pd.DataFrame | None = None,
        funding: list[tuple[int, float]] | None = None,
        volume_unit: VolumeUnit = "base",
    ) -> None:
        self.instrument = instrument
        self.contract = instrument.contract()
        base, quote, self.currency = split_symbol(instrument.symbol)
        self.base, self.quote = base, quote
        self.family = f"{base}-{quote}"
        self.inst_id = f"{self.family}-SWAP"
        self.volume_unit: VolumeUnit = volume_unit
        self.funding = sorted(funding or [])
        times = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
        self.times: npt.NDArray[np.int64] = times
        if timeframe is None and len(times) < 2:
            raise DataError(f"{self.inst_id}: one bar does not say its timeframe; give it")
        self.step_ms = milliseconds(timeframe) if timeframe else int(times[1] - times[0])
        self._bars = bars[["open", "high", "low", "close", "volume"]].to_numpy(np.float64).copy()
        self._trades = _path(self._bars)
        self._marks = self._trades
        if mark is not None:
            self._marks = _path(mark[["open", "high", "low", "close"]].to_numpy(np.float64))

    # ------------------------------------------------------------------ prices
    def price(self, now_ms: int) -> float:
        """Return the last price at a time, on the grid of prices."""
        return self._at(self._trades, now_ms)

    def mark_price(self, now_ms: int) -> float:
        """Return the mark price at a time."""
        return self._at(self._marks, now_ms)

    def turns(self, after_ms: int, until_ms: int) -> Iterator[int]:
        """Yield the times in (after, until] at which the price turns or a bar begins."""
        first = max(0, int(np.searchsorted(self.times, after_ms, "right")) - 1)
        last = int(np.searchsorted(self.times, until_ms, "right"))
        for opens in self.times[first:last].tolist():
            for part in range(4):
                at = opens + self._part(part)
                if after_ms < at <= until_ms:
                    yield at

    def _part(self, part: int) -> int:
        """Return when a bar's point comes after its open: the close in its last millisecond."""
        return (self.step_ms - 1) * part // 3

    def _at(self, path: _Floats, now_ms: int) -> float:
        row = int(np.searchsorted(self.times, now_ms, "right")) - 1
        if row < 0:
            return float(path[0, 0])
        passed = now_ms - int(self.times[row])
        points = path[row]
        for part in range(3):
            start, end = self._part(part), self._part(part + 1)
            if passed <= end:
                share = (passed - start) / (end - start)
                between = float(points[part]) + float(points[part + 1] - points[part]) * share
                return round10(between) if share in (0.0, 1.0) else self._on_grid(between)
        return float(points[3])

    def _on_grid(self, price: float) -> float:
        return self.instrument.price_down(price) if self.instrument.tick else price

    # ------------------------------------------------------------------ candles
    def candle(self, opens_ms: int, length_ms: int, now_ms: int) -> Candle | None:
        """Return the candle that opens at a time as far as it has come; None without bars."""
        first = int(np.searchsorted(self.times, opens_ms))
        last = int(np.searchsorted(self.times, min(opens_ms + length_ms, now_ms + 1)))
        if first >= last:
            return None
        rows = self._bars[first:last].copy()
        passed = now_ms - int(self.times[last - 1])
        if passed < self.step_ms:
            rows[-1] = self._so_far(last - 1, passed, now_ms)
        volume = float(np.add.reduce(rows[:, 4]))
        high, low = float(rows[:, 1].max()), float(rows[:, 2].min())
        done = now_ms >= opens_ms + length_ms
        return Candle(
            opens_ms, float(rows[0, 0]), high, low, float(rows[-1, 3]), volume, done
        )

    def _so_far(self, row: int, passed: int, now_ms: int) -> list[float]:
        points, now = self._trades[row], self.price(now_ms)
        seen = [float(points[part]) for part in range(4) if self._part(part) <= passed] + [now]
        share = (passed + 1) / self.step_ms
        return [seen[0], max(seen), min(seen), now, float(self._bars[row, 4]) * share]

    def candles(
        self, wire: str, now_ms: int, after: int | None, before: int | None, limit: int
    ) -> list[Candle]:
        """Return candles that have begun, newest first, at most ``limit``.

        Older than ``after`` and newer than ``before``, both excluded.
        """
        length, offset = bar_name(wire)
        newest = now_ms if after is None else min(after - 1, now_ms)
        opens = newest - (newest - offset) % length
        oldest = int(self.times[0]) - length
        if before is not None:
            oldest = max(oldest, before)
        found: list[Candle] = []
        while opens > oldest and len(found) < limit:
            candle = self.candle(opens, length, now_ms)
            if candle is not None:
                found.append(candle)
            opens -= length
        return found

    def correct(self, opens_ms: int, **values: float) -> None:
        """Change values of a given bar (open, high, low, close, volume), as OKX at times does."""
        row = int(np.searchsorted(self.times, opens_ms))
        if row >= len(self.times) or self.times[row] != opens_ms:
            raise DataError(f"{self.inst_id}: there is no bar at {opens_ms} to correct")
        for name, value in values.items():
            self._bars[row, ("open", "high", "low", "close", "volume").index(name)] = value
        self._trades[row] = _path(self._bars[row : row + 1])[0]

    # ------------------------------------------------------------------ funding
    def funding_between(self, after_ms: int, until_ms: int) -> list[tuple[int, float]]:
        """Return the fundings in (after, until]."""
        return [each for each in self.funding if after_ms < each[0] <= until_ms]

    def next_funding(self, now_ms: int) -> tuple[int, float, int]:
        """Return time and rate of the next funding, and the time of the one after it."""
        later = [each for each in self.funding if each[0] > now_ms][:2]
        span = 8 * _HOUR_MS
        due = later[0][0] if later else now_ms - now_ms % span + span
        rate = later[0][1] if later else 0.0
        return due, rate, later[1][0] if len(later) > 1 else due + span


def _path(bars: _Floats) -> _Floats:
    """Return open, nearer extreme, other extreme, close of each bar (R42)."""
    opens, highs, lows, closes = (bars[:, column] for column in range(4))
    up, down = np.round(highs - opens, 10), np.round(opens - lows, 10)
    low_first = (down < up) | ((down == up) & (closes >= opens))
    first, second = np.where(low_first, lows, highs), np.where(low_first, highs, lows)
    return np.column_stack((opens, first, second, closes))
