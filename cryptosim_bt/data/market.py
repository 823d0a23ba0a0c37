"""What a venue says of a market, as values of ours, and how they are read from ccxt's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Price = Literal["trade", "mark"]
"""Whose price candles show: that of trades, or the mark, which liquidation and funding go by."""

Candle = tuple[int, float, float, float, float, float]
"""Opening time in ms, open, high, low, close, volume (NaN where the venue gives none)."""


@dataclass(frozen=True, slots=True)
class Market:
    """What a venue says of one market today; ``native`` is its own name of it.

    Sizes and steps as in `Instrument`, 0 where the venue does not say, except ``contract_size``,
    then 1. Fees are base rates, fractions; ``max_leverage`` is that of the first tier,
    ``listed_ms`` when it was listed.
    """

    symbol: str
    native: str
    contract_size: float
    lot: float
    tick: float
    min_contracts: float
    maker: float | None
    taker: float | None
    max_leverage: float | None
    listed_ms: int | None


@dataclass(frozen=True, slots=True)
class Tier:
    """One margin tier: from ``above`` up to ``up_to``, in the tiers' unit."""

    above: float
    up_to: float | None
    maintenance_margin_rate: float
    max_leverage: float | None


@dataclass(frozen=True, slots=True)
class Tiers:
    """A market's margin tiers, lowest first; ``unit`` is what their bounds count."""

    unit: Literal["contracts", "notional"]
    tiers: tuple[Tier, ...]


def market_of(raw: dict[str, Any]) -> Market:
    """Return a market as ccxt describes it."""
    precision, limits = raw.get("precision") or {}, raw.get("limits") or {}
    amount, leverage = limits.get("amount") or {}, limits.get("leverage") or {}
    lot = _number(precision.get("amount")) or 0.0
    return Market(
        symbol=str(raw["symbol"]),
        native=str(raw["id"]),
        contract_size=_number(raw.get("contractSize")) or 1.0,
        lot=lot,
        tick=_number(precision.get("price")) or 0.0,
        min_contracts=_number(amount.get("min")) or lot,
        maker=_number(raw.get("maker")),
        taker=_number(raw.get("taker")),
        max_leverage=_number(leverage.get("max")),
        listed_ms=None if raw.get("created") is None else int(raw["created"]),
    )


def candle_of(row: Sequence[Any]) -> Candle:
    """Return a row of ccxt's candles; NaN where it has no value."""
    values = [float("nan") if value is None else float(value) for value in row[1:6]]
    values += [float("nan")] * (5 - len(values))
    return (int(row[0]), values[0], values[1], values[2], values[3], values[4])


def tier_of(row: dict[str, Any]) -> Tier | None:
    """Return a tier of ccxt's, None for one without a maintenance rate."""
    rate = _number(row.get("maintenanceMarginRate"))
    if rate is None:
        return None
    return Tier(
        above=_number(row.get("minNotional")) or 0.0,
        up_to=_number(row.get("maxNotional")),
        maintenance_margin_rate=rate,
        max_leverage=_number(row.get("maxLeverage")),
    )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
