"""Orders of strategies without a book: refusals, hedge mode, margin, liquidation, grids."""

from __future__ import annotations

import math
from dataclasses import replace

import backtrader as bt
import pandas as pd
import pytest

from cryptosim_bt import FuturesBroker, InputError
from cryptosim_bt.broker.back_broker_calls import PLAIN_INSTRUMENT
from cryptosim_bt.exchange.simulated_exchange import FillRules
from tests.broker.order_script import FLAT, Script, commission, keep, make_bars, play


# ---------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda s: s.buy(size=1, exectype=bt.Order.Historical), "exectype was 7"),
        (lambda s: s.buy(size=1, exectype=99), "exectype was 99"),
        (lambda s: s.broker.buy(s, s.data, size=-5.0), "size was"),
        (lambda s: s.broker.buy(s, s.data, size=math.nan), "size was nan"),
        (lambda s: s.buy(size=math.inf), "size was inf"),
        (lambda s: s.sell(size=math.inf), "size was -inf"),
        (lambda s: s.buy(size=1, exectype=bt.Order.Limit, price=-3.0), "price was -3.0"),
        (lambda s: s.buy(size=1, exectype=bt.Order.Stop, price=math.nan), "price was nan"),
        (lambda s: s.buy(size=1, exectype=bt.Order.StopLimit, price=3.0, plimit=-1.0), "plimit"),
        (lambda s: s.buy(size=1, exectype=bt.Order.StopTrail), "needs trailamount"),
        (lambda s: s.sell(size=1, exectype=bt.Order.StopTrail, trailpercent=1.5), "a fraction"),
        (lambda s: s.buy(size=1, post_only=True), "post_only: a market order takes"),
        (lambda s: s.buy(size=1, side="both"), "side was 'both'"),
        (lambda s: s.buy(size=1, side="long", reduce_only=True), "reduce_only: to buy"),
    ],
)
def test_order_that_is_not_taken_is_rejected_with_its_reason(make, reason):
    orders = []
    run = play(FLAT, {1: keep(orders, make)})
    assert run.states(orders[0]) == [(2, "Rejected")]
    assert reason in run.reasons[orders[0].ref]
    assert run.equity == [1_000.0] * 6


def test_cancel_of_no_order_does_nothing():
    answers = []

    def cancels(strategy):
        strategy.cancel(None)
        answers.append(strategy.broker.cancel(None))

    run = play(FLAT, {1: cancels, 2: lambda s: s.buy(size=1), 3: cancels})
    assert answers == [False, False]
    assert run.position.size == 1


def test_order_for_another_data_is_rejected():
    cerebro = bt.Cerebro(stdstats=False)
    for _ in range(2):
        cerebro.adddata(bt.feeds.PandasData(dataname=FLAT))
    cerebro.broker = FuturesBroker(cash=1_000.0)
    orders = []
    steps = {1: keep(orders, lambda s: s.buy(data=s.datas[1], size=1))}
    cerebro.addstrategy(Script, steps=steps)
    run = cerebro.run()[0]
    assert run.states(orders[0]) == [(2, "Rejected")]
    assert run.getposition(run.datas[1]).size == 0


def test_order_of_the_other_mode_is_rejected_until_the_account_is_flat():
    orders = []
    run = play(FLAT, {
        1: keep(orders, lambda s: s.buy(size=1)),
        2: keep(orders, lambda s: s.buy(size=1, side="long")),
        3: keep(orders, lambda s: s.close()),
        4: keep(orders, lambda s: s.buy(size=1, side="long")),
        5: keep(orders, lambda s: s.sell(size=1)),
    })  # fmt: skip
    assert "one-way mode" in run.reasons[orders[1].ref]
    assert run.states(orders[3])[-1] == (5, "Completed")
    assert "hedge mode" in run.reasons[orders[4].ref]


def test_bracket_with_a_wrong_child_is_refused_whole():
    orders = []
    run = play(FLAT, {1: lambda s: orders.extend(
        s.buy_bracket(size=1, price=99.0, stopprice=-1.0, limitprice=110.0)
    )})  # fmt: skip
    assert [run.states(order)[-1][1] for order in orders] == ["Canceled", "Rejected", "Rejected"]
    assert "price was -1.0" in run.reasons[orders[1].ref]
    assert "parent" in run.reasons[orders[2].ref]


