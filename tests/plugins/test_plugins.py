"""How plugins are found, named and checked."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import backtrader
import pytest

from cryptosim_bt import (
    Feed,
    PluginError,
    ReportAnalyzer,
    SignalStrategy,
    register_analyzer,
    register_feed,
    register_strategy,
)
from cryptosim_bt.plugins.parameters import checked_parameters, parameters
from cryptosim_bt.plugins.registry import Kind, Plugin, Registry, discover

STRATEGY = """\
from cryptosim_bt import SignalStrategy, register_strategy


@register_strategy("{name}")
class Mine(SignalStrategy):
    \"\"\"Do nothing.\"\"\"

    params = (("period", 5),)

    @classmethod
    def warmup(cls, params):
        return params.period

    def signal(self):
        return 0
"""


def strategy_file(folder: Path, name: str, stem: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem or name}.py"
    path.write_text(STRATEGY.format(name=name), encoding="utf-8")
    return path


# ---------------------------------------------------------------------- where plugins are found
def test_shipped_plugins_are_found_without_any_folder() -> None:
    registry = discover()
    assert {"simple_ma", "rsi_dip"} <= set(registry.names(Kind.STRATEGY))
    assert {"file", "sample"} <= set(registry.names(Kind.FEED))
    assert {"ledger", "performance"} <= set(registry.names(Kind.ANALYZER))
    assert registry.broken == []


def test_strategy_in_a_folder_beside_the_config_is_found(tmp_path: Path) -> None:
    path = strategy_file(tmp_path / "strategies", "mine")
    plugin = discover([tmp_path]).get(Kind.STRATEGY, "mine", "strategy.name")
    assert plugin.origin == str(path)
    assert parameters(plugin.cls) == {"period": 5}


def test_folder_seen_twice_registers_its_plugins_once(tmp_path: Path) -> None:
    # The config's folder may be the working directory, and one may be a link to the other.
    strategy_file(tmp_path / "strategies", "mine")
    link = tmp_path / "link"
    os.symlink(tmp_path, link)
    registry = discover([tmp_path, tmp_path, link], [tmp_path / "strategies" / "mine.py"])
    assert registry.get(Kind.STRATEGY, "mine", "strategy.name").name == "mine"


@pytest.mark.parametrize("named", ["file", "folder"])
def test_path_under_plugins_is_found(tmp_path: Path, named: str) -> None:
    path = strategy_file(tmp_path / "elsewhere", "mine")
    registry = discover([], [path if named == "file" else path.parent])
    assert registry.get(Kind.STRATEGY, "mine", "strategy.name").origin == str(path)


def test_path_under_plugins_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"plugins: .*none\.py does not exist"):
        discover([], [tmp_path / "none.py"])


def test_modules_that_begin_with_an_underscore_are_helpers(tmp_path: Path) -> None:
    strategy_file(tmp_path / "strategies", "mine", stem="_helper")
    assert "mine" not in discover([tmp_path]).names(Kind.STRATEGY)


def test_class_that_is_only_imported_is_not_registered_again(tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "user.py").write_text("from cryptosim_bt.strategies.simple_ma import SimpleMA\n")
    assert discover([tmp_path]).get(Kind.STRATEGY, "simple_ma", "x").origin.endswith("simple_ma.py")


def test_subclass_of_a_registered_strategy_is_not_registered_by_inheritance(tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "child.py").write_text(
        "from cryptosim_bt.strategies.simple_ma import SimpleMA\n\nclass Child(SimpleMA):\n"
        "    '''A child.'''\n"
    )
    assert discover([tmp_path]).names(Kind.STRATEGY) == discover().names(Kind.STRATEGY)


def test_entry_point_of_an_installed_package_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy_file(tmp_path, "from_package", stem="my_package")
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[cryptosim_bt.strategies]\nfrom_package = my_package:Mine\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    try:
        plugin = discover().get(Kind.STRATEGY, "from_package", "strategy.name")
    finally:
        sys.modules.pop("my_package", None)
    assert plugin.origin.endswith("my_package.py")


# ---------------------------------------------------------------------- what goes wrong
def test_two_plugins_of_one_name_are_an_error_when_used_and_a_warning_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = strategy_file(tmp_path / "strategies", "mine", stem="one")
    second = strategy_file(tmp_path / "strategies", "mine", stem="two")
    registry = discover([tmp_path])
    registry.get(Kind.STRATEGY, "simple_ma", "strategy.name")
    with pytest.raises(PluginError, match="registered twice") as caught:
        registry.get(Kind.STRATEGY, "mine", "config.yaml line 3: strategy.name")
    message = str(caught.value)
    assert message.startswith("config.yaml line 3: strategy.name")
    assert str(first) in message
    assert str(second) in message
    with caplog.at_level(logging.WARNING, logger="cryptosim_bt.plugins.registry"):
        registry.warn()
    assert "registered twice" in caplog.text


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("import nowhere_to_be_found\n", 1, "ModuleNotFoundError"),
        ("x = 1\ny = x / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("def broken(:\n", 1, "SyntaxError"),
        ("\n\nraise ValueError('mine')\n", 3, "ValueError: mine"),
        ("def f():\n    import json\n    json.loads('x')\n\nf()\n", 3, "JSONDecodeError"),
    ],
)
def test_broken_module_is_told_with_its_own_line(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    registry = discover([tmp_path])
    assert registry.get(Kind.STRATEGY, "simple_ma", "strategy.name").name == "simple_ma"
    with pytest.raises(PluginError, match="cannot be used") as caught:
        registry.get(Kind.STRATEGY, "mine", "strategy.name")
    assert f"{path} line {line}: {reason}" in str(caught.value)


def test_module_that_exits_is_a_broken_module(tmp_path: Path) -> None:
    # A script with a main part at its end must not end the run of another strategy.
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "mine.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    registry = discover([tmp_path])
    assert [module.stem for module in registry.broken] == ["mine"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("simple_mb", ("unknown strategy 'simple_mb'", "did you mean simple_ma?", "known: ")),
        ("xyz", ("unknown strategy 'xyz'", "rsi_dip, simple_ma")),
    ],
)
def test_unknown_name_is_told_with_near_ones(name: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(PluginError) as caught:
        discover().get(Kind.STRATEGY, name, "strategy.name")
    for part in parts:
        assert part in str(caught.value)


def test_unknown_name_in_an_empty_registry_is_told() -> None:
    with pytest.raises(PluginError, match="known: none"):
        Registry().get(Kind.FEED, "x", "data.source")


# ---------------------------------------------------------------------- decorators
class Whole(SignalStrategy):
    """A strategy that gives what it must."""

    @classmethod
    def warmup(cls, params: Any) -> int:
        return 1

    def signal(self) -> int:
        return 0


def test_strategy_without_warmup_is_refused_where_it_is_registered() -> None:
    class Mine(SignalStrategy):
        def signal(self) -> int:
            return 0

    with pytest.raises(PluginError, match=r"'mine': Mine gives no warmup\(\)"):
        register_strategy("mine")(Mine)


def test_strategy_without_signals_is_refused() -> None:
    class Mine(SignalStrategy):
        @classmethod
        def warmup(cls, params: Any) -> int:
            return 1

    with pytest.raises(PluginError, match=r"gives no generate_signals or signal\(\)"):
        register_strategy("mine")(Mine)


@pytest.mark.parametrize(
    ("register", "base"),
    [
        (register_strategy, "SignalStrategy"),
        (register_feed, "Feed"),
        (register_analyzer, "ReportAnalyzer"),
    ],
)
def test_class_of_another_kind_is_refused_with_its_base(register: Any, base: str) -> None:
    class Mine:
        pass

    with pytest.raises(PluginError, match=rf"write class Mine\({base}\)"):
        register("mine")(Mine)


@pytest.mark.parametrize("name", ["", "1st", "my-strategy", "my strategy", "a.b"])
def test_name_that_no_config_could_write_is_refused(name: str) -> None:
    with pytest.raises(PluginError, match="letters, digits and _"):
        register_strategy(name)(Whole)


def test_feed_without_load_is_refused() -> None:
    class Mine(Feed):
        pass

    with pytest.raises(PluginError, match=r"Mine gives no load\(\)"):
        register_feed("mine")(Mine)


def test_analyzer_needs_nothing_but_its_base() -> None:
    class Mine(ReportAnalyzer):
        pass

    assert register_analyzer("mine")(Mine) is Mine


# ---------------------------------------------------------------------- parameters
class WithParameters(Whole):
    """Parameters of every type."""

    params = (("period", 5), ("factor", 1.5), ("on", False), ("name", "a"), ("anything", None))

    @classmethod
    def check_params(cls, params: Any) -> str | None:
        return None if params.period > 0 else f"period was {params.period}; allowed: 1 or more"


PLUGIN = Plugin(Kind.STRATEGY, "mine", WithParameters, "mine.py")


def test_parameters_are_the_defaults_and_what_is_given() -> None:
    given = {"period": 7, "factor": 2, "anything": [1]}
    values = checked_parameters(PLUGIN, given, "strategy.mine")
    assert values == SimpleNamespace(period=7, factor=2, on=False, name="a", anything=[1])


def test_frameworks_own_parameter_is_not_the_users() -> None:
    assert "context" not in parameters(WithParameters)
    with pytest.raises(PluginError, match="unknown parameter 'context'"):
        checked_parameters(PLUGIN, {"context": 1}, "strategy.mine")


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"perid": 7}, ("strategy.mine: ", "'perid'", "did you mean period?", "known: period")),
        ({"period": 7.5}, ("strategy.mine.period: was 7.5", "a whole number")),
        ({"period": True}, ("was True", "a whole number")),
        ({"period": "7"}, ("was '7'", "a whole number")),
        ({"factor": "big"}, ("was 'big'", "a number")),
        ({"on": 1}, ("was 1", "true or false")),
        ({"name": 3}, ("was 3", "a text")),
        ({"period": None}, ("was None", "a whole number")),
        ({"period": 0}, ("strategy.mine: period was 0", "1 or more")),
    ],
)
def test_wrong_parameter_is_told_with_value_and_cure(
    given: dict[str, Any], parts: tuple[str, ...]
) -> None:
    with pytest.raises(PluginError) as caught:
        checked_parameters(PLUGIN, given, "strategy.mine")
    for part in parts:
        assert part in str(caught.value)


# ---------------------------------------------------------------------- a user's own files
def test_users_strategy_goes_before_one_that_ships(tmp_path: Path) -> None:
    mine = strategy_file(tmp_path / "strategies", "simple_ma")
    registry = discover([tmp_path])
    assert registry.get(Kind.STRATEGY, "simple_ma", "x").origin == str(mine)
    assert registry.get(Kind.STRATEGY, "simple_ma.simple_ma", "x").origin == str(mine)
    mine.write_text("import nowhere_to_be_found\n", encoding="utf-8")
    with pytest.raises(PluginError, match=r"'simple_ma' cannot be used: .*nowhere_to_be_found"):
        discover([tmp_path]).get(Kind.STRATEGY, "simple_ma", "x")


PLAIN = "import backtrader as bt\n\nclass {name}(bt.Strategy):\n    {body}\n"


def plain_file(path: Path, name: str = "Mine", body: str = "pass") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PLAIN.format(name=name, body=body), encoding="utf-8")
    return path


def test_class_may_be_named_by_its_file(tmp_path: Path) -> None:
    one = plain_file(tmp_path / "strategies" / "one.py", "Mine")
    two = plain_file(tmp_path / "strategies" / "two.py", "Mine")
    registry = discover([tmp_path])
    assert registry.get(Kind.STRATEGY, "one.Mine", "x").origin == str(one)
    assert registry.get(Kind.STRATEGY, "two.Mine", "x").origin == str(two)
    with pytest.raises(PluginError, match=r"registered twice.* or name it by its file: one\.Mine"):
        registry.get(Kind.STRATEGY, "Mine", "x")
    with pytest.raises(PluginError, match=r"unknown strategy 'three\.Mine'"):
        registry.get(Kind.STRATEGY, "three.Mine", "x")
    strategy_file(tmp_path / "strategies", "decorated", stem="four")
    registry = discover([tmp_path])
    for name in ("decorated", "four.decorated", "four.Mine"):
        assert registry.get(Kind.STRATEGY, name, "x").name == "decorated"


def test_modules_beside_a_file_can_be_imported_each_folder_its_own(tmp_path: Path) -> None:
    for folder, period in (("first", 3), ("second", 7)):
        helper = tmp_path / folder / "strategies"
        helper.mkdir(parents=True)
        (helper / "my_periods.py").write_text(f"PERIOD = {period}\n", encoding="utf-8")
        (helper / "my_package").mkdir()
        (helper / "my_package" / "__init__.py").write_text("from .deep import DEPTH\n")
        (helper / "my_package" / "deep.py").write_text(f"DEPTH = {period * 2}\n")
        (helper / f"{folder}_strategy.py").write_text(
            "import backtrader as bt\nfrom my_periods import PERIOD\nimport my_package\n\n"
            f"class {folder.title()}(bt.Strategy):\n"
            "    params = dict(period=PERIOD, depth=my_package.DEPTH)\n",
            encoding="utf-8",
        )
    registry = discover([tmp_path / "first", tmp_path / "second"])
    for name, period in (("First", 3), ("Second", 7)):
        found = parameters(registry.get(Kind.STRATEGY, name, "x").cls)
        assert found == {"period": period, "depth": period * 2}
    assert registry.broken == []


def test_module_imported_while_the_strategy_runs_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    body = "def late(self):\n        import late_helper_of_mine as it\n        return it.X"
    plain_file(folder / "mine.py", body=body)
    (folder / "late_helper_of_mine.py").write_text("X = 5\n", encoding="utf-8")
    cls = discover([tmp_path]).get(Kind.STRATEGY, "Mine", "x").cls
    assert cls.late(None) == 5


SCRIPT = """
import backtrader as bt
print("reading the script")

