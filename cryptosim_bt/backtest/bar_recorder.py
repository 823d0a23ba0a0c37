"""The framework's own analyzer: one row of figures per bar, after everything in the bar."""

from __future__ import annotations

from array import array

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.errors import PluginError
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.results.result import LAST_BAR_COLUMNS
from cryptosim_bt.strategy.run_record import record_of

_BAR = ("signal", "mark", "unrealized_pnl", "margin")
_HELD = (
    "balance", "long_contracts", "long_average", "short_contracts", "short_average", "long_sets",
    "short_sets", "liquidation_below", "liquidation_above",
)  # fmt: skip


class BarRecorder(ReportAnalyzer):
    """Record balance, equity, margin and what is held at every bar of the window.

    A bar's row is what stands after the strategy acted at its close: an entry placed there counts
    in `margin`, a fill there in `balance`.
    """

    def start(self) -> None:
        """Begin with an empty record."""
        self._bars = array("d")  # what every bar changes, `_BAR` each
        self._holdings = array("d")  # what fills, funding and new sets change, `_HELD` each
        self._held_since = array("q")  # the bar at which each of those began
        self._broker, self._record = self.strategy.broker, record_of(self.strategy)
        self._book = self._record.book
        self._account, self._exchange = self._broker.account, self._broker.exchange
        self._version = self._sets = -1

    def next(self) -> None:
        """Record a bar; before the last one is recorded, what is open may be closed (R24)."""
        self._close_at_end()
        self._record_bar()

    def _close_at_end(self) -> None:
        data = self.strategy.data
        if self._broker.p.close_at_end and len(data) == data.buflen():
            self._exchange.close_everything(Role.CLOSE_AT_END, self._broker.last_price)

    def _record_bar(self) -> None:
        account, mark = self._account, self._broker.mark_price
        if account.version != self._version or len(self._book.sets) != self._sets:
            self._note_holdings(mark)
        margin = account.position_margin(mark) + self._exchange.entry_margin()
        self._bars.extend(
            (self._record.last_signal, mark, account.unrealized_pnl(mark), margin)
        )

    def _note_holdings(self, mark: float) -> None:
        """Take down what only fills, funding and new sets change.

        A set may come from an entry that expires in part: nothing moves in the account then.
        """
        account, book = self._account, self._book
        long, short = account.legs["long"], account.legs["short"]
        self._version, self._sets = account.version, len(book.sets)
        self._held_since.append(len(self._bars) // len(_BAR))
        self._holdings.extend((
            account.balance,
            long.contracts,
            long.average,
            short.contracts,
            short.average,
            book.count_sets("long"),
            book.count_sets("short"),
            *account.liquidation_prices(mark),
        ))  # fmt: skip

    def table(self) -> pd.DataFrame:
        """Return the record as a table, one row a bar of the window."""
        bars = np.array(self._bars).reshape(-1, len(_BAR))
        holdings = np.array(self._holdings).reshape(-1, len(_HELD))
        stood = np.diff([*self._held_since, len(bars)])
        columns = {
            **dict(zip(_BAR, bars.T, strict=True)),
            **dict(zip(_HELD, holdings.repeat(stood, axis=0).T, strict=True)),
        }
        columns["equity"] = columns["balance"] + columns["unrealized_pnl"]
        table = pd.DataFrame(columns, columns=list(LAST_BAR_COLUMNS))
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
        """Let the ledger compare the money, then record the bar."""
        self._close_at_end()
        data = self.strategy.data
        self._ledger.at_close(last_bar=len(data) == data.buflen())
        self._record_bar()
