"""Contract arithmetic: what a position in a linear or an inverse perpetual is worth.

Pure functions of floats on frozen objects: no state, no clock, no backtrader. Everything else in
CryptoSim that needs money asks here.

Conventions, the same in every method:

- ``side`` is ``"long"`` or ``"short"``; ``contracts`` is a count, never negative;
- prices are in quote currency per base coin (USD per BTC);
- money is in the settlement currency: the coin for inverse contracts (BTC), the quote currency
  for linear ones (USDT, USDC);
- rates are fractions (0.0005 = 0.05 %);
- a cash flow is positive when money comes in; a fee is a cost, positive when paid.

With ``V = contracts * contract_size``, ``s`` = +1 long / -1 short:

=============  =======================  ====================
               inverse                  linear
=============  =======================  ====================
notional       ``V / P``                ``V * P``
PnL            ``s*V*(1/E - 1/X)``      ``s*V*(X - E)``
average entry  harmonic, by contracts   arithmetic
=============  =======================  ====================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Side = Literal["long", "short"]
SIDES: tuple[Side, Side] = ("long", "short")


class Leg(NamedTuple):
    """One side of a hedged position: contracts and their average entry price."""

    side: Side
    contracts: float
    entry: float


# A difference below this share of what it is a difference of is nothing but rounding.
_DUST = 1e-12


class LiquidationRegion(NamedTuple):
    """The prices at which an account is liquidated: ``P <= lower`` or ``P >= upper``.

    ``lower`` is ``-inf`` when no fall liquidates, ``upper`` is ``+inf`` when no rise does;
    ``lower`` = ``+inf`` means: at every price.
    """

    lower: float
    upper: float

    def contains(self, price: float) -> bool:
        """Tell whether an account is liquidated at ``price``, or but for rounding (R23)."""
        return price <= self.lower * (1.0 + _DUST) or price >= self.upper * (1.0 - _DUST)


NO_LIQUIDATION = LiquidationRegion(-math.inf, math.inf)
ALWAYS_LIQUIDATED = LiquidationRegion(math.inf, math.inf)


def sign(side: Side) -> int:
    """Return +1 for a long, -1 for a short.

    Raises
    ------
    ValueError
        If ``side`` is neither ``"long"`` nor ``"short"``.
    """
    if side == "long":
        return 1
    if side == "short":
        return -1
    raise ValueError(f'side: was {side!r}; allowed: "long", "short"')


def _below(slope: float, constant: float) -> LiquidationRegion:
    """Return where ``slope * P <= constant`` for P > 0."""
    if slope > 0:
        return LiquidationRegion(constant / slope if constant > 0 else -math.inf, math.inf)
    if slope < 0:
        # Dividing by a negative slope turns the relation: P >= constant / slope.
        return LiquidationRegion(-math.inf, constant / slope) if constant < 0 else ALWAYS_LIQUIDATED
    return ALWAYS_LIQUIDATED if constant >= 0 else NO_LIQUIDATION


def _per_leg(rate: float | Sequence[float], legs: Sequence[Leg]) -> Sequence[float]:
    """Return one maintenance rate per leg."""
    return [rate] * len(legs) if isinstance(rate, (int, float)) else rate


def _only_price(region: LiquidationRegion) -> float | None:
    """Return the boundary of a half-line, None when there is none or it covers every price."""
    for boundary in region:
        if math.isfinite(boundary) and boundary > 0:
            return boundary
    return None


@dataclass(frozen=True)
class _Contract:
    """What both kinds share: everything that follows from notional, PnL and average entry.

    Not slotted: subclasses add methods only, and commission schemes cache bound methods.
    """

    contract_size: float

    def __post_init__(self) -> None:
        if not self.contract_size > 0:
            raise ValueError(f"contract_size: was {self.contract_size!r}; allowed: above 0")

    def notional(self, contracts: float, price: float) -> float:
        """Return the value of contracts at a price, in settlement currency, never negative."""
        raise NotImplementedError

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        """Return the profit (+) or loss (-) from ``entry`` to ``exit``, before fees."""
        raise NotImplementedError

    def average_entry(self, fills: Iterable[tuple[float, float]]) -> float | None:
        """Return the average price of pairs (contracts, price); None without contracts."""
        raise NotImplementedError

    def liquidation_region(
        self,
        legs: Sequence[Leg],
        balance: float,
        rate: float | Sequence[float],
        taker: float,
        deduction: float = 0.0,
    ) -> LiquidationRegion:
        """Return the prices at which a cross-margin account is liquidated (R23)."""
        raise NotImplementedError

    def fee(self, contracts: float, price: float, rate: float) -> float:
        """Return ``notional * rate``: a cost, negative for a maker rebate (R17)."""
        return self.notional(contracts, price) * rate

    def initial_margin(self, contracts: float, price: float, leverage: float) -> float:
        """Return ``notional / leverage``: what an order or leg needs to be opened (R20)."""
        return self.notional(contracts, price) / leverage

    def maintenance_margin(
        self, contracts: float, price: float, rate: float, deduction: float = 0.0
    ) -> float:
        """Return ``notional * rate - deduction``: what a leg needs to be kept (R23).

        ``deduction`` is the maintenance amount of a tier (Binance's ``cum``), in settlement
        currency; 0 for exchanges without one (OKX).
        """
        return self.notional(contracts, price) * rate - deduction

    def funding_payment(self, side: Side, contracts: float, mark: float, rate: float) -> float:
        """Return the cash flow of one funding time: + = received (R22).

        ``-s * notional(mark) * rate``: with a positive rate longs pay shorts.
        """
        return -sign(side) * self.notional(contracts, mark) * rate

    def return_on_margin(
        self, pnl: float, contracts: float, entry: float, leverage: float
    ) -> float | None:
        """Return ``pnl / initial margin at entry`` as a fraction (OKX ``uplRatio``).

        None without contracts.
        """
        margin = self.initial_margin(contracts, entry, leverage)
        return pnl / margin if margin else None

    def liquidation_price(
        self,
        side: Side,
        contracts: float,
        entry: float,
        margin: float,
        rate: float,
        taker: float,
        deduction: float = 0.0,
    ) -> float | None:
        """Return the price at which a single leg with ``margin`` behind it is liquidated.

        It solves ``margin + pnl(P) = notional(P) * (rate + taker) - deduction``. ``margin`` is
        the isolated margin, or in cross margin the balance without this leg's PnL.

        Returns
        -------
        float or None
            None where no positive price satisfies it (an inverse short at leverage 1, a leg
            of zero contracts), or where the leg is liquidated at every price.
        """
        legs = [Leg(side, contracts, entry)]
        return self.cross_liquidation_price(legs, margin, rate, taker, deduction)

    def cross_liquidation_price(
        self,
        legs: Sequence[tuple[Side, float, float]],
        balance: float,
        rate: float | Sequence[float],
        taker: float,
        deduction: float = 0.0,
    ) -> float | None:
        """Return the one price at which a cross-margin account with both legs is liquidated.

        It solves ``balance + sum of pnl(P) = sum of notional(P) * (rate + taker) - deduction``.

        Parameters
        ----------
        legs
            (side, contracts, average entry) of each leg.
        balance
            Wallet balance without unrealised PnL.
        rate
            Maintenance margin rate, one for all legs or one a leg.
        taker
            Fee rate of closing.
        deduction
            Sum of the legs' tier deductions, in settlement currency.
        """
        kept = [Leg(*leg) for leg in legs]
        return _only_price(self.liquidation_region(kept, balance, rate, taker, deduction))


@dataclass(frozen=True)
class InverseContract(_Contract):
    """A coin-margined perpetual or future: quoted in USD, settled in the coin.

    Parameters
    ----------
    contract_size
        USD (quote currency) per contract; OKX BTC-USD-SWAP: 100.
    """

    contract_size: float = 100.0

    def notional(self, contracts: float, price: float) -> float:
        """Return ``contracts * contract_size / price``, in the coin."""
        return contracts * self.contract_size / price

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        """Return ``s * contracts * contract_size * (1/entry - 1/exit)``, in the coin (R20).

        A long gains at most ``V / entry``; its loss has no bound as the price goes to 0.
        """
        return sign(side) * contracts * self.contract_size * (1.0 / entry - 1.0 / exit)

    def average_entry(self, fills: Iterable[tuple[float, float]]) -> float | None:
        """Return ``sum(n) / sum(n / price)``, the harmonic mean weighted by contracts (R19).

        Harmonic, so that the PnL of the whole is the sum of the PnL of its parts. None without
        contracts.
        """
        contracts = coins = 0.0
        for count, price in fills:
            contracts += count
            coins += count / price
        return contracts / coins if coins else None

    def break_even(
        self,
        side: Side,
        contracts: float,
        entry: float,
        taker: float,
        fees_paid: float,
        funding_paid: float,
    ) -> float | None:
        """Return the exit price at which a leg ends with nothing won and nothing lost (OKX bePx).

        ``V * (1 + s*f) / (V/entry - s*(fees + funding))``: PnL pays the fees and funding paid so
        far and the taker fee of closing. None where no such price exists.
        """
        direction, value = sign(side), contracts * self.contract_size
        coins = value / entry - direction * (fees_paid + funding_paid)
        price = value * (1.0 + direction * taker) / coins if coins else math.inf
        return price if 0.0 < price < math.inf else None

    def liquidation_region(
        self,
        legs: Sequence[Leg],
        balance: float,
        rate: float | Sequence[float],
        taker: float,
        deduction: float = 0.0,
    ) -> LiquidationRegion:
        """Return the prices of liquidation: ``P * (B + sum(s*V/avg)) <= sum(V * (s+rate+f))``.

        The condition of R23, equity <= maintenance + closing fee, times P. A deduction lowers
        the requirement and so stands beside the balance B.
        """
        slope = scale = balance + deduction
        constant, held = 0.0, False
        for (side, contracts, entry), leg_rate in zip(legs, _per_leg(rate, legs), strict=True):
            direction, value = sign(side), contracts * self.contract_size
            if value:
                held = True
                slope += direction * value / entry
                scale += value / entry
                constant += value * (direction + leg_rate + taker)
        # A short that is backed by its whole entry value has no price; float dust would give one.
        slope = 0.0 if abs(slope) < _DUST * scale else slope
        return _below(slope, constant) if held else NO_LIQUIDATION


@dataclass(frozen=True)
class LinearContract(_Contract):
    """A USDT- or USDC-margined perpetual or future: quoted and settled in the same currency.

    Parameters
    ----------
    contract_size
        Coins per contract; OKX BTC-USDT-SWAP: 0.01.
    """

    contract_size: float = 0.01

    def notional(self, contracts: float, price: float) -> float:
        """Return ``contracts * contract_size * price``, in the quote currency."""
        return contracts * self.contract_size * price

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        """Return ``s * contracts * contract_size * (exit - entry)``, in the quote currency."""
        return sign(side) * contracts * self.contract_size * (exit - entry)

    def average_entry(self, fills: Iterable[tuple[float, float]]) -> float | None:
        """Return ``sum(n * price) / sum(n)``, the arithmetic mean weighted by contracts (R19).

        None without contracts.
        """
        contracts = value = 0.0
        for count, price in fills:
            contracts += count
            value += count * price
        return value / contracts if contracts else None

    def break_even(
        self,
        side: Side,
        contracts: float,
        entry: float,
        taker: float,
        fees_paid: float,
        funding_paid: float,
    ) -> float | None:
        """Return the exit price at which a leg ends with nothing won and nothing lost (OKX bePx).

        ``(V*entry + s*(fees + funding)) / (V * (1 - s*f))``. None where no such price exists.
        """
        direction, value = sign(side), contracts * self.contract_size
        divisor = value * (1.0 - direction * taker)
        price = (
            (value * entry + direction * (fees_paid + funding_paid)) / divisor
            if divisor
            else math.inf
        )
        return price if 0.0 < price < math.inf else None

    def liquidation_region(
        self,
        legs: Sequence[Leg],
        balance: float,
        rate: float | Sequence[float],
        taker: float,
        deduction: float = 0.0,
    ) -> LiquidationRegion:
        """Return the prices of liquidation: ``P * sum(V * (s-rate-f)) <= sum(s*V*avg) - B``."""
        slope, constant, held = 0.0, -(balance + deduction), False
        scale = balance + deduction
        for (side, contracts, entry), leg_rate in zip(legs, _per_leg(rate, legs), strict=True):
            direction, value = sign(side), contracts * self.contract_size
            if value:
                held = True
                slope += value * (direction - leg_rate - taker)
                constant += direction * value * entry
                scale += value * entry
        # A long that is backed by its whole entry value has no price; float dust would give one.
        constant = 0.0 if abs(constant) < _DUST * scale else constant
        return _below(slope, constant) if held else NO_LIQUIDATION


@dataclass(frozen=True)
class FirstCryptoSimContract(LinearContract):
    """A linear contract with the PnL of the first CryptoSim, for comparison with its results.

    ``linear_pnl: cryptosim``: PnL is ``s * V * entry * (exit - entry) / exit``, the formula of an
    inverse contract valued at entry. No exchange settles so. It is not additive over fills at
    different prices, so it is summed over the groups, each with its own average.
    """

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        """Return ``s * contracts * contract_size * entry * (exit - entry) / exit``."""
        return sign(side) * contracts * self.contract_size * entry * (exit - entry) / exit

    def break_even(
        self,
        side: Side,
        contracts: float,
        entry: float,
        taker: float,
        fees_paid: float,
        funding_paid: float,
    ) -> float | None:
        """Raise: the first CryptoSim had no break-even price, and no exchange shows one."""
        raise NotImplementedError("linear_pnl: cryptosim has no break-even price")

    def liquidation_region(
        self,
        legs: Sequence[Leg],
        balance: float,
        rate: float | Sequence[float],
        taker: float,
        deduction: float = 0.0,
    ) -> LiquidationRegion:
        """Return the prices of liquidation, outside the roots of a quadratic.

        Equity <= requirement, times P: ``k*P**2 - (B + S1)*P + S2 >= 0`` with
        ``k = sum(V * (rate + f))``, ``S1 = sum(s*V*avg)``, ``S2 = sum(s*V*avg**2)``.
        """
        if not any(leg.contracts for leg in legs):
            return NO_LIQUIDATION
        curvature, linear, constant = 0.0, balance + deduction, 0.0
        for leg, leg_rate in zip(legs, _per_leg(rate, legs), strict=True):
            direction, value = sign(leg.side), leg.contracts * self.contract_size
            curvature += value * (leg_rate + taker)
            if value:
                linear += direction * value * leg.entry
                constant += direction * value * leg.entry**2
        if curvature < 1e-200:  # no rates: dividing by it would overflow
            return _below(linear, constant)
        discriminant = linear**2 - 4.0 * curvature * constant
        if discriminant <= 0.0:
            return ALWAYS_LIQUIDATED
        root = math.sqrt(discriminant)
        # The larger root in magnitude first, the other from the product of the roots: no
        # cancellation when curvature is tiny.
        big = (linear + math.copysign(root, linear)) / (2.0 * curvature)
        small = constant / (curvature * big) if big else 0.0
        low, high = min(big, small), max(big, small)
        if high <= 0.0:
            return ALWAYS_LIQUIDATED
        return LiquidationRegion(low if low > 0.0 else -math.inf, high)


def weighted_average(
    contract: InverseContract | LinearContract, fills: Iterable[tuple[float, float]]
) -> float:
    """Return `average_entry` of fills that hold contracts.

    Raises
    ------
    ValueError
        If they hold none: the caller took an empty leg for a full one.
    """
    average = contract.average_entry(fills)
    if average is None:
        raise ValueError("average entry of no contracts")
    return average
