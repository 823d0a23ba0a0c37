"""Files of bars as people have them: all of these are the same four bars, or are refused."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryptosim_bt.data.feed import DataRequest
from cryptosim_bt.errors import DataError
from cryptosim_bt.feeds.file import FileFeed

HOUR = 3_600_000
T0 = 1_735_689_600_000  # 2025-01-01 00:00 UTC
TIMES = [T0 + HOUR * row for row in range(4)]
# open, high, low, close, volume: every order of columns but the right one breaks on some row.
BARS = [
    [100.5, 101.0, 99.5, 100.0, 7.0],
    [100.0, 102.0, 99.0, 101.5, 8.0],
    [101.5, 103.0, 101.0, 102.5, 9.5],
    [102.5, 102.6, 100.1, 100.2, 6.0],
]
ROWS = [[time, *bar] for time, bar in zip(TIMES, BARS, strict=True)]


def request(*paths: Path, **changes: Any) -> DataRequest:
    start, end = pd.Timestamp(T0, unit="ms", tz="UTC"), pd.Timestamp(TIMES[-1], unit="ms", tz="UTC")
    asked = DataRequest("BTC/USDT:USDT", "1h", start, end, warmup=0, paths=paths)
    return replace(asked, **changes)


def load(*paths: Path, **changes: Any) -> pd.DataFrame:
    return FileFeed().load(request(*paths, **changes))


def lines(header: str, order: str = "tohlcv", rows: Any = None, between: str = ",") -> list[str]:
    """Lines of a CSV file; ``order`` says what stands in its columns (0: nothing that counts)."""
    cells = [
        {"t": row[0], "o": row[1], "h": row[2], "l": row[3], "c": row[4], "v": row[5], "0": 5,
         "q": row[4] * row[5], "w": (row[2] + row[3]) / 2, "e": row[0] + HOUR - 1,
         "d": iso(row[0], "%Y.%m.%d"), "k": iso(row[0], "%H:%M:%S"), "i": iso(row[0]),
         "K": iso(row[0] + 9 * HOUR), "s": row[0] // 1000, "m": "BTCUSDT",
         "b": iso(row[0], "%Y-%m-%d %I-%p"), "B": iso(row[0], "%Y/%m/%d %I:%M:%S %p"),
         "N": iso(row[0], "%Y%m%d%H%M%S"), "M": iso(row[0], "%Y%m%d %H%M"),
         "Z": iso(row[0], "%Y%m%dT%H%M%SZ"), "y": iso(row[0], "%Y년 %m월 %d일 %H:%M"),
         "Y": iso(row[0], "%Y. %m. %d. 오전 %I:%M"),
         **{sign: f'"{1000 * price:,.1f}"' for sign, price in zip("OHLC", row[1:5], strict=True)}}
        for row in (ROWS if rows is None else rows)
    ]  # fmt: skip
    body = [between.join(str(row[sign]) for sign in order) for row in cells]
    return ([header] if header else []) + body


def iso(time_ms: int, form: str = "%Y-%m-%dT%H:%M:%S") -> str:
    return pd.Timestamp(time_ms, unit="ms").strftime(form)


def text(*args: Any, **more: Any) -> str:
    return "\n".join(lines(*args, **more)) + "\n"


def assert_is_the_four_bars(bars: pd.DataFrame) -> None:
    assert bars.index.asi8.tolist() == TIMES
    assert bars.to_numpy().tolist() == BARS


NEWEST_FIRST = ROWS[::-1]
USUAL = "timestamp,open,high,low,close,volume"
BINANCE = "open_time,open,high,low,close,volume,close_time,quote_volume,count"
BYBIT = "startTime,openPrice,highPrice,lowPrice,closePrice,volume,turnover"
UPBIT = (
    "market,candle_date_time_utc,candle_date_time_kst,opening_price,high_price,low_price,"
    "trade_price,timestamp,candle_acc_trade_price,candle_acc_trade_volume,unit"
)
# name: the text, and a part of what the log says of it ("" = nothing need be said)
FORMS: dict[str, tuple[str, str]] = {
    "newest first": (text(USUAL, rows=NEWEST_FIRST), "newest first"),
    "months in the wrong order": (text(USUAL, rows=ROWS[2:] + ROWS[:2]), "rows sorted"),
    "an address above": (f"https://x.com\n{text(USUAL)}", "1 line(s) above"),
    "comments above and between": (f"# a, b\n\n{text(USUAL)}# end\n", "1 line(s) above"),
    "a title above": (f"BTCUSDT, 1h candles\n{text(USUAL)}", "1 line(s) above"),
    "header with a hash": (f"# {text(USUAL)}", ""),
    "identical rows again": (text(USUAL, rows=ROWS + ROWS[-1:]), "1 row(s) that came again"),
    "overlapping parts": (text(USUAL, rows=ROWS[:3] + ROWS[1:]), "2 row(s) that came again"),
    "headers again": (text(USUAL, rows=ROWS[:2]) + text(USUAL, rows=ROWS[2:]), "the header came"),
    "MT5": (
        text("<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
             "dkohlc0v0", between="\t"), "date and time joined",
    ),
    "MT4, no header": (text("", "dkohlcv"), "date and time joined"),
    "date as a number": (text("Date,Time,o,h,l,c,v", "dkohlcv").replace("2025.01.01", "20250101"),
                         "joined"),
    "dots in dates": (text("", "iohlcv").replace("2025-01-01T", "2025.01.01 "), "without an off"),
    "a spreadsheet's times": (text(USUAL, "iohlcv").replace("2025-01-01T0", "2025-1-1 "), ""),
    "12-hour date beside unix": (text("unix,date,symbol,o,h,l,c,Volume BTC,Volume USDT",
                                      "tbmohlcvq"), "times from 'unix'"),
    "local date beside unix": (text("date,unix,o,h,l,c,v", "Ksohlcv"), "'date' has no offset"),
    "Korean": (text("시간,시가,고가,저가,종가,거래량"), ""),
    "Korean, in its own zone": (text("일시(KST),시가,고가,저가,종가,거래량", "Kohlcv"), ""),
    "Upbit": (text(UPBIT, "miKohlceqv0"), ""),
    "Upbit without UTC": (text("candle_date_time_kst,opening_price,high_price,low_price,"
                               "trade_price,candle_acc_trade_volume", "Kohlcv"), ""),
    "Bybit": (text(BYBIT, "tohlcvq", NEWEST_FIRST), "newest first"),
    "Binance": (text(BINANCE, "tohlcveq0"), ""),
    "OKX": (text("ts,o,h,l,c,vol,volCcy,volCcyQuote,confirm", "tohlcvqq0", NEWEST_FIRST), ""),
    "CoinAPI": (text("time_period_start,time_period_end,price_open,price_high,price_low,"
                     "price_close,volume_traded", "teohlcv"), ""),
    "volume of a coin": (text("unix,open,high,low,close,Volume ETH,Volume USDT", "tohlcvq"),
                         "'Volume ETH'"),
    "closing times": (text(USUAL, "eohlcv"), "bars close: moved back by 1h"),
    "closing times to the second": (text(USUAL, rows=[[row[0] + HOUR - 1000, *row[1:]]
                                                      for row in ROWS]), "moved back by 1h"),
    "closing times, said twice": (
        text("close_time,time,o,h,l,c,v", "ttohlcv", [[row[0] + HOUR, *row[1:]] for row in ROWS]),
        "moved back by 1h",
    ),
    "closing times alone": (text("close_time,o,h,l,c,v", rows=[[row[0] + HOUR, *row[1:]]
                                                               for row in ROWS]), "moved back"),
    "date and hour as one number": (text(USUAL, "Nohlcv"), "without an offset"),
    "the same to the minute, in text": (text(USUAL, "Mohlcv"), "without an offset"),
    "the same in ISO's short form": (text(USUAL, "Zohlcv"), ""),
    "Korean date": (text(USUAL, "yohlcv"), "without an offset"),
    "Korean date and half of the day": (text(USUAL, "Yohlcv"), "without an offset"),
    "12-hour date alone": (text(USUAL, "bohlcv"), "without an offset"),
    "12-hour clock": (text(USUAL, "Bohlcv"), "without an offset"),
    "thousands": (text(USUAL, "tOHLCv"), "commas in numbers read as thousands"),
    "decimal commas": (text(USUAL.replace(",", ";"), "tohlcv", between=";").replace(".", ","),
                       "read as decimal points"),
    "no header: Binance": (text("", "tohlcveq0"), ""),
    "no header: Coinbase": (text("", "slhocv", NEWEST_FIRST), "time, low, high, open, close"),
    "no header: Bitfinex": (text("", "tochlv", NEWEST_FIRST), "time, open, close, high, low"),
    "no header: Gate": (text("", "sqchlov"), "quote volume, close, high, low, open, volume"),
    "no header: Kraken": (text("", "sohlcwv0"), "close, vwap, volume"),
    "no header: Kraken's files": (text("", "sohlcv0"), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_form_of_csv_is_the_four_bars_and_said(tmp_path: Path, name: str, caplog: Any) -> None:
    form, said = FORMS[name]
    path = tmp_path / "bars.csv"
    path.write_text(form, encoding="utf-8")
    with caplog.at_level(logging.INFO):
        bars = load(path)
    thousand = 1000.0 if name == "thousands" else 1.0
    assert_is_the_four_bars(bars / [*[thousand] * 4, 1.0])
    assert said in caplog.text
    of_the_file = [record for record in caplog.records if record.name.endswith("tabular")]
    assert len(of_the_file) <= 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_encoding_of_korean_text_is_found(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(FORMS["Korean"][0], encoding=encoding)
    assert_is_the_four_bars(load(path))


OBJECTS = [dict(zip(USUAL.split(","), row, strict=True)) for row in ROWS]
TEXTS = [[str(cell) for cell in row] for row in ROWS]
COLUMNS = {name: [row[i] for row in ROWS] for i, name in enumerate("tohlcv")}
JSON: dict[str, Any] = {
    "arrays": ROWS,
    "texts": TEXTS,
    "objects": OBJECTS,
    "in data": {"code": "0", "msg": "", "data": TEXTS[::-1]},
    "Bybit": {"retCode": 0, "result": {"symbol": "BTCUSDT", "list": TEXTS[::-1]}, "time": 5},
    "Kraken": {"error": [], "result": {"XXBTZUSD": [
        [row[0] // 1000, *row[1:5], (row[2] + row[3]) / 2, row[5], 3] for row in ROWS], "last": 1}},
    "Coinbase": [[row[0] // 1000, row[3], row[2], row[1], row[4], row[5]] for row in NEWEST_FIRST],
    "Gate": [{"t": row[0] // 1000, "v": row[5], "c": str(row[4]), "h": str(row[2]),
              "l": str(row[3]), "o": str(row[1]), "sum": "9"} for row in ROWS],
    "columns": {"s": "ok", **COLUMNS},
    "columns in data": {"success": True, "data": COLUMNS},
    "header row": [USUAL.split(","), *ROWS],
    "pandas, columns": {name: dict(zip("0123", COLUMNS[name], strict=True)) for name in COLUMNS},
    "pandas, index": {str(n): row for n, row in enumerate(OBJECTS)},
    "a row a time": {str(row["timestamp"]): {k: v for k, v in row.items() if k != "timestamp"}
                     for row in OBJECTS},
    "Deribit": {"result": {"status": "ok", "ticks": COLUMNS["t"], "open": COLUMNS["o"],
                           "high": COLUMNS["h"], "low": COLUMNS["l"], "close": COLUMNS["c"],
                           "volume": COLUMNS["v"], "cost": COLUMNS["v"]}},
    "pandas, split": {"columns": USUAL.split(","), "index": [0, 1, 2, 3], "data": ROWS},
}  # fmt: skip


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("file", ["bars.json", "bars.txt"])
def test_form_of_json_is_the_four_bars(tmp_path: Path, name: str, file: str) -> None:
    (tmp_path / file).write_text(json.dumps(JSON[name]))
    assert_is_the_four_bars(load(tmp_path / file))


def test_json_of_one_object_a_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "bars.jsonl").write_text("\n".join(map(json.dumps, OBJECTS)))
    assert_is_the_four_bars(load(tmp_path / "bars.jsonl"))


# ---------------------------------------------------------------------- several files
HALVES = {"b.csv": text(USUAL, rows=ROWS[:2]), "a.csv": text(USUAL, rows=ROWS[1:])}


def written(folder: Path, files: dict[str, str]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]


def test_list_folder_and_zip_are_put_together(tmp_path: Path, caplog: Any) -> None:
    paths = written(tmp_path / "parts", {**HALVES, "README.md": "x", ".hidden.csv": "x"})
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"in/{path.name}")
        archive.writestr("__MACOSX/a.csv", "x")
    with caplog.at_level(logging.INFO):
        assert_is_the_four_bars(load(*paths[:2]))
        assert_is_the_four_bars(load(tmp_path / "parts"))
        assert_is_the_four_bars(load(tmp_path / "parts.zip"))
    assert caplog.text.count("2 files put together") == 3
    assert "left out of the folder: README.md" in caplog.text


def test_folder_of_archives_and_parquet_is_read(tmp_path: Path) -> None:
    (tmp_path / "1.csv.gz").write_bytes(gzip.compress(text(USUAL, rows=ROWS[:1]).encode()))
    with zipfile.ZipFile(tmp_path / "2.zip", "w") as archive:
        archive.writestr("2.csv", text(USUAL, rows=ROWS[1:2]))
    table = pd.DataFrame(ROWS[2:], columns=USUAL.split(","))
    table.to_parquet(tmp_path / "3.parquet")
    assert_is_the_four_bars(load(tmp_path))


def test_several_files_are_described_together_and_by_content(tmp_path: Path) -> None:
    paths = written(tmp_path, HALVES)
    described = FileFeed().describe(request(*paths))
    assert described.file == f"{paths[0]}; {paths[1]}"
    as_folder = FileFeed().describe(request(tmp_path))
    assert as_folder.sha256 != described.sha256  # in another order
    paths[0].write_text("changed")
    assert FileFeed().describe(request(tmp_path)).sha256 != as_folder.sha256


# ---------------------------------------------------------------------- time zones
@pytest.mark.parametrize(
    ("zone", "run_zone", "shift", "warns"),
    [
        (None, "UTC", 9, False),  # read as UTC, and the run thinks in UTC
        (None, "Asia/Seoul", 9, True),
        ("Asia/Seoul", "UTC", 0, False),
        ("UTC", "Asia/Seoul", 9, False),
    ],
)
def test_local_times_are_of_the_zone_that_is_told(
    tmp_path: Path, caplog: Any, zone: str | None, run_zone: str, shift: int, warns: bool
) -> None:
    (path,) = written(tmp_path, {"bars.csv": text(USUAL, "Kohlcv")})
    bars = load(path, zone=zone and ZoneInfo(zone), run_zone=ZoneInfo(run_zone))
    assert bars.index.asi8.tolist() == [time + shift * HOUR for time in TIMES]
    assert ("data.timezone" in caplog.text) == warns


@pytest.mark.parametrize("rows", [slice(None), slice(None, None, -1)])
def test_local_hour_that_comes_twice_is_read_in_its_order(tmp_path: Path, rows: slice) -> None:
    # New York, 2024-11-03: 01:00 summer time is 05:00 UTC, 01:00 winter time 06:00 UTC.
    local = ["2024-11-03 00:00", "2024-11-03 01:00", "2024-11-03 01:00", "2024-11-03 02:00"]
    table = [f"{time},{','.join(map(str, bar))}" for time, bar in zip(local, BARS, strict=True)]
    (path,) = written(tmp_path, {"bars.csv": "\n".join([USUAL, *table[rows]])})
    bars = load(path, zone=ZoneInfo("America/New_York"))
    assert bars.index.hour.tolist() == [4, 5, 6, 7]
    assert bars.to_numpy().tolist() == BARS


# ---------------------------------------------------------------------- refused
FLAT = [[time, 100.0, high, 100.0, high, 5.0] for time, high in zip(TIMES, (101, 102, 103, 104),
                                                                   strict=True)]  # fmt: skip
REFUSED: dict[str, tuple[str, str]] = {
    "two orders of columns": (text("", "tochlv", FLAT), "open, close, volume or as time, open, cl"),
    "one time, two prices": (text(USUAL, rows=[*ROWS, [*ROWS[3][:5], 1.0]]), "different figures"),
    "two markets": (f"symbol,{text(USUAL, 'tohlcv')}".replace("17356", "BTC,17356", 1)
                    .replace("\n17356", "\nETH,17356"), "names several markets: BTC, ETH"),
    "day first": (text(USUAL, "tohlcv").replace(str(T0), "05.02.2025"), "'05.02.2025'"),
    "slashes": (text(USUAL, "tohlcv").replace(str(T0), "05/02/2025"), "'05/02/2025'"),
    "year of two digits": (text(USUAL, "tohlcv").replace(str(T0), "25-01-05"), "'25-01-05'"),
    "a year behind 2200": (text(USUAL).replace(str(T0), "8" * 13), "'8{13}'|8888888888888"),
    "no such hour": (text(USUAL).replace(str(T0), "2025-01-01 13-PM"), "'2025-01-01 13-PM'"),
    "no such month": (text(USUAL, "Nohlcv").replace("202501", "202513"), "is '20251301000000' in"),
    "commas of two readings": (text(USUAL, "tohlcv").replace("101.0", '"101,000"'), "'101,000'"),
    "commas of both": (text(USUAL, "tohlcv").replace("101.0", '"1,010.5"').replace("99.5", '"9,5"'),
                       "needed: a number"),
    "now": (text(USUAL, "tohlcv").replace(str(T0), "now"), "'now'"),
    "some with an offset": (text(USUAL, "iohlcv").replace("T02:00:00", "T02:00:00Z"),
                            "first other in data row 3"),
    "one closing time": (text(USUAL, "eohlcv", ROWS[:1]), "at which a bar closes"),
    "two volumes of coins": (text("t,o,h,l,c,Volume BTCX,Volume ETH", "tohlcvq"), "may be any of"),
    "two columns of one name": (text("t,o,h,l,close,close", "tohlcv"), "close may be any of"),
    "a long cell": (text(USUAL).replace("101.0", "x" * 5000), r"\.\.\. \(5,002 signs\)"),
    "a table in a table": (json.dumps({"a": ROWS, "b": ROWS}), "holds 2 tables"),
    "JSON of no table": (json.dumps({"code": 1, "msg": "no"}), "no rows"),
    "nested JSON": ("[" * 100_000, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_sure_is_refused_in_one_short_sentence(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    path = tmp_path / "bars.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert len(str(caught.value)) < 800
    assert "\n" not in str(caught.value)


def test_local_time_that_never_was_is_refused(tmp_path: Path) -> None:
    content = text(USUAL, "iohlcv").replace("2025-01-01T02", "2025-03-09T02")
    (path,) = written(tmp_path, {"bars.csv": content})
    with pytest.raises(DataError, match=r"2025-03-09T02:00:00.* in data row 3.*America/New_York"):
        load(path, zone=ZoneInfo("America/New_York"))


def a_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.csv")
    return folder / "pipe.csv"


def a_gzip_bomb(folder: Path) -> Path:
    with gzip.open(folder / "bomb.csv.gz", "wb", compresslevel=1) as file:
        for _ in range(65):
            file.write(b"\0" * 2**20)
    return folder / "bomb.csv.gz"


def a_zip_bomb(folder: Path) -> Path:
    deflated = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(folder / "bomb.zip", "w", deflated, compresslevel=1) as archive:
        archive.writestr("bars.csv", b"\0" * (65 * 2**20))
    return folder / "bomb.zip"


def a_parquet_bomb(folder: Path) -> Path:
    many = pa.table({name: pa.nulls(2_000_000, pa.float64()) for name in USUAL.split(",")})
    with pq.ParquetWriter(folder / "bomb.parquet", many.schema) as writer:
        for _ in range(25):
            writer.write_table(many)
    return folder / "bomb.parquet"


def a_sparse_file(folder: Path) -> Path:
    with (folder / "sparse.csv").open("wb") as file:
        file.truncate(2**40)
    return folder / "sparse.csv"


def a_locked_archive(folder: Path) -> Path:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("bars.csv", text(USUAL))
    raw = bytearray(data.getvalue())
    raw[6] |= 1  # the flag "encrypted", in the member's header and in the directory
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (folder / "locked.zip").write_bytes(raw)
    return folder / "locked.zip"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: Path("/dev/zero"), "device or a pipe"),
        (a_fifo, "device or a pipe"),
        (lambda folder: folder, "folder without a file"),
        (lambda _: Path("a\0b"), "cannot be read"),
        (lambda _: Path("x" * 5000), "cannot be read"),
        (a_gzip_bomb, "holds more than 64 MB"),
        (a_zip_bomb, "holds more than 64 MB"),
        (a_sparse_file, "holds more than 2,048 MB"),
        (a_parquet_bomb, "are too many"),
        (a_locked_archive, "cannot be read .*password"),
        (lambda folder: written(folder, {"bars.xlsx": "x"})[0], "save its sheet as CSV"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_what_is_no_file_of_bars_is_refused_in_one_short_sentence(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(make(tmp_path))
    assert len(str(caught.value)) < 1_700
