"""From settings to a run ready to begin: plugins found, bars checked, signals computed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace

import backtrader as bt
import numpy as np
import pandas as pd

from cryptosim_bt.accounting.maintenance_tiers import (
    BUILT_IN_TIERS,
    MaintenanceTiers,
    built_in_tiers,
    read_tiers,
)
from cryptosim_bt.backtest.matching_data import data_request, matching_bars
from cryptosim_bt.backtest.signal_table import signal_table, warmup_bars
from cryptosim_bt.backtest.strategy_mode import check_mode
from cryptosim_bt.config.keys import VENUE_TIERS
from cryptosim_bt.config.settings import Settings, data_directory
from cryptosim_bt.config.simulation import SimulationSettings, simulation_settings
from cryptosim_bt.data.bars import COLUMNS, select_window
from cryptosim_bt.data.feed import DataSource, Feed
from cryptosim_bt.data.funding import (
    FundingSchedule,
    constant_funding,
    read_funding_file,
    series_funding,
    venue_funding,
)
from cryptosim_bt.data.store import Store
from cryptosim_bt.data.store.records import kept_maintenance
from cryptosim_bt.data.timeframe import milliseconds
from cryptosim_bt.errors import ConfigError, DataError, PluginError
from cryptosim_bt.exchange.matching_bars import MatchingArrays, MatchingBars
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.plugins.backtrader_parts import BacktraderParts, find_parts
from cryptosim_bt.plugins.failures import failures_of
from cryptosim_bt.plugins.parameters import checked_parameters
from cryptosim_bt.plugins.registry import Kind, Registry, is_plain
from cryptosim_bt.strategy.indicators import IndicatorPanel
from cryptosim_bt.strategy.volatility import average_true_range

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResolvedPlugins:
    """The classes that a configuration names, and the strategy's checked parameters."""

    strategy: type[bt.Strategy]
    params: SimpleNamespace
    feed: type[Feed]
    analyzers: Mapping[str, type[ReportAnalyzer]]
    parts: BacktraderParts = field(default_factory=BacktraderParts)


@dataclass(frozen=True, slots=True, eq=False)
class RunArrays:
    """What a run reads bar by bar, as arrays; n bars of the strategy, warm-up and window.

    Attributes
    ----------
    times_ms : int64, n
        When each bar opens, since 1970-01-01 UTC.
    days : int64, n
        The local day on which it opens, counted from 1970-01-01 in the run's time zone (R25).
    bars : float64, 5 x n
        Rows of open, high, low, close, volume, the volume as the data give it.
    signals : int8, n
        Signals of R5; None for a strategy that decides bar by bar.
    size_atr, stop_atr : float64, n
        Average true ranges of sizes and stops; None where none is used.
    matching : MatchingArrays
        The bars that match orders: finer ones, or those of the window; with mark and volume.
    funding_times_ms, funding_rates : int64 and float64, one a funding time
        In order of time.
    """

    times_ms: np.ndarray
    days: np.ndarray
    bars: np.ndarray
    signals: np.ndarray | None
    size_atr: np.ndarray | None
    stop_atr: np.ndarray | None
    matching: MatchingArrays
    funding_times_ms: np.ndarray
    funding_rates: np.ndarray


@dataclass(frozen=True)
class Prepared:
    """A run ready to begin: bars checked, signals computed, plugins resolved.

    ``warmup`` bars of ``bars`` come before the trading window.
    """

    settings: Settings
    strategy: type[bt.Strategy]
    params: SimpleNamespace
    bars: pd.DataFrame
    warmup: int
    source: DataSource
    signals: list[int] | None
    panels: tuple[IndicatorPanel, ...]
    funding: list[tuple[int, float]]
    funding_series: FundingSchedule | None
    matching: MatchingBars | None
    tiers: MaintenanceTiers
    analyzers: Mapping[str, type[ReportAnalyzer]]
    feed: type[Feed] | None = None
    parts: BacktraderParts = field(default_factory=BacktraderParts)
    texts: Mapping[str, np.ndarray] = field(default_factory=dict)
    lines: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def simulation(self) -> SimulationSettings:
        """The run's settings as numbers."""
        return simulation_settings(self.settings, self.tiers)

    def atr(self, period: int) -> list[float] | None:
        """Return the average true range of each bar; None for a period of 0, where none is used."""
        return average_true_range(self.bars, period) if period else None

    def arrays(self) -> RunArrays:
        """Return what the run reads bar by bar, as arrays."""
        opens = pd.DatetimeIndex(self.bars.index).as_unit("ms")
        local = opens.tz_convert(self.settings.zone).tz_localize(None)
        matching = self.matching or MatchingBars(self.window, None, None)
        periods = (self.simulation.size_atr_period, self.simulation.stop_atr_period)
        size_atr, stop_atr = (np.array(self.atr(each)) if each else None for each in periods)
        return RunArrays(
            times_ms=opens.asi8,
            days=local.to_numpy("datetime64[D]").astype(np.int64),
            bars=self.bars[list(COLUMNS)].to_numpy(np.float64).T,
            signals=None if self.signals is None else np.array(self.signals, dtype=np.int8),
            size_atr=size_atr,
            stop_atr=stop_atr,
            matching=matching.arrays,
            funding_times_ms=np.array([time_ms for time_ms, _ in self.funding], dtype=np.int64),
            funding_rates=np.array([rate for _, rate in self.funding], dtype=np.float64),
        )

    @property
    def window(self) -> pd.DataFrame:
        """The bars that may trade."""
        return self.bars.iloc[self.warmup :]


