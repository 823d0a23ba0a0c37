"""chart.png and plot.png: not blank, in the run's time, with or without Korean letters."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.image import imread
from matplotlib.legend import Legend

from cryptosim_bt import SHIPPED_CONFIGS, Result, load_settings, run_backtest
from cryptosim_bt.analyzers.picture import Picture
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.reports.plotting.backtrader_plot import draw_backtrader_plot, legible
from cryptosim_bt.reports.plotting.fonts import korean_font, lettering
from cryptosim_bt.reports.plotting.run_chart import draw_chart
from cryptosim_bt.reports.plotting.scene import thin
from cryptosim_bt.reports.plotting.time_ticks import round_times, tick_labels

pytestmark = pytest.mark.usefixtures("quiet_framework")

ROOT = Path(__file__).resolve().parents[2]
RUNS = {
    "coin": (),
    "linear": ("exchange.trade_type=1", "trading.symbol=BTC/USDT:USDT",
               "backtest.initial_balance=5000"),
    "own_panel": ("strategy.name=rsi_dip",),
    "no_fills": ("trading.position_size=0.0001",),
    "liquidated": ("trading.leverage=100", "trading.position_size=2"),
    "one_bar": ("backtest.trading_period.end_date=2025-01-01 01:00:00",),
}  # fmt: skip


def run(*overrides: str) -> Result:
    short = "backtest.trading_period.end_date=2025-01-14 00:00:00"
    settings = load_settings(SHIPPED_CONFIGS / "config.yaml", [short, *overrides])
    return run_backtest(settings, discover())[0]


def changed(result: Result, language: str = "ko", synthetic: bool = True) -> Result:
    report = {**result.settings["report"], "language": language}
    data = {**result.summary["data"], "synthetic": synthetic}
    return replace(
        result,
        settings={**result.settings, "report": report},
        summary={**result.summary, "data": data},
    )


def longer(result: Result, times: int) -> Result:
    """Return a run of many bars: the same ones again and again."""
    bars = pd.concat([result.bars] * times, ignore_index=True)
    start = bars["time"].iloc[0]
    bars["time"] = pd.date_range(start, periods=len(bars), freq="h").as_unit("ms")
    end = (bars["time"].iloc[-1] + pd.Timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(result, bars=bars, summary={**result.summary, "end": end})


def pixels(path: Path) -> np.ndarray:
    picture = imread(path)[:, :, :3]
    height, width, _ = picture.shape
    assert width == 1800
    assert 900 < height < 2200
    assert path.stat().st_size < 3_000_000
    # Blank would be white all over; scribbled over would have hardly any white.
    assert 0.5 < (picture > 0.99).all(axis=2).mean() < 0.995
    return picture


@pytest.fixture(scope="module", params=RUNS)
def any_run(request: pytest.FixtureRequest) -> Result:
    return run(*RUNS[request.param])


@pytest.fixture(scope="module")
def coin() -> Result:
    return run()


def test_any_run_gives_two_pictures(any_run: Result, tmp_path: Path) -> None:
    paths = Picture.write(None, any_run, tmp_path)
    assert [path.name for path in paths] == ["chart.png", "plot.png"]
    for path in paths:
        pixels(path)


def test_liquidation_run_has_a_liquidation() -> None:
    assert run(*RUNS["liquidated"]).summary["liquidations"]


def test_result_read_back_gives_the_same_pictures(coin: Result, tmp_path: Path) -> None:
    coin.write_tables(tmp_path)
    coin.write_summary(tmp_path)
    for draw in (draw_chart, draw_backtrader_plot):
        first = pixels(draw(coin, tmp_path / "first.png"))
        again = pixels(draw(Result.read(tmp_path), tmp_path / "again.png"))
        assert (first == again).all()


def drawn(result: Result, path: Path) -> list[Axes]:
    """Return the panels of chart.png."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", keep)
        draw_chart(result, path)
    return list(figures[0].axes)


@pytest.mark.parametrize(("ratio", "scale"), [(4.0, "linear"), (60.0, "log")])
def test_years_have_a_log_axis_where_prices_ask_for_it(
    coin: Result, tmp_path: Path, ratio: float, scale: str
) -> None:
    bars = coin.bars.copy()
    for name in ("open", "high", "low", "close"):
        bars[name] = 1000.0 * np.geomspace(1.0, ratio, len(bars))
    bars["sma_24"] = 0.0
    price, *_ = drawn(replace(coin, bars=bars), tmp_path / "chart.png")
    assert price.get_yscale() == scale
    low, high = price.get_ylim()
    # An average that is 0 widens the axis by half the candles' range at most, and a little room.
    span = ratio**0.6 if scale == "log" else 1.0 + 0.6 * (ratio - 1.0)
    assert 0 < low < 1000.0 or scale == "linear"
    assert high < 1000.0 * ratio * span
    assert low > 1000.0 / span - (0 if scale == "log" else 1000.0 * ratio)


