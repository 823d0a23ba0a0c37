"""What each order type does in one bar: scenario tables."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cryptosim_bt.broker.back_broker_calls import PLAIN_INSTRUMENT
from cryptosim_bt.exchange.fill_rules import Bar, FillRules, Matcher
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_try import follow, outlast, try_order
from cryptosim_bt.exchange.order_types import OrderType, Trail

MAKER, TAKER = "maker", "taker"
NONE = None


def bar(open_, high, low, close, time_ms=0):
    prices = (open_, high, low, close)
    return Bar(time_ms, *prices, *prices)


def market(tick=0.0, **rules):
    return Matcher(replace(PLAIN_INSTRUMENT, tick=tick), FillRules(**rules))


def order(kind, is_buy, **options):
    return Order(1, kind, is_buy, 1.0, **options)


# An order that a bar has tried before: it rests.
BEFORE = bar(*[math.nan] * 4, time_ms=-1)
RESTS, ARRIVES = -1, 0


def fill_of(working, prices, place=None):
    match = try_order(working, prices, place or market(), BEFORE).match
    return None if match is None else (match.price, str(match.liquidity))


def after(working, prices, place=None):
    """Let a bar pass that does not fill an order."""
    place = place or market()
    outlast(working, try_order(working, prices, place, BEFORE), prices, place)
    return working


# One bar for most of them: opens 100, high 106, low 95, closes 102.
BAR = bar(100.0, 106.0, 95.0, 102.0)
FALLING = bar(100.0, 106.0, 95.0, 98.0)


@pytest.mark.parametrize(
    ("is_buy", "limit", "fresh", "expected"),
    [
        (True, 101.0, True, (100.0, TAKER)),  # opens better: at the open, it takes
        (True, 101.0, False, (100.0, MAKER)),  # it rested before the gap
        (True, 100.0, True, (100.0, MAKER)),
        (True, 97.0, True, (97.0, MAKER)),
        (True, 95.0, True, (95.0, MAKER)),  # touched is filled
        (True, 94.9, True, NONE),
        (False, 99.0, True, (100.0, TAKER)),
        (False, 99.0, False, (100.0, MAKER)),
        (False, 106.0, True, (106.0, MAKER)),
        (False, 106.1, True, NONE),
    ],
)
def test_limit_order_fills(is_buy, limit, fresh, expected):
    working = order(OrderType.LIMIT, is_buy, limit=limit, active_ms=ARRIVES if fresh else RESTS)
    assert fill_of(working, BAR) == expected


@pytest.mark.parametrize(
    ("is_buy", "limit", "rules", "expected"),
    [
        (True, 101.0, {"price_improvement": False}, (101.0, MAKER)),
        (True, 95.0, {"through": True}, NONE),
        (True, 95.1, {"through": True, "tick": 0.1}, (95.1, MAKER)),
        (True, 95.0, {"through": True, "tick": 0.1}, NONE),
        (False, 106.0, {"through": True}, NONE),
        (False, 105.9, {"through": True, "tick": 0.1}, (105.9, MAKER)),
        (True, 97.0, {"slippage": 0.01}, (97.0, MAKER)),  # a limit does not slip
    ],
)
def test_limit_order_follows_the_fill_rules(is_buy, limit, rules, expected):
    working = order(OrderType.LIMIT, is_buy, limit=limit)
    assert fill_of(working, BAR, market(**rules)) == expected


@pytest.mark.parametrize(
    ("is_buy", "limit", "fresh", "refused"),
    [(True, 101.0, True, True), (True, 100.0, True, False), (True, 101.0, False, False),
     (False, 99.0, True, True), (False, 103.0, True, False)],
)  # fmt: skip
def test_post_only_order_that_would_take_is_refused(is_buy, limit, fresh, refused):
    active_ms = ARRIVES if fresh else RESTS
    working = order(OrderType.LIMIT, is_buy, limit=limit, active_ms=active_ms, post_only=True)
    tried = try_order(working, BAR, market(), BEFORE)
    assert (tried.refusal is not None) == refused
    assert (tried.match is None) == refused


@pytest.mark.parametrize(
    ("is_buy", "slippage", "tick", "price"),
    [
        (True, 0.0, 0.0, 100.0),
        (True, 0.001, 0.0, 100.0 + 100.0 * 0.001),
        (False, 0.001, 0.0, 100.0 - 100.0 * 0.001),
        (True, 0.0004, 0.1, 100.1),  # 100.04, to the tick against the buyer
        (False, 0.0004, 0.1, 99.9),
    ],
)
def test_market_order_fills_at_the_open_with_slippage(is_buy, slippage, tick, price):
    working = order(OrderType.MARKET, is_buy)
    assert fill_of(working, BAR, market(tick, slippage=slippage)) == (price, TAKER)


@pytest.mark.parametrize(
    ("is_buy", "trigger", "slippage", "expected"),
    [
        (True, 105.0, 0.0, (105.0, TAKER)),
        (True, 106.0, 0.0, (106.0, TAKER)),
        (True, 106.1, 0.0, NONE),
        (True, 99.0, 0.0, (100.0, TAKER)),  # opens beyond: at the open
        (True, 105.0, 0.01, (105.0 + 105.0 * 0.01, TAKER)),
        (False, 96.0, 0.0, (96.0, TAKER)),
        (False, 94.9, 0.0, NONE),
        (False, 101.0, 0.01, (100.0 - 100.0 * 0.01, TAKER)),
    ],
)
def test_stop_order_fills(is_buy, trigger, slippage, expected):
    working = order(OrderType.STOP, is_buy, trigger=trigger)
    assert fill_of(working, BAR, market(slippage=slippage)) == expected


@pytest.mark.parametrize(
    ("prices", "is_buy", "trigger", "limit", "expected", "triggered"),
    [
        (BAR, True, 107.0, 108.0, NONE, False),
        (BAR, True, 105.0, 105.5, (105.0, TAKER), True),  # limit beyond the trigger: at once
        (BAR, True, 105.0, 103.0, NONE, True),  # closed above its open: may never have come back
        (FALLING, True, 105.0, 103.0, (103.0, MAKER), True),  # surely came back to 98
        (FALLING, True, 105.0, 97.0, NONE, True),  # nobody knows when the low was
        (BAR, True, 99.0, 101.0, (100.0, TAKER), True),  # opens beyond the trigger: a limit
        (BAR, True, 99.0, 96.0, (96.0, MAKER), True),
        (BAR, False, 96.0, 95.5, (96.0, TAKER), True),
        (BAR, False, 96.0, 101.0, (101.0, MAKER), True),  # surely came back to 102
        (FALLING, False, 96.0, 97.0, NONE, True),
        (BAR, False, 101.0, 99.0, (100.0, TAKER), True),
        (BAR, False, 101.0, 107.0, NONE, True),
    ],
)
def test_stop_limit_order_fills(prices, is_buy, trigger, limit, expected, triggered):
    working = order(OrderType.STOP_LIMIT, is_buy, trigger=trigger, limit=limit)
    assert fill_of(working, prices) == expected
    assert try_order(working, prices, market()).triggered == triggered


def test_stop_limit_order_slips_no_further_than_its_limit():
    working = order(OrderType.STOP_LIMIT, True, trigger=105.0, limit=105.5)
    assert fill_of(working, BAR, market(slippage=0.01)) == (105.5, TAKER)
    assert fill_of(working, BAR, market(slippage=0.001)) == (105.0 + 105.0 * 0.001, TAKER)


def test_stop_limit_order_once_triggered_is_a_resting_limit():
    working = order(OrderType.STOP_LIMIT, True, trigger=105.0, limit=103.0)
    after(working, BAR)
    assert fill_of(working, bar(104.0, 104.0, 103.5, 104.0)) is NONE
    assert fill_of(working, bar(104.0, 104.0, 102.0, 104.0)) == (103.0, MAKER)
    assert fill_of(working, bar(101.0, 104.0, 101.0, 104.0)) == (101.0, MAKER)


@pytest.mark.parametrize(
    ("is_buy", "amount", "fraction", "closes", "triggers"),
    [
        (False, 5.0, 0.0, [100.0, 110.0, 108.0, 112.0], [95.0, 105.0, 105.0, 107.0]),
        (True, 5.0, 0.0, [100.0, 90.0, 93.0, 80.0], [105.0, 95.0, 95.0, 85.0]),
        (False, 0.0, 0.1, [100.0, 120.0, 90.0], [90.0, 108.0, 108.0]),
        (False, 5.0, 0.1, [100.0, 120.0], [95.0, 115.0]),  # the amount counts
    ],
)
def test_trailing_stop_follows_the_close_towards_the_market(
    is_buy, amount, fraction, closes, triggers
):
    start = math.inf if is_buy else -math.inf
    working = order(OrderType.TRAILING_STOP, is_buy, trigger=start, trail=Trail(amount, fraction))
    for close, trigger in zip(closes, triggers, strict=True):
        follow(working, close, market())
        assert working.trigger == pytest.approx(trigger, rel=1e-12)


def test_trailing_stop_is_tried_before_it_moves():
    working = order(OrderType.TRAILING_STOP, False, trigger=96.0, trail=Trail(4.0))
    assert fill_of(working, BAR) == (96.0, TAKER)
    assert after(working, bar(100.0, 103.0, 99.0, 102.0)).trigger == 98.0


def test_trailing_stop_limit_keeps_its_limits_distance():
    working = order(
        OrderType.TRAILING_STOP_LIMIT, False, trigger=96.0, limit=95.0, trail=Trail(4.0, 0.0, 1.0)
    )
    moved = after(working, bar(100.0, 103.0, 99.0, 102.0))
    assert (moved.trigger, moved.limit) == (98.0, 97.0)


def test_trailing_stop_lies_on_the_tick_away_from_the_market():
    working = order(OrderType.TRAILING_STOP, False, trigger=-math.inf, trail=Trail(fraction=0.1))
    follow(working, 100.33, market(tick=0.5))
    assert working.trigger == 90.0


HOUR = 3_600_000


@pytest.mark.parametrize(
    ("end", "times", "price"),
    [
        # The session ends before the third bar: the close of the second.
        (2 * HOUR - 0.01, [0, HOUR, 2 * HOUR], 101.0),
        # Its first bar lies beyond the session: that bar's own close.
        (-0.01, [0], 100.0),
        # A bar that begins as the session ends: its own close.
        (2 * HOUR, [0, HOUR, 2 * HOUR], 102.0),
    ],
)
def test_close_order_gets_the_close_of_its_session(end, times, price):
    working, previous = order(OrderType.CLOSE, True, session_end_ms=end), BEFORE
    for number, time in enumerate(times):
        now = bar(90.0, 110.0, 80.0, 100.0 + number, time)
        tried = try_order(working, now, market(), previous)
        previous = now
    assert tried.match is not None
    assert tried.match.price == price


@pytest.mark.parametrize(
    ("working", "at_open", "before_end"),
    [
        (order(OrderType.MARKET, True), True, True),
        (order(OrderType.LIMIT, True, limit=101.0), True, True),
        (order(OrderType.LIMIT, True, limit=97.0), False, True),
        (order(OrderType.STOP, True, trigger=99.0), True, True),
        (order(OrderType.STOP, True, trigger=105.0), False, False),
        (order(OrderType.STOP_LIMIT, True, trigger=105.0, limit=105.0), False, False),
    ],
)
def test_match_says_what_is_certain_of_the_rest_of_the_bar(working, at_open, before_end):
    match = try_order(working, BAR, market()).match
    assert match is not None
    assert (match.at_open, match.before_end) == (at_open, before_end)
