"""Figures of an account, by hand and against empyrical-reloaded."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import empyrical
import numpy as np
import pandas as pd
import pytest

from cryptosim_bt.accounting.contracts import InverseContract, LinearContract
from cryptosim_bt.results import account_figures as figures
from cryptosim_bt.results import metrics

DAY_MS = 86_400_000
UTC = ZoneInfo("UTC")


def path(*equity: float) -> np.ndarray:
    return np.array(equity, dtype=float)


def test_drawdowns_start_from_the_initial_balance() -> None:
    # 90 of 100, a new peak 120, 90 of 120, 120 again.
    falls = figures.drawdowns(100.0, path(90.0, 120.0, 90.0, 120.0))
    assert falls.tolist() == pytest.approx([0.1, 0.0, 0.25, 0.0], abs=1e-12)


@pytest.mark.parametrize(
    ("equity", "bars"),
    [
        ([101.0, 102.0], 0),
        ([99.0, 100.0, 98.0, 99.0], 2),  # one bar below, a return to the peak, two below
        ([99.0, 98.0, 97.0], 3),  # still below at the end
    ],
)
def test_longest_drawdown_counts_bars_below_the_peak(equity: list[float], bars: int) -> None:
    assert figures.longest_drawdown(100.0, path(*equity)) == bars


def test_ulcer_index_is_the_root_mean_square_of_drawdowns() -> None:
    equity = path(90.0, 120.0, 90.0, 120.0)
    assert figures.ulcer_index(100.0, equity) == pytest.approx(
        math.sqrt((0.1**2 + 0.25**2) / 4), rel=1e-12
    )
    assert figures.ulcer_index(100.0, path(101.0, 102.0)) == 0.0


def test_calmar_is_none_without_a_drawdown_or_an_annual_return() -> None:
    assert figures.calmar(0.3, 0.1) == pytest.approx(3.0)
    assert figures.calmar(0.3, 0.0) is None
    assert figures.calmar(None, 0.1) is None


def test_volatility_needs_two_bars() -> None:
    assert figures.annual_volatility(path(0.1), 365.0) is None
    # Mean 0.1, deviations ±0.1, sample variance 0.02.
    expected = math.sqrt(0.02) * math.sqrt(365)
    assert figures.annual_volatility(path(0.0, 0.2), 365.0) == pytest.approx(expected)


def test_holding_compares_in_quote_currency() -> None:
    # The coin goes 100, 110, 99; the account moves twice as much: +20 %, -20 %.
    found = figures.against_holding(
        1000.0, path(1200.0, 960.0), 100.0, path(110.0, 99.0), DAY_MS
    )
    assert found["total_return"] == pytest.approx(-0.01)
    assert found["excess_return"] == pytest.approx(-0.04 - -0.01)
    assert found["beta"] == pytest.approx(2.0)
    assert found["correlation"] == pytest.approx(1.0)


def test_beta_and_correlation_of_what_does_not_move_are_none() -> None:
    still = figures.against_holding(10.0, path(11.0, 10.0), 100.0, path(100.0, 100.0), DAY_MS)
    assert (still["beta"], still["correlation"]) == (None, None)
    idle = figures.against_holding(10.0, path(10.0, 10.0), 100.0, path(110.0, 99.0), DAY_MS)
    assert (idle["beta"], idle["correlation"]) == (0.0, None)


def bars_of(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({name: np.array(values, dtype=float) for name, values in columns.items()})


def test_exposure_and_time_in_market_of_a_linear_account() -> None:
    # 10 contracts of 0.01 coins at 100: notional 10; equity 100.
    bars = bars_of(
        mark=[100, 100, 100, 200], equity=[100, 100, 100, 50], margin=[0, 2, 4, 5],
        long_contracts=[0, 10, 10, 10], short_contracts=[0, 0, 20, 0],
    )  # fmt: skip
    found = figures.market_figures(bars, LinearContract(0.01))
    assert found["time_in_market"] == {"any": 0.75, "long": 0.75, "short": 0.25, "both": 0.25}
    # Long 0, 0.1, 0.1 and 20/50 = 0.4; short 0.2 in the third bar.
    exposure = found["exposure"]
    assert exposure["average_long"] == pytest.approx((0.1 + 0.1 + 0.4) / 4)
    assert exposure["average_short"] == pytest.approx(0.2 / 4)
    assert exposure["average_gross"] == pytest.approx((0.1 + 0.3 + 0.4) / 4)
    assert exposure["max_gross"] == pytest.approx(0.4)
    assert exposure["average_net"] == pytest.approx((0.1 - 0.1 + 0.4) / 4)
    assert found["margin_use"] == {
        "average": pytest.approx((0.02 + 0.04 + 0.1) / 4), "max": pytest.approx(0.1),
    }  # fmt: skip


def test_exposure_of_an_inverse_account_is_in_coin() -> None:
    # 10 contracts of 100 USD at 1000 are one coin; the account holds 2.
    bars = bars_of(mark=[1000], equity=[2], margin=[0.2], long_contracts=[10], short_contracts=[0])
    found = figures.market_figures(bars, InverseContract(100.0))
    assert found["exposure"]["average_gross"] == pytest.approx(0.5)


def test_exposure_without_equity_is_none() -> None:
    bars = bars_of(mark=[10], equity=[0], margin=[0], long_contracts=[0], short_contracts=[0])
    found = figures.market_figures(bars, LinearContract(1.0))
    assert set(found["exposure"].values()) == {None}
    assert found["margin_use"] == {"average": None, "max": None}
    assert found["time_in_market"]["any"] == 0.0


def month_ends(*times: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(times), utc=True))


def test_months_are_those_of_the_zone() -> None:
    # 15:00 UTC is midnight in Seoul: the second bar opens in February there.
    times = month_ends("2025-01-31T14:00Z", "2025-01-31T15:00Z", "2025-02-01T00:00Z")
    equity = path(110.0, 99.0, 121.0)
    seoul = figures.monthly_returns(times, ZoneInfo("Asia/Seoul"), 100.0, equity)
    assert seoul == {"2025-01": pytest.approx(0.1), "2025-02": pytest.approx(0.1)}
    utc = figures.monthly_returns(times, UTC, 100.0, equity)
    assert utc == {"2025-01": pytest.approx(-0.01), "2025-02": pytest.approx(121 / 99 - 1)}


def test_month_that_begins_with_nothing_has_no_return() -> None:
    times = month_ends("2025-01-31T00:00Z", "2025-02-01T00:00Z")
    assert figures.monthly_returns(times, UTC, 1.0, path(0.0, 0.0)) == {
        "2025-01": -1.0, "2025-02": None,
    }  # fmt: skip


def test_drawdown_of_a_month_is_from_the_peak_of_all_before() -> None:
    times = month_ends("2025-01-31T00:00Z", "2025-02-01T00:00Z", "2025-02-02T00:00Z")
    found = figures.monthly_drawdowns(times, UTC, 100.0, path(200.0, 150.0, 180.0))
    assert found == {"2025-01": 0.0, "2025-02": 0.25}


# ---------------------------------------------------------------------- empyrical
@pytest.fixture(params=[0, 1, 2, 3])
def returns(request: pytest.FixtureRequest) -> np.ndarray:
    generator = np.random.default_rng(request.param)
    return generator.normal(0.0004, 0.02, size=400)


def figures_of(returns: np.ndarray) -> dict[str, float]:
    return figures.return_figures(100.0, 100.0 * np.cumprod(1.0 + returns), DAY_MS)


def test_figures_agree_with_empyrical(returns: np.ndarray) -> None:
    mine, year = figures_of(returns), {"annualization": 365}
    assert mine["total_return"] == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-9)
    assert mine["annual_return"] == pytest.approx(
        empyrical.annual_return(returns, **year), rel=1e-9
    )
    assert mine["annual_volatility"] == pytest.approx(
        empyrical.annual_volatility(returns, **year), rel=1e-9
    )
    assert mine["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns, **year), rel=1e-9)
    assert mine["sortino"] == pytest.approx(empyrical.sortino_ratio(returns, **year), rel=1e-9)
    assert mine["calmar"] == pytest.approx(empyrical.calmar_ratio(returns, **year), rel=1e-9)
    # empyrical writes a drawdown as a negative number.
    assert mine["max_drawdown"] == pytest.approx(-empyrical.max_drawdown(returns), rel=1e-9)


def test_beta_agrees_with_empyrical(returns: np.ndarray) -> None:
    market = np.random.default_rng(9).normal(0.0, 0.01, size=len(returns)) + 0.3 * returns
    found = figures.against_holding(
        100.0, 100.0 * np.cumprod(1.0 + returns), 50.0, 50.0 * np.cumprod(1.0 + market), DAY_MS
    )
    assert found["beta"] == pytest.approx(empyrical.beta(returns, market), rel=1e-9)


def test_where_empyrical_differs() -> None:
    # A year has 365 days of 24 hours here; empyrical counts 252 trading days unless told.
    few = np.array([0.01, -0.02, 0.03])
    assert figures_of(few)["sharpe"] == pytest.approx(
        empyrical.sharpe_ratio(few) * math.sqrt(365 / 252), rel=1e-9
    )
    # No bar lost: nothing to divide by. empyrical says infinite, and NaN for Calmar.
    rising = np.array([0.01, 0.02])
    assert figures_of(rising)["sortino"] is None
    assert math.isinf(empyrical.sortino_ratio(rising))
    assert figures_of(rising)["calmar"] is None
    assert math.isnan(empyrical.calmar_ratio(rising))
    # After everything is lost returns are 0 here; empyrical is given NaN by 0 / 0.
    assert metrics.bar_returns(1.0, np.array([0.0, 0.0])).tolist() == [-1.0, 0.0]
