"""Run a backtest: a prepared run through Cerebro, and what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from cryptosim_bt.accounting.exit_orders import BookRules
from cryptosim_bt.backtest.bar_recorder import BarRecorder, PlainBarRecorder
from cryptosim_bt.backtest.gather import gather
from cryptosim_bt.backtest.lean_loop import ArrayData, LeanCerebro
from cryptosim_bt.backtest.prepare import Prepared, prepare
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.broker.futures_broker import FuturesBroker
from cryptosim_bt.config.keys import TradingSection
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.data.timeframe import milliseconds, to_milliseconds
from cryptosim_bt.exchange.fill_rules import EventOrder, FillRules
from cryptosim_bt.exchange.venue_limits import VenueRules
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.plugins.failures import failures_of
from cryptosim_bt.plugins.registry import Registry, is_plain
from cryptosim_bt.results.result import Result
from cryptosim_bt.strategy.plain_ledger import PlainContext, PlainLedger
from cryptosim_bt.strategy.signal_strategy import StrategyContext
from cryptosim_bt.strategy.sizers import (
    BaseAmountSizer,
    EntrySizer,
    EquityShareSizer,
    VolatilitySizer,
)
from cryptosim_bt.strategy.volatility import average_true_range

logger = logging.getLogger(__name__)


def run_backtest(
    settings: Settings,
    registry: Registry,
    progress: Callable[[int, int], None] | None = None,
    *,
    ambiguity: bool = False,
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
    ambiguity
        Run the other orders of events as well; the summary gets the figures of all (R42).

    Returns
    -------
    Result, list of ReportAnalyzer
        The finished run, and the configured analyzers, which can `write` it.

    Raises
    ------
    InputError
        If bars, plugins or their parameters are not usable.
    PluginFailed
        If the strategy's own code raises an exception.
    """
    prepared = prepare(settings, registry)
    result, analyzers = execute(prepared, progress)
    if late := result.summary.get("funding_late"):
        logger.warning(
            "funding fell due in holes of the bars %d times while something was held; each was "
            "charged at the open of the first bar after its hole (R22)",
            late,
        )
    if ambiguity:
        summary = {**result.summary, "ambiguity": ambiguity_band(prepared, result)}
        result = replace(result, summary=summary)
    return result, analyzers


def ambiguity_band(prepared: Prepared, result: Result) -> dict[str, dict[str, float]]:
    """Return final equity and drawdown by each order of events (R42), the worst first.

    An indication and no bound: a bar decided one way leads to other bars. ``path`` is the estimate.
    """
    band: dict[str, dict[str, float]] = {}
    for order in _BAND:
        if order != prepared.settings.keys.backtest.fill.event_order:
            other, _ = execute(replace(prepared, analyzers={}), event_order=order)
            band[order] = _band_figures(other)
        else:
            band[order] = _band_figures(result)
    return band


_BAND: tuple[EventOrder, ...] = ("worst", "rules", "path", "best")


def _band_figures(result: Result) -> dict[str, float]:
    return {name: result.summary[name] for name in ("final_equity", "max_drawdown")}


def execute(
    prepared: Prepared,
    progress: Callable[[int, int], None] | None = None,
    event_order: EventOrder | None = None,
) -> tuple[Result, list[ReportAnalyzer]]:
    """Run a prepared backtest through Cerebro and gather its result.

    A prepared run can be executed any number of times.
    """
    cerebro = cerebro_for(prepared, progress, event_order)
    with failures_of(prepared.strategy, prepared.settings.keys.strategy.name):
        strategy = cerebro.run()[0]
    analyzers = [getattr(strategy.analyzers, name) for name in prepared.analyzers]
    return gather(prepared, strategy), analyzers


def cerebro_for(
    prepared: Prepared,
    progress: Callable[[int, int], None] | None = None,
    event_order: EventOrder | None = None,
) -> LeanCerebro:
    """Return Cerebro with all that a prepared backtest is made of; its every ``run()`` is alike."""
    total = len(prepared.bars)
    report = None if progress is None else lambda done: progress(done, total)
    # A plain strategy may look at backtrader's observers (``self.stats``), a signal's has none.
    cerebro = LeanCerebro(progress=report, stdstats=is_plain(prepared.strategy))
    settings = prepared.settings
    data = ArrayData(dataname=prepared.bars, bar=settings.keys.data.timeframe)
    cerebro.adddata(data, name=settings.instrument.symbol)
    cerebro.broker = _broker(prepared, event_order)
    if is_plain(prepared.strategy):
        # Sizes are its own: those of its orders, or of its sizer.
        PlainLedger(cerebro.broker, _plain_context(prepared))
        cerebro.addstrategy(prepared.strategy, **vars(prepared.params))
        cerebro.addanalyzer(PlainBarRecorder, _name="bar_recorder")
    else:
        sizer, options = _sizer(settings.keys.trading)
        cerebro.addsizer(sizer, instrument=settings.instrument, **options)
        cerebro.addstrategy(prepared.strategy, context=_context(prepared), **vars(prepared.params))
        cerebro.addanalyzer(BarRecorder, _name="bar_recorder")
    for name, analyzer in prepared.analyzers.items():
        cerebro.addanalyzer(analyzer, _name=name)
    return cerebro


