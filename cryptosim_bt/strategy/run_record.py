"""What a run writes down as it happens: fills and the life of orders, and where that is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from cryptosim_bt.accounting.book_events import (
    Answer,
    BookedFill,
    BookEvent,
    Forgiven,
    Funded,
    OrderEnded,
    OrderRejected,
    OrderResized,
)
from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import (
    CONTRACT_TOLERANCE,
    Command,
    Execution,
    FundingPayment,
    OrderEnd,
    PlaceOrder,
    Role,
)
from cryptosim_bt.accounting.position_sets import PositionMath, PositionSet, Trade

if TYPE_CHECKING:
    import backtrader as bt


@dataclass(frozen=True, slots=True)
class Fill:
    """One fill, seen by both books (R21): ``realized_pnl`` and ``group_pnl``.

    ``transaction`` is the Transaction that an entry belongs to. ``balance`` is the exchange's after
    the fill; ``shortfall``, part of it, is what the exchange forgave right after it (R23).
    """

    time_ms: int
    order_id: int | None
    role: str
    side: str
    price: float
    contracts: float
    fee: float
    liquidity: str
    group: str
    realized_pnl: float
    group_pnl: float
    transaction: int | None
    balance: float
    shortfall: float = 0.0

    @classmethod
    def of(cls, booked: BookedFill, balance: float) -> Fill:
        """Join the exchange's report with its balance and what the book booked."""
        execution = booked.execution
        return cls(
            time_ms=execution.time_ms,
            order_id=execution.number,
            role=execution.role.value,
            side=execution.side,
            price=execution.price,
            contracts=execution.contracts,
            fee=execution.fee,
            liquidity=execution.liquidity.value,
            group=booked.group,
            realized_pnl=execution.realized_pnl,
            group_pnl=booked.group_pnl,
            transaction=booked.transaction,
            balance=balance,
        )


@dataclass(slots=True)
class OrderLife:
    """An order from its making to its end. ``status`` is ``working`` until then."""

    order_id: int
    role: str | None
    side: str
    action: str
    type: str
    price: float | None
    contracts: float
    created_ms: int
    group: str | None = None
    status: str = "working"
    ended_ms: int | None = None
    reason: str | None = None
    filled_contracts: float = 0.0
    fill_price: float | None = None

    @classmethod
    def of(cls, order: PlaceOrder, created_ms: int) -> OrderLife:
        """Begin the life of an order of a book."""
        is_buy = (order.side == "long") == (order.role is Role.ENTRY)
        return cls(
            order_id=order.number,
            role=order.role.value,
            side=order.side,
            action="buy" if is_buy else "sell",
            type="stop" if order.role.value == "stop_loss" else "limit",
            price=order.price,
            contracts=order.contracts,
            created_ms=created_ms,
        )

    def filled(self, execution: Execution, group: str, average: float) -> None:
        """Note a fill; ``average`` is the price of all the order's fills."""
        self.group, self.fill_price = group, average
        self.filled_contracts += execution.contracts
        if self.filled_contracts >= self.contracts * (1.0 - CONTRACT_TOLERANCE):
            self.status, self.ended_ms = "filled", execution.time_ms

    def ended(self, end: OrderEnd, reason: str, time_ms: int) -> None:
        """Note the end of an order that was not filled, or not to its end."""
        self.status, self.ended_ms, self.reason = end.value, time_ms, reason


class BookRecord:
    """What a `SignalStrategy`'s run writes down of what happened, and of what the book made of it.

    Parameters
    ----------
    money
        The average of an order's fills.
    """

    def __init__(self, money: PositionMath) -> None:
        self._money = money
        self.fills: list[Fill] = []
        self.funding: list[FundingPayment] = []
        self.order_lives: dict[int, OrderLife] = {}

    def sent(self, commands: Sequence[Command], time_ms: int) -> None:
        """Begin the lives of the orders among commands that go out."""
        for command in commands:
            if isinstance(command, PlaceOrder):
                self.order_lives[command.number] = OrderLife.of(command, time_ms)

    def note(self, event: BookEvent, answer: Answer, balance: float) -> None:
        """Write an event down; ``balance`` is the book's, for where the exchange tells none."""
        for booked in answer.fills:
            reported = booked.execution.balance
            self.fills.append(Fill.of(booked, balance if reported is None else reported))
            self._note_fill(booked)
        if isinstance(event, OrderEnded):
            self._note_end(event.number, event.end, event.reason, event.time_ms)
        elif isinstance(event, OrderRejected):
            self._note_end(event.number, OrderEnd.REJECTED, event.reason, event.time_ms)
        elif isinstance(event, OrderResized) and event.number in self.order_lives:
            life = self.order_lives[event.number]
            life.contracts = life.filled_contracts + event.contracts
        elif isinstance(event, Funded):
            self.funding.append(event.funding)
        elif isinstance(event, Forgiven):
            # R23: beside the fill that called for it.
            last, amount = self.fills[-1], event.amount
            self.fills[-1] = replace(
                last, shortfall=last.shortfall + amount, balance=last.balance + amount
            )

    def _note_fill(self, booked: BookedFill) -> None:
        execution = booked.execution
        life = self.order_lives.get(execution.number or 0)
        if life is None:
            return  # what the exchange did by itself
        price = execution.price
        if life.fill_price is not None:
            parts = [(life.filled_contracts, life.fill_price), (execution.contracts, price)]
            price = self._money.average_entry(parts)
        life.filled(execution, booked.group, price)

    def _note_end(self, number: int, end: OrderEnd, reason: str, time_ms: int) -> None:
        life = self.order_lives.get(number)
        if life is not None and life.status == "working":
            life.ended(end, reason, time_ms)


class BookTables(Protocol):
    """What a strategy's book has for the tables and the rows of bars."""

    @property
    def trades(self) -> list[Trade]:
        """Closed trades."""

    @property
    def sets(self) -> list[PositionSet]:
        """Every set that was made."""

    def open_sets(self) -> list[PositionSet]:
        """Return the sets that are open."""

    def count_sets(self, side: Side) -> int:
        """Return the number of open sets of a side."""


class RunRecord(Protocol):
    """What a run's tables and summary are made from."""

    fills: list[Fill]
    funding: list[FundingPayment]
    order_lives: dict[int, OrderLife]
    refused: Counter[str]
    last_signal: int

    @property
    def book(self) -> BookTables:
        """Trades and sets."""


def record_of(strategy: bt.Strategy) -> RunRecord:
    """Return who keeps the record of a run: a `SignalStrategy`, or the broker for any other."""
    ledger: RunRecord | None = strategy.broker.ledger
    return strategy if ledger is None else ledger
