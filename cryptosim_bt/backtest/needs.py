"""What a run needs of its venue: the market's description, and spans of bars and rates."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.config.keys import Keys
from cryptosim_bt.config.settings import Settings, data_directory, load_keys, read_settings
from cryptosim_bt.data.download import Downloader
from cryptosim_bt.data.fetch import DataAccess, SeriesSpan
from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.store.records import kept_instrument, kept_market
from cryptosim_bt.data.timeframe import to_milliseconds
from cryptosim_bt.data.venue import Venue

if TYPE_CHECKING:
    from cryptosim_bt.plugins.registry import Registry

logger = logging.getLogger(__name__)


def access_of(keys: Keys) -> DataAccess:
    """Return the store and the venue that a configuration names."""
    return DataAccess(
        Store(data_directory(keys.data.directory)),
        keys.exchange.name,
        keys.exchange.rest_url,
        keys.data.offline,
    )


def needs_of(settings: Settings, registry: Registry) -> list[SeriesSpan]:
    """List what a run of a configuration reads from its venue: warm-up, fills, marks and funding.

    Whatever comes from a file, or is a constant, is not on the list.
    """
    from cryptosim_bt.backtest.prepare import (  # backtrader: only for this
        resolve_plugins,
        warmup_of,
    )

    keys, venue, symbol = settings.keys, settings.keys.exchange.name, settings.keys.trading.symbol
    plugins = resolve_plugins(settings, registry)
    start, end = to_milliseconds(settings.start), to_milliseconds(settings.end)
    warmup_ms = warmup_of(settings, plugins) * settings.timeframe_ms
    data, funding = keys.data, keys.backtest.funding
    needs = [SeriesSpan(Series.bars(venue, symbol, data.timeframe), start - warmup_ms, end)]
    if data.fill_timeframe is not None and data.fill_path is None:
        needs.append(SeriesSpan(Series.bars(venue, symbol, data.fill_timeframe), start, end))
    if data.mark:
        timeframe = data.fill_timeframe or data.timeframe
        needs.append(SeriesSpan(Series.bars(venue, symbol, timeframe, "mark"), start, end))
    if funding.rate is None and funding.path is None:
        needs.append(SeriesSpan(Series.funding(venue, symbol), start, end))
    return needs


def load_settings(path: Path | str, overrides: Sequence[str] = ()) -> Settings:
    """Read and check a configuration, its market as the venue last described it.

    Parameters
    ----------
    path
        The YAML file.
    overrides
        ``key.path=value`` assignments, applied in order.

    Raises
    ------
    ConfigError
        With a sentence for every key that is wrong.
    """
    return read_settings(path, overrides, described_market)


def described_market(keys: Keys, built_in: Instrument | None) -> Instrument | None:
    """Return a downloaded market's instrument, the built-in one where nothing is kept of it."""
    if keys.data.source != "ccxt":
        return built_in
    store = Store(data_directory(keys.data.directory))
    return kept_instrument(store, keys.exchange.name, keys.trading.symbol, built_in)


def settings_for_run(path: Path | str, overrides: Sequence[str]) -> Settings:
    """Read a configuration, and let its venue describe the market if it never did.

    Raises
    ------
    ConfigError, VenueError
        If a key is wrong, or the venue does not know the market.
    """
    keys = load_keys(path, overrides)
    access = access_of(keys)
    symbol = keys.trading.symbol
    if keys.data.source == "ccxt" and kept_market(access.store, access.exchange, symbol) is None:
        if access.offline:
            logger.warning(
                "%s %s: never described by the venue; built-in figures are used",
                access.exchange, symbol,
            )  # fmt: skip
        else:
            with closing(Venue(access.exchange, access.rest_url)) as venue:
                Downloader(access.store, venue).market(symbol)
    return load_settings(path, overrides)
