"""What there is to tell of a run, read from its journal: trading does not know that it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from cryptosim_bt.accounting.book_events import OrderRejected, from_record
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.set_lives import SetLives, set_lives
from cryptosim_bt.live.status import restored_book
from cryptosim_bt.live.watching import shown_fill
from cryptosim_bt.plugins.notifier import Notice, NoticeKind


class News:
    """Finds what was added to a journal.

    What it holds at the first look is not told again; a journal that is made later is new as a
    whole.

    Parameters
    ----------
    path
        The journal.
    words
        Of the report's language.
    zone
        Whose midnight ends a day.
    """

    def __init__(self, path: Path, words: Mapping[str, str], zone: tzinfo) -> None:
        self._path, self._words, self._zone = path, words, zone
        self._rows = dict.fromkeys(("events", "fills", "alarms"), 0)
        self._going_on: dict[str, str] = {}  # alarms
        self._lives: SetLives | None = None
        self._day = ""
        if path.is_file():
            self._begin()

    def _begin(self) -> None:
        journal = Journal(self._path, reading=True)
        try:
            for table in self._rows:
                self._rows[table] = journal.last_row(table)
            self._going_on = {alarm["key"]: alarm["text"] for alarm in journal.alarms()}
            if _has_begun(journal):
                self._lives = set_lives(journal)[0]
            self._day = self._day_of(journal.get("time_ms"))
        finally:
            journal.close()

    def look(self) -> list[Notice]:
        """Return what is new, each kind in its order."""
        if not self._path.is_file():
            return []
        journal = Journal(self._path, reading=True)
        try:
            if not _has_begun(journal):
                return []
            return [
                *self._fills(journal), *self._events(journal), *self._alarms(journal),
                *self._summary(journal),
            ]  # fmt: skip
        finally:
            journal.close()

    def _notice(
        self, kind: NoticeKind, key: str, time_ms: int, data: Mapping[str, Any]
    ) -> Notice:
        shown = {
            name: self._words.get(value, value) if isinstance(value, str) else value
            for name, value in data.items()
        }
        return Notice(kind, iso_utc(time_ms), self._words[f"told_{key}"].format(**shown), data)

    def _added(self, journal: Journal, table: str) -> Iterator[dict[str, Any]]:
        for row in journal.added(table, self._rows[table]):
            self._rows[table] = row["row"]
            yield row

    def _fills(self, journal: Journal) -> Iterator[Notice]:
        for row in self._added(journal, "fills"):
            fill = shown_fill({**row["record"], "client_id": row["client_id"]})
            key = "fill" if fill["ours"] else "foreign_fill"
            data = {**fill, "action": "opens" if fill["opens"] else "closes"}
            yield self._notice("fill", key, fill["time_ms"], data)

    def _events(self, journal: Journal) -> Iterator[Notice]:
        """Go on with the book: births and ends of sets, and what the venue refused."""
        if self._lives is None:
            self._lives = SetLives(restored_book(journal, events=False)[0])
        for row in self._added(journal, "events"):
            event = from_record(row["record"])
            if isinstance(event, OrderRejected):
                yield self._notice("refusal", "refusal", row["time_ms"], {"reason": event.reason})
            for life in self._lives.take(event, row["time_ms"]):
                key = "set_born" if life["ended"] is None else "set_ended"
                yield self._notice("set", key, row["time_ms"], life)

    def _alarms(self, journal: Journal) -> Iterator[Notice]:
        for row in self._added(journal, "alarms"):
            self._going_on[row["key"]] = row["text"]
            data = {"key": row["key"], "text": row["text"]}
            yield self._notice("alarm", "alarm", row["time_ms"], data)
        now_ms, still = journal.get("time_ms"), {alarm["key"] for alarm in journal.alarms()}
        for key in [each for each in self._going_on if each not in still]:
            data = {"key": key, "text": self._going_on.pop(key)}
            yield self._notice("alarm", "alarm_over", now_ms, data)

    def _summary(self, journal: Journal) -> Iterator[Notice]:
        """Sum the day up that has ended."""
        time_ms = journal.get("time_ms")
        day, before = self._day_of(time_ms), self._day
        self._day = day
        if not before or day == before:
            return
        equities = [
            bar["equity"] for bar in journal.bars()
            if bar.get("equity") is not None and self._day_of(bar["time_ms"]) == before
        ]  # fmt: skip
        fills = [fill for fill in journal.fills() if self._day_of(fill["time_ms"]) == before]
        if equities:
            data = {
                "day": before, "equity": equities[-1], "fills": len(fills),
                "change": equities[-1] / equities[0] - 1.0, "alarms": len(self._going_on),
            }  # fmt: skip
            yield self._notice("summary", "summary", time_ms, data)

    def _day_of(self, time_ms: int | None) -> str:
        if time_ms is None:
            return ""
        return datetime.fromtimestamp(time_ms / 1000.0, self._zone).date().isoformat()


def _has_begun(journal: Journal) -> bool:
    names = ("instrument", "initial_balance", "rules", "time_ms")
    return all(journal.get(name) is not None for name in names)
