"""Average true range over a bar table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.arithmetic import sum_floats


def average_true_range(bars: pd.DataFrame, period: int) -> list[float]:
    """Return Wilder's ATR of each bar (R46), causal; NaN for the first ``period`` bars.

    The true range is max(high, close before) - min(low, close before); the first value is the
    simple mean of ``period`` true ranges, each later ``(before * (period - 1) + range) / period``.
    """
    before = bars["close"].shift().to_numpy(np.float64)
    high = np.fmax(bars["high"].to_numpy(np.float64), before)
    low = np.fmin(bars["low"].to_numpy(np.float64), before)
    ranges = (high - low).tolist()
    values = [float("nan")] * len(ranges)
    if len(ranges) <= period:
        return values
    value = sum_floats(ranges[1 : period + 1]) / period
    values[period] = value
    for row in range(period + 1, len(ranges)):
        value = (value * (period - 1) + ranges[row]) / period
        values[row] = value
    return values
