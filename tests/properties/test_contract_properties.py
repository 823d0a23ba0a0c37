"""What has to hold for every contract, price, rate and margin, whatever the numbers.

Money is compared to within 1e-9 of the sums that go into it; prices to within 1e-9 of their size.
"""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cryptosim_bt.accounting.contracts import (
    InverseContract,
    LinearContract,
)
from tests.contract_numbers import (
    OPPOSITE,
    SIGN,
    TOLERANCE,
    both_kinds,
    both_sides,
    counts,
    deterministic,
    fill_lists,
    funding_rates,
    leverages,
    maintenance_rates,
    margin_parts,
    money,
    moves,
    numbers,
    price_of,
    prices,
    taker_rates,
)

# --- Value, fee, margin ----------------------------------------------------------------------


@both_kinds
@deterministic
@given(contracts=counts, price=prices, part=numbers(0.0, 1.0), rate=funding_rates)
def test_notional_and_fee_split_add_up_to_the_whole(contract, contracts, price, part, rate):
    first, second = contracts * part, contracts * (1 - part)
    value = contract.notional(contracts, price)
    assert value > 0
    assert contract.notional(first, price) + contract.notional(second, price) == price_of(value)
    fees = contract.fee(first, price, rate) + contract.fee(second, price, rate)
    assert fees == money(contract.fee(contracts, price, rate), value * rate)
    assert contract.fee(contracts, price, rate) == price_of(value * rate)


@both_kinds
@deterministic
@given(contracts=counts, price=prices, leverage=leverages)
def test_initial_margin_times_leverage_is_the_notional(contract, contracts, price, leverage):
    margin = contract.initial_margin(contracts, price, leverage)
    assert margin * leverage == price_of(contract.notional(contracts, price))


@pytest.mark.parametrize("kind", [InverseContract, LinearContract])
@both_sides
@deterministic
@given(contracts=counts, entry=prices, move=moves, size=numbers(0.001, 1000.0))
def test_contract_size_traded_for_contracts_changes_nothing(
    kind, side, contracts, entry, move, size
):
    sized, unit = kind(contract_size=size), kind(contract_size=1.0)
    value = unit.notional(contracts * size, entry)
    assert sized.notional(contracts, entry) == price_of(value)
    pnl = unit.pnl(side, contracts * size, entry, entry * move)
    assert sized.pnl(side, contracts, entry, entry * move) == money(pnl, value, value * move)


@both_kinds
@deterministic
@given(
    contracts=counts,
    price=prices,
    rate=numbers(0.0, 0.1),
    step=numbers(0.001, 0.1),
    deduction=numbers(0.0, 0.1),
)
def test_maintenance_margin_at_tier_edge_is_continuous_with_deduction(
    contract, contracts, price, rate, step, deduction
):
    floor = contract.notional(contracts, price)
    next_deduction = floor * step + deduction  # cum_k = floor_k * (mmr_k - mmr_(k-1)) + cum_(k-1)
    below = contract.maintenance_margin(contracts, price, rate, deduction)
    above = contract.maintenance_margin(contracts, price, rate + step, next_deduction)
    assert above == money(below, floor, deduction)
    assert contract.maintenance_margin(contracts, price, rate, 0) == contract.maintenance_margin(
        contracts, price, rate
    )
    assert below + deduction == money(
        contract.maintenance_margin(contracts, price, rate), floor, deduction
    )


# --- PnL and average entry -------------------------------------------------------------------


@both_kinds
@deterministic
@given(contracts=counts, entry=prices, exit_price=prices)
def test_pnl_long_and_short_are_exact_opposites(contract, contracts, entry, exit_price):
    long_pnl = contract.pnl("long", contracts, entry, exit_price)
    short_pnl = contract.pnl("short", contracts, entry, exit_price)
    assert long_pnl == -short_pnl
    if exit_price > entry:
        assert long_pnl >= 0
    if exit_price < entry:
        assert long_pnl <= 0


@both_kinds
@both_sides
@deterministic
@given(contracts=counts, price=prices)
def test_pnl_price_unmoved_is_zero(contract, side, contracts, price):
    assert contract.pnl(side, contracts, price, price) == 0


@both_kinds
@both_sides
@deterministic
@given(contracts=counts, entry=prices, middle=prices, exit_price=prices)
def test_pnl_over_two_stretches_adds_up(contract, side, contracts, entry, middle, exit_price):
    stretches = contract.pnl(side, contracts, entry, middle)
    stretches += contract.pnl(side, contracts, middle, exit_price)
    values = [contract.notional(contracts, price) for price in (entry, middle, exit_price)]
    assert stretches == money(contract.pnl(side, contracts, entry, exit_price), *values)


