"""What a strategy gives, and what it gets wrong: one sentence with strategy, file and line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import Result, load_settings, run_backtest
from cryptosim_bt.errors import ConfigError, PluginError, PluginFailed
from cryptosim_bt.plugins.registry import plugins_for
from tests.exchange_files import write_bars, write_config

pytestmark = pytest.mark.usefixtures("quiet_framework")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a runner of a strategy with a body, on two days of bars."""
    write_bars(tmp_path / "bars.csv", 48)

    def run(body: str, *sets: str, base: str = "SignalStrategy", **changes: Any) -> Result:
        write_config(tmp_path, {"strategy": {"name": "mine"}, "plugins": {}, **changes})
        text = (tmp_path / "config.yaml").read_text().replace("plugins: {}", "plugins: [.]")
        text = text.replace("simple_ma:\n    short_period: 2\n    long_period: 5\n", "mine: {}\n")
        (tmp_path / "config.yaml").write_text(text)
        (tmp_path / "mine.py").write_text(
            "import sys\nimport numpy as np, pandas as pd, backtrader as bt\n"
            "from cryptosim_bt import SignalStrategy, register_strategy\n"
            f"@register_strategy('mine')\nclass Mine({base}):\n    '''Try.'''\n{body}"
        )
        settings = load_settings(tmp_path / "config.yaml", sets)
        return run_backtest(settings, plugins_for(settings))[0]

    return run


def table(returned: str, before: str = "pass") -> str:
    """Return the body of a strategy that enters long every fourth bar and returns a table."""
    return (
        "    @classmethod\n    def warmup(cls, params): return 5\n"
        "    @classmethod\n    def generate_signals(cls, bars, params):\n"
        "        s = np.where(np.arange(len(bars)) % 4 == 0, 1, 0)\n"
        f"        {before}\n        return {returned}\n"
    )


def each_bar(*lines: str, warmup: str = "return 5") -> str:
    body = "".join(f"        {line}\n" for line in lines)
    return (f"    @classmethod\n    def warmup(cls, params): {warmup}\n"
            f"    def signal(self):\n{body}")  # fmt: skip


PLAIN = "bars.assign(signal=s)"


# ---------------------------------------------------------------------- the market stays
@pytest.mark.filterwarnings("ignore:The inplace")
@pytest.mark.parametrize(
    "before",
    ["bars['close'] = bars['open'] * 2", "bars.iloc[:] = 1.0", "bars['close'].to_numpy()[:] = 1.0",
     "bars.drop(columns='high', inplace=True)", "bars.sort_index(ascending=False, inplace=True)",
     "bars.dropna(inplace=True); bars.index = bars.index.copy()"],
)  # fmt: skip
def test_strategy_cannot_change_the_market(run: Run, before: str) -> None:
    untouched = run(table(PLAIN))
    assert len(untouched.fills) > 3
    returned = "pd.DataFrame({'signal': s}, index=kept)"
    try:
        touched = run(table(returned, f"kept = bars.index; {before}"))
    except PluginFailed as failed:  # pandas lends its values to be read only
        assert "read-only" in str(failed)  # noqa: PT017
        return
    pd.testing.assert_frame_equal(touched.fills, untouched.fills)


@pytest.mark.parametrize("base", ["SignalStrategy", "bt.Strategy"])
def test_price_written_while_it_runs_is_refused(run: Run, base: str) -> None:
    body = each_bar("self.data.close[0] *= 2", "return 0")
    if base != "SignalStrategy":
        body = "    def next(self):\n        self.data.close[0] *= 2\n"
    sets = () if base == "SignalStrategy" else ("trading.position_mode=net", "strategy.warmup=5")
    with pytest.raises(PluginError, match="it changed the close at 2025-01-01T10:00:00Z"):
        run(body, *sets, base=base)


def test_table_in_another_order_is_put_in_the_order_of_the_bars(run: Run) -> None:
    sorted_, mixed = run(table(PLAIN)), run(table(f"{PLAIN}.sort_values('close')"))
    pd.testing.assert_frame_equal(sorted_.fills, mixed.fills)


