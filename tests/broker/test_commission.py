"""The commission scheme: backtrader's hooks, and schemes of a user's own in a run."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import backtrader as bt
import pytest

from cryptosim_bt import FuturesCommission, InputError, InverseContract, LinearContract, Result
from cryptosim_bt.accounting.contracts import FirstCryptoSimContract, Leg
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.accounting.orders import Liquidity
from cryptosim_bt.backtest.lean_loop import LeanCerebro
from cryptosim_bt.broker.commission import PlainScheme, scheme_of, search_region
from tests.helpers import PLAIN, changed, hours, prepared_run, run_with_cerebro

pytestmark = pytest.mark.usefixtures("quiet_framework")

INVERSE = FuturesCommission(
    contract=InverseContract(100.0), maker=0.0002, taker=0.0005, futures_leverage=5.0,
    tiers=MaintenanceTiers.single(0.004), liquidation_fee_rate=0.01,
)  # fmt: skip


# ---------------------------------------------------------------------- backtrader's hooks
def test_hooks_answer_with_the_contracts_money() -> None:
    # 4 contracts of 100 USD at 80 are 5 coins.
    assert INVERSE.getcommission(-4, 80.0) == pytest.approx(5 * 0.0005, abs=1e-15)
    assert INVERSE.get_margin(80.0) == pytest.approx(100 / 80 / 5, abs=1e-15)
    assert INVERSE.profitandloss(-4, 80.0, 100.0) == pytest.approx(-(5.0 - 4.0), abs=1e-15)
    assert INVERSE.cashadjust(4, 80.0, 100.0) == pytest.approx(1.0, abs=1e-15)
    assert INVERSE.profitandloss(0, 80.0, 100.0) == 0.0
    assert INVERSE.getsize(80.0, 1.0) == pytest.approx(1.0 / (100 / 80 / 5), abs=1e-12)


def test_maker_and_taker_pay_their_own_rates() -> None:
    # R17
    assert INVERSE.fee(4, 80.0, Liquidity.MAKER) == pytest.approx(5 * 0.0002, abs=1e-15)
    assert INVERSE.fee(4, 80.0, Liquidity.TAKER) == pytest.approx(5 * 0.0005, abs=1e-15)
    assert INVERSE.liquidation_fee(4, 80.0) == pytest.approx(5 * 0.01, abs=1e-15)
    assert INVERSE.initial_margin(4, 80.0) == pytest.approx(1.0, abs=1e-15)


def test_one_maintenance_rate_is_one_tier() -> None:
    rate = FuturesCommission(contract=LinearContract(1.0), maintenance_margin_rate=0.004)
    tier = FuturesCommission(contract=LinearContract(1.0), tiers=MaintenanceTiers.single(0.004))
    legs = [Leg("long", 3.0, 100.0)]
    for scheme in (rate, tier):
        assert scheme.maintenance_margin(3.0, 50.0) == 3.0 * 50.0 * 0.004
    assert rate.liquidation_region(legs, 60.0, 100.0) == tier.liquidation_region(legs, 60.0, 100.0)
    with pytest.raises(InputError, match=r"maintenance_margin_rate was 0\.01 beside tiers"):
        FuturesCommission(maintenance_margin_rate=0.01, tiers=MaintenanceTiers.single(0.004))


def test_only_cryptosim_pnl_is_summed_by_group() -> None:
    assert not INVERSE.by_group
    assert FuturesCommission(contract=FirstCryptoSimContract(1.0)).by_group


# ---------------------------------------------------------------------- the search
class Searched(FuturesCommission):
    """The same money, but without a closed form: an overridden hook."""

    def profitandloss(self, size: float, price: float, newprice: float) -> float:
        return float(super().profitandloss(size, price, newprice))


LEGS = {
    "long": [Leg("long", 3.0, 100.0)],
    "short": [Leg("short", 3.0, 100.0)],
    "hedge": [Leg("long", 3.0, 100.0), Leg("short", 1.0, 130.0)],
    "even hedge": [Leg("long", 2.0, 100.0), Leg("short", 2.0, 100.0)],
}


@pytest.mark.parametrize("legs", LEGS.values(), ids=list(LEGS))
@pytest.mark.parametrize("contract", [InverseContract(100.0), LinearContract(1.0)])
@pytest.mark.parametrize("coins", [0.5, 2.0, 50.0])
def test_searched_liquidation_region_is_the_closed_forms(
    legs: list[Leg], contract: Any, coins: float
) -> None:
    # R23; the balance is some coins, or what they are worth at 100.
    balance = coins if isinstance(contract, InverseContract) else coins * 100.0
    params = {"contract": contract, "taker": 0.0005, "tiers": MaintenanceTiers.single(0.004)}
    closed = FuturesCommission(**params).liquidation_region(legs, balance, 100.0)
    searched = Searched(**params).liquidation_region(legs, balance, 100.0)
    for ours, theirs in zip(searched, closed, strict=True):
        # The search ends at a thousandth and a thousandfold of the entry.
        if math.isfinite(theirs) and 0.1 < theirs < 100_000:
            assert ours == pytest.approx(theirs, rel=1e-9)
        else:
            assert not math.isfinite(ours) or ours == theirs


def test_search_without_legs_finds_nothing() -> None:
    assert search_region(INVERSE, [], 1.0, 100.0) == (-math.inf, math.inf)


def test_search_of_an_account_that_has_ended_says_every_price() -> None:
    assert search_region(INVERSE, LEGS["long"], -5.0, 100.0).contains(100.0)


# ---------------------------------------------------------------------- a scheme of one's own
def run_with(scheme: bt.CommInfoBase | None, **changes: Any) -> Result:
    """Enter long at 100, take the profit at 102."""
    bars = hours(*[(100.0, 100.0, 100.0, 100.0)] * 2, (100.0, 102.0, 100.0, 102.0))
    rules = changed(PLAIN, maker=0.001, taker=0.002, **changes)
    run = prepared_run(bars, [1, 0, 0], rules)
    return run_with_cerebro(run, LeanCerebro(stdstats=False), commission=scheme)


def linear_scheme(kind: type[FuturesCommission]) -> FuturesCommission:
    return kind(contract=LinearContract(1.0), maker=0.001, taker=0.002, futures_leverage=5.0)


class FlatFee(FuturesCommission):
    """Half a dollar a fill, whatever the size."""

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        return 0.5


class DoubleMoney(FuturesCommission):
    """Each dollar of movement counts twice."""

    def profitandloss(self, size: float, price: float, newprice: float) -> float:
        return 2.0 * float(super().profitandloss(size, price, newprice))


class ExpensiveMargin(FuturesCommission):
    """A contract needs 2,000 of margin."""

    def get_margin(self, price: float) -> float:
        return 2000.0


def test_run_without_a_scheme_of_ones_own_pays_the_configured_fees() -> None:
    result = run_with(None)
    assert result.fills["fee"].tolist() == pytest.approx([0.001 * 100, 0.001 * 102], abs=1e-12)


def test_own_fee_takes_effect_in_a_run() -> None:
    result = run_with(linear_scheme(FlatFee))
    assert result.fills["fee"].tolist() == [0.5, 0.5]
    assert result.summary["final_balance"] == 1000.0 + 2.0 - 2 * 0.5
    assert result.trades["net_pnl"].tolist() == [2.0 - 2 * 0.5]


def test_own_pnl_takes_effect_in_a_run() -> None:
    result = run_with(linear_scheme(DoubleMoney))
    assert result.summary["final_balance"] == pytest.approx(
        1000.0 + 2 * 2.0 - 0.001 * (100 + 102), abs=1e-9
    )


def test_own_margin_takes_effect_in_a_run() -> None:
    # R9, R20
    result = run_with(linear_scheme(ExpensiveMargin))
    assert result.summary["entries_refused"] == {"margin": 1}


def test_plain_backtrader_scheme_takes_effect_in_a_run() -> None:
    # Fixed: 0.25 a contract; its margin is a fixed 10 a contract.
    plain = bt.CommissionInfo(commission=0.25, margin=10.0, mult=1.0)
    result = run_with(plain)
    assert result.fills["fee"].tolist() == [0.25, 0.25]
    assert result.summary["final_balance"] == 1000.0 + 2.0 - 2 * 0.25
    assert result.bars["margin"].iloc[1] == 10.0


def test_plain_scheme_is_wrapped_and_ours_is_taken_as_it_is() -> None:
    assert scheme_of(INVERSE) is INVERSE
    plain = scheme_of(bt.CommissionInfo(commission=0.25, margin=10.0, mult=2.0), 0.01)
    assert isinstance(plain, PlainScheme)
    assert plain.notional(3.0, 100.0) == 3 * 2 * 100.0
    assert plain.pnl("short", 3.0, 100.0, 90.0) == 3 * 2 * 10.0
    assert plain.average_entry([(1.0, 100.0), (3.0, 104.0)]) == 103.0
    assert plain.liquidation_fee(3.0, 100.0) == 0.01 * 600.0


def test_own_scheme_is_asked_for_liquidation_too() -> None:
    # With every dollar counted twice, 10 of balance behind 100 last half as far.
    params = {"contract": LinearContract(1.0), "tiers": MaintenanceTiers.single(0.0)}
    legs = [Leg("long", 1.0, 100.0)]
    contract = FuturesCommission(**params).liquidation_region(legs, 10.0, 100.0)
    assert contract.lower == pytest.approx(90.0)
    assert DoubleMoney(**params).liquidation_region(legs, 10.0, 100.0).lower == pytest.approx(95.0)


@pytest.mark.parametrize("contract", [InverseContract(100.0), LinearContract(1.0)])
def test_average_of_parts_keeps_the_pnl_of_the_whole(contract: Any) -> None:
    # R19: the PnL at the average is the sum of the parts' PnL.
    scheme = FuturesCommission(contract=contract)
    parts = [(1.0, 100.0), (2.0, 110.0), (5.0, 93.0)]
    average = scheme.average_entry(parts)
    whole = scheme.pnl("long", 8.0, average, 120.0)
    assert whole == pytest.approx(sum(scheme.pnl("long", n, p, 120.0) for n, p in parts), rel=1e-12)
    lows = sorted(price for _, price in parts)
    assert all(low <= high for low, high in pairwise([lows[0], average, lows[-1]]))
