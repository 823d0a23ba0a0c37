"""The real ccxt client against a local venue: what comes back, and what each fault becomes."""

from __future__ import annotations

import subprocess
import sys

import ccxt  # noqa: TID251 - its own errors, and the seam for private calls
import pytest

from cryptosim_bt.data.market import Tier
from cryptosim_bt.data.venue import Retries, Venue
from cryptosim_bt.errors import VenueRefused, VenueUnavailable
from tests.venue.conftest import FIRST_MS, HOUR_MS
from tests.venue.faults import LINE_FAULTS, Fault
from tests.venue.market import Market, instrument, synthetic_bars
from tests.venue.server import Reply

SYMBOL = "BTC/USD:BTC"


def expected(table, start, stop):
    rows = zip(table.index, table.to_numpy(), strict=True)
    return [(int(at), *map(float, row)) for at, row in rows][start:stop]


def test_venue_candles_are_those_of_the_span_and_exact(venue, exchange):
    bars = exchange.markets["BTC-USD-SWAP"].bars["1H"]
    start, end = FIRST_MS + 10 * HOUR_MS, FIRST_MS + 200 * HOUR_MS
    assert venue.candles(SYMBOL, "1h", "trade", start, end) == expected(bars, 10, 200)


def test_venue_mark_candles_come_from_the_mark_endpoint_without_volume(venue, server, exchange):
    marks = exchange.markets["BTC-USD-SWAP"].marks["1H"]
    found = venue.candles(SYMBOL, "1h", "mark", FIRST_MS, FIRST_MS + 50 * HOUR_MS)
    assert [row[:5] for row in found] == [row[:5] for row in expected(marks, 0, 50)]
    assert all(row[5] != row[5] for row in found)  # NaN
    assert server.asked("mark-price-candles")


def test_venue_recent_candles_come_from_the_recent_endpoint(venue, server, exchange):
    now = exchange.now_ms() // HOUR_MS * HOUR_MS
    exchange.markets["BTC-USD-SWAP"].bars["1H"] = synthetic_bars(now - 5 * HOUR_MS, 6, HOUR_MS)
    found = venue.candles(SYMBOL, "1h", "trade", now - 5 * HOUR_MS, now + HOUR_MS)
    assert len(found) == 6  # the last one unfinished: the downloader leaves it out
    assert [request.path for request in server.asked("candles")] == ["/api/v5/market/candles"]


def test_venue_market_and_tiers_are_as_listed(venue):
    market = venue.market(SYMBOL)
    assert (market.contract_size, market.lot, market.tick) == (100.0, 1.0, 0.1)
    assert (market.maker, market.taker, market.max_leverage) == (0.0002, 0.0005, 100.0)
    assert market.listed_ms == 1_535_424_203_000
    tiers = venue.tiers(SYMBOL)
    assert tiers is not None
    assert tiers.unit == "contracts"
    assert tiers.tiers[0] == Tier(0.0, 20_000.0, 0.0045, 100.0)


def test_venue_funding_page_is_the_newest_before_the_end(venue, exchange):
    rates = exchange.markets["BTC-USD-SWAP"].funding
    end = rates[150][0]
    assert venue.funding_rates(SYMBOL, FIRST_MS, end, limit=100) == rates[50:150]
    assert venue.now_ms() == pytest.approx(exchange.now_ms(), abs=2000)


@pytest.mark.parametrize("fault", LINE_FAULTS)
def test_venue_fault_of_the_line_is_asked_again(venue, server, exchange, fault):
    server.faults.timeout_s = 1.0
    server.faults.order(fault, "history-candles", times=2)
    bars = exchange.markets["BTC-USD-SWAP"].bars["1H"]
    found = venue.candles(SYMBOL, "1h", "trade", FIRST_MS, FIRST_MS + 20 * HOUR_MS)
    assert found == expected(bars, 0, 20)
    assert len(server.asked("history-candles")) == 3


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault.RESET, "no connection to"),
        (Fault.DROP, "no connection to"),
        (Fault.TIMEOUT, r"no answer in 0\.5 s"),
        (Fault.TOO_MANY, "too many requests"),
        (Fault.SERVER_ERROR, "code 50026: System error"),
        (Fault.UNAVAILABLE, "Service Unavailable"),
        (Fault.BUSY, "code 50013: Systems are busy"),
        (Fault.MAINTENANCE, "under maintenance"),
        (Fault.HTML, "the answer is no JSON, it begins with '<!DOCTYPE"),
        (Fault.HALF_JSON, "the answer is no JSON"),
        (Fault.NOT_OKX, "status"),
    ],
)
def test_venue_fault_that_stays_is_a_sentence(venue, server, fault, sentence):
    server.faults.timeout_s = 0.7
    server.faults.order(fault, "history-candles", times=100)
    with pytest.raises(VenueUnavailable, match=sentence) as caught:
        venue.candles(SYMBOL, "1h", "trade", FIRST_MS, FIRST_MS + HOUR_MS)
    assert "asked 4 times" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_venue_empty_markets_are_not_believed(venue, server):
    server.exchange.markets.clear()
    with pytest.raises(VenueUnavailable, match="its markets: the answer was empty"):
        venue.market(SYMBOL)


