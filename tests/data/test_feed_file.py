"""The forms of files that the file feed reads, and what it says about those that it cannot."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
from pathlib import Path

import pandas as pd
import pytest

from cryptosim_bt.data.bars import COLUMNS, check_bars
from cryptosim_bt.data.feed import DataRequest, DataSource, Feed
from cryptosim_bt.errors import DataError
from cryptosim_bt.feeds.file import FileFeed

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CRYPTOSIM_DATA", REPOSITORY.parent / "shared" / "data"))

T0, T1 = 1_735_689_600, 1_735_693_200  # 2025-01-01 00:00 and 01:00 UTC, in seconds
MILLISECONDS = [T0 * 1000, T1 * 1000]
ROWS = [[100.5, 101.0, 99.5, 100.0, 7.0], [100.0, 102.0, 100.0, 101.5, 8.0]]


def request(path: Path | None, timeframe: str = "1h") -> DataRequest:
    start, end = pd.Timestamp("2025-01-01", tz="UTC"), pd.Timestamp("2025-01-02", tz="UTC")
    return DataRequest("BTC/USD:BTC", timeframe, start, end, warmup=0, path=path)


def load(path: Path) -> pd.DataFrame:
    return FileFeed().load(request(path))


def write(folder: Path, text: str, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def write_csv(folder: Path, header: str, times: tuple[object, object]) -> Path:
    rows = [[moment, *row] for moment, row in zip(times, ROWS, strict=True)]
    lines = [",".join(map(str, row)) for row in rows]
    return write(folder, "\n".join([header, *lines] if header else lines) + "\n")


def assert_is_the_two_bars(bars: pd.DataFrame) -> None:
    assert list(bars.columns) == list(COLUMNS)
    assert bars.to_numpy().tolist() == ROWS
    assert bars.dtypes.eq("float64").all()
    assert str(bars.index.dtype) == "datetime64[ms, UTC]"
    assert bars.index.name == "time"
    assert bars.index.asi8.tolist() == MILLISECONDS


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,open,high,low,close,volume",
        "Time,Open,High,Low,Close,Volume",
        "DATE,O,H,L,C,V",
        "ts,o,h,l,c,vol",
        "open_time,open,high,low,close,volume",
        "Open time,Open price,High price,Low price,Close price,Base volume",
        "datetime, open, high, low, close, volume",
        ",open,high,low,close,volume",
        '"timestamp","open","high","low","close","volume"',
        "\ufefftimestamp,open,high,low,close,volume",
        "",
    ],
)
def test_file_feed_usual_column_names_are_understood(tmp_path, header):
    assert_is_the_two_bars(load(write_csv(tmp_path, header, (T0 * 1000, T1 * 1000))))


@pytest.mark.parametrize(
    "times",
    [
        (T0, T1),
        (T0 * 10**3, T1 * 10**3),
        (T0 * 10**6, T1 * 10**6),
        (T0 * 10**9, T1 * 10**9),
        (T0 * 10**3, T1 * 10**6),  # Binance, over the turn of 2025
        (f"{T0}.0", f"{T1}.0"),
        ("2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z"),
        ("2025-01-01T00:00:00.000Z", "2025-01-01T01:00:00.000Z"),
        ("2025-01-01 00:00:00", "2025-01-01 01:00:00"),
        ("2025-01-01 00:00", "2025-01-01 01:00:00.000"),
        ("2025-01-01 09:00:00+09:00", "2025-01-01T10:00:00+0900"),
        ("2025-01-01 00:00:00+00:00", "2024-12-31 20:00:00-05:00"),
        ("2025-01-01 00:00:00 UTC", "2025-01-01 01:00:00 UTC"),
    ],
)
@pytest.mark.parametrize("header", ["timestamp,open,high,low,close,volume", ""])
def test_file_feed_times_of_any_form_are_utc_milliseconds(tmp_path, header, times):
    assert_is_the_two_bars(load(write_csv(tmp_path, header, times)))


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_file_feed_other_separators_are_understood(tmp_path, separator):
    path = write_csv(tmp_path, "timestamp,open,high,low,close,volume", (T0, T1))
    path.write_text(path.read_text().replace(",", separator))
    assert_is_the_two_bars(load(path))


@pytest.mark.parametrize("suffix", [".gz", ".zip", ".bz2", ".xz"])
def test_file_feed_compressed_csv_is_read(tmp_path, suffix):
    table = pd.read_csv(write_csv(tmp_path, "timestamp,open,high,low,close,volume", (T0, T1)))
    path = tmp_path / f"bars.csv{suffix}"
    table.to_csv(path, index=False)
    assert_is_the_two_bars(load(path))


def with_times(times: object) -> pd.DataFrame:
    table = pd.DataFrame(ROWS, columns=list(COLUMNS))
    table.insert(0, "timestamp", times)
    return table


INDEX = pd.DatetimeIndex(["2025-01-01 00:00", "2025-01-01 01:00"])


@pytest.mark.parametrize(
    "table",
    [
        with_times(MILLISECONDS),
        with_times(INDEX),
        with_times(INDEX.as_unit("ns").tz_localize("UTC")),
        with_times(INDEX.tz_localize("UTC").tz_convert("Asia/Seoul")),
        with_times(["2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z"]),
        with_times(MILLISECONDS).set_index("timestamp"),
        with_times(INDEX.tz_localize("UTC")).set_index("timestamp").rename_axis(None),
        with_times(MILLISECONDS).astype({"open": "float32", "volume": "int64", "high": "str"}),
    ],
)
def test_file_feed_parquet_of_any_form_is_read(tmp_path, table):
    table.to_parquet(tmp_path / "bars.parquet")
    assert_is_the_two_bars(load(tmp_path / "bars.parquet"))


def test_file_feed_freqtrade_feather_is_read(tmp_path):
    table = with_times(INDEX.tz_localize("UTC")).rename(columns={"timestamp": "date"})
    table.to_feather(tmp_path / "BTC_USDT-1h.feather")
    assert_is_the_two_bars(load(tmp_path / "BTC_USDT-1h.feather"))


def test_file_feed_binance_dump_takes_the_opening_time(tmp_path):
    lines = [
        ",".join(map(str, [opening, *row, opening + 3_599_999, 704, 12, 3.5, 2.5, 0]))
        for opening, row in zip(MILLISECONDS, ROWS, strict=True)
    ]
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore"
    with_header = write(tmp_path, "\n".join([header, *lines]), "with.csv")
    without = write(tmp_path, "\n".join(lines), "without.csv")
    assert_is_the_two_bars(load(with_header))
    assert_is_the_two_bars(load(without))


def test_file_feed_saved_row_numbers_are_not_taken_for_times(tmp_path):
    with_times(INDEX).to_csv(tmp_path / "bars.csv")  # pandas writes its row numbers, unnamed
    assert_is_the_two_bars(load(tmp_path / "bars.csv"))


def test_file_feed_surer_name_wins_over_an_abbreviation(tmp_path):
    path = write(tmp_path, f"t,o,h,l,c,v,Close,Date\n{T0},1,3,1,2,5,2.5,{T1}\n")
    bars = load(path)
    assert bars["close"].tolist() == [2.5]
    assert bars.index.asi8.tolist() == [T1 * 1000]


def test_file_feed_prices_are_read_to_the_last_bit(tmp_path):
    price = "97124.100000000005820766091346740722656"
    path = write(tmp_path, f"t,o,h,l,c,v\n{T0},{price},{price},{price},{price},1\n")
    assert load(path)["open"].iloc[0] == 97124.1


def test_file_feed_without_volume_reads_zero_and_warns(tmp_path, caplog):
    path = write(tmp_path, f"time,open,high,low,close\n{T0},1,1,1,1\n")
    with caplog.at_level(logging.WARNING):
        assert load(path)["volume"].tolist() == [0.0]
    assert "no column for volume; read as 0" in caplog.text


def test_file_feed_empty_cell_is_left_to_the_check_of_the_loaded_bars(tmp_path):
    path = write(tmp_path, f"time,open,high,low,close,volume\n{T0},1,1,1,,5\n{T1},1,1,1,1,5\n")
    bars = load(path)
    assert bars["close"].isna().tolist() == [True, False]


HEADER = "time,open,high,low,close,volume"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "cannot be read"),
        (f"{HEADER}\n", "the file has no rows"),
        ("time,open,high,volume\n1,2,3,4\n", "no column for low, close; found: time, open, h"),
        ("close_time,o,h,l,c\n1,2,3,4,5\n", "'close_time' is '1' in data row 1"),
        (f"{T0},1,1\n", "no column for low, close; found: time, open, high"),
        ("time,Close,close,o,h,l\n1,2,3,4,5,6\n", "close may be any of the columns 'Close', 'cl"),
        (f"{HEADER}\n{T0},1,1,1,1,1\n{T1},1,1,1,oops,1\n", "'close' is 'oops' in data row 2"),
        (f"{HEADER}\n{T0},1,1,1,1,1\nsoon,1,1,1,1,1\n", "'time' is 'soon' in data row 2"),
        (f"{HEADER}\n{T0},1,1,1,1,1\n,1,1,1,1,1\n", "'time' is empty in data row 2"),
        (f"{HEADER}\n01/02/2025,1,1,1,1,1\n", "'time' is '01/02/2025' in data row 1"),
        (f"{HEADER}\n20251301,1,1,1,1,1\n", "'time' is '20251301' in data row 1"),
        (f"{HEADER}\n0,1,1,1,1,1\n1,1,1,1,1,1\n", r"'time' is '0' in data row 1 \(2 such in all\)"),
        (f"{HEADER}\n{T0},1,1,1,1,1,\n", "more cells than the header"),
        (f"{HEADER}\n{T0},1,1,1,1,1\n{T1},1,1,1,1,1,1,1\n", "cannot be read"),
    ],
)
def test_file_feed_unreadable_text_is_one_clear_sentence(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["b.parquet", "b.feather", "b.csv.gz", "b.zip", "b.xz"])
def test_file_feed_contents_unlike_the_ending_are_refused(tmp_path, name):
    path = write(tmp_path, f"{HEADER}\n{T0},1,1,1,1,1\n", name)
    with pytest.raises(DataError, match=r"cannot be read .*; needed: CSV"):
        load(path)


def test_file_feed_truncated_gzip_is_refused(tmp_path):
    whole = gzip.compress(f"{HEADER}\n{T0},1,1,1,1,1\n".encode() * 1000)
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        load(path)


def test_file_feed_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_bytes(b"time,open,high,low,close\n\xff\xfe\x00\x01,1,1,1,1\n")
    with pytest.raises(DataError, match="cannot be read"):
        load(path)


def test_file_feed_missing_file_folder_or_path_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv: there is no such file"):
        load(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"data\.path: missing"):
        FileFeed().load(request(None))
    with pytest.raises(DataError, match="there is no such file"):
        FileFeed().describe(request(tmp_path / "nowhere.csv"))


def test_file_feed_describe_gives_path_and_checksum_of_the_bytes(tmp_path):
    path = write(tmp_path, "abc")
    described = FileFeed().describe(request(path))
    assert (described.source, described.file, described.synthetic) == ("file", str(path), False)
    assert described.sha256 == hashlib.sha256(b"abc").hexdigest()


def test_data_request_first_is_the_warmup_before_start():
    start, end = pd.Timestamp("2025-01-31", tz="UTC"), pd.Timestamp("2025-02-28", tz="UTC")
    asked = DataRequest("BTC/USD:BTC", "4h", start, end, warmup=30 * 6)
    assert asked.first == pd.Timestamp("2025-01-01", tz="UTC")


def test_feed_without_describe_is_recorded_by_its_class():
    class OwnFeed(Feed):
        def load(self, request: DataRequest) -> pd.DataFrame:
            return pd.DataFrame()

    assert OwnFeed().describe(request(None)) == DataSource("OwnFeed", None, None, synthetic=False)


@pytest.mark.parametrize(
    ("name", "timeframe", "count", "first", "last"),
    [
        ("binance_BTCUSDT_perp_1h.csv.gz", "1h", 53743, "2019-09-08 17:00", "2025-10-25 23:00"),
        ("binance_BTCUSDT_perp_5m.parquet", "5m", 119520, "2024-12-31 00:00", "2026-02-18 23:55"),
        ("bitmex_XBTUSD_1m.parquet", "1m", 1578240, "2018-09-22 00:00", "2021-09-21 23:59"),
        ("okx_BTC-USD-SWAP_1d.csv.gz", "1d", 300, "2024-12-01 16:00", "2025-09-26 16:00"),
    ],
)
def test_file_feed_real_files_are_whole_and_sound(name, timeframe, count, first, last):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no market data at {path}; set CRYPTOSIM_DATA to their folder")
    bars = load(path)
    assert len(bars) == count
    assert bars.index[0] == pd.Timestamp(first, tz="UTC")
    assert bars.index[-1] == pd.Timestamp(last, tz="UTC")
    check_bars(bars, timeframe, name, "error")
