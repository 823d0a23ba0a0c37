"""What a venue says of an account and of its market: orders, fills, legs, money, candles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cryptosim_bt.data.market import Candle
from cryptosim_bt.data.timeframe import milliseconds
from cryptosim_bt.live.adapter import (
    VenueBalance,
    VenueBill,
    VenueFill,
    VenueOrder,
    VenuePosition,
)
from cryptosim_bt.live.venue_account import VenueAccount

_PAGE = 100
_CANDLES = 100
_RECENT_BARS = 1_300


class AccountQuestions:
    """Asks for lists; an empty one is believed only from a well-formed answer."""

    def __init__(self, account: VenueAccount) -> None:
        self._account, self._adapter = account, account.adapter
        self._symbol = account.options.symbol

    async def candles(self, timeframe: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Return the closed candles of ``start <= open < end``, ascending."""
        found: dict[int, Candle] = {}
        step, at = milliseconds(timeframe), start_ms
        while at < end_ms:
            until = min(end_ms, at + _CANDLES * step)
            method, params = self._adapter.candle_question(
                self._account.api.market_id(self._symbol), timeframe, at, until,
                recent=self._account.clock.now_ms() - at < _RECENT_BARS * step,
            )  # fmt: skip
            ask = getattr(self._account.api, method)
            answer = await self._account.read(
                "candles", lambda ask=ask, params=params: ask(params)  # type: ignore[misc]
            )
            closed = self._adapter.closed_candles(answer["data"])
            found |= {row[0]: row for row in closed if start_ms <= row[0] < end_ms}
            at = until
        return [found[at] for at in sorted(found)]

    async def open_orders(self) -> list[VenueOrder]:
        """Return all working orders of the market, anybody's."""
        return [self._adapter.order(row) for row in await self._pages(
            "open orders", "ordId",
            lambda params: self._account.api.fetch_open_orders(self._symbol, None, _PAGE, params),
        )]  # fmt: skip

    async def fills(self, since_ms: int) -> list[VenueFill]:
        """Return all fills of the market from a time on, anybody's, in the venue's order."""
        rows = await self._pages(
            "fills", "billId",
            lambda params: self._account.api.fetch_my_trades(self._symbol, since_ms, None, params),
        )  # fmt: skip
        found = {fill.trade_id: fill for fill in map(self._adapter.fill, rows)}
        return sorted(found.values(), key=lambda fill: (fill.time_ms, _counted(fill.trade_id)))

    async def funding(self, currency: str, native: str, since_ms: int) -> list[VenueBill]:
        """Return the market's funding from a time on."""
        rows = await self._pages(
            "funding", "billId",
            lambda params: self._account.api.fetch_ledger(
                currency, None, _PAGE, {"type": "8", "begin": str(since_ms), **params}
            ),
        )  # fmt: skip
        bills = (self._adapter.funding_bill(row) for row in rows if row.get("instId") == native)
        return sorted(
            (bill for bill in bills if bill is not None and bill.time_ms >= since_ms),
            key=lambda bill: (bill.time_ms, _counted(bill.bill_id)),
        )

    async def positions(self) -> list[VenuePosition]:
        """Return the legs that hold something."""
        rows = await self._account.read(
            "positions", lambda: self._account.api.fetch_positions([self._symbol])
        )
        legs = (self._adapter.position(row["info"]) for row in rows)
        return [leg for leg in legs if leg is not None]

    async def balance(self, currency: str) -> VenueBalance:
        """Return the balance of a currency."""
        answer = await self._account.read("the balance", self._account.api.fetch_balance)
        return self._adapter.balance(answer["info"], currency)

    async def _pages(
        self, question: str, key: str, ask: Callable[[dict[str, str]], Awaitable[Any]]
    ) -> list[dict[str, Any]]:
        """Ask page after page, newest first, until one is not full."""
        found: dict[str, dict[str, Any]] = {}
        after: dict[str, str] = {}
        while True:
            page = await self._account.read(question, lambda after=after: ask(after))  # type: ignore[misc]
            rows = [each["info"] for each in page]
            fresh = {str(row[key]): row for row in rows if str(row[key]) not in found}
            found |= fresh
            if len(rows) < _PAGE or not fresh:
                return list(found.values())
            after = {"after": min(fresh, key=_counted)}


def _counted(name: str) -> tuple[int, str]:
    """Order ids that count up: by length, then by their digits."""
    return len(name), name
