"""Faults on order: what ccxt makes of each, and what the exchange has done."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cryptosim_bt.testing import FakeVenue
from cryptosim_bt.testing.orders import Refused
from tests.testing.markets import (
    FLAT,
    INST,
    MINUTE,
    START,
    SYMBOL,
    bars_of,
    ccxt,
    exchange_of,
    talk,
    wanted,
)

LONG = {"positionSide": "long"}
SWING = (100_000.0, 100_100.0, 99_000.0, 100_000.0)
ORDER = "POST /api/v5/trade"

# Kind, details, what ccxt raises (None: an order without an id), whether the order is there.
REQUESTS: list[tuple[str, dict[str, Any], type[Exception] | None, bool]] = [
    ("lost_request", {}, ccxt.RequestTimeout, False),
    ("lost_answer", {}, ccxt.RequestTimeout, True),
    ("late_answer", {"seconds": 1.0}, ccxt.RequestTimeout, True),
    ("http", {"status": 502}, ccxt.ExchangeNotAvailable, False),
    ("http", {"status": 503, "processed": True}, ccxt.ExchangeNotAvailable, True),
    ("http", {"status": 429}, ccxt.ExchangeNotAvailable, False),
    ("http", {"status": 504}, ccxt.RequestTimeout, False),
    ("html", {}, None, False),
    ("html", {"processed": True}, None, True),
    ("empty", {"processed": True}, None, True),
    ("cut", {"processed": True}, None, True),
    ("code", {"code": "51149", "processed": True}, ccxt.ExchangeError, True),
    ("code", {"code": "51149", "inside": True}, None, False),
    ("code", {"code": "50004"}, ccxt.RequestTimeout, False),
    ("code", {"code": "50011"}, ccxt.RateLimitExceeded, False),
    ("code", {"code": "50061"}, ccxt.ExchangeError, False),
    ("reset", {}, ccxt.NetworkError, False),
    ("reset", {"processed": True}, ccxt.NetworkError, True),
]


@pytest.mark.parametrize(("kind", "details", "error", "done"), REQUESTS)
def test_request_goes_wrong_on_order(
    kind: str, details: dict[str, Any], error: type[Exception] | None, done: bool
) -> None:
    async def work(client: Any) -> None:
        fault = venue.faults.add(kind, when=ORDER, **details)
        if error is None:
            order = await client.create_order(SYMBOL, "limit", "buy", 1, 90_000, LONG)
            assert not order["id"]
        else:
            with pytest.raises(error):
                await client.create_order(SYMBOL, "limit", "buy", 1, 90_000, LONG)
        assert (fault.happened, len(venue.exchange.matching.orders)) == (1, int(done))
        # Once, and nothing else.
        assert (await client.create_order(SYMBOL, "limit", "buy", 1, 90_000, LONG))["id"]

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work, timeout=300)


def test_request_that_was_late_is_carried_out_after_the_client_gave_up() -> None:
    async def work(client: Any) -> None:
        venue.faults.add("late_request", when=ORDER, seconds=0.6)
        named = {"clientOrderId": "a1"}
        with pytest.raises(ccxt.RequestTimeout):
            await client.create_order(SYMBOL, "limit", "buy", 1, 90_000, {**LONG, **named})
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, SYMBOL, named)
        time.sleep(0.6)
        assert (await client.fetch_order(None, SYMBOL, named))["status"] == "open"

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work, timeout=200)


def test_fault_waits_for_its_time_its_text_and_happens_so_often() -> None:
    exchange = exchange_of(FLAT)
    faults = exchange.faults
    faults.add("partial_fill", when=START + 1_000)
    faults.add("refuse", when="sell short", times=2, code="51030")
    faults.add("refuse", when=lambda text: "place a9" in text, code="51010")
    assert faults.take("partial_fill", now_ms=START) is None
    assert faults.take("partial_fill", now_ms=START + 1_000) is not None
    exchange.matching.place(wanted("buy", 1), START)
    for _ in range(2):
        with pytest.raises(Refused, match="51030"):
            exchange.matching.place(wanted("sell", 1, pos_side="short"), START)
    exchange.matching.place(wanted("sell", 1, pos_side="short"), START)
    faults.add("refuse", when="cancel", code="51410")
    order = exchange.matching.place(wanted("buy", 1, 90_000), START)
    with pytest.raises(Refused, match="51410"):
        exchange.matching.cancel({"instId": INST, "ordId": order.ord_id}, START)
    with pytest.raises(Refused, match="51010"):
        exchange.matching.place(wanted("buy", 1, clOrdId="a9"), START)
    with pytest.raises(ValueError, match="lost_request"):
        faults.add("explosion")


def test_order_fills_in_parts() -> None:
    exchange = exchange_of(SWING, SWING)
    exchange.faults.add("partial_fill", share=0.4, times=2)
    market = exchange.matching.place(wanted("buy", 10), START)
    assert [each.contracts for each in market.fills] == [4.0, 2.0, 4.0]
    exchange.faults.add("partial_fill", share=0.5)
    limit = exchange.matching.place(wanted("buy", 10, 99_500), START)
    exchange.advance_to(START + 39_000)
    assert (limit.state, limit.filled) == ("partially_filled", 5.0)
    exchange.advance_to(START + MINUTE)
    assert (limit.state, limit.filled) == ("filled", 10.0)


def test_order_is_filled_while_it_is_cancelled_or_amended() -> None:
    exchange = exchange_of(FLAT)
    named = {"instId": INST, "clOrdId": "a1"}

    def working() -> Any:
        return exchange.matching.place(wanted("buy", 10, 90_000, clOrdId="a1"), START)

    exchange.faults.add("fill_in_cancel", when="a1")
    first = working()
    assert exchange.matching.cancel(named, START).state == first.state == "filled"
    exchange.faults.add("fill_in_cancel", share=0.3)
    part = working()
    exchange.matching.cancel(named, START)
    assert (part.state, part.filled) == ("canceled", 3.0)
    exchange.faults.add("fill_in_cancel", refuse=True)
    working()
    with pytest.raises(Refused, match="51400"):
        exchange.matching.cancel(named, START)
    exchange.faults.add("fill_in_amend")
    last = working()
    with pytest.raises(Refused, match="51503"):
        exchange.matching.amend({**named, "newSz": "20"}, START)
    assert (last.state, last.filled) == ("filled", 10.0)


def test_fill_is_late_in_the_history() -> None:
    async def work(client: Any) -> Any:
        venue.faults.add("late_fill", seconds=5)
        await client.create_order(SYMBOL, "market", "buy", 1, None, LONG)
        before = await client.fetch_my_trades(SYMBOL)
        venue.advance_to(START + 5_000)
        return before, await client.fetch_my_trades(SYMBOL)

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        before, after = talk(venue, work)
    assert (len(before), len(after)) == (0, 1)


def test_venue_acts_by_itself_on_order() -> None:
    exchange = exchange_of(FLAT, FLAT)
    exchange.matching.place(wanted("buy", 10), START)
    exchange.matching.place(wanted("sell", 6, pos_side="short"), START)
    add = exchange.faults.add
    add("adl", when=START + 1_000, symbol=SYMBOL, side="short", contracts=2)
    add("liquidation", when=START + 2_000, symbol=SYMBOL, side="long")
    add("foreign_order", when=START + 3_000, **wanted("buy", 3, clOrdId="hand"))
    add("transfer", when=START + 4_000, currency="BTC", amount=-0.5)
    add("correct_candle", when=START + 5_000, symbol=SYMBOL, time_ms=START, high=100_001.0)
    exchange.advance_to(START + MINUTE)
    held = {each.side: each.contracts for each in exchange.ledger.open_positions()}
    assert held == {"long": 3.0, "short": 4.0}
    done = [(each.category, each.updated_ms) for each in exchange.matching.orders[2:]]
    assert done == [("adl", START + 1_000), ("full_liquidation", START + 2_000),
                    ("normal", START + 3_000)]  # fmt: skip
    transfer = next(bill for bill in exchange.ledger.bills if bill.kind == "1")
    assert (transfer.change, transfer.time_ms) == (-0.5, START + 4_000)
    candle = exchange.markets[INST].candle(START, MINUTE, exchange.now_ms)
    assert candle is not None
    assert candle.high == 100_001.0


def test_server_is_killed_on_order() -> None:
    async def work(client: Any) -> None:
        venue.faults.add("kill", when=START + 1_000)
        venue.advance_to(START + 2_000)
        with pytest.raises(ccxt.NetworkError):
            await client.fetch_time()
        venue.restart()
        assert await client.fetch_time() == START + 2_000

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)
