"""The framework's own analyzer: one row of figures per bar, after everything in the bar."""

from __future__ import annotations

from array import array

import numpy as np
import pandas as pd

from cryptosim_bt.report import ReportAnalyzer
from cryptosim_bt.result import LAST_BAR_COLUMNS


class BarRecorder(ReportAnalyzer):
    """Record balance, equity, margin and what is held at every bar of the window.

    A bar's row is what stands after the strategy acted at its close: an entry placed there counts
    in `margin`, a fill there in `balance`.
    """

    def start(self) -> None:
        """Begin with an empty record."""
        self._values = array("d")
        self._broker, self._book = self.strategy.broker, self.strategy.book
        self._legs = self._broker.account.legs

    def next(self) -> None:
        """Record a bar."""
        broker, book = self._broker, self._book
        account, close = broker.account, broker.last_price
        unrealized = account.unrealized_pnl(close)
        long, short = self._legs["long"], self._legs["short"]
        self._values.extend(
            (
                self.strategy.last_signal,
                account.balance,
                unrealized,
                account.balance + unrealized,
                account.position_margin(close) + broker.exchange.entry_margin(),
                long.contracts,
                long.average,
                short.contracts,
                short.average,
                book.count_sets("long"),
                book.count_sets("short"),
            )
        )

    def table(self) -> pd.DataFrame:
        """Return the record as a table, one row a bar of the window."""
        width = len(LAST_BAR_COLUMNS)
        values = np.frombuffer(self._values, dtype=np.float64).reshape(-1, width)
        table = pd.DataFrame(values, columns=list(LAST_BAR_COLUMNS))
        for column in ("signal", "long_sets", "short_sets"):
            table[column] = table[column].astype(np.int64)
        for side in ("long", "short"):
            # An empty leg has no average.
            table[f"{side}_average"] = table[f"{side}_average"].where(
                table[f"{side}_contracts"] > 0.0
            )
        return table