class Scripted(bt.Strategy):
    params = dict(period=3)

cerebro = bt.Cerebro()
cerebro.addstrategy(Scripted)
cerebro.adddata(bt.feeds.GenericCSVData(dataname="no such file.csv"))
cerebro.broker.setcash(1000.0)
print("starting with", cerebro.broker.getvalue())
try:
    {call}
except Exception as error:
    print(error)
raise SystemExit("the script has gone on")
"""


@pytest.mark.parametrize(
    "call", ["cerebro.run()", "input('go on? ')\n    cerebro.run()", "bt.Cerebro().run(maxcpus=1)"]
)
def test_script_that_runs_its_own_cerebro_is_read_as_far_as_that(
    call: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT.format(call=call), encoding="utf-8")
    registry = discover([tmp_path])
    if "input" in call:
        assert "the script has gone on" in registry.broken[0].reason
    else:
        assert registry.get(Kind.STRATEGY, "Scripted", "x").name == "Scripted"
        assert registry.broken == []
    assert capfd.readouterr() == ("", "")
    assert "run" in vars(backtrader.Cerebro)
    cerebro = backtrader.Cerebro()
    cerebro.adddata(backtrader.feeds.GenericCSVData(dataname="no such file.csv"))
    with pytest.raises(Exception, match="no such file"):
        cerebro.run()


def test_korean_names_are_names(tmp_path: Path) -> None:
    plain_file(tmp_path / "strategies" / "이동평균.py", "교차전략")
    strategy_file(tmp_path / "strategies", "내_전략", stem="둘")
    registry = discover([tmp_path])
    for name in ("교차전략", "이동평균.교차전략", "내_전략", "둘.내_전략"):
        apart = unicodedata.normalize("NFD", name)  # as a Mac's editors and files may have it
        assert apart != name
        for each in (name, apart):
            assert registry.get(Kind.STRATEGY, each, "x").name in name
