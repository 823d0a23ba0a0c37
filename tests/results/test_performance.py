"""performance.json and the analyzer: the figures of a run, during it, after it, read back."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cryptosim_bt import Result
from cryptosim_bt.analyzers.performance import Performance
from cryptosim_bt.backtest.prepare import prepare
from cryptosim_bt.backtest.run import execute
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.results.performance import performance_of
from tests.report_runs import LINEAR, sample_result, sample_settings

pytestmark = pytest.mark.usefixtures("quiet_framework")

RUNS = {
    "coin": (),
    "linear": LINEAR,
    "cryptosim": (*LINEAR, "backtest.linear_pnl=cryptosim"),
    "no_fills": ("trading.position_size=0.0001",),
    "liquidated": ("trading.leverage=100", "trading.position_size=2"),
    "one_bar": ("backtest.trading_period.end_date=2025-01-01 01:00:00",),
}


@pytest.fixture(scope="module", params=RUNS)
def any_run(request: pytest.FixtureRequest) -> Result:
    return sample_result(*RUNS[request.param])


@pytest.fixture(scope="module")
def coin() -> Result:
    return sample_result()


def numbers(values: Any) -> list[float]:
    if isinstance(values, dict):
        return [number for each in values.values() for number in numbers(each)]
    if isinstance(values, list):
        return [number for each in values for number in numbers(each)]
    return [values] if isinstance(values, int | float) else []


def test_every_number_is_finite_and_json_can_hold_it(any_run: Result) -> None:
    found = performance_of(any_run)
    assert numbers(found)
    assert all(math.isfinite(number) for number in numbers(found))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_account_is_that_of_the_summary(any_run: Result) -> None:
    found, summary = performance_of(any_run), any_run.summary
    for name in ("total_return", "annual_return", "max_drawdown", "sharpe", "sortino"):
        assert found["account"][name] == summary[name]
    for name in ("trades", "wins", "losses", "win_rate", "profit_factor"):
        assert found["trades"]["all"][name] == summary[name]
    for name in ("initial_balance", "final_balance", "unrealized_pnl", "final_equity"):
        assert found["result"][name] == summary[name]
    assert found["holding"]["total_return"] == summary["buy_and_hold_return"]
    if summary["total_return_usd"] is not None:
        assert found["in_quote"]["total_return"] == summary["total_return_usd"]


def test_account_is_one_of_its_two_moneys(any_run: Result) -> None:
    found = performance_of(any_run)
    own = "in_coin" if found["currency"] == found["coin"] else "in_quote"
    assert found["account"] == found[own]


def test_other_money_is_converted_at_open_and_close() -> None:
    linear = sample_result(*LINEAR)
    first, last = linear.bars["open"].iloc[0], linear.bars["close"].iloc[-1]
    final = linear.summary["final_equity"]
    expected = (final / last) / (5000.0 / first) - 1.0
    assert performance_of(linear)["in_coin"]["total_return"] == pytest.approx(expected, rel=1e-12)


def test_parts_add_up(any_run: Result) -> None:
    found = performance_of(any_run)
    trades = found["trades"]
    for parts in (
        [trades["long"], trades["short"]],
        [trades["in_positions"], trades["in_sets"]],
        list(found["by_exit_reason"].values()),
        [month["trades"] for month in found["by_month"].values()],
    ):
        for name in ("trades", "wins", "net_pnl", "fees", "funding_paid"):
            total = sum(part[name] for part in parts)
            assert total == pytest.approx(trades["all"][name], abs=1e-9)


def test_months_compound_to_the_whole(any_run: Result) -> None:
    found = performance_of(any_run)
    for name, whole in (("return_in_coin", "in_coin"), ("return_in_quote", "in_quote")):
        months = [month[name] for month in found["by_month"].values()]
        compounded = math.prod(1.0 + value for value in months if value is not None)
        assert compounded - 1.0 == pytest.approx(found[whole]["total_return"], abs=1e-9)


def test_run_read_back_gives_the_same_figures(any_run: Result, tmp_path: Path) -> None:
    any_run.write_tables(tmp_path)
    any_run.write_summary(tmp_path)
    assert performance_of(Result.read(tmp_path)) == performance_of(any_run)


def test_analyzer_writes_summary_and_figures(coin: Result, tmp_path: Path) -> None:
    paths = Performance.without_run().write(coin, tmp_path)
    assert [path.name for path in paths] == ["summary.json", "performance.json"]
    assert json.loads(paths[1].read_text(encoding="utf-8")) == performance_of(coin)


class Listener(Performance):
    """Ask for the figures in the middle of a run, at some of its bars."""

    def start(self) -> None:
        self.before = self.get_analysis()
        self.bars = 0
        self.seen: dict[int, Any] = {}

    def next(self) -> None:
        self.bars += 1
        if self.bars in (1, 2, 151):
            self.seen[self.bars] = self.get_analysis()


def test_figures_are_there_during_a_run_and_after_it() -> None:
    prepared = prepare(sample_settings(), discover())
    result, (analyzer,) = execute(replace(prepared, analyzers={"listener": Listener}))
    assert analyzer.before == {}
    assert [each.bars for each in analyzer.seen.values()] == [1, 2, 151]
    row = 150
    closed = result.trades["exit_time"] <= result.bars["time"].iloc[row]
    assert analyzer.seen[151].trades.all.trades == int(closed.sum())
    assert analyzer.seen[151].result.final_equity == result.bars["equity"].iloc[row]
    assert analyzer.get_analysis() == performance_of(result)
    assert analyzer.get_analysis().trades.long.win_rate == 1.0


def test_analysis_names_no_figure_that_is_not_there() -> None:
    prepared = prepare(sample_settings(), discover())
    _, (analyzer,) = execute(replace(prepared, analyzers={"performance": Performance}))
    with pytest.raises(KeyError):
        _ = analyzer.get_analysis().account.no_such_figure


def test_sets_are_those_of_the_table(coin: Result) -> None:
    found = performance_of(coin)["sets"]
    assert found["all"]["made"] == len(coin.sets)
    assert found["all"]["open"] == coin.summary["open_sets"]
    closed = coin.sets[coin.sets["status"] == "closed"]
    assert found["all"]["net_pnl"] == pytest.approx(closed["net_pnl"].sum(), abs=1e-12)
    assert [row["set"] for row in found["each"]] == coin.sets["set"].tolist()
    assert pd.isna(coin.sets["exit_price"]).sum() == sum(
        row["exit_price"] is None for row in found["each"]
    )


def test_every_figure_is_explained(coin: Result) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text("utf-8")
    named = set(re.findall(r"[a-z_]+", text))
    found = performance_of(coin)
    found["sets"].pop("each")
    names: set[str] = set()

    def gather(values: dict[str, Any]) -> None:
        for name, value in values.items():
            names.update(part for part in [name] if not part[:1].isdigit())
            if isinstance(value, dict):
                gather(value)

    gather(found)
    # Names that say what they are; the others of a list are shortened in the table.
    plain = {"currency", "coin", "quote", "bars", "initial_balance", "final_balance",
             "final_equity"}  # fmt: skip
    short = {name for name in names if name.endswith("_holding_hours")}
    assert names - named - plain - short == set()
