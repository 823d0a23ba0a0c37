"""What the parts of the exchange share: account, orders, the bar that happens."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.exchange.brackets import OrderRelations
from cryptosim_bt.exchange.fill_rules import Bar, BarValues, Matcher
from cryptosim_bt.exchange.listener import ExchangeListener
from cryptosim_bt.exchange.order_book import Order, OrderBook
from cryptosim_bt.exchange.order_try import NO_BAR

# R13's steps as far as they decide when an order takes part that is made in them (R12). After the
# last of them come the signals.
EXPIRIES, OPEN, WALKS, ENTRIES, CLOSE, SIGNALS = 1, 3, 4, 6, 7, 9


@dataclass(slots=True, eq=False)
class ExchangeState:
    """One market at one moment.

    Attributes
    ----------
    bar
        The bar that happens; of a bar that changes nothing none is made.
    previous
        The bar before, whatever it changed.
    step
        Where in R13 the bar is.
    stand
        Where the price of trades stands in the bar, as far as that is known.
    quiet
        Prices of trades, then of the mark, strictly between which a bar changes nothing: floor,
        ceiling, floor, ceiling. None = to be found.
    has_mark
        Whether bars carry a mark price of their own (R38).
    ambiguous
        (epoch ms, kind) of what bars left open (R43).
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

        What an earlier step of the bar's start has made does; what the walks and later steps make
        does not, whatever comes after them.
        """
        if order.active_ms > self.time_ms:
            return False
        return order.made_ms < self.time_ms or order.made_in < min(self.step, WALKS)

    def fills_now(self, order: Order) -> bool:
        """Tell whether an order takes part that works and has not taken of this bar already."""
        return order.alive and order.filled_ms != self.time_ms and self.takes_part(order)

    def first_active_ms(self) -> int:
        """Return the first opening time of a bar that may fill what is sent now (R12, R41).

        What a bar's start makes is sent at its open, all else at its end.
        """
        latency = self.matcher.rules.latency_ms
        if self.step <= OPEN:
            return self.time_ms + latency
        if not latency:
            return self.time_ms + 1  # the next bar, however far it is
        return self.time_ms + self.bar_ms + latency

    def mark_at(self, price: float) -> float:
        """Return the mark while trades are at a price within the bar (R39)."""
        # Where a mark of its own stands then is not known: it is taken at its open.
        return self.bar.mark_open if self.has_mark else price

    def settle_shortfall(self) -> None:
        """Forgive a negative balance (R23)."""
        forgiven = self.account.forgive()
        if forgiven:
            self.listener.forgiven(forgiven)
