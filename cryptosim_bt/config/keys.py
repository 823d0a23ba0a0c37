"""Every key of a configuration: its type, its range, its default.

The words are those of the first CryptoSim.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

# Far beyond every market, and as far from where floats overflow.
Positive = Annotated[float, Field(gt=0, le=1e18, allow_inf_nan=False)]
Step = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
Bars = Annotated[int, Field(ge=2, le=1_000_000)]
Share = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=-1, lt=1)]


def _paths(value: Any) -> str | list[str]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise PydanticCustomError("paths", "a path, or a list of paths")
    return texts if isinstance(value, list) else str(value)


Paths = Annotated[str | list[str], PlainValidator(_paths)]
Mode = Literal["backtest", "paper", "live"]
Timeframe = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]


VENUE_TIERS = "venue"
"""The word for `instrument.tiers` that names no file: the tiers that the venue gave."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ExchangeSection(_Section):
    """The venue whose market is simulated."""

    name: str = "okx"
    trade_type: Literal[1, 2, 3] | None = None
    trade_mode: Literal["demo", "real"] = "demo"
    rest_url: str | None = None
    ws_url: str | None = None
    time_scale: Annotated[float, Field(gt=0, le=100_000)] = 1.0  # market seconds a second


class DataSection(_Section):
    """Where bars come from."""

    source: str
    path: Paths | None = None
    timeframe: Timeframe = "1h"
    gaps: Literal["error", "fill", "keep"] = "error"
    fill_timeframe: Timeframe | None = None
    fill_path: Paths | None = None
    mark_path: Paths | None = None
    timezone: str | None = None
    directory: str | None = None
    offline: bool = False
    mark: bool = False
    volume_unit: Literal["contracts", "base", "quote"] | None = None


class SizingSection(_Section):
    """How large an entry is."""

    method: Literal["fixed", "equity", "atr"] = "fixed"
    equity_share: Positive = 0.02
    risk_share: Share = 0.005
    atr_period: Bars = 14
    atr_multiple: Positive = 2.0


class StopSection(_Section):
    """Where a stop-loss stands."""

    method: Literal["pct", "atr"] = "pct"
    atr_period: Bars = 14
    atr_multiple: Positive = 3.0


class TradingSection(_Section):
    """What is traded and how large."""

    symbol: str
    position_size: Positive = 0.01
    leverage: Positive = 5.0
    margin_mode: Literal["cross", "isolated"] = "cross"
    position_mode: Literal["hedge", "net"] = "hedge"
    use_tp: bool = True
    take_profit_pct: Share = 0.02
    use_sl: bool = True
    stop_loss_pct: Annotated[float, Field(gt=0, le=1)] = 1.0  # 1: no stop (R19)
    order_cancel_timeout: Annotated[float, Field(gt=0, le=1e10)] = 3600.0
    sizing: SizingSection = SizingSection()
    stop: StopSection = StopSection()


class InstrumentSection(_Section):
    """What the venue says of the market, where it differs from the built-in figures."""

    contract_size: Positive | None = None
    lot: Step | None = None
    tick: Step | None = None
    min_contracts: Step | None = None
    maintenance_margin_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    liquidation_fee_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    tiers: str | None = None
    max_contracts: Positive | None = None
    max_open_orders: Annotated[int, Field(ge=1)] | None = None
    price_band: Share | None = None


class PositionSetSection(_Section):
    """How Positions are cut into sets."""

    position_set_size: Annotated[int, Field(ge=1)] = 10
    max_long_set: Annotated[int, Field(ge=0)] = 3
    max_short_set: Annotated[int, Field(ge=0)] = 2


class RiskSection(_Section):
    """Limits on new entries."""

    max_concurrent_positions: Annotated[int, Field(ge=0)] | None = 5
    daily_loss_limit_pct: Annotated[float, Field(gt=0, le=1)] | None = 0.05


