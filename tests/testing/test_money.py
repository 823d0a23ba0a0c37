"""Money at the exchange for tests: it agrees with accounting, and bills add up to the wallet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.contracts import InverseContract, Leg
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers, liquidation_region
from cryptosim_bt.testing import FakeExchange, Market
from cryptosim_bt.testing.answers import position_row
from cryptosim_bt.testing.orders import Refused
from tests.contract_numbers import deterministic
from tests.testing.markets import (
    FLAT,
    INST,
    MINUTE,
    START,
    bars_of,
    exchange_of,
    market_of,
    wanted,
)

CONTRACT = InverseContract(100.0)
FALL = (100_000.0, 100_000.0, 60_000.0, 60_000.0)


def test_funding_is_paid_on_the_mark_by_what_is_held() -> None:
    due = START + 30_000
    exchange = exchange_of(FLAT, funding=[(due, 0.0001)])
    exchange.matching.place(wanted("buy", 50), START)
    exchange.matching.place(wanted("sell", 20, pos_side="short"), START)
    exchange.advance_to(START + MINUTE)
    paid = [bill for bill in exchange.ledger.bills if bill.kind == "8"]
    assert [(bill.time_ms, bill.sub_kind) for bill in paid] == [(due, "173"), (due, "174")]
    assert [bill.change for bill in paid] == pytest.approx([-0.05 * 1e-4, 0.02 * 1e-4], rel=1e-12)


def test_position_agrees_with_the_recorded_formulas() -> None:
    exchange = exchange_of((91_957.1,) * 4, (92_057.4,) * 4, leverage=20.0)
    exchange.matching.place(wanted("buy", 1), START)
    exchange.advance_to(START + MINUTE)
    row = position_row(exchange, exchange.ledger.open_positions()[0])
    # What OKX said of one contract bought at 91,957.1 with the mark at 92,057.4.
    recorded = {"fee": -0.0000005437318054, "imr": 0.000054313938912, "mmr": 0.000004345115113,
                "upl": 0.0000011848325084, "uplRatio": 0.0217907522915017,
                "bePx": 92049.10310155293}  # fmt: skip
    assert {name: float(row[name]) for name in recorded} == pytest.approx(recorded, rel=1e-7)


@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_liquidation_comes_at_the_price_of_accounting(mode: str) -> None:
    exchange = exchange_of(FALL, cash=0.2, leverage=10.0)
    exchange.matching.place(wanted("buy", 1_000, tdMode=mode), START)
    held = exchange.ledger.open_positions()[0]
    margin = 0.1 if mode == "isolated" else 0.2 - 1.0 * 0.0005
    tiers = exchange.ledger.tiers(held.market)
    assert isinstance(tiers, MaintenanceTiers)
    legs = [Leg("long", 1_000.0, 100_000.0)]
    region = liquidation_region(CONTRACT, legs, margin, tiers, 0.0005, 100_000.0)
    assert exchange.ledger.liquidation_price(held, START) == pytest.approx(region.lower)
    exchange.advance_to(START + MINUTE)
    forced = exchange.matching.orders[-1]
    assert (forced.category, forced.fills[0].maker) == ("full_liquidation", False)
    assert forced.average == pytest.approx(region.lower, rel=1e-4)
    assert exchange.ledger.open_positions() == []
    left = exchange.ledger.cash["BTC"]
    assert left == pytest.approx(0.0995 if mode == "isolated" else 0.0, abs=1e-4)
    assert left >= 0.0


def test_mark_liquidates_where_the_last_price_does_not() -> None:
    flat, instrument = bars_of(FLAT, FLAT), market_of(FLAT, FLAT).instrument
    market = Market(instrument, flat, mark=bars_of(FLAT, FALL))
    exchange = FakeExchange([market], {"BTC": 0.12}, START)
    exchange.matching.place(wanted("buy", 1_000), START)
    exchange.advance_to(START + MINUTE)
    assert len(exchange.ledger.open_positions()) == 1
    exchange.advance_to(START + 2 * MINUTE)
    assert exchange.ledger.open_positions() == []
    # 0.12 - 0.0005 + 1 - 100,000/P = 100,000/P * (0.004 + 0.0005)
    price = 100_000 * 1.0045 / 1.1195
    assert exchange.matching.orders[-1].average == pytest.approx(price, rel=1e-4)


def test_liquidation_of_the_account_takes_both_legs_and_all_orders() -> None:
    exchange = exchange_of(FALL, cash=0.2)
    exchange.matching.place(wanted("buy", 1_100), START)
    exchange.matching.place(wanted("sell", 100, pos_side="short"), START)
    order = exchange.matching.place(wanted("buy", 1, 60_000), START)
    exchange.advance_to(START + MINUTE)
    assert [each.category for each in exchange.matching.orders[-2:]] == ["full_liquidation"] * 2
    assert (order.state, order.cancel_source) == ("canceled", "3")


def test_isolated_margin_leaves_the_wallet_and_comes_back() -> None:
    exchange = exchange_of(FLAT)
    exchange.matching.place(wanted("buy", 100, tdMode="isolated"), START)
    fee = 0.1 * 0.0005
    assert exchange.ledger.cash["BTC"] == pytest.approx(1.0 - 0.01 - fee, abs=1e-15)
    assert exchange.figures("BTC")["equity"] == pytest.approx(1.0 - fee, abs=1e-15)
    exchange.matching.place(wanted("sell", 40, tdMode="isolated"), START)
    assert exchange.ledger.positions[INST, "isolated", "long"].margin == pytest.approx(0.006)
    exchange.ledger.set_leverage(exchange.markets[INST], "isolated", "long", 5.0)
    assert exchange.ledger.positions[INST, "isolated", "long"].margin == pytest.approx(0.012)
    exchange.matching.place(wanted("sell", 60, tdMode="isolated"), START)
    assert exchange.ledger.cash["BTC"] == pytest.approx(1.0 - 2 * fee, abs=1e-15)


MOVES = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), st.sampled_from(["long", "short"]),
              st.integers(1, 400), st.sampled_from([99_000.0, 100_000.0, 101_000.0, None]),
              st.booleans()),
    min_size=1, max_size=25,
)  # fmt: skip
WAVES = [
    (100_000.0, 101_500.0, 98_500.0, 100_000.0),
    (100_000.0, 100_500.0, 97_000.0, 97_500.0),
    (97_500.0, 104_000.0, 97_000.0, 103_000.0),
    (103_000.0, 103_500.0, 91_000.0, 92_000.0),
]


@deterministic
@given(MOVES, st.booleans(), st.sampled_from(["cross", "isolated"]), st.sampled_from([3.0, 50.0]))
def test_bills_add_up_to_the_wallet_and_positions_to_the_fills(
    moves: list[tuple[str, str, int, float | None, bool]], hedged: bool, mode: str, leverage: float
) -> None:
    exchange = exchange_of(*WAVES * 8, cash=0.3, funding=[(START + 90_000, 0.001)], hedged=hedged,
                           leverage=leverage, price_band=1.0)  # fmt: skip
    for step, (side, leg, contracts, price, reduces) in enumerate(moves, 1):
        fields = {"tdMode": mode, "reduceOnly": reduces}
        order = wanted(side, contracts, price, leg if hedged else "net", **fields)
        try:
            exchange.matching.place(order, exchange.now_ms)
        except Refused as refusal:
            assert refusal.code in {"51008", "51112", "51169"}  # noqa: PT017
        exchange.advance_to(START + step * MINUTE)
    ledger, positions = exchange.ledger, exchange.ledger.positions
    total = sum_floats(bill.change for bill in ledger.bills)
    margins = sum_floats(held.margin for held in positions.values())
    assert ledger.cash["BTC"] + margins == pytest.approx(0.3 + total, abs=1e-12)
    # A loss may go beyond what there is only where it is forgiven.
    assert ledger.cash["BTC"] >= -1e-12 or ledger.open_positions()
    for side in ("long", "short", "net"):
        fills = [each for each in exchange.matching.fills if each.order.pos_side == side]
        bought = sum_floats(each.contracts for each in fills if each.order.is_buy)
        sold = sum_floats(each.contracts for each in fills if not each.order.is_buy)
        held = positions.get((INST, mode, side))
        signed = held.contracts * (1 if held.side == "long" else -1) if held else 0.0
        assert bought - sold == pytest.approx(signed)
        assert held is None or side in ("net", held.side)
