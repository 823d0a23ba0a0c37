"""How working orders fill and end, and what that does to linked orders.

An order that ends also ends its OCO group and its bracket at once; children of a bracket become
active with the next bar (R12). The links are kept in `brackets.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import Liquidity, OrderEnd
from cryptosim_bt.exchange.ambiguity import ENTRY_AND_EXIT
from cryptosim_bt.exchange.exchange_state import ExchangeState
from cryptosim_bt.exchange.order_book import NEVER_MS, SIZE_TOLERANCE, Order
from cryptosim_bt.exchange.order_try import Match, try_order
from cryptosim_bt.exchange.posting import Posted, Posting

_OTHER_SIDE = "the other side of its bracket filled"


class OrderLives:
    """Fills and ends orders.

    ``made`` lists children whose parent has filled in this bar, with the parent's fill.
    """

    def __init__(self, state: ExchangeState, posting: Posting) -> None:
        self._state = state
        self._posting = posting
        self.made: list[tuple[Order, Match]] = []

    # ------------------------------------------------------------------ begin
    def accept(self, order: Order, *, asleep: bool = False) -> None:
        """Accept an order; it is active from the first bar that R12 and the latency (R41) allow."""
        self._state.book.add(order)
        self._make_active(order, asleep=asleep)

    def _make_active(self, order: Order, *, asleep: bool = False) -> None:
        state = self._state
        order.active_ms = NEVER_MS if asleep else state.first_active_ms()
        order.made_ms, order.made_in, order.made_at = state.time_ms, state.step, state.stand
        state.book.heed_time(order)
        state.quiet = None

    # ------------------------------------------------------------------ fill
    def fill(self, order: Order, match: Match) -> Posted:
        """Fill an order as far as the bar can, and report it."""
        was_stop = order.is_stop
        posted = self._posting.fill(order, match)
        if posted.executions:
            self._filled(order, posted, match)
        if order.alive and posted.end is not None:
            self.end(order, *posted.end)
        if self._state.account.flat:
            # A stop that slipped past the account's end: nothing is left to liquidate.
            self._state.settle_shortfall()
        if was_stop and order.alive:
            self._state.listener.triggered(order)  # R37
        return posted

    def fill_at_limit(self, order: Order) -> None:
        """Fill an order fully, at its limit, maker, at the close of the bar that sent it."""
        state = self._state
        posted = self._posting.post(
            order, order.contracts, order.limit, Liquidity.MAKER, state.time_ms
        )
        self._filled(order, posted)
        if state.account.flat:
            state.settle_shortfall()

    def _filled(self, order: Order, posted: Posted, match: Match | None = None) -> None:
        state, whole = self._state, order.contracts <= 0.0
        if whole:
            state.book.remove(order)
        state.listener.filled(order, posted.executions)
        if order.role is not None or match is None:
            return  # a book itself cancels what its fills end
        relations = state.relations
        self._end_others(relations.take_rivals(order.key), "another of its OCO group filled")
        if relations.is_child(order.key):
            if whole:
                self._end_others(relations.take_bracket(order.key), _OTHER_SIDE)
            else:
                for key in relations.siblings(order.key):
                    self._shrink(key, posted)
        elif whole:
            # The bar has filled a parent fully.
            keys = relations.take_children(order.key)
            self._wake(keys)
            for child in filter(None, map(self._find, keys)):
                self.made.append((child, match))
                # R43: the bar reaches a child of its own entry; by R12 it cannot fill yet.
                if try_order(child, state.bar, state.matcher, state.previous).match is not None:
                    state.note_ambiguous(ENTRY_AND_EXIT)

    def _shrink(self, key: int, posted: Posted) -> None:
        """Reduce a bracket's order by its sibling's fill: both close the same contracts."""
        order = self._find(key)
        if order is None:
            return
        contracts = 0.0
        for execution in posted.executions:
            contracts += execution.contracts
        left = order.contracts - contracts
        if left <= SIZE_TOLERANCE * contracts:
            self._state.relations.leave(key)
            self.end(order, OrderEnd.CANCELLED, _OTHER_SIDE)
        else:
            order.contracts = left
            self._state.listener.resized(order)

    # ------------------------------------------------------------------ children
    def _wake(self, keys: Sequence[int], most: float = math.inf) -> None:
        """Make children active from the next bar on (R12, R41), with ``most`` contracts at most."""
        for order in filter(None, map(self._find, keys)):
            self._make_active(order)
            if order.contracts > most:
                order.contracts = most
                self._state.listener.resized(order)

    # ------------------------------------------------------------------ end
    def end(self, order: Order, end: OrderEnd, reason: str) -> None:
        """End an order, then its rivals, then the rest of its bracket.

        The children of a partly filled parent become active for the filled part.
        """
        self._state.book.remove(order)
        self._state.quiet = None
        self._state.listener.ended(order, end, reason)
        if order.role is not None:
            return
        relations = self._state.relations
        self._end_others(relations.take_rivals(order.key), "another of its OCO group ended")
        if order.opened and not relations.is_child(order.key):
            self._wake(relations.take_children(order.key), order.opened)
        else:
            self._end_others(relations.take_bracket(order.key), "its bracket ended")

    def cancel_sides(self, sides: Sequence[Side], reason: str) -> None:
        """End every order of the sides, and those of the net position."""
        for order in self._state.book.working():
            if order.alive and (order.side is None or order.side in sides):
                self.end(order, OrderEnd.CANCELLED, reason)

    def _end_others(self, keys: Sequence[int], reason: str) -> None:
        for other in filter(None, map(self._find, keys)):
            self.end(other, OrderEnd.CANCELLED, reason)

    def _find(self, key: int) -> Order | None:
        return self._state.book.unnamed.get(key)
