"""When sets were born and ended, by going through the events of a journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptosim_bt.accounting.book_events import BookEvent, from_record
from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.accounting.position_sets import PositionSet
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.status import restored_book


class SetLives:
    """Follows a book through its events.

    A life has ``name``, ``side``, ``contracts`` and ``average`` at its birth, ``born``, ``ended``
    (None while it goes on) and ``pnl``, before fees, so far.
    """

    def __init__(self, book: PositionBook) -> None:
        self._book = book
        self._open: dict[str, dict[str, Any]] = {}

    def take(self, event: BookEvent, time_ms: int) -> Iterator[dict[str, Any]]:
        """Take in an event; yield the lives that begin or end with it."""
        for fill in self._book.apply(event).fills:
            if fill.group in self._open:
                self._open[fill.group]["pnl"] += fill.group_pnl
        now = {
            group.name: group for side in SIDES for group in self._book.groups(side)
            if isinstance(group, PositionSet)
        }  # fmt: skip
        for name in [each for each in self._open if each not in now]:
            yield self._open.pop(name) | {"ended": iso_utc(time_ms)}
        for name, group in now.items():
            if name not in self._open:
                self._open[name] = {
                    "name": name, "side": group.side, "contracts": group.contracts,
                    "average": group.average, "born": iso_utc(time_ms), "ended": None, "pnl": 0.0,
                }  # fmt: skip
                yield self._open[name]


def set_lives(journal: Journal) -> tuple[SetLives, list[dict[str, Any]]]:
    """Go through all events; return who follows on, and every set's life by its birth."""
    lives = SetLives(restored_book(journal, events=False)[0])
    found: dict[str, dict[str, Any]] = {}
    for row in journal.added("events", 0):
        for life in lives.take(from_record(row["record"]), row["time_ms"]):
            found[life["name"]] = life
    return lives, list(found.values())
