"""What has to hold for every liquidation price, whatever the numbers.

Money is compared to within 1e-9 of the sums that go into it; prices to within 1e-9 of their size.
"""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cryptosim_bt.accounting.contracts import (
    FirstCryptoSimContract,
    InverseContract,
    Leg,
    LinearContract,
)
from tests.contract_numbers import (
    SIGN,
    TOLERANCE,
    both_kinds,
    both_sides,
    counts,
    deterministic,
    equity,
    leg_lists,
    leverages,
    maintenance_rates,
    margin_parts,
    money,
    moves,
    numbers,
    price_of,
    prices,
    requirement,
    sides,
    taker_rates,
    value_of,
)

# --- Liquidation of one leg ------------------------------------------------------------------


@both_kinds
@both_sides
@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=margin_parts,
    deduction_part=numbers(0.0, 0.05),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_liquidation_price_margin_balance_equals_maintenance_and_fee(
    contract, side, contracts, entry, part, deduction_part, rate, taker
):
    value = contract.notional(contracts, entry)
    margin, deduction = value * part, value * deduction_part
    price = contract.liquidation_price(side, contracts, entry, margin, rate, taker, deduction)
    bounded_loss = (type(contract), side) in {(LinearContract, "long"), (InverseContract, "short")}
    assume(abs(part + deduction_part - 1) > 1e-6)
    if bounded_loss and part + deduction_part > 1:
        assert price is None
        return
    assert price is not None
    assert price > 0
    balance = margin + contract.pnl(side, contracts, entry, price)
    maintenance = contract.maintenance_margin(contracts, price, rate, deduction)
    needed = maintenance + contract.fee(contracts, price, taker)
    assert balance == money(needed, margin, value, contract.notional(contracts, price))


@both_kinds
@both_sides
@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=numbers(0.001, 0.9),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_liquidation_price_passed_leaves_too_little_margin(
    contract, side, contracts, entry, part, rate, taker
):
    legs = [Leg(side, contracts, entry)]
    margin = contract.notional(contracts, entry) * part
    price = contract.liquidation_price(side, contracts, entry, margin, rate, taker)
    worse, better = price * (1 - 0.001 * SIGN[side]), price * (1 + 0.001 * SIGN[side])
    assert equity(contract, legs, margin, worse) < requirement(contract, legs, worse, rate, taker)
    assert equity(contract, legs, margin, better) > requirement(contract, legs, better, rate, taker)


@both_kinds
@both_sides
@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=numbers(0.001, 0.4),
    more=numbers(0.01, 0.4),
    rate=numbers(0.0, 0.1),
    taker=taker_rates,
)
def test_liquidation_price_more_margin_is_further_and_higher_rate_is_nearer(
    contract, side, contracts, entry, part, more, rate, taker
):
    value = contract.notional(contracts, entry)
    price = contract.liquidation_price(side, contracts, entry, value * part, rate, taker)
    further = contract.liquidation_price(side, contracts, entry, value * (part + more), rate, taker)
    nearer = contract.liquidation_price(side, contracts, entry, value * part, rate + more, taker)
    assert SIGN[side] * further < SIGN[side] * price < SIGN[side] * nearer


@both_kinds
@both_sides
@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=numbers(0.001, 0.9),
    deduction_part=numbers(0.0, 0.05),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_liquidation_price_deduction_is_as_good_as_margin(
    contract, side, contracts, entry, part, deduction_part, rate, taker
):
    value = contract.notional(contracts, entry)
    margin, deduction = value * part, value * deduction_part
    with_deduction = contract.liquidation_price(
        side, contracts, entry, margin, rate, taker, deduction
    )
    with_margin = contract.liquidation_price(
        side, contracts, entry, margin + deduction, rate, taker
    )
    assert with_deduction == price_of(with_margin)


@both_sides
@deterministic
@given(contracts=counts, entry=prices, leverage=leverages)
def test_liquidation_price_linear_bankruptcy_is_entry_less_the_margin(
    side, contracts, entry, leverage
):
    assume(leverage > 1.001)
    contract = LinearContract()
    margin = contract.initial_margin(contracts, entry, leverage)
    price = contract.liquidation_price(side, contracts, entry, margin, 0.0, 0.0)
    assert price == price_of(entry * (1 - SIGN[side] / leverage))


