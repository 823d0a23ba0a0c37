"""A walk along a bar's prices: orders and liquidation in the order of price."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.exchange.exchange_state import ExchangeState
from cryptosim_bt.exchange.liquidation import EQUAL, Liquidation
from cryptosim_bt.exchange.order_book import Order

# Which comes first at the same price (R42).
LIQUIDATION, STOP, EXIT, ENTRY = range(4)


class Met(NamedTuple):
    """Something that price meets: how far along the way, its class, its age, and where."""

    along: float
    rank: int
    age: int
    price: float
    order: Order | None = None
    sides: tuple[Side, ...] = ()


class Limits(NamedTuple):
    """Limit orders that may be met on a way, and their class."""

    rank: int
    orders: Iterable[Order]


FillLimit = Callable[[Order], object]


class Way:
    """A walk from the current price to an end.

    Stops and limits are tested by trade prices, liquidation by the mark; price orders all (R39).
    Trades go from ``state.stand`` to ``end``, the mark from ``mark_here`` to ``mark_end``.
    """

    def __init__(
        self,
        state: ExchangeState,
        liquidation: Liquidation,
        fill_stop: Callable[[Order, float], None],
        fill_limit: FillLimit,
        *,
        end: float,
        mark_here: float,
        mark_end: float,
        falling: bool,
    ) -> None:
        self.falling = falling
        self._state = state
        self._liquidation = liquidation
        self._fill_stop = fill_stop
        self._fill_limit = fill_limit
        self._towards = -1.0 if falling else 1.0
        self._end, self.mark_here, self._mark_end = end, mark_here, mark_end

    def walk(
        self, stops: Callable[[], Iterable[Order]], before: Callable[[Met], Iterable[Limits]]
    ) -> None:
        """Process stops and liquidation, and what price certainly met before each (R13).

        ``stops`` returns those that take part, called again after each event: a fill replaces its
        group's stop; ``before`` returns the limits that may come before a stop or a liquidation.
        """
        while (danger := self._next_danger(stops())) is not None:
            earlier = [
                each for limits in before(danger) for each in self._limits(limits)
                if each.along < danger.along and self._reached(each)
            ]  # fmt: skip
            self._happen(min((danger, *earlier), key=_first))

    def follow(self, stops: Callable[[], Iterable[Order]], *limits: Callable[[], Limits]) -> None:
        """Process everything on the way in the order of price, to its end (R42, path)."""
        while True:
            found = [*self._stops_on_path(stops()), *self._liquidation_met()]
            for each in limits:
                found += self._limits_on_path(each())
            if not found:
                break
            self._happen(min(found, key=_first))
        self._state.stand, self.mark_here = self._end, self._mark_end

    # ------------------------------------------------------------------ what is met, and where
    def _next_danger(self, stops: Iterable[Order]) -> Met | None:
        dangers = [*self._stops_met(stops), *self._liquidation_met()]
        return min(dangers, key=_first) if dangers else None

    def _stops_met(self, stops: Iterable[Order]) -> Iterator[Met]:
        towards = self._towards
        for order in stops:
            met = self._stop_at(order, towards)
            if towards * met <= towards * self._end:
                yield Met(towards * met, STOP, order.key, met, order)

    def _stop_at(self, order: Order, towards: float) -> float:
        """Return where a stop is met: at its trigger, or where price is beyond it (R16)."""
        farthest = max(towards * order.trigger, towards * self._state.stand)
        if order.made_ms == self._state.time_ms:
            farthest = max(farthest, towards * order.made_at)
        return towards * farthest

    def _stops_on_path(self, stops: Iterable[Order]) -> Iterator[Met]:
        towards, here = self._towards, self._state.stand
        for order in stops:
            against = 1.0 if order.is_buy else -1.0
            met = self._stop_at(order, against)
            if towards * met <= towards * self._end and towards * met >= towards * here:
                yield Met(towards * met, STOP, order.key, met, order)

    def _liquidation_met(self) -> Iterator[Met]:
        unit, price = self._liquidation.first_on_the_way(
            self.mark_here, self._mark_end, falling=self.falling
        )
        if unit is not None:
            along = self._towards * price - EQUAL * price
            yield Met(along, LIQUIDATION, 0, price, None, unit.sides)

    def _limits(self, limits: Limits) -> Iterator[Met]:
        matcher = self._state.matcher
        for order in limits.orders:
            edge = matcher.edge(order.limit, is_buy=order.is_buy)
            yield Met(self._towards * edge, limits.rank, order.key, edge, order)

    def _reached(self, met: Met) -> bool:
        """Tell whether the bar's trades reach a limit: the mark may go farther than they do."""
        state, order = self._state, met.order
        return order is not None and state.matcher.reaches(
            order.limit, state.bar, is_buy=order.is_buy
        )

    def _limits_on_path(self, limits: Limits) -> Iterator[Met]:
        matcher, here = self._state.matcher, self._state.stand
        for order in limits.orders:
            if matcher.touches(here, order.limit, is_buy=order.is_buy):
                met = here
            elif matcher.touches(self._end, order.limit, is_buy=order.is_buy):
                met = matcher.edge(order.limit, is_buy=order.is_buy)
            else:
                continue
            yield Met(self._towards * met, limits.rank, order.key, met, order)

    # ------------------------------------------------------------------ what happens
    def _happen(self, met: Met) -> None:
        if met.order is None:
            self._liquidation.liquidate(met.sides, met.price)
            return
        self._move_to(met.price)
        if met.rank == STOP:
            self._fill_stop(met.order, self._state.stand)
        else:
            self._fill_limit(met.order)

    def _move_to(self, price: float) -> None:
        """Move to where something was met, unless price already stands farther."""
        towards, state = self._towards, self._state
        state.stand = towards * max(towards * state.stand, towards * price)
        self.mark_here = towards * max(
            towards * self.mark_here, min(towards * state.stand, towards * self._mark_end)
        )


def _first(met: Met) -> tuple[float, int, int]:
    return met.along, met.rank, met.age
