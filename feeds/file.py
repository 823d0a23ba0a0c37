"""Bars from a file: CSV, plain or compressed, Parquet or Feather."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import pandas as pd

from cryptosim_bt.data.bars import COLUMNS
from cryptosim_bt.data.feed import DataRequest, DataSource, Feed
from cryptosim_bt.data.tabular import Layout, file_sha256, read_table
from cryptosim_bt.errors import DataError
from cryptosim_bt.plugins.registry import register_feed

_LAYOUT: Final = Layout(
    required={
        "open": ("open", "o", "openprice"),
        "high": ("high", "h", "highprice", "max"),
        "low": ("low", "l", "lowprice", "min"),
        "close": ("close", "c", "closeprice"),
    },
    optional={"volume": ("volume", "vol", "v", "basevolume", "volumebase", "volumebtc")},
    headerless=COLUMNS,
)

logger = logging.getLogger(__name__)


@register_feed("file")
class FileFeed(Feed):
    """Read bars from the file ``data.path``.

    Columns go by their usual names in any case (``timestamp``, ``open_time``, ``date``, ...; ``o``,
    ``vol``, ...), as freqtrade, TradingView, Binance and ccxt write them; rows without a header are
    time, open, high, low, close, volume. Times are those at which bars open: ISO-8601 (UTC unless
    they say otherwise) or epoch numbers in s, ms, us or ns. A file without volumes is read with
    volume 0, and a WARNING says so.
    """

    def load(self, request: DataRequest) -> pd.DataFrame:
        """Return all bars of the file, in its order. Raise `DataError` where it cannot be read."""
        path = _require_path(request)
        bars = read_table(path, _LAYOUT)
        if "volume" not in bars.columns:
            logger.warning("%s: no column for volume; read as 0", path)
            bars["volume"] = 0.0
        return bars[list(COLUMNS)]

    def describe(self, request: DataRequest) -> DataSource:
        """Return the file's path and checksum."""
        path = _require_path(request)
        return DataSource(source="file", file=str(path), sha256=file_sha256(path))


def _require_path(request: DataRequest) -> Path:
    if request.path is None:
        raise DataError("data.path: missing; source: file needs the path of a file with bars")
    return request.path
