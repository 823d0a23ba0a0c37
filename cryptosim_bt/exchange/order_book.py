"""Working orders: the one `Order` of all strategies, and the exchange's book of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.exchange.order_types import STOPS, TRAILING, WITH_TRIGGER, OrderType, Trail

NEVER_MS = 1 << 62
# Contracts that differ by less than this share are the same: a rounding error is not left open.
SIZE_TOLERANCE = 1e-9
# Bounds with which every bar is processed.
_NEVER_QUIET = (math.inf, -math.inf)


@dataclass(slots=True, eq=False)
class Order:
    """A working order.

    Parameters
    ----------
    key
        The sender's number of it; of equal orders the one with the lower key is older.
    kind
        How it is filled.
    is_buy
        Whether it buys.
    contracts
        What is left to fill.
    side
        The leg that it opens or closes; None in one-way mode, where it first closes what is held
        against it and opens the rest.
    role
        Why a strategy's book sent it; None for orders of a strategy without a book.
    trigger
        Price that triggers a stop; NaN for other types.
    limit
        Worst price of a limit; NaN for types without one.
    groups
        The holding of the account that it belongs to, per side: a token of the sender.
    number
        The number of an order of a book.
    active_ms
        The first opening time of a bar that may fill it (R12, R41); `NEVER_MS` while inactive.
    expires_ms
        The first opening time of a bar that may no longer fill it (R10); None = no end.
    reduce_only
        Whether it only closes.
    post_only
        Whether it must not take liquidity.
    trail
        How a trailing stop follows.
    may_cut
        Share of its contracts that is cut off rather than refused where margin is missing for it.
    session_end_ms
        When the session ends in which a close order was made; compared with open times of bars.

    Attributes
    ----------
    alive
        Whether it works.
    triggered
        Whether a stop was met: it goes on as a market order, or as a limit (R37).
    opened
        The contracts that its fills have opened.
    filled_ms
        The last bar that filled it, or had no volume for it; None before the first.
    made_ms, made_in, made_at
        The bar and step in which it was accepted or made active, and the price then.
    """

    key: int
    kind: OrderType
    is_buy: bool
    contracts: float
    side: Side | None = None
    role: Role | None = None
    trigger: float = math.nan
    limit: float = math.nan
    groups: dict[Side, int] = field(default_factory=dict)
    number: int | None = None
    active_ms: int = 0
    expires_ms: int | None = None
    reduce_only: bool = False
    post_only: bool = False
    trail: Trail | None = None
    session_end_ms: float = math.inf
    may_cut: float = 0.0
    alive: bool = field(default=True, init=False)
    triggered: bool = field(default=False, init=False)
    opened: float = field(default=0.0, init=False)
    filled_ms: int | None = field(default=None, init=False)
    made_ms: int = field(default=-1, init=False)
    made_in: int = field(default=0, init=False)
    made_at: float = field(default=math.nan, init=False)

    @property
    def opens(self) -> Side:
        """The leg that the order's contracts open once nothing is left to close."""
        return "long" if self.is_buy else "short"

    @property
    def closes(self) -> Side:
        """The leg that they close."""
        return "short" if self.is_buy else "long"

    @property
    def is_stop(self) -> bool:
        """Whether it waits to be triggered and then takes at any price: what walks meet."""
        return self.kind in STOPS

    @property
    def waits_for_trigger(self) -> bool:
        """Whether it is a stop, of any kind, that was not triggered yet."""
        return self.kind in WITH_TRIGGER and not self.triggered

    @property
    def asleep(self) -> bool:
        """Whether it waits for the parent of its bracket."""
        return self.active_ms == NEVER_MS

    def met_by(self, price: float) -> bool:
        """Tell whether a price triggers a stop: at or above the trigger (buy), or below (sell)."""
        return price >= self.trigger if self.is_buy else price <= self.trigger

    def expired(self, time_ms: int) -> bool:
        """Tell whether its time has passed (R10)."""
        return self.expires_ms is not None and time_ms >= self.expires_ms

    def go_on(self) -> None:
        """Become what is left of an order that a bar has filled in part, or had no volume for.

        R37: a stop that was triggered, and a close order after its session, go on as market
        orders, and those do not expire; a stop limit goes on as the limit that it has become.
        """
        if self.kind in WITH_TRIGGER:
            self.triggered = True
        if self.kind is not OrderType.LIMIT and self.kind not in _WITH_OWN_LIMIT:
            self.kind = OrderType.MARKET
            self.expires_ms = None

    def quiet_between(self) -> tuple[float, float]:
        """Return the prices between which, exclusively, a bar leaves the order as it is.

        Apart from time, which `OrderBook.due_ms` keeps.
        """
        if self.asleep or self.kind is OrderType.CLOSE:
            return -math.inf, math.inf
        if self.kind is OrderType.MARKET:
            return _NEVER_QUIET
        if not self.waits_for_trigger:
            return (self.limit, math.inf) if self.is_buy else (-math.inf, self.limit)
        floor, ceiling = (-math.inf, self.trigger) if self.is_buy else (self.trigger, math.inf)
        if self.kind in TRAILING and self.trail is not None:
            follows = self.trail.follows_beyond(self.trigger, is_buy=self.is_buy)
            return (follows, ceiling) if self.is_buy else (floor, follows)
        return floor, ceiling


