"""Orders of a strategy without a book as they work, and the words in which their fills are told.

Values and protocols only; `order_matching.py` keeps the orders, `order_fills.py` books the fills.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import Liquidity, OrderEnd
from cryptosim_bt.exchange.order_types import STOPS, WITH_TRIGGER, OrderTerms

# A lack of margin below this share of the cash is float dust.
MARGIN_TOLERANCE = 1e-12
# Contracts that differ by less than this share are the same: no dust is left open.
SIZE_TOLERANCE = 1e-9


@dataclass(slots=True, eq=False)
class StrategyOrder:
    """A working order.

    Parameters
    ----------
    ref
        backtrader's number of the order.
    terms
        What it asks for.
    contracts
        What is left to fill.
    side
        The leg that it opens or closes; None in one-way mode, where it first closes what is held
        against it and opens the rest.
    groups
        The holding of the account that it belongs to, per side.
    reduce_only
        Whether it only closes.
    valid_until_ms
        The last opening time of a bar that may fill it; None = no end.
    active_ms
        The first one (R12, R41); `NEVER_MS` while it sleeps.

    Attributes
    ----------
    opened
        The contracts that its fills have opened.
    filled_ms
        The last bar that filled it, or had no volume for it; None before the first.
    """

    ref: int
    terms: OrderTerms
    contracts: float
    side: Side | None
    groups: dict[Side, int]
    reduce_only: bool = False
    valid_until_ms: float | None = None
    active_ms: int = 0
    alive: bool = field(default=True, init=False)
    opened: float = field(default=0.0, init=False)
    filled_ms: int | None = field(default=None, init=False)

    @property
    def opens(self) -> Side:
        """The leg that the order's contracts open once nothing is left to close."""
        return "long" if self.terms.is_buy else "short"

    @property
    def closes(self) -> Side:
        """The leg that they close."""
        return "short" if self.terms.is_buy else "long"

    @property
    def key(self) -> int:
        """The order's age: older orders have a lower one."""
        return self.ref

    @property
    def price(self) -> float:
        """The trigger; NaN for an order without one."""
        return self.terms.trigger

    @property
    def triggered(self) -> bool:
        """Whether it is no stop, or no longer one."""
        return self.terms.kind not in STOPS

    @property
    def waits_for_trigger(self) -> bool:
        """Whether it is a stop, of any kind, that was not triggered yet."""
        return self.terms.kind in WITH_TRIGGER and not self.terms.triggered


class StrategyFill(NamedTuple):
    """A fill as it happened: fees are costs, ``entry`` is the average of what was closed.

    ``time_ms`` is the opening time of the bar that filled it.
    """

    time_ms: int
    price: float
    liquidity: Liquidity
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
        """Hear of a fill, of all or of a part; the account has it already."""

    def order_resized(self, order: StrategyOrder) -> None:
        """Hear that less is left to fill than was, without a fill."""

    def order_ended(self, order: StrategyOrder, end: OrderEnd, reason: str) -> None:
        """Hear of an order that ended with contracts left."""