def test_chart_has_the_coin_held_and_both_drawdowns(coin: Result, tmp_path: Path) -> None:
    growth, fall = drawn(changed(coin, "en"), tmp_path / "chart.png")[3:5]
    bars, initial = coin.bars, coin.settings["backtest"]["initial_balance"]
    held = bars["close"] / bars["open"].iloc[0]
    account, quote, coins = (line.get_ydata() for line in growth.lines[:3])
    assert account[-1] == pytest.approx(bars["equity"].iloc[-1] / initial)
    assert coins[-1] == pytest.approx(held.iloc[-1])
    assert quote[-1] == pytest.approx(account[-1] * coins[-1])
    assert -fall.lines[0].get_ydata().min() == pytest.approx(coin.summary["max_drawdown"])
    peaks = np.maximum(held.cummax(), 1.0)
    assert fall.lines[2].get_ydata().min() == pytest.approx((held / peaks - 1).min())


def test_synthetic_data_are_labelled_in_the_picture(coin: Result, tmp_path: Path) -> None:
    with_badge = pixels(draw_chart(coin, tmp_path / "with.png"))
    without = pixels(draw_chart(changed(coin, synthetic=False), tmp_path / "without.png"))
    # The badge stands at the top right, in red.
    corner = np.s_[:60, -500:]
    assert (with_badge[corner] != without[corner]).any(axis=2).sum() > 2_000


def test_without_korean_letters_the_labels_are_english(coin: Result, tmp_path: Path) -> None:
    # A letter that the font lacks would be a box, and matplotlib's warning an error here.
    for draw in (draw_chart, draw_backtrader_plot):
        korean = pixels(draw(changed(coin, "ko"), tmp_path / "ko.png", None))
        english = pixels(draw(changed(coin, "en"), tmp_path / "en.png", None))
        assert (korean == english).all()


def test_korean_font_is_taken_only_if_it_has_korean_letters() -> None:
    latin = findfont("DejaVu Sans")
    assert korean_font({}) is None
    assert korean_font({"NanumGothic": latin}) is None
    assert korean_font({"NanumGothic": "/no/such/file.ttf"}) is None


@pytest.mark.skipif(korean_font() is None, reason="no Korean font here")
def test_korean_labels_are_drawn_with_the_korean_font(coin: Result, tmp_path: Path) -> None:
    font = korean_font()
    korean = pixels(draw_chart(changed(coin, "ko"), tmp_path / "ko.png", font))
    english = pixels(draw_chart(changed(coin, "en"), tmp_path / "en.png", font))
    assert (korean != english).any()


@pytest.mark.parametrize("most_bars", [20_000, 100])
def test_long_run_is_thinned(coin: Result, tmp_path: Path, most_bars: int) -> None:
    many = longer(coin, 20)
    assert len(many.bars) > 6_000
    pixels(draw_chart(many, tmp_path / "chart.png"))
    pixels(draw_backtrader_plot(many, tmp_path / "plot.png", most_bars=most_bars))


def test_thin_keeps_ends_and_extremes() -> None:
    values = np.sin(np.arange(100_000) / 7_000)
    values[12_345], values[54_321] = 9.0, -9.0
    kept = thin(values, 1_000)
    assert len(kept) <= 1_000 + 2
    assert {0, 12_345, 54_321, 99_999} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert (thin(values[:500], 1_000) == np.arange(500)).all()
    assert len(thin(np.full(10_000, np.nan), 1_000)) > 0


def test_drawing_leaves_matplotlib_as_it_was(coin: Result, tmp_path: Path) -> None:
    settings, handlers = dict(mpl.rcParams), dict(Legend.get_default_handler_map())
    Picture.write(None, coin, tmp_path)
    assert dict(mpl.rcParams) == settings
    assert Legend.get_default_handler_map() == handlers
    with lettering(None):
        pass
    assert dict(mpl.rcParams) == settings


def test_plotting_keeps_the_backend_and_figures_of_a_session() -> None:
    code = (
        "import matplotlib, matplotlib.pyplot as p; matplotlib.use('svg'); p.figure(0)\n"
        "import cryptosim_bt.reports.plotting.backtrader_plot\n"
        "print(matplotlib.get_backend(), p.get_fignums())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "svg [0]"


def test_importing_the_plugins_does_not_import_matplotlib_or_openpyxl() -> None:
    code = (
        "import sys, cryptosim_bt.analyzers.excel, cryptosim_bt.analyzers.picture\n"
        "print([name for name in ('matplotlib', 'openpyxl') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.512345678, "0.51235"), (96543.21, "96,543"), (1234.5, "1,234.5"), (0.0, "0"),
     (-0.0001234, "-0.0001234"), (287.0, "287"), (1e6, "1,000,000")],
)  # fmt: skip
def test_value_labels_are_legible(value: float, text: str) -> None:
    assert legible(value) == text


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        ("2025-01-01T00:00", "2025-01-03T00:00", ["2025-01-01", "06:00", "12:00", "18:00"]),
        ("2024-12-30T09:00", "2025-01-10T00:00", ["2024-12-31", "2025-01-01", "01-02", "01-03"]),
        ("2020-03-15T00:00", "2021-03-15T00:00", ["2020-04", "2020-05", "2020-06", "2020-07"]),
        ("2012-01-01T00:00", "2025-03-15T00:00", ["2012-01", "2013-01", "2014-01", "2015-01"]),
        ("2025-01-01T00:30", "2025-01-01T00:30", ["2025-01-01 00:30"]),
    ],
)
def test_ticks_are_round_local_times(first: str, last: str, labels: list[str]) -> None:
    ticks = round_times(np.datetime64(first), np.datetime64(last))
    assert len(ticks) <= 17
    assert tick_labels(ticks)[:4] == labels