_WITH_OWN_LIMIT = frozenset({OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT})
Shelf = dict[int, Order]


class OrderBook:
    """Working orders on shelves: a book's entries, limit exits and stops; orders without a role.

    Attributes
    ----------
    due_ms
        Before this time no order expires and no session of a close order ends.
    """

    def __init__(self) -> None:
        self.entries: Shelf = {}
        self.exits: Shelf = {}
        self.stops: Shelf = {}
        # In the order of acceptance, in which `rules` tries them.
        self.unnamed: Shelf = {}
        self.due_ms: float = NEVER_MS

    def __len__(self) -> int:
        return len(self.entries) + len(self.exits) + len(self.stops) + len(self.unnamed)

    def add(self, order: Order) -> None:
        """Put an order on its shelf; call `heed_time` once its time is known."""
        self._shelf(order)[order.key] = order

    def remove(self, order: Order) -> None:
        """Take an order off its shelf."""
        order.alive = False
        del self._shelf(order)[order.key]

    def working(self) -> list[Order]:
        """Return all orders, inactive ones included, older first; those with a role first."""
        named = [*self.entries.values(), *self.exits.values(), *self.stops.values()]
        return [*sorted(named, key=lambda order: order.key), *self.unnamed.values()]

    def heed_time(self, order: Order) -> None:
        """Lower `due_ms` to the time that an order needs."""
        if order.expires_ms is not None and order.expires_ms < self.due_ms:
            self.due_ms = order.expires_ms
        if order.kind is OrderType.CLOSE and not order.asleep:
            self.due_ms = min(self.due_ms, order.session_end_ms)

    def find_due(self) -> None:
        """Find `due_ms` again, after a bar that reached it."""
        self.due_ms = NEVER_MS
        for order in self.working():
            self.heed_time(order)

    def bounds(self) -> tuple[float, float]:
        """Return the prices between which, exclusively, no order is touched."""
        floor, ceiling = -math.inf, math.inf
        # Buy limits and sell stops lie below the market, sell limits and buy stops above.
        for shelf in (self.entries, self.exits):
            for order in shelf.values():
                limit = order.limit
                if order.is_buy:
                    if limit > floor:
                        floor = limit
                elif limit < ceiling:
                    ceiling = limit
        for order in self.stops.values():
            if order.triggered:
                return _NEVER_QUIET
            if order.is_buy:
                ceiling = min(ceiling, order.trigger)
            else:
                floor = max(floor, order.trigger)
        for order in self.unnamed.values():
            below, above = order.quiet_between()
            floor, ceiling = max(floor, below), min(ceiling, above)
        return floor, ceiling

    def _shelf(self, order: Order) -> Shelf:
        role = order.role
        if role is None:
            return self.unnamed
        if role is Role.STOP_LOSS:
            return self.stops
        return self.entries if role is Role.ENTRY else self.exits
