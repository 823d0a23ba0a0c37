"""What a feed plugin is asked for, what it answers, and the class that it extends.

A feed gives one table of bars. The framework cuts the window out of it and checks it
(`cryptosim_bt.data.bars.select_window`), so a feed neither counts nor checks bars itself::

    @register_feed("my_feed")
    class MyFeed(Feed):
        def load(self, request): ...       # a bar table from request.first to request.end, or more
        def describe(self, request): ...   # optional: where the bars come from, for the record
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import pandas as pd

from cryptosim_bt.data.timeframe import milliseconds, to_milliseconds


@dataclass(frozen=True, slots=True)
class DataRequest:
    """The bars that a run needs.

    Attributes
    ----------
    symbol, timeframe, price : str
        ccxt's unified symbol, such as ``BTC/USD:BTC``; a key of `TIMEFRAMES`; ``trade``, or
        ``mark`` for bars of the mark price.
    start, end : pandas.Timestamp
        The trading window in UTC; `end` is exclusive (R2).
    warmup : int
        How many bars before `start` are needed too (R3).
    path, paths : pathlib.Path or None, tuple of pathlib.Path
        ``data.path``, absolute or relative to the working directory: None where none was given, or
        a list; and every path of it, one or a list.
    zone, run_zone : zoneinfo.ZoneInfo, optional
        ``data.timezone``: what times without an offset are in, None where nothing was said; and
        ``timezone``: what the run's dates are in.
    exchange, rest_url : str
        ``exchange.name``: whose bars they are; and what is asked in place of its own host, or None.
    directory, offline : pathlib.Path or None, bool
        ``data.directory``: where market data are kept; and whether no network may be asked.
    lines : tuple of str
        ``data.lines``: further columns that the table is asked for.
    price : str
        ``trade``, or ``mark`` for bars of the mark price.
    """

    symbol: str
    timeframe: str
    start: pd.Timestamp
    end: pd.Timestamp
    warmup: int
    path: Path | None = None
    exchange: str = "okx"
    rest_url: str | None = None
    directory: Path | None = None
    offline: bool = False
    price: Literal["trade", "mark"] = "trade"
    paths: tuple[Path, ...] = ()
    zone: ZoneInfo | None = None
    run_zone: ZoneInfo | None = None
    lines: tuple[str, ...] = ()

    @property
    def first(self) -> pd.Timestamp:
        """The opening time of the earliest bar needed, if none is missing; 1970 or later."""
        reach_ms = self.warmup * milliseconds(self.timeframe)
        return self.start - pd.Timedelta(min(reach_ms, to_milliseconds(self.start)), unit="ms")


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where the bars of a run came from, as recorded with its result.

    Attributes
    ----------
    source : str
        The feed's name; that of its class where it does not say.
    file, sha256 : str, optional
        The file or folder that was read, or files with ``; `` between them; and its checksum in
        hexadecimal: of several files, that of their names and checksums; without a file, that of
        the bars.
    synthetic : bool
        True where no market ever traded at these prices.
    """

    source: str
    file: str | None = None
    sha256: str | None = None
    synthetic: bool = False


class Feed(ABC):
    """Base of every feed plugin.

    A feed is made without arguments, once per run, and holds no state that a second request could
    see.
    """

    @abstractmethod
    def load(self, request: DataRequest) -> pd.DataFrame:
        """Return a bar table (see `cryptosim_bt.data.bars`) that covers the request.

        It may hold more bars than asked for, and fewer where there are no more. Raise `DataError`
        where bars cannot be had at all.
        """

    def describe(self, request: DataRequest) -> DataSource:
        """Return where the bars of `load` come from; by default: a market, by way of this class."""
        return DataSource(source=type(self).__name__)

    def load_and_describe(self, request: DataRequest) -> tuple[pd.DataFrame, DataSource]:
        """Return what `load` and `describe` do; a feed that describes what it read overrides it."""
        source = self.describe(request)
        return self.load(request), source

    def funding(self, request: DataRequest) -> pd.Series[float] | None:
        """Return the funding rates of ``start <= time < end``, or None: by default there are none.

        Asked where the configuration gives neither ``backtest.funding.rate`` nor ``path``. In the
        form of `read_funding_file`; an empty series: the venue has none of that time.
        """
        return None
