"""Takes in what there is at the venue: books what is new, compares what should be the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from cryptosim_bt.accounting.book_events import BookEvent
from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.accounting.position_sets import PositionMath
from cryptosim_bt.config.keys import LiveSection
from cryptosim_bt.live.adapter import VenueBill, VenueFill
from cryptosim_bt.live.booking import (
    TOLERANCE,
    LegAverages,
    funding_event,
    in_order,
    money_difference,
    others_fill,
)
from cryptosim_bt.live.connection import Connection, Snapshot
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.order_keeper import OrderKeeper
from cryptosim_bt.live.reconcile import Place, is_ours, leg_differences, unprotected
from cryptosim_bt.live.safety import Safety

# Fills are asked for from so long before the last one that was booked: history may be late.
_OVERLAP_MS = 600_000
# So many snapshots in a row must differ: one may be taken between a fill and its record.
_DIFFERING = 3


@dataclass(frozen=True, slots=True)
class LiveParts:
    """What a live broker works with."""

    journal: Journal
    connection: Connection
    safety: Safety
    keys: LiveSection
    run: str
    bar_ms: int


class Reconciler:
    """Brings the book and the venue together.

    Parameters
    ----------
    parts
        Of the run.
    keeper, book, money
        Orders, book and arithmetic of the strategy.
    tell
        Takes an event to the book.
    """

    def __init__(
        self,
        parts: LiveParts,
        keeper: OrderKeeper,
        book: PositionBook,
        money: PositionMath,
        tell: Callable[[BookEvent], None],
    ) -> None:
        self._journal, self._safety, self._keys = parts.journal, parts.safety, parts.keys
        self._run, self._keeper, self._book = parts.run, keeper, book
        self._money, self._tell = money, tell
        self._foreign: dict[Side, float] = dict.fromkeys(SIDES, 0.0) | (
            self._journal.get("foreign") or {}
        )
        self.since_ms: int = self._journal.get("fills_from_ms", 0)
        self.averages = LegAverages(money)
        self.looks_again = False  # what differs may be on its way
        self.wants_end: str | None = None  # an end that it asks for itself
        self._differing = 0
        self._bare_since: dict[Place, int] = {}

    def take_in(self, snapshot: Snapshot, price: float) -> None:
        """Book what is new and compare the rest; ``price`` is what equities are compared at."""
        self.looks_again = False
        now_ms = self._safety.now_ms
        self._keeper.seen(snapshot, now_ms)
        known = {row["trade_id"] for row in self._journal.fills(self.since_ms - 1)}
        for each in in_order(snapshot.fills, snapshot.bills or (), lambda name: name not in known):
            with self._journal.together():
                if isinstance(each, VenueBill):
                    self._book_funding(each)
                elif not self._keeper.is_being_amended(each.client_id):
                    self._book_fill(each, now_ms)
        if snapshot.fills:
            last = snapshot.fills[-1].time_ms
            first = self._journal.get("started_ms", 0)
            self.since_ms = max(self.since_ms, first, last - _OVERLAP_MS)
            self._journal.put(fills_from_ms=self.since_ms)
        others = [each for each in snapshot.others if not is_ours(each.client_id, self._run)]
        if snapshot.legs is not None and snapshot.balance is not None:
            self._compare(snapshot, len(others), price)

    def _book_fill(self, fill: VenueFill, now_ms: int) -> None:
        there = self._keeper.known(fill)
        client = None if there is None else there.client_id
        record = {name: getattr(fill, name) for name in fill.__slots__}
        if not self._journal.add_fill(fill.trade_id, fill.time_ms, client, record):
            return
        expected = self.averages.note(
            fill.side, fill.contracts, fill.price, opens=fill.opens
        )
        if there is not None:
            self._keeper.book(there, fill, now_ms)
        else:
            event = others_fill(fill, self._foreign)
            self._journal.put(foreign=self._foreign)
            self._safety.alarm(
                f"foreign fill {fill.trade_id}",
                f"{fill.contracts:g} contracts of the {fill.side} leg were "
                f"{'opened' if fill.opens else 'closed'} by "
                f"{fill.by_itself or 'somebody else'} at {fill.price:g}",
            )
            if event is not None:
                self._tell(event)
        if not any(self._foreign.values()) and abs(expected - fill.pnl) > TOLERANCE:
            self._safety.alarm(
                f"pnl {fill.trade_id}",
                f"fill {fill.trade_id}: the venue booked a PnL of {fill.pnl:.10f}, by our "
                f"arithmetic it is {expected:.10f}",
            )

    def _book_funding(self, bill: VenueBill) -> None:
        record = {name: getattr(bill, name) for name in bill.__slots__}
        if self._journal.add_bill(bill.bill_id, bill.time_ms, record):
            held = {side: self._book.contracts(side) for side in SIDES}
            self._tell(funding_event(bill, held, self._foreign))

    def _compare(self, snapshot: Snapshot, foreign_orders: int, price: float) -> None:
        """Compare what is there with the book; say exactly what differs."""
        assert snapshot.legs is not None
        assert snapshot.balance is not None
        safety, book, balance = self._safety, self._book, snapshot.balance
        differing = leg_differences(book, self._foreign, snapshot.legs)
        off = 0.0
        if not differing and not any(self._foreign.values()) and price > 0.0:
            off = money_difference(book, self._money, balance, snapshot.legs, price)
        if abs(off) <= TOLERANCE:
            safety.calm("money")
        self._differing = self._differing + 1 if differing or abs(off) > TOLERANCE else 0
        if 0 < self._differing < _DIFFERING:
            self.looks_again = True  # perhaps a fill on its way: look again
        else:
            safety.check("legs", "; ".join(differing) or None)
            if abs(off) > TOLERANCE:
                safety.alarm("money", f"the venue has {off:+.10f} more than the book")
        safety.check_margin(balance.maintenance_margin, balance.equity)
        safety.check_clock(snapshot.clock_off_ms)
        for what in ("a snapshot", "candles", "orders"):
            safety.calm(f"failed {what}")
        self._check_exits()
        self._journal.put(
            reconciled_ms=snapshot.asked_ms, venue_balance=balance.cash,
            foreign_orders=foreign_orders, last_price=None if math.isnan(price) else price,
        )  # fmt: skip

    def _check_exits(self) -> None:
        """Tell of groups that have been without their exit for too long."""
        now_ms, limit_ms = self._safety.now_ms, self._keys.limits.unprotected_s * 1000
        bare = {
            each.place: each
            for each in unprotected(self._keeper.wanted(now_ms), self._keeper.working.values())
        }
        self._bare_since = {place: self._bare_since.get(place, now_ms) for place in bare}
        late = [place for place, since in self._bare_since.items() if now_ms - since > limit_ms]
        text = "; ".join(f"{bare[place].contracts:g} contracts {place.side}" for place in late)
        self._safety.check("unprotected", f"without an exit: {text}" if late else None)
        if late and self._keys.limits.when_unprotected == "flatten":
            self.wants_end = "flatten"