def test_venue_that_refuses_is_not_asked_again(venue, server):
    with pytest.raises(VenueRefused, match=r"no market 'BTC/EUR:BTC'; .* BTC/USD:BTC"):
        venue.market("BTC/EUR:BTC")
    server.exchange.markets["BTC-USD-SWAP"] = Market(instrument())
    before = len(server.requests)
    del server.exchange.markets["BTC-USD-SWAP"]
    with pytest.raises(VenueRefused, match=r"no such market \(code 51001"):
        venue.candles(SYMBOL, "1h", "trade", FIRST_MS, FIRST_MS + HOUR_MS)
    assert len(server.requests) == before + 1


def test_venue_unknown_exchange_and_timeframe_are_refused(venue):
    with pytest.raises(VenueRefused, match=r"exchange\.name: was 'okxx'"):
        Venue("okxx")
    with pytest.raises(VenueRefused, match="no 7m candles; it has: 1m"):
        venue.candles(SYMBOL, "7m", "trade", FIRST_MS, FIRST_MS + HOUR_MS)


def test_venue_without_any_connection_says_so_soon(server):
    server.stop()
    pauses: list[float] = []
    client = Venue("okx", server.url, sleep=pauses.append)
    with pytest.raises(VenueUnavailable, match=r"no connection to .*asked 4 times"):
        client.market(SYMBOL)
    # 0.5, 1 and 2 s, less a random half at most
    assert [0.25, 0.5, 1.0] <= pauses <= [0.5, 1.0, 2.0]


ERRORS = [
    kind for kind in vars(ccxt).values()
    if isinstance(kind, type) and issubclass(kind, ccxt.BaseError) and kind is not ccxt.BaseError
]  # fmt: skip


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_of_ccxt_is_one_of_ours(venue, kind):
    passes = issubclass(kind, ccxt.NetworkError | ccxt.OperationFailed)
    server_text = kind('okx {"code":"51999","msg":"said so"}')
    mapped = venue._mapped("a question", server_text)
    assert type(mapped) is (VenueUnavailable if passes else VenueRefused)
    assert "asked for a question: " in str(mapped)


def test_private_endpoints_can_join_the_venue(server):
    """The seam: what is put into routes has faults, the request log and the envelope too."""
    server.routes["GET", "/api/v5/account/balance"] = lambda request: Reply(
        [{"uTime": "1", "details": [{"ccy": "BTC", "eq": "0.5", "frozenBal": "0"}]}]
    )
    client = ccxt.okx(
        {"apiKey": "k", "secret": "s", "password": "p", "enableRateLimit": False,
         "urls": {"api": {"rest": server.url}}, "has": {"fetchCurrencies": False},
         "options": {"fetchMarkets": {"types": ["swap"]}}}
    )  # fmt: skip
    assert client.fetch_balance()["BTC"]["total"] == 0.5
    assert server.asked("balance")[0].headers["OK-ACCESS-KEY"] == "k"
    client.session.close()


def test_retries_pause_doubles_up_to_the_longest():
    retries = Retries(first_s=0.5, longest_s=3.0)
    assert [retries.pause_s(at, 0.0) for at in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert retries.pause_s(0, 1.0) == 0.25


def test_venue_keeps_the_rate_limit_of_the_exchange(server):
    client = Venue("okx", server.url)
    client.market(SYMBOL)
    for at in range(5):
        client.candles(SYMBOL, "1h", "trade", FIRST_MS + at * HOUR_MS, FIRST_MS + 300 * HOUR_MS)
    client.close()
    asked = [request.at for request in server.asked("history-candles")]
    # OKX allows 20 in 2 s; ccxt waits 110 ms from one to the next, this machine may wait longer.
    assert (asked[-1] - asked[0]) / (len(asked) - 1) > 0.1


def test_ccxt_is_not_imported_before_a_venue_is_made():
    code = (
        "import sys, cryptosim_bt.cli.commands, cryptosim_bt.data.fetch, cryptosim_bt.feeds.ccxt;"
        "print('ccxt' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
