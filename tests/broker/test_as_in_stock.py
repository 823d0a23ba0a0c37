"""What a strategy reads and does beside plain orders: as on stock BackBroker, in every run loop.

Each strategy keeps in ``seen`` what it read; on the same bars that has to be the same with stock
Cerebro and BackBroker, with stock Cerebro and `FuturesBroker`, and with the lean loop.
"""

from __future__ import annotations

import re
from datetime import timedelta
from numbers import Integral
from typing import Any

import backtrader as bt
import numpy as np
import pytest

from cryptosim_bt import FuturesBroker, FuturesCommission, LinearContract
from cryptosim_bt.backtest.lean_loop import ArrayData, LeanCerebro
from cryptosim_bt.errors import InputError
from tests.broker import stock_strategies as stock
from tests.helpers import ROOT
from tests.plain_runs import FractionsOfCoins

BARS = stock.random_bars(250, seed=4)


class Seen(bt.Strategy):
    """Keeps what it sees, and the fills of its orders."""

    def __init__(self):
        self.seen: list[tuple[Any, ...]] = []

    def see(self, *values: Any) -> None:
        self.seen.append((len(self), *values))

    def notify_order(self, order):
        done = order.executed
        if order.status in (order.Partial, order.Completed):
            self.see("fill", done.size, done.price, done.comm, done.pnl)


def seen_by(kind, cerebro=None, data=None, broker=None, cash=1e6, **params) -> list[Any]:
    cerebro = cerebro or bt.Cerebro()
    cerebro.adddata(data if data is not None else bt.feeds.PandasData(dataname=BARS))
    if broker is not None:
        cerebro.broker = broker
    cerebro.broker.setcash(cash)
    cerebro.broker.addcommissioninfo(FractionsOfCoins())
    cerebro.addstrategy(kind, **params)
    return cerebro.run()[0].seen


def assert_as_in_stock(kind, least=15, cerebro=bt.Cerebro, **params) -> list[Any]:
    """Compare the run loops; return what was seen in stock."""
    theirs = seen_by(kind, cerebro(), **params)
    lean = ArrayData(dataname=BARS.tz_localize("UTC"), bar="1h")
    loops = {
        "stock loop": seen_by(kind, cerebro(), broker=FuturesBroker(), **params),
        "lean loop": seen_by(kind, LeanCerebro(), lean, FuturesBroker(), **params),
    }
    assert len(theirs) >= least
    for loop, ours in loops.items():
        assert len(ours) == len(theirs), loop
        for mine, his in zip(ours, theirs, strict=True):
            same(mine, his, loop)
    return theirs


