"""What happens in a bar, as steps; `SCHEDULES` says in which order they come (R13, R42).

A strategy with a book says what each order is for. R13 decides for it what came first: stops and
liquidation as price meets them on its way down, then up; then limit exits; then entries.

The orders of a strategy without a book do not say what they are for. By the rules each is tried in
the order of acceptance, against the whole bar: what came first within it is not asked, as stock
BackBroker does it. Not so in a bar that would liquidate what is held at its open: what fills at the
open comes first, then the walks, then the rest. ``best`` and ``worst`` take what fills at the open
first too, then exits, entries and walks in R42's order, judged by what is held; an entry by a stop,
which a book has not, comes after the walks at best, and at worst before the adverse end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.orders import OrderEnd
from cryptosim_bt.exchange.ambiguity import Purpose, Reached, ambiguities, purpose
from cryptosim_bt.exchange.exchange_state import ExchangeState
from cryptosim_bt.exchange.fill_rules import EventOrder
from cryptosim_bt.exchange.liquidation import Liquidation
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_lives import OrderLives
from cryptosim_bt.exchange.order_try import (
    Match,
    OrderTry,
    met_after_entry,
    outlast,
    try_order,
)
from cryptosim_bt.exchange.order_types import OrderType
from cryptosim_bt.exchange.walk import Walk

# Who sends orders: a strategy with a book, whose orders have a role, or one without.
Sender = Literal["book", "plain"]
Choice = Callable[[Order, Match], bool]


class BarEvents:
    """The steps of a bar.

    Parameters
    ----------
    state, lives, liquidation
        Of the exchange.
    """

    def __init__(self, state: ExchangeState, lives: OrderLives, liquidation: Liquidation) -> None:
        self._state = state
        self._book = state.book
        self._lives = lives
        self._liquidation = liquidation
        self._event_order: EventOrder = state.matcher.rules.event_order

    # ------------------------------------------------------------------ steps of either
    def liquidate_at_close(self) -> None:
        """Test liquidation at the close (R23)."""
        self._liquidation.at_close()

    # ------------------------------------------------------------------ steps of a book's orders
    def note_ambiguity(self) -> None:
        """List the bar where its limit exits leave something open (R43)."""
        exits = [Reached(order) for order in self._active(self._book.exits)
                 if self._tried(order).match]  # fmt: skip
        if not exits:
            return
        entries = [Reached(each) for each in self._active(self._book.entries)
                   if self._tried(each).match]  # fmt: skip
        bar = self._state.bar
        stops = [
            Reached(order)
            for order in self._active(self._book.stops)
            if order.met_by(bar.high if order.is_buy else bar.low)
        ]
        self._note([*exits, *entries, *stops])

    def triggered_stops(self) -> None:
        """Fill stops that were triggered in a bar before, at the open (R37)."""
        for order in self._active(self._book.stops):
            if order.alive and order.triggered:
                self._try(order)

    def adverse_walks(self) -> None:
        """Go down to the low, then up to the high; each can hurt what a fall or rise hurts."""
        for falling in (True, False):
            stops = [order for order in self._active(self._book.stops) if order.is_buy != falling]
            self._walk(stops, self._state.bar.open, falling=falling)

    def limit_exits(self) -> None:
        """Fill take-profits and signal exits, the older first."""
        for order in self._active(self._book.exits):
            if order.alive:
                self._try(order)

    def entries(self) -> None:
        """Fill entries, the older first, each with what surely came after it (R16)."""
        for order in self._active(self._book.entries):
            if not order.alive:
                continue
            match = self._tried(order).match
            if match is not None and self._lives.fill(order, match).opened:
                self._after_entry(order, match)

    def _after_entry(self, entry: Order, match: Match) -> None:
        # R16, second half: after the fill, price surely went on to the bar's adverse end.
        side = entry.opens
        group = entry.groups[side]
        stops = [each for each in self._book.stops.values() if each.groups.get(side) == group]
        self._walk(stops, match.price, falling=side == "long")
        made = [
            each
            for each in self._book.exits.values()
            if each.active_ms > self._state.time_ms and each.groups.get(side) == group
        ]
        for order in made:
            if self._lives.note_own_exit(order) and self._event_order == "best":
                self._take_own_exit(order, match)

    # ------------------------------------------------------------------ steps of other orders
    def note_ambiguity_of_matches(self) -> None:
        """List the bar where the orders that it would fill leave something open (R43)."""
        self._lives.made.clear()
        if len(self._book.unnamed) < 2 and not self._endangered():
            return
        reached = []
        for order in self._active(self._book.unnamed):
            match = None if self._expired(order) else self._tried(order).match
            if match is not None:
                reached.append(Reached(order, match.at_open))
        if reached:
            self._note(reached)

    def at_open(self) -> None:
        """Fill what fills at the open, which surely comes first."""
        self._try_each(_is_at_open)

    def endangered_walks(self) -> None:
        """Go down and up where what is held at the open is liquidated, else leave it to luck."""
        if self._endangered():
            self.at_open()
            self.walks(only_endangered=True)

    def walks(self, *, only_endangered: bool = False) -> None:
        """Move the price down, then up (R13)."""
        start = self._state.bar.open
        for falling in (True, False):
            if not only_endangered or self._liquidation.endangered(start, falling=falling):
                self._walk(self._stops(falling), start, falling=falling)

    def chosen_limit_exits(self) -> None:
        """Fill limits that exit."""
        self._try_each(self._is_limit_exit)

    def chosen_stop_exits(self) -> None:
        """Fill stops that exit, stop limits among them."""
        self._try_each(self._is_stop_exit)

    def certain_entries(self) -> None:
        """Fill entries but by a stop, which may have come after the adverse end: at best it did."""
        self._try_each(self._is_certain_entry, walks=True)

    def chosen_entries(self) -> None:
        """Fill entries."""
        self._try_each(self._is_entry, walks=True)

    def own_exits(self) -> None:
        """Fill the limits that an entry of this bar has made, where the bar reaches them."""
        for order, entry in list(self._lives.made):
            if order.alive and order.filled_ms is None:
                self._take_own_exit(order, entry)

    def the_rest(self) -> None:
        """Try each order in the order of acceptance, as the bar's last word."""
        self._try_each(walks=True)

    # ------------------------------------------------------------------ trying
    def _active(self, shelf: dict[int, Order]) -> list[Order]:
        time_ms = self._state.time_ms
        return [order for order in shelf.values() if order.active_ms <= time_ms]

    def _tried(self, order: Order) -> OrderTry:
        state = self._state
        return try_order(order, state.bar, state.matcher, state.previous)

    def _due(self) -> Iterator[Order]:
        """Yield the orders that the bar may still fill, each as it stands then; end the expired."""
        time_ms = self._state.time_ms
        for order in list(self._book.unnamed.values()):
            if order.alive and self._expired(order):
                self._lives.end(order, OrderEnd.EXPIRED, "its time had passed")
            if order.alive and order.active_ms <= time_ms and order.filled_ms != time_ms:
                yield order

    def _expired(self, order: Order) -> bool:
        return order.expires_ms is not None and self._state.time_ms >= order.expires_ms

    def _try_each(self, chosen: Choice | None = None, *, walks: bool = False) -> None:
        """Fill the orders that are chosen; without a choice it is the bar's end for all of them.

        ``walks``: test what lies on the way to the adverse end after each entry (R16); otherwise
        that is left to the walks to come.
        """
        for order in self._due():
            self._try(order, chosen, walks=walks)

    def _try(self, order: Order, chosen: Choice | None = None, *, walks: bool = False) -> None:
        state = self._state
        tried = self._tried(order)
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
        opened = self._lives.fill(order, match).opened
        if opened and walks:
            self._walk_after(order, match)
        if order.alive and match.bar is not state.bar:
            # The rest of a close order, whose session ended with the bar before.
            self._try(order, chosen, walks=walks)

    def _take_own_exit(self, order: Order, entry: Match) -> None:
        match = met_after_entry(order, entry, self._state.bar, self._state.matcher)
        if match is not None:
            self._lives.fill(order, match)

    # ------------------------------------------------------------------ walking
    def _walk(self, stops: Iterable[Order], start: float, *, falling: bool) -> None:
        Walk(self._state, self._liquidation, self._lives, stops, start, falling=falling).run()

    def _walk_after(self, entry: Order, match: Match) -> None:
        """Go on to the adverse end after an entry from which price surely went there (R16).

        By the rules only where liquidation lies there. After a stop that was triggered within the
        bar, or a close, the adverse end may lie before it: only `worst` says that it does not.
        """
        falling, worst = entry.opens == "long", self._event_order == "worst"
        if worst or (
            match.before_end and self._liquidation.endangered(match.price, falling=falling)
        ):
            self._walk(self._stops(falling), match.price, falling=falling)

    def _stops(self, falling: bool) -> list[Order]:
        """Return the stops that a falling or rising price can meet.

        ``worst``: those of an entry that has just filled are there at once (R16). Only ``rules``
        knows stops that enter in a walk; they are entries by R42.
        """
        rules = self._event_order == "rules"
        stops = [
            order
            for order in self._active(self._book.unnamed)
            if order.is_stop
            and order.is_buy != falling
            and (rules or self._purpose(order).exits is not None)
        ]
        if self._event_order == "worst":
            stops += [
                order
                for order, _ in self._lives.made
                if order.alive and order.is_stop and order.is_buy != falling
            ]
        return stops

    def _endangered(self) -> bool:
        open_ = self._state.bar.open
        return any(self._liquidation.endangered(open_, falling=each) for each in (True, False))

    # ------------------------------------------------------------------ what orders are for
    def _held(self) -> dict[Side, float]:
        legs = self._state.account.legs
        return {side: legs[side].contracts for side in SIDES}

    def _purpose(self, order: Order) -> Purpose:
        return purpose(order, self._held())

    def _is_limit_exit(self, order: Order, _: Match) -> bool:
        return not order.waits_for_trigger and self._purpose(order).exits is not None

    def _is_stop_exit(self, order: Order, _: Match) -> bool:
        return order.waits_for_trigger and self._purpose(order).exits is not None

    def _is_entry(self, order: Order, _: Match) -> bool:
        return self._purpose(order).exits is None

    def _is_certain_entry(self, order: Order, match: Match) -> bool:
        return match.before_end and self._is_entry(order, match)

    def _note(self, reached: list[Reached]) -> None:
        bar = self._state.bar
        units = self._state.account.liquidation_units(bar.mark_open)
        for kind in ambiguities(reached, self._held(), units, bar):
            self._state.note_ambiguous(kind)


