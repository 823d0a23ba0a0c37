"""The contracts' arithmetic as pieces of Excel formulas.

Written anew from the rules (R17, R19, R20, R22), not taken from `contracts`: what the engine
reckoned is compared with it. Names such as ``contract_size`` are names of the workbook.

The *entry value* of contracts is what their average entry is made of: ``n / price`` of inverse
contracts, ``n * price`` of linear ones, summed over fills.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ContractKind = Literal["inverse", "linear", "cryptosim"]


@dataclass(frozen=True)
class Arithmetic:
    """Formulas of one kind of contract; arguments and results are pieces of formulas.

    ``"cryptosim"``: linear contracts with the PnL of the first CryptoSim, by groups.
    """

    kind: ContractKind

    @property
    def by_group(self) -> bool:
        """Whether PnL is against the group's average in both books."""
        return self.kind == "cryptosim"

    def entry_value(self, contracts: str, price: str) -> str:
        """Return what contracts add to the entry value."""
        return f"{contracts}/{price}" if self.kind == "inverse" else f"{contracts}*{price}"

    def notional(self, contracts: str, price: str) -> str:
        """Return the value of contracts at a price, in settlement currency."""
        return f"contract_size*{self.entry_value(contracts, price)}"

    def average(self, contracts: str, value: str) -> str:
        """Return the average price of contracts with an entry value."""
        return f"{contracts}/{value}" if self.kind == "inverse" else f"{value}/{contracts}"

    def pnl(self, sign: str, contracts: str, value: str, square: str, price: str) -> str:
        """Return the PnL of contracts with an entry value, from there to a price (R20).

        ``square`` is the sum of value^2 / contracts over groups; only the first CryptoSim's PnL
        needs it, ``n*(entry - entry^2/exit)``.
        """
        gains = {
            "inverse": f"({value}-{contracts}/{price})",
            "linear": f"({contracts}*{price}-{value})",
            "cryptosim": f"({value}-{square}/{price})",
        }
        return f"{sign}*contract_size*{gains[self.kind]}"

    def square(self, contracts: str, value: str) -> str:
        """Return value^2 / contracts, 0 without contracts."""
        return f"IF({contracts}=0,0,{value}^2/{contracts})"


def left_of(held: str, closed: str) -> str:
    """Return what is left of contracts after some were closed; float dust is nothing."""
    return f"IF(ABS({held}-{closed})<1E-9*{closed},0,{held}-{closed})"


def on_tick(price: str, *, up: bool) -> str:
    """Return a price on the tick (R8); ``price`` is a cell."""
    steps = f"{price}/tick"
    away = f"ROUND{'UP' if up else 'DOWN'}({steps},0)"
    nearest = f"ROUND({steps},0)"
    near = f"ABS({steps}-{nearest})<=1E-9*ABS({steps})"
    return f"IF(tick=0,{price},ROUND(IF({near},{nearest},{away})*tick,10))"