# ---------------------------------------------------------------------- relations
def test_order_cancelled_in_the_bar_that_sent_it_never_works():
    orders = []

    def step(strategy):
        orders.append(strategy.buy(size=1))
        strategy.cancel(orders[0])

    run = play(FLAT, {1: step})
    assert run.states(orders[0]) == [(2, "Submitted"), (2, "Canceled")]
    assert not run.position


def test_held_order_is_sent_with_its_last_child_and_can_be_cancelled_before():
    orders = []
    run = play(FLAT, {
        1: keep(orders, lambda s: s.buy(size=1, transmit=False)),
        2: keep(orders, lambda s: s.sell(size=1, exectype=bt.Order.Stop, price=90.0,
                                         parent=orders[0])),
        3: keep(orders, lambda s: s.buy(size=1, transmit=False)),
        4: lambda s: s.cancel(orders[2]),
    })  # fmt: skip
    assert run.states(orders[0]) == [(3, "Submitted"), (3, "Accepted"), (3, "Completed")]
    assert run.states(orders[1]) == [(3, "Submitted"), (3, "Accepted")]
    assert run.states(orders[2]) == [(5, "Canceled")]
    assert [order.ref for order in run.broker.get_orders_open()] == [orders[1].ref]


def test_child_of_a_filled_parent_works_at_once():
    orders = []
    run = play(make_bars(100.0, 100.0, 100.0, 95.0, 95.0), {
        1: keep(orders, lambda s: s.buy(size=1)),
        2: keep(orders, lambda s: s.sell(size=1, exectype=bt.Order.Stop, price=96.0,
                                         parent=orders[0])),
    })  # fmt: skip
    assert run.states(orders[1])[-1] == (4, "Completed")


def test_day_zero_is_the_day():
    bars = make_bars(*[100.0] * 30)
    orders = []
    run = play(bars, {
        3: keep(orders, lambda s: s.buy(size=1, exectype=bt.Order.Limit, price=90.0, valid=0))
    })  # fmt: skip
    assert run.states(orders[0])[-1] == (25, "Expired")


# ---------------------------------------------------------------------- options
def test_reduce_only_closes_what_is_held_and_never_more():
    orders = []
    run = play(FLAT, {
        1: keep(orders, lambda s: s.buy(size=2)),
        2: keep(orders, lambda s: s.sell(size=5, reduce_only=True)),
        3: keep(orders, lambda s: s.sell(size=1, reduce_only=True)),
    })  # fmt: skip
    assert run.states(orders[1])[2:] == [(3, "Partial"), (3, "Canceled")]
    assert orders[1].executed.size == -2
    assert run.states(orders[2])[2:] == [(4, "Canceled")]
    assert "reduce_only" in run.reasons[orders[2].ref]
    assert not run.position


def test_post_only_is_cancelled_where_it_would_take():
    bars = make_bars(100.0, 100.0, (98.0, 99.0, 97.0, 98.0), 98.0)
    orders = []
    run = play(bars, {2: keep(orders, lambda s: s.buy(
        size=1, exectype=bt.Order.Limit, price=99.0, post_only=True
    ))})  # fmt: skip
    assert run.states(orders[0])[-1] == (3, "Canceled")
    assert "post_only" in run.reasons[orders[0].ref]


def test_hedge_mode_holds_both_legs_and_their_trades():
    bars = make_bars(100.0, 100.0, 110.0, 120.0, 120.0)
    run = play(bars, {
        1: lambda s: (s.buy(size=2, side="long", tradeid=1), s.sell(size=1, side="short")),
        3: lambda s: (s.sell(size=2, side="long", tradeid=1), s.buy(size=3, side="short")),
    })  # fmt: skip
    # Long 2 from 100 to 120, short 1 from 100 to 120; two more of the short were not there.
    assert sorted(trade[1:3] for trade in run.closed) == [(0, -20.0), (1, 40.0)]
    assert run.equity[2] == 1_000.0 + 2 * 10.0 - 1 * 10.0
    assert run.equity[-1] == 1_020.0
    assert [state for *_, state in run.heard].count("Canceled") == 1


