"""The framework against `tests.known.oracle`, an independent loop over the same rules.

Random bars, signals and settings over the whole range that a configuration allows, by all four
orders of events. What must be equal: every fill, bar, trade and count, to 1e-9.
HYPOTHESIS_EXAMPLES=20000 searches longer.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers import (
    HOUR_MS,
    NEW_YEAR_MS,
    Bar,
    assert_same_rows,
    same,
    simulate_with_framework,
)
from tests.known.oracle import simulate

pytestmark = pytest.mark.usefixtures("quiet_framework")

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "800"))
SEARCH = settings(
    max_examples=EXAMPLES,
    derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,  # a longer search is a new one
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

FILL_COLUMNS = (
    "time_ms", "order_id", "role", "side", "price", "contracts", "fee", "liquidity", "group",
    "realized_pnl", "group_pnl",
)  # fmt: skip
BAR_COLUMNS = (
    "time_ms", "balance", "unrealized_pnl", "equity", "margin", "long_contracts", "long_average",
    "short_contracts", "short_average", "long_sets", "short_sets",
)  # fmt: skip
TRADE_COLUMNS = (
    "entry_ms", "exit_ms", "side", "contracts", "entry_price", "exit_price", "exit_reason",
    "group", "fees", "funding_paid", "gross_pnl", "net_pnl",
)  # fmt: skip


@st.composite
def paths(draw: st.DrawFn) -> tuple[list[Bar], int, float]:
    """Draw bars, their length and their grid: walks, storms, gaps between bars, holes in time.

    A path is a function of a seed, and cutting it leaves what came before: a counterexample shrinks
    to its first bars.
    """
    step_ms = draw(st.sampled_from([HOUR_MS, HOUR_MS, 4 * HOUR_MS, 24 * HOUR_MS, 300_000]))
    volatility = draw(st.sampled_from([0.002, 0.01, 0.03, 0.08]))
    gap = draw(st.sampled_from([0.0, 0.0, 0.003, 0.02, 0.06]))
    storm = draw(st.sampled_from([0.0, 0.0, 0.05]))
    hole = draw(st.sampled_from([0.0, 0.0, 0.1]))
    grid = draw(st.sampled_from([0.1, 0.5, 0.0, 1.0, 0.0]))
    price = draw(st.sampled_from([50.0, 1000.0, 1000.0, 30_000.0]))
    count = draw(st.integers(1, 45)) + draw(st.integers(0, 45))
    generator = random.Random(draw(st.integers(0, 2**32)))
    time_ms = NEW_YEAR_MS + draw(st.integers(0, 30)) * step_ms
    bars = []
    for _ in range(count):
        time_ms += step_ms * (1 + (generator.random() < hole) * generator.randint(1, 30))
        wild = 6.0 if generator.random() < storm else 1.0
        points = [price * max(0.05, 1.0 + generator.gauss(0.0, gap))]
        for _ in range(3):
            points.append(points[-1] * max(0.05, 1.0 + generator.gauss(0.0, volatility * wild)))
        points = [round(point, 6) if grid == 0 else max(grid, round(point / grid) * grid)
                  for point in points]  # fmt: skip
        points = [round(max(point, 2.0), 8) for point in points]  # some ticks above nothing
        bars.append((time_ms, points[0], max(points), min(points), points[-1]))
        price = min(max(points[-1], 5.0), 1e7)
    return bars, step_ms, grid


@st.composite
def signals_for(draw: st.DrawFn, count: int) -> list[int]:
    """Draw a signal per bar: sparse or dense, one side or both, with exits or without."""
    density = draw(st.sampled_from([0.5, 0.9, 0.2]))
    kinds = draw(
        st.sampled_from(
            [[1, -1, 2, -2], [1, -1], [1, 1, 2], [-1, -1, -2], [1, -1, 1, -1, 2, -2], [1], [-1]]
        )
    )
    generator = random.Random(draw(st.integers(0, 2**32)))
    return [generator.choice(kinds) if generator.random() < density else 0 for _ in range(count)]


@st.composite
def funding_for(draw: st.DrawFn, bars: list[Bar], step_ms: int) -> list[tuple[int, float]]:
    """Draw none, a constant rate every eight hours, or a series with times and rates of its own."""
    kind = draw(st.sampled_from(["none", "constant", "constant", "series"]))
    first, end = bars[0][0], bars[-1][0] + step_ms
    if kind == "none":
        return []
    every_ms = 8 * HOUR_MS
    # From a day before the first bar on, when nobody holds anything.
    times = range(first - first % every_ms - 3 * every_ms, end, every_ms)
    if kind == "constant":
        rate = draw(st.sampled_from([0.0001, -0.0003, 0.01]))
        return [(ms, rate) for ms in times]
    generator = random.Random(draw(st.integers(0, 2**32)))
    # A recorded series is stamped some milliseconds late, and may come more often than bars.
    span = range(first, end, max(HOUR_MS // 2, (end - first) // 60))
    return [(ms + generator.choice([0, 0, 3]), generator.gauss(0.0, 0.002)) for ms in span]


@st.composite
def settings_of_account(draw: st.DrawFn, price: float, grid: float) -> dict[str, Any]:
    """Draw contract, size, leverage and rates so that entries are possible more often than not."""
    contract = draw(st.sampled_from(["inverse", "linear"]))
    leverage = draw(st.sampled_from([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]))
    share = draw(st.sampled_from([0.02, 0.1, 0.3, 0.45, 0.1, 0.2, 0.9, 1.1]))
    lots = draw(st.sampled_from([25.0, 3.3, 25.0, 1000.0, 1.0, 0.7, 50.0, 7.0]))
    balance = draw(st.sampled_from([0.5, 1000.0]))
    # Without a tick no price is rounded, and float dust decides whether a bar's high *is* a stop:
    # so such runs have prices with six decimals, which no computed price hits.
    ticks = [0.1, 0.5] if grid else [0.0, 0.1, 0.5]
    base_amount = balance * leverage * share / (1.0 if contract == "inverse" else price)
    return {
        "contract": contract,
        "leverage": leverage,
        "initial_balance": balance,
        "position_size": base_amount,
        "contract_size": base_amount * (price if contract == "inverse" else 1.0) / lots,
        "lot": draw(st.sampled_from([0.0, 1.0, 0.01])),
        "tick": draw(st.sampled_from(ticks)),
        "min_contracts": draw(st.sampled_from([None, None, 0.0, None, 2.0])),
        "maintenance_margin_rate": draw(st.sampled_from([0.0, 0.004, 0.004, 0.02])),
        "liquidation_fee_rate": draw(st.sampled_from([None, 0.0, 0.01])),
        "maker": draw(st.sampled_from([0.0001, 0.0002, -0.0001, 0.0])),
        "taker": draw(st.sampled_from([0.0005, 0.0001, 0.0])),
        "linear_pnl": draw(st.sampled_from(["exchange", "exchange", "cryptosim"])),
    }


@st.composite
def settings_of_trading(draw: st.DrawFn) -> dict[str, Any]:
    """Draw everything else."""
    return {
        "use_tp": draw(st.sampled_from([True, True, False])),
        "take_profit_pct": draw(st.sampled_from([0.001, 0.01, 0.02, 0.3])),
        "use_sl": draw(st.booleans()),
        "stop_loss_pct": draw(st.sampled_from([0.005, 0.02, 0.1, 0.5, 1.0])),
        "order_cancel_timeout": draw(
            st.sampled_from([1.0, 3600.0, 3600.0, 3601.0, 7200.0, 14_400.0, 500_000.0])
        ),
        "position_set_size": draw(st.integers(1, 4)),
        "max_long_set": draw(st.sampled_from([3, 2, 3, 1, 0])),
        "max_short_set": draw(st.sampled_from([3, 2, 3, 1, 0])),
        "max_concurrent_positions": draw(st.sampled_from([None, 5, None, 2, 5, 1, 3, 0])),
        "daily_loss_limit_pct": draw(st.sampled_from([None, None, 0.05, 0.5, 0.9, 0.01])),
        "entry_fill": draw(st.sampled_from(["next_bar", "next_bar", "signal_close"])),
        "price_improvement": draw(st.booleans()),
        "limit_fill": draw(st.sampled_from(["touch", "through"])),
        "slippage": draw(st.sampled_from([0.0, 0.001, 0.05])),
        "event_order": draw(st.sampled_from(["rules", "rules", "path", "best", "worst"])),
        "close_at_end": draw(st.booleans()),
        "timezone": draw(st.sampled_from(["Asia/Seoul", "UTC", "America/New_York"])),
    }


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Bar], list[int], dict[str, Any], int]:
    """Draw bars, their signals, the settings, and how many flat bars of warm-up come before."""
    bars, step_ms, grid = draw(paths())
    rules = {
        **draw(settings_of_account(bars[0][1], grid)),
        **draw(settings_of_trading()),
        "funding": draw(funding_for(bars, step_ms)),
        "timeframe_ms": step_ms,
    }
    return bars, draw(signals_for(len(bars))), rules, draw(st.sampled_from([0, 0, 1, 5]))


def assert_equal_to_oracle(
    bars: list[Bar], signals: list[int], rules: dict[str, Any], warmup: int = 0
) -> None:
    before = [
        (bars[0][0] - rules["timeframe_ms"] * (warmup - row), 1.0, 2.0, 0.5, 1.0)
        for row in range(warmup)
    ]
    ours = simulate_with_framework(bars, signals, rules, before)
    theirs = simulate(bars, signals, rules)
    scale = rules["initial_balance"]
    assert_same_rows(ours.fills, theirs["fills"], FILL_COLUMNS, scale)
    assert_same_rows(ours.bars, theirs["bars"], BAR_COLUMNS, scale)
    assert_same_rows(ours.trades, theirs["trades"], TRADE_COLUMNS, scale)
    summary = ours.summary
    assert summary["entries_refused"] == theirs["refused"]
    assert summary.get("funding_late", 0) == theirs["funding_late"]
    assert summary["ambiguous_bars"] == theirs["ambiguous"]
    for ours_name, theirs_name in (
        ("orders_expired", "orders_expired"),
        ("liquidations", "liquidations"),
        ("shortfall", "shortfall"),
        ("final_balance", "balance"),
        ("final_equity", "equity"),
        ("fees_paid", "fees_paid"),
        ("funding_paid", "funding_paid"),
    ):
        assert same(summary[ours_name], theirs[theirs_name], scale), (
            f"{ours_name}: {summary[ours_name]!r}, not {theirs[theirs_name]!r}"
        )


@SEARCH
@given(runs())
def test_framework_over_random_runs_equals_oracle(
    run: tuple[list[Bar], list[int], dict[str, Any], int],
) -> None:
    assert_equal_to_oracle(*run)
