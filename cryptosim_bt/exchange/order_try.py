"""Tests one order against one bar: does price reach it, and at which price (R14-R16).

Functions without backtrader, account or clock; only `outlast`, `trail_on` and `follow` change an
order. The rules are those of stock BackBroker, so that a backtrader strategy gets the same fills;
slippage and touch come from `FillRules`, and `posting.py` applies how much a bar fills.

========================  ==========================================================================
type                      fills
========================  ==========================================================================
market                    at the open
close                     at the close of the session's last bar
limit                     at the open if that is better and R15 lets it, else at the limit
stop, trailing stop       at the open if that lies beyond the trigger, else at the trigger
stop limit (also          triggered like a stop, then a limit; within the bar of the trigger only
trailing)                 where it is certain that price met the limit after the trigger
========================  ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from cryptosim_bt.accounting.orders import Liquidity, Role
from cryptosim_bt.exchange.fill_rules import Bar, BarValues, Matcher
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_types import TRAILING, OrderType

# Stands for the bar before a run's first one.
NO_BAR = Bar(-(1 << 62), *[math.nan] * 9)
# R15: of a book's orders only those placed by a signal may fill at the open.
_FROM_SIGNAL = frozenset({Role.ENTRY, Role.SIGNAL_EXIT})


class Match(NamedTuple):
    """A fill found in a bar.

    ``at_open``: it is the bar's first event. ``before_end``: price certainly reached the bar's
    adverse end after it (R16), as after the open or after a limit met on the way there.
    ``bar`` is the one whose volume it takes: that of a close order may be the bar before.
    ``market`` is the market price at the fill, without slippage.
    """

    price: float
    liquidity: Liquidity
    at_open: bool
    before_end: bool
    bar: Bar
    market: float


class OrderTry(NamedTuple):
    """Result of a test: a fill, the reason why the venue cancels the order, or neither.

    ``triggered``: the bar has triggered a stop limit, which goes on as a limit if it does not fill.
    """

    match: Match | None = None
    refusal: str | None = None
    triggered: bool = False


_NOTHING = OrderTry()


def try_order(order: Order, bar: Bar, matcher: Matcher, previous: BarValues = NO_BAR) -> OrderTry:
    """Try an order that takes part in a bar; ``previous`` is the bar before.

    The order is not changed: a caller that does not fill it calls `outlast`.
    """
    return _TRIES[order.kind](order, bar, matcher, previous)


def outlast(order: Order, tried: OrderTry, bar: Bar, matcher: Matcher) -> None:
    """Update an order that a bar has not filled: mark it triggered, trail the bar's close."""
    if tried.triggered:
        order.triggered = True
    elif order.triggered:
        return
    if order.kind in TRAILING:
        follow(order, bar.close, matcher)


def trail_on(order: Order, bar: Bar, matcher: Matcher) -> None:
    """Let an untriggered trailing stop follow a bar's close; change nothing else."""
    if order.kind in TRAILING and order.waits_for_trigger:
        follow(order, bar.close, matcher)


def follow(order: Order, close: float, matcher: Matcher) -> None:
    """Move a trailing stop after a close.

    The trigger stands ``amount``, or ``fraction * close``, above the close (buy) or below it
    (sell); it moves towards the market only. Rounded to the tick, away from the market.
    """
    trail, instrument, is_buy = order.trail, matcher.instrument, order.is_buy
    if trail is None:
        return
    distance = trail.amount or close * trail.fraction
    trigger = instrument.on_tick(close + distance if is_buy else close - distance, up=is_buy)
    if trigger >= order.trigger if is_buy else trigger <= order.trigger:
        return
    order.trigger = trigger
    if order.kind is OrderType.TRAILING_STOP_LIMIT:
        order.limit = instrument.on_tick(trigger - trail.limit_offset, up=not is_buy)  # R8


def taken_at(
    price: float, order: Order, bar: Bar, matcher: Matcher, *, at_open: bool = False
) -> Match:
    """Return the fill of a stop that price meets in a bar, or of a market order, slipped (R16)."""
    slipped = matcher.slipped(price, bar, is_buy=order.is_buy)
    # Within the bar its other end may have come before the trigger.
    return Match(slipped, Liquidity.TAKER, at_open, at_open, bar, market=price)


def taken_limit(order: Order, price: float, bar: Bar, matcher: Matcher) -> Match | None:
    """Return the taker fill of a stop limit triggered at a price, None if the limit is worse.

    Slippage goes no farther than the limit.
    """
    if order.limit < price if order.is_buy else order.limit > price:
        return None
    taken = taken_at(price, order, bar, matcher)
    bounded = min if order.is_buy else max
    return taken._replace(price=bounded(order.limit, taken.price))


