"""The table of bars: its form, its checks, and the window of it that a run loads.

A bar table is a ``DataFrame`` with the columns open, high, low, close, volume (float64) and the
index ``time``: the UTC time at which each bar opens (R1), datetime64[ms, UTC], ascending. What is
wrong with one is a `DataError` that names the first offending time; nothing is fixed in silence.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.timeframe import (
    duration_text,
    iso_utc,
    milliseconds,
    times_of,
    to_milliseconds,
    utc_index,
)
from cryptosim_bt.errors import DataError

Gaps = Literal["error", "fill", "keep"]
"""What to do about missing bars: refuse them, fill them with flat bars, or leave the holes."""

COLUMNS: Final = ("open", "high", "low", "close", "volume")

_IntArray = npt.NDArray[np.int64]
_BoolArray = npt.NDArray[np.bool_]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Window:
    """What `select_window` was asked for, in milliseconds."""

    start_ms: int
    end_ms: int
    warmup: int
    timeframe: str
    source: str

    @property
    def step_ms(self) -> int:
        return milliseconds(self.timeframe)

    @property
    def reach_ms(self) -> int:
        """When the warm-up begins; a warm-up of more bars than time has begins in 1970."""
        return max(0, self.start_ms - self.warmup * self.step_ms)

    def bounds(self, bars: pd.DataFrame) -> tuple[int, int]:
        """Return the positions of the first bar of the window, and of the first one behind it."""
        first, stop = np.searchsorted(times_of(bars), [self.start_ms, self.end_ms])
        return int(first), int(stop)


def select_window(
    bars: pd.DataFrame,
    start: pd.Timestamp,
    end: pd.Timestamp,
    warmup: int,
    timeframe: str,
    gaps: Gaps,
    source: str,
) -> tuple[pd.DataFrame, int]:
    """Cut out what a run loads: the warm-up bars, and the bars of ``start <= open < end`` (R2, R3).

    Order and duplicates are checked over the whole table, everything else on the loaded bars only:
    a fault outside the window harms nobody. Data that end before the window does are used as far as
    they go, with a WARNING.

    Parameters
    ----------
    bars : pandas.DataFrame
        A bar table; it may hold more than is asked for.
    start, end : pandas.Timestamp
        The trading window, with a time zone; `end` is exclusive.
    warmup : int
        How many bars before `start` are needed, 0 or more. With ``gaps="fill"``, bars are filled in
        before they are counted.
    timeframe, source : str
        A key of `TIMEFRAMES`, and what the bars are called in messages.

    Returns
    -------
    tuple of (pandas.DataFrame, int)
        The loaded bars, and how many of them, `warmup`, lie before `start`.

    Raises
    ------
    DataError
        If a check fails, no bar lies in the window, or too few lie before it.
    """
    table = as_bar_table(bars, source)
    check_order(times_of(table), source)
    window = _Window(to_milliseconds(start), to_milliseconds(end), warmup, timeframe, source)
    first, stop = window.bounds(table)
    if first == stop:
        raise DataError(_empty_window_text(table, window))
    # Before the warm-up bars are counted: bars of another timeframe would always be too few or too
    # many. The neighbours on both sides give a short window steps to judge by.
    _check_usual_step(times_of(table)[max(0, first - warmup - 1) : stop + 1], timeframe, source)
    if gaps == "fill":
        table = _fill_window(table, stop, window)
        first, stop = window.bounds(table)
    _require_warmup(table, first, window)
    loaded = table.iloc[first - warmup : stop]
    _check_grid(times_of(loaded), timeframe, source)
    _check_gaps(_with_edges(table, first, stop, window), timeframe, gaps, source)
    _check_values(loaded, source)
    _warn_of_early_end(table, window)
    return loaded, warmup


def check_bars(bars: pd.DataFrame, timeframe: str, source: str, gaps: Gaps = "error") -> None:
    """Check a whole bar table.

    Times ascend without duplicates, in steps of the timeframe; every number is finite; prices are
    above zero and volumes not below; high and low enclose open and close. Missing bars are refused
    unless `gaps` is "fill" or "keep". A `DataError` names `source`, the first offending time and
    how many bars offend.
    """
    table = as_bar_table(bars, source)
    times = times_of(table)
    check_order(times, source)
    _check_usual_step(times, timeframe, source)
    _check_grid(times, timeframe, source)
    _check_gaps(times, timeframe, gaps, source)
    _check_values(table, source)


def fill_gaps(
    bars: pd.DataFrame, timeframe: str, until_ms: int | None = None, source: str = "bars"
) -> pd.DataFrame:
    """Put flat bars where bars are missing: all prices the previous close, volume 0.

    Says how many in a WARNING: nothing was traded at those prices. Bars behind the last one are
    filled in too, up to but not including `until_ms` (UTC). Raise `DataError` if a bar does not lie
    a whole number of timeframes after the first.
    """
    if bars.empty:
        return bars
    times = times_of(bars)
    _check_grid(times, timeframe, source)
    step_ms = milliseconds(timeframe)
    stop_ms = max(int(times[-1]) + 1, until_ms or 0)
    grid = np.arange(times[0], stop_ms, step_ms, dtype=np.int64)
    origin = np.searchsorted(times, grid, side="right") - 1  # the last real bar at or before
    missing = times[origin] != grid
    if not missing.any():
        return bars
    filled = bars.iloc[origin].set_axis(utc_index(grid), axis="index")
    for name in ("open", "high", "low"):
        filled[name] = np.where(missing, filled["close"], filled[name])
    filled["volume"] = np.where(missing, 0.0, filled["volume"])
    logger.warning(
        "%s: filled %d missing %s bars, the first at %s, with flat bars at the previous close",
        source, missing.sum(), timeframe, iso_utc(int(grid[missing.argmax()])),
    )  # fmt: skip
    return filled


def as_bar_table(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Bring what a feed returned into the form of a bar table, or say what is missing.

    Columns are ordered and cast to float64, extra ones dropped, times converted to UTC; a
    `DataError` where that cannot be. Order and values are not checked: see `check_bars`.
    """
    if table.empty:
        raise DataError(f"{source}: there are no bars")
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns))
        needed = ", ".join(COLUMNS)
        raise DataError(
            f"{source}: {', '.join(missing)} missing; found: {found}; needed: {needed}"
        )
    index = table.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        found = f"{type(index).__name__} of {index.dtype}"
        raise DataError(f"{source}: the index of bars is {found}; needed: a DatetimeIndex in UTC")
    if index.hasnans:
        raise DataError(f"{source}: {int(np.sum(index.isna()))} bars have no time; remove them")
    try:
        values = table.loc[:, list(COLUMNS)].astype("float64")
    except (TypeError, ValueError) as error:
        raise DataError(f"{source}: bars hold something else than numbers: {error}") from error
    return values.set_axis(index.tz_convert("UTC").as_unit("ms").rename("time"), axis="index")


