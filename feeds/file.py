"""Bars from files: CSV or JSON, plain or packed, Parquet or Feather."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cryptosim_bt.data.bars import COLUMNS
from cryptosim_bt.data.feed import DataRequest, DataSource, Feed
from cryptosim_bt.data.tabular import file_sha256, read_bars
from cryptosim_bt.errors import DataError
from cryptosim_bt.plugins.registry import register_feed


@register_feed("file")
class FileFeed(Feed):
    """Read bars from ``data.path``: a file, a folder, or a list of them.

    CSV, JSON, Parquet and Feather, plain or packed. Columns go by their usual names in any case,
    English or Korean (``timestamp``, ``open_time``, ...; ``o``, ``vol``, ...), as exchanges and
    programs write them; rows without a header are in the order that their prices tell. Times are
    those at which bars open: ISO-8601 or epoch numbers in s, ms, us or ns; without an offset, in
    ``data.timezone`` (UTC where it is not given). What was done to a file (rows turned round,
    repeated ones dropped, ...) is said in an INFO line. A file without volumes is read with volume
    0, and a WARNING says so.
    """

    def load(self, request: DataRequest) -> pd.DataFrame:
        """Return all bars of the files, ascending. Raise `DataError` where one cannot be read."""
        paths = _require_paths(request)
        lines = request.lines
        bars = read_bars(paths, request.symbol, request.zone, request.run_zone, lines)
        return bars[[*COLUMNS, *(name for name in lines if name in bars)]]

    def describe(self, request: DataRequest) -> DataSource:
        """Return the files' paths and their checksum."""
        paths = _require_paths(request)
        name = "; ".join(map(str, paths))
        return DataSource(source="file", file=name, sha256=file_sha256(*paths))


def _require_paths(request: DataRequest) -> tuple[Path, ...]:
    paths = request.paths or (() if request.path is None else (request.path,))
    if not paths:
        raise DataError("data.path: missing; source: file needs the path of a file with bars")
    return paths
