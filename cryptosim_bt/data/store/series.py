"""Series of rows by time in a store: read by range, added to, listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.data.store.files import folder_name, locked, remove_leftovers, symbol_of
from cryptosim_bt.data.store.parts import PartInfo, read_part, write_part
from cryptosim_bt.data.store.spans import Spans, clip, length, subtract, union
from cryptosim_bt.data.timeframe import (
    TIMEFRAMES,
    from_milliseconds,
    iso_utc,
    milliseconds,
    to_milliseconds,
    utc_index,
)
from cryptosim_bt.errors import StoreError

FUNDING: Final = "funding"
FOR_EVER_MS: Final = 253_402_300_800_000
"""The end of the year 9999: behind every time that is kept."""
_MARK: Final = "-mark"
_BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume")

Conflict = Literal["keep", "replace", "refuse"]
"""What to do with a row whose time is stored with other figures."""


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One row of times: of a venue (ccxt's id), of a symbol (ccxt's unified one), in some steps.

    ``kind``: a timeframe (bars of trades), one with ``-mark`` (of the mark price), or ``funding``.
    """

    venue: str
    symbol: str
    kind: str

    @classmethod
    def bars(cls, venue: str, symbol: str, timeframe: str, price: str = "trade") -> Series:
        """Return the series of bars of a timeframe; ``price`` is trade or mark."""
        return cls(venue, symbol, timeframe + (_MARK if price == "mark" else ""))

    @classmethod
    def funding(cls, venue: str, symbol: str) -> Series:
        """Return the series of funding rates."""
        return cls(venue, symbol, FUNDING)

    @property
    def timeframe(self) -> str | None:
        """The bars' timeframe, None for funding."""
        return None if self.kind == FUNDING else self.kind.removesuffix(_MARK)

    @property
    def price(self) -> Literal["trade", "mark"]:
        """Which price the bars tell."""
        return "mark" if self.kind.endswith(_MARK) else "trade"

    @property
    def step_ms(self) -> int | None:
        """A bar's length; None for funding, whose steps the venue may change."""
        return None if self.timeframe is None else milliseconds(self.timeframe)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns beside the time."""
        return ("funding_rate",) if self.kind == FUNDING else _BAR_COLUMNS

    def __str__(self) -> str:
        what = {"trade": "", "mark": " mark price"}[self.price]
        return f"{self.venue} {self.symbol} {self.timeframe or FUNDING}{what}"


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """What `list-data` shows of a series: times of its first and last row, how many there are.

    ``holes`` are bars between them that the venue does not have, ``unasked`` those between the
    first and last known time that were never asked; both None for funding. ``size`` is in bytes.
    """

    series: Series
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    rows: int
    holes: int | None
    unasked: int | None
    size: int


class Store:
    """Market data below one folder. Safe for several processes; holds nothing open."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    # ------------------------------------------------------------------ places
    def symbol_folder(self, venue: str, symbol: str) -> Path:
        """Return where all of one market stands."""
        return self.directory / folder_name(venue) / folder_name(symbol)

    def folder(self, series: Series) -> Path:
        """Return where the files of a series stand."""
        return self.symbol_folder(series.venue, series.symbol) / series.kind

    def part_paths(self, series: Series) -> list[Path]:
        """Return the files of a series, oldest first."""
        return sorted(self.folder(series).glob("[0-9]*.parquet"))

    def list_series(self) -> list[Series]:
        """Return every series that has a file."""
        found = []
        for folder in sorted(self.directory.glob("*/*/*")):
            kind = folder.name
            known = kind == FUNDING or kind.removesuffix(_MARK) in TIMEFRAMES
            if known and any(folder.glob("[0-9]*.parquet")):
                venue, symbol = folder.parent.parent.name, folder.parent.name
                found.append(Series(symbol_of(venue), symbol_of(symbol), kind))
        return found

    # ------------------------------------------------------------------ reading
    def known(self, series: Series, start_ms: int, end_ms: int) -> Spans:
        """Return the spans inside ``[start, end)`` of which everything is known."""
        paths = self._paths_between(series, start_ms, end_ms)
        infos = [self.part(series, path, whole=False)[0] for path in paths]
        return clip((span for info in infos for span in info.known), start_ms, end_ms)

    def unknown(self, series: Series, start_ms: int, end_ms: int) -> Spans:
        """Return the spans inside ``[start, end)`` that were never asked."""
        return subtract([(start_ms, end_ms)], self.known(series, start_ms, end_ms))

    def read(self, series: Series, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """Return the rows of ``start <= time < end``: float64, indexed by ``time`` in UTC.

        `StoreError` if a file is damaged: nothing is left out in silence.
        """
        rows = self.read_columns(series, to_milliseconds(start), to_milliseconds(end))
        return rows.set_axis(utc_index(rows.pop("time").to_numpy()), axis="index")

    def read_columns(self, series: Series, start_ms: int, end_ms: int) -> pd.DataFrame:
        """Return the rows of ``start <= time < end``: ``time`` in ms, and the series' columns."""
        paths = self._paths_between(series, start_ms, end_ms)
        pieces = [_between(self.part(series, path)[1], start_ms, end_ms) for path in paths]
        return pd.concat(pieces, ignore_index=True) if pieces else _no_rows(series)

    def part(
        self, series: Series, path: Path, *, whole: bool = True
    ) -> tuple[PartInfo, pd.DataFrame]:
        """Return a file's description and, if it is wanted whole, its rows.

        `StoreError` if it is damaged, or holds another series than its place says.
        """
        info, rows = read_part(path, ("time", *series.columns) if whole else ())
        if info.labels != asdict(series):
            found = " ".join(info.labels.values())
            raise StoreError(
                f"{path}: holds {found}, not {series}; was it moved? `verify-data --repair` sets "
                "it aside"
            )
        return info, rows

    def holes(self, series: Series, start_ms: int, end_ms: int) -> npt.NDArray[np.int64]:
        """Return the opening times of bars that the venue does not have, as far as it was asked."""
        step = series.step_ms
        if step is None:
            return np.empty(0, dtype=np.int64)
        grids = [grid(a, b, step) for a, b in self.known(series, start_ms, end_ms)]
        expected = np.concatenate([np.empty(0, dtype=np.int64), *grids])
        return np.setdiff1d(expected, self.read_columns(series, start_ms, end_ms)["time"])

    def summary(self, series: Series) -> SeriesSummary:
        """Sum a series up, without reading its rows."""
        paths = self.part_paths(series)
        infos = [self.part(series, path, whole=False)[0] for path in paths]
        rows = sum(info.rows for info in infos)
        firsts = [info.first_ms for info in infos if info.first_ms is not None]
        lasts = [info.last_ms for info in infos if info.last_ms is not None]
        known = union(span for info in infos for span in info.known)
        step, holes, unasked = series.step_ms, None, None
        if step is not None and known:
            unasked = (known[-1][1] - known[0][0] - length(known)) // step
            holes = 0
            if firsts:
                within = clip(known, firsts[0], lasts[-1] + step)
                holes = sum(len(grid(a, b, step)) for a, b in within) - rows
        return SeriesSummary(
            series=series,
            first=from_milliseconds(firsts[0]) if firsts else None,
            last=from_milliseconds(lasts[-1]) if lasts else None,
            rows=rows,
            holes=holes,
            unasked=unasked,
            size=sum(path.stat().st_size for path in paths),
        )

    # ------------------------------------------------------------------ writing
    def write(
        self, series: Series, rows: pd.DataFrame, known: Spans, conflict: Conflict = "keep"
    ) -> int:
        """Add rows and the spans that they make known; return how many rows are new or changed.

        Files are replaced one by one, each with its rows and its spans at once; all of them are
        compared before the first is. Rows of one time are one row.

        Parameters
        ----------
        rows
            ``time`` in ms and the series' columns, ascending, each time once, inside `known`.
        known
            Spans of which everything is known with these rows.
        conflict
            For a time that is stored with other figures: keep the stored row, replace it, or refuse
            all rows with a `StoreError`.
        """
        known, folder, changed = union(known), self.folder(series), 0
        with locked(folder):
            remove_leftovers(folder)
            ready = []
            for name, start, end in _periods(series, known):
                path, old = folder / f"{name}.parquet", _no_rows(series)
                old_known: Spans = ()
                if path.exists():
                    info, old = self.part(series, path)
                    old_known = info.known
                merged, news = _merge(series, old, _between(rows, start, end), conflict)
                spans = union([*old_known, *clip(known, start, end)])
                changed += news
                if news or spans != old_known:
                    ready.append((path, merged, spans))
            for path, merged, spans in ready:
                write_part(path, asdict(series), merged, spans)
        return changed

    def forget(self, series: Series, spans: Spans) -> None:
        """Remove rows and knowledge of spans, so that they are asked again."""
        with locked(self.folder(series)):
            for path in self.part_paths(series):
                info, rows = self.part(series, path)
                left = subtract(info.known, spans)
                if left != info.known:
                    gone = within(rows["time"].to_numpy(), spans)
                    write_part(path, asdict(series), rows[~gone], left)

    # ------------------------------------------------------------------ inner
    def _paths_between(self, series: Series, start_ms: int, end_ms: int) -> Iterator[Path]:
        if end_ms <= start_ms:
            return
        first, last = period_name(series, start_ms), period_name(series, end_ms - 1)
        for path in self.part_paths(series):
            if first <= path.stem <= last:
                yield path


def grid(start_ms: int, end_ms: int, step_ms: int) -> npt.NDArray[np.int64]:
    """Return the opening times of ``start <= open < end``: whole steps since 1970-01-01 UTC."""
    return np.arange(-(-start_ms // step_ms) * step_ms, end_ms, step_ms, dtype=np.int64)


def within(times: npt.NDArray[np.int64], spans: Spans) -> npt.NDArray[np.bool_]:
    """Tell for each time whether one of the spans holds it."""
    inside = np.zeros(len(times), dtype=bool)
    for start, end in spans:
        inside |= (times >= start) & (times < end)
    return inside


def _no_rows(series: Series) -> pd.DataFrame:
    columns = {name: np.empty(0) for name in series.columns}
    return pd.DataFrame({"time": np.empty(0, dtype=np.int64), **columns})


def _between(rows: pd.DataFrame, start_ms: int, end_ms: int) -> pd.DataFrame:
    first, stop = np.searchsorted(rows["time"], [start_ms, end_ms])
    return rows.iloc[first:stop]


def _merge(
    series: Series, old: pd.DataFrame, new: pd.DataFrame, conflict: Conflict
) -> tuple[pd.DataFrame, int]:
    """Join rows, each time once; return them and how many are new or changed."""
    old, new = old.set_index("time"), new.set_index("time")
    both = old.index.intersection(new.index)
    theirs, mine = old.loc[both], new.loc[both]
    differing = both[((theirs != mine) & ~(theirs.isna() & mine.isna())).any(axis=1)]
    if len(differing) and conflict == "refuse":
        raise StoreError(
            f"{series}: {len(differing)} rows differ from those stored, the first at "
            f"{iso_utc(int(differing[0]))}; nothing was changed: give --replace to take the new "
            "ones, or --keep for the old"
        )
    taken = new.index.difference(both)
    if conflict == "replace":
        taken = taken.union(differing)
    rest = old.drop(old.index.intersection(taken))
    return pd.concat([rest, new.loc[taken]]).sort_index().reset_index(), len(taken)


def period_name(series: Series, time_ms: int) -> str:
    """Return the name of the file of a time: its month, for funding its year."""
    text = str(np.datetime64(time_ms, "ms"))
    return text[:4] if series.kind == FUNDING else text[:7]


def _periods(series: Series, spans: Spans) -> list[tuple[str, int, int]]:
    """Return name, start and end of every file that the spans touch."""
    unit = "Y" if series.kind == FUNDING else "M"
    found: dict[str, tuple[str, int, int]] = {}
    for span in spans:
        first, last = (np.datetime64(at, "ms").astype(f"datetime64[{unit}]")
                       for at in (span[0], span[1] - 1))  # fmt: skip
        bounds = np.arange(first, last + 2).astype("datetime64[ms]").astype(np.int64).tolist()
        for start, end in pairwise(bounds):
            found[period_name(series, start)] = (period_name(series, start), start, end)
    return [found[name] for name in sorted(found)]
