"""A plain backtrader strategy through the commands: run, list, report, verify, compare, plot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from cryptosim_bt import Result
from tests.broker import stock_strategies as stock
from tests.exchange_files import cryptosim as command
from tests.plain_runs import write_run

ROOT = Path(__file__).resolve().parents[2]
CODE = """\
import backtrader as bt


class MyCross(bt.Strategy):
    '''Crosses of two means, in by market, out by a bracket.'''

    params = (("fast", 6), ("slow", 20))

    def __init__(self):
        means = [bt.ind.SMA(period=each) for each in (self.p.fast, self.p.slow)]
        self.cross = bt.ind.CrossOver(*means)

    def next(self):
        price = self.data.close[0]
        if not self.position and self.cross > 0:
            self.buy_bracket(exectype=bt.Order.Market, stopprice=price * 0.98,
                             limitprice=price * 1.02)
        elif not self.position and self.cross < 0:
            self.sell_bracket(exectype=bt.Order.Market, stopprice=price * 1.02,
                              limitprice=price * 0.98)


if __name__ == "__main__":
    bt.Cerebro().run()
"""
FILES = {
    ".cryptosim-run", "ambiguous.csv", "bars.csv", "chart.png", "charts", "config.yaml",
    "fills.csv", "funding.csv", "orders.csv", "performance.json", "plot.png", "report.html",
    "report.xlsx", "run.log", "sets.csv", "summary.json", "trades.csv",
}  # fmt: skip
ALL = "report.analyzers=[ledger, performance, excel, picture, charts, page]"


def cryptosim(folder: Path, *arguments: str | Path, code: int = 0) -> str:
    done = command(folder, *arguments, code=code)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with bars, a strategy, a configuration and two finished runs."""
    folder = tmp_path_factory.mktemp("plain")
    write_run(folder, stock.random_bars(600, seed=4), "MyCross", CODE, balance=1_000.0)
    for name, period in (("a", 6), ("b", 9)):
        cryptosim(folder, "run", "my.yaml", "--output", name, "--set", ALL,
                  "--set", f"strategy.MyCross.fast={period}")  # fmt: skip
    return folder


def test_run_leaves_the_same_folder_as_any_other(folder: Path) -> None:
    assert {path.name for path in (folder / "a").iterdir()} == FILES
    result = Result.read(folder / "a")
    assert len(result.trades) >= 5
    assert set(result.trades["exit_reason"]) == {"stop", "limit"}
    assert result.indicators == ["sma_6", "sma_20", "crossover"]
    assert len(result.sets) == 0


def test_config_of_the_run_holds_what_it_takes_to_run_it_again(folder: Path) -> None:
    values = YAML(typ="safe", pure=True).load((folder / "a" / "config.yaml").read_text())
    assert values["trading"]["position_mode"] == "net"
    assert values["strategy"] == {"name": "MyCross", "MyCross": {"fast": 6, "slow": 20}}


def test_verify_says_identical(folder: Path) -> None:
    told = cryptosim(folder, "verify", "a", code=2)
    assert "its code is run with --trust only" in told
    assert "identical: 600 bars" in cryptosim(folder, "verify", "a", "--trust")


def test_report_makes_the_same_files_again(folder: Path) -> None:
    names = ("report.html", "performance.json", "orders.csv", "trades.csv", "chart.png")
    before = {name: (folder / "b" / name).read_bytes() for name in names}
    cryptosim(folder, "report", "b")
    assert {name: (folder / "b" / name).read_bytes() for name in names} == before


def test_compare_tells_the_parameter_and_its_effect(folder: Path) -> None:
    told = cryptosim(folder, "compare", "a", "b")
    assert "strategy.MyCross.fast" in told


def test_compare_with_a_run_of_signals_changes_strategy_and_mode_together(folder: Path) -> None:
    cryptosim(folder, "run", "my.yaml", "--output", "signals", "--set", "strategy.name=simple_ma",
              "--set", "trading.position_mode=hedge", "--set", "strategy.simple_ma.short_period=2",
              "--set", "strategy.simple_ma.long_period=5",
              "--set", "backtest.trading_period.start_date=2024-01-01 12:00")  # fmt: skip
    told = cryptosim(folder, "compare", "a", "signals")
    assert "position_mode" in told
    assert "was 'net'" not in told


