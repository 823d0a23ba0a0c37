"""Liquidation and bankruptcy prices against worked examples that somebody else published.

Section 6 of our notes; the sources (S1 ...) stand in `test_contract_examples.py`.
"""


import pytest

from cryptosim_bt.accounting.contracts import Leg
from tests.published import (
    INVERSE_1,
    INVERSE_10,
    INVERSE_100,
    LINEAR_1,
    LINEAR_CENTI,
    assert_matches,
    row,
)

# --- Section 6: liquidation and bankruptcy ---------------------------------------------------

# A rate of 0 gives the bankruptcy price. `deduction` is Binance's maintenance amount (cum).
LIQUIDATION_EXAMPLES = [
    row(
        "S1 OKX BTC-USD-SWAP cross, equity from the margin ratio",
        *(INVERSE_100, "long", 1, 91957.1, 1.126108035250971, 0.004, 0.0005, 0),
        *("89.11497615226264", "89.114976152263"),
    ),
    row(
        "S17 Bybit inverse cross, bankruptcy",
        *(INVERSE_1, "long", 10000, 8000, 0.5, 0, 0.00075, 0),
        *("5718.57", "5718.571428571429"),
    ),
    row(
        "S18 BitMEX ETHUSDT cross, bankruptcy",
        *(LINEAR_1, "long", 20, 1000, 10000, 0, 0, 0),
        *("500", "500"),
    ),
    row(
        # published as 33599.40: a price on the tick of 0.1, exact 33599.4186
        "S19 Binance COIN-M calculator",
        *(INVERSE_100, "long", 100000, 45000, 101, 0.125, 0, 11.605),
        *("33599.4", "33599.418605615832"),
    ),
    row(
        "S20 freqtrade Binance USDT-M",
        *(LINEAR_1, "long", 1, 10, 2, 0.01, 0, 0.01),
        *("8.070707070707071", "8.070707070707"),
    ),
    row(
        "S21 freqtrade Binance USDT-M FAQ",
        *(LINEAR_1, "long", 3683.979, 1456.84, 1535443.01, 0.10, 0, 135365.00),
        *("1114.78", "1114.784963745872"),
    ),
]


@pytest.mark.parametrize(
    (
        *("contract", "side", "contracts", "entry", "margin"),
        *("rate", "taker", "deduction", "published", "recomputed"),
    ),
    LIQUIDATION_EXAMPLES,
)
def test_liquidation_price_published_example_matches(
    contract, side, contracts, entry, margin, rate, taker, deduction, published, recomputed
):
    price = contract.liquidation_price(side, contracts, entry, margin, rate, taker, deduction)
    assert_matches(price, published, recomputed)
    # for a lone leg, a deduction is as good as more balance
    legs = [(side, contracts, entry)]
    price = contract.cross_liquidation_price(legs, margin + deduction, rate, taker)
    assert_matches(price, published, recomputed)


def test_liquidation_price_okx_isolated_record_is_one_tick_above():
    # S2: the record shows 2352.8496681818233, one tick of 0.01 above the closed formula
    price = INVERSE_10.liquidation_price("long", 1, 2566.31, 0.0003896645377994, 0.008, 0.0005)
    assert_matches(price, "2352.8396681818", "2352.839668181823")
    assert price + 0.01 == pytest.approx(2352.8496681818233, rel=1e-12)


@pytest.mark.parametrize("contracts", [1, 250])
@pytest.mark.parametrize(
    ("side", "entry", "rate", "taker", "leverage", "published", "recomputed"),
    [
        row("S20 long 3x", "long", 10, 0.01, 0.0006, 3, "6.738090425173506", "6.738090425174"),
        row("S20 long 5x", "long", 10, 0.01, 0.0006, 5, "8.085708510208207", "8.085708510208"),
        row("S20 short 5x", "short", 10, 0.01, 0.0006, 5, "11.87413417771621", "11.874134177716"),
    ],
)
def test_liquidation_price_okx_linear_isolated_matches(
    contracts, side, entry, rate, taker, leverage, published, recomputed
):
    margin = LINEAR_CENTI.initial_margin(contracts, entry, leverage)
    price = LINEAR_CENTI.liquidation_price(side, contracts, entry, margin, rate, taker)
    assert_matches(price, published, recomputed)