def same(mine: tuple[Any, ...], his: tuple[Any, ...], loop: str) -> None:
    for found, expected in zip(mine, his, strict=True):
        assert isinstance(found, Integral) == isinstance(expected, Integral), (loop, mine, his)
        if isinstance(expected, float):
            close = np.isclose(found, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
            assert close, (loop, mine, his)
        else:
            assert found == expected, (loop, mine, his)


# ---------------------------------------------------------------------- time
class ActsOnTimer(Seen):
    """Knows the bar when its timer rings, and buys where that bar rises."""

    params = (("cheat", False),)

    def __init__(self):
        super().__init__()
        self.add_timer(bt.timer.SESSION_START, cheat=self.p.cheat)

    def notify_timer(self, timer, when, *_, **__):
        self.see("timer", when.isoformat(), self.position.size)
        rises = self.data.close[0] > self.data.open[0]
        if rises and not self.position:
            self.buy(size=1.5)
        elif not rises and self.position:
            self.close()


@pytest.mark.parametrize("cheat", [False, True])
def test_order_of_a_timer_waits_for_the_bar_after_the_one_in_view(cheat):
    assert_as_in_stock(ActsOnTimer, cheat=cheat)


class LimitOnCheatTimer(Seen):
    """Asks, with the bar in view, for its own low."""

    def __init__(self):
        super().__init__()
        self.add_timer(bt.timer.SESSION_START, cheat=True)

    def notify_timer(self, *_, **__):
        self.bar = len(self.data)
        self.buy(size=1.0, exectype=bt.Order.Limit, price=self.data.low[0])

    def notify_order(self, order):
        if order.status == order.Completed:
            self.see(len(self) - self.bar)


def test_limit_of_a_cheat_timer_does_not_fill_in_the_bar_in_view():
    # R12; BackBroker fills it there, at a low that was known.
    waited = [row[1] for row in seen_by(LimitOnCheatTimer, broker=FuturesBroker())]
    assert waited
    assert min(waited) >= 1
    assert min(row[1] for row in seen_by(LimitOnCheatTimer)) == 0


class OpensEarly(Seen):
    def next_open(self):
        self.see(self.position.size)
        if len(self) % 5 == 0 and not self.position:
            self.buy(size=2)
        elif self.position:
            self.close()


def test_next_open_without_a_cheating_broker_is_as_in_stock():
    def cheating() -> bt.Cerebro:
        return bt.Cerebro(cheat_on_open=True, broker_coo=False)

    theirs = seen_by(OpensEarly, cheating())
    ours = seen_by(OpensEarly, cheating(), broker=FuturesBroker())
    assert sum(row[1] == "fill" for row in theirs) >= 15
    for mine, his in zip(ours, theirs, strict=True):
        same(mine, his, "next_open")


class ReadsEverything(Seen):
    """A mean of twenty closes: `exactbars` keeps twenty closes, and one of all other lines."""

    def __init__(self):
        super().__init__()
        self.mean = bt.ind.SMA(period=20)

    def next(self):
        self.see(self.data.close[0], self.broker.getvalue(), self.position.size)
        if self.data.close[0] > self.mean[0] and not self.position:
            self.buy(size=3.5)
        elif self.data.close[0] < self.mean[0] and self.position:
            self.close()


@pytest.mark.parametrize("exactbars", [1, -1, -2, False])
def test_exactbars_read_the_same_bars(exactbars):
    assert_as_in_stock(ReadsEverything, cerebro=lambda: bt.Cerebro(exactbars=exactbars))


# ---------------------------------------------------------------------- orders
class ReadsItsTrail(Seen):
    """Leaves before its trailing stop is met: it reads where that stands."""

    params = (("exectype", bt.Order.StopTrail), ("trail", {"trailpercent": 0.03}))

    def next(self):
        if not self.position and not getattr(self, "stop_order", None):
            self.buy(size=2)
            close = self.data.close[0]
            limit = {"price": close, "plimit": close * 0.99}
            options = limit if self.p.exectype == bt.Order.StopTrailLimit else {}
            self.stop_order = self.sell(
                size=2, exectype=self.p.exectype, **options, **self.p.trail
            )
        elif self.stop_order and self.stop_order.alive():
            made = self.stop_order.created
            self.see(made.price, made.pricelimit, self.stop_order.alive())
            if self.data.close[0] < made.price * 1.01:
                self.cancel(self.stop_order)
                self.close()
                self.stop_order = None
        else:
            self.stop_order = None


@pytest.mark.parametrize("exectype", [bt.Order.StopTrail, bt.Order.StopTrailLimit])
@pytest.mark.parametrize("trail", [{"trailpercent": 0.03}, {"trailamount": 2.5}])
def test_created_price_of_a_trailing_stop_follows(exectype, trail):
    assert_as_in_stock(ReadsItsTrail, exectype=exectype, trail=trail)


class ReadsItsOrders(Seen):
    """Limits that rest, fill and expire, and what an order says of itself at each state."""

    def notify_order(self, order):
        made, done = order.created, order.executed
        self.see(order.getstatusname(), order.size, order.plen, order.alive(), order.valid)
        self.see(made.remsize, made.pclose, done.remsize, done.psize, done.pprice, len(done))

    def next(self):
        if len(self) % 6 == 1:
            send = self.sell if self.position else self.buy
            side = 1.004 if self.position else 0.996
            price = self.data.close[0] * side
            send(size=2, exectype=bt.Order.Limit, price=price, valid=timedelta(hours=4))


def test_what_an_order_says_of_itself_is_stocks():
    assert_as_in_stock(ReadsItsOrders)


class HeedsRivals(Seen):
    """Trades by which of a group is told of first."""

    def __init__(self):
        super().__init__()
        self.group = []

    def notify_order(self, order):
        super().notify_order(order)
        if order.status == order.Canceled and self.group:
            leg = next(i for i, each in enumerate(self.group) if each.ref == order.ref)
            self.see("leg", leg)
            self.buy(size=1 + leg)
            self.group = []

    def next(self):
        price = self.data.close[0]
        if len(self) % 20 == 5:
            first = self.buy(exectype=bt.Order.Limit, price=price * 0.995)
            others = [
                self.buy(exectype=bt.Order.Limit, price=price * share, oco=first)
                for share in (0.9, 0.8, 0.7)
            ]
            self.group = [first, *others]
        if len(self) % 20 == 15:
            self.close()


def test_rivals_are_told_of_in_stocks_order():
    assert_as_in_stock(HeedsRivals)


# ---------------------------------------------------------------------- sizes and positions
class CountsCoins(Seen):
    params = (("size", 3),)

    def next(self):
        self.see(self.position.size, self.position.price, self.position.upopened)
        if len(self) % 8 == 1:
            order = self.buy(size=self.p.size)
            self.see(order.size, order.created.size, order.executed.remsize)
        if len(self) % 8 == 4 and isinstance(self.position.size, Integral):
            for _ in range(self.position.size):
                self.sell(size=1)
        elif len(self) % 8 == 4:
            self.sell(size=self.position.size + 1)
        if len(self) % 8 == 7:
            self.close()

    def notify_trade(self, trade):
        self.see("trade", trade.size, trade.price, trade.pnlcomm, trade.barlen)


@pytest.mark.parametrize("size", [3, 2.5, 2.0, np.int64(4)])
def test_whole_sizes_stay_whole(size):
    assert_as_in_stock(CountsCoins, size=size)


class KeepsPosition(Seen):
    def start(self):
        self.kept = self.getposition(self.data)

    def next(self):
        self.see(self.kept.size, self.kept.price, len(self.kept), bool(self.kept))
        assert self.broker.positions[self.data] is self.kept
        if not self.kept.size:
            self.buy(size=2)
        elif len(self) % 5 == 0:
            self.sell(size=3) if len(self) % 2 else self.close()

    def notify_order(self, order):
        super().notify_order(order)
        self.see(order.status, self.kept.size, self.kept.price)


def test_position_asked_for_once_goes_on():
    assert_as_in_stock(KeepsPosition)


# ---------------------------------------------------------------------- lines
class OwnLines(Seen):
    """Writes a line each bar, reads it back, and reads one that `__init__` made."""

    lines = ("signal", "spread")

    def __init__(self):
        super().__init__()
        self.mean = bt.ind.SMA(period=5)
        self.lines.spread = self.data.close - self.mean

    def next(self):
        above = self.data.close[0] > self.mean[0]
        self.lines.signal[0] = 1.0 if above else -1.0
        self.see(self.lines.signal[0], self.lines.signal[-1], self.lines.spread[0])
        if self.lines.signal[0] > 0 > self.lines.signal[-1]:
            self.buy(size=1)
        elif self.lines.signal[0] < 0 and self.position:
            self.close()


def test_lines_of_its_own_are_stocks():
    assert_as_in_stock(OwnLines)


# ---------------------------------------------------------------------- money
class Fund(Seen):
    """Pays money in and out, and reads what a share of the fund is worth."""

    params = (("mode", True), ("start", None))

    def start(self):
        self.broker.set_fundmode(self.p.mode, self.p.start)

    def notify_fund(self, cash, value, fundvalue, shares):
        self.see("fund", cash, value, fundvalue, shares)

    def next(self):
        broker = self.broker
        self.see(broker.get_fundvalue(), broker.get_fundshares(), broker.fundmode)
        self.see(broker.fundvalue, broker.fundshares, broker.get_fundmode())
        if len(self) % 10 == 1:
            self.buy(size=2)
        if len(self) % 10 == 6:
            self.close()
        if len(self) % 50 == 25:
            broker.add_cash(-500.0 if len(self) % 100 == 25 else 2_000.0)


@pytest.mark.parametrize("start", [None, 1.0])
def test_fund_values_are_stocks(start):
    # A payment: stock books it at the next bar's close, so the share it buys costs the same.
    theirs = seen_by(Fund, cash=1_000.0, start=start)
    ours = seen_by(Fund, broker=FuturesBroker(), cash=1_000.0, start=start)
    lean = ArrayData(dataname=BARS.tz_localize("UTC"), bar="1h")
    fast = seen_by(Fund, LeanCerebro(), lean, FuturesBroker(), cash=1_000.0, start=start)
    for mine in (ours, fast):
        for found, expected in zip(mine, theirs, strict=True):
            same(found, expected, "fund")


class SetsItsMoney(Seen):
    params = (("where", "init"),)

    def __init__(self):
        super().__init__()
        if self.p.where == "init":
            self.set_money()

    def start(self):
        if self.p.where == "start":
            self.set_money()

    def set_money(self):
        self.broker.setcash(5_000.0)
        self.broker.setcommission(commission=0.002)

    def next(self):
        self.see(self.broker.getvalue(), self.broker.getcash(), self.broker.startingcash)
        if len(self) % 10 == 1:
            self.buy(size=4)
        elif len(self) % 10 == 5:
            self.close()
        if self.p.where == "next" and len(self) == 5:
            self.set_money()


@pytest.mark.parametrize("where", ["init", "start"])
def test_money_set_by_a_strategy_before_its_first_bar_counts(where):
    theirs = assert_as_in_stock(SetsItsMoney, where=where)
    assert theirs[0][1] == 5_000.0


@pytest.mark.parametrize(
    "call",
    [
        lambda broker: broker.setcash(1.0),
        lambda broker: broker.set_cash(1.0),
        lambda broker: broker.setcommission(commission=0.1),
        lambda broker: broker.addcommissioninfo(FractionsOfCoins()),
        lambda broker: broker.set_slippage_perc(0.1),
    ],
)
def test_money_set_in_the_middle_of_a_run_is_refused_by_name(call):
    class Late(Seen):
        def next(self):
            if len(self) == 5:
                call(self.broker)

    with pytest.raises(InputError, match=r"broker\.\w+: called in the middle of a run"):
        seen_by(Late, broker=FuturesBroker())


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_every_call_of_backbroker_is_there():
    # Its inner steps, which a script has no use for.
    inner = {"check_submitted", "transmit", "submit_accept", "submit", "init"}
    assert public(bt.brokers.BackBroker) - inner - public(FuturesBroker) == set()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda broker: broker.set_shortcash(False), "set_shortcash: was False"),
        (lambda broker: broker.get_leverage(), "getcommissioninfo"),
        (lambda broker: broker.add_order_history([]), "add_order_history"),
        (lambda broker: broker.set_fund_history([]), "set_fund_history"),
    ],
)
def test_call_that_cannot_be_answered_is_refused_by_name(call, words):
    with pytest.raises(InputError, match=words):
        call(FuturesBroker())