def test_plot_draws_the_run(folder: Path) -> None:
    cryptosim(folder, "plot", "a", "--output", "again.png")
    assert (folder / "again.png").stat().st_size > 10_000


def test_list_names_the_class_with_its_parameters(folder: Path) -> None:
    told = cryptosim(folder, "list", "strategies")
    assert "MyCross" in told
    assert "fast=6, slow=20" in told
    assert "Crosses of two means" in told


def test_workbook_tells_orders_in_words(folder: Path) -> None:
    orders = pd.read_excel(folder / "a" / "report.xlsx", sheet_name="Orders")
    assert set(orders["Type"]) == {"market", "stop", "limit"}
    assert "the other side of its bracket filled" in set(orders["Reason"])
    trades = pd.read_excel(folder / "a" / "report.xlsx", sheet_name="Trades")
    assert len(trades) == len(Result.read(folder / "a").trades)


def test_run_without_any_order_has_all_files_too(folder: Path) -> None:
    # Longer than the window but for one bar: next() sees one bar and no cross.
    cryptosim(folder, "run", "my.yaml", "--output", "quiet", "--set", ALL,
              "--set", "strategy.MyCross.slow=599")  # fmt: skip
    result = Result.read(folder / "quiet")
    assert (len(result.orders), len(result.fills), len(result.trades)) == (0, 0, 0)
    assert {path.name for path in (folder / "quiet").iterdir()} == FILES
    assert "identical" in cryptosim(folder, "verify", "quiet", "--trust")


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["trading.position_mode=hedge"], "set position_mode: net"),
        (["strategy.MyCross.fats=3"], "did you mean fast?"),
        (["strategy.name=MyCros"], "did you mean MyCross?"),
        (["strategy.MyCross.slow=601"], "strategy.warmup: 601"),
        (["strategy.MyCross.slow=abc"], "strategy.MyCross.slow: was 'abc'; allowed: a number"),
        (["strategy.MyCross.slow=null"], "was None; allowed: a number"),
        (["strategy.MyCross.slow=true"], "was True; allowed: a number"),
    ],
)
def test_wrong_input_ends_with_2_and_a_sentence(
    overrides: list[str], part: str, folder: Path
) -> None:
    sets = [each for override in overrides for each in ("--set", override)]
    told = cryptosim(folder, "run", "my.yaml", "--output", "wrong", *sets, code=2)
    assert "error: " in told
    assert part in told
    assert not (folder / "wrong").exists()


@pytest.mark.parametrize(
    ("override", "part"),
    [
        # In backtrader's own indicator, as it computes; in the class, as it is made.
        ("strategy.MyCross.fast=0", "ZeroDivisionError: float division by zero; in once ("),
        ("strategy.MyCross.fast=2.5", "TypeError: "),
    ],
)
def test_exception_of_the_strategy_is_told_in_a_sentence(
    override: str, part: str, folder: Path
) -> None:
    told = cryptosim(folder, "run", "my.yaml", "--output", "raised", "--set", override, code=1)
    (sentence,) = [line for line in told.splitlines() if line.startswith("error: ")]
    assert sentence.startswith("error: strategy MyCross: ")
    assert part in sentence
    assert "Traceback" not in told
    (failed,) = [path for path in folder.iterdir() if path.name.startswith("raised")]
    assert "Traceback" in (failed / "run.log").read_text(encoding="utf-8")
    shutil.rmtree(failed)


def test_shipped_configuration_runs(tmp_path: Path) -> None:
    told = cryptosim(tmp_path, "run", ROOT / "config" / "net_mode.yaml", "--output", "out",
                     "--set", "report.language=en",
                     "--set", "report.analyzers=[ledger, performance]")  # fmt: skip
    assert "BTC/USDT:USDT" in told
    assert len(Result.read(tmp_path / "out").trades) > 0
