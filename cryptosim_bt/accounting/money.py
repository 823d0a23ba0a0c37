"""Fees, margin and PnL of one market; contracts held at an average price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptosim_bt.accounting.contracts import Leg, LiquidationRegion, Side
from cryptosim_bt.accounting.orders import Liquidity
from cryptosim_bt.accounting.position_sets import PositionMath


class MoneyScheme(PositionMath, Protocol):
    """Fees, margin and PnL of one market. Money in settlement currency (`contracts.py`)."""

    @property
    def by_group(self) -> bool:
        """Whether PnL is summed over groups by their own averages, not over the two legs."""

    def notional(self, contracts: float, price: float) -> float:
        """Return the value of contracts at a price."""

    def fee(self, contracts: float, price: float, liquidity: Liquidity) -> float:
        """Return the cost of a fill, negative for a rebate."""

    def initial_margin(self, contracts: float, price: float) -> float:
        """Return what an order or leg needs to be opened."""

    def maintenance_margin(self, contracts: float, price: float) -> float:
        """Return what a leg needs to be kept."""

    def liquidation_fee(self, contracts: float, price: float) -> float:
        """Return what a liquidation takes beside the taker fee, before it is capped."""

    def liquidation_region(
        self, legs: Sequence[Leg], margin: float, price: float
    ) -> LiquidationRegion:
        """Return the prices nearest to ``price`` at which legs with a margin are liquidated."""


@dataclass(slots=True)
class Holding:
    """Contracts of one side with their average entry: a leg, or a group within it."""

    side: Side
    contracts: float = 0.0
    average: float = 0.0
    # Isolated margin: what is set aside for the leg, in settlement currency.
    margin: float = 0.0

    def add(self, scheme: MoneyScheme, contracts: float, price: float) -> None:
        """Enter contracts at a price."""
        if self.contracts:
            parts = [(self.contracts, self.average), (contracts, price)]
            self.average = scheme.average_entry(parts)
        else:
            self.average = price
        self.contracts += contracts

    def remove(self, contracts: float) -> None:
        """Take contracts away; the average of what remains is unchanged (R36)."""
        held = self.contracts
        self.contracts -= contracts
        self.margin *= self.contracts / held
        if self.contracts < 1e-9 * contracts:
            # Rounding error of the subtraction: a fully closed holding is empty.
            self.contracts = self.average = self.margin = 0.0
