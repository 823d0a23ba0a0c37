"""A mark price of its own: money is reckoned with it, orders are matched with trades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cryptosim_bt import DataError, Result, load_settings, run_backtest
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

QUIET = (100.0, 100.0, 100.0, 100.0)
# 10 contracts at 100 with 100 of balance: liquidated at 90 / (1 - 0.4 %) = 90.36.
RULES = changed(
    PLAIN, tick=0.0, lot=0.0, position_size=10.0, leverage=20.0, initial_balance=100.0,
    use_tp=False, liquidation_fee_rate=0.0,
)  # fmt: skip
LIQUIDATION = 90.0 / (1.0 - 0.004)


def run(trades: list[Bar], mark: list[Bar], signals: dict[int, int], **changes: Any) -> Any:
    result = outcome(exchange_run(trades, signals, changed(RULES, **changes), mark=mark))
    assert_money_is_kept(result, changed(RULES, **changes)["initial_balance"])
    return result


# ---------------------------------------------------------------------- liquidation
def test_mark_that_falls_liquidates_though_no_trade_does() -> None:
    trades = hours(QUIET, QUIET, QUIET)
    result = run(trades, hours(QUIET, QUIET, (100.0, 100.0, 85.0, 99.0)), {0: 1})
    assert happened(result)[1:] == [(2, "liquidation", 10.0, round(LIQUIDATION, 9), "taker")]


def test_trades_that_fall_do_not_liquidate_while_the_mark_stays() -> None:
    trades = hours(QUIET, QUIET, (100.0, 100.0, 70.0, 75.0))
    result = run(trades, hours(QUIET, QUIET, (100.0, 100.0, 97.0, 98.0)), {0: 1})
    assert happened(result) == [(1, "entry", 10.0, 100.0, "maker")]
    # The same bars without a mark of their own.
    plain = outcome(exchange_run(trades, {0: 1}, RULES))
    assert happened(plain)[1:] == [(2, "liquidation", 10.0, round(LIQUIDATION, 9), "taker")]


def test_mark_that_opens_beyond_liquidates_at_its_open() -> None:
    trades = hours(QUIET, QUIET, QUIET)
    result = run(trades, hours(QUIET, QUIET, (89.0, 89.0, 89.0, 89.0)), {0: -1, 1: 0})
    assert len(result.fills) == 1  # a short gains
    result = run(trades, hours(QUIET, QUIET, (89.0, 90.0, 88.0, 89.0)), {0: 1})
    assert happened(result)[1:] == [(2, "liquidation", 10.0, 89.0, "taker")]
    assert result.summary["shortfall"] == pytest.approx(10.0)


def test_stops_and_take_profits_meet_trades_and_not_the_mark() -> None:
    trades = hours(QUIET, QUIET, (100.0, 101.0, 96.0, 97.0), QUIET)
    mark = hours(QUIET, QUIET, (100.0, 110.0, 94.0, 97.0), QUIET)
    options = {"use_tp": True, "take_profit_pct": 0.05, "use_sl": True, "stop_loss_pct": 0.05}
    result = run(trades, mark, {0: 1}, **options)
    assert happened(result) == [(1, "entry", 10.0, 100.0, "maker")]
    lower = hours(QUIET, QUIET, (100.0, 101.0, 95.0, 97.0), QUIET)
    result = run(lower, hours(*[QUIET] * 4), {0: 1}, **options)
    assert happened(result)[1:] == [(2, "stop_loss", 10.0, 95.0, "taker")]


def test_stop_above_the_marks_liquidation_goes_first_when_trades_meet_it_higher() -> None:
    # R39: the nearer to the start of the walk happens first.
    # Trades meet the stop at 95, the mark its liquidation at 90.36: in the order of price.
    trades = hours(QUIET, QUIET, (100.0, 100.0, 88.0, 90.0))
    mark = hours(QUIET, QUIET, (100.0, 100.0, 88.0, 90.0))
    result = run(trades, mark, {0: 1}, use_sl=True, stop_loss_pct=0.05)
    assert happened(result)[1:] == [(2, "stop_loss", 10.0, 95.0, "taker")]
    result = run(trades, mark, {0: 1}, use_sl=True, stop_loss_pct=0.099)
    assert happened(result)[1:] == [(2, "liquidation", 10.0, round(LIQUIDATION, 9), "taker")]


def test_entry_that_fills_is_tested_against_the_marks_adverse_end() -> None:
    # R39, and R16's second half: the entry fills in bar 1, whose mark falls to 85.
    trades = hours(QUIET, QUIET, QUIET)
    result = run(trades, hours(QUIET, (100.0, 100.0, 85.0, 99.0), QUIET), {0: 1})
    assert happened(result)[1:] == [(1, "liquidation", 10.0, round(LIQUIDATION, 9), "taker")]


# ---------------------------------------------------------------------- money at the mark
def test_unrealised_pnl_equity_and_margin_of_a_bar_are_at_the_mark() -> None:
    # R38.
    trades = hours(QUIET, QUIET, (100.0, 103.0, 100.0, 103.0))
    result = run(trades, hours(QUIET, QUIET, (100.0, 102.0, 100.0, 101.0)), {0: 1})
    last = result.bars.iloc[-1]
    assert last["mark"] == 101.0
    assert last["unrealized_pnl"] == pytest.approx(10.0)
    assert last["equity"] == pytest.approx(110.0)
    assert last["margin"] == pytest.approx(1010.0 / 20.0)
    assert last["close"] == 103.0


def test_funding_is_paid_on_the_value_at_the_marks_open() -> None:
    due = [(NEW_YEAR_MS + 2 * HOUR_MS, 0.001)]
    trades = hours(QUIET, QUIET, QUIET)
    result = run(trades, hours(QUIET, QUIET, (98.0, 100.0, 98.0, 100.0)), {0: 1}, funding=due)
    assert result.summary["funding_paid"] == pytest.approx(10.0 * 98.0 * 0.001)


def test_daily_loss_is_reckoned_at_the_mark() -> None:
    # At the mark's 99 the 10 contracts lose 10 of 100 in the day: no more entries.
    trades = hours(*[QUIET] * 4)
    mark = hours(QUIET, QUIET, (100.0, 100.0, 99.0, 99.0), QUIET)
    result = run(trades, mark, {0: 1, 2: 1, 3: 1}, daily_loss_limit_pct=0.05)
    assert result.summary["entries_refused"] == {"daily_loss": 2}
    assert run(trades, trades, {0: 1}, daily_loss_limit_pct=0.05).summary["entries_refused"] == {}


def test_entry_is_sized_at_its_limit_and_its_money_at_the_mark() -> None:
    # An entry at 100 needs 50; at a mark of 94 the account has 40 and its leg needs 47.
    trades = hours(*[QUIET] * 3)
    mark = hours(QUIET, QUIET, (100.0, 100.0, 94.0, 94.0))
    result = run(trades, mark, {0: 1, 2: 1})
    assert result.summary["entries_refused"] == {"margin": 1}


def test_close_at_end_fills_at_trades_close() -> None:
    trades = hours(QUIET, QUIET, (100.0, 103.0, 100.0, 103.0))
    mark = hours(QUIET, QUIET, (100.0, 102.0, 100.0, 101.0))
    result = run(trades, mark, {0: 1}, close_at_end=True)
    assert happened(result)[-1] == (2, "close_at_end", 10.0, 103.0, "taker")


def test_distance_to_liquidation_is_measured_on_the_mark() -> None:
    # Trades dip to 91, the mark to 95 only: the run came 1 - 90.36 / 95 near.
    trades = hours(QUIET, QUIET, (100.0, 100.0, 91.0, 100.0))
    result = run(trades, hours(QUIET, QUIET, (100.0, 100.0, 95.0, 100.0)), {0: 1})
    assert result.summary["min_liquidation_distance"] == pytest.approx(1.0 - LIQUIDATION / 95.0)


def test_mark_that_is_the_trades_gives_the_same_result() -> None:
    trades = hours(
        QUIET, (100.0, 103.0, 99.0, 102.0), (102.0, 104.0, 97.0, 98.0), (98.0, 99.0, 88.0, 92.0),
        (92.0, 101.0, 91.0, 100.0), (100.0, 100.0, 60.0, 70.0),
    )  # fmt: skip
    signals = {0: 1, 1: -1, 2: 1, 3: -1, 4: 1}
    rules = changed(
        RULES, initial_balance=300.0, use_tp=True, taker=0.0005,
        funding=[(NEW_YEAR_MS + 3 * HOUR_MS, 0.001)],
    )  # fmt: skip
    for mode in ("cross", "isolated"):
        changes = {"trading": {"margin_mode": mode}}
        plain = outcome(exchange_run(trades, signals, rules, changes))
        marked = outcome(exchange_run(trades, signals, rules, changes, mark=trades))
        assert len(plain.fills) > 4
        assert_same_result(plain, marked)
        assert {**plain.summary, "mark": ""} == {**marked.summary, "mark": ""}


# ---------------------------------------------------------------------- files and sentences
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory with a configuration and two days of bars."""
    write_bars(tmp_path / "bars.csv", 48)
    write_config(tmp_path, {"data": {"mark_path": "mark.csv"}})
    return tmp_path


