"""What is asked of orders at a venue, until it is known what became of it.

Nothing is asked again blindly. An answer that leaves open whether something was done (a time-out, a
server's error, a page in place of JSON, a reset) is followed by questions for the order by its
client id until it is known. Orders carry a time after which the venue drops them: once that has
passed, an order that is not found was never placed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from cryptosim_bt.errors import VenueRefused, VenueUnavailable
from cryptosim_bt.live.adapter import OrderRequest, VenueOrder, Verdict
from cryptosim_bt.live.venue_account import MISREADINGS, VenueAccount

# A question that comes this long after the expiry finds whatever there is.
_AFTER_EXPIRY_MS = 500

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """What has become of an order that something was asked of."""

    WORKING = "working"
    OVER = "over"  # filled or cancelled
    REFUSED = "refused"  # not placed, or not amended, and not to be repeated unchanged
    NEVER = "never"  # never placed, for a reason that passes


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of an order after something was asked of it; ``order`` as the venue has it."""

    outcome: Outcome
    order: VenueOrder | None = None
    reason: str = ""


class OrderQuestions:
    """Places, amends, cancels and finds orders of one account."""

    def __init__(self, account: VenueAccount) -> None:
        self._account = account
        self._options, self._adapter = account.options, account.adapter
        self._clock = account.clock

    async def place(self, request: OrderRequest) -> Answer:
        """Place an order; come back when it is known whether it was placed."""
        kind = "limit" if request.price is not None else "market"
        buys = (request.side == "long") == request.opens

        async def ask() -> Any:
            return await self._account.api.create_order(
                self._options.symbol, kind, "buy" if buys else "sell", request.contracts,
                request.price, self._adapter.order_params(request, self._options.margin_mode),
            )  # fmt: skip

        verdict, placed, reason = await self._asked(ask)
        if verdict is Verdict.REFUSED:
            return Answer(Outcome.REFUSED, reason=reason)
        if verdict is Verdict.NOT_DONE:
            return Answer(Outcome.NEVER, reason=reason)
        if verdict is None and placed.get("id"):
            order = VenueOrder(
                str(placed["id"]), request.client_id, request.side, request.opens,
                request.contracts, request.price, 0.0, "open", 0,
            )  # fmt: skip
            return Answer(Outcome.WORKING, order)
        return await self.settle(request.client_id, reason)

    async def amend(self, order: VenueOrder, contracts: float, price: float) -> Answer:
        """Give a working order another whole size and price; come back when it is known."""
        buys = (order.side == "long") == order.opens

        async def ask() -> Any:
            return await self._account.api.edit_order(
                order.venue_id, self._options.symbol, "limit", "buy" if buys else "sell", contracts,
                price,
            )  # fmt: skip

        verdict, _, reason = await self._asked(ask)
        settled = verdict in (Verdict.REFUSED, Verdict.NOT_DONE)
        answer = await self.settle(
            order.client_id, reason,
            lambda found: settled or (found.contracts, found.price) == (contracts, price),
        )  # fmt: skip
        if verdict is Verdict.REFUSED and answer.outcome is Outcome.WORKING:
            return replace(answer, outcome=Outcome.REFUSED)
        return answer

    async def cancel(self, order: VenueOrder) -> Answer:
        """Cancel an order; come back when it is over, or known to go on."""

        async def ask() -> Any:
            return await self._account.api.cancel_order(
                None, self._options.symbol, {"clientOrderId": order.client_id}
            )

        _, _, reason = await self._asked(ask)
        return await self.settle(order.client_id, reason, lambda _: False)

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> tuple[Verdict | None, Any, str]:
        """Ask for something once; return what an error says, the answer, and its words."""
        try:
            return None, await ask(), ""
        except (self._account.base_error, *MISREADINGS) as error:
            reason = self._account.said(error)
            verdict = self._account.verdict(error)
        logger.info("asked of an order: %s", reason)
        if verdict is Verdict.FATAL:
            raise VenueRefused(f"{self._options.exchange}: access refused: {reason}")
        return verdict, None, reason

    async def settle(
        self,
        client_id: str,
        reason: str = "",
        done: Callable[[VenueOrder], bool] = lambda _: True,
    ) -> Answer:
        """Ask for an order by its client id until it is over, as wanted, or was never placed.

        Within a bound after the order would have expired, whatever is there is the answer.
        """
        bound_ms = self._account.expiry_ms + _AFTER_EXPIRY_MS * self._clock.scale
        last_ms = self._clock.now_ms() + bound_ms
        pause_s = 0.02
        while True:
            asked_ms = self._clock.now_ms()
            try:
                found = await self.find(client_id)
            except VenueUnavailable as error:
                logger.warning("order %s: not known yet: %s", client_id, error)
                found = None
                asked_ms = 0
            if found is not None and found.state != "open":
                return Answer(Outcome.OVER, found, reason)
            if found is not None and (done(found) or asked_ms > last_ms):
                return Answer(Outcome.WORKING, found, reason)
            if found is None and asked_ms > last_ms:
                return Answer(Outcome.NEVER, None, reason or "the venue does not know it")
            await asyncio.sleep(pause_s)
            pause_s = min(1.0, pause_s * 2)

    async def find(self, client_id: str, venue_id: str | None = None) -> VenueOrder | None:
        """Return an order by our id, or by the venue's; None where the venue has none."""

        async def ask() -> VenueOrder | None:
            try:
                params = {} if venue_id is not None else {"clientOrderId": client_id}
                found = await self._account.api.fetch_order(venue_id, self._options.symbol, params)
            except self._account.base_error as error:
                if self._account.verdict(error) is Verdict.OVER:
                    return None
                raise
            return self._adapter.order(found["info"])

        return await self._account.read(f"order {client_id}", ask)