class Switches(Seen):
    """Throws the switches that change nothing, and asks after its orders."""

    def __init__(self):
        super().__init__()
        self.broker.set_shortcash(True)
        self.broker.set_int2pnl(True)
        self.broker.set_eosbar(True)
        self.broker.seteosbar(False)
        self.broker.set_checksubmit(True)
        self.heard = []

    def notify_order(self, order):
        self.heard.append(order)

    def next(self):
        self.see(self.broker.getvalue(mkt=True), self.broker.getvalue(lever=True))
        self.see(self.broker.get_value_lever(), self.broker.getvalue([self.data]))
        if len(self) % 7 == 1:
            self.buy(size=1.0, exectype=bt.Order.Close)
        if len(self) % 7 == 5:
            self.close()


def test_switches_without_effect_are_taken():
    assert_as_in_stock(Switches)


def test_orderstatus_is_that_of_now_whatever_the_copy():
    class Asks(Seen):
        def notify_order(self, order):
            if not hasattr(self, "copy"):
                self.copy = order  # as it was sent

        def next(self):
            if len(self) == 1:
                self.buy(exectype=bt.Order.Limit, price=1.0)
            if len(self) == 3:
                self.see(self.copy.status, self.broker.orderstatus(self.copy))

    seen = seen_by(Asks, broker=FuturesBroker())
    assert seen == [(3, bt.Order.Submitted, bt.Order.Accepted)]