def run_files(folder: Path) -> Result:
    """Run config.yaml of a folder in this process."""
    result, _ = run_backtest(load_settings(folder / "config.yaml"), discover())
    return result


def test_run_with_a_mark_names_its_file_and_without_one_says_last_price(folder: Path) -> None:
    write_bars(folder / "mark.csv", 48, shift=-3.0)
    marked = run_files(folder)
    assert marked.summary["mark"] == str(folder / "mark.csv")
    assert (marked.bars["close"] - marked.bars["mark"]).tolist() == pytest.approx([3.0] * 38)
    write_config(folder, {})
    plain = run_files(folder)
    assert plain.summary["mark"] == "last price"
    assert plain.bars["mark"].tolist() == plain.bars["close"].tolist()


def test_missing_mark_bar_ends_the_command_with_a_sentence_and_code_2(folder: Path) -> None:
    write_bars(folder / "mark.csv", 48, without=(30,))
    done = cryptosim(folder, "run", "config.yaml", "--output", "out", code=2)
    assert "1 1h bar is missing, the first at 2025-01-02T06:00:00Z" in done.stderr
    assert not (folder / "out").exists()


def test_mark_that_ends_early_is_answered_with_key_count_and_first(folder: Path) -> None:
    write_bars(folder / "mark.csv", 40)
    sentence = r"data\.mark_path: .*8 bars have no mark price, the first at 2025-01-02T16:00:00Z"
    with pytest.raises(DataError, match=sentence):
        run_files(folder)


def test_mark_of_another_timeframe_is_answered_with_both(folder: Path) -> None:
    write_bars(folder / "mark.csv", 200, step_ms=HOUR_MS // 4)
    with pytest.raises(DataError, match=r"mark\.csv: the bars are 15m apart, but timeframe is 1h"):
        run_files(folder)


def test_missing_mark_file_is_answered_with_its_name(folder: Path) -> None:
    with pytest.raises(DataError, match=r"mark\.csv"):
        run_files(folder)
