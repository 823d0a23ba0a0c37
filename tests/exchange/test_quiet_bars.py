"""A bar between the prices that matter to orders is skipped: nothing may differ from trying it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.broker.commission import FuturesCommission, scheme_of
from cryptosim_bt.broker.order_margin import OrderMargin
from cryptosim_bt.exchange.fill_rules import FillRules
from cryptosim_bt.exchange.order_book import NEVER_MS, Order
from cryptosim_bt.exchange.order_types import TRAILING, WITH_LIMIT, WITH_TRIGGER, OrderType, Trail
from cryptosim_bt.exchange.simulated_exchange import SimulatedExchange

HOUR_MS = 3_600_000
BARS = 600
KINDS = tuple(OrderType)
GROUPS: dict[Any, int] = {"long": -1, "short": -2}


class Watchful(SimulatedExchange):
    """Tries every order in every bar."""

    def _quiet_bounds(self, mark: float) -> tuple[float, float, float, float]:
        super()._quiet_bounds(mark)
        return np.inf, -np.inf, np.inf, -np.inf

    def next_bar(self, values: Any) -> None:
        self.unsettle()
        super().next_bar(values)


class Diary:
    """Writes down what the exchange tells."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def entry_group(self, order: Order) -> int:
        return order.groups[order.opens]

    def filled(self, order: Order | None, executions: tuple[Any, ...]) -> None:
        self.lines.append(("filled", order and order.key, executions))

    def triggered(self, order: Order) -> None:
        self.lines.append(("triggered", order.key))

    def resized(self, order: Order) -> None:
        self.lines.append(("resized", order.key, order.contracts))

    def ended(self, order: Order, end: Any, reason: str) -> None:
        self.lines.append(("ended", order.key, end, reason))

    def funded(self, funding: Any) -> None:
        self.lines.append(("funded", funding))

    def forgiven(self, shortfall: float) -> None:
        self.lines.append(("forgiven", shortfall))


def made_bars(seed: int) -> list[tuple[Any, ...]]:
    """Bars of a seeded walk around 1,000 whose volume is nothing at times."""
    random = np.random.default_rng(seed)
    bars, price = [], 1_000.0
    for row in range(BARS):
        close = round(price * float(np.exp(random.normal(0.0, 0.004))), 1)
        high = max(price, close) + round(abs(random.normal(0.0, 2.0)), 1)
        low = min(price, close) - round(abs(random.normal(0.0, 2.0)), 1)
        prices = (price, high, low, close)
        bars.append((row * HOUR_MS, *prices, *prices, float(random.integers(0, 40))))
        price = close
    return bars


def random_order(random: np.random.Generator, key: int, now_ms: int, price: float) -> Order:
    """Return an order of any type whose prices lie within a few per cent."""
    kind = KINDS[random.integers(len(KINDS))]
    is_buy = bool(random.integers(2))
    near = [round(price * (1.0 + random.uniform(-0.03, 0.03)), 1) for _ in range(2)]
    distance = float(random.uniform(0.002, 0.03))
    trail = Trail(price * distance if key % 2 else 0.0, distance, 1.0)
    if kind in TRAILING:
        near[0] = round(price * (1.0 + distance if is_buy else 1.0 - distance), 1)
    return Order(
        key, kind, is_buy, float(random.integers(1, 30)),
        side=None,
        trigger=near[0] if kind in WITH_TRIGGER else np.nan,
        limit=near[1] if kind in WITH_LIMIT else np.nan,
        groups=GROUPS,
        expires_ms=now_ms + int(random.integers(1, 90)) * HOUR_MS if key % 3 == 0 else None,
        reduce_only=key % 5 == 0,
        post_only=kind is OrderType.LIMIT and key % 4 == 0,
        trail=trail if kind in TRAILING else None,
        session_end_ms=now_ms + 24 * HOUR_MS - 1 if kind is OrderType.CLOSE else np.inf,
    )  # fmt: skip


