"""The journal of one account, market and strategy: all that a restart knows.

SQLite with a write-ahead log that is synced at every commit: what was written before an order was
sent is there after a crash, whatever happened to the order. One process writes; any number read.

Tables: `events` are the book's, in order, and make the book again; `orders` are the venue's orders
of ours as they were last known; `intents` what was asked of the venue, written before it was sent;
`fills` and `bills` what the venue booked, by its own ids; `bars`, `alarms` and `state` the rest.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cryptosim_bt.errors import InputError, OutputError

# One script a version, from 0 on; a script never changes once a version with it was released.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE events (id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, record TEXT NOT NULL);
    CREATE TABLE orders (
        client_id TEXT PRIMARY KEY, record TEXT NOT NULL, is_over INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX working ON orders (is_over) WHERE is_over = 0;
    CREATE TABLE intents (
        id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, client_id TEXT NOT NULL,
        action TEXT NOT NULL, record TEXT NOT NULL, answer TEXT, answer_ms INTEGER
    );
    CREATE TABLE fills (
        trade_id TEXT PRIMARY KEY, time_ms INTEGER NOT NULL, client_id TEXT, record TEXT NOT NULL
    );
    CREATE INDEX fills_by_order ON fills (client_id);
    CREATE TABLE bills (
        bill_id TEXT PRIMARY KEY, time_ms INTEGER NOT NULL, record TEXT NOT NULL
    );
    CREATE TABLE bars (time_ms INTEGER PRIMARY KEY, record TEXT NOT NULL);
    CREATE TABLE alarms (
        id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL,
        ended_ms INTEGER
    );
    """,
)


# Tables whose rows are only ever added.
_TOLD = {name: name for name in ("events", "fills", "alarms")}


