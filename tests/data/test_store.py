"""The store: rows and what is known of them, on disk, whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from cryptosim_bt.accounting.instrument import known_instrument
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.accounting.maintenance_tiers import Tier as Step
from cryptosim_bt.data.bars import check_bars
from cryptosim_bt.data.market import Market, Tier, Tiers
from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.store.files import folder_name, locked, replace_file, symbol_of
from cryptosim_bt.data.store.records import (
    keep_market,
    keep_tiers,
    kept_instrument,
    kept_maintenance,
    kept_market,
    kept_tiers,
)
from cryptosim_bt.data.store.spans import clip, length, subtract, union
from cryptosim_bt.data.store.transfer import import_file
from cryptosim_bt.data.store.verify import verify
from cryptosim_bt.errors import DataError, StoreError

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3_600_000
T0 = 1_738_195_200_000  # 2025-01-30: the rows of three days lie in two files
BARS = Series.bars("okx", "BTC/USD:BTC", "1h")
MARKET = Market("BTC/USD:BTC", "BTC-USD-SWAP", 100.0, 1.0, 0.1, 1.0, 0.0002, 0.0005, 100.0, None)


def rows(start: int, count: int, price: float = 100.0, series: Series = BARS):
    times = start + HOUR * np.arange(count, dtype=np.int64)
    return pd.DataFrame({"time": times, **{name: price for name in series.columns}})


def span(start: int, count: int):
    return [(start, start + HOUR * count)]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


# --- spans ----------------------------------------------------------------------------------------

spans = some.lists(some.tuples(some.integers(0, 40), some.integers(0, 40)), max_size=6)


def points(each) -> set[int]:
    return {at for start, end in each for at in range(start, end)}


@given(spans, spans)
def test_spans_are_sets_of_points(first, second):
    assert points(union([*first, *second])) == points(first) | points(second)
    assert points(subtract(first, second)) == points(first) - points(second)
    assert points(clip(first, 7, 23)) == points(first) & set(range(7, 23))
    assert length(union(first)) == len(points(first))
    joined = union(first)
    assert all(a[1] < b[0] for a, b in pairwise(joined))


# --- names ----------------------------------------------------------------------------------------


@given(some.text(alphabet="ABcz019.-_/:%é", min_size=1, max_size=20))
def test_folder_name_is_read_back(symbol):
    name = folder_name(symbol)
    assert symbol_of(name) == symbol
    assert not set(name) & set("/:\\")


def test_folder_name_of_a_usual_symbol_is_readable():
    assert folder_name("BTC/USD:BTC") == "BTC-USD_BTC"


# --- rows -----------------------------------------------------------------------------------------


def test_store_reads_what_was_written_by_range_over_files(store):
    store.write(BARS, rows(T0, 72), span(T0, 72))
    assert [path.name for path in store.part_paths(BARS)] == ["2025-01.parquet", "2025-02.parquet"]
    read = store.read_columns(BARS, T0 + 10 * HOUR, T0 + 60 * HOUR)
    assert np.array_equal(read["time"], T0 + HOUR * np.arange(10, 60))
    assert store.unknown(BARS, T0 - HOUR, T0 + 73 * HOUR) == (
        (T0 - HOUR, T0), (T0 + 72 * HOUR, T0 + 73 * HOUR),
    )  # fmt: skip


def test_store_known_span_without_rows_is_a_hole(store):
    store.write(BARS, rows(T0, 5), span(T0, 8))
    assert store.holes(BARS, T0, T0 + 8 * HOUR).tolist() == [T0 + at * HOUR for at in (5, 6, 7)]
    store.write(BARS, rows(T0 + 8 * HOUR, 2), span(T0 + 8 * HOUR, 2))
    summary = store.summary(BARS)
    assert (summary.rows, summary.holes, summary.unasked) == (7, 3, 0)


def test_store_times_never_asked_are_no_holes(store):
    store.write(BARS, rows(T0, 2), span(T0, 2))
    store.write(BARS, rows(T0 + 10 * HOUR, 2), span(T0 + 10 * HOUR, 2))
    summary = store.summary(BARS)
    assert (summary.rows, summary.holes, summary.unasked) == (4, 0, 8)
    assert len(store.holes(BARS, T0, T0 + 12 * HOUR)) == 0


@pytest.mark.parametrize(
    ("conflict", "price", "changed"), [("keep", 100.0, 1), ("replace", 7.0, 4)]
)
def test_store_rows_of_one_time_are_one_row(store, conflict, price, changed):
    store.write(BARS, rows(T0, 5), span(T0, 5))
    assert store.write(BARS, rows(T0 + 2 * HOUR, 4, 7.0), span(T0, 6), conflict) == changed
    read = store.read_columns(BARS, T0, T0 + 9 * HOUR)
    assert read["close"].tolist() == [100.0, 100.0, price, price, price, 7.0]
    assert read["time"].tolist() == [T0 + at * HOUR for at in range(6)]


def test_store_conflict_refused_changes_nothing(store):
    store.write(BARS, rows(T0, 5), span(T0, 5))
    with pytest.raises(StoreError, match=r"4 rows differ .* first at 2025-01-30T01:00:00Z"):
        store.write(BARS, rows(T0 + HOUR, 6, 7.0), span(T0, 7), "refuse")
    assert store.read_columns(BARS, T0, T0 + 9 * HOUR)["close"].tolist() == [100.0] * 5


def test_store_forgets_rows_and_knowledge_together(store):
    store.write(BARS, rows(T0, 6), span(T0, 6))
    store.forget(BARS, [(T0 + HOUR, T0 + 3 * HOUR)])
    assert store.unknown(BARS, T0, T0 + 6 * HOUR) == ((T0 + HOUR, T0 + 3 * HOUR),)
    assert store.summary(BARS).rows == 4


def test_store_every_row_names_its_venue(store):
    import pyarrow.parquet as pq

    for venue in ("okx", "bybit"):
        series = Series.bars(venue, "BTC/USD:BTC", "1h")
        store.write(series, rows(T0, 3), span(T0, 3))
        (path,) = store.part_paths(series)
        assert pq.read_table(path).column("venue").to_pylist() == [venue] * 3
    assert [series.venue for series in store.list_series()] == ["bybit", "okx"]


def test_store_series_of_one_market_are_kept_apart(store):
    mark, funding = (
        Series.bars("okx", "BTC/USD:BTC", "1h", "mark"), Series.funding("okx", "BTC/USD:BTC"),
    )  # fmt: skip
    store.write(mark, rows(T0, 3, 5.0), span(T0, 3))
    store.write(funding, rows(T0, 3, 1e-4, funding), span(T0, 3))
    assert store.list_series() == [mark, funding]
    assert [path.name for path in store.part_paths(funding)] == ["2025.parquet"]
    assert store.unknown(BARS, T0, T0 + HOUR) == ((T0, T0 + HOUR),)


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_store_damaged_file_is_never_read_as_whole_and_repair_sets_it_aside(store, damage):
    times = rows(T0, 48)
    times["close"] = np.random.default_rng(1).normal(100, 1, 48)
    store.write(BARS, times, span(T0, 48))
    path = store.part_paths(BARS)[0]
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 4] ^= 0xFF
    damaged = {"cut": content[:-40], "flip": content, "empty": b"", "text": b"x" * 99}
    path.write_bytes(damaged[damage])
    with pytest.raises(StoreError, match=r"2025-01\.parquet: is damaged .*--repair"):
        store.read_columns(BARS, T0, T0 + 48 * HOUR)
    assert [finding.fixed for finding in verify(store, repair=False)] == [False]
    assert [finding.fixed for finding in verify(store, repair=True)] == [True]
    assert path.with_name(f"{path.name}.damaged").exists()
    assert verify(store, repair=False) == []
    assert store.unknown(BARS, T0, T0 + 48 * HOUR) == ((T0, T0 + 48 * HOUR),)


def test_store_file_of_another_market_is_refused(store):
    store.write(BARS, rows(T0, 3), span(T0, 3))
    other = Series.bars("okx", "ETH/USD:ETH", "1h")
    store.folder(other).mkdir(parents=True)
    store.part_paths(BARS)[0].rename(store.folder(other) / "2025-01.parquet")
    with pytest.raises(StoreError, match="holds okx BTC/USD:BTC 1h, not okx ETH/USD:ETH 1h"):
        store.read_columns(other, T0, T0 + HOUR)
    assert len(verify(store, repair=True)) == 1


def test_verify_forgets_rows_that_cannot_be(store):
    wrong = rows(T0, 6)
    wrong.loc[2, "close"] = np.nan
    wrong.loc[4, "time"] += 5
    store.write(BARS, wrong, span(T0, 6))
    problems = [finding.problem for finding in verify(store, repair=True)]
    assert problems == [
        "1 rows off the grid of UTC, the first at 2025-01-30T04:00:00Z",
        "1 rows where close is missing or not finite, the first at 2025-01-30T02:00:00Z",
    ]
    assert store.unknown(BARS, T0, T0 + 6 * HOUR) == (
        (T0 + 2 * HOUR, T0 + 3 * HOUR), (T0 + 4 * HOUR, T0 + 5 * HOUR),
    )  # fmt: skip
    assert verify(store, repair=False) == []


def test_verify_remarks_odd_prices_but_keeps_them(store):
    odd = rows(T0, 3)
    odd.loc[1, "high"] = 1.0
    store.write(BARS, odd, span(T0, 3))
    (finding,) = verify(store, repair=True)
    assert (finding.cure, finding.fixed) == (None, False)
    assert store.summary(BARS).rows == 3


@pytest.mark.parametrize(
    ("column", "value"),
    [("open", -5.0), ("high", 0.0), ("low", -5.0), ("close", np.inf), ("volume", -1.0),
     ("high", 99.0), ("low", 101.0), ("volume", np.nan)],
)  # fmt: skip
def test_verify_finds_all_that_a_run_refuses(store, column, value):
    wrong = rows(T0, 6)
    wrong.loc[3, column] = value
    store.write(BARS, wrong, span(T0, 6))
    read = store.read(BARS, *(pd.Timestamp(at, unit="ms", tz="UTC") for at in (T0, T0 + 9 * HOUR)))
    with pytest.raises(DataError) as refused:
        check_bars(read, "1h", "bars")
    fault = str(refused.value).removeprefix("bars: ").partition(" at 2025")[0]
    findings = verify(store, repair=False)
    assert fault in findings[0].problem
    assert not any(finding.fixed for finding in findings)


def test_import_that_differs_in_one_month_writes_no_other(store):
    store.write(BARS, rows(T0 + 48 * HOUR, 24), span(T0 + 48 * HOUR, 24))
    with pytest.raises(StoreError, match="nothing was changed"):
        store.write(BARS, rows(T0, 72, 7.0), span(T0, 72), "refuse")
    assert [path.name for path in store.part_paths(BARS)] == ["2025-02.parquet"]


@pytest.mark.parametrize(("zone", "first"), [(None, 0), ("Asia/Seoul", -9)])
def test_import_reads_local_times_in_the_zone_that_is_told(store, tmp_path, zone, first):
    file = tmp_path / "bars.csv"
    times = [f"2025-01-30 {hour:02}:00,1,2,1,2,5" for hour in range(3)]
    file.write_text("\n".join(["time,open,high,low,close,volume", *times]))
    import_file(store, file, "okx", BARS.symbol, "1h", "bars", None, zone and ZoneInfo(zone))
    assert store.summary(BARS).first == pd.Timestamp(T0 + first * HOUR, unit="ms", tz="UTC")


# --- crashes and other processes ------------------------------------------------------------------

WRITER = """
    import sys, pandas as pd
    from pathlib import Path
    from cryptosim_bt.data.store import Series, Store
    HOUR, T0 = 3_600_000, {T0}
    start, count = int(sys.argv[2]), int(sys.argv[3])
    series, store = Series.bars("okx", "BTC/USD:BTC", "1h"), Store(Path(sys.argv[1]))
    print("ready", flush=True)
    for at in range(start, start + count):
        values = {{name: [float(at)] for name in series.columns}}
        rows = pd.DataFrame({{"time": [T0 + at * HOUR], **values}})
        store.write(series, rows, [(T0 + at * HOUR, T0 + (at + 1) * HOUR)])
        print(at, flush=True)
