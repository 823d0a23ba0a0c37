"""Loading the bars that match orders: finer ones (`fill_path`) and marks (`mark_path`)."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from cryptosim_bt.bars import select_window
from cryptosim_bt.config import Settings
from cryptosim_bt.feed import DataRequest
from cryptosim_bt.matching_bars import (
    MatchingBars,
    aligned_mark,
    check_cover,
    volume_in_contracts,
)
from cryptosim_bt.plugins import Kind, Registry

logger = logging.getLogger(__name__)


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
    if data.fill_path is None and data.mark_path is None and share is None:
        return None
    bars = window
    if data.fill_path is not None and data.fill_timeframe is not None:
        bars = _load(settings, registry, "fill_path", data.fill_path, data.fill_timeframe, window)
        check_cover(window, bars, settings.timeframe_ms, data.fill_path)
    mark = None
    if data.mark_path is not None:
        timeframe = data.fill_timeframe or data.timeframe
        mark = _load(settings, registry, "mark_path", data.mark_path, timeframe, window)
        mark = aligned_mark(mark, bars, data.mark_path)
    volume: np.ndarray | None = None
    if share is not None and data.volume_unit is not None:
        volume = volume_in_contracts(bars, settings.instrument, data.volume_unit)
    return MatchingBars(bars, mark, volume)


def _load(
    settings: Settings,
    registry: Registry,
    key: str,
    path: str,
    timeframe: str,
    window: pd.DataFrame,
) -> pd.DataFrame:
    """Load bars of the window from a file, by the same road as the strategy's own."""
    feed = registry.get(Kind.FEED, "file", settings.place("data", key)).cls()
    end = window.index[-1] + pd.Timedelta(settings.timeframe_ms, unit="ms")
    start = window.index[0]
    request = DataRequest(settings.keys.trading.symbol, timeframe, start, end, 0, Path(path))
    bars, _ = select_window(
        feed.load(request),
        start=start,
        end=end,
        warmup=0,
        timeframe=timeframe,
        gaps=settings.keys.data.gaps,
        source=path,
    )
    logger.info("data.%s: %d bars of %s", key, len(bars), timeframe)
    return bars
