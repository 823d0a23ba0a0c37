"""A column of times, in whole milliseconds since 1970-01-01 UTC.

Epoch numbers tell their unit by their size, texts are ISO-8601 (the year first, whatever separates
it from the month). Times without an offset are local times of a zone that has to be told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.errors import DataError, shown

# From each bound on: 1973 in seconds, then the year 1973 in milliseconds, micro- and nanoseconds,
# each up to the year 2200; all of them far away from any time of the others.
_EPOCH_BOUNDS: Final = np.array([10**8, 10**11, 10**14, 10**17], dtype=np.float64)
_EPOCH_RANGE: Final = 72.6
_UNITS_PER_MS: Final = np.array([0.001, 1.0, 1_000.0, 1_000_000.0])

_DATE: Final = r"\d{4}-\d{2}-\d{2}"
_CLOCK: Final = r"[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
_OFFSET: Final = r"Z|UTC|GMT|[+-]\d{2}:?\d{2}"
_LOCAL: Final = re.compile(rf"{_DATE}(?:{_CLOCK})?")
_WITH_OFFSET: Final = re.compile(rf"{_DATE}{_CLOCK}\s?(?:Z|[+-]\d{{2}}:?\d{{2}})")
# 2025.1.5 9:00, 2025. 1. 5. 오후 9:00, 2025년 1월 5일 9:00, 2025-01-05 09-PM; and 202501050900.
_LOOSE: Final = re.compile(
    r"(\d{4})(?:([-./]) ?(\d{1,2})\2 ?|년 ?(\d{1,2})월 ?)(\d{1,2})(?:일|\.)?"
    r"(?:[T ]+(오전 ?|오후 ?)?(\d{1,2})(?::(\d{2}))?(?::(\d{2}(?:\.\d+)?))?(?:[ -]?([AP]M))?)?"
    rf"\s*({_OFFSET})?",
    re.IGNORECASE,
)
_COMPACT: Final = re.compile(
    r"((?:19|20)\d\d)(\d\d)(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d(?:\.\d+)?))?)?"
    rf"\s*({_OFFSET})?"
)
_COMPACT_SIZES: Final = (10**4, 10**8, 10**10)  # for each year: 20250131, 202501310800, ...
DATE_ALONE: Final = re.compile(r"((?:19|20)\d\d)(?:[-./](\d\d?)[-./](\d\d?)|(\d\d)(\d\d)(?:\.0)?)")
CLOCK_ALONE: Final = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?")

_WANTED: Final = "a time (ISO-8601 such as 2025-01-31T08:00:00Z, or an epoch number)"


@dataclass(frozen=True, slots=True)
class Times:
    """Times in the order of the file; ``are_local`` where they came without an offset."""

    milliseconds: npt.NDArray[np.int64]
    are_local: bool


def read_times(column: pd.Series, name: str, zone: ZoneInfo | None) -> Times:
    """Read a column of times: numbers, texts or times of pandas.

    Those without an offset are in `zone`, None = UTC. Raise `DataError`, with the file's `name`, if
    one cannot be read, some have an offset and some have none, or a local time does not tell which
    moment it is.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        refuse_unreadable(column, column.isna(), _WANTED, name)
        times = pd.DatetimeIndex(column)
        return _placed(times.as_unit("ms").asi8, times.tz is None, zone, column, name)
    if not pd.api.types.is_bool_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce").astype("float64")
        if any(numbers.between(1900 * size, 2100 * size).all() for size in _COMPACT_SIZES):
            column = pd.Series(numbers.astype("int64"), name=column.name)
        elif numbers.notna().any():
            return Times(_epochs(column, numbers, name), are_local=False)
    texts = [_canonical(str(value).strip()) for value in column]
    local = np.array([_LOCAL.fullmatch(text) is not None for text in texts], dtype=bool)
    known = local | [_WITH_OFFSET.fullmatch(text) is not None for text in texts]
    refuse_unreadable(column, pd.Series(~known), _WANTED, name)
    if local.any() and not local.all():
        other = int((local != local[0]).argmax())
        raise DataError(
            f"{name}: {shown(column.name)} has times with an offset and times without one, the "
            f"first other in data row {other + 1}; write all of them alike"
        )
    parsed = pd.to_datetime(pd.Series(texts), utc=True, format="ISO8601", errors="coerce")
    refuse_unreadable(column, parsed.isna(), _WANTED, name)
    wall = pd.DatetimeIndex(parsed).as_unit("ms").asi8
    return _placed(wall, bool(local.all()), zone, column, name)


