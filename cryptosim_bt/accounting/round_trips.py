"""Round trips of a strategy without a book: a leg from flat to flat is one trade (R51).

The strategy's half of R21 without Transactions and sets: computed from the fills alone, so that
its money and contracts can be compared with the exchange's. A round trip begins with the fill
that opens a leg and ends with the one that closes it; a flip ends one and begins the next. Pure: no
backtrader, no orders, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.book_events import BookedFill
from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.money import MoneyScheme
from cryptosim_bt.accounting.orders import Execution, Role
from cryptosim_bt.accounting.position_sets import PositionSet, Trade, Transaction


@dataclass(slots=True, eq=False)
class RoundTrip(Transaction):
    """All entries of a leg since it was opened, and its exits so far (`exit_price`).

    ``exited`` are the contracts of those; ``gross_pnl`` is the sum over them, each against the
    average held then.
    """

    exited: float = 0.0
    exit_price: float = 0.0

    def leave(self, money: MoneyScheme, fill: Execution) -> float:
        """Take in an exit; return its PnL before fees."""
        pnl = money.pnl(fill.side, fill.contracts, self.open_price, fill.price)
        self.gross_pnl += pnl
        self.exit_price = fill.price if not self.exited else money.average_entry(
            [(self.exited, self.exit_price), (fill.contracts, fill.price)]
        )
        self.exited += fill.contracts
        self.fees += fill.fee
        self.open_contracts -= fill.contracts
        if self.open_contracts < 1e-9 * fill.contracts:
            self.open_contracts = 0.0  # rounding error of the subtraction
        return pnl


@dataclass(slots=True, eq=False)
class RoundTrips:
    """Balance (settlement currency), open legs, closed trades, from fills, funding and deposits."""

    money: MoneyScheme
    balance: float
    trades: list[Trade] = field(default_factory=list)
    # Always empty without a book; results read it all the same.
    sets: list[PositionSet] = field(default_factory=list)
    _open: dict[Side, RoundTrip] = field(default_factory=dict)
    _begun: int = 0

    # ------------------------------------------------------------------ what happens
    def apply_fill(self, fill: Execution, reason: str) -> BookedFill:
        """Book a fill; ``reason`` is the exit reason if it ends the trade."""
        self.balance -= fill.fee
        group = f"P-{fill.side}"
        if fill.role is Role.ENTRY:
            return BookedFill(fill, group, 0.0, self._enter(fill))
        return BookedFill(fill, group, self._exit(fill, reason))

    def _enter(self, fill: Execution) -> int:
        """Take in contracts; return the number of their round trip."""
        trip = self._open.get(fill.side)
        if trip is None:
            self._begun += 1
            trip = self._open[fill.side] = RoundTrip(self._begun, fill.side, 0, fill.time_ms)
        trip.enter(self.money, fill)
        return trip.id

    def _exit(self, fill: Execution, reason: str) -> float:
        trip = self._open[fill.side]
        pnl = trip.leave(self.money, fill)
        self.balance += pnl
        if not trip.open_contracts:
            del self._open[fill.side]
            self.trades.append(
                trip.trade(trip.id, f"P-{fill.side}", fill, trip.exit_price, reason)
            )
        return pnl

    def fund(self, side: Side, payment: float) -> None:
        """Take in a leg's funding cash flow, + = received (R22)."""
        self.balance += payment
        self._open[side].funding_paid -= payment

    def pay_in(self, amount: float) -> None:
        """Take in money that no trade earned: a forgiven sum (R23), or what was paid in."""
        self.balance += amount

    # ------------------------------------------------------------------ figures
    def contracts(self, side: Side) -> float:
        """Return the contracts held on a side."""
        trip = self._open.get(side)
        return 0.0 if trip is None else trip.open_contracts

    def equity(self, price: float) -> float:
        """Return balance plus the PnL of what is held at a price."""
        return self.balance + sum_floats(
            self.money.pnl(side, trip.open_contracts, trip.open_price, price)
            for side, trip in self._open.items()
        )

    def open_sets(self) -> list[PositionSet]:
        """Return nothing: sets belong to the book of a `SignalStrategy`."""
        return []

    def count_sets(self, side: Side) -> int:
        """Return 0, likewise."""
        return 0
