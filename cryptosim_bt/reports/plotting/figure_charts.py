"""charts/*.png: monthly returns as a heatmap, drawdown under water, PnL of trades as a histogram.

Drawn from a `Result` with matplotlib's objects: no window, no state of its own. Korean where the
run's language is Korean and a font has its letters, else English.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from cryptosim_bt.reports.plotting.fonts import lettering
from cryptosim_bt.reports.plotting.scene import GREY, LONG, LOSS, PROFIT, SHORT, Scene
from cryptosim_bt.results.account_figures import monthly_returns
from cryptosim_bt.results.metrics import Array
from cryptosim_bt.results.result import Result

_DPI, _WIDTH = 100, 13.0
_COLOURS = LinearSegmentedColormap.from_list("returns", ["#D9534F", "#FFFFFF", "#3A9D5D"])
# Colours are full at the largest return of a month, within these bounds.
_LEAST_FULL, _MOST_FULL = 0.1, 0.5
_BINS = 60


def draw_charts(result: Result, directory: Path, korean: str | None = None) -> list[Path]:
    """Draw all charts into a directory, which is made; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    scene = Scene.of(result, korean)
    charts: dict[str, Callable[[Scene], Figure]] = {
        "monthly_returns.png": _monthly_returns,
        "underwater.png": _underwater,
        "pnl_histogram.png": _pnl_histogram,
    }
    with lettering(scene.font):
        for name, draw in charts.items():
            draw(scene).savefig(directory / name, dpi=_DPI)
    return [directory / name for name in charts]


def _figure(scene: Scene, height: float, title: str) -> Figure:
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    facts = scene.facts
    run = f"{facts.instrument.symbol}  ·  {facts.timeframe}  ·  {facts.strategy}"
    figure.text(0.06, 1 - 0.38 / height, title, fontsize=16)
    figure.text(0.06, 1 - 0.66 / height, f"{run}  ·  {facts.period(scene.result)}", fontsize=10,
                color="#555555")  # fmt: skip
    scene.badge(figure, 0.97, 0.38, 13)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E5E5E5", linewidth=0.7)
    axes.set_axisbelow(True)


# ---------------------------------------------------------------------- monthly returns
def _monthly_returns(scene: Scene) -> Figure:
    """Draw a table of years and months for the account, in quote currency too for a coin's."""
    paths = scene.paths()[:-1]
    times, zone = scene.result.bars["time"], scene.facts.zone
    tables = [
        (label, _year_table(monthly_returns(times, zone, initial, path)))
        for label, initial, path in paths
    ]
    rows = len(tables[0][1][0])
    panel, gap = 0.42 * rows + 0.1, 0.95
    height = 0.75 + (panel + gap) * len(tables) + 0.15
    figure = _figure(scene, height, scene.words("picture.monthly"))
    for number, (label, (years, table)) in enumerate(tables):
        bottom = height - 0.75 - (panel + gap) * (number + 1) + 0.3
        axes = figure.add_axes((0.06, bottom / height, 0.91, panel / height))
        _heatmap(axes, years, table, scene)
        axes.set_title(label, fontsize=12, loc="left", pad=20)
    return figure


def _year_table(returns: Mapping[str, float | None]) -> tuple[list[str], Array]:
    """Return years, and one row of 12 months and the year for each; NaN where there is none."""
    years = sorted({month[:4] for month in returns})
    table = np.full((len(years), 13), np.nan)
    for month, value in returns.items():
        table[years.index(month[:4]), int(month[5:]) - 1] = np.nan if value is None else value
    known = ~np.isnan(table[:, :12]).all(axis=1)
    table[known, 12] = np.nanprod(1.0 + table[known, :12], axis=1) - 1.0
    return years, table


def _heatmap(axes: Axes, years: list[str], table: Array, scene: Scene) -> None:
    months = np.abs(table[:, :12])
    limit = min(_MOST_FULL, float(np.nanmax(months, initial=_LEAST_FULL)))
    axes.set_facecolor("#F3F3F3")
    shaded = np.ma.masked_invalid(table)
    axes.pcolormesh(shaded, cmap=_COLOURS, vmin=-limit, vmax=limit, edgecolors="white", linewidth=2)
    axes.invert_yaxis()
    axes.axvline(12, color="white", linewidth=6)
    names = scene.words("picture.months").split()
    axes.set_xticks(np.arange(13) + 0.5, [*names, scene.words("picture.year")])
    axes.set_yticks(np.arange(len(years)) + 0.5, years)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(table):
        if not np.isnan(value):
            text = f"{value:+.{1 if abs(value) < 10 else 0}%}" if value else "0.0%"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=10)


# ---------------------------------------------------------------------- underwater
def _underwater(scene: Scene) -> Figure:
    """Draw how far the account is below its peak, and the coin below its own."""
    figure = _figure(scene, 5.8, scene.words("picture.underwater"))
    axes = figure.add_axes((0.06, 0.08, 0.91, 0.73))
    scene.plot_falls(axes)
    scene.mark_times(axes)
    axes.tick_params(axis="x", labelsize=9)
    axes.margins(x=0.005)
    _plain(axes)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, fontsize=10)
    return figure


# ---------------------------------------------------------------------- histogram
def _pnl_histogram(scene: Scene) -> Figure:
    """Draw how often a trade won or lost how much, long and short stacked."""
    trades = scene.result.trades
    net = trades["net_pnl"].to_numpy(np.float64)
    figure = _figure(scene, 5.8, scene.words("picture.histogram", count=len(net)))
    axes = figure.add_axes((0.06, 0.11, 0.91, 0.70))
    axes.set_xlabel(scene.words("picture.pnl"))
    axes.set_ylabel(scene.words("picture.count"))
    _plain(axes)
    axes.grid(visible=False, axis="x")
    if not len(net):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, scene.words("picture.nothing"), transform=axes.transAxes,
                  ha="center", fontsize=14, color=GREY)  # fmt: skip
        return figure
    sides = [net[(trades["side"] == side).to_numpy(bool)] for side in ("long", "short")]
    labels = [f"{scene.words.shown(side)} ({len(part):,})" for side, part in
              zip(("long", "short"), sides, strict=True)]  # fmt: skip
    axes.hist(sides, bins=_edges(net).tolist(), stacked=True, color=[LONG, SHORT], label=labels,
              edgecolor="white", linewidth=0.4)  # fmt: skip
    mean = float(net.mean())
    shown = f"{mean:,.{scene.facts.money_decimals}f}"
    axes.axvline(0.0, color="black", linewidth=1.0)
    axes.axvline(mean, color=PROFIT if mean > 0 else LOSS, linewidth=1.2, linestyle="--",
                 label=scene.words("picture.mean", value=shown))  # fmt: skip
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, fontsize=10)
    return figure


def _edges(net: Array) -> npt.NDArray[np.float64]:
    """Return the bins' edges with 0 among them, so that no bar holds both wins and losses."""
    low, high = min(0.0, float(net.min())), max(0.0, float(net.max()))
    width = (high - low) / _BINS or 1.0
    return np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
