"""The configuration: its keys, their ranges, and how they must agree.

The words are those of the first CryptoSim. `load_settings` reads a file, applies ``--set``, checks
everything and returns `Settings` with the instrument and the fees filled in; each complaint names
the key's place, what it was and what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryptosim_bt.config_checks import Problem, agreement_errors, instrument_errors, unavailable
from cryptosim_bt.config_file import Document, read_document
from cryptosim_bt.config_messages import sentences
from cryptosim_bt.errors import ConfigError
from cryptosim_bt.instrument import (
    Instrument,
    kind_of,
    known_instrument,
    known_symbols,
    trade_type_of,
)
from cryptosim_bt.tiers import BUILT_IN_TIERS, built_in_tiers
from cryptosim_bt.timeframe import milliseconds, utc_time

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=-1, lt=1)]
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


class DataSection(_Section):
    """Where bars come from."""

    source: str
    path: str | None = None
    timeframe: Timeframe = "1h"
    gaps: Literal["error", "fill", "keep"] = "error"
    fill_timeframe: Timeframe | None = None
    fill_path: str | None = None
    mark_path: str | None = None
    directory: str | None = None
    offline: bool = False
    mark: bool = False
    volume_unit: Literal["contracts", "base", "quote"] | None = None


class SizingSection(_Section):
    """How large an entry is."""

    method: Literal["fixed", "equity", "atr"] = "fixed"
    equity_share: Annotated[float, Field(gt=0)] = 0.02
    risk_share: Share = 0.005
    atr_period: Annotated[int, Field(ge=2)] = 14
    atr_multiple: Positive = 2.0


class StopSection(_Section):
    """Where a stop-loss stands."""

    method: Literal["pct", "atr"] = "pct"
    atr_period: Annotated[int, Field(ge=2)] = 14
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
    stop_loss_pct: Positive = 1.0  # 1 or more: no stop (R19)
    order_cancel_timeout: Positive = 3600.0
    sizing: SizingSection = SizingSection()
    stop: StopSection = StopSection()


class InstrumentSection(_Section):
    """What the venue says of the market, where it differs from the built-in figures."""

    contract_size: Positive | None = None
    lot: NotNegative | None = None
    tick: NotNegative | None = None
    min_contracts: NotNegative | None = None
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
    warmup: Annotated[int, Field(ge=0)] = 0

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
    slippage_range: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_volume_share: Annotated[float, Field(gt=0, le=1)] | None = None
    latency_ms: Annotated[int, Field(ge=0)] = 0


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


class Keys(_Section):
    """Every key of a configuration file."""

    mode: Literal["backtest", "paper", "live"] = "backtest"
    exchange: ExchangeSection = ExchangeSection()
    data: DataSection
    trading: TradingSection
    instrument: InstrumentSection = InstrumentSection()
    position_set: PositionSetSection = PositionSetSection()
    risk: RiskSection = RiskSection()
    strategy: StrategySection = StrategySection()
    backtest: BacktestSection
    report: ReportSection = ReportSection()
    logging: LoggingSection = LoggingSection()
    timezone: str = "Asia/Seoul"
    plugins: list[str] = []


@dataclass(frozen=True)
class Settings:
    """A checked configuration: its keys, and what follows from them.

    ``start`` and ``end`` are the trading window in UTC; paths are absolute.
    """

    keys: Keys
    instrument: Instrument
    maker: float
    taker: float
    start: pd.Timestamp
    end: pd.Timestamp
    zone: ZoneInfo
    directory: Path
    document: Document

    @property
    def tiers(self) -> str | None:
        """The file of margin tiers, "venue" for those that the venue gave, "built-in" for ours.

        Where nothing is said of maintenance, the venue's apply to `data.source: ccxt`, and the
        built-in ones, if the market has any, to other sources.
        """
        given = self.keys.instrument
        if given.tiers is not None or given.maintenance_margin_rate is not None:
            return given.tiers
        if self.keys.data.source == "ccxt":
            return VENUE_TIERS
        shipped = built_in_tiers(self.keys.exchange.name, self.instrument)
        return None if shipped is None else BUILT_IN_TIERS

    @property
    def timeframe_ms(self) -> int:
        """Length of a bar in milliseconds."""
        return milliseconds(self.keys.data.timeframe)

    def place(self, *path: str) -> str:
        """Return where a key stands, for a message."""
        return self.document.place(path)

    def resolved(self) -> dict[str, Any]:
        """Return all keys with their values as resolved, in the order of the file.

        Loading the result again gives the same settings: paths are absolute, the instrument and
        the fees are written out.
        """
        keys = self.keys.model_dump()
        keys["exchange"]["trade_type"] = trade_type_of(self.keys.trading.symbol)
        warmup = {"warmup": self.keys.strategy.warmup} if self.keys.strategy.warmup else {}
        keys["strategy"] = {"name": self.keys.strategy.name, **warmup, **self.keys.strategy.blocks}
        keys["instrument"] |= {
            name: getattr(self.instrument, name)
            for name in ("contract_size", "lot", "tick", "min_contracts",
                         "maintenance_margin_rate", "liquidation_fee_rate")
        }  # fmt: skip
        keys["instrument"]["tiers"] = self.tiers
        keys["backtest"]["fees"] = {"maker": self.maker, "taker": self.taker}
        keys["plugins"] = [
            str((self.directory / Path(path).expanduser()).resolve()) for path in self.keys.plugins
        ]
        return _without_nones(keys, keep=("max_concurrent_positions", "daily_loss_limit_pct"))


def data_directory(directory: str | None) -> Path:
    """Return where market data are kept: `directory`, or the user's own folder for such data."""
    if directory:
        return Path(directory)
    import platformdirs

    return platformdirs.user_data_path("cryptosim-bt", False)