def _broker(prepared: Prepared, event_order: EventOrder | None) -> FuturesBroker:
    settings = prepared.settings
    keys, instrument = settings.keys, settings.instrument
    fill, fine = keys.backtest.fill, keys.data.fill_timeframe
    return FuturesBroker(
        cash=keys.backtest.initial_balance,
        instrument=instrument,
        fill_rules=FillRules(
            price_improvement=fill.price_improvement,
            through=fill.limit_fill == "through",
            slippage=fill.slippage,
            slippage_range=fill.slippage_range,
            max_volume_share=fill.max_volume_share,
            latency_ms=fill.latency_ms,
            event_order=event_order or fill.event_order,
        ),
        timeframe_ms=settings.timeframe_ms,
        matching_bars=prepared.matching,
        matching_ms=milliseconds(fine) if fine else settings.timeframe_ms,
        has_mark=keys.data.mark or keys.data.mark_path is not None,
        margin_mode=keys.trading.margin_mode,
        venue_rules=VenueRules(
            max_contracts=keys.instrument.max_contracts,
            max_open_orders=keys.instrument.max_open_orders,
            price_band=keys.instrument.price_band,
        ),
        funding=prepared.funding,
        fill_at_signal_close=fill.entry_fill == "signal_close",
        close_at_end=keys.backtest.close_at_end,
        commission=FuturesCommission(
            contract=instrument.contract(keys.backtest.linear_pnl),
            maker=settings.maker,
            taker=settings.taker,
            futures_leverage=keys.trading.leverage,
            tiers=prepared.tiers,
            liquidation_fee_rate=instrument.liquidation_fee_rate,
        ),
    )


def _sizer(trading: TradingSection) -> tuple[type[EntrySizer], dict[str, float]]:
    sizing = trading.sizing
    if sizing.method == "equity":
        return EquityShareSizer, {"share": sizing.equity_share}
    if sizing.method == "atr":
        options = {"risk_share": sizing.risk_share, "atr_multiple": sizing.atr_multiple}
        return VolatilitySizer, options
    return BaseAmountSizer, {"amount": trading.position_size}


def _context(prepared: Prepared) -> StrategyContext:
    settings = prepared.settings
    keys, instrument = settings.keys, settings.instrument
    trading, backtest = keys.trading, keys.backtest
    by_atr = trading.stop.method == "atr"
    has_stop = trading.use_sl and (by_atr or trading.stop_loss_pct < 1.0)
    return StrategyContext(
        instrument=instrument,
        book_rules=BookRules(
            position_set_size=keys.position_set.position_set_size,
            max_sets={
                "long": keys.position_set.max_long_set,
                "short": keys.position_set.max_short_set,
            },
            take_profit_pct=trading.take_profit_pct if trading.use_tp else None,
            stop_loss_pct=trading.stop_loss_pct if has_stop else None,
        ),
        daily_loss_limit_pct=keys.risk.daily_loss_limit_pct,
        initial_balance=backtest.initial_balance,
        timeframe_ms=settings.timeframe_ms,
        order_timeout_ms=round(trading.order_cancel_timeout * 1000),
        max_concurrent_sets=keys.risk.max_concurrent_positions,
        warmup=prepared.warmup,
        zone=settings.zone,
        signals=prepared.signals,
        panels=prepared.panels,
        size_atr=(
            average_true_range(prepared.bars, trading.sizing.atr_period)
            if trading.sizing.method == "atr"
            else None
        ),
        stop_atr=(
            average_true_range(prepared.bars, trading.stop.atr_period)
            if has_stop and by_atr
            else None
        ),
        stop_atr_multiple=trading.stop.atr_multiple,
    )


def _plain_context(prepared: Prepared) -> PlainContext:
    settings, keys = prepared.settings, prepared.settings.keys
    return PlainContext(
        strategy=keys.strategy.name,
        instrument=settings.instrument,
        initial_balance=keys.backtest.initial_balance,
        timeframe_ms=settings.timeframe_ms,
        zone=settings.zone,
        warmup=prepared.warmup,
        start_ms=to_milliseconds(prepared.window.index[0]),
        one_way=keys.trading.position_mode == "net",
    )
