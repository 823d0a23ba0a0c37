"""What each order type does in one bar: whether it triggers and fills, and at which price.

Values and functions without backtrader, account or clock. The rules are those that a backtrader
strategy knows from stock BackBroker, so that it sees the same fills here; slippage, the touch of a
limit and how much a bar fills are those of `FillRules`.

========================  ==========================================================================
type                      fills
========================  ==========================================================================
market                    at the open
close                     at the close of the session's last bar
limit                     at the open if that is not worse than the limit, else at the limit
stop, trailing stop       at the open if that lies beyond the trigger, else at the trigger
stop limit (also          triggered like a stop, then a limit; within the bar of the trigger only
trailing)                 where it is certain that price met the limit after the trigger
========================  ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import Liquidity
from cryptosim_bt.exchange.fill_rules import Bar, Matcher


class OrderType(StrEnum):
    """How an order wants to be filled."""

    MARKET = "market"
    CLOSE = "close"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"
    TRAILING_STOP_LIMIT = "trailing_stop_limit"


TRAILING = frozenset({OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT})
WITH_TRIGGER = TRAILING | {OrderType.STOP, OrderType.STOP_LIMIT}
WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT})
STOPS = frozenset({OrderType.STOP, OrderType.TRAILING_STOP})
_GOES_ON_AS_MARKET = STOPS | {OrderType.MARKET, OrderType.CLOSE}


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What an order asks for, and how far it has come.

    Parameters
    ----------
    kind
        The order's type.
    is_buy
        Whether it buys.
    trigger
        Price that sets a stop in motion; NaN for other types.
    limit
        Worst price of a limit; NaN for types without one.
    trail_amount, trail_fraction
        Distance of a trailing stop from the close: in quote currency, or as a fraction of the
        close. The amount counts where both are given.
    limit_offset
        Trigger minus limit of a trailing stop limit; the limit keeps this distance.
    session_end_ms
        When the session ends in which a close order was made; compared with open times of bars.
    post_only
        Whether the order must not take liquidity.
    triggered
        Whether a stop limit has become a limit.
    fresh
        Whether no bar has tried the order yet.
    session_bar
        A close order's last bar within the session, None before its first one.
    """

    kind: OrderType
    is_buy: bool
    trigger: float = math.nan
    limit: float = math.nan
    trail_amount: float = 0.0
    trail_fraction: float = 0.0
    limit_offset: float = 0.0
    session_end_ms: float = math.inf
    post_only: bool = False
    triggered: bool = False
    fresh: bool = True
    session_bar: Bar | None = None


class Match(NamedTuple):
    """A fill that a bar gives.

    ``at_open``: it is the bar's first event. ``before_end``: price surely still went on to the
    bar's end against the trader (R16), as after the open or after a limit met on the way there.
    ``bar`` is the one whose volume it takes: that of a close order may be the bar before.
    ``market`` is where the market stood, in the bar that gives it: without slippage.
    """

    price: float
    liquidity: Liquidity
    at_open: bool
    before_end: bool
    bar: Bar
    market: float


class Attempt(NamedTuple):
    """What a bar made of an order: its terms from now on, and the fill or the refusal, if any."""

    terms: OrderTerms
    match: Match | None = None
    refusal: str | None = None


def attempt(terms: OrderTerms, bar: Bar, matcher: Matcher) -> Attempt:
    """Try an order in a bar.

    Parameters
    ----------
    terms
        The order; it came to be before the bar (R12).
    bar
        The bar's prices.
    matcher
        How bars fill orders.

    Returns
    -------
    Attempt
        The terms with which the order goes on working if it does not fill, no longer `fresh`;
        and its fill, or why the venue cancels it.
    """
    tried = _ATTEMPTS[terms.kind](terms, bar, matcher)
    if not tried.terms.fresh:
        return tried
    return tried._replace(terms=replace(tried.terms, fresh=False))


