"""The commands about trading on paper and live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import ConfigError
from cryptosim_bt.plugins.registry import is_plain, plugins_for

if TYPE_CHECKING:
    from cryptosim_bt.live.run import StrategyParts


def trade(settings: Settings, *, yes_real_money: bool) -> None:
    """Trade until told to stop.

    Raises
    ------
    ConfigError
        If real money is asked for by the configuration alone.
    """
    from cryptosim_bt.live.run import LiveRun

    exchange = settings.keys.exchange
    if settings.keys.mode == "live" and exchange.trade_mode == "real" and not yes_real_money:
        raise ConfigError(
            f"{settings.place('exchange', 'trade_mode')}: was 'real'; give --yes-real-money as "
            "well, or use demo"
        )
    if settings.keys.mode == "paper":
        raise ConfigError(
            f"{settings.place('mode')}: was 'paper', which is not available yet; allowed now: "
            "backtest, live"
        )
    LiveRun(settings, strategy_parts).trade()


def strategy_parts(settings: Settings) -> StrategyParts:
    """Return the strategy of a configuration and what goes with it.

    Raises
    ------
    ConfigError
        For a strategy that sends its orders itself.
    """
    from cryptosim_bt.backtest.prepare import (
        resolve_plugins,
        signals_of,
        tiers_of,
        warmup_of,
    )
    from cryptosim_bt.backtest.run import sizer_of
    from cryptosim_bt.config.simulation import simulation_settings
    from cryptosim_bt.live.run import StrategyParts
    from cryptosim_bt.live.signal_table import TableFormulas
    from cryptosim_bt.strategy.volatility import average_true_range

    plugins = resolve_plugins(settings, plugins_for(settings), analyzers=())
    name = settings.keys.strategy.name
    if is_plain(plugins.strategy):
        raise ConfigError(
            f"{settings.place('strategy', 'name')}: was {name!r}, which sends its orders itself; "
            f"allowed with mode: {settings.keys.mode}: strategies with signals (SignalStrategy)"
        )
    simulation = simulation_settings(settings, tiers_of(settings))
    sizer, options = sizer_of(simulation)
    formulas = TableFormulas(
        table=lambda bars: signals_of(plugins.strategy, plugins.params, bars, name),
        atr=average_true_range,
        size_period=simulation.size_atr_period,
        stop_period=simulation.stop_atr_period,
        warmup=warmup_of(settings, plugins),
    )
    return StrategyParts(
        plugins.strategy, plugins.params, simulation, sizer, options, formulas
    )
