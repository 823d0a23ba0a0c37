"""Files into the store, and the store into files."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path
from typing import Any, BinaryIO, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.bars import check_bars, usual_step
from cryptosim_bt.data.funding import read_rates
from cryptosim_bt.data.store.files import replace_file
from cryptosim_bt.data.store.series import FUNDING, Conflict, Series, Store
from cryptosim_bt.data.store.spans import Spans, union
from cryptosim_bt.data.table_columns import FREQTRADE_FUNDING
from cryptosim_bt.data.table_columns import FUNDING as FUNDING_COLUMNS
from cryptosim_bt.data.tabular import read_bars
from cryptosim_bt.data.timeframe import (
    TIMEFRAMES,
    duration_text,
    iso_utc,
    milliseconds,
    times_of,
    utc_index,
)
from cryptosim_bt.errors import DataError, OutputError, StoreError

_FREQTRADE_NAME: Final = re.compile(
    r"(?P<base>[^_]+)_(?P<quote>[^_]+)_(?P<settle>[^_-]+)-(?P<timeframe>\d+[mhd])-"
    r"(?P<kind>futures|mark|funding_rate)"
)
_ENDINGS: Final = (".csv", ".csv.gz", ".parquet", ".feather")

logger = logging.getLogger(__name__)


def import_file(
    store: Store, file: Path, exchange: str, symbol: str | None, timeframe: str | None,
    kind: str, conflict: Conflict | None, zone: ZoneInfo | None = None,
) -> tuple[Series, int]:  # fmt: skip
    """Bring the rows of a file into a store; return the series, and how many are new or changed.

    Bars are checked as those of a run are; times without an offset are in `zone`, None = UTC. Times
    between them that are missing stay unasked: a file does not say what the venue does not have.
    `DataError` if the file cannot be read, is not of whole bars in UTC, or does not say what it
    holds, `StoreError` if rows are kept with other figures and `conflict` is None.
    """
    match = _FREQTRADE_NAME.match(file.name)
    if match is not None:
        kinds = {"futures": "bars", "mark": "mark", "funding_rate": FUNDING}
        kind = kinds[match["kind"]] if kind == "bars" else kind
        symbol = symbol or f"{match['base']}/{match['quote']}:{match['settle']}"
        timeframe = timeframe or match["timeframe"]
    if symbol is None:
        raise DataError(f"{file}: the name does not tell the symbol; give --symbol BTC/USD:BTC")
    if kind == FUNDING:
        series = Series.funding(exchange, symbol)
        layout = FREQTRADE_FUNDING if match else FUNDING_COLUMNS
        table = read_rates(file, layout, zone).to_frame()
        known = _runs(times_of(table), usual_step(times_of(table)) or 1)
    else:
        table = read_bars(file, symbol, zone)
        found = timeframe or _timeframe_of(times_of(table), file)
        series = Series.bars(exchange, symbol, found, "mark" if kind == "mark" else "trade")
        table = _checked_bars(table, found, file)
        known = _runs(times_of(table), milliseconds(found))
        if len(known) > 1:
            missing = (known[-1][1] - known[0][0]) // milliseconds(found) - len(table)
            logger.warning(
                "%s: %s bars are missing, the first at %s; `download` asks the venue for them",
                file, f"{missing:,}", iso_utc(known[0][1]),
            )  # fmt: skip
    rows = pd.DataFrame({"time": times_of(table), **table[[*series.columns]]})
    return series, store.write(series, rows, known, conflict or "refuse")


def export_file(
    store: Store, series: Series, file: Path, start_ms: int, end_ms: int, *, force: bool
) -> int:
    """Write rows of ``start <= time < end`` to a file; return how many.

    CSV with ISO-8601 times, Parquet with ms since 1970-01-01 UTC, or Feather with the columns of
    freqtrade. All of them can be imported again, to the last bit. `OutputError` if the file is
    there without `force`, or its ending is not known, `DataError` without a row of these times.
    """
    if not file.name.endswith(_ENDINGS):
        raise OutputError(f"{file}: allowed endings: {', '.join(_ENDINGS)}")
    if file.exists() and not force:
        raise OutputError(f"{file}: is there already; give --force to replace it")
    rows = store.read_columns(series, start_ms, end_ms)
    if rows.empty:
        raise DataError(f"{series}: no rows are kept of these times; see `cryptosim-bt list-data`")
    try:
        replace_file(file, lambda handle: _write(file, handle, rows))
    except StoreError as error:
        raise OutputError(f"{file}: cannot be written: {error}") from error
    return len(rows)


def _write(file: Path, handle: BinaryIO, rows: pd.DataFrame) -> None:
    if file.name.endswith(".parquet"):
        rows.rename(columns={"time": "timestamp"}).to_parquet(handle, index=False)
    elif file.name.endswith(".feather"):
        dates = utc_index(rows["time"].to_numpy())
        rows.assign(time=dates).rename(columns={"time": "date"}).to_feather(handle)
    else:
        times = rows["time"].to_numpy()
        unit: Any = "ms" if (times % 1000 != 0).any() else "s"
        text = pd.Series(np.datetime_as_string(times.astype("datetime64[ms]"), unit=unit)) + "Z"
        compression: Any = "gzip" if file.name.endswith(".gz") else None
        rows.assign(time=text).rename(columns={"time": "timestamp"}).to_csv(
            handle, index=False, compression=compression, mode="wb"
        )


# ---------------------------------------------------------------------- what a file is
def _timeframe_of(times: npt.NDArray[np.int64], file: Path) -> str:
    found = duration_text(usual_step(times) or 0)
    if found not in TIMEFRAMES:
        raise DataError(f"{file}: the bars do not tell their timeframe; give --timeframe")
    return found


def _checked_bars(table: pd.DataFrame, timeframe: str, file: Path) -> pd.DataFrame:
    """Check bars as those of a run are; leave out those that are not closed yet."""
    check_bars(table, timeframe, str(file), "fill")  # the caller counts missing bars
    closed = times_of(table) + milliseconds(timeframe) <= time.time() * 1000
    if not closed.all():
        logger.warning("%s: %d bars are not closed yet; left out", file, int((~closed).sum()))
    odd = times_of(table[closed]) % milliseconds(timeframe) != 0
    if odd.any():
        raise DataError(
            f"{file}: the {timeframe} bar at {iso_utc(table[closed].index[odd][0])} does not open "
            f"on a whole {timeframe} of UTC, as bars that are kept do; use data.source: file for it"
        )
    return table[closed]


def _runs(times: npt.NDArray[np.int64], step_ms: int) -> Spans:
    """Return the spans without a missing step."""
    if not len(times):
        return ()
    breaks = np.flatnonzero(np.diff(times) > step_ms)
    starts = times[np.concatenate([[0], breaks + 1])]
    ends = times[np.concatenate([breaks, [len(times) - 1]])] + step_ms
    return union(zip(starts.tolist(), ends.tolist(), strict=True))
