"""A made-up market, the same on every machine: to try CryptoSim without data."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.bars import COLUMNS
from cryptosim_bt.data.feed import DataRequest, DataSource, Feed
from cryptosim_bt.data.timeframe import milliseconds, utc_index
from cryptosim_bt.errors import DataError
from cryptosim_bt.plugins.registry import register_feed

_FIRST_MS: Final = 1_730_419_200_000  # 2024-11-01 00:00 UTC
_SEED: Final = 20_241_101
_TICKS_PER_UNIT: Final = 10  # prices are counted in whole ticks of 0.1
_FIRST_PRICE: Final = 70_000
_STEPS_PER_HOUR: Final = 12  # steps of five minutes, so that high and low come from a path

_IntArray = npt.NDArray[np.int64]


# Stretches of the market: days, the price at their end, the usual five-minute step in ticks.
# In January 2025 the mean of a month rises with dips (days 61-75), then falls with rallies.
_SPELLS: Final = (
    (18, 84_000, 850),
    (8, 81_500, 1_300),
    (20, 93_000, 800),
    (6, 91_000, 450),
    (9, 95_500, 900),
    (13, 103_000, 1_000),
    (6, 91_500, 1_700),
    (12, 84_500, 1_400),
    (12, 88_000, 650),
    (16, 97_000, 900),
)


@register_feed("sample")
class SampleFeed(Feed):
    """Make hourly bars of a market that never was, 2024-11-01 to 2025-03-01 UTC.

    Trends, quiet and stormy spells and clustered volatility; prices on a tick of 0.1 between 60,000
    and 110,000, volume in contracts. Timeframes above 1h are aggregated from the hours. The symbol
    is ignored.
    """

    def load(self, request: DataRequest) -> pd.DataFrame:
        """Return all bars of the sample. Raise `DataError` for a timeframe below 1h."""
        hour_ms = milliseconds("1h")
        step_ms = milliseconds(request.timeframe)
        if step_ms % hour_ms:
            raise DataError(
                f"data.timeframe: sample has 1h bars, not {request.timeframe}; set 1h, 2h, 4h, 6h, "
                f"12h or 1d, or use source: file"
            )
        return _make_bars(step_ms // hour_ms)

    def describe(self, request: DataRequest) -> DataSource:
        """Return a source that is marked as synthetic."""
        return DataSource(source="sample", synthetic=True)


def _make_bars(hours_per_bar: int) -> pd.DataFrame:
    """Make the bars of the whole sample.

    Integers only, up to the last division: no rounding mode, vector unit or release of numpy can
    change a price. For the same reason the random bits of PCG64 are used raw: its bit stream is
    guaranteed to stay, the distributions that numpy derives from it are not.
    """
    steps_per_bar = _STEPS_PER_HOUR * hours_per_bar
    path = _walk(np.random.PCG64(_SEED))
    steps = path[1:].reshape(-1, steps_per_bar)
    closed = path[:-1:steps_per_bar]
    opens = closed + (steps[:, 0] - closed) // 16  # close to where the bar before closed
    prices = {
        "open": opens,
        "high": np.maximum(opens, steps.max(axis=1)),
        "low": np.minimum(opens, steps.min(axis=1)),
        "close": steps[:, -1],
    }
    moved = np.abs(np.diff(path)).reshape(-1, steps_per_bar).sum(axis=1)
    values = {name: ticks / _TICKS_PER_UNIT for name, ticks in prices.items()}
    values["volume"] = (200 * steps_per_bar + 5 * moved).astype(np.float64)  # moves bring trade
    step_ms = hours_per_bar * milliseconds("1h")
    index = utc_index(_FIRST_MS + step_ms * np.arange(len(opens), dtype=np.int64))
    return pd.DataFrame(values, index=index)[list(COLUMNS)]


def _walk(bits: np.random.PCG64) -> _IntArray:
    """Walk through all spells: the price in ticks, before the first step and after each.

    The price strays from the line to the spell's target and is drawn back to it. Its steps grow and
    shrink with `heat` (1024 = usual), which jumps with large shocks and cools slowly: large moves
    follow large moves.
    """
    ticks = [_FIRST_PRICE * _TICKS_PER_UNIT]
    level, stray, heat = ticks[0], 0, 1024
    for days, price, restlessness in _SPELLS:
        steps = days * 24 * _STEPS_PER_HOUR
        target = price * _TICKS_PER_UNIT
        shocks = _shocks(bits, steps)
        for step, shock in enumerate(shocks, start=1):
            heat = max(300, heat + (64 * abs(shock) // 1024 - 51) * heat // 1024)
            heat = min(heat, 3000)
            stray += restlessness * heat * shock // 2**20 - stray // 400
            ticks.append(level + (target - level) * step // steps + stray)
        level = target
    return np.array(ticks, dtype=np.int64)


def _shocks(bits: np.random.PCG64, count: int) -> list[int]:
    """Draw bell-shaped integers of mean 0 and standard deviation 1024.

    The sum of four uniform 16-bit numbers has mean 2 * 65535 and standard deviation 37837.
    """
    words = bits.random_raw(count)
    quarters = [(words >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)]
    totals = np.sum(quarters, axis=0).astype(np.int64)
    return [int(shock) for shock in (totals - 2 * 65535) * 1024 // 37837]
