"""From backtrader's orders to the terms that the exchange matches."""

from __future__ import annotations

import math

import backtrader as bt

from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.broker.backtrader_time import epoch_ms, float_ms
from cryptosim_bt.broker.order_refusals import ORDER_TYPES, uses_price
from cryptosim_bt.exchange.order_types import (
    TRAILING,
    WITH_LIMIT,
    WITH_TRIGGER,
    OrderTerms,
    OrderType,
    rounded_limit,
    rounded_trigger,
)


def put_on_the_tick(order: bt.Order, instrument: Instrument) -> None:
    """Round an order's prices to the tick (R8); what was asked stays in its info."""
    kind = ORDER_TYPES[order.exectype]
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
        # Not rounded: a session ends a few microseconds before midnight.
        session_end_ms=float_ms(order.dteos) if kind is OrderType.CLOSE else math.inf,
        post_only=bool(order.info.post_only),
    )


def valid_until_ms(order: bt.Order) -> int | None:
    """Return the last opening time of a bar that may fill an order; None = no end."""
    if order.valid is None or order.exectype == bt.Order.Market:
        return None
    return epoch_ms(order.valid)
