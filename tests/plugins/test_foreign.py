"""``import-strategy``: what becomes of a file that was written for stock backtrader."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cryptosim_bt import PluginError
from cryptosim_bt.cli.commands import commands
from cryptosim_bt.plugins.foreign import read_foreign
from tests.broker import stock_strategies as stock
from tests.plain_runs import run_config, write_run

SCRIPT = """
import backtrader as bt
import datetime


class Mine(bt.Strategy):
    params = (("fast", 10), ("trail", False))

    def __init__(self):
        {in_class}

    def next(self):
        if not self.position:
            self.buy()
        else:
            self.close()


cerebro = bt.Cerebro({options})
data = bt.feeds.GenericCSVData(dataname="prices.csv")
{main}
cerebro.addstrategy(Mine, fast=3)
result = cerebro.run()
"""


def script(folder: Path, in_class: str = "pass", main: str = "", options: str = "") -> Path:
    path = folder / "script.py"
    path.write_text(SCRIPT.format(in_class=in_class, main=main, options=options), encoding="utf-8")
    return path


# A call in the strategy, how a run of it ends, and what is told before.
REFUSED = [
    ("self.broker.set_coc(True)", "cheat-on-close", "cannot fill at a price"),
    ("self.broker.set_coo(True)", "cheat_on_open", "cannot fill at a price"),
    ("self.broker.setcash(10)", "initial_balance", "backtest.initial_balance"),
    ("self.broker.setcommission(commission=0.1)", "backtest.fees", "backtest.fees"),
    ("self.broker.set_slippage_perc(0.1)", "backtest.fill.slippage", "backtest.fill.slippage"),
    ("self.broker.set_slippage_fixed(0.1)", "set_slippage_perc", "a fraction of price"),
    ("self.broker.set_filler(print)", "max_volume_share", "max_volume_share"),
    ("self.broker.set_shortcash(False)", "set_shortcash", "leave it True"),
    ("self.broker.set_fund_history([])", "set_fund_history", "from its fills alone"),
    ("print(self.data1.close)", "data1", "one data"),
    ("print(self.datas[1].close)", "IndexError", "one data"),
    ("print(self.getdatabyname('other'))", "KeyError", "one data"),
]


@pytest.mark.parametrize(("call", "by_run", "told"), REFUSED, ids=[each[0] for each in REFUSED])
def test_what_a_run_refuses_is_told_before(
    call: str, by_run: str, told: str, tmp_path: Path
) -> None:
    path = script(tmp_path, call)
    (found,) = read_foreign(path).refused
    assert (found.line, told in found.cure) == (10, True)
    run = write_run(tmp_path, stock.random_bars(50, seed=1), "Mine", path)
    with pytest.raises(Exception, match=by_run):
        run_config(run)


HARMLESS = [
    "self.broker.set_coc(False)", "self.broker.set_shortcash(True)",
    "self.broker.set_int2pnl(True)", "self.broker.set_eosbar(True)",
    "self.broker.set_slippage_fixed(0.0)", "x = self.datas[0]",
    "self.add_timer(bt.timer.SESSION_START)", "self.sizer = bt.sizers.FixedSize(stake=2)",
    "self.broker.set_fundmode(True)", "self.setsizer(bt.sizers.PercentSizer(percents=5))",
]  # fmt: skip


@pytest.mark.parametrize("call", HARMLESS)
def test_what_a_run_takes_is_not_told_of(call: str, tmp_path: Path) -> None:
    path = script(tmp_path, call)
    assert read_foreign(path).refused == []
    bars = stock.random_bars(50, seed=1)
    assert len(run_config(write_run(tmp_path, bars, "Mine", path)).fills) >= 2


@pytest.mark.parametrize(
    ("main", "told"),
    [
        ("cerebro.broker.setcash(5)", "backtest.initial_balance"),
        ("cerebro.broker.setcommission(0.001)", "backtest.fees"),
        ("cerebro.adddata(data)", "data.path"),
        ("cerebro.addsizer(bt.sizers.FixedSize, stake=2)", "sizer"),
        ("cerebro.addanalyzer(bt.analyzers.SQN)", "analyzers"),
        ("cerebro.addobserver(bt.observers.DrawDown)", "observers"),
        ("cerebro.optstrategy(Mine, fast=[1, 2])", "a loop over"),
    ],
)
def test_what_a_key_says_is_told_with_the_key(main: str, told: str, tmp_path: Path) -> None:
    found = read_foreign(script(tmp_path, main=main)).findings
    assert [each.verdict for each in found] == ["elsewhere"] * 2
    assert f"said here by {told}" in found[0].cure
    assert "strategy.name" in found[1].cure


@pytest.mark.parametrize(
    "main", ["cerebro.resampledata(data)", "cerebro.replaydata(data)",
             "store = bt.Store()", "cerebro.add_order_history([])"],
)  # fmt: skip
def test_main_part_that_no_run_can_have_is_refused(main: str, tmp_path: Path) -> None:
    assert len(read_foreign(script(tmp_path, main=main)).refused) == 1


def test_cheating_is_told(tmp_path: Path) -> None:
    read = read_foreign(script(tmp_path, options="cheat_on_open=True"))
    assert "next_open" in read.refused[0].cure
    timer = script(tmp_path, "self.add_timer(bt.timer.SESSION_START, cheat=True)")
    found = read_foreign(timer).findings[0]
    assert (found.verdict, "the bar after" in found.cure) == ("differs", True)
    opens = script(tmp_path, "pass\n\n    def next_open(self):\n        pass")
    assert read_foreign(opens).findings[0].what == "next_open()"


def test_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import nowhere_at_all\n", encoding="utf-8")
    with pytest.raises(PluginError, match=r"cannot be imported: .*line 1.*nowhere_at_all"):
        read_foreign(path)
    path.write_text("import backtrader as bt\nbt.Cerebro().add_signal(bt.SIGNAL_LONG, None)\n")
    with pytest.raises(PluginError, match="no strategy in it; write a strategy"):
        read_foreign(path)
    with pytest.raises(PluginError, match="does not exist"):
        read_foreign(tmp_path / "none.py")


def test_command_names_strategies_findings_and_how_to_run(tmp_path: Path) -> None:
    path = script(tmp_path, "self.broker.set_coc(True)")
    done = CliRunner().invoke(commands, ["import-strategy", str(path)])
    assert done.exit_code == 0
    assert "strategy Mine(fast=10, trail=False)" in done.output
    assert "line 10: refused: self.broker.set_coc(True)" in done.output
    assert f"strategy.name={path}:Mine" in done.output