# ---------------------------------------------------------------------- slips
SLIPS = {
    "nothing returned": (table("None"), r"generate_signals\(\) returned None; it must return a Da"),
    "rows dropped": (table(f"{PLAIN}.iloc[3:]"), r"returned 40 rows .* of the 43 bars"),
    "index lost": (table(f"{PLAIN}.reset_index()"), r"returned 43 rows whose index is not that"),
    "no signal": (table("bars"), "without one 'signal' column, but open, high"),
    "words": (table("bars.assign(signal='buy')"), r"gave the signal 'buy' at 2025-01-01T05:00:00Z"),
    "gap": (table("bars.assign(signal=np.nan)"), r"gave the signal nan at .*\(43 such bars\)"),
    "own name": (table("bars.assign(signal=s, equity=1.0)"), "gave a column 'equity', which"),
    "no signal returned": (each_bar("pass"), r"signal\(\) returned None; allowed: 1, -1, 2, -2, 0"),
    "a word": (each_bar("return 'buy'"), r"signal\(\) returned 'buy'"),
    "many signals": (each_bar("return np.array([1, 2])"), r"signal\(\) returned array"),
    "half a warm-up": (each_bar("return 0", warmup="return 2.5"), r"warmup\(\) returned 2\.5; all"),
    "negative warm-up": (each_bar("return 0", warmup="return -1"), r"warmup\(\) returned -1"),
    "order": (each_bar("self.buy()", "return 0"), "it gives orders by itself; let signal"),
    "bracket": (each_bar("self.sell_bracket(size=1)", "return 0"), "it gives orders by itself"),
    "failure": (each_bar("return 1 / 0"), "ZeroDivisionError: division by zero; in signal"),
    "exit": (each_bar("sys.exit('bye')"), r"called sys\.exit: bye; in signal"),
    "exit in warmup": (each_bar("return 0", warmup="sys.exit()"), r"called sys\.exit; in warmup"),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_slip_is_one_sentence_with_strategy_file_and_line(run: Run, slip: str) -> None:
    body, sentence = SLIPS[slip]
    with pytest.raises((PluginError, PluginFailed)) as caught:
        run(body)
    said = str(caught.value)
    assert re.match("strategy [Mm]ine: ", said)
    assert re.search(sentence, said), said
    assert re.search(r"mine\.py:\d+\)?$", said), said
    assert "\n" not in said


FEED = """
from cryptosim_bt import Feed, ReportAnalyzer, register_analyzer, register_feed
@register_feed("own")
class Own(Feed):
    '''Fail.'''
    def load(self, request): return [][0]
@register_analyzer("listener")
class Listener(ReportAnalyzer):
    '''Fail.'''
    def next(self): {}["x"]
"""


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [("data.source=own", r"feed own: IndexError: .*; in load \(.*own\.py:\d+\)"),
     ("report.analyzers=[listener]", r"analyzer listener: KeyError: 'x'; in next \(.*own\.py:.*")],
)  # fmt: skip
def test_failure_of_feed_and_analyzer_names_it(
    run: Run, tmp_path: Path, sets: str, sentence: str
) -> None:
    (tmp_path / "own.py").write_text(FEED)
    with pytest.raises(PluginFailed) as caught:
        run(table(PLAIN), sets)
    assert re.fullmatch(sentence, str(caught.value))


def test_every_parameter_that_ran_is_told(run: Run) -> None:
    params = "    params = (('a', 2), ('b', (1, 2)), ('c', None), ('d', len), ('e', np.int64(4)))\n"
    settings = run(params + table(PLAIN), "strategy.mine.a=3").settings
    assert settings["strategy"] == {"name": "mine", "mine": {"a": 3, "b": [1, 2], "e": 4}}
    again = run(params + table(PLAIN), "strategy.mine.b=[1, 2]", "strategy.mine.e=4")
    assert again.settings["strategy"]["mine"] == {"a": 2, "b": [1, 2], "e": 4}


@pytest.mark.parametrize(("leverage", "allowed"), [(249, True), (250, False)])
def test_leverage_that_leaves_no_margin_is_refused(run: Run, leverage: int, allowed: bool) -> None:
    # 1 / 250 = 0.004, the maintenance margin of the first tier.
    sets = (f"trading.leverage={leverage}", "instrument.maintenance_margin_rate=0.004")
    if allowed:
        assert len(run(table(PLAIN), *sets).bars)
        return
    with pytest.raises(ConfigError, match=r"trading\.leverage: was 250; allowed: below 250, since"):
        run(table(PLAIN), *sets)


# ---------------------------------------------------------------------- odd columns
ODD = {
    "infinite": ("ratio=bars.close / 0, most=-np.inf, huge=bars.close * 1e300 * 1e5", 3, 0),
    "true or false": ("up=bars.close > bars.open", 1, 0),
    "true, false or neither": ("up=(bars.close > bars.close.shift()).astype('boolean')", 1, 0),
    "times": ("when=bars.index, age=pd.Timedelta('1h'), naive=bars.index.tz_localize(None)", 0, 3),
    "words": ("regime=np.where(bars.close > 50000, 'bull', 'bear'), one='1'", 0, 2),
    "classes": ("c=pd.Categorical(np.where(bars.close > 50000, 'a', 'b'))", 0, 1),
    "lists": ("c=[[1, 2]] * len(bars)", 0, 1),
    "numbers with gaps": ("o=[None] * 5 + [1.5] * (len(bars) - 5)", 1, 0),
    "backtrader's words": ("lines=1.0, size=2.0, forward=3.0, array=4.0", 4, 0),
    "small and great": ("tiny=1e-300, great=-1e14", 2, 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_odd_columns_are_kept_and_drawn_or_kept_as_text(
    run: Run, tmp_path: Path, kind: str
) -> None:
    from cryptosim_bt.reports.plotting.backtrader_plot import draw_backtrader_plot
    from cryptosim_bt.reports.plotting.run_chart import draw_chart

    columns, numbers, texts = ODD[kind]
    result = run(table(f"bars.assign(signal=s, {columns})"))
    assert (len(result.indicators), len(result.texts)) == (numbers, texts)
    draw_chart(result, tmp_path / "chart.png", None)
    draw_backtrader_plot(result, tmp_path / "plot.png")
    result.write_tables(tmp_path)
    result.write_summary(tmp_path)
    again = Result.read(tmp_path)
    assert again.texts == result.texts
    for name in result.indicators:
        np.testing.assert_array_equal(again.bars[name].to_numpy(float), result.bars[name])
        assert not np.isinf(result.drawn(name)).any()
    for name in result.texts:
        assert again.bars[name].tolist() == result.bars[name].tolist()


def test_formulas_in_names_and_texts_are_quoted(run: Run) -> None:
    result = run(table("bars.assign(signal=s, **{'=1+1': bars.close, '@x': '=cmd|x!A1'})"))
    assert result.indicators == ["'=1+1"]
    assert result.texts == ["'@x"]
    assert set(result.bars["'@x"]) == {"'=cmd|x!A1"}
