"""What a strategy without a book holds, each leg from flat to flat: one trade (R51).

The strategy's half of R21 where there are no Transactions and sets: made from the fills alone, so
that its money and contracts can be compared with the exchange's. A round trip begins with the fill
that opens a leg and ends with the one that closes it; a flip ends one and begins the next. Pure: no
backtrader, no orders, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.book_events import BookedFill
from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.money import Holding, MoneyScheme
from cryptosim_bt.accounting.orders import Execution, Role
from cryptosim_bt.accounting.position_sets import PositionSet, Trade


@dataclass(slots=True, eq=False)
class RoundTrip:
    """A leg from the fill that opens it on.

    ``holding`` is what is held now. ``entered`` and ``exited`` are the contracts of all entries and
    exits so far, at the averages ``entry_price`` and ``exit_price``. Fees and ``funding_paid`` are
    costs (+ = paid); ``gross_pnl`` is the sum over exits, each against the average held then.
    """

    id: int
    holding: Holding
    entry_time_ms: int
    entered: float = 0.0
    entry_price: float = 0.0
    exited: float = 0.0
    exit_price: float = 0.0
    gross_pnl: float = 0.0
    fees: float = 0.0
    funding_paid: float = 0.0


@dataclass(slots=True, eq=False)
class RoundTrips:
    """Balance, open legs and closed trades, counted from fills, funding and forgiven sums.

    Parameters
    ----------
    money
        PnL and average entry of the market: its commission scheme.
    balance
        Money at the start, in settlement currency.
    """

    money: MoneyScheme
    balance: float
    trades: list[Trade] = field(default_factory=list)
    # There are none without a book; results ask all the same.
    sets: list[PositionSet] = field(default_factory=list)
    _open: dict[Side, RoundTrip] = field(default_factory=dict)
    _begun: int = 0

    # ------------------------------------------------------------------ what happens
    def apply_fill(self, fill: Execution, reason: str) -> BookedFill:
        """Take a fill in; ``reason`` is what ends the trade if the fill does."""
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
            trip = RoundTrip(self._begun, Holding(fill.side), fill.time_ms)
            self._open[fill.side] = trip
        trip.holding.add(self.money, fill.contracts, fill.price)
        trip.entry_price = self._average(trip.entered, trip.entry_price, fill)
        trip.entered += fill.contracts
        trip.fees += fill.fee
        return trip.id

    def _exit(self, fill: Execution, reason: str) -> float:
        trip = self._open[fill.side]
        pnl = self.money.pnl(fill.side, fill.contracts, trip.holding.average, fill.price)
        self.balance += pnl
        trip.gross_pnl += pnl
        trip.exit_price = self._average(trip.exited, trip.exit_price, fill)
        trip.exited += fill.contracts
        trip.fees += fill.fee
        trip.holding.remove(fill.contracts)
        if not trip.holding.contracts:
            del self._open[fill.side]
            self.trades.append(_trade(trip, fill, reason))
        return pnl

    def _average(self, contracts: float, price: float, fill: Execution) -> float:
        if not contracts:
            return fill.price
        return self.money.average_entry([(contracts, price), (fill.contracts, fill.price)])

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
        return 0.0 if trip is None else trip.holding.contracts

    def equity(self, price: float) -> float:
        """Return balance plus the PnL of what is held at a price."""
        return self.balance + sum_floats(
            self.money.pnl(side, trip.holding.contracts, trip.holding.average, price)
            for side, trip in self._open.items()
        )

    def open_sets(self) -> list[PositionSet]:
        """Return nothing: sets belong to the book of a `SignalStrategy`."""
        return []

    def count_sets(self, side: Side) -> int:
        """Return 0, likewise."""
        return 0


def _trade(trip: RoundTrip, last: Execution, reason: str) -> Trade:
    return Trade(
        id=trip.id,
        side=last.side,
        contracts=trip.entered,
        entry_time_ms=trip.entry_time_ms,
        exit_time_ms=last.time_ms,
        entry_price=trip.entry_price,
        exit_price=trip.exit_price,
        gross_pnl=trip.gross_pnl,
        fees=trip.fees,
        funding_paid=trip.funding_paid,
        net_pnl=trip.gross_pnl - trip.fees - trip.funding_paid,
        exit_reason=reason,
        group=f"P-{last.side}",
        transaction=trip.id,
    )
