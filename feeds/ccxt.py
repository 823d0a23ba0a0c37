"""Bars of any exchange that ccxt knows, kept on disk: asked of the venue once."""

from __future__ import annotations

import hashlib

import pandas as pd

from cryptosim_bt.data.feed import DataRequest, DataSource, Feed
from cryptosim_bt.data.fetch import DataAccess, SeriesSpan, require
from cryptosim_bt.data.funding import to_full_minutes
from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.timeframe import iso_utc, times_of, to_milliseconds, utc_index
from cryptosim_bt.errors import DataError
from cryptosim_bt.plugins.registry import register_feed


@register_feed("ccxt")
class CcxtFeed(Feed):
    """Read bars and funding rates of ``exchange.name`` from the store; download what is missing.

    With ``data.offline`` (``run --offline``) nothing is asked of a network: what is missing is an
    error that says how to get it. Bars that the venue never had are holes, never made up;
    ``data.gaps`` decides about them.
    """

    def load(self, request: DataRequest) -> pd.DataFrame:
        series = Series.bars(request.exchange, request.symbol, request.timeframe, request.price)
        need = SeriesSpan(series, to_milliseconds(request.first), to_milliseconds(request.end))
        bars = _rows(request, need)
        if bars.empty:
            raise DataError(
                f"{series}: the venue has no bars from {iso_utc(request.first)} to "
                f"{iso_utc(request.end)}; change backtest.trading_period, or ask once more with "
                "`verify-data --ask-again`"
            )
        return bars

    def describe(self, request: DataRequest) -> DataSource:
        return self.load_and_describe(request)[1]

    def load_and_describe(self, request: DataRequest) -> tuple[pd.DataFrame, DataSource]:
        """Return the bars with their checksum: times and figures, one after the other."""
        bars = self.load(request)
        digest = hashlib.sha256(times_of(bars).tobytes())
        digest.update(bars.to_numpy().tobytes())
        return bars, DataSource(source="ccxt", sha256=digest.hexdigest())

    def funding(self, request: DataRequest) -> pd.Series[float]:
        series = Series.funding(request.exchange, request.symbol)
        need = SeriesSpan(series, to_milliseconds(request.start), to_milliseconds(request.end))
        rates = _rows(request, need)["funding_rate"]
        times = to_full_minutes(times_of(rates))
        return rates.set_axis(utc_index(times), axis="index")


def _rows(request: DataRequest, need: SeriesSpan) -> pd.DataFrame:
    if request.directory is None:
        raise DataError("data.directory: missing; source: ccxt needs the folder of kept data")
    store = Store(request.directory)
    require(DataAccess(store, request.exchange, request.rest_url, request.offline), [need])
    start, end = (pd.Timestamp(at, unit="ms", tz="UTC") for at in (need.start_ms, need.end_ms))
    return store.read(need.series, start, end)
