"""A price on its way through a bar: what it meets, in the order in which it meets it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptosim_bt.exchange.exchange_state import ExchangeState
from cryptosim_bt.exchange.liquidation import Liquidation
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_lives import OrderLives
from cryptosim_bt.exchange.order_try import taken_at


class Walk:
    """Price falls to a bar's low, or rises to its high, and stands somewhere on the way (R13).

    Stops meet trades' prices, liquidation the mark's; both are ordered by price (R39).

    Parameters
    ----------
    state, liquidation, lives
        Of the exchange.
    stops
        Those that take part.
    start
        Where price stands.
    falling
        Whether it falls.
    """

    def __init__(
        self,
        state: ExchangeState,
        liquidation: Liquidation,
        lives: OrderLives,
        stops: Iterable[Order],
        start: float,
        *,
        falling: bool,
    ) -> None:
        bar = state.bar
        self._state = state
        self._liquidation = liquidation
        self._lives = lives
        self._waiting = list(stops)
        self._falling = falling
        self._towards = -1.0 if falling else 1.0
        self._end, self._mark_end = (
            (bar.low, bar.mark_low) if falling else (bar.high, bar.mark_high)
        )
        self._here, self._mark_here = start, state.mark_at(start)

    def run(self) -> None:
        """Go to the end of the way."""
        while self._meet_next():
            pass

    def _meet_next(self) -> bool:
        """Let the next event happen; return whether there was one."""
        towards = self._towards
        stop = None
        if self._waiting:
            self._waiting = [order for order in self._waiting if order.alive and order.is_stop]
            stop = first_met(self._waiting, self._here, self._end, towards)
        unit, price = self._liquidation.first_on_the_way(
            self._mark_here, self._mark_end, falling=self._falling
        )
        if stop is None and unit is None:
            return False
        met = self._end if stop is None else towards * max(
            towards * stop.trigger, towards * self._here
        )
        # Of equal prices liquidation comes first; it is solved again after each event.
        if unit is not None and (stop is None or towards * price <= towards * met):
            self._liquidation.liquidate(unit.sides, price)
        elif stop is not None:
            self._move_to(met)
            self._trigger(stop)
        return True

    def _move_to(self, price: float) -> None:
        towards = self._towards
        self._here = price
        self._mark_here = towards * max(
            towards * self._mark_here, min(towards * price, towards * self._mark_end)
        )

    def _trigger(self, stop: Order) -> None:
        self._lives.fill(stop, taken_at(self._here, stop, self._state.bar, self._state.matcher))


def first_met(stops: Sequence[Order], here: float, end: float, towards: float) -> Order | None:
    """Return the stop that a walk meets first, the older of equals; None if it meets none.

    ``towards`` is 1 for a rising price and -1 for a falling one. A trigger that lies behind the
    price is met here: the bar opened beyond it.
    """
    met = [order for order in stops if towards * order.trigger <= towards * end]
    if not met:
        return None
    return min(met, key=lambda order: (max(towards * order.trigger, towards * here), order.key))
