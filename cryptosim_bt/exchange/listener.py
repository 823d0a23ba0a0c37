"""Who the simulated exchange talks to: its listener, and orders matched beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import Execution, FundingPayment, OrderEnd
from cryptosim_bt.exchange.fill_rules import Bar
from cryptosim_bt.exchange.order_book import WorkingOrder


class ExchangeListener(Protocol):
    """Hears what happens, within the bar; may place and cancel orders in answer."""

    def entry_group(self, order: WorkingOrder) -> int:
        """Return the tradeid that an entry takes as it fills."""

    def filled(self, order: WorkingOrder | None, execution: Execution) -> None:
        """Hear of a fill; ``order`` is None for what the exchange did by itself."""

    def triggered(self, order: WorkingOrder) -> None:
        """Hear of a stop that goes on as a market order: its bar could not fill it whole."""

    def ended(self, order: WorkingOrder, end: OrderEnd, reason: str) -> None:
        """Hear of an order that left the book."""

    def funded(self, funding: FundingPayment) -> None:
        """Hear of a funding cash flow of a leg."""

    def forgiven(self, shortfall: float) -> None:
        """Hear of a loss that the exchange bore."""


class Stop(Protocol):
    """A stop that a walk may meet; ``key`` tells its age."""

    @property
    def key(self) -> int:
        """Orders that are older have a lower one."""

    @property
    def price(self) -> float:
        """The trigger."""

    @property
    def alive(self) -> bool:
        """Whether it still works."""

    @property
    def triggered(self) -> bool:
        """Whether it has become a market order."""


class StrategyOrders(Protocol):
    """The orders of a strategy without a book (`order_matching.py`), matched beside this one."""

    @property
    def waiting(self) -> bool:
        """Whether any order might fill."""

    def match_bar(self, bar: Bar) -> None:
        """Let a bar fill orders, and liquidate on the way."""

    def cancel_sides(self, sides: Sequence[Side], reason: str) -> None:
        """Take out every order of the sides, and those that belong to none."""


StopT = TypeVar("StopT", bound=Stop)


def first_met(
    stops: Sequence[StopT], here: float, end: float, towards: float
) -> StopT | None:
    """Return the stop that a walk meets first, the older of equals; None if it meets none.

    ``towards`` is 1 for a rising price and -1 for a falling one. A trigger that lies behind the
    price is met here: the bar opened beyond it.
    """
    met = [order for order in stops if towards * order.price <= towards * end]
    if not met:
        return None
    return min(met, key=lambda order: (max(towards * order.price, towards * here), order.key))