def test_sizes_are_cut_to_the_lot_and_prices_rounded_to_the_tick():
    instrument = replace(PLAIN_INSTRUMENT, lot=0.5, tick=0.5, min_contracts=1.0)
    orders = []
    run = play(FLAT, {
        1: keep(orders, lambda s: s.buy(size=1.7, exectype=bt.Order.Limit, price=99.7)),
        2: keep(orders, lambda s: s.sell(size=1, exectype=bt.Order.Stop, price=90.7)),
        3: keep(orders, lambda s: s.buy(size=0.7)),
    }, instrument=instrument)  # fmt: skip
    assert (orders[0].created.size, orders[0].created.price) == (1.5, 99.5)
    assert (orders[0].info.asked_size, orders[0].info.asked_price) == (1.7, 99.7)
    assert orders[1].created.price == 90.5
    assert "smallest order" in run.reasons[orders[2].ref]


def test_market_order_slips_to_the_tick_against_the_trader():
    instrument = replace(PLAIN_INSTRUMENT, tick=0.5)
    orders = []
    play(FLAT, {1: keep(orders, lambda s: s.buy(size=1))}, instrument=instrument,
         fill_rules=FillRules(slippage=0.001))  # fmt: skip
    assert orders[0].executed.price == 100.5


# ---------------------------------------------------------------------- margin
def test_margin_is_checked_before_an_order_is_accepted_and_as_it_fills():
    bars = make_bars(100.0, 100.0, 130.0, 130.0, 130.0)
    orders = []
    run = play(bars, {
        1: lambda s: orders.extend([s.buy(size=90), s.buy(size=20)]),  # 900 of 1,000; 200 more
        2: lambda s: orders.append(s.sell(size=190)),  # 90 closed with 2,700 gained, 100 more
    })  # fmt: skip
    assert run.states(orders[0])[-1] == (2, "Completed")
    assert run.states(orders[1])[-1] == (2, "Margin")
    assert "margin" in run.reasons[orders[1].ref]
    assert run.states(orders[2])[-1] == (3, "Completed")
    assert run.getposition(run.data).size == -100.0

    # All in at 100, but the open is at 130: what would have been closed is not the matter.
    run = play(bars, {2: lambda s: orders.append(s.buy(size=95))})
    assert run.states(orders[3])[-1] == (3, "Margin")
    assert not run.position


def test_flip_without_margin_for_the_other_side_closes_and_ends():
    bars = make_bars(100.0, 100.0, 92.0, 92.0)
    orders = []
    run = play(bars, {
        1: keep(orders, lambda s: s.buy(size=90)),
        2: keep(orders, lambda s: s.sell(size=180)),  # opens at 92 with 1,000 - 720 = 280 left
    })  # fmt: skip
    assert [state for _, state in run.states(orders[1])][-2:] == ["Partial", "Margin"]
    assert not run.position
    assert run.equity[-1] == pytest.approx(280.0)


# ---------------------------------------------------------------------- liquidation
# 50 long at 100 with 1,000 and no maintenance are liquidated at 80.
DIP = (100.0, 130.0, 75.0, 100.0)


def test_liquidation_closes_trades_and_cancels_all_orders():
    orders = []
    run = play(make_bars(100.0, 100.0, DIP, 100.0), {
        1: keep(orders, lambda s: s.buy(size=50, tradeid=7)),
        2: lambda s: orders.extend([
            s.sell(size=50, exectype=bt.Order.Limit, price=120.0),  # the bar's high comes too late
            s.buy(size=1, exectype=bt.Order.Limit, price=60.0),
            s.buy(size=1, transmit=False),
        ]),
    })  # fmt: skip
    assert run.broker.exchange.liquidations == 1
    assert run.equity[-1] == pytest.approx(0.0, abs=1e-9)
    assert [trade[:3] for trade in run.closed] == [(3, 7, pytest.approx(-1_000.0))]
    assert [run.states(order)[-1] for order in orders[1:]] == [(3, "Canceled")] * 3
    assert {run.reasons[order.ref] for order in orders[1:]} == {"liquidation"}
    assert not run.broker.get_orders_open()
    assert not run.position


