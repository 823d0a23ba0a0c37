"""Run a backtest: a prepared run through Cerebro, and what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from cryptosim_bt.backtest.bar_recorder import BarRecorder, PlainBarRecorder
from cryptosim_bt.backtest.gather import gather
from cryptosim_bt.backtest.lean_loop import LeanCerebro, data_of
from cryptosim_bt.backtest.needs import settings_for_run
from cryptosim_bt.backtest.prepare import Prepared, prepare
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.broker.futures_broker import FuturesBroker
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.config.simulation import SimulationSettings, Sizing
from cryptosim_bt.data.bars import COLUMNS
from cryptosim_bt.data.timeframe import iso_utc, to_milliseconds
from cryptosim_bt.errors import PluginError
from cryptosim_bt.exchange.fill_rules import EventOrder
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.plugins.failures import failures_of
from cryptosim_bt.plugins.registry import Registry, is_plain, plugins_for
from cryptosim_bt.results.result import Result
from cryptosim_bt.strategy.plain_ledger import PlainContext, PlainLedger
from cryptosim_bt.strategy.signal_strategy import StrategyContext
from cryptosim_bt.strategy.sizers import (
    BaseAmountSizer,
    EntrySizer,
    EquityShareSizer,
    VolatilitySizer,
)

logger = logging.getLogger(__name__)


def run(config: Path | str, overrides: Mapping[str, Any] | None = None) -> Result:
    """Run a configuration and return the result; nothing is written.

    Plugins are found as by the command: beside the configuration, in the working directory, and
    where ``plugins`` says. Analyzers do not run, unless ``report.analyzers`` is overridden; for
    what they report, see `run_backtest`.

    Parameters
    ----------
    config
        A YAML file.
    overrides
        Values of Python by their key's path, in the place of what the file says.

    Raises
    ------
    InputError
        If the configuration, bars, plugins or their parameters are not usable.
    PluginFailed
        If the strategy's own code raises an exception.

    Examples
    --------
    ::

        import cryptosim_bt

        for leverage in (2, 5, 10):
            result = cryptosim_bt.run("config.yaml", {"trading.leverage": leverage})
            print(leverage, result.summary["final_equity"], len(result.trades))
    """
    settings = settings_for_run(config, overrides or {})
    asked = {("report",), ("report", "analyzers")} & settings.document.overridden.keys()
    analyzers = None if asked else ()
    return run_backtest(settings, plugins_for(settings), analyzers=analyzers)[0]


def run_backtest(
    settings: Settings,
    registry: Registry,
    progress: Callable[[int, int], None] | None = None,
    *,
    ambiguity: bool = False,
    analyzers: Sequence[str] | None = None,
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
    analyzers
        Names of analyzers in place of the configured ones.

    Returns
    -------
    Result, list of ReportAnalyzer
        The finished run, and its analyzers, which can `write` it.

    Raises
    ------
    InputError
        If bars, plugins or their parameters are not usable.
    PluginFailed
        If the strategy's own code raises an exception.
    """
    prepared = prepare(settings, registry, analyzers)
    result, listeners = execute(prepared, progress)
    if ambiguity:
        summary = {**result.summary, "ambiguity": ambiguity_band(prepared, result)}
        result = replace(result, summary=summary)
    return result, listeners


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
    plugins = {f"strategy {prepared.settings.keys.strategy.name}": prepared.strategy}
    plugins |= {f"analyzer {name}": analyzer for name, analyzer in prepared.analyzers.items()}
    with failures_of(plugins):
        strategies = cerebro.run()
    if not strategies:
        raise PluginError(
            f"strategy {prepared.settings.keys.strategy.name}: its __init__ raised "
            f"StrategySkipError: with the parameters {vars(prepared.params)} it does not want to "
            "run; change them"
        )
    strategy = strategies[0]
    _check_prices(prepared, strategy)
    late = cerebro.broker.exchange.funding.late
    if late and event_order is None:
        logger.warning(
            "funding fell due in holes of the bars %d times while something was held; each was "
            "charged at the open of the first bar after its hole (R22)",
            late,
        )
    analyzers = [getattr(strategy.analyzers, name) for name in prepared.analyzers]
    return gather(prepared, strategy), analyzers