# Exchanges with maintenance on the value at entry and no fee to close: maintenance is then a
# fixed sum, taken off the margin here, and the price is where the rest is gone (rate and taker 0).
ENTRY_BASED_EXAMPLES = [
    row(
        "S8 OctoBot long 1x",
        *(INVERSE_1, "long", 100, 1, 0.01),
        *("50.25125628140703518113600205", "50.251256281407"),
    ),
    row(
        "S8 OctoBot short 100x",
        *(INVERSE_1, "short", 100, 100, 0.01),
        *("99.99999999999999997918331830", "100"),
    ),
    row("S8 OctoBot long 1x, bankruptcy", INVERSE_1, "long", 100, 1, 0, "50", "50"),
    row(
        "S8 OctoBot long 100x, bankruptcy",
        *(INVERSE_1, "long", 100, 100, 0),
        *("99.00990099009900990099009901", "99.009900990099"),
    ),
    row("S20 freqtrade long 10x", LINEAR_1, "long", 10, 10, 0.01, "9.1", "9.1"),
    row("S22 jesse short 2x", LINEAR_1, "short", 10, 2, 0.004, "14.96", "14.96"),
    row("S22 jesse short 2x, bankruptcy", LINEAR_1, "short", 10, 2, 0, "15", "15"),
]


@pytest.mark.parametrize("contracts", [1, 250])
@pytest.mark.parametrize(
    ("contract", "side", "entry", "leverage", "rate", "published", "recomputed"),
    ENTRY_BASED_EXAMPLES,
)
def test_liquidation_price_maintenance_at_entry_matches(
    contracts, contract, side, entry, leverage, rate, published, recomputed
):
    margin = contract.initial_margin(contracts, entry, leverage)
    margin -= contract.maintenance_margin(contracts, entry, rate)
    price = contract.liquidation_price(side, contracts, entry, margin, 0, 0)
    assert_matches(price, published, recomputed)


def test_liquidation_price_inverse_short_at_leverage_one_is_none():
    # S8 has 0 here; the margin is the whole value at entry, so no price ends it
    margin = INVERSE_1.initial_margin(1000, 100, 1)
    assert INVERSE_1.liquidation_price("short", 1000, 100, margin, 0, 0) is None
    assert INVERSE_1.liquidation_price("short", 1000, 100, margin, 0.004, 0.0005) is None
    assert INVERSE_1.cross_liquidation_price([Leg("short", 1000, 100)], margin, 0, 0) is None


def test_liquidation_price_linear_long_at_leverage_one_is_none():
    # own: all is paid for, so only a price of 0 would end it, and 0 is no price
    margin = LINEAR_1.initial_margin(20, 1000, 1)
    assert LINEAR_1.liquidation_price("long", 20, 1000, margin, 0, 0) is None
    assert LINEAR_1.liquidation_price("long", 20, 1000, 2 * margin, 0.01, 0.0005) is None


HEDGE_LEGS = [Leg("long", 90, 90000), Leg("short", 40, 95000)]


@pytest.mark.parametrize("legs", [HEDGE_LEGS, HEDGE_LEGS[::-1]], ids=["long first", "short first"])
def test_cross_liquidation_price_hedge_example_matches(legs):
    # own: (9,000 * 1.0045 - 4,000 * 0.9955) / (0.02 + 9,000 / 90,000 - 4,000 / 95,000)
    price = INVERSE_100.cross_liquidation_price(legs, 0.02, 0.004, 0.0005)
    assert_matches(price, "64940.2027027", "64940.2027027027")


def test_cross_liquidation_price_hedge_example_equity_meets_requirement():
    price = INVERSE_100.cross_liquidation_price(HEDGE_LEGS, 0.02, 0.004, 0.0005)
    equity = 0.02 + sum(
        INVERSE_100.pnl(side, contracts, entry, price) for side, contracts, entry in HEDGE_LEGS
    )
    requirement = sum(
        INVERSE_100.maintenance_margin(contracts, price, 0.004)
        + INVERSE_100.fee(contracts, price, 0.0005)
        for _, contracts, _ in HEDGE_LEGS
    )
    assert_matches(equity, "0.00090082872497", "0.00090082872497")
    assert_matches(requirement, "0.00090082872497", "0.00090082872497")


def test_cross_liquidation_price_hedge_example_long_leg_alone_matches():
    # own: 9,000 * 1.0045 / (0.02 + 9,000 / 90,000) = 75,337.50
    cross = INVERSE_100.cross_liquidation_price(HEDGE_LEGS[:1], 0.02, 0.004, 0.0005)
    single = INVERSE_100.liquidation_price("long", 90, 90000, 0.02, 0.004, 0.0005)
    assert_matches(cross, "75337.50", "75337.5")
    assert_matches(single, "75337.50", "75337.5")
