"""Read tables of market data from files: one column of times, and columns of numbers.

CSV, JSON, Parquet and Feather, alone, in folders or packed, in the forms in which exchanges and
other programs write them and people keep them. What tells for sure what is meant is read, and what
was done is said in one INFO line; what cannot be read for sure is a `DataError` that names the
file, the row and the value, or both readings.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.bars import usual_step
from cryptosim_bt.data.table_columns import (
    BARS,
    CLOSING_NAMES,
    Columns,
    Layout,
    find_columns,
    plain,
    require_one_market,
    zone_of,
)
from cryptosim_bt.data.table_files import Content, contents, file_sha256
from cryptosim_bt.data.table_text import EXACT_FLOATS, raw_table
from cryptosim_bt.data.table_times import (
    Times,
    joined_date_and_clock,
    read_times,
    refuse_unreadable,
)
from cryptosim_bt.data.timeframe import duration_text, iso_utc, times_of, utc_index
from cryptosim_bt.errors import DataError

__all__ = ["EXACT_FLOATS", "file_sha256", "read_bars", "read_table"]

_MINUTE_MS: Final = 60_000
_ZONE_STEP_MS: Final = 15 * _MINUTE_MS
_FARTHEST_ZONE_MS: Final = 14 * 60 * _MINUTE_MS
_DATES: Final = ("date", "날짜", "일자")
_CLOCKS: Final = ("time", "시간", "시각")


class _Comma(NamedTuple):
    """What a comma in a number may be: in words, a number that tells, every number's form."""

    what: str
    sure: str
    every: str
    dropped: str


