"""Orders of any backtrader strategy: from ``buy``, ``sell`` and ``close`` to the exchange and back.

`order_types.py` says what a bar fills, `order_matching.py` keeps the working orders; here
backtrader's orders are checked, translated, notified and executed. An order without ``side``
trades the net position (one-way mode), one with ``side="long"`` or ``"short"`` that leg (hedge
mode).
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import backtrader as bt

from cryptosim_bt.commission import FuturesCommission
from cryptosim_bt.contracts import SIDES, Side, sign
from cryptosim_bt.instrument import floor_to_step
from cryptosim_bt.order_margin import OrderMargin
from cryptosim_bt.order_matching import SIZE_TOLERANCE, OrderMatcher, StrategyFill, StrategyOrder
from cryptosim_bt.order_refusals import ORDER_TYPES, refusal, uses_price
from cryptosim_bt.order_types import (
    TRAILING,
    WITH_LIMIT,
    WITH_TRIGGER,
    Market,
    OrderTerms,
    OrderType,
    rounded_limit,
    rounded_trigger,
)
from cryptosim_bt.orders import Execution, Liquidity, OrderEnd
from cryptosim_bt.trade import FuturesTrade

if TYPE_CHECKING:
    from cryptosim_bt.broker import FuturesBroker

logger = logging.getLogger(__name__)

_MS_PER_DAY = 86_400_000
_EPOCH_DAY = 719_163  # backtrader counts days from the year 1


class OrderDesk:
    """Takes the orders of strategies without a book, for one broker and one run.

    Parameters
    ----------
    broker
        Its data, account, exchange and commission scheme are those of the run.
    market
        How bars fill orders.
    margin
        Fees and margin.
    comminfo
        The data's commission scheme.
    """

    def __init__(
        self,
        broker: FuturesBroker,
        market: Market,
        margin: OrderMargin,
        comminfo: bt.CommInfoBase,
    ) -> None:
        self._broker = broker
        self._market = market
        self._margin = margin
        self._comminfo = comminfo
        self._averages = isinstance(comminfo, FuturesCommission)
        self._matcher = OrderMatcher(broker.exchange, market, margin, self)
        # Working orders by reference; orders of a bracket that waits for its last; orders sent.
        self._orders: dict[int, bt.Order] = {}
        self._held: dict[int, list[bt.Order]] = defaultdict(list)
        self._sent: deque[bt.Order] = deque()
        # Names of holdings in the account: negative, so that no book's tradeid is among them.
        self._groups: dict[tuple[Side, Any], int] = {}
        # Signed contracts per tradeid, and whose they are: what a liquidation has to close.
        self._sizes: dict[tuple[Side | None, Any], float] = {}
        self._owners: dict[tuple[Side | None, Any], bt.Strategy] = {}

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
        for name in ("histnotify", "_checksubmit"):  # backtrader's inner words
            info.pop(name, None)
        if isinstance(valid, (int, float)) and valid == 0:
            valid = bt.Order.DAY
        lot = self._market.instrument.lot
        contracts = floor_to_step(size, lot) if size > 0.0 else size
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
        self._onto_the_tick(order)
        self._matcher.relations.add(
            order.ref,
            oco=None if oco is None else oco.ref,
            parent=None if parent is None else parent.ref,
        )
        self._transmit(order)
        return order

    def cancel(self, order: bt.Order, reason: str) -> bool:
        """End an order with all that hang on it; return False if it does not work any more."""
        working = self._matcher.find(order.ref)
        if working is not None:
            self._matcher.cancel(working, reason)
            return True
        waiting = [*self._sent, *(each for held in self._held.values() for each in held)]
        if order not in waiting:
            return False
        self._cancel_waiting(next(each for each in waiting if each == order), reason)
        return True

    def open_orders(self) -> list[bt.Order]:
        """Return the orders that are sent or work, older first."""
        working = [self._orders[each.ref] for each in self._matcher.working()]
        return [*working, *self._sent]

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
        return refusal(order, self._market.instrument) or self._mode_refusal(order.info.side)

    def _mode_refusal(self, side: Side | None) -> str | None:
        """Return why an account in one-way mode takes no side, or in hedge mode needs one."""
        if self._broker.exchange.working():
            return "orders of a book are working: an order needs side= and role= beside them"
        in_use = [key[0] for key, size in self._sizes.items() if size]
        in_use += [order.info.side for order in self.open_orders()]
        if not in_use or (in_use[0] is None) == (side is None):
            return None
        if side is None:
            return "the account is in hedge mode: give side='long' or 'short' until it is flat"
        return "the account is in one-way mode: leave side out until it is flat"

    def _known_refs(self) -> set[int]:
        held = (order.ref for orders in self._held.values() for order in orders)
        return {*self._orders, *(order.ref for order in self._sent), *held}

    def _onto_the_tick(self, order: bt.Order) -> None:
        """Round an order's prices to the tick (R8); what was asked stays in its info."""
        instrument, kind = self._market.instrument, ORDER_TYPES[order.exectype]
        if not instrument.tick or not uses_price(kind):
            return
        created, is_buy = order.created, order.isbuy()
        asked = (created.price, created.pricelimit)
        if kind in WITH_TRIGGER:
            created.price = rounded_trigger(created.price, instrument, is_buy=is_buy)
            if kind in WITH_LIMIT:
                created.pricelimit = rounded_limit(created.pricelimit, instrument, is_buy=is_buy)
        else:
            created.price = rounded_limit(created.price, instrument, is_buy=is_buy)
        if asked != (created.price, created.pricelimit):
            order.addinfo(asked_price=asked[0], asked_limit=asked[1])

    # ------------------------------------------------------------------ on the way
    def _transmit(self, order: bt.Order) -> None:
        """Send an order, with those that waited for it; or let it wait (``transmit=False``)."""
        bracket = order.ref if order.parent is None else order.parent.ref
        self._held[bracket].append(order)
        if not order.transmit:
            return
        for each in self._held.pop(bracket):
            each.submit(self._broker)
            self._sent.append(each)
            if self._broker.check_margin:
                self._broker.notify(each)

    def before_bar(self) -> None:
        """Wake children and accept what was sent since the last bar; the bar then tries it."""
        self._matcher.wake_children()
        if not self._sent:
            return
        self._margin.begin_check(self._broker.last_price)
        while self._sent:
            self._accept(self._sent.popleft())

    def _accept(self, order: bt.Order) -> None:
        parent = order.parent
        wakes = parent is None or parent.status == bt.Order.Completed
        if parent is not None and not wakes and parent.ref not in self._orders:
            self._reject(order, "its parent was refused")
            return
        leader = self._matcher.relations.leader(order.ref)
        # A child closes what its parent opened: the check of the parent is enough.
        if parent is None and self._broker.check_margin and not self._margin.check(order, leader):
            self._drop(order, OrderEnd.MARGIN, "not enough margin at its price")
            return
        order.accept(self._broker)
        self._orders[order.ref] = order
        self._matcher.accept(self._working_order(order, active=wakes))
        self._broker.notify(order)

    def _working_order(self, order: bt.Order, *, active: bool) -> StrategyOrder:
        side, reduce_only = order.info.side, order.info.reduce_only
        group = order.tradeid if side is not None else None
        self._broker.exchange.strategy_orders = self._matcher
        return StrategyOrder(
            ref=order.ref,
            terms=terms_of(order),
            contracts=abs(order.created.size),
            side=side,
            groups={each: self._group(each, group) for each in SIDES},
            reduce_only=reduce_only,
            valid_until_ms=None if order.exectype == bt.Order.Market else _valid_until(order),
            active=active,
        )

    def _group(self, side: Side, tradeid: Any) -> int:
        return self._groups.setdefault((side, tradeid), -len(self._groups) - 1)

    # ------------------------------------------------------------------ refused and cancelled
    def _reject(self, order: bt.Order, reason: str) -> None:
        logger.warning("order %d rejected: %s", order.ref, reason)
        order.addinfo(reason=reason)
        order.reject(self._broker)
        self._matcher.relations.take_rivals(order.ref)
        self._broker.notify(order)

    def _drop(self, order: bt.Order, end: OrderEnd, reason: str) -> None:
        """End an order that does not work yet, and its rivals; its children find it gone."""
        self._close(order, end, reason)
        relations = self._matcher.relations
        for ref in relations.take_rivals(order.ref):
            self._drop_by_ref(ref, "another of its OCO group ended")
        if end is not OrderEnd.MARGIN:
            for ref in relations.take_bracket(order.ref):
                self._drop_by_ref(ref, "its bracket ended")

    def _drop_by_ref(self, ref: int, reason: str) -> None:
        working = self._matcher.find(ref)
        if working is not None:
            self._matcher.cancel(working, reason)
            return
        for order in (*self._sent, *(each for held in self._held.values() for each in held)):
            if order.ref == ref:
                self._cancel_waiting(order, reason)
                return

    def _cancel_waiting(self, order: bt.Order, reason: str) -> None:
        if order in self._sent:
            self._sent.remove(order)
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

    # ------------------------------------------------------------------ OrderListener
    def order_ended(self, working: StrategyOrder, end: OrderEnd, reason: str) -> None:
        """Notify an order that ended with contracts left."""
        self._close(self._orders.pop(working.ref), end, reason)

    def order_filled(self, working: StrategyOrder, fill: StrategyFill) -> None:
        """Execute backtrader's order; its Trade is formed from this."""
        order = self._orders[working.ref] if working.alive else self._orders.pop(working.ref)
        direction = 1.0 if order.isbuy() else -1.0
        opened, closed = direction * fill.opened, direction * fill.closed
        key = (order.info.side, order.tradeid)
        size = self._sizes.get(key, 0.0) + opened + closed
        self._sizes[key] = size if abs(size) > SIZE_TOLERANCE * abs(opened + closed) else 0.0
        self._owners[key] = order.owner
        if self._broker.account.flat:
            self._sizes.clear()
        if not working.alive:
            # Exactly what was left, whatever dust the parts have.
            opened, closed = _exact(order.executed.remsize, opened, closed)
        # A close order's session ended with the bar before.
        ago = -1 if order.exectype == bt.Order.Close and fill.at_open else 0
        self._execute(order, fill, opened, closed, self._matcher.signed_contracts(working), ago)
        self._broker.notify(order)

    def _execute(
        self,
        order: bt.Order,
        fill: StrategyFill,
        opened: float,
        closed: float,
        held: tuple[float, float],
        ago: int = 0,
    ) -> None:
        comminfo = self._comminfo
        order.addinfo(liquidity=fill.liquidity)
        order.execute(
            order.data.datetime[ago], opened + closed, fill.price,
            closed, comminfo.getvaluesize(-closed, fill.entry) if closed else 0.0, fill.closed_fee,
            opened, comminfo.getvaluesize(opened, fill.price) if opened else 0.0, fill.opened_fee,
            comminfo.get_margin(fill.price), fill.realized_pnl, *held,
        )  # fmt: skip

    # ------------------------------------------------------------------ liquidation
    def owns(self, group: int) -> bool:
        """Tell whether a holding of the account is of these orders."""
        return group < 0

    def liquidated(self, execution: Execution) -> None:
        """Close the Trades of a holding that the exchange has liquidated, by orders of its own."""
        side, tradeid = next(key for key, group in self._groups.items() if group == execution.group)
        for order in [each for held in self._held.values() for each in held]:
            self._cancel_waiting(order, str(execution.role))
        net = tradeid is None
        keys = [
            key for key, size in self._sizes.items()
            if size and (key[0] is None if net else key == (side, tradeid))
        ]  # fmt: skip
        total = sum(abs(self._sizes[key]) for key in keys)
        for key in keys:
            size = self._sizes.pop(key)
            share = abs(size) / total
            self._close_trade(key, size, share, execution)

    def _close_trade(
        self, key: tuple[Side | None, Any], size: float, share: float, execution: Execution
    ) -> None:
        broker = self._broker
        order = (bt.SellOrder if size > 0.0 else bt.BuyOrder)(
            owner=self._owners[key], data=broker.traded_data, size=abs(size),
            price=execution.price, exectype=bt.Order.Market, tradeid=key[1],
        )  # fmt: skip
        order.addinfo(side=key[0], role=execution.role, reason=str(execution.role))
        order.addcomminfo(self._comminfo)
        order.submit(broker)
        order.accept(broker)
        pnl = execution.realized_pnl * size * sign(execution.side) / execution.contracts
        fill = StrategyFill(
            price=execution.price, liquidity=Liquidity.TAKER, at_open=False, closed=abs(size),
            opened=0.0, closed_fee=execution.fee * share, opened_fee=0.0, entry=execution.price,
            realized_pnl=pnl,
        )  # fmt: skip
        self._execute(order, fill, 0.0, -size, (0.0, 0.0))
        broker.notify(order)

    # ------------------------------------------------------------------ trades
    def before_delivery(self, order: bt.Order) -> None:
        """Let the Trade that an order's fill adds to average as the contract does.

        backtrader makes its own Trade, whose first entry is right; further ones it would average
        arithmetically, which is wrong for inverse contracts.
        """
        if not self._averages or order.info.get("number") is not None:
            return
        trades = order.owner._trades[order.data][order.tradeid]
        if trades and type(trades[-1]) is bt.Trade:
            trades[-1].__class__ = FuturesTrade