@both_sides
@deterministic
@given(contracts=counts, entry=prices, leverage=leverages)
def test_liquidation_price_inverse_bankruptcy_is_as_bybit_states(side, contracts, entry, leverage):
    assume(leverage > 1.001)
    contract = InverseContract()
    margin = contract.initial_margin(contracts, entry, leverage)
    price = contract.liquidation_price(side, contracts, entry, margin, 0.0, 0.0)
    # Bybit isolated: long avg * L / (L + 1), short avg * L / (L - 1)
    assert price == price_of(entry * leverage / (leverage + SIGN[side]))
    pnl = contract.pnl(side, contracts, entry, price)
    assert contract.return_on_margin(pnl, contracts, entry, leverage) == pytest.approx(-1, rel=1e-6)


@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=numbers(1.0, 10.0),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_liquidation_price_inverse_short_fully_covered_is_none(contracts, entry, part, rate, taker):
    contract = InverseContract()
    margin = contract.notional(contracts, entry) * part
    assert contract.liquidation_price("short", contracts, entry, margin, rate, taker) is None


@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=numbers(1.0, 10.0),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_liquidation_price_linear_long_fully_covered_is_none(contracts, entry, part, rate, taker):
    contract = LinearContract()
    margin = contract.notional(contracts, entry) * part
    assert contract.liquidation_price("long", contracts, entry, margin, rate, taker) is None


@both_kinds
@both_sides
@deterministic
@given(entry=prices, margin=numbers(0.0, 1e6), rate=maintenance_rates, taker=taker_rates)
def test_liquidation_price_no_contracts_is_none(contract, side, entry, margin, rate, taker):
    assert contract.liquidation_price(side, 0, entry, margin, rate, taker) is None


# --- Liquidation in cross margin -------------------------------------------------------------


@both_kinds
@both_sides
@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=numbers(-3.0, 3.0),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_cross_liquidation_price_one_leg_equals_liquidation_price(
    contract, side, contracts, entry, part, rate, taker
):
    assume(abs(part - 1) > 1e-6)
    assume(abs(part + 1) > 1e-6)
    balance = contract.notional(contracts, entry) * part
    single = contract.liquidation_price(side, contracts, entry, balance, rate, taker)
    for leg in (Leg(side, contracts, entry), (side, contracts, entry)):
        cross = contract.cross_liquidation_price([leg], balance, rate, taker)
        assert (cross is None) == (single is None)
        if single is not None:
            assert cross == price_of(single)


@both_kinds
@deterministic
@given(legs=leg_lists, part=numbers(-2.0, 2.0), rate=maintenance_rates, taker=taker_rates)
def test_cross_liquidation_price_is_positive_with_equity_at_the_requirement_or_none(
    contract, legs, part, rate, taker
):
    at_entry = value_of(contract, legs)
    balance = at_entry * part
    price = contract.cross_liquidation_price(legs, balance, rate, taker)
    if price is None:
        return
    assert price > 0
    needed = requirement(contract, legs, price, rate, taker)
    at_price = value_of(contract, legs, price)
    assert equity(contract, legs, balance, price) == money(needed, at_entry, at_price, balance)


@both_kinds
@deterministic
@given(
    legs=leg_lists,
    part=numbers(-2.0, 2.0),
    rate=maintenance_rates,
    taker=taker_rates,
    price=prices,
    move=moves,
)
def test_cross_liquidation_price_is_the_only_one_where_equity_crosses_the_requirement(
    contract, legs, part, rate, taker, price, move
):
    balance = value_of(contract, legs) * part
    crossing = contract.cross_liquidation_price(legs, balance, rate, taker)
    marks = (price, price * move)
    crossed = crossing is not None and min(marks) < crossing < max(marks)
    excesses = []
    for mark in marks:
        excess = equity(contract, legs, balance, mark)
        excess -= requirement(contract, legs, mark, rate, taker)
        rounding = TOLERANCE * (value_of(contract, legs) + value_of(contract, legs, mark))
        assume(abs(excess) > rounding)
        excesses.append(excess)
    assert ((excesses[0] > 0) != (excesses[1] > 0)) == crossed


@both_kinds
@deterministic
@given(legs=leg_lists, part=numbers(0.01, 0.9), rate=maintenance_rates, taker=taker_rates)
def test_cross_liquidation_price_legs_of_one_side_equal_their_average(
    contract, legs, part, rate, taker
):
    for side in ("long", "short"):
        same_side = [Leg(side, contracts, entry) for _, contracts, entry in legs]
        merged = Leg(
            side,
            sum(leg.contracts for leg in same_side),
            contract.average_entry([(leg.contracts, leg.entry) for leg in same_side]),
        )
        balance = value_of(contract, same_side) * part
        apart = contract.cross_liquidation_price(same_side, balance, rate, taker)
        together = contract.cross_liquidation_price([merged], balance, rate, taker)
        assert apart == price_of(together)