def load_keys(path: Path | str, overrides: Sequence[str] = ()) -> Keys:
    """Read and check a configuration's keys, without what a venue says of the market."""
    document = read_document(Path(path))
    for assignment in overrides:
        document.override(assignment)
    return _checked_keys(document, Path(path).resolve().parent)


def load_settings(path: Path | str, overrides: Sequence[str] = ()) -> Settings:
    """Read and check a configuration.

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
    document = read_document(Path(path))
    for assignment in overrides:
        document.override(assignment)
    return settings_of(document, Path(path).resolve().parent)


def settings_of(document: Document, directory: Path) -> Settings:
    """Check a document's values; ``directory`` is what its relative paths start from."""
    keys = _checked_keys(document, directory)
    instrument = _instrument(keys, document)
    _raise(instrument_errors(keys, instrument), document)
    maker, taker = _fees(keys, instrument, document)
    zone = ZoneInfo(keys.timezone)
    period = keys.backtest.trading_period
    return Settings(
        keys=keys,
        instrument=instrument,
        maker=maker,
        taker=taker,
        start=utc_time(period.start_date, zone),
        end=utc_time(period.end_date, zone),
        zone=zone,
        directory=directory,
        document=document,
    )


def _checked_keys(document: Document, directory: Path) -> Keys:
    _settle_alternatives(document)
    _resolve_paths(document, directory)
    try:
        keys = Keys.model_validate(document.values)
    except ValidationError as error:
        raise ConfigError(sentences(error, Keys, document)) from error
    _raise(unavailable(keys) or agreement_errors(keys), document)
    return keys


def _raise(problems: Sequence[Problem], document: Document) -> None:
    if problems:
        raise ConfigError(
            "\n".join(f"{document.place(where)}: {message}" for where, message in problems)
        )


# Keys that exclude each other: what --set gives takes the place of what the file says.
_ALTERNATIVES = (
    (("backtest", "fees"), ("commission",), ("maker", "taker")),
    (("backtest", "funding"), ("rate",), ("path",)),
)


