"""What a bar cannot say, under strategies without a book: ambiguous bars, orders of events."""

from __future__ import annotations

import backtrader as bt
import pytest

from cryptosim_bt.exchange.simulated_exchange import FillRules
from tests.broker.order_script import keep, make_bars, play

LIMIT, STOP, MARKET = bt.Order.Limit, bt.Order.Stop, bt.Order.Market
ORDERS = ("rules", "path", "best", "worst")

# Opens and closes at 100, between 95 and 105; its path is down, up and back (R42).
WIDE = (100.0, 105.0, 95.0, 100.0)


def outcomes(bars, steps, **options):
    """Return final equity less 1,000 and the ambiguous bars, under each order of events."""
    found = {}
    for name in ORDERS:
        run = play(bars, steps, fill_rules=FillRules(event_order=name), **options)
        found[name] = (round(run.equity[-1] - 1_000.0, 9), run.ambiguous)
    listed = [kinds for _, kinds in found.values()]
    return {name: money for name, (money, _) in found.items()}, listed


def both(strategy, *, stop_first, oco=True, **options):
    """Send a stop at 97 and a target at 103 for ten."""
    kinds = [{"exectype": STOP, "price": 97.0}, {"exectype": LIMIT, "price": 103.0}]
    first, second = kinds if stop_first else kinds[::-1]
    sent = strategy.sell(size=10, **first, **options)
    return [sent, strategy.sell(size=10, **second, oco=sent if oco else None, **options)]


# ---------------------------------------------------------------------- exit against exit
@pytest.mark.parametrize(("stop_first", "by_age"), [(True, -30.0), (False, 30.0)])
def test_stop_and_target_of_one_bar(stop_first, by_age):
    steps = {1: lambda s: s.buy(size=10), 2: lambda s: both(s, stop_first=stop_first)}
    money, listed = outcomes(make_bars(100.0, 100.0, WIDE, 100.0), steps)
    # By the rules the order that was accepted first, as with backtrader's broker.
    assert money == {"rules": by_age, "best": 30.0, "worst": -30.0, "path": -30.0}
    assert listed[0] == [(3, "take_profit_and_stop")]


def test_stop_and_target_of_a_leg():
    steps = {
        1: lambda s: s.buy(size=10, side="long"),
        2: lambda s: both(s, stop_first=True, oco=False, side="long"),
    }
    money, listed = outcomes(make_bars(100.0, 100.0, WIDE, 100.0), steps)
    assert money == {"rules": -30.0, "best": 30.0, "worst": -30.0, "path": -30.0}
    assert listed[0] == [(3, "take_profit_and_stop")]


@pytest.mark.parametrize("kind", [bt.Order.StopLimit, bt.Order.StopTrail])
def test_other_stops_are_stops(kind):
    options = {bt.Order.StopLimit: {"price": 97.0, "plimit": 96.0},
               bt.Order.StopTrail: {"trailamount": 3.0}}[kind]  # fmt: skip

    def exits(strategy):
        first = strategy.sell(size=10, exectype=LIMIT, price=103.0)
        strategy.sell(size=10, exectype=kind, oco=first, **options)

    steps = {1: lambda s: s.buy(size=10), 2: exits}
    money, listed = outcomes(make_bars(100.0, 100.0, WIDE, 100.0), steps)
    assert money == {"rules": 30.0, "best": 30.0, "worst": -30.0, "path": -30.0}
    assert listed[0] == [(3, "take_profit_and_stop")]


def test_target_that_fills_at_the_open_is_certain():
    steps = {1: lambda s: s.buy(size=10), 2: lambda s: both(s, stop_first=False)}
    money, listed = outcomes(make_bars(100.0, 100.0, (104.0, 105.0, 95.0, 100.0)), steps)
    assert money == dict.fromkeys(ORDERS, 40.0)
    assert listed == [[]] * len(ORDERS)


