"""What the strategy's book holds: Transactions, the Position of a side, PositionSets, Trades.

Values with their life; what happens to them is decided in `position_book.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import PlaceOrder


@dataclass(slots=True, eq=False)
class Transaction:
    """One filled entry order: grows with its fills (R35), ends as one trade.

    ``contracts`` were entered in all at the average ``entry_price``; ``open_contracts`` of them
    are still held, at ``open_price``: another average where some were closed between two fills of
    the entry (R36). Fees and ``funding_paid`` are costs (+ = paid).
    """

    id: int
    side: Side
    number: int
    entry_time_ms: int
    contracts: float = 0.0
    open_contracts: float = 0.0
    entry_price: float = 0.0
    open_price: float = 0.0
    fees: float = 0.0
    funding_paid: float = 0.0
    gross_pnl: float = 0.0
    complete: bool = False
    exits: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trade:
    """One closed Transaction (R26). ``net_pnl = gross_pnl - fees - funding_paid``.

    Trades are numbered as they close, Transactions (``transaction``) as they open.
    """

    id: int
    side: Side
    contracts: float
    entry_time_ms: int
    exit_time_ms: int
    entry_price: float
    exit_price: float
    gross_pnl: float
    fees: float
    funding_paid: float
    net_pnl: float
    exit_reason: str
    group: str
    transaction: int


@dataclass(slots=True, eq=False)
class Group:
    """What one take-profit closes: the base of Position and PositionSet.

    ``average`` is the entry average of what is held; a partial exit leaves it (R19).
    ``take_profit``, ``stop_loss`` and ``signal_exit`` are the working orders, if any;
    ``triggered`` are stops that have become market orders, older first, each with what is left of
    it (R37).
    """

    side: Side
    tradeid: int
    transactions: list[Transaction] = field(default_factory=list)
    contracts: float = 0.0
    average: float = 0.0
    take_profit: PlaceOrder | None = None
    stop_loss: PlaceOrder | None = None
    signal_exit: PlaceOrder | None = None
    triggered: list[PlaceOrder] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name that results show."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class Position(Group):
    """The open Position of a side: every entry that fills joins it."""

    @property
    def name(self) -> str:
        """``P-long`` or ``P-short``."""
        return f"P-{self.side}"


@dataclass(slots=True, eq=False)
class PositionSet(Group):
    """A full Position, cut off with a take-profit of its own (R18), and its life.

    ``members`` are the numbers of the Transactions that it was made of, with blanks between them.
    """

    number: int = 0
    born_ms: int = 0
    entries: int = 0
    members: str = ""
    entered_contracts: float = 0.0
    entry_average: float = 0.0
    take_profit_price: float | None = None
    stop_loss_price: float | None = None
    ended_ms: int | None = None
    exit_price: float | None = None
    exit_reason: str | None = None
    group_pnl: float = 0.0
    fees: float = 0.0
    funding_paid: float = 0.0

    @property
    def name(self) -> str:
        """``S`` and the number of the set, counted over both sides."""
        return f"S{self.number}"
