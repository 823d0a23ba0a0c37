"""What holds in every run: money is kept, time runs one way, sides mirror each other."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cryptosim_bt import Result, load_settings, run_backtest
from cryptosim_bt.plugins.registry import discover
from tests.helpers import (
    NEW_YEAR_MS,
    PLAIN,
    ROOT,
    Bar,
    changed,
    hours,
    require_data,
    simulate_with_framework,
    without_analyzers,
)
from tests.properties.test_against_oracle import runs

pytestmark = pytest.mark.usefixtures("quiet_framework")

SEARCH = settings(
    max_examples=120,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
Run = tuple[list[Bar], list[int], dict[str, Any], int]


# ---------------------------------------------------------------------- money
@SEARCH
@given(runs())
def test_money_of_any_run_is_kept(run: Run) -> None:
    bars, signals, rules, _ = run
    result = simulate_with_framework(bars, signals, rules)
    initial = rules["initial_balance"]
    dust = 1e-9 * initial
    table, fills, summary = result.bars, result.fills, result.summary
    # R21: equity is balance and open profit, and never owed.
    assert (table["balance"] + table["unrealized_pnl"] == table["equity"]).all()
    assert table["equity"].min() >= -dust
    assert table[["long_contracts", "short_contracts"]].min().min() >= 0.0
    assert table["margin"].min() >= 0.0
    # Every movement of the balance has a name.
    moved = fills["realized_pnl"].sum() - fills["fee"].sum() - summary["funding_paid"]
    assert summary["final_balance"] == pytest.approx(
        initial + moved + summary["shortfall"], abs=dust * max(1.0, abs(moved) / initial)
    )
    assert summary["fees_paid"] == pytest.approx(fills["fee"].sum(), abs=dust)


@SEARCH
@given(runs())
def test_every_entry_of_any_run_is_one_trade_or_is_open(run: Run) -> None:
    # R26: a trade is one closed Transaction.
    bars, signals, rules, _ = run
    result = simulate_with_framework(bars, signals, rules)
    entries = result.fills[result.fills["role"] == "entry"]

    def keys(table: pd.DataFrame, time: str, price: str) -> Counter[tuple[Any, ...]]:
        return Counter(
            zip(table[time], table["side"], table["contracts"], table[price], strict=True)
        )

    entered = keys(entries, "time", "price")
    traded = keys(result.trades, "entry_time", "entry_price")
    assert traded <= entered
    still_open = sum(key[2] * count for key, count in (entered - traded).items())
    held = result.summary["open_contracts"]
    assert still_open == pytest.approx(held["long"] + held["short"], rel=1e-9)
    if rules["close_at_end"]:
        assert traded == entered


@SEARCH
@given(runs())
def test_net_pnl_of_all_trades_is_what_a_closed_run_earned(run: Run) -> None:
    bars, signals, rules, _ = run
    assume(rules["linear_pnl"] == "exchange" or rules["contract"] == "inverse")
    result = simulate_with_framework(bars, signals, {**rules, "close_at_end": True})
    earned = result.trades["net_pnl"].sum() + result.summary["shortfall"]
    initial = rules["initial_balance"]
    assert result.summary["final_balance"] - initial == pytest.approx(
        earned, abs=1e-9 * initial * max(1, len(result.trades))
    )


@SEARCH
@given(runs())
def test_run_without_signals_leaves_the_balance_alone(run: Run) -> None:
    bars, signals, rules, _ = run
    result = simulate_with_framework(bars, [0] * len(signals), rules)
    assert result.fills.empty
    assert (result.bars["equity"] == rules["initial_balance"]).all()


# ---------------------------------------------------------------------- time
@SEARCH
@given(runs(), st.data())
def test_future_of_any_run_does_not_change_its_past(run: Run, data: st.DataObject) -> None:
    # R4: once the later bars are gone, once they are other bars.
    bars, signals, rules, _ = run
    assume(len(bars) > 1)
    rules = {**rules, "close_at_end": False}
    length = data.draw(st.integers(1, len(bars) - 1))
    whole = simulate_with_framework(bars, signals, rules)
    short = simulate_with_framework(bars[:length], signals[:length], rules)
    twisted = bars[:length] + [
        (bar[0], *(price * 1.37 for price in bar[1:])) for bar in bars[length:]
    ]
    other = simulate_with_framework(twisted, signals, rules)
    for later in (whole, other):
        assert_past_is_equal(short, later)


def assert_past_is_equal(short: Result, later: Result) -> None:
    last = short.bars["time"].iloc[-1]
    until = later.bars["time"] <= last
    pd.testing.assert_frame_equal(short.bars, later.bars[until], check_exact=True)
    fills = later.fills[later.fills["time"] <= last]
    trades = later.trades[later.trades["exit_time"] <= last]
    # An empty table does not know the types of its columns.
    for ours, theirs in ((short.fills, fills), (short.trades, trades)):
        pd.testing.assert_frame_equal(
            ours, theirs, check_exact=True, check_dtype=False, check_index_type=False
        )


# ---------------------------------------------------------------------- what a bar leaves open
@settings(SEARCH, max_examples=60)
@given(runs())
def test_orders_of_events_agree_before_the_first_ambiguous_bar(run: Run) -> None:
    # R42, R43. Bars that liquidate are left out: docs/decisions.md. What a bar fills is compared
    # whatever the order within it, for a path fills by price what `rules` fill by age.
    bars, signals, rules, _ = run
    results = [simulate_with_framework(bars, signals, {**rules, "event_order": order})
               for order in ("rules", "path", "best", "worst")]  # fmt: skip
    certain = min(
        time for result in results for time in (
            END_OF_TIME, *result.ambiguous["time"],
            *result.fills.loc[result.fills["role"] == "liquidation", "time"],
        )
    )  # fmt: skip
    by_rules, *others = (fills_before(certain, result) for result in results)
    assert all(other == by_rules for other in others)


END_OF_TIME = pd.Timestamp("2200-01-01", tz="UTC")


def fills_before(time: pd.Timestamp, result: Result) -> Counter[tuple[Any, ...]]:
    fills = result.fills[result.fills["time"] < time]
    columns = ("time", "role", "side", "price", "contracts", "liquidity")
    # Contracts of a take-profit are a sum: nine digits, for it may be added in another order.
    rows = fills.assign(contracts=[f"{each:.9g}" for each in fills["contracts"]])
    return Counter(zip(*(rows[column] for column in columns), strict=True))


JANUARY = (
    "data.source=file",
    "trading.use_sl=true",
    "trading.stop_loss_pct=0.04",
    "position_set.position_set_size=3",
    "strategy.simple_ma.exit_on_cross=true",
    "strategy.simple_ma.long_period=200",
)


@pytest.mark.parametrize("strategy", ["simple_ma", "rsi_dip"])
def test_recorded_market_cut_at_any_day_gives_the_same_past(
    strategy: str, tmp_path: Any
) -> None:
    # R2, R4: from the file to the result; the cut file ends in the middle of the window.
    path = require_data("binance_BTCUSDT_perp_1h.csv.gz")
    table = pd.read_csv(path, dtype=str)
    times = pd.to_datetime(table["timestamp"], utc=True)

    def result_of(end: str) -> Result:
        cut = tmp_path / f"{end}.csv"
        table[times < pd.Timestamp(end, tz="UTC")].to_csv(cut, index=False)
        changes = [*JANUARY, f"strategy.name={strategy}", f"data.path={cut}"]
        loaded = load_settings(ROOT / "config" / "config.yaml", changes)
        finished, _ = run_backtest(without_analyzers(loaded), discover())
        return finished

    whole = result_of("2025-03-01")
    assert len(whole.fills) >= 5
    for end in ("2025-01-02", "2025-01-15", "2025-01-29"):
        assert_past_is_equal(result_of(end), whole)


# ---------------------------------------------------------------------- symmetry
def walk(seed: int, count: int, jump: int) -> list[tuple[int, int, int, int]]:
    """Return whole-number prices around 1,000, so that mirroring them is exact."""
    generator = random.Random(seed)
    price = 1000
    prices = []
    for _ in range(count):
        path = [price + generator.randint(-jump, jump)]
        for _ in range(3):
            path.append(path[-1] + generator.randint(-jump, jump))
        price = min(max(path[-1], 700), 1300)
        prices.append((path[0], max(path), min(path), path[-1]))
    return prices


@SEARCH
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(2, 60),
    jump=st.sampled_from([3, 20, 60]),
    leverage=st.sampled_from([5.0, 100.0]),
    size=st.sampled_from([1.0, 5.0]),
    set_size=st.integers(1, 3),
    through=st.booleans(),
    improvement=st.booleans(),
    timeout=st.sampled_from([3600.0, 10_800.0]),
)
def test_mirrored_market_with_mirrored_signals_earns_the_same(
    seed: int,
    count: int,
    jump: int,
    leverage: float,
    size: float,
    set_size: int,
    through: bool,
    improvement: bool,
    timeout: float,
) -> None:
    """Turn every price p into 2000 - p, longs into shorts: the linear account is the same.

    That holds where money does not depend on the price's level: no fees, no funding, no
    maintenance; take-profit and stop off, because they lie at a share of the price (positions
    close by signal exits and liquidation); entries small enough to be refused for no margin.
    """
    rules = changed(
        PLAIN, tick=0.0, lot=0.0, use_tp=False, leverage=leverage, position_size=size,
        position_set_size=set_size, max_long_set=2, max_short_set=3, price_improvement=improvement,
        limit_fill="through" if through else "touch", order_cancel_timeout=timeout,
        maintenance_margin_rate=0.0, liquidation_fee_rate=0.0, daily_loss_limit_pct=0.3,
        initial_balance=10_000.0 if leverage == 5.0 else 1500.0,
    )  # fmt: skip
    mirrored_rules = changed(rules, max_long_set=3, max_short_set=2)
    generator = random.Random(seed + 1)
    signals = [generator.choice([0, 1, -1, 1, -1, 2, -2]) for _ in range(count)]
    prices = walk(seed, count, jump)
    mirrored = [(2000 - o, 2000 - low, 2000 - high, 2000 - c) for o, high, low, c in prices]
    result = simulate_with_framework(floats(prices), signals, rules)
    assume("margin" not in result.summary["entries_refused"])
    mirror = simulate_with_framework(floats(mirrored), [-each for each in signals], mirrored_rules)
    assume("margin" not in mirror.summary["entries_refused"])
    assert len(result.fills) == len(mirror.fills)
    assert (result.fills["price"] + mirror.fills["price"]).tolist() == pytest.approx(
        [2000.0] * len(result.fills), abs=1e-6
    )
    for name in ("balance", "equity"):
        assert result.bars[name].tolist() == pytest.approx(mirror.bars[name].tolist(), abs=1e-6)
    assert result.summary["entries_refused"] == mirror.summary["entries_refused"]
    assert result.summary["liquidations"] == mirror.summary["liquidations"]


def floats(prices: list[tuple[int, int, int, int]]) -> list[Bar]:
    return hours(*[tuple(map(float, each)) for each in prices], start_ms=NEW_YEAR_MS)


@SEARCH
@given(runs(), st.sampled_from([2.0, 1024.0]))
def test_account_and_size_scaled_alike_scale_every_figure(run: Run, factor: float) -> None:
    # R7, R17, R20, R23 are homogeneous in money; a power of two keeps floats exact.
    bars, signals, rules, _ = run
    rules = {**rules, "lot": 0.0, "min_contracts": 0.0}
    scaled = {
        **rules,
        "initial_balance": rules["initial_balance"] * factor,
        "position_size": rules["position_size"] * factor,
    }
    one = simulate_with_framework(bars, signals, rules)
    many = simulate_with_framework(bars, signals, scaled)
    assert one.fills["price"].tolist() == many.fills["price"].tolist()
    assert (one.bars["equity"] * factor).tolist() == pytest.approx(
        many.bars["equity"].tolist(), abs=1e-9 * scaled["initial_balance"]
    )
    for name in ("total_return", "max_drawdown", "trades", "entries_refused", "liquidations"):
        ours, theirs = one.summary[name], many.summary[name]
        assert ours == (pytest.approx(theirs, abs=1e-9) if isinstance(theirs, float) else theirs)
