"""Figures of trades and sets, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt.results import trade_figures

START = pd.Timestamp("2025-01-01", tz="UTC")


def trades_of(*net: float, hours: list[float] | None = None, **columns: list) -> pd.DataFrame:
    count = len(net)
    held = [1.0] * count if hours is None else hours
    table = {
        "side": ["long"] * count,
        "entry_time": [START] * count,
        "exit_time": [START + pd.Timedelta(hours=each) for each in held],
        "exit_price": [100.0] * count,
        "gross_pnl": [each + 0.3 for each in net],
        "fees": [0.2] * count,
        "funding_paid": [0.1] * count,
        "net_pnl": list(net),
        "exit_reason": ["take_profit"] * count,
        "group": ["P-long"] * count,
        **columns,
    }
    frame = pd.DataFrame(table).astype({"net_pnl": float, "exit_price": float})
    for name in ("entry_time", "exit_time"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def block(*net: float, **options: list) -> dict:
    return trade_figures.trade_block(trades_of(*net, **options), inverse=False)


def test_averages_and_extremes_are_of_net_pnl() -> None:
    found = block(3.0, -1.0, 0.0, 1.0)
    assert (found["trades"], found["wins"], found["losses"]) == (4, 2, 2)
    assert found["expectancy"] == pytest.approx(3.0 / 4)
    assert found["average_win"] == 2.0
    # What won nothing is a loss: (-1 + 0) / 2.
    assert found["average_loss"] == -0.5
    assert found["payoff_ratio"] == pytest.approx(2.0 / 0.5)
    assert (found["largest_win"], found["largest_loss"]) == (3.0, -1.0)
    rate = found["win_rate"]
    assert rate * found["average_win"] + (1 - rate) * found["average_loss"] == pytest.approx(
        found["expectancy"]
    )
    assert found["gross_pnl"] - found["fees"] - found["funding_paid"] == pytest.approx(
        found["net_pnl"]
    )


def test_no_trades_have_sums_of_zero_and_no_averages() -> None:
    found = block()
    counts = {"trades", "wins", "losses", "longest_win_streak", "longest_loss_streak"}
    sums = {"gross_pnl", "fees", "funding_paid", "net_pnl", "net_pnl_in_coin", "net_pnl_in_quote"}
    assert {name for name, value in found.items() if value is not None} == counts | sums
    assert all(found[name] == 0 for name in counts | sums)


def test_only_wins_have_no_loss_and_no_payoff() -> None:
    found = block(1.0, 2.0)
    assert (found["average_loss"], found["largest_loss"]) == (None, None)
    assert (found["payoff_ratio"], found["profit_factor"]) == (None, None)


@pytest.mark.parametrize(
    ("net", "wins", "losses"),
    [
        ([1.0, 1.0, -1.0, 1.0], 2, 1),
        ([-1.0, 0.0, -1.0, 1.0], 1, 3),
        ([1.0] * 5, 5, 0),
    ],
)
def test_streaks_run_in_the_order_of_closing(net: list[float], wins: int, losses: int) -> None:
    found = block(*net)
    assert (found["longest_win_streak"], found["longest_loss_streak"]) == (wins, losses)


def test_holding_times_are_hours_from_entry_to_exit() -> None:
    found = block(1.0, 1.0, 1.0, hours=[1.0, 2.0, 9.0])
    assert found["average_holding_hours"] == pytest.approx(4.0)
    assert found["median_holding_hours"] == 2.0
    assert (found["shortest_holding_hours"], found["longest_holding_hours"]) == (1.0, 9.0)


def test_pnl_is_converted_at_each_trade_s_exit_price() -> None:
    table = trades_of(10.0, -4.0, exit_price=[100.0, 200.0])
    linear = trade_figures.trade_block(table, inverse=False)
    assert linear["net_pnl_in_quote"] == 6.0
    assert linear["net_pnl_in_coin"] == pytest.approx(10 / 100 - 4 / 200)
    inverse = trade_figures.trade_block(table, inverse=True)
    assert inverse["net_pnl_in_coin"] == 6.0
    assert inverse["net_pnl_in_quote"] == pytest.approx(10 * 100 - 4 * 200)
    assert inverse["expectancy_in_quote"] == pytest.approx(100.0)


def test_parts_are_sides_positions_and_sets() -> None:
    table = trades_of(1.0, 2.0, 4.0, side=["long", "short", "long"],
                      group=["P-long", "S1", "S2"])  # fmt: skip
    parts = trade_figures.trade_parts(table, inverse=False)
    sums = {name: part["net_pnl"] for name, part in parts.items()}
    assert sums == {"all": 7.0, "long": 5.0, "short": 2.0, "in_positions": 1.0, "in_sets": 6.0}


def test_by_key_splits_without_a_rest() -> None:
    table = trades_of(1.0, -2.0, 4.0, exit_reason=["take_profit", "stop_loss", "take_profit"])
    found = trade_figures.by_key(table, table["exit_reason"], inverse=False)
    assert {name: part["net_pnl"] for name, part in found.items()} == {
        "stop_loss": -2.0, "take_profit": 5.0,
    }  # fmt: skip
    assert trade_figures.by_key(table[:0], [], inverse=False) == {}


def test_set_figures_count_closed_sets() -> None:
    hour = pd.Timedelta(hours=1)
    table = pd.DataFrame({
        "set": ["S1", "S2", "S3"], "side": ["long", "short", "long"],
        "born": [START, START, START + hour],
        "ended": pd.to_datetime([START + 3 * hour, START + 5 * hour, None], utc=True),
        "status": ["closed", "closed", "open"], "entries": [10, 10, 10],
        "contracts": [90.0, 80.0, 70.0], "average_entry": [100.0, 101.0, 102.0],
        "exit_price": [102.0, 103.0, np.nan], "exit_reason": ["take_profit", "stop_loss", None],
        "group_pnl": [5.0, -1.0, 0.0], "fees": [1.0, 1.0, 0.5], "funding_paid": [0.0, 0.0, 0.1],
        "net_pnl": [4.0, -2.0, -0.6],
    })  # fmt: skip
    found = trade_figures.set_figures(table)
    everything = found["all"]
    assert (everything["made"], everything["closed"], everything["open"]) == (3, 2, 1)
    assert (everything["net_pnl"], everything["win_rate"]) == (2.0, 0.5)
    assert everything["average_holding_hours"] == pytest.approx(4.0)
    assert (found["long"]["made"], found["short"]["expectancy"]) == (2, -2.0)
    assert [row["set"] for row in found["each"]] == ["S1", "S2", "S3"]
    assert [row["holding_hours"] for row in found["each"]] == [3.0, 5.0, None]
    assert (found["each"][2]["exit_price"], found["each"][2]["exit_reason"]) == (None, None)
