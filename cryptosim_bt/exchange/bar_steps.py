"""What the steps of a bar share for orders with a role and for orders without one."""

from __future__ import annotations

from collections.abc import Iterable

from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.exchange.ambiguity import Reached, ambiguities
from cryptosim_bt.exchange.exchange_state import ExchangeState
from cryptosim_bt.exchange.liquidation import Liquidation
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_lives import OrderLives
from cryptosim_bt.exchange.order_try import OrderTry, taken_at, try_order
from cryptosim_bt.exchange.walk import FillLimit, Way


class BarSteps:
    """Base of `BookSteps` and `PlainSteps`."""

    def __init__(self, state: ExchangeState, lives: OrderLives, liquidation: Liquidation) -> None:
        self._state = state
        self._book = state.book
        self._lives = lives
        self._liquidation = liquidation
        self._event_order = state.matcher.rules.event_order

    def liquidate_at_close(self) -> None:
        """Test liquidation at the close (R23)."""
        self._liquidation.at(self._state.bar.mark_close)

    # ------------------------------------------------------------------ orders
    def _fillable(self, shelf: dict[int, Order]) -> list[Order]:
        """Return the orders of a shelf that take part and that this bar has not filled yet."""
        return [order for order in shelf.values() if self._state.fills_now(order)]

    def _attempt(self, order: Order) -> OrderTry:
        state = self._state
        return try_order(order, state.bar, state.matcher, state.previous)

    def _reaches(self, order: Order) -> bool:
        state = self._state
        return state.matcher.reaches(order.limit, state.bar, is_buy=order.is_buy)

    def _touches(self, price: float, order: Order) -> bool:
        return self._state.matcher.touches(price, order.limit, is_buy=order.is_buy)

    def _made_now(self, order: Order) -> bool:
        return order.alive and order.made_ms == self._state.time_ms

    def _fill_stop(self, stop: Order, price: float) -> None:
        self._lives.fill(stop, taken_at(price, stop, self._state.bar, self._state.matcher))

    # ------------------------------------------------------------------ ways of price
    def _way(
        self, start: float, fill_limit: FillLimit, *, falling: bool, mark: float | None = None
    ) -> Way:
        """Return the way from a price to the bar's low or high."""
        state = self._state
        bar, state.stand = state.bar, start
        end, mark_end = (bar.low, bar.mark_low) if falling else (bar.high, bar.mark_high)
        return Way(
            state, self._liquidation, self._fill_stop, fill_limit, end=end, mark_end=mark_end,
            mark_here=state.mark_at(start) if mark is None else mark, falling=falling,
        )  # fmt: skip

    def _stretches(self, fill_limit: FillLimit) -> Iterable[Way]:
        """Yield the stretches of the path that R42 assumes; each is followed before the next."""
        state = self._state
        bar = state.bar
        down, up = round(bar.open - bar.low, 10), round(bar.high - bar.open, 10)
        rises = up < down or (up == down and bar.close < bar.open)
        low, high = (bar.low, bar.mark_low), (bar.high, bar.mark_high)
        state.stand, mark = bar.open, bar.mark_open
        for end, mark_end in (*((high, low) if rises else (low, high)),
                              (bar.close, bar.mark_close)):  # fmt: skip
            way = Way(
                state, self._liquidation, self._fill_stop, fill_limit, end=end, mark_here=mark,
                mark_end=mark_end, falling=end < state.stand,
            )  # fmt: skip
            yield way
            mark = way.mark_here

    # ------------------------------------------------------------------ ambiguous bars
    def _held(self) -> dict[Side, float]:
        legs = self._state.account.legs
        return {side: legs[side].contracts for side in SIDES}

    def _note(self, reached: list[Reached]) -> None:
        bar = self._state.bar
        units = self._state.account.liquidation_units(bar.mark_open)
        for kind in ambiguities(reached, self._held(), units, bar):
            self._state.note_ambiguous(kind)
