"""Finer bars and latency under strategies without a book (R40, R41)."""

from __future__ import annotations

from datetime import timedelta

import backtrader as bt
import pandas as pd
import pytest

from cryptosim_bt import InputError
from cryptosim_bt.exchange.simulated_exchange import FillRules
from tests.broker.order_script import QUARTER_MS, hours_of, keep, make_bars, play

LIMIT, STOP = bt.Order.Limit, bt.Order.Stop
REST = [100.0] * 4


def run(fine_prices, steps, *, latency_ms=0, volumes=None, **options):
    fine = make_bars(*fine_prices, step_ms=QUARTER_MS)
    rules = FillRules(latency_ms=latency_ms, max_volume_share=None if volumes is None else 0.5)
    return play(hours_of(fine), steps, fine=fine, fill_rules=rules, volumes=volumes,
                cash=10_000.0, **options)  # fmt: skip


def times(order):
    """Return the time of day of each fill of an order."""
    return [f"{bt.num2date(bit.dt) + timedelta(seconds=1):%H:%M}" for bit in order.executed.exbits]


def exits(strategy):
    """Send a stop at 98 and a target at 102, one of which cancels the other."""
    first = strategy.sell(size=1, exectype=STOP, price=98.0)
    return [first, strategy.sell(size=1, exectype=LIMIT, price=102.0, oco=first)]


UP, DOWN = (100.0, 103.0, 100.0, 100.0), (100.0, 100.0, 97.0, 100.0)


# ---------------------------------------------------------------------- finer bars
@pytest.mark.parametrize(
    ("path", "filled", "price"), [((UP, DOWN), 1, 102.0), ((DOWN, UP), 0, 98.0)]
)
def test_stop_and_target_of_one_hour_come_in_the_order_of_its_quarters(path, filled, price):
    orders = []
    steps = {1: lambda s: s.buy(size=1), 2: keep(orders, exits)}
    result = run([*REST, *REST, 100.0, *path, 100.0], steps)
    assert result.parts(orders[filled]) == [(3, -1, price)]
    assert result.states(orders[1 - filled])[-1] == (3, "Canceled")
    assert times(orders[filled]) == ["02:15"]
    assert result.ambiguous == []
    # The hours alone: as backtrader's broker, the order that was sent first; and they say so.
    orders.clear()
    plain = play(hours_of(make_bars(*REST, *REST, 100.0, *path, 100.0, step_ms=QUARTER_MS)), steps)
    assert plain.parts(orders[0]) == [(3, -1, 98.0)]
    assert plain.ambiguous == [(3, "take_profit_and_stop")]


def test_children_wake_with_the_next_finer_bar():
    orders = []
    fine = [*REST, 100.0, UP, (100.0, 103.0, 100.0, 102.0), 102.0, *[102.0] * 4]
    result = run(fine, {1: keep(orders, lambda s: s.buy_bracket(
        size=1, exectype=LIMIT, price=100.0, stopprice=90.0, limitprice=102.0
    ))})  # fmt: skip
    # Entered at 01:00; the target works from 01:15, within the hour of the entry.
    assert (times(orders[0]), times(orders[2])) == (["01:00"], ["01:15"])
    assert result.equity[-1] == pytest.approx(10_002.0)


def test_order_expires_with_the_first_finer_bar_that_opens_later():
    orders = []
    fine = [*REST, 100.0, 100.0, 100.0, 94.0, *[94.0] * 4]
    # Until 01:30: the bar of 01:45 comes too late.
    valid = timedelta(hours=1, minutes=30)
    run(fine, {1: keep(orders, lambda s: s.buy(size=1, exectype=LIMIT, price=95.0, valid=valid))})
    assert orders[0].status == bt.Order.Expired


def test_trailing_stop_follows_the_finer_bars_closes():
    orders = []
    fine = [*REST, 104.0, 108.0, 104.0, 104.0, *[104.0] * 4]
    steps = {1: lambda s: s.buy(size=1)}
    steps[1] = keep(orders, lambda s: [s.buy(size=1), s.sell(
        size=1, exectype=bt.Order.StopTrail, trailamount=3.0
    )])  # fmt: skip
    result = run(fine, steps)
    # From 97 to 101 after 01:00, to 105 after 01:15; the bar of 01:30 opens at 104, below it.
    assert result.parts(orders[1]) == [(2, -1, 104.0)]
    assert times(orders[1]) == ["01:30"]
    # The hours know closes of 100 and 104 only, and never fall below 101.
    orders.clear()
    play(hours_of(make_bars(*fine, step_ms=QUARTER_MS)), steps)
    assert orders[1].status == bt.Order.Accepted


