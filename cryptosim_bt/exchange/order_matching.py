"""The working orders of a strategy without a book: matched bar by bar against the account.

Pure Python without backtrader, beside `exchange.py`, which calls `match_bar` in the place that R13
gives to stops, exits and entries: after expiries of the book and funding, before the liquidation at
the close. Within a bar (as stock BackBroker does it):

1. Orders are tried in the order in which they were accepted, each against the whole bar: what came
   first within the bar is not asked. An order that ends takes its rivals and its bracket with it at
   once; children wake with the next bar (R12).
2. A bar that would liquidate what is held at its open is not left to luck: what fills at the open
   comes first, then the walks of R13 with stops and liquidation as price meets them, then the rest.
3. After a fill from which price surely went on to the bar's adverse end (R16), liquidation is
   tested there, stops on the way first. After a stop that was triggered within the bar, or a close,
   only the close tests it: the adverse end may lie before the fill.

That is ``event_order: rules``. ``best`` and ``worst`` take what fills at the open first too, then
exits, entries and walks in R42's order; an entry by a stop, which a book has not, comes after the
walks at best, and at worst before the adverse end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.orders import OrderEnd
from cryptosim_bt.exchange.ambiguity import ENTRY_AND_EXIT
from cryptosim_bt.exchange.brackets import OrderRelations
from cryptosim_bt.exchange.fill_rules import Bar, Matcher
from cryptosim_bt.exchange.order_ambiguity import Purpose, ambiguities, purpose
from cryptosim_bt.exchange.order_book import NEVER_MS
from cryptosim_bt.exchange.order_fills import FillBooker
from cryptosim_bt.exchange.order_types import Match, OrderType, attempt, met_after_entry, taken_at
from cryptosim_bt.exchange.simulated_exchange import SimulatedExchange
from cryptosim_bt.exchange.strategy_orders import (
    SIZE_TOLERANCE,
    MarginRule,
    OrderListener,
    StrategyFill,
    StrategyOrder,
)

Choice = Callable[[StrategyOrder, Match], bool]


class OrderMatcher:
    """The working orders and how a bar fills them.

    Parameters
    ----------
    exchange
        Its account takes the fills; it liquidates.
    matcher
        How bars fill orders.
    money
        Fees and margin.
    listener
        Who hears of it.
    """

    def __init__(
        self,
        exchange: SimulatedExchange,
        matcher: Matcher,
        money: MarginRule,
        listener: OrderListener,
    ) -> None:
        self.relations = OrderRelations()
        self.fills = FillBooker(exchange, matcher, money)
        self._exchange = exchange
        self._matcher = matcher
        self._event_order = matcher.rules.event_order
        self._listener = listener
        self._orders: dict[int, StrategyOrder] = {}
        self._bar: Bar
        # Children whose parent has filled in this bar, and how it did.
        self._newborn: list[tuple[StrategyOrder, Match]] = []

    # ------------------------------------------------------------------ orders
    @property
    def waiting(self) -> bool:
        """Whether any order works."""
        return bool(self._orders)

    def accept(self, order: StrategyOrder, *, asleep: bool = False) -> None:
        """Put an order to work, from the bar on that its way to the exchange allows (R12, R41)."""
        order.active_ms = NEVER_MS if asleep else self._exchange.first_active_ms()
        self._orders[order.ref] = order
        self._exchange.unsettle()

    def working(self) -> list[StrategyOrder]:
        """Return the working orders, sleeping children among them, older first."""
        return list(self._orders.values())

    def find(self, ref: int) -> StrategyOrder | None:
        """Return a working order, None if it does not work any more."""
        return self._orders.get(ref)

    def cancel(self, order: StrategyOrder, reason: str) -> None:
        """End an order and all that hang on it."""
        self._end(order, OrderEnd.CANCELLED, reason)

    def cancel_sides(self, sides: Sequence[Side], reason: str) -> None:
        """End every order of the sides, and those of the net position."""
        for order in self.working():
            if order.alive and (order.side is None or order.side in sides):
                self._end(order, OrderEnd.CANCELLED, reason)

    # ------------------------------------------------------------------ a bar
    def match_bar(self, bar: Bar) -> None:
        """Let a bar happen."""
        self._bar = bar
        self._newborn.clear()
        danger = self._endangered()
        if danger or len(self._orders) > 1:
            self._note_ambiguity()
        if self._event_order == "best":
            self._happen_at_best()
        elif self._event_order == "worst":
            self._happen_at_worst()
        elif danger:
            self._try_each(_at_open)
            self._walk_both_ways()
        self._try_each()
        if self._event_order == "best":
            self._take_own_profits()

    def _happen_at_best(self) -> None:
        self._try_each(_at_open)
        self._try_each(self._is_limit_exit)
        self._try_each(self._is_certain_entry, walks=True)
        self._take_own_profits()
        self._walk_both_ways()

    def _take_own_profits(self) -> None:
        """Fill the limits that an entry of this bar has made, where the bar reaches them."""
        for order, entry in list(self._newborn):
            match = met_after_entry(order.terms, entry, self._bar, self._matcher)
            if match is not None and order.alive and order.filled_ms is None:
                self._fill(order, match)

    def _happen_at_worst(self) -> None:
        self._try_each(_at_open)
        self._walk_both_ways()
        self._try_each(self._is_stop_exit)
        self._try_each(self._is_entry, walks=True)

    def _endangered(self) -> bool:
        open_ = self._bar.open
        return any(self._exchange.endangered(open_, falling=each) for each in (True, False))

    def _due(self) -> Iterator[StrategyOrder]:
        """Yield the orders that the bar may still fill, each as it stands then; end the expired."""
        time_ms = self._bar.time_ms
        for order in self.working():
            if order.alive and self._expired(order):
                self._end(order, OrderEnd.EXPIRED, "its time had passed")
            if order.alive and order.active_ms <= time_ms and order.filled_ms != time_ms:
                yield order

    def _expired(self, order: StrategyOrder) -> bool:
        until = order.valid_until_ms
        if until is None or self._bar.time_ms <= until:
            return False
        # What is left of a stop is a market order, and those do not expire.
        return order.terms.kind is not OrderType.MARKET

    def _try_each(self, chosen: Choice | None = None, *, walks: bool = False) -> None:
        """Fill the orders that are chosen; without a choice it is the bar's end for all of them.

        ``walks``: test what lies on the way to the adverse end after each entry (R16), as it is
        done without a choice; otherwise that is left to the walks to come.
        """
        for order in self._due():
            self._try(order, chosen, walks=walks or chosen is None)

    def _try(self, order: StrategyOrder, chosen: Choice | None, *, walks: bool) -> None:
        bar = self._bar
        tried = attempt(order.terms, bar, self._matcher)
        match = tried.match
        if chosen is not None and (match is None or not chosen(order, match)):
            return
        order.terms = tried.terms
        if tried.refusal is not None:
            self._end(order, OrderEnd.CANCELLED, tried.refusal)
        if match is None:
            return
        opened = self._fill(order, match)
        worst = self._event_order == "worst"
        if opened and walks and (match.before_end or worst):
            falling = order.opens == "long"
            if worst or self._exchange.endangered(match.price, falling=falling):
                self._walk(match.price, falling=falling)
        if order.alive and match.bar is not bar:
            # The rest of a close order, whose session ended with the bar before.
            self._try(order, chosen, walks=walks)

    # ------------------------------------------------------------------ walks
    def _walk_both_ways(self) -> None:
        """Move the price down, then up (R13); by the rules only where liquidation lies there."""
        open_ = self._bar.open
        for falling in (True, False):
            if self._event_order != "rules" or self._exchange.endangered(open_, falling=falling):
                self._walk(open_, falling=falling)

    def _walk(self, start: float, *, falling: bool) -> None:
        self._exchange.walk(start, self._stops(falling), self._trigger, falling=falling)

    def _stops(self, falling: bool) -> list[StrategyOrder]:
        """Return the stops that a falling or rising price can meet.

        ``worst``: those of an entry that has just filled are there at once (R16). Only ``rules``
        knows stops that enter in a walk; they are entries by R42.
        """
        time_ms, rules = self._bar.time_ms, self._event_order == "rules"
        stops = [
            order
            for order in self._orders.values()
            if not order.triggered
            and order.terms.is_buy != falling
            and order.active_ms <= time_ms
            and (rules or self._purpose(order).exits is not None)
        ]
        if self._event_order == "worst":
            stops += [
                order
                for order, _ in self._newborn
                if order.alive and not order.triggered and order.terms.is_buy != falling
            ]
        return stops

    def _trigger(self, stop: StrategyOrder, price: float) -> None:
        self._fill(stop, taken_at(price, stop.terms, self._bar, self._matcher))

    # ------------------------------------------------------------------ what orders are for
    def _held(self) -> dict[Side, float]:
        return {side: self._exchange.account.legs[side].contracts for side in SIDES}

    def _purpose(self, order: StrategyOrder) -> Purpose:
        return purpose(order, self._held())

    def _is_limit_exit(self, order: StrategyOrder, _: Match) -> bool:
        return not order.waits_for_trigger and self._purpose(order).exits is not None

    def _is_stop_exit(self, order: StrategyOrder, _: Match) -> bool:
        return order.waits_for_trigger and self._purpose(order).exits is not None

    def _is_entry(self, order: StrategyOrder, _: Match) -> bool:
        return self._purpose(order).exits is None

    def _is_certain_entry(self, order: StrategyOrder, match: Match) -> bool:
        # An entry by a stop may have come after the adverse end: at best it did.
        return match.before_end and self._is_entry(order, match)

    def _note_ambiguity(self) -> None:
        bar, matches = self._bar, []
        for order in self._orders.values():
            if order.active_ms <= bar.time_ms and not self._expired(order):
                match = attempt(order.terms, bar, self._matcher).match
                if match is not None:
                    matches.append((order, match))
        if not matches:
            return
        units = self._exchange.account.liquidation_units(bar.mark_open)
        for kind in ambiguities(matches, self._held(), units, bar):
            self._exchange.note_ambiguous(kind)

    # ------------------------------------------------------------------ fills
    def _fill(self, order: StrategyOrder, match: Match) -> float:
        """Book a fill; return the contracts that it opened."""
        fill, end = self.fills.book(order, match)
        if fill is not None:
            self._filled(order, fill, match)
        if order.alive and end is not None:
            self._end(order, *end)
        self._exchange.settle_shortfall()
        return 0.0 if fill is None else fill.opened

    def _filled(self, order: StrategyOrder, fill: StrategyFill, match: Match) -> None:
        whole = order.contracts <= 0.0
        if whole:
            order.alive = False
            del self._orders[order.ref]
        self._listener.order_filled(order, fill)
        self._end_others(self.relations.take_rivals(order.ref), "another of its OCO group filled")
        if self.relations.is_child(order.ref):
            if whole:
                others = self.relations.take_bracket(order.ref)
                self._end_others(others, _OTHER_SIDE)
            else:
                for ref in self.relations.siblings(order.ref):
                    self._shrink(ref, fill.closed + fill.opened)
        elif whole:
            self._bear(self.relations.take_children(order.ref), match)

    def _shrink(self, ref: int, contracts: float) -> None:
        """Take off a bracket's order what its sibling has filled: both close the same contracts."""
        order = self._orders.get(ref)
        if order is None or not order.alive:
            return
        left = order.contracts - contracts
        if left <= SIZE_TOLERANCE * contracts:
            self.relations.leave(ref)
            self._end(order, OrderEnd.CANCELLED, _OTHER_SIDE)
        else:
            order.contracts = left
            self._listener.order_resized(order)

    def _bear(self, refs: Sequence[int], entry: Match) -> None:
        """Wake the children of a parent that this bar has filled."""
        self._wake(refs)
        for order in map(self._orders.get, refs):
            if order is None:
                continue
            self._newborn.append((order, entry))
            if attempt(order.terms, self._bar, self._matcher).match is not None:
                self._exchange.note_ambiguous(ENTRY_AND_EXIT)

    def _wake(self, refs: Sequence[int], most: float = math.inf) -> None:
        """Let children work from the next bar on (R12, R41), for so many contracts at most."""
        for order in map(self._orders.get, refs):
            if order is None:
                continue
            order.active_ms = self._exchange.first_active_ms()
            if order.contracts > most:
                order.contracts = most
                self._listener.order_resized(order)

    def _end(self, order: StrategyOrder, end: OrderEnd, reason: str) -> None:
        """End an order, then its rivals, then the rest of its bracket.

        Where it was a parent that had filled in part, the children guard that part.
        """
        order.alive = False
        del self._orders[order.ref]
        self._exchange.unsettle()
        self._listener.order_ended(order, end, reason)
        self._end_others(self.relations.take_rivals(order.ref), "another of its OCO group ended")
        if order.opened and not self.relations.is_child(order.ref):
            self._wake(self.relations.take_children(order.ref), order.opened)
        else:
            self._end_others(self.relations.take_bracket(order.ref), "its bracket ended")

    def _end_others(self, refs: list[int], reason: str) -> None:
        for ref in refs:
            other = self._orders.get(ref)
            if other is not None and other.alive:
                self._end(other, OrderEnd.CANCELLED, reason)


_OTHER_SIDE = "the other side of its bracket filled"


def _at_open(_: StrategyOrder, match: Match) -> bool:
    return match.at_open
