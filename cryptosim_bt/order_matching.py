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
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cryptosim_bt.contracts import Side, sign
from cryptosim_bt.exchange import SimulatedExchange
from cryptosim_bt.order_relations import OrderRelations
from cryptosim_bt.order_types import (
    Market,
    Match,
    OrderTerms,
    OrderType,
    PriceBar,
    attempt,
    trigger_met,
)
from cryptosim_bt.orders import Liquidity, OrderEnd

# A lack of margin below this share of the cash is float dust.
MARGIN_TOLERANCE = 1e-12
# Contracts that differ by less than this share are the same: no dust is left open.
SIZE_TOLERANCE = 1e-9


@dataclass(slots=True, eq=False)
class StrategyOrder:
    """A working order.

    ``side`` is the leg that it opens or closes, None in one-way mode, where it first closes what is
    held against it and opens the rest. ``contracts`` are what is left to fill. ``group`` names the
    holding of the account that it belongs to, per side.
    """

    ref: int
    terms: OrderTerms
    contracts: float
    side: Side | None
    groups: dict[Side, int]
    reduce_only: bool = False
    valid_until_ms: float | None = None
    active: bool = True
    alive: bool = field(default=True, init=False)

    @property
    def opens(self) -> Side:
        """The leg that the order's contracts open once nothing is left to close."""
        return "long" if self.terms.is_buy else "short"

    @property
    def closes(self) -> Side:
        """The leg that they close."""
        return "short" if self.terms.is_buy else "long"


class Parts(NamedTuple):
    """How an order's contracts split: what they close, what they open, what there is no use for."""

    closed: float
    opened: float
    surplus: float


class StrategyFill(NamedTuple):
    """A fill as it happened: fees are costs, ``entry`` is the average of what was closed."""

    price: float
    liquidity: Liquidity
    at_open: bool
    closed: float
    opened: float
    closed_fee: float
    opened_fee: float
    entry: float
    realized_pnl: float


class MarginRule(Protocol):
    """What fills cost and what money there is for them."""

    def fee(self, size: float, price: float, liquidity: Liquidity) -> float:
        """Return the cost of a fill of a signed size."""

    def opening_cost(self, size: float, price: float) -> float:
        """Return the cash that opening a signed size needs, before its fee."""

    def cash(self, price: float) -> float:
        """Return the cash that new contracts may use."""


class OrderListener(Protocol):
    """Hears what becomes of orders, within the bar."""

    def order_filled(self, order: StrategyOrder, fill: StrategyFill) -> None:
        """Hear of a fill; the account has it already."""

    def order_ended(self, order: StrategyOrder, end: OrderEnd, reason: str) -> None:
        """Hear of an order that ended with contracts left."""


