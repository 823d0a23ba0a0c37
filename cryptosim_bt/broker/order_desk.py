"""Orders of any backtrader strategy (R49): from ``buy`` and ``sell`` to the exchange and back.

The exchange keeps the working orders; here backtrader's orders are checked, sent and notified,
`order_trades.py` executes them. An order without ``side`` trades the net position (one-way mode),
one with ``side="long"`` or ``"short"`` that leg (hedge mode).
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, Protocol

import backtrader as bt

from cryptosim_bt.accounting.arithmetic import floor_to_step
from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.orders import Execution, OrderEnd
from cryptosim_bt.broker.order_margin import OrderMargin
from cryptosim_bt.broker.order_refusals import refusal, venue_refusal
from cryptosim_bt.broker.order_trades import NotifyingBroker, OrderTrades
from cryptosim_bt.broker.order_translation import put_on_the_tick, working_order
from cryptosim_bt.broker.size_unit import CUT_IN_COINS, SizeUnit
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_types import TRAILING, WITH_LIMIT
from cryptosim_bt.exchange.simulated_exchange import SimulatedExchange

logger = logging.getLogger(__name__)


class OrderBroker(NotifyingBroker, Protocol):
    """What the desk needs of its broker."""

    p: Any  # its venue_rules

    @property
    def exchange(self) -> SimulatedExchange:
        """Where the orders go."""

    @property
    def follower(self) -> object | None:
        """A strategy with a book, whose orders do not come here."""

    @property
    def mark_price(self) -> float:
        """The last mark price."""

    @property
    def check_margin(self) -> bool:
        """Whether an order's margin is checked before it is accepted, too."""