def _settle_alternatives(document: Document) -> None:
    for section, first, second in _ALTERNATIVES:
        values = document.values
        for part in section:
            values = values.get(part) if isinstance(values, dict) else None  # type: ignore[assignment]
        if not isinstance(values, dict):
            continue
        for given, replaced in ((first, second), (second, first)):
            by_set = any((*section, key) in document.overridden for key in given)
            if by_set and not any((*section, key) in document.overridden for key in replaced):
                for key in given:
                    # --set ...maker=x on a file with one commission leaves it for the taker.
                    if len(replaced) == 1 and len(given) > 1 and replaced[0] in values:
                        values.setdefault(key, values[replaced[0]])
                for key in replaced:
                    values.pop(key, None)


def _resolve_paths(document: Document, directory: Path) -> None:
    """Make paths absolute: the file's from its own folder, --set's from the working directory."""
    for path in (("data", "path"), ("data", "fill_path"), ("data", "mark_path"),
                 ("data", "directory"), ("backtest", "funding", "path"),
                 ("instrument", "tiers")):  # fmt: skip
        values: Any = document.values
        for part in path[:-1]:
            values = values.get(part) if isinstance(values, dict) else None
        if isinstance(values, dict) and isinstance(values.get(path[-1]), str):
            if path == ("instrument", "tiers") and values["tiers"] in (VENUE_TIERS, BUILT_IN_TIERS):
                continue
            base = Path.cwd() if path in document.overridden else directory
            values[path[-1]] = str((base / Path(values[path[-1]]).expanduser()).resolve())


def _instrument(keys: Keys, document: Document) -> Instrument:
    symbol, given = keys.trading.symbol, keys.instrument
    known = known_instrument(keys.exchange.name, symbol)
    if keys.data.source == "ccxt":
        from cryptosim_bt.store import Store
        from cryptosim_bt.store.records import kept_instrument

        store = Store(data_directory(keys.data.directory))
        known = kept_instrument(store, keys.exchange.name, symbol, known)

    needed = ("contract_size", "lot", "tick", "maintenance_margin_rate")
    missing = [name for name in needed if getattr(given, name) is None]
    if known is None and missing:
        raise ConfigError(
            f"{document.place(('instrument',))}: {', '.join(missing)} missing, and {symbol} of "
            f"{keys.exchange.name} is not built in; give them (built in: okx "
            f"{', '.join(known_symbols())})"
        )

    def value(name: str) -> float:
        own: float | None = getattr(given, name)
        return getattr(known, name) if own is None else own

    lot = value("lot")
    maintenance = value("maintenance_margin_rate")
    return Instrument(
        symbol=symbol,
        kind=kind_of(symbol),
        contract_size=value("contract_size"),
        lot=lot,
        tick=value("tick"),
        min_contracts=lot if given.min_contracts is None else given.min_contracts,
        maintenance_margin_rate=maintenance,
        liquidation_fee_rate=(
            maintenance if given.liquidation_fee_rate is None else given.liquidation_fee_rate
        ),
        maker=known.maker if known else None,
        taker=known.taker if known else None,
    )


def _fees(keys: Keys, instrument: Instrument, document: Document) -> tuple[float, float]:
    fees = keys.backtest.fees
    if fees.commission is not None:
        return fees.commission, fees.commission
    maker = instrument.maker if fees.maker is None else fees.maker
    taker = instrument.taker if fees.taker is None else fees.taker
    if maker is None or taker is None:
        raise ConfigError(
            f"{document.place(('backtest', 'fees'))}: missing for {instrument.symbol}; give "
            "commission (both), or maker and taker"
        )
    return maker, taker


def _without_nones(values: dict[str, Any], keep: Sequence[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            kept[key] = _without_nones(value, keep)
        elif value is not None or key in keep:
            kept[key] = value
    return kept
