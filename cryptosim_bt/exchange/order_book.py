"""The exchange's working orders, older first, and what a bar must reach to matter to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import Role

NEVER_MS = 1 << 62


@dataclass(slots=True, eq=False)
class WorkingOrder:
    """An order in the exchange's book.

    ``price`` is the limit, or the trigger when ``is_stop``. It takes part in bars that open at
    ``active_ms`` or later (R12); ``expires_ms`` is None for an order without an end. ``contracts``
    are what is left to fill; ``triggered`` marks a stop that has become a market order.
    """

    key: int
    number: int | None
    role: Role
    side: Side
    is_buy: bool
    is_stop: bool
    price: float
    contracts: float
    group: int
    active_ms: int
    expires_ms: int | None
    alive: bool = True
    triggered: bool = False

    @property
    def from_signal(self) -> bool:
        """Whether a signal placed it: only such orders may be filled at the open (R15)."""
        return self.role in (Role.ENTRY, Role.SIGNAL_EXIT)


class OrderBook:
    """Working orders on three shelves: entries, limit exits, stops."""

    def __init__(self) -> None:
        self._keys = 0
        self.entries: dict[int, WorkingOrder] = {}
        self.exits: dict[int, WorkingOrder] = {}
        self.stops: dict[int, WorkingOrder] = {}
        # No order expires before this time.
        self.first_expiry_ms = NEVER_MS

    def __len__(self) -> int:
        return len(self.entries) + len(self.exits) + len(self.stops)

    def new_key(self) -> int:
        """Return the next key; keys tell the age of orders."""
        self._keys += 1
        return self._keys

    def add(self, order: WorkingOrder) -> None:
        """Put an order on its shelf."""
        self._shelf(order)[order.key] = order
        if order.expires_ms is not None:
            self.first_expiry_ms = min(self.first_expiry_ms, order.expires_ms)

    def remove(self, order: WorkingOrder) -> None:
        """Take an order off its shelf."""
        order.alive = False
        del self._shelf(order)[order.key]

    def working(self) -> list[WorkingOrder]:
        """Return all orders, older first."""
        everything = [*self.entries.values(), *self.exits.values(), *self.stops.values()]
        return sorted(everything, key=lambda order: order.key)

    def take_expired(self, time_ms: int) -> Iterator[WorkingOrder]:
        """Take off and yield the orders whose time has passed (R10), older first."""
        for order in self.working():
            if order.alive and order.expires_ms is not None and time_ms >= order.expires_ms:
                self.remove(order)
                yield order
        self.first_expiry_ms = min(
            (order.expires_ms for order in self.working() if order.expires_ms is not None),
            default=NEVER_MS,
        )

    def bounds(self) -> tuple[float, float]:
        """Return the prices between which, exclusively, no order is touched."""
        floor, ceiling = float("-inf"), float("inf")
        for shelf in (self.entries, self.exits, self.stops):
            for order in shelf.values():
                if order.triggered:
                    return float("inf"), float("-inf")
                # Buy limits and sell stops lie below the market, sell limits and buy stops above.
                if order.is_buy != order.is_stop:
                    floor = max(floor, order.price)
                else:
                    ceiling = min(ceiling, order.price)
        return floor, ceiling

    def _shelf(self, order: WorkingOrder) -> dict[int, WorkingOrder]:
        if order.is_stop:
            return self.stops
        return self.entries if order.role is Role.ENTRY else self.exits