def trailed(terms: OrderTerms, price: float, instrument: Instrument) -> OrderTerms:
    """Return a trailing stop's terms after a close at ``price``.

    The trigger stands ``trail_amount``, or ``trail_fraction * price``, above the close (buy) or
    below it (sell); it moves towards the market only. Rounded to the tick, away from the market.
    """
    distance = terms.trail_amount or price * terms.trail_fraction
    if terms.is_buy:
        trigger = instrument.price_up(price + distance)
        moves = trigger < terms.trigger
    else:
        trigger = instrument.price_down(price - distance)
        moves = trigger > terms.trigger
    if not moves:
        return terms
    limit = terms.limit
    if terms.kind is OrderType.TRAILING_STOP_LIMIT:
        limit = rounded_limit(trigger - terms.limit_offset, instrument, is_buy=terms.is_buy)
    return replace(terms, trigger=trigger, limit=limit)


def rounded_limit(limit: float, instrument: Instrument, *, is_buy: bool) -> float:
    """Return a limit on the tick, rounded away from the market (R8)."""
    return instrument.price_down(limit) if is_buy else instrument.price_up(limit)


def rounded_trigger(trigger: float, instrument: Instrument, *, is_buy: bool) -> float:
    """Return a stop's trigger on the tick, never tighter than asked (R8)."""
    return instrument.price_up(trigger) if is_buy else instrument.price_down(trigger)


def trigger_met(terms: OrderTerms, price: float) -> bool:
    """Tell whether a price sets a stop in motion: from the trigger on up (buy) or down (sell)."""
    return price >= terms.trigger if terms.is_buy else price <= terms.trigger


def taken_at(price: float, terms: OrderTerms, bar: Bar, matcher: Matcher) -> Match:
    """Return the fill of a stop that price meets within a bar, slipped (R16)."""
    slipped = matcher.slipped(price, bar, is_buy=terms.is_buy)
    # The bar's other end may have come before the trigger.
    return Match(slipped, Liquidity.TAKER, at_open=False, before_end=False, bar=bar, market=price)


def met_after_entry(terms: OrderTerms, entry: Match, bar: Bar, matcher: Matcher) -> Match | None:
    """Return the fill of a limit that the entry before it in the bar made.

    At its limit; where the market stood beyond that when the entry filled, at once and there, as
    a limit beyond the open fills at the open.
    """
    if terms.kind is not OrderType.LIMIT:
        return None
    if not matcher.reaches(terms.limit, bar, is_buy=terms.is_buy):
        return None
    beyond = entry.market < terms.limit if terms.is_buy else entry.market > terms.limit
    if beyond and terms.post_only:
        return None  # it is refused with the next bar
    if beyond and matcher.rules.price_improvement:
        return entry._replace(price=entry.market, liquidity=Liquidity.TAKER, bar=bar)
    return _resting(terms, bar, at_open=False)


def going_on(terms: OrderTerms) -> OrderTerms:
    """Return what is left of an order that a bar has filled in part, or not for lack of volume.

    A stop that was triggered, and a close order after its session, go on as market orders (R37);
    a stop limit goes on as the limit that it has become.
    """
    if terms.kind in _GOES_ON_AS_MARKET:
        return OrderTerms(OrderType.MARKET, terms.is_buy, fresh=False)
    return replace(terms, fresh=False, triggered=terms.kind in WITH_TRIGGER)


# ---------------------------------------------------------------------- one function a type
def _market(terms: OrderTerms, bar: Bar, matcher: Matcher) -> Attempt:
    return Attempt(terms, _taken_at_open(terms, bar, matcher))


def _taken_at_open(terms: OrderTerms, bar: Bar, matcher: Matcher) -> Match:
    price = matcher.slipped(bar.open, bar, is_buy=terms.is_buy)
    return Match(price, Liquidity.TAKER, at_open=True, before_end=True, bar=bar, market=bar.open)


def _close(terms: OrderTerms, bar: Bar, matcher: Matcher) -> Attempt:
    # Bars are named by their open time, so the session's last bar is known by the first one
    # after it; the order then gets the close before. An order that has seen no bar of its session
    # gets the close of this one.
    if bar.time_ms < terms.session_end_ms:
        return Attempt(replace(terms, session_bar=bar))
    past = terms.session_bar is not None and bar.time_ms > terms.session_end_ms
    last = terms.session_bar if past and terms.session_bar is not None else bar
    slipped = matcher.slipped(last.close, last, is_buy=terms.is_buy)
    market = bar.open if past else bar.close
    match = Match(slipped, Liquidity.TAKER, at_open=past, before_end=past, bar=last, market=market)
    return Attempt(terms, match)


