"""backtrader's analyzers, observers and sizers in a configuration."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import backtrader as bt
import pytest
from click.testing import CliRunner

from cryptosim_bt import InputError, Result
from cryptosim_bt.cli.commands import commands
from cryptosim_bt.plugins.backtrader_parts import as_json
from tests.broker import stock_strategies as stock
from tests.plain_runs import FractionsOfCoins, run_config, write_run

CODE = """
import backtrader as bt

class Mine(bt.Strategy):
    def __init__(self):
        self.cross = bt.ind.CrossOver(bt.ind.SMA(period=6), bt.ind.SMA(period=20))

    def next(self):
        if self.cross > 0:
            self.buy()
        elif self.cross < 0:
            self.close()

class CountsOrders(bt.Analyzer):
    params = dict(step=1)

    def notify_order(self, order):
        if order.status == order.Completed:
            self.rets["orders"] = self.rets.get("orders", 0) + self.p.step
"""
ANALYZERS = {
    "SharpeRatio": {"timeframe": "Days", "riskfreerate": 0.0},
    "DrawDown": {},
    "TradeAnalyzer": {},
    "TimeReturn": {"timeframe": "days"},
    "AnnualReturn": {},
    "SQN": {},
    "Transactions": {},
    "PyFolio": {},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path, stock.random_bars(600, seed=2), "Mine", CODE)


def options(**values: Any) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def in_stock(sizer: tuple[type, dict[str, Any]] | None = None) -> bt.Strategy:
    names: dict[str, Any] = {}
    exec(CODE, names)
    cerebro = bt.Cerebro()
    frame = stock.random_bars(600, seed=2)
    cerebro.adddata(
        bt.feeds.PandasData(dataname=frame, timeframe=bt.TimeFrame.Minutes, compression=60)
    )
    cerebro.broker.setcash(1e6)
    cerebro.broker.addcommissioninfo(FractionsOfCoins())
    for name, given in ANALYZERS.items():
        days = {"timeframe": bt.TimeFrame.Days} if "timeframe" in given else {}
        cerebro.addanalyzer(getattr(bt.analyzers, name), _name=name, **{**given, **days})
    cerebro.addobserver(bt.observers.DrawDown)
    if sizer is not None:
        cerebro.addsizer(sizer[0], **sizer[1])
    cerebro.addstrategy(names["Mine"])
    return cerebro.run()[0]


def near(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: near(each) for key, each in value.items()}
    if isinstance(value, list):
        return [near(each) for each in value]
    return pytest.approx(value, rel=1e-6, abs=1e-9) if isinstance(value, float) else value


def test_analyses_and_observed_lines_are_stocks(run: Path) -> None:
    result = run_config(run, *options(analyzers=ANALYZERS, observers={"DrawDown": None}))
    theirs = in_stock()
    for name in ANALYZERS:
        if name in ("Transactions", "PyFolio"):
            continue  # what was bought they name by its data
        expected = as_json(getattr(theirs.analyzers, name).get_analysis())
        assert result.backtrader["analyzers"][name] == near(expected), name
    assert len(result.backtrader["analyzers"]["Transactions"]) >= 10
    line = theirs.stats.drawdown.drawdown.array
    found = result.backtrader["observers"]["DrawDown"]["drawdown"]
    assert len(found) == len(result.bars)
    assert found == near(as_json(list(line[: len(found)])))
    assert max(each for each in found if each) > 0.0


def test_analysis_of_a_signal_strategy_and_one_of_the_strategys_own_file(
    run: Path, tmp_path: Path
) -> None:
    own = run_config(run, *options(analyzers={"CountsOrders": {"step": 2}}))
    filled = int((own.orders["status"] == "filled").sum())
    assert own.backtrader == {"analyzers": {"CountsOrders": {"orders": 2 * filled}}}
    path = write_run(tmp_path, stock.random_bars(1_500, seed=2), "simple_ma", CODE, mode="hedge")
    start = "backtest.trading_period.start_date=2024-02-05"
    signals = run_config(path, start, *options(analyzers={"AnnualReturn": {}}))
    assert len(signals.fills) > 0
    grown = signals.summary["final_equity"] / signals.summary["initial_balance"] - 1.0
    assert signals.backtrader["analyzers"]["AnnualReturn"] == {"2024": pytest.approx(grown)}


@pytest.mark.parametrize(
    ("name", "given"),
    [("PercentSizer", {"percents": 25}), ("AllInSizer", {"percents": 50}),
     ("FixedSize", {"stake": 3}), ("FixedReverser", {"stake": 2})],
)  # fmt: skip
def test_sizer_sizes_as_in_stock(name: str, given: dict[str, Any], run: Path) -> None:
    result = run_config(run, *options(sizer={name: given}))
    theirs = in_stock((getattr(bt.sizers, name), given))
    assert len(result.fills) >= 10
    assert result.summary["final_equity"] == pytest.approx(theirs.broker.getvalue(), rel=1e-9)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("analyzers", {"SharpRatio": {}}, r"analyzers\.SharpRatio: unknown; did you mean SharpeR"),
        ("analyzers", {"DrawDown": {"fnd": 1}}, r"unknown parameter 'fnd'; known: fund"),
        ("analyzers", {"TimeReturn": {"timeframe": "Hours"}}, "timeframe was 'Hours'; allowed: T"),
        ("observers", {"SharpeRatio": {}}, "observers.SharpeRatio: unknown"),
        ("sizer", {"FixedSize": {}, "AllInSizer": {}}, "was FixedSize, AllInSizer; allowed: one"),
        ("sizer", "FixedSize", "allowed: keys and values below it"),
        ("analyzers", {"DrawDown": 5}, "allowed: keys and values below it"),
    ],
)
def test_what_is_not_there_is_told(key: str, value: Any, words: str, run: Path) -> None:
    with pytest.raises(InputError, match=words):
        run_config(run, *options(**{key: value}))


def test_sizer_of_a_signal_strategy_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match=r"sizer: was FixedSize, but strategy simple_ma"):
        run_config(
            run, "strategy.name=simple_ma", "trading.position_mode=hedge",
            *options(sizer={"FixedSize": {}}),
        )  # fmt: skip


def test_file_is_in_the_runs_folder_and_named_in_the_terminal(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    given = options(analyzers={"SharpeRatio": {"timeframe": "Days"}}, observers={"Value": None})
    sets = [part for each in given for part in ("--set", each)]
    done = CliRunner().invoke(commands, ["run", str(run), "--output", str(target), *sets])
    assert done.exit_code == 0, done.output
    assert "SharpeRatio, Value: backtrader.json" in done.output
    said = json.loads((target / "backtrader.json").read_text(encoding="utf-8"))
    assert math.isfinite(said["analyzers"]["SharpeRatio"]["sharperatio"])
    assert Result.read(target).backtrader == said
    text = (target / "config.yaml").read_text(encoding="utf-8")
    assert "timeframe: Days" in text
