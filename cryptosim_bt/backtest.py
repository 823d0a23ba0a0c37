"""From settings to a result: load bars, compute signals, run Cerebro, gather the tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from cryptosim_bt import metrics
from cryptosim_bt._version import __version__
from cryptosim_bt.bars import select_window
from cryptosim_bt.broker import FuturesBroker
from cryptosim_bt.commission import FuturesCommission
from cryptosim_bt.config import Settings, data_directory
from cryptosim_bt.engine import ArrayData, LeanCerebro
from cryptosim_bt.errors import PluginError
from cryptosim_bt.exchange import FillRules
from cryptosim_bt.feed import DataRequest, DataSource, Feed
from cryptosim_bt.funding import (
    constant_funding,
    read_funding_file,
    series_funding,
    venue_funding,
)
from cryptosim_bt.groups import PositionSet, Trade
from cryptosim_bt.indicators import IndicatorPanel, panels_of
from cryptosim_bt.plugins import Kind, Registry, checked_parameters
from cryptosim_bt.positions import BookRules, PositionBook
from cryptosim_bt.recorder import BarRecorder
from cryptosim_bt.records import Fill, OrderLife
from cryptosim_bt.report import ReportAnalyzer
from cryptosim_bt.result import Result
from cryptosim_bt.risk import DailyLossLimit
from cryptosim_bt.sizer import BaseAmountSizer
from cryptosim_bt.strategy import SIGNALS, SignalStrategy, StrategyContext
from cryptosim_bt.timeframe import iso_utc

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResolvedPlugins:
    """The classes that a configuration names, and the strategy's checked parameters."""

    strategy: type[SignalStrategy]
    params: SimpleNamespace
    feed: type[Feed]
    analyzers: Mapping[str, type[ReportAnalyzer]]


@dataclass(frozen=True)
class Prepared:
    """A run ready to begin: bars checked, signals computed, plugins resolved.

    ``warmup`` bars of ``bars`` come before the trading window.
    """

    settings: Settings
    strategy: type[SignalStrategy]
    params: SimpleNamespace
    bars: pd.DataFrame
    warmup: int
    source: DataSource
    signals: list[int] | None
    panels: tuple[IndicatorPanel, ...]
    funding: list[tuple[int, float]]
    analyzers: Mapping[str, type[ReportAnalyzer]]

    @property
    def window(self) -> pd.DataFrame:
        """The bars that may trade."""
        return self.bars.iloc[self.warmup :]


def run_backtest(
    settings: Settings, registry: Registry, progress: Callable[[int, int], None] | None = None
) -> tuple[Result, list[ReportAnalyzer]]:
    """Run a backtest.

    Parameters
    ----------
    settings
        A checked configuration.
    registry
        Where its plugins are found.
    progress
        Called with (bars done, bars in all).

    Returns
    -------
    Result, list of ReportAnalyzer
        The finished run, and the configured analyzers, which can `write` it.

    Raises
    ------
    InputError
        If bars, plugins or their parameters are not usable.
    """
    return execute(prepare(settings, registry), progress)


def resolve_plugins(settings: Settings, registry: Registry) -> ResolvedPlugins:
    """Find the plugins that a configuration names and check the strategy's parameters.

    Raises
    ------
    PluginError
        If one is unknown, broken or refuses its parameters.
    """
    strategy, params = _strategy(settings, registry)
    analyzers = {
        name: registry.get(Kind.ANALYZER, name, settings.place("report", "analyzers")).cls
        for name in settings.keys.report.analyzers
    }
    source = settings.keys.data.source
    feed = registry.get(Kind.FEED, source, settings.place("data", "source")).cls
    return ResolvedPlugins(strategy, params, feed, analyzers)


def prepare(settings: Settings, registry: Registry) -> Prepared:
    """Resolve plugins, load and check bars, compute signals and funding."""
    keys = settings.keys
    plugins = resolve_plugins(settings, registry)
    feed = plugins.feed()
    request = DataRequest(
        symbol=keys.trading.symbol,
        timeframe=keys.data.timeframe,
        start=settings.start,
        end=settings.end,
        warmup=plugins.strategy.warmup(plugins.params),
        path=None if keys.data.path is None else Path(keys.data.path),
        exchange=keys.exchange.name,
        rest_url=keys.exchange.rest_url,
        directory=data_directory(keys.data.directory),
        offline=keys.data.offline,
    )
    source = feed.describe(request)
    bars, warmup = select_window(
        feed.load(request),
        start=settings.start,
        end=settings.end,
        warmup=request.warmup,
        timeframe=keys.data.timeframe,
        gaps=keys.data.gaps,
        source=source.file or f"data.source {source.source}",
    )
    logger.info("%d bars from %s, %d of them before the window", len(bars), source.source, warmup)
    funding = keys.backtest.funding
    rates = feed.funding(request) if funding.rate is None and funding.path is None else None
    return prepare_bars(settings, plugins, bars, warmup, source, rates)


