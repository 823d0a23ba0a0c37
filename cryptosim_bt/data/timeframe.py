"""Timeframes and UTC times: their names, their lengths, how they are written.

A bar is named by the time it opens, in UTC (R1). Arithmetic on times uses whole milliseconds since
1970-01-01 UTC (``_ms``); tables carry them as a ``DatetimeIndex``; people read them as ISO-8601.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.errors import DataError

_MINUTE_MS: Final = 60_000
DAY_MS: Final = 1440 * _MINUTE_MS

_MINUTES: Final = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120,
                   "4h": 240, "6h": 360, "12h": 720, "1d": 1440}  # fmt: skip
TIMEFRAMES: Final = {name: minutes * _MINUTE_MS for name, minutes in _MINUTES.items()}
"""Length of every timeframe in milliseconds, shortest first."""

_ISO: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}"
    r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
)
# pandas counts nanoseconds since 1970, which end in April 2262.
LAST_TIME: Final = pd.Timestamp("2261-12-31", tz="UTC")


def milliseconds(timeframe: str) -> int:
    """Return the length of a timeframe, such as ``"1h"``; `DataError` where it is not known."""
    if timeframe not in TIMEFRAMES:
        raise DataError(f"timeframe: unknown {timeframe!r}; known: {', '.join(TIMEFRAMES)}")
    return TIMEFRAMES[timeframe]


def duration_text(length_ms: int) -> str:
    """Write a length of time as people say it.

    The name of a timeframe where there is one (``"1h"``), else the largest unit that divides it
    (``"90m"``, ``"7d"``, ``"1500ms"``).
    """
    for name, timeframe_ms in TIMEFRAMES.items():
        if timeframe_ms == length_ms:
            return name
    for unit, unit_ms in (("d", DAY_MS), ("h", 60 * _MINUTE_MS), ("m", _MINUTE_MS), ("s", 1000)):
        if length_ms % unit_ms == 0:
            return f"{length_ms // unit_ms}{unit}"
    return f"{length_ms}ms"


def iso_utc(time: pd.Timestamp | int) -> str:
    """Write a UTC time as ISO-8601 with a ``Z``, such as ``2025-01-01T00:00:00Z``.

    An int is milliseconds since 1970-01-01 UTC. Milliseconds are written where they are not zero.
    """
    moment = time if isinstance(time, pd.Timestamp) else from_milliseconds(time)
    utc = moment.tz_convert("UTC").tz_localize(None)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds") + "Z"


def to_milliseconds(time: pd.Timestamp) -> int:
    """Return the whole milliseconds from 1970-01-01 UTC to a time with a time zone."""
    return int(time.value) // 1_000_000


def from_milliseconds(time_ms: int) -> pd.Timestamp:
    """Return the UTC time that lies `time_ms` milliseconds after 1970-01-01 UTC."""
    return pd.Timestamp(int(time_ms), unit="ms", tz="UTC")


def utc_index(times_ms: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return the index ``time`` (datetime64[ms, UTC]) of milliseconds since 1970-01-01 UTC."""
    return pd.DatetimeIndex(times_ms.astype("datetime64[ms]"), name="time").tz_localize("UTC")


def times_of(table: pd.DataFrame | pd.Series) -> npt.NDArray[np.int64]:
    """Return the index of a table of times as milliseconds since 1970-01-01 UTC."""
    return pd.DatetimeIndex(table.index).as_unit("ms").asi8


def utc_time(text: str, zone: ZoneInfo) -> pd.Timestamp:
    """Return a configured date as UTC; without an offset it is local time of the zone.

    Dates behind the year 2261, such as 9999-12-31, are its end: "to the end of the data". Raise
    `ValueError` if it is no date as ISO-8601 writes it, lies before 1970, or is a local time that
    there is twice or never.
    """
    if _ISO.fullmatch(text) is None:
        raise ValueError("it is no date as ISO-8601 writes it")
    moment = datetime.fromisoformat(text.replace(" UTC", "Z").replace("UTC", "Z"))
    if moment.year > LAST_TIME.year:
        return LAST_TIME
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            raise ValueError("this local time comes twice or never; give it with an offset")
    if moment.year < 1970:
        raise ValueError("it lies before 1970")
    return pd.Timestamp(moment).tz_convert("UTC")
