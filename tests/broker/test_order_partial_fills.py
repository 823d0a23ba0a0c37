"""Partial fills of strategies without a book: a share of each bar's volume, the rest goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import backtrader as bt
import pytest

from cryptosim_bt import DataError, InputError
from cryptosim_bt.broker.back_broker_calls import PLAIN_INSTRUMENT
from cryptosim_bt.exchange.matching_bars import MatchingBars
from cryptosim_bt.exchange.simulated_exchange import FillRules
from tests.broker.order_script import commission, keep, make_bars, play

HALF = FillRules(max_volume_share=0.5)
RISING = make_bars(100.0, 101.0, 102.0, 103.0, 104.0, 105.0)
LIMIT, STOP = bt.Order.Limit, bt.Order.Stop


def run(bars, volumes, steps, **options):
    options.setdefault("fill_rules", HALF)
    return play(bars, steps, volumes=volumes, cash=10_000.0, **options)


# ---------------------------------------------------------------------- each order type
def test_rest_of_a_market_order_goes_on_at_the_next_opens():
    orders = []
    result = run(RISING, [0, 8, 0, 8, 100, 100], {1: keep(orders, lambda s: s.buy(size=10))})
    # Half of 8, nothing, half of 8, the last 2.
    assert result.parts(orders[0]) == [(2, 4, 101.0), (4, 4, 103.0), (5, 2, 104.0)]
    states = [(2, "Submitted"), (2, "Accepted"), (2, "Partial"), (4, "Partial"), (5, "Completed")]
    assert result.states(orders[0]) == states
    assert orders[0].executed.size == 10
    assert orders[0].executed.remsize == 0
    assert orders[0].executed.price == pytest.approx((4 * 101 + 4 * 103 + 2 * 104) / 10)
    assert len(orders[0].executed.exbits) == 3
    assert result.position.size == 10
    # 4 at 101 after bar 2, which closes there; at 105 all ten are worth 4*4 + 4*2 + 2*1 more.
    assert result.equity[1] == 10_000.0
    assert result.equity[5] == pytest.approx(10_000.0 + 16.0 + 8.0 + 2.0)


def test_limit_order_rests_with_what_is_left():
    orders = []
    bars = make_bars(100.0, (100.0, 100.0, 98.0, 100.0), 101.0, (98.0, 98.0, 98.0, 98.0), 99.0)
    result = run(bars, [0, 6, 100, 6, 100], {1: keep(orders, lambda s: s.buy(
        size=10, exectype=LIMIT, price=99.0
    ))})  # fmt: skip
    # 3 at the limit; bar 3 stays above; 3 at the better open of bar 4; the last 4 at 99.
    assert result.parts(orders[0]) == [(2, 3, 99.0), (4, 3, 98.0), (5, 4, 99.0)]


def test_triggered_stop_goes_on_as_a_market_order():
    orders = []
    bars = make_bars(100.0, (100.0, 104.0, 100.0, 101.0), 97.0, 96.0)
    result = run(bars, [0, 6, 6, 100], {1: keep(orders, lambda s: s.buy(
        size=10, exectype=STOP, price=103.0, valid=timedelta(hours=1)
    ))}, fill_rules=replace(HALF, slippage=0.01))  # fmt: skip
    # At the trigger, then at the opens, though price is back below it and its time is over.
    assert result.parts(orders[0]) == [(2, 3, 104.03), (3, 3, 97.97), (4, 4, 96.96)]
    assert result.states(orders[0])[-1] == (4, "Completed")


def test_stop_triggered_in_a_bar_without_volume_goes_on_at_the_next_open():
    orders = []
    bars = make_bars(100.0, (100.0, 104.0, 100.0, 101.0), 97.0)
    result = run(bars, [0, 0, 100], {1: keep(orders, lambda s: s.buy(
        size=10, exectype=STOP, price=103.0
    ))})  # fmt: skip
    assert result.parts(orders[0]) == [(3, 10, 97.0)]


def test_stop_limit_goes_on_as_a_limit():
    orders = []
    bars = make_bars(100.0, (100.0, 104.0, 100.0, 104.0), 105.0, 103.4)
    result = run(bars, [0, 6, 100, 100], {1: keep(orders, lambda s: s.buy(
        size=10, exectype=bt.Order.StopLimit, price=103.0, plimit=103.5
    ))})  # fmt: skip
    assert result.parts(orders[0]) == [(2, 3, 103.0), (4, 7, 103.4)]


def test_trailing_stop_that_was_triggered_trails_no_more():
    orders = []
    bars = make_bars(100.0, 100.0, (100.0, 100.0, 94.0, 94.0), 97.0, 98.0)
    result = run(bars, [0, 100, 6, 6, 100], {
        1: lambda s: s.buy(size=10),
        2: keep(orders, lambda s: s.sell(size=10, exectype=bt.Order.StopTrail, trailamount=5.0)),
    })  # fmt: skip
    assert result.parts(orders[0]) == [(3, -3, 95.0), (4, -3, 97.0), (5, -4, 98.0)]
    # 3 lost 5 each, 3 lost 3, 4 lost 2.
    assert result.closed == [(5, 0, pytest.approx(-32.0), pytest.approx(-32.0))]


def test_rest_of_a_close_order_goes_on_at_the_next_session():
    # The session ends with bar 24, whose volume of 6 gives 3; then the opens of bars 25 and 26.
    bars = make_bars(*[100.0] * 23, (100.0, 101.0, 100.0, 101.0), 102.0, 103.0)
    orders = []
    volumes = [100.0] * 23 + [6.0, 8.0, 100.0]
    result = run(bars, volumes, {
        20: keep(orders, lambda s: s.buy(size=10, exectype=bt.Order.Close))
    })  # fmt: skip
    assert result.parts(orders[0]) == [(25, 3, 101.0), (25, 4, 102.0), (26, 3, 103.0)]
    days = [bit.dt for bit in orders[0].executed.exbits]
    opens = [result.data.datetime.array[row] for row in (23, 24, 25)]
    assert days == pytest.approx(opens, abs=1e-9)


def test_parts_are_cut_down_to_the_lot():
    orders = []
    instrument = replace(PLAIN_INSTRUMENT, lot=1.0, min_contracts=1.0)
    result = run(RISING, [0, 3, 1, 5, 100, 100], {1: keep(orders, lambda s: s.buy(size=4))},
                 instrument=instrument)  # fmt: skip
    # 1.5 is 1, 0.5 is nothing, 2.5 is 2, and the last one.
    assert [size for _, size, _ in result.parts(orders[0])] == [1, 2, 1]


@pytest.mark.parametrize(
    ("kind", "unit", "filled"),
    # Half of a volume of 4, at a close of 100 and 10 coins, or 10 USD, a contract.
    [("linear", "contracts", 2.0), ("linear", "base", 0.2), ("linear", "quote", 0.002),
     ("inverse", "quote", 0.2), ("inverse", "base", 20.0)],
)  # fmt: skip
def test_volume_of_the_data_is_counted_in_contracts(kind, unit, filled):
    # R34: the same share for strategies without a book.
    orders = []
    instrument = replace(PLAIN_INSTRUMENT, kind=kind, contract_size=10.0)
    run(make_bars(100.0, 100.0), [4, 4], {1: keep(orders, lambda s: s.buy(size=30))},
        instrument=instrument, volume_unit=unit, commission=commission(leverage=100.0))  # fmt: skip
    assert orders[0].executed.size == pytest.approx(filled)


# ---------------------------------------------------------------------- what orders do to others
def test_expired_order_keeps_what_it_has():
    orders = []
    result = run(RISING, [0, 6, 6, 6, 6, 6], {1: keep(orders, lambda s: s.buy(
        size=10, exectype=LIMIT, price=110.0, valid=timedelta(hours=2)
    ))})  # fmt: skip
    assert result.states(orders[0])[-1] == (4, "Expired")
    assert (orders[0].executed.size, orders[0].executed.remsize) == (6, 4)
    assert result.position.size == 6


def test_flip_closes_first_and_opens_with_what_volume_is_left():
    orders = []
    result = run(RISING, [0, 100, 12, 100, 100, 100], {
        1: lambda s: s.buy(size=4),
        2: keep(orders, lambda s: s.sell(size=10)),
    })  # fmt: skip
    # 6 in bar 3: 4 close, 2 open a short; the other 4 of it in bar 4.
    assert result.parts(orders[0]) == [(3, -6, 102.0), (4, -4, 103.0)]
    assert [trade[2] for trade in result.closed] == [pytest.approx(4.0)]
    assert (result.position.size, result.position.price) == (-6, (2 * 102 + 4 * 103) / 6)


def test_reduce_only_order_goes_on_while_something_is_held():
    orders = []
    result = run(RISING, [0, 100, 4, 4, 4, 4], {
        1: lambda s: s.buy(size=5),
        2: keep(orders, lambda s: s.sell(size=9, reduce_only=True)),
    })  # fmt: skip
    assert [size for _, size, _ in result.parts(orders[0])] == [-2, -2, -1]
    assert result.states(orders[0])[-1] == (5, "Canceled")
    assert "nothing was left" in result.reasons[orders[0].ref]
    assert result.position.size == 0


def test_first_part_of_an_oco_order_cancels_the_others():
    orders = []

    def step(strategy):
        orders.append(strategy.buy(size=10, exectype=LIMIT, price=102.5))
        orders.append(strategy.buy(size=10, exectype=STOP, price=104.5, oco=orders[0]))

    result = run(RISING, [0, 6, 6, 6, 6, 100], {1: step})
    assert result.states(orders[1])[-1] == (2, "Canceled")
    assert "OCO" in result.reasons[orders[1].ref]
    # 3 at 101 and 3 at 102; the rest waits at 102.5, which price has left.
    assert [size for _, size, _ in result.parts(orders[0])] == [3, 3]
    assert result.broker.get_orders_open() == [orders[0]]


def bracket(orders, **options):
    endless = {"valid": None}
    options = {"size": 10, "exectype": bt.Order.Market, "limitprice": 110.0, "stopprice": 90.0,
               "stopargs": endless, "limitargs": endless, **options}  # fmt: skip
    return keep(orders, lambda s: s.buy_bracket(**options))


def test_children_wait_until_their_parent_is_whole():
    orders = []
    bars = make_bars(100.0, 100.0, (100.0, 111.0, 100.0, 100.0), 100.0, 112.0)
    result = run(bars, [0, 10, 10, 10, 100], {1: bracket(orders)})
    # 5 in bar 2, 5 in bar 3, which also reaches 110; the target works from bar 4 on.
    assert result.parts(orders[0]) == [(2, 5, 100.0), (3, 5, 100.0)]
    assert result.parts(orders[2]) == [(5, -10, 112.0)]
    assert result.states(orders[1])[-1] == (5, "Canceled")
    assert result.ambiguous == [(3, "entry_and_exit")]


@pytest.mark.parametrize("how", ["expires", "is cancelled"])
def test_children_of_a_parent_that_ends_in_part_guard_that_part(how):
    orders = []
    steps = {1: bracket(orders, exectype=LIMIT, price=100.0, valid=timedelta(hours=1))}
    if how == "is cancelled":
        steps = {1: bracket(orders, exectype=LIMIT, price=100.0),
                 2: lambda s: s.cancel(orders[0])}  # fmt: skip
    bars = make_bars(100.0, 100.0, 101.0, (100.0, 100.0, 89.0, 89.0), 89.0)
    result = run(bars, [0, 6, 100, 100, 100], steps)
    assert orders[0].executed.size == 3
    # 3 were bought at 100: the stop sells 3 of its 10 at 90, not 10.
    assert result.parts(orders[1]) == [(4, -3, 90.0)]
    assert (orders[1].created.size, orders[1].info.asked_size) == (-3, 10)
    assert result.states(orders[1])[-1] == (4, "Completed")
    assert result.states(orders[2])[-1] == (4, "Canceled")
    assert result.position.size == 0
    assert result.equity[-1] == pytest.approx(10_000.0 - 30.0)


def test_children_end_with_a_parent_that_filled_nothing():
    orders = []
    steps = {1: bracket(orders, exectype=LIMIT, price=95.0, valid=timedelta(hours=1))}
    result = run(make_bars(*[100.0] * 5), [100] * 5, steps)
    assert [result.states(order)[-1][1] for order in orders] == ["Expired", "Canceled", "Canceled"]


def test_stop_of_a_bracket_shrinks_as_its_target_fills():
    orders = []
    bars = make_bars(100.0, 100.0, (100.0, 111.0, 100.0, 100.0), (100.0, 100.0, 89.0, 89.0), 89.0)
    result = run(bars, [0, 100, 12, 100, 100], {1: bracket(orders)})
    # The target sells 6 at 110, the stop the other 4 at 90: 6*10 - 4*10.
    assert result.parts(orders[2]) == [(3, -6, 110.0)]
    assert result.parts(orders[1]) == [(4, -4, 90.0)]
    assert (orders[1].created.size, orders[1].executed.remsize) == (-4, 0)
    assert result.states(orders[2])[-1] == (4, "Canceled")
    assert result.position.size == 0
    assert result.equity[-1] == pytest.approx(10_000.0 + 20.0)


def test_smaller_sibling_ends_alone_when_its_contracts_are_gone():
    orders = []

    def step(strategy):
        parent = strategy.buy(size=10, transmit=False)
        stop = strategy.sell(size=5, exectype=STOP, price=90.0, parent=parent, transmit=False)
        orders.extend([parent, stop, strategy.sell(size=10, exectype=LIMIT, price=110.0,
                                                   parent=parent)])  # fmt: skip

    bars = make_bars(100.0, 100.0, (100.0, 111.0, 100.0, 100.0), 111.0, 112.0)
    result = run(bars, [0, 100, 12, 12, 100], {1: step})
    # 6 of the target are more than the stop's 5; the target goes on.
    assert result.states(orders[1])[-1] == (3, "Canceled")
    assert [size for _, size, _ in result.parts(orders[2])] == [-6, -4]
    assert result.position.size == 0


def test_part_without_margin_ends_the_order_and_keeps_the_rest():
    orders = []
    bars = make_bars(100.0, 100.0, 90.0, 90.0)
    result = play(bars, {1: keep(orders, lambda s: s.buy(size=90))}, volumes=[0, 100, 100, 100],
                  fill_rules=HALF)  # fmt: skip
    # 50 at 100 with 1,000; at 90 they have lost 500, tie up 450, and 40 more need 360 of 50.
    assert result.states(orders[0])[-1] == (3, "Margin")
    assert orders[0].executed.size == 50
    assert result.position.size == 50


def test_commission_is_paid_part_by_part():
    orders = []
    result = run(RISING, [0, 8, 100, 0, 0, 0], {1: keep(orders, lambda s: s.buy(size=10))},
                 commission=commission(fee=0.001))  # fmt: skip
    fees = [4 * 101 * 0.001, 6 * 102 * 0.001]
    assert [bit.openedcomm for bit in orders[0].executed.exbits] == pytest.approx(fees)
    assert result.equity[2] == pytest.approx(10_000.0 + 4.0 - sum(fees))


def test_liquidation_takes_all_whatever_the_volume():
    bars = make_bars(100.0, 100.0, (100.0, 100.0, 70.0, 75.0), 75.0)
    steps = {1: lambda s: s.buy(size=50)}
    result = play(bars, steps, volumes=[0, 100, 1, 1], fill_rules=HALF)
    assert result.broker.exchange.liquidations == 1
    assert result.position.size == 0


# ---------------------------------------------------------------------- what is refused
def test_missing_volume_is_an_error():
    with pytest.raises(DataError, match="volume of the bar 2024-01-01 01:00"):
        run(make_bars(100.0, 100.0), [1.0, float("nan")], {})


def test_matching_bars_without_volume_are_an_error():
    bars = make_bars(100.0, 100.0)
    matching = MatchingBars(bars.tz_localize("UTC"), None, None)
    with pytest.raises(InputError, match="have no volume"):
        play(bars, {}, matching_bars=matching, fill_rules=HALF)
