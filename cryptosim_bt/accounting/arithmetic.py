"""The arithmetic of a simulation: plain functions of numbers, the same under every Python.

`contracts.py`, `instrument.py` and the exchange's fill rules call these functions and have no
formulas of their own; a compiled version (planned) uses the same functions. So they take
and return floats, whole numbers and bools (a region is a tuple of two floats), raise nothing, and
do the same operations in the same order, so that no last digit differs.

Words and units are those of `contracts.py`: ``formula`` is `INVERSE`, `LINEAR` or
`FIRST_CRYPTOSIM`; ``direction`` is +1 for a long, -1 for a short; ``size`` is the contract's size;
money is in settlement currency.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

INVERSE, LINEAR, FIRST_CRYPTOSIM = 0, 1, 2

# R8: a value this close (relative) to a multiple of a step is that multiple.
GRID_TOLERANCE = 1e-9
# R8: prices are rounded to ten decimals so that no rounding error decides a touch.
_TEN_DECIMALS = 1e10
# Below it a step of two digits, as 1.5e-10, has more than ten decimals.
_NEEDS_MORE_DECIMALS = 1e-8
# From here on, 2**19, doubles lie further apart than 1e-10: each is its own nearest ten decimals.
_COARSER_THAN_TEN_DECIMALS = 524_288.0
# A difference below this share of the values compared is only rounding.
_DUST = 1e-12


def sum_floats(values: Iterable[float]) -> float:
    """Return numbers added from left to right, as ``0 + a + b + ...``; 0 where there is none.

    Python's own ``sum`` is that up to 3.11; from 3.12 on it carries the rounding errors of floats
    along, and a run's last digits would depend on the version.
    """
    result: float = 0
    for value in values:
        result += value
    return result


# ---------------------------------------------------------------------- worth
def notional(formula: int, contracts: float, size: float, price: float) -> float:
    """Return the value of contracts: ``n*size / P`` inverse, ``n*size * P`` otherwise."""
    if formula == INVERSE:
        return contracts * size / price
    return contracts * size * price


def pnl(
    formula: int, direction: int, contracts: float, size: float, entry: float, exit: float
) -> float:
    """Return the profit (+) or loss (-) from ``entry`` to ``exit``, before fees (R20).

    ``s*V * (1/E - 1/X)`` inverse, ``s*V * (X - E)`` linear; the first CryptoSim's is
    ``s*V * E * (X - E) / X``, which no exchange settles.
    """
    if formula == INVERSE:
        return direction * contracts * size * (1.0 / entry - 1.0 / exit)
    if formula == LINEAR:
        return direction * contracts * size * (exit - entry)
    return direction * contracts * size * entry * (exit - entry) / exit


def entry_value(formula: int, contracts: float, price: float) -> float:
    """Return what averages add up: ``n / P`` inverse, ``n * P`` otherwise (R19)."""
    return contracts / price if formula == INVERSE else contracts * price


def average(formula: int, contracts: float, value: float) -> float:
    """Return the average price of contracts, above 0, with a sum of `entry_value` (R19).

    Harmonic for inverse contracts, so that the PnL of the whole is the sum of the PnL of its parts.
    """
    return contracts / value if formula == INVERSE else value / contracts


def average_of_two(
    formula: int, contracts: float, price: float, added: float, added_price: float
) -> float:
    """Return the average price of contracts after some are added at a price (R19)."""
    value = entry_value(formula, contracts, price) + entry_value(formula, added, added_price)
    return average(formula, contracts + added, value)


# ---------------------------------------------------------------------- fees, margin, funding
def fee(formula: int, contracts: float, size: float, price: float, rate: float) -> float:
    """Return ``notional * rate``: a cost, negative for a maker rebate (R17)."""
    return notional(formula, contracts, size, price) * rate


def initial_margin(
    formula: int, contracts: float, size: float, price: float, leverage: float
) -> float:
    """Return ``notional / leverage``: what an order or leg needs to be opened (R20)."""
    return notional(formula, contracts, size, price) / leverage


def maintenance_margin(value: float, rate: float, deduction: float) -> float:
    """Return ``notional * rate - deduction``: what a leg of a notional needs to be kept (R23)."""
    return value * rate - deduction


def funding_payment(direction: int, value: float, rate: float) -> float:
    """Return ``-s * notional * rate``, + = received: with a positive rate longs pay (R22)."""
    return -direction * value * rate


def break_even(
    formula: int, direction: int, value: float, entry: float, taker: float, paid: float
) -> float:
    """Return the exit price at which a leg ends with nothing won or lost (OKX ``bePx``).

    PnL pays what was ``paid`` so far in fees and funding, and the taker fee of closing:
    ``V * (1 + s*f) / (V/entry - s*paid)`` inverse, ``(V*entry + s*paid) / (V * (1 - s*f))``
    linear, with ``V = value``, contracts times size. No price, if not above 0 and finite.
    """
    if formula == INVERSE:
        top, bottom = value * (1.0 + direction * taker), value / entry - direction * paid
    else:
        top, bottom = value * entry + direction * paid, value * (1.0 - direction * taker)
    return top / bottom if bottom else math.inf


# ---------------------------------------------------------------------- liquidation
def no_legs(formula: int, backing: float) -> tuple[float, float, float]:
    """Return the terms of `liquidation_bounds` of a margin, or balance, without legs (R23).

    A tier's deduction lowers the requirement and so is part of ``backing``.
    """
    if formula == INVERSE:
        return backing, 0.0, backing
    if formula == LINEAR:
        return 0.0, -backing, backing
    return backing, 0.0, 0.0


def with_leg(
    formula: int,
    terms: tuple[float, float, float],
    direction: int,
    value: float,
    entry: float,
    rate: float,
    taker: float,
) -> tuple[float, float, float]:
    """Return the terms with a leg of ``value`` contracts times size, above 0.

    ``rate`` is the leg's maintenance rate, ``taker`` the fee rate of closing.
    """
    slope, constant, scale = terms
    if formula == INVERSE:
        return (
            slope + direction * value / entry,
            constant + value * (direction + rate + taker),
            scale + value / entry,
        )
    if formula == LINEAR:
        return (
            slope + value * (direction - rate - taker),
            constant + direction * value * entry,
            scale + value * entry,
        )
    return (
        slope + direction * value * entry,
        constant + direction * value * (entry * entry),
        scale + value * (rate + taker),
    )


def liquidation_bounds(
    formula: int, terms: tuple[float, float, float]
) -> tuple[float, float]:
    """Return (lower, upper): liquidated where ``P <= lower`` or ``P >= upper`` (R23).

    Equity <= maintenance + closing fee, for the terms of at least one leg:

    - inverse, times P: ``P * (B + sum(s*V/avg)) <= sum(V * (s+rate+f))``;
    - linear: ``P * sum(V * (s-rate-f)) <= sum(s*V*avg) - B``;
    - the first CryptoSim's, times P: ``k*P**2 - (B + S1)*P + S2 >= 0`` with
      ``k = sum(V * (rate+f))``, ``S1 = sum(s*V*avg)``, ``S2 = sum(s*V*avg**2)``.

    -inf and inf where there is no such price, (inf, inf) for every price.
    """
    slope, constant, scale = terms
    # A leg that is backed by its whole entry value has no price; rounding errors would give one.
    if formula == INVERSE:
        return _below(0.0 if abs(slope) < _DUST * scale else slope, constant)
    if formula == LINEAR:
        return _below(slope, 0.0 if abs(constant) < _DUST * scale else constant)
    return _outside_roots(scale, slope, constant)


def _below(slope: float, constant: float) -> tuple[float, float]:
    """Return where ``slope * P <= constant`` for P > 0."""
    if slope > 0.0:
        return (constant / slope if constant > 0.0 else -math.inf), math.inf
    if slope < 0.0:
        # Dividing by a negative slope turns the relation: P >= constant / slope.
        return (-math.inf, constant / slope) if constant < 0.0 else (math.inf, math.inf)
    return (math.inf, math.inf) if constant >= 0.0 else (-math.inf, math.inf)


def _outside_roots(curvature: float, linear: float, constant: float) -> tuple[float, float]:
    """Return where ``curvature*P**2 - linear*P + constant >= 0`` for P > 0."""
    if curvature < 1e-200:  # no rates: dividing by it would overflow
        return _below(linear, constant)
    discriminant = linear * linear - 4.0 * curvature * constant
    if discriminant <= 0.0:
        return math.inf, math.inf
    root = math.sqrt(discriminant)
    # The larger root in magnitude first, the other from the product of the roots: no
    # cancellation when curvature is tiny.
    big = (linear + math.copysign(root, linear)) / (2.0 * curvature)
    small = constant / (curvature * big) if big else 0.0
    low, high = min(big, small), max(big, small)
    if high <= 0.0:
        return math.inf, math.inf
    return (low if low > 0.0 else -math.inf), high


def price_at_notional(formula: int, contracts: float, size: float, value: float) -> float:
    """Return the price at which contracts have a notional; both are above 0."""
    return contracts * size / value if formula == INVERSE else value / (contracts * size)


# ---------------------------------------------------------------------- grids
def round10(value: float) -> float:
    """Return a value rounded to ten decimals, a half to the even one (R8).

    Not ``round(value, 10)``, which goes by decimal text and compilers do otherwise; see
    docs/decisions.md for where the two differ.
    """
    if abs(value) >= _COARSER_THAN_TEN_DECIMALS:
        return value
    return round(value * _TEN_DECIMALS) / _TEN_DECIMALS


def on_grid(value: float, step: float) -> float:
    """Return a multiple of ``step`` without rounding error: 10 decimals, more for finer steps."""
    if step >= _NEEDS_MORE_DECIMALS:
        return round10(value)
    return round(value, math.ceil(-math.log10(step)) + 2)


def to_step(value: float, step: float, up: bool) -> float:
    """Return the multiple of ``step`` that is next to ``value``, above or below (R8).

    A value within 1e-9 (relative) of a multiple is that multiple. ``step`` 0 returns the value
    as it is; otherwise the result is rounded to 10 decimals, or to more for a finer step.
    """
    if step == 0.0:
        return value
    steps = value / step
    nearest = round(steps)
    if abs(steps - nearest) > GRID_TOLERANCE * abs(steps):
        nearest = math.ceil(steps) if up else math.floor(steps)
    return on_grid(nearest * step, step)


def floor_to_step(value: float, step: float) -> float:
    """Return the greatest multiple of ``step`` that is not above ``value`` (R8)."""
    return to_step(value, step, False)


def ceil_to_step(value: float, step: float) -> float:
    """Return the smallest multiple of ``step`` that is not below ``value`` (R8)."""
    return to_step(value, step, True)


def contracts_for(
    formula: int, base_amount: float, size: float, price: float, lot: float
) -> float:
    """Return the contracts that hold an amount of the base coin, cut down to the lot (R7).

    Inverse: ``base_amount * price / size``; otherwise ``base_amount / size``.
    """
    coins = base_amount * price if formula == INVERSE else base_amount
    return floor_to_step(coins / size, lot)


# ---------------------------------------------------------------------- fills
def touched(
    is_buy: bool, limit: float, low: float, high: float, through: bool, tick: float
) -> bool:
    """Tell whether a bar fills a limit (R14).

    ``through`` wants the price a tick beyond the limit, or, with tick 0, any price beyond it.
    """
    edge = limit_edge(is_buy, limit, through, tick)
    if through and tick == 0.0:
        return low < edge if is_buy else high > edge
    return low <= edge if is_buy else high >= edge


def limit_edge(is_buy: bool, limit: float, through: bool, tick: float) -> float:
    """Return the price that meets a limit: the limit, or with ``through`` a tick beyond (R13)."""
    if not through or tick == 0.0:
        return limit
    return on_grid(limit - tick if is_buy else limit + tick, tick)


def slipped(
    is_buy: bool,
    price: float,
    low: float,
    high: float,
    slippage: float,
    slippage_range: float,
    tick: float,
) -> float:
    """Return a market price moved against the trader, and to the tick against him (R16).

    Moved by ``price * slippage + (high - low) * slippage_range`` of its bar.
    """
    moved = price * slippage + (high - low) * slippage_range
    return to_step(price + moved if is_buy else price - moved, tick, is_buy)


def available_volume(volume: float, share: float, lot: float) -> float:
    """Return the contracts that one order can take of a bar's volume (R34)."""
    return floor_to_step(share * volume, lot)
