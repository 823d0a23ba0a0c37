"""The steps of a bar for orders without a role: those of a strategy without a book.

Under `rules` each order is tried against the whole bar, oldest first, as in stock BackBroker. Only
an exit that cannot open and the entry that it may close go by price: from an open of 100, a buy at
99 fills before the long's stop at 98, whichever is older. A bar that would liquidate is walked
open, low, high. `path`, `best`, `worst` find exits by what is held (docs/order-types.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from cryptosim_bt.accounting.orders import OrderEnd
from cryptosim_bt.exchange.ambiguity import Purpose, Reached, purpose
from cryptosim_bt.exchange.bar_steps import BarSteps
from cryptosim_bt.exchange.exchange_state import OPEN, WALKS
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_try import (
    Match,
    met_after_entry,
    outlast,
    taken_limit,
    trail_on,
)
from cryptosim_bt.exchange.order_types import OrderType
from cryptosim_bt.exchange.walk import ENTRY, EXIT, LIQUIDATION, Limits, Met

Choice = Callable[[Order, Match], bool]


class PlainSteps(BarSteps):
    """The steps that `docs/order-types.md` describes, R49."""

    # ------------------------------------------------------------------ R43
    def note_ambiguity(self) -> None:
        """List the bar if the orders that it would fill make it ambiguous."""
        self._lives.made.clear()
        if len(self._book.unnamed) < 2 and not self._endangered():
            return
        reached = []
        for order in self._fillable(self._book.unnamed):
            match = None if order.expired(self._state.time_ms) else self._attempt(order).match
            if match is not None:
                reached.append(Reached(order, match.at_open))
        if reached:
            self._note(reached)

    # ------------------------------------------------------------------ rules
    def endangered_walks(self) -> None:
        """Walk open, low, high if the bar would liquidate what is held (R13)."""
        self._state.step = WALKS
        if self._endangered():
            self._liquidation.at(self._state.bar.mark_open)
            self._try_each(_is_at_open)
            self._liquidation.at(self._state.bar.mark_open)
            for falling in (True, False):
                if self._liquidation.endangered(self._state.bar.open, falling=falling):
                    self._walk(self._state.bar.open, falling=falling)

    def the_rest(self) -> None:
        """Try the remaining orders in the order of acceptance, and update those not filled."""
        self._try_each(walks=True)

    # ------------------------------------------------------------------ the other orders (R42)
    def at_open(self) -> None:
        """Fill orders at the open; children made active by that take part from then on (R12)."""
        state = self._state
        state.step, state.stand = OPEN, state.bar.open
        self._try_each(_is_at_open)
        self._liquidation.at(state.bar.mark_open)
        state.step = WALKS

    def walks(self) -> None:
        """Go down to the low, then up to the high."""
        for falling in (True, False):
            self._walk(self._state.bar.open, falling=falling)

    def limit_exits(self) -> None:
        """Fill limits that exit."""
        self._try_each(lambda order, _: not order.waits_for_trigger and self._exits(order))

    def stop_exits(self) -> None:
        """Fill stops that exit, stop limits among them."""
        self._try_each(lambda order, _: order.waits_for_trigger and self._exits(order))

    def certain_entries(self) -> None:
        """Fill entries except stops, which `best` assumes to come after the adverse end."""
        self._try_each(lambda order, match: match.before_end and not self._exits(order), walks=True)

    def entries(self) -> None:
        """Fill entries."""
        self._try_each(lambda order, _: not self._exits(order), walks=True)

    def exits_of_entries(self) -> None:
        """Fill the limits that an entry of this bar has made, where the bar reaches them."""
        self._fill_made(lambda _: True)

    def exits_at_close(self) -> None:
        """Fill the limits that an entry of this bar has made, where its close touches them."""
        self._fill_made(lambda order: self._touches(self._state.bar.close, order))

    def _fill_made(self, chosen: Callable[[Order], bool]) -> None:
        if self._state.matcher.rules.latency_ms:
            return  # none has arrived (R41)
        for order, entry in list(self._lives.made):
            if order.alive and order.filled_ms is None and order.kind is OrderType.LIMIT:
                match = met_after_entry(order, entry, self._state.bar, self._state.matcher)
                if match is not None and chosen(order):
                    self._lives.fill(order, match)

    def path(self) -> None:
        """Follow the path that R42 assumes; then fill close orders and trail the close."""
        for order in self._due():
            if order.kind is OrderType.MARKET:
                self._try(order)
        for stretch in self._stretches(self._fill_limit):
            stretch.follow(
                self._stops_on_path,
                lambda: Limits(EXIT, [each for each in self._limits() if self._exits(each)]),
                lambda: Limits(ENTRY, [each for each in self._limits() if not self._exits(each)]),
            )
        for order in self._due():
            if order.kind is OrderType.CLOSE:
                self._try(order)
            elif not self._made_now(order):
                trail_on(order, self._state.bar, self._state.matcher)
        self._state.quiet = None

    # ------------------------------------------------------------------ trying
    def _due(self) -> Iterator[Order]:
        """Yield the orders that the bar may still fill; end the expired ones."""
        for order in list(self._book.unnamed.values()):
            if order.alive and order.expired(self._state.time_ms):
                self._lives.end(order, OrderEnd.EXPIRED, "its time had passed")
            if self._state.fills_now(order):
                yield order

    def _try_each(self, chosen: Choice | None = None, *, walks: bool = False) -> None:
        """Fill the chosen orders; without a choice try all, and update those not filled.

        ``walks``: go to the adverse end after each entry (R16); otherwise later walks do.
        """
        for order in self._due():
            self._try(order, chosen, walks=walks)

    def _try(self, order: Order, chosen: Choice | None = None, *, walks: bool = False) -> None:
        state = self._state
        tried = self._attempt(order)
        match = tried.match
        if chosen is not None and (match is None or not chosen(order, match)):
            return
        if match is None:
            if tried.refusal is not None:
                self._lives.end(order, OrderEnd.CANCELLED, tried.refusal)
            elif order.kind is not OrderType.LIMIT:
                outlast(order, tried, state.bar, state.matcher)
                state.quiet = None
            return
        for other in self._earlier(order, match):
            if state.fills_now(other):
                self._try(other, chosen, walks=walks)
        if not state.fills_now(order):
            return
        state.stand = match.market
        opened = self._lives.fill(order, match).opened
        if opened and walks:
            self._walk_after(order, match)
        if order.alive and match.bar is not state.bar:
            # The rest of a close order, whose session ended with the bar before.
            self._try(order, chosen, walks=walks)

    # ------------------------------------------------------------------ orders against each other
    def _earlier(self, order: Order, match: Match) -> list[Order]:
        """Return the orders that work against one and that price certainly met before it."""
        if len(self._book.unnamed) < 2:
            return []
        found = []
        time_ms = self._state.time_ms
        for other in self._fillable(self._book.unnamed):
            if other is order or not self._against(order, other) or other.expired(time_ms):
                continue
            theirs = self._attempt(other).match
            if theirs is not None and self._precedes(other, theirs, order, match):
                found.append((self._distance(other), other.key, other))
        return [each for _, _, each in sorted(found, key=lambda each: each[:2])]

    def _against(self, one: Order, other: Order) -> bool:
        """Tell whether one can only close what the other opens, or one ends the other.

        Under `rules` orders that end each other go by age, as on backtrader's broker.
        """
        if _closes_only_what(one, other) or _closes_only_what(other, one):
            return True
        relations = self._state.relations
        return self._event_order != "rules" and (
            relations.leader(one.key) == relations.leader(other.key)
            or (relations.is_child(one.key) and relations.is_child(other.key)
                and other.key in relations.siblings(one.key))
        )  # fmt: skip

    def _precedes(self, one: Order, match: Match, other: Order, others: Match) -> bool:
        if match.at_open or others.at_open:
            return match.at_open and not others.at_open
        if _is_below(one) != _is_below(other):
            return False  # on different walks
        return self._distance(one) < self._distance(other)

    def _distance(self, order: Order) -> float:
        """Return how far below or above the open an order is met; negative beyond it."""
        if order.kind in (OrderType.MARKET, OrderType.CLOSE):
            return -math.inf  # at no price of its own
        price = order.trigger
        if not order.waits_for_trigger:
            if order.limit != order.limit:
                return -math.inf  # whatever the price
            price = self._state.matcher.edge(order.limit, is_buy=order.is_buy)
        away = price - self._state.bar.open
        return -away if _is_below(order) else away

    # ------------------------------------------------------------------ walking
    def _walk(self, start: float, *, falling: bool) -> None:
        way = self._way(start, self._fill_limit, falling=falling)
        way.walk(
            lambda: self._stops_in_walk(falling=falling),
            lambda danger: self._before(danger, falling=falling),
        )

    def _before(self, danger: Met, *, falling: bool) -> list[Limits]:
        """Return the limits that price meets before a stop or liquidation on its way.

        Under `rules` all; otherwise the entries of the side that the walk hurts and, before a
        liquidation, exits (R13).
        """
        limits = [each for each in self._limits() if each.is_buy == falling]
        if self._event_order != "rules" and danger.rank != LIQUIDATION:
            limits = [each for each in limits if self._purpose(each).enters is not None]
        return [Limits(ENTRY, limits)]

    def _stops_in_walk(self, *, falling: bool) -> list[Order]:
        """Return the stops that a falling or rising price can meet.

        Stops of an entry that has just filled are included at once (R16). Stops that enter are
        included only under `rules`; otherwise they are filled with the entries (R42).
        """
        rules = self._event_order == "rules"
        return [
            order
            for order in self._working()
            if order.is_stop
            and order.is_buy != falling
            and (rules or self._made_now(order) or self._exits(order))
        ]

    def _walk_after(self, entry: Order, match: Match) -> None:
        """Go on to the adverse end after an entry from which price certainly went there (R16).

        Except under `worst`, only if liquidation lies there. After a stop triggered within the
        bar, or a close order, the adverse end may lie before it: only `worst` assumes the contrary.
        """
        falling, worst = entry.opens == "long", self._event_order == "worst"
        if worst or (
            match.before_end and self._liquidation.endangered(match.market, falling=falling)
        ):
            self._walk(match.market, falling=falling)

    def _endangered(self) -> bool:
        open_ = self._state.bar.open
        return any(self._liquidation.endangered(open_, falling=each) for each in (True, False))

    # ------------------------------------------------------------------ what works
    def _working(self) -> list[Order]:
        """Return the orders that take part, and children that an entry of this bar made active."""
        state = self._state
        awake = {order.key for order, _ in self._lives.made if order.alive}
        return [
            order for order in self._book.unnamed.values()
            if order.filled_ms != state.time_ms and not order.expired(self._state.time_ms)
            and (state.takes_part(order) or order.key in awake)
        ]  # fmt: skip

    def _limits(self) -> list[Order]:
        return [
            order for order in self._working()
            if not order.waits_for_trigger and order.limit == order.limit
        ]  # fmt: skip

    def _stops_on_path(self) -> list[Order]:
        return [each for each in self._working() if each.waits_for_trigger]

    def _fill_stop(self, stop: Order, price: float) -> None:
        """Fill a stop that is met; a stop limit takes at once, or is a limit from here on."""
        if stop.is_stop:
            super()._fill_stop(stop, price)
            return
        stop.triggered, self._state.quiet = True, None
        match = taken_limit(stop, price, self._state.bar, self._state.matcher)
        if match is not None:
            self._lives.fill(stop, match)

    def _fill_limit(self, order: Order) -> None:
        awake = next((entry for each, entry in self._lives.made if each is order), None)
        if awake is None:
            self._try(order)
            return
        match = met_after_entry(order, awake, self._state.bar, self._state.matcher)
        if match is None:
            order.filled_ms = self._state.time_ms  # refused with the next bar
        else:
            self._lives.fill(order, match)

    # ------------------------------------------------------------------ entries and exits
    def _purpose(self, order: Order) -> Purpose:
        return purpose(order, self._held())

    def _exits(self, order: Order) -> bool:
        return self._purpose(order).exits is not None


def _is_at_open(_: Order, match: Match) -> bool:
    return match.at_open


def _is_below(order: Order) -> bool:
    """Tell whether an order lies on the walk down: buy limits and sell stops do."""
    return order.is_buy != order.waits_for_trigger


def _closes_only_what(closing: Order, opening: Order) -> bool:
    """Tell whether one order closes what another opens, and can close no more than is held."""
    if not (closing.reduce_only or closing.side == closing.closes):
        return False
    opens = not opening.reduce_only and opening.side in (None, opening.opens)
    return opens and opening.opens == closing.closes