def prepare_bars(
    settings: Settings,
    plugins: ResolvedPlugins,
    bars: pd.DataFrame,
    warmup: int,
    source: DataSource,
    rates: pd.Series[float] | None = None,
) -> Prepared:
    """Compute signals and funding for bars that are loaded and checked.

    ``warmup`` of the bars come before the trading window; ``rates`` are the funding rates of a feed
    that has them, used where the configuration gives none.
    """
    keys = settings.keys
    signals, panels = _signals(plugins.strategy, plugins.params, bars, keys.strategy.name)
    if settings.timeframe_ms > keys.trading.order_cancel_timeout * 1000:
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
        signals=signals,
        panels=panels,
        funding=_funding(settings, bars.index[-1], rates),
        analyzers=plugins.analyzers,
    )


def execute(
    prepared: Prepared, progress: Callable[[int, int], None] | None = None
) -> tuple[Result, list[ReportAnalyzer]]:
    """Run a prepared backtest through Cerebro and gather its result."""
    total = len(prepared.bars)
    report = None if progress is None else lambda done: progress(done, total)
    cerebro = LeanCerebro(progress=report, stdstats=False)
    cerebro.adddata(ArrayData(dataname=prepared.bars, bar=prepared.settings.keys.data.timeframe))
    cerebro.broker = _broker(prepared)
    cerebro.addsizer(
        BaseAmountSizer,
        instrument=prepared.settings.instrument,
        base_amount=prepared.settings.keys.trading.position_size,
    )
    cerebro.addstrategy(prepared.strategy, context=_context(prepared), **vars(prepared.params))
    cerebro.addanalyzer(BarRecorder, _name="bar_recorder")
    for name, analyzer in prepared.analyzers.items():
        cerebro.addanalyzer(analyzer, _name=name)
    strategy = cerebro.run()[0]
    analyzers = [getattr(strategy.analyzers, name) for name in prepared.analyzers]
    return _result(prepared, strategy), analyzers


# ---------------------------------------------------------------------- preparing
def _strategy(
    settings: Settings, registry: Registry
) -> tuple[type[SignalStrategy], SimpleNamespace]:
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
    place = settings.place("strategy", section.name)
    return plugin.cls, checked_parameters(plugin, section.parameters, place)


def _signals(
    strategy: type[SignalStrategy], params: SimpleNamespace, bars: pd.DataFrame, name: str
) -> tuple[list[int] | None, tuple[IndicatorPanel, ...]]:
    """Compute a strategy's table once over all bars; (None, ()) for one that has none."""
    if strategy.generate_signals.__func__ is SignalStrategy.generate_signals.__func__:  # type: ignore[attr-defined]
        return None, ()
    table = strategy.generate_signals(bars, params)
    if not isinstance(table, pd.DataFrame) or "signal" not in table or len(table) != len(bars):
        raise PluginError(
            f"strategy {name!r}: generate_signals() must return a DataFrame with a 'signal' "
            f"column and one row for each of the {len(bars)} bars"
        )
    signal = table["signal"].to_numpy(np.float64)
    wrong = ~np.isin(signal, sorted(SIGNALS))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise PluginError(
            f"strategy {name!r}: signal at {iso_utc(bars.index[row])} was {signal[row]}; allowed: "
            f"1, -1, 2, -2, 0 ({int(wrong.sum())} such bars)"
        )
    reserved = {"open", "high", "low", "close", "volume"}
    columns = {
        column: table[column].to_numpy(np.float64)
        for column in table.columns
        if column != "signal" and column not in reserved
    }
    return signal.astype(int).tolist(), panels_of(columns, strategy.plot_panels)


