"""The framework's own analyzer: one row of figures per bar, after everything in the bar."""

from __future__ import annotations

from array import array

import numpy as np
import pandas as pd

from cryptosim_bt.errors import PluginError
from cryptosim_bt.records import record_of
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
        self._broker, self._record = self.strategy.broker, record_of(self.strategy)
        self._book = self._record.book
        self._account, self._exchange = self._broker.account, self._broker.exchange
        self._version = self._sets = -1

    def next(self) -> None:
        """Record a bar."""
        account, mark = self._account, self._broker.mark_price
        if account.version != self._version or len(self._book.sets) != self._sets:
            self._note_holdings(mark)
        unrealized = account.unrealized_pnl(mark)
        margin = account.position_margin(mark) + self._exchange.entry_margin()
        figures = (mark, account.balance, unrealized, account.balance + unrealized, margin)
        self._values.extend((self._record.last_signal, *figures, *self._holdings))

    def _note_holdings(self, mark: float) -> None:
        """Take down what only fills, funding and new sets change.

        A set may come from an entry that expires in part: nothing moves in the account then.
        """
        long, short = self._account.legs["long"], self._account.legs["short"]
        self._version, self._sets = self._account.version, len(self._book.sets)
        self._holdings = (
            long.contracts,
            long.average,
            short.contracts,
            short.average,
            self._book.count_sets("long"),
            self._book.count_sets("short"),
            *self._account.liquidation_prices(mark),
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
        for column in ("liquidation_below", "liquidation_above"):
            table[column] = table[column].where(np.isfinite(table[column]))
        return table


class PlainBarRecorder(BarRecorder):
    """Record every bar of the window for a strategy without a book, whose ledger closes each bar.

    The strategy's `next` begins with the window, or later, where its indicators have their values;
    bars until then count like any other.
    """

    def start(self) -> None:
        """Open the record; hold `next` back while the bars are warm-up (R3)."""
        self._ledger = self.strategy.broker.ledger
        self._ledger.begin()
        super().start()
        strategy, bars = self.strategy, self.strategy.data.buflen()
        needed, warmup = max(strategy._minperiods), self._ledger.context.warmup
        if needed > bars:
            raise PluginError(
                f"strategy {self._ledger.context.strategy}: its indicators need {needed} bars and "
                f"there are {bars}, so it would never trade; give a longer trading_period, or "
                f"strategy.warmup: {needed - 1} for bars before start_date"
            )
        strategy._minperiods = [max(each, warmup + 1) for each in strategy._minperiods]

    def prenext(self) -> None:
        """Record the bars of the window in which the strategy waits for its indicators."""
        if len(self.strategy.data) > self._ledger.context.warmup:
            self.next()

    def next(self) -> None:
        """Let the ledger close the bar, then record it."""
        data = self.strategy.data
        self._ledger.at_close(last_bar=len(data) == data.buflen())
        super().next()
