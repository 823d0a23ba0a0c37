"""Which column of a file is which.

By the names that exchanges and programs give them, or, where there are none, by the prices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.table_times import CLOCK_ALONE, DATE_ALONE
from cryptosim_bt.errors import DataError, listed

Names = tuple[str, ...]

TIME_NAMES: Final[Names] = (
    "opentime", "timeopen", "starttime", "startat", "start", "candledatetime", "timeperiodstart",
    "timestamp", "datetime", "date", "time", "ts", "t", "mts", "calctime", "fundingtime",
    "fundingratetimestamp", "opentimestamp", "timestampms", "unixtime", "unix",
    "일시", "시간", "시각", "날짜", "일자", "캔들시간", "체결시간", "기준시간",
    "id", "", "unnamed0", "index",
)  # fmt: skip
"""Names of the column of times, the surest first, as `plain` writes them; at last, an index that
was saved without a name. A closing time is not among them: bars are named by their opening (R1)."""

CLOSING_NAMES: Final = frozenset(
    ("closetime", "timeclose", "endtime", "timeperiodend", "closetimestamp", "kst종료시간")
)
MARKET_NAMES: Final = frozenset(
    ("symbol", "market", "instid", "instrumentname", "instrument", "pair", "ticker", "coin",
     "contracts", "종목", "종목코드", "종목명", "마켓", "심볼", "코인")
)  # fmt: skip
_ZONES: Final = {"utc": "UTC", "gmt": "UTC", "kst": "Asia/Seoul"}
_ZONED: Final = re.compile(r"(.+?)(utc|gmt|kst)")

# ``Volume ETH``: what is counted stands in the name. In these it is the quote currency's.
_COIN_VOLUME: Final = re.compile(r"(?:[Vv]olume|[Vv]ol)[\s_(\-]*([A-Z][A-Z0-9]{1,9})\)?")
_QUOTES: Final = frozenset(
    ("USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "DAI", "EUR", "GBP", "KRW", "JPY", "TRY",
     "BRL", "AUD", "CAD", "CHF")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that one kind of file holds beside its times.

    Attributes
    ----------
    required, optional : Mapping of str to tuple of str
        For each column, under our name, the names that it may have in a file: lower case, letters
        and digits only, the surest first.
    orders : tuple of tuple of str
        Which columns follow the time in a file without a header: the usual order first, then those
        of single exchanges, which the prices tell. Further columns are ignored.
    """

    required: Mapping[str, Names]
    optional: Mapping[str, Names]
    orders: tuple[Names, ...]

    @property
    def are_bars(self) -> bool:
        """Whether rows are bars, named by the time at which they open."""
        return "close" in self.required

    def with_names(self, column: str, *names: str) -> Layout:
        """Return a layout in which a column may have further names, surer than all others."""
        both = {**self.required, **self.optional}
        changed = {column: tuple(plain(name) for name in names) + both[column]}
        if column in self.required:
            return replace(self, required={**self.required, **changed})
        return replace(self, optional={**self.optional, **changed})

    def knows_header(self, cells: Iterable[str]) -> bool:
        """Tell whether cells name a time and every required column."""
        found = {plain(cell) for cell in cells}
        found |= {match[1] for name in found if (match := _ZONED.fullmatch(name))}
        named = bool(found & set(TIME_NAMES))
        return named and all(found.intersection(names) for names in self.required.values())


BARS: Final = Layout(
    required={
        "open": ("open", "openprice", "openingprice", "priceopen", "시가", "o"),
        "high": ("high", "highprice", "pricehigh", "고가", "최고가", "h", "max"),
        "low": ("low", "lowprice", "pricelow", "저가", "최저가", "l", "min"),
        "close": ("close", "closeprice", "tradeprice", "priceclose", "종가", "c", "last", "현재가"),
    },
    optional={
        "volume": (
            "volume", "vol", "basevolume", "volumebase", "volumebtc", "candleacctradevolume",
            "volumetraded", "volumefrom", "거래량", "v", "tickvolume", "tickvol",
        )
    },
    orders=(
        ("open", "high", "low", "close", "volume"),
        ("low", "high", "open", "close", "volume"),  # Coinbase
        ("open", "close", "high", "low", "volume"),  # Bitfinex, KuCoin, Bithumb
        ("quote volume", "close", "high", "low", "open", "volume"),  # Gate
        ("open", "high", "low", "close", "vwap", "volume"),  # Kraken
    ),
)  # fmt: skip

