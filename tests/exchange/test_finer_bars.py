"""Finer bars inside the strategy's: matching, funding and liquidation on them, results per bar."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cryptosim_bt import ConfigError, DataError, Result, load_settings, run_backtest
from cryptosim_bt.backtest.run import ambiguity_band
from cryptosim_bt.plugins.registry import discover
from tests.exchange_files import cryptosim, write_bars, write_config
from tests.exchange_runs import (
    assert_money_is_kept,
    assert_same_result,
    exchange_run,
    happened,
    outcome,
)
from tests.helpers import HOUR_MS, NEW_YEAR_MS, PLAIN, Bar, changed, hours

pytestmark = pytest.mark.usefixtures("quiet_framework")

Prices = tuple[float, float, float, float]
QUIET: Prices = (100.0, 100.0, 100.0, 100.0)
QUARTER_MS = HOUR_MS // 4
RULES = changed(PLAIN, tick=0.0, initial_balance=1000.0)
STOP_2 = {"use_sl": True, "stop_loss_pct": 0.02}


def quarters(*prices: Prices) -> list[Bar]:
    return hours(*prices, step_ms=QUARTER_MS)


def coarse(fine: Sequence[Bar]) -> list[Bar]:
    """Return the hours that quarters make."""
    made = []
    for row in range(0, len(fine), 4):
        part = fine[row : row + 4]
        made.append(
            (part[0][0], part[0][1], max(bar[2] for bar in part), min(bar[3] for bar in part),
             part[-1][4])
        )  # fmt: skip
    return made


def run(
    fine: list[Bar],
    signals: Mapping[int, int],
    changes: Mapping[str, Any] | None = None,
    **options: Any,
) -> Result:
    rules = changed(RULES, **(changes or {}))
    result = outcome(
        exchange_run(coarse(fine), signals, rules, fine=fine, fine_timeframe="15m", **options)
    )
    assert_money_is_kept(result, rules["initial_balance"])
    return result


def moments(result: Result) -> list[tuple[str, str, float]]:
    """Return each fill as (time of day, role, price)."""
    fills = result.fills
    return [
        (f"{time:%H:%M}", role, round(price, 9))
        for time, role, price in zip(fills["time"], fills["role"], fills["price"], strict=True)
    ]


HOUR_OF_REST = (QUIET,) * 4


# ---------------------------------------------------------------------- fills
def test_fills_happen_in_finer_bars_and_bars_are_reported_per_strategy_bar() -> None:
    # R40.
    fine = quarters(
        *HOUR_OF_REST, (101.0, 101.0, 101.0, 101.0), (101.0, 101.0, 99.0, 100.0), QUIET,
        (100.0, 102.5, 100.0, 101.0), *HOUR_OF_REST,
    )  # fmt: skip
    result = run(fine, {0: 1})
    # Entered and taken with profit within one hour, in two of its quarters.
    assert moments(result) == [("01:15", "entry", 100.0), ("01:45", "take_profit", 102.0)]
    assert f"{result.bars['time'].iloc[1]:%H:%M}" == "01:00"
    assert len(result.bars) == 3
    assert result.summary["bars_traded"] == 3
    assert result.bars["balance"].tolist() == [1000.0, 1002.0, 1002.0]
    assert result.trades["entry_time"].tolist() == [pd.Timestamp("2025-01-01 01:15", tz="UTC")]
    assert result.orders["ended"].tolist() == [
        pd.Timestamp("2025-01-01 01:15", tz="UTC"), pd.Timestamp("2025-01-01 01:45", tz="UTC"),
    ]  # fmt: skip
    # The hours alone give R12: no profit is taken in the bar of the entry.
    plain = outcome(exchange_run(coarse(fine), {0: 1}, RULES))
    assert happened(plain) == [(1, "entry", 1.0, 100.0, "maker")]


@pytest.mark.parametrize(
    ("path", "role", "price"),
    [
        (((100.0, 103.0, 100.0, 100.0), (100.0, 100.0, 97.0, 100.0)), "take_profit", 102.0),
        (((100.0, 100.0, 97.0, 100.0), (100.0, 103.0, 100.0, 100.0)), "stop_loss", 98.0),
    ],
)
def test_take_profit_and_stop_of_one_hour_come_in_the_order_of_its_quarters(
    path: tuple[Prices, Prices], role: str, price: float
) -> None:
    fine = quarters(*HOUR_OF_REST, *HOUR_OF_REST, QUIET, *path, QUIET)
    result = run(fine, {0: 1}, STOP_2)
    assert moments(result)[1:] == [("02:15", role, price)]
    assert result.summary["ambiguous_bars"] == {"total": 0}
    # The hours alone decide for the stop, and say that they guess.
    plain = outcome(exchange_run(coarse(fine), {0: 1}, changed(RULES, **STOP_2)))
    assert happened(plain)[1:] == [(2, "stop_loss", 1.0, 98.0, "taker")]
    assert plain.summary["ambiguous_bars"] == {"total": 1, "take_profit_and_stop": 1}


def test_improvement_at_the_open_is_for_the_first_finer_bar_only() -> None:
    # R15: the first quarter opens at the limit, the second beyond it.
    fine = quarters(*HOUR_OF_REST, (100.5, 100.5, 100.5, 100.5), (99.0, 99.0, 99.0, 99.0),
                    QUIET, QUIET)  # fmt: skip
    assert moments(run(fine, {0: 1})) == [("01:15", "entry", 100.0)]
    fine = quarters(*HOUR_OF_REST, (99.0, 99.0, 99.0, 99.0), QUIET, QUIET, QUIET)
    assert moments(run(fine, {0: 1})) == [("01:00", "entry", 99.0)]


def test_funding_is_paid_at_the_open_of_its_finer_bar_by_what_is_held_then() -> None:
    at_half_past = NEW_YEAR_MS + HOUR_MS + 2 * QUARTER_MS
    options = {"funding": [(at_half_past, 0.01)]}
    entered_before = quarters(
        *HOUR_OF_REST, QUIET, QUIET, (101.0, 101.0, 101.0, 101.0), (101.0,) * 4
    )
    assert run(entered_before, {0: 1}, options).summary["funding_paid"] == pytest.approx(1.01)
    entered_after = quarters(*HOUR_OF_REST, *[(101.0, 101.0, 101.0, 101.0)] * 3, QUIET)
    assert run(entered_after, {0: 1}, options).summary["funding_paid"] == 0.0


def test_funding_due_in_a_hole_of_the_finer_bars_is_paid_after_it_at_the_mark() -> None:
    # The second hour has lost its quarters of :15 and :30; due at :30, paid at :45.
    fine = quarters(*HOUR_OF_REST, QUIET, QUIET, QUIET, (104.0, 104.0, 104.0, 104.0))
    fine = [*fine[:5], fine[7]]
    mark = [(bar[0], *[price + 1.0 for price in bar[1:]]) for bar in fine]
    rules = changed(
        RULES, take_profit_pct=0.5, funding=[(NEW_YEAR_MS + HOUR_MS + 2 * QUARTER_MS, 0.01)]
    )
    bars = hours(QUIET, (100.0, 104.0, 100.0, 104.0))
    result = outcome(
        exchange_run(bars, {0: 1}, rules, fine=fine, fine_timeframe="15m", mark=mark)
    )
    assert moments(result) == [("01:00", "entry", 100.0)]
    assert result.summary["funding_paid"] == pytest.approx(0.01 * 105.0)
    assert result.summary["funding_late"] == 1


def test_liquidation_happens_in_its_finer_bar() -> None:
    options = {"leverage": 20.0, "position_size": 10.0, "initial_balance": 100.0, "use_tp": False}
    fine = quarters(*HOUR_OF_REST, *HOUR_OF_REST, QUIET, (100.0, 100.0, 85.0, 95.0), QUIET, QUIET)
    result = run(fine, {0: 1}, options)
    assert moments(result)[1:] == [("02:15", "liquidation", round(90.0 / 0.996, 9))]


def test_finer_bars_that_are_the_strategys_give_the_same_result() -> None:
    bars = hours(
        QUIET, (100.0, 103.0, 99.0, 102.0), (102.0, 104.0, 97.0, 98.0), (98.0, 99.0, 88.0, 92.0),
        (92.0, 101.0, 91.0, 100.0), (100.0, 100.0, 60.0, 70.0), QUIET,
    )  # fmt: skip
    signals = {0: 1, 1: -1, 2: 1, 3: -1, 4: 1, 5: -2}
    rules = changed(
        RULES, position_size=5.0, leverage=10.0, initial_balance=200.0, taker=0.0005, **STOP_2,
        funding=[(NEW_YEAR_MS + 3 * HOUR_MS, 0.001)],
    )  # fmt: skip
    for mode in ("cross", "isolated"):
        changes = {"trading": {"margin_mode": mode}}
        plain = outcome(exchange_run(bars, signals, rules, changes))
        prepared = exchange_run(bars, signals, rules, changes, volumes=[1e9] * len(bars))
        assert len(plain.fills) > 4
        assert_same_result(plain, outcome(prepared))


# ---------------------------------------------------------------------- time
def test_order_expires_in_finer_bars() -> None:
    # Half an hour: the first two quarters may fill it, the third may not.
    options = {"order_cancel_timeout": 1800.0}
    away = (101.0, 101.0, 101.0, 101.0)
    in_time = quarters(*HOUR_OF_REST, away, QUIET, away, away)
    assert moments(run(in_time, {0: 1}, options)) == [("01:15", "entry", 100.0)]
    too_late = quarters(*HOUR_OF_REST, away, away, QUIET, QUIET)
    result = run(too_late, {0: 1}, options)
    assert moments(result) == []
    assert result.orders["status"].tolist() == ["expired"]
    assert f"{result.orders['ended'].iloc[0]:%H:%M}" == "01:30"


@pytest.mark.parametrize(
    ("latency_ms", "first"),
    [(0, "01:00"), (1, "01:15"), (900_000, "01:15"), (900_001, "01:30"), (2_700_000, "01:45")],
)
def test_latency_moves_the_first_bar_that_can_fill(latency_ms: int, first: str) -> None:
    # R41.
    fine = quarters(*HOUR_OF_REST, *HOUR_OF_REST)
    changes = {"backtest": {"fill": {"latency_ms": latency_ms}}}
    prepared = exchange_run(
        coarse(fine), {0: 1}, RULES, changes, fine=fine, fine_timeframe="15m"
    )
    assert moments(outcome(prepared)) == [(first, "entry", 100.0)]


def test_order_that_arrives_late_is_filled_at_the_open_of_its_first_bar_when_better() -> None:
    # R15 with latency: its first bar is the one in which it can fill at all.
    fine = quarters(*HOUR_OF_REST, QUIET, (99.0, 99.0, 99.0, 99.0), QUIET, QUIET)
    changes = {"backtest": {"fill": {"latency_ms": 1000}}}
    prepared = exchange_run(
        coarse(fine), {0: 1}, RULES, changes, fine=fine, fine_timeframe="15m"
    )
    assert moments(outcome(prepared)) == [("01:15", "entry", 99.0)]


@pytest.mark.parametrize(
    ("latency_ms", "entered", "sold"),
    [(0, "01:00", "01:00"), (1, "01:15", "01:30"), (900_000, "01:15", "01:30"),
     (900_001, "01:30", "02:00")],
)  # fmt: skip
def test_latency_of_what_a_finer_bars_start_makes_counts_from_its_open(
    latency_ms: int, entered: str, sold: str
) -> None:
    # R41: the entry fills at an open, where its take-profit is sent; every bar touches both.
    fine = quarters(*HOUR_OF_REST, *[(100.0, 103.0, 100.0, 101.0)] * 8)
    changes = {"backtest": {"fill": {"latency_ms": latency_ms}}}
    prepared = exchange_run(
        coarse(fine), {0: 1}, RULES, changes, fine=fine, fine_timeframe="15m"
    )
    assert moments(outcome(prepared)) == [(entered, "entry", 100.0), (sold, "take_profit", 102.0)]


@pytest.mark.parametrize(("latency_ms", "sold"), [(0, "01:15"), (1, "01:45")])
def test_latency_keeps_a_take_profit_from_the_close_of_the_bar_that_made_it(
    latency_ms: int, sold: str
) -> None:
    # R13's step 7: the close of 01:15 touches the take-profit that this bar made. With a latency
    # (R41) it is sent at the bar's end, 01:30, and so late for the bar that opens there.
    above = (102.0, 102.0, 102.0, 102.0)
    fine = quarters(
        *HOUR_OF_REST, (101.0, 101.0, 101.0, 101.0), (101.0, 103.0, 100.0, 102.0), above, above
    )
    changes = {"backtest": {"fill": {"latency_ms": latency_ms}}}
    prepared = exchange_run(
        coarse(fine), {0: 1}, RULES, changes, fine=fine, fine_timeframe="15m"
    )
    assert moments(outcome(prepared)) == [("01:15", "entry", 100.0), (sold, "take_profit", 102.0)]


def test_latency_longer_than_an_orders_life_fills_nothing() -> None:
    fine = quarters(*HOUR_OF_REST, *HOUR_OF_REST, *HOUR_OF_REST)
    changes = {"backtest": {"fill": {"latency_ms": 3_600_000}}}
    result = outcome(
        exchange_run(coarse(fine), {0: 1}, RULES, changes, fine=fine, fine_timeframe="15m")
    )
    assert moments(result) == []
    assert result.summary["orders_expired"] == 1


# ---------------------------------------------------------------------- ambiguous bars
AMBIGUOUS = [
    # The take-profit at 102 and the stop at 98 of one group.
    ("take_profit_and_stop", [QUIET, QUIET, (100.0, 103.0, 97.0, 100.0)], {0: 1}, STOP_2),
    # An entry at 100 and the take-profit at 102 of the Position that it would join.
    ("entry_and_exit", [QUIET, QUIET, (101.0, 103.0, 99.0, 100.0)], {0: 1, 1: 1}, {}),
    # The take-profit at 102 and the liquidation at 90.36.
    (
        "exit_and_liquidation", [QUIET, QUIET, (100.0, 103.0, 89.0, 100.0)], {0: 1},
        {"leverage": 20.0, "position_size": 10.0, "initial_balance": 100.0},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "prices", "signals", "changes"), AMBIGUOUS, ids=[each[0] for each in AMBIGUOUS]
)
def test_ambiguous_bar_is_counted_by_its_kind_and_listed(
    kind: str, prices: list[Prices], signals: dict[int, int], changes: dict[str, Any]
) -> None:
    # R43.
    result = outcome(exchange_run(hours(*prices), signals, changed(RULES, **changes)))
    assert result.summary["ambiguous_bars"] == {"total": 1, kind: 1}
    assert result.ambiguous["kind"].tolist() == [kind]
    assert result.ambiguous["time"].tolist() == [result.bars["time"].iloc[2]]


def test_bar_of_two_kinds_is_one_ambiguous_bar() -> None:
    prices = [QUIET, QUIET, (101.0, 103.0, 97.0, 100.0)]
    result = outcome(exchange_run(hours(*prices), {0: 1, 1: 1}, changed(RULES, **STOP_2)))
    assert result.summary["ambiguous_bars"] == {
        "total": 1, "entry_and_exit": 1, "take_profit_and_stop": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "prices",
    [(100.0, 103.0, 98.5, 100.0), (100.0, 101.0, 97.0, 100.0), QUIET],
    ids=["take-profit alone", "stop alone", "nothing"],
)
def test_bar_that_touches_one_order_is_not_ambiguous(prices: Prices) -> None:
    result = outcome(exchange_run(hours(QUIET, QUIET, prices), {0: 1}, changed(RULES, **STOP_2)))
    assert result.summary["ambiguous_bars"] == {"total": 0}
    assert result.ambiguous.empty


def test_orders_of_different_sides_do_not_make_a_bar_ambiguous() -> None:
    # The long's take-profit at 102, a short entry at 100: neither changes the other.
    prices = [QUIET, QUIET, (101.0, 103.0, 100.5, 102.0)]
    result = outcome(exchange_run(hours(*prices), {0: 1, 1: -1}, RULES))
    assert len(result.fills) == 3
    assert result.summary["ambiguous_bars"] == {"total": 0}


# ---------------------------------------------------------------------- best and worst order
def test_best_order_takes_the_profit_and_the_worst_the_stop() -> None:
    # R42.
    prices = [QUIET, QUIET, (100.0, 103.0, 97.0, 100.0)]
    prepared = exchange_run(hours(*prices), {0: 1}, changed(RULES, **STOP_2))
    assert happened(outcome(prepared))[1:] == [(2, "stop_loss", 1.0, 98.0, "taker")]
    best = outcome(prepared, "best")
    assert happened(best)[1:] == [(2, "take_profit", 1.0, 102.0, "maker")]
    worst = outcome(prepared, "worst")
    assert happened(worst)[1:] == [(2, "stop_loss", 1.0, 98.0, "taker")]


def test_worst_order_lets_the_entry_replace_the_take_profit_it_meets() -> None:
    prices = [QUIET, QUIET, (101.0, 103.0, 99.0, 99.0)]
    prepared = exchange_run(hours(*prices), {0: 1, 1: 1}, RULES)
    taken = (2, "take_profit", 1.0, 102.0, "maker")
    entered = (2, "entry", 1.0, 100.0, "maker")
    # At best the price entered first and then went on to the new entry's own take-profit.
    assert happened(outcome(prepared, "best"))[1:] == [taken, entered, taken]
    assert happened(outcome(prepared))[1:] == [taken, entered]
    assert happened(outcome(prepared, "worst"))[1:] == [entered]


def test_band_holds_the_figures_of_the_three_runs() -> None:
    # R42: run --ambiguity runs all three.
    prices = [QUIET, QUIET, (100.0, 103.0, 97.0, 100.0)]
    prepared = exchange_run(hours(*prices), {0: 1}, changed(RULES, **STOP_2))
    band = ambiguity_band(prepared, outcome(prepared))
    assert {name: each["final_equity"] for name, each in band.items()} == {
        # The path: high and low are equally far and the bar closes at its open, so the low first.
        "rules": 998.0, "best": 1002.0, "worst": 998.0, "path": 998.0,
    }  # fmt: skip
    assert band["best"]["max_drawdown"] == 0.0
    assert band["worst"]["max_drawdown"] == pytest.approx(0.002)


def test_band_without_ambiguous_bars_is_a_point() -> None:
    fine = quarters(*HOUR_OF_REST, *HOUR_OF_REST, QUIET, (100.0, 103.0, 100.0, 103.0), QUIET, QUIET)
    prepared = exchange_run(
        coarse(fine), {0: 1}, changed(RULES, **STOP_2), fine=fine, fine_timeframe="15m"
    )
    band = ambiguity_band(prepared, outcome(prepared))
    assert band["rules"] == band["best"] == band["worst"] == band["path"]


# ---------------------------------------------------------------------- files and the command line
FINE = {"data": {"fill_timeframe": "15m", "fill_path": "fine.csv"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory with a configuration, two days of hours and of quarters."""
    write_bars(tmp_path / "bars.csv", 48)
    write_bars(tmp_path / "fine.csv", 192, step_ms=QUARTER_MS)
    write_config(tmp_path, FINE)
    return tmp_path


