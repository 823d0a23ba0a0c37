"""What the sizes of a plain strategy's orders count: contracts, or coins (`trading.size_unit`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import backtrader as bt

from cryptosim_bt.accounting.arithmetic import on_grid, to_step
from cryptosim_bt.accounting.contracts import LinearContract
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.errors import InputError

# An order in coins is sized from money, most often from all of it (`order_target_percent(1.0)`):
# where that misses fees and the move to the next open, it is cut by this share at most.
CUT_IN_COINS = 0.05


@dataclass(frozen=True, slots=True)
class SizeUnit:
    """How sizes become contracts, and back.

    Parameters
    ----------
    of_contract
        Units in a contract: 1 where sizes are contracts.
    instrument
        Its grids in contracts.
    """

    of_contract: float
    instrument: Instrument

    @classmethod
    def of(cls, name: str, instrument: Instrument) -> SizeUnit:
        """Return the unit of a name, ``contracts`` or ``base``."""
        if name != "base":
            return cls(1.0, instrument)
        if instrument.kind == "inverse":
            raise InputError(
                f"trading.size_unit: was 'base', but a contract of {instrument.symbol} is worth "
                f"{instrument.contract_size:g} USD and no fixed number of coins; allowed: contracts"
            )
        return cls(instrument.contract_size, instrument)

    @property
    def in_coins(self) -> bool:
        """Whether sizes are coins, however many a contract has."""
        return self.of_contract != 1.0

    @property
    def grid(self) -> Instrument:
        """The market as if a contract were a unit."""
        market, units = self.instrument, self.of_contract
        lot, least = market.lot * units, market.min_contracts * units
        return replace(market, contract_size=1.0, lot=lot, min_contracts=least)

    def contracts(self, size: float) -> float:
        """Return a size, signed or not, in contracts."""
        if not self.in_coins:
            return size
        contracts, lot = size / self.of_contract, self.instrument.lot
        return on_grid(round(contracts / lot) * lot, lot) if lot else contracts

    def size(self, contracts: float) -> float:
        """Return contracts, signed or not, as a size."""
        if not self.in_coins:
            return contracts
        lot = self.instrument.lot * self.of_contract
        return to_step(contracts * self.of_contract, lot, False)

    def shown(self, scheme: bt.CommInfoBase) -> bt.CommInfoBase:
        """Return the scheme that a strategy is shown: fees, margin and value of a unit."""
        if not self.in_coins:
            return scheme
        if not isinstance(scheme, FuturesCommission):
            raise InputError(
                "size_unit was 'base' with a scheme that is no FuturesCommission; its mult says "
                "how many coins a contract has: leave size_unit out"
            )
        return type(scheme)(**{**scheme.p._getkwargs(), "contract": LinearContract(1.0)})