_COMMAS: Final = (
    _Comma("thousands", r"-?\d{1,3}(?:,\d{3})+\.\d+|-?\d{1,3}(?:,\d{3}){2,}",
           r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", ","),
    _Comma("decimal points", r"-?(?:\d{1,3}(?:\.\d{3})+,\d+|\d+,(?:\d\d?|\d{4,})|(?:0|\d{4,}),\d+)",
           r"-?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?", "."),
)  # fmt: skip
_IntArray = npt.NDArray[np.int64]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Reading:
    """What is known while the files of one table are read."""

    layout: Layout
    zone: ZoneInfo | None
    notes: list[str] = field(default_factory=list)
    markets: set[str] = field(default_factory=set)
    has_local_times: bool = False


def read_table(
    paths: Path | Sequence[Path],
    layout: Layout,
    zone: ZoneInfo | None = None,
    run_zone: ZoneInfo | None = None,
) -> pd.DataFrame:
    """Read files into one table of floats with the index ``time``, ascending.

    Identical rows that come again are dropped, and rows are sorted by time.

    Parameters
    ----------
    paths : pathlib.Path or sequence of them
        CSV, JSON, Parquet or Feather, plain or packed; folders of such.
    layout : Layout
        The columns to look for; others are dropped.
    zone : zoneinfo.ZoneInfo, optional
        What times without an offset are in; None = UTC, with a WARNING where `run_zone`, the time
        zone of the run, is not.

    Returns
    -------
    pandas.DataFrame
        Index datetime64[ms, UTC]. All required columns, and the volume if every file has it, as
        float64. Empty cells are NaN; at least one row.

    Raises
    ------
    DataError
        If a file is missing, empty or broken, a required column is missing or comes twice, a value
        cannot be read, or one time has different figures.
    """
    given = [paths] if isinstance(paths, Path) else list(paths)
    name = str(given[0]) if len(given) == 1 else f"{given[0]} and {len(given) - 1} more"
    reading = _Reading(layout, zone)
    tables = [_table_of(content, reading) for content in contents(given, reading.notes)]
    if len(tables) > 1:
        reading.notes.insert(0, f"{len(tables)} files put together")
    table = _in_order(pd.concat(tables, join="inner"), name, reading)
    if reading.has_local_times:
        _say_zone(table, name, reading, run_zone)
    if reading.notes:
        logger.info("%s: %s", name, "; ".join(dict.fromkeys(reading.notes)))
    return table


def read_bars(
    paths: Path | Sequence[Path],
    symbol: str,
    zone: ZoneInfo | None = None,
    run_zone: ZoneInfo | None = None,
    lines: Sequence[str] = (),
) -> pd.DataFrame:
    """Read files of bars as `read_table` does; without volumes, they are 0, with a WARNING.

    ``lines`` are further columns, read where the files have them.
    """
    layout = BARS.with_names("volume", f"volume {symbol.partition('/')[0]}").with_lines(lines)
    bars = read_table(paths, layout, zone, run_zone)
    if "volume" not in bars.columns:
        name = "; ".join(map(str, [paths] if isinstance(paths, Path) else paths))
        logger.warning("%s: no column for volume; read as 0", name)
        bars["volume"] = 0.0
    return bars


def _table_of(content: Content, reading: _Reading) -> pd.DataFrame:
    name = content.name
    raw = raw_table(content, reading.layout, reading.notes)
    if raw.empty:
        raise DataError(f"{name}: the file has no rows; give a file with data")
    columns = find_columns(raw, reading.layout, name, reading.notes)
    require_one_market(raw, reading.markets, name)
    times = _times_of(raw, columns, name, reading)
    reading.has_local_times |= times.are_local
    opens = times.milliseconds
    if reading.layout.are_bars:
        opens = _opening_times(raw, opens, name, reading)
    raw = _without_commas(raw[[*columns.values.values()]], reading.notes)
    values = {ours: _read_numbers(raw[found], name, reading.notes)
              for ours, found in columns.values.items()}  # fmt: skip
    return pd.DataFrame(values, index=utc_index(opens))


def _in_order(table: pd.DataFrame, name: str, reading: _Reading) -> pd.DataFrame:
    """Sort rows by time, and drop those that are the same as another; refuse those that differ."""
    steps = np.diff(times_of(table))
    backward = int((steps < 0).sum())
    if backward:
        is_reversed = bool((steps <= 0).all())
        reading.notes.append(
            "newest first, turned round" if is_reversed
            else f"rows sorted by time ({backward} went backward)"
        )  # fmt: skip
        table = table.iloc[::-1] if is_reversed else table
        table = table.iloc[np.argsort(times_of(table), kind="stable")]
    if not table.index.has_duplicates:
        return table
    again = table.reset_index().duplicated().to_numpy()
    if again.any():
        reading.notes.append(
            f"{int(again.sum())} row(s) that came again with the same figures dropped, the "
            f"first at {iso_utc(table.index[again][0])}"
        )
        table = table[~again]
    differing = table.index[table.index.duplicated()]
    if len(differing):
        raise DataError(
            f"{name}: the same time comes twice at {iso_utc(differing[0])}, with different figures "
            f"({len(differing)} such rows); keep the right one of them"
        )
    return table


def _say_zone(
    table: pd.DataFrame, name: str, reading: _Reading, run_zone: ZoneInfo | None
) -> None:
    """Say what times without an offset were taken for; warn where the run has another zone."""
    zone = "UTC" if reading.zone is None else reading.zone.key
    reading.notes.append(f"times without an offset read as {zone}")
    if reading.zone is not None or run_zone is None:
        return
    ends = pd.DatetimeIndex([table.index[0], table.index[-1]]).tz_convert(run_zone)
    if any(end.utcoffset() for end in ends):
        logger.warning(
            "%s: its times have no offset and are read as UTC, but the run's timezone is %s; set "
            "data.timezone to %s or to UTC, whichever they are",
            name, run_zone.key, run_zone.key,
        )  # fmt: skip


# ---------------------------------------------------------------------- times
def _times_of(raw: pd.DataFrame, columns: Columns, name: str, reading: _Reading) -> Times:
    """Read the surest column of times that can be read, and tells rows apart if one does.

    Where it holds local times of a zone that nobody told, a column of epoch numbers beside it says
    which moments are meant.
    """
    joined = _date_and_clock(raw)
    if joined is not None:
        reading.notes.append(f"date and time joined from {joined.name!r}")
        return read_times(joined, name, reading.zone)
    read: dict[str, Times] = {}
    failed: list[DataError] = []
    for column in columns.times:
        own = zone_of(str(column))
        try:
            found = read_times(raw[column], name, reading.zone if own is None else ZoneInfo(own))
        except DataError as error:
            failed.append(error)
            continue
        read[column] = Times(found.milliseconds, found.are_local and own is None)
        if _tells_apart(read[column]) and not read[column].are_local:
            break
    if not read:
        raise failed[0]
    chosen = next((each for each in read if _tells_apart(read[each])), next(iter(read)))
    surer = [each for each in read if _are_the_moments_of(read[each], read[chosen])]
    if read[chosen].are_local and surer:
        chosen = surer[0]
    if chosen != columns.times[0]:
        first = columns.times[0]
        why = "has no offset" if first in read and surer else "does not tell them"
        reading.notes.append(f"times from {chosen!r}, since {first!r} {why}")
    return read[chosen]


def _tells_apart(times: Times) -> bool:
    steps = np.diff(times.milliseconds)
    in_order = bool((steps > 0).all() or (steps < 0).all())
    return in_order or len(pd.unique(times.milliseconds)) == len(times.milliseconds)


def _are_the_moments_of(times: Times, local: Times) -> bool:
    """Tell whether times with an offset lie as far from local ones as time zones do."""
    lags = local.milliseconds - times.milliseconds
    return bool(
        not times.are_local
        and (np.abs(lags) <= _FARTHEST_ZONE_MS).all()
        and (lags % _ZONE_STEP_MS == 0).all()
    )


def _date_and_clock(raw: pd.DataFrame) -> pd.Series | None:
    by_name = {plain(str(column)): column for column in raw.columns}
    pair = [next((by_name[name] for name in names if name in by_name), None)
            for names in (_DATES, _CLOCKS)]  # fmt: skip
    return None if None in pair else joined_date_and_clock(raw[pair[0]], raw[pair[1]])


def _opening_times(
    raw: pd.DataFrame, times: _IntArray, name: str, reading: _Reading
) -> _IntArray:
    """Return when bars open, where a file tells that its times are those at which they close.

    Bars open on a whole minute, and before they close.
    """
    lag = next((lag for lag in (1, 1000) if ((times + lag) % _MINUTE_MS == 0).all()), 0)
    if not lag and not _are_closing_times(raw, times, name, reading):
        return times
    step = usual_step(np.sort(pd.unique(times)))
    if step is None:
        raise DataError(
            f"{name}: the time {iso_utc(int(times[0]))} is one at which a bar closes, and a single "
            "bar does not tell when it opened; give the times at which bars open"
        )
    reading.notes.append(
        f"its times are those at which bars close: moved back by {duration_text(step)}"
    )
    return times + lag - step


def _are_closing_times(
    raw: pd.DataFrame, times: _IntArray, name: str, reading: _Reading
) -> bool:
    """Tell whether the times are those of a column that is named as closing times."""
    for column in raw.columns:
        if plain(str(column)) in CLOSING_NAMES:
            with suppress(DataError):  # a column that nobody needs
                closing = read_times(raw[column], name, reading.zone).milliseconds
                return bool((np.abs(times - closing) <= 1000).all())
    return False


# ---------------------------------------------------------------------- numbers
def _without_commas(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Write numbers with commas as programs do, where some cell tells what a comma is."""
    texts = table.select_dtypes(exclude=["number", "bool"]).apply(
        lambda column: column.where(column.isna(), column.astype("str").str.strip())
    )
    cells = pd.Series([cell for name in texts for cell in texts[name].dropna()], dtype="object")
    if not cells.str.contains(",").any():
        return table
    found = [each for each in _COMMAS if cells.str.fullmatch(each.sure).any()]
    if len(found) != 1 or not cells.str.fullmatch(found[0].every).all():
        return table
    notes.append(f"commas in numbers read as {found[0].what}")
    return table.assign(**{
        name: texts[name].str.replace(found[0].dropped, "").str.replace(",", ".")
        for name in texts
    })  # fmt: skip


def _read_numbers(column: pd.Series, name: str, notes: list[str]) -> npt.NDArray[np.float64]:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    text = column.astype("str").str.strip() if (numbers.isna() & column.notna()).any() else None
    in_percent = "%" in str(column.name)
    if text is not None and text[column.notna()].str.endswith("%").all():
        in_percent = True
        numbers = pd.to_numeric(text.str.rstrip("% "), errors="coerce").astype("float64")
    refuse_unreadable(column, numbers.isna() & column.notna(), "a number", name)
    values = np.asarray(numbers.to_numpy(dtype="float64", na_value=np.nan), dtype=np.float64)
    if not in_percent:
        return values
    notes.append(f"{column.name!r} read as per cent")
    return values / 100.0
