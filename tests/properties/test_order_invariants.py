"""Whatever a strategy without a book sends, and whatever the exchange simulates: what always holds.

Random orders of every kind on random bars, with shares of volume, latency, finer bars, a mark,
isolated margin, tiers of leverage, funding and every order of events.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosim_bt import FuturesBroker, FuturesCommission, InverseContract, LinearContract
from cryptosim_bt.accounting.contracts import SIDES, sign
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.broker.back_broker_calls import PLAIN_INSTRUMENT
from cryptosim_bt.exchange.fill_rules import FillRules
from cryptosim_bt.exchange.matching_bars import MatchingBars
from cryptosim_bt.exchange.venue_limits import VenueRules
from tests.broker.order_script import HOUR_MS, QUARTER_MS, hours_of

HOURS = 120
CASH = 1_000.0
RATE = 0.0005
MAX_ORDERS = 12


class Anything(bt.Strategy):
    """Sends orders of every kind at random, and checks the account at every bar."""

    params = (("seed", 0), ("hedge", False))

    def __init__(self):
        self.draw = np.random.default_rng(self.p.seed)
        self.sent, self.orders, self.bits = [], {}, []

    def notify_order(self, order):
        # A copy as it was then; what is sent is kept as it is.
        self.orders.setdefault(order.ref, order)
        for bit in order.executed.iterpending():
            self.bits.append((order, bit))

    def next(self):
        self.check_account()
        draw = self.draw
        self.sent = [order for order in self.sent if order.alive()]
        if self.sent and draw.random() < 0.15:
            self.cancel(self.sent[draw.integers(len(self.sent))])
        if draw.random() < 0.4:
            made = self.bracket() if draw.random() < 0.3 else [self.single()]
            self.orders.update((order.ref, order) for order in made)
            self.sent += made

    def check_account(self):
        account, broker = self.broker.account, self.broker
        assert broker.getvalue() >= -1e-9 * CASH
        executed = defaultdict(float)
        for order, bit in self.bits:
            executed[order.info.side] += bit.size
        for side in SIDES:
            contracts = account.legs[side].contracts
            held = [each.contracts for each in account.groups.values() if each.side == side]
            assert contracts == pytest.approx(sum(held), rel=1e-9, abs=1e-9)
            if self.p.hedge:
                # What this bar has filled is told after it; notifications come before next().
                assert sign(side) * contracts == pytest.approx(executed[side], rel=1e-9, abs=1e-6)
        if not self.p.hedge:
            assert broker.getposition(self.data).size == pytest.approx(
                executed[None], rel=1e-9, abs=1e-6
            )
            assert min(leg.contracts for leg in account.legs.values()) == 0.0
        assert len(broker.get_orders_open()) <= MAX_ORDERS

    def size(self):
        return float(self.draw.integers(1, 40))

    def options(self):
        draw = self.draw
        valid = [None, bt.Order.DAY, timedelta(minutes=int(draw.integers(1, 900)))]
        options = {"valid": valid[int(draw.integers(3))], "tradeid": int(draw.integers(3))}
        if self.p.hedge:
            options["side"] = "long" if draw.random() < 0.5 else "short"
        return options

    def single(self):
        draw, price = self.draw, self.data.close[0]
        near = price * (1.0 + draw.normal(0.0, 0.006))
        kind = int(draw.integers(7))
        options: dict[str, Any] = {**self.options(), "size": self.size(), "exectype": kind}
        options["reduce_only"] = bool(draw.random() < 0.2)
        options["post_only"] = kind == bt.Order.Limit and bool(draw.random() < 0.2)
        if self.sent and draw.random() < 0.3:
            options["oco"] = self.sent[-1]
        if kind not in (bt.Order.Market, bt.Order.Close):
            options["price"] = near
        if kind in (bt.Order.StopLimit, bt.Order.StopTrailLimit):
            options["plimit"] = near * (1.0 + draw.normal(0.0, 0.005))
        if kind in (bt.Order.StopTrail, bt.Order.StopTrailLimit):
            options["trailpercent"] = 0.01
        return (self.buy if draw.random() < 0.5 else self.sell)(**options)

    def bracket(self):
        draw, price = self.draw, self.data.close[0]
        long = draw.random() < 0.5
        options = self.options()
        if self.p.hedge:
            options["side"] = "long" if long else "short"
        stop, limit = (0.994, 1.005) if long else (1.006, 0.995)
        kinds = (bt.Order.Market, bt.Order.Limit, bt.Order.Stop)
        make = self.buy_bracket if long else self.sell_bracket
        return make(
            size=self.size(), exectype=kinds[int(draw.integers(3))], price=price,
            stopprice=price * stop, limitprice=price * limit,
            stopargs={"valid": None}, limitargs={"valid": None}, **options,
        )  # fmt: skip


def quarters(draw: np.random.Generator, spread: float) -> pd.DataFrame:
    """Quarters of an hour, wild enough to liquidate at a leverage of 20."""
    count = 4 * HOURS
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, spread, count)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(draw.normal(0.0, spread / 2, count))
    high = np.maximum(open_, close) * np.exp(np.abs(draw.normal(0.0, spread, count)))
    low = np.minimum(open_, close) * np.exp(-np.abs(draw.normal(0.0, spread, count)))
    index = pd.date_range("2024-01-01 05:00", periods=count, freq="15min")
    volume = draw.integers(0, 40, count).astype(float)
    columns = {"open": open_, "high": high, "low": low, "close": close, "volume": volume}
    return pd.DataFrame(columns, index=index)


cases = st.fixed_dictionaries({
    "seed": st.integers(0, 2**32 - 1),
    "hedge": st.booleans(),
    "fine": st.booleans(),
    "latency_ms": st.sampled_from([0, 1, QUARTER_MS + 1]),
    "share": st.sampled_from([None, 0.1, 0.5]),
    "mark": st.booleans(),
    "isolated": st.booleans(),
    "event_order": st.sampled_from(["rules", "path", "best", "worst"]),
    "inverse": st.booleans(),
    "leverage": st.sampled_from([1.0, 5.0, 20.0, 100.0]),
    "lot": st.sampled_from([0.0, 1.0]),
    "slippage": st.sampled_from([0.0, 0.01]),
})  # fmt: skip


def run(case: dict[str, Any]) -> tuple[Anything, pd.DataFrame]:
    draw = np.random.default_rng(case["seed"])
    matching = quarters(draw, 0.004)
    bars = hours_of(matching)
    if not case["fine"]:
        matching = bars
    mark = None
    if case["mark"]:
        basis = np.exp(draw.normal(0.0, 0.002, len(matching)))
        mark = matching[["open", "high", "low", "close"]].mul(basis, axis=0)
        edges = mark[["open", "close"]]
        mark["high"] = np.maximum(mark["high"], edges.max(axis=1))
        mark["low"] = np.minimum(mark["low"], edges.min(axis=1))
    inverse = case["inverse"]
    contract = InverseContract(100.0) if inverse else LinearContract(1.0)
    first = int(bars.index[0].value // 1_000_000)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.broker = FuturesBroker(
        cash=CASH if not inverse else CASH / 100.0,
        commission=FuturesCommission(
            contract=contract, maker=RATE / 2, taker=RATE, futures_leverage=case["leverage"],
            tiers=MaintenanceTiers.single(0.004), liquidation_fee_rate=0.004,
        ),
        instrument=PLAIN_INSTRUMENT if not case["lot"] else type(PLAIN_INSTRUMENT)(
            PLAIN_INSTRUMENT.symbol, "inverse" if inverse else "linear", 1.0, 1.0, 0.5, 1.0,
            0.004, 0.004,
        ),
        fill_rules=FillRules(
            slippage=case["slippage"], slippage_range=case["slippage"],
            max_volume_share=case["share"], event_order=case["event_order"],
            latency_ms=case["latency_ms"] if case["fine"] else 0,
        ),
        matching_bars=MatchingBars(
            matching.tz_localize("UTC"), mark, matching["volume"].to_numpy()
        ),
        matching_ms=QUARTER_MS if case["fine"] else HOUR_MS,
        has_mark=case["mark"],
        margin_mode="isolated" if case["isolated"] else "cross",
        venue_rules=VenueRules(max_contracts=35.0, max_open_orders=MAX_ORDERS, price_band=0.02),
        funding=[(first + 8 * HOUR_MS * step, 0.0003) for step in range(HOURS // 8)],
    )  # fmt: skip
    cerebro.addstrategy(Anything, seed=case["seed"], hedge=case["hedge"])
    return cerebro.run()[0], matching


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(case=cases)
def test_orders_of_any_strategy_keep_the_account_and_themselves_whole(case: dict[str, Any]) -> None:
    result, matching = run(case)
    account = result.broker.account

    # An order is what was filled and what is left; nothing more fills than a bar's share.
    taken: dict[tuple[int, float], float] = defaultdict(float)
    bits: dict[int, float] = defaultdict(float)
    for order, bit in result.bits:
        bits[order.ref] += bit.size
        if order.info.get("role") is None:
            taken[order.ref, round(bit.dt * 86_400)] += abs(bit.size)
    for ref, order in result.orders.items():
        done = order.executed
        assert bits[ref] == pytest.approx(done.size, abs=1e-9)
        assert done.size + done.remsize == pytest.approx(order.created.size, abs=1e-9)
        assert abs(done.size) <= abs(order.created.size) * (1.0 + 1e-9)
        if order.status == order.Completed:
            assert done.remsize == 0.0
        elif order.status == order.Partial:
            assert done.size
        elif order.status == order.Rejected:
            assert not done.size
            assert order.info.reason
    if case["share"] is not None:
        days = bt.date2num(matching.index[0])
        seconds = (matching.index - matching.index[0]).total_seconds()
        volumes = {
            round(days * 86_400 + after): volume
            for after, volume in zip(seconds, matching["volume"], strict=True)
        }
        for (_, second), contracts in taken.items():
            assert contracts <= case["share"] * volumes[second] * (1.0 + 1e-9)

    # Every movement of the balance has a name.
    moved = sum(bit.pnl - bit.closedcomm - bit.openedcomm for _, bit in result.bits)
    initial = result.broker.startingcash
    expected = initial + moved - account.funding_paid + account.shortfall
    assert account.balance == pytest.approx(expected, abs=1e-9 * initial * (1 + len(result.bits)))


def test_random_cases_meet_what_they_are_for() -> None:
    # So that the test above is about parts, brackets, flips and liquidations at all.
    case = {
        "seed": 4, "hedge": False, "fine": True, "latency_ms": 1, "share": 0.1, "mark": True,
        "isolated": False, "event_order": "rules", "inverse": False, "leverage": 100.0, "lot": 1.0,
        "slippage": 0.01,
    }  # fmt: skip
    seen: set[str] = set()
    liquidations = 0
    for seed in range(4):
        # Whole hours leave more open than quarters.
        result, _ = run({**case, "seed": seed, "fine": seed % 2 == 0})
        liquidations += result.broker.exchange.liquidations
        seen |= {order.getstatusname() for order in result.orders.values()}
        seen |= {"parts" for order in result.orders.values() if len(order.executed.exbits) > 1}
        seen |= {kind for _, kind in result.broker.exchange.ambiguous}
    assert {
        "Completed", "Canceled", "Expired", "Rejected", "Margin", "parts", "entry_and_exit",
        "take_profit_and_stop",
    } <= seen  # fmt: skip
    assert liquidations > 0
