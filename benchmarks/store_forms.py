"""Which form should bars have on disk? Parquet by the month, SQLite and DuckDB, measured.

``python -m benchmarks.store_forms [YEARS]``: 5 years of 1m bars are written in pages of a day, as a
download does, then a day is appended, and a day, a month and a year are read. DuckDB is left out
where it is not installed: CryptoSim does not need it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("open", "high", "low", "close", "volume")
MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
FIRST_MS = 1_577_836_800_000  # 2020-01-01


def make_bars(years: int) -> pd.DataFrame:
    """Make 1m bars whose prices walk on a tick of 0.1, as a venue's do."""
    rng = np.random.default_rng(5)
    count = years * 365 * 1440
    close = np.round(40_000 + np.cumsum(rng.normal(0, 5, count)), 1)
    open_ = np.concatenate([close[:1], close[:-1]])
    table = pd.DataFrame({"time": FIRST_MS + MINUTE_MS * np.arange(count, dtype=np.int64)})
    table["open"] = open_
    table["high"] = np.maximum(open_, close) + np.round(rng.exponential(3, count), 1)
    table["low"] = np.minimum(open_, close) - np.round(rng.exponential(3, count), 1)
    table["close"] = close
    table["volume"] = np.round(rng.exponential(2, count), 4)
    return table


class MonthlyParquet:
    """One file a month; an append writes the month's file anew, aside, and renames it."""

    name = "Parquet, one file a month"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "parquet"
        self.folder.mkdir()

    def append(self, rows: pd.DataFrame) -> None:
        """Add rows, later than all before."""
        months = pd.to_datetime(rows["time"], unit="ms").dt.strftime("%Y-%m")
        for month, part in rows.groupby(months.to_numpy()):
            path = self.folder / f"{month}.parquet"
            table = pa.Table.from_pandas(part, preserve_index=False)
            if path.exists():
                table = pa.concat_tables([pq.read_table(path), table])
            aside = path.with_suffix(".tmp")
            with aside.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)

    def read(self, start: int, end: int) -> int:
        """Read ``start <= time < end`` into numpy; return how many rows."""
        months = pd.period_range(*(pd.Timestamp(t, unit="ms") for t in (start, end - 1)), freq="M")
        files = [self.folder / f"{month}.parquet" for month in months]
        table = pa.concat_tables([pq.read_table(file) for file in files if file.exists()])
        frame = table.to_pandas()
        return int(frame["time"].between(start, end, inclusive="left").sum())


class Sqlite:
    """One table with the time as its key; every append is a transaction (WAL, synchronous FULL)."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self.base = sqlite3.connect(folder / "bars.sqlite")
        self.base.execute("PRAGMA journal_mode=WAL")
        self.base.execute("PRAGMA synchronous=FULL")
        self.base.execute(
            "CREATE TABLE bars (series INTEGER, time INTEGER, open REAL, high REAL, low REAL, "
            "close REAL, volume REAL, PRIMARY KEY (series, time)) WITHOUT ROWID"
        )

    def append(self, rows: pd.DataFrame) -> None:
        """Add rows, later than all before."""
        with self.base:
            values = zip(*(rows[name].tolist() for name in ("time", *COLUMNS)), strict=True)
            self.base.executemany("INSERT OR REPLACE INTO bars VALUES (1,?,?,?,?,?,?)", values)

    def read(self, start: int, end: int) -> int:
        """Read ``start <= time < end`` into numpy; return how many rows."""
        rows = self.base.execute(
            "SELECT time, open, high, low, close, volume FROM bars "
            "WHERE series = 1 AND time >= ? AND time < ? ORDER BY time", (start, end),
        ).fetchall()  # fmt: skip
        return len(pd.DataFrame(rows, columns=["time", *COLUMNS]))


class Duck:
    """One table; the connection is kept open, which no second process may have meanwhile."""

    name = "DuckDB"

    def __init__(self, folder: Path) -> None:
        import duckdb

        self.base = duckdb.connect(str(folder / "bars.duckdb"))
        self.base.execute(
            "CREATE TABLE bars (series INTEGER, time BIGINT, open DOUBLE, high DOUBLE, low DOUBLE, "
            "close DOUBLE, volume DOUBLE)"
        )

    def append(self, rows: pd.DataFrame) -> None:
        """Add rows, later than all before."""
        self.base.register("rows", rows)
        self.base.execute("INSERT INTO bars SELECT 1, * FROM rows")

    def read(self, start: int, end: int) -> int:
        """Read ``start <= time < end`` into numpy; return how many rows."""
        return len(
            self.base.execute(
                "SELECT time, open, high, low, close, volume FROM bars "
                "WHERE series = 1 AND time >= ? AND time < ? ORDER BY time", (start, end),
            ).df()
        )  # fmt: skip


def timed(action: Callable[[], object], repeat: int = 5) -> float:
    """Return the best of a few runs, in milliseconds."""
    best = float("inf")
    for _ in range(repeat):
        began = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - began)
    return best * 1000


def measure(kind: type[MonthlyParquet | Sqlite | Duck], bars: pd.DataFrame) -> str:
    """Return one line of the table."""
    folder = Path(tempfile.mkdtemp(prefix="store-forms-"))
    try:
        form = kind(folder)
        pages = [bars.iloc[at : at + 1440] for at in range(0, len(bars), 1440)]
        began = time.perf_counter()
        for page in pages:
            form.append(page)
        written = time.perf_counter() - began
        end = int(bars["time"].iloc[-1]) + MINUTE_MS
        day = bars.iloc[:1440].assign(time=lambda table: table["time"] - FIRST_MS + end)
        appended = timed(lambda: form.append(day), repeat=1)
        reads = [
            timed(lambda days=days: form.read(end - days * DAY_MS, end)) for days in (1, 30, 365)
        ]
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    finally:
        shutil.rmtree(folder)
    cells = [f"{written:.1f} s", f"{appended:.1f} ms", *(f"{ms:.1f} ms" for ms in reads)]
    return f"| {kind.name} | {' | '.join(cells)} | {size:.0f} MB |"


def main() -> None:
    """Print the table."""
    bars = make_bars(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    print(f"{len(bars):,} bars")
    print("| form | write | append a day | read a day | a month | a year | size |")
    print("|---|---|---|---|---|---|---|")
    for kind in (MonthlyParquet, Sqlite, Duck):
        try:
            print(measure(kind, bars), flush=True)
        except ImportError as error:
            print(f"| {kind.name} | not installed: {error} |")


if __name__ == "__main__":
    main()
