"""The figures of a run, by hand (R26)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt.results import metrics

DAY_MS = 86_400_000


def bars_of(equity: list[float], first_open: float = 100.0, close: float = 100.0) -> pd.DataFrame:
    return pd.DataFrame({"open": first_open, "close": close, "equity": equity})


def trades_of(*net: float) -> pd.DataFrame:
    return pd.DataFrame({"net_pnl": np.array(net, dtype=float)})


def figures_of(equity: list[float], *net: float, inverse: bool = False) -> dict[str, float | None]:
    return metrics.figures(bars_of(equity), trades_of(*net), 100.0, DAY_MS, inverse=inverse)


def test_returns_are_of_the_initial_balance_and_the_year() -> None:
    # Two days from 100 to 121: 21 %, and (1.21)^(365/2) - 1 a year.
    figures = figures_of([110.0, 121.0])
    assert figures["total_return"] == pytest.approx(0.21, abs=1e-12)
    assert figures["annual_return"] == pytest.approx(1.21 ** (365 / 2) - 1, rel=1e-9)


@pytest.mark.parametrize(
    ("total", "days", "expected"),
    [
        (0.0, 10, 0.0),
        (0.1, 365, 0.1),
        (-1.0, 10, -1.0),
        (-2.0, 10, -1.0),
        (10.0, 0.01, None),  # 11^36500 is no float
    ],
)
def test_annual_return_of_edge_cases(total: float, days: float, expected: float | None) -> None:
    result = metrics.annual_return(total, round(days * DAY_MS))
    assert result == (None if expected is None else pytest.approx(expected, abs=1e-12))


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        ([110.0, 121.0], 0.0),
        ([90.0, 95.0], 0.10),  # the first point is the initial balance, 100
        ([120.0, 90.0, 150.0, 120.0], 0.25),  # 120 -> 90, not 150 -> 120
        ([0.0, 0.0], 1.0),
    ],
)
def test_max_drawdown_is_the_largest_fall_from_a_peak(
    equity: list[float], expected: float
) -> None:
    assert figures_of(equity)["max_drawdown"] == pytest.approx(expected, abs=1e-12)


def test_sharpe_has_the_sample_deviation_and_sortino_the_root_mean_square_of_losses() -> None:
    # Returns 10 %, -10 %, 20 %.
    returns = [0.1, -0.1, 0.2]
    figures = figures_of([110.0, 99.0, 118.8])
    mean = sum(returns) / 3
    deviation = math.sqrt(sum((each - mean) ** 2 for each in returns) / 2)
    downside = math.sqrt(0.1**2 / 3)
    assert figures["sharpe"] == pytest.approx(mean / deviation * math.sqrt(365), rel=1e-9)
    assert figures["sortino"] == pytest.approx(mean / downside * math.sqrt(365), rel=1e-9)


@pytest.mark.parametrize(
    ("equity", "sharpe", "sortino"),
    [
        ([100.0, 100.0, 100.0], None, None),  # no deviation at all
        ([110.0], None, None),  # one bar
        ([101.0, 103.0], "some", None),  # no bar lost
    ],
)
def test_ratio_without_a_value_is_none(
    equity: list[float], sharpe: str | None, sortino: str | None
) -> None:
    figures = figures_of(equity)
    assert (figures["sharpe"] is None) == (sharpe is None)
    assert (figures["sortino"] is None) == (sortino is None)


def test_equity_of_zero_gives_returns_of_zero_from_then_on() -> None:
    returns = metrics.bar_returns(100.0, np.array([50.0, 0.0, 0.0]))
    assert returns.tolist() == [-0.5, -1.0, 0.0]


def test_trade_figures_count_wins_above_zero_only() -> None:
    figures = figures_of([100.0], 3.0, -1.0, 0.0, 1.0)
    assert (figures["trades"], figures["wins"], figures["losses"]) == (4, 2, 2)
    assert figures["win_rate"] == 2 / 4
    assert figures["profit_factor"] == (3.0 + 1.0) / 1.0


def test_trade_figures_without_trades_or_losses_are_none() -> None:
    nothing = figures_of([100.0])
    assert (nothing["trades"], nothing["win_rate"], nothing["profit_factor"]) == (0, None, None)
    won = figures_of([100.0], 1.0)
    assert (won["win_rate"], won["profit_factor"]) == (1.0, None)


def test_inverse_account_has_a_return_in_usd_too() -> None:
    # 1.1 of the coins at 90 against 1.0 at 100.
    bars = bars_of([110.0], first_open=100.0, close=90.0)
    figures = metrics.figures(bars, trades_of(), 100.0, DAY_MS, inverse=True)
    assert figures["total_return_usd"] == pytest.approx(1.1 * 0.9 - 1.0, abs=1e-12)
    assert figures["buy_and_hold_return"] == pytest.approx(-0.1, abs=1e-12)
    assert figures_of([110.0])["total_return_usd"] is None
