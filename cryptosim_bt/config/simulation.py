"""The settings of a simulation: numbers and closed choices, made once from a configuration.

Broker, exchange, book, sizer and commission of a run are built from this one record, and so is the
numeric record of a compiled twin: beside the symbol there is no text in it that is not one of a few
words, no path, no time zone, nothing that is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cryptosim_bt.accounting.account import MarginMode
from cryptosim_bt.accounting.contracts import InverseContract, LinearContract
from cryptosim_bt.accounting.exit_orders import BookRules
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.data.timeframe import milliseconds
from cryptosim_bt.exchange.fill_rules import FillRules
from cryptosim_bt.exchange.venue_limits import VenueRules


class Sizing(Enum):
    """How large an entry is; the values are those of `trading.sizing.method`."""

    FIXED = "fixed"
    EQUITY = "equity"
    ATR = "atr"


@dataclass(frozen=True)
class SimulationSettings:
    """What a simulation goes by, beside bars, signals and funding.

    Attributes
    ----------
    contract
        The market's arithmetic; `linear_pnl` is in it.
    maker, taker, leverage, initial_balance
        Fractions of notional; notional / initial margin; settlement currency.
    one_way
        Whether a strategy that sends its orders itself holds one net position.
    timeframe_ms, matching_ms, has_mark
        Length of a bar of the strategy, and of those that match orders; whether the latter carry a
        mark price of their own.
    sizing, size
        The method, and its number: base coin per entry (fixed), share of the equity (equity),
        share of the equity lost if price moves ``size_atr_multiple`` ATRs (atr).
    size_atr_period, stop_atr_period, stop_atr_multiple
        Bars of those ATRs, 0 where none is needed; a stop's distance from its group's average.
    daily_loss_limit_pct, max_concurrent_sets, order_timeout_ms
        Limits on entries, None = no limit (R9, R25); how long an entry or signal exit works (R10).
    fill_at_signal_close, close_at_end
        `entry_fill: signal_close`, and R24.
    """

    instrument: Instrument
    contract: InverseContract | LinearContract
    maker: float
    taker: float
    leverage: float
    tiers: MaintenanceTiers
    initial_balance: float
    margin_mode: MarginMode
    one_way: bool
    timeframe_ms: int
    matching_ms: int
    has_mark: bool
    fill_rules: FillRules
    venue_rules: VenueRules
    book_rules: BookRules
    sizing: Sizing
    size: float
    size_atr_period: int
    size_atr_multiple: float
    stop_atr_period: int
    stop_atr_multiple: float
    daily_loss_limit_pct: float | None
    max_concurrent_sets: int | None
    order_timeout_ms: int
    fill_at_signal_close: bool
    close_at_end: bool


def simulation_settings(settings: Settings, tiers: MaintenanceTiers) -> SimulationSettings:
    """Return what a configuration says of the simulation; ``tiers`` are those that it names."""
    keys, instrument = settings.keys, settings.instrument
    trading, backtest, data = keys.trading, keys.backtest, keys.data
    sizing, fill = trading.sizing, backtest.fill
    sizes = {
        Sizing.FIXED: trading.position_size,
        Sizing.EQUITY: sizing.equity_share,
        Sizing.ATR: sizing.risk_share,
    }
    method = Sizing(sizing.method)
    by_atr = trading.stop.method == "atr"
    # R19: a stop 100 % away or more is none.
    has_stop = trading.use_sl and (by_atr or trading.stop_loss_pct < 1.0)
    return SimulationSettings(
        instrument=instrument,
        contract=instrument.contract(backtest.linear_pnl),
        maker=settings.maker,
        taker=settings.taker,
        leverage=trading.leverage,
        tiers=tiers,
        initial_balance=backtest.initial_balance,
        margin_mode=trading.margin_mode,
        one_way=trading.position_mode == "net",
        timeframe_ms=settings.timeframe_ms,
        matching_ms=milliseconds(data.fill_timeframe or data.timeframe),
        has_mark=data.mark or data.mark_path is not None,
        fill_rules=FillRules(
            price_improvement=fill.price_improvement,
            through=fill.limit_fill == "through",
            slippage=fill.slippage,
            slippage_range=fill.slippage_range,
            max_volume_share=fill.max_volume_share,
            latency_ms=fill.latency_ms,
            event_order=fill.event_order,
        ),
        venue_rules=VenueRules(
            max_contracts=keys.instrument.max_contracts,
            max_open_orders=keys.instrument.max_open_orders,
            price_band=keys.instrument.price_band,
        ),
        book_rules=BookRules(
            position_set_size=keys.position_set.position_set_size,
            max_sets={
                "long": keys.position_set.max_long_set,
                "short": keys.position_set.max_short_set,
            },
            take_profit_pct=trading.take_profit_pct if trading.use_tp else None,
            stop_loss_pct=trading.stop_loss_pct if has_stop else None,
        ),
        sizing=method,
        size=sizes[method],
        size_atr_period=sizing.atr_period if method is Sizing.ATR else 0,
        size_atr_multiple=sizing.atr_multiple,
        stop_atr_period=trading.stop.atr_period if has_stop and by_atr else 0,
        stop_atr_multiple=trading.stop.atr_multiple,
        daily_loss_limit_pct=keys.risk.daily_loss_limit_pct,
        max_concurrent_sets=keys.risk.max_concurrent_positions,
        order_timeout_ms=round(trading.order_cancel_timeout * 1000),
        fill_at_signal_close=fill.entry_fill == "signal_close",
        close_at_end=backtest.close_at_end,
    )
