"""Liquidation prices of plain backtrader schemes: the closed form is what a search finds."""

from __future__ import annotations

import backtrader as bt
import pytest

from cryptosim_bt.accounting.contracts import Leg
from cryptosim_bt.broker.commission import PlainScheme, search_region

SCHEMES = [
    {"commission": 0.001, "percabs": True},
    {"commission": 0.001, "percabs": True, "mult": 5.0},
    {"commission": 2.0, "margin": 10.0, "mult": 5.0},
    {"commission": 0.0},
]


@pytest.mark.parametrize("params", SCHEMES, ids=str)
@pytest.mark.parametrize("rate", [0.0, 0.004])
@pytest.mark.parametrize("side", ["long", "short"])
def test_plain_scheme_liquidation_closed_form_is_what_a_search_finds(params, rate, side):
    scheme = PlainScheme(bt.CommInfoBase(**params), rate)
    legs = [Leg(side, 4.0, 100.0)]
    found = search_region(scheme, legs, 150.0, 100.0)
    assert scheme.liquidation_region(legs, 150.0, 100.0) == pytest.approx(tuple(found), rel=1e-9)


def test_plain_scheme_overridden_pnl_is_searched():
    class Halved(bt.CommInfoBase):
        def profitandloss(self, size, price, newprice):
            return 0.5 * size * (newprice - price)

    scheme = PlainScheme(Halved())
    # 150 + 0.5 * 4 * (P - 100) = 0 at P = 25.
    legs = [Leg("long", 4.0, 100.0)]
    assert scheme.liquidation_region(legs, 150.0, 100.0).lower == pytest.approx(25.0)