def test_scheme_shows_what_scripts_read_of_one():
    scheme = FuturesCommission(
        contract=LinearContract(0.01), maker=0.0002, taker=0.0005, futures_leverage=5.0
    )
    shown = scheme.p
    assert (shown.commission, shown.mult, shown.leverage) == (0.0005, 0.01, 5.0)
    assert (shown.margin, scheme.margin, scheme.get_leverage()) == (None, None, 5.0)
    # Ten contracts of 0.01 coins at 100: 10 of value, 0.005 of fee, 2 of margin.
    assert scheme.getcommission(10, 100.0) == pytest.approx(0.005)
    assert scheme.getoperationcost(10, 100.0) == pytest.approx(2.0)
    with pytest.raises(InputError, match=r"commission was 0\.001; give the rates"):
        FuturesCommission(commission=0.001)


# ---------------------------------------------------------------------- what differs
def test_fractions_leave_no_dust():
    class Fractions(Seen):
        def next(self):
            if len(self) in (2, 3):
                self.buy(size=0.1 * (len(self) - 1))
            if len(self) == 4:
                self.sell(size=0.3)
            if len(self) == 6:
                self.see(self.position.size)

    assert seen_by(Fractions)[-1][1] == pytest.approx(0.0, abs=1e-15)
    assert seen_by(Fractions)[-1][1] != 0.0  # 0.1 + 0.2 is more than 0.3
    assert seen_by(Fractions, broker=FuturesBroker())[-1] == (6, 0.0)


