"""plot.png: backtrader's own plot of a run, made again from its `Result`.

A strategy that does nothing replays the bars; its indicators and observers are the columns of the
result. backtrader's plotter draws them, through a subclass that mends what does not work with
current matplotlib and needs no display.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import backtrader as bt
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.artist import setp
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.backtest.lean_loop import ArrayData, LeanCerebro
from cryptosim_bt.reports.plotting.fonts import lettering
from cryptosim_bt.reports.plotting.scene import Scene
from cryptosim_bt.reports.plotting.time_ticks import round_times, tick_labels
from cryptosim_bt.results.result import Result
from cryptosim_bt.strategy.indicators import panel_indicator, panels_of

Array = npt.NDArray[np.float64]

# More bars than this are joined: a candle of each would not be seen, and takes long to draw.
MOST_BARS = 20_000
_DPI = 100
_WIDTH, _ROW, _MARGINS = 18.0, 1.05, 1.7
_PRICE_ROWS, _LEGEND_ROOM = 6, 0.3
_MARKS = 400  # with more of them they become smaller
_TAG_GAP = 15.0  # pixels from one value label to the next


@contextmanager
def _backend_untouched() -> Iterator[None]:
    """Keep matplotlib's backend while backtrader's plotter is imported.

    Importing it chooses TkAgg, whatever the user has chosen, open windows or none.
    """
    use = mpl.use
    mpl.use = lambda *_, **__: None
    try:
        yield
    finally:
        mpl.use = use


with _backend_untouched():
    from backtrader.plot import Plot, PlotScheme


def draw_backtrader_plot(
    result: Result,
    path: Path,
    korean: str | None = None,
    most_bars: int = MOST_BARS,
    style: str = "candle",
) -> Path:
    """Draw a run with backtrader's plotter; return the picture's path.

    Parameters
    ----------
    korean
        Font with Korean letters, for labels in Korean.
    most_bars
        A longer run is drawn with several bars joined into one, and its title says how many.
    style
        ``"candle"``, ``"line"`` or ``"bar"``.
    """
    with backtrader_figure(result, korean, most_bars, style) as figure:
        figure.savefig(path, dpi=_DPI)
    return path


@contextmanager
def backtrader_figure(
    result: Result, korean: str | None = None, most_bars: int = MOST_BARS, style: str = "candle"
) -> Iterator[Figure]:
    """Give what `draw_backtrader_plot` draws, to be saved or shown within the block."""
    scene = Scene.of(result, korean)
    facts, words, title = scene.facts, scene.words, scene.title
    factor = -(-len(result.bars) // most_bars)
    if factor > 1:
        title += f"  ·  {words('picture.resampled', factor=factor)}"
    if facts.synthetic:
        title += f"  ·  {words('picture.synthetic')}"
    title += f"\n{facts.strategy}"
    cerebro = _cerebro(scene, factor)
    cerebro.run()
    handlers = dict(Legend.get_default_handler_map())
    with lettering(scene.font):
        plotter = HeadlessPlot(scene.local[::factor], title, style=style, volume=False)
        try:
            ((figures,),) = [cerebro.plot(plotter=plotter, iplot=False)]
            yield figures[0]
        finally:
            # Every candle plot of backtrader leaves itself in matplotlib's table of legends.
            Legend.set_default_handler_map(handlers)


# ---------------------------------------------------------------------- replay
_STEPS = {"drawstyle": "steps-post"}
# Observers and their lines, each a column of the bars.
_OBSERVERS: dict[str, dict[str, dict[str, Any]]] = {
    "fills": {
        "buy": {"marker": "^", "color": "lime", "mec": "darkgreen"},
        "sell": {"marker": "v", "color": "red", "mec": "darkred"},
    },
    "account": {"balance": {"color": "steelblue", **_STEPS}, "equity": {"color": "black"}},
    "contracts": {
        "long_contracts": {"color": "#1F5FA8", **_STEPS},
        "short_contracts": {"color": "#E07B00", **_STEPS},
    },
}


def _replayed(result: Result, factor: int) -> pd.DataFrame:
    """Return the bars, every ``factor`` joined into one; figures are those of the last of them."""
    bars = result.bars.drop(columns=result.texts).assign(volume=0.0, **_marks(result))
    for name in result.indicators:
        bars[name] = result.drawn(name)
    if factor > 1:
        how = dict.fromkeys(bars.columns, "last") | {
            "time": "first", "open": "first", "high": "max", "low": "min", "buy": "mean",
            "sell": "mean",
        }  # fmt: skip
        bars = bars.groupby(np.arange(len(bars)) // factor).agg(how)
    return bars.set_index("time")


def _marks(result: Result) -> dict[str, Array]:
    """Return the mean price of the buys and of the sells in each bar, as backtrader marks them."""
    bars, fills = result.bars, result.fills
    rows = np.asarray(bars["time"].searchsorted(fills["time"], side="right")) - 1
    is_buy = (fills["side"] == "long") == (fills["role"] == Role.ENTRY.value)
    marks = {}
    for name, chosen in (("buy", is_buy), ("sell", ~is_buy)):
        mean = fills.loc[chosen, "price"].groupby(rows[chosen.to_numpy(bool)]).mean()
        marks[name] = mean.reindex(range(len(bars))).to_numpy(np.float64)
    return marks


def _cerebro(scene: Scene, factor: int) -> bt.Cerebro:
    facts, bars = scene.facts, _replayed(scene.result, factor)
    columns = {name: bars[name].to_numpy(np.float64) for name in bars}
    cerebro = LeanCerebro(stdstats=False)
    options: dict[str, Any] = {"dataname": bars, "bar": facts.timeframe}
    data = ArrayData(**options)
    # What the legend says of a bar's length.
    minutes = facts.timeframe_ms * factor // 60_000
    data._timeframe, data._compression = bt.TimeFrame.Minutes, minutes
    cerebro.adddata(data, name=facts.instrument.symbol)
    indicators = {name: columns[name] for name in scene.result.indicators}
    panels = panels_of(indicators, facts.panels)
    cerebro.addstrategy(_Watcher, indicators=[panel_indicator(panel) for panel in panels])
    marked = int(bars[["buy", "sell"]].notna().to_numpy().sum())
    size = max(2.0, 8.0 * min(1.0, (_MARKS / max(marked, 1)) ** 0.5))
    mark = {"markersize": size, "mew": size / 10, "ls": "", "_plotvaluetag": False}
    for name, looks in _OBSERVERS.items():
        common = mark if name == "fills" else {}
        lines = {line: {**common, **look, "_name": scene.words(f"picture.{line}")}
                 for line, look in looks.items()}  # fmt: skip
        add = cerebro.addobservermulti if name == "fills" else cerebro.addobserver
        add(_observer(name, {line: columns[line] for line in lines}, lines))
    return cerebro


class _Watcher(bt.Strategy):
    """Do nothing; have the indicators of the run."""

    params = (("indicators", ()),)

    def __init__(self) -> None:
        for indicator in self.p.indicators:
            indicator(self.data).plotinfo.plotlinelabels = True


def _observer(
    name: str, columns: Mapping[str, Array], looks: Mapping[str, Mapping[str, Any]]
) -> type[bt.Observer]:
    """Return an observer class whose lines are columns of the result."""

    def next_(self: bt.Observer) -> None:
        row = len(self) - 1
        for line, values in columns.items():
            getattr(self.lines, line)[0] = float(values[row])

    plotinfo = {"plot": True, "subplot": name != "fills", "plotname": name, "plotlinelabels": True}
    body = {
        "__doc__": f"Columns {', '.join(columns)} of the bars.",
        "lines": tuple(columns),
        "plotinfo": plotinfo,
        "plotlines": looks,
        "next": next_,
        # backtrader registers classes by module and name.
        "__module__": __name__,
    }
    return type(f"Result_{name}", (bt.Observer,), body)


# ---------------------------------------------------------------------- plotter
class _Pages:
    """What the plotter asks of pyplot, without pyplot: no windows, no figure numbers."""

    def figure(self, _number: int) -> Figure:
        self._figure = Figure(facecolor="white")
        FigureCanvasAgg(self._figure)
        return self._figure

    def subplot2grid(
        self, shape: tuple[int, int], place: tuple[int, int], rowspan: int, sharex: Axes | None
    ) -> Axes:
        rows = slice(place[0], place[0] + rowspan)
        self._last = self._figure.add_subplot(GridSpec(*shape)[rows, 0], sharex=sharex)
        return self._last

    def setp(self, *args: Any, **options: Any) -> None:
        setp(*args, **options)

    def autoscale(self, **options: Any) -> None:
        self._last.autoscale(**options)


class HeadlessPlot(Plot):
    """backtrader's plotter without a display, with the bars' local times and legible values.

    Its options are the attributes of backtrader's `PlotScheme`.
    """

    def __init__(self, local: npt.NDArray[np.datetime64], title: str, **options: Any) -> None:
        # A scheme of its own: backtrader's is one object for all plots, and keeps what it is told.
        self.p.scheme = scheme = PlotScheme()
        scheme.rowsmajor = _PRICE_ROWS
        scheme.barup, scheme.bardown = "#86BF95", "#DC958D"
        scheme.linevalues = False  # "%.2f" of a bitcoin; the labels at the right say it better
        super().__init__(**options)
        self._local, self._title = local, title
        self._pages = _Pages()
        self._tags: list[tuple[Axes, Text]] = []

    @property
    def mpyplot(self) -> _Pages:
        """Stand in for pyplot, which the base class imports and assigns."""
        return self._pages

    @mpyplot.setter
    def mpyplot(self, _pyplot: object) -> None:
        pass

    def show(self) -> None:
        """Show nothing; the caller saves."""

    def setlocators(self, ax: Axes) -> None:
        """Put ticks at round local times; the axis counts bars."""
        times = round_times(self._local[0], self._local[-1])
        rows = np.searchsorted(self._local, times)
        ax.xaxis.set_major_locator(FixedLocator(rows.tolist()))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(rows, tick_labels(times))

    def drawtag(
        self, ax: Axes, x: float, y: float, facecolor: str, edgecolor: str, alpha: float = 0.9,
        **style: Any,
    ) -> None:  # fmt: skip
        """Write a line's last value with five figures, not two decimals, in the line's colour."""
        edge = ax.lines[-1].get_color() if ax.lines else edgecolor
        super().drawtag(ax, x, y, facecolor, edge, alpha, **style)
        tag = ax.texts[-1]
        tag.set_text(legible(y))
        self._tags.append((ax, tag))

    def plot(self, strategy: bt.Strategy, **options: Any) -> list[Figure]:
        """Plot and mend: size, title, date labels, legends, value labels."""
        figures: list[Figure] = super().plot(strategy, **options)
        (figure,) = figures
        height = self.pinf.nrows * _ROW + _MARGINS
        figure.set_dpi(_DPI)
        figure.set_size_inches(_WIDTH, height)
        figure.subplots_adjust(left=0.045, right=0.945, top=1 - 0.75 / height, bottom=0.6 / height)
        figure.suptitle(self._title, x=0.045, y=1 - 0.12 / height, ha="left", fontsize=14)
        for axes in figure.axes:
            # The base class hides all date labels, and then cannot find the last one's.
            for label in axes.get_xticklabels():
                label.set_visible(True)
            axes.tick_params(axis="x", labelbottom=axes is figure.axes[-1], labelrotation=0)
            axes.yaxis.tick_left()  # the right side is the value labels'
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
            _raise_marks(axes)
            _write_legend(axes)
        bars = len(self._local)
        figure.axes[0].set_xlim(-1 - 0.005 * bars, bars + 0.005 * bars)
        self._spread_tags()
        return figures

    def _spread_tags(self) -> None:
        """Push value labels apart that would lie on each other, lowest first.

        Over all panels: they stand in one column, and a label may reach beyond its panel.
        """
        places = [(float(axes.transData.transform(tag.get_position())[1]), axes, tag)
                  for axes, tag in self._tags]  # fmt: skip
        below = -np.inf
        for height, axes, tag in sorted(places, key=lambda place: place[0]):
            if not 0.0 <= height <= axes.figure.bbox.height:  # nor can letters be drawn far off
                tag.set_visible(False)
                continue
            below = max(height, below + _TAG_GAP)
            tag.set_y(axes.transData.inverted().transform((0.0, below))[1])


def legible(value: float) -> str:
    """Return a value with five figures, and no exponent where it is readable: 0.51234, 96,543."""
    if value == 0:
        return "0"
    if not 1e-9 < abs(value) < 1e15:
        return f"{value:.5g}"
    decimals = max(0, 4 - int(np.floor(np.log10(abs(value)))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def _raise_marks(axes: Axes) -> None:
    """Put what has no line, the fills, before the candles and lines of a panel."""
    highest = max((artist.get_zorder() for artist in (*axes.collections, *axes.lines)), default=0)
    for line in axes.lines:
        if line.get_linestyle() == "None":
            line.set_zorder(highest + 1)


def _write_legend(axes: Axes) -> None:
    """Write a legend in one row with room of its own, not over the lines.

    Each line by its name; backtrader writes the panel's above the first.
    """
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height / axes.figure.dpi
    axes.set_ylim(low, low + (high - low) / (1 - min(0.5, _LEGEND_ROOM / height)))
    # The candles, which are a collection, before the lines.
    pairs = sorted(zip(handles, labels, strict=True), key=lambda pair: isinstance(pair[0], Line2D))
    names = [label.partition("\n")[2] or label for _, label in pairs]
    axes.legend(
        [handle for handle, _ in pairs], names, loc="upper left", ncols=12, fontsize=9,
        frameon=False, borderaxespad=0.2, columnspacing=1.4,
    )  # fmt: skip
