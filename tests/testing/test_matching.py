"""Orders at the exchange for tests: fills, refusals, modes. Prices and money as arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cryptosim_bt.accounting.arithmetic import touched
from cryptosim_bt.exchange.fill_rules import FillRules
from cryptosim_bt.testing import FakeExchange
from cryptosim_bt.testing.orders import Refused
from tests.contract_numbers import deterministic
from tests.testing.markets import (
    FLAT,
    INST,
    LINEAR,
    LINEAR_INST,
    MINUTE,
    START,
    exchange_of,
    wanted,
)

# From 100,000 to the nearer extreme (up), the other one, back.
SWING = (100_000.0, 100_100.0, 99_000.0, 100_000.0)


def place(exchange: FakeExchange, *args: Any, **fields: Any) -> Any:
    return exchange.matching.place(wanted(*args, **fields), exchange.now_ms)


def code_of(exchange: FakeExchange, order: dict[str, Any]) -> str:
    with pytest.raises(Refused) as refusal:
        exchange.matching.place(order, exchange.now_ms)
    return refusal.value.code


def test_limit_fills_as_maker_when_the_path_meets_it() -> None:
    exchange = exchange_of(SWING)
    order = place(exchange, "buy", 10, 99_500)
    exchange.advance_to(START + 20_000)
    assert order.state == "live"
    exchange.advance_to(START + MINUTE)
    fill = order.fills[0]
    assert (fill.price, fill.contracts, fill.maker) == (99_500.0, 10.0, True)
    assert fill.fee == 10 * 100 / 99_500 * 0.0002
    # 100,100 -> 99,000 between the thirds of 59,999 ms: 99,500 is at 600/1,100 of that way.
    assert fill.time_ms == pytest.approx(START + 19_999 + 600 / 1_100 * 20_000, abs=2)
    assert exchange.ledger.cash["BTC"] == 1.0 - fill.fee


def test_market_order_fills_at_once_as_taker_with_slippage() -> None:
    exchange = exchange_of(FLAT, rules=FillRules(slippage=0.001))
    order = place(exchange, "sell", 7, pos_side="short")
    assert (order.state, order.average) == ("filled", 99_900.0)
    assert exchange.ledger.cash["BTC"] == pytest.approx(1.0 - 7 * 100 / 99_900 * 0.0005, abs=1e-15)


def test_limit_beyond_the_market_fills_at_the_market() -> None:
    order = place(exchange_of(FLAT), "buy", 7, 100_500)
    assert (order.state, order.average, order.fills[0].maker) == ("filled", 100_000.0, False)


def test_limit_with_through_needs_a_tick_more() -> None:
    exchange = exchange_of(SWING, rules=FillRules(through=True))
    at, beyond = place(exchange, "buy", 1, 99_000), place(exchange, "buy", 1, 99_000.1)
    exchange.advance_to(START + MINUTE)
    assert (at.state, beyond.state) == ("live", "filled")


@pytest.mark.parametrize(
    ("kind", "price", "state", "source"),
    [
        ("post_only", 100_000, "canceled", "31"),
        ("post_only", 99_999, "live", ""),
        ("ioc", 99_999, "canceled", "14"),
        ("fok", 99_999, "canceled", "13"),
        ("ioc", 100_000, "filled", ""),
    ],
)
def test_order_types_end_as_on_okx(kind: str, price: float, state: str, source: str) -> None:
    order = place(exchange_of(FLAT), "buy", 1, price, ordType=kind)
    assert (order.state, order.cancel_source) == (state, source)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no instrument", wanted("buy", 1, instId="XYZ-USD-SWAP"), "51001"),
    ("posSide missing", wanted("buy", 1, pos_side=""), "51000"),
    ("posSide of net mode", wanted("buy", 1, pos_side="net"), "51000"),
    ("mode", wanted("buy", 1, tdMode="cash"), "51000"),
    ("side", wanted("hold", 1), "51000"),
    ("type", wanted("buy", 1, ordType="stop"), "51000"),
    ("clOrdId with a dash", wanted("buy", 1, clOrdId="a-1"), "51000"),
    ("clOrdId too long", wanted("buy", 1, clOrdId="a" * 33), "51000"),
    ("size no number", wanted("buy", 1, sz="many"), "51000"),
    ("size nothing", wanted("buy", 0), "51000"),
    ("below the minimum", wanted("buy", 0.5), "51020"),
    ("not a lot", wanted("buy", 1.5), "51121"),
    ("market order too large", wanted("buy", 30_001), "51202"),
    ("price not on the tick", wanted("buy", 1, 99_999.95), "51000"),
    ("buy above the band", wanted("buy", 1, 105_001), "51137"),
    ("sell below the band", wanted("sell", 1, 94_999, "short"), "51138"),
    ("more than the margin", wanted("buy", 10_000), "51008"),
    ("nothing to close", wanted("sell", 1), "51169"),
]


@pytest.mark.parametrize(
    ("order", "code"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_order_is_refused_with_okx_code(order: dict[str, Any], code: str) -> None:
    exchange = exchange_of(FLAT)
    assert code_of(exchange, order) == code
    assert exchange.matching.orders == []


def test_margin_of_working_orders_is_not_there_for_others() -> None:
    # 0.0100 BTC: 90 contracts at 10x need 90*100/90,000/10 = 0.0100 with the fee: not enough.
    exchange = exchange_of(FLAT, cash=0.0105)
    place(exchange, "buy", 90, 90_000)
    assert code_of(exchange, wanted("buy", 5)) == "51008"
    place(exchange, "buy", 4)  # 0.0004 and its fee


def test_client_id_is_taken_while_pending_and_free_afterwards() -> None:
    exchange = exchange_of(FLAT)
    first = place(exchange, "buy", 1, 90_000, clOrdId="a1")
    assert code_of(exchange, wanted("buy", 1, clOrdId="a1")) == "51016"
    exchange.matching.cancel({"instId": INST, "clOrdId": "a1"}, exchange.now_ms)
    second = place(exchange, "buy", 1, clOrdId="a1")
    assert exchange.matching.find({"instId": INST, "clOrdId": "a1"}) is second
    by_id = {"instId": INST, "ordId": first.ord_id, "clOrdId": "other"}
    assert exchange.matching.find(by_id) is first


def test_closing_orders_never_add_up_to_more_than_the_leg() -> None:
    exchange = exchange_of(SWING, (100_000.0, 102_000.0, 100_000.0, 102_000.0))
    place(exchange, "buy", 10)
    far = place(exchange, "sell", 10, 101_000)
    # The same again, and a worse one, stand behind it: refused. A better one stands before it.
    assert code_of(exchange, wanted("sell", 10, 101_000)) == "51112"
    assert code_of(exchange, wanted("sell", 1, 101_500)) == "51112"
    near = place(exchange, "sell", 6, 100_050)
    assert (far.state, near.state) == ("live", "live")
    exchange.advance_to(START + MINUTE)
    assert (near.state, far.state, far.cancel_source) == ("filled", "canceled", "23")
    assert exchange.ledger.positions[INST, "cross", "long"].contracts == 4.0


def test_hedged_legs_stand_side_by_side() -> None:
    exchange = exchange_of(FLAT)
    place(exchange, "buy", 10)
    place(exchange, "sell", 4, pos_side="short")
    held = {each.side: each.contracts for each in exchange.ledger.open_positions()}
    assert held == {"long": 10.0, "short": 4.0}


def test_net_mode_reduces_flips_and_keeps_reduce_only_to_it() -> None:
    exchange = exchange_of(FLAT, hedged=False)
    assert code_of(exchange, wanted("sell", 1, pos_side="net", reduceOnly=True)) == "51169"
    place(exchange, "buy", 10, pos_side="net")
    assert code_of(exchange, wanted("sell", 11, pos_side="net", reduceOnly=True)) == "51112"
    exit_order = place(exchange, "sell", 10, 101_000, pos_side="", reduceOnly=True)
    place(exchange, "sell", 15, pos_side="net")
    held = exchange.ledger.positions[INST, "cross", "net"]
    assert (held.side, held.contracts) == ("short", 5.0)
    assert exit_order.cancel_source == "23"


def test_amended_order_keeps_its_ids_and_takes_what_it_now_meets() -> None:
    exchange = exchange_of(FLAT)
    order = place(exchange, "buy", 5, 99_000, clOrdId="a1")
    amend = {"instId": INST, "clOrdId": "a1"}
    exchange.matching.amend({**amend, "newSz": "8", "newPx": "99500"}, exchange.now_ms)
    assert (order.contracts, order.price, order.state) == (8.0, 99_500.0, "live")
    with pytest.raises(Refused) as refusal:
        exchange.matching.amend({**amend, "newSz": "10000"}, exchange.now_ms)
    assert (refusal.value.code, order.contracts) == ("51008", 8.0)
    exchange.matching.amend({**amend, "newPx": "100100"}, exchange.now_ms)
    assert (order.state, order.average) == ("filled", 100_000.0)
    with pytest.raises(Refused) as refusal:
        exchange.matching.amend({**amend, "newSz": "9"}, exchange.now_ms)
    assert refusal.value.code == "51503"


def test_linear_contract_is_settled_in_its_quote() -> None:
    exchange = exchange_of(FLAT, (100_000.0, 101_000.0, 100_000.0, 101_000.0),
                           symbol=LINEAR, cash=10_000.0)  # fmt: skip
    linear = {"instId": LINEAR_INST}
    place(exchange, "buy", 2.5, **linear)
    exchange.advance_to(START + 2 * MINUTE)
    order = place(exchange, "sell", 2.5, **linear)
    fees = 2.5 * 0.01 * (100_000 + 101_000) * 0.0005
    assert order.pnl == pytest.approx(2.5 * 0.01 * 1_000)
    assert exchange.ledger.cash["USDT"] == pytest.approx(10_000 + 25 - fees)


def test_cancel_all_after_cancels_when_its_time_has_come() -> None:
    exchange = exchange_of(FLAT)
    order = place(exchange, "buy", 1, 90_000)
    exchange.cancel_all_ms = START + 10_000
    exchange.advance_to(START + 9_999)
    assert order.state == "live"
    exchange.advance_to(START + 11_000)
    assert (order.cancel_source, order.updated_ms) == ("20", START + 10_000)


BAR = st.tuples(*[st.integers(990, 1_010)] * 4).map(
    lambda each: (each[0] * 100.0, max(each) * 100.0, min(each) * 100.0, each[3] * 100.0)
)


@deterministic
@given(st.lists(BAR, min_size=2, max_size=12), st.integers(985, 1_015), st.booleans(),
       st.booleans())  # fmt: skip
def test_limit_fills_in_the_bar_that_the_rules_say(
    rows: list[tuple[float, float, float, float]], hundreds: int, is_buy: bool, through: bool
) -> None:
    limit, first = hundreds * 100.0, rows[0][0]
    assume(limit < first if is_buy else limit > first)
    exchange = exchange_of(*rows, rules=FillRules(through=through))
    side, leg = ("buy", "long") if is_buy else ("sell", "short")
    order = place(exchange, side, 1, limit, leg)
    exchange.advance_to(START + len(rows) * MINUTE)
    # R14, bar by bar.
    tick = exchange.markets[INST].instrument.tick
    met = [number for number, (_, high, low, _) in enumerate(rows)
           if touched(is_buy, limit, low, high, through, tick)]  # fmt: skip
    bars = [(fill.time_ms - START) // MINUTE for fill in order.fills]
    assert bars == met[:1]
    assert all(fill.price == limit for fill in order.fills)