@both_kinds
@both_sides
@deterministic
@given(contracts=counts, entry=prices, exit_price=prices, part=numbers(0.0, 1.0))
def test_pnl_closed_in_two_parts_adds_up(contract, side, contracts, entry, exit_price, part):
    parts = contract.pnl(side, contracts * part, entry, exit_price)
    parts += contract.pnl(side, contracts * (1 - part), entry, exit_price)
    values = [contract.notional(contracts, price) for price in (entry, exit_price)]
    assert parts == money(contract.pnl(side, contracts, entry, exit_price), *values)


@both_kinds
@both_sides
@deterministic
@given(fills=fill_lists, exit_price=prices)
def test_pnl_of_the_average_equals_sum_over_fills(contract, side, fills, exit_price):
    total = sum(contracts for contracts, _ in fills)
    parts = sum(contract.pnl(side, contracts, price, exit_price) for contracts, price in fills)
    whole = contract.pnl(side, total, contract.average_entry(fills), exit_price)
    at_entry = sum(contract.notional(contracts, price) for contracts, price in fills)
    assert whole == money(parts, at_entry, contract.notional(total, exit_price))


@both_kinds
@deterministic
@given(fills=fill_lists, data=st.data(), part=numbers(0.0, 1.0))
def test_average_entry_fill_split_changes_nothing(contract, fills, data, part):
    average = contract.average_entry(fills)
    index = data.draw(st.integers(0, len(fills) - 1))
    contracts, price = fills[index]
    halves = [(contracts * part, price), (contracts * (1 - part), price)]
    split = [*fills[:index], *halves, *fills[index + 1 :]]
    assert contract.average_entry(split) == price_of(average)


@both_kinds
@deterministic
@given(fills=fill_lists)
def test_average_entry_any_order_lies_between_the_prices(contract, fills):
    average = contract.average_entry(fills)
    fill_prices = [price for _, price in fills]
    assert min(fill_prices) * (1 - TOLERANCE) <= average <= max(fill_prices) * (1 + TOLERANCE)
    assert contract.average_entry(fills[::-1]) == price_of(average)
    assert contract.average_entry(iter(fills)) == average


@deterministic
@given(fills=fill_lists)
def test_average_entry_inverse_is_never_above_linear(fills):
    harmonic = InverseContract().average_entry(fills)
    assert harmonic <= LinearContract().average_entry(fills) * (1 + TOLERANCE)


@deterministic
@given(contracts=counts, entry=prices, move=moves)
def test_pnl_inverse_gain_of_a_long_stays_below_the_value_at_entry(contracts, entry, move):
    contract = InverseContract()
    value = contract.notional(contracts, entry)
    assert contract.pnl("long", contracts, entry, entry * move) < value
    assert contract.pnl("short", contracts, entry, entry * move) > -value


@both_kinds
@both_sides
@deterministic
@given(contracts=counts, entry=prices, move=moves, leverage=leverages)
def test_return_on_margin_is_leverage_times_return_on_value(
    contract, side, contracts, entry, move, leverage
):
    pnl = contract.pnl(side, contracts, entry, entry * move)
    value = contract.notional(contracts, entry)
    result = contract.return_on_margin(pnl, contracts, entry, leverage)
    assert result == money(leverage * pnl / value, result)


# --- Mirrors ---------------------------------------------------------------------------------


@deterministic
@given(contracts=counts, entry=prices, part=numbers(0.0, 0.99))
def test_pnl_linear_prices_mirrored_swaps_the_sides(contracts, entry, part):
    contract = LinearContract()
    up, down = entry * (1 + part), entry * (1 - part)
    value = contract.notional(contracts, entry)
    assert contract.pnl("long", contracts, entry, up) == money(
        contract.pnl("short", contracts, entry, down), value
    )
    assert contract.pnl("long", contracts, entry, down) == money(
        contract.pnl("short", contracts, entry, up), value
    )


@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=numbers(0.001, 0.99),
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_liquidation_price_linear_sides_mirror_around_the_entry(
    contracts, entry, part, rate, taker
):
    contract = LinearContract()
    margin = contract.notional(contracts, entry) * part
    long_price = contract.liquidation_price("long", contracts, entry, margin, rate, taker)
    short_price = contract.liquidation_price("short", contracts, entry, margin, rate, taker)
    cost = rate + taker
    assert long_price * (1 - cost) + short_price * (1 + cost) == price_of(2 * entry)