def met_after_entry(order: Order, entry: Match, bar: Bar, matcher: Matcher) -> Match | None:
    """Return the fill of a limit that an earlier entry of the same bar made active.

    At its limit; if the market was beyond the limit when the entry filled, at once at the market,
    as a limit beyond the open fills at the open. A book's take-profit fills at its limit (R15).
    """
    if order.kind is not OrderType.LIMIT:
        return None
    if not matcher.reaches(order.limit, bar, is_buy=order.is_buy):
        return None
    if order.role is None:
        beyond = entry.market < order.limit if order.is_buy else entry.market > order.limit
        if beyond and order.post_only:
            return None  # it is refused with the next bar
        if beyond and matcher.rules.price_improvement:
            return entry._replace(price=entry.market, liquidity=Liquidity.TAKER, bar=bar)
    return _resting(order, bar, at_open=False)


# ---------------------------------------------------------------------- one function a type
def _market(order: Order, bar: Bar, matcher: Matcher, _: BarValues) -> OrderTry:
    return OrderTry(taken_at(bar.open, order, bar, matcher, at_open=True))


def _close(order: Order, bar: Bar, matcher: Matcher, previous: BarValues) -> OrderTry:
    # Bars are named by their open time, so the session's last bar is known by the first one
    # after it; the order then gets the close before. An order that has seen no bar of its session
    # gets the close of this one.
    if bar.time_ms < order.session_end_ms:
        return _NOTHING
    past = previous[0] >= order.active_ms and bar.time_ms > order.session_end_ms
    last = Bar(*previous) if past else bar
    slipped = matcher.slipped(last.close, last, is_buy=order.is_buy)
    market = bar.open if past else bar.close
    match = Match(slipped, Liquidity.TAKER, at_open=past, before_end=past, bar=last, market=market)
    return OrderTry(match)


def _limit(order: Order, bar: Bar, matcher: Matcher, previous: BarValues) -> OrderTry:
    first = not order.triggered and previous[0] < order.active_ms and order.filled_ms is None
    return _limit_that(first, order, bar, matcher)


def _limit_that(arrives: bool, order: Order, bar: Bar, matcher: Matcher) -> OrderTry:
    """Try a limit that arrives at the bar's open, where it may take, or one that rests."""
    reached = matcher.reaches(order.limit, bar, is_buy=order.is_buy)
    if not reached and not order.post_only:
        return _NOTHING
    beyond = bar.open < order.limit if order.is_buy else bar.open > order.limit
    if beyond and arrives and order.post_only:
        return OrderTry(refusal="post_only: the order would have taken liquidity")
    if not reached:
        return _NOTHING
    # R15: of a book's orders only those of a signal, and only as they arrive; an order without a
    # role gets the open after any gap.
    improves = order.role is None or (arrives and order.role in _FROM_SIGNAL)
    if beyond and improves and matcher.rules.price_improvement:
        liquidity = Liquidity.TAKER if arrives else Liquidity.MAKER
        return OrderTry(Match(bar.open, liquidity, True, True, bar, bar.open))
    return OrderTry(_resting(order, bar, at_open=beyond))


def _resting(order: Order, bar: Bar, *, at_open: bool) -> Match:
    market = bar.open if at_open else order.limit
    return Match(
        order.limit, Liquidity.MAKER, at_open=at_open, before_end=True, bar=bar, market=market
    )


def _stop(order: Order, bar: Bar, matcher: Matcher, _: BarValues) -> OrderTry:
    if order.met_by(bar.open):
        return OrderTry(taken_at(bar.open, order, bar, matcher, at_open=True))
    if order.met_by(bar.high if order.is_buy else bar.low):
        return OrderTry(taken_at(order.trigger, order, bar, matcher))
    return _NOTHING


def _stop_limit(order: Order, bar: Bar, matcher: Matcher, previous: BarValues) -> OrderTry:
    if order.triggered:
        return _limit(order, bar, matcher, previous)
    if order.met_by(bar.open):
        # A marketable limit from the open on.
        return _limit_that(True, order, bar, matcher)._replace(triggered=True)
    if order.met_by(bar.high if order.is_buy else bar.low):
        return OrderTry(_after_trigger(order, bar, matcher), triggered=True)
    return _NOTHING


def _after_trigger(order: Order, bar: Bar, matcher: Matcher) -> Match | None:
    """Return the fill of a stop limit that was triggered within the bar, where it is certain.

    A limit beyond the trigger takes at once, at the trigger. Otherwise price has to come back to
    the limit, which is certain only if the bar also closes there after having moved away first.
    """
    if order.is_buy:
        takes, returns = order.limit >= order.trigger, bar.open > bar.close
        certain = returns and order.limit >= bar.close
    else:
        takes, returns = order.limit <= order.trigger, bar.open <= bar.close
        certain = returns and order.limit <= bar.close
    if takes:
        return taken_limit(order, order.trigger, bar, matcher)
    if certain:
        return _resting(order, bar, at_open=False)._replace(before_end=False)
    return None


_TRIES: dict[OrderType, Callable[[Order, Bar, Matcher, BarValues], OrderTry]] = {
    OrderType.MARKET: _market,
    OrderType.CLOSE: _close,
    OrderType.LIMIT: _limit,
    OrderType.STOP: _stop,
    OrderType.STOP_LIMIT: _stop_limit,
    OrderType.TRAILING_STOP: _stop,
    OrderType.TRAILING_STOP_LIMIT: _stop_limit,
}
