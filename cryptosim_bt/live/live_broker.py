"""LiveBroker: a venue behind backtrader's broker interface and a strategy's `TradingBroker`.

Runs in the strategy's thread, which hands it every message of the connection. What the venue
reports becomes events of the book; each is in the journal before the book has it. What the book
wants is asked of the venue by `OrderKeeper` at the next `turn`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

import backtrader as bt

from cryptosim_bt.accounting.book_events import BookEvent, OrderRejected, from_record
from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.accounting.orders import Command, PlaceOrder, Role, UnknownFill
from cryptosim_bt.broker.commission import scheme_of
from cryptosim_bt.broker.trading_broker import Follower
from cryptosim_bt.errors import InputError
from cryptosim_bt.live.adapter import OrderRequest
from cryptosim_bt.live.connection import (
    Failed,
    Hint,
    Message,
    OrderAnswered,
    Snapshot,
    SnapshotQuestion,
)
from cryptosim_bt.live.order_keeper import OrderKeeper
from cryptosim_bt.live.reconcile import (
    Place,
    Wanted,
    Wants,
    client_id,
    is_ours,
    same,
)
from cryptosim_bt.live.reconciler import LiveParts, Reconciler

# OKX gives fills 10 times in 2 s at most.
_SNAPSHOT_PAUSE_S = 0.25

logger = logging.getLogger(__name__)


class LiveBroker(bt.BrokerBase):
    """The broker of a strategy with a book, on a real account.

    Params:

      - ``parts``: `LiveParts`
      - ``commission``: the market's `FuturesCommission`
    """

    ledger = None  # plain strategies, which have one, are not traded

    params: Any = (("parts", None),)

    def __init__(self) -> None:
        super().__init__()
        parts: LiveParts = self.p.parts
        self._journal, self._connection = parts.journal, parts.connection
        self._safety, self._keys, self._run = parts.safety, parts.keys, parts.run
        self._bar_ms, self._last_close_ms = parts.bar_ms, 0
        self.startingcash = self.cash = 0.0
        self.now_ms = 0
        self.last_price = self.mark_price = math.nan
        self.ending: str | None = None  # keep, cancel or flatten, once trading ends
        self.is_live = False  # set by the feed: whether the bar is one to act on
        self.wants = Wants()
        self.strategy: Any = None
        self.keeper: OrderKeeper
        self._follower: Follower
        self.is_asking = self.wants_snapshot = False
        self._is_urgent = False
        self._full_due_ms = 0
        self._asked_s = 0.0
        self._rejected: list[OrderRejected] = []
        self.snapshots = 0
        self._last_look: int | None = None

    # ------------------------------------------------------------------ TradingBroker
    def follow(self, follower: Follower) -> None:
        """Report everything to a strategy from now on."""
        self._follower = follower
        self.keeper = OrderKeeper(
            self._journal, follower.book, self.wants, self._connection, self._run, self.tell,
            self._safety.alarm,
        )  # fmt: skip
        self._scheme = scheme_of(self.getcommissioninfo(self.cerebro.datas[0]))
        self._reconciler = Reconciler(
            self.p.parts, self.keeper, follower.book, self._scheme, self.tell
        )

    @property
    def wants_end(self) -> str | None:
        """An end that the account's state asks for, None for none."""
        return self._reconciler.wants_end

    @property
    def may_trade(self) -> bool:
        """Whether signals are acted on: live, in time, and no alarm that holds entries up."""
        return self.is_live and self._safety.may_enter

    def equity(self) -> float:
        """Return the book's balance plus unrealised PnL at the last price."""
        book = self._follower.book
        return book.balance if math.isnan(self.mark_price) else book.equity(self.mark_price)

    def available_balance(self) -> float:
        """Return the equity without the margin of legs and of working entries (R20)."""
        book, price = self._follower.book, self.mark_price
        used = 0.0
        for side in SIDES:
            used += self.initial_margin(book.contracts(side), price)
        for entry in self.wants.entries.values():
            used += self.initial_margin(entry.contracts, entry.price)
        return self.equity() - used

    def initial_margin(self, contracts: float, price: float) -> float:
        """Return the initial margin that an order needs (R20)."""
        return self._scheme.initial_margin(contracts, price) if contracts else 0.0

    def carry_out(self, commands: Sequence[Command]) -> None:
        """Note what the book wants; the next turn asks the venue for all of it together."""
        self.wants.sent(commands)
        for command in commands:
            if isinstance(command, UnknownFill):
                fill = command.execution
                self._safety.alarm(
                    f"unknown fill {fill.fill_id}",
                    f"{fill.contracts:g} contracts of fill {fill.fill_id} cannot be booked: "
                    f"{command.reason}",
                )
            elif isinstance(command, PlaceOrder) and command.role is Role.ENTRY:
                total = self._follower.book.contracts(command.side) + command.contracts
                if self._safety.too_large(total):
                    reason = "the leg would be larger than live.limits.max_contracts"
                    self._rejected.append(OrderRejected(command.number, reason, self.time_ms))

    # ------------------------------------------------------------------ backtrader's calls
    def getcash(self) -> float:
        """Return the available balance."""
        return self.available_balance()

    def getvalue(self, datas: Any = None) -> float:
        """Return the equity."""
        return self.equity()

    def getposition(self, data: Any) -> bt.Position:
        """Return both legs netted."""
        book = self._follower.book
        return bt.Position(book.contracts("long") - book.contracts("short"), 0.0)

    def buy(self, *_: Any, **__: Any) -> Any:
        """Refuse: only the book of a `SignalStrategy` sends orders."""
        raise InputError("mode: live takes strategies with signals (SignalStrategy) only")

    sell = cancel = buy

    def get_notification(self) -> None:
        """Have nothing for backtrader's own bookkeeping: the book has it all."""

    def next(self) -> None:
        """Do nothing at backtrader's clock: `turn` does it at the venue's."""

    # ------------------------------------------------------------------ events
    @property
    def time_ms(self) -> int:
        """The venue's time."""
        return self._connection.now_ms

    def tell(self, event: BookEvent) -> None:
        """Give an event to the book, through the journal."""
        with self._journal.together():
            self.wants.happened(event)
            self._follower.on_event(event)

    def restore(self, strategy: Any) -> int:
        """Make the book again from the journal's events; return how many there were."""
        self.strategy, count = strategy, 0
        self._safety.now_ms = self.time_ms
        self._safety.calm("refusals")  # whoever starts anew has looked into them
        for record in self._journal.events():
            event = from_record(record)
            self.wants.note(event, strategy.replay(event))
            self._reconciler.averages.replay(event)
            count += 1
        self.keeper.restore()
        return count

    def give_up_old_entries(self, timeout_ms: int) -> None:
        """End entries that an earlier run wanted and never asked for, if they are too old."""
        sent = {each.number for each in self.keeper.working.values()}
        for number, order in list(self.wants.entries.items()):
            placed_ms = (order.expires_ms or 0) - timeout_ms
            if number not in sent and self.time_ms - placed_ms > self._keys.max_signal_age_s * 1e3:
                self.tell(OrderRejected(number, "too old after a restart", self.time_ms))

    def bar_done(self, open_ms: int) -> None:
        """Note the last bar that there was: data are stale from some time after it."""
        self._last_close_ms = open_ms + self._bar_ms

    # ------------------------------------------------------------------ turns
    def handle(self, message: Message) -> None:
        """Take in a message of the connection."""
        self._safety.now_ms = now_ms = self.time_ms
        if isinstance(message, OrderAnswered):
            self.keeper.answered(message, now_ms)
            self._safety.order_placed()
            self.wants_snapshot = True
        elif isinstance(message, Snapshot):
            self.is_asking = False
            self._reconciler.take_in(message, self.mark_price)
            self.snapshots += 1
            if self._reconciler.looks_again:
                self._full_due_ms = now_ms
        elif isinstance(message, Hint):
            self.wants_snapshot = True
            if message.is_broken:
                self._full_due_ms = now_ms
        elif isinstance(message, Failed):
            self._failed(message)

    def _failed(self, message: Failed) -> None:
        if message.is_final:
            self._safety.alarm(f"failed {message.what}", str(message.error), holds=True)
            raise message.error
        if self.keeper.find_out(message.what.removeprefix("order ")):
            return
        self.is_asking = self.is_asking and message.what != "a snapshot"
        self._full_due_ms = self._safety.now_ms
        self._safety.alarm(f"failed {message.what}", str(message.error), holds=True)

    def turn(self) -> None:
        """Ask the venue for what is needed now: orders of the book, and what there is."""
        self._safety.now_ms = now_ms = self.time_ms
        for event in self._rejected:
            self.tell(event)
        self._rejected.clear()
        self.keeper.act(now_ms, self._to_hold(now_ms))
        self._safety.check_orders(self.keeper.refusals)
        self._safety.check_data(self._last_close_ms, self._bar_ms)
        seconds = self._connection.account.clock.seconds()
        is_full = now_ms >= self._full_due_ms
        late = any(each.final is not None for each in self.keeper.working.values())
        paused = seconds - self._asked_s < _SNAPSHOT_PAUSE_S
        if self.is_asking:
            return
        if self._is_urgent:
            self.ask_snapshot("fills")
        elif not paused and (is_full or self.wants_snapshot or late):
            self.ask_snapshot("all" if is_full else "orders")

    def look_at_once(self) -> int:
        """Have fills asked for without a pause; return the count of snapshots that has them."""
        self._is_urgent = True
        if self.is_asking:
            return self.snapshots + 2
        self.ask_snapshot("fills")
        return self.snapshots + 1

    def ask_snapshot(self, what: Literal["fills", "orders", "all"]) -> None:
        """Have the connection look what there is."""
        self.is_asking, self.wants_snapshot = True, what == "fills"
        self._is_urgent = False
        self._asked_s = self._connection.account.clock.seconds()
        if what == "all":
            self._full_due_ms = self.time_ms + round(self._keys.reconcile_every_s * 1000)
        run, watched = self._run, {} if what == "fills" else self.keeper.watched()
        self._connection.ask_snapshot(
            SnapshotQuestion(
                watched, self._reconciler.since_ms, what, lambda name: is_ours(name, run)
            )
        )

    # ------------------------------------------------------------------ the end
    def _to_hold(self, now_ms: int) -> dict[Place, Wanted]:
        """Return what the venue should hold: what the book wants, less what an end leaves out."""
        wanted = self.keeper.wanted(now_ms)
        if self.ending is None:
            return wanted
        keeps = self.ending == "keep"
        return {place: want for place, want in wanted.items() if keeps and not place.opens}

    def has_ended(self) -> bool:
        """Tell whether the end that was asked for is reached, by a last look; go on if not."""
        if not self._is_at_end():
            self._last_look = None
        elif self._last_look is None:
            self._last_look = self.snapshots + (2 if self.is_asking else 1)
            self.wants_snapshot = True
        return self._last_look is not None and self.snapshots >= self._last_look

    def _is_at_end(self) -> bool:
        book, working = self._follower.book, self.keeper.working.values()
        if not self.keeper.is_settled() or any(each.final is not None for each in working):
            return False
        if self.ending == "keep":
            there = {each.place for each in working}
            bare = self._to_hold(self.time_ms).keys() - there
            return not bare and not any(place.opens for place in there)
        held = [side for side in SIDES if not same(book.contracts(side), 0.0)]
        if working or self.ending == "cancel" or not held:
            return not working
        for side in held:
            number = self.time_ms  # a number of its own, such as no order of the book has
            name = client_id(self._run, number, Role.EXIT, side, 0)
            request = OrderRequest(name, side, False, book.contracts(side), None)
            self.keeper.close_at_market(request, number)
        return False
