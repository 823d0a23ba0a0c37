"""The record of a run of a plain backtrader strategy: lives of its orders, fills, trades.

A `SignalStrategy` keeps a book and the record of it; any other `bt.Strategy` has neither. The
broker reports every change of its orders, and what the exchange does by itself, to this ledger as
it happens; the strategy's class stays as it is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import backtrader as bt

from cryptosim_bt.accounting.book_events import NO_ANSWER, BookEvent, Forgiven, Funded
from cryptosim_bt.accounting.orders import Execution, OrderEnd, Role
from cryptosim_bt.accounting.round_trips import RoundTrips
from cryptosim_bt.broker.backtrader_time import epoch_ms
from cryptosim_bt.broker.book_check import BookCheck
from cryptosim_bt.broker.order_refusals import ORDER_TYPES
from cryptosim_bt.config.simulation import SimulationSettings
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import PluginError
from cryptosim_bt.exchange.order_types import WITH_LIMIT, OrderType
from cryptosim_bt.strategy.run_record import BookRecord, OrderLife

if TYPE_CHECKING:
    from cryptosim_bt.broker.futures_broker import FuturesBroker

logger = logging.getLogger(__name__)

_ENDS = {
    bt.Order.Canceled: OrderEnd.CANCELLED,
    bt.Order.Expired: OrderEnd.EXPIRED,
    bt.Order.Margin: OrderEnd.MARGIN,
    bt.Order.Rejected: OrderEnd.REJECTED,
}
_REFUSED = (OrderEnd.MARGIN, OrderEnd.REJECTED)
_AT_MARKET = (OrderType.MARKET, OrderType.CLOSE)
# What an order did that closed one side and opened the other, and the side of an order that names
# none: words of orders.csv.
_FLIP, _NET = "flip", "net"


@dataclass(frozen=True)
class PlainContext(SimulationSettings):
    """What the ledger needs to know of a run.

    ``warmup`` bars come before the first bar that may trade, which opens at ``start_ms``.
    """

    strategy: str
    zone: ZoneInfo
    warmup: int
    start_ms: int


@dataclass(slots=True)
class PlainOrderLife(OrderLife):
    """An order of any backtrader type, numbered in the order of sending.

    ``price`` is the limit of a limit order, the first trigger of a stop, None at the market;
    ``limit_price`` the limit of a stop limit. In one-way mode the ``side`` is ``net`` and the
    ``role`` (entry, exit, flip) is what its fills did, None before the first.
    """

    limit_price: float | None = None
    parent_id: int | None = None


class PlainLedger(BookRecord):
    """The record of one run of a strategy without a book, made before its broker starts."""

    book: RoundTrips

    def __init__(self, broker: FuturesBroker, context: PlainContext) -> None:
        self.context = context
        self._broker = broker
        self._configured = (broker.p.cash, broker.p.commission, broker.p.fill_rules)
        self._comparison: BookCheck
        self._numbers: dict[int, int] = {}
        self._executions: Counter[int] = Counter()
        broker.ledger = self

    def begin(self) -> None:
        """Open the record, once the strategy has been made and before it starts."""
        self._check_broker()
        account, initial = self._broker.account, self.context.initial_balance
        super().__init__(RoundTrips(account.scheme, initial))  # a broker may run more than once
        self._numbers, self._executions = {}, Counter()
        self._comparison = BookCheck(account, self.book, initial)

    def _check_broker(self) -> None:
        """Refuse a run whose strategy changes the money that the configuration gives."""
        broker = self._broker
        scheme = bt.BrokerBase.getcommissioninfo(broker, broker.traded_data)
        known = (broker.p.cash, scheme, broker.p.fill_rules)
        names = ("broker.setcash", "broker.setcommission", "broker.set_slippage_perc")
        keys = ("backtest.initial_balance", "backtest.fees", "backtest.fill.slippage")
        for was, now, name, key in zip(self._configured, known, names, keys, strict=True):
            if was is not now:
                raise PluginError(
                    f"strategy {self.context.strategy}: it calls {name}(), but in a run of a "
                    f"configuration {key} says it; leave the call out"
                )

    # ------------------------------------------------------------------ what the broker reports
    def order_changed(self, order: bt.Order) -> None:
        """Take in an order of the strategy that was sent, accepted, filled or ended."""
        if order.info.get("role") is not None:
            return  # made by the exchange, for backtrader's Trades
        number = self._numbers.get(order.ref)
        if number is None:
            number = self._begin_life(order)
        life = self.order_lives[number]
        life.contracts = self._contracts(order.created.size)
        done, kind = self._executions[order.ref], ORDER_TYPES.get(order.exectype)
        for bit in islice(order.executed.exbits, done, None):
            self._executions[order.ref] += 1
            for execution in self._parts(order, bit, number):
                self._note_fill(life, execution, str(kind))
        end = _ENDS.get(order.status)
        if end is not None and life.status == "working":
            life.ended(end, order.info.get("reason") or "", self._broker.now_ms)
            self.refused.update([end.value] if end in _REFUSED else [])

    def on_event(self, event: BookEvent) -> None:
        """Take in what the exchange did by itself: closed contracts, funding, a forgiven sum."""
        if isinstance(event, Execution):
            self._book(event, event.role.value)
            return
        if isinstance(event, Funded):
            self.book.fund(event.funding.side, event.funding.payment)
        elif isinstance(event, Forgiven):
            self.book.pay_in(event.amount)
        self.note(event, NO_ANSWER, self.book.balance)

    def on_cash(self, amount: float) -> None:
        """Take in money that the strategy paid in, or out if negative (``broker.add_cash``)."""
        self.book.pay_in(amount)
        logger.warning(
            "strategy %s: add_cash(%g): returns count it as if it had been earned",
            self.context.strategy, amount, extra={"once": "add_cash"},
        )  # fmt: skip

    # ------------------------------------------------------------------ at the close of a bar
    def at_close(self, *, last_bar: bool) -> None:
        """Compare the money (R21).

        Raises
        ------
        BooksDisagree
            If the fills and cash flows that were recorded do not make the exchange's account.
        PluginError
            If the strategy has changed the money meanwhile; checked at the end of the run.
        """
        broker = self._broker
        if last_bar:
            self._check_broker()
        self._comparison.at_close(broker.mark_price, broker.now_ms)

    # ------------------------------------------------------------------ orders
    def _begin_life(self, order: bt.Order) -> int:
        self._check(order)
        kind, created = ORDER_TYPES.get(order.exectype), order.created
        stop_limit = kind in WITH_LIMIT and kind is not OrderType.LIMIT
        side = order.info.side
        number = self._numbers[order.ref] = len(self._numbers) + 1
        parent = order.parent
        self.order_lives[number] = PlainOrderLife(
            order_id=number,
            role=None if side is None else _role(opens=order.isbuy() == (side == "long")),
            side=side or _NET,
            action="buy" if order.isbuy() else "sell",
            type=str(kind or order.getordername().lower()),
            price=None if kind in _AT_MARKET else created.price,
            contracts=abs(created.size),
            created_ms=self._broker.now_ms,
            limit_price=created.pricelimit if stop_limit else None,
            parent_id=None if parent is None else self._numbers.get(parent.ref),
        )
        return number

    def _check(self, order: bt.Order) -> None:
        """Refuse a run whose strategy trades in another mode, or before it may trade."""
        context, side, created_ms = self.context, order.info.side, epoch_ms(order.created.dt)
        if created_ms < context.start_ms:
            raise PluginError(
                f"strategy {context.strategy}: it sent an order at {iso_utc(created_ms)}, "
                f"in the {context.warmup} bars before start_date that strategy.warmup gave to its "
                "indicators; send none in prenext(), or leave strategy.warmup out"
            )
        if context.one_way and side is not None:
            raise PluginError(
                f"trading.position_mode: was 'net', but strategy {context.strategy} gave "
                f"side={side!r} in an order; set position_mode: hedge"
            )
        if not context.one_way and side is None:
            raise PluginError(
                f"trading.position_mode: was 'hedge', but strategy {context.strategy} sent an "
                "order without side='long' or 'short'; set position_mode: net"
            )

    def _parts(
        self, order: bt.Order, bit: bt.order.OrderExecutionBit, number: int
    ) -> Iterator[Execution]:
        """Yield what one execution closed and what it opened: two fills for a flip."""
        is_buy = order.isbuy()
        parts = (
            (Role.EXIT, "short" if is_buy else "long", bit.closed, bit.closedcomm, bit.pnl),
            (Role.ENTRY, "long" if is_buy else "short", bit.opened, bit.openedcomm, 0.0),
        )
        for role, side, size, fee, pnl in parts:
            if size:
                yield Execution(
                    time_ms=self._broker.now_ms,
                    number=number,
                    role=role,
                    side=side,  # type: ignore[arg-type]  # long or short, as above
                    group=0,
                    price=bit.price,
                    contracts=self._contracts(size),
                    fee=fee,
                    liquidity=order.info.liquidity,
                    realized_pnl=pnl,
                )

    def _contracts(self, size: float) -> float:
        return float(self._broker.unit.contracts(abs(size)))

    # ------------------------------------------------------------------ fills
    def _note_fill(self, life: OrderLife, execution: Execution, reason: str) -> None:
        self._book(execution, reason)
        role = execution.role.value
        life.role = role if life.role in (None, role) else _FLIP

    def _book(self, execution: Execution, reason: str) -> None:
        booked = self.book.apply_fill(execution, reason)
        # An order's fills are reported together: the exchange's balance is the last one's already.
        self.note_fill(booked, self.book.balance)


def _role(*, opens: bool) -> str:
    return (Role.ENTRY if opens else Role.EXIT).value