def diary_of(made: type[SimulatedExchange], seed: int, rules: FillRules, tick: float) -> list[Any]:
    """Run random orders through an exchange; return all that it told, and what it holds."""
    random, diary = np.random.default_rng(seed), Diary()
    instrument = Instrument("BTC/USD:BTC", "inverse", 1.0, 1.0, tick, 1.0, 0.01, 0.01)
    scheme = FuturesCommission(  # type: ignore[call-arg]  # by its metaclass
        contract=instrument.contract(), maker=0.0002, taker=0.0005, futures_leverage=20.0
    )
    account = Account(scheme_of(scheme, 0.01), 0.004)
    funding = [(row * 8 * HOUR_MS, 0.0001) for row in range(BARS // 8)]
    exchange = made(account, instrument, rules, HOUR_MS, funding, diary)
    exchange.use_money(OrderMargin(account, exchange, scheme))
    key = 0
    for values in made_bars(seed):
        exchange.next_bar(values)
        diary.lines.append((values[0], account.balance))
        if random.random() < 0.08:
            for member in range(1 + int(random.integers(3))):
                parent = key - member + 1 if member and random.random() < 0.5 else None
                key += 1
                order = random_order(random, key, values[0], values[4])
                asleep = parent is not None and exchange.find(parent) is not None
                exchange.relations.add(key, parent=parent if asleep else None)
                exchange.place(order, asleep=asleep)
        if random.random() < 0.03:
            for order in exchange.working()[:1]:
                exchange.cancel(order, "cancelled")
    left = [(each.key, each.kind, each.trigger, each.limit, each.contracts, each.triggered)
            for each in exchange.working()]  # fmt: skip
    return [*diary.lines, left, exchange.ambiguous, exchange.liquidations]


@pytest.mark.parametrize("event_order", ["rules", "best", "worst", "path"])
@pytest.mark.parametrize(
    ("rules", "tick"),
    [
        ({}, 0.1),
        ({"through": True, "slippage": 0.001}, 0.5),
        ({"max_volume_share": 0.3}, 0.0),
        ({"latency_ms": 2 * HOUR_MS, "price_improvement": False}, 0.1),
    ],
)
def test_skipped_bars_change_nothing(
    rules: dict[str, Any], tick: float, event_order: Any
) -> None:
    how = FillRules(**rules, event_order=event_order)
    for seed in range(6):
        skipping = diary_of(SimulatedExchange, seed, how, tick)
        assert skipping == diary_of(Watchful, seed, how, tick)


def test_random_orders_meet_all_that_can_happen() -> None:
    runs = [diary_of(SimulatedExchange, seed, FillRules(), 0.1) for seed in range(6)]
    lines = [line for run in runs for line in run]
    told = {line[0] for line in lines if isinstance(line, tuple)}
    ends = {line[2].value for line in lines if isinstance(line, tuple) and line[0] == "ended"}
    assert told >= {"filled", "ended", "funded"}
    assert ends >= {"cancelled", "expired", "margin"}
    assert sum(run[-1] for run in runs) > 0  # liquidations
    assert any(run[-2] for run in runs)  # ambiguous bars


@pytest.mark.parametrize(
    ("order", "between"),
    [
        (Order(1, OrderType.LIMIT, True, 1.0, limit=90.0), (90.0, np.inf)),
        (Order(1, OrderType.LIMIT, False, 1.0, limit=90.0), (-np.inf, 90.0)),
        (Order(1, OrderType.STOP, True, 1.0, trigger=90.0), (-np.inf, 90.0)),
        (Order(1, OrderType.STOP_LIMIT, False, 1.0, trigger=90.0, limit=80.0), (90.0, np.inf)),
        (Order(1, OrderType.MARKET, True, 1.0), (np.inf, -np.inf)),
        (Order(1, OrderType.CLOSE, True, 1.0, session_end_ms=5.0), (-np.inf, np.inf)),
        (Order(1, OrderType.LIMIT, True, 1.0, limit=90.0, active_ms=NEVER_MS), (-np.inf, np.inf)),
    ],
)
def test_order_leaves_bars_alone_between_its_prices(
    order: Order, between: tuple[float, float]
) -> None:
    assert order.quiet_between() == between


@pytest.mark.parametrize(
    ("trail", "is_buy", "follows"),
    # Trigger 90: a sell follows closes above 90 + 10, and 90 / 0.9; a buy those below 90 - 10.
    [(Trail(10.0), False, 100.0), (Trail(0.0, 0.1), False, 100.0), (Trail(10.0), True, 80.0)],
)
def test_trailing_stop_wants_to_see_the_closes_that_move_it(
    trail: Trail, is_buy: bool, follows: float
) -> None:
    order = Order(1, OrderType.TRAILING_STOP, is_buy, 1.0, trigger=90.0, trail=trail)
    floor, ceiling = order.quiet_between()
    assert (ceiling, floor)[is_buy] == pytest.approx(follows, rel=1e-6)
    assert (floor, ceiling)[is_buy] == 90.0
