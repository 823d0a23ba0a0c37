"""backtrader's plot of a finished run: a part of it, its styles, a window or a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from cryptosim_bt import Result
from cryptosim_bt.errors import InputError, OutputError
from cryptosim_bt.reports.plotting.show_or_save import STYLES, save_plot, within
from tests.report_runs import sample_result

pytestmark = pytest.mark.usefixtures("quiet_framework")


@pytest.fixture(scope="module")
def coin() -> Result:
    return sample_result()


def test_part_of_a_run_is_cut_in_its_zone(coin: Result) -> None:
    part = within(coin, "2025-01-05", "2025-01-07 12:00")
    # Midnight in Seoul is 15:00 UTC of the day before.
    assert part.bars["time"].iloc[0] == pd.Timestamp("2025-01-04 15:00", tz="UTC")
    assert len(part.bars) == 60
    assert part.summary["start"] == "2025-01-04T15:00:00Z"
    assert part.summary["end"] == "2025-01-07T03:00:00Z"
    assert part.fills["time"].between(part.bars["time"].iloc[0], part.bars["time"].iloc[-1]).all()
    assert len(part.fills)


def test_whole_run_is_left_as_it_is(coin: Result) -> None:
    assert within(coin, None, None) is coin
    assert len(within(coin, "2025-01-05", None).bars) == len(coin.bars) - 4 * 24


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("soon", None, "--start: was 'soon'"),
        (None, "2024-01-01", "no bar opens"),
        ("2025-01-07", "2025-01-05", "no bar opens"),
    ],
)
def test_part_that_is_none_is_a_sentence(
    coin: Result, start: str | None, end: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        within(coin, start, end)


def test_styles_are_drawn_differently(coin: Result, tmp_path: Path) -> None:
    part = within(coin, "2025-01-05", "2025-01-08")
    pictures = [imread(save_plot(part, tmp_path / f"{style}.png", style)) for style in STYLES]
    assert len({picture.tobytes() for picture in pictures}) == len(STYLES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bar.png", "candle.png", "line.png"]


def test_picture_that_cannot_be_written_is_a_sentence(coin: Result, tmp_path: Path) -> None:
    part = within(coin, "2025-01-05", "2025-01-06")
    for path in (tmp_path / "nowhere" / "plot.png", tmp_path / "plot.docx"):
        with pytest.raises(OutputError, match="cannot be written"):
            save_plot(part, path)
    assert list(tmp_path.iterdir()) == []


def test_figure_goes_into_a_window_of_pyplot() -> None:
    # In a process of its own: pyplot's backend is the process's. Tk needs a display; agg has
    # the same managers without windows.
    code = (
        "import matplotlib; matplotlib.use('agg')\n"
        "from matplotlib import pyplot\n"
        "from matplotlib.figure import Figure\n"
        "from cryptosim_bt.reports.plotting.show_or_save import has_display, put_in_window\n"
        "figure = Figure(figsize=(4, 3)); figure.add_subplot().plot([1, 2])\n"
        "put_in_window(figure)\n"
        "managers = matplotlib._pylab_helpers.Gcf.get_all_fig_managers()\n"
        "print(has_display(), [each.canvas.figure is figure for each in managers])\n"
        "figure.canvas.draw()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.stdout.strip() == "False [True]"
