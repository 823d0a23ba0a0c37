"""Mark price, isolated margin and the venue's limits under strategies without a book."""

from __future__ import annotations

from dataclasses import replace

import backtrader as bt
import pytest

from cryptosim_bt import FuturesBroker, InputError, InverseContract
from cryptosim_bt.broker.back_broker_calls import PLAIN_INSTRUMENT
from cryptosim_bt.exchange.venue_limits import VenueRules
from tests.broker.order_script import (
    FLAT,
    QUARTER_MS,
    Script,
    commission,
    hours_of,
    keep,
    make_bars,
    play,
)

LIMIT, STOP = bt.Order.Limit, bt.Order.Stop


# ---------------------------------------------------------------------- mark price
def marked(trades, mark, steps, **options):
    return play(make_bars(*trades), steps, mark=make_bars(*mark), **options)


def test_equity_and_cash_are_at_the_mark_and_fills_at_trades():
    result = marked([100.0, 100.0, 103.0], [100.0, 100.0, 102.0], {1: lambda s: s.buy(size=10)})
    assert result.position.price == 100.0
    # 10 at 100 are worth 20 more at a mark of 102 and tie up a tenth of 1,020.
    assert result.equity == [1_000.0, 1_000.0, 1_020.0]
    assert result.cash[2] == pytest.approx(1_020.0 - 102.0)
    assert result.broker.getvalue([result.data]) == pytest.approx(102.0)


@pytest.mark.parametrize(("mark_low", "liquidations"), [(81.0, 0), (80.0, 1), (70.0, 1)])
def test_mark_liquidates_whatever_trades_do(mark_low, liquidations):
    # 50 at 100 with 1,000: gone at 80.
    steps = {1: lambda s: s.buy(size=50)}
    mark = [100.0, 100.0, (100.0, 100.0, mark_low, 100.0)]
    for trades_low in (60.0, 100.0):
        trades = [100.0, 100.0, (100.0, 100.0, trades_low, 100.0)]
        result = marked(trades, mark, steps)
        assert result.broker.exchange.liquidations == liquidations


def test_mark_that_opens_beyond_liquidates_there():
    result = marked([100.0, 100.0, 100.0], [100.0, 100.0, 75.0], {1: lambda s: s.buy(size=50)})
    assert [trade[2] for trade in result.closed] == [pytest.approx(-1_250.0)]
    assert result.broker.account.shortfall == pytest.approx(250.0)
    assert result.equity[-1] == 0.0


@pytest.mark.parametrize(
    ("stop", "trades_low", "mark_low", "outcome"),
    [
        (85.0, 75.0, 75.0, -750.0),  # trades meet 85 before the mark meets 80
        (79.0, 75.0, 75.0, -1_000.0),  # the mark meets 80 first
        (85.0, 86.0, 75.0, -1_000.0),  # no trade meets the stop
        (85.0, 75.0, 82.0, -750.0),  # the mark does not come to 80
    ],
)
def test_walk_meets_stops_by_trades_and_liquidation_by_the_mark(
    stop, trades_low, mark_low, outcome
):
    steps = {1: lambda s: s.buy(size=50),
             2: lambda s: s.sell(size=50, exectype=STOP, price=stop)}  # fmt: skip
    result = marked([100.0, 100.0, (100.0, 100.0, trades_low, 100.0)],
                    [100.0, 100.0, (100.0, 100.0, mark_low, 100.0)], steps)  # fmt: skip
    assert [trade[2] for trade in result.closed] == [pytest.approx(outcome)]


def test_entry_is_tested_against_the_marks_adverse_end():
    # Trades never fall below 98, the mark is at 75 within the bar of the entry.
    steps = {1: lambda s: s.buy(size=50, exectype=LIMIT, price=98.0)}
    result = marked([100.0, (100.0, 100.0, 98.0, 100.0)], [100.0, (100.0, 100.0, 75.0, 100.0)],
                    steps)  # fmt: skip
    # 1,000 / 50 below 98.
    assert [trade[2] for trade in result.closed] == [pytest.approx(50 * (78.0 - 98.0))]


