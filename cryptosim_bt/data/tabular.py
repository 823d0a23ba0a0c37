"""Read tables of market data from files: one column of times, and columns of numbers.

CSV (plain or compressed), Parquet and Feather, in the forms that exchanges and other programs
write: any usual names of columns in any case, or none at all; times as epoch numbers or ISO-8601.
What cannot be read for sure is a `DataError` that names the file, the row and the value.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.timeframe import utc_index
from cryptosim_bt.errors import DataError

Names = tuple[str, ...]

TIME_NAMES: Final[Names] = (
    "opentime", "timestamp", "datetime", "date", "time", "ts", "t", "calctime", "fundingtime",
    "opentimestamp", "timestampms", "dateutc", "timeutc", "unixtime", "unix",
    "", "unnamed0", "index",
)  # fmt: skip
"""Names of the column of times, the surest first, as `_plain` writes them; at last, an index that
was saved without a name. A closing time is not among them: bars are named by their opening (R1)."""

_PARQUET: Final = (".parquet", ".pq")
_FEATHER: Final = (".feather", ".arrow")

_READ_ERRORS: Final = (
    OSError, EOFError, ValueError, ImportError, NotImplementedError,
    zlib.error, lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip
"""What pandas and pyarrow raise for broken files; ValueError: parsing, encoding, emptiness."""

# Before 3.1, pandas could be off in the last bit; since then the option is deprecated.
_PANDAS: Final = tuple(int(part) for part in pd.__version__.split(".")[:2])
EXACT_FLOATS: Final[dict[str, Any]] = {"float_precision": "round_trip"} if _PANDAS < (3, 1) else {}

# Epoch numbers tell their unit by their size. From each bound on: 1973 in seconds, then the year
# 1973 in milliseconds, micro- and nanoseconds; all of them far away from any time of the others.
_EPOCH_BOUNDS: Final = (10**8, 10**11, 10**14, 10**17)
_UNITS_PER_MS: Final = (0.001, 1.0, 1_000.0, 1_000_000.0)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that one kind of file holds beside its times.

    Attributes
    ----------
    required, optional : Mapping of str to tuple of str
        For each column, under our name, the names that it may have in a file: lower case, letters
        and digits only, the surest first.
    headerless : tuple of str
        Which columns follow the time in a file without a header. Further ones are ignored.
    """

    required: Mapping[str, Names]
    optional: Mapping[str, Names]
    headerless: Names


def read_table(path: Path, layout: Layout) -> pd.DataFrame:
    """Read a file into a table of floats with the index ``time``, in the order of the file.

    Parameters
    ----------
    path : pathlib.Path
        CSV with any compression that pandas knows by its suffix, Parquet or Feather. The separator
        of a CSV file may be a comma, semicolon, tab or bar.
    layout : Layout
        The columns to look for; others are dropped.

    Returns
    -------
    pandas.DataFrame
        Index datetime64[ms, UTC]; times without an offset are UTC. All required columns, and those
        optional ones that the file has, as float64. Empty cells are NaN; at least one row.

    Raises
    ------
    DataError
        If the file is missing, empty or broken, a required column is missing or comes twice, or a
        value cannot be read.
    """
    raw = _read_raw(path, layout)
    if raw.empty:
        raise DataError(f"{path}: the file has no rows; give a file with data")
    columns = _find_columns(raw, layout, path)
    times = _read_times(raw[columns.pop("time")], path)
    values = {name: _read_numbers(raw[found], path) for name, found in columns.items()}
    return pd.DataFrame(values, index=utc_index(times))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, of its bytes as they are (compressed or not)."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check the path") from error


def _read_raw(path: Path, layout: Layout) -> pd.DataFrame:
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "there is no such file"
        raise DataError(f"{path}: {found}; give the path of a CSV, Parquet or Feather file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; give a file with data")
    suffix = path.suffix.lower()
    try:
        if suffix in _PARQUET:
            raw = pd.read_parquet(path)
        elif suffix in _FEATHER:
            raw = pd.read_feather(path)
        else:
            return _read_csv(path, layout)
    except _READ_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: cannot be read ({reason}); needed: CSV (.csv, .csv.gz, .zip, ...), "
            f"Parquet (.parquet) or Feather (.feather), matching the file's ending"
        ) from error
    return raw if _has_plain_index(raw) else raw.reset_index()


