"""From backtrader's orders to those that the exchange matches."""

from __future__ import annotations

import math

import backtrader as bt

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.broker.backtrader_time import epoch_ms, float_ms
from cryptosim_bt.broker.order_refusals import ORDER_TYPES, uses_price
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_types import (
    TRAILING,
    WITH_LIMIT,
    WITH_TRIGGER,
    OrderType,
    Trail,
)


def put_on_the_tick(order: bt.Order, instrument: Instrument) -> None:
    """Round an order's prices to the tick (R8); what was asked stays in its info."""
    kind = ORDER_TYPES[order.exectype]
    if not instrument.tick or not uses_price(kind):
        return
    created, is_buy = order.created, order.isbuy()
    asked = (created.price, created.pricelimit)
    stop = kind in WITH_TRIGGER
    # A trigger is never tighter than asked, a limit lies away from the market.
    created.price = instrument.on_tick(created.price, up=is_buy if stop else not is_buy)
    if stop and kind in WITH_LIMIT:
        created.pricelimit = instrument.on_tick(created.pricelimit, up=not is_buy)
    if asked != (created.price, created.pricelimit):
        order.addinfo(asked_price=asked[0], asked_limit=asked[1])


def working_order(order: bt.Order, contracts: float, groups: dict[Side, int]) -> Order:
    """Return what the exchange works on; the order's created prices are on the tick already."""
    kind = ORDER_TYPES[order.exectype]
    created = order.created
    limit, trail = math.nan, None
    if kind in WITH_LIMIT:
        limit = created.price if kind is OrderType.LIMIT else created.pricelimit
    if kind in TRAILING:
        trail = Trail(order.trailamount or 0.0, order.trailpercent or 0.0, order._limitoffset)
    return Order(
        key=order.ref,
        kind=kind,
        is_buy=order.isbuy(),
        contracts=contracts,
        side=order.info.side,
        trigger=created.price if kind in WITH_TRIGGER else math.nan,
        limit=limit,
        groups=groups,
        expires_ms=_expires_ms(order),
        reduce_only=order.info.reduce_only,
        post_only=bool(order.info.post_only),
        trail=trail,
        # Not rounded: a session ends a few microseconds before midnight.
        session_end_ms=float_ms(order.dteos) if kind is OrderType.CLOSE else math.inf,
    )


def _expires_ms(order: bt.Order) -> int | None:
    """Return the first opening time of a bar that may not fill an order; None = no end."""
    if order.valid is None or order.exectype == bt.Order.Market:
        return None
    return epoch_ms(order.valid) + 1  # the moment until which it is valid may still open a bar
