"""Bars, exchanges and clients for the tests of the exchange for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro  # noqa: TID251 - the real client, whom this exchange is for
import pandas as pd

from cryptosim_bt.accounting.instrument import known_instrument
from cryptosim_bt.testing import FakeExchange, FakeVenue, Market

SYMBOL, INST = "BTC/USD:BTC", "BTC-USD-SWAP"
LINEAR, LINEAR_INST = "BTC/USDT:USDT", "BTC-USDT-SWAP"
MINUTE = 60_000
START = 1_735_689_600_000  # 2025-01-01 00:00 UTC

Row = tuple[float, float, float, float]
FLAT: Row = (100_000.0, 100_000.0, 100_000.0, 100_000.0)


def bars_of(*rows: Row, volume: float = 6.0, start: int = START) -> pd.DataFrame:
    """Return bars of one minute."""
    times = pd.to_datetime([start + MINUTE * row for row in range(len(rows))], unit="ms", utc=True)
    table = pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=times, dtype=float)
    return table.assign(volume=volume).rename_axis("time")


def market_of(
    *rows: Row, symbol: str = SYMBOL, funding: list[tuple[int, float]] | None = None
) -> Market:
    instrument = known_instrument("okx", symbol)
    assert instrument is not None
    return Market(instrument, bars_of(*rows), "1m", funding=funding)


def exchange_of(
    *rows: Row, symbol: str = SYMBOL, cash: float = 1.0,
    funding: list[tuple[int, float]] | None = None, **settings: Any
) -> FakeExchange:  # fmt: skip
    market = market_of(*rows, symbol=symbol, funding=funding)
    return FakeExchange([market], {market.currency: cash}, START, **settings)


def wanted(
    side: str, contracts: float, price: float | None = None, pos_side: str = "long", **fields: Any
) -> dict[str, Any]:
    """Return an order as it is sent to OKX."""
    kind = {"ordType": "market"} if price is None else {"ordType": "limit", "px": str(price)}
    return {"instId": INST, "tdMode": "cross", "side": side, "posSide": pos_side,
            "sz": str(contracts), **kind, **fields}  # fmt: skip


def talk(
    venue: FakeVenue, work: Callable[[Any], Awaitable[Any]], **config: Any
) -> Any:
    """Do something with a real ccxt.pro client of a venue, in a loop of its own."""

    async def main() -> Any:
        client = ccxt.pro.okx({**venue.ccxt_config(), "enableRateLimit": False, **config})
        try:
            await client.load_markets()
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())