class OrderDesk:
    """Takes the orders of strategies without a book, for one broker and one run.

    Parameters
    ----------
    broker
        Its data, account, exchange and commission scheme are those of the run.
    unit
        What sizes count; with the market's grids and its smallest order.
    margin
        Checks the money before an order is accepted.
    comminfo
        The data's commission scheme.

    Attributes
    ----------
    sent
        Orders that the next bar accepts.
    """

    def __init__(
        self,
        broker: OrderBroker,
        unit: SizeUnit,
        margin: OrderMargin,
        comminfo: bt.CommInfoBase,
    ) -> None:
        self._broker = broker
        self._exchange = broker.exchange
        self._relations = broker.exchange.relations
        self._unit, self._grid = unit, unit.grid
        self._margin = margin
        self._comminfo = comminfo
        self._trades = OrderTrades(broker, comminfo, unit)
        self.before_delivery = self._trades.before_delivery
        self.position = self._trades.position
        # Working orders by reference, older first; orders of a bracket that waits for its last.
        self._orders: dict[int, bt.Order] = {}
        self._held: dict[int, list[bt.Order]] = defaultdict(list)
        self._trailing: dict[int, tuple[bt.Order, Order]] = {}
        self.sent: deque[bt.Order] = deque()
        # Names of holdings in the account: negative, so that no book's tradeid is among them.
        self._groups: dict[tuple[Side, Any], int] = {}

    # ------------------------------------------------------------------ from the strategy
    def submit(
        self,
        order_class: type[bt.Order],
        owner: bt.Strategy,
        data: bt.feed.DataBase,
        size: float,
        *,
        price: float | None = None,
        plimit: float | None = None,
        exectype: int | None = None,
        valid: Any = None,
        tradeid: Any = 0,
        oco: bt.Order | None = None,
        trailamount: float | None = None,
        trailpercent: float | None = None,
        parent: bt.Order | None = None,
        transmit: bool = True,
        side: Side | None = None,
        reduce_only: bool = False,
        post_only: bool = False,
        **info: Any,
    ) -> bt.Order:
        """Take an order, hold it for the rest of its bracket, or refuse it with its reason."""
        for name in ("histnotify", "_checksubmit", "role"):  # inner words, backtrader's and ours
            info.pop(name, None)
        if isinstance(valid, (int, float)) and valid == 0:
            valid = bt.Order.DAY
        contracts = floor_to_step(size, self._grid.lot) if 0 < size < math.inf else size
        if contracts == size:
            contracts = size  # an int stays one
        order = order_class(
            owner=owner, data=data, size=contracts, price=price, pricelimit=plimit,
            exectype=exectype, valid=valid, tradeid=tradeid, trailamount=trailamount,
            trailpercent=trailpercent, parent=parent, transmit=transmit,
            histnotify=True,  # or a historical order would be refused without a word
        )  # fmt: skip
        order.addinfo(side=side, reduce_only=reduce_only, post_only=post_only, **info)
        if contracts != size:
            order.addinfo(asked_size=size)
        order.addcomminfo(self._comminfo)
        reason = self._refusal(order)
        if reason is not None:
            self._reject(order, reason)
            if parent is not None:
                # A bracket is taken whole or not at all.
                for each in list(self._held.get(parent.ref, ())):
                    self._cancel_waiting(each, "an order of its bracket was rejected")
            return order
        self._relations.add(
            order.ref,
            oco=None if oco is None else oco.ref,
            parent=None if parent is None else parent.ref,
        )
        self._transmit(order)
        return order

    def cancel(self, order: bt.Order, reason: str) -> bool:
        """End an order and its linked orders; return False if it does not work any more."""
        working = self._exchange.find(order.ref)
        if working is not None:
            self._exchange.cancel(working, reason)
            return True
        waiting = [*self.sent, *(each for held in self._held.values() for each in held)]
        if order not in waiting:
            return False
        self._cancel_waiting(next(each for each in waiting if each == order), reason)
        return True

    def open_orders(self) -> list[bt.Order]:
        """Return the orders that are sent or work, older first."""
        return [*self._orders.values(), *self.sent]

    def _refusal(self, order: bt.Order) -> str | None:
        if order.data is not self._broker.traded_data:
            return "the broker trades the first data of the Cerebro only"
        if self._broker.follower is not None:
            return (
                "the orders of a SignalStrategy come from its book: return a signal; an order "
                "without a role would trade contracts that no Position knows"
            )
        parent = order.parent
        if parent is not None and parent.ref not in self._known_refs() and (
            parent.status != bt.Order.Completed
        ):
            return f"its parent, order {parent.ref}, is {parent.getstatusname().lower()}"
        reason = refusal(order, self._grid) or self._mode_refusal(order.info.side)
        if reason is not None:
            return reason
        put_on_the_tick(order, self._grid)
        broker = self._broker
        open_orders = len(self._known_refs())
        contracts = self._unit.contracts(abs(order.created.size))
        return venue_refusal(
            order, contracts, broker.p.venue_rules, broker.mark_price, open_orders
        )

    def _mode_refusal(self, side: Side | None) -> str | None:
        """Return why an account in one-way mode takes no side, or in hedge mode needs one."""
        if any(order.role is not None for order in self._exchange.working()):
            return "orders of a book are working: an order needs side= and role= beside them"
        in_use = self._trades.sides()
        in_use += [order.info.side for order in self.open_orders()]
        if not in_use or (in_use[0] is None) == (side is None):
            return None
        if side is None:
            return "the account is in hedge mode: give side='long' or 'short' until it is flat"
        return "the account is in one-way mode: leave side out until it is flat"

    def _known_refs(self) -> set[int]:
        held = (order.ref for orders in self._held.values() for order in orders)
        return {*self._orders, *(order.ref for order in self.sent), *held}

    # ------------------------------------------------------------------ on the way
    def _transmit(self, order: bt.Order) -> None:
        """Send an order, with those that waited for it; or let it wait (``transmit=False``)."""
        bracket = order.ref if order.parent is None else order.parent.ref
        self._held[bracket].append(order)
        if not order.transmit:
            return
        for each in self._held.pop(bracket):
            each.submit(self._broker)
            self.sent.append(each)
            if self._broker.check_margin:
                self._broker.notify(each)

    def before_bar(self, day: float, seen_ms: int) -> None:
        """Accept what was sent since the last bar; the bar may then try it.

        What was sent with this bar in view, which opens at ``day`` (a timer's ``cheat=True``),
        waits for the bar after it (R12), that opens later than ``seen_ms``.
        """
        self._margin.begin_check(self._broker.mark_price)
        while self.sent:
            order = self.sent.popleft()
            self._accept(order, seen_ms if order.created.dt >= day else 0)

    def after_bar(self) -> None:
        """Let trailing stops show where their trigger, and limit, stand now."""
        for order, working in self._trailing.values():
            order.created.price = working.trigger
            if working.kind in WITH_LIMIT:
                order.created.pricelimit = working.limit

    def _accept(self, order: bt.Order, seen_ms: int) -> None:
        parent = order.parent
        wakes = parent is None or parent.status == bt.Order.Completed
        if parent is not None and not wakes and parent.ref not in self._orders:
            self._reject(order, "its parent was refused")
            return
        leader = self._relations.leader(order.ref)
        # A child closes what its parent opened: the check of the parent is enough.
        size = self._unit.contracts(order.created.size)
        cut = CUT_IN_COINS if self._unit.in_coins else 0.0
        checked = parent is None and self._broker.check_margin
        if checked and not self._margin.check(order, size, leader, cut):
            self._drop(order, OrderEnd.MARGIN, "not enough margin at its price")
            return
        order.submit(self._broker)  # again, as BackBroker: `plen` is that of the bar that takes it
        order.accept(self._broker)
        self._orders[order.ref] = order
        # In one-way mode there is one holding, whatever the tradeid.
        tradeid = order.tradeid if order.info.side is not None else None
        groups = {each: self._group(each, tradeid) for each in SIDES}
        working = working_order(order, abs(size), groups)
        working.may_cut = cut
        self._exchange.place(working, asleep=not wakes)
        working.active_ms = max(working.active_ms, seen_ms)
        if working.kind in TRAILING:
            self._trailing[order.ref] = order, working
        self._broker.notify(order)

    def _group(self, side: Side, tradeid: Any) -> int:
        return self._groups.setdefault((side, tradeid), -len(self._groups) - 1)

    # ------------------------------------------------------------------ refused and cancelled
    def _reject(self, order: bt.Order, reason: str) -> None:
        logger.warning("order %d rejected: %s", order.ref, reason)
        order.addinfo(reason=reason)
        order.reject(self._broker)
        self._relations.take_rivals(order.ref)
        self._broker.notify(order)

    def _drop(self, order: bt.Order, end: OrderEnd, reason: str) -> None:
        """End an order that does not work yet, and linked ones; after MARGIN children end later."""
        self._close(order, end, reason)
        relations = self._relations
        for ref in relations.take_rivals(order.ref):
            self._drop_by_ref(ref, "another of its OCO group ended")
        if end is not OrderEnd.MARGIN:
            for ref in relations.take_bracket(order.ref):
                self._drop_by_ref(ref, "its bracket ended")

    def _drop_by_ref(self, ref: int, reason: str) -> None:
        working = self._exchange.find(ref)
        if working is not None:
            self._exchange.cancel(working, reason)
            return
        for order in (*self.sent, *(each for held in self._held.values() for each in held)):
            if order.ref == ref:
                self._cancel_waiting(order, reason)
                return

    def _cancel_waiting(self, order: bt.Order, reason: str) -> None:
        if order in self.sent:
            self.sent.remove(order)
        for held in self._held.values():
            if order in held:
                held.remove(order)
        self._drop(order, OrderEnd.CANCELLED, reason)

    def _close(self, order: bt.Order, end: OrderEnd, reason: str) -> None:
        order.addinfo(reason=reason)
        if end is OrderEnd.MARGIN:
            logger.warning("order %d: %s", order.ref, reason)
            order.margin()
        else:
            order.cancel()
            if end is OrderEnd.EXPIRED:
                order.status = bt.Order.Expired
        self._broker.notify(order)

    # ------------------------------------------------------------------ from the exchange
    def ended(self, working: Order, end: OrderEnd, reason: str) -> None:
        """Notify an order that ended with contracts left."""
        self._trailing.pop(working.key, None)
        self._close(self._orders.pop(working.key), end, reason)

    def filled(self, working: Order, executions: Sequence[Execution]) -> None:
        """Execute backtrader's order; its Trade is formed from this."""
        order = self._orders[working.key]
        if not working.alive:
            del self._orders[working.key]
            self._trailing.pop(working.key, None)
        self._trades.execute(order, working, executions)
        self._broker.notify(order)

    def resized(self, working: Order) -> None:
        """Change the contracts of backtrader's order; what was asked stays in its info."""
        order = self._orders[working.key]
        if "asked_size" not in order.info:
            order.addinfo(asked_size=abs(order.created.size))
        signed = math.copysign(self._unit.size(working.contracts), order.created.size)
        order.executed.remsize = signed
        order.created.size = order.size = order.executed.size + signed

    # ------------------------------------------------------------------ liquidation
    def owns(self, group: int) -> bool:
        """Tell whether a holding of the account belongs to these orders."""
        return group < 0

    def liquidated(self, execution: Execution) -> None:
        """Close the Trades of a holding that the exchange has liquidated."""
        side, tradeid = next(key for key, group in self._groups.items() if group == execution.group)
        sides = (side, None) if self._broker.account.isolated else (*SIDES, None)
        for order in [each for held in self._held.values() for each in held]:
            if order.info.side in sides:
                self._cancel_waiting(order, str(execution.role))
        self._trades.close_by_exchange(side, tradeid, execution)
