"""Callbacks of the simulated exchange."""

from __future__ import annotations

from typing import Protocol

from cryptosim_bt.accounting.orders import Execution, FundingPayment, OrderEnd
from cryptosim_bt.exchange.order_book import Order


class ExchangeListener(Protocol):
    """Called as things happen, within the bar; may place and cancel orders in answer."""

    def entry_group(self, order: Order) -> int:
        """Return the token of the holding that a book's entry joins as it fills."""

    def filled(self, order: Order | None, executions: tuple[Execution, ...]) -> None:
        """Take note of a fill; the account has it already.

        A flip is two executions: what it closed, then what it opened. ``order`` is None for what
        the exchange did by itself, and no longer `alive` once nothing is left to fill.
        """

    def triggered(self, order: Order) -> None:
        """Take note of a stop that goes on as a market order: its bar could not fill it fully."""

    def resized(self, order: Order) -> None:
        """Take note of an order whose remaining contracts were reduced without a fill."""

    def ended(self, order: Order, end: OrderEnd, reason: str) -> None:
        """Take note of an order that ended with contracts left."""

    def funded(self, funding: FundingPayment) -> None:
        """Take note of a funding cash flow of a leg."""

    def forgiven(self, shortfall: float) -> None:
        """Take note of a loss that the exchange covered."""