def check_order(times_ms: npt.NDArray[np.int64], source: str) -> None:
    """Check that times ascend and none comes twice; a `DataError` names the first that does not."""
    steps = np.diff(times_ms)
    if (steps > 0).all():
        return
    first = iso_utc(int(times_ms[1:][steps <= 0][0]))
    backward = int((steps < 0).sum())
    if backward:
        place = f"{first} ({backward} such {_plural('row', backward)})"
        raise DataError(f"{source}: times go backward at {place}; sort the rows, oldest first")
    repeated = int((steps == 0).sum())
    place = f"{first} ({repeated} {_plural('row', repeated)} too many)"
    raise DataError(f"{source}: the same time comes twice at {place}; remove the duplicates")


def usual_step(times_ms: npt.NDArray[np.int64]) -> int | None:
    """Return the most common step between times, the smallest of equals; None below two times."""
    if len(times_ms) < 2:
        return None
    steps, counts = np.unique(np.diff(times_ms), return_counts=True)
    return int(steps[counts.argmax()])


def _check_usual_step(times_ms: _IntArray, timeframe: str, source: str) -> None:
    found = usual_step(times_ms)
    if found not in (None, milliseconds(timeframe)):
        step = duration_text(found)
        raise DataError(
            f"{source}: the bars are {step} apart, but timeframe is {timeframe}; set "
            f"data.timeframe to that of the bars, or give {timeframe} bars"
        )


def _check_grid(times_ms: _IntArray, timeframe: str, source: str) -> None:
    off_grid = (times_ms - times_ms[:1]) % milliseconds(timeframe) != 0
    if off_grid.any():
        place = _place(times_ms, off_grid)
        raise DataError(
            f"{source}: the bar at {place} does not lie a whole number of {timeframe} after the "
            f"bar at {iso_utc(int(times_ms[0]))}; give bars of one timeframe only"
        )


