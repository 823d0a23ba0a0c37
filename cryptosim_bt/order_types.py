"""What each order type does in one bar: whether it triggers and fills, and at which price.

Values and functions without backtrader, account or clock. The rules are those that a backtrader
strategy knows from stock BackBroker, so that it sees the same fills here; slippage and the touch of
a limit are those of `FillRules`.

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

from cryptosim_bt.instrument import Instrument
from cryptosim_bt.matching import FillRules
from cryptosim_bt.orders import Liquidity


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


class PriceBar(NamedTuple):
    """The prices of one bar, named by its open time."""

    time_ms: int
    open: float
    high: float
    low: float
    close: float


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
    session_close
        A close order's last price within the session, None before its first bar.
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
    session_close: float | None = None


class Match(NamedTuple):
    """A fill that a bar gives.

    ``at_open``: it is the bar's first event. ``before_end``: price surely still went on to the
    bar's end against the trader (R16), as after the open or after a limit met on the way there.
    """

    price: float
    liquidity: Liquidity
    at_open: bool
    before_end: bool


class Attempt(NamedTuple):
    """What a bar made of an order: its terms from now on, and the fill or the refusal, if any."""

    terms: OrderTerms
    match: Match | None = None
    refusal: str | None = None


class Market(NamedTuple):
    """How bars fill orders, and the grid that prices lie on."""

    rules: FillRules
    instrument: Instrument

    def slipped(self, price: float, *, is_buy: bool) -> float:
        """Return a price moved against the trader, and to the tick against the trader (R16)."""
        if is_buy:
            return self.instrument.price_up(price * (1.0 + self.rules.slippage))
        return self.instrument.price_down(price * (1.0 - self.rules.slippage))

    def touches(self, limit: float, bar: PriceBar, *, is_buy: bool) -> bool:
        """Tell whether a bar fills a limit: price reaches it, or goes a tick beyond it (R14)."""
        distance = limit - bar.low if is_buy else bar.high - limit
        if not self.rules.through:
            return distance >= 0.0
        tick = self.instrument.tick
        return round(distance, 10) >= tick if tick else distance > 0.0


def attempt(terms: OrderTerms, bar: PriceBar, market: Market) -> Attempt:
    """Try an order in a bar.

    Parameters
    ----------
    terms
        The order; it came to be before the bar (R12).
    bar
        The bar's prices.
    market
        How bars fill orders.

    Returns
    -------
    Attempt
        The terms with which the order goes on working if it does not fill, no longer `fresh`;
        and its fill, or why the venue cancels it.
    """
    tried = _ATTEMPTS[terms.kind](terms, bar, market)
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


# ---------------------------------------------------------------------- one function a type
def _market(terms: OrderTerms, bar: PriceBar, market: Market) -> Attempt:
    return Attempt(terms, _taken_at_open(terms, bar, market))


def _taken_at_open(terms: OrderTerms, bar: PriceBar, market: Market) -> Match:
    price = market.slipped(bar.open, is_buy=terms.is_buy)
    return Match(price, Liquidity.TAKER, at_open=True, before_end=True)


def _close(terms: OrderTerms, bar: PriceBar, market: Market) -> Attempt:
    # Bars are named by their open time, so the session's last bar is known by the first one
    # after it; the order then gets the close before. An order that has seen no bar of its session
    # gets the close of this one.
    if bar.time_ms < terms.session_end_ms:
        return Attempt(replace(terms, session_close=bar.close))
    past = terms.session_close is not None and bar.time_ms > terms.session_end_ms
    price = terms.session_close if past and terms.session_close is not None else bar.close
    slipped = market.slipped(price, is_buy=terms.is_buy)
    return Attempt(terms, Match(slipped, Liquidity.TAKER, at_open=past, before_end=past))


def _limit(terms: OrderTerms, bar: PriceBar, market: Market) -> Attempt:
    beyond = bar.open < terms.limit if terms.is_buy else bar.open > terms.limit
    takes = beyond and terms.fresh
    if takes and terms.post_only:
        return Attempt(terms, refusal="post_only: the order would have taken liquidity")
    if not market.touches(terms.limit, bar, is_buy=terms.is_buy):
        return Attempt(terms)
    if beyond and market.rules.price_improvement:
        liquidity = Liquidity.TAKER if takes else Liquidity.MAKER
        return Attempt(terms, Match(bar.open, liquidity, at_open=True, before_end=True))
    resting = Match(terms.limit, Liquidity.MAKER, at_open=beyond, before_end=True)
    return Attempt(terms, resting)


def _stop(terms: OrderTerms, bar: PriceBar, market: Market) -> Attempt:
    if trigger_met(terms, bar.open):
        return Attempt(terms, _taken_at_open(terms, bar, market))
    if trigger_met(terms, bar.high if terms.is_buy else bar.low):
        price = market.slipped(terms.trigger, is_buy=terms.is_buy)
        # The bar's other end may have come before the trigger.
        return Attempt(terms, Match(price, Liquidity.TAKER, at_open=False, before_end=False))
    return Attempt(_after_bar(terms, bar, market))


def _stop_limit(terms: OrderTerms, bar: PriceBar, market: Market) -> Attempt:
    if terms.triggered:
        return _limit(replace(terms, fresh=False), bar, market)
    if trigger_met(terms, bar.open):
        # A marketable limit from the open on.
        tried = _limit(replace(terms, fresh=True, triggered=True), bar, market)
    elif trigger_met(terms, bar.high if terms.is_buy else bar.low):
        match = _after_trigger(terms, bar, market)
        tried = Attempt(replace(terms, triggered=True), match)
    else:
        tried = Attempt(terms)
    if tried.match is None:
        return tried._replace(terms=_after_bar(tried.terms, bar, market))
    return tried


def _after_trigger(terms: OrderTerms, bar: PriceBar, market: Market) -> Match | None:
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
        price = bounded(terms.limit, market.slipped(terms.trigger, is_buy=terms.is_buy))
        return Match(price, Liquidity.TAKER, at_open=False, before_end=False)
    if certain:
        return Match(terms.limit, Liquidity.MAKER, at_open=False, before_end=False)
    return None


def _after_bar(terms: OrderTerms, bar: PriceBar, market: Market) -> OrderTerms:
    if terms.kind in TRAILING:
        return trailed(terms, bar.close, market.instrument)
    return terms


_ATTEMPTS: dict[OrderType, Callable[[OrderTerms, PriceBar, Market], Attempt]] = {
    OrderType.MARKET: _market,
    OrderType.CLOSE: _close,
    OrderType.LIMIT: _limit,
    OrderType.STOP: _stop,
    OrderType.STOP_LIMIT: _stop_limit,
    OrderType.TRAILING_STOP: _stop,
    OrderType.TRAILING_STOP_LIMIT: _stop_limit,
}
