"""A strategy's table over bars that keep coming: signals, indicators and ATRs of each bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from cryptosim_bt.data.bars import COLUMNS
from cryptosim_bt.data.market import Candle
from cryptosim_bt.data.timeframe import utc_index
from cryptosim_bt.strategy.indicators import IndicatorPanel

# So many bars, and at least so many times the warm-up, go into a table; longer ones are cut.
_MOST_BARS = 20_000
_WARMUPS = 20



class ComputedTable(Protocol):
    """What a strategy's `generate_signals` gave: signals (None: decided bar by bar), panels."""

    @property
    def signals(self) -> list[int] | None:
        """A signal a bar."""

    @property
    def panels(self) -> tuple[IndicatorPanel, ...]:
        """The indicators."""


ComputeTable = Callable[[pd.DataFrame], ComputedTable]
ComputeAtr = Callable[[pd.DataFrame, int], list[float]]


@dataclass(frozen=True, slots=True)
class TableFormulas:
    """How a strategy's table is computed; periods of 0 are of ATRs that nobody needs."""

    table: ComputeTable
    atr: ComputeAtr
    size_period: int
    stop_period: int
    warmup: int


class SignalTable:
    """Grows by a bar at a time; what it gives out are lists that grow with it.

    The formulas see all bars from the first on, as in a backtest, up to 20,000 of them.
    """

    def __init__(self, formulas: TableFormulas, history: Sequence[Candle]) -> None:
        self._formulas = formulas
        self._rows = list(history)
        bars = self._bars()
        made = formulas.table(bars)
        self.signals = made.signals
        # Lists in the place of arrays: indicators read them by row, and they grow.
        columns: Any = [
            {name: list(column) for name, column in panel.columns.items()} for panel in made.panels
        ]
        self.panels = tuple(
            IndicatorPanel(panel.name, grown)
            for panel, grown in zip(made.panels, columns, strict=True)
        )
        self.size_atr = self._atr(bars, formulas.size_period)
        self.stop_atr = self._atr(bars, formulas.stop_period)

    def append(self, row: Candle) -> None:
        """Add a closed bar and what the formulas say at its close."""
        self._rows.append(row)
        most = max(_MOST_BARS, _WARMUPS * self._formulas.warmup)
        if len(self._rows) > most + most // 10:
            del self._rows[: len(self._rows) - most]
        bars = self._bars()
        made = self._formulas.table(bars)
        if self.signals is not None and made.signals is not None:
            self.signals.append(made.signals[-1])
        for panel, fresh in zip(self.panels, made.panels, strict=True):
            for name, column in panel.columns.items():
                column.append(float(fresh.columns[name][-1]))  # type: ignore[attr-defined]
        for values, period in ((self.size_atr, self._formulas.size_period),
                               (self.stop_atr, self._formulas.stop_period)):  # fmt: skip
            if values is not None:
                values.append(self._formulas.atr(bars, period)[-1])

    def _atr(self, bars: pd.DataFrame, period: int) -> list[float] | None:
        return self._formulas.atr(bars, period) if period else None

    def _bars(self) -> pd.DataFrame:
        table = pd.DataFrame(
            [row[1:6] for row in self._rows], columns=list(COLUMNS), dtype=np.float64
        )
        table.index = utc_index(np.array([row[0] for row in self._rows], dtype=np.int64))
        return table