@both_sides
@deterministic
@given(contracts=counts, entry=prices, move=moves)
def test_pnl_inverse_is_linear_of_the_other_side_at_the_reciprocal_prices(
    side, contracts, entry, move
):
    inverse, linear = InverseContract(contract_size=1.0), LinearContract(contract_size=1.0)
    exit_price = entry * move
    expected = linear.pnl(OPPOSITE[side], contracts, 1 / entry, 1 / exit_price)
    values = [inverse.notional(contracts, price) for price in (entry, exit_price)]
    assert inverse.pnl(side, contracts, entry, exit_price) == money(expected, *values)


@both_sides
@deterministic
@given(
    contracts=counts,
    entry=prices,
    part=margin_parts,
    rate=maintenance_rates,
    taker=taker_rates,
)
def test_liquidation_price_inverse_is_linear_of_the_other_side_at_the_reciprocal_price(
    side, contracts, entry, part, rate, taker
):
    assume(abs(part - 1) > 1e-3)  # at 1, rounding decides whether there is a price
    inverse, linear = InverseContract(contract_size=1.0), LinearContract(contract_size=1.0)
    margin = inverse.notional(contracts, entry) * part
    price = inverse.liquidation_price(side, contracts, entry, margin, rate, taker)
    mirrored = linear.liquidation_price(OPPOSITE[side], contracts, 1 / entry, margin, rate, taker)
    assert (price is None) == (mirrored is None)
    if price is not None:
        assert 1 / price == price_of(mirrored)


# --- Funding ---------------------------------------------------------------------------------


@both_kinds
@deterministic
@given(contracts=counts, mark=prices, rate=funding_rates)
def test_funding_payment_long_and_short_are_exact_opposites(contract, contracts, mark, rate):
    long_flow = contract.funding_payment("long", contracts, mark, rate)
    short_flow = contract.funding_payment("short", contracts, mark, rate)
    assert long_flow == -short_flow
    assert short_flow == price_of(contract.notional(contracts, mark) * rate)
    assert contract.funding_payment("long", contracts, mark, -rate) == short_flow


@both_kinds
@both_sides
@deterministic
@given(mark=prices, rate=funding_rates)
def test_funding_payment_flat_is_zero(contract, side, mark, rate):
    assert contract.funding_payment(side, 0, mark, rate) == 0


# --- Break-even ------------------------------------------------------------------------------


@both_kinds
@both_sides
@deterministic
@given(
    contracts=counts,
    entry=prices,
    taker=taker_rates,
    fee_part=numbers(-0.5, 1.5),
    funding_part=numbers(-1.5, 1.5),
)
def test_break_even_makes_net_zero_or_is_none(
    contract, side, contracts, entry, taker, fee_part, funding_part
):
    value = contract.notional(contracts, entry)
    fees_paid, funding_paid = value * fee_part, value * funding_part
    price = contract.break_even(side, contracts, entry, taker, fees_paid, funding_paid)
    # what the position has to win, in the direction in which the price can run out of room
    room = 1 - SIGN[side] * (fee_part + funding_part)
    if type(contract) is LinearContract:
        room = 1 + SIGN[side] * (fee_part + funding_part)
    assume(abs(room) > 1e-6)  # at 0, rounding decides whether there is a price
    if room < 0:
        assert price is None
        return
    assert price is not None
    assert price > 0
    closing_fee = contract.fee(contracts, price, taker)
    net = contract.pnl(side, contracts, entry, price) - fees_paid - funding_paid - closing_fee
    at_exit = contract.notional(contracts, price)
    assert net == money(0.0, value, at_exit, fees_paid, funding_paid)


@both_kinds
@both_sides
@deterministic
@given(contracts=counts, entry=prices)
def test_break_even_without_costs_is_the_entry(contract, side, contracts, entry):
    assert contract.break_even(side, contracts, entry, 0.0, 0.0, 0.0) == price_of(entry)


@both_kinds
@both_sides
@deterministic
@given(contracts=counts, entry=prices, taker=taker_rates)
def test_break_even_with_opening_fee_is_beyond_the_entry_by_both_fees(
    contract, side, contracts, entry, taker
):
    fees_paid = contract.fee(contracts, entry, taker)
    price = contract.break_even(side, contracts, entry, taker, fees_paid, 0.0)
    # long: entry * (1 + f) / (1 - f); short: entry * (1 - f) / (1 + f)
    cost = SIGN[side] * taker
    assert price == price_of(entry * (1 + cost) / (1 - cost))
