"""Contract arithmetic: what a position in a linear or an inverse perpetual is worth.

Immutable classes that call the formulas in `arithmetic.py`. All other code of CryptoSim computes
notional, PnL, fees and margin through them.

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
from typing import ClassVar, Literal, NamedTuple

from cryptosim_bt.accounting import arithmetic
from cryptosim_bt.accounting.arithmetic import FIRST_CRYPTOSIM, INVERSE, LINEAR

Side = Literal["long", "short"]
SIDES: tuple[Side, Side] = ("long", "short")


class Leg(NamedTuple):
    """One side of a hedged position: contracts and their average entry price."""

    side: Side
    contracts: float
    entry: float


# A difference below this share of the values compared is only rounding.
_DUST = 1e-12


class LiquidationRegion(NamedTuple):
    """The prices at which an account is liquidated: ``P <= lower`` or ``P >= upper``.

    ``lower`` is ``-inf`` when no fall liquidates, ``upper`` is ``+inf`` when no rise does;
    ``lower`` = ``+inf`` means: at every price.
    """

    lower: float
    upper: float

    def contains(self, price: float) -> bool:
        """Tell whether an account is liquidated at ``price``, within rounding (R23)."""
        return price <= self.lower * (1.0 + _DUST) or price >= self.upper * (1.0 - _DUST)


NO_LIQUIDATION = LiquidationRegion(-math.inf, math.inf)
ALWAYS_LIQUIDATED = LiquidationRegion(math.inf, math.inf)


def sign(side: Side) -> int:
    """Return +1 for a long, -1 for a short; ValueError for anything else."""
    if side == "long":
        return 1
    if side == "short":
        return -1
    raise ValueError(f'side: was {side!r}; allowed: "long", "short"')


@dataclass(frozen=True)
class _Contract:
    """The arithmetic of one market: ``formula`` with a contract's size.

    Not slotted: commission schemes cache bound methods.
    """

    contract_size: float
    formula: ClassVar[int]

    def __post_init__(self) -> None:
        if not self.contract_size > 0:
            raise ValueError(f"contract_size: was {self.contract_size!r}; allowed: above 0")

    def notional(self, contracts: float, price: float) -> float:
        """Return the value of contracts at a price, in settlement currency, never negative."""
        return arithmetic.notional(self.formula, contracts, self.contract_size, price)

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        """Return the profit (+) or loss (-) from ``entry`` to ``exit``, before fees (R20)."""
        return arithmetic.pnl(self.formula, sign(side), contracts, self.contract_size, entry, exit)

    def average_entry(self, fills: Iterable[tuple[float, float]]) -> float | None:
        """Return the average price of pairs (contracts, price); None without contracts (R19)."""
        contracts = value = 0.0
        for count, price in fills:
            contracts += count
            value += arithmetic.entry_value(self.formula, count, price)
        return arithmetic.average(self.formula, contracts, value) if contracts else None

    def price_at_notional(self, contracts: float, notional: float) -> float:
        """Return the price at which contracts have a notional; both are above 0."""
        return arithmetic.price_at_notional(self.formula, contracts, self.contract_size, notional)

    def fee(self, contracts: float, price: float, rate: float) -> float:
        """Return ``notional * rate``: a cost, negative for a maker rebate (R17)."""
        return arithmetic.fee(self.formula, contracts, self.contract_size, price, rate)

    def initial_margin(self, contracts: float, price: float, leverage: float) -> float:
        """Return ``notional / leverage``: what an order or leg needs to be opened (R20)."""
        size = self.contract_size
        return arithmetic.initial_margin(self.formula, contracts, size, price, leverage)

    def maintenance_margin(
        self, contracts: float, price: float, rate: float, deduction: float = 0.0
    ) -> float:
        """Return ``notional * rate - deduction``, a tier's, in money: what keeps a leg (R23)."""
        return arithmetic.maintenance_margin(self.notional(contracts, price), rate, deduction)

    def funding_payment(self, side: Side, contracts: float, mark: float, rate: float) -> float:
        """Return the cash flow of one funding time, + = received (R22)."""
        return arithmetic.funding_payment(sign(side), self.notional(contracts, mark), rate)

    def return_on_margin(
        self, pnl: float, contracts: float, entry: float, leverage: float
    ) -> float | None:
        """Return ``pnl / initial margin at entry`` (OKX ``uplRatio``); None without contracts."""
        margin = self.initial_margin(contracts, entry, leverage)
        return pnl / margin if margin else None

    def break_even(
        self,
        side: Side,
        contracts: float,
        entry: float,
        taker: float,
        fees_paid: float,
        funding_paid: float,
    ) -> float | None:
        """Return the exit price at which nothing is won or lost (OKX bePx); None without one.

        PnL pays the fees and funding paid so far and the taker fee of closing. Not for the first
        CryptoSim's PnL: NotImplementedError.
        """
        if self.formula == FIRST_CRYPTOSIM:
            raise NotImplementedError("linear_pnl: cryptosim has no break-even price")
        value, paid = contracts * self.contract_size, fees_paid + funding_paid
        price = arithmetic.break_even(self.formula, sign(side), value, entry, taker, paid)
        return price if 0.0 < price < math.inf else None

    def liquidation_region(
        self,
        legs: Sequence[Leg],
        balance: float,
        rate: float | Sequence[float],
        taker: float,
        deduction: float = 0.0,
    ) -> LiquidationRegion:
        """Return the prices at which a cross-margin account is liquidated (R23).

        ``balance`` is the wallet's, without unrealised PnL; ``rate`` the maintenance rate, one for
        all legs or one a leg; ``taker`` the fee rate of closing; ``deduction`` the sum of the legs'
        tier deductions, in settlement currency.
        """
        rates = [rate] * len(legs) if isinstance(rate, (int, float)) else rate
        terms, held = arithmetic.no_legs(self.formula, balance + deduction), False
        for (side, contracts, entry), leg_rate in zip(legs, rates, strict=True):
            direction, value = sign(side), contracts * self.contract_size
            if value:
                held = True
                terms = arithmetic.with_leg(
                    self.formula, terms, direction, value, entry, leg_rate, taker
                )
        if not held:
            return NO_LIQUIDATION
        return LiquidationRegion(*arithmetic.liquidation_bounds(self.formula, terms))

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

        ``margin`` is the isolated one, or in cross margin the balance without this leg's PnL. None
        where no positive price liquidates (an inverse short at leverage 1, no contracts), or all.
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
        """Return the one boundary of `liquidation_region` that is a price, None if none is."""
        kept = [Leg(*leg) for leg in legs]
        region = self.liquidation_region(kept, balance, rate, taker, deduction)
        return next((price for price in region if 0.0 < price < math.inf), None)


@dataclass(frozen=True)
class InverseContract(_Contract):
    """A coin-margined market: ``contract_size`` in quote currency (OKX BTC-USD-SWAP: 100)."""

    contract_size: float = 100.0
    formula = INVERSE


@dataclass(frozen=True)
class LinearContract(_Contract):
    """A market settled in its quote currency: ``contract_size`` in coins (BTC-USDT-SWAP: 0.01)."""

    contract_size: float = 0.01
    formula = LINEAR


@dataclass(frozen=True)
class FirstCryptoSimContract(LinearContract):
    """A linear contract with the PnL of the first CryptoSim, for comparison with its results.

    ``linear_pnl: cryptosim``: PnL is ``s * V * entry * (exit - entry) / exit``, the formula of an
    inverse contract valued at entry. No exchange settles so. It is not additive over fills at
    different prices, so it is summed over the groups, each with its own average.
    """

    formula = FIRST_CRYPTOSIM


def weighted_average(
    contract: InverseContract | LinearContract, fills: Iterable[tuple[float, float]]
) -> float:
    """Return `average_entry` of fills that hold contracts; ValueError if they hold none."""
    average = contract.average_entry(fills)
    if average is None:
        raise ValueError("average entry of no contracts")
    return average