def test_margin_is_checked_at_the_mark():
    # 50 at 100: trades at 110 would show a profit of 500, the mark of 100 shows none.
    orders = []
    result = marked([100.0, 100.0, 110.0, 110.0], [100.0] * 4, {
        1: lambda s: s.buy(size=50),
        3: keep(orders, lambda s: s.buy(size=55)),  # 605 of the 500 that are free
    })  # fmt: skip
    assert result.cash[2] == pytest.approx(500.0)
    assert result.states(orders[0])[-1] == (4, "Margin")

    # As it fills it is the mark's open that counts: 103, which makes 1,150 - 515 = 635.
    orders.clear()
    result = marked([100.0, 100.0, 110.0, 110.0], [100.0, 100.0, 102.5, 103.0], {
        1: lambda s: s.buy(size=50),
        3: keep(orders, lambda s: s.buy(size=55)),
    })  # fmt: skip
    assert result.states(orders[0])[-1] == (4, "Completed")


def test_funding_is_paid_on_the_marks_open():
    due = [(int(FLAT.index[2].timestamp() * 1000), 0.01)]
    result = marked([100.0] * 3, [100.0, 100.0, 98.0], {1: lambda s: s.buy(size=10)}, funding=due)
    assert result.broker.account.funding_paid == pytest.approx(10 * 98.0 * 0.01)


def test_mark_of_finer_bars():
    fine = [100.0] * 8 + [100.0, (100.0, 100.0, 97.0, 100.0), 100.0, 100.0]
    mark = [100.0] * 8 + [100.0, (100.0, 100.0, 79.0, 99.0), 99.0, 101.0]
    bars = make_bars(*fine, step_ms=QUARTER_MS)
    result = play(hours_of(bars), {1: lambda s: s.buy(size=50)}, fine=bars,
                  mark=make_bars(*mark, step_ms=QUARTER_MS))  # fmt: skip
    assert result.broker.exchange.liquidations == 1
    assert result.equity == pytest.approx([1_000.0, 1_000.0, 0.0])


# ---------------------------------------------------------------------- isolated margin
def isolated(bars, steps, **options):
    return play(bars, steps, margin_mode="isolated", **options)


def test_isolated_margin_is_the_entrys_and_profit_does_not_count():
    result = isolated(make_bars(100.0, 100.0, 120.0, 120.0), {
        1: lambda s: s.buy(size=20),
        3: lambda s: s.sell(size=5),
    })  # fmt: skip
    # 20 at 100 set 200 aside, whatever the price; 5 of them release 50 and bring 100.
    assert result.cash == pytest.approx([1_000.0, 800.0, 800.0, 950.0])
    assert result.equity == pytest.approx([1_000.0, 1_000.0, 1_400.0, 1_400.0])


def test_isolated_net_position_loses_its_margin_and_no_more():
    orders = []
    bars = make_bars(100.0, 100.0, (100.0, 100.0, 85.0, 100.0), 100.0, 100.0)
    result = isolated(bars, {
        1: lambda s: s.buy(size=20),
        2: keep(orders, lambda s: s.sell(size=20, exectype=LIMIT, price=120.0)),
        4: lambda s: s.buy(size=80),
    })  # fmt: skip
    # 200 of margin are gone at 90; 800 are left, and enough for 80 at 100.
    assert result.broker.exchange.liquidations == 1
    assert [trade[2] for trade in result.closed] == [pytest.approx(-200.0)]
    assert result.equity[2:] == pytest.approx([800.0] * 3)
    assert result.states(orders[0])[-1] == (3, "Canceled")
    assert result.reasons[orders[0].ref] == "liquidation"
    assert result.position.size == 80


