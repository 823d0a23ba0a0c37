"""chart.png: a run at a glance, drawn from its `Result`.

Price with indicators, fills and sets; indicators with panels of their own; contracts of each side;
balance and equity; open sets. All panels share one time axis in the run's time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullFormatter,
    StrMethodFormatter,
)
from matplotlib.transforms import ScaledTranslation

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.reports.plotting.fonts import lettering
from cryptosim_bt.reports.plotting.scene import (
    GREY,
    LONG,
    LOSS,
    POINTS,
    PROFIT,
    SHORT,
    Scene,
    thin,
)
from cryptosim_bt.results.metrics import Array
from cryptosim_bt.results.result import Result

_LIQUIDATION, _SET, _RISE, _FALL = "#7B00B4", "#7030A0", "#86BF95", "#DC958D"
_LINES = ("#C71585", "#008B8B", "#8B6914", "#4B0082", "#2E8B57", "#B22222")

# Inches. The panels' heights; above each stands its legend, so that nothing covers a line.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _LEGEND = 18.0, 0.95, 0.95, 0.85, 0.65, 0.34
_PRICE, _OWN, _CONTRACTS, _ACCOUNT, _GROWTH, _DRAWDOWN, _SETS = 5.2, 1.3, 1.5, 2.0, 1.8, 1.3, 0.9
_DPI = 100
# An axis whose highest value is so many times its lowest is logarithmic.
_LOG = 5.0
# An indicator widens the price's axis by this share of the candles' range at most, either way.
_NEAR = 0.5
# More bars than this are no candles but a band from low to high.
_CANDLES = 1_500
# Marks that fall on the same spot of this grid are drawn once. With more than so many fills and
# sets they become smaller, so that a busy run shows more than marks.
_SPOTS, _MARKS, _SMALLEST = (1_200, 400), 400, 0.04
# Entries stand so many of their widths beside the price: off an exit's mark that is on it.
_BESIDE = 1.4


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
    heights = [_PRICE, *[_OWN] * len(own), _CONTRACTS, _ACCOUNT, _GROWTH, _DRAWDOWN, *sets]
    with lettering(scene.font):
        figure, panels = _layout(heights)
        _write_title(figure, scene)
        _draw_price(panels[0], scene, over)
        for panel, (name, columns) in zip(panels[1:], own.items(), strict=False):
            _draw_indicators(panel, columns, scene)
            if len(columns) > 1:
                panel.set_ylabel(name if len(name) <= 14 else f"{name[:13]}…", fontsize=11)
        contracts, account, growth, fall, *rest = panels[1 + len(own) :]
        _draw_sides(contracts, scene, "contracts")
        _draw_account(account, scene)
        _draw_growth(growth, scene)
        scene.plot_falls(fall)
        fall.set_ylabel(scene.words("picture.fall"), fontsize=11)
        for panel in rest:
            _draw_sides(panel, scene, "sets")
            most = max(result.bars["long_sets"].max(), result.bars["short_sets"].max(), 1)
            panel.set_ylim(-most - 0.4, most + 0.4)
            panel.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        _finish(panels, scene)
    return figure


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
    scene.mark_times(panels[0])
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
    lines = [(np.nanmin(each), np.nanmax(each)) for each in map(scene.column, indicators)
             if np.isfinite(each).any()]  # fmt: skip
    low, high = float(scene.column("low").min()), float(scene.column("high").max())
    _fit(panel, low, high, 0.04, lines)
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    if scene.facts.synthetic:
        panel.text(
            0.5, 0.5, words("picture.synthetic"), transform=panel.transAxes, fontsize=48,
            color=LOSS, alpha=0.09, rotation=12, ha="center", va="center", zorder=0,
        )  # fmt: skip


def _fit(
    panel: Axes, low: float, high: float, room: float, near: Sequence[tuple[float, float]] = ()
) -> float:
    """Set an axis, logarithmic where it reaches far, and return where it begins.

    ``near``: ranges of lines that may widen the axis, but not flatten what it is for.
    """
    is_log = 0 < low < high / _LOG
    turn, back = (np.log, np.exp) if is_log else (float, float)
    if is_log:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_minor_formatter(NullFormatter())
    bottom, top = turn(low), turn(high)
    reach = _NEAR * (top - bottom)
    lowest = min([bottom, *(turn(max(each, low * 1e-9) if is_log else each) for each, _ in near)])
    highest = max([top, *(turn(max(each, low)) for _, each in near)])
    bottom, top = max(lowest, bottom - reach), min(highest, top + reach)
    beside = room * (top - bottom) or 0.01 * abs(top) or 1.0
    panel.set_ylim(back(bottom - beside), back(top + beside))
    return float(back(bottom - beside))


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
    starts = np.arange(0, len(scene.days), -(-len(scene.days) // (POINTS // 2)))
    low = np.minimum.reduceat(scene.column("low"), starts)
    high = np.maximum.reduceat(scene.column("high"), starts)
    panel.fill_between(
        scene.days[starts], low, high, color="#C9D3DC", linewidth=0, zorder=1.5,
        label=scene.words("picture.high_low"),
    )  # fmt: skip
    scene.plot(panel, scene.column("close"), label=scene.words("picture.close"), color="#5A6672",
               linewidth=0.7, zorder=2.0)  # fmt: skip


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
        scene.plot(panel, scene.column(column), label=column.upper(), linewidth=1.3, zorder=2.0,
                   color=_LINES[number % len(_LINES)])  # fmt: skip


def _draw_sides(panel: Axes, scene: Scene, what: str) -> None:
    """Draw contracts or sets: long above zero, short below it."""
    words = scene.words
    for side, sign, colour in (("long", 1.0, LONG), ("short", -1.0, SHORT)):
        held = sign * scene.column(f"{side}_{what}")
        _draw_steps(panel, scene, held, words(f"picture.{side}_{what}"), color=colour, alpha=0.55)
    panel.axhline(0.0, color=GREY, linewidth=0.8)
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
    bottom = _fit(panel, float(low), float(high), 0.06)
    _draw_steps(panel, scene, balance, words("picture.balance"), bottom, color="#BFD4EA")
    scene.plot(panel, equity, label=words("picture.equity"), color="#12355B", linewidth=1.4,
               zorder=2.0)  # fmt: skip
    panel.axhline(start, color="#404040", linewidth=1.1, linestyle="--",
                  label=words("picture.initial"))  # fmt: skip
    panel.set_ylabel(scene.facts.instrument.currency, fontsize=11)
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))


def _draw_growth(panel: Axes, scene: Scene) -> None:
    """Draw what the account and the coin held became of their start, as returns."""
    scene.plot_paths(panel, lambda initial, values: values / initial)
    ends = [edge(values / initial) for _, initial, values in scene.paths() for edge in (min, max)]
    _fit(panel, float(min(*ends, 1.0)), float(max(*ends, 1.0)), 0.06)
    panel.axhline(1.0, color=GREY, linewidth=0.8)
    panel.set_ylabel(scene.words("picture.total_return"), fontsize=11)
    panel.yaxis.set_major_formatter(
        lambda share, _: f"{(share - 1) * 100:+,.6g}%" if abs(share - 1) > 1e-12 else "0%"
    )
