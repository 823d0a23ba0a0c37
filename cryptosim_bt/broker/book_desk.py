"""Passes the orders of a `SignalStrategy`'s book to the exchange and to backtrader.

Commands of the book go to the exchange and are notified as backtrader orders. The follower is
called with fills and ends as events, within the bar, so that its book can answer before the bar
is over (R13, R16). Orders of strategies without a book: `order_desk.py`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Protocol

import backtrader as bt

from cryptosim_bt.accounting import book_events as events
from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.orders import (
    CancelOrder,
    Command,
    Execution,
    OrderEnd,
    PlaceOrder,
    ResizeOrder,
    Role,
)
from cryptosim_bt.broker.book_check import BookCheck
from cryptosim_bt.broker.trading_broker import Follower
from cryptosim_bt.errors import BooksDisagree
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_types import OrderType
from cryptosim_bt.exchange.simulated_exchange import SimulatedExchange

logger = logging.getLogger(__name__)


class DeskBroker(Protocol):
    """What the desk needs of its broker: the run's account and exchange, and receivers."""

    account: Account
    exchange: SimulatedExchange
    cerebro: bt.Cerebro
    traded_data: bt.feed.DataBase | None
    follower: Follower | None
    notify_all: bool
    now_ms: int
    mark_price: float

    def queue(self, order: bt.Order) -> None:
        """Queue an order as it stands for backtrader."""