def _is_at_open(_: Order, match: Match) -> bool:
    return match.at_open


Step = Callable[[BarEvents], None]
SCHEDULES: dict[tuple[Sender, EventOrder], tuple[Step, ...]] = {
    # R13, after expiries (R10) and funding (R22).
    ("book", "rules"): (
        BarEvents.note_ambiguity,
        BarEvents.triggered_stops,
        BarEvents.adverse_walks,
        BarEvents.limit_exits,
        BarEvents.entries,
        BarEvents.liquidate_at_close,
    ),
    # R42
    ("book", "best"): (
        BarEvents.note_ambiguity,
        BarEvents.limit_exits,
        BarEvents.entries,
        BarEvents.triggered_stops,
        BarEvents.adverse_walks,
        BarEvents.liquidate_at_close,
    ),
    ("book", "worst"): (
        BarEvents.note_ambiguity,
        BarEvents.triggered_stops,
        BarEvents.adverse_walks,
        BarEvents.entries,
        BarEvents.limit_exits,
        BarEvents.liquidate_at_close,
    ),
    # R49: as docs/order-types.md says.
    ("plain", "rules"): (
        BarEvents.note_ambiguity_of_matches,
        BarEvents.endangered_walks,
        BarEvents.the_rest,
        BarEvents.liquidate_at_close,
    ),
    ("plain", "best"): (
        BarEvents.note_ambiguity_of_matches,
        BarEvents.at_open,
        BarEvents.chosen_limit_exits,
        BarEvents.certain_entries,
        BarEvents.own_exits,
        BarEvents.walks,
        BarEvents.the_rest,
        BarEvents.own_exits,
        BarEvents.liquidate_at_close,
    ),
    ("plain", "worst"): (
        BarEvents.note_ambiguity_of_matches,
        BarEvents.at_open,
        BarEvents.walks,
        BarEvents.chosen_stop_exits,
        BarEvents.chosen_entries,
        BarEvents.the_rest,
        BarEvents.liquidate_at_close,
    ),
}