def resolve_plugins(
    settings: Settings, registry: Registry, analyzers: Sequence[str] | None = None
) -> ResolvedPlugins:
    """Find the plugins that a configuration names and check the strategy's parameters.

    ``analyzers`` are named in place of the configured ones.

    Raises
    ------
    PluginError
        If one is unknown, broken or refuses its parameters.
    ConfigError
        If the strategy cannot trade in the configured mode.
    """
    strategy, params = _strategy(settings, registry)
    check_mode(settings, strategy)
    names = settings.keys.report.analyzers if analyzers is None else analyzers
    found = {
        name: registry.get(Kind.ANALYZER, name, settings.place("report", "analyzers")).cls
        for name in names
    }
    source = settings.keys.data.source
    feed = registry.get(Kind.FEED, source, settings.place("data", "source")).cls
    parts = find_parts(settings.keys, strategy, settings.place)
    return ResolvedPlugins(strategy, params, feed, found, parts)


def prepare(
    settings: Settings, registry: Registry, analyzers: Sequence[str] | None = None
) -> Prepared:
    """Resolve plugins, load and check bars, compute signals and funding.

    ``analyzers`` are named in place of the configured ones.
    """
    keys = settings.keys
    plugins = resolve_plugins(settings, registry, analyzers)
    request = data_request(settings, keys.data.timeframe, warmup_of(settings, plugins))
    request = replace(request, lines=_names_of_lines(settings))
    with failures_of({f"feed {keys.data.source}": plugins.feed}):
        feed = plugins.feed()
        table, source = feed.load_and_describe(request)
    bars, warmup = select_window(
        table,
        start=settings.start,
        end=settings.end,
        warmup=request.warmup,
        timeframe=keys.data.timeframe,
        gaps=keys.data.gaps,
        source=source.file or f"data.source {source.source}",
    )
    logger.info("%d bars from %s, %d of them before the window", len(bars), source.source, warmup)
    matching = matching_bars(settings, registry, bars.iloc[warmup:])
    funding = keys.backtest.funding
    rates = None
    if funding.rate is None and funding.path is None:
        with failures_of({f"feed {keys.data.source}": plugins.feed}):
            rates = feed.funding(request)
    prepared = prepare_bars(settings, plugins, bars, warmup, source, matching, rates)
    return replace(prepared, lines=_lines(settings, table, bars))


def _names_of_lines(settings: Settings) -> tuple[str, ...]:
    place = settings.place("data", "lines")
    for name in settings.keys.data.lines:
        if not name.isidentifier() or name in ("datetime", "openinterest", *COLUMNS):
            raise DataError(f"{place}: was {name!r}; allowed: names that no bar has, as in Python")
    return tuple(dict.fromkeys(settings.keys.data.lines))


