"""Keeps the venue's orders as the book wants them: what is asked, and what comes of it.

Runs in the strategy's thread. Every order is in the journal before anything is asked of it; what
was asked is known again after a restart, and found out before anything else is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict

from cryptosim_bt.accounting.book_events import (
    BookEvent,
    OrderAccepted,
    OrderEnded,
    OrderRejected,
    OrderResized,
)
from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.accounting.orders import Execution, Liquidity, OrderEnd, Role
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.live.adapter import OrderRequest, VenueFill, VenueOrder
from cryptosim_bt.live.booking import closed
from cryptosim_bt.live.connection import OrderAnswered, Snapshot
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.order_shelf import Asks, OrderShelf
from cryptosim_bt.live.reconcile import (
    Action,
    AmendIt,
    CancelIt,
    Place,
    PlaceIt,
    Stage,
    Wanted,
    Wants,
    Working,
    is_ours,
    plan,
    same,
)
from cryptosim_bt.live.venue_orders import Outcome

# An entry that was not placed so often is given up; exits never are.
_ENTRY_ATTEMPTS = 3

logger = logging.getLogger(__name__)


class OrderKeeper(OrderShelf):
    """All orders of ours at the venue.

    Parameters
    ----------
    journal, book, wants
        Of the strategy.
    asks, run
        What is asked of the venue, and the journal's part of client ids.
    tell, alarm
        Take an event to the book, and an alarm's key and sentence.
    """

    def __init__(
        self,
        journal: Journal,
        book: PositionBook,
        wants: Wants,
        asks: Asks,
        run: str,
        tell: Callable[[BookEvent], None],
        alarm: Callable[[str, str], None],
    ) -> None:
        super().__init__(journal, asks, run)
        self._book, self._wants = book, wants
        self._tell, self._alarm = tell, alarm
        self.refusals = 0  # in a row

    def wanted(self, now_ms: int) -> dict[Place, Wanted]:
        """Return what every place should hold."""
        return self._wants.wanted(self._book, now_ms)

    # ------------------------------------------------------------------ asking
    def expire(self, now_ms: int) -> None:
        """End what is over by its time and works nowhere, and signal exits, whose place goes on."""
        at = {each.place for each in self.working.values()}
        for order in list(self._wants.expired(self._book, now_ms)):
            if order.role is Role.ENTRY and Place(True, order.side, order.number) in at:
                continue  # it is cancelled first
            self._tell(OrderEnded(order.number, OrderEnd.EXPIRED, "its time is over", now_ms))

    def act(self, now_ms: int, wanted: Mapping[Place, Wanted] | None = None) -> None:
        """Ask for all that is needed; written down and synced before any of it goes out."""
        self.expire(now_ms)
        if wanted is None:
            wanted = self.wanted(now_ms)
        held = {side: self._book.contracts(side) for side in SIDES}
        actions = [
            each for each in plan(wanted, self.working.values(), held)
            if self._pauses.get(_place_of(each), (0, 0))[1] <= now_ms
        ]  # fmt: skip
        if not actions:
            return
        with self._journal.together():
            asked = [self._note(each, now_ms) for each in actions]
        for action, there in zip(actions, asked, strict=True):
            self._send(action, there)

    def _note(self, action: Action, now_ms: int) -> Working:
        if isinstance(action, PlaceIt):
            want = action.wanted
            there = Working(
                self._new_id(want), want.place, want.number, want.role, want.contracts, want.price
            )
            self.working[there.client_id] = there
        else:
            there = action.working
            there.is_unwanted = isinstance(action, CancelIt)
            there.asked = "cancel" if there.is_unwanted else "amend"
            if isinstance(action, AmendIt):
                there.amendment, there.amended_total = action.wanted, action.total
        there.asked_ms, there.change = now_ms, there.change + 1
        self._keep(there)
        self._intents[there.client_id] = self._journal.add_intent(
            now_ms, there.client_id, there.asked,
            asdict(action.working if isinstance(action, CancelIt) else action.wanted),
        )  # fmt: skip
        return there

    def _send(self, action: Action, there: Working) -> None:
        if isinstance(action, PlaceIt):
            request = OrderRequest(
                there.client_id, there.place.side, there.place.opens, there.total, there.price
            )
            self._asks.place(request, there.change)
        elif isinstance(action, AmendIt):
            total, price = there.amended_total, action.wanted.price
            self._asks.amend(_as_order(there), total, price, there.change)
        else:
            self._asks.cancel(_as_order(there), there.change)

    def close_at_market(self, request: OrderRequest, now_ms: int) -> None:
        """Close contracts of a leg at the market, whichever groups they are of."""
        place = Place(False, request.side, 0)
        there = Working(
            request.client_id, place, 0, Role.EXIT, request.contracts, 0.0, asked_ms=now_ms,
            change=1,
        )  # fmt: skip
        with self._journal.together():
            self.working[there.client_id] = there
            self._keep(there)
            self._journal.add_intent(now_ms, there.client_id, "place", asdict(request))
        self._asks.place(request, there.change)

    # ------------------------------------------------------------------ answers
    def answered(self, message: OrderAnswered, now_ms: int) -> None:
        """Take in what became of what was asked of an order."""
        there, answer = self.working.get(message.client_id), message.answer
        if there is None or there.change != message.change:
            self._orphans.discard(message.client_id)
            return
        amendment, there.asked, there.amendment = there.amendment, "", None
        with self._journal.together():
            intent = self._intents.pop(there.client_id, None)
            if intent is not None:
                said = f"{answer.outcome.value} {answer.reason}".strip()
                self._journal.answer_intent(intent, said, now_ms)
            order = answer.order
            if order is not None and answer.outcome is not Outcome.REFUSED:
                self._works(there, order, amendment, now_ms)
                if answer.outcome is Outcome.OVER:
                    self._is_over(there, order.filled, answer.reason, now_ms)
            elif order is None and there.stage is Stage.ASKED:
                self._was_not_placed(there, answer.outcome, answer.reason, now_ms)
            else:
                self._was_refused(there, answer.reason, now_ms)

    def _works(
        self, there: Working, order: VenueOrder, amendment: Wanted | None, now_ms: int
    ) -> None:
        is_new = there.stage is Stage.ASKED
        there.stage, there.venue_id = Stage.WORKING, order.venue_id
        there.total, there.price = order.contracts, order.price or there.price
        old = there.number
        if amendment is not None and (there.price, there.total) != (
            amendment.price, there.amended_total
        ):  # fmt: skip
            amendment = None  # it works on as it was
        elif amendment is not None:
            there.number, there.role = amendment.number, amendment.role
        if is_new or amendment is not None:
            self.refusals = 0
            self._pauses.pop(there.place, None)
        self._keep(there)
        if there.number != old:
            self._tell(OrderEnded(old, OrderEnd.CANCELLED, "amended into another", now_ms))
        elif amendment is not None:
            self._tell(OrderResized(old, there.left, now_ms))
        if is_new or there.number != old:
            self._tell(OrderAccepted(there.number, now_ms, there.venue_id))

    def _was_not_placed(self, there: Working, outcome: Outcome, reason: str, now_ms: int) -> None:
        del self.working[there.client_id]
        self._keep(there, is_over=True)
        times = self._pause(there.place, now_ms)
        if outcome is Outcome.REFUSED:
            self.refusals += 1
            self._alarm(f"refused {there.role.value}", f"the venue refused an order: {reason}")
        given_up = outcome is Outcome.REFUSED or times >= _ENTRY_ATTEMPTS
        if there.role is Role.SIGNAL_EXIT or (there.place.opens and given_up):
            self._pauses.pop(there.place)
            self._tell(OrderRejected(there.number, reason, now_ms))

    def _was_refused(self, there: Working, reason: str, now_ms: int) -> None:
        self.refusals += 1
        self._pause(there.place, now_ms)
        self._keep(there)
        self._alarm("refused change", f"the venue refused to change an order: {reason}")

    def _is_over(self, there: Working, final: float, reason: str, now_ms: int) -> None:
        there.stage, there.final, there.reason = Stage.OVER, final, reason
        self._keep(there)
        self._finish(there, now_ms)

    def _finish(self, there: Working, now_ms: int) -> None:
        """Forget an order that is over, once all of its fills are booked."""
        if there.final is None or not same(there.filled, max(there.final, there.filled)):
            return
        del self.working[there.client_id]
        self._keep(there, is_over=True)
        number = there.number
        if there.place.opens:
            if number in self._wants.entries:
                expires = self._wants.entries[number].expires_ms
                late = expires is not None and expires <= now_ms
                end = OrderEnd.EXPIRED if late else OrderEnd.CANCELLED
                self._tell(OrderEnded(number, end, there.reason or "over at the venue", now_ms))
            return
        want = self.wanted(now_ms).get(there.place)
        if there.role is Role.EXIT:
            return
        if want is None or want.number != number:
            self._tell(OrderEnded(number, OrderEnd.CANCELLED, "over at the venue", now_ms))
        elif not there.is_unwanted:
            logger.warning("exit %s ended at the venue; it is placed anew", there.client_id)

    # ------------------------------------------------------------------ what there is
    def seen(self, snapshot: Snapshot, now_ms: int) -> None:
        """Take in how the venue has the orders, before its fills are booked."""
        for name, change in snapshot.watched.items():
            there = self.working.get(name)
            if there is None or there.change != change or there.asked:
                continue
            order = snapshot.orders.get(name)
            with self._journal.together():
                if order is None:  # cancelled so long ago that the venue forgot it
                    self._is_over(there, there.filled, "forgotten by the venue", now_ms)
                elif order.state != "open":
                    self._is_over(there, order.filled, order.state, now_ms)
                else:
                    there.total, there.price = order.contracts, order.price or there.price
        for order in snapshot.others:
            known = order.client_id in self.working or order.client_id in self._orphans
            if is_ours(order.client_id, self._run) and not known:
                if self._journal.order(order.client_id) is None:
                    logger.warning("order %s is ours and nobody's; cancelled", order.client_id)
                self._orphans.add(order.client_id)
                self._asks.cancel(order, 0)

    def book(self, there: Working, fill: VenueFill, now_ms: int) -> None:
        """Book a fill of an order of ours."""
        place, group = there.place, there.place.number
        if place.opens:
            group = self._book.position(place.side).tradeid
        liquidity = Liquidity.MAKER if fill.is_maker else Liquidity.TAKER
        there.filled += fill.contracts
        is_known = there.client_id in self.working
        self._keep(there, is_over=not is_known)
        event: BookEvent = closed(fill, Role.EXIT, fill.contracts)
        if there.role is not Role.EXIT:
            event = Execution(
                fill.time_ms, there.number, there.role, place.side, group, fill.price,
                fill.contracts, fill.fee, liquidity, fill.pnl, fill.trade_id,
            )  # fmt: skip
        self._tell(event)
        if not is_known:
            return
        if there.stage is not Stage.OVER and there.left <= 0.0 and not there.asked:
            there.stage, there.final = Stage.OVER, there.filled
        self._finish(there, now_ms)


def _place_of(action: Action) -> Place:
    return action.working.place if isinstance(action, CancelIt) else action.wanted.place


def _as_order(there: Working) -> VenueOrder:
    return VenueOrder(
        there.venue_id, there.client_id, there.place.side, there.place.opens, there.total,
        there.price, there.filled, "open", 0,
    )  # fmt: skip
