"""The steps of a bar for orders with a role: those of a strategy with a book (R13).

Events whose order is certain are processed first: those at the open, and what price met before a
stop or a liquidation. Where the order is open, the rules are pessimistic.
"""

from __future__ import annotations

from cryptosim_bt.exchange.ambiguity import ENTRY_AND_EXIT, Reached, liquidated_sides
from cryptosim_bt.exchange.bar_steps import BarSteps
from cryptosim_bt.exchange.exchange_state import CLOSE, ENTRIES, OPEN, WALKS
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.walk import ENTRY, EXIT, LIQUIDATION, Limits, Met


class BookSteps(BarSteps):
    """R13's steps 3 to 8, and R42's replacements of 4 to 7."""

    # ------------------------------------------------------------------ 3: the open
    def at_open(self) -> None:
        """Process what the open's price alone decides."""
        state = self._state
        state.step, state.stand = OPEN, state.bar.open
        self._dangers_at_open()
        for order in [*self._fillable(self._book.exits), *self._fillable(self._book.entries)]:
            if order.alive and self._touches(state.bar.open, order):
                self._fill_limit(order)
        self._dangers_at_open()
        state.step = WALKS

    def _dangers_at_open(self) -> None:
        """Liquidate at the open, and fill the stops that it is at or beyond, the older first.

        Liquidation is tested again after each; stops that the open's fills have made are there at
        once (R16), and rests of stops that were triggered in a bar before fill here (R37).
        """
        state = self._state
        while True:
            self._liquidation.at(state.bar.mark_open)
            stops = [
                order for order in self._book.stops.values()
                if order.filled_ms != state.time_ms and self._in_walk(order)
                and (order.triggered or order.met_by(state.bar.open))
            ]  # fmt: skip
            if not stops:
                return
            self._fill_tried(stops[0])

    # ------------------------------------------------------------------ R43
    def note_ambiguity(self) -> None:
        """List the bar if its limit exits make it ambiguous after the fills at the open."""
        exits = [Reached(each) for each in self._fillable(self._book.exits) if self._reaches(each)]
        if not exits:
            return
        bar = self._state.bar
        entries = [each for each in self._fillable(self._book.entries) if self._reaches(each)]
        stops = [
            order for order in self._book.stops.values()
            if self._in_walk(order) and order.met_by(bar.high if order.is_buy else bar.low)
        ]  # fmt: skip
        self._note([*exits, *map(Reached, entries), *map(Reached, stops)])

    # ------------------------------------------------------------------ 4: the adverse walks
    def walks(self) -> None:
        """Go down to the low, then up to the high, each time from the open."""
        self._state.step = WALKS
        for falling in (True, False):
            self._walk(self._state.bar.open, falling=falling)

    def _walk(self, start: float, *, falling: bool) -> None:
        """Go against one side: meet its stops and liquidation, and what comes before each."""
        way = self._way(start, self._fill_limit, falling=falling)
        way.walk(
            lambda: [each for each in self._stops() if each.is_buy != falling],
            lambda danger: self._before(danger, falling=falling),
        )

    def _before(self, danger: Met, *, falling: bool) -> list[Limits]:
        """Return the side's entries and, before a liquidation, the other side's limit exits."""
        classes = [Limits(ENTRY, self._toward(self._book.entries, falling=falling))]
        if danger.rank == LIQUIDATION:
            classes.append(Limits(EXIT, self._toward(self._book.exits, falling=falling)))
        return classes

    def _toward(self, shelf: dict[int, Order], *, falling: bool) -> list[Order]:
        """Return the limits of a shelf that a fall, or a rise, may meet: buys, or sells."""
        return [order for order in self._fillable(shelf) if order.is_buy == falling]

    def _stops(self) -> list[Order]:
        return [each for each in self._book.stops.values() if each.is_stop and self._in_walk(each)]

    def _in_walk(self, stop: Order) -> bool:
        """Tell whether a stop takes part, or was made in this bar: R16 lets it in at once."""
        return self._made_now(stop) or self._state.takes_part(stop)

    # ------------------------------------------------------------------ 5 to 7
    def limit_exits(self) -> None:
        """Fill the take-profits and signal exits that the bar touches, the older first."""
        for order in self._fillable(self._book.exits):
            if order.alive and self._reaches(order):
                self._fill_tried(order)

    def entries(self) -> None:
        """Fill the entries that the bar touches, each with the walk that must follow (R16)."""
        self._fill_entries(walks=True)

    def entries_alone(self) -> None:
        """Fill the entries without their walks, which come later."""
        self._fill_entries(walks=False)

    def _fill_entries(self, *, walks: bool) -> None:
        state = self._state
        state.step = ENTRIES
        while (entry := self._next_entry()) is not None:
            state.stand = state.matcher.edge(entry.limit, is_buy=entry.is_buy)
            if self._fill_limit(entry) and walks:
                self._walk(state.stand, falling=entry.is_buy)

    def _next_entry(self) -> Order | None:
        """Return of each side the entry that price meets first, and of these the older."""
        firsts: dict[bool, Order] = {}
        for order in self._fillable(self._book.entries):
            if not self._reaches(order):
                continue
            first = firsts.get(order.is_buy)
            nearer = first is None or (
                order.limit > first.limit if order.is_buy else order.limit < first.limit
            )
            if nearer:
                firsts[order.is_buy] = order
        return min(firsts.values(), key=lambda order: order.key, default=None)

    def exits_of_entries(self) -> None:
        """Fill the limit exits that the bar's entries made and that the bar touches (R42, best)."""
        for order in self._exits_made_since(ENTRIES):
            if self._reaches(order):
                self._fill_tried(order)

    def exits_at_close(self) -> None:
        """Fill the limit exits that the bar made after its start and that its close touches.

        The close comes after all that made them.
        """
        state = self._state
        for order in self._exits_made_since(WALKS):
            if self._touches(state.bar.close, order):
                self._fill_tried(order)
        state.step = CLOSE

    def _exits_made_since(self, step: int) -> list[Order]:
        """Return limit exits made in this bar; with a latency none has arrived in it (R41)."""
        if self._state.matcher.rules.latency_ms:
            return []
        exits = self._book.exits.values()
        return [each for each in exits if self._made_now(each) and each.made_in >= step]

    # ------------------------------------------------------------------ R42: a path
    def path(self) -> None:
        """Follow the way that R42 assumes, every order as price meets it."""
        self._state.step = WALKS
        for stretch in self._stretches(self._fill_limit):
            stretch.follow(
                self._stops,
                lambda: Limits(EXIT, self._on_path(self._book.exits)),
                lambda: Limits(ENTRY, self._on_path(self._book.entries)),
            )

    def _on_path(self, shelf: dict[int, Order]) -> list[Order]:
        """Return the limits of a shelf that take part in what is left of the path."""
        at_once = not self._state.matcher.rules.latency_ms
        time_ms = self._state.time_ms
        return [
            order for order in shelf.values()
            if order.filled_ms != time_ms
            and ((at_once and self._made_now(order)) or self._state.takes_part(order))
        ]  # fmt: skip

    # ------------------------------------------------------------------ filling
    def _fill_limit(self, order: Order) -> bool:
        """Fill a limit that price meets; return whether it opened contracts."""
        opened = self._fill_tried(order)
        if opened and self._state.step >= WALKS:
            self._note_own_exit(order)
        return opened

    def _fill_tried(self, order: Order) -> bool:
        match = self._attempt(order).match
        return match is not None and bool(self._lives.fill(order, match).opened)

    def _note_own_exit(self, entry: Order) -> None:
        """Note an entry whose own limit exit the bar reaches, not certainly at its close (R43)."""
        state, group, close = self._state, entry.groups[entry.opens], self._state.bar.close
        for order in self._book.exits.values():
            mine = self._made_now(order) and order.groups.get(entry.opens) == group
            if not (mine and order.made_in >= WALKS and self._reaches(order)):
                continue
            at_close = self._touches(close, order) and not state.matcher.rules.latency_ms
            if not at_close or self._endangered(entry):
                state.note_ambiguous(ENTRY_AND_EXIT)

    def _endangered(self, entry: Order) -> bool:
        """Tell whether the bar reaches the stop of an entry's group, or its liquidation."""
        bar, side = self._state.bar, entry.opens
        units = self._state.account.liquidation_units(bar.mark_open)
        return side in liquidated_sides(units, bar) or any(
            stop.groups.get(side) == entry.groups[side]
            and stop.met_by(bar.high if stop.is_buy else bar.low)
            for stop in self._stops()
        )