def test_isolated_gap_beyond_the_margin_is_a_shortfall():
    bars = make_bars(100.0, 100.0, 70.0, 70.0)
    result = isolated(bars, {1: lambda s: s.buy(size=20)})
    assert result.equity[-1] == pytest.approx(800.0)
    assert result.broker.account.shortfall == pytest.approx(20 * 30.0 - 200.0)


def test_isolated_leg_is_liquidated_alone_and_its_orders_only():
    orders = []
    result = isolated(make_bars(100.0, 100.0, (100.0, 100.0, 88.0, 100.0), 100.0), {
        1: lambda s: (s.buy(size=20, side="long", tradeid=1),
                      s.sell(size=10, side="short", tradeid=2)),
        2: keep(orders, lambda s: [
            s.sell(size=20, exectype=LIMIT, price=130.0, side="long", tradeid=1),
            s.buy(size=5, exectype=LIMIT, price=60.0, side="long"),
            s.buy(size=10, exectype=LIMIT, price=70.0, side="short", tradeid=2),
            s.buy(size=1, side="long", transmit=False),
            s.sell(size=1, side="short", transmit=False),
        ]),
    })  # fmt: skip
    assert [trade[1:3] for trade in result.closed] == [(1, pytest.approx(-200.0))]
    assert [result.states(order)[-1] for order in orders[:2]] == [(3, "Canceled")] * 2
    assert result.states(orders[2])[-1] == (3, "Accepted")
    assert result.states(orders[3])[-1] == (3, "Canceled")
    assert result.states(orders[4]) == []
    assert result.broker.getposition(result.data, side="short").size == -10
    assert result.broker.exchange.liquidations == 1
    assert result.equity[-1] == pytest.approx(800.0)


def test_isolated_stop_before_the_liquidation_price_comes_first():
    result = isolated(make_bars(100.0, 100.0, (100.0, 100.0, 80.0, 100.0)), {
        1: lambda s: s.buy(size=20),
        2: lambda s: s.sell(size=20, exectype=STOP, price=92.0),
    })  # fmt: skip
    assert [trade[2] for trade in result.closed] == [pytest.approx(-160.0)]


@pytest.mark.parametrize(("size", "state"), [(190, "Completed"), (192, "Margin")])
def test_isolated_flip_may_use_what_its_own_close_brings(size, state):
    # 90 long at 100 have 900 of 1,000 set aside. Closing them at 100 releases 900.
    orders = []
    result = isolated(FLAT, {
        1: lambda s: s.buy(size=90),
        2: keep(orders, lambda s: s.sell(size=size)),
    })  # fmt: skip
    # 100 are opened at 10 a piece with all of 1,000, or 102.
    assert result.states(orders[0])[-1][1] == state


def test_isolated_fee_beyond_the_wallet_shrinks_the_margin():
    # All of 1,000 is set aside but the fee; the fee of the second half shrinks the margins.
    result = isolated(make_bars(*[100.0] * 4), {
        1: lambda s: s.buy(size=95),
        2: lambda s: s.sell(size=1, exectype=STOP, price=150.0),
    }, commission=commission(fee=0.005))  # fmt: skip
    account = result.broker.account
    # 95 * 100 / 10 = 950 of margin; 47.5 and 0.5 of fees leave 952; 940 are still set aside.
    assert account.balance == pytest.approx(1_000.0 - 47.5 - 0.5)
    assert account.legs["long"].margin == pytest.approx(940.0)
    assert result.cash[-1] == pytest.approx(12.0)


def test_isolated_inverse_short_without_leverage_is_never_liquidated():
    bars = make_bars(100.0, 100.0, (100.0, 10_000.0, 100.0, 100.0))
    result = isolated(bars, {1: lambda s: s.sell(size=10)}, cash=1.0,
                      commission=commission(1.0, contract=InverseContract(1.0)))  # fmt: skip
    assert result.broker.exchange.liquidations == 0


