"""Funding rates over a window: at fixed times of day, or from a series of an exchange (R22).

A rate is a fraction per funding time: 0.0001 = 0.01 %; positive = longs pay shorts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.bars import check_order, usual_step
from cryptosim_bt.data.table_columns import FUNDING
from cryptosim_bt.data.tabular import read_table
from cryptosim_bt.data.timeframe import (
    DAY_MS,
    duration_text,
    from_milliseconds,
    iso_utc,
    to_milliseconds,
    utc_index,
)
from cryptosim_bt.errors import DataError, listed

Missing = Literal["error", "zero", "last"]
"""What to do about missing rates: refuse, take 0, or take the rate of the funding time before."""

# Venues cap what is paid at one funding time, most of them below this: 1 %.
SUSPICIOUS_RATE: Final = 0.01
_MINUTE_MS: Final = 60_000
_USUAL_MS: Final = 8 * 60 * _MINUTE_MS
_STAMP_TOLERANCE_MS: Final = 1_000
_VENUE_INTERVALS_MS: Final = tuple(hours * 60 * _MINUTE_MS for hours in (1, 2, 4, 8))
_SHORTEST_RUN: Final = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class FundingSchedule:
    """The funding times of a window and their rates.

    Attributes
    ----------
    times_ms : numpy.ndarray of int64
        Funding times in ms since 1970-01-01 UTC, ascending.
    rates : numpy.ndarray of float64
        Rate at each of them, a fraction; those that were missing as `missing` said.
    expected : int
        How many funding times lie in the window, missing ones included: the length of both arrays.
    missing : int
        How many of them are missing from the series.
    first_missing : pandas.Timestamp or None
        The first of those; None where none is missing.
    missing_ms : numpy.ndarray of int64
        All of those.
    lowest, highest : float
        The extreme rates of the whole series.
    """

    times_ms: npt.NDArray[np.int64]
    rates: npt.NDArray[np.float64]
    expected: int
    missing: int
    first_missing: pd.Timestamp | None
    missing_ms: npt.NDArray[np.int64]
    lowest: float
    highest: float


def constant_funding(
    rate: float, times: Iterable[str], start: pd.Timestamp, end: pd.Timestamp
) -> list[tuple[int, float]]:
    """List the funding times of ``start <= time < end`` at fixed times of day.

    Parameters
    ----------
    rate : float
        Fraction per funding time; positive = longs pay. 0 means no funding: an empty list.
    times : Iterable of str
        Times of day in UTC, ``"HH:MM"``; order and repetition do not matter.
    start, end : pandas.Timestamp
        The window, with a time zone.

    Returns
    -------
    list of (int, float)
        Milliseconds since 1970-01-01 UTC and the rate, ascending.

    Raises
    ------
    DataError
        If one of `times` is not a time of day.
    """
    offsets = sorted({_time_of_day_ms(time) for time in times})
    if rate == 0.0:
        return []
    start_ms, end_ms = to_milliseconds(start), to_milliseconds(end)
    first_day = start_ms - start_ms % DAY_MS
    moments = (day + offset for day in range(first_day, end_ms, DAY_MS) for offset in offsets)
    return [(moment, rate) for moment in moments if start_ms <= moment < end_ms]


def read_funding_file(path: Path) -> pd.Series[float]:
    """Read funding rates from a file in any of the forms that bars may have.

    Exchanges stamp funding a few milliseconds off: a time within a second of a full minute is taken
    as that minute.

    Parameters
    ----------
    path : pathlib.Path
        CSV, JSON, Parquet or Feather with the columns ``timestamp`` and ``funding_rate`` (or their
        usual other names; without a header, in this order). Where a file has both, the rate that
        was paid goes before the predicted one. Times without an offset are UTC.

    Returns
    -------
    pandas.Series
        ``funding_rate``, indexed by ``time`` (datetime64[ms, UTC]), ascending; at least two.

    Raises
    ------
    DataError
        If the file cannot be read, one time has two rates, a rate is missing, or there is one rate
        only.
    """
    table = read_table(path, FUNDING)
    times = to_full_minutes(pd.DatetimeIndex(table.index).asi8)
    rates = table["funding_rate"].to_numpy()
    check_order(times, str(path))
    unknown = ~np.isfinite(rates)
    if unknown.any():
        first = iso_utc(int(times[unknown.argmax()]))
        raise DataError(
            f"{path}: funding_rate is missing or not finite at {first} ({int(unknown.sum())} in "
            f"all); fill them in, or remove the rows and set backtest.funding.missing"
        )
    if len(times) < 2:
        raise DataError(f"{path}: there is one funding rate only; give two or more")
    _warn_of_large_rates(rates, times, str(path))
    _say_intervals(times, str(path))
    return pd.Series(rates, index=utc_index(times), name="funding_rate")


def series_funding(
    series: pd.Series[float],
    start: pd.Timestamp,
    end: pd.Timestamp,
    missing: Missing,
    source: str = "funding",
) -> FundingSchedule:
    """Cut the funding times of ``start <= time < end`` out of a series, and fill its holes.

    A hole is a step longer than the usual ones around it, or a part of the window before the first
    or behind the last rate (R22). Usual is the series' most common step, and where a venue changed
    its interval, one of 1, 2, 4 or 8 hours that comes three times running. Missing times are those
    that lie whole usual steps behind the rate before the hole; before the first rate, whole usual
    steps in front of it.

    Parameters
    ----------
    series : pandas.Series
        Rates by time, as `read_funding_file` returns them.
    start, end : pandas.Timestamp
        The window in which bars are simulated, with a time zone.
    missing : {"error", "zero", "last"}
        "zero" (nobody pays) errs for whoever would have paid; "last" repeats the rate before the
        hole, also one from before the window. Both say so in a WARNING.
    source : str
        What the series is called in messages, such as the name of its file.

    Raises
    ------
    DataError
        If rates are missing and `missing` is "error", or is "last" and there is no rate before.
    """
    times = pd.DatetimeIndex(series.index).as_unit("ms").asi8
    start_ms, end_ms = to_milliseconds(start), to_milliseconds(end)
    expected = _expected_times(times, start_ms, end_ms)
    before = np.searchsorted(times, expected, side="right") - 1  # the last rate at or before
    is_missing = (before < 0) | (times[before] != expected)
    rates = np.asarray(series, dtype=np.float64)[before]
    count = int(is_missing.sum())
    first_missing = from_milliseconds(int(expected[is_missing.argmax()])) if count else None
    if first_missing is not None:
        found = (
            f"{count} of {len(expected)} funding times from {iso_utc(start_ms)} to "
            f"{iso_utc(end_ms)} have no rate, the first {iso_utc(first_missing)}"
        )
        if missing == "error":
            cure = "complete the series, or set backtest.funding.missing to zero or last"
            raise DataError(f"{source}: {found}; {cure}")
        if missing == "last" and before[0] < 0:
            cure = "backtest.funding.missing: last needs a rate before it; give one, or set zero"
            raise DataError(f"{source}: {found}; {cure}")
        logger.warning("%s: %s; backtest.funding.missing: %s", source, found, missing)
    if missing == "zero":
        rates = np.where(is_missing, 0.0, rates)
    return FundingSchedule(
        times_ms=expected,
        rates=rates,
        expected=len(expected),
        missing=count,
        first_missing=first_missing,
        missing_ms=expected[is_missing],
        lowest=float(series.min()),
        highest=float(series.max()),
    )


def venue_funding(
    series: pd.Series[float], start: pd.Timestamp, end: pd.Timestamp, missing: Missing, source: str
) -> FundingSchedule:
    """Cut the funding times of a window out of what a venue gave, which may be nothing.

    A venue keeps its rates for some months only, so of an older window it has none: no funding time
    is known then either, and only ``missing: zero`` lets such a run go on.

    Raises
    ------
    DataError
        If rates are missing and `missing` does not allow it.
    """
    if len(series) >= 2:
        return series_funding(series, start, end, missing, source)
    found = (
        f"{source}: the venue has {len(series) or 'none'} from {iso_utc(start)} to {iso_utc(end)} "
        "(OKX keeps about three months)"
    )
    if missing != "zero":
        raise DataError(
            f"{found}; give backtest.funding.rate (0 = none) or path, import rates with "
            "`import-data --kind funding`, or set backtest.funding.missing: zero"
        )
    logger.warning("%s: nobody pays, backtest.funding.missing: zero", found)
    # When it would have been paid is not known either: every 8 hours, as most venues do.
    first, end_ms = to_milliseconds(start), to_milliseconds(end)
    times = np.arange(-(-first // _USUAL_MS) * _USUAL_MS, end_ms, _USUAL_MS, dtype=np.int64)
    return FundingSchedule(
        times_ms=times,
        rates=np.zeros(len(times)),
        expected=len(times),
        missing=len(times),
        first_missing=from_milliseconds(int(times[0])) if len(times) else None,
        missing_ms=times,
        lowest=0.0,
        highest=0.0,
    )


def _expected_times(
    times_ms: npt.NDArray[np.int64], start_ms: int, end_ms: int
) -> npt.NDArray[np.int64]:
    """Return the funding times in the window: those of the series, and those missing from it."""
    usual = usual_step(times_ms)
    if usual is None:
        raise DataError("funding: one rate tells no funding interval; give two or more")
    steps = np.diff(times_ms)
    before, behind = _usual_steps(steps, usual)
    first, last = int(times_ms[0]), int(times_ms[-1])
    parts = [times_ms]
    parts += [
        np.arange(times_ms[i] + before[i], times_ms[i + 1], before[i])
        for i in np.flatnonzero(steps > np.maximum(before, behind))
    ]
    if start_ms < first:
        parts.append(np.arange(first - behind[0], start_ms - 1, -behind[0]))
    if last < end_ms:
        parts.append(np.arange(last + before[-1], end_ms, before[-1]))
    every = np.sort(np.concatenate(parts))
    return every[(every >= start_ms) & (every < end_ms)]


def _usual_steps(
    steps: npt.NDArray[np.int64], usual: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each step the nearest usual one up to it, and from it on (R22)."""
    starts = np.flatnonzero(np.diff(steps, prepend=-1))
    lengths = np.diff(starts, append=len(steps))
    length_of_run = np.repeat(lengths, lengths)
    is_usual = steps == usual
    is_usual |= (length_of_run >= _SHORTEST_RUN) & np.isin(steps, _VENUE_INTERVALS_MS)
    places = np.arange(len(steps))
    up_to = np.maximum.accumulate(np.where(is_usual, places, -1))
    from_on = np.minimum.accumulate(np.where(is_usual, places, len(steps))[::-1])[::-1]
    up_to = np.where(up_to < 0, from_on, up_to)
    from_on = np.where(from_on == len(steps), up_to, from_on)
    return steps[up_to], steps[from_on]


