"""Downloads: complete, only closed bars, holes only where the venue has none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cryptosim_bt.data.download import Downloader
from cryptosim_bt.data.store import Series
from cryptosim_bt.data.venue import Venue
from cryptosim_bt.errors import VenueRefused, VenueUnavailable
from tests.venue.conftest import FIRST_MS, HOUR_MS
from tests.venue.faults import CONTENT_FAULTS, Fault
from tests.venue.market import real_bars, synthetic_bars
from tests.venue.server import OkxServer

DATA = Path(os.environ.get("CRYPTOSIM_DATA", "../shared/data"))

BARS = Series.bars("okx", "BTC/USD:BTC", "1h")
FUNDING = Series.funding("okx", "BTC/USD:BTC")


def silent(done: int, total: int) -> None:
    pass


@pytest.fixture
def downloader(store, venue) -> Downloader:
    return Downloader(store, venue, pause_s=0.0)


def test_download_pages_to_the_end_of_the_span(downloader, store, exchange, server):
    outcome = downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, silent)
    assert (outcome.rows, outcome.holes) == (500, 0)
    table = exchange.markets["BTC-USD-SWAP"].bars["1H"]
    rows = store.read_columns(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS)
    assert np.array_equal(rows["volume"], table["volume"].to_numpy())
    # 300 and 200 bars, and no question more
    assert [request.query["limit"] for request in server.asked("candles")] == ["300", "200"]


def test_download_asks_only_for_what_is_not_known(downloader, server):
    downloader.fetch(BARS, FIRST_MS + 100 * HOUR_MS, FIRST_MS + 200 * HOUR_MS, silent)
    server.requests.clear()
    outcome = downloader.fetch(BARS, FIRST_MS, FIRST_MS + 300 * HOUR_MS, silent)
    assert outcome.rows == 200
    assert [request.query["limit"] for request in server.asked("candles")] == ["100", "100"]
    server.requests.clear()
    assert downloader.fetch(BARS, FIRST_MS, FIRST_MS + 300 * HOUR_MS, silent).rows == 0
    assert server.asked("candles") == []


def test_download_walks_over_a_hole_longer_than_pages(downloader, exchange, store):
    market = exchange.markets["BTC-USD-SWAP"]
    market.bars["1H"] = synthetic_bars(FIRST_MS, 1500, HOUR_MS).drop(
        index=[FIRST_MS + at * HOUR_MS for at in range(100, 1100)]
    )
    outcome = downloader.fetch(BARS, FIRST_MS, FIRST_MS + 1500 * HOUR_MS, silent)
    assert (outcome.rows, outcome.holes) == (500, 1000)
    assert outcome.first_hole_ms == FIRST_MS + 100 * HOUR_MS
    assert store.summary(BARS).holes == 1000


def test_download_of_a_venue_with_shorter_pages_than_it_is_said_to_have(
    downloader, exchange, server
):
    """300 are asked for and 70 come, the newest: no bar of the others is taken for a hole."""
    path = ("GET", "/api/v5/market/history-candles")
    whole = server.routes[path]

    def short(request):
        reply = whole(request)
        return type(reply)(reply.rows[:70], key=reply.key)

    server.routes[path] = short
    outcome = downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, silent)
    assert (outcome.rows, outcome.holes) == (500, 0)


@pytest.mark.parametrize("fault", CONTENT_FAULTS)
def test_download_believes_no_single_answer(downloader, server, store, exchange, fault):
    server.faults.order(fault, "candles", times=2)
    outcome = downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, silent)
    assert (outcome.rows, outcome.holes) == (500, 0)
    assert server.faults.happened[fault] == 2
    rows = store.read_columns(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS)
    wanted = exchange.markets["BTC-USD-SWAP"].bars["1H"]
    assert np.array_equal(rows["close"], wanted["close"].to_numpy())


@pytest.mark.parametrize("fault", CONTENT_FAULTS)
def test_download_of_funding_believes_no_single_answer(downloader, server, store, exchange, fault):
    server.faults.order(fault, "funding", times=2)
    downloader.fetch(FUNDING, FIRST_MS, FIRST_MS + 1440 * HOUR_MS, silent)
    rows = store.read_columns(FUNDING, FIRST_MS, FIRST_MS + 1440 * HOUR_MS)
    found = list(zip(rows["time"].tolist(), rows["funding_rate"].tolist(), strict=True))
    assert found == exchange.markets["BTC-USD-SWAP"].funding
    server.requests.clear()
    downloader.fetch(FUNDING, FIRST_MS, FIRST_MS + 1440 * HOUR_MS, silent)
    assert server.asked("funding") == []


def test_download_keeps_closed_bars_only(downloader, exchange, store):
    now = FIRST_MS + 10 * HOUR_MS + 1_800_000
    exchange.now_ms = lambda: now
    outcome = downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, silent)
    assert (outcome.rows, outcome.holes) == (10, 0)
    assert store.unknown(BARS, FIRST_MS, FIRST_MS + 11 * HOUR_MS) == (
        (FIRST_MS + 10 * HOUR_MS, FIRST_MS + 11 * HOUR_MS),
    )


def test_download_newest_bars_that_are_late_are_no_holes(downloader, exchange, store):
    market = exchange.markets["BTC-USD-SWAP"]
    whole = market.bars["1H"]
    market.bars["1H"] = whole.iloc[:19]
    exchange.now_ms = lambda: FIRST_MS + 20 * HOUR_MS + 60_000
    outcome = downloader.fetch(BARS, FIRST_MS, FIRST_MS + 30 * HOUR_MS, silent)
    assert (outcome.rows, outcome.holes, outcome.unsettled) == (19, 0, 1)
    market.bars["1H"] = whole
    assert downloader.fetch(BARS, FIRST_MS, FIRST_MS + 30 * HOUR_MS, silent).rows == 1


def test_download_before_the_listing_is_not_asked_page_by_page(downloader, exchange, server, store):
    exchange.markets["BTC-USD-SWAP"].instrument["listTime"] = str(FIRST_MS)
    years = FIRST_MS - 20_000 * HOUR_MS
    outcome = downloader.fetch(BARS, years, FIRST_MS + 100 * HOUR_MS, silent)
    assert (outcome.rows, outcome.holes) == (100, 0)
    assert len(server.asked("candles")) == 4  # a page before the listing, three times; then the 100
    assert store.unknown(BARS, years, FIRST_MS) == ()


def test_download_listing_date_that_is_not_the_first_bars_is_not_believed(downloader, exchange):
    exchange.markets["BTC-USD-SWAP"].instrument["listTime"] = str(FIRST_MS + 400 * HOUR_MS)
    assert downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, silent).rows == 500


def test_download_that_fails_keeps_what_came_before(downloader, server, store):
    whole = server.routes["GET", "/api/v5/market/history-candles"]
    late = FIRST_MS + 300 * HOUR_MS

    def endpoint(request):
        if int(request.query["after"]) > late:
            server.faults.order(Fault.UNAVAILABLE, "candles", times=50)
        return whole(request)

    server.routes["GET", "/api/v5/market/history-candles"] = endpoint
    server.faults.order(Fault.UNAVAILABLE, "nothing")
    downloader.fetch(BARS, FIRST_MS, late, silent)
    server.faults.order(Fault.UNAVAILABLE, "candles", times=50)
    with pytest.raises(VenueUnavailable, match="what was stored before is kept"):
        downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, silent)
    assert store.summary(BARS).rows == 300


def test_download_bars_off_the_grid_are_refused(downloader, exchange):
    table = exchange.markets["BTC-USD-SWAP"].bars["1H"]
    exchange.markets["BTC-USD-SWAP"].bars["1H"] = table.set_axis(table.index + 60_000)
    with pytest.raises(VenueRefused, match="opens at 2025-01-01T00:01:00Z, which is no whole 1h"):
        downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, silent)


def test_download_of_recorded_bars_is_what_was_recorded(downloader, exchange, store):
    path = DATA / "okx_BTC-USD-SWAP_1h.csv.gz"
    if not path.exists():
        pytest.skip(f"no market data at {path}; set CRYPTOSIM_DATA to their folder")
    table = real_bars(path)
    exchange.markets["BTC-USD-SWAP"].bars["1H"] = table
    first, end = int(table.index[0]), int(table.index[-1]) + HOUR_MS
    assert downloader.fetch(BARS, first, end, silent).rows == 313
    rows = store.read_columns(BARS, first, end)
    assert all(np.array_equal(rows[name], table[name].to_numpy()) for name in table.columns)


def test_download_goes_on_when_a_venue_that_refuses_connections_is_back(store, exchange):
    with OkxServer(exchange) as server:
        pauses: list[float] = []

        def wait(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                server.start()

        venue = Venue("okx", server.url, sleep=wait, request_interval_ms=0.01)

        def cut(done: int, total: int) -> None:
            if done == 300:
                server.stop()

        outcome = Downloader(store, venue).fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, cut)
        venue.close()
    assert (outcome.rows, len(pauses)) == (500, 2)


def test_download_reports_its_progress_to_the_end(downloader):
    said: list[tuple[int, int]] = []
    downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, lambda *at: said.append(at))
    assert said == [(0, 500), (300, 500), (500, 500)]


def test_download_interrupted_keeps_its_rows_and_goes_on(downloader, store, server):
    def interrupt(done: int, total: int) -> None:
        if done == 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, interrupt)
    assert store.summary(BARS).rows == 300
    server.requests.clear()
    assert downloader.fetch(BARS, FIRST_MS, FIRST_MS + 500 * HOUR_MS, silent).rows == 200
    assert len(server.asked("candles")) == 1


def test_download_of_funding_that_the_venue_no_longer_keeps(downloader, exchange, store):
    market = exchange.markets["BTC-USD-SWAP"]
    market.funding = market.funding[90:]
    downloader.fetch(FUNDING, FIRST_MS, FIRST_MS + 1440 * HOUR_MS, silent)
    assert store.summary(FUNDING).rows == 90
    assert store.unknown(FUNDING, FIRST_MS, FIRST_MS + 1440 * HOUR_MS) == ()


def test_download_of_few_funding_rates_with_a_hole_notices_one_that_is_left_out(
    downloader, exchange, server, store
):
    market = exchange.markets["BTC-USD-SWAP"]
    market.funding = [(FIRST_MS + at * HOUR_MS, 1e-4) for at in (0, 16, 24)]  # none at 8
    whole = server.routes["GET", "/api/v5/public/funding-rate-history"]
    lies = iter([True])

    def endpoint(request):
        reply = whole(request)
        return type(reply)(reply.rows[1:] if next(lies, False) else reply.rows)

    server.routes["GET", "/api/v5/public/funding-rate-history"] = endpoint
    downloader.fetch(FUNDING, FIRST_MS, FIRST_MS + 30 * HOUR_MS, silent)
    assert store.summary(FUNDING).rows == 3