def run_files(folder: Path, *overrides: str) -> Result:
    result, _ = run_backtest(load_settings(folder / "config.yaml", overrides), discover())
    return result


def test_finer_bars_of_a_second_file_fill_orders(folder: Path) -> None:
    result = run_files(folder)
    assert result.summary["bars_traded"] == 38
    assert len(result.fills) > 4
    minutes = result.fills["time"].dt.minute
    assert set(minutes) <= {0, 15, 30, 45}
    assert set(minutes) != {0}


def test_strategy_bar_without_finer_bars_is_answered_with_a_sentence(folder: Path) -> None:
    # R40: every strategy bar needs one at least.
    write_bars(folder / "fine.csv", 192, step_ms=QUARTER_MS, without=range(120, 124))
    done = cryptosim(folder, "run", "config.yaml", "--output", "out", code=2)
    assert "4 15m bars are missing, the first at 2025-01-02T06:00:00Z" in done.stderr
    assert not (folder / "out").exists()


def test_hole_that_is_kept_still_needs_one_finer_bar_in_each_strategy_bar(folder: Path) -> None:
    write_bars(folder / "fine.csv", 192, step_ms=QUARTER_MS, without=range(120, 123))
    kept = run_files(folder, "data.gaps=keep")
    assert kept.summary["bars_traded"] == 38
    write_bars(folder / "fine.csv", 192, step_ms=QUARTER_MS, without=range(120, 124))
    sentence = r"data\.fill_path: .*1 strategy bars have no finer bar.*2025-01-02T06:00:00Z"
    with pytest.raises(DataError, match=sentence):
        run_files(folder, "data.gaps=keep")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data.fill_timeframe=1h"], "fill_timeframe: was '1h'; allowed: a timeframe that divides"),
        (["data.fill_timeframe=2h"], "fill_timeframe: was '2h'; allowed: a timeframe that divides"),
        (["data.fill_path=null"], "fill_path: missing; finer bars need fill_timeframe and"),
        (["data.fill_timeframe=null"], "fill_timeframe: missing; finer bars need"),
        (["data.fill_path=null", "data.fill_timeframe=null", "backtest.fill.latency_ms=5"],
         "latency_ms: was 5, which whole bars cannot show"),
        (["backtest.fill.max_volume_share=0.1"], "volume_unit: missing"),
    ],
)  # fmt: skip
def test_finer_bars_that_do_not_fit_are_refused_by_the_configuration(
    folder: Path, overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(folder / "config.yaml", overrides)
    assert sentence in str(caught.value)


def test_short_timeout_is_no_cause_for_a_warning_where_finer_bars_keep_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("cryptosim_bt")
    logger.setLevel(logging.WARNING)
    run_files(folder, "trading.order_cancel_timeout=1800")
    assert "order_cancel_timeout" not in caplog.text
    run_files(folder, "trading.order_cancel_timeout=60")
    assert "order_cancel_timeout of 60 s is shorter than a bar" in caplog.text


def test_ambiguity_prints_the_band_and_writes_it_into_the_summary(folder: Path) -> None:
    # Every fourth bar reaches 2 % up and down, to take-profit and stop.
    write_bars(folder / "bars.csv", 48, wick=1000.0)
    write_config(folder, {"trading": {"symbol": "BTC/USD:BTC", "take_profit_pct": 0.015,
                                      "stop_loss_pct": 0.015}})  # fmt: skip
    done = cryptosim(folder, "run", "config.yaml", "--ambiguity", "--output", "out")
    summary = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    band = summary["ambiguity"]
    assert set(band) == {"rules", "best", "worst", "path"}
    assert band["rules"]["final_equity"] == summary["final_equity"]
    assert band["rules"]["max_drawdown"] == summary["max_drawdown"]
    assert band["worst"]["final_equity"] < band["best"]["final_equity"]
    assert summary["ambiguous_bars"]["total"] > 0
    for order in ("best", "worst", "path"):
        figures = f"{band[order]['final_equity']:.8f} BTC, {band[order]['max_drawdown']:.2%}"
        assert figures in done.stdout
    listed = pd.read_csv(folder / "out" / "ambiguous.csv")
    assert listed["time"].nunique() == summary["ambiguous_bars"]["total"]
