"""A configuration read, checked and resolved.

`read_settings` reads a file, applies ``--set``, checks everything and returns `Settings` with the
instrument and the fees filled in; each complaint names the key's place, what it was and what is
allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import ValidationError

from cryptosim_bt.accounting.instrument import (
    Instrument,
    kind_of,
    known_instrument,
    known_symbols,
    split_symbol,
    trade_type_of,
)
from cryptosim_bt.accounting.maintenance_tiers import BUILT_IN_TIERS, built_in_tiers
from cryptosim_bt.config.agreement import (
    FILE_KEYS,
    Problem,
    agreement_errors,
    doubts,
    instrument_errors,
    path_fault,
)
from cryptosim_bt.config.document import Document, Overrides, read_document
from cryptosim_bt.config.keys import VENUE_TIERS, Keys, LiveSection
from cryptosim_bt.config.sentences import sentences
from cryptosim_bt.data.timeframe import milliseconds, utc_time
from cryptosim_bt.errors import ConfigError, masked

DescribedMarket = Callable[[Keys, Instrument | None], Instrument | None]
"""Called with the keys and the built-in instrument; returns the one that the venue described."""


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
    def data_zone(self) -> ZoneInfo | None:
        """What times without an offset are in, in files of bars and rates; None = not said."""
        name = self.keys.data.timezone
        return None if name is None else ZoneInfo(name)

    @property
    def timeframe_ms(self) -> int:
        """Length of a bar in milliseconds."""
        return milliseconds(self.keys.data.timeframe)

    def place(self, *path: str) -> str:
        """Return where a key stands, for a message."""
        return self.document.place(path)

    def doubts(self) -> list[str]:
        """Return a sentence for every value that is allowed, but most likely means another."""
        return [f"{self.document.place(where)}: {what}" for where, what in doubts(self.keys)]

    def resolved(self) -> dict[str, Any]:
        """Return all keys with their values as resolved, in the order of the file.

        Loading the result again gives the same settings: paths are absolute, the instrument and
        the fees are written out. A password in a URL is not among them.
        """
        keys = self.keys.model_dump()
        # What is only for trading, where nobody has set it, is not part of what a backtest did.
        if self.keys.live == LiveSection():
            del keys["live"]
        if self.keys.exchange.time_scale == 1.0:
            del keys["exchange"]["time_scale"]
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
        for section, name, none in ((keys, "sizer", {}), (keys, "analyzers", {}),
                                    (keys, "observers", {}), (keys["data"], "lines", []),
                                    (keys["trading"], "size_unit", "contracts")):  # fmt: skip
            if section[name] == none:
                del section[name]
        return _shown(keys, keep=("max_concurrent_positions", "daily_loss_limit_pct"))


def data_directory(directory: str | None) -> Path:
    """Return where market data are kept: `directory`, or the user's own folder for such data."""
    if directory:
        return Path(directory)
    import platformdirs

    return platformdirs.user_data_path("cryptosim-bt", False)


def load_keys(path: Path | str, overrides: Overrides = ()) -> Keys:
    """Read and check a configuration's keys, without what a venue says of the market."""
    document = read_document(Path(path))
    document.override(overrides)
    return _checked_keys(document, Path(path).resolve().parent)


def read_settings(
    path: Path | str, overrides: Overrides = (), described: DescribedMarket | None = None
) -> Settings:
    """Read and check a configuration; `ConfigError` with a sentence for every key that is wrong.

    ``overrides`` are applied in order; ``described`` is what the venue said of the market, where
    that is kept, None the built-in figures.
    """
    document = read_document(Path(path))
    document.override(overrides)
    return settings_of(document, Path(path).resolve().parent, described)


def settings_of(
    document: Document, directory: Path, described: DescribedMarket | None = None
) -> Settings:
    """Check a document's values; ``directory`` is what its relative paths start from."""
    keys = _checked_keys(document, directory)
    instrument = _instrument(keys, document, described)
    _raise(instrument_errors(keys, instrument), document)
    maker, taker = _fees(keys, instrument, document)
    zone, period = ZoneInfo(keys.timezone), keys.backtest.trading_period
    start, end = utc_time(period.start_date, zone), utc_time(period.end_date, zone)
    return Settings(keys, instrument, maker, taker, start, end, zone, directory, document)