def _read_csv(path: Path, layout: Layout) -> pd.DataFrame:
    # The first line as one cell, through pandas, which knows the compression by the suffix.
    line = pd.read_csv(
        path, sep="\x01", header=None, nrows=1, dtype=str, quoting=3, encoding="utf-8-sig"
    )
    text = str(line.iat[0, 0])
    separator = max(",;\t|", key=text.count)
    cells = text.split(separator)
    has_header = len(cells) < 2 or not _is_number(cells[1])
    raw: pd.DataFrame = pd.read_csv(
        path,
        sep=separator,
        header=0 if has_header else None,
        encoding="utf-8-sig",
        **EXACT_FLOATS,
        skipinitialspace=True,
        low_memory=False,  # in chunks, one column could come out in two types
    )
    if not _has_plain_index(raw):
        raise DataError(f"{path}: the rows have more cells than the header; fix the header")
    if not has_header:
        names = ["time", *layout.headerless]
        further = [f"column {number}" for number in range(len(names) + 1, raw.shape[1] + 1)]
        raw.columns = pd.Index([*names, *further][: raw.shape[1]])
    return raw


def _find_columns(raw: pd.DataFrame, layout: Layout, path: Path) -> dict[str, str]:
    """Return the column of the file for each name of ours that it has."""
    by_plain_name: dict[str, list[str]] = {}
    for column in raw.columns:
        by_plain_name.setdefault(_plain(str(column)), []).append(column)
    wanted = {"time": TIME_NAMES, **layout.required, **layout.optional}
    found: dict[str, str] = {}
    for name, aliases in wanted.items():
        columns = next((by_plain_name[alias] for alias in aliases if alias in by_plain_name), [])
        if len(columns) > 1:
            both = ", ".join(map(repr, columns))
            raise DataError(f"{path}: {name} may be any of the columns {both}; keep one of them")
        if columns:
            found[name] = columns[0]
    missing = [name for name in ("time", *layout.required) if name not in found]
    if missing:
        raise DataError(
            f"{path}: no column for {', '.join(missing)}; found: "
            f"{', '.join(map(str, raw.columns))}; needed: time, {', '.join(layout.required)}"
        )
    return found


def _read_numbers(column: pd.Series, path: Path) -> npt.NDArray[np.float64]:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    _refuse_unreadable(column, numbers.isna() & column.notna(), "a number", path)
    return np.asarray(numbers.to_numpy(dtype="float64", na_value=np.nan), dtype=np.float64)


def _read_times(column: pd.Series, path: Path) -> npt.NDArray[np.int64]:
    """Read times as whole milliseconds since 1970-01-01 UTC."""
    if pd.api.types.is_datetime64_any_dtype(column):
        times = column
    else:
        numbers = pd.to_numeric(column, errors="coerce")
        if numbers.notna().any():
            return _read_epochs(column, numbers.astype("float64"), path)
        text = column.astype("str").str.replace(r"\s*UTC$", "Z", regex=True)
        times = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
    _refuse_unreadable(column, times.isna(), "a time (ISO-8601, or an epoch number)", path)
    if times.dt.tz is None:
        times = times.dt.tz_localize("UTC")
    return pd.DatetimeIndex(times).as_unit("ms").asi8


def _read_epochs(column: pd.Series, numbers: pd.Series, path: Path) -> npt.NDArray[np.int64]:
    """Read epoch numbers, each in the unit that its size tells.

    One by one, because Binance went from milliseconds to microseconds in 2025: files of several
    years hold both. Rounded to the millisecond.
    """
    unreadable = ~(numbers >= _EPOCH_BOUNDS[0])  # NaN too
    _refuse_unreadable(column, unreadable, "a time (an epoch number, or ISO-8601)", path)
    values = numbers.to_numpy(dtype=np.float64)
    unit = np.searchsorted(_EPOCH_BOUNDS, values, side="right") - 1
    times: npt.NDArray[np.int64] = np.rint(values / np.array(_UNITS_PER_MS)[unit]).astype(np.int64)
    return times


def _refuse_unreadable(column: pd.Series, where: pd.Series, wanted: str, path: Path) -> None:
    if where.any():
        row = int(where.to_numpy().argmax())
        value = column.iloc[row]
        shown = "empty" if pd.isna(value) else repr(str(value))
        raise DataError(
            f"{path}: {column.name!r} is {shown} in data row {row + 1} ({int(where.sum())} such in "
            f"all); needed: {wanted}"
        )


def _has_plain_index(raw: pd.DataFrame) -> bool:
    """Tell whether the index only counts rows. Times at equal steps may be a RangeIndex too."""
    return raw.index.equals(pd.RangeIndex(len(raw)))


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    """Reduce a column's name to what tells it apart: ``Open time``, ``open_time``: ``opentime``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
