"""Which column of a file is which.

By the names that exchanges and programs give them, or, where there are none, by the prices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from ruamel.yaml import YAML

from cryptosim_bt.data.table_times import CLOCK_ALONE, DATE_ALONE
from cryptosim_bt.errors import DataError, listed, shown

Names = tuple[str, ...]

_NAMES: Final[dict[str, Any]] = YAML(typ="safe", pure=True).load(
    Path(__file__).with_name("column_names.yaml")
)
_TIME_NAMES: Final[Names] = tuple(_NAMES["time"])
CLOSING_NAMES: Final = frozenset(_NAMES["closing"])
_ZONES: Final = {"utc": "UTC", "gmt": "UTC", "kst": "Asia/Seoul"}
_ZONED: Final = re.compile(r"(.+?)(utc|gmt|kst)")
_COIN_VOLUME: Final = re.compile(r"(?:[Vv]olume|[Vv]ol)[\s_(\-]*([A-Z][A-Z0-9]{1,9})\)?")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that one kind of file holds beside its times.

    Attributes
    ----------
    names : Mapping of str to sequence of str
        For each column, under our name, the names that it may have in a file, as `plain` writes
        them, the surest first. All of them are required, but a volume.
    orders : sequence of sequence of str
        Which columns follow the time in a file without a header: the usual order first, then those
        of single exchanges, which the prices tell. Further columns are ignored.
    lines : sequence of str
        Columns of the user's own among ``names``, not required either.
    """

    names: Mapping[str, list[str]]
    orders: list[list[str]]
    lines: Sequence[str] = ()

    @property
    def required(self) -> list[str]:
        """Our names of the columns that every file has."""
        return [name for name in self.names if name not in ("volume", *self.lines)]

    @property
    def are_bars(self) -> bool:
        """Whether rows are bars, named by the time at which they open."""
        return "close" in self.names

    def with_names(self, column: str, *names: str) -> Layout:
        """Return a layout in which a column may have further names, surer than all others."""
        return replace(
            self, names={**self.names, column: [*map(plain, names), *self.names[column]]}
        )

    def with_lines(self, lines: Sequence[str]) -> Layout:
        """Return a layout with columns of the user's own."""
        own = {name: [plain(name)] for name in lines}
        return replace(self, names={**self.names, **own}, lines=(*self.lines, *lines))

    def knows_header(self, cells: Iterable[str]) -> bool:
        """Tell whether cells name a time and every required column."""
        found = {plain(cell) for cell in cells}
        found |= {match[1] for name in found if (match := _ZONED.fullmatch(name))}
        wanted = [_TIME_NAMES, *(self.names[name] for name in self.required)]
        return all(found.intersection(names) for names in wanted)


BARS: Final = Layout(_NAMES["bars"], _NAMES["bar_orders"])
FUNDING: Final = Layout(_NAMES["funding"], [["funding_rate"]])
FREQTRADE_FUNDING: Final = Layout(_NAMES["freqtrade_funding"], [["funding_rate"]])


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns may hold the times, the surest first, and which holds each value of ours."""

    times: Names
    values: dict[str, str]


def plain(name: str) -> str:
    """Reduce a column's name to what tells it apart: ``Open time``, ``open_time``: ``opentime``."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def zone_of(name: str) -> str | None:
    """Return the time zone that a column of times has in its name, such as ``Date (UTC)``."""
    match = _ZONED.fullmatch(plain(name))
    return _ZONES[match[2]] if match else None


def find_columns(raw: pd.DataFrame, layout: Layout, name: str, notes: list[str]) -> Columns:
    """Return where a file has its times and values.

    `DataError` if a required column is missing, or several may be meant.
    """
    by_name: dict[str, list[str]] = {}
    for column in raw.columns:
        by_name.setdefault(_unmangled(str(column), raw), []).append(column)
    found: dict[str, str] = {}
    for wanted, aliases in layout.names.items():
        meant = [by_name[alias] for alias in aliases if alias in by_name]
        if not meant and wanted == "volume":
            meant = _coin_volumes(raw)
        if meant:
            found[wanted] = _only(meant[0], wanted, name)
            # What was paid may differ from what was predicted.
            if wanted == "funding_rate" and len(meant) > 1:
                others = ", ".join(repr(each[0]) for each in meant[1:])
                notes.append(f"rates from {found[wanted]!r}, not {others}")
            if wanted == "volume" and _COIN_VOLUME.fullmatch(str(found[wanted])):
                notes.append(f"volume from {found[wanted]!r}")
    named = [alias + zone for alias in _TIME_NAMES for zone in ("", *_ZONES) if alias or not zone]
    named += _NAMES["closing"] if layout.are_bars else []
    times = tuple(_only(by_name[each], "time", name) for each in named if each in by_name)
    missing = [] if times else ["time"]
    missing += [wanted for wanted in layout.required if wanted not in found]
    if missing:
        raise DataError(
            f"{name}: no column for {', '.join(missing)}; found: {listed(raw.columns)}; needed: "
            f"time, {', '.join(layout.required)}"
        )
    return Columns(times, found)


