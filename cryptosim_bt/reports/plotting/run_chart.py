"""chart.png: a run at a glance, drawn from its `Result`.

Price with indicators, fills and sets; indicators with panels of their own; contracts of each side;
balance and equity; open sets. All panels share one time axis in the run's time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
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
class _Scene:
    """What all panels draw from: the run, its times as matplotlib's days, its words."""

    result: Result
    facts: RunFacts
    words: Words
    days: Array

    def on_axis(self, times: pd.Series) -> Array:
        """Return UTC times as matplotlib's days of the run's zone."""
        return _days(self.facts.local(times))


def draw_chart(result: Result, path: Path, korean: str | None = None) -> Path:
    """Draw a run; return the picture's path.

    Parameters
    ----------
    korean
        Font with Korean letters. Without one the labels are English in any language.
    """
    facts = RunFacts.of(result)
    font = korean if facts.language == "ko" else None
    words = facts.words(None if font else "en")
    scene = _Scene(result, facts, words, _days(facts.local(result.bars["time"])))
    own = _own_panels(result)
    sets = [] if result.settings["trading"]["position_mode"] == "net" else [_SETS]
    heights = [_PRICE, *[_OWN] * len(own), _CONTRACTS, _ACCOUNT, *sets]
    with lettering(font):
        figure, panels = _layout(heights)
        _write_title(figure, scene)
        _draw_price(panels[0], scene)
        for panel, (name, columns) in zip(panels[1:], own.items(), strict=False):
            _draw_own(panel, name, columns, scene)
        contracts, account, *rest = panels[1 + len(own) :]
        _draw_contracts(contracts, scene)
        _draw_account(account, scene)
        for panel in rest:
            _draw_sets(panel, scene)
        _finish(panels, scene)
        figure.savefig(path, dpi=_DPI)
    return path


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
    FigureCanvasAgg(figure)
    panels: list[Axes] = []
    top = total - _TOP
    for height in heights:
        top -= _LEGEND + height
        place = (_LEFT / _WIDTH, top / total, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, height / total)
        panels.append(figure.add_axes(place, sharex=panels[0] if panels else None))
    return figure, panels


def _write_title(figure: Figure, scene: _Scene) -> None:
    facts, words, summary = scene.facts, scene.words, scene.result.summary
    title = f"{facts.instrument.symbol}  ·  {facts.timeframe}  ·  {facts.period(scene.result)}"
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
    left, right = _LEFT / _WIDTH, 1 - _RIGHT / _WIDTH
    figure.text(left, 1 - 0.4 / height, title, fontsize=19)
    figure.text(left, 1 - 0.72 / height, subtitle, fontsize=12, color="#404040")
    if facts.synthetic:
        figure.text(
            right, 1 - 0.4 / height, words("picture.synthetic"), fontsize=16,
            color="white", ha="right", bbox={"facecolor": LOSS, "edgecolor": "none", "pad": 5},
        )  # fmt: skip


def _finish(panels: list[Axes], scene: _Scene) -> None:
    step = scene.facts.timeframe_ms / 86_400_000
    span = scene.days[-1] - scene.days[0] + step
    panels[0].set_xlim(scene.days[0] - 0.005 * span - step, scene.days[-1] + 0.005 * span + step)
    local = scene.facts.local(scene.result.bars["time"]).to_numpy()
    ticks = round_times(local[0], local[-1])
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
def _draw_price(panel: Axes, scene: _Scene) -> None:
    bars, words = scene.result.bars, scene.words
    if len(bars) <= _CANDLES:
        _draw_candles(panel, scene)
    else:
        _draw_band(panel, scene)
    over = [name for name in scene.result.indicators
            if scene.result.panels.get(name, "price") == "price"]  # fmt: skip
    for number, name in enumerate(over):
        _draw_line(panel, scene, name, name.upper(), _LINES[number % len(_LINES)])
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


def _draw_candles(panel: Axes, scene: _Scene) -> None:
    bars = scene.result.bars
    opens, highs, lows, closes = (
        bars[name].to_numpy(np.float64) for name in ("open", "high", "low", "close")
    )
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