class OrderMatcher:
    """The working orders and how a bar fills them.

    Parameters
    ----------
    exchange
        Its account takes the fills; it liquidates.
    market
        How bars fill orders.
    money
        Fees and margin.
    listener
        Who hears of it.
    """

    def __init__(
        self,
        exchange: SimulatedExchange,
        market: Market,
        money: MarginRule,
        listener: OrderListener,
    ) -> None:
        self.relations = OrderRelations()
        self._exchange = exchange
        self._account = exchange.account
        self._market = market
        self._money = money
        self._listener = listener
        self._orders: dict[int, StrategyOrder] = {}
        self._waking: list[int] = []

    # ------------------------------------------------------------------ orders
    @property
    def waiting(self) -> bool:
        """Whether any order works."""
        return bool(self._orders)

    def accept(self, order: StrategyOrder) -> None:
        """Put an order to work; the next bar is the first to try it (R12)."""
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

    def cancel_all(self, reason: str) -> None:
        """End every order."""
        for order in self.working():
            if order.alive:
                self._end(order, OrderEnd.CANCELLED, reason)

    def wake_children(self) -> None:
        """Let the children work whose parents have filled; called before the next bar."""
        for ref in self._waking:
            if ref in self._orders:
                self._orders[ref].active = True
        self._waking.clear()

    # ------------------------------------------------------------------ a bar
    def match_bar(
        self, time_ms: int, open_: float, high: float, low: float, close: float
    ) -> None:
        """Let a bar happen."""
        bar = PriceBar(time_ms, open_, high, low, close)
        if self._exchange.endangered(bar.low, bar.high):
            self._match_carefully(bar)
        for order in self._due(bar):
            self._try(order, bar)

    def _due(self, bar: PriceBar) -> Iterator[StrategyOrder]:
        """Yield the orders that the bar may fill, each as it stands then; end the expired."""
        for order in self.working():
            until = order.valid_until_ms
            if order.alive and until is not None and bar.time_ms > until:
                self._end(order, OrderEnd.EXPIRED, "its time had passed")
            if order.alive and order.active:
                yield order

    def _try(self, order: StrategyOrder, bar: PriceBar) -> None:
        tried = attempt(order.terms, bar, self._market)
        order.terms = tried.terms
        if tried.refusal is not None:
            self._end(order, OrderEnd.CANCELLED, tried.refusal)
        elif tried.match is not None:
            opened = self._fill(order, tried.match)
            if opened and tried.match.before_end:
                self._walk(tried.match.price, bar, falling=order.opens == "long")

    def _match_carefully(self, bar: PriceBar) -> None:
        """Fill what fills at the open, then walk down and up with stops and liquidation."""
        for order in self._due(bar):
            tried = attempt(order.terms, bar, self._market)
            if tried.match is not None and tried.match.at_open:
                order.terms = tried.terms
                self._fill(order, tried.match)
        for falling in (True, False):
            self._walk(bar.open, bar, falling=falling)

    def _walk(self, start: float, bar: PriceBar, *, falling: bool) -> None:
        """Move the price from ``start`` to the bar's end, if liquidation lies on the way."""
        end = bar.low if falling else bar.high
        here = start
        while self._exchange.endangered(min(here, end), max(here, end)):
            stop = self._first_stop(end, falling=falling)
            reached = end if stop is None else stop.terms.trigger
            reached = min(reached, here) if falling else max(reached, here)
            liquidations = self._exchange.liquidations
            self._exchange.walk(here, reached, falling=falling)
            if stop is None or self._exchange.liquidations > liquidations:
                return
            here = reached
            price = self._market.slipped(here, is_buy=stop.terms.is_buy)
            self._fill(stop, Match(price, Liquidity.TAKER, at_open=False, before_end=False))

    def _first_stop(self, end: float, *, falling: bool) -> StrategyOrder | None:
        """Return the stop that a price moving to ``end`` meets first, the older of equal ones."""
        met = [
            order
            for order in self._orders.values()
            if order.active
            and order.terms.kind in (OrderType.STOP, OrderType.TRAILING_STOP)
            and order.terms.is_buy != falling
            and trigger_met(order.terms, end)
        ]
        towards = -1.0 if falling else 1.0
        return min(met, key=lambda order: towards * order.terms.trigger, default=None)

    # ------------------------------------------------------------------ fills
    def _parts(self, order: StrategyOrder) -> Parts:
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

    def _fill(self, order: StrategyOrder, match: Match) -> float:
        """Book a fill; return the contracts that it opened."""
        price, liquidity = match.price, match.liquidity
        parts = self._parts(order)
        direction = 1.0 if order.terms.is_buy else -1.0
        closed_fee = entry = realized = 0.0
        if parts.closed:
            closed_fee = self._money.fee(direction * parts.closed, price, liquidity)
            group = order.groups[order.closes]
            entry = self._account.groups[group].average
            realized = self._account.close(order.closes, group, parts.closed, price, closed_fee)
        opened, opened_fee = parts.opened, 0.0
        if opened:
            opened_fee = self._money.fee(direction * opened, price, liquidity)
            lack = self._lack_of_margin(direction * opened, price, opened_fee)
            if lack:
                opened = opened_fee = 0.0
            else:
                group = order.groups[order.opens]
                self._account.open(order.opens, group, opened, price, opened_fee)
        self._exchange.unsettle()
        if parts.closed or opened:
            order.contracts = parts.surplus + (parts.opened - opened)
            fill = StrategyFill(
                price, liquidity, match.at_open, parts.closed, opened, closed_fee, opened_fee,
                entry, realized,
            )  # fmt: skip
            self._filled(order, fill)
        if order.alive:
            if parts.opened:
                self._end(order, OrderEnd.MARGIN, f"not enough margin to open at {price}")
            else:
                self._end(order, OrderEnd.CANCELLED, _NOTHING_HELD)
        self._exchange.settle_shortfall()
        return opened

    def _lack_of_margin(self, size: float, price: float, fee: float) -> bool:
        cash = self._money.cash(price)
        left = cash - self._money.opening_cost(size, price) - fee
        return left < -MARGIN_TOLERANCE * abs(cash)

    def _filled(self, order: StrategyOrder, fill: StrategyFill) -> None:
        whole = order.contracts <= 0.0
        if whole:
            order.alive = False
            del self._orders[order.ref]
        self._listener.order_filled(order, fill)
        self._end_others(self.relations.take_rivals(order.ref), "another of its OCO group filled")
        if not whole:
            return
        if self.relations.is_child(order.ref):
            others = self.relations.take_bracket(order.ref)
            self._end_others(others, "the other side of its bracket filled")
        else:
            self._waking += self.relations.take_children(order.ref)

    def _end(self, order: StrategyOrder, end: OrderEnd, reason: str) -> None:
        """End an order, then its rivals, then the rest of its bracket."""
        order.alive = False
        del self._orders[order.ref]
        self._exchange.unsettle()
        self._listener.order_ended(order, end, reason)
        self._end_others(self.relations.take_rivals(order.ref), "another of its OCO group ended")
        self._end_others(self.relations.take_bracket(order.ref), "its bracket ended")

    def _end_others(self, refs: list[int], reason: str) -> None:
        for ref in refs:
            other = self._orders.get(ref)
            if other is not None and other.alive:
                self._end(other, OrderEnd.CANCELLED, reason)

    # ------------------------------------------------------------------ figures
    def signed_contracts(self, order: StrategyOrder) -> tuple[float, float]:
        """Return the signed size that an order's holding has now, and its average entry."""
        sides: tuple[Side, ...] = ("long", "short") if order.side is None else (order.side,)
        for side in sides:
            held = self._account.groups.get(order.groups[side])
            if held is not None:
                return sign(side) * held.contracts, held.average
        return 0.0, 0.0


_NOTHING_HELD = "reduce_only: nothing was left to close"