def test_isolated_margin_with_a_stock_like_scheme_is_an_error():
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=FLAT))
    cerebro.broker = FuturesBroker(margin_mode="isolated")
    cerebro.broker.setcommission(commission=0.001)
    cerebro.addstrategy(Script, steps={})
    with pytest.raises(InputError, match="stock-like scheme"):
        cerebro.run()


# ---------------------------------------------------------------------- the venue's limits
def limited(steps, **rules):
    return play(FLAT, steps, venue_rules=VenueRules(**rules))


def test_order_above_the_venues_maximum_is_rejected():
    orders = []
    result = limited({1: keep(orders, lambda s: [s.buy(size=8), s.buy(size=9)])}, max_contracts=8)
    assert result.states(orders[0])[-1] == (2, "Completed")
    assert result.states(orders[1]) == [(2, "Rejected")]
    assert result.reasons[orders[1].ref] == "size 9 is above the maximum, 8 contracts"


def test_order_beyond_the_venues_number_of_orders_is_rejected():
    orders = []
    far = {"exectype": LIMIT, "price": 50.0}
    result = limited({
        1: keep(orders, lambda s: [s.buy(size=1, **far) for _ in range(3)]),
        2: keep(orders, lambda s: s.buy(size=1, **far)),
        3: lambda s: s.cancel(orders[0]),
        4: keep(orders, lambda s: s.buy(size=1, **far)),
    }, max_open_orders=2)  # fmt: skip
    assert [result.states(order)[-1][1] for order in orders] == [
        "Canceled", "Accepted", "Rejected", "Rejected", "Accepted",
    ]  # fmt: skip
    assert result.reasons[orders[2].ref] == "there are 2 open orders, the venue's maximum"


def test_bracket_that_does_not_fit_is_refused_whole():
    orders = []
    result = limited({1: keep(orders, lambda s: s.buy_bracket(
        size=1, price=99.0, stopprice=90.0, limitprice=110.0
    ))}, max_open_orders=2)  # fmt: skip
    assert [result.states(order)[-1][1] for order in orders] == ["Canceled", "Canceled", "Rejected"]
    assert not result.broker.get_orders_open()


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({"exectype": LIMIT, "price": 95.0}, True),
        ({"exectype": LIMIT, "price": 94.9}, False),
        ({"exectype": LIMIT, "price": 105.1}, False),
        ({"exectype": STOP, "price": 150.0}, True),  # triggers are free
        ({"exectype": bt.Order.StopTrail, "trailpercent": 0.5}, True),
        # The limit of a stop limit is measured against its trigger.
        ({"exectype": bt.Order.StopLimit, "price": 150.0, "plimit": 157.5}, True),
        ({"exectype": bt.Order.StopLimit, "price": 150.0, "plimit": 158.0}, False),
        ({}, True),
        ({"exectype": bt.Order.Close}, True),
    ],
)
def test_limit_outside_the_venues_band_is_rejected(options, taken):
    orders = []
    result = limited({1: keep(orders, lambda s: s.buy(size=1, **options))}, price_band=0.05)
    assert (result.states(orders[0])[0][1] == "Rejected") != taken
    if not taken:
        assert "outside the band" in result.reasons[orders[0].ref]


def test_band_is_measured_from_the_mark_and_with_the_price_on_the_tick():
    orders = []
    instrument = replace(PLAIN_INSTRUMENT, tick=10.0)
    result = play(FLAT, {1: keep(orders, lambda s: [
        s.sell(size=1, exectype=LIMIT, price=112.0),  # 120, and the band ends at 121
        s.sell(size=1, exectype=LIMIT, price=121.0),  # 130
    ])}, mark=make_bars(*[110.0] * 6), instrument=instrument,
        venue_rules=VenueRules(price_band=0.1))  # fmt: skip
    assert result.states(orders[0])[0][1] == "Submitted"
    assert result.states(orders[1]) == [(2, "Rejected")]
