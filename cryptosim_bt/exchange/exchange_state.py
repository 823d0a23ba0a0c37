"""What the parts of the exchange share: account, orders, the current bar."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.exchange.brackets import OrderRelations
from cryptosim_bt.exchange.fill_rules import Bar, BarValues, Matcher
from cryptosim_bt.exchange.listener import ExchangeListener
from cryptosim_bt.exchange.order_book import Order, OrderBook
from cryptosim_bt.exchange.order_try import NO_BAR

# R13's steps, as far as the step in which an order is made decides when it takes part (R12). The
# signals come last.
EXPIRIES, OPEN, WALKS, ENTRIES, CLOSE, SIGNALS = 1, 3, 4, 6, 7, 9


@dataclass(slots=True, eq=False)
class ExchangeState:
    """One market at one moment.

    Attributes
    ----------
    bar
        The current bar; not set for a bar that changes nothing.
    previous
        The bar before, whatever it changed.
    step
        The current step of R13.
    stand
        The trade price at this point of the bar, as far as it is known.
    quiet
        Prices of trades, then of the mark, strictly between which a bar changes nothing: floor,
        ceiling, floor, ceiling. None = to be found.
    has_mark
        Whether bars carry a mark price of their own (R38).
    ambiguous
        (epoch ms, kind) of ambiguous bars (R43).
    """

    account: Account
    matcher: Matcher
    listener: ExchangeListener
    bar_ms: int
    has_mark: bool
    time_ms: int
    book: OrderBook = field(default_factory=OrderBook)
    relations: OrderRelations = field(default_factory=OrderRelations)
    bar: Bar = NO_BAR
    previous: BarValues = NO_BAR
    step: int = SIGNALS
    stand: float = 0.0
    quiet: tuple[float, float, float, float] | None = None
    ambiguous: list[tuple[int, str]] = field(default_factory=list)
    liquidations: int = 0

    def note_ambiguous(self, kind: str) -> None:
        """List the bar as ambiguous, once for each kind (R43)."""
        if (self.time_ms, kind) not in self.ambiguous[-3:]:
            self.ambiguous.append((self.time_ms, kind))

    def takes_part(self, order: Order) -> bool:
        """Tell whether an order takes part in the present step (R12).

        An order made in an earlier step of the bar's start does; one made in the walks or later
        waits for the next bar.
        """
        if order.active_ms > self.time_ms:
            return False
        return order.made_ms < self.time_ms or order.made_in < min(self.step, WALKS)

    def fills_now(self, order: Order) -> bool:
        """Tell whether a working order takes part and this bar has not filled it yet."""
        return order.alive and order.filled_ms != self.time_ms and self.takes_part(order)

    def first_active_ms(self) -> int:
        """Return the first opening time of a bar that may fill what is sent now (R12, R41).

        Orders made at a bar's start are sent at its open, all others at its end.
        """
        latency = self.matcher.rules.latency_ms
        if self.step <= OPEN:
            return self.time_ms + latency
        if not latency:
            return self.time_ms + 1  # the next bar, however far it is
        return self.time_ms + self.bar_ms + latency

    def mark_at(self, price: float) -> float:
        """Return the mark while trades are at a price within the bar (R39)."""
        # A separate mark is not known at that moment: its open is used.
        return self.bar.mark_open if self.has_mark else price

    def settle_shortfall(self) -> None:
        """Forgive a negative balance (R23)."""
        forgiven = self.account.forgive()
        if forgiven:
            self.listener.forgiven(forgiven)
