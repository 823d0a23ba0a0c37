"""Maintenance margin by size, in the two forms that exchanges use (R31).

- By contracts of the leg (OKX): the tier's rate applies to the whole leg; the requirement jumps at
  a tier's edge.
- By notional with a deduction (Binance, Bybit): ``notional * rate - deduction``, continuous;
  ``deduction_k = floor_k * (rate_k - rate_(k-1)) + deduction_(k-1)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cryptosim_bt.accounting.arithmetic import maintenance_margin, sum_floats
from cryptosim_bt.accounting.contracts import (
    ALWAYS_LIQUIDATED,
    InverseContract,
    Leg,
    LinearContract,
    LiquidationRegion,
)
from cryptosim_bt.accounting.instrument import Instrument, known_instrument
from cryptosim_bt.errors import ConfigError, shown

BUILT_IN_TIERS = "built-in"
"""The word for `instrument.tiers` that names no file: the list that is shipped for the market."""

Basis = Literal["contracts", "notional"]

_MOST_LEVELS = 8
_SHIPPED = Path(__file__).resolve().parent / "okx_tiers"
_LARGEST_FILE = 1_000_000  # the longest list of a venue has some thousand


@dataclass(frozen=True, slots=True)
class Tier:
    """One step: from ``floor`` (contracts, or notional in settlement currency) upwards.

    ``rate`` is a fraction of notional, ``deduction`` money in settlement currency.
    """

    floor: float
    rate: float
    deduction: float = 0.0


@dataclass(frozen=True, slots=True)
class MaintenanceTiers:
    """The maintenance margin of a market (R31): ``tiers`` by rising floor, the first from 0."""

    basis: Basis
    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        floors = [tier.floor for tier in self.tiers]
        if not floors or floors[0] != 0.0 or floors != sorted(set(floors)):
            raise ValueError(f"tiers: floors were {floors}; allowed: rising, the first 0")
        if any(not 0.0 <= tier.rate < 1.0 for tier in self.tiers):
            rates = [tier.rate for tier in self.tiers]
            raise ValueError(f"tiers: rates were {rates}; allowed: from 0 to below 1")
        if not all(math.isfinite(each) for tier in self.tiers
                   for each in (tier.floor, tier.deduction)):  # fmt: skip
            raise ValueError("tiers: a floor or deduction was not finite")

    @classmethod
    def single(cls, rate: float) -> MaintenanceTiers:
        """Return one rate for every size."""
        return cls("contracts", (Tier(0.0, rate),))

    @classmethod
    def by_notional(cls, steps: Sequence[tuple[float, float]]) -> MaintenanceTiers:
        """Return tiers of (floor, rate) with the deductions that make them continuous."""
        tiers: list[Tier] = []
        for floor, rate in steps:
            deduction = 0.0
            if tiers:
                deduction = floor * (rate - tiers[-1].rate) + tiers[-1].deduction
            tiers.append(Tier(floor, rate, deduction))
        return cls("notional", tuple(tiers))

    def tier_of(self, measure: float) -> Tier:
        """Return the tier of a leg by its contracts, or by its notional."""
        found = self.tiers[0]
        for tier in self.tiers[1:]:
            if measure < tier.floor:
                break
            found = tier
        return found

    def requirement(
        self, contract: InverseContract | LinearContract, contracts: float, price: float
    ) -> float:
        """Return the maintenance margin of a leg at a price, in settlement currency."""
        notional = contract.notional(contracts, price)
        tier = self.tier_of(contracts if self.basis == "contracts" else notional)
        return maintenance_margin(notional, tier.rate, tier.deduction)


def liquidation_region(
    contract: InverseContract | LinearContract,
    legs: Sequence[Leg],
    margin: float,
    tiers: MaintenanceTiers,
    taker: float,
    price: float,
) -> LiquidationRegion:
    """Return the prices nearest to ``price`` at which legs are liquidated, below and above (R32).

    ``margin + pnl(P) <= maintenance(P) + taker fee of closing``. With tiers by notional, closed
    form within the tiers of each price interval, solved again in the next interval where the
    solution lies beyond this one (R32). ``margin`` is what stands behind the legs: the balance
    (cross) or the leg's own (isolated).
    """
    if tiers.basis == "contracts" or len(tiers.tiers) == 1:
        found = [tiers.tier_of(leg.contracts) for leg in legs]
        return _region_of(contract, legs, margin, found, taker)
    edges = sorted({contract.price_at_notional(leg.contracts, tier.floor)
                    for leg in legs if leg.contracts for tier in tiers.tiers[1:]})  # fmt: skip
    edges = [0.0, *edges, math.inf]
    here = next(index for index in range(len(edges) - 1) if price < edges[index + 1])
    solve = _IntervalSolver(contract, legs, margin, tiers, taker, edges)
    if solve.region(here).contains(price):
        return ALWAYS_LIQUIDATED
    return LiquidationRegion(solve.below(here), solve.above(here))


def _region_of(
    contract: InverseContract | LinearContract, legs: Sequence[Leg], margin: float,
    found: Sequence[Tier], taker: float,
) -> LiquidationRegion:  # fmt: skip
    """Return the region of legs of which each is in a tier of its own."""
    rates, deduction = [tier.rate for tier in found], sum_floats(tier.deduction for tier in found)
    return contract.liquidation_region(legs, margin, rates, taker, deduction)


@dataclass(frozen=True, slots=True)
class _IntervalSolver:
    """Closed forms within the price intervals in which no leg changes its tier."""

    contract: InverseContract | LinearContract
    legs: Sequence[Leg]
    margin: float
    tiers: MaintenanceTiers
    taker: float
    edges: list[float]

    def region(self, interval: int) -> LiquidationRegion:
        """Return the region that the tiers of an interval would give at every price."""
        low, high = self.edges[interval], self.edges[interval + 1]
        inside = high / 2.0 if low == 0.0 else low * 2.0 if high == math.inf else (low + high) / 2.0
        found = [
            self.tiers.tier_of(self.contract.notional(leg.contracts, inside)) for leg in self.legs
        ]
        return _region_of(self.contract, self.legs, self.margin, found, self.taker)

    def below(self, interval: int) -> float:
        """Return the first price of liquidation at or below an interval, -inf if there is none."""
        for index in range(interval, -1, -1):
            region = self.region(index)
            # The requirement is continuous: beyond the interval the next one decides.
            if region.lower >= self.edges[index] and region.lower > 0.0:
                return min(region.lower, self.edges[index + 1])
        return -math.inf

    def above(self, interval: int) -> float:
        """Return the first price of liquidation at or above an interval, inf if there is none."""
        for index in range(interval, len(self.edges) - 1):
            region = self.region(index)
            if region.upper <= self.edges[index + 1] and region.upper < math.inf:
                return max(region.upper, self.edges[index])
        return math.inf


def built_in_tiers(exchange: str, instrument: Instrument) -> Path | None:
    """Return the shipped list of a market's tiers, None where there is none.

    A list counts contracts of the size that the venue gives them, and says in the file where it is
    from and of which date it is.
    """
    known = known_instrument(exchange, instrument.symbol)
    if known is None or known.contract_size != instrument.contract_size:
        return None
    market = instrument.symbol.replace("/", "-").replace(":", "-")
    path = _SHIPPED / f"{market}.yaml"
    return path if path.exists() else None


def read_tiers(path: Path) -> MaintenanceTiers:
    """Read tiers from a YAML file.

    ``basis: contracts`` or ``notional``; ``tiers:`` a list of ``{floor, rate}`` (contracts, or
    settlement currency) with an optional ``deduction``; without deductions, tiers by notional
    are made continuous.

    Raises
    ------
    ConfigError
        If the file is missing or is not of that form.
    """
    reader = YAML(typ="safe", pure=True)
    reader.max_depth = _MOST_LEVELS
    try:
        if path.exists() and not path.is_file():
            raise ValueError("is no file")  # a device could be read for ever
        if path.exists() and path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"holds more than {_LARGEST_FILE:,} bytes")
        return _tiers_of(reader.load(path.read_text(encoding="utf-8")))
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        found = "is no text in UTF-8"
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        found = "is no YAML" if mark is None else f"is no YAML from line {mark.line + 1} on"
    except ValueError as error:
        found = str(error)
    raise ConfigError(
        f"instrument.tiers: {path}: no tiers: {found}; allowed: basis: contracts|notional and "
        "tiers: a list of {floor, rate}, rising floors, the first 0"
    )


def _tiers_of(document: Any) -> MaintenanceTiers:
    """Return the tiers of a document; ValueError says what was found in place of them."""
    if not isinstance(document, dict):
        raise ValueError(f"the file has {shown(document)} in place of basis: and tiers:")
    basis, rows = document.get("basis"), document.get("tiers")
    if basis not in ("contracts", "notional"):
        raise ValueError(f"basis was {shown(basis)}")
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"tiers was {shown(rows)}")
    tiers = [_tier_of(row, number) for number, row in enumerate(rows, 1)]
    if basis == "notional" and not any("deduction" in row for row in rows):
        # With the checks of the class before deductions are computed from the rows.
        steps = MaintenanceTiers(basis, tuple(tiers)).tiers
        return MaintenanceTiers.by_notional([(tier.floor, tier.rate) for tier in steps])
    return MaintenanceTiers(basis, tuple(tiers))


def _tier_of(row: Any, number: int) -> Tier:
    if not isinstance(row, dict):
        raise ValueError(f"tier {number} was {shown(row)}")
    values = {"deduction": 0.0, **row}
    for name in ("floor", "rate", "deduction"):
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} of tier {number} was {shown(value)}")
    return Tier(float(values["floor"]), float(values["rate"]), float(values["deduction"]))
