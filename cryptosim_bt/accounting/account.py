"""The exchange's account: balance, a long and a short leg, margin, funding, liquidation price.

The exchange's half of R21. Pure state: no orders, no prices of its own, no backtrader. Fees, margin
and PnL come from a `MoneyScheme` (in a backtest the commission scheme of the data).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from cryptosim_bt.accounting.arithmetic import funding_payment, sum_floats
from cryptosim_bt.accounting.contracts import (
    NO_LIQUIDATION,
    SIDES,
    Leg,
    LiquidationRegion,
    Side,
    sign,
)
from cryptosim_bt.accounting.money import Holding, MoneyScheme

MarginMode = Literal["cross", "isolated"]


class LiquidationUnit(NamedTuple):
    """Sides that are liquidated together, and the prices at which they are."""

    sides: tuple[Side, ...]
    region: LiquidationRegion


class Account:
    """Money, in settlement currency, and legs of one market in hedge mode.

    ``margin_mode`` ``"cross"``: the whole balance stands behind both legs. ``"isolated"``: each leg
    has a margin of its own, entry notional / leverage, added per fill and released pro rata (R27).
    """

    def __init__(
        self, scheme: MoneyScheme, initial_balance: float, margin_mode: MarginMode = "cross"
    ) -> None:
        self.scheme = scheme
        self.isolated = margin_mode == "isolated"
        self.balance = initial_balance
        self.legs: dict[Side, Holding] = {side: Holding(side) for side in SIDES}
        # By tradeid, in the order of their making: a set before the Position that followed it.
        self.groups: dict[int, Holding] = {}
        self.fees_paid = 0.0
        self.funding_paid = 0.0
        self.shortfall = 0.0
        # Counts changes: figures need to be compared again only after it has changed.
        self.version = 0
        # Cached exposures and figures computed from them; cleared at every change.
        self._exposures: list[Leg] | None = None
        self._marked: tuple[float, float] | None = None
        self._units: list[LiquidationUnit] | None = None
        self._prices: tuple[float, float] | None = None

    # ------------------------------------------------------------------ changes
    def open(self, side: Side, group: int, contracts: float, price: float, fee: float) -> None:
        """Add contracts to a leg and to a group, and pay the fee."""
        self.legs[side].add(self.scheme, contracts, price)
        self.legs[side].margin += self.scheme.initial_margin(contracts, price)
        if group not in self.groups:
            self.groups[group] = Holding(side)
        self.groups[group].add(self.scheme, contracts, price)
        self._pay_fee(fee)

    def close(self, side: Side, group: int, contracts: float, price: float, fee: float) -> float:
        """Take contracts off a leg and a group; return the realised PnL before the fee.

        ValueError if the group holds fewer contracts than are closed.
        """
        holding = self.groups.get(group)
        if holding is None or contracts > holding.contracts * (1.0 + 1e-9):
            held = holding.contracts if holding else 0.0
            raise ValueError(f"close of {contracts} contracts in group {group}, which has {held}")
        leg = self.legs[side]
        average = holding.average if self.scheme.by_group else leg.average
        realized = self.scheme.pnl(side, contracts, average, price)
        holding.remove(contracts)
        leg.remove(contracts)
        if not holding.contracts:
            del self.groups[group]
        self.balance += realized
        self._pay_fee(fee)
        return realized

    def fund(self, side: Side, price: float, rate: float) -> float:
        """Pay or receive funding on a leg; return the cash flow, + = received (R22)."""
        value = self.scheme.notional(self.legs[side].contracts, price)
        payment = funding_payment(sign(side), value, rate)
        self.balance += payment
        self.funding_paid -= payment
        self._changed()
        return payment

    def deposit(self, amount: float) -> None:
        """Pay money into the balance, or out if negative."""
        self.balance += amount
        self._changed()

    def forgive(self, amount: float | None = None) -> float:
        """Book a shortfall: an amount, or what a balance is below zero; return it (R23)."""
        forgiven = max(0.0, -self.balance) if amount is None else amount
        if forgiven:
            self.balance = 0.0 if amount is None else self.balance + amount
            self.shortfall += forgiven
            self._changed()
        return forgiven

    def back_margins(self) -> None:
        """Reduce the isolated margins, pro rata, by what the wallet could not pay (R28).

        Fees, funding and the losses of closes go to the wallet; when it is empty, margins above
        the balance would be money that does not exist, and the account could owe.
        """
        if not self.isolated:
            return
        needed = sum_floats(leg.margin for leg in self.legs.values())
        if 0.0 < needed > self.balance:
            for leg in self.legs.values():
                leg.margin *= max(0.0, self.balance) / needed
            self._changed()

    def _pay_fee(self, fee: float) -> None:
        self.balance -= fee
        self.fees_paid += fee
        self._changed()

    def _changed(self) -> None:
        self.version += 1
        self._exposures = self._marked = self._units = self._prices = None

    # ------------------------------------------------------------------ figures
    @property
    def flat(self) -> bool:
        """Whether neither leg holds contracts."""
        return not self.groups

    def unrealized_pnl(self, price: float) -> float:
        """Return the PnL of what is held at a price, before fees."""
        if not self.groups:
            return 0.0
        if self._marked is not None and self._marked[0] == price:
            return self._marked[1]
        pnl = 0.0
        for side, contracts, entry in self.exposures():
            pnl += self.scheme.pnl(side, contracts, entry, price)
        self._marked = (price, pnl)
        return pnl

    def equity(self, price: float) -> float:
        """Return balance plus unrealised PnL at a price."""
        return self.balance + self.unrealized_pnl(price)

    def position_margin(self, price: float) -> float:
        """Return the margin of both legs: initial margin at a price, or what is isolated (R20)."""
        margin = 0.0
        for leg in self.legs.values():
            if self.isolated:
                margin += leg.margin
            elif leg.contracts:
                margin += self.scheme.initial_margin(leg.contracts, price)
        return margin

    def free_balance(self, price: float) -> float:
        """Return what no leg needs: equity (isolated: balance, R29) less the legs' margin (R20)."""
        money = self.balance if self.isolated else self.equity(price)
        return money - self.position_margin(price)

    def liquidation_units(self, price: float) -> list[LiquidationUnit]:
        """Return what is liquidated together, with the prices nearest to ``price`` (R23).

        Both legs in cross margin, each by itself in isolated margin (R30); nothing when flat.
        """
        if self._units is None:
            self._units = [
                LiquidationUnit(
                    sides, self.scheme.liquidation_region(legs, self.backing(sides), price)
                )
                for sides in (((side,) for side in SIDES) if self.isolated else (SIDES,))
                if (legs := [leg for leg in self.exposures() if leg.side in sides])
            ]
        return self._units

    def liquidation_prices(self, price: float) -> tuple[float, float]:
        """Return the prices nearest below and above at which something is liquidated (R33).

        -inf and inf where there is none.
        """
        if self._prices is None:
            below, above = NO_LIQUIDATION
            for unit in self.liquidation_units(price):
                below, above = max(below, unit.region.lower), min(above, unit.region.upper)
            self._prices = below, above
        return self._prices

    def backing(self, sides: Sequence[Side]) -> float:
        """Return what stands behind sides that are liquidated together, before their PnL.

        Cross: the balance. Isolated: the leg's margin, less what the wallet owes (R28).
        """
        if not self.isolated:
            return self.balance
        return self.legs[sides[0]].margin + min(0.0, self.balance)

    def closing_order(self, sides: Sequence[Side] = SIDES) -> list[tuple[int, Holding]]:
        """Return the groups in R23's order: longs first, sets by age, then the Position."""
        return [
            (group, self.groups[group])
            for side in sides
            for group in sorted(self.groups)
            if self.groups[group].side == side
        ]

    def exposures(self) -> list[Leg]:
        """Return what PnL is computed on: the legs, or the groups where the scheme says so."""
        if self._exposures is None:
            holdings = self.groups if self.scheme.by_group else self.legs
            self._exposures = [
                Leg(held.side, held.contracts, held.average)
                for held in holdings.values()
                if held.contracts
            ]
        return self._exposures
