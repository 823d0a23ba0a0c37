"""One suite over every registered plugin: what the framework may rely on.

A plugin that is added to `strategies/`, `feeds/` or `analyzers/` is tested here as it is.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import replace

import pandas as pd
import pytest

from cryptosim_bt.backtest.run import Prepared, execute
from cryptosim_bt.data.feed import DataRequest
from cryptosim_bt.plugins.parameters import checked_parameters, parameters
from cryptosim_bt.plugins.registry import Kind, Plugin, discover, is_plain
from cryptosim_bt.strategy.signal_strategy import SIGNALS, SignalStrategy
from tests.helpers import sample_run

pytestmark = pytest.mark.usefixtures("quiet_framework")

REGISTRY = discover()
EVERY = [plugin for kind in Kind for plugin in REGISTRY.of_kind(kind)]
STRATEGIES = REGISTRY.of_kind(Kind.STRATEGY)
WITH_SIGNALS = [plugin for plugin in STRATEGIES if not is_plain(plugin.cls)]


def named(plugin: Plugin) -> str:
    return f"{plugin.kind.singular}-{plugin.name}"


def run_of(plugin: Plugin) -> Prepared:
    return sample_run(plugin.name, *(["trading.position_mode=net"] if is_plain(plugin.cls) else []))


def has_table(plugin: Plugin) -> bool:
    own = plugin.cls.generate_signals.__func__
    return own is not SignalStrategy.generate_signals.__func__


WITH_TABLE = [plugin for plugin in WITH_SIGNALS if has_table(plugin)]


@pytest.mark.parametrize("plugin", EVERY, ids=named)
def test_plugin_is_documented(plugin: Plugin) -> None:
    text = inspect.cleandoc(plugin.cls.__dict__["__doc__"] or "")
    first, _, rest = text.partition("\n")
    assert first.endswith(".")
    assert 10 < len(first) < 100
    for name in parameters(plugin.cls):
        assert f"``{name}``" in rest, f"parameter {name} is not explained"


@pytest.mark.parametrize("plugin", EVERY, ids=named)
def test_plugin_is_named_like_its_module(plugin: Plugin) -> None:
    # So that a module that cannot be imported is told when its plugin is asked for.
    # A plain strategy bears the name of its class, SmaCross of sma_cross.
    name = re.sub("(?<=[a-z])(?=[A-Z])", "_", plugin.name).lower()
    assert plugin.cls.__module__ == f"{plugin.kind.package}.{name}"


@pytest.mark.parametrize("plugin", WITH_SIGNALS, ids=named)
def test_strategys_defaults_pass_its_own_checks(plugin: Plugin) -> None:
    params = checked_parameters(plugin, {}, "strategy")
    warmup = plugin.cls.warmup(params)
    assert type(warmup) is int
    assert warmup >= 0


@pytest.mark.parametrize("plugin", STRATEGIES, ids=named)
def test_strategy_trades_on_the_sample_and_its_books_agree(plugin: Plugin) -> None:
    # R21 is compared at every bar of the run; it raises otherwise.
    result, _ = execute(run_of(plugin))
    assert len(result.fills) > 0
    assert set(result.bars["signal"]) <= SIGNALS


@pytest.mark.parametrize("plugin", WITH_TABLE, ids=named)
def test_strategys_table_is_causal(plugin: Plugin) -> None:
    # R4: row i of a shorter history is row i of the longer one.
    prepared = sample_run(plugin.name)
    whole = plugin.cls.generate_signals(prepared.bars, prepared.params)
    warmup = prepared.warmup
    for length in (warmup + 1, warmup + 2, warmup + 200, len(prepared.bars) - 1):
        part = plugin.cls.generate_signals(prepared.bars.iloc[:length], prepared.params)
        pd.testing.assert_frame_equal(part, whole.iloc[:length], check_exact=False, rtol=1e-12)


@pytest.mark.parametrize("plugin", WITH_TABLE, ids=named)
def test_strategys_table_does_not_change_the_bars(plugin: Plugin) -> None:
    prepared = sample_run(plugin.name)
    before = prepared.bars.copy()
    plugin.cls.generate_signals(prepared.bars, prepared.params)
    pd.testing.assert_frame_equal(prepared.bars, before)


@pytest.mark.parametrize("plugin", WITH_TABLE, ids=named)
def test_strategys_warmup_is_enough_for_every_indicator(plugin: Plugin) -> None:
    # R3: from the first bar of the window on, no column is blank.
    prepared = sample_run(plugin.name)
    table = plugin.cls.generate_signals(prepared.bars, prepared.params)
    assert table.iloc[prepared.warmup :].notna().all().all()
    assert (table["signal"].iloc[: prepared.warmup] == 0).all()


def cut(prepared: Prepared, bars: int) -> Prepared:
    """Return a run without the last bars: as if they had not happened yet."""
    signals = None if prepared.signals is None else prepared.signals[:bars]
    panels = tuple(
        replace(panel, columns={name: values[:bars] for name, values in panel.columns.items()})
        for panel in prepared.panels
    )
    return replace(prepared, bars=prepared.bars.iloc[:bars], signals=signals, panels=panels)


@pytest.mark.parametrize("plugin", STRATEGIES, ids=named)
def test_run_cut_short_gives_the_same_bars_until_then(plugin: Plugin) -> None:
    # R4 through the whole pipeline; bar-by-bar strategies have no other test of it.
    prepared = run_of(plugin)
    whole, _ = execute(prepared)
    length = prepared.warmup + 300
    part, _ = execute(cut(prepared, length))
    pd.testing.assert_frame_equal(part.bars, whole.bars.iloc[:300], check_exact=True)
    until = part.bars["time"].iloc[-1]
    pd.testing.assert_frame_equal(
        part.fills, whole.fills[whole.fills["time"] <= until], check_exact=True
    )


@pytest.mark.parametrize("plugin", REGISTRY.of_kind(Kind.FEED), ids=named)
def test_feed_is_made_without_arguments_and_describes_its_source(plugin: Plugin) -> None:
    feed = plugin.cls()
    start, end = pd.Timestamp("2025-01-01", tz="UTC"), pd.Timestamp("2025-01-02", tz="UTC")
    if plugin.name == "sample":
        request = DataRequest("BTC/USD:BTC", "1h", start, end, warmup=0)
        assert feed.describe(request).synthetic
        assert {"open", "high", "low", "close", "volume"} <= set(feed.load(request).columns)
