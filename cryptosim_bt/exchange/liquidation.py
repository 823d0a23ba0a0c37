"""Liquidation: where it happens, and what it closes, takes and forgives (R23, R30, R32)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptosim_bt.accounting.account import LiquidationUnit
from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.orders import Execution, Liquidity, Role
from cryptosim_bt.exchange.exchange_state import ExchangeState
from cryptosim_bt.exchange.order_lives import OrderLives

# R23: what differs by no more than this share of the notional, or of a price, is equal.
EQUAL = 1e-12


class Liquidation:
    """Liquidates the account, and closes it at the end."""

    def __init__(self, state: ExchangeState, lives: OrderLives) -> None:
        self._state = state
        self._account = state.account
        self._lives = lives

    # ------------------------------------------------------------------ where
    def endangered(self, start: float, *, falling: bool) -> bool:
        """Tell whether what is held now is liquidated as price goes from start to the bar's end."""
        bar = self._state.bar
        below, above = self._account.liquidation_prices(bar.mark_open)
        mark, end = self._state.mark_at(start), bar.mark_low if falling else bar.mark_high
        return min(mark, end) <= below or max(mark, end) >= above

    def first_on_the_way(
        self, here: float, end: float, *, falling: bool
    ) -> tuple[LiquidationUnit | None, float]:
        """Return what is liquidated first as the mark goes from here to the end, and where."""
        towards = -1.0 if falling else 1.0
        first: LiquidationUnit | None = None
        first_price = end
        for unit in self._account.liquidation_units(here):
            boundary = unit.region.lower if falling else unit.region.upper
            if unit.region.contains(here):
                return unit, here
            if towards * boundary <= towards * first_price + EQUAL * first_price:
                first, first_price = unit, boundary
        return first, first_price

    def at(self, mark: float) -> None:
        """Liquidate the sides that a mark price, of the open or close, liquidates (R23)."""
        for unit in list(self._account.liquidation_units(mark)):
            if unit.region.contains(mark):
                self.liquidate(unit.sides, mark)

    # ------------------------------------------------------------------ what
    def liquidate(self, sides: Sequence[Side], price: float) -> None:
        """Close sides at a price and cancel their orders (R23; isolated margin: R30).

        In isolated margin a leg's loss ends at its margin.
        """
        state, account, scheme = self._state, self._account, self._account.scheme
        closing = [
            (group, held.side, held.contracts, scheme.fee(held.contracts, price, Liquidity.TAKER))
            for group, held in account.closing_order(sides)
        ]
        backing = account.backing(sides)
        total = pnl = fees = penalty = notional = 0.0
        for leg in account.exposures():
            if leg.side in sides:
                pnl += scheme.pnl(leg.side, leg.contracts, leg.entry, price)
        for _, _, contracts, fee in closing:
            total += contracts
            fees += fee
            penalty += scheme.liquidation_fee(contracts, price)
            notional += scheme.notional(contracts, price)
        left = backing + pnl - fees
        dust = EQUAL * notional
        takes_all = penalty >= left - dust
        penalty = min(penalty, max(0.0, left))
        state.liquidations += 1
        for group, side, contracts, fee in closing:
            share = penalty * contracts / total
            self._close_group(Role.LIQUIDATION, side, group, contracts, price, fee + share)
        if account.isolated and left < -dust:
            state.listener.forgiven(account.forgive(-left))
        elif not account.isolated and takes_all and left >= -dust:
            account.deposit(-account.balance)  # rounding error of a fee that took all
        state.settle_shortfall()
        account.back_margins()  # R28
        self._lives.cancel_sides(sides if account.isolated else SIDES, "liquidation")

    def close_everything(self, role: Role, price: float) -> None:
        """Close all groups at a price as taker, in R23's order (R24)."""
        for group, holding in self._account.closing_order():
            side, contracts = holding.side, holding.contracts
            fee = self._account.scheme.fee(contracts, price, Liquidity.TAKER)
            self._close_group(role, side, group, contracts, price, fee)
        self._state.settle_shortfall()

    def _close_group(
        self, role: Role, side: Side, group: int, contracts: float, price: float, fee: float
    ) -> None:
        """Close contracts of a holding without an order, as taker."""
        state, account = self._state, self._account
        state.quiet = None
        realized = account.close(side, group, contracts, price, fee)
        execution = Execution(
            state.time_ms, None, role, side, group, price, contracts, fee, Liquidity.TAKER,
            realized, balance=account.balance,
        )  # fmt: skip
        state.listener.filled(None, (execution,))
