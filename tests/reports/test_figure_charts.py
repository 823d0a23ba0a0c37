"""charts/*.png: any run gives three legible pictures."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from cryptosim_bt import Result
from cryptosim_bt.analyzers.charts import Charts
from cryptosim_bt.reports.plotting.figure_charts import draw_charts
from cryptosim_bt.reports.plotting.fonts import korean_font
from tests.report_runs import LINEAR, sample_result

pytestmark = pytest.mark.usefixtures("quiet_framework")

NAMES = ["monthly_returns.png", "underwater.png", "pnl_histogram.png"]
RUNS = {
    "coin": (),
    "linear": LINEAR,
    "no_fills": ("trading.position_size=0.0001",),
    "liquidated": ("trading.leverage=100", "trading.position_size=2"),
    "one_bar": ("backtest.trading_period.end_date=2025-01-01 01:00:00",),
}


def pixels(path: Path) -> np.ndarray:
    picture = imread(path)[:, :, :3]
    assert picture.shape[1] == 1300
    # Blank would be white all over; scribbled over would have hardly any white.
    assert 0.3 < (picture > 0.99).all(axis=2).mean() < 0.995
    return picture


def in_language(result: Result, language: str) -> Result:
    report = {**result.settings["report"], "language": language}
    return replace(result, settings={**result.settings, "report": report})


def of_years(result: Result, years: int) -> Result:
    """Return a run of many bars: the same ones again and again."""
    many = pd.concat([result.bars] * (years * 8760 // len(result.bars) + 1), ignore_index=True)
    begin = result.bars["time"].iloc[0]
    many["time"] = pd.date_range(begin, periods=len(many), freq="h").as_unit("ms")
    end = (many["time"].iloc[-1] + pd.Timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(result, bars=many, summary={**result.summary, "end": end})


@pytest.fixture(scope="module")
def coin() -> Result:
    return sample_result()


@pytest.mark.parametrize("name", RUNS)
def test_any_run_gives_three_charts(name: str, tmp_path: Path) -> None:
    paths = Charts.without_run().write(sample_result(*RUNS[name]), tmp_path)
    assert paths == [tmp_path / "charts" / each for each in NAMES]
    for path in paths:
        pixels(path)


def test_result_read_back_gives_the_same_charts(coin: Result, tmp_path: Path) -> None:
    coin.write_tables(tmp_path)
    coin.write_summary(tmp_path)
    first = draw_charts(coin, tmp_path / "first")
    again = draw_charts(Result.read(tmp_path), tmp_path / "again")
    for one, other in zip(first, again, strict=True):
        assert (pixels(one) == pixels(other)).all()


def test_without_korean_letters_the_labels_are_english(coin: Result, tmp_path: Path) -> None:
    # A letter that the font lacks would be a box, and matplotlib's warning an error here.
    korean = draw_charts(in_language(coin, "ko"), tmp_path / "ko", None)
    english = draw_charts(in_language(coin, "en"), tmp_path / "en", None)
    for one, other in zip(korean, english, strict=True):
        assert (pixels(one) == pixels(other)).all()


@pytest.mark.skipif(korean_font() is None, reason="no Korean font here")
def test_korean_labels_are_drawn_with_the_korean_font(coin: Result, tmp_path: Path) -> None:
    korean = draw_charts(in_language(coin, "ko"), tmp_path / "ko", korean_font())
    english = draw_charts(in_language(coin, "en"), tmp_path / "en", korean_font())
    for one, other in zip(korean, english, strict=True):
        first, second = pixels(one), pixels(other)
        assert first.shape != second.shape or (first != second).any()


def test_long_run_is_drawn_in_time(coin: Result, tmp_path: Path) -> None:
    many = of_years(coin, 12)
    begin = time.perf_counter()
    paths = draw_charts(many, tmp_path)
    assert time.perf_counter() - begin < 10.0
    heights = [pixels(path).shape[0] for path in paths]
    # A row for each year, for the coin and for the quote currency.
    assert heights[0] > 1000


def test_drawing_leaves_matplotlib_as_it_was(coin: Result, tmp_path: Path) -> None:
    settings = dict(mpl.rcParams)
    draw_charts(coin, tmp_path, korean_font())
    assert dict(mpl.rcParams) == settings
