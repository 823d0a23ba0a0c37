"""SMA trend with dip entries: the strategy of the first CryptoSim (R6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt import SignalStrategy, register_strategy

# Means that differ by no more than this share are equal: rolling sums carry float dust.
EQUAL_WITHIN = 1e-12


@register_strategy("simple_ma")
class SimpleMA(SignalStrategy):
    """Enter against the last bar in the direction of the trend.

    Long: the short mean is above the long one, the long one rises, and the close fell. Short: the
    short mean is below, the long one does not rise, and the close rose.

    Params:

      - ``short_period``, ``long_period``: bars of the two simple means, short < long
      - ``exit_on_cross``: on a bar without an entry, a golden cross (the short mean comes above
        the long one) exits the short Position, a dead cross (it comes below) the long one
    """

    params = (("short_period", 24), ("long_period", 720), ("exit_on_cross", False))

    @classmethod
    def check_params(cls, params: Any) -> str | None:
        """Require 1 <= short_period < long_period."""
        if params.short_period < 1:
            return f"short_period was {params.short_period}; allowed: 1 or more bars"
        if params.short_period >= params.long_period:
            return (
                f"short_period was {params.short_period}; allowed: below long_period, "
                f"{params.long_period}"
            )
        return None

    @classmethod
    def warmup(cls, params: Any) -> int:
        """Return the long period: the long mean of the bar before the first needs as many."""
        return int(params.long_period)

    @classmethod
    def generate_signals(cls, bars: pd.DataFrame, params: Any) -> pd.DataFrame:
        """Return the two means and the signal (R6)."""
        close = bars["close"]
        short = close.rolling(params.short_period).mean()
        long = close.rolling(params.long_period).mean()
        trend = _compare(short, long)
        slope = _compare(long, long.shift())
        move = _compare(close, close.shift(), within=0.0)
        known = (long.shift().notna() & short.shift().notna()).to_numpy()

        signal = np.zeros(len(bars), dtype=np.int64)
        if params.exit_on_cross:
            before = _compare(short.shift(), long.shift())
            signal[(trend > 0) & ~(before > 0)] = -2  # golden cross
            signal[(trend < 0) & ~(before < 0)] = 2  # dead cross
        signal[(trend > 0) & (slope > 0) & (move < 0)] = 1
        signal[(trend < 0) & ~(slope > 0) & (move > 0)] = -1
        signal[~known] = 0
        return pd.DataFrame(
            {
                f"sma_{params.short_period}": short,
                f"sma_{params.long_period}": long,
                "signal": signal,
            },
            index=bars.index,
        )


def _compare(
    left: pd.Series, right: pd.Series, within: float = EQUAL_WITHIN
) -> npt.NDArray[np.int64]:
    """Return 1 where left is above right, -1 where below, 0 where equal or unknown."""
    a, b = left.to_numpy(np.float64), right.to_numpy(np.float64)
    difference = a - b
    clear = np.abs(difference) > within * np.maximum(np.abs(a), np.abs(b))
    return np.where(clear, np.sign(difference), 0.0).astype(np.int64)