class Journal:
    """A journal, open for writing (with the lock that only one process can hold) or reading.

    Parameters
    ----------
    path
        The file; made with its folder where there is none and it is not opened to be read.
    reading
        Whether it is only read: no lock, nothing is made, nothing changes.
    migrations
        The scripts of all versions.

    Raises
    ------
    InputError
        If another process writes it, it is of a newer version, or no journal at all.
    """

    def __init__(
        self, path: Path, *, reading: bool = False, migrations: Sequence[str] = MIGRATIONS
    ) -> None:
        self.path = path
        self._lock: FileLock | None = None
        if reading and not path.is_file():
            raise InputError(f"{path}: there is no such journal; nothing was traded with it yet")
        if not reading:
            self._lock_file()
        try:
            self._base = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'ro' if reading else 'rwc'}",
                uri=True, isolation_level=None, timeout=10.0,
            )  # fmt: skip
            if not reading:
                self._base.execute("PRAGMA journal_mode = WAL")
                self._base.execute("PRAGMA synchronous = FULL")
            self._migrate(migrations, reading)
        except (sqlite3.Error, InputError) as error:
            self.close()
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: cannot be opened as a journal: {error}") from error

    def _lock_file(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(f"{self.path}.lock")
            # The kernel lets the lock go when its process ends, however it ends.
            self._lock.acquire(timeout=0)
        except Timeout as error:
            self._lock = None
            raise InputError(
                f"{self.path}: another process trades with this journal; stop it first, or give "
                "live.journal another path"
            ) from error
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _migrate(self, migrations: Sequence[str], reading: bool) -> None:
        (version,) = self._base.execute("PRAGMA user_version").fetchone()
        if version > len(migrations) or (reading and version == 0):
            raise InputError(
                f"{self.path}: is a journal of version {version}; this CryptoSim knows up to "
                f"{len(migrations)}: use the newer one that wrote it"
            )
        if reading:
            return
        for number in range(version, len(migrations)):
            self._base.executescript(
                f"BEGIN IMMEDIATE; {migrations[number]} PRAGMA user_version = {number + 1}; COMMIT;"
            )

    def close(self) -> None:
        """Close the file and let the lock go."""
        if hasattr(self, "_base"):
            self._base.close()
        if self._lock is not None:
            self._lock.release()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all or nothing of what is written inside; synced when it is left."""
        if self._base.in_transaction:
            yield
            return
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    # ------------------------------------------------------------------ state
    def get(self, key: str, default: Any = None) -> Any:
        """Return a value of the state, `default` if it was never put."""
        row = self._base.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def put(self, **values: Any) -> None:
        """Put values into the state, in the place of older ones."""
        self._base.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?)",
            [(key, _text(value)) for key, value in values.items()],
        )

    def identify(self, identity: Mapping[str, str]) -> None:
        """Keep whose journal it is, or compare with what is kept.

        Raises
        ------
        InputError
            If it belongs to another account, market or strategy.
        """
        known = self.get("identity")
        if known is None:
            self.put(identity=dict(identity))
        elif known != dict(identity):
            differing = ", ".join(
                f"{key}: {known.get(key)} there, {value} here"
                for key, value in identity.items() if known.get(key) != value
            )  # fmt: skip
            raise InputError(
                f"{self.path}: belongs to something else ({differing}); give live.journal another "
                "path"
            )

    # ------------------------------------------------------------------ what the book is made of
    def add_event(self, time_ms: int, record: Mapping[str, Any]) -> None:
        """Add an event of the book."""
        self._base.execute(
            "INSERT INTO events (time_ms, record) VALUES (?, ?)", (time_ms, _text(record))
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events in their order."""
        for (record,) in self._base.execute("SELECT record FROM events ORDER BY id"):
            yield json.loads(record)

    # ------------------------------------------------------------------ orders
    def put_order(self, client_id: str, record: Mapping[str, Any], *, is_over: bool) -> None:
        """Keep an order of ours as it is now known."""
        self._base.execute(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (client_id, _text(record), is_over)
        )

    def orders(self) -> list[dict[str, Any]]:
        """Return the orders of ours that are not known to be over."""
        rows = self._base.execute("SELECT record FROM orders WHERE is_over = 0 ORDER BY rowid")
        return [json.loads(record) for (record,) in rows]

    def order(self, client_id: str) -> dict[str, Any] | None:
        """Return an order of ours, over or not, None if there never was one of this id."""
        row = self._base.execute(
            "SELECT record FROM orders WHERE client_id = ?", (client_id,)
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def add_intent(
        self, time_ms: int, client_id: str, action: str, record: Mapping[str, Any]
    ) -> int:
        """Add what is about to be asked of the venue; return its number."""
        row = self._base.execute(
            "INSERT INTO intents (time_ms, client_id, action, record) VALUES (?, ?, ?, ?)",
            (time_ms, client_id, action, _text(record)),
        )
        return int(row.lastrowid or 0)

    def answer_intent(self, intent: int, answer: str, time_ms: int) -> None:
        """Add how the venue answered an intent."""
        self._base.execute(
            "UPDATE intents SET answer = ?, answer_ms = ? WHERE id = ?", (answer, time_ms, intent)
        )

    def answer_times_ms(self, last: int) -> list[int]:
        """Return how long the venue took for each of so many of the last answers."""
        rows = self._base.execute(
            "SELECT answer_ms - time_ms FROM intents WHERE answer_ms IS NOT NULL "
            "ORDER BY id DESC LIMIT ?", (last,),
        )  # fmt: skip
        return [wait for (wait,) in rows]

    # ------------------------------------------------------------------ what the venue booked
    def add_fill(
        self, trade_id: str, time_ms: int, client_id: str | None, record: Mapping[str, Any]
    ) -> bool:
        """Add a fill of the venue, ours or not; return False if it was added before."""
        done = self._base.execute(
            "INSERT OR IGNORE INTO fills VALUES (?, ?, ?, ?)",
            (trade_id, time_ms, client_id, _text(record)),
        )
        return done.rowcount > 0

    def fills(self, since_ms: int = 0) -> list[dict[str, Any]]:
        """Return the fills from a time on, with ``trade_id`` and ``client_id`` (None: not ours)."""
        rows = self._base.execute(
            "SELECT trade_id, client_id, record FROM fills WHERE time_ms >= ? ORDER BY rowid",
            (since_ms,),
        )
        return [
            {**json.loads(record), "trade_id": trade, "client_id": client}
            for trade, client, record in rows
        ]

    def add_bill(self, bill_id: str, time_ms: int, record: Mapping[str, Any]) -> bool:
        """Add a bill of the venue; return False if it was added before."""
        done = self._base.execute(
            "INSERT OR IGNORE INTO bills VALUES (?, ?, ?)", (bill_id, time_ms, _text(record))
        )
        return done.rowcount > 0

    # ------------------------------------------------------------------ what is new
    def last_row(self, table: str) -> int:
        """Return the number of the last row of ``events``, ``fills`` or ``alarms``, 0 for none."""
        (found,) = self._base.execute(f"SELECT MAX(rowid) FROM {_TOLD[table]}").fetchone()
        return int(found or 0)

    def added(self, table: str, after: int) -> list[dict[str, Any]]:
        """Return the rows behind a number in their order, each with its own number as ``row``."""
        found = self._base.execute(
            f"SELECT rowid AS row, * FROM {_TOLD[table]} WHERE rowid > ? ORDER BY rowid", (after,)
        )
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found]
        return [{**row, "record": json.loads(row.get("record", "null"))} for row in rows]

    # ------------------------------------------------------------------ bars and alarms
    def put_bar(self, time_ms: int, record: Mapping[str, Any]) -> None:
        """Keep a closed bar with what was decided at its close."""
        self._base.execute("INSERT OR REPLACE INTO bars VALUES (?, ?)", (time_ms, _text(record)))

    def bars(self, last: int = -1) -> list[dict[str, Any]]:
        """Return the bars that were acted on (so many of the last), ascending, with ``time_ms``."""
        rows = self._base.execute(
            "SELECT time_ms, record FROM bars ORDER BY time_ms DESC LIMIT ?", (last,)
        ).fetchall()
        return [{"time_ms": at, **json.loads(record)} for at, record in reversed(rows)]

    def raise_alarm(self, time_ms: int, key: str, text: str) -> bool:
        """Begin an alarm; return False if one of this key goes on already."""
        going_on = self._base.execute(
            "SELECT 1 FROM alarms WHERE key = ? AND ended_ms IS NULL", (key,)
        ).fetchone()
        if going_on is None:
            self._base.execute(
                "INSERT INTO alarms (time_ms, key, text) VALUES (?, ?, ?)", (time_ms, key, text)
            )
        return going_on is None

    def end_alarm(self, time_ms: int, key: str) -> bool:
        """End an alarm; return False if none of this key goes on."""
        done = self._base.execute(
            "UPDATE alarms SET ended_ms = ? WHERE key = ? AND ended_ms IS NULL", (time_ms, key)
        )
        return done.rowcount > 0

    def alarms(self) -> list[dict[str, Any]]:
        """Return the alarms that go on, older first."""
        rows = self._base.execute(
            "SELECT time_ms, key, text FROM alarms WHERE ended_ms IS NULL ORDER BY id"
        )
        return [{"time_ms": at, "key": key, "text": text} for at, key, text in rows]


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
