"""The checks of a bar table, gap filling, and the window that a run loads (R1-R3)."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt.data.bars import (
    COLUMNS,
    as_bar_table,
    check_bars,
    fill_gaps,
    select_window,
    usual_step,
)
from cryptosim_bt.data.timeframe import (
    TIMEFRAMES,
    duration_text,
    iso_utc,
    milliseconds,
    to_milliseconds,
)
from cryptosim_bt.errors import DataError

HOUR = 3_600_000


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def make_bars(*hours: float, first: str = "2025-01-01") -> pd.DataFrame:
    """Bars at these hours after `first`: closes 100 + hour, high and low one above and below."""
    times = utc(first) + pd.to_timedelta(list(hours), unit="h")
    close = 100.0 + np.array(hours, dtype=float)
    return pd.DataFrame(
        {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 5.0},
        index=pd.DatetimeIndex(times, name="time").as_unit("ms"),
    )


def window(bars, start_hour, end_hour, warmup=0, gaps="error", timeframe="1h"):
    start = utc("2025-01-01") + pd.Timedelta(hours=start_hour)
    end = utc("2025-01-01") + pd.Timedelta(hours=end_hour)
    return select_window(bars, start, end, warmup, timeframe, gaps, "bars.csv")


def hours_of(bars: pd.DataFrame) -> list[float]:
    return ((bars.index - utc("2025-01-01")) / pd.Timedelta(hours=1)).tolist()


# Times


@pytest.mark.parametrize(
    ("timeframe", "minutes"),
    [("1m", 1), ("3m", 3), ("5m", 5), ("15m", 15), ("30m", 30), ("1h", 60), ("2h", 2 * 60),
     ("4h", 4 * 60), ("6h", 6 * 60), ("12h", 12 * 60), ("1d", 24 * 60)],
)  # fmt: skip
def test_milliseconds_every_timeframe_is_its_minutes(timeframe, minutes):
    assert milliseconds(timeframe) == TIMEFRAMES[timeframe] == minutes * 60 * 1000


def test_milliseconds_unknown_timeframe_is_refused():
    with pytest.raises(DataError, match=r"timeframe: unknown '7m'; known: 1m, 3m"):
        milliseconds("7m")


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (utc("2025-01-01"), "2025-01-01T00:00:00Z"),
        (pd.Timestamp("2025-01-01", tz="Asia/Seoul"), "2024-12-31T15:00:00Z"),
        (1_735_689_600_000, "2025-01-01T00:00:00Z"),
        (1_735_689_600_250, "2025-01-01T00:00:00.250Z"),
    ],
)
def test_iso_utc_any_time_ends_in_z(time, text):
    assert iso_utc(time) == text


@pytest.mark.parametrize(
    ("length_ms", "text"),
    [(HOUR, "1h"), (90 * 60_000, "90m"), (7 * 24 * HOUR, "7d"), (3 * HOUR, "3h"), (1500, "1500ms")],
)
def test_duration_text_length_is_written_in_its_largest_unit(length_ms, text):
    assert duration_text(length_ms) == text


def test_to_milliseconds_local_time_counts_from_utc():
    assert to_milliseconds(pd.Timestamp("1970-01-01 09:00:01", tz="Asia/Seoul")) == 1000


# The form of the table


def test_as_bar_table_other_unit_zone_and_order_are_brought_into_form():
    bars = make_bars(0, 1)
    other = bars[list(reversed(COLUMNS))].astype({"volume": "int64"}).assign(trades=3)
    other.index = bars.index.tz_convert("Asia/Seoul").as_unit("ns").rename("date")
    pd.testing.assert_frame_equal(as_bar_table(other, "feed"), bars, check_freq=False)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda bars: bars.iloc[:0], "feed: there are no bars"),
        (lambda bars: bars.drop(columns=["low", "close"]), "low, close missing; found: open"),
        (lambda bars: bars.tz_localize(None), "needed: a DatetimeIndex in UTC"),
        (lambda bars: bars.reset_index(drop=True), "the index of bars is RangeIndex"),
        (lambda bars: bars.assign(open="abc"), "hold something else than numbers"),
        (lambda bars: bars.set_index(bars.index.where([True, False])), "1 bars have no time"),
    ],
)
def test_as_bar_table_wrong_form_is_refused(spoil, message):
    with pytest.raises(DataError, match=message):
        as_bar_table(spoil(make_bars(0, 1)), "feed")


# Checks


def test_check_bars_sound_bars_pass():
    check_bars(make_bars(0, 1, 2, 3), "1h", "bars.csv", "error")


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("open", np.nan, "open is missing or not finite"),
        ("close", np.inf, "close is missing or not finite"),
        ("volume", np.nan, "volume is missing or not finite"),
        ("low", 0.0, "low is not above zero"),
        ("open", -1.0, "open is not above zero"),
        ("volume", -0.1, "volume is below zero"),
        ("high", 101.9, "high is below open, low or close"),
        ("low", 102.1, "low is above open or close"),
    ],
)
def test_check_bars_wrong_value_names_fault_time_and_count(column, value, fault):
    bars = make_bars(0, 1, 2, 3, 4)
    bars.loc[bars.index[2:4], column] = value
    place = r"at 2025-01-01T02:00:00Z \([12] bars? in all\)"
    with pytest.raises(DataError, match=f"bars.csv: {fault} {place}"):
        check_bars(bars, "1h", "bars.csv", "error")


def test_check_bars_volume_of_zero_passes():
    check_bars(make_bars(0, 1, 2).assign(volume=0.0), "1h", "bars.csv", "error")


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        ((0, 2, 1, 3), r"times go backward at 2025-01-01T01:00:00Z \(1 such row\)"),
        ((3, 2, 1, 0), r"times go backward at 2025-01-01T02:00:00Z \(3 such rows\)"),
        ((0, 1, 1, 1, 2), r"comes twice at 2025-01-01T01:00:00Z \(2 rows too many\)"),
        ((0, 1, 2, 4, 7), r"3 1h bars are missing, the first at 2025-01-01T03:00:00Z"),
        ((0, 1, 2, 4), r"1 1h bar is missing, the first at 2025-01-01T03:00:00Z"),
        ((0, 1, 2, 3.5, 4), r"the bar at 2025-01-01T03:30:00Z \(1 bar in all\) does not lie a"),
        ((0, 4, 8, 12), r"the bars are 4h apart, but timeframe is 1h"),
        ((0, 0.25, 0.5, 0.75), r"the bars are 15m apart, but timeframe is 1h"),
    ],
)
def test_check_bars_wrong_times_are_refused(hours, message):
    with pytest.raises(DataError, match=message):
        check_bars(make_bars(*hours), "1h", "bars.csv", "error")


def test_check_bars_gaps_kept_pass_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        check_bars(make_bars(0, 1, 2, 5), "1h", "bars.csv", "keep")
    assert "2 1h bars are missing, the first at 2025-01-01T03:00:00Z" in caplog.text


@pytest.mark.parametrize("gaps", ["fill", "keep"])
def test_check_bars_off_grid_is_refused_whatever_gaps_says(gaps):
    with pytest.raises(DataError, match="does not lie a whole number of 1h"):
        check_bars(make_bars(0, 1, 2, 3.5), "1h", "bars.csv", gaps)


@pytest.mark.parametrize(
    ("times", "step"), [([], None), ([5], None), ([0, 8, 16, 32], 8), ([0, 8, 24], 8)]
)
def test_usual_step_most_common_wins_and_the_smaller_of_equals(times, step):
    assert usual_step(np.array(times, dtype=np.int64)) == step


# Filling


def test_fill_gaps_missing_bars_are_flat_at_the_previous_close(caplog):
    with caplog.at_level(logging.WARNING):
        filled = fill_gaps(make_bars(0, 3), "1h")
    assert hours_of(filled) == [0, 1, 2, 3]
    flat = [100.0, 100.0, 100.0, 100.0, 0.0]
    assert filled.to_numpy().tolist() == [
        [100.0, 101.0, 99.0, 100.0, 5.0], flat, flat, [103.0, 104.0, 102.0, 103.0, 5.0]
    ]  # fmt: skip
    assert "filled 2 missing 1h bars, the first at 2025-01-01T01:00:00Z" in caplog.text


def test_fill_gaps_without_gaps_changes_and_says_nothing(caplog):
    bars = make_bars(0, 1, 2)
    pd.testing.assert_frame_equal(fill_gaps(bars, "1h"), bars)
    assert caplog.text == ""


def test_fill_gaps_until_a_time_fills_behind_the_last_bar():
    until = to_milliseconds(utc("2025-01-01 04:00"))
    assert hours_of(fill_gaps(make_bars(0, 1), "1h", until)) == [0, 1, 2, 3]


def test_fill_gaps_input_is_left_as_it_was():
    bars = make_bars(0, 2)
    before = bars.copy(deep=True)
    fill_gaps(bars, "1h")
    pd.testing.assert_frame_equal(bars, before)


# The window


def test_select_window_january_in_seoul_is_720_and_744_bars():
    bars = make_bars(*range(100 * 24), first="2024-11-01")
    start = pd.Timestamp("2025-01-01", tz="Asia/Seoul")
    end = pd.Timestamp("2025-02-01", tz="Asia/Seoul")
    loaded, warmup = select_window(bars, start, end, 720, "1h", "error", "bars.csv")
    assert (warmup, len(loaded)) == (720, 720 + 31 * 24)
    assert loaded.index[0] == utc("2024-12-31 15:00") - pd.Timedelta(hours=720)
    assert loaded.index[warmup] == utc("2024-12-31 15:00")
    assert loaded.index[-1] == utc("2025-01-31 14:00")


def test_select_window_day_bars_opening_at_16_utc_are_taken_by_their_opening():
    days = [16 + 24 * day for day in range(10)]
    loaded, _ = window(make_bars(*days), 5 * 24, 8 * 24, warmup=3, timeframe="1d")
    # Openings in [120 h, 192 h): 16 + 24 * 5 = 136, 160, 184; before it 64, 88, 112.
    assert hours_of(loaded) == [64, 88, 112, 136, 160, 184]


def test_select_window_too_few_warmup_bars_says_how_many_and_from_when():
    message = (
        "bars.csv: the warm-up needs 5 1h bars before the start 2025-01-01T03:00:00Z, there are 3; "
        "data are needed from 2024-12-31T22:00:00Z, they begin at 2025-01-01T00:00:00Z"
    )
    with pytest.raises(DataError, match=message):
        window(make_bars(*range(10)), 3, 6, warmup=5)


@pytest.mark.parametrize("gaps", ["error", "fill", "keep"])
def test_select_window_data_beginning_after_start_are_refused(gaps):
    with pytest.raises(DataError, match="begin at 2025-01-01T04:00:00Z, after the start"):
        window(make_bars(4, 5, 6, 7), 3, 7, gaps=gaps)


@pytest.mark.parametrize(("start", "end"), [(20, 30), (-9, 0), (3, 3)])
def test_select_window_without_bars_names_window_and_data(start, end):
    data = "the bars run from 2025-01-01T00:00:00Z to 2025-01-01T09:00:00Z"
    with pytest.raises(DataError, match=f"no bar lies in the window .*{data}"):
        window(make_bars(*range(10)), start, end)


def test_select_window_data_ending_early_run_as_far_as_they_go(caplog):
    with caplog.at_level(logging.WARNING):
        loaded, _ = window(make_bars(*range(10)), 5, 20, warmup=2)
    assert hours_of(loaded) == [3, 4, 5, 6, 7, 8, 9]
    assert "the bars end at 2025-01-01T10:00:00Z, before the window does" in caplog.text


def test_select_window_data_ending_with_the_window_need_no_warning(caplog):
    window(make_bars(*range(10)), 5, 10)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("missing", "warmup", "first"),
    [
        (4, 2, "04"),  # the last warm-up bar
        (5, 2, "05"),  # the first of the window
        (9, 2, "09"),  # the last of the window
        (5, 0, "05"),  # the first of the window, and nothing loaded before it
    ],
)
def test_select_window_gap_at_an_edge_is_found(missing, warmup, first):
    bars = make_bars(*(hour for hour in range(20) if hour != missing))
    with pytest.raises(DataError, match=f"1 1h bar is missing, the first at 2025-01-01T{first}:00"):
        window(bars, 5, 10, warmup=warmup)


def test_select_window_faults_outside_harm_nobody():
    bars = make_bars(*(hour for hour in range(30) if hour not in (1, 21, 22)))
    bars.loc[bars.index < utc("2025-01-01 03:00"), "close"] = np.nan
    bars.loc[bars.index >= utc("2025-01-01 10:00"), "open"] = -1.0
    loaded, _ = window(bars, 5, 10, warmup=2)
    assert hours_of(loaded) == [3, 4, 5, 6, 7, 8, 9]


def test_select_window_disorder_anywhere_is_refused():
    bars = pd.concat([make_bars(*range(10)), make_bars(3)])
    with pytest.raises(DataError, match="times go backward at 2025-01-01T03:00:00Z"):
        window(bars, 5, 8)


def test_select_window_wrong_timeframe_comes_before_too_few_warmup_bars():
    days = make_bars(*(24 * day for day in range(60)))
    with pytest.raises(DataError, match="the bars are 1d apart, but timeframe is 1h"):
        window(days, 30 * 24, 50 * 24, warmup=720)


@pytest.mark.parametrize(
    ("missing", "warmup"),
    [({4}, 3), ({5, 6}, 3), ({2}, 3), ({1, 2}, 3), ({9}, 3), ({8, 9, 10}, 3), ({5}, 0)],
)
def test_select_window_filled_gaps_count_as_bars(missing, warmup):
    bars = make_bars(*(hour for hour in range(20) if hour not in missing))
    loaded, count = window(bars, 5, 10, warmup=warmup, gaps="fill")
    assert count == warmup
    assert hours_of(loaded) == list(range(5 - warmup, 10))
    assert loaded["volume"].eq(0.0).sum() == len(missing & set(range(5 - warmup, 10)))


def test_select_window_filling_needs_a_close_before_the_first_gap():
    with pytest.raises(DataError, match="there are 2; data are needed from 2025-01-01T02:00:00Z"):
        window(make_bars(3, 4, 5, 6, 7), 5, 8, warmup=3, gaps="fill")


def test_select_window_end_of_data_is_not_filled(caplog):
    loaded, _ = window(make_bars(*range(8)), 5, 12, gaps="fill")
    assert hours_of(loaded) == [5, 6, 7]
    assert "the bars end at 2025-01-01T08:00:00Z" in caplog.text


def test_select_window_kept_gaps_count_the_bars_that_there_are():
    bars = make_bars(0, 1, 2, 4, 5, 6, 8, 9)
    loaded, count = window(bars, 5, 10, warmup=3, gaps="keep")
    assert hours_of(loaded) == [1, 2, 4, 5, 6, 8, 9]
    assert count == 3


def test_select_window_later_bars_do_not_change_it():  # R4
    bars = make_bars(*range(20))
    changed = bars.copy()
    changed.loc[changed.index >= utc("2025-01-01 10:00")] = 1.0
    pd.testing.assert_frame_equal(window(bars, 5, 10, 3)[0], window(changed, 5, 10, 3)[0])
