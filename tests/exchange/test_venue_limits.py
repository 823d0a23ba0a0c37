"""What the venue refuses: rejected orders with their reasons, and a run that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cryptosim_bt import Result, load_settings, run_backtest
from cryptosim_bt.exchange.venue_limits import VenueRules
from cryptosim_bt.plugins.registry import discover
from tests.exchange_files import write_bars, write_config
from tests.exchange_runs import assert_money_is_kept, exchange_run, happened, outcome
from tests.helpers import PLAIN, changed, hours

pytestmark = pytest.mark.usefixtures("quiet_framework")

QUIET = (100.0, 100.0, 100.0, 100.0)
RULES = changed(PLAIN, tick=0.0, position_size=5.0)


def run(
    prices: list[tuple[float, float, float, float]],
    signals: dict[int, int],
    venue: dict[str, Any],
    **changes: Any,
) -> Result:
    rules = changed(RULES, **changes)
    result = outcome(exchange_run(hours(*prices), signals, rules, {"instrument": venue}))
    assert_money_is_kept(result, rules["initial_balance"])
    return result


def rejected(result: Result) -> list[tuple[str, str]]:
    """Return role and reason of each rejected order."""
    orders = result.orders[result.orders["status"] == "rejected"]
    return list(zip(orders["role"], orders["reason"], strict=True))


# ---------------------------------------------------------------------- the rules by themselves
@pytest.mark.parametrize(
    ("rules", "order", "reason"),
    [
        (VenueRules(), (1e9, 1.0, 100.0, 10_000), None),
        (VenueRules(max_contracts=5.0), (5.5, 100.0, 100.0, 0),
         "size 5.5 is above the maximum, 5 contracts"),
        (VenueRules(max_contracts=5.0), (5.0, 100.0, 100.0, 0), None),
        (VenueRules(max_open_orders=3), (1.0, 100.0, 100.0, 3),
         "there are 3 open orders, the venue's maximum"),
        (VenueRules(max_open_orders=3), (1.0, 100.0, 100.0, 2), None),
        (VenueRules(price_band=0.05), (1.0, 95.0, 100.0, 0), None),
        (VenueRules(price_band=0.05), (1.0, 105.0, 100.0, 0), None),
        (VenueRules(price_band=0.05), (1.0, 94.9, 100.0, 0),
         "price 94.9 is outside the band 95 to 105"),
        (VenueRules(price_band=0.05), (1.0, 105.1, 100.0, 0),
         "price 105.1 is outside the band 95 to 105"),
    ],
)  # fmt: skip
def test_venue_answers_an_order(
    rules: VenueRules, order: tuple[float, float, float, int], reason: str | None
) -> None:
    assert rules.refusal(*order, is_stop=False) == reason


def test_price_band_is_for_limits_and_not_for_the_trigger_of_a_stop() -> None:
    assert VenueRules(price_band=0.05).refusal(1.0, 50.0, 100.0, 0, is_stop=True) is None


# ---------------------------------------------------------------------- in a run
def test_entry_above_the_maximum_is_rejected_and_the_run_goes_on() -> None:
    result = run([QUIET] * 4, {0: 1, 1: -1}, {"max_contracts": 4.0})
    reason = "size 5 is above the maximum, 4 contracts"
    assert rejected(result) == [("entry", reason), ("entry", reason)]
    assert happened(result) == []
    assert len(result.bars) == 4
    assert (result.bars["margin"] == 0.0).all()


def test_take_profit_above_the_maximum_is_rejected_while_entries_pass() -> None:
    # Two entries of 5 fill; a take-profit for all 10 is above the venue's 8.
    up = (100.0, 103.0, 100.0, 103.0)
    result = run([QUIET, QUIET, QUIET, up, up], {0: 1, 1: 1}, {"max_contracts": 8.0})
    assert rejected(result) == [("take_profit", "size 10 is above the maximum, 8 contracts")]
    assert happened(result) == [
        (1, "entry", 5.0, 100.0, "maker"), (2, "entry", 5.0, 100.0, "maker"),
    ]  # fmt: skip
    assert result.bars["long_contracts"].iloc[-1] == 10.0


def test_stop_that_is_rejected_is_asked_for_again_when_the_group_grows() -> None:
    options = {"use_tp": False, "use_sl": True, "stop_loss_pct": 0.05}
    result = run([QUIET] * 5, {0: 1, 2: 1}, {"max_open_orders": 1}, **options)
    # One order at a time: entry, its stop; the second entry finds the stop in the book.
    assert rejected(result) == [("entry", "there are 1 open orders, the venue's maximum")]
    assert result.orders["status"].tolist() == ["filled", "working", "rejected"]


def test_too_many_orders_are_rejected_until_one_is_gone() -> None:
    # Prices run away from the entries; each lives two hours.
    rising = [(100.0 + row,) * 4 for row in range(5)]
    result = run(
        rising, {0: 1, 1: 1, 2: 1, 3: 1}, {"max_open_orders": 2}, order_cancel_timeout=7200.0
    )
    assert rejected(result) == [("entry", "there are 2 open orders, the venue's maximum")]
    # The first is gone at the start of bar 3, at whose close the fourth finds room.
    assert result.orders["status"].tolist() == ["expired", "expired", "rejected", "working"]


def test_take_profit_outside_the_price_band_is_rejected() -> None:
    result = run([QUIET] * 3, {0: 1}, {"price_band": 0.01}, take_profit_pct=0.02)
    assert rejected(result) == [("take_profit", "price 102 is outside the band 99 to 101")]
    assert happened(result) == [(1, "entry", 5.0, 100.0, "maker")]


def test_price_band_of_an_order_that_a_fill_makes_lies_around_its_bars_close() -> None:
    # R44: filled at 100, where 102 would be inside; the bar closes at 106.
    risen = (100.0, 106.0, 100.0, 106.0)
    result = run([QUIET, risen, risen], {0: 1}, {"price_band": 0.03})
    assert rejected(result) == [("take_profit", "price 102 is outside the band 102.82 to 109.18")]


def test_signal_exit_that_is_rejected_asks_for_the_take_profit_again() -> None:
    result = run([QUIET] * 5, {0: 1, 1: 1, 2: 2}, {"max_contracts": 8.0})
    assert [role for role, _ in rejected(result)] == ["take_profit", "signal_exit", "take_profit"]
    assert result.bars["long_contracts"].iloc[-1] == 10.0


def test_minimum_of_the_instrument_refuses_at_the_signal() -> None:
    # R9, R7: too small is no order at all; the count says why.
    result = run([QUIET] * 3, {0: 1}, {}, position_size=0.5)
    assert result.summary["entries_refused"] == {"min_size": 1}
    assert result.orders.empty


def test_rejections_stand_in_orders_csv_with_their_reasons(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.csv", 48)
    write_config(tmp_path, {"instrument": {"max_contracts": 4.0}})
    result, analyzers = run_backtest(load_settings(tmp_path / "config.yaml"), discover())
    for analyzer in analyzers:
        analyzer.write(result, tmp_path)
    text = (tmp_path / "orders.csv").read_text(encoding="utf-8")
    assert '"size 5 is above the maximum, 4 contracts"' in text
    assert result.summary["fills"] == 0


def test_limits_that_nothing_violates_change_nothing() -> None:
    prices = [QUIET, QUIET, (100.0, 103.0, 97.0, 101.0), QUIET, (100.0, 104.0, 100.0, 104.0)]
    wide = {"max_contracts": 1e6, "max_open_orders": 1000, "price_band": 0.9}
    one, other = (run(prices, {0: 1, 1: -1, 2: 1}, venue) for venue in ({}, wide))
    assert happened(one) == happened(other)
    assert one.bars["equity"].tolist() == other.bars["equity"].tolist()