def _funding(
    settings: Settings, last_open: pd.Timestamp, rates: pd.Series[float] | None
) -> list[tuple[int, float]]:
    funding = settings.keys.backtest.funding
    end = min(settings.end, last_open + pd.Timedelta(settings.timeframe_ms, unit="ms"))
    if funding.path is not None:
        schedule = series_funding(
            read_funding_file(Path(funding.path)), settings.start, end, funding.missing
        )
        return list(zip(schedule.times_ms.tolist(), schedule.rates.tolist(), strict=True))
    if rates is not None:
        source = f"funding rates of {settings.keys.exchange.name} {settings.instrument.symbol}"
        schedule = venue_funding(rates, settings.start, end, funding.missing, source)
        return list(zip(schedule.times_ms.tolist(), schedule.rates.tolist(), strict=True))
    if funding.rate is None:
        logger.warning(
            "no funding is configured: none is paid or received, which is optimistic for a "
            "crowded side; give backtest.funding.rate (0 = none) or path"
        )
        return []
    return constant_funding(funding.rate, funding.times, settings.start, end)


def _broker(prepared: Prepared) -> FuturesBroker:
    settings = prepared.settings
    keys, instrument = settings.keys, settings.instrument
    fill = keys.backtest.fill
    return FuturesBroker(
        cash=keys.backtest.initial_balance,
        instrument=instrument,
        fill_rules=FillRules(
            price_improvement=fill.price_improvement,
            through=fill.limit_fill == "through",
            slippage=fill.slippage,
        ),
        timeframe_ms=settings.timeframe_ms,
        funding=prepared.funding,
        commission=FuturesCommission(
            contract=instrument.contract(keys.backtest.linear_pnl),
            maker=settings.maker,
            taker=settings.taker,
            futures_leverage=keys.trading.leverage,
            maintenance_margin_rate=instrument.maintenance_margin_rate,
            liquidation_fee_rate=instrument.liquidation_fee_rate,
        ),
    )


def _context(prepared: Prepared) -> StrategyContext:
    settings = prepared.settings
    keys, instrument = settings.keys, settings.instrument
    trading, backtest = keys.trading, keys.backtest
    has_stop = trading.use_sl and trading.stop_loss_pct < 1.0
    book = PositionBook(
        instrument.contract(backtest.linear_pnl),
        instrument,
        BookRules(
            position_set_size=keys.position_set.position_set_size,
            max_sets={
                "long": keys.position_set.max_long_set,
                "short": keys.position_set.max_short_set,
            },
            take_profit_pct=trading.take_profit_pct if trading.use_tp else None,
            stop_loss_pct=trading.stop_loss_pct if has_stop else None,
        ),
        backtest.initial_balance,
    )
    return StrategyContext(
        instrument=instrument,
        book=book,
        daily_loss=DailyLossLimit(
            keys.risk.daily_loss_limit_pct, settings.zone, backtest.initial_balance
        ),
        initial_balance=backtest.initial_balance,
        timeframe_ms=settings.timeframe_ms,
        order_timeout_ms=round(trading.order_cancel_timeout * 1000),
        max_concurrent_sets=keys.risk.max_concurrent_positions,
        warmup=prepared.warmup,
        zone=settings.zone,
        signals=prepared.signals,
        panels=prepared.panels,
        fill_at_signal_close=backtest.fill.entry_fill == "signal_close",
        close_at_end=backtest.close_at_end,
    )


# ---------------------------------------------------------------------- gathering
def _result(prepared: Prepared, strategy: SignalStrategy) -> Result:
    bars, panels = _bars_table(prepared, strategy)
    book = strategy.book
    trades = _rows(Trade, book.trades)
    tables = {
        "bars": bars,
        "fills": _rows(Fill, strategy.fills),
        "trades": trades,
        "orders": _rows(OrderLife, list(strategy.order_lives.values())),
        "sets": _sets_table(book.sets),
    }
    tables["fills"]["order_id"] = tables["fills"]["order_id"].astype("Int64")
    summary = _summary(prepared, strategy, bars, trades)
    return Result(
        settings=prepared.settings.resolved(), summary=summary, panels=panels, **tables
    )


def _bars_table(
    prepared: Prepared, strategy: SignalStrategy
) -> tuple[pd.DataFrame, dict[str, str]]:
    window = prepared.window
    table = pd.DataFrame({"time": window.index})
    for column in ("open", "high", "low", "close"):
        table[column] = window[column].to_numpy()
    panels = {}
    columns = [(column, panel.name, values) for panel in prepared.panels
               for column, values in panel.columns.items()]  # fmt: skip
    for column, panel, values in columns or _own_indicators(strategy):
        table[column] = values[prepared.warmup :]
        panels[column] = panel
    recorded = strategy.analyzers.bar_recorder.table()
    return pd.concat([table, recorded], axis=1), panels


