"""Every rule of the exchange as a story of a few bars, told to the framework and to the oracle."""

from __future__ import annotations

from typing import Any

import pytest

from tests.exchange import (
    table_ambiguity,
    table_certain_first,
    table_entries,
    table_event_orders,
    table_exits,
)
from tests.exchange.scenario import Filled, Scenario
from tests.helpers import HOUR_MS, NEW_YEAR_MS, PLAIN, Bar, changed, same, simulate_with_framework
from tests.known.oracle import simulate

pytestmark = pytest.mark.usefixtures("quiet_framework")

SCENARIOS = (
    *table_entries.ENTRIES,
    *table_exits.SIGNAL_EXITS,
    *table_exits.TAKE_PROFITS,
    *table_exits.FUNDING,
    *table_exits.LIQUIDATION,
    *table_exits.END,
    *table_exits.DAILY_LOSS,
    *table_certain_first.OPEN,
    *table_certain_first.WALKS,
    *table_event_orders.ENTRIES_AND_CLOSE,
    *table_event_orders.ORDERS,
    *table_ambiguity.AMBIGUITY,
)
SUMMARY_NAMES = {
    "refused": "entries_refused",
    "balance": "final_balance",
    "equity": "final_equity",
    "ambiguous": "ambiguous_bars",
}


def framework_run(
    bars: list[Bar], signals: list[int], rules: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    result = simulate_with_framework(bars, signals, rules)
    fills = result.fills.to_dict("records")
    for fill in fills:
        fill["time_ms"] = int(fill["time"].value // 1_000_000)
    names = ("refused", "orders_expired", "liquidations", "shortfall", "balance", "equity",
             "fees_paid", "funding_paid", "ambiguous")  # fmt: skip
    totals = {name: result.summary[SUMMARY_NAMES.get(name, name)] for name in names}
    return fills, totals | {"funding_late": result.summary.get("funding_late", 0)}


def oracle_run(
    bars: list[Bar], signals: list[int], rules: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    totals = simulate(bars, signals, rules)
    return totals["fills"], totals


@pytest.mark.parametrize("run", [framework_run, oracle_run])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_fills_of_scenario_are_as_told(scenario: Scenario, run: Any) -> None:
    rules = changed(PLAIN, **scenario.rules)
    hours = scenario.times or range(len(scenario.bars))
    step_ms = rules["timeframe_ms"]
    times = [NEW_YEAR_MS + hour * (HOUR_MS if scenario.times else step_ms) for hour in hours]
    bars = [
        (time, *map(float, prices)) for time, prices in zip(times, scenario.bars, strict=True)
    ]
    signals = [scenario.signals.get(row, 0) for row in range(len(bars))]

    fills, totals = run(bars, signals, rules)

    happened = [
        Filled(
            times.index(fill["time_ms"]), fill["role"], fill["group"], fill["contracts"],
            fill["price"], fill["liquidity"],
        )
        for fill in fills
    ]  # fmt: skip
    assert [each[:4] + each[5:] for each in happened] == [
        each[:4] + each[5:] for each in scenario.fills
    ]
    for fill, expected in zip(happened, scenario.fills, strict=True):
        assert same(fill.price, expected.price), (fill, expected)
    for name, expected in scenario.totals.items():
        if isinstance(expected, dict) or expected == 0.0:  # an empty account has no dust in it
            assert totals[name] == expected
        else:
            assert same(totals[name], expected), f"{name}: {totals[name]!r}, not {expected!r}"
