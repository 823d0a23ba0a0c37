"""Loading the bars that match orders: finer ones and marks, of files or of the venue."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.instrument import Instrument, VolumeUnit
from cryptosim_bt.config.settings import Settings, data_directory
from cryptosim_bt.data.bars import select_window
from cryptosim_bt.data.feed import DataRequest
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import DataError
from cryptosim_bt.exchange.matching_bars import MatchingBars
from cryptosim_bt.plugins.registry import Kind, Registry

_VENUE = "data.source ccxt"

logger = logging.getLogger(__name__)


def data_request(settings: Settings, timeframe: str, warmup: int) -> DataRequest:
    """Return the request for bars of the trading window, and of a warm-up before it."""
    keys = settings.keys
    return DataRequest(
        symbol=keys.trading.symbol,
        timeframe=timeframe,
        start=settings.start,
        end=settings.end,
        warmup=warmup,
        **_where(keys.data.path),
        zone=settings.data_zone,
        run_zone=settings.zone,
        exchange=keys.exchange.name,
        rest_url=keys.exchange.rest_url,
        directory=data_directory(keys.data.directory),
        offline=keys.data.offline,
    )


def _where(path: str | list[str] | None) -> dict[str, Any]:
    """Return one path or a list of them as a request has it."""
    if path is None or isinstance(path, str):
        alone = None if path is None else Path(path)
        return {"path": alone, "paths": () if alone is None else (alone,)}
    return {"path": None, "paths": tuple(map(Path, path))}


def _name(path: str | list[str] | None) -> str:
    """Return what bars of a path are called in messages."""
    return _VENUE if path is None else path if isinstance(path, str) else "; ".join(path)


def matching_bars(
    settings: Settings, registry: Registry, window: pd.DataFrame
) -> MatchingBars | None:
    """Return the bars that match orders, None where the strategy's own bars do.

    Parameters
    ----------
    window
        The strategy's bars of the trading window.

    Raises
    ------
    DataError
        If finer bars or marks are not there for the whole window.
    """
    data, share = settings.keys.data, settings.keys.backtest.fill.max_volume_share
    has_mark = data.mark or data.mark_path is not None
    if data.fill_timeframe is None and not has_mark and share is None:
        return None
    bars, timeframe = window, data.fill_timeframe or data.timeframe
    if data.fill_timeframe is not None:
        bars = _load(settings, registry, "fill_path", data.fill_path, timeframe, window)
        check_cover(window, bars, settings.timeframe_ms, _name(data.fill_path))
    mark = None
    if has_mark:
        mark = _load(settings, registry, "mark_path", data.mark_path, timeframe, window)
        mark = aligned_mark(mark, bars, _name(data.mark_path))
    volume: np.ndarray | None = None
    if share is not None and data.volume_unit is not None:
        if not bars["volume"].any():
            raise DataError(
                f"backtest.fill.max_volume_share: {share:g} of the volume was asked for, but the "
                f"bars of {_name(data.fill_path or data.path)} have none; give bars with a volume, "
                "or leave it out"
            )
        volume = volume_in_contracts(bars, settings.instrument, data.volume_unit)
    return MatchingBars(bars, mark, volume)


def _load(
    settings: Settings,
    registry: Registry,
    key: str,
    path: str | list[str] | None,
    timeframe: str,
    window: pd.DataFrame,
) -> pd.DataFrame:
    """Load bars of the window from a file or the venue, by the same road as the strategy's own."""
    name = settings.keys.data.source if path is None else "file"
    feed = registry.get(Kind.FEED, name, settings.place("data", key)).cls()
    end = window.index[-1] + pd.Timedelta(settings.timeframe_ms, unit="ms")
    start = window.index[0]
    request = replace(
        data_request(settings, timeframe, 0),
        start=start,
        end=end,
        **_where(path),
        price="mark" if key == "mark_path" else "trade",
    )
    bars, _ = select_window(
        feed.load(request),
        start=start,
        end=end,
        warmup=0,
        timeframe=timeframe,
        gaps=settings.keys.data.gaps,
        source=_name(path),
    )
    logger.info("data.%s: %d bars of %s", key, len(bars), timeframe)
    return bars


def aligned_mark(mark: pd.DataFrame, bars: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the mark's bars at the times of the matching bars (R38).

    Raises
    ------
    DataError
        If one is missing.
    """
    found = mark.reindex(bars.index)
    missing = found["close"].isna()
    if missing.any():
        first = bars.index[int(np.argmax(missing.to_numpy()))]
        raise DataError(
            f"data.mark_path: {source}: {int(missing.sum())} bars have no mark price, the first "
            f"at {iso_utc(first)}; give a series of the same timeframe that covers the window"
        )
    return found


def check_cover(coarse: pd.DataFrame, fine: pd.DataFrame, step_ms: int, source: str) -> None:
    """Require at least one fine bar in every strategy bar (R40).

    Raises
    ------
    DataError
        Naming the first strategy bar without any.
    """
    fine_ms = pd.DatetimeIndex(fine.index).as_unit("ms").asi8
    opens = pd.DatetimeIndex(coarse.index).as_unit("ms").asi8
    counts = np.searchsorted(fine_ms, opens + step_ms) - np.searchsorted(fine_ms, opens)
    if (counts == 0).any():
        first = coarse.index[int(np.argmin(counts))]
        raise DataError(
            f"data.fill_path: {source}: {int((counts == 0).sum())} strategy bars have no finer "
            f"bar in them, the first at {iso_utc(first)}; give finer bars of the whole window"
        )


def volume_in_contracts(
    bars: pd.DataFrame, instrument: Instrument, unit: VolumeUnit
) -> np.ndarray:
    """Return each bar's volume in contracts (R34)."""
    volume = bars["volume"].to_numpy(np.float64)
    return instrument.volume_contracts(volume, bars["close"].to_numpy(np.float64), unit)