"""


def writer(directory: Path, start: int, count: int) -> subprocess.Popen[str]:
    code = textwrap.dedent(WRITER.format(T0=T0))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(directory), str(start), str(count)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_store_two_processes_lose_no_row_of_each_other(tmp_path):
    both = [writer(tmp_path, start, 60) for start in (0, 60)]
    seen = 0
    while both[0].poll() is None:  # a reader needs no lock and sees no half of anything
        rows_now = len(Store(tmp_path).read_columns(BARS, T0, T0 + 200 * HOUR)["time"])
        assert rows_now >= seen
        seen = rows_now
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    read = Store(tmp_path).read_columns(BARS, T0, T0 + 200 * HOUR)
    assert read["close"].tolist() == [float(at) for at in range(120)]


def test_store_killed_in_the_middle_of_writes_keeps_all_that_was_said_to_be_written(tmp_path):
    process = writer(tmp_path, 0, 10_000)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    written = [int(process.stdout.readline()) for _ in range(40)]
    process.send_signal(signal.SIGKILL)
    written += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait()
    process.stdout.close()
    store = Store(tmp_path)
    read = store.read_columns(BARS, T0, T0 + 10_000 * HOUR)
    # One more may have been renamed before it could be said.
    assert read["close"].tolist()[: len(written)] == [float(at) for at in written]
    assert len(read["time"]) - len(written) in (0, 1)
    assert [finding for finding in verify(store, repair=True) if not finding.fixed] == []


@pytest.mark.parametrize("moment", ["while writing", "before the rename"])
def test_replace_file_that_fails_leaves_the_old_file(tmp_path, moment):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file) -> None:
        file.write(b"new, but not all of it")
        if moment == "before the rename":
            os.unlink(file.name)  # what a full disk or a vanished folder does to the rename
        else:
            raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"file: cannot be written: .*; free the disk"):
        replace_file(path, write)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_store_removes_what_a_killed_writer_left(store):
    store.write(BARS, rows(T0, 1), span(T0, 1))
    left = store.folder(BARS) / ".writing-123-2025-01.parquet"
    left.write_bytes(b"half")
    assert store.summary(BARS).rows == 1
    store.write(BARS, rows(T0 + HOUR, 1), span(T0 + HOUR, 1))
    assert not left.exists()


def test_locked_folder_is_said_to_be_held(tmp_path):
    said: list[str] = []
    with locked(tmp_path), pytest.raises(StoreError, match="another process holds it"):  # noqa: SIM117
        with locked(tmp_path, waiting=lambda: said.append("waiting"), timeout_s=0.1):
            pass
    assert said == ["waiting"]


def test_store_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "okx").write_text("a file in the way")
    with pytest.raises(StoreError, match=r"cannot be locked: .*; name another data\.directory"):
        Store(tmp_path).write(BARS, rows(T0, 1), span(T0, 1))


# --- what venues say of markets -------------------------------------------------------------------


def test_market_is_kept_with_dates_and_a_change_beside_the_older(store):
    keep_market(store, "okx", MARKET, "2025-01-01T00:00:00Z")
    keep_market(store, "okx", MARKET, "2025-02-01T00:00:00Z")
    found = kept_market(store, "okx", "BTC/USD:BTC")
    assert found is not None
    assert found[0] == MARKET
    assert (found[1].first_seen, found[1].last_seen) == (
        "2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z",
    )  # fmt: skip
    finer = Market(*(0.1 if name == "lot" else getattr(MARKET, name) for name in MARKET.__slots__))
    keep_market(store, "okx", finer, "2025-03-01T00:00:00Z")
    found = kept_market(store, "okx", "BTC/USD:BTC")
    assert found is not None
    assert found[0].lot == 0.1
    text = (store.symbol_folder("okx", "BTC/USD:BTC") / "instrument.json").read_text()
    assert text.count("first_seen") == 2


def test_instrument_comes_from_the_store_before_the_built_in_one(store):
    built_in = known_instrument("okx", "BTC/USD:BTC")
    assert kept_instrument(store, "okx", "BTC/USD:BTC", built_in) is built_in
    assert kept_instrument(store, "bybit", "BTC/USD:BTC", None) is None
    keep_market(store, "okx", MARKET, "2025-01-01T00:00:00Z")
    without_tiers = kept_instrument(store, "okx", "BTC/USD:BTC", built_in)
    assert without_tiers is not None
    assert without_tiers.maintenance_margin_rate == 0.004
    assert kept_instrument(store, "okx", "BTC/USD:BTC", None) is None  # no rate is made up
    tiers = Tiers("contracts", (Tier(0.0, 500.0, 0.0075, 50.0), Tier(500.0, None, 0.01, 20.0)))
    keep_tiers(store, "okx", "BTC/USD:BTC", tiers, "2025-01-01T00:00:00Z")
    kept = kept_tiers(store, "okx", "BTC/USD:BTC")
    assert kept is not None
    assert kept[0] == tiers
    assert kept_maintenance(store, "okx", "BTC/USD:BTC") == MaintenanceTiers(
        "contracts", (Step(0.0, 0.0075), Step(500.0, 0.01))
    )
    instrument = kept_instrument(store, "okx", "BTC/USD:BTC", None)
    assert instrument is not None
    assert (instrument.maintenance_margin_rate, instrument.contract_size) == (0.0075, 100.0)


def test_directory_that_is_a_file_is_said(tmp_path):
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(StoreError, match=r"cannot be read: Not a directory; name another data\.d"):
        kept_market(Store(tmp_path / "data"), "okx", "BTC/USD:BTC")


def test_damaged_record_is_said_and_set_aside(store):
    keep_market(store, "okx", MARKET, "2025-01-01T00:00:00Z")
    path = store.symbol_folder("okx", "BTC/USD:BTC") / "instrument.json"
    path.write_text("{")
    with pytest.raises(StoreError, match=r"instrument\.json: is damaged"):
        kept_market(store, "okx", "BTC/USD:BTC")
    assert [finding.fixed for finding in verify(store, repair=True)] == [True]
    assert kept_market(store, "okx", "BTC/USD:BTC") is None
