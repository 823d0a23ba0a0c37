"""``trading.position_mode`` and which strategies it runs: sentences with the key and the cure."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from cryptosim_bt import SHIPPED_CONFIGS, ConfigError, InputError, PluginError, load_settings
from cryptosim_bt.backtest.prepare import resolve_plugins
from cryptosim_bt.backtest.strategy_mode import unused_keys
from cryptosim_bt.config.document import yaml_text
from cryptosim_bt.config.keys import Keys
from cryptosim_bt.plugins.registry import Kind, discover
from tests.plain_runs import hourly, run_config, write_run

PLAIN = """
import backtrader as bt

class Mine(bt.Strategy):
    params = dict(period=3, stake=None)

    def __init__(self):
        self.mean = bt.ind.SMA(period=self.p.period)

    def next(self):
        if not self.position:
            self.buy({options})
"""
ONE_WAY = PLAIN.format(options="")
HEDGED = PLAIN.format(options="side='long'")


@pytest.fixture
def bars() -> pd.DataFrame:
    return hourly(*[(100.0 + hour,) * 4 for hour in range(8)])


def complaint(path: Path, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        run_config(path, *overrides)
    return str(caught.value)


# ---------------------------------------------------------------------- the mode
def test_signal_strategy_in_net_mode_is_refused_with_the_cure() -> None:
    settings = load_settings(SHIPPED_CONFIGS / "config.yaml", ["trading.position_mode=net"])
    with pytest.raises(ConfigError, match=r"position_mode: was 'net', .* simple_ma .*hedge"):
        resolve_plugins(settings, discover())


def test_plain_strategy_without_a_mode_is_told_to_give_one(
    tmp_path: Path, bars: pd.DataFrame
) -> None:
    path = write_run(tmp_path, bars, "Mine", ONE_WAY, mode=None)
    sentence = complaint(path)
    for part in ("trading.position_mode: missing", "Mine", "give net", "hedge, if"):
        assert part in sentence


@pytest.mark.parametrize(
    ("mode", "code", "parts"),
    [
        ("hedge", ONE_WAY, ("was 'hedge'", "without side=", "set position_mode: net")),
        ("net", HEDGED, ("was 'net'", "side='long'", "set position_mode: hedge")),
    ],
)
def test_first_order_of_the_other_mode_ends_the_run_with_the_cure(
    mode: str, code: str, parts: tuple[str, ...], tmp_path: Path, bars: pd.DataFrame
) -> None:
    # R49.
    sentence = complaint(write_run(tmp_path, bars, "Mine", code, mode=mode))
    for part in ("trading.position_mode", "strategy Mine", *parts):
        assert part in sentence


def test_simpler_linear_arithmetic_is_refused(tmp_path: Path, bars: pd.DataFrame) -> None:
    path = write_run(tmp_path, bars, "Mine", ONE_WAY)
    sentence = complaint(path, "backtest.linear_pnl=cryptosim")
    assert "backtest.linear_pnl: was 'cryptosim'" in sentence


def test_warmup_of_a_signal_strategy_is_its_own_business() -> None:
    settings = load_settings(SHIPPED_CONFIGS / "config.yaml", ["strategy.warmup=9"])
    with pytest.raises(ConfigError, match=r"strategy\.warmup: was 9, .*leave it out"):
        resolve_plugins(settings, discover())


# ---------------------------------------------------------------------- parameters and keys
def test_unknown_parameter_is_refused_with_the_known_ones(
    tmp_path: Path, bars: pd.DataFrame
) -> None:
    path = write_run(tmp_path, bars, "Mine", ONE_WAY)
    sentence = complaint(path, "strategy.Mine.perid=5")
    assert "'perid' for Mine; did you mean period? known: period, stake" in sentence


def test_any_type_of_a_known_parameter_is_taken(tmp_path: Path, bars: pd.DataFrame) -> None:
    # The default None of stake, or a whole number for what may be a fraction, promises nothing.
    path = write_run(tmp_path, bars, "Mine", PLAIN.format(options="size=self.p.stake"))
    result = run_config(path, "strategy.Mine.stake=2.5", "strategy.Mine.period=2")
    assert result.fills["contracts"].tolist() == [2.5]


def test_keys_of_the_book_that_were_set_are_named_in_a_warning(
    tmp_path: Path, bars: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_run(tmp_path, bars, "Mine", ONE_WAY)
    settings = load_settings(path, [
        "trading.take_profit_pct=0.03", "risk.daily_loss_limit_pct=0.1", "trading.use_sl=false",
    ])  # fmt: skip
    with caplog.at_level(logging.WARNING, logger="cryptosim_bt"):
        resolve_plugins(settings, discover([tmp_path]))
    (record,) = caplog.records
    assert "trading.take_profit_pct (0.03), risk.daily_loss_limit_pct (0.1)" in record.getMessage()
    assert "use_sl" not in record.getMessage()


def test_shipped_values_of_the_book_mislead_nobody() -> None:
    keys: Keys = load_settings(SHIPPED_CONFIGS / "config.yaml").keys
    assert list(unused_keys(keys)) == []


# ---------------------------------------------------------------------- the window
def test_window_shorter_than_the_indicators_need_is_told(
    tmp_path: Path, bars: pd.DataFrame
) -> None:
    # R50: too short for one next.
    path = write_run(tmp_path, bars, "Mine", ONE_WAY)
    sentence = complaint(path, "strategy.Mine.period=20")
    for part in ("strategy Mine", "need 20 bars and there are 8", "strategy.warmup: 19"):
        assert part in sentence


def test_order_in_the_warmup_is_refused(tmp_path: Path, bars: pd.DataFrame) -> None:
    # R3, R50: trading does not exist before the start.
    code = ONE_WAY + "    def prenext(self): self.buy()\n"
    path = write_run(tmp_path, bars, "Mine", code)
    start = "backtest.trading_period.start_date=2024-01-01 04:00"
    sentence = complaint(path, start, "strategy.warmup=4")
    for part in ("2024-01-01T00:00:00Z", "the 4 bars before start_date", "prenext"):
        assert part in sentence


def test_too_few_bars_for_the_warmup_are_told(tmp_path: Path, bars: pd.DataFrame) -> None:
    path = write_run(tmp_path, bars, "Mine", ONE_WAY)
    assert "warm-up" in complaint(path, "strategy.warmup=4")


# ---------------------------------------------------------------------- money
@pytest.mark.parametrize(
    ("call", "key"),
    [
        ("setcash(5.0)", "backtest.initial_balance"),
        ("setcommission(commission=0.1)", "backtest.fees"),
        ("set_slippage_perc(0.01)", "backtest.fill.slippage"),
    ],
)
@pytest.mark.parametrize("before", ["self.mean", "if not self.position"], ids=["made", "running"])
def test_money_that_the_strategy_sets_is_refused(
    before: str, call: str, key: str, tmp_path: Path, bars: pd.DataFrame
) -> None:
    code = ONE_WAY.replace(before, f"self.broker.{call}\n        {before}")
    sentence = complaint(write_run(tmp_path, bars, "Mine", code))
    assert f"calls broker.{call.partition('(')[0]}()" in sentence
    assert key in sentence


# ---------------------------------------------------------------------- how they are found
def found(folder: Path, code: str, where: str = "strategies", stem: str = "any_file") -> list[str]:
    (folder / where).mkdir(exist_ok=True)
    (folder / where / f"{stem}.py").write_text(code, encoding="utf-8")
    ours = set(discover().names(Kind.STRATEGY))
    return [name for name in discover([folder]).names(Kind.STRATEGY) if name not in ours]


def test_every_plain_class_of_a_file_is_found_by_its_own_name(tmp_path: Path) -> None:
    code = """
