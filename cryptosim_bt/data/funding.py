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
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.bars import check_order, usual_step
from cryptosim_bt.data.table_columns import FUNDING, Layout
from cryptosim_bt.data.tabular import read_table
from cryptosim_bt.data.timeframe import (
    DAY_MS,
    duration_text,
    from_milliseconds,
    iso_utc,
    times_of,
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
    times_ms, missing_ms : numpy.ndarray of int64
        Funding times in ms since 1970-01-01 UTC, ascending: all, and those missing from the series.
    rates : numpy.ndarray of float64
        Rate at each of them, a fraction; those that were missing as `missing` said.
    expected, missing : int
        How many there are, and how many are missing; ``first_missing`` is the first of those.
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
    """List the funding times of ``start <= time < end`` at fixed times of day, with the rate.

    Parameters
    ----------
    rate : float
        Fraction per funding time; positive = longs pay. 0 means no funding: an empty list.
    times : Iterable of str
        Times of day in UTC, ``"HH:MM"``, in any order; `DataError` for one that is none.

    Returns
    -------
    list of (int, float)
        Milliseconds since 1970-01-01 UTC and the rate, ascending.
    """
    offsets = sorted({_time_of_day_ms(time) for time in times})
    if rate == 0.0:
        return []
    start_ms, end_ms = to_milliseconds(start), to_milliseconds(end)
    first_day = start_ms - start_ms % DAY_MS
    moments = (day + offset for day in range(first_day, end_ms, DAY_MS) for offset in offsets)
    return [(moment, rate) for moment in moments if start_ms <= moment < end_ms]


def read_funding_file(
    path: Path, zone: ZoneInfo | None = None, run_zone: ZoneInfo | None = None
) -> pd.Series[float]:
    """Read two or more funding rates from a file, as `read_rates` does.

    Large rates are named in a WARNING, changes of the interval in an INFO line.
    """
    rates = read_rates(path, FUNDING, zone, run_zone)
    if len(rates) < 2:
        raise DataError(f"{path}: there is one funding rate only; give two or more")
    _warn_of_large_rates(rates, str(path))
    _say_intervals(times_of(rates), str(path))
    return rates


def read_rates(
    path: Path,
    layout: Layout = FUNDING,
    zone: ZoneInfo | None = None,
    run_zone: ZoneInfo | None = None,
) -> pd.Series[float]:
    """Read any number of funding rates: ``funding_rate``, indexed by ``time`` in UTC, ascending.

    The file has the columns ``timestamp`` and ``funding_rate`` (or their usual other names; without
    a header, in this order), in any of the forms that bars may have. Where it has both, the rate
    that was paid goes before the predicted one. Times without an offset are in `zone`, as in
    `read_table`; exchanges stamp funding a bit off: a time within a second of a full minute is
    taken as that minute. `DataError` if the file cannot be read, one time has two rates, or a rate
    is missing.
    """
    table = read_table(path, layout, zone, run_zone)
    times = to_full_minutes(times_of(table))
    check_order(times, str(path))
    rates = table["funding_rate"].set_axis(utc_index(times), axis="index")
    unknown = rates.index[~np.isfinite(rates)]
    if len(unknown):
        raise DataError(
            f"{path}: funding_rate is missing or not finite at {iso_utc(unknown[0])} "
            f"({len(unknown)} in all); fill them in, or remove the rows and set "
            "backtest.funding.missing"
        )
    return rates


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

    With ``missing="zero"`` nobody pays, which errs for whoever would have; "last" repeats the rate
    before the hole, also one from before the window; both say so in a WARNING. `DataError` if rates
    are missing and `missing` is "error", or is "last" and there is no rate before.
    """
    start_ms, end_ms = to_milliseconds(start), to_milliseconds(end)
    expected = _expected_times(times_of(series), start_ms, end_ms)
    known = series.set_axis(times_of(series))
    rates = known.reindex(expected, method="ffill")  # the last rate at or before
    lost = expected[~np.isin(expected, known.index)]
    if len(lost):
        found = (
            f"{len(lost)} of {len(expected)} funding times from {iso_utc(start_ms)} to "
            f"{iso_utc(end_ms)} have no rate, the first {iso_utc(int(lost[0]))}"
        )
        if missing == "error":
            cure = "complete the series, or set backtest.funding.missing to zero or last"
            raise DataError(f"{source}: {found}; {cure}")
        if missing == "last" and np.isnan(rates.iloc[0]):
            cure = "backtest.funding.missing: last needs a rate before it; give one, or set zero"
            raise DataError(f"{source}: {found}; {cure}")
        logger.warning("%s: %s; backtest.funding.missing: %s", source, found, missing)
    paid = np.asarray(rates, dtype=np.float64)
    if missing == "zero":
        paid = np.where(np.isin(expected, lost), 0.0, paid)
    return _schedule(expected, paid, lost, (float(series.min()), float(series.max())))


def _schedule(
    times_ms: npt.NDArray[np.int64], rates: npt.NDArray[np.float64],
    lost: npt.NDArray[np.int64], extremes: tuple[float, float],
) -> FundingSchedule:  # fmt: skip
    first = from_milliseconds(int(lost[0])) if len(lost) else None
    return FundingSchedule(times_ms, rates, len(times_ms), len(lost), first, lost, *extremes)


def venue_funding(
    series: pd.Series[float], start: pd.Timestamp, end: pd.Timestamp, missing: Missing, source: str
) -> FundingSchedule:
    """Cut the funding times of a window out of what a venue gave, which may be nothing.

    A venue keeps its rates for some months only, so of an older window it has none: no funding time
    is known then either, and only ``missing: zero`` lets such a run go on; else a `DataError`.
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
    return _schedule(times, np.zeros(len(times)), times, (0.0, 0.0))


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


def _warn_of_large_rates(rates: pd.Series[float], source: str) -> None:
    large = rates[rates.abs() >= SUSPICIOUS_RATE]
    if len(large):
        rate, first = float(large.iloc[0]), iso_utc(large.index[0])
        logger.warning(
            "%s: the funding rate %g at %s is a fraction, %g %% of the position at one funding "
            "time (%d of %d rates are 1 %% or more); if the file means per cent, divide it by 100",
            source, rate, first, rate * 100, len(large), len(rates),
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
