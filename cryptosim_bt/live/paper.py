"""A run on paper: live bars, the simulated exchange, the same journal.

Nothing is asked of an account. The exchange's state is not stored: after a restart the bars that
the journal has are gone through again, which gives the same orders and fills, and then those that
were missed; on the latter nothing is signalled, but what works may fill.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cryptosim_bt.accounting.book_events import BookEvent, to_record
from cryptosim_bt.accounting.orders import Execution
from cryptosim_bt.broker.futures_broker import FuturesBroker
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.data.funding import constant_funding
from cryptosim_bt.data.market import Candle
from cryptosim_bt.errors import BooksDisagree
from cryptosim_bt.live.connection import Failed, Message
from cryptosim_bt.live.credentials import Credentials
from cryptosim_bt.live.grounds import commission_of
from cryptosim_bt.live.reconcile import Place, Stage, Working, client_id
from cryptosim_bt.live.run import LiveRun, StrategyParts
from cryptosim_bt.strategy.signal_strategy import SignalStrategy

# Funding at a constant rate is known so far ahead; a run is begun anew now and then.
_FUNDING_DAYS = 3_650


class PaperBroker(FuturesBroker):
    """The simulated exchange at live bars; the feed asks it for nothing else than `LiveBroker`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_live = False
        self.is_asking = False
        self.wants_snapshot = False
        self.snapshots = 0
        self.ending: str | None = None
        self.wants_end: str | None = None
        self.strategy: Any = None

    @property
    def may_trade(self) -> bool:  # type: ignore[override]
        """Whether signals are acted on: not on bars that were missed."""
        return self.is_live

    def turn(self) -> None:
        """Do nothing between bars: the exchange lives through closed bars."""

    def look_at_once(self) -> int:
        """Know what there is."""
        return 0

    def handle(self, message: Message) -> None:
        """Take in what is no bar: only what failed for good ends the run."""
        if isinstance(message, Failed) and message.is_final:
            raise message.error

    def bar_done(self, open_ms: int) -> None:
        """Note nothing."""

    def has_ended(self) -> bool:
        """End at once."""
        return True


class PaperRun(LiveRun):
    """Trades a configuration with ``mode: paper``."""

    def _keys_from(self, environment: Mapping[str, str]) -> Credentials | None:
        return None

    def _prepare(self) -> None:
        """Ask nothing of an account."""

    def _begin(self, settings: Settings, parts: StrategyParts) -> None:
        journal = self._journal
        if journal.get("run") is None:
            with journal.together():
                journal.put(
                    run=secrets.token_hex(4), started_ms=self._connection.now_ms,
                    initial_balance=parts.simulation.initial_balance,
                )  # fmt: skip
        self._describe(settings, parts)
        self._stored = journal.events()
        self._is_replaying = True
        self._acted = {row["time_ms"]: row.get("acted", False) for row in journal.bars()}
        self._fills = 0

    def _history(self, parts: StrategyParts) -> list[Candle]:
        """Return the journal's bars, and the venue's after them."""
        kept = [
            (row["time_ms"], *(row[name] for name in ("open", "high", "low", "close", "volume")))
            for row in self._journal.bars()
        ]
        if not kept:
            history = super()._history(parts)
            with self._journal.together():
                for row in history:
                    self._journal.put_bar(row[0], _record(row, acted=False))
            return history
        step, connection = parts.simulation.timeframe_ms, self._connection
        timeframe = self._settings.keys.data.timeframe
        start_ms, end_ms = kept[-1][0] + step, connection.now_ms // step * step
        missed = connection.call(
            lambda: connection.reads.candles(timeframe, start_ms, end_ms)
        )
        with self._journal.together():
            for row in missed:
                self._journal.put_bar(row[0], _record(row, acted=False))
        return [*kept, *missed]

    def _made_broker(self, settings: Settings, parts: StrategyParts) -> Any:
        simulation, funding = parts.simulation, settings.keys.backtest.funding
        first = pd.Timestamp(self._journal.get("started_ms"), unit="ms", tz="UTC")
        rates = constant_funding(
            funding.rate or 0.0, funding.times, first, first + pd.Timedelta(days=_FUNDING_DAYS)
        )
        return PaperBroker(
            cash=simulation.initial_balance, instrument=simulation.instrument,
            fill_rules=simulation.fill_rules, timeframe_ms=simulation.timeframe_ms,
            margin_mode=simulation.margin_mode, venue_rules=simulation.venue_rules, funding=rates,
            fill_at_signal_close=simulation.fill_at_signal_close,
            commission=commission_of(simulation),
        )  # fmt: skip

    def acts_on(self, open_ms: int) -> bool:
        """Tell whether a bar of the history was acted on when it was live."""
        return bool(self._acted.get(open_ms))

    def restore(self, strategy: SignalStrategy, timeout_ms: int) -> None:
        """Restore nothing: the bars are gone through again."""
        self._broker.strategy = strategy

    def _begins(self) -> None:
        self._is_replaying = False
        if next(self._stored, None) is not None:
            raise BooksDisagree(
                f"{self._journal.path}: going through its bars again gives fewer events than it "
                "has; begin a new journal (live.journal) and keep this one to look into"
            )

    def _write_event(self, event: BookEvent) -> None:
        record = to_record(event)
        fill_id = None
        if isinstance(event, Execution):
            self._fills += 1
            fill_id = f"paper{self._fills}"
        if self._is_replaying:
            stored = next(self._stored, None)
            if stored is not None:
                if stored != record:
                    raise BooksDisagree(
                        f"{self._journal.path}: going through its bars again gives {record}, but "
                        f"it has {stored}; begin a new journal (live.journal)"
                    )
                return
        with self._journal.together():
            self._journal.add_event(self._broker.now_ms, record)
            if fill_id is not None:
                self._journal.add_fill(fill_id, self._broker.now_ms, None, record)

    def _done(self, row: Candle) -> None:
        with self._journal.together():
            super()._done(row)
            record = _record(row, acted=self._broker.is_live)
            self._journal.put_bar(row[0], record)
            self._keep_orders()

    def _keep_orders(self) -> None:
        """Keep the working orders as `status` shows them."""
        run = self._journal.get("run")
        gone = {record["client_id"]: record for record in self._journal.orders()}
        broker: Any = self._broker
        for order in broker.get_orders_open():
            info, size = order.info, abs(order.created.size)
            opens = info.role.value == "entry"
            name = client_id(run, info.number, info.role, info.side, 0)
            place = Place(opens, info.side, info.number if opens else order.tradeid)
            there = Working(
                name, place, info.number, info.role, size, order.created.price,
                size - abs(order.executed.remsize), stage=Stage.WORKING, asked="",
            )  # fmt: skip
            self._journal.put_order(name, there.record(), is_over=False)
            gone.pop(name, None)
        for name, record in gone.items():
            self._journal.put_order(name, record, is_over=True)


def _record(row: Candle, *, acted: bool) -> dict[str, Any]:
    return {
        "open": row[1], "high": row[2], "low": row[3], "close": row[4], "volume": row[5],
        "acted": acted,
    }  # fmt: skip