FUNDING: Final = Layout(
    # Paid before predicted (OKX), relative before what it is in money (Kraken).
    required={
        "funding_rate": (
            "realizedrate", "realfundingrate", "relativefundingrate", "fundingrate",
            "lastfundingrate", "rate", "r", "펀딩비", "펀딩비율", "펀딩률", "자금조달률",
        )
    },
    optional={},
    orders=(("funding_rate",),),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a file has what.

    Attributes
    ----------
    times : tuple of str
        The columns that may hold the times, the surest first.
    values : dict
        The column of the file for each name of ours.
    """

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

    Raises
    ------
    DataError
        If a required column is missing, or several may be meant.
    """
    by_name: dict[str, list[str]] = {}
    for column in raw.columns:
        by_name.setdefault(_unmangled(str(column), raw), []).append(column)
    found: dict[str, str] = {}
    for wanted, aliases in {**layout.required, **layout.optional}.items():
        meant = _first_of(aliases, by_name, wanted, name)
        if meant is None and wanted == "volume":
            meant = _coin_volume(raw, name)
        if meant is not None:
            found[wanted] = meant
            _note_choice(wanted, aliases, meant, by_name, notes)
    times = _time_columns(by_name, name)
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


def _first_of(
    aliases: Names, by_name: Mapping[str, list[str]], wanted: str, name: str
) -> str | None:
    columns = next((by_name[alias] for alias in aliases if alias in by_name), [])
    if len(columns) > 1:
        both = listed(map(repr, columns))
        raise DataError(f"{name}: {wanted} may be any of the columns {both}; keep one of them")
    return columns[0] if columns else None


def _note_choice(
    wanted: str, aliases: Names, meant: str, by_name: Mapping[str, list[str]], notes: list[str]
) -> None:
    """Say which of several rates was taken: what was paid may differ from what was predicted."""
    others = [by_name[alias][0] for alias in aliases if alias in by_name][1:]
    if wanted == "funding_rate" and others:
        notes.append(f"rates from {meant!r}, not {', '.join(map(repr, others))}")
    if wanted == "volume" and _COIN_VOLUME.fullmatch(str(meant)):
        notes.append(f"volume from {meant!r}")


def _coin_volume(raw: pd.DataFrame, name: str) -> str | None:
    named = {column: match[1] for column in raw.columns
             if (match := _COIN_VOLUME.fullmatch(str(column)))}  # fmt: skip
    coins = [column for column, coin in named.items() if coin not in _QUOTES] or list(named)
    if len(coins) > 1:
        raise DataError(
            f"{name}: volume may be any of the columns {listed(map(repr, coins))}; keep one of them"
        )
    return coins[0] if coins else None


def _time_columns(by_name: Mapping[str, list[str]], name: str) -> Names:
    found: list[str] = []
    for alias in TIME_NAMES:
        zoned = [f"{alias}{zone}" for zone in ("", *_ZONES)] if alias else [alias]
        for each in zoned:
            columns = by_name.get(each, [])
            if len(columns) > 1:
                both = listed(map(repr, columns))
                raise DataError(f"{name}: time may be any of the columns {both}; keep one of them")
            found += columns
    return tuple(found)


def require_one_market(raw: pd.DataFrame, markets: set[str], name: str) -> None:
    """Refuse rows of several markets; ``markets`` are those of the files before this one."""
    for column in raw.columns:
        if plain(str(column)) in MARKET_NAMES:
            labels = {str(each) for each in pd.unique(raw[column].dropna().astype("str"))}
            # Numbers are a count, such as that of contracts.
            markets |= {label for label in labels if not _is_number(label)}
            if len(markets) > 1:
                raise DataError(
                    f"{name}: {column!r} names several markets: {listed(sorted(markets))}; keep "
                    "the rows of one"
                )
            return


# ---------------------------------------------------------------------- without a header
def named_without_header(
    raw: pd.DataFrame, layout: Layout, name: str, notes: list[str]
) -> pd.DataFrame:
    """Name the columns of a table that has no names: by their usual order, or as prices tell.

    Raises
    ------
    DataError
        If the prices allow two readings.
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


def _order_of(values: pd.DataFrame, layout: Layout, name: str, notes: list[str]) -> Names:
    """Return the order of columns in which high is the highest and low the lowest on all rows."""
    usual = layout.orders[0]
    table = values.iloc[:, :6].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    whole = table[np.isfinite(table).all(axis=1)]
    if not len(whole):
        return usual
    fitting = [order for order in layout.orders if _fits(whole, order)]
    if usual in fitting and layout.orders[-1] in fitting and len(whole) > 2:
        fitting.remove(usual)  # a volume within each bar's prices would be a strange one
    readings: dict[bytes, Names] = {}
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


def _fits(table: npt.NDArray[np.float64], order: Names) -> bool:
    if "vwap" in order:
        return table.shape[1] >= len(order) and _looks_like_vwap(table) and _fits(table, order[:4])
    places = [order.index(each) for each in ("open", "high", "low", "close")]
    if max(places) >= table.shape[1]:
        return False
    open_, high, low, close = (table[:, place] for place in places)
    return bool(((high >= np.maximum(open_, close)) & (low <= np.minimum(open_, close))).all())


def _looks_like_vwap(table: npt.NDArray[np.float64]) -> bool:
    if table.shape[1] < 6:
        return False
    average, traded = table[:, 4], table[:, 5] != 0.0  # without a trade, Kraken's average is 0
    return bool(
        traded.any() and ((average <= table[:, 1]) & (average >= table[:, 2]) | ~traded).all()
    )


def _reading(table: npt.NDArray[np.float64], order: Names) -> npt.NDArray[np.float64]:
    """Return what bars an order of columns gives; a volume that is not there counts as 0."""
    columns = [
        table[:, order.index(each)] if order.index(each) < table.shape[1] else np.zeros(len(table))
        for each in ("open", "high", "low", "close", "volume")
    ]
    return np.column_stack(columns)
