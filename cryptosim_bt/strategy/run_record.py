"""The record of a run, its fills and the lives of its orders, and how to get it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from cryptosim_bt.accounting import book_events as events
from cryptosim_bt.accounting.book_events import Answer, BookedFill, BookEvent
from cryptosim_bt.accounting.orders import (
    CONTRACT_TOLERANCE,
    Command,
    Execution,
    FundingPayment,
    OrderEnd,
    PlaceOrder,
    Role,
)
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.accounting.round_trips import RoundTrips

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
    """An order from placing to end; ``status`` is ``working`` until its end."""

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
        return cls(
            order_id=order.number,
            role=order.role.value,
            side=order.side,
            action="buy" if order.is_buy else "sell",
            type="stop" if order.role is Role.STOP_LOSS else "limit",
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
    """The record of a run: fills as its book booked them, funding, orders.

    ``refused`` counts what the strategy wanted and was not sent, or not taken, by reason.
    """

    def __init__(self, book: PositionBook | RoundTrips) -> None:
        self.book = book
        self.fills: list[Fill] = []
        self.funding: list[FundingPayment] = []
        self.order_lives: dict[int, OrderLife] = {}
        self.refused: Counter[str] = Counter()
        self.last_signal = 0

    def sent(self, commands: Sequence[Command], time_ms: int) -> None:
        """Begin the lives of the orders among commands that go out."""
        for command in commands:
            if isinstance(command, PlaceOrder):
                self.order_lives[command.number] = OrderLife.of(command, time_ms)

    def note(self, event: BookEvent, answer: Answer, balance: float) -> None:
        """Write an event down; ``balance`` is the book's, for where the exchange reports none."""
        for booked in answer.fills:
            reported = booked.execution.balance
            self.note_fill(booked, balance if reported is None else reported)
        write = self._WRITERS.get(type(event))
        if write is not None:
            write(self, event)

    def _write_end(self, event: events.OrderEnded | events.OrderRejected) -> None:
        life = self.order_lives.get(event.number)
        if life is not None and life.status == "working":
            end = event.end if isinstance(event, events.OrderEnded) else OrderEnd.REJECTED
            life.ended(end, event.reason, event.time_ms)

    def _write_size(self, event: events.OrderResized) -> None:
        life = self.order_lives.get(event.number)
        if life is not None:
            life.contracts = life.filled_contracts + event.contracts

    def _write_funding(self, event: events.Funded) -> None:
        self.funding.append(event.funding)

    def _write_forgiven(self, event: events.Forgiven) -> None:
        # R23: noted with the fill that caused it.
        last, amount = self.fills[-1], event.amount
        self.fills[-1] = replace(
            last, shortfall=last.shortfall + amount, balance=last.balance + amount
        )

    def note_fill(self, booked: BookedFill, balance: float) -> None:
        """Write a fill down, and in the life of its order if it has one."""
        self.fills.append(Fill.of(booked, balance))
        execution = booked.execution
        life = self.order_lives.get(execution.number or 0)
        if life is None:
            return  # what the exchange did by itself
        price = execution.price
        if life.fill_price is not None:
            parts = [(life.filled_contracts, life.fill_price), (execution.contracts, price)]
            price = self.book.money.average_entry(parts)
        life.filled(execution, booked.group, price)

    _WRITERS: ClassVar[dict[type, Callable[[BookRecord, Any], None]]] = {
        events.OrderEnded: _write_end,
        events.OrderRejected: _write_end,
        events.OrderResized: _write_size,
        events.Funded: _write_funding,
        events.Forgiven: _write_forgiven,
    }


def record_of(strategy: bt.Strategy) -> BookRecord:
    """Return the record of a run: a `SignalStrategy`'s own, or the broker's of any other."""
    ledger: BookRecord | None = strategy.broker.ledger
    record: BookRecord = strategy._record if ledger is None else ledger
    return record
