"""A live run: journal, account, history, and backtrader's loop until it is told to end."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType, SimpleNamespace
from typing import Any

import backtrader as bt

from cryptosim_bt.accounting.book_events import BookEvent, to_record
from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.config.simulation import SimulationSettings
from cryptosim_bt.data.market import Candle
from cryptosim_bt.errors import DataError
from cryptosim_bt.live.connection import Connection
from cryptosim_bt.live.credentials import Credentials, read_credentials
from cryptosim_bt.live.grounds import (
    account_name,
    account_options,
    at_the_venue,
    commission_of,
    journal_path,
)
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.live_broker import LiveBroker
from cryptosim_bt.live.live_feed import LiveFeed
from cryptosim_bt.live.reconciler import LiveParts
from cryptosim_bt.live.safety import Safety, asked_to_stop, kill_switch
from cryptosim_bt.live.signal_table import SignalTable, TableFormulas
from cryptosim_bt.live.venue_account import VenueAccount, adapter_of
from cryptosim_bt.strategy.run_record import record_of
from cryptosim_bt.strategy.signal_strategy import SignalStrategy, StrategyContext

# How long a graceful end may take, in seconds of the machine.
_ENDING_S = 30.0
_HISTORY_TRIES, _HISTORY_PAUSE_S = 10, 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StrategyParts:
    """The strategy of a configuration, and what goes with it."""

    strategy: type[SignalStrategy]
    params: SimpleNamespace
    simulation: SimulationSettings
    sizer: type[bt.Sizer]
    sizer_options: Mapping[str, Any]
    formulas: TableFormulas


MakeParts = Callable[[Settings], StrategyParts]
"""Called with the settings once the market is known."""


class LiveRun:
    """Trades a configuration on an account.

    Parameters
    ----------
    settings
        With ``mode: live``.
    make_parts
        Makes the strategy's parts.
    environment
        Where keys may be.
    """

    def __init__(
        self, settings: Settings, make_parts: MakeParts, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._make_parts = make_parts
        self._credentials = self._keys_from(environment)
        self._ending: str | None = None
        self._deadline_s: float | None = None
        self._broker: LiveBroker
        self._journal: Journal
        self._connection: Connection

    # ------------------------------------------------------------------ trading
    def trade(self, ending: str | None = None) -> None:
        """Trade until told to end: a signal, the kill-switch file, `stop` or `flatten`.

        With ``ending`` (keep, cancel, flatten) it only reconciles, and ends so.
        """
        keys, self._ending = self._settings.keys, ending
        with ExitStack() as stack:
            path = journal_path(self._settings, self._credentials)
            self._journal = journal = Journal(path)
            stack.callback(journal.close)
            kill_switch(path).unlink(missing_ok=True)
            journal.identify(
                {
                    "exchange": keys.exchange.name, "mode": keys.mode,
                    "trade_mode": keys.exchange.trade_mode, "symbol": keys.trading.symbol,
                    "strategy": keys.strategy.name, "account": account_name(self._credentials),
                }
            )  # fmt: skip
            options, credentials = account_options(self._settings), self._credentials
            adapter = adapter_of(options.exchange)
            self._connection = connection = Connection(
                lambda: VenueAccount(options, adapter, credentials),
                self._settings.instrument.currency,
            )
            stack.callback(connection.close)
            market = connection.open()
            settings = at_the_venue(self._settings, market)
            parts = self._make_parts(settings)
            self._prepare()
            self._begin(settings, parts)
            history = self._history(parts)
            cerebro = self._cerebro(settings, parts, history)
            connection.watch(keys.data.timeframe, is_private=credentials is not None)
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, self._told_to_end))
            logger.info("trading %s with journal %s", keys.trading.symbol, path)
            cerebro.run(stdstats=False)
            journal.put(stopped_ms=connection.now_ms)

    def _keys_from(self, environment: Mapping[str, str]) -> Credentials | None:
        return read_credentials(self._settings.directory, environment)

    def _prepare(self) -> None:
        """See that the account is as the configuration wants it."""
        account, leverage = self._connection.account, self._settings.keys.trading.leverage
        self._connection.call(lambda: account.prepare(leverage))

    def _begin(self, settings: Settings, parts: StrategyParts) -> None:
        """Write down, once, what the account held before we came."""
        journal, connection = self._journal, self._connection
        instrument = settings.instrument
        now_ms = connection.now_ms
        if journal.get("run") is None:
            balance = connection.call(lambda: connection.reads.balance(instrument.currency))
            legs = connection.call(connection.reads.positions)
            foreign = {side: 0.0 for side in SIDES}
            for leg in legs:
                foreign[leg.side] += leg.contracts
            with journal.together():
                journal.put(
                    run=secrets.token_hex(4), started_ms=now_ms, fills_from_ms=now_ms,
                    initial_balance=balance.cash, foreign=foreign,
                )  # fmt: skip
                for side in SIDES:
                    if foreign[side]:
                        text = f"{foreign[side]:g} contracts {side} were there before; left alone"
                        journal.raise_alarm(now_ms, f"foreign {side}", text)
        self._describe(settings, parts)

    def _describe(self, settings: Settings, parts: StrategyParts) -> None:
        """Keep what `status` needs to make the book again."""
        rules, instrument = parts.simulation.book_rules, settings.instrument
        self._journal.put(
            mode=settings.keys.mode, symbol=instrument.symbol,
            native=self._connection.market.native, running_ms=self._connection.now_ms,
            instrument={name: getattr(instrument, name) for name in instrument.__slots__},
            linear_pnl=settings.keys.backtest.linear_pnl,
            rules={name: getattr(rules, name) for name in rules.__slots__},
        )  # fmt: skip

    def _history(self, parts: StrategyParts) -> list[Candle]:
        """Return the closed bars from the first run's warm-up on."""
        journal, connection = self._journal, self._connection
        step, timeframe = parts.simulation.timeframe_ms, self._settings.keys.data.timeframe
        end_ms = connection.now_ms // step * step
        first_ms = journal.get("first_bar_ms")
        if first_ms is None:
            first_ms = end_ms - max(1, parts.formulas.warmup) * step
            journal.put(first_bar_ms=first_ms)
        needed = max(1, parts.formulas.warmup)
        for _ in range(_HISTORY_TRIES):
            history = connection.call(
                lambda: connection.reads.candles(timeframe, first_ms, end_ms)
            )
            if len(history) >= needed:
                return history
            time.sleep(_HISTORY_PAUSE_S)  # the last one may not be closed by the venue's clock
        raise DataError(
            f"{self._settings.keys.trading.symbol}: the venue gave {len(history)} bars of "
            f"{timeframe}; the strategy needs {needed} before its first signal"
        )

    def _cerebro(
        self, settings: Settings, parts: StrategyParts, history: list[Candle]
    ) -> bt.Cerebro:
        simulation, live = parts.simulation, settings.keys.live
        broker: Any = self._made_broker(settings, parts)
        self._broker = broker
        table, self._last_open_ms = SignalTable(parts.formulas, history), history[-1][0]
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.broker = broker
        cerebro.adddata(
            LiveFeed(
                connection=self._connection, broker=broker, table=table, history=history,
                timeframe_name=settings.keys.data.timeframe, bar_ms=simulation.timeframe_ms,
                max_age_ms=round(live.max_signal_age_s * 1000), begins=self._begins,
                ends=self._ends, done=self._done, acts_on=self.acts_on,
            ),
            name=simulation.instrument.symbol,
        )  # fmt: skip
        cerebro.addsizer(parts.sizer, instrument=simulation.instrument, **parts.sizer_options)
        balance = self._journal.get("initial_balance")
        context = StrategyContext(
            **{**vars(simulation), "initial_balance": balance},
            warmup=parts.formulas.warmup, zone=settings.zone, signals=table.signals,
            panels=table.panels, size_atr=table.size_atr, stop_atr=table.stop_atr,
            journal=self._write_event,
        )  # fmt: skip
        cerebro.addstrategy(parts.strategy, context=context, **vars(parts.params))
        cerebro.addanalyzer(_Restorer, run=self, timeout_ms=simulation.order_timeout_ms)
        return cerebro

    def _made_broker(self, settings: Settings, parts: StrategyParts) -> bt.BrokerBase:
        live, journal = settings.keys.live, self._journal
        return LiveBroker(
            parts=LiveParts(
                journal, self._connection, Safety(live.limits, journal), live, journal.get("run"),
                parts.simulation.timeframe_ms,
            ),
            commission=commission_of(parts.simulation),
        )  # fmt: skip

    def _write_event(self, event: BookEvent) -> None:
        self._journal.add_event(self._connection.now_ms, to_record(event))

    def acts_on(self, open_ms: int) -> bool:
        """Tell whether signals are acted on at a bar of the history: live never."""
        return False

    def restore(self, strategy: SignalStrategy, timeout_ms: int) -> None:
        """Bring the book back to what the journal has, before the first bar."""
        events = self._broker.restore(strategy)
        self._broker.give_up_old_entries(timeout_ms)
        if events:
            logger.info("%d events of earlier runs read", events)

    def _begins(self) -> None:
        """Go on with the day's loss where an earlier run was: R25 does not begin anew."""
        loss = self._journal.get("loss")
        self._broker.bar_done(self._last_open_ms)
        if loss is not None:
            self._broker.strategy.daily_loss.state = tuple(loss)

    # ------------------------------------------------------------------ the end
    def _told_to_end(self, number: int, _: FrameType | None) -> None:
        self._ending = self._settings.keys.live.on_stop

    def _ends(self) -> bool:
        broker, clock = self._broker, self._connection.account.clock
        asked = asked_to_stop(self._journal.path)
        if asked is not None:
            self._ending = "flatten" if asked == "flatten" else self._settings.keys.live.on_stop
        elif self._ending is None:
            self._ending = broker.wants_end
        if self._ending is None:
            return False
        if broker.ending != self._ending:
            logger.warning("ending: %s", self._ending)
            broker.ending = self._ending
            self._deadline_s = clock.seconds() + _ENDING_S
        assert self._deadline_s is not None
        if clock.seconds() > self._deadline_s:
            logger.error("not ended in %g s: see status for what is left open", _ENDING_S)
            return True
        return broker.has_ended()

    def _done(self, row: Candle) -> None:
        """Write down a bar and what was decided at its close."""
        strategy = self._broker.strategy
        equity = self._broker.equity()
        record = {
            "open": row[1], "high": row[2], "low": row[3], "close": row[4], "volume": row[5],
            "signal": record_of(strategy).last_signal, "equity": equity,
        }  # fmt: skip
        with self._journal.together():
            self._journal.put_bar(row[0], record)
            self._journal.put(
                last_price=row[4], equity=equity, time_ms=self._connection.now_ms,
                loss=strategy.daily_loss.state,
            )  # fmt: skip
        self._broker.bar_done(row[0])


class _Restorer(bt.Analyzer):
    """Has the run restore the strategy once backtrader has made it."""

    params: Any = (("run", None), ("timeout_ms", 0))

    def start(self) -> None:
        self.p.run.restore(self.strategy, self.p.timeout_ms)
