"""A venue for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptosim_bt.data.store import Store
from cryptosim_bt.data.venue import Retries, Venue
from tests.venue.market import Exchange, Market, instrument, synthetic_bars
from tests.venue.server import OkxServer

FIRST_MS = 1_735_689_600_000  # 2025-01-01
HOUR_MS = 3_600_000


@pytest.fixture
def exchange() -> Exchange:
    """500 hours of BTC/USD:BTC, of trades and marks, and 60 days of funding; no hole."""
    exchange = Exchange()
    market = exchange.add(Market(instrument()))
    market.bars["1H"] = synthetic_bars(FIRST_MS, 500, HOUR_MS, seed=1)
    market.marks["1H"] = synthetic_bars(FIRST_MS, 500, HOUR_MS, seed=2)
    market.funding = [(FIRST_MS + 8 * HOUR_MS * at, (at % 7 - 2) / 10_000) for at in range(180)]
    return exchange


@pytest.fixture
def server(exchange: Exchange) -> Iterator[OkxServer]:
    with OkxServer(exchange) as running:
        yield running


@pytest.fixture
def venue(server: OkxServer) -> Iterator[Venue]:
    """A client that waits for nothing."""
    client = Venue(
        "okx", server.url, retries=Retries(times=3, at_first=3, first_s=0.0), timeout_s=0.5,
        request_interval_ms=0.01,
    )  # fmt: skip
    yield client
    client.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")
