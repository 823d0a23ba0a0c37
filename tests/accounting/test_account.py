"""The exchange's account: balance, legs, funding, liquidation region (R17, R20-R23)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.contracts import (
    FirstCryptoSimContract,
    InverseContract,
    LinearContract,
)
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.broker.commission import FuturesCommission


def linear_account(balance: float = 1000.0, **params: Any) -> Account:
    scheme = FuturesCommission(contract=LinearContract(1.0), futures_leverage=10.0, **params)
    return Account(scheme, balance)


def test_opened_leg_averages_its_entries_and_pays_their_fees() -> None:
    # R17, R19: (1 * 100 + 3 * 104) / 4 = 103.
    account = linear_account()
    account.open("long", 1, 1.0, 100.0, fee=0.5)
    account.open("long", 2, 3.0, 104.0, fee=1.5)
    assert account.legs["long"].average == 103.0
    assert account.balance == 1000.0 - 2.0
    assert account.fees_paid == 2.0
    assert account.unrealized_pnl(105.0) == 4 * (105.0 - 103.0)
    assert account.equity(105.0) == 998.0 + 8.0


def test_closed_group_realizes_against_the_legs_average() -> None:
    # R21: the group entered at 100, the leg's average is 103.
    account = linear_account()
    account.open("long", 1, 1.0, 100.0, fee=0.0)
    account.open("long", 2, 3.0, 104.0, fee=0.0)
    assert account.close("long", 1, 1.0, 110.0, fee=0.0) == 110.0 - 103.0
    assert account.legs["long"].average == 103.0
    assert list(account.groups) == [2]
    # What is left is worth what it should be: 3 * (110 - 104) + 1 * (110 - 100) in all.
    assert account.equity(110.0) == 1000.0 + 3 * 6.0 + 10.0


def test_closed_group_under_cryptosim_pnl_realizes_against_its_own_average() -> None:
    # The first CryptoSim's habits: n * cs * entry * (exit - entry) / exit, summed over groups.
    scheme = FuturesCommission(contract=FirstCryptoSimContract(1.0))
    account = Account(scheme, 1000.0)
    account.open("long", 1, 1.0, 100.0, fee=0.0)
    account.open("long", 2, 1.0, 200.0, fee=0.0)
    assert account.close("long", 1, 1.0, 125.0, fee=0.0) == 100 * (125 - 100) / 125
    assert account.unrealized_pnl(250.0) == 200 * (250 - 200) / 250


def test_partly_closed_leg_keeps_its_average() -> None:
    account = linear_account()
    account.open("short", 1, 4.0, 100.0, fee=0.0)
    assert account.close("short", 1, 1.0, 90.0, fee=0.0) == 10.0
    assert (account.legs["short"].contracts, account.legs["short"].average) == (3.0, 100.0)
    assert not account.flat


def test_emptied_leg_forgets_its_average() -> None:
    account = linear_account()
    for _ in range(3):
        account.open("long", 1, 0.1, 100.0, fee=0.0)
    account.close("long", 1, 0.3, 100.0, fee=0.0)  # 0.1 + 0.1 + 0.1 is not 0.3 in floats
    assert account.flat
    assert (account.legs["long"].contracts, account.legs["long"].average) == (0.0, 0.0)


@pytest.mark.parametrize(("group", "contracts"), [(1, 2.5), (9, 1.0)])
def test_close_of_more_than_there_is_is_an_error(group: int, contracts: float) -> None:
    account = linear_account()
    account.open("long", 1, 2.0, 100.0, fee=0.0)
    with pytest.raises(ValueError, match="contracts in group"):
        account.close("long", group, contracts, 100.0, fee=0.0)


@pytest.mark.parametrize(("side", "payment"), [("long", -2.0), ("short", 2.0)])
def test_funding_of_a_positive_rate_is_paid_by_longs_to_shorts(side: str, payment: float) -> None:
    # R22: 2 * 100 * 0.01.
    account = linear_account()
    account.open(side, 1, 2.0, 90.0, fee=0.0)  # type: ignore[arg-type]
    assert account.fund(side, 100.0, 0.01) == payment  # type: ignore[arg-type]
    assert account.balance == 1000.0 + payment
    assert account.funding_paid == -payment


def test_flat_account_has_no_pnl_no_margin_and_is_never_liquidated() -> None:
    account = linear_account(0.0)
    assert account.flat
    assert account.unrealized_pnl(100.0) == 0.0
    assert account.position_margin(100.0) == 0.0
    assert account.liquidation_prices(100.0) == (-math.inf, math.inf)


def test_margin_counts_both_legs_of_a_hedge() -> None:
    # R20: (2 + 1) * 50 / 10.
    account = linear_account()
    account.open("long", 1, 2.0, 100.0, fee=0.0)
    account.open("short", 2, 1.0, 100.0, fee=0.0)
    assert account.position_margin(50.0) == pytest.approx(15.0, abs=1e-12)


def test_liquidation_region_moves_with_every_change_of_the_account() -> None:
    # R23: 10 + (P - 100) = 0.004 * P; after funding of 5: 5 + (P - 100) = 0.004 * P.
    account = linear_account(10.0, tiers=MaintenanceTiers.single(0.004))
    account.open("long", 1, 1.0, 100.0, fee=0.0)
    assert account.liquidation_prices(100.0)[0] == pytest.approx(90 / 0.996, rel=1e-12)
    account.fund("long", 100.0, 0.05)
    assert account.liquidation_prices(100.0)[0] == pytest.approx(95 / 0.996, rel=1e-12)
    account.close("long", 1, 1.0, 100.0, fee=0.0)
    assert account.liquidation_prices(100.0)[0] == -math.inf


def test_inverse_short_at_leverage_one_has_no_liquidation_price() -> None:
    # Its loss in coin ends at what the coin is worth: 1 coin of balance behind 100 USD at 100.
    account = Account(FuturesCommission(contract=InverseContract(100.0)), 1.0)
    account.open("short", 1, 1.0, 100.0, fee=0.0)
    assert account.liquidation_prices(100.0)[1] == math.inf


def test_shortfall_is_forgiven_once_and_a_positive_balance_never() -> None:
    # R23
    account = linear_account(5.0)
    assert account.forgive() == 0.0
    account.open("long", 1, 1.0, 100.0, fee=0.0)
    account.close("long", 1, 1.0, 88.0, fee=0.0)
    assert account.forgive() == 12.0 - 5.0
    assert account.forgive() == 0.0
    assert (account.balance, account.shortfall) == (0.0, 7.0)


def test_closing_order_is_longs_first_and_sets_before_the_position() -> None:
    # R23: tradeids grow, and a set keeps the tradeid that its Position had.
    account = linear_account()
    for group, side in ((2, "short"), (3, "long"), (1, "long")):
        account.open(side, group, 1.0, 100.0, fee=0.0)  # type: ignore[arg-type]
    assert [group for group, _ in account.closing_order()] == [1, 3, 2]
