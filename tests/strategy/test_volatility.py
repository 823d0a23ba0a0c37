"""The average true range by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from cryptosim_bt.strategy.volatility import average_true_range
from tests.helpers import bar_table, hours

# high - low: 2, 3, 1, 4, 2; the close before reaches beyond the third bar's low (98) and the
# fourth's high (95).
PRICES = [
    (100.0, 101.0, 99.0, 100.0),
    (100.0, 102.0, 99.0, 98.0 + 1.0),
    (101.0, 102.0, 101.0, 101.5),
    (97.0, 98.0, 94.0, 95.0),
    (95.0, 96.0, 94.0, 95.0),
]
# max(high, close before) - min(low, close before)
RANGES = [3.0, 102.0 - 99.0, 101.5 - 94.0, 96.0 - 94.0]


def test_atr_is_wilders_mean_of_true_ranges() -> None:
    # R46: (before * (period - 1) + range) / period.
    atr = average_true_range(bar_table(hours(*PRICES)), 2)
    first = (RANGES[0] + RANGES[1]) / 2.0
    second = (first + RANGES[2]) / 2.0
    third = (second + RANGES[3]) / 2.0
    assert all(math.isnan(value) for value in atr[:2])
    assert atr[2:] == pytest.approx([first, second, third], rel=1e-15)


def test_atr_of_too_few_bars_is_missing() -> None:
    assert all(math.isnan(value) for value in average_true_range(bar_table(hours(*PRICES)), 5))
    assert not math.isnan(average_true_range(bar_table(hours(*PRICES)), 4)[4])


def test_atr_does_not_know_later_bars() -> None:
    whole = average_true_range(bar_table(hours(*PRICES)), 2)
    for length in range(1, len(PRICES)):
        cut = average_true_range(bar_table(hours(*PRICES[:length])), 2)
        pd.testing.assert_series_equal(pd.Series(cut), pd.Series(whole[:length]), check_exact=True)


def test_atr_of_a_market_that_stands_still_is_zero() -> None:
    flat = hours(*[(100.0, 100.0, 100.0, 100.0)] * 10)
    assert average_true_range(bar_table(flat), 3)[3:] == [0.0] * 7
