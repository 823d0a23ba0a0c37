"""March 2020 with too much leverage: framework and oracle agree bar by bar, and no run owes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from cryptosim_bt import Result
from tests.helpers import (
    HOUR_MS,
    PLAIN,
    Bar,
    assert_same_rows,
    changed,
    require_data,
    same,
    simulate_with_framework,
)
from tests.known.oracle import simulate
from tests.known.oracle_case import simple_ma_signals

pytestmark = pytest.mark.usefixtures("quiet_framework")

WARMUP = 100
LEVERAGES = (3, 5, 10, 20, 50, 100)
FILL_COLUMNS = ("time_ms", "role", "side", "price", "contracts", "fee", "group", "realized_pnl")
BAR_COLUMNS = ("time_ms", "balance", "unrealized_pnl", "equity", "margin", "long_contracts",
               "short_contracts")  # fmt: skip


@pytest.fixture(scope="module")
def storm() -> tuple[list[Bar], list[int]]:
    """Return the hours of 2020-03-01 to 2020-04-01 UTC of BitMEX XBTUSD, and signals."""
    table = pd.read_csv(require_data("bitmex_XBTUSD_1h.csv.gz"))
    times = pd.DatetimeIndex(pd.to_datetime(table["timestamp"], utc=True)).as_unit("ms").asi8
    first, end = (pd.Timestamp(day, tz="UTC").value // 1_000_000 for day in
                  ("2020-03-01", "2020-04-01"))  # fmt: skip
    chosen = (times >= first - WARMUP * HOUR_MS) & (times < end)
    prices = table.loc[chosen, ["open", "high", "low", "close"]].to_numpy(float)
    bars = [
        (int(time), *map(float, row)) for time, row in zip(times[chosen], prices, strict=True)
    ]
    signals = simple_ma_signals([bar[4] for bar in bars], 12, WARMUP, exit_on_cross=True)
    # A trend strategy hardly meets the crash: every third quiet bar buys, whatever the trend.
    bought = [signal or (row % 3 == 0) * 1 for row, signal in enumerate(signals)]
    return bars[WARMUP:], bought[WARMUP:]


def storm_rules(leverage: int, use_sl: bool, contract: str) -> dict[str, Any]:
    """Return rules under which each entry takes a quarter of what leverage allows."""
    inverse = contract == "inverse"
    balance = 1.0 if inverse else 8000.0
    share = balance * leverage / 4
    return changed(
        PLAIN,
        contract=contract,
        contract_size=1.0 if inverse else 0.0001,
        position_size=share if inverse else share / 8000.0,
        leverage=float(leverage),
        initial_balance=balance,
        use_sl=use_sl,
        stop_loss_pct=0.03,
        take_profit_pct=0.01,
        position_set_size=3,
        maker=0.0002,
        taker=0.0005,
        slippage=0.002,
        timezone="Asia/Seoul",
    )


def run_both(
    storm: tuple[list[Bar], list[int]], rules: dict[str, Any]
) -> tuple[Result, dict[str, Any]]:
    bars, signals = storm
    return simulate_with_framework(bars, signals, rules), simulate(bars, signals, rules)


@pytest.mark.parametrize("contract", ["inverse", "linear"])
@pytest.mark.parametrize("use_sl", [False, True], ids=["no stops", "stops"])
@pytest.mark.parametrize("leverage", LEVERAGES)
def test_storm_at_leverage_liquidates_where_r23_says_and_never_owes(
    storm: tuple[list[Bar], list[int]], leverage: int, use_sl: bool, contract: str
) -> None:
    rules = storm_rules(leverage, use_sl, contract)
    result, oracle = run_both(storm, rules)
    assert len(result.fills) > 0
    assert result.bars["equity"].min() >= 0.0
    assert result.bars["balance"].notna().all()
    assert_same_rows(result.fills, oracle["fills"], FILL_COLUMNS, rules["initial_balance"])
    assert_same_rows(result.bars, oracle["bars"], BAR_COLUMNS, rules["initial_balance"])
    assert result.summary["liquidations"] == oracle["liquidations"]
    assert same(result.summary["shortfall"], oracle["shortfall"], rules["initial_balance"])


@pytest.mark.parametrize("leverage", LEVERAGES[1:])
def test_storm_without_stops_liquidates(
    storm: tuple[list[Bar], list[int]], leverage: int
) -> None:
    # So that the test above is about liquidations at all: XBTUSD fell from 7,900 to 3,600.
    result, _ = run_both(storm, storm_rules(leverage, use_sl=False, contract="inverse"))
    assert result.summary["liquidations"] >= 1
    assert (result.fills["role"] == "liquidation").any()
