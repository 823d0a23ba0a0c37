"""Who the simulated exchange talks to: its listener, and orders matched beside its own."""

from __future__ import annotations

from typing import Protocol

from cryptosim_bt.order_book import WorkingOrder
from cryptosim_bt.orders import Execution, FundingPayment, OrderEnd


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


class StrategyOrders(Protocol):
    """The orders of a strategy without a book (`order_matching.py`), matched beside this one."""

    @property
    def waiting(self) -> bool:
        """Whether any order might fill."""

    def match_bar(
        self, time_ms: int, open_: float, high: float, low: float, close: float
    ) -> None:
        """Let a bar fill orders, and liquidate on the way."""

    def cancel_all(self, reason: str) -> None:
        """Take every order out."""