def test_bar_that_reaches_one_of_them_is_certain():
    steps = {1: lambda s: s.buy(size=10), 2: lambda s: both(s, stop_first=False)}
    money, listed = outcomes(make_bars(100.0, 100.0, (100.0, 102.0, 95.0, 100.0)), steps)
    assert set(money.values()) == {-30.0}
    assert listed == [[]] * len(ORDERS)


# ---------------------------------------------------------------------- entry against exit
def test_entry_and_target_of_one_side():
    # Ten from 100; ten more at 96 and out of all twenty at 103.
    def orders(strategy):
        strategy.sell(size=20, exectype=LIMIT, price=103.0, side="long")
        strategy.buy(size=10, exectype=LIMIT, price=96.0, side="long")

    steps = {1: lambda s: s.buy(size=10, side="long"), 2: orders}
    money, listed = outcomes(make_bars(100.0, 100.0, WIDE, 100.0), steps)
    # Exit first: ten at 103, and ten from 96 at the close of 100. Entry first: twenty at 103.
    exit_first, entry_first = 30.0 + 40.0, 30.0 + 70.0
    assert money == {
        "rules": exit_first, "best": exit_first, "worst": entry_first, "path": entry_first,
    }  # fmt: skip
    assert listed[0] == [(3, "entry_and_exit")]


def test_entry_and_stop_of_one_side():
    def orders(strategy):
        strategy.buy(size=10, exectype=LIMIT, price=96.0)
        strategy.sell(size=10, exectype=STOP, price=97.0)

    steps = {1: lambda s: s.buy(size=10), 2: orders}
    money, listed = outcomes(make_bars(100.0, 100.0, WIDE, 100.0), steps)
    # The fall meets the stop first; ten from 96 are left either way.
    assert set(money.values()) == {-30.0 + 40.0}
    assert listed == [[]] * len(ORDERS)


def test_entry_by_a_stop_and_stop_of_one_side():
    # One lies above the open, one below it.
    def orders(strategy):
        strategy.buy(size=10, exectype=STOP, price=103.0)
        strategy.sell(size=10, exectype=STOP, price=97.0)

    steps = {1: lambda s: s.buy(size=10), 2: orders}
    _, listed = outcomes(make_bars(100.0, 100.0, WIDE, 100.0), steps)
    assert listed == [[(3, "entry_and_exit")]] * len(ORDERS)


# ---------------------------------------------------------------------- what the bar tells
def test_rival_that_the_open_is_beyond_goes_before_an_older_one():
    # The bar opens at 96, below the stop of 97; the older target of 103 comes later.
    steps = {1: lambda s: s.buy(size=10), 2: lambda s: both(s, stop_first=False)}
    money, listed = outcomes(make_bars(100.0, 100.0, (96.0, 105.0, 95.0, 100.0)), steps)
    assert set(money.values()) == {-40.0}
    assert listed == [[]] * len(ORDERS)


def test_rival_that_a_walk_meets_first_goes_before_an_older_one():
    def orders(strategy):
        deep = strategy.buy(size=10, exectype=LIMIT, price=96.0)
        strategy.buy(size=10, exectype=LIMIT, price=98.0, oco=deep)

    money, listed = outcomes(make_bars(100.0, WIDE), {1: orders})
    assert set(money.values()) == {20.0}
    assert listed == [[]] * len(ORDERS)


def test_stop_of_a_leg_closes_what_price_entered_on_its_way():
    # Ten from 100, ten more at 98, and a stop of twenty at 97, sent first.
    def orders(strategy):
        strategy.sell(size=20, exectype=STOP, price=97.0, side="long")
        strategy.buy(size=10, exectype=LIMIT, price=98.0, side="long")

    steps = {1: lambda s: s.buy(size=10, side="long"), 2: orders}
    money, listed = outcomes(make_bars(100.0, 100.0, (100.0, 100.0, 95.0, 100.0), 100.0), steps)
    assert set(money.values()) == {-30.0 - 10.0}
    assert listed == [[]] * len(ORDERS)


