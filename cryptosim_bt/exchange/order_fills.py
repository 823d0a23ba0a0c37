"""What a match does to the account: how much of an order fills, what it closes and opens.

Beside `order_matching.py`, which decides that an order meets a price.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptosim_bt.accounting.contracts import Side, sign
from cryptosim_bt.accounting.orders import OrderEnd
from cryptosim_bt.exchange.fill_rules import Matcher
from cryptosim_bt.exchange.order_types import Match, going_on
from cryptosim_bt.exchange.simulated_exchange import SimulatedExchange
from cryptosim_bt.exchange.strategy_orders import (
    MARGIN_TOLERANCE,
    SIZE_TOLERANCE,
    MarginRule,
    StrategyFill,
    StrategyOrder,
)

_NOTHING_HELD = "reduce_only: nothing was left to close"


class Parts(NamedTuple):
    """How an order's contracts split: what they close, what they open, what there is no use for."""

    closed: float
    opened: float
    surplus: float


class Booked(NamedTuple):
    """What became of a match: the fill, if any, and why the venue ends what is left, if it does."""

    fill: StrategyFill | None
    end: tuple[OrderEnd, str] | None


class FillBooker:
    """Books fills of a strategy's orders.

    Parameters
    ----------
    exchange
        Its account takes the fills.
    matcher
        How much a bar fills.
    money
        Fees and margin.
    """

    def __init__(self, exchange: SimulatedExchange, matcher: Matcher, money: MarginRule) -> None:
        self._exchange = exchange
        self._account = exchange.account
        self._matcher = matcher
        self._money = money

    def parts(self, order: StrategyOrder) -> Parts:
        """Split an order's contracts by what the account holds now."""
        contracts = order.contracts
        if order.side == order.opens:
            if order.reduce_only:
                return Parts(0.0, 0.0, contracts)
            return Parts(0.0, contracts, 0.0)
        holding = self._account.groups.get(order.groups[order.closes])
        held = 0.0 if holding is None else holding.contracts
        if abs(contracts - held) <= SIZE_TOLERANCE * contracts:
            return Parts(held, 0.0, 0.0)
        closed = min(contracts, held)
        rest = contracts - closed
        if order.side is None and not order.reduce_only:
            return Parts(closed, rest, 0.0)
        return Parts(closed, 0.0, rest)

    def book(self, order: StrategyOrder, match: Match) -> Booked:
        """Fill an order as far as the bar's volume and the margin go (R34)."""
        order.terms = going_on(order.terms)
        order.filled_ms = match.bar.time_ms
        quantity = self._matcher.quantity(order, match.bar)
        if quantity <= 0.0:
            return Booked(None, None)
        whole = self.parts(order)
        closing, opening = whole.closed, whole.opened
        if quantity < order.contracts:
            closing = min(closing, quantity)
            opening = min(opening, quantity - closing)
        self._exchange.unsettle()
        fill = self._fill(order, match, closing, opening)
        filled = fill.closed + fill.opened
        order.opened += fill.opened
        order.contracts -= filled
        if order.contracts <= SIZE_TOLERANCE * filled:
            order.contracts = 0.0
        return Booked(fill if filled else None, self._end(whole, fill, opening, match.price))

    @staticmethod
    def _end(
        whole: Parts, fill: StrategyFill, opening: float, price: float
    ) -> tuple[OrderEnd, str] | None:
        if opening and not fill.opened:
            return OrderEnd.MARGIN, f"not enough margin to open at {price}"
        if whole.surplus and fill.closed == whole.closed:
            return OrderEnd.CANCELLED, _NOTHING_HELD
        return None

    def _fill(
        self, order: StrategyOrder, match: Match, closing: float, opening: float
    ) -> StrategyFill:
        price, liquidity, account = match.price, match.liquidity, self._account
        direction = 1.0 if order.terms.is_buy else -1.0
        closed_fee = opened_fee = entry = realized = 0.0
        if closing:
            closed_fee = self._money.fee(direction * closing, price, liquidity)
            group = order.groups[order.closes]
            entry = account.groups[group].average
            realized = account.close(order.closes, group, closing, price, closed_fee)
            account.back_margins()
        if opening:
            opened_fee = self._money.fee(direction * opening, price, liquidity)
            if self._lack_of_margin(direction * opening, price, opened_fee):
                opening = opened_fee = 0.0
            else:
                group = order.groups[order.opens]
                account.open(order.opens, group, opening, price, opened_fee)
                account.back_margins()
        return StrategyFill(
            match.bar.time_ms, price, liquidity, closing, opening, closed_fee, opened_fee,
            entry, realized,
        )  # fmt: skip

    def _lack_of_margin(self, size: float, price: float, fee: float) -> bool:
        cash = self._money.cash(self._exchange.mark_at(price))
        left = cash - self._money.opening_cost(size, price) - fee
        return left < -MARGIN_TOLERANCE * abs(cash)

    def signed_contracts(self, order: StrategyOrder) -> tuple[float, float]:
        """Return the signed size that an order's holding has now, and its average entry."""
        sides: tuple[Side, ...] = ("long", "short") if order.side is None else (order.side,)
        for side in sides:
            held = self._account.groups.get(order.groups[side])
            if held is not None:
                return sign(side) * held.contracts, held.average
        return 0.0, 0.0
