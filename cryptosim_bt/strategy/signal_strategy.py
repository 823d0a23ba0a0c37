"""SignalStrategy, the base of every strategy plugin: signal -> book -> orders.

A plugin says *when*: `generate_signals` over the whole table of bars, or `signal` bar by bar. This
class does the rest the same in a backtest, on paper and live: it checks the limits (R9), sizes the
entry (R7), keeps the strategy's book (R18-R21) and has the broker carry out what the book wants.
It uses a broker only through `TradingBroker`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import backtrader as bt
import pandas as pd

from cryptosim_bt.accounting.book_events import (
    REPEATED,
    Answer,
    BookEvent,
    EntryWanted,
    SignalExitWanted,
    StopGiven,
)
from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.accounting.position_sets import Group
from cryptosim_bt.broker.commission import scheme_of
from cryptosim_bt.broker.futures_trade import FuturesTrade
from cryptosim_bt.broker.trading_broker import TradingBroker
from cryptosim_bt.config.simulation import SimulationSettings
from cryptosim_bt.errors import PluginError, shown
from cryptosim_bt.strategy.daily_loss import DailyLossLimit
from cryptosim_bt.strategy.indicators import IndicatorPanel, panel_indicator
from cryptosim_bt.strategy.run_record import BookRecord

logger = logging.getLogger(__name__)

ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT, NOTHING = 1, -1, 2, -2, 0
SIGNALS = frozenset({ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT, NOTHING})


@dataclass(frozen=True)
class StrategyContext(SimulationSettings):
    """What the framework hands to a strategy; a plugin has nothing to do with it.

    ``signals`` holds one signal per bar (None for a strategy that overrides `signal`), ``panels``
    the indicator columns. ``warmup`` bars come before the first bar that may trade. ``journal`` is
    given every event before the book is.
    """

    warmup: int
    zone: ZoneInfo
    signals: Sequence[int] | None = None
    panels: tuple[IndicatorPanel, ...] = ()
    size_atr: Sequence[float] | None = None
    stop_atr: Sequence[float] | None = None
    journal: Callable[[BookEvent], None] | None = None


class SignalStrategy(bt.Strategy):
    """Base of strategy plugins.

    A plugin gives its parameters in ``params`` and overrides

    - `generate_signals` (vectorised, causal), or `signal` (bar by bar),
    - `warmup`, the bars needed before the first signal,
    - `check_params`, if some values do not go together,
    - ``plot_panels``, column -> panel; a column that is not named, or ``"price"``, is drawn with
      the candles.
    """

    params: Any = (("context", None),)
    plot_panels: ClassVar[Mapping[str, str]] = {}

    # ------------------------------------------------------------------ for plugins
    @classmethod
    def check_params(cls, params: Any) -> str | None:
        """Return a sentence on what is wrong with the parameters, None when all is well."""
        return None

    @classmethod
    def warmup(cls, params: Any) -> int:
        """Return the number of bars needed before the first signal."""
        raise NotImplementedError(f"{cls.__name__} does not say how many bars it needs: warmup()")

    @classmethod
    def generate_signals(cls, bars: pd.DataFrame, params: Any) -> pd.DataFrame:
        """Return a table with a ``signal`` column and indicator columns, one row a bar.

        Parameters
        ----------
        bars
            Warm-up and trading window: open, high, low, close, volume; UTC open times.
        params
            The plugin's parameters as attributes.

        Returns
        -------
        DataFrame
            The index of ``bars``; ``signal`` in 1 enter long, -1 enter short, 2 exit long,
            -2 exit short, 0 nothing (R5). Row i may depend on rows <= i only (R4).
        """
        raise NotImplementedError(f"{cls.__name__} gives no signals")

    def signal(self) -> int:
        """Return the signal of the bar that has just closed (R5).

        Override it to decide bar by bar with backtrader's own indicators.
        """
        assert self._signals is not None  # a plugin without a table overrides this method
        return self._signals[self._row]

    def stop_price(self, group: Group) -> float | None:
        """Return where a group's stop-loss stands, before it is put on the tick; None = no stop.

        Called when a Position or PositionSet is made or grows. Override it for a stop of your
        own; ``isinstance(group, PositionSet)`` distinguishes them. By default it is the
        configuration's: a share of the average entry, or ATRs from it.
        """
        rules, atr = self.book.rules, self._context.stop_atr
        direction = -1.0 if group.side == "long" else 1.0
        if rules.stop_loss_pct is None:
            return None
        if atr is not None:
            return group.average + direction * self._context.stop_atr_multiple * atr[self._row]
        return group.average * (1.0 + direction * rules.stop_loss_pct)

    def size_atr(self) -> float:
        """Return the average true range that sizes an entry of this bar (`trading.sizing`)."""
        assert self._context.size_atr is not None  # asked by the sizer that needs it
        return self._context.size_atr[self._row]

    # ------------------------------------------------------------------ backtrader's life
    def __init__(self) -> None:
        context: StrategyContext = self.p.context
        cerebro = self.cerebro
        if not self.data.islive() and (cerebro.p.exactbars or not cerebro.p.preload):
            raise PluginError(
                f"strategy {type(self).__name__}: exactbars and preload=False are not taken on "
                "historical bars; leave both out"
            )
        self._context = context
        self.daily_loss = DailyLossLimit(
            context.daily_loss_limit_pct, context.zone, context.initial_balance
        )
        self._signals = context.signals
        # The book asks the data's own commission scheme, as the exchange does (R21).
        money = scheme_of(self.broker.getcommissioninfo(self.data))
        own_stops = type(self).stop_price is not SignalStrategy.stop_price
        self.book = PositionBook(
            money,
            context.instrument,
            replace(context.book_rules, asks_stops=own_stops or context.stop_atr is not None),
            context.initial_balance,
        )
        self._record = BookRecord(self.book)
        self._row = context.warmup - 1  # of the bar that next() stands on
        self._bar_ms = 0
        self._panels = [panel_indicator(panel)(self.data) for panel in context.panels]
        self._trading: TradingBroker = self.broker
        self._trading.follow(self)

    _minperiods: list[int]

    def _periodset(self) -> None:
        # next() begins at the bar `start`, whatever the indicators need (R3).
        super()._periodset()
        needed = max(self._minperiods)
        first = self._context.warmup + 1
        if needed > first:
            raise PluginError(
                f"strategy {type(self).__name__}: warmup() gives {first - 1} bars, but its "
                f"indicators need {needed - 1}; let warmup() return at least {needed - 1}"
            )
        self._minperiods = [first for _ in self._minperiods]

    def next(self) -> None:
        """Act at the close of a bar (R1): signal, then entry or exit."""
        loss, broker = self.daily_loss, self._trading
        self._row += 1
        self._bar_ms = broker.now_ms
        equity = broker.equity()
        loss.check(self._bar_ms, equity)
        signal = self.signal()
        if signal.__class__ is not int or signal not in SIGNALS:
            signal = self._checked(signal)
        self._record.last_signal = signal
        if signal and broker.may_trade:
            self._act(signal, broker.last_price)
            equity = broker.equity()
        loss.settle(equity)

    def clear(self) -> None:
        """Forget the notifications of a bar; backtrader would keep every order forever."""
        self._orderspending: list[bt.Order] = []
        self._tradespending: list[bt.Trade] = []

    def _addnotification(self, order: bt.Order, quicknotify: bool = False) -> None:
        # A Trade of ours in the place where backtrader would make its own, which averages
        # inverse contracts arithmetically.
        trades = self._trades[order.data][order.tradeid]
        if not trades:
            trades.append(FuturesTrade(data=order.data, tradeid=order.tradeid))
        super()._addnotification(order, quicknotify=quicknotify)

    # ------------------------------------------------------------------ net-position calls
    def close(self, *_: Any, **__: Any) -> Any:
        """Refuse: orders are made of signals, for long and short are held at once."""
        code = sys._getframe(1)
        raise PluginError(
            f"strategy {type(self).__name__}: it gives orders by itself; let signal() return 1 or "
            "-1 (enter long or short), 2 or -2 (exit long or short), or write a bt.Strategy; in "
            f"{code.f_code.co_name} ({code.f_code.co_filename}:{code.f_lineno})"
        )

    buy = sell = buy_bracket = sell_bracket = close
    order_target_size = order_target_value = order_target_percent = close

    # ------------------------------------------------------------------ from signal to order
    def _checked(self, signal: Any) -> int:
        """Return a signal as a whole number of R5, such as one of numpy's."""
        with contextlib.suppress(TypeError, ValueError):
            if not isinstance(signal, str) and signal in SIGNALS:
                return int(signal)
        code = type(self).signal.__code__
        raise PluginError(
            f"strategy {type(self).__name__}: signal() returned {shown(signal)}; allowed: 1, -1, "
            f"2, -2, 0 (no return at all is None); in {code.co_filename}:{code.co_firstlineno}"
        )

    def _act(self, signal: int, close: float) -> None:
        if signal in (ENTER_LONG, ENTER_SHORT):
            self._enter("long" if signal == ENTER_LONG else "short", close)
        else:
            self._exit("long" if signal == EXIT_LONG else "short", close)

    def _enter(self, side: Side, close: float) -> None:
        instrument = self._context.instrument
        reason = self._entry_refusal(side)
        limit = contracts = 0.0
        if reason is None:
            limit = instrument.on_tick(close, up=side == "short")  # R8: away from the market
            contracts = self.getsizing(self.data, isbuy=side == "long")
            # A price below one tick has no limit to stand on: nothing can be ordered there.
            if limit <= 0.0 or contracts <= 0.0 or contracts < instrument.min_contracts:
                reason = "min_size"
            elif self._trading.initial_margin(contracts, limit) > self._trading.available_balance():
                reason = "margin"
        if reason is not None:
            self._record.refused[reason] += 1
            logger.warning(
                "entry %s at %s refused: %s", side, close, reason, extra={"once": reason}
            )
            return
        self.on_event(EntryWanted(side, contracts, limit, self._expires_ms()))

    def _entry_refusal(self, side: Side) -> str | None:
        """Return the first reason of R9 that needs neither size nor money, None if none holds."""
        limit = self._context.max_concurrent_sets
        if self.book.sets_full(side):
            return "sets_full"
        if limit is not None and sum(self.book.count_sets(each) for each in SIDES) >= limit:
            return "max_concurrent"
        if self.daily_loss.hit:
            return "daily_loss"
        return None

    def _exit(self, side: Side, close: float) -> None:
        # R8, R11: closing a long sells, so the limit is rounded up; closing a short buys.
        limit = self._context.instrument.on_tick(close, up=side == "long")
        self.on_event(SignalExitWanted(side, limit, self._expires_ms()))

    def _expires_ms(self) -> int:
        # R10: placed at the close of the signal's bar.
        return self._bar_ms + self._context.timeframe_ms + self._context.order_timeout_ms

    # ------------------------------------------------------------------ Follower
    def on_event(self, event: BookEvent) -> None:
        """Take what happened into the book and the record; have the answer carried out."""
        answer = self._applied(event)
        commands = answer.commands
        group = answer.asks_stop
        if group is not None:
            given = StopGiven(group.side, group.tradeid, self.stop_price(group))
            commands = [*commands, *self._applied(given).commands]
        if commands:
            self._record.sent(commands, self._trading.now_ms)
            self._trading.carry_out(commands)

    def replay(self, event: BookEvent) -> Answer:
        """Take in again what happened in an earlier run; nothing goes out."""
        answer = self.book.apply(event)
        if answer is not REPEATED:
            self._record.sent(answer.commands, self._trading.now_ms)
            self._record.note(event, answer, self.book.balance)
        return answer

    def _applied(self, event: BookEvent) -> Answer:
        if self._context.journal is not None:
            self._context.journal(event)
        answer = self.book.apply(event)
        if answer is not REPEATED:
            self._record.note(event, answer, self.book.balance)
        return answer
