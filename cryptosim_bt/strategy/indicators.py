"""The columns of a strategy's table as backtrader indicators, one per plot panel.

So backtrader's plot, its observers and ``next()`` all see what `generate_signals` computed.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import backtrader as bt
import numpy as np

PRICE_PANEL = "price"
# What backtrader's lines are called by, besides their names.
_TAKEN = {"lines", *dir(bt.lineseries.Lines)}


@dataclass(frozen=True)
class IndicatorPanel:
    """Columns that share a panel of the plot. ``with_price`` draws them over the candles."""

    name: str
    columns: Mapping[str, np.ndarray]

    @property
    def with_price(self) -> bool:
        """Whether the panel is the candles' own."""
        return self.name == PRICE_PANEL


def panel_indicator(panel: IndicatorPanel) -> type[bt.Indicator]:
    """Return an indicator class whose lines are the panel's columns."""
    lines: dict[str, str] = {}
    for column in panel.columns:
        line = re.sub(r"\W", "_", column)
        while line in lines or line in _TAKEN:
            line += "_"
        lines[line] = column

    def next_(self: bt.Indicator) -> None:
        row = len(self) - 1
        for line, column in lines.items():
            getattr(self.lines, line)[0] = float(panel.columns[column][row])

    def once(self: bt.Indicator, start: int, end: int) -> None:
        for line, column in lines.items():
            values = np.ascontiguousarray(panel.columns[column], dtype=np.float64)
            getattr(self.lines, line).array = array("d", values.tobytes())

    body = {
        "__doc__": f"Columns {', '.join(panel.columns)} of the strategy's table.",
        "lines": tuple(lines),
        "plotinfo": {"subplot": not panel.with_price, "plotname": panel.name},
        "next": next_,
        "once": once,
        # backtrader registers indicator classes by module and name.
        "__module__": __name__,
    }
    return type(f"Panel_{re.sub(r'[^0-9A-Za-z_]', '_', panel.name)}", (bt.Indicator,), body)


def panels_of(
    columns: Mapping[str, np.ndarray], plot_panels: Mapping[str, str]
) -> tuple[IndicatorPanel, ...]:
    """Group indicator columns by panel, in the order of their first column."""
    by_panel: dict[str, dict[str, np.ndarray]] = {}
    for column, values in columns.items():
        by_panel.setdefault(plot_panels.get(column, PRICE_PANEL), {})[column] = values
    return tuple(IndicatorPanel(name, members) for name, members in by_panel.items())
