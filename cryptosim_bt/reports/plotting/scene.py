"""What the pictures of a run share: its times and words, its paths of value, how they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from cryptosim_bt.reports.plotting.time_ticks import round_times, tick_labels
from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.results.account_figures import drawdowns
from cryptosim_bt.results.metrics import Array
from cryptosim_bt.results.result import Result

LONG, SHORT, PROFIT, LOSS, GREY = "#1F5FA8", "#E07B00", "#00803C", "#C00000", "#8C8C8C"
# What a line of the picture can show: two points a pixel.
POINTS = 4_000
# Label, value at the start, value at each bar.
Line = tuple[str, float, Array]
# The account's own line, that of a coin's account in quote currency, the coin's.
_ACCOUNT_LOOKS: list[dict[str, Any]] = [
    {"color": "#12355B", "linewidth": 1.4}, {"color": LONG, "linewidth": 1.0},
    {"color": GREY, "linewidth": 1.0, "linestyle": "--"},
]


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
        return days_of(self.local)

    def on_axis(self, times: pd.Series) -> Array:
        """Return UTC times as matplotlib's days of the run's zone."""
        return days_of(self.facts.local(times))

    def column(self, name: str) -> Array:
        """Return a column of the bars as it is drawn: a gap (NaN) where a value has no place."""
        return self.result.drawn(name)

    def paths(self) -> list[Line]:
        """Return the account, a coin's account in quote currency too, and the coin."""
        initial, first = self.facts.initial_balance, float(self.result.bars["open"].iloc[0])
        equity, close = self.column("equity"), self.column("close")
        found = [(self.words("picture.account"), initial, equity)]
        if self.facts.instrument.kind == "inverse":
            found.append((self.words("picture.in_quote"), initial * first, equity * close))
        return [*found, (self.words("picture.held"), first, close)]

    def badge(self, figure: Figure, right: float, below: float, size: int) -> None:
        """Say at a place of the top, in shares and inches, that prices are made up."""
        if self.facts.synthetic:
            figure.text(
                right, 1 - below / figure.get_figheight(), self.words("picture.synthetic"),
                fontsize=size, color="white", ha="right",
                bbox={"facecolor": LOSS, "edgecolor": "none", "pad": size // 3},
            )  # fmt: skip

    def plot(self, axes: Axes, values: Array, **style: Any) -> None:
        """Draw a line over the bars."""
        shown = thin(values)
        axes.plot(self.days[shown], values[shown], **style)

    def plot_paths(self, axes: Axes, of: Callable[[float, Array], Array], label: str = "") -> None:
        """Draw a line for each path, of its start and its values.

        ``label`` is written beside a path's own, with how far its line falls.
        """
        paths = self.paths()
        for (name, initial, values), look in zip(paths, _looks(len(paths)), strict=True):
            line = of(initial, values)
            text = f"{name}: {self.words(label, fall=float(-line.min()))}" if label else name
            self.plot(axes, line, label=text, **look)

    def plot_falls(self, axes: Axes) -> None:
        """Draw how far each path is below its peak."""
        _, initial, values = self.paths()[0]
        fall = -drawdowns(initial, values)
        shown = thin(fall)
        axes.fill_between(self.days[shown], fall[shown], color=LOSS, alpha=0.15, linewidth=0)
        self.plot_paths(axes, lambda start, path: -drawdowns(start, path), "picture.deepest")
        axes.set_ylim(top=0.0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))

    def mark_times(self, axes: Axes) -> None:
        """Put ticks at round times."""
        ticks = round_times(self.local[0], self.local[-1])
        axes.set_xticks(days_of(ticks), tick_labels(ticks))


def _looks(count: int) -> list[dict[str, Any]]:
    return [*_ACCOUNT_LOOKS[: count - 1], _ACCOUNT_LOOKS[-1]]


def thin(values: Array, points: int = POINTS) -> npt.NDArray[np.int64]:
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


def days_of(local: pd.Series | npt.NDArray[np.datetime64]) -> Array:
    """Return naive times as matplotlib counts them: in days."""
    days: Array = mdates.date2num(np.asarray(local))  # type: ignore[no-untyped-call]
    return days