def terms_of(order: bt.Order) -> OrderTerms:
    """Return what a backtrader order asks for; its created prices are on the tick already."""
    kind = ORDER_TYPES[order.exectype]
    created = order.created
    limit = math.nan
    if kind in WITH_LIMIT:
        limit = created.price if kind is OrderType.LIMIT else created.pricelimit
    return OrderTerms(
        kind=kind,
        is_buy=order.isbuy(),
        trigger=created.price if kind in WITH_TRIGGER else math.nan,
        limit=limit,
        trail_amount=(order.trailamount or 0.0) if kind in TRAILING else 0.0,
        trail_fraction=(order.trailpercent or 0.0) if kind in TRAILING else 0.0,
        limit_offset=order._limitoffset,
        session_end_ms=_float_ms(order.dteos) if kind is OrderType.CLOSE else math.inf,
        post_only=bool(order.info.post_only),
    )


def _float_ms(day_number: float) -> float:
    # Not rounded: a session ends a few microseconds before midnight.
    return (day_number - _EPOCH_DAY) * _MS_PER_DAY


def _valid_until(order: bt.Order) -> float | None:
    return None if order.valid is None else round(_float_ms(order.valid))


def _exact(left: float, opened: float, closed: float) -> tuple[float, float]:
    """Return the opened and closed parts so that they add up to ``left`` without dust."""
    if not opened:
        return 0.0, left
    return (left, 0.0) if not closed else (left - closed, closed)
