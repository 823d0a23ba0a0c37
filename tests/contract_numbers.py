"""Numbers to try contracts with, drawn by hypothesis, and how their answers are compared."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from cryptosim_bt.accounting.contracts import (
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
