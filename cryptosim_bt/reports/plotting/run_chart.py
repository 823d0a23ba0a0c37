"""chart.png: a run at a glance, drawn from its `Result`.

Price with indicators, fills and sets; indicators with panels of their own; contracts of each side;
balance and equity; open sets. All panels share one time axis in the run's time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.reports.plotting.fonts import lettering
from cryptosim_bt.reports.plotting.time_ticks import round_times, tick_labels
from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.results.result import Result

Array = npt.NDArray[np.float64]

LONG, SHORT, PROFIT, LOSS = "#1F5FA8", "#E07B00", "#00803C", "#C00000"
_LIQUIDATION, _SET, _RISE, _FALL, _GREY = "#7B00B4", "#7030A0", "#86BF95", "#DC958D", "#8C8C8C"
_LINES = ("#C71585", "#008B8B", "#8B6914", "#4B0082", "#2E8B57", "#B22222")

# Inches. The panels' heights; above each stands its legend, so that nothing covers a line.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _LEGEND = 18.0, 0.95, 0.95, 0.85, 0.65, 0.34
_PRICE, _OWN, _CONTRACTS, _ACCOUNT, _SETS = 5.2, 1.3, 1.5, 2.2, 0.9
_DPI = 100
# More bars than this are no candles but a band from low to high.
_CANDLES = 1_500
# What a line of the picture can show: two points a pixel.
_POINTS = 4_000
# Marks that fall on the same spot of this grid are drawn once. With more than so many fills and
# sets they become smaller, so that a busy run shows more than marks.
_SPOTS, _MARKS, _SMALLEST = (1_200, 400), 400, 0.04
# Entries stand so many of their widths beside the price: off an exit's mark that is on it.
_BESIDE = 1.4


@dataclass(frozen=True)
class Scene:
    """What all pictures of a run draw from.

    Attributes
    ----------
    font
        Font with Korean letters, None for English.
    """

    result: Result
    facts: RunFacts
    words: Words
    font: str | None

    @classmethod
    def of(cls, result: Result, korean: str | None) -> Scene:
        """Set a run's scene; without a font for Korean the labels are English in any language."""
        facts = RunFacts.of(result)
        font = korean if facts.language == "ko" else None
        return cls(result, facts, facts.words(None if font else "en"), font)

    @property
    def title(self) -> str:
        """Market, timeframe, window."""
        facts = self.facts
        return f"{facts.instrument.symbol}  ·  {facts.timeframe}  ·  {facts.period(self.result)}"

    @cached_property
    def local(self) -> npt.NDArray[np.datetime64]:
        """Naive times of the bars in the run's zone."""
        return self.facts.local(self.result.bars["time"]).to_numpy()

    @cached_property
    def days(self) -> Array:
        """Times of the bars as matplotlib counts them."""
        return _days(self.local)

    def on_axis(self, times: pd.Series) -> Array:
        """Return UTC times as matplotlib's days of the run's zone."""
        return _days(self.facts.local(times))

    def column(self, name: str) -> Array:
        """Return a column of the bars."""
        return self.result.bars[name].to_numpy(np.float64)

    def badge(self, figure: Figure, right: float, below: float, size: int) -> None:
        """Say at a place of the top, in shares and inches, that prices are made up."""
        if self.facts.synthetic:
            figure.text(
                right, 1 - below / figure.get_figheight(), self.words("picture.synthetic"),
                fontsize=size, color="white", ha="right",
                bbox={"facecolor": LOSS, "edgecolor": "none", "pad": size // 3},
            )  # fmt: skip


def draw_chart(result: Result, path: Path, korean: str | None = None) -> Path:
    """Draw a run, with Korean labels if it is to be and can; return the picture's path."""
    with lettering(Scene.of(result, korean).font):
        chart_figure(result, korean).savefig(path, dpi=_DPI)
    return path


def chart_figure(result: Result, korean: str | None = None) -> Figure:
    """Return what `draw_chart` draws."""
    scene = Scene.of(result, korean)
    own: dict[str, list[str]] = {}
    for name, panel_name in scene.facts.panels.items():
        own.setdefault(panel_name, []).append(name)
    over = own.pop("price", [])
    sets = [] if result.settings["trading"]["position_mode"] == "net" else [_SETS]
    heights = [_PRICE, *[_OWN] * len(own), _CONTRACTS, _ACCOUNT, *sets]
    with lettering(scene.font):
        figure, panels = _layout(heights)
        _write_title(figure, scene)
        _draw_price(panels[0], scene, over)
        for panel, (name, columns) in zip(panels[1:], own.items(), strict=False):
            _draw_indicators(panel, columns, scene)
            if len(columns) > 1:
                panel.set_ylabel(name if len(name) <= 14 else f"{name[:13]}…", fontsize=11)
        contracts, account, *rest = panels[1 + len(own) :]
        _draw_sides(contracts, scene, "contracts")
        _draw_account(account, scene)
        for panel in rest:
            _draw_sides(panel, scene, "sets")
            most = max(result.bars["long_sets"].max(), result.bars["short_sets"].max(), 1)
            panel.set_ylim(-most - 0.4, most + 0.4)
            panel.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        _finish(panels, scene)
    return figure


def thin(values: Array, points: int = _POINTS) -> npt.NDArray[np.int64]:
    """Return the positions that a line needs to look the same: of each stretch its extremes.

    All of them where there are no more than ``points``.
    """
    size = -(-2 * len(values) // points)
    if size < 3:
        return np.arange(len(values))
    stretches = -(-len(values) // size)
    padded = np.pad(values, (0, stretches * size - len(values)), mode="edge")
    rows = padded.reshape(stretches, size)
    starts = np.arange(stretches) * size
    lowest = starts + np.where(np.isnan(rows), np.inf, rows).argmin(axis=1)
    highest = starts + np.where(np.isnan(rows), -np.inf, rows).argmax(axis=1)
    ends = np.array([0, len(values) - 1])
    found = np.unique(np.concatenate((ends, lowest, highest)))
    return found[found < len(values)]


# ---------------------------------------------------------------------- page
def _layout(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    total = _TOP + sum_floats(heights) + _LEGEND * len(heights) + _BOTTOM
    figure = Figure(figsize=(_WIDTH, total), facecolor="white")
    panels: list[Axes] = []
    top = total - _TOP
    for height in heights:
        top -= _LEGEND + height
        place = (_LEFT / _WIDTH, top / total, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, height / total)
        panels.append(figure.add_axes(place, sharex=panels[0] if panels else None))
    return figure, panels


def _write_title(figure: Figure, scene: Scene) -> None:
    facts, words, summary = scene.facts, scene.words, scene.result.summary
    returns = f"{words('picture.total_return')} {summary['total_return']:+.2%}"
    if summary["total_return_usd"] is not None:
        returns += f" (USD {summary['total_return_usd']:+.2%})"
    subtitle = "  ·  ".join((
        facts.strategy,
        returns,
        f"{words('picture.drawdown')} {summary['max_drawdown']:.2%}",
        f"{words('picture.trades')} {summary['trades']:,}",
        f"{words('picture.hold')} {summary['buy_and_hold_return']:+.2%}",
    ))  # fmt: skip
    height = figure.get_figheight()
    figure.text(_LEFT / _WIDTH, 1 - 0.4 / height, scene.title, fontsize=19)
    figure.text(_LEFT / _WIDTH, 1 - 0.72 / height, subtitle, fontsize=12, color="#404040")
    scene.badge(figure, 1 - _RIGHT / _WIDTH, 0.4, 16)


def _finish(panels: list[Axes], scene: Scene) -> None:
    step = scene.facts.timeframe_ms / 86_400_000
    span = scene.days[-1] - scene.days[0] + step
    panels[0].set_xlim(scene.days[0] - 0.005 * span - step, scene.days[-1] + 0.005 * span + step)
    ticks = round_times(scene.local[0], scene.local[-1])
    panels[0].set_xticks(_days(ticks), tick_labels(ticks))
    for panel in panels:
        panel.grid(color="#E4E4E4", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.tick_params(labelbottom=panel is panels[-1], labelsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        handles, labels = panel.get_legend_handles_labels()
        if handles:
            panel.legend(
                handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False,
                ncols=12, fontsize=10, borderaxespad=0.1, columnspacing=1.4, handletextpad=0.5,
            )  # fmt: skip
    panels[-1].set_xlabel(scene.words("picture.time_axis"), fontsize=11)


# ---------------------------------------------------------------------- panels
def _draw_price(panel: Axes, scene: Scene, indicators: list[str]) -> None:
    words = scene.words
    draw = _draw_candles if len(scene.result.bars) <= _CANDLES else _draw_band
    draw(panel, scene)
    _draw_indicators(panel, indicators, scene)
    _draw_set_spans(panel, scene)
    _draw_fills(panel, scene)
    _draw_set_ends(panel, scene)
    quote = scene.facts.instrument.symbol.partition(":")[0].partition("/")[2]
    panel.set_ylabel(f"{words('picture.price')} ({quote})", fontsize=11)
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    panel.margins(y=0.04)
    if scene.facts.synthetic:
        panel.text(
            0.5, 0.5, words("picture.synthetic"), transform=panel.transAxes, fontsize=48,
            color=LOSS, alpha=0.09, rotation=12, ha="center", va="center", zorder=0,
        )  # fmt: skip


def _draw_candles(panel: Axes, scene: Scene) -> None:
    opens, highs, lows, closes = map(scene.column, ("open", "high", "low", "close"))
    half = 0.36 * scene.facts.timeframe_ms / 86_400_000
    left, right = scene.days - half, scene.days + half
    colours = np.where(closes >= opens, _RISE, _FALL).tolist()
    wicks = _paths((scene.days, lows), (scene.days, highs))
    bodies = _paths((left, opens), (left, closes), (right, closes), (right, opens))
    panel.add_collection(LineCollection(wicks, colors=colours, linewidths=0.8, zorder=1.5))
    panel.add_collection(
        PolyCollection(bodies, facecolors=colours, edgecolors=colours, linewidths=0.5, zorder=1.6)
    )
    panel.autoscale_view()


def _draw_band(panel: Axes, scene: Scene) -> None:
    """Draw what candles would blur to: the range of each stretch of bars, and the close."""
    starts = np.arange(0, len(scene.days), -(-len(scene.days) // (_POINTS // 2)))
    low = np.minimum.reduceat(scene.column("low"), starts)
    high = np.maximum.reduceat(scene.column("high"), starts)
    panel.fill_between(
        scene.days[starts], low, high, color="#C9D3DC", linewidth=0, zorder=1.5,
        label=scene.words("picture.high_low"),
    )  # fmt: skip
    _draw_line(panel, scene, "close", scene.words("picture.close"), "#5A6672", width=0.7)


def _draw_line(
    panel: Axes, scene: Scene, column: str, label: str, colour: str, width: float = 1.3
) -> None:
    values = scene.result.drawn(column)
    shown = thin(values)
    panel.plot(
        scene.days[shown], values[shown], color=colour, linewidth=width, label=label, zorder=2.0
    )


def _draw_fills(panel: Axes, scene: Scene) -> None:
    fills = scene.result.fills
    entry = fills["role"] == Role.ENTRY.value
    liquidated = fills["role"] == Role.LIQUIDATION.value
    lost = fills["group_pnl"] < 0
    # A reversal's exit and entry are one fill's price: entries stand beside it, exits on it.
    kinds: list[tuple[str, pd.Series, str, str, float, int]] = [
        ("entry_long", entry & (fills["side"] == "long"), "^", LONG, 48, -1),
        ("entry_short", entry & (fills["side"] == "short"), "v", SHORT, 48, 1),
        ("exit_profit", ~entry & ~liquidated & ~lost, "o", PROFIT, 46, 0),
        ("exit_loss", ~entry & ~liquidated & lost, "X", LOSS, 70, 0),
        ("liquidated", liquidated, "*", _LIQUIDATION, 240, 0),
    ]
    for name, chosen, marker, colour, size, beside in kinds:
        _mark(panel, scene, fills.loc[chosen, "time"], fills.loc[chosen, "price"], name,
              beside=beside, marker=marker, s=size, color=colour, edgecolors="white",
              linewidths=0.6, zorder=5.0 if name == "liquidated" else 4.0)  # fmt: skip


def _draw_set_spans(panel: Axes, scene: Scene) -> None:
    """Draw each set as a line at its average entry, from its birth to its end."""
    sets = scene.result.sets
    born = scene.on_axis(sets["born"])
    ended = np.where(sets["ended"].isna(), scene.days[-1], scene.on_axis(sets["ended"]))
    average = sets["average_entry"].to_numpy(np.float64)
    colours = [LONG if side == "long" else SHORT for side in sets["side"]]
    # A veil where there are thousands.
    strength = min(0.75, 60 / max(len(sets), 1) + 0.05)
    panel.add_collection(
        LineCollection(_paths((born, average), (ended, average)), colors=colours,
                       linewidths=1.6, alpha=strength,
                       linestyles="dashed", zorder=2.5),
        autolim=False,
    )  # fmt: skip


def _draw_set_ends(panel: Axes, scene: Scene) -> None:
    sets = scene.result.sets
    closed = sets[sets["ended"].notna()]
    style: dict[str, Any] = {"marker": "D", "s": 78, "linewidths": 1.3, "edgecolors": _SET}
    _mark(panel, scene, sets["born"], sets["average_entry"], "set_born", color=_SET, zorder=3.2,
          **style)  # fmt: skip
    _mark(panel, scene, closed["ended"], closed["exit_price"], "set_ended", facecolors="none",
          zorder=3.3, **style)  # fmt: skip


def _mark(
    panel: Axes, scene: Scene, times: pd.Series, prices: pd.Series, name: str, *,
    beside: int = 0, **style: Any,
) -> None:  # fmt: skip
    """Draw marks on their prices, or ``beside`` them: 1 above, -1 below."""
    if times.empty:
        return
    # The legend's marks keep their size where those of the picture become smaller.
    panel.scatter([], [], label=scene.words(f"picture.{name}"), **style)
    result = scene.result
    scale = max(_SMALLEST, min(1.0, _MARKS / (len(result.fills) + len(result.sets))))
    style["s"], style["linewidths"] = style["s"] * scale, style["linewidths"] * scale**0.5
    x, y = scene.on_axis(times), prices.to_numpy(np.float64)
    spots = np.column_stack((_cells(x, _SPOTS[0]), _cells(y, _SPOTS[1])))
    _, first = np.unique(spots, axis=0, return_index=True)
    inches = beside * _BESIDE * style["s"] ** 0.5 / 72
    aside = ScaledTranslation(0.0, inches, panel.figure.dpi_scale_trans)
    panel.scatter(x[first], y[first], transform=panel.transData + aside, **style)


def _paths(*corners: tuple[Array, Array]) -> list[Array]:
    """Return one path per bar or set, from columns of corners."""
    return list(np.stack([np.column_stack(corner) for corner in corners], axis=1))


def _cells(values: Array, count: int) -> npt.NDArray[np.int64]:
    low, high = values.min(), values.max()
    cells: npt.NDArray[np.int64] = ((values - low) / (high - low or 1.0) * count).astype(np.int64)
    return cells


def _draw_indicators(panel: Axes, columns: list[str], scene: Scene) -> None:
    for number, column in enumerate(columns):
        _draw_line(panel, scene, column, column.upper(), _LINES[number % len(_LINES)])


def _draw_sides(panel: Axes, scene: Scene, what: str) -> None:
    """Draw contracts or sets: long above zero, short below it."""
    words = scene.words
    for side, sign, colour in (("long", 1.0, LONG), ("short", -1.0, SHORT)):
        held = sign * scene.column(f"{side}_{what}")
        _draw_steps(panel, scene, held, words(f"picture.{side}_{what}"), color=colour, alpha=0.55)
    panel.axhline(0.0, color=_GREY, linewidth=0.8)
    panel.set_ylabel(words("picture.contracts" if what == "contracts" else "picture.open_sets"),
                     fontsize=11)  # fmt: skip
    # There are no negative contracts.
    panel.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.10g}")


def _draw_steps(
    panel: Axes, scene: Scene, values: Array, label: str, base: float = 0.0, **style: Any
) -> None:
    shown = thin(values)
    panel.fill_between(
        scene.days[shown], values[shown], base, step="post", linewidth=0, label=label, **style
    )


def _draw_account(panel: Axes, scene: Scene) -> None:
    words, start = scene.words, scene.facts.initial_balance
    balance, equity = scene.column("balance"), scene.column("equity")
    low, high = min(balance.min(), equity.min(), start), max(balance.max(), equity.max(), start)
    room = 0.06 * (high - low) or 0.01 * high
    _draw_steps(panel, scene, balance, words("picture.balance"), low - room, color="#BFD4EA")
    _draw_line(panel, scene, "equity", words("picture.equity"), "#12355B", width=1.4)
    panel.axhline(start, color="#404040", linewidth=1.1, linestyle="--",
                  label=words("picture.initial"))  # fmt: skip
    panel.set_ylim(low - room, high + room)
    panel.set_ylabel(scene.facts.instrument.currency, fontsize=11)
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))

    def to_percent(amounts: Any) -> Any:
        return (amounts / start - 1) * 100

    def to_amount(percents: Any) -> Any:
        return (percents / 100 + 1) * start

    returns = panel.secondary_yaxis("right", functions=(to_percent, to_amount))
    returns.yaxis.set_major_formatter(lambda value, _: f"{value:+,.10g}%" if value else "0%")
    returns.tick_params(labelsize=10)


def _days(local: pd.Series | npt.NDArray[np.datetime64]) -> Array:
    """Return naive times as matplotlib counts them: in days."""
    days: Array = mdates.date2num(np.asarray(local))  # type: ignore[no-untyped-call]
    return days