def _draw_band(panel: Axes, scene: _Scene) -> None:
    """Draw what candles would blur to: the range of each stretch of bars, and the close."""
    bars = scene.result.bars
    size = -(-len(bars) // (_POINTS // 2))
    starts = np.arange(0, len(bars), size)
    low = np.minimum.reduceat(bars["low"].to_numpy(np.float64), starts)
    high = np.maximum.reduceat(bars["high"].to_numpy(np.float64), starts)
    panel.fill_between(
        scene.days[starts], low, high, color="#C9D3DC", linewidth=0, zorder=1.5,
        label=scene.words("picture.high_low"),
    )  # fmt: skip
    _draw_line(panel, scene, "close", scene.words("picture.close"), "#5A6672", width=0.7)


def _draw_line(
    panel: Axes, scene: _Scene, column: str, label: str, colour: str, width: float = 1.3
) -> None:
    values = scene.result.drawn(column)
    shown = thin(values)
    panel.plot(
        scene.days[shown], values[shown], color=colour, linewidth=width, label=label, zorder=2.0
    )


def _draw_fills(panel: Axes, scene: _Scene) -> None:
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
        level = 5.0 if name == "liquidated" else 4.0
        _mark(panel, scene, fills.loc[chosen, "time"], fills.loc[chosen, "price"],
              label=scene.words(f"picture.{name}"), beside=beside, marker=marker, s=size,
              color=colour, edgecolors="white", linewidths=0.6, zorder=level)  # fmt: skip


def _draw_set_spans(panel: Axes, scene: _Scene) -> None:
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


def _draw_set_ends(panel: Axes, scene: _Scene) -> None:
    sets, words = scene.result.sets, scene.words
    closed = sets[sets["ended"].notna()]
    style: dict[str, Any] = {"marker": "D", "s": 78, "linewidths": 1.3, "edgecolors": _SET}
    _mark(panel, scene, sets["born"], sets["average_entry"], label=words("picture.set_born"),
          color=_SET, zorder=3.2, **style)  # fmt: skip
    _mark(panel, scene, closed["ended"], closed["exit_price"], label=words("picture.set_ended"),
          facecolors="none", zorder=3.3, **style)  # fmt: skip


def _mark(
    panel: Axes, scene: _Scene, times: pd.Series, prices: pd.Series, *, label: str,
    beside: int = 0, **style: Any,
) -> None:  # fmt: skip
    """Draw marks on their prices, or ``beside`` them: 1 above, -1 below."""
    if times.empty:
        return
    # The legend's marks keep their size where those of the picture become smaller.
    panel.scatter([], [], label=label, **style)
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


def _draw_own(panel: Axes, name: str, columns: list[str], scene: _Scene) -> None:
    for number, column in enumerate(columns):
        _draw_line(panel, scene, column, column.upper(), _LINES[number % len(_LINES)])
    if len(columns) > 1:
        panel.set_ylabel(name if len(name) <= 14 else f"{name[:13]}…", fontsize=11)


def _draw_contracts(panel: Axes, scene: _Scene) -> None:
    for side, sign, colour in (("long", 1.0, LONG), ("short", -1.0, SHORT)):
        held = sign * scene.result.bars[f"{side}_contracts"].to_numpy(np.float64)
        _draw_steps(panel, scene, held, scene.words(f"picture.{side}_contracts"), colour)
    panel.axhline(0.0, color=_GREY, linewidth=0.8)
    panel.set_ylabel(scene.words("picture.contracts"), fontsize=11)
    # Short stands below zero; there are no negative contracts.
    panel.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.10g}")


def _draw_sets(panel: Axes, scene: _Scene) -> None:
    bars = scene.result.bars
    for side, sign, colour in (("long", 1, LONG), ("short", -1, SHORT)):
        count = sign * bars[f"{side}_sets"].to_numpy(np.float64)
        _draw_steps(panel, scene, count, scene.words(f"picture.{side}_sets"), colour)
    panel.axhline(0.0, color=_GREY, linewidth=0.8)
    most = max(bars["long_sets"].max(), bars["short_sets"].max(), 1)
    panel.set_ylim(-most - 0.4, most + 0.4)
    panel.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    panel.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    panel.set_ylabel(scene.words("picture.open_sets"), fontsize=11)


def _draw_steps(panel: Axes, scene: _Scene, values: Array, label: str, colour: str) -> None:
    shown = thin(values)
    panel.fill_between(
        scene.days[shown], values[shown], step="post", color=colour, alpha=0.55, linewidth=0,
        label=label,
    )  # fmt: skip


def _draw_account(panel: Axes, scene: _Scene) -> None:
    bars, facts, words = scene.result.bars, scene.facts, scene.words
    balance, equity = (bars[name].to_numpy(np.float64) for name in ("balance", "equity"))
    low = min(balance.min(), equity.min(), facts.initial_balance)
    high = max(balance.max(), equity.max(), facts.initial_balance)
    room = 0.06 * (high - low) or 0.01 * high
    shown = thin(balance)
    panel.fill_between(
        scene.days[shown], balance[shown], low - room, step="post", color="#BFD4EA", linewidth=0,
        label=words("picture.balance"),
    )  # fmt: skip
    _draw_line(panel, scene, "equity", words("picture.equity"), "#12355B", width=1.4)
    panel.axhline(
        facts.initial_balance, color="#404040", linewidth=1.1, linestyle="--",
        label=words("picture.initial"),
    )  # fmt: skip
    panel.set_ylim(low - room, high + room)
    panel.set_ylabel(facts.instrument.currency, fontsize=11)
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    start = facts.initial_balance

    def to_percent(amounts: Any) -> Any:
        return (amounts / start - 1) * 100

    def to_amount(percents: Any) -> Any:
        return (percents / 100 + 1) * start

    returns = panel.secondary_yaxis("right", functions=(to_percent, to_amount))
    returns.yaxis.set_major_formatter(lambda value, _: f"{value:+,.10g}%" if value else "0%")
    returns.tick_params(labelsize=10)


def _own_panels(result: Result) -> dict[str, list[str]]:
    """Return the indicators that do not stand with the price, by panel."""
    panels: dict[str, list[str]] = {}
    for name in result.indicators:
        panel = result.panels.get(name, "price")
        if panel != "price":
            panels.setdefault(panel, []).append(name)
    return panels


def _days(local: pd.Series | npt.NDArray[np.datetime64]) -> Array:
    """Return naive times as matplotlib counts them: in days."""
    days: Array = mdates.date2num(np.asarray(local))  # type: ignore[no-untyped-call]
    return days