def joined_date_and_clock(dates: pd.Series, clocks: pd.Series) -> pd.Series | None:
    """Return a column of dates and one of times of day as one, None where they are not that."""
    joined = []
    for date, clock in zip(dates.astype("str"), clocks.astype("str"), strict=True):
        match = DATE_ALONE.fullmatch(date.strip())
        if match is None or CLOCK_ALONE.fullmatch(clock.strip()) is None:
            return None
        joined.append(f"{'-'.join(filter(None, match.groups()))} {clock.strip()}")
    return pd.Series(joined, name=f"{dates.name} {clocks.name}")


def refuse_unreadable(column: pd.Series, where: pd.Series, wanted: str, name: str) -> None:
    """Raise a `DataError` that names the first of the cells that cannot be read, if any."""
    if where.any():
        row = int(where.to_numpy().argmax())
        value = column.iloc[row]
        is_empty = not isinstance(value, (list, dict)) and bool(pd.isna(value))
        found = "empty" if is_empty else shown(str(value))
        raise DataError(
            f"{name}: {shown(column.name)} is {found} in data row {row + 1} ({int(where.sum())} "
            f"such in all); needed: {wanted}"
        )


def _canonical(text: str) -> str:
    """Write a date with its year first, such as ``2025.1.5 9:00``, as ISO-8601 does."""
    if _LOCAL.fullmatch(text) or _WITH_OFFSET.fullmatch(text):
        return text
    compact = _COMPACT.fullmatch(text)
    if compact is not None:
        year, month, day, hour, minute, second, offset = compact.groups()
        half = None
    else:
        match = _LOOSE.fullmatch(text)
        if match is None:
            return text
        year, _, month, spelt, day, before, hour, minute, second, behind, offset = match.groups()
        month, half = month or spelt, before or behind
    date = f"{year}-{month:0>2}-{day:0>2}"
    if hour is None:
        return date if offset is None else text
    if half is not None and 1 <= int(hour) <= 12:
        is_late = half.strip().upper() in ("오후", "PM")
        hour, minute = str(int(hour) % 12 + 12 * is_late), minute or "00"
    elif half is not None or minute is None:
        return text
    clock = f"{hour:0>2}:{minute}" + (f":{second}" if second else "")
    return f"{date} {clock}{'Z' if offset in ('UTC', 'GMT') else offset or ''}"


def _epochs(column: pd.Series, numbers: pd.Series, name: str) -> npt.NDArray[np.int64]:
    """Read epoch numbers, each in the unit that its size tells.

    One by one, because Binance went from milliseconds to microseconds in 2025: files of several
    years hold both. Rounded to the millisecond.
    """
    values = numbers.to_numpy(dtype=np.float64)
    unit = np.clip(np.searchsorted(_EPOCH_BOUNDS, values, side="right") - 1, 0, None)
    known = (values >= _EPOCH_BOUNDS[unit]) & (values < _EPOCH_RANGE * _EPOCH_BOUNDS[unit])
    refuse_unreadable(column, pd.Series(~known), _WANTED, name)  # NaN too
    times: npt.NDArray[np.int64] = np.rint(values / _UNITS_PER_MS[unit]).astype(np.int64)
    return times


def _placed(
    wall: npt.NDArray[np.int64],
    are_local: bool,
    zone: ZoneInfo | None,
    column: pd.Series,
    name: str,
) -> Times:
    """Place local times in their zone; others have their place."""
    if not are_local or zone is None:
        return Times(wall, are_local)
    falling = bool(len(wall) > 1 and (np.diff(wall) <= 0).all())
    ordered = wall[::-1] if falling else wall
    summer, winter = (_localized(ordered, zone, reading) for reading in (True, False))
    never = pd.Series((summer == _NAT) | (winter == _NAT))
    refuse_unreadable(
        column, never[::-1] if falling else never,
        f"a time that there is in {zone.key} (data.timezone), or times with an offset", name,
    )  # fmt: skip
    chosen = summer.copy()
    # In autumn an hour comes twice: the first time in summer time, then in winter time.
    for row in np.flatnonzero(summer != winter):
        if row and chosen[row - 1] >= chosen[row]:
            chosen[row] = winter[row]
    return Times(chosen[::-1] if falling else chosen, are_local)


_NAT: Final = np.iinfo(np.int64).min


def _localized(
    wall: npt.NDArray[np.int64], zone: ZoneInfo, is_summer: bool
) -> npt.NDArray[np.int64]:
    local = pd.DatetimeIndex(wall.astype("datetime64[ms]"))
    placed = local.tz_localize(zone, ambiguous=np.full(len(wall), is_summer), nonexistent="NaT")
    return placed.as_unit("ms").asi8
