"""The simulated exchange: what a bar does to working orders, margin and funding (R10-R16, R22-R24).

Pure Python without backtrader: bars and orders go in, a listener hears of fills, cancels, funding
and shortfall at the moment they happen within the bar. `broker.py` is its face in backtrader.

Where a bar cannot say what came first, R13 decides against the trader: funding, then the adverse
walk (stops, liquidation), then exits, then entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptosim_bt.account import Account
from cryptosim_bt.contracts import Side
from cryptosim_bt.instrument import Instrument
from cryptosim_bt.orders import Execution, Liquidity, OrderEnd, Role

NEVER_MS = 1 << 62


@dataclass(slots=True, eq=False)
class WorkingOrder:
    """An order in the exchange's book.

    ``price`` is the limit, or the trigger when ``is_stop``. ``placed_bar`` is the number of the
    bar in which the order came to be; ``expires_ms`` is None for an order without an end.
    """

    key: int
    number: int | None
    role: Role
    side: Side
    is_buy: bool
    is_stop: bool
    price: float
    contracts: float
    group: int
    placed_bar: int
    expires_ms: int | None
    alive: bool = True

    @property
    def from_signal(self) -> bool:
        """Whether a signal placed it: only such orders may be filled at the open (R15)."""
        return self.role in (Role.ENTRY, Role.SIGNAL_EXIT)


class ExchangeListener(Protocol):
    """Hears what happens, within the bar; may place and cancel orders in answer."""

    def entry_group(self, order: WorkingOrder) -> int:
        """Return the tradeid that an entry takes as it fills."""

    def filled(self, order: WorkingOrder | None, execution: Execution) -> None:
        """Hear of a fill; ``order`` is None for what the exchange did by itself."""

    def ended(self, order: WorkingOrder, end: OrderEnd, reason: str) -> None:
        """Hear of an order that left the book unfilled."""

    def funded(self, side: Side, payment: float) -> None:
        """Hear of a funding cash flow of a leg, + = received."""

    def forgiven(self, shortfall: float) -> None:
        """Hear of a negative balance that was set to zero."""


@dataclass(frozen=True, slots=True)
class FillRules:
    """How bars fill orders (``backtest.fill``). ``slippage`` is a fraction of price."""

    price_improvement: bool = True
    through: bool = False
    slippage: float = 0.0


class SimulatedExchange:
    """One market, one account, hedge mode, cross margin.

    Parameters
    ----------
    account
        Balance and legs.
    instrument
        Ticks.
    rules
        How bars fill orders.
    timeframe_ms
        Length of a bar.
    funding
        (epoch ms, rate) in order of time; the times at which legs pay (R22).
    listener
        Who hears of it.
    """

    def __init__(
        self,
        account: Account,
        instrument: Instrument,
        rules: FillRules,
        timeframe_ms: int,
        funding: Sequence[tuple[int, float]],
        listener: ExchangeListener,
    ) -> None:
        self.account = account
        self.liquidations = 0
        self._instrument = instrument
        self._rules = rules
        self._timeframe_ms = timeframe_ms
        # Times in reverse, so that the next one is popped off the end.
        self._funding = list(reversed(funding))
        self._listener = listener
        self._keys = 0
        self._bar = 0
        self._time_ms = 0
        self._open = self._high = self._low = self._close = math.nan
        self._entries: dict[int, WorkingOrder] = {}
        self._exits: dict[int, WorkingOrder] = {}
        self._stops: dict[int, WorkingOrder] = {}
        # A bar strictly between these prices, before this time, changes nothing.
        self._quiet: tuple[float, float] | None = None
        self._first_expiry_ms = NEVER_MS

    # ------------------------------------------------------------------ orders
    def place(
        self,
        role: Role,
        side: Side,
        contracts: float,
        price: float,
        *,
        number: int | None = None,
        group: int = 0,
        expires_ms: int | None = None,
    ) -> WorkingOrder:
        """Put an order into the book; it takes part from the next bar (R12)."""
        self._keys += 1
        order = WorkingOrder(
            key=self._keys,
            number=number,
            role=role,
            side=side,
            is_buy=(side == "long") == (role is Role.ENTRY),
            is_stop=role is Role.STOP_LOSS,
            price=price,
            contracts=contracts,
            group=group,
            placed_bar=self._bar,
            expires_ms=expires_ms,
        )
        self._shelf(order)[order.key] = order
        if expires_ms is not None:
            self._first_expiry_ms = min(self._first_expiry_ms, expires_ms)
        self._quiet = None
        return order

    def cancel(self, order: WorkingOrder, reason: str) -> None:
        """Take an order out of the book and tell the listener."""
        self._remove(order)
        self._listener.ended(order, OrderEnd.CANCELLED, reason)

    def resize(self, order: WorkingOrder, contracts: float) -> None:
        """Change an order's contracts; its age and price stay."""
        order.contracts = contracts

    def working(self) -> list[WorkingOrder]:
        """Return the orders in the book, older first."""
        everything = [*self._entries.values(), *self._exits.values(), *self._stops.values()]
        return sorted(everything, key=lambda order: order.key)

    def entry_margin(self) -> float:
        """Return the initial margin of working entries, each at its limit (R20)."""
        margin = 0.0
        for order in self._entries.values():
            margin += self.account.scheme.initial_margin(order.contracts, order.price)
        return margin

    def available_balance(self, price: float) -> float:
        """Return equity less the margin of both legs and of working entries (R20)."""
        account = self.account
        return account.equity(price) - account.position_margin(price) - self.entry_margin()

    def fill_now(self, order: WorkingOrder) -> None:
        """Fill an order at its limit, maker, in this bar (``entry_fill: signal_close``)."""
        self._fill(order, order.price, Liquidity.MAKER)

    def close_everything(self, role: Role, price: float) -> None:
        """Close all groups at a price as taker, in R23's order (R24)."""
        for group, holding in self.account.closing_order():
            side, contracts = holding.side, holding.contracts
            fee = self.account.scheme.fee(contracts, price, Liquidity.TAKER)
            self._close_group(role, side, group, contracts, price, fee)
        self._settle_shortfall()

    # ------------------------------------------------------------------ a bar
    def next_bar(self, time_ms: int, open_: float, high: float, low: float, close: float) -> None:
        """Let a bar happen, in R13's order."""
        self._bar += 1
        self._time_ms = time_ms
        self._open, self._high, self._low, self._close = open_, high, low, close
        if time_ms >= self._first_expiry_ms:
            self._expire()
        if self._funding and self._funding[-1][0] < time_ms + self._timeframe_ms:
            self._charge_funding()
        floor, ceiling = self._quiet or self._quiet_bounds()
        if floor < low and high < ceiling:
            return
        self._adverse_walks()
        for order in list(self._exits.values()):
            if order.alive and order.placed_bar < self._bar and self._touched(order):
                self._fill(order, *self._limit_price(order))
        for order in list(self._entries.values()):
            if order.alive and order.placed_bar < self._bar and self._touched(order):
                price, liquidity = self._limit_price(order)
                self._fill(order, price, liquidity)
                self._walk_after_entry(order, price)
        if self.account.liquidation_region().contains(close):
            self._liquidate(close)

    def _expire(self) -> None:
        # R10: at the start of the bar that opens when the order's time has passed.
        for order in self.working():
            if order.alive and order.expires_ms is not None and self._time_ms >= order.expires_ms:
                self._remove(order)
                self._listener.ended(order, OrderEnd.EXPIRED, "its time had passed")
        self._first_expiry_ms = min(
            (order.expires_ms for order in self.working() if order.expires_ms is not None),
            default=NEVER_MS,
        )

    def _charge_funding(self) -> None:
        # R22: the legs held before the bar's fills, at the bar's open.
        end_ms = self._time_ms + self._timeframe_ms
        while self._funding and self._funding[-1][0] < end_ms:
            due_ms, rate = self._funding.pop()
            if due_ms < self._time_ms or rate == 0.0:
                continue
            for leg in self.account.legs.values():
                if leg.contracts:
                    payment = self.account.fund(leg.side, self._open, rate)
                    self._listener.funded(leg.side, payment)
            self._quiet = None

    def _quiet_bounds(self) -> tuple[float, float]:
        region = self.account.liquidation_region()
        floor, ceiling = region.lower, region.upper
        for orders in (self._entries, self._exits, self._stops):
            for order in orders.values():
                # Buy limits and sell stops lie below the market, sell limits and buy stops above.
                if order.is_buy != order.is_stop:
                    floor = max(floor, order.price)
                else:
                    ceiling = min(ceiling, order.price)
        self._quiet = (floor, ceiling)
        return self._quiet

    # ------------------------------------------------------------------ limits
    def _touched(self, order: WorkingOrder) -> bool:
        # R14.
        margin = self._instrument.tick if self._rules.through else 0.0
        if order.is_buy:
            reached, limit = self._low, order.price - margin
        else:
            reached, limit = -self._high, -(order.price + margin)
        if self._rules.through and margin == 0.0:
            return reached < limit
        return reached <= round(limit, 10) if margin else reached <= limit

    def _limit_price(self, order: WorkingOrder) -> tuple[float, Liquidity]:
        # R15.
        improves = (
            self._rules.price_improvement
            and order.from_signal
            and order.placed_bar == self._bar - 1
            and (self._open < order.price if order.is_buy else self._open > order.price)
        )
        return (self._open, Liquidity.TAKER) if improves else (order.price, Liquidity.MAKER)

    # ------------------------------------------------------------------ stops and liquidation
    def _adverse_walks(self) -> None:
        # R13: down first, then up; each tests what a falling or rising price can hurt.
        for end, falling in ((self._low, True), (self._high, False)):
            stops = [
                order
                for order in self._stops.values()
                if order.is_buy != falling and order.placed_bar < self._bar
            ]
            self._walk(self._open, end, stops, falling=falling)

    def _walk_after_entry(self, entry: WorkingOrder, price: float) -> None:
        # R16, second half: after the fill, price surely went on to the bar's adverse end.
        falling = entry.side == "long"
        stops = [order for order in self._stops.values() if order.group == entry.group]
        self._walk(price, self._low if falling else self._high, stops, falling=falling)

    def _walk(
        self, start: float, end: float, stops: Iterable[WorkingOrder], *, falling: bool
    ) -> None:
        """Move the price from start to end; stops and liquidation happen as it meets them."""
        towards = -1.0 if falling else 1.0
        here = start
        waiting = list(stops)
        while True:
            region = self.account.liquidation_region()
            if region.contains(here):
                self._liquidate(here)
                return
            waiting = [order for order in waiting if order.alive]
            # A trigger that lies behind the price is met here: the bar opened beyond it.
            met = {
                order.key: (max(towards * order.price, towards * here), order.key)
                for order in waiting
                if towards * order.price <= towards * end
            }
            first = min(
                (order for order in waiting if order.key in met),
                key=lambda order: met[order.key],
                default=None,
            )
            boundary = region.lower if falling else region.upper
            if towards * boundary <= towards * end and (
                first is None or towards * boundary <= met[first.key][0]
            ):
                self._liquidate(boundary)
                return
            if first is None:
                return
            here = towards * met[first.key][0]
            self._fill(first, self._slipped(here, is_buy=first.is_buy), Liquidity.TAKER)

    def _slipped(self, price: float, *, is_buy: bool) -> float:
        # R16: against the trader, and to the tick against the trader.
        if is_buy:
            return self._instrument.price_up(price * (1.0 + self._rules.slippage))
        return self._instrument.price_down(price * (1.0 - self._rules.slippage))

    def _liquidate(self, price: float) -> None:
        # R23.
        account, scheme = self.account, self.account.scheme
        closing = [
            (group, held.side, held.contracts, scheme.fee(held.contracts, price, Liquidity.TAKER))
            for group, held in account.closing_order()
        ]
        total = sum(contracts for _, _, contracts, _ in closing)
        left = account.equity(price) - sum(fee for _, _, _, fee in closing)
        penalty = sum(scheme.liquidation_fee(contracts, price) for _, _, contracts, _ in closing)
        takes_all = penalty >= left
        penalty = min(penalty, max(0.0, left))
        self.liquidations += 1
        for group, side, contracts, fee in closing:
            fee += penalty * contracts / total
            self._close_group(Role.LIQUIDATION, side, group, contracts, price, fee)
        if takes_all and left >= 0.0:
            account.balance = 0.0  # not the float dust of a fee that took all there was
        self._settle_shortfall()
        for order in self.working():
            if order.alive:
                self.cancel(order, "liquidation")

    def _settle_shortfall(self) -> None:
        forgiven = self.account.forgive()
        if forgiven:
            self._listener.forgiven(forgiven)

    # ------------------------------------------------------------------ fills
    def _fill(self, order: WorkingOrder, price: float, liquidity: Liquidity) -> None:
        self._remove(order)
        account = self.account
        fee = account.scheme.fee(order.contracts, price, liquidity)
        realized = 0.0
        if order.role is Role.ENTRY:
            order.group = self._listener.entry_group(order)
            account.open(order.side, order.group, order.contracts, price, fee)
        else:
            realized = account.close(order.side, order.group, order.contracts, price, fee)
        execution = Execution(
            time_ms=self._time_ms,
            number=order.number,
            role=order.role,
            side=order.side,
            group=order.group,
            price=price,
            contracts=order.contracts,
            fee=fee,
            liquidity=liquidity,
            realized_pnl=realized,
        )
        self._listener.filled(order, execution)
        if account.flat:
            # A stop that slipped past the account's end: nothing is left to liquidate.
            self._settle_shortfall()

    def _close_group(
        self, role: Role, side: Side, group: int, contracts: float, price: float, fee: float
    ) -> None:
        realized = self.account.close(side, group, contracts, price, fee)
        self._quiet = None
        execution = Execution(
            time_ms=self._time_ms,
            number=None,
            role=role,
            side=side,
            group=group,
            price=price,
            contracts=contracts,
            fee=fee,
            liquidity=Liquidity.TAKER,
            realized_pnl=realized,
        )
        self._listener.filled(None, execution)

    def _remove(self, order: WorkingOrder) -> None:
        order.alive = False
        del self._shelf(order)[order.key]
        self._quiet = None

    def _shelf(self, order: WorkingOrder) -> dict[int, WorkingOrder]:
        if order.is_stop:
            return self._stops
        return self._entries if order.role is Role.ENTRY else self._exits