class BookDesk:
    """Takes the orders of a strategy with a book, for one broker and one run.

    ``initial_balance`` scales the check of the books (R21); with ``fill_at_close`` entries fill
    as they are placed (``entry_fill: signal_close``).
    """

    def __init__(
        self,
        broker: DeskBroker,
        comminfo: bt.CommInfoBase,
        initial_balance: float,
        *,
        fill_at_close: bool,
    ) -> None:
        self._broker = broker
        self._exchange = broker.exchange
        self._comminfo = comminfo
        self._initial_balance = initial_balance
        self._fill_at_close = fill_at_close
        self._check: BookCheck | None = None
        # Working orders, older first, by backtrader's reference, which is the exchange's key; and
        # that by the book's number.
        self._orders: dict[int, tuple[bt.Order, Order]] = {}
        self._numbers: dict[int, int] = {}

    def bar_closed(self) -> None:
        """Compare the books at a bar's close (R21)."""
        if self._check is not None:
            self._check.at_close(self._broker.mark_price, self._broker.now_ms)
        elif self._broker.follower is not None:
            book = self._broker.follower.book
            self._check = BookCheck(self._broker.account, book, self._initial_balance)

    # ------------------------------------------------------------------ from the book
    def carry_out(self, commands: Sequence[Command]) -> None:
        """Carry out the book's answer; every command comes back as an event."""
        for command in commands:
            if isinstance(command, PlaceOrder):
                self._place(command)
            elif isinstance(command, CancelOrder):
                self._cancel(command)
            elif isinstance(command, ResizeOrder):
                self._resize(command)
            else:
                raise BooksDisagree(
                    f"the book does not know what a fill of the simulated exchange closes, "
                    f"{command.execution}: {command.reason}"
                )

    def _place(self, command: PlaceOrder) -> None:
        """Make a backtrader order and put it into the exchange's book, or reject it (R44)."""
        broker, is_stop = self._broker, command.role is Role.STOP_LOSS
        order = (bt.BuyOrder if command.is_buy else bt.SellOrder)(
            owner=broker.follower, data=broker.traded_data, size=command.contracts,
            price=command.price, exectype=bt.Order.Stop if is_stop else bt.Order.Limit,
            tradeid=command.group,
        )  # fmt: skip
        order.addinfo(side=command.side, role=command.role, number=command.number)
        order.addcomminfo(self._comminfo)
        reason = self._exchange.refusal(
            command.contracts, command.price, broker.mark_price, is_stop
        )
        if not command.price > 0.0:
            reason = f"price was {command.price}; allowed: above 0"
        if reason is not None:
            logger.warning("order %d rejected: %s", order.ref, reason)
            order.addinfo(reason=reason)
            order.reject(broker)
            broker.queue(order)
            self._report(events.OrderRejected(command.number, reason, broker.now_ms))
            return
        for step in (order.submit, order.accept):
            step(broker)
            if broker.notify_all:
                broker.queue(order)
        working = Order(
            order.ref, OrderType.STOP if is_stop else OrderType.LIMIT, command.is_buy,
            command.contracts, command.side, command.role,
            command.price if is_stop else math.nan, math.nan if is_stop else command.price,
            {command.side: command.group}, command.number, expires_ms=command.expires_ms,
        )  # fmt: skip
        self._orders[order.ref] = (order, working)
        self._numbers[command.number] = order.ref
        self._exchange.place(working)
        self._report(events.OrderAccepted(command.number, broker.now_ms))
        if self._fill_at_close and command.role is Role.ENTRY and working.alive:
            self._exchange.fill_now(working)

    def _cancel(self, command: CancelOrder) -> None:
        key = self._numbers.get(command.number)
        if key is None:
            self._refuse(command.number, events.Change.CANCEL)
        else:
            self._exchange.cancel(self._orders[key][1], command.reason)

    def _resize(self, command: ResizeOrder) -> None:
        """Change the contracts of a working order (the venue's amend)."""
        key = self._numbers.get(command.number)
        if key is None:
            self._refuse(command.number, events.Change.RESIZE)
            return
        order, working = self._orders[key]
        self._exchange.resize(working, command.contracts)
        signed = command.contracts if working.is_buy else -command.contracts
        order.executed.remsize = signed
        order.created.size = order.size = order.executed.size + signed
        self._report(events.OrderResized(command.number, command.contracts, self._broker.now_ms))

    def _refuse(self, number: int, change: events.Change) -> None:
        self._report(events.ChangeRefused(number, change, "it works no more", self._broker.now_ms))

    def _report(self, event: events.BookEvent) -> None:
        if self._broker.follower is not None:
            self._broker.follower.on_event(event)

    def cancel(self, order: bt.Order, reason: str) -> bool:
        """Take an order out of the book; return False if it is none of these, or works no more."""
        if order.ref not in self._orders:
            return False
        self._exchange.cancel(self._orders[order.ref][1], reason)
        return True

    def open_orders(self) -> list[bt.Order]:
        """Return the working orders, older first."""
        return [order for order, _ in self._orders.values()]

    # ------------------------------------------------------------------ from the exchange
    def entry_group(self, order: Order) -> int:
        """Return the tradeid of the Position that an entry joins as it fills."""
        follower, side = self._broker.follower, order.opens
        return order.groups[side] if follower is None else follower.book.position(side).tradeid

    def filled(self, working: Order | None, execution: Execution) -> None:
        """Turn a fill into a backtrader execution and report it to the follower."""
        if working is None:
            order = self._exchange_order(execution)
        elif working.alive:  # filled in part
            order = self._orders[working.key][0]
        else:
            order = self._forget(working)
        order.tradeid = execution.group
        self._execute(order, execution)
        self._broker.queue(order)
        self._report(execution)

    def triggered(self, working: Order) -> None:
        """Report a stop that goes on as a market order to the follower."""
        if working.number is not None:
            self._report(events.StopTriggered(working.number, self._broker.now_ms))

    def ended(self, working: Order, end: OrderEnd, reason: str) -> None:
        """Turn a cancel or an expiry into a backtrader notification, and report it."""
        broker, order = self._broker, self._forget(working)
        order.addinfo(reason=reason)
        order.cancel()
        if end is OrderEnd.EXPIRED:
            order.status = bt.Order.Expired
        if broker.notify_all:
            broker.queue(order)
        if working.number is not None:
            self._report(events.OrderEnded(working.number, end, reason, broker.now_ms))

    def _forget(self, working: Order) -> bt.Order:
        if working.number is not None:
            self._numbers.pop(working.number, None)
        return self._orders.pop(working.key)[0]

    def _exchange_order(self, execution: Execution) -> bt.Order:
        """Return an order that the exchange made by itself, for backtrader's Trades."""
        broker = self._broker
        order_class = bt.SellOrder if execution.side == "long" else bt.BuyOrder
        order = order_class(
            owner=broker.cerebro.runningstrats[0], data=broker.traded_data,
            size=execution.contracts, price=execution.price, exectype=bt.Order.Market,
            tradeid=execution.group,
        )  # fmt: skip
        order.addinfo(side=execution.side, role=execution.role, number=None)
        order.addcomminfo(self._comminfo)
        order.submit(broker)
        order.accept(broker)
        return order

    def _execute(self, order: bt.Order, execution: Execution) -> None:
        """Book an execution on a backtrader order; its ``Trade`` is formed from this."""
        broker = self._broker
        assert broker.traded_data is not None  # the run has begun
        size = execution.contracts if order.isbuy() else -execution.contracts
        opens = execution.role is Role.ENTRY
        value = broker.account.scheme.notional(execution.contracts, execution.price)
        held = broker.account.groups.get(execution.group)
        held_size = 0.0 if held is None else held.contracts
        order.execute(
            broker.traded_data.datetime[0], size, execution.price,
            0.0 if opens else size, 0.0 if opens else value, 0.0 if opens else execution.fee,
            size if opens else 0.0, value if opens else 0.0, execution.fee if opens else 0.0,
            self._comminfo.get_margin(execution.price), execution.realized_pnl,
            held_size if execution.side == "long" else -held_size,
            0.0 if held is None else held.average,
        )  # fmt: skip