def _limit(terms: OrderTerms, bar: Bar, matcher: Matcher) -> Attempt:
    beyond = bar.open < terms.limit if terms.is_buy else bar.open > terms.limit
    takes = beyond and terms.fresh
    if takes and terms.post_only:
        return Attempt(terms, refusal="post_only: the order would have taken liquidity")
    if not matcher.reaches(terms.limit, bar, is_buy=terms.is_buy):
        return Attempt(terms)
    if beyond and matcher.rules.price_improvement:
        liquidity = Liquidity.TAKER if takes else Liquidity.MAKER
        taken = _taken_at_open(terms, bar, matcher)
        return Attempt(terms, taken._replace(price=bar.open, liquidity=liquidity))
    return Attempt(terms, _resting(terms, bar, at_open=beyond))


def _resting(terms: OrderTerms, bar: Bar, *, at_open: bool) -> Match:
    market = bar.open if at_open else terms.limit
    return Match(
        terms.limit, Liquidity.MAKER, at_open=at_open, before_end=True, bar=bar, market=market
    )


def _stop(terms: OrderTerms, bar: Bar, matcher: Matcher) -> Attempt:
    if trigger_met(terms, bar.open):
        return Attempt(terms, _taken_at_open(terms, bar, matcher))
    if trigger_met(terms, bar.high if terms.is_buy else bar.low):
        return Attempt(terms, taken_at(terms.trigger, terms, bar, matcher))
    return Attempt(_after_bar(terms, bar, matcher))


def _stop_limit(terms: OrderTerms, bar: Bar, matcher: Matcher) -> Attempt:
    if terms.triggered:
        return _limit(replace(terms, fresh=False), bar, matcher)
    if trigger_met(terms, bar.open):
        # A marketable limit from the open on.
        tried = _limit(replace(terms, fresh=True, triggered=True), bar, matcher)
    elif trigger_met(terms, bar.high if terms.is_buy else bar.low):
        match = _after_trigger(terms, bar, matcher)
        tried = Attempt(replace(terms, triggered=True), match)
    else:
        tried = Attempt(terms)
    if tried.match is None:
        return tried._replace(terms=_after_bar(tried.terms, bar, matcher))
    return tried


def _after_trigger(terms: OrderTerms, bar: Bar, matcher: Matcher) -> Match | None:
    """Return the fill of a stop limit that was triggered within the bar, where it is certain.

    A limit beyond the trigger takes at once, at the trigger. Otherwise price has to come back to
    the limit, which is certain only if the bar also closes there after having moved away first.
    """
    if terms.is_buy:
        takes, returns = terms.limit >= terms.trigger, bar.open > bar.close
        certain = returns and terms.limit >= bar.close
        bounded: Callable[[float, float], float] = min
    else:
        takes, returns = terms.limit <= terms.trigger, bar.open <= bar.close
        certain = returns and terms.limit <= bar.close
        bounded = max
    if takes:
        taken = taken_at(terms.trigger, terms, bar, matcher)
        return taken._replace(price=bounded(terms.limit, taken.price))
    if certain:
        return _resting(terms, bar, at_open=False)._replace(before_end=False)
    return None


def _after_bar(terms: OrderTerms, bar: Bar, matcher: Matcher) -> OrderTerms:
    if terms.kind in TRAILING:
        return trailed(terms, bar.close, matcher.instrument)
    return terms


_ATTEMPTS: dict[OrderType, Callable[[OrderTerms, Bar, Matcher], Attempt]] = {
    OrderType.MARKET: _market,
    OrderType.CLOSE: _close,
    OrderType.LIMIT: _limit,
    OrderType.STOP: _stop,
    OrderType.STOP_LIMIT: _stop_limit,
    OrderType.TRAILING_STOP: _stop,
    OrderType.TRAILING_STOP_LIMIT: _stop_limit,
}