def test_liquidation_closes_every_tradeid_of_the_net_position():
    run = play(make_bars(100.0, 100.0, 100.0, DIP, 100.0), {
        1: lambda s: s.buy(size=60, tradeid=1),
        2: lambda s: s.sell(size=10, tradeid=2),
    })  # fmt: skip
    assert sorted(trade[1:3] for trade in run.closed) == [
        (1, pytest.approx(60 * -20.0)),
        (2, pytest.approx(10 * 20.0)),
    ]
    assert run.equity[-1] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("limit_first", [True, False])
def test_stop_before_the_liquidation_price_comes_first(limit_first):
    def exits(strategy):
        stop = {"exectype": bt.Order.Stop, "price": 85.0}
        limit = {"exectype": bt.Order.Limit, "price": 120.0}
        first = strategy.sell(size=50, **(limit if limit_first else stop))
        strategy.sell(size=50, oco=first, **(stop if limit_first else limit))

    steps = {1: lambda s: s.buy(size=50), 2: exits}
    run = play(make_bars(100.0, 100.0, DIP, 100.0), steps)
    assert run.broker.exchange.liquidations == 0
    assert [trade[2] for trade in run.closed] == [pytest.approx(50 * -15.0)]
    assert run.equity[-1] == pytest.approx(250.0)


def test_limit_at_the_open_comes_before_liquidation():
    run = play(make_bars(100.0, 100.0, (121.0, 121.0, 75.0, 100.0), 100.0), {
        1: lambda s: s.buy(size=50),
        2: lambda s: s.sell(size=50, exectype=bt.Order.Limit, price=120.0),
    })  # fmt: skip
    assert run.broker.exchange.liquidations == 0
    assert run.equity[-1] == pytest.approx(2_050.0)


@pytest.mark.parametrize(
    ("options", "liquidations"),
    [
        ({}, 1),  # at the open: price surely went on to 75
        ({"exectype": bt.Order.Limit, "price": 98.0}, 1),
        ({"exectype": bt.Order.Stop, "price": 120.0}, 0),  # the low may have come before
    ],
)
def test_liquidation_after_an_entry_is_tested_where_it_is_certain(options, liquidations):
    steps = {2: lambda s: s.buy(size=50, **options)}
    bars = make_bars(100.0, 100.0, (100.0, 130.0, 75.0, 125.0), 125.0)
    assert play(bars, steps).broker.exchange.liquidations == liquidations


def test_short_of_a_plain_scheme_is_liquidated_too():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=make_bars(100.0, 100.0, 150.0, 310.0, 100.0)))
    cerebro.broker = FuturesBroker()
    cerebro.broker.setcash(1_000.0)
    cerebro.broker.setcommission(commission=0.0, margin=10.0)
    cerebro.addstrategy(Script, steps={1: lambda s: s.sell(size=10)})
    run = cerebro.run()[0]
    # 10 short at 100: 1,000 are gone at 200; the bar opens at 310, beyond: 1,100 are forgiven.
    assert run.equity == pytest.approx([1_000.0, 1_000.0, 500.0, 0.0, 0.0])
    assert run.broker.account.shortfall == pytest.approx(1_100.0)


def test_funding_is_charged_on_a_net_position():
    start = pd.Timestamp("2024-01-01 03:00", tz="UTC")
    funding = [(int(start.timestamp() * 1000), 0.01)]
    run = play(FLAT, {1: lambda s: s.sell(size=5)}, funding=funding)
    assert run.equity == pytest.approx([1_000.0] * 3 + [1_005.0] * 3)


# ---------------------------------------------------------------------- the script around it
def test_broker_answers_before_and_after_the_run_like_a_stock_one():
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=FLAT), name="btc")
    cerebro.broker = broker = FuturesBroker()
    broker.setcash(5_000.0)
    assert (broker.getvalue(), broker.getcash(), broker.cash) == (5_000.0,) * 3
    steps = {1: lambda s: s.buy(size=3), 3: lambda s: s.broker.add_cash(100.0)}
    cerebro.addstrategy(Script, steps=steps)
    run = cerebro.run()[0]
    assert broker.getvalue() == 5_100.0
    assert broker.getcash() == 5_100.0 - 300.0
    assert broker.getvalue([run.data]) == 300.0
    assert run.positionsbyname["btc"].size == 3.0
    assert broker.positions[run.data].price == 100.0