def _unmangled(column: str, raw: pd.DataFrame) -> str:
    """Return a column's plain name; pandas calls a second ``close`` ``close.1``."""
    before = re.fullmatch(r"(.+)\.\d+", column)
    return plain(before[1] if before and before[1] in raw.columns else column)


def _only(columns: list[str], wanted: str, name: str) -> str:
    if len(columns) > 1:
        both = listed(map(repr, columns))
        raise DataError(f"{name}: {wanted} may be any of the columns {both}; keep one of them")
    return columns[0]


def _coin_volumes(raw: pd.DataFrame) -> list[list[str]]:
    named = {column: match[1] for column in raw.columns
             if (match := _COIN_VOLUME.fullmatch(str(column)))}  # fmt: skip
    coins = [column for column, coin in named.items() if coin not in _NAMES["quotes"]]
    return [coins or list(named)] if named else []


def require_one_market(raw: pd.DataFrame, markets: set[str], name: str) -> None:
    """Refuse rows of several markets; ``markets`` are those of the files before this one."""
    column = next((each for each in raw.columns if plain(str(each)) in _NAMES["market"]), None)
    if column is None:
        return
    labels = map(str, pd.unique(raw[column].dropna().astype("str")))
    # Numbers are a count, such as that of contracts.
    markets |= {label for label in labels if not _is_number(label)}
    if len(markets) > 1:
        raise DataError(
            f"{name}: {shown(column)} names several markets: {listed(sorted(markets))}; keep the "
            "rows of one"
        )


# ---------------------------------------------------------------------- without a header
def named_without_header(
    raw: pd.DataFrame, layout: Layout, name: str, notes: list[str]
) -> pd.DataFrame:
    """Name the columns of a table that has no names: by their usual order, or as prices tell.

    `DataError` if the prices allow two readings.
    """
    has_clock = raw.shape[1] > 2 and _is_date_and_clock(str(raw.iat[0, 0]), str(raw.iat[0, 1]))
    times = ["date", "time"] if has_clock else ["time"]
    values = raw.iloc[:, len(times) :]
    order = _order_of(values, layout, name, notes) if layout.are_bars else layout.orders[0]
    names = [*times, *order]
    further = [f"column {number}" for number in range(len(names) + 1, raw.shape[1] + 1)]
    return raw.set_axis([*names, *further][: raw.shape[1]], axis="columns")


def is_first_row(cells: list[str]) -> bool:
    """Tell whether a line's cells are values, not names of columns."""
    if len(cells) < 2:
        return False
    return _is_number(cells[1]) or _is_date_and_clock(cells[0], cells[1])


def _is_date_and_clock(first: str, second: str) -> bool:
    date, clock = (cell.strip().strip('"') for cell in (first, second))
    return bool(DATE_ALONE.fullmatch(date) and CLOCK_ALONE.fullmatch(clock))


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def _order_of(
    values: pd.DataFrame, layout: Layout, name: str, notes: list[str]
) -> list[str]:
    """Return the order of columns in which high is the highest and low the lowest on all rows."""
    usual = layout.orders[0]
    table = values.iloc[:, :6].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    whole = table[np.isfinite(table).all(axis=1)]
    fitting = [order for order in layout.orders if len(whole) and _fits(whole, order)]
    if usual in fitting and layout.orders[-1] in fitting and len(whole) > 2:
        fitting.remove(usual)  # a volume within each bar's prices would be a strange one
    readings: dict[bytes, list[str]] = {}
    for order in fitting:
        readings.setdefault(_reading(whole, order).tobytes(), order)
    if len(readings) > 1:
        both = " or as ".join(f"time, {', '.join(order)}" for order in readings.values())
        raise DataError(
            f"{name}: without a header, its prices can be read as {both}; write names of the "
            "columns above them"
        )
    chosen = next(iter(readings.values()), usual)
    if chosen != usual:
        notes.append(f"no header: the prices tell the order time, {', '.join(chosen)}")
    return chosen


def _fits(table: npt.NDArray[np.float64], order: list[str]) -> bool:
    open_, high, low, close, traded = _reading(table, order).T
    if "vwap" in order:
        at = order.index("vwap")
        average = table[:, at] if at < table.shape[1] else np.zeros(len(table))
        # Without a trade, Kraken's average is 0.
        if not (traded.any() and ((average <= high) & (average >= low) | (traded == 0)).all()):
            return False
    return bool(((high >= np.maximum(open_, close)) & (low <= np.minimum(open_, close))).all())


def _reading(table: npt.NDArray[np.float64], order: list[str]) -> npt.NDArray[np.float64]:
    """Return what bars an order of columns gives; a column that is not there counts as 0."""
    columns = [
        table[:, order.index(each)] if order.index(each) < table.shape[1] else np.zeros(len(table))
        for each in ("open", "high", "low", "close", "volume")
    ]
    return np.column_stack(columns)