def _lines(settings: Settings, table: pd.DataFrame, bars: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the further columns of the data that a configuration names, one value a bar."""
    found: dict[str, np.ndarray] = {}
    for name in settings.keys.data.lines:
        if name not in table.columns:
            place = settings.place("data", "lines")
            raise DataError(f"{place}: there is no column {name!r} in the data; leave it out")
        values = pd.to_numeric(table[name], errors="coerce")
        times = pd.DatetimeIndex(table.index).tz_convert("UTC").as_unit("ms")
        found[name] = values.set_axis(times).reindex(bars.index).to_numpy(np.float64)
    return found


def prepare_bars(
    settings: Settings,
    plugins: ResolvedPlugins,
    bars: pd.DataFrame,
    warmup: int,
    source: DataSource,
    matching: MatchingBars | None = None,
    rates: pd.Series[float] | None = None,
) -> Prepared:
    """Compute signals and funding for bars that are loaded and checked.

    ``warmup`` of the bars come before the trading window; ``matching`` are finer bars or marks;
    ``rates`` are the funding rates of a feed that has them, used where the configuration gives
    none.
    """
    keys = settings.keys
    funding, funding_series = _funding(settings, bars.index[-1], rates)
    table = signal_table(plugins.strategy, plugins.params, bars, keys.strategy.name)
    matching_ms = milliseconds(keys.data.fill_timeframe or keys.data.timeframe)
    timeout_ms = keys.trading.order_cancel_timeout * 1000
    if matching_ms > timeout_ms and not is_plain(plugins.strategy):
        logger.warning(
            "trading.order_cancel_timeout of %g s is shorter than a bar: an entry is still tried "
            "over its whole next bar, which is optimistic (R10)",
            keys.trading.order_cancel_timeout,
        )
    return Prepared(
        settings=settings,
        strategy=plugins.strategy,
        params=plugins.params,
        bars=bars,
        warmup=warmup,
        source=source,
        signals=table.signals,
        panels=table.panels,
        texts=table.texts,
        funding=funding,
        funding_series=funding_series,
        matching=matching,
        tiers=tiers_of(settings),
        analyzers=plugins.analyzers,
        feed=plugins.feed,
        parts=plugins.parts,
    )


def warmup_of(settings: Settings, plugins: ResolvedPlugins) -> int:
    """Return how many bars before the window a run needs (R3; a plain strategy: R50)."""
    if is_plain(plugins.strategy):
        return settings.keys.strategy.warmup
    needed = warmup_bars(plugins.strategy, plugins.params, settings.keys.strategy.name)
    return max(needed, _atr_warmup(settings))


def _atr_warmup(settings: Settings) -> int:
    """Return the bars that the ATRs of `trading.sizing` and `trading.stop` need (R46)."""
    trading = settings.keys.trading
    return max(
        trading.sizing.atr_period if trading.sizing.method == "atr" else 0,
        trading.stop.atr_period if trading.stop.method == "atr" else 0,
    )


def _strategy(
    settings: Settings, registry: Registry
) -> tuple[type[bt.Strategy], SimpleNamespace]:
    section = settings.keys.strategy
    place = settings.place("strategy", "name")
    plugin = registry.get(Kind.STRATEGY, section.name, place)
    for name, block in section.blocks.items():
        if name not in registry.names(Kind.STRATEGY):
            registry.get(Kind.STRATEGY, name, settings.place("strategy", name))
        if block is not None and not isinstance(block, dict):
            raise PluginError(
                f"{settings.place('strategy', name)}: was {block!r}; allowed: parameters below it"
            )
    place = settings.place("strategy", section.block)
    with failures_of({f"strategy {section.name}": plugin.cls}):
        return plugin.cls, checked_parameters(
            plugin, section.parameters, place, partial(settings.place, "strategy", section.block)
        )


def _funding(
    settings: Settings, last_open: pd.Timestamp, rates: pd.Series[float] | None
) -> tuple[list[tuple[int, float]], FundingSchedule | None]:
    """Return the funding times with their rates, and the series that they come from, if any."""
    funding = settings.keys.backtest.funding
    end = min(settings.end, last_open + pd.Timedelta(settings.timeframe_ms, unit="ms"))
    if funding.path is not None:
        series = read_funding_file(Path(funding.path), settings.data_zone, settings.zone)
        schedule = series_funding(series, settings.start, end, funding.missing)
        return _dated(schedule), schedule
    if rates is not None:
        source = f"funding rates of {settings.keys.exchange.name} {settings.instrument.symbol}"
        schedule = venue_funding(rates, settings.start, end, funding.missing, source)
        return _dated(schedule), schedule
    if funding.rate is None:
        logger.warning(
            "no funding is configured: none is paid or received, which is optimistic for a "
            "crowded side; give backtest.funding.rate (0 = none) or path"
        )
        return [], None
    return constant_funding(funding.rate, funding.times, settings.start, end), None


def _dated(schedule: FundingSchedule) -> list[tuple[int, float]]:
    return list(zip(schedule.times_ms.tolist(), schedule.rates.tolist(), strict=True))


def tiers_of(settings: Settings) -> MaintenanceTiers:
    """Return the margin tiers; the leverage must leave room above the first one's rate."""
    tiers, leverage = _tiers(settings), settings.keys.trading.leverage
    rate = tiers.tiers[0].rate
    if leverage * rate >= 1.0:
        raise ConfigError(
            f"{settings.place('trading', 'leverage')}: was {leverage:g}; allowed: below "
            f"{1.0 / rate:g}, since the initial margin, 1/leverage of the notional, must exceed "
            f"the maintenance margin of {rate:g} of it (its first tier), as on every venue"
        )
    return tiers


def _tiers(settings: Settings) -> MaintenanceTiers:
    path: Path | str | None = settings.tiers
    if path == BUILT_IN_TIERS:
        path = built_in_tiers(settings.keys.exchange.name, settings.instrument)
    if path == VENUE_TIERS:
        store = Store(data_directory(settings.keys.data.directory))
        kept = kept_maintenance(store, settings.keys.exchange.name, settings.instrument.symbol)
        if kept is not None:
            return kept
    elif path is not None:
        return read_tiers(Path(path))
    return MaintenanceTiers.single(settings.instrument.maintenance_margin_rate)