def _checked_keys(document: Document, directory: Path) -> Keys:
    _settle_alternatives(document)
    _resolve_paths(document, directory)
    _name_the_strategys_file(document, directory)
    try:
        keys = Keys.model_validate(document.values)
    except ValidationError as error:
        raise ConfigError(sentences(error, Keys, document)) from error
    _raise(agreement_errors(keys), document)
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
        values = document.section(section)
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
    for path in FILE_KEYS:
        values = document.section(path[:-1])
        given = values.get(path[-1])
        if path == ("instrument", "tiers") and given in (VENUE_TIERS, BUILT_IN_TIERS):
            continue
        base = Path.cwd() if path in document.overridden else directory
        if isinstance(given, str):
            values[path[-1]] = _absolute(given, base)
        elif isinstance(given, list):
            values[path[-1]] = [_absolute(each, base) for each in given]


def _name_the_strategys_file(document: Document, directory: Path) -> None:
    """Let ``strategy.name: path/file.py:Class`` say ``file.Class``, and ``plugins`` the file."""
    strategy, plugins = document.values.get("strategy"), document.values.setdefault("plugins", [])
    if not isinstance(strategy, dict) or not isinstance(plugins, list):
        return
    name = strategy.get("name")
    if not isinstance(name, str) or ".py:" not in name:
        return
    base = Path.cwd() if ("strategy", "name") in document.overridden else directory
    file, _, own = name.rpartition(":")
    path = _absolute(file, base)
    document.values["plugins"] = [*plugins, path]
    strategy["name"] = f"{Path(path).stem}.{own}"
    if name in strategy:
        strategy[strategy["name"]] = strategy.pop(name)


def _absolute(path: Any, base: Path) -> Any:
    """Return a path from the root on; what is none stays, and is refused with the other keys."""
    if not isinstance(path, str) or path_fault(path) is not None:
        return path
    return str((base / Path(path).expanduser()).resolve())


def _instrument(keys: Keys, document: Document, described: DescribedMarket | None) -> Instrument:
    symbol, given = keys.trading.symbol, keys.instrument
    known = known_instrument(keys.exchange.name, symbol)
    if described is not None:
        known = described(keys, known)

    needed = ("contract_size", "lot", "tick", "maintenance_margin_rate")
    missing = [name for name in needed if getattr(given, name) is None]
    if known is None and missing:
        base, quote, _ = split_symbol(symbol)
        coin = quote if kind_of(symbol) == "inverse" else base
        what = {
            "contract_size": f"{coin} of a contract",
            "lot": "step of an order in contracts",
            "tick": "step of a price",
            "maintenance_margin_rate": "of the first tier, 0.01 = 1 %",
        }
        raise ConfigError(
            f"{document.place(('instrument',))}: {', '.join(missing)} missing, and {symbol} of "
            f"{keys.exchange.name} is not built in; write what the venue says of it: "
            f"{', '.join(f'{name} ({what[name]})' for name in missing)}, and backtest.fees; or "
            f"set data.source: ccxt, and the venue is asked (built in: okx "
            f"{', '.join(known_symbols())})"
        )

    def value(name: str, default: float | None = None) -> Any:
        own = getattr(given, name)
        if own is None:
            return getattr(known, name) if default is None else default
        return own

    figures = {name: value(name) for name in needed}
    return Instrument(
        symbol=symbol,
        kind=kind_of(symbol),
        **figures,
        min_contracts=value("min_contracts", figures["lot"]),
        liquidation_fee_rate=value("liquidation_fee_rate", figures["maintenance_margin_rate"]),
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


def _shown(values: dict[str, Any], keep: Sequence[str]) -> dict[str, Any]:
    """Return values without those that are None, and texts without the passwords of URLs."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            kept[key] = _shown(value, keep)
        elif value is not None or key in keep:
            kept[key] = masked(value) if isinstance(value, str) else value
    return kept