import backtrader as bt
from cryptosim_bt.strategies.sma_cross import SmaCross  # imported: not of this file

class Base(bt.Strategy): ...
class 교차(Base): ...
class _Helper(bt.Strategy): ...
class NoStrategy: ...
Alias = Base
if __name__ == "__main__":
    raise SystemExit("a script's own main part does not run")
"""
    assert found(tmp_path, code) == ["Base", "교차"]


def test_plain_class_among_feeds_is_no_strategy(tmp_path: Path) -> None:
    assert found(tmp_path, ONE_WAY, where="feeds") == []


def test_plain_class_may_take_a_name_by_decorator(tmp_path: Path) -> None:
    code = """
import backtrader as bt
from cryptosim_bt import register_strategy

@register_strategy("my_name")
class Mine(bt.Strategy): ...
"""
    assert found(tmp_path, code) == ["my_name"]


def test_subclass_of_ours_without_a_name_is_still_none(tmp_path: Path) -> None:
    code = "from cryptosim_bt import SignalStrategy\nclass Mine(SignalStrategy): ...\n"
    assert found(tmp_path, code) == []


@pytest.mark.parametrize("stem", ["my_cross", "MyCross", "mycross"])
def test_broken_file_is_told_when_its_class_is_asked_for(stem: str, tmp_path: Path) -> None:
    found(tmp_path, "import backtrader as bt\nx = 1 / 0\n", stem=stem)
    with pytest.raises(PluginError, match=r"'MyCross' cannot be used: .* line 2: ZeroDivision"):
        discover([tmp_path]).get(Kind.STRATEGY, "MyCross", "strategy.name")


def test_same_class_name_in_two_files_is_an_error_when_used(tmp_path: Path) -> None:
    found(tmp_path, ONE_WAY, stem="one")
    found(tmp_path, ONE_WAY, stem="two")
    with pytest.raises(PluginError, match="'Mine' is registered twice"):
        discover([tmp_path]).get(Kind.STRATEGY, "Mine", "strategy.name")


# ---------------------------------------------------------------------- parameters
def test_strategy_that_skips_itself_is_told_with_its_parameters(
    tmp_path: Path, bars: pd.DataFrame
) -> None:
    code = """
