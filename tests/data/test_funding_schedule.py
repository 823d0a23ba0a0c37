"""Funding times and rates over a window, and the holes of a series (R22)."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from cryptosim_bt.data.funding import constant_funding, read_funding_file, series_funding
from cryptosim_bt.errors import DataError

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CRYPTOSIM_DATA", REPOSITORY.parent / "shared" / "data"))

HOUR = 3_600_000
DAY0 = 1_735_689_600_000  # 2025-01-01 00:00 UTC


def at(hour: float) -> pd.Timestamp:
    return pd.Timestamp(DAY0 + int(hour * HOUR), unit="ms", tz="UTC")


def make_series(*hours: float) -> pd.Series:
    """Rates at these hours of 2025-01-01, each a thousandth of its hour."""
    times = pd.DatetimeIndex([at(hour) for hour in hours])
    return pd.Series([hour / 1000 for hour in hours], index=times)


def hours_of(times_ms) -> list[float]:
    return [(time - DAY0) / HOUR for time in times_ms]


def write(folder: Path, text: str) -> Path:
    path = folder / "funding.csv"
    path.write_text(text)
    return path


# A constant rate


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        (0, 24, [0, 8, 16]),
        (1, 24, [8, 16]),
        (8, 16, [8]),  # the end is exclusive
        (-9, 9, [-8, 0, 8]),  # Seoul's midnight
        (15, 34, [16, 24, 32]),
        (9, 16, []),
    ],
)
def test_constant_funding_window_holds_its_times(start, end, hours):
    events = constant_funding(0.0001, ["00:00", "08:00", "16:00"], at(start), at(end))
    assert events == [(DAY0 + hour * HOUR, 0.0001) for hour in hours]


def test_constant_funding_times_in_any_order_come_ascending_and_once():
    events = constant_funding(0.001, ["16:00", "4:30", "16:00"], at(0), at(48))
    assert hours_of(time for time, _ in events) == [4.5, 16, 28.5, 40]


def test_constant_funding_rate_of_zero_is_no_funding():
    assert constant_funding(0.0, ["00:00"], at(0), at(48)) == []


@pytest.mark.parametrize("time", ["24:00", "8", "08:60", "08:00:00", "noon", "-1:00"])
def test_constant_funding_wrong_time_of_day_is_refused(time):
    with pytest.raises(DataError, match=f"backtest.funding.times: '{time}' is no time of day"):
        constant_funding(0.0001, [time], at(0), at(24))


# A series


def test_series_funding_whole_series_is_cut_to_the_window():
    schedule = series_funding(make_series(0, 8, 16, 24, 32), at(8), at(32), "error")
    assert hours_of(schedule.times_ms) == [8, 16, 24]
    assert schedule.rates.tolist() == [0.008, 0.016, 0.024]
    assert (schedule.expected, schedule.missing, schedule.first_missing) == (3, 0, None)


@pytest.mark.parametrize(
    ("hours", "start", "end", "missing", "total", "first"),
    [
        ((0, 8, 24, 32), 0, 40, 1, 5, 16),  # a hole of one
        ((0, 8, 32, 40, 48), 0, 56, 2, 7, 16),  # a hole of two
        ((0, 8, 32, 40, 48), 17, 56, 1, 4, 24),  # a hole that begins before the window
        ((8, 16, 24), 0, 32, 1, 4, 0),  # begins after the window does
        ((16, 24, 32), -1, 40, 2, 5, 0),
        ((0, 8, 16), 0, 48, 3, 6, 24),  # ends before the window does
        ((0, 8, 16), 40, 60, 3, 3, 40),  # lies before the window
        ((80, 88, 96), 40, 60, 3, 3, 40),  # lies behind the window
        ((0, 8, 15, 23, 31), 0, 39, 0, 5, None),  # a shorter step is no hole
        ((0, 8, 17, 25, 33), 0, 40, 1, 6, 16),  # a step a bit too long is one
    ],
)
def test_series_funding_holes_are_counted(hours, start, end, missing, total, first):
    series = make_series(*hours)
    schedule = series_funding(series, at(start), at(end), "zero")
    assert (schedule.missing, schedule.expected) == (missing, total)
    assert schedule.first_missing == (None if first is None else at(first))
    assert len(schedule.times_ms) == len(schedule.rates) == total
    if missing:
        match = f"funding: {missing} of {total} funding times .*, the first 2025-01-0"
        with pytest.raises(DataError, match=match):
            series_funding(series, at(start), at(end), "error")


@pytest.mark.parametrize(
    ("missing", "rates"),
    [("zero", [0.008, 0.0, 0.0, 0.032, 0.040]), ("last", [0.008, 0.008, 0.008, 0.032, 0.040])],
)
def test_series_funding_missing_rates_are_taken_as_told(missing, rates, caplog):
    with caplog.at_level(logging.WARNING):
        schedule = series_funding(make_series(0, 8, 32, 40), at(8), at(48), missing, "rates.csv")
    assert hours_of(schedule.times_ms) == [8, 16, 24, 32, 40]
    assert schedule.rates.tolist() == rates
    assert "rates.csv: 2 of 5 funding times" in caplog.text
    assert "the first 2025-01-01T16:00:00Z" in caplog.text


def test_series_funding_last_takes_a_rate_from_before_the_window():
    schedule = series_funding(make_series(0, 8, 24), at(9), at(20), "last")
    assert (hours_of(schedule.times_ms), schedule.rates.tolist()) == ([16], [0.008])


def test_series_funding_last_without_a_rate_before_is_refused():
    with pytest.raises(DataError, match="missing: last needs a rate before it"):
        series_funding(make_series(16, 24, 32), at(0), at(40), "last")


def test_series_funding_window_without_funding_times_is_empty():
    schedule = series_funding(make_series(0, 8, 16), at(9), at(10), "error")
    assert (len(schedule.times_ms), schedule.expected, schedule.missing) == (0, 0, 0)


def test_series_funding_single_rate_is_refused():
    with pytest.raises(DataError, match="one rate tells no funding interval"):
        series_funding(make_series(0), at(0), at(8), "zero")


@pytest.mark.parametrize(
    ("hours", "end", "missing"),
    [
        ([*range(0, 80, 8), *range(80, 100)], 100, 0),  # 8 h, then 1 h: the venue changed it
        ([*range(20), *range(24, 96, 8)], 96, 0),  # 1 h, then 8 h, with fewer rates than of 1 h
        ([*range(0, 48, 8), *range(48, 60, 4), *range(60, 80)], 80, 0),  # 8 h, 4 h, 1 h
        ([*range(0, 80, 8), *range(80, 90), *range(93, 110)], 110, 3),  # a hole in the hours
        ([*range(0, 80, 8), *range(96, 120)], 120, 2),  # one at the change: 8 h were usual before
        ([0, 8, 24, 40, 56, 64, 72, 80, 88], 96, 3),  # 16 h is no venue's interval
        ([*range(0, 40, 8), *range(40, 60)], 70, 10),  # ends early, in hours
    ],
)
def test_series_funding_interval_may_change(hours, end, missing, caplog):
    schedule = series_funding(make_series(*hours), at(0), at(end), "zero")
    assert schedule.missing == missing
    assert schedule.expected == len(hours) + missing


# Files


def test_read_funding_file_says_that_the_interval_changes(tmp_path, caplog):
    times = [DAY0 // 1000 + hour * 3600 for hour in [*range(0, 40, 8), *range(40, 50)]]
    rows = "".join(f"{time},0.0001\n" for time in times)
    with caplog.at_level(logging.INFO):
        read_funding_file(write(tmp_path, "timestamp,funding_rate\n" + rows))
    assert "the funding interval changes: 8h, then 1h from 2025-01-02T16:00:00Z" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        # OKX: what was paid, not what was predicted
        "fundingRate,fundingTime,method,realizedRate\n"
        "0.0009,1735689600000,next,0.0001\n0.0009,1735718400000,next,-0.00025\n",
        # Bybit: newest first
        "symbol,fundingRate,fundingRateTimestamp\n"
        "BTCUSDT,-0.00025,1735718400000\nBTCUSDT,0.0001,1735689600000\n",
        # Binance's web page
        "Time,Contracts,Funding Interval,Funding Rate\n"
        "2025-01-01 08:00:00,BTCUSDT Perpetual,8h,-0.0250%\n"
        "2025-01-01 00:00:00,BTCUSDT Perpetual,8h,0.0100%\n",
        "timestamp,Funding rate (%)\n1735689600,0.01\n1735718400,-0.025\n",
        '[{"coin": "BTC", "fundingRate": "0.0001", "time": 1735689600003},'
        ' {"coin": "BTC", "fundingRate": "-0.00025", "time": 1735718400002}]',
        '{"rates": [{"timestamp": "2025-01-01T00:00:00Z", "fundingRate": 9.3,'
        ' "relativeFundingRate": 0.0001}, {"timestamp": "2025-01-01T08:00:00Z",'
        ' "fundingRate": -22.0, "relativeFundingRate": -0.00025}]}',
    ],
)
def test_read_funding_file_exports_of_exchanges_are_understood(tmp_path, text):
    series = read_funding_file(write(tmp_path, text))
    assert hours_of(series.index.as_unit("ms").asi8) == [0, 8]
    assert series.tolist() == pytest.approx([0.0001, -0.00025], rel=1e-15)


def test_read_funding_file_some_rates_with_a_sign_of_per_cent_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"'0\.0100%' in data row 2"):
        read_funding_file(write(tmp_path, "t,rate\n1735689600,0.0001\n1735718400,0.0100%\n"))


def test_read_funding_file_large_rates_are_warned_of(tmp_path, caplog):
    read_funding_file(write(tmp_path, "t,rate\n1735689600,0.0001\n1735718400,0.01\n"))
    assert "the funding rate 0.01 at 2025-01-01T08:00:00Z is a fraction, 1 %" in caplog.text
    assert "(1 of 2 rates are 1 % or more)" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "timestamp,funding_rate\n2025-01-01T00:00:00Z,0.0001\n2025-01-01T08:00:00Z,-0.00025\n",
        "fundingTime,fundingRate\n1735689600000,0.0001\n1735718400000,-0.00025\n",
        "calc_time,funding_interval_hours,last_funding_rate\n"
        "1735689600003,8,0.0001\n1735718399995,8,-0.00025\n",
        "1735689600,0.0001\n1735718400,-0.00025\n",
    ],
)
def test_read_funding_file_usual_forms_are_understood(tmp_path, text):
    series = read_funding_file(write(tmp_path, text))
    assert series.name == "funding_rate"
    assert hours_of(series.index.as_unit("ms").asi8) == [0, 8]
    assert series.tolist() == [0.0001, -0.00025]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1735689600,0.1\n1735689600,0.2\n", "the same time comes twice at 2025-01-01T00:00:00Z"),
        ("1735689600,0.1\n1735718400,\n", r"is missing .* 2025-01-01T08:00:00Z \(1 in all"),
        ("1735689600,0.1\n1735718400,x\n", "'funding_rate' is 'x' in data row 2"),
        ("1735689600,0.1\n", "there is one funding rate only"),
        ("", "the file has no rows"),
    ],
)
def test_read_funding_file_wrong_rows_are_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=f"funding.csv: .*{message}"):
        read_funding_file(write(tmp_path, "timestamp,funding_rate\n" + rows))


@pytest.mark.parametrize(
    ("zone", "first", "warns"), [(None, 0, True), ("Asia/Seoul", -9, False), ("UTC", 0, False)]
)
def test_read_funding_file_local_times_are_of_the_zone_that_is_told(
    tmp_path, caplog, zone, first, warns
):
    path = write(tmp_path, "time,rate\n2025-01-01 00:00,0.0001\n2025-01-01 08:00,0.0002\n")
    rates = read_funding_file(path, zone and ZoneInfo(zone), ZoneInfo("Asia/Seoul"))
    assert hours_of(rates.index.asi8) == [first, first + 8]
    assert ("data.timezone" in caplog.text) == warns


def test_read_funding_file_bars_are_no_funding_rates(tmp_path):
    with pytest.raises(DataError, match="no column for funding_rate; found: time, open, close"):
        read_funding_file(write(tmp_path, "time,open,close\n1735689600,1,1\n"))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("binance_BTCUSD_PERP_coinm_funding_8h.csv.gz", 458),
        ("binance_BTCUSDT_perp_funding_8h.csv.gz", 7028),
        ("binance_ETHUSDT_perp_funding_8h.csv.gz", 6479),
    ],
)
def test_read_funding_file_real_files_have_93_times_in_january(name, count):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no market data at {path}; set CRYPTOSIM_DATA to their folder")
    series = read_funding_file(path)
    schedule = series_funding(series, at(0), at(31 * 24), "error")
    assert len(series) == count
    assert (schedule.expected, schedule.missing) == (31 * 3, 0)