def _check_prices(prepared: Prepared, strategy: bt.Strategy) -> None:
    """Raise PluginError where a strategy wrote into the prices that its orders are filled at."""
    for column in COLUMNS:
        given = prepared.bars[column].to_numpy(np.float64)
        line = np.frombuffer(getattr(strategy.data.lines, column).array)[: len(given)]
        wrong = np.flatnonzero((line != given) & ~(np.isnan(line) & np.isnan(given)))
        if len(wrong):
            raise PluginError(
                f"strategy {prepared.settings.keys.strategy.name}: it changed the {column} at "
                f"{iso_utc(prepared.bars.index[wrong[0]])}; prices are to be read only: keep what "
                "is computed from them in an attribute or an indicator of its own"
            )


def cerebro_for(
    prepared: Prepared,
    progress: Callable[[int, int], None] | None = None,
    event_order: EventOrder | None = None,
) -> LeanCerebro:
    """Return Cerebro with all that a prepared backtest is made of; its every ``run()`` is alike."""
    total = len(prepared.bars)
    report = None if progress is None else lambda done: progress(done, total)
    # A plain strategy may look at backtrader's observers (``self.stats``), a signal's has none.
    plain = is_plain(prepared.strategy)
    parts = prepared.parts
    observed = plain or bool(parts.analyzers or parts.observers)
    cerebro = LeanCerebro(progress=report, warmup=prepared.warmup, stdstats=observed)
    settings = prepared.settings
    data = data_of(prepared.bars, settings.keys.data.timeframe, prepared.lines)
    cerebro.adddata(data, name=settings.instrument.symbol)
    cerebro.broker = _broker(prepared, event_order)
    if plain:
        # Sizes are its own: those of its orders, or of its sizer.
        PlainLedger(cerebro.broker, _plain_context(prepared))
        cerebro.addstrategy(prepared.strategy, **vars(prepared.params))
        cerebro.addanalyzer(PlainBarRecorder, _name="bar_recorder")
    else:
        sizer, options = sizer_of(prepared.simulation)
        cerebro.addsizer(sizer, instrument=settings.instrument, **options)
        cerebro.addstrategy(prepared.strategy, context=_context(prepared), **vars(prepared.params))
        cerebro.addanalyzer(BarRecorder, _name="bar_recorder")
    parts.add_to(cerebro)
    for name, analyzer in prepared.analyzers.items():
        cerebro.addanalyzer(analyzer, _name=name)
    return cerebro


def _broker(prepared: Prepared, event_order: EventOrder | None) -> FuturesBroker:
    simulation = prepared.simulation
    rules = simulation.fill_rules
    return FuturesBroker(
        cash=simulation.initial_balance,
        instrument=simulation.instrument,
        fill_rules=rules if event_order is None else replace(rules, event_order=event_order),
        timeframe_ms=simulation.timeframe_ms,
        matching_bars=prepared.matching,
        matching_ms=simulation.matching_ms,
        size_unit=prepared.settings.keys.trading.size_unit,
        has_mark=simulation.has_mark,
        margin_mode=simulation.margin_mode,
        venue_rules=simulation.venue_rules,
        funding=prepared.funding,
        fill_at_signal_close=simulation.fill_at_signal_close,
        close_at_end=simulation.close_at_end,
        commission=FuturesCommission(
            contract=simulation.contract,
            maker=simulation.maker,
            taker=simulation.taker,
            futures_leverage=simulation.leverage,
            tiers=simulation.tiers,
            liquidation_fee_rate=simulation.instrument.liquidation_fee_rate,
        ),
    )


def sizer_of(simulation: SimulationSettings) -> tuple[type[EntrySizer], dict[str, float]]:
    """Return the sizer of a configuration's entries and its options."""
    if simulation.sizing is Sizing.EQUITY:
        return EquityShareSizer, {"share": simulation.size}
    if simulation.sizing is Sizing.ATR:
        multiple = simulation.size_atr_multiple
        return VolatilitySizer, {"risk_share": simulation.size, "atr_multiple": multiple}
    return BaseAmountSizer, {"amount": simulation.size}


def _context(prepared: Prepared) -> StrategyContext:
    return StrategyContext(
        **vars(prepared.simulation),
        warmup=prepared.warmup,
        zone=prepared.settings.zone,
        signals=prepared.signals,
        panels=prepared.panels,
        size_atr=prepared.atr(prepared.simulation.size_atr_period),
        stop_atr=prepared.atr(prepared.simulation.stop_atr_period),
    )


def _plain_context(prepared: Prepared) -> PlainContext:
    return PlainContext(
        **vars(prepared.simulation),
        strategy=prepared.settings.keys.strategy.name,
        warmup=prepared.warmup,
        zone=prepared.settings.zone,
        start_ms=to_milliseconds(prepared.window.index[0]),
    )