def test_own_stop_that_price_meets_before_liquidation_saves_the_position():
    # 50 from the open of 100 with 1,000: gone at 80. The bracket's stop lies at 85.
    bars = make_bars(100.0, (100.0, 105.0, 79.0, 100.0), 100.0)
    steps = {1: lambda s: s.buy_bracket(size=50, exectype=MARKET, stopprice=85.0, limitprice=150.0)}
    for name in ORDERS:
        run = play(bars, steps, fill_rules=FillRules(event_order=name))
        assert run.broker.exchange.liquidations == 0
        assert run.equity[-1] == 1_000.0 - 750.0


def test_limit_that_price_meets_before_liquidation_fills_before_it():
    # 50 from 100 with 1,000: gone at 80. Ten at 98 join them, and all are gone at 4,980 / 60 = 83.
    bars = make_bars(100.0, 100.0, (100.0, 100.0, 79.0, 100.0), 100.0)
    steps = {
        1: lambda s: s.buy(size=50),
        2: lambda s: s.buy(size=10, exectype=LIMIT, price=98.0),
    }
    for name in ORDERS:
        run = play(bars, steps, fill_rules=FillRules(event_order=name))
        assert run.broker.exchange.liquidations == 1
        assert [size for _, _, size, *_ in run.fills][:2] == [50.0, 10.0]


def test_entry_at_the_open_decides_what_the_others_are():
    # Nothing is held as the bar begins; the market order fills first, whatever the others do.
    def orders(strategy):
        strategy.buy(size=10)
        both(strategy, stop_first=True)

    money, listed = outcomes(make_bars(100.0, WIDE, 100.0), {1: orders})
    assert money == {"rules": -30.0, "best": 30.0, "worst": -30.0, "path": -30.0}
    assert listed[0] == [(2, "take_profit_and_stop")]


# ---------------------------------------------------------------------- an entry's own children
def bracket(strategy, **options):
    return strategy.buy_bracket(size=10, stopprice=97.0, limitprice=103.0, **options)


@pytest.mark.parametrize(
    "options", [{"exectype": MARKET}, {"exectype": LIMIT, "price": 100.0}], ids=["market", "limit"]
)
def test_children_that_the_bar_of_the_entry_reaches(options):
    steps = {1: lambda s: bracket(s, **options)}
    money, listed = outcomes(make_bars(100.0, WIDE, 101.0, 101.0), steps)
    # By the rules children wake with the next bar (R12), and nothing is reached there.
    assert money == {"rules": 10.0, "best": 30.0, "worst": -30.0, "path": -30.0}
    assert listed == [[(2, "entry_and_exit")]] * len(ORDERS)


@pytest.mark.parametrize(
    ("entry", "bar", "sold"),
    [
        # Bought at 105, where the market is above the target of 101 already: sold there too.
        ({"exectype": MARKET}, (105.0, 106.0, 104.0, 105.0), 105.0),
        # Bought and sold at the limit that the falling price met.
        ({"exectype": LIMIT, "price": 104.5}, (105.0, 106.0, 104.0, 105.0), 104.5),
        # Bought and sold at the trigger that the rising price met.
        ({"exectype": STOP, "price": 105.5}, (105.0, 106.0, 104.0, 105.0), 105.5),
        # A target that the market has not passed is a target.
        ({"exectype": MARKET}, (100.0, 106.0, 99.0, 105.0), 101.0),
    ],
    ids=["market", "limit", "stop", "below"],
)
def test_target_below_the_market_sells_at_the_market(entry, bar, sold):
    orders = []
    bracket_of_ten = {"size": 10, "stopprice": 90.0, "limitprice": 101.0, **entry}
    steps = {1: keep(orders, lambda s: s.buy_bracket(**bracket_of_ten))}
    run = play(make_bars(100.0, bar, 105.0), steps, fill_rules=FillRules(event_order="best"))
    assert run.parts(orders[2]) == [(2, -10.0, sold)]


