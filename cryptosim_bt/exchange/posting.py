"""Books a fill: fee, PnL, contracts."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from cryptosim_bt.accounting.arithmetic import GRID_TOLERANCE, floor_to_step
from cryptosim_bt.accounting.orders import Execution, Liquidity, OrderEnd, Role
from cryptosim_bt.exchange.exchange_state import ExchangeState
from cryptosim_bt.exchange.order_book import SIZE_TOLERANCE, Order
from cryptosim_bt.exchange.order_try import Match

# Margin missing by less than this share of the cash is rounding error.
MARGIN_TOLERANCE = 1e-12
_NOTHING_HELD = "reduce_only: nothing was left to close"


class FillMoney(Protocol):
    """Fee, opening cost and available cash for orders without a role."""

    def fee(self, size: float, price: float, liquidity: Liquidity) -> float:
        """Return the cost of a fill of a signed size."""

    def opening_cost(self, size: float, price: float) -> float:
        """Return the cash that opening a signed size needs, before its fee."""

    def cash(self, price: float) -> float:
        """Return the cash that new contracts may use."""


class Parts(NamedTuple):
    """An order's contracts: those that close, those that open, and those that can do neither."""

    closed: float
    opened: float
    surplus: float


class Posted(NamedTuple):
    """A booked match: its executions, and why the venue ends what is left, if it does."""

    executions: tuple[Execution, ...]
    opened: float = 0.0
    end: tuple[OrderEnd, str] | None = None


_NOTHING = Posted(())


class Posting:
    """Books fills in the account; ``money`` is set before the first order without a role."""

    money: FillMoney

    def __init__(self, state: ExchangeState) -> None:
        self._state = state
        self._account = state.account

    def fill(self, order: Order, match: Match) -> Posted:
        """Fill an order as far as the bar's volume (R34) and the margin go."""
        order.go_on()
        order.filled_ms = match.bar.time_ms
        self._state.quiet = None  # a stop that was triggered trades in every bar from now on
        quantity = self._state.matcher.quantity(order.contracts, match.bar)
        if quantity <= 0.0:
            return _NOTHING
        return self.post(order, quantity, match.price, match.liquidity, match.bar.time_ms)

    def post(
        self, order: Order, quantity: float, price: float, liquidity: Liquidity, time_ms: int
    ) -> Posted:
        """Book ``quantity`` contracts of an order at a price."""
        self._state.quiet = None
        whole = self.parts(order)
        closing, opening = whole.closed, whole.opened
        if quantity < order.contracts:
            closing = min(closing, quantity)
            opening = min(opening, quantity - closing)
        executions: tuple[Execution, ...] = ()
        end = None
        if closing:
            executions = (self._close(order, closing, price, liquidity, time_ms),)
        if whole.surplus and closing == whole.closed:
            end = (OrderEnd.CANCELLED, _NOTHING_HELD)
        if opening and order.may_cut:
            opening = self._cut(order, opening, price, liquidity)
        if opening:
            opened = self._open(order, opening, price, liquidity, time_ms)
            if opened is None:
                end, opening = (OrderEnd.MARGIN, f"not enough margin to open at {price}"), 0.0
            else:
                executions = (*executions, opened)
        return self._left(order, Posted(executions, opening, end))

    def parts(self, order: Order) -> Parts:
        """Split an order's contracts: by its role, or by what the account holds now."""
        contracts = order.contracts
        if order.role is not None:
            opened = contracts if order.role is Role.ENTRY else 0.0
            return Parts(contracts - opened, opened, 0.0)
        if order.side == order.opens:
            surplus = contracts if order.reduce_only else 0.0
            return Parts(0.0, contracts - surplus, surplus)
        holding = self._account.groups.get(order.groups[order.closes])
        held = 0.0 if holding is None else holding.contracts
        if abs(contracts - held) <= SIZE_TOLERANCE * contracts:
            return Parts(held, 0.0, 0.0)
        closed = min(contracts, held)
        rest = contracts - closed
        flips = order.side is None and not order.reduce_only
        return Parts(closed, rest, 0.0) if flips else Parts(closed, 0.0, rest)

    # ------------------------------------------------------------------ the two halves of a fill
    def _close(
        self, order: Order, contracts: float, price: float, liquidity: Liquidity, time_ms: int
    ) -> Execution:
        account, side = self._account, order.closes
        group = order.groups[side]
        fee = self._fee(order, contracts, price, liquidity)
        entry = account.groups[group].average if group in account.groups else 0.0
        realized = account.close(side, group, contracts, price, fee)
        account.back_margins()
        return Execution(
            time_ms, order.number, order.role or Role.EXIT, side, group, price, contracts, fee,
            liquidity, realized, entry=entry, balance=account.balance,
        )  # fmt: skip

    def _open(
        self, order: Order, contracts: float, price: float, liquidity: Liquidity, time_ms: int
    ) -> Execution | None:
        """Open contracts; return None where margin is missing."""
        side = order.opens
        fee = self._fee(order, contracts, price, liquidity)
        if order.role is not None:
            # Its margin was reserved at the signal (R9). The group is asked for at every fill: the
            # Position may have become a set between two of them.
            order.groups[side] = self._state.listener.entry_group(order)
        elif self._lacks_margin(contracts if order.is_buy else -contracts, price, fee):
            return None
        group = order.groups[side]
        self._account.open(side, group, contracts, price, fee)
        self._account.back_margins()
        return Execution(
            time_ms, order.number, Role.ENTRY, side, group, price, contracts, fee, liquidity, 0.0,
            balance=self._account.balance,
        )  # fmt: skip

    def _fee(self, order: Order, contracts: float, price: float, liquidity: Liquidity) -> float:
        if order.role is not None:
            return self._account.scheme.fee(contracts, price, liquidity)
        return self.money.fee(contracts if order.is_buy else -contracts, price, liquidity)

    def _cut(
        self, order: Order, opening: float, price: float, liquidity: Liquidity
    ) -> float:
        """Cut an order down to what the cash allows; return what it then opens."""
        signed = opening if order.is_buy else -opening
        fee = self._fee(order, opening, price, liquidity)
        if not self._lacks_margin(signed, price, fee):
            return opening
        cash = self.money.cash(self._state.mark_at(price))
        # A little less: the grid's tolerance could otherwise round up to one lot too many.
        share = cash / (self.money.opening_cost(signed, price) + fee) * (1.0 - 2.0 * GRID_TOLERANCE)
        fits = floor_to_step(opening * share, self._state.matcher.instrument.lot)
        if fits < opening * (1.0 - order.may_cut):
            return opening  # and is refused
        order.contracts -= opening - fits
        self._state.listener.resized(order)
        return fits

    def _lacks_margin(self, size: float, price: float, fee: float) -> bool:
        # As an order fills, its margin is checked with the mark there is then (R20, R39).
        cash = self.money.cash(self._state.mark_at(price))
        left = cash - self.money.opening_cost(size, price) - fee
        return left < -MARGIN_TOLERANCE * abs(cash)

    @staticmethod
    def _left(order: Order, posted: Posted) -> Posted:
        """Subtract what was filled from an order; a rounding error is not left open."""
        filled = 0.0
        for execution in posted.executions:
            filled += execution.contracts
        order.opened += posted.opened
        order.contracts -= filled
        if filled and order.contracts <= SIZE_TOLERANCE * filled:
            order.contracts = 0.0
        return posted
