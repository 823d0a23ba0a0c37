"""The real ccxt against the exchange for tests: what it asks, and what it makes of the answers."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from cryptosim_bt.testing import FakeVenue, Keys
from tests.testing.markets import (
    FLAT,
    INST,
    LINEAR,
    MINUTE,
    START,
    SYMBOL,
    bars_of,
    ccxt,
    market_of,
    talk,
)

LONG = {"positionSide": "long"}
RISE = [(100_000.0 + row, 100_020.0 + row, 99_990.0 + row, 100_010.0 + row) for row in range(180)]


def test_markets_are_those_of_the_instruments() -> None:
    async def work(client: Any) -> Any:
        return client.markets

    with FakeVenue([market_of(FLAT), market_of(FLAT, symbol=LINEAR)], {"BTC": 1.0}) as venue:
        found = talk(venue, work)
    inverse, linear = found[SYMBOL], found[LINEAR]
    assert (inverse["contractSize"], inverse["inverse"], inverse["settle"]) == (100, True, "BTC")
    assert (linear["contractSize"], linear["linear"], linear["settle"]) == (0.01, True, "USDT")
    assert inverse["precision"] == {"amount": 1.0, "price": 0.1}


def test_candles_come_back_as_they_were_given() -> None:
    table = bars_of(*RISE)

    async def work(client: Any) -> Any:
        client.verbose = False
        recent = await client.fetch_ohlcv(SYMBOL, "1m", START, 100)
        old = await client.fetch_ohlcv(SYMBOL, "1m", START, 300, {"type": "HistoryCandles"})
        hours = await client.fetch_ohlcv(SYMBOL, "1h")
        return recent, old, hours

    now = START + 125 * MINUTE + 30_000
    with FakeVenue({SYMBOL: table}, {"BTC": 1.0}, start_ms=now) as venue:
        recent, old, hours = talk(venue, work)
    assert np.array_equal(np.array(recent)[:, 1:], table.to_numpy()[:100])
    assert [row[0] for row in recent] == [START + MINUTE * row for row in range(100)]
    assert len(old) == 125  # the running one is not in the history
    assert [row[0] for row in hours] == [START + 60 * MINUTE * hour for hour in range(3)]
    assert hours[0][1:] == [100_000, 100_079, 99_990, 100_069, 360]
    assert hours[2][5] < 6 * 6  # as far as it has come


def test_day_of_hong_kong_begins_at_16_utc_unless_it_is_utc() -> None:
    market = market_of(*RISE * 10)  # 30 hours
    now = START + 1_799 * MINUTE
    hour = 60 * MINUTE
    opens = {wire: [(each.time_ms - START) / hour for each in market.candles(wire, now, None, None,
             9)] for wire in ("1Dutc", "1D", "6H", "4H", "1W", "1Wutc")}  # fmt: skip
    assert opens["1Dutc"] == [24, 0]
    assert opens["1D"] == [16, -8]
    assert opens["6H"] == [28, 22, 16, 10, 4, -2]
    assert opens["4H"] == [28, 24, 20, 16, 12, 8, 4, 0]
    # 2025-01-01 was a Wednesday.
    assert (opens["1W"], opens["1Wutc"]) == ([-56], [-48])


def test_order_goes_through_its_life() -> None:
    async def work(client: Any) -> Any:
        placed = await client.create_order(
            SYMBOL, "limit", "buy", 10, 99_500, {**LONG, "clientOrderId": "a1"}
        )
        working = await client.fetch_open_orders(SYMBOL)
        await client.create_order(SYMBOL, "market", "buy", 5, None, LONG)
        venue.advance_to(START + MINUTE)
        order = await client.fetch_order(None, SYMBOL, {"clientOrderId": "a1"})
        return (placed, working, order, await client.fetch_my_trades(SYMBOL),
                await client.fetch_positions([SYMBOL]), await client.fetch_balance(),
                await client.fetch_closed_orders(SYMBOL))  # fmt: skip

    swing = (100_000.0, 100_100.0, 99_000.0, 100_000.0)
    with FakeVenue({SYMBOL: bars_of(swing, swing)}, {"BTC": 1.0}) as venue:
        placed, working, order, trades, positions, balance, done = talk(venue, work)
    assert working[0]["id"] == placed["id"] == order["id"]
    assert (order["status"], order["average"], order["filled"]) == ("closed", 99_500, 10)
    fees = [5 * 100 / 100_000 * 0.0005, 10 * 100 / 99_500 * 0.0002]
    assert [each["fee"]["cost"] for each in trades] == pytest.approx(fees)
    average = 15 / (5 / 100_000 + 10 / 99_500)
    assert positions[0]["entryPrice"] == pytest.approx(average)
    assert (positions[0]["contracts"], positions[0]["hedged"]) == (15, True)
    pnl = 1_500 * (1 / average - 1 / 100_000)
    assert balance["BTC"]["total"] == pytest.approx(1.0 - sum(fees) + pnl)
    margin = 1_500 / 100_000 / 10
    assert balance["BTC"]["free"] == pytest.approx(1.0 - sum(fees) + pnl - margin)
    assert len(done) == 2


@pytest.mark.parametrize(
    ("keys", "config", "error"),
    [
        (Keys(secret="other"), {}, ccxt.AuthenticationError),
        (Keys(passphrase="other"), {}, ccxt.AuthenticationError),
        (Keys(api_key="other"), {}, ccxt.AuthenticationError),
        (Keys(), {"headers": {}}, ccxt.AuthenticationError),
        (Keys(demo=False), {"headers": {"x-simulated-trading": "1"}}, ccxt.AuthenticationError),
    ],
)
def test_wrong_keys_and_environment_are_refused(
    keys: Keys, config: dict[str, Any], error: type[Exception]
) -> None:
    async def work(client: Any) -> None:
        with pytest.raises(error):
            await client.fetch_balance()

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        given = {"apiKey": keys.api_key, "secret": keys.secret, "password": keys.passphrase}
        venue.keys = keys if keys == Keys(demo=False) else venue.keys
        venue.rest._access.keys = venue.keys
        talk(venue, work, **given, **config)


def test_wrong_clock_is_refused_until_it_is_set_right() -> None:
    async def work(client: Any) -> Any:
        with pytest.raises(ccxt.InvalidNonce):
            await client.fetch_balance()
        await client.load_time_difference()
        return await client.fetch_balance()

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}, time_scale=1.0) as venue:
        venue.clock.skew_ms = 45_000
        assert talk(venue, work)["BTC"]["total"] == 1.0


def test_too_many_requests_are_refused() -> None:
    async def work(client: Any) -> None:
        for _ in range(10):
            await client.fetch_balance()
        with pytest.raises(ccxt.RateLimitExceeded):
            await client.fetch_balance()

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)


def test_order_that_comes_too_late_is_dropped() -> None:
    async def work(client: Any) -> None:
        for exp_ms, fits in ((START + 5_000, True), (START - 1, False)):
            client.headers["expTime"] = str(exp_ms)
            if fits:
                await client.create_order(SYMBOL, "limit", "buy", 1, 99_000, LONG)
                continue
            with pytest.raises(ccxt.ExchangeError, match="50036"):
                await client.create_order(SYMBOL, "limit", "buy", 1, 99_000, LONG)

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)
        assert len(venue.exchange.matching.orders) == 1


def test_settings_are_kept_and_refused_as_on_okx() -> None:
    async def work(client: Any) -> None:
        await client.set_position_mode(False)
        assert not (await client.fetch_position_mode())["hedged"]
        await client.set_position_mode(True)
        await client.set_leverage(20, SYMBOL, {"marginMode": "cross"})
        with pytest.raises(ccxt.ExchangeError, match="59102"):
            await client.set_leverage(120, SYMBOL, {"marginMode": "cross"})
        await client.create_order(SYMBOL, "market", "buy", 1, None, LONG)
        with pytest.raises(ccxt.ExchangeError, match="59000"):
            await client.set_position_mode(False)
        assert (await client.fetch_positions([SYMBOL]))[0]["leverage"] == 20
        info = await client.fetch_leverage(SYMBOL, {"marginMode": "cross"})
        assert (info["longLeverage"], info["shortLeverage"]) == (20, 20)

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}, hedged=False) as venue:
        talk(venue, work)


def test_batch_answers_each_order_by_itself() -> None:
    async def work(client: Any) -> Any:
        orders = [{"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 1, "price": price,
                   "params": LONG} for price in (90_000, 150_000)]  # fmt: skip
        return await client.create_orders(orders)

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        good, bad = talk(venue, work)
    assert good["id"]
    assert not bad["id"]
    assert bad["info"]["sCode"] == "51137"


def test_funding_rates_and_bills_are_told() -> None:
    due = START + 8 * 3_600_000
    funding = [(START + 30_000, 0.0001), (due, -0.0002)]

    async def work(client: Any) -> Any:
        await client.create_order(SYMBOL, "market", "buy", 100, None, LONG)
        venue.advance_to(START + MINUTE)
        return (await client.fetch_funding_rate(SYMBOL), await client.fetch_funding_history(SYMBOL),
                await client.fetch_funding_rate_history(SYMBOL))  # fmt: skip

    with FakeVenue([market_of(FLAT, FLAT, funding=funding)], {"BTC": 1.0}) as venue:
        rate, paid, past = talk(venue, work)
    assert (rate["fundingRate"], rate["fundingTimestamp"]) == (-0.0002, due)
    assert [each["amount"] for each in paid] == pytest.approx([-0.1 * 0.0001])
    assert [each["fundingRate"] for each in past] == [0.0001]


def test_running_clock_moves_the_market() -> None:
    async def work(client: Any) -> None:
        await client.create_order(SYMBOL, "limit", "sell", 1, 100_015, {"positionSide": "short"})
        async with asyncio.timeout(5):
            while await client.fetch_open_orders(SYMBOL):
                await asyncio.sleep(0.05)

    with FakeVenue({SYMBOL: bars_of(*RISE)}, {"BTC": 1.0}, time_scale=120.0) as venue:
        talk(venue, work)
        assert venue.now_ms > START + 1_000


def test_killed_venue_comes_back_with_its_state() -> None:
    async def work(client: Any) -> None:
        await client.create_order(SYMBOL, "limit", "buy", 1, 90_000, LONG)
        venue.kill()
        with pytest.raises(ccxt.NetworkError):
            await client.fetch_open_orders(SYMBOL)
        venue.restart()
        assert len(await client.fetch_open_orders(SYMBOL)) == 1

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)


def test_unknown_route_is_an_error() -> None:
    async def work(client: Any) -> None:
        with pytest.raises(ccxt.ExchangeError):
            await client.privateGetAccountGreeks()
        with pytest.raises(ccxt.BadSymbol):
            await client.publicGetMarketTicker({"instId": "XYZ"})
        assert (await client.publicGetMarketTicker({"instId": INST}))["data"][0]["last"] == "100000"

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)


def test_every_other_call_is_answered() -> None:
    async def work(client: Any) -> None:
        assert (await client.fetch_ticker(SYMBOL))["last"] == 100_000
        tiers = await client.fetch_market_leverage_tiers(SYMBOL, {"marginMode": "cross"})
        assert tiers[0]["maintenanceMarginRate"] == 0.004
        await client.create_order(SYMBOL, "market", "buy", 3, None, LONG)
        exits = {**LONG, "clientOrderId": "exit1"}
        made = await client.create_order(SYMBOL, "limit", "sell", 2, 100_500, exits)
        await client.edit_order(made["id"], SYMBOL, "limit", "sell", 1, 100_600)
        assert (await client.fetch_order(made["id"], SYMBOL))["amount"] == 1
        await client.cancel_orders([made["id"]], SYMBOL)
        assert [each["id"] for each in await client.fetch_canceled_orders(SYMBOL)] == [made["id"]]
        archive = {"method": "privateGetTradeOrdersHistoryArchive"}
        assert len(await client.fetch_closed_orders(SYMBOL, None, None, archive)) == 1
        assert len(await client.fetch_order_trades((await client.fetch_closed_orders(SYMBOL))[0]
                                                   ["id"], SYMBOL)) == 1  # fmt: skip
        assert [each["amount"] for each in await client.fetch_ledger("BTC")] != []
        await client.cancel_all_orders_after(10_000)
        await client.close_position(SYMBOL, "buy", {"marginMode": "cross"})
        [closed] = await client.fetch_positions([SYMBOL])
        assert closed["contracts"] == 0
        assert await client.fetch_positions() == []
        assert (await client.fetch_trading_fee(SYMBOL))["taker"] == 0.0005

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)


def test_cancelled_order_is_forgotten_after_two_hours() -> None:
    async def work(client: Any) -> None:
        named = {"clientOrderId": "a1"}
        await client.create_order(SYMBOL, "limit", "buy", 1, 90_000, {**LONG, **named})
        await client.cancel_order(None, SYMBOL, named)
        venue.advance_to(START + 2 * 3_600_000)
        assert (await client.fetch_order(None, SYMBOL, named))["status"] == "canceled"
        venue.advance_to(START + 2 * 3_600_000 + 1)
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, SYMBOL, named)

    with FakeVenue({SYMBOL: bars_of(FLAT, FLAT)}, {"BTC": 1.0}) as venue:
        talk(venue, work)
