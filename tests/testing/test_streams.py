"""The real ccxt.pro on the websockets of the exchange for tests."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cryptosim_bt.testing import FakeVenue, Keys
from tests.testing.markets import FLAT, MINUTE, START, SYMBOL, bars_of, ccxt, talk

LONG = {"positionSide": "long"}
SWING = (100_000.0, 100_100.0, 99_000.0, 100_000.0)


async def subscribed(venue: FakeVenue, *channels: str) -> None:
    """Wait until channels are subscribed."""
    async with asyncio.timeout(5):
        while not {*channels} <= {arg["channel"] for each in venue.streams.connections
                                  for arg in each.args}:  # fmt: skip
            await asyncio.sleep(0.01)


def watch(seen: list[Any], ask: Any) -> asyncio.Task[None]:
    """Keep what a watch_* method gives."""

    async def keep() -> None:
        while True:
            # Copies: ccxt changes what it gave.
            seen.extend([dict(each) for each in await ask()])

    return asyncio.create_task(keep())


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_orders_and_positions_are_pushed() -> None:
    async def work(client: Any) -> None:
        orders: list[Any] = []
        legs: list[Any] = []
        tasks = [watch(orders, lambda: client.watch_orders(SYMBOL)),
                 watch(legs, lambda: client.watch_positions([SYMBOL]))]  # fmt: skip
        await subscribed(venue, "orders", "positions")
        await client.create_order(SYMBOL, "limit", "buy", 2, 99_500, {**LONG,
                                  "clientOrderId": "a1"})  # fmt: skip
        await until(lambda: orders)
        venue.advance_to(START + MINUTE)
        await until(lambda: orders[-1]["status"] == "closed" and legs)
        await stop(*tasks)
        assert [each["clientOrderId"] for each in orders] == ["a1", "a1"]
        assert [each["filled"] for each in orders] == [0, 2]
        info = orders[-1]["info"]
        assert (info["fillPx"], info["fillSz"], info["execType"]) == ("99500", "2", "M")
        assert (legs[0]["side"], legs[0]["contracts"]) == ("long", 2)

    with FakeVenue({SYMBOL: bars_of(SWING, SWING)}, {"BTC": 1.0}) as venue:
        talk(venue, work)


def test_each_candle_is_pushed_finished_once() -> None:
    async def work(client: Any) -> list[Any]:
        task = asyncio.create_task(client.watch_ohlcv(SYMBOL, "1m"))
        await subscribed(venue, "candle1m")
        rows: list[Any] = []
        client.handle_ohlcv = lambda _, message: rows.extend(message["data"])
        venue.advance_to(START + 3 * MINUTE)
        await until(lambda: rows and rows[-1][0] == str(START + 3 * MINUTE))
        await stop(task)
        return rows

    with FakeVenue({SYMBOL: bars_of(*[SWING] * 4)}, {"BTC": 1.0}) as venue:
        rows = talk(venue, work)
    done = [row for row in rows if row[8] == "1"]
    assert [int(row[0]) for row in done] == [START + MINUTE * row for row in range(3)]
    assert done[0][1:5] == ["100000", "100100", "99000", "100000"]
    assert len(rows) > 6


def test_balance_and_its_beat_are_pushed() -> None:
    async def work(client: Any) -> Any:
        first = await client.watch_balance()
        task = asyncio.create_task(client.watch_balance())
        await asyncio.sleep(0.05)
        venue.advance_to(START + 6_000)
        return first, await task

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.5}) as venue:
        first, second = talk(venue, work)
    assert first["BTC"]["total"] == second["BTC"]["total"] == 1.5


def test_wrong_login_is_refused() -> None:
    async def work(client: Any) -> None:
        with pytest.raises(ccxt.AuthenticationError):
            await client.watch_balance()

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work, secret="other")
        venue.faults.add("ws_refuse_login", code="60009")
        talk(venue, work)
    assert Keys() == venue.keys


def test_dropped_socket_comes_back_and_subscribes_again() -> None:
    async def work(client: Any) -> None:
        task = asyncio.create_task(client.watch_orders(SYMBOL))
        await subscribed(venue, "orders")
        venue.faults.add("ws_drop", when="/private")
        with pytest.raises(ccxt.NetworkError):
            await task
        orders: list[Any] = []
        task = watch(orders, lambda: client.watch_orders(SYMBOL))
        await subscribed(venue, "orders")
        await client.create_order(SYMBOL, "market", "buy", 1, None, LONG)
        await until(lambda: orders and orders[-1]["status"] == "closed")
        await stop(task)

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)


def test_silent_socket_is_noticed_by_its_missing_pong() -> None:
    async def work(client: Any) -> None:
        task = asyncio.create_task(client.watch_orders(SYMBOL))
        await subscribed(venue, "orders")
        venue.faults.add("ws_silence", when="/private")
        with pytest.raises(ccxt.RequestTimeout):
            await asyncio.wait_for(task, 5)

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work, streaming={"keepAlive": 200})


@pytest.mark.parametrize(
    ("kind", "filled"),
    [
        ("push_missing", [1, 3]),
        ("push_duplicated", [1, 2, 2, 3]),
        ("push_reordered", [1, 3, 2]),
    ],
)
def test_pushes_go_wrong_on_order(kind: str, filled: list[int]) -> None:
    async def work(client: Any) -> list[Any]:
        task = asyncio.create_task(client.watch_orders(SYMBOL))
        await subscribed(venue, "orders")
        sizes: list[int] = []
        client.handle_orders = lambda _, message: sizes.append(int(message["data"][0]["sz"]))
        venue.faults.add(kind, when='"sz": "2"')
        for contracts in (1, 2, 3):
            await client.create_order(SYMBOL, "limit", "buy", contracts, 90_000, LONG)
        await until(lambda: len(sizes) == len(filled))
        await stop(task)
        return sizes

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        assert talk(venue, work) == filled


def test_late_push_comes_after_later_ones() -> None:
    async def work(client: Any) -> list[int]:
        task = asyncio.create_task(client.watch_orders(SYMBOL))
        await subscribed(venue, "orders")
        sizes: list[int] = []
        client.handle_orders = lambda _, message: sizes.append(int(message["data"][0]["sz"]))
        venue.faults.add("push_late", when='"sz": "1"', seconds=0.4)
        for contracts in (1, 2):
            await client.create_order(SYMBOL, "limit", "buy", contracts, 90_000, LONG)
        await until(lambda: len(sizes) == 2)
        await stop(task)
        return sizes

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        assert talk(venue, work) == [2, 1]


def test_notice_of_a_service_upgrade_is_a_network_error() -> None:
    async def work(client: Any) -> None:
        task = asyncio.create_task(client.watch_orders(SYMBOL))
        await subscribed(venue, "orders")
        venue.faults.add("ws_notice", when="/private")
        with pytest.raises(ccxt.NetworkError):
            await asyncio.wait_for(task, 5)

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)


def test_unknown_channel_and_instrument_are_refused() -> None:
    async def work(client: Any) -> None:
        client.markets[SYMBOL]["id"] = "XYZ-USD-SWAP"
        with pytest.raises(ccxt.BadRequest, match="60018"):
            await client.watch_ohlcv(SYMBOL, "1m")

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)


def test_defect_of_the_venue_is_raised_when_it_is_closed() -> None:
    async def work(client: Any) -> None:
        venue.faults.add("correct_candle", symbol="XYZ", time_ms=START)
        with pytest.raises(ccxt.NetworkError):
            await client.fetch_time()

    venue = FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}).__enter__()
    talk(venue, work)
    with pytest.raises(KeyError, match="XYZ"):
        venue.__exit__()


def test_client_that_cannot_read_meanwhile_does_not_hold_time_up() -> None:
    async def work(client: Any) -> None:
        tasks = [asyncio.create_task(client.watch_ohlcv(SYMBOL, "1m")),
                 asyncio.create_task(client.watch_balance())]  # fmt: skip
        await subscribed(venue, "candle1m", "account")
        begun = time.monotonic()
        venue.advance_to(START + 600 * MINUTE)  # megabytes of pushes
        assert time.monotonic() - begun < 20
        assert (await client.fetch_ohlcv(SYMBOL, "1m"))[-1][0] == START + 600 * MINUTE
        await stop(*tasks)

    with FakeVenue({SYMBOL: bars_of(*[SWING] * 601)}, {"BTC": 1.0}) as venue:
        talk(venue, work)