def test_target_below_the_market_does_not_sell_at_the_slipped_price_of_its_entry():
    # Bought at 105 + 2 %, which the bar never traded; sold at its open.
    orders = []
    steps = {1: keep(orders, lambda s: s.buy_bracket(size=1, stopprice=90.0, limitprice=101.0,
                                                     exectype=MARKET))}  # fmt: skip
    rules = FillRules(event_order="best", slippage=0.02)
    run = play(make_bars(100.0, (105.0, 106.0, 104.0, 105.0), 105.0), steps, fill_rules=rules)
    assert run.parts(orders[0]) == [(2, 1.0, 107.1)]
    assert run.parts(orders[2]) == [(2, -1.0, 105.0)]


def test_stop_of_an_entry_by_a_stop_is_met_at_worst():
    # In at 102 within the bar; whether 95 came before nobody knows.
    steps = {1: lambda s: bracket(s, exectype=STOP, price=102.0)}
    money, listed = outcomes(make_bars(100.0, WIDE, 101.0, 101.0), steps)
    assert money == {"rules": -10.0, "best": 10.0, "worst": -50.0, "path": 10.0}
    assert listed == [[(2, "entry_and_exit")]] * len(ORDERS)


def test_liquidation_after_an_entry_by_a_stop_is_met_at_worst():
    # 500 at 102 with 6,000: gone at 90, where the bar has been at some time.
    bars = make_bars(100.0, (100.0, 105.0, 89.0, 104.0), 104.0)
    steps = {1: lambda s: s.buy(size=500, exectype=STOP, price=102.0)}
    for name, count in (("rules", 0), ("best", 0), ("worst", 1)):
        rules = FillRules(event_order=name)
        run = play(bars, steps, cash=6_000.0, fill_rules=rules)
        assert run.broker.exchange.liquidations == count


# ---------------------------------------------------------------------- exit against liquidation
def test_target_and_liquidation():
    # 50 from 100 with 1,000: gone at 80.
    steps = {
        1: lambda s: s.buy(size=50),
        2: lambda s: s.sell(size=50, exectype=LIMIT, price=103.0),
    }
    money, listed = outcomes(make_bars(100.0, 100.0, (100.0, 105.0, 79.0, 100.0), 100.0), steps)
    assert money == {"rules": -1_000.0, "best": 150.0, "worst": -1_000.0, "path": 150.0}
    assert listed[0] == [(3, "exit_and_liquidation")]


def test_stop_and_liquidation_come_in_the_order_of_price():
    steps = {
        1: lambda s: s.buy(size=50),
        2: lambda s: s.sell(size=50, exectype=STOP, price=85.0),
    }
    money, listed = outcomes(make_bars(100.0, 100.0, (100.0, 105.0, 79.0, 100.0), 100.0), steps)
    assert set(money.values()) == {-750.0}
    assert listed == [[]] * len(ORDERS)


# ---------------------------------------------------------------------- what stays the same
def test_trailing_stop_moves_once_a_bar_in_every_order_of_events():
    orders = []
    bars = make_bars(100.0, 100.0, 104.0, 108.0, 108.0)
    for name in ORDERS:
        orders.clear()
        play(bars, {
            1: lambda s: s.buy(size=1),
            2: keep(orders, lambda s: s.sell(size=1, exectype=bt.Order.StopTrail, trailamount=5.0)),
            4: keep(orders, lambda s: s.sell(size=1, exectype=LIMIT, price=120.0)),
        }, fill_rules=FillRules(event_order=name))  # fmt: skip
        assert [order.status for order in orders] == [bt.Order.Accepted] * 2


def test_parts_are_taken_once_a_bar_in_every_order_of_events():
    for name in ORDERS:
        orders = []
        rules = FillRules(event_order=name, max_volume_share=0.5)
        run = play(make_bars(100.0, 100.0, WIDE, WIDE), {
            1: lambda s: s.buy(size=8),
            2: keep(orders, lambda s: both(s, stop_first=True)[:1]),
        }, volumes=[0, 100, 6, 100], fill_rules=rules)  # fmt: skip
        assert [abs(size) for _, size, _ in run.parts(orders[0])][:1] in ([3], [])
        for ref in {order.ref for order in run.sent.values()}:
            bars = [bar for bar, sent, *_ in run.fills if sent == ref]
            assert len(bars) == len(set(bars))
