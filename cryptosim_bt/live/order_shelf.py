"""The orders of ours at the venue, as they are in the journal: what is known of each."""

from __future__ import annotations

from typing import Protocol

from cryptosim_bt.live.adapter import OrderRequest, VenueFill, VenueOrder
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.reconcile import (
    Place,
    Stage,
    Wanted,
    Working,
    client_id,
    is_ours,
)

_LONGEST_PAUSE_MS = 60_000


class Asks(Protocol):
    """What orders are asked through; answers come back as messages (`Connection`)."""

    def place(self, request: OrderRequest, change: int) -> None:
        """Have an order placed."""

    def amend(self, order: VenueOrder, contracts: float, price: float, change: int) -> None:
        """Have an order amended."""

    def cancel(self, order: VenueOrder, change: int) -> None:
        """Have an order cancelled."""

    def settle(self, client_id: str, change: int) -> None:
        """Have it found out what became of an order."""


class OrderShelf:
    """Knows orders, and what is on the way for each of them.

    Parameters
    ----------
    journal
        Keeps every order.
    asks
        What is asked of the venue.
    run
        The journal's part of client ids.
    """

    def __init__(self, journal: Journal, asks: Asks, run: str) -> None:
        self._journal, self._asks, self._run = journal, asks, run
        self.working: dict[str, Working] = {}
        self._intents: dict[str, int] = {}
        # Of a place where something was refused: how often, and from when on to try again.
        self._pauses: dict[Place, tuple[int, int]] = {}
        # Orders of ours that no journal knows: nobody wants them.
        self._orphans: set[str] = set()

    def restore(self) -> None:
        """Take the journal's orders up again; find out what became of what was asked."""
        for record in self._journal.orders():
            there = Working.of(record)
            self.working[there.client_id] = there
            if there.asked:
                self.find_out(there.client_id)

    def find_out(self, name: str) -> bool:
        """Find out what became of an order that something was asked of; False for no such order."""
        there = self.working.get(name)
        if there is None or not there.asked:
            return False
        there.change += 1
        self._asks.settle(name, there.change)
        return True

    def is_settled(self) -> bool:
        """Tell whether nothing is on the way."""
        return not any(each.asked for each in self.working.values())

    def watched(self) -> dict[str, int]:
        """Return the orders that a snapshot can tell of, with the count of what was asked."""
        return {
            each.client_id: each.change for each in self.working.values()
            if not each.asked and each.stage is not Stage.ASKED
        }  # fmt: skip

    def is_being_amended(self, name: str) -> bool:
        """Tell whether an order stands for one order of the book or for the next: not known yet."""
        there = self.working.get(name)
        return there is not None and there.asked == "amend"

    def known(self, fill: VenueFill) -> Working | None:
        """Return the order of ours that a fill is of, over or not; None for anybody else's."""
        there = self.working.get(fill.client_id)
        if there is None and is_ours(fill.client_id, self._run):
            record = self._journal.order(fill.client_id)
            there = None if record is None else Working.of(record)
        return there

    def _new_id(self, want: Wanted) -> str:
        attempt = 0
        while True:
            name = client_id(self._run, want.number, want.role, want.place.side, attempt)
            if self._journal.order(name) is None:
                return name
            attempt += 1

    def _keep(self, there: Working, *, is_over: bool = False) -> None:
        self._journal.put_order(there.client_id, there.record(), is_over=is_over)

    def _pause(self, place: Place, now_ms: int) -> int:
        """Wait before the next attempt, longer each time; return how many there were."""
        times = self._pauses.get(place, (0, 0))[0] + 1
        self._pauses[place] = times, now_ms + min(1_000 * 2**times, _LONGEST_PAUSE_MS)
        return times
