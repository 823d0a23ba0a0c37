"""What the strategy's book holds: Transactions, the Position of a side, PositionSets, Trades.

Data classes that add up fills; `position_book.py` decides what happens to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import Execution, PlaceOrder


class PositionMath(Protocol):
    """PnL and average entry of a market, for the book."""

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        """Return profit (+) or loss (-) before fees."""

    def average_entry(self, fills: Sequence[tuple[float, float]]) -> float:
        """Return the average price of pairs (contracts, price), at least one of them."""


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

    def enter(self, money: PositionMath, fill: Execution) -> None:
        """Take in a fill of the entry; what is held and what was entered average apart (R36)."""
        if self.contracts:
            entered = (self.contracts, self.entry_price)
            held = (self.open_contracts, self.open_price)
            new = (fill.contracts, fill.price)
            self.entry_price = money.average_entry([entered, new])
            self.open_price = money.average_entry([held, new])
        else:
            self.entry_price = self.open_price = fill.price
        self.contracts += fill.contracts
        self.open_contracts += fill.contracts
        self.fees += fill.fee

    def exit(self, money: PositionMath, fill: Execution, share: float) -> None:
        """Book a fill that closes a share of what is held."""
        part = self.open_contracts * share
        self.gross_pnl += money.pnl(self.side, part, self.open_price, fill.price)
        self.fees += fill.fee * part / fill.contracts
        self.exits.append((part, fill.price))
        self.open_contracts -= part

    def trade(
        self, number: int, group: str, last: Execution, exit_price: float, reason: str
    ) -> Trade:
        """Return the trade that it was, once its last fill has closed it."""
        return Trade(
            id=number,
            side=self.side,
            contracts=self.contracts,
            entry_time_ms=self.entry_time_ms,
            exit_time_ms=last.time_ms,
            entry_price=self.entry_price,
            exit_price=exit_price,
            gross_pnl=self.gross_pnl,
            fees=self.fees,
            funding_paid=self.funding_paid,
            net_pnl=self.gross_pnl - self.fees - self.funding_paid,
            exit_reason=reason,
            group=group,
            transaction=self.id,
        )


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
    it (R37). ``asks_stop`` while the strategy has not yet given its stop price.
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
    asks_stop: bool = False

    @property
    def name(self) -> str:
        """The name that results show."""
        raise NotImplementedError

    def open_average(self, money: PositionMath) -> float:
        """Return the average entry of what is held (R19)."""
        return money.average_entry(
            [(part.open_contracts, part.open_price) for part in self.transactions]
        )


@dataclass(slots=True, eq=False)
class Position(Group):
    """The open Position of a side: every entry that fills joins it."""

    @property
    def name(self) -> str:
        """``P-long`` or ``P-short``."""
        return f"P-{self.side}"


@dataclass(slots=True, eq=False)
class PositionSet(Group):
    """A full Position, cut off with a take-profit of its own (R18), and its history.

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

    @classmethod
    def of(cls, position: Position, number: int, born_ms: int) -> PositionSet:
        """Cut a full Position off."""
        transactions = position.transactions
        return cls(
            side=position.side,
            # A set keeps the Position's tradeid so that backtrader's Trade goes on with it.
            tradeid=position.tradeid,
            transactions=transactions,
            contracts=position.contracts,
            average=position.average,
            # A market order cannot be called back; the set keeps it, as it keeps the tradeid (R37).
            triggered=position.triggered,
            number=number,
            born_ms=born_ms,
            entries=len(transactions),
            members=" ".join(str(each.id) for each in transactions),
            entered_contracts=position.contracts,
            entry_average=position.average,
            fees=sum_floats(each.fees for each in transactions),
            funding_paid=sum_floats(each.funding_paid for each in transactions),
        )

    def end(self, last: Execution) -> None:
        """Book the fill that closed the last of it."""
        self.ended_ms, self.exit_price = last.time_ms, last.price
        self.exit_reason = last.role.value
        self.contracts = 0.0
        self.transactions = []