class StrategySection(BaseModel):
    """The strategy plugin, and one block of parameters per strategy name.

    ``warmup`` are bars before the window for the indicators of a strategy that does not say itself
    how many it needs.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: str = "simple_ma"
    warmup: Annotated[int, Field(ge=0, le=100_000_000)] = 0

    @property
    def blocks(self) -> dict[str, Any]:
        """Parameter blocks by strategy name."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def parameters(self) -> dict[str, Any]:
        """The chosen strategy's parameters as given."""
        return dict(self.blocks.get(self.name) or {})


class TradingPeriodSection(_Section):
    """The trading window, in `timezone` (R2)."""

    start_date: str
    end_date: str


class FeesSection(_Section):
    """Fee rates, fractions of notional; a negative maker rate is a rebate."""

    commission: Annotated[float, Field(ge=0, lt=1)] | None = None
    maker: Rate | None = None
    taker: Annotated[float, Field(ge=0, lt=1)] | None = None


class FundingSection(_Section):
    """A constant funding rate or a series of them (R22)."""

    rate: Rate | None = None
    times: list[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]] = [
        "00:00", "08:00", "16:00",
    ]  # fmt: skip
    path: str | None = None
    missing: Literal["error", "zero", "last"] = "error"


class FillSection(_Section):
    """How bars fill orders."""

    entry_fill: Literal["next_bar", "signal_close"] = "next_bar"
    price_improvement: bool = True
    limit_fill: Literal["touch", "through"] = "touch"
    slippage: Annotated[float, Field(ge=0, lt=1)] = 0.0
    slippage_range: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the bar's range (R47)
    max_volume_share: Annotated[float, Field(gt=0, le=1)] | None = None
    latency_ms: Annotated[int, Field(ge=0, le=10**12)] = 0
    event_order: Literal["rules", "path", "best", "worst"] = "rules"


class BacktestSection(_Section):
    """The simulation."""

    trading_period: TradingPeriodSection
    initial_balance: Positive
    fees: FeesSection = FeesSection()
    funding: FundingSection = FundingSection()
    fill: FillSection = FillSection()
    linear_pnl: Literal["exchange", "cryptosim"] = "exchange"
    close_at_end: bool = False


class ReportSection(_Section):
    """What a run leaves behind."""

    output_dir: str = "logs"
    language: Literal["ko", "en"] = "ko"
    analyzers: list[str] = ["ledger", "performance", "excel", "picture", "charts", "page"]


class LoggingSection(_Section):
    """How much is logged, and where."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    file: str | None = None


class LimitsSection(_Section):
    """When live trading stops new entries; None = no such limit.

    Times are seconds of the market. ``max_contracts`` is of a leg, ``margin_ratio`` maintenance
    margin / equity, ``unprotected_s`` how long a group may be without its exit.
    """

    max_contracts: Positive | None = None
    orders_per_minute: Annotated[int, Field(ge=1)] = 60
    stale_data_s: Positive = 180.0
    clock_off_s: Positive = 5.0
    margin_ratio: Share = 0.8
    refusals_in_a_row: Annotated[int, Field(ge=1)] = 5
    unprotected_s: Positive = 60.0
    when_unprotected: Literal["alarm", "flatten"] = "alarm"


class LiveSection(_Section):
    """Trading on paper and live. Times are seconds of the market."""

    journal: str | None = None
    max_signal_age_s: Positive = 60.0
    reconcile_every_s: Positive = 60.0
    on_stop: Literal["keep", "cancel", "flatten"] = "keep"
    notify: dict[str, dict[str, Any] | None] = {}  # notifier -> its options
    limits: LimitsSection = LimitsSection()


class Keys(_Section):
    """Every key of a configuration file."""

    mode: Mode = "backtest"
    exchange: ExchangeSection = ExchangeSection()
    data: DataSection
    trading: TradingSection
    instrument: InstrumentSection = InstrumentSection()
    position_set: PositionSetSection = PositionSetSection()
    risk: RiskSection = RiskSection()
    strategy: StrategySection = StrategySection()
    backtest: BacktestSection
    live: LiveSection = LiveSection()
    report: ReportSection = ReportSection()
    logging: LoggingSection = LoggingSection()
    timezone: str = "Asia/Seoul"
    plugins: list[str] = []
