"""Orders of a strategy that are refused before submission, each with the reason."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import backtrader as bt

from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.exchange.order_types import TRAILING, WITH_LIMIT, WITH_TRIGGER, OrderType
from cryptosim_bt.exchange.venue_limits import VenueRules

ORDER_TYPES: dict[int, OrderType] = {
    bt.Order.Market: OrderType.MARKET,
    bt.Order.Close: OrderType.CLOSE,
    bt.Order.Limit: OrderType.LIMIT,
    bt.Order.Stop: OrderType.STOP,
    bt.Order.StopLimit: OrderType.STOP_LIMIT,
    bt.Order.StopTrail: OrderType.TRAILING_STOP,
    bt.Order.StopTrailLimit: OrderType.TRAILING_STOP_LIMIT,
}


def uses_price(kind: OrderType) -> bool:
    """Tell whether an order of a type waits for a price."""
    return kind in WITH_TRIGGER or kind in WITH_LIMIT


def refusal(order: bt.Order, instrument: Instrument) -> str | None:
    """Return why an order is refused, None if it is not.

    Parameters
    ----------
    order
        With ``side``, ``reduce_only`` and ``post_only`` in its info.
    instrument
        Its smallest order.
    """
    kind = ORDER_TYPES.get(order.exectype)
    if kind is None:
        name = order.getordername() if order.exectype in range(len(bt.Order.ExecTypes)) else "?"
        return (
            f"exectype was {order.exectype!r} ({name}); allowed: "
            f"{', '.join(bt.Order.ExecTypes[each] for each in ORDER_TYPES)}"
        )
    side = order.info.side
    if side is not None and side not in SIDES:
        return f"side was {side!r}; allowed: 'long', 'short', or none in one-way mode"
    return (
        _size_refusal(order, instrument)
        or _trail_refusal(order, kind)
        or _price_refusal(order, kind)
        or _option_refusal(order, kind)
    )


def venue_refusal(
    order: bt.Order, contracts: float, rules: VenueRules, mark: float, open_orders: int
) -> str | None:
    """Return why the venue rejects an otherwise valid order (R44), None if it does not.

    A stop limit enters the book when its trigger is met, so its limit is measured against that.

    Parameters
    ----------
    order
        With its prices on the tick.
    contracts
        Its size.
    rules
        The venue's limits.
    mark
        The mark price.
    open_orders
        Orders that work, are inactive or wait.
    """
    kind, created = ORDER_TYPES[order.exectype], order.created
    limit, reference = created.price, mark
    if kind in WITH_TRIGGER:
        limit, reference = created.pricelimit, created.price
    return rules.refusal(
        contracts, limit, reference, open_orders, is_stop=kind not in WITH_LIMIT
    )


def _size_refusal(order: bt.Order, instrument: Instrument) -> str | None:
    contracts = abs(order.created.size)
    asked = order.info.get("asked_size", contracts)
    if not _positive(asked) or order.isbuy() != (order.created.size >= 0.0):
        return f"size was {order.created.size!r}; allowed: above 0"
    least = max(instrument.min_contracts, instrument.lot)
    if contracts <= 0.0 or contracts < least:
        return f"size was {asked!r}; the smallest order is {least!r}"
    return None


def _price_refusal(order: bt.Order, kind: OrderType) -> str | None:
    created = order.created
    if uses_price(kind) and not _positive(created.price):
        return f"price was {created.price!r}; allowed: above 0"
    if kind in WITH_LIMIT and kind is not OrderType.LIMIT and not _positive(created.pricelimit):
        return f"plimit was {created.pricelimit!r}; allowed: above 0"
    return None


def _trail_refusal(order: bt.Order, kind: OrderType) -> str | None:
    if kind not in TRAILING:
        return None
    amount, fraction = order.trailamount, order.trailpercent
    if not amount and not fraction:
        return "a trailing stop needs trailamount or trailpercent"
    if not _positive(amount or fraction) or (not amount and fraction >= 1.0):
        return (
            f"trailamount was {amount!r}, trailpercent {fraction!r}; allowed: an amount above 0, "
            "or a fraction between 0 and 1"
        )
    return None


def _option_refusal(order: bt.Order, kind: OrderType) -> str | None:
    if order.info.post_only and kind is not OrderType.LIMIT:
        return f"post_only: a {kind} order takes liquidity; allowed: limit orders"
    opening = order.info.side is not None and order.isbuy() == (order.info.side == "long")
    if order.info.reduce_only and opening:
        action = order.ordtypename().lower()
        return f"reduce_only: to {action} on the {order.info.side} leg opens contracts"
    return None


def _positive(value: Any) -> bool:
    return isinstance(value, Real) and 0.0 < float(value) < math.inf
