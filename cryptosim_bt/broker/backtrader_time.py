"""backtrader's times: days since the year 1 as floats, and our epoch milliseconds, both UTC."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cryptosim_bt.data.timeframe import DAY_MS

# 1970-01-01 as backtrader counts days.
_EPOCH_DAY = 719_163

Times = TypeVar("Times", float, npt.NDArray[np.float64])


def epoch_ms(day: float) -> int:
    """Return a day number as epoch milliseconds."""
    return round((day - _EPOCH_DAY) * DAY_MS)


def float_ms(days: Times) -> Times:
    """Return day numbers as epoch milliseconds with their fractions."""
    return (days - _EPOCH_DAY) * DAY_MS


def day_number(ms: Times) -> Times:
    """Return epoch milliseconds as day numbers."""
    return ms / DAY_MS + _EPOCH_DAY
