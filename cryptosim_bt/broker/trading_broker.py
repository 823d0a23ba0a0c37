"""Who `FuturesBroker` tells of what happens, beside backtrader's own notifications."""

from __future__ import annotations

from typing import Protocol

import backtrader as bt

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import Execution, FundingPayment, OrderEnd


class Follower(Protocol):
    """Hears of executions as they happen; a strategy with a book of its own."""

    def entry_group(self, side: Side) -> int:
        """Return the tradeid that an entry of a side takes as it fills."""

    def on_execution(self, execution: Execution) -> None:
        """Hear of a fill."""

    def on_order_end(self, number: int, end: OrderEnd, reason: str, time_ms: int) -> None:
        """Hear of an order that left the book."""

    def on_trigger(self, number: int) -> None:
        """Hear of a stop that goes on as a market order."""

    def on_funding(self, funding: FundingPayment) -> None:
        """Hear of a funding cash flow."""

    def on_shortfall(self, amount: float) -> None:
        """Hear of money that the exchange forgave."""


class Ledger(Protocol):
    """Writes down what happens to a strategy without a book, as it happens."""

    def order_changed(self, order: bt.Order) -> None:
        """Hear of an order that was sent, accepted, filled or ended; the exchange's too."""

    def on_execution(self, execution: Execution) -> None:
        """Hear of what the exchange closed by itself."""

    def on_funding(self, funding: FundingPayment) -> None:
        """Hear of a funding cash flow."""

    def on_shortfall(self, amount: float) -> None:
        """Hear of money that the exchange forgave."""

    def on_cash(self, amount: float) -> None:
        """Hear of money that was paid in, or out if negative."""
