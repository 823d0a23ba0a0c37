"""Files into the store, and the store into files."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.bars import check_bars, check_order, usual_step
from cryptosim_bt.data.funding import to_full_minutes
from cryptosim_bt.data.store.files import replace_file
from cryptosim_bt.data.store.series import FUNDING, Conflict, Series, Store, as_columns
from cryptosim_bt.data.store.spans import Spans, union
from cryptosim_bt.data.table_columns import BARS, Layout
from cryptosim_bt.data.table_columns import FUNDING as FUNDING_COLUMNS
from cryptosim_bt.data.tabular import read_table
from cryptosim_bt.data.timeframe import TIMEFRAMES, iso_utc, milliseconds, utc_index
from cryptosim_bt.errors import DataError, OutputError, StoreError

# freqtrade keeps funding rates as bars whose open is the rate.
_FREQTRADE_RATES: Final = Layout(
    required={"funding_rate": ("fundingrate", "open")}, optional={}, orders=(("funding_rate",),)
)
_FREQTRADE_NAME: Final = re.compile(
    r"(?P<base>[^_]+)_(?P<quote>[^_]+)_(?P<settle>[^_-]+)-(?P<timeframe>\d+[mhd])-"
    r"(?P<kind>futures|mark|funding_rate)"
)
_ENDINGS: Final = (".csv", ".csv.gz", ".parquet", ".feather")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _TargetSeries:
    """Which series a file is meant for; ``timeframe`` None = to be found in its bars."""

    symbol: str
    timeframe: str | None
    kind: str
    freqtrade: bool


def import_file(
    store: Store, file: Path, exchange: str, symbol: str | None, timeframe: str | None,
    kind: str, conflict: str | None,
) -> tuple[Series, int]:  # fmt: skip
    """Bring the rows of a file into a store; return the series, and how many are new or changed.

    Bars are checked as those of a run are. Times between them that are missing stay unasked: a
    file does not say what the venue does not have.

    Raises
    ------
    DataError
        If the file cannot be read, is not of whole bars in UTC, or does not say what it holds.
    StoreError
        If rows are kept with other figures, and `conflict` is None.
    """
    meant = _meant(file, symbol, timeframe, kind)
    policy: Conflict = "keep" if conflict == "keep" else "refuse"
    if conflict == "replace":
        policy = "replace"
    if meant.kind == FUNDING:
        series = Series.funding(exchange, meant.symbol)
        table = _read_rates(file, meant)
        times = pd.DatetimeIndex(table.index).asi8
        known = _runs(times, usual_step(times) or 1)
        return series, store.write(series, as_columns(series, table), known, policy)
    table = read_table(file, BARS.with_names("volume", f"volume {meant.symbol.partition('/')[0]}"))
    if "volume" not in table.columns:
        logger.warning("%s: no column for volume; read as 0", file)
        table["volume"] = 0.0
    times = pd.DatetimeIndex(table.index).asi8
    found = meant.timeframe or _timeframe_of(times, file)
    series = Series.bars(exchange, meant.symbol, found, "mark" if meant.kind == "mark" else "trade")
    check_bars(table, found, str(file), "fill")  # "fill": missing bars are counted below
    table = _without_unclosed(table, milliseconds(found), file)
    times = pd.DatetimeIndex(table.index).asi8
    _require_utc_grid(times, found, file)
    known = _runs(times, milliseconds(found))
    if len(known) > 1:
        missing = (times[-1] - times[0]) // milliseconds(found) + 1 - len(times)
        logger.warning(
            "%s: %s bars are missing, the first at %s; `download` asks the venue for them",
            file, f"{missing:,}", iso_utc(known[0][1]),
        )  # fmt: skip
    return series, store.write(series, as_columns(series, table), known, policy)


def export_file(
    store: Store, series: Series, file: Path, start_ms: int, end_ms: int, *, force: bool
) -> int:
    """Write rows of ``start <= time < end`` to a file; return how many.

    CSV with ISO-8601 times, Parquet with ms since 1970-01-01 UTC, or Feather with the columns of
    freqtrade. All of them can be imported again, to the last bit.

    Raises
    ------
    OutputError
        If the file is there and `force` is not given, or its ending is not known.
    DataError
        If the store has no row of these times.
    """
    if not file.name.endswith(_ENDINGS):
        raise OutputError(f"{file}: allowed endings: {', '.join(_ENDINGS)}")
    if file.exists() and not force:
        raise OutputError(f"{file}: is there already; give --force to replace it")
    columns = store.read_columns(series, start_ms, end_ms)
    times = columns.pop("time")
    if not len(times):
        raise DataError(f"{series}: no rows are kept of these times; see `cryptosim-bt list-data`")
    try:
        replace_file(file, lambda handle: _write(file, handle, times, columns))
    except StoreError as error:
        raise OutputError(f"{file}: cannot be written: {error}") from error
    return len(times)


def _write(
    file: Path, handle: BinaryIO, times: npt.NDArray[np.int64], columns: dict[str, Any]
) -> None:
    if file.name.endswith(".parquet"):
        pd.DataFrame({"timestamp": times, **columns}).to_parquet(handle, index=False)
    elif file.name.endswith(".feather"):
        pd.DataFrame({"date": utc_index(times), **columns}).to_feather(handle)
    else:
        unit: Any = "ms" if (times % 1000 != 0).any() else "s"
        text = pd.Series(np.datetime_as_string(times.astype("datetime64[ms]"), unit=unit)) + "Z"
        table = pd.DataFrame({"timestamp": text, **columns})
        compression: Any = "gzip" if file.name.endswith(".gz") else None
        table.to_csv(handle, index=False, compression=compression, mode="wb")


# ---------------------------------------------------------------------- what a file is
def _meant(file: Path, symbol: str | None, timeframe: str | None, kind: str) -> _TargetSeries:
    match = _FREQTRADE_NAME.match(file.name)
    if match is not None:
        kinds = {"futures": "bars", "mark": "mark", "funding_rate": FUNDING}
        kind = kinds[match["kind"]] if kind == "bars" else kind
        symbol = symbol or f"{match['base']}/{match['quote']}:{match['settle']}"
        timeframe = timeframe or match["timeframe"]
    if symbol is None:
        raise DataError(f"{file}: the name does not tell the symbol; give --symbol BTC/USD:BTC")
    return _TargetSeries(symbol, timeframe, kind, match is not None)


def _timeframe_of(times: npt.NDArray[np.int64], file: Path) -> str:
    step = usual_step(times)
    for name, length in TIMEFRAMES.items():
        if length == step:
            return name
    raise DataError(f"{file}: the bars do not tell their timeframe; give --timeframe")


def _require_utc_grid(times: npt.NDArray[np.int64], timeframe: str, file: Path) -> None:
    odd = times % milliseconds(timeframe) != 0
    if odd.any():
        first = iso_utc(int(times[odd.argmax()]))
        raise DataError(
            f"{file}: the {timeframe} bar at {first} does not open on a whole {timeframe} of UTC, "
            "as bars that are kept do; use data.source: file for it"
        )


def _without_unclosed(table: pd.DataFrame, step_ms: int, file: Path) -> pd.DataFrame:
    closed = pd.DatetimeIndex(table.index).as_unit("ms").asi8 + step_ms <= time.time() * 1000
    if closed.all():
        return table
    logger.warning("%s: %d bars are not closed yet; left out", file, int((~closed).sum()))
    return table[closed]


def _read_rates(file: Path, meant: _TargetSeries) -> pd.DataFrame:
    table = read_table(file, _FREQTRADE_RATES if meant.freqtrade else FUNDING_COLUMNS)
    times = to_full_minutes(pd.DatetimeIndex(table.index).as_unit("ms").asi8)
    check_order(times, str(file))
    unknown = ~np.isfinite(table["funding_rate"].to_numpy())
    if unknown.any():
        first = iso_utc(int(times[unknown.argmax()]))
        raise DataError(f"{file}: funding_rate is missing or not finite at {first}; fix the file")
    return table.set_axis(utc_index(times), axis="index")


def _runs(times: npt.NDArray[np.int64], step_ms: int) -> Spans:
    """Return the spans without a missing step."""
    if not len(times):
        return ()
    breaks = np.flatnonzero(np.diff(times) > step_ms)
    starts = times[np.concatenate([[0], breaks + 1])]
    ends = times[np.concatenate([breaks, [len(times) - 1]])] + step_ms
    return union(zip(starts.tolist(), ends.tolist(), strict=True))