@both_kinds
@both_sides
@deterministic
@given(
    leg=st.builds(Leg, sides, counts, prices),
    entry=prices,
    part=numbers(0.01, 0.9),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_cross_liquidation_price_empty_leg_changes_nothing(
    contract, side, leg, entry, part, rate, taker
):
    balance = contract.notional(leg.contracts, leg.entry) * part
    alone = contract.cross_liquidation_price([leg], balance, rate, taker)
    beside = contract.cross_liquidation_price([leg, Leg(side, 0, entry)], balance, rate, taker)
    assert beside == alone


@both_kinds
@deterministic
@given(
    contracts=counts,
    entry=prices,
    other_entry=prices,
    part=numbers(0.01, 2.0),
)
def test_cross_liquidation_price_full_hedge_without_costs_is_none(
    contract, contracts, entry, other_entry, part
):
    legs = [Leg("long", contracts, entry), Leg("short", contracts, other_entry)]
    balance = value_of(contract, legs) * part
    assert contract.cross_liquidation_price(legs, balance, 0.0, 0.0) is None


@both_kinds
@deterministic
@given(balance=numbers(-1e6, 1e6), rate=maintenance_rates, taker=taker_rates)
def test_cross_liquidation_price_no_legs_is_none(contract, balance, rate, taker):
    assert contract.cross_liquidation_price([], balance, rate, taker) is None


# --- Regions of liquidation, rates per leg, deductions in cross margin -----------------------


@pytest.mark.parametrize(
    "contract",
    [InverseContract(), LinearContract(), FirstCryptoSimContract()],
    ids=["inverse", "linear", "first cryptosim"],
)
@deterministic
@given(
    data=st.data(),
    legs=leg_lists,
    part=numbers(-1.0, 2.0),
    deduction_part=numbers(0.0, 1.0),
    taker=taker_rates,
    move=moves,
)
def test_liquidation_region_contains_price_where_equity_is_below_requirement(
    contract, data, legs, part, deduction_part, taker, move
):
    rates = [data.draw(maintenance_rates) for _ in legs]
    at_entry = value_of(contract, legs)
    balance, deduction = at_entry * part, at_entry * deduction_part
    region = contract.liquidation_region(legs, balance, rates, taker, deduction)
    price = legs[0].entry * move
    needed = -deduction + sum(
        requirement(contract, [leg], price, rate, taker)
        for leg, rate in zip(legs, rates, strict=True)
    )
    excess = equity(contract, legs, balance, price) - needed
    scale = at_entry + value_of(contract, legs, price)
    # the first CryptoSim's PnL goes with the value at entry times entry / exit
    scale += sum(contract.notional(leg.contracts, leg.entry) * leg.entry / price for leg in legs)
    assume(abs(excess) > TOLERANCE * scale)
    assert region.contains(price) == (excess < 0)


@both_kinds
@deterministic
@given(
    legs=leg_lists,
    part=numbers(-2.0, 2.0),
    deduction_part=numbers(0.0, 0.1),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_cross_liquidation_price_rate_per_leg_and_deduction_equal_one_rate_and_more_balance(
    contract, legs, part, deduction_part, rate, taker
):
    at_entry = value_of(contract, legs)
    balance, deduction = at_entry * part, at_entry * deduction_part
    expected = contract.cross_liquidation_price(legs, balance + deduction, rate, taker)
    rates = [rate] * len(legs)
    assert contract.cross_liquidation_price(legs, balance, rates, taker, deduction) == expected


@both_kinds
@deterministic
@given(contracts=counts, entry=prices, other_entry=prices, part=numbers(-2.0, 2.0), price=prices)
def test_liquidation_region_full_hedge_without_costs_is_every_price_or_none(
    contract, contracts, entry, other_entry, part, price
):
    # nothing moves the equity of equal legs, so its sign decides for every price
    legs = [Leg("long", contracts, entry), Leg("short", contracts, other_entry)]
    balance = value_of(contract, legs) * part
    locked = balance + contract.pnl("long", contracts, entry, other_entry)
    assume(abs(locked) > TOLERANCE * value_of(contract, legs))
    region = contract.liquidation_region(legs, balance, 0.0, 0.0)
    assert region.contains(price) == (locked < 0)
