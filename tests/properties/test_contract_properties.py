"""What has to hold for every contract, price, rate and margin, whatever the numbers.

Money is compared to within 1e-9 of the sums that go into it; prices to within 1e-9 of their size.
"""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cryptosim_bt.contracts import (
    FirstCryptoSimContract,
    InverseContract,
    Leg,
    LinearContract,
)

deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=100)
both_kinds = pytest.mark.parametrize(
    "contract", [InverseContract(), LinearContract()], ids=["inverse", "linear"]
)
both_sides = pytest.mark.parametrize("side", ["long", "short"])

OPPOSITE = {"long": "short", "short": "long"}
SIGN = {"long": 1, "short": -1}
TOLERANCE = 1e-9


def numbers(low, high):
    """Draw floats, without sizes below 1e-9: denormal rates and parts are no market's."""
    drawn = st.floats(low, high, allow_nan=False, allow_infinity=False)
    return drawn.map(lambda number: number if abs(number) >= 1e-9 else 0.0)


sides = st.sampled_from(["long", "short"])
prices = numbers(0.01, 1e6)
# three orders of magnitude around a price, where exits and marks are looked for
moves = numbers(0.03, 30.0)
counts = numbers(0.01, 1e6)
leverages = numbers(1.0, 125.0)
maintenance_rates = numbers(0.0, 0.2)
taker_rates = numbers(0.0, 0.002)
funding_rates = numbers(-0.02, 0.02)
margin_parts = numbers(0.001, 3.0)  # of the value at entry
fill_lists = st.lists(st.tuples(counts, prices), min_size=1, max_size=8)
leg_lists = st.lists(st.builds(Leg, sides, counts, prices), min_size=1, max_size=6)


def money(expected, *sums):
    """Compare money to within a part of the sums that it was made of."""
    return pytest.approx(expected, rel=0.0, abs=TOLERANCE * sum(abs(item) for item in sums))


def price_of(expected):
    return pytest.approx(expected, rel=TOLERANCE, abs=0.0)


def requirement(contract, legs, price, rate, taker):
    return sum(
        contract.maintenance_margin(contracts, price, rate) + contract.fee(contracts, price, taker)
        for _, contracts, _ in legs
    )


def equity(contract, legs, balance, price):
    return balance + sum(
        contract.pnl(side, contracts, entry, price) for side, contracts, entry in legs
    )


def value_of(contract, legs, price=None):
    """Add up the values of legs at a price, or each at its own entry."""
    return sum(contract.notional(contracts, price or entry) for _, contracts, entry in legs)


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