import backtrader as bt

class Skips(bt.Strategy):
    params = dict(fast=10, slow=5)

    def __init__(self):
        if self.p.fast > self.p.slow:
            raise bt.errors.StrategySkipError
"""
    path = write_run(tmp_path, bars, "Skips", code)
    sentence = complaint(path)
    for part in ("strategy Skips", "StrategySkipError", "{'fast': 10, 'slow': 5}"):
        assert part in sentence
    assert len(run_config(path, "strategy.Skips.fast=3").bars) == len(bars)


@pytest.mark.parametrize("given", ["2.5", "true", "[1, 2]", "abc"])
def test_parameter_of_a_plain_strategy_that_is_false_takes_what_may_stand_there(
    given: str, tmp_path: Path, bars: pd.DataFrame
) -> None:
    code = ONE_WAY.replace("params = dict(", "params = dict(trail=False, ")
    path = write_run(tmp_path, bars, "Mine", code)
    assert len(run_config(path, f"strategy.Mine.trail={given}").bars) == len(bars)


def test_parameter_of_a_plain_strategy_that_is_true_takes_no_number(
    tmp_path: Path, bars: pd.DataFrame
) -> None:
    code = ONE_WAY.replace("params = dict(", "params = dict(trail=True, ")
    path = write_run(tmp_path, bars, "Mine", code)
    assert "allowed: true or false" in complaint(path, "strategy.Mine.trail=2.5")


# ---------------------------------------------------------------------- names
def test_strategy_of_a_file_named_with_its_path_runs_and_can_be_run_again(
    tmp_path: Path, bars: pd.DataFrame
) -> None:
    path = write_run(tmp_path, bars, "../lab/my_file.py:교차", "")
    (tmp_path.parent / "lab").mkdir(exist_ok=True)
    code = ONE_WAY.replace("Mine", "교차")
    (tmp_path.parent / "lab" / "my_file.py").write_text(code, encoding="utf-8")
    settings = load_settings(path, ["strategy.교차.period=2"])
    assert settings.keys.strategy.name == "my_file.교차"
    result = run_config(path, "strategy.교차.period=2")
    assert result.bars["sma_2"].notna().any()
    again = tmp_path / "elsewhere"
    again.mkdir()
    (again / "again.yaml").write_text(yaml_text(settings.resolved()), encoding="utf-8")
    pd.testing.assert_frame_equal(run_config(again / "again.yaml").bars, result.bars)


def test_parameters_may_stand_below_the_name_with_its_file(
    tmp_path: Path, bars: pd.DataFrame
) -> None:
    path = write_run(tmp_path, bars, "mine.Mine", ONE_WAY)
    values = path.read_text(encoding="utf-8").replace(
        "name: mine.Mine", "name: mine.Mine\n  mine.Mine:\n    perio: 2"
    )
    path.write_text(values, encoding="utf-8")
    assert "did you mean period" in complaint(path)
    path.write_text(values.replace("perio:", "period:"), encoding="utf-8")
    assert "sma_2" in run_config(path).bars