class HearsStates(Seen):
    """Keeps the states of its orders by their number, from the first on."""

    def notify_order(self, order):
        self.first = getattr(self, "first", order.ref)
        self.see(order.ref - self.first, order.getstatusname())


def test_children_of_a_bracket_need_no_margin():
    # Money for 1.5 of the coins: a short of one, as a child, costs nothing; here the stop is one.
    class Bracket(HearsStates):
        def next(self):
            if len(self) == 2:
                self.sell_bracket(
                    size=1, exectype=bt.Order.Market, stopprice=500.0, limitprice=1.0
                )

    refused = ("Margin", "Rejected")
    ours = seen_by(Bracket, broker=FuturesBroker(), cash=150.0)
    assert not [row for row in ours if row[2] in refused]
    assert [row for row in seen_by(Bracket, cash=150.0) if row[2] in refused]


def test_children_end_with_a_parent_that_its_rivals_end():
    class Rivals(HearsStates):
        def next(self):
            if len(self) == 2:
                first = self.buy(size=1, exectype=bt.Order.Limit, price=self.data.close[0] * 2)
                parent = self.buy(
                    size=1, exectype=bt.Order.Limit, price=1.0, oco=first, transmit=False
                )
                self.sell(size=1, exectype=bt.Order.Limit, price=900.0, parent=parent)

    ours = seen_by(Rivals, broker=FuturesBroker())
    assert {row[1] for row in ours if row[2] == "Canceled"} == {1, 2}
    assert {row[1] for row in seen_by(Rivals) if row[2] == "Canceled"} == {1}


def test_every_difference_that_is_told_has_its_test():
    text = (ROOT / "docs" / "order-types.md").read_text(encoding="utf-8")
    told = text.partition("## Where it differs from backtrader's broker")[2]
    rows = [line.split(" | ") for line in told.splitlines() if line.startswith("| ")][1:]
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/*/test_*.py"))
    assert len(rows) >= 20
    for row in rows:
        names = re.findall(r"`(test_\w+)`", row[-1])
        assert names, row
        for name in names:
            assert f"def {name}(" in tests, name