def _say_intervals(times_ms: npt.NDArray[np.int64], source: str) -> None:
    steps = np.diff(times_ms)
    usual = usual_step(times_ms)
    if usual is None:
        return
    before, _ = _usual_steps(steps, usual)
    changes = np.flatnonzero(np.diff(before)) + 1
    if len(changes):
        first, *later = (duration_text(int(before[i])) for i in (0, *changes))
        since = [iso_utc(int(times_ms[i])) for i in changes]
        said = [f"{interval} from {time}" for interval, time in zip(later, since, strict=True)]
        logger.info(
            "%s: the funding interval changes: %s, then %s", source, first, listed(said)
        )


def _warn_of_large_rates(
    rates: npt.NDArray[np.float64], times_ms: npt.NDArray[np.int64], source: str
) -> None:
    large = np.abs(rates) >= SUSPICIOUS_RATE
    if large.any():
        rate, first = float(rates[large.argmax()]), iso_utc(int(times_ms[large.argmax()]))
        logger.warning(
            "%s: the funding rate %g at %s is a fraction, %g %% of the position at one funding "
            "time (%d of %d rates are 1 %% or more); if the file means per cent, divide it by 100",
            source, rate, first, rate * 100, large.sum(), len(rates),
        )  # fmt: skip


def to_full_minutes(times_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Take times within a second of a full minute as that minute: venues stamp them a bit off."""
    minutes = (times_ms + _MINUTE_MS // 2) // _MINUTE_MS * _MINUTE_MS
    return np.where(np.abs(times_ms - minutes) < _STAMP_TOLERANCE_MS, minutes, times_ms)


def _time_of_day_ms(text: str) -> int:
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        raise DataError(f"backtest.funding.times: {text!r} is no time of day; write HH:MM, in UTC")
    hours, minutes = map(int, match.groups())
    return (hours * 60 + minutes) * _MINUTE_MS
