"""Where a time axis has its ticks, and how they are written: round local times, evenly apart.

matplotlib's own locator begins again with each month, and its labels run into each other there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.datetime64]

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SECONDS = (
    *(minutes * _MINUTE for minutes in (1, 5, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 3, 7, 14)),
)
_MONTHS = (1, 2, 3, 6, 12, 24, 60)
# 1970-01-01 was a Thursday; steps of weeks begin on Mondays.
_TO_MONDAY = 4 * _DAY


def round_times(first: np.datetime64, last: np.datetime64, most: int = 16) -> Times:
    """Return round times from ``first`` to ``last``, at most ``most`` of them.

    The times are naive; with no round time between the two, the first alone.
    """
    begin, end = (int(time.astype("datetime64[s]").astype(np.int64)) for time in (first, last))
    for step in _SECONDS:
        if (end - begin) // step < most:
            shift = _TO_MONDAY if step % (7 * _DAY) == 0 else 0
            ticks = np.arange(-(-(begin - shift) // step) * step + shift, end + 1, step)
            times = ticks.astype("datetime64[s]")
            return times if len(times) else np.array([first], dtype="datetime64[s]")
    months = [int(time.astype("datetime64[M]").astype(np.int64)) for time in (first, last)]
    step = next((n for n in _MONTHS if (months[1] - months[0]) // n < most), 120)
    ticks = np.arange(-(-months[0] // step) * step, months[1] + 1, step).astype("datetime64[M]")
    times = ticks.astype("datetime64[s]")
    return times[(times >= first) & (times <= last)]


def tick_labels(times: Times) -> list[str]:
    """Write ticks shortly: the date at midnight, the time else, the year where it begins."""
    if not len(times):
        return []
    days = times.astype("datetime64[D]")
    if len(times) > 1 and (np.diff(days).astype(np.int64) > 27).all():
        return [str(month) for month in times.astype("datetime64[M]")]
    labels, year = [], None
    for time, day in zip(times, days, strict=True):
        text = str(day)
        if text[:4] != year:
            labels.append(text if time == day else f"{text} {str(time)[11:16]}")
        else:
            labels.append(text[5:] if time == day else str(time)[11:16])
        year = text[:4]
    return labels
