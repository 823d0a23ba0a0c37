"""The live feed: history first, joined with the stream without a gap or a bar twice.

It is also where the strategy's thread waits: backtrader asks it for the next bar, and between two
bars it takes the connection's messages to the broker.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import backtrader as bt

from cryptosim_bt.broker.backtrader_time import day_number
from cryptosim_bt.data.market import Candle
from cryptosim_bt.live.bar_sequence import GRACE_S, BarSequence
from cryptosim_bt.live.connection import Candles, Connection, Failed
from cryptosim_bt.live.live_broker import LiveBroker
from cryptosim_bt.live.signal_table import SignalTable

# How long the strategy's thread waits for a message at a time, and a bar for news of the account.
_PULSE_S = 0.05
_NEWS_S = 2.0

logger = logging.getLogger(__name__)


class LiveFeed(bt.feed.DataBase):
    """Closed bars as they come.

    Params:

      - ``connection``: gives candles and messages
      - ``broker``: takes the messages
      - ``table``: the strategy's table, grown before a bar is given out
      - ``history``: bars before the first live one
      - ``timeframe_name``, ``bar_ms``: the bars' length
      - ``max_age_ms``: a bar that closed longer ago is not traded on
      - ``acts_on``: tells of a bar of the history whether signals are acted on
      - ``begins``: called once before the first live bar
      - ``ends``: called at every turn; True ends the run
      - ``done``: called with each live bar once the strategy has acted on it
    """

    params: Any = (
        ("connection", None), ("broker", None), ("table", None), ("history", ()),
        ("timeframe_name", "1h"), ("bar_ms", 3_600_000), ("max_age_ms", 60_000), ("begins", None),
        ("acts_on", None),
        ("ends", None), ("done", None),
    )  # fmt: skip

    def islive(self) -> bool:
        """Tell backtrader that bars come one by one."""
        return True

    def start(self) -> None:
        """Begin with the history."""
        super().start()
        self._connection: Connection = self.p.connection
        self._broker: LiveBroker = self.p.broker
        self._table: SignalTable = self.p.table
        self._ends: Callable[[], bool] = self.p.ends
        self._history = deque(self.p.history)
        last = self.p.history[-1][0]
        self._bars = BarSequence(self.p.bar_ms, last + self.p.bar_ms)
        self._ready: Candle | None = None
        self._acted: Candle | None = None
        self._has_begun = False
        self._news_at = 0
        self._ready_s = self._asked_s = 0.0

    def haslivedata(self) -> bool:
        """Have no bar in a queue that backtrader should not wait for."""
        return False

    def _load(self) -> bool | None:
        if self._history:
            row = self._history.popleft()
            self._broker.is_live = self.p.acts_on(row[0])
            return self._give(row)
        if not self._has_begun:
            self._has_begun = True
            self.p.begins()
        self._broker.turn()  # first of all: what the strategy wants goes out
        if self._acted is not None:
            self.p.done(self._acted)
            self._acted = None
        if self._ends():
            return False
        self._look_for_bar()
        if self._ready is not None and self._has_news():
            return self._give_live(self._ready)
        message = self._connection.next(_PULSE_S)
        if isinstance(message, Candles):
            self._take(message)
        elif message is not None:
            self._broker.handle(message)
            if isinstance(message, Failed) and message.what == "candles":
                self._asked_s = 0.0
        return None

    def _look_for_bar(self) -> None:
        if self._ready is not None:
            return
        self._ready = self._bars.pop()
        if self._ready is None:
            self._ask_for_missing()
        else:
            self._await_news()

    # ------------------------------------------------------------------ bars
    def _take(self, message: Candles) -> None:
        if message.rows:
            closed_ms = message.rows[-1][0] + self.p.bar_ms
            self._connection.account.clock.at_least(closed_ms)
        corrected = self._bars.add(message.rows, message.asked_to_ms)
        for row in corrected:
            logger.warning("the bar of %d was corrected by the venue after it was closed", row[0])
        if message.asked_to_ms is not None:
            self._asked_s = 0.0

    def _ask_for_missing(self) -> None:
        clock = self._connection.account.clock
        if self._asked_s and clock.seconds() - self._asked_s < 10.0 * GRACE_S:
            return  # asked already
        span = self._bars.missing(clock.now_ms(), GRACE_S * 1000.0 * clock.scale)
        if span is not None:
            self._asked_s = clock.seconds()
            self._connection.ask_candles(self.p.timeframe_name, *span)

    def _await_news(self) -> None:
        """Ask what the account did in the bar, before the strategy decides at its close."""
        self._ready_s = self._connection.account.clock.seconds()
        self._news_at = self._broker.look_at_once()

    def _has_news(self) -> bool:
        waited_s = self._connection.account.clock.seconds() - self._ready_s
        return self._broker.snapshots >= self._news_at or waited_s > _NEWS_S

    def _give_live(self, row: Candle) -> bool:
        self._ready = None
        now_ms = self._connection.now_ms
        age_ms = now_ms - row[0] - self.p.bar_ms
        self._broker.is_live = age_ms <= self.p.max_age_ms and self._broker.ending is None
        if age_ms > self.p.max_age_ms:
            logger.warning("the bar of %d came %d ms late: no entry on it", row[0], age_ms)
        self._table.append(row)
        self._acted = row
        return self._give(row)

    def _give(self, row: Candle) -> bool:
        lines = self.lines
        lines.datetime[0] = day_number(float(row[0]))
        lines.open[0], lines.high[0], lines.low[0], lines.close[0], lines.volume[0] = row[1:6]
        lines.openinterest[0] = 0.0
        self._broker.now_ms = row[0]
        self._broker.last_price = self._broker.mark_price = row[4]
        return True