def _check_gaps(times_ms: _IntArray, timeframe: str, gaps: Gaps, source: str) -> None:
    step_ms = milliseconds(timeframe)
    missing = np.diff(times_ms) // step_ms - 1
    holes = missing > 0
    if not holes.any():
        return
    count = int(missing[holes].sum())
    first = iso_utc(int(times_ms[:-1][holes][0]) + step_ms)
    verb = "is" if count == 1 else "are"
    found = f"{count} {timeframe} {_plural('bar', count)} {verb} missing, the first at {first}"
    if gaps == "error":
        raise DataError(f"{source}: {found}; fix the data, or set data.gaps to fill or keep")
    if gaps == "keep":
        logger.warning("%s: %s; data.gaps: keep leaves the holes", source, found)


def value_faults(bars: Mapping[str, Any] | pd.DataFrame) -> Iterator[tuple[str, _BoolArray]]:
    """Yield what figures of bars cannot be, and for each bar whether it is so."""
    columns = {name: np.asarray(bars[name], dtype=np.float64) for name in COLUMNS}
    open_, high, low, close, volume = columns.values()
    for name, values in columns.items():
        yield f"{name} is missing or not finite", ~np.isfinite(values)
    for name in COLUMNS[:4]:
        yield f"{name} is not above zero", columns[name] <= 0.0
    yield "volume is below zero", volume < 0.0
    yield "high is below open, low or close", high < np.maximum(np.maximum(open_, close), low)
    yield "low is above open or close", low > np.minimum(open_, close)


def _check_values(bars: pd.DataFrame, source: str) -> None:
    for fault, where in value_faults(bars):
        if where.any():
            place = _place(times_of(bars), where)
            raise DataError(f"{source}: {fault} at {place}; fix or remove what is wrong")


def _fill_window(bars: pd.DataFrame, stop: int, window: _Window) -> pd.DataFrame:
    """Fill the gaps from the last bar that is not behind the first warm-up bar, to the end."""
    first = int(np.searchsorted(times_of(bars), window.reach_ms, side="right")) - 1
    until_ms = window.end_ms if stop < len(bars) else None  # data that have ended are not a gap
    return fill_gaps(bars.iloc[max(0, first) : stop], window.timeframe, until_ms, window.source)


def _require_warmup(bars: pd.DataFrame, found: int, window: _Window) -> None:
    first_ms, start = int(times_of(bars)[0]), iso_utc(window.start_ms)
    begin, cure = iso_utc(first_ms), "give earlier data or start later"
    if found < window.warmup:
        since = iso_utc(window.reach_ms)
        raise DataError(
            f"{window.source}: the warm-up needs {window.warmup} {window.timeframe} bars before "
            f"the start {start}, there {'is' if found == 1 else 'are'} {found}; data are needed "
            f"from {since}, they begin at {begin}: {cure}"
        )
    if first_ms >= window.start_ms + window.step_ms:
        raise DataError(
            f"{window.source}: the bars begin at {begin}, after the start {start}; {cure}"
        )


def _with_edges(bars: pd.DataFrame, first: int, stop: int, window: _Window) -> _IntArray:
    """Return the loaded times between the marks that make a hole at the window's edges visible.

    In front, where there are no warm-up bars: the time on the grid just before the start. Behind,
    where the data go on: the first time on the grid that is not before the end.
    """
    times, step_ms = times_of(bars), window.step_ms
    covered = times[first - window.warmup : stop]
    if window.warmup == 0:
        steps_late = (times[first] - window.start_ms) // step_ms
        covered = np.insert(covered, 0, times[first] - (steps_late + 1) * step_ms)
    if stop < len(times):
        steps_to_end = -((times[stop - 1] - window.end_ms) // step_ms)  # rounded up
        covered = np.append(covered, times[stop - 1] + steps_to_end * step_ms)
    return covered


def _warn_of_early_end(bars: pd.DataFrame, window: _Window) -> None:
    known_until_ms = int(times_of(bars)[-1]) + window.step_ms
    if known_until_ms < window.end_ms:  # R3
        logger.warning(
            "%s: the bars end at %s, before the window does (%s); running as far as they go",
            window.source, iso_utc(known_until_ms), iso_utc(window.end_ms),
        )  # fmt: skip


def _empty_window_text(bars: pd.DataFrame, window: _Window) -> str:
    first, last = (iso_utc(int(times_of(bars)[i])) for i in (0, -1))
    asked = f"{iso_utc(window.start_ms)} to {iso_utc(window.end_ms)}"
    return (
        f"{window.source}: no bar lies in the window {asked}; the bars run from {first} to {last}: "
        f"change backtest.trading_period or the data"
    )


def _place(times_ms: _IntArray, where: _BoolArray) -> str:
    """Name the first of the offending times, and how many there are."""
    count = int(where.sum())
    first = iso_utc(int(times_ms[where][0]))
    return f"{first} ({count} {_plural('bar', count)} in all)"


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else noun + "s"
