"""Hourly-like bars for benchmarks: a seeded random walk with quiet and stormy spells."""

from __future__ import annotations

import numpy as np
import pandas as pd

FIRST_MS = 1_262_304_000_000  # 2010-01-01 UTC
HOUR_MS = 3_600_000


def hourly_bars(count: int, seed: int = 7) -> pd.DataFrame:
    """Return ``count`` bars around 20,000 with 0.5 % moves; the walk is pulled to its middle."""
    random = np.random.default_rng(seed)
    spell = np.repeat(random.choice([0.5, 1.0, 2.5], size=count // 500 + 1), 500)[:count]
    steps = random.normal(0.0, 0.005, count) * spell
    level = np.empty(count)
    height = 0.0
    for index, step in enumerate(steps):
        height += step - 0.0005 * height
        level[index] = height
    close = np.round(20_000.0 * np.exp(level), 1)
    open_ = np.concatenate(([20_000.0], close[:-1]))
    reach = np.abs(random.normal(0.0, 0.003, (2, count))) * spell
    high = np.round(np.maximum(open_, close) * (1.0 + reach[0]), 1)
    low = np.round(np.minimum(open_, close) * (1.0 - reach[1]), 1)
    times = pd.DatetimeIndex(
        (FIRST_MS + HOUR_MS * np.arange(count)).astype("datetime64[ms]"), name="time"
    ).tz_localize("UTC")
    return pd.DataFrame(
        {"open": open_, "high": high, "low": low, "close": close, "volume": 1.0}, index=times
    )
