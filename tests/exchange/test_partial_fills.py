"""Partial fills: an order takes a share of a bar's volume, the rest of it goes on working."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosim_bt import Result
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.exchange.fill_rules import Bar, EventOrder, FillRules, Matcher
from tests.exchange_runs import (
    assert_money_is_kept,
    assert_same_result,
    exchange_run,
    happened,
    outcome,
)
from tests.helpers import HOUR_MS, NEW_YEAR_MS, PLAIN, changed, hours

pytestmark = pytest.mark.usefixtures("quiet_framework")

Prices = tuple[float, float, float, float]
QUIET: Prices = (100.0, 100.0, 100.0, 100.0)
AWAY: Prices = (101.0, 101.0, 101.0, 101.0)
RULES = changed(
    PLAIN, position_size=10.0, initial_balance=10_000.0, order_cancel_timeout=4 * 3600.0,
    take_profit_pct=0.02,
)  # fmt: skip


def run(
    prices: Sequence[Prices],
    signals: Mapping[int, int],
    volumes: Sequence[float],
    rules: Mapping[str, Any] = RULES,
    mode: str = "cross",
    event_order: EventOrder = "rules",
) -> Result:
    changes = {
        "trading": {"margin_mode": mode},
        "backtest": {"fill": {"max_volume_share": 0.5}},
    }
    prepared = exchange_run(hours(*prices), signals, rules, changes, volumes=volumes)
    result = outcome(prepared, event_order)
    assert_money_is_kept(result, rules["initial_balance"])
    return result


# ---------------------------------------------------------------------- how much
@pytest.mark.parametrize(
    ("share", "volume", "lot", "left", "filled"),
    [
        (0.1, 100.0, 1.0, 50.0, 10.0),
        (0.1, 100.0, 1.0, 4.0, 4.0),
        (0.1, 59.0, 1.0, 50.0, 5.0),
        (0.1, 9.0, 1.0, 50.0, 0.0),
        (0.1, 9.0, 0.01, 50.0, 0.9),
        (0.1, 9.87, 0.0, 50.0, 0.987),
        (1.0, 0.0, 0.0, 50.0, 0.0),
        (None, 0.0, 1.0, 50.0, 50.0),
        # 0.3 * 10 is 2.9999999999999996 in floats: a multiple of the lot all the same.
        (0.3, 10.0, 1.0, 50.0, 3.0),
    ],
)
def test_bar_fills_a_share_of_its_volume_cut_down_to_the_lot(
    share: float | None, volume: float, lot: float, left: float, filled: float
) -> None:
    # R34.
    instrument = Instrument("BTC/USDT:USDT", "linear", 1.0, lot, 0.5, lot, 0.004, 0.004)
    matcher = Matcher(instrument, FillRules(max_volume_share=share))
    bar = Bar(0, *QUIET, *QUIET, volume)
    assert matcher.quantity(left, bar) == pytest.approx(filled, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "unit", "contracts"),
    # 3 coins, or 150,000 USD, traded at 50,000: 1,500 contracts of 100 USD, or 300 of 0.01 coin.
    [("inverse", "base", 1500.0), ("inverse", "quote", 0.03), ("inverse", "contracts", 3.0),
     ("linear", "base", 300.0), ("linear", "quote", 0.006), ("linear", "contracts", 3.0)],
)
def test_volume_of_3_is_counted_in_contracts(kind: Any, unit: Any, contracts: float) -> None:
    size = 100.0 if kind == "inverse" else 0.01
    instrument = Instrument("BTC/USD:BTC", kind, size, 1.0, 0.1, 1.0, 0.004, 0.004)
    assert instrument.volume_contracts(3.0, 50_000.0, unit) == pytest.approx(contracts)


# ---------------------------------------------------------------------- entries
def test_entry_that_fills_over_three_bars_is_one_transaction() -> None:
    # R35.
    prices = [QUIET, QUIET, QUIET, QUIET, (100.0, 102.0, 100.0, 102.0)]
    result = run(prices, {0: 1}, [0, 8, 8, 8, 100])
    # 4, 4 and the last 2; then one take-profit and one trade.
    assert happened(result) == [
        (1, "entry", 4.0, 100.0, "maker"),
        (2, "entry", 4.0, 100.0, "maker"),
        (3, "entry", 2.0, 100.0, "maker"),
        (4, "take_profit", 10.0, 102.0, "maker"),
    ]
    assert len(result.trades) == 1
    trade = result.trades.iloc[0]
    assert trade["contracts"] == 10.0
    assert trade["net_pnl"] == pytest.approx(20.0)
    entry = result.orders.iloc[0]
    assert (entry["status"], entry["filled_contracts"], entry["contracts"]) == ("filled", 10, 10)


def test_first_part_at_the_open_and_the_rest_at_the_limit_have_their_average() -> None:
    # R15: the first bar opens better, at 98 as taker; later parts fill at 100 as maker.
    prices = [QUIET, (98.0, 99.0, 98.0, 99.0), QUIET]
    result = run(prices, {0: 1}, [0, 12, 100], changed(RULES, use_tp=False))
    assert happened(result) == [(1, "entry", 6.0, 98.0, "taker"), (2, "entry", 4.0, 100.0, "maker")]
    average = (6.0 * 98.0 + 4.0 * 100.0) / 10.0
    assert result.bars["long_average"].iloc[-1] == pytest.approx(average)
    assert result.orders.iloc[0]["fill_price"] == pytest.approx(average)


def test_margin_of_an_entry_is_that_of_what_is_left_of_it() -> None:
    result = run([QUIET] * 4, {0: 1}, [0, 8, 8, 8])
    # Leverage 5: 1,000 / 5 all the time, of the order, of both, of the leg.
    assert result.bars["margin"].tolist() == pytest.approx([200.0] * 4)


def test_entry_that_expires_with_something_filled_counts_as_a_transaction() -> None:
    rules = changed(RULES, order_cancel_timeout=3600.0, position_set_size=2)
    prices = [QUIET, QUIET, QUIET, QUIET, QUIET]
    result = run(prices, {0: 1, 2: 1}, [0, 8, 0, 100, 0], rules)
    assert result.orders["status"].tolist()[0] == "expired"
    assert result.orders["filled_contracts"].iloc[0] == 4.0
    assert result.summary["orders_expired"] == 1
    # With the second entry there are two Transactions: a set of 4 + 10 contracts.
    assert result.sets["entries"].tolist() == [2]
    assert result.sets["contracts"].tolist() == [14.0]


def test_entry_that_expires_in_part_leaves_the_take_profit_alone() -> None:
    rules = changed(RULES, order_cancel_timeout=3600.0)
    # Expired at the start of bar 2, in which the take-profit is met.
    result = run([QUIET, QUIET, (100.0, 102.0, 100.0, 102.0)], {0: 1}, [0, 8, 100], rules)
    assert happened(result) == [
        (1, "entry", 4.0, 100.0, "maker"),
        (2, "take_profit", 4.0, 102.0, "maker"),
    ]


def test_entry_that_expires_with_nothing_filled_counts_for_nothing() -> None:
    rules = changed(RULES, order_cancel_timeout=3600.0)
    result = run([QUIET] * 3, {0: 1}, [0, 1, 100], rules)
    assert happened(result) == []
    assert result.summary["orders_expired"] == 1


# ---------------------------------------------------------------------- sets
def test_set_waits_until_every_transaction_is_complete() -> None:
    # R35: a set is made when every Transaction of the Position is done.
    # Two make a set. The second entry is placed while the first still fills.
    rules = changed(RULES, position_set_size=2)
    result = run([QUIET] * 6, {0: 1, 1: 1}, [0, 8, 8, 16, 16, 16], rules)
    # Each order takes 4, 4 and 8 of its bars: the first has 4, 8, 10, the second 4, 10. In bar 2
    # there are two Transactions, neither complete; the set is made in bar 3, when both are.
    assert result.bars["long_contracts"].tolist() == [0.0, 4.0, 12.0, 20.0, 20.0, 20.0]
    assert result.bars["long_sets"].tolist() == [0, 0, 0, 1, 1, 1]
    assert result.sets["contracts"].tolist() == [20.0]
    assert result.sets["entries"].tolist() == [2]


def test_set_is_made_when_the_last_growing_entry_expires() -> None:
    rules = changed(RULES, position_set_size=2, order_cancel_timeout=7200.0)
    # The second entry has 3 of its 10 when its time has passed at the start of bar 4.
    result = run([QUIET, QUIET, QUIET, QUIET, QUIET], {0: 1, 1: 1}, [0, 100, 6, 0, 0], rules)
    assert result.bars["long_sets"].tolist() == [0, 0, 0, 0, 1]
    assert result.sets["contracts"].tolist() == [13.0]


# ---------------------------------------------------------------------- exits
def test_partial_exit_takes_from_every_transaction_pro_rata() -> None:
    # R36.
    prices = [QUIET, QUIET, QUIET, (100.0, 102.0, 100.0, 102.0), (102.0, 103.0, 102.0, 103.0)]
    result = run(prices, {0: 1, 1: 1}, [0, 100, 100, 10, 100])
    # 5 of 20 in bar 3, the rest in bar 4, each Transaction closed at the end of it.
    assert happened(result)[2:] == [
        (3, "take_profit", 5.0, 102.0, "maker"),
        (4, "take_profit", 15.0, 102.0, "maker"),
    ]
    assert result.trades["contracts"].tolist() == [10.0, 10.0]
    assert result.trades["gross_pnl"].tolist() == pytest.approx([20.0, 20.0])
    assert result.trades["exit_time"].nunique() == 1
    # The average stays, and so does the take-profit's price.
    assert result.bars["long_average"].tolist()[2:4] == [100.0, 100.0]


def test_inverse_partial_exit_keeps_the_harmonic_average() -> None:
    rules = changed(
        RULES, contract="inverse", contract_size=100.0, initial_balance=1000.0, tick=0.0, lot=0.0,
        take_profit_pct=0.1,
    )  # fmt: skip
    prices = [QUIET, QUIET, (90.0,) * 4, (90.0,) * 4, (100.0, 115.0, 100.0, 100.0), QUIET]
    result = run(prices, {0: 1, 2: 1}, [0, 100, 100, 100, 10, 0], rules)
    # 10 contracts at 100, then 10 coins' worth at 90: 9 contracts.
    average = 19.0 / (10.0 / 100.0 + 9.0 / 90.0)
    assert result.bars["long_average"].iloc[3:].tolist() == pytest.approx([average] * 3)
    assert happened(result)[-1] == (4, "take_profit", 5.0, round(average * 1.1, 9), "maker")
    assert result.fills["realized_pnl"].iloc[-1] == pytest.approx(
        5.0 * 100.0 * (1.0 / average - 1.0 / (average * 1.1))
    )


def test_signal_exit_that_expires_in_part_gives_the_rest_back_to_the_take_profit() -> None:
    rules = changed(RULES, order_cancel_timeout=3600.0)
    prices = [*[QUIET] * 4, (100.0, 102.0, 100.0, 102.0), (102.0, 102.0, 102.0, 102.0)]
    result = run(prices, {0: 1, 2: 2}, [0, 100, 0, 6, 100, 100], rules)
    # R12: the take-profit comes back at the start of bar 4 and takes part in it.
    assert happened(result)[1:] == [
        (3, "signal_exit", 3.0, 100.0, "maker"),
        (4, "take_profit", 7.0, 102.0, "maker"),
    ]


@pytest.mark.parametrize("event_order", ["rules", "path", "best", "worst"])
def test_exit_takes_its_share_of_a_bar_once_in_every_order_of_events(
    event_order: EventOrder,
) -> None:
    # An entry at 98 fills in the bar in which the signal exit at 99 does, both by 5 of 10.
    rules = changed(RULES, use_tp=False)
    prices = [QUIET, (100.0, 100.0, 98.0, 98.0), (99.0, 99.0, 98.5, 99.0),
              (98.5, 99.5, 97.0, 98.0), (98.5, 98.5, 98.5, 98.5)]  # fmt: skip
    result = run(prices, {0: 1, 1: 1, 2: 2}, [0, 100, 0, 10, 0], rules, event_order=event_order)
    exits = [row for row in happened(result) if row[1] == "signal_exit"]
    assert exits == [(3, "signal_exit", 5.0, 99.0, "maker")]


def test_stop_stays_when_a_signal_exit_expires_in_part() -> None:
    rules = changed(RULES, order_cancel_timeout=3600.0, use_sl=True, stop_loss_pct=0.05)
    prices = [QUIET, QUIET, QUIET, QUIET, (99.0, 99.0, 90.0, 90.0)]
    result = run(prices, {0: 1, 2: 2}, [0, 100, 0, 6, 100], rules)
    assert happened(result)[1:] == [
        (3, "signal_exit", 3.0, 100.0, "maker"),
        (4, "stop_loss", 7.0, 95.0, "taker"),
    ]


def test_stop_covers_all_after_a_partial_exit_and_an_entry_of_the_same_size() -> None:
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05, order_cancel_timeout=3600.0)
    up = (100.0, 102.0, 100.0, 100.0)
    prices = [QUIET, QUIET, up, (98.0, 98.0, 98.0, 98.0), (98.0, 98.0, 90.0, 90.0)]
    # 3 of 10 are closed, then 3 come back at 98: the stop is that of 10 with their average.
    result = run(prices, {0: 1, 2: 1}, [0, 100, 6, 6, 100], rules)
    average = (7.0 * 100.0 + 3.0 * 98.0) / 10.0
    trigger = int(average * 0.95 * 2.0) / 2.0  # down to the tick of 0.5
    assert happened(result)[1:] == [
        (2, "take_profit", 3.0, 102.0, "maker"),
        (3, "entry", 3.0, 98.0, "taker"),
        (4, "stop_loss", 10.0, trigger, "taker"),
    ]


def test_stop_that_fills_in_part_goes_on_as_a_market_order() -> None:
    # R37: at the open of every following bar.
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05)
    prices = [QUIET, QUIET, (100.0, 100.0, 94.0, 96.0), (97.0, 99.0, 97.0, 98.0), AWAY, AWAY]
    result = run(prices, {0: 1}, [0, 100, 6, 8, 0, 100], rules)
    # 3 at the trigger, 4 at the next open though above the trigger, none in a bar without
    # volume, and the last 3 at the open after it.
    assert happened(result)[1:] == [
        (2, "stop_loss", 3.0, 95.0, "taker"),
        (3, "stop_loss", 4.0, 97.0, "taker"),
        (5, "stop_loss", 3.0, 101.0, "taker"),
    ]
    assert len(result.trades) == 1
    assert result.trades["exit_reason"].tolist() == ["stop_loss"]


def test_stop_without_volume_at_its_trigger_goes_on_as_a_market_order() -> None:
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05)
    prices = [QUIET, QUIET, (100.0, 100.0, 94.0, 96.0), (97.0, 99.0, 97.0, 98.0)]
    result = run(prices, {0: 1}, [0, 100, 0, 100], rules)
    assert happened(result)[1:] == [(3, "stop_loss", 10.0, 97.0, "taker")]


# An entry waits at 94, 10 are bought at 100 with their stop at 95. Bar 3 triggers the stop, which
# gets 3, and then fills 3 of the entry: 10 contracts again, 7 of which go at the next open.
GROWS = [(94.0, 94.0, 94.0, 94.0), QUIET, QUIET, (100.0, 100.0, 94.0, 94.5)]
GROWN = [
    (2, "entry", 10.0, 100.0, "maker"),
    (3, "stop_loss", 3.0, 95.0, "taker"),
    (3, "entry", 3.0, 94.0, "maker"),
]


def test_triggered_stop_goes_on_for_what_it_was_sent_for_when_its_group_grows() -> None:
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05)
    prices = [*GROWS, (95.0, 95.0, 94.0, 94.5), (95.0, 95.0, 89.0, 89.0)]
    result = run(prices, {0: 1, 1: 1}, [0, 100, 100, 6, 100, 100], rules)
    # 7 at the open of bar 4, then the rest of the entry: 2.1 at 100 and 7.9 at 94 are left.
    average = (2.1 * 100.0 + 7.9 * 94.0) / 10.0
    trigger = int(average * 0.95 * 2.0) / 2.0  # down to the tick of 0.5
    assert happened(result) == [
        *GROWN,
        (4, "stop_loss", 7.0, 95.0, "taker"),
        (4, "entry", 7.0, 94.0, "maker"),
        (5, "stop_loss", 10.0, trigger, "taker"),
    ]


def test_part_that_grew_has_a_stop_of_its_own_beside_the_triggered_one() -> None:
    # The rest of the entry expires at the start of bar 4.
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05, order_cancel_timeout=3 * 3600.0)
    # The group's average is 98.2, its stop 93.29, down to the tick. Bar 4 opens at 94: 7 go there,
    # 3 at the trigger.
    prices = [*GROWS, (94.0, 94.0, 92.5, 92.5)]
    result = run(prices, {0: 1, 1: 1}, [0, 100, 100, 6, 14], rules)
    assert happened(result) == [
        *GROWN,
        (4, "stop_loss", 7.0, 94.0, "taker"),
        (4, "stop_loss", 3.0, 93.0, "taker"),
    ]


def test_entry_that_a_walk_meets_moves_the_stop_of_the_part_that_grew() -> None:
    # As before, but the rest of the entry, 7 at 94, is there: price meets it on its way to 93.
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05)
    prices = [*GROWS, (94.5, 94.5, 92.5, 92.5)]
    result = run(prices, {0: 1, 1: 1}, [0, 100, 100, 6, 14], rules)
    # 2.1 at 100 and 7.9 at 94 are left: their stop is at 95.26 * 0.95 = 90.497, down to the tick.
    assert happened(result) == [
        *GROWN,
        (4, "stop_loss", 7.0, 94.5, "taker"),
        (4, "entry", 7.0, 94.0, "maker"),
    ]


def test_set_keeps_the_triggered_stop_of_its_position() -> None:
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05, position_set_size=3)
    # The stop of 20 gets 10 in bar 4; the third entry makes a set of 10 at 100 and 10 at 94, whose
    # own stop lies at 97 * 0.95, down to the tick, for the 10 that the old one does not close.
    prices = [GROWS[0], QUIET, *GROWS[1:], (95.0, 95.0, 91.0, 91.0)]
    result = run(prices, {0: 1, 1: 1, 2: 1}, [0, 100, 100, 100, 20, 100], rules)
    assert happened(result)[2:] == [
        (4, "stop_loss", 10.0, 95.0, "taker"),
        (4, "entry", 10.0, 94.0, "maker"),
        (5, "stop_loss", 10.0, 95.0, "taker"),
        (5, "stop_loss", 10.0, 92.0, "taker"),
    ]
    assert result.fills["group"].tolist()[2:] == ["P-long", "P-long", "S1", "S1"]
    assert result.sets["stop_loss_price"].tolist() == [92.0]
    assert result.sets["status"].tolist() == ["closed"]


def test_take_profit_cancels_the_triggered_stop_of_its_group() -> None:
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05)
    # 98.2 * 1.02 is 100.5 on the tick. Bar 4 has no volume at its open for anybody; bar 5 has.
    prices = [*GROWS, (97.0, 97.0, 97.0, 97.0), (97.0, 102.0, 97.0, 102.0)]
    result = run(prices, {0: 1, 1: 1}, [0, 100, 100, 6, 0, 12], rules)
    # 6 of the 7 at the open; the take-profit of 4 then closes everything, the last 1 included.
    assert happened(result)[3:] == [
        (5, "stop_loss", 6.0, 97.0, "taker"), (5, "take_profit", 4.0, 100.5, "maker"),
    ]  # fmt: skip
    stops = result.orders[result.orders["role"] == "stop_loss"]
    assert stops["status"].tolist() == ["cancelled", "cancelled"]
    assert stops["filled_contracts"].tolist() == [9.0, 0.0]


def test_liquidation_takes_all_whatever_the_volume() -> None:
    rules = changed(RULES, leverage=50.0, initial_balance=50.0, use_tp=False)
    result = run([QUIET, QUIET, (100.0, 100.0, 80.0, 80.0)], {0: 1}, [0, 100, 0], rules)
    assert happened(result)[-1][1:3] == ("liquidation", 10.0)


def test_transaction_whose_first_part_was_closed_starts_anew() -> None:
    # 4 of 10 fill and are taken at 102; the entry goes on and makes another Transaction.
    prices = [QUIET, QUIET, (101.0, 102.0, 101.0, 101.0), QUIET, QUIET, (102.0,) * 4]
    result = run(prices, {0: 1}, [0, 8, 100, 6, 100, 100])
    assert happened(result) == [
        (1, "entry", 4.0, 100.0, "maker"),
        (2, "take_profit", 4.0, 102.0, "maker"),
        (3, "entry", 3.0, 100.0, "maker"),
        (4, "entry", 3.0, 100.0, "maker"),
        (5, "take_profit", 6.0, 102.0, "maker"),
    ]
    assert result.trades["contracts"].tolist() == [4.0, 6.0]


def test_share_that_no_order_reaches_changes_nothing() -> None:
    prices = [QUIET, QUIET, (100.0, 103.0, 99.0, 102.0), (102.0, 102.0, 90.0, 91.0), QUIET]
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05)
    whole = outcome(exchange_run(hours(*prices), {0: 1, 1: -1, 2: 1, 3: 1}, rules))
    parts = run(prices, {0: 1, 1: -1, 2: 1, 3: 1}, [1e9] * 5, rules)
    assert len(whole.fills) > 4
    assert_same_result(whole, parts)


# ---------------------------------------------------------------------- any run
SEARCH = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def walk(generator: random.Random, count: int, jump: float) -> list[Prices]:
    price, prices = 1000.0, []
    for _ in range(count):
        path = [price]
        for _ in range(4):
            path.append(max(100.0, path[-1] + generator.uniform(-jump, jump)))
        price = path[-1]
        prices.append((path[0], max(path), min(path), path[-1]))
    return prices


@SEARCH
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(["linear", "inverse"]),
    mode=st.sampled_from(["cross", "isolated"]),
    leverage=st.sampled_from([3.0, 20.0, 100.0]),
    jump=st.sampled_from([5.0, 30.0]),
    set_size=st.integers(1, 3),
    timeout=st.sampled_from([1.0, 4.0]),
    use_sl=st.booleans(),
    lot=st.sampled_from([0.0, 1.0]),
    typical=st.sampled_from([1.0, 5.0, 30.0]),
)
def test_books_agree_in_any_run_with_random_volumes(
    seed: int,
    kind: str,
    mode: str,
    leverage: float,
    jump: float,
    set_size: int,
    timeout: float,
    use_sl: bool,
    lot: float,
    typical: float,
) -> None:
    """The strategy itself compares the books at every bar and stops the run where they differ."""
    generator = random.Random(seed)
    prices = walk(generator, 60, jump)
    signals = {row: generator.choice([0, 1, -1, 1, -1, 2, -2]) for row in range(60)}
    volumes = [generator.choice([0.0, 0.3, 1.0, 2.0]) * typical for _ in range(60)]
    rules = changed(
        RULES, contract=kind, contract_size=1.0 if kind == "linear" else 1000.0, tick=0.0, lot=lot,
        leverage=leverage, initial_balance=20_000.0 if kind == "linear" else 20.0,
        position_set_size=set_size, order_cancel_timeout=timeout * 3600.0, use_sl=use_sl,
        stop_loss_pct=0.02, take_profit_pct=0.01, maker=0.0002, taker=0.0005, slippage=0.001,
        funding=[(NEW_YEAR_MS + 8 * HOUR_MS * row, 0.001) for row in range(8)],
    )  # fmt: skip
    result = run(prices, signals, volumes, rules, mode)
    fills = result.fills
    by_bar = volumes_of(result, volumes)
    own = fills["role"] != "liquidation"
    assert (fills["contracts"][own] <= 0.5 * by_bar[own] + 1e-9).all()
    assert (fills["contracts"] > 0.0).all()
    # Every contract that was entered was closed or is held.
    entered = fills.loc[fills["role"] == "entry", "contracts"].sum()
    closed = fills.loc[fills["role"] != "entry", "contracts"].sum()
    held = result.summary["open_contracts"]
    assert entered - closed == pytest.approx(held["long"] + held["short"], abs=1e-6)
    # Orders never fill beyond their size, and what is filled of them is in the fills.
    orders = result.orders.set_index("order_id")
    assert (orders["filled_contracts"] <= orders["contracts"] + 1e-9).all()
    by_order = fills.dropna(subset=["order_id"]).groupby("order_id")["contracts"].sum()
    assert orders.loc[by_order.index.astype(int), "filled_contracts"].tolist() == pytest.approx(
        by_order.tolist()
    )


def volumes_of(result: Result, volumes: Sequence[float]) -> pd.Series:
    """Return for each fill the volume of its bar."""
    opens = pd.DatetimeIndex(result.bars["time"])
    rows = opens.searchsorted(pd.DatetimeIndex(result.fills["time"]))
    return pd.Series([volumes[row] for row in rows], dtype=float)


def test_entry_that_grows_after_a_partial_exit_goes_on_from_what_is_open() -> None:
    # 4 at 98 (the open), take-profit 99.96 on the tick 100: 2 of them there, then 2 more at 100.
    prices = [QUIET, (98.0, 98.5, 98.0, 98.5), QUIET, AWAY]
    result = run(prices, {0: 1}, [100.0, 8.0, 4.0, 100.0])
    assert happened(result)[1:] == [
        (2, "take_profit", 2.0, 100.0, "maker"),
        (2, "entry", 2.0, 100.0, "maker"),
        # 2 at 98 and 2 at 100 are open: 99, and 2 % of it make 100.98.
        (3, "take_profit", 4.0, 101.0, "maker"),
    ]
    (trade,) = result.trades.to_dict("records")
    assert trade["entry_price"] == pytest.approx((4 * 98 + 2 * 100) / 6)
    assert trade["exit_price"] == pytest.approx((2 * 100 + 4 * 101) / 6)
    assert trade["gross_pnl"] == pytest.approx(2 * (100 - 98) + 4 * (101 - 99))