@pytest.mark.parametrize(
    ("cash", "paid"),
    [
        (-700.0, True),  # the available balance: 1,000 less the margin of 300
        (-700.01, False),
        (-math.inf, False),
        (math.inf, False),
        (math.nan, False),
        (0.0, True),
    ],
)
def test_no_more_is_paid_out_than_is_available(cash, paid, caplog):
    answers = []
    steps = {
        1: lambda s: s.buy(size=30),
        3: lambda s: answers.append(s.broker.add_cash(cash)),
    }
    run = play(FLAT, steps)
    assert answers == [paid]
    assert run.equity[-1] == (1_000.0 + cash if paid else 1_000.0)
    assert ("add_cash: was" in caplog.text) == (not paid)


def test_no_more_is_paid_out_before_the_run_than_the_initial_balance():
    broker = FuturesBroker(cash=1_000.0)
    assert not broker.add_cash(-1_000.01)
    assert broker.add_cash(-400.0)
    assert broker.getvalue() == 600.0


class Opened(bt.Strategy):
    """Buys so much, and says what it was worth."""

    params = (("size", 1),)

    def next(self):
        if len(self) == 2:
            self.buy(size=self.p.size)

    def stop(self):
        self.worth = self.broker.getvalue()


@pytest.mark.parametrize("processes", [1, 2])
def test_optstrategy_begins_every_run_with_the_initial_balance(processes):
    cerebro = bt.Cerebro(stdstats=False, maxcpus=processes, optreturn=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=make_bars(100.0, 100.0, 100.0, 110.0)))
    cerebro.broker = FuturesBroker()
    cerebro.broker.setcash(1_000.0)
    cerebro.optstrategy(Opened, size=[1, 2, 3])
    assert [run[0].worth for run in cerebro.run()] == [1_010.0, 1_020.0, 1_030.0]


@pytest.mark.parametrize("short", [False, True])
def test_order_target_percent_reaches_its_target_either_way(short):
    target = -0.5 if short else 0.5
    steps = {bar: lambda s: s.order_target_percent(target=target) for bar in (1, 3, 4)}
    run = play(FLAT, steps, commission=commission(leverage=1.0))
    assert run.position.size == pytest.approx(5.0 * (-1.0 if short else 1.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda broker: broker.set_coc(True), "cheat-on-close"),
        (lambda broker: broker.set_coo(True), "cheat_on_open"),
        (lambda broker: broker.set_filler(print), "fillers"),
        (lambda broker: broker.set_slippage_fixed(0.5), "set_slippage_perc"),
    ],
)
def test_switch_that_would_change_figures_silently_is_an_error(call, words):
    with pytest.raises(InputError, match=words):
        call(FuturesBroker())


def test_scheme_with_interest_is_an_error():
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=FLAT))
    cerebro.broker = FuturesBroker()
    cerebro.broker.setcommission(commission=0.0, interest=0.1)
    with pytest.raises(InputError, match="funding"):
        cerebro.run()


def test_slippage_of_a_stock_script_is_taken():
    orders = []
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=FLAT))
    cerebro.broker = FuturesBroker(cash=1_000.0)
    cerebro.broker.set_slippage_perc(0.01)
    cerebro.addstrategy(Script, steps={1: keep(orders, lambda s: s.sell(size=1))})
    cerebro.run()
    assert orders[0].executed.price == 99.0


def test_coarser_second_data_does_not_repeat_bars():
    bars = make_bars(*[100.0 + number for number in range(12)])
    seen = []
    for extra in (False, True):
        cerebro = bt.Cerebro(stdstats=False)
        data = bt.feeds.PandasData(
            dataname=bars, timeframe=bt.TimeFrame.Minutes, compression=60
        )
        cerebro.adddata(data)
        if extra:
            cerebro.resampledata(data, timeframe=bt.TimeFrame.Minutes, compression=240)
        cerebro.broker = FuturesBroker(cash=1_000.0)
        steps = {6: lambda s: s.buy(size=1), 8: lambda s: s.close()}
        cerebro.addstrategy(Script, steps=steps)
        run = cerebro.run()[0]
        seen.append([trade[2] for trade in run.closed])
    assert seen == [[2.0], [2.0]]