@pytest.mark.parametrize("last", [103.0, 101.0])
def test_close_order_gets_the_close_of_the_sessions_last_finer_bar(last):
    orders = []
    day = [100.0] * (24 * 4 - 1) + [last]
    result = run([*day, *REST], {20: keep(orders, lambda s: s.buy(
        size=1, exectype=bt.Order.Close
    ))})  # fmt: skip
    assert result.parts(orders[0]) == [(25, 1, last)]
    assert times(orders[0]) == ["23:45"]


def test_close_order_of_a_session_that_ends_within_an_hour():
    orders = []
    fine = make_bars(*REST, *REST, 100.0, 101.0, 102.0, 103.0, step_ms=QUARTER_MS)
    cerebro_bars = hours_of(fine)
    steps = {2: keep(orders, lambda s: s.buy(size=1, exectype=bt.Order.Close))}
    # Before 02:30 the last bar is that of 02:15; its close is booked with the one after 02:30.
    end = pd.Timestamp("2024-01-01 02:29:59").time()
    play(cerebro_bars, steps, fine=fine, sessionend=end)
    assert orders[0].executed.price == 101.0
    assert times(orders[0]) == ["02:15"]


def test_parts_are_those_of_the_finer_bars():
    orders = []
    volumes = [0.0] * 4 + [4.0, 0.0, 8.0, 100.0] + [100.0] * 4
    result = run([*REST, 101.0, 102.0, 103.0, 104.0, *[104.0] * 4],
                 {1: keep(orders, lambda s: s.buy(size=10))}, volumes=volumes)  # fmt: skip
    assert result.parts(orders[0]) == [(2, 2, 101.0), (2, 4, 103.0), (2, 4, 104.0)]
    assert times(orders[0]) == ["01:00", "01:30", "01:45"]


# ---------------------------------------------------------------------- latency
@pytest.mark.parametrize(
    ("latency_ms", "time"),
    [(0, "01:00"), (1, "01:15"), (QUARTER_MS, "01:15"), (QUARTER_MS + 1, "01:30")],
)
def test_order_takes_part_from_the_first_finer_bar_after_its_latency(latency_ms, time):
    orders = []
    run([*REST, 101.0, 102.0, 103.0, 104.0], {1: keep(orders, lambda s: s.buy(size=1))},
        latency_ms=latency_ms)  # fmt: skip
    assert times(orders[0]) == [time]


def test_first_bar_of_a_late_limit_is_the_first_that_it_meets():
    # Open at 98 as it arrives at 01:15: it takes, at the open.
    orders = []
    result = run([*REST, 100.0, 98.0, 98.0, 98.0], {1: keep(orders, lambda s: s.buy(
        size=1, exectype=LIMIT, price=99.0, post_only=False
    ))}, latency_ms=1)  # fmt: skip
    assert result.parts(orders[0]) == [(2, 1, 98.0)]
    orders.clear()
    result = run([*REST, 98.0, 100.0, 98.0, 98.0], {1: keep(orders, lambda s: s.buy(
        size=1, exectype=LIMIT, price=99.0, post_only=True
    ))}, latency_ms=1)  # fmt: skip
    # It would have taken at 01:00, before it arrived; at 01:30 it rests.
    assert times(orders[0]) == ["01:30"]


def test_children_are_late_after_their_parents_fill():
    fine = [*REST, 100.0, UP, UP, UP, *[UP] * 4]
    for latency_ms, time in ((0, "01:15"), (1, "01:45"), (QUARTER_MS + 1, "02:15")):
        orders = []
        run(fine, {1: keep(orders, lambda s: s.buy_bracket(
            size=1, exectype=bt.Order.Market, stopprice=90.0, limitprice=102.0
        ))}, latency_ms=latency_ms)  # fmt: skip
        # With 1 ms: in at 01:15, known at 01:30, so that the bar of 01:45 is the first.
        assert times(orders[2]) == [time]


def test_cancel_is_at_once():
    orders = []
    run([*REST, 100.0, 100.0, 100.0, 100.0, *[90.0] * 4], {
        1: keep(orders, lambda s: s.buy(size=1, exectype=LIMIT, price=95.0)),
        2: lambda s: s.cancel(orders[0]),
    }, latency_ms=1)  # fmt: skip
    assert orders[0].status == bt.Order.Canceled


def test_order_that_expires_on_its_way_never_works():
    orders = []
    result = run([*REST, *[100.0] * 8], {1: keep(orders, lambda s: s.buy(
        size=1, exectype=LIMIT, price=105.0, valid=timedelta(minutes=50)
    ))}, latency_ms=QUARTER_MS)  # fmt: skip
    assert result.states(orders[0])[-1] == (2, "Expired")


def test_latency_without_finer_bars_is_an_error():
    with pytest.raises(InputError, match="latency_ms was 5, which whole bars cannot show"):
        play(make_bars(100.0, 100.0), {}, fill_rules=FillRules(latency_ms=5))