def _own_indicators(strategy: SignalStrategy) -> list[tuple[str, str, Any]]:
    """Return name, panel and values of the backtrader indicators that a strategy made itself."""
    found: list[tuple[str, str, Any]] = []
    for indicator in strategy._lineiterators[bt.LineIterator.IndType]:
        if not isinstance(indicator, bt.Indicator):
            continue
        label = "_".join(
            str(part) for part in (type(indicator).__name__.lower(), *_numbers(indicator))
        )
        panel = label if indicator.plotinfo.subplot else "price"
        aliases = indicator.getlinealiases()
        for alias in aliases:
            name = label if len(aliases) == 1 else f"{label}_{alias}"
            taken = sum(each[0] == name or each[0].startswith(f"{name}_#") for each in found)
            values = np.array(getattr(indicator.lines, alias).array, dtype=np.float64)
            found.append((f"{name}_#{taken + 1}" if taken else name, panel, values))
    return found


def _numbers(indicator: bt.Indicator) -> list[int]:
    """Return an indicator's whole-number parameters: its periods."""
    return [value for value in indicator.p._getvalues() if type(value) is int]


def _rows(kind: type, rows: list[Any]) -> pd.DataFrame:
    """Return dataclass rows as a table; ``..._ms`` becomes a UTC time column."""
    names = [each.name for each in fields(kind)]
    table = pd.DataFrame(
        {name: [getattr(row, name) for row in rows] for name in names}, columns=names
    )
    return _with_times(table)


def _with_times(table: pd.DataFrame) -> pd.DataFrame:
    for name in [column for column in table.columns if column.endswith("_ms")]:
        column = pd.to_datetime(table[name].astype("Int64"), unit="ms", utc=True)
        table[name] = column.astype("datetime64[ms, UTC]")
    return table.rename(columns=lambda name: name.removesuffix("_ms"))


_SET_COLUMNS = (
    "number", "side", "born_ms", "ended_ms", "entries", "entered_contracts", "entry_average",
    "take_profit_price", "stop_loss_price", "exit_price", "exit_reason", "group_pnl", "fees",
    "funding_paid",
)  # fmt: skip


def _sets_table(sets: list[PositionSet]) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {"set": [group.name for group in sets]}
    for name in _SET_COLUMNS[1:]:
        columns[name] = [getattr(group, name) for group in sets]
    table = _with_times(pd.DataFrame(columns))
    table["net_pnl"] = table["group_pnl"] - table["fees"] - table["funding_paid"]
    table["status"] = np.where(table["ended"].isna(), "open", "closed")
    return table.rename(
        columns={"entered_contracts": "contracts", "entry_average": "average_entry"}
    )


def _summary(
    prepared: Prepared, strategy: SignalStrategy, bars: pd.DataFrame, trades: pd.DataFrame
) -> dict[str, Any]:
    settings = prepared.settings
    account, exchange = strategy.broker.account, strategy.broker.exchange
    initial = settings.keys.backtest.initial_balance
    figures = metrics.figures(
        bars,
        trades,
        initial,
        settings.timeframe_ms,
        inverse=settings.instrument.kind == "inverse",
    )
    last = bars.iloc[-1]
    lives = strategy.order_lives.values()
    return {
        "bars_loaded": len(prepared.bars),
        "bars_traded": len(bars),
        "start": iso_utc(bars["time"].iloc[0]),
        "end": iso_utc(bars["time"].iloc[-1] + pd.Timedelta(settings.timeframe_ms, unit="ms")),
        "symbol": settings.instrument.symbol,
        "currency": settings.instrument.currency,
        "initial_balance": initial,
        "final_balance": float(last["balance"]),
        "final_equity": float(last["equity"]),
        "unrealized_pnl": float(last["unrealized_pnl"]),
        **{name: figures[name] for name in ("total_return", "total_return_usd", "annual_return",
                                            "max_drawdown", "sharpe", "sortino")},
        "fills": len(strategy.fills),
        **{name: figures[name] for name in ("trades", "wins", "losses", "win_rate",
                                            "profit_factor")},
        "fees_paid": account.fees_paid,
        "funding_paid": account.funding_paid,
        "entries_refused": dict(strategy.refused),
        "orders_expired": sum(life.status == "expired" for life in lives),
        "liquidations": exchange.liquidations,
        "shortfall": account.shortfall,
        "open_sets": len(strategy.book.open_sets()),
        "open_contracts": {side: leg.contracts for side, leg in account.legs.items()},
        "buy_and_hold_return": figures["buy_and_hold_return"],
        "data": {
            "source": prepared.source.source,
            "file": prepared.source.file,
            "sha256": prepared.source.sha256,
            "synthetic": prepared.source.synthetic,
        },
        "version": __version__,
    }  # fmt: skip
