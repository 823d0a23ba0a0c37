"""The simulated exchange: what a bar does to working orders, margin and funding (R10-R16, R22-R24).

Pure Python without backtrader: bars and orders go in, a listener hears of fills, cancels, funding
and shortfall at the moment they happen within the bar. `broker.py` is its face in backtrader.

Where a bar cannot say what came first, R13 decides against the trader: funding, then the adverse
walk (stops, liquidation), then exits, then entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from cryptosim_bt.accounting.account import Account, LiquidationUnit
from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import Execution, FundingPayment, Liquidity, OrderEnd, Role
from cryptosim_bt.exchange.ambiguity import ENTRY_AND_EXIT, ambiguities
from cryptosim_bt.exchange.fill_rules import Bar, BarValues, FillRules, Matcher
from cryptosim_bt.exchange.listener import ExchangeListener, StopT, StrategyOrders, first_met
from cryptosim_bt.exchange.order_book import OrderBook, WorkingOrder
from cryptosim_bt.exchange.venue_limits import VenueRules


class SimulatedExchange:
    """One market, one account, hedge mode.

    Parameters
    ----------
    account
        Balance and legs.
    instrument
        Ticks and lots.
    rules
        How bars fill orders.
    bar_ms
        Length of the bars that match orders.
    funding
        (epoch ms, rate) in order of time; the times at which legs pay (R22).
    listener
        Who hears of it.
    venue
        Limits that the venue puts on orders.
    has_mark
        Whether bars carry a mark price of their own; else the last price is the mark.
    """

    def __init__(
        self,
        account: Account,
        instrument: Instrument,
        rules: FillRules,
        bar_ms: int,
        funding: Sequence[tuple[int, float]],
        listener: ExchangeListener,
        venue: VenueRules | None = None,
        *,
        has_mark: bool = False,
    ) -> None:
        self.account = account
        self.liquidations = 0
        self.ambiguous: list[tuple[int, str]] = []
        # What long legs were worth more than short ones at each funding time, as it was charged.
        self.funding_exposure: dict[int, float] = {}
        # How many funding times fell into holes of the bars and were charged after them.
        self.late_funding = 0
        self._matcher = Matcher(instrument, rules)
        self._venue = venue or VenueRules()
        self._rules = rules
        self._has_mark = has_mark
        self._bar_ms = bar_ms
        # Times in reverse, so that the next one is popped off the end.
        self._funding = list(reversed(funding))
        self._listener = listener
        # Set by who places orders of a strategy without a book; the two never work together.
        self.strategy_orders: StrategyOrders | None = None
        self._book = OrderBook()
        self._previous_ms = self._time_ms = -bar_ms
        self._bar: Bar
        # A bar strictly between these prices changes nothing.
        self._quiet: tuple[float, float, float, float] | None = None

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
        order = WorkingOrder(
            key=self._book.new_key(),
            number=number,
            role=role,
            side=side,
            is_buy=(side == "long") == (role is Role.ENTRY),
            is_stop=role is Role.STOP_LOSS,
            price=price,
            contracts=contracts,
            group=group,
            active_ms=self.first_active_ms(),
            expires_ms=expires_ms,
        )
        self._book.add(order)
        self._quiet = None
        return order

    def refusal(self, contracts: float, price: float, mark: float, is_stop: bool) -> str | None:
        """Return why the venue would reject an order, None if it would not."""
        return self._venue.refusal(contracts, price, mark, len(self._book), is_stop=is_stop)

    def cancel(self, order: WorkingOrder, reason: str) -> None:
        """Take an order out of the book and tell the listener."""
        self._remove(order)
        self._listener.ended(order, OrderEnd.CANCELLED, reason)

    def resize(self, order: WorkingOrder, contracts: float) -> None:
        """Change what is left of an order; its age and price stay."""
        order.contracts = contracts

    def working(self) -> list[WorkingOrder]:
        """Return the orders in the book, older first."""
        return self._book.working()

    def entry_margin(self) -> float:
        """Return the initial margin of working entries, each at its limit (R20)."""
        margin = 0.0
        for order in self._book.entries.values():
            margin += self.account.scheme.initial_margin(order.contracts, order.price)
        return margin

    def available_balance(self, price: float) -> float:
        """Return what new entries may use: free balance less working entries' margin (R20)."""
        return self.account.free_balance(price) - self.entry_margin()

    def fill_now(self, order: WorkingOrder) -> None:
        """Fill an order at its limit, maker, in this bar (``entry_fill: signal_close``)."""
        self._execute(order, order.price, Liquidity.MAKER, order.contracts)

    def close_everything(self, role: Role, price: float) -> None:
        """Close all groups at a price as taker, in R23's order (R24)."""
        for group, holding in self.account.closing_order():
            side, contracts = holding.side, holding.contracts
            fee = self.account.scheme.fee(contracts, price, Liquidity.TAKER)
            self._close_group(role, side, group, contracts, price, fee)
        self._settle_shortfall()

    # ------------------------------------------------------------------ for strategy orders
    def note_ambiguous(self, kind: str) -> None:
        """List the bar as ambiguous, once for each kind (R43)."""
        if (self._time_ms, kind) not in self.ambiguous[-3:]:
            self.ambiguous.append((self._time_ms, kind))

    def unsettle(self) -> None:
        """Hear that orders or contracts changed from outside: the next bar has to be looked at."""
        self._quiet = None

    def first_active_ms(self) -> int:
        """Return the first opening time of a bar that may fill what is sent now (R12, R41)."""
        if not self._rules.latency_ms:
            return self._time_ms + 1  # the next bar, however far it is
        return self._time_ms + self._bar_ms + self._rules.latency_ms

    def mark_at(self, price: float) -> float:
        """Return the mark while trades are at a price within the bar (R39)."""
        # Where a mark of its own stands then is not known: it is taken at its open.
        return self._bar.mark_open if self._has_mark else price

    def endangered(self, start: float, *, falling: bool) -> bool:
        """Tell whether what is held now is liquidated as price goes from start to the bar's end."""
        below, above = self.account.liquidation_prices(self._bar.mark_open)
        mark, end = self.mark_at(start), self._bar.mark_low if falling else self._bar.mark_high
        return min(mark, end) <= below or max(mark, end) >= above

    def settle_shortfall(self) -> None:
        """Forgive a negative balance once nothing is held (R23)."""
        if self.account.flat:
            self._settle_shortfall()

    # ------------------------------------------------------------------ a bar
    def next_bar(self, values: BarValues) -> None:
        """Let a bar happen, in R13's order; ``values`` are those of a `Bar`."""
        time_ms, _, high, low, _, mark_open, mark_high, mark_low, _, _ = values
        self._previous_ms, self._time_ms = self._time_ms, time_ms
        if time_ms >= self._book.first_expiry_ms:
            self._expire()
        if self._funding and self._funding[-1][0] < time_ms + self._bar_ms:
            self._charge_funding(mark_open)
        floor, ceiling, mark_floor, mark_ceiling = self._quiet or self._quiet_bounds(mark_open)
        if (
            floor < low
            and high < ceiling
            and mark_floor < mark_low
            and mark_high < mark_ceiling
        ):
            return
        self._bar = bar = Bar(*values)
        if self.strategy_orders is not None:
            self.strategy_orders.match_bar(bar)
        else:
            self._note_ambiguity()
            for step in self._steps():
                step()
        self._liquidation_at_close()

    def _steps(self) -> Sequence[Callable[[], None]]:
        """Return the events of a bar in the order that is simulated."""
        if self._rules.event_order == "best":
            return (self._fill_exits, self._fill_entries, self._adverse_walks)
        if self._rules.event_order == "worst":
            return (self._adverse_walks, self._fill_entries, self._fill_exits)
        return (self._adverse_walks, self._fill_exits, self._fill_entries)  # R13

    def _active(self, orders: Iterable[WorkingOrder]) -> list[WorkingOrder]:
        return [order for order in orders if order.active_ms <= self._time_ms]

    def _expire(self) -> None:
        # R10: at the start of the bar that opens when the order's time has passed.
        for order in self._book.take_expired(self._time_ms):
            self._quiet = None
            self._listener.ended(order, OrderEnd.EXPIRED, "its time had passed")

    def _charge_funding(self, mark_open: float) -> None:
        # R22: the legs held before the bar's fills, at the (mark's) open. What was due in a hole
        # of the bars is charged here too: who holds now held then, since nothing fills in a hole.
        end_ms = self._time_ms + self._bar_ms
        while self._funding and self._funding[-1][0] < end_ms:
            due_ms, rate = self._funding.pop()
            if self.account.flat:
                continue
            notional = self.account.scheme.notional
            long, short = (notional(self.account.legs[side].contracts, mark_open) for side in SIDES)
            self.funding_exposure[due_ms] = long - short
            if rate == 0.0:
                continue
            self.late_funding += due_ms < self._time_ms
            for leg in self.account.legs.values():
                if leg.contracts:
                    payment = self.account.fund(leg.side, mark_open, rate)
                    self._listener.funded(
                        FundingPayment(
                            time_ms=self._time_ms,
                            due_ms=due_ms,
                            side=leg.side,
                            rate=rate,
                            price=mark_open,
                            contracts=leg.contracts,
                            payment=payment,
                            balance=self.account.balance,
                        )
                    )
            self.account.back_margins()
            self._quiet = None

    def _quiet_bounds(self, mark: float) -> tuple[float, float, float, float]:
        if self.strategy_orders is not None and self.strategy_orders.waiting:
            return math.inf, -math.inf, math.inf, -math.inf  # never quiet
        self._quiet = (*self._book.bounds(), *self.account.liquidation_prices(mark))
        return self._quiet

    def _units(self, price: float) -> list[LiquidationUnit]:
        return self.account.liquidation_units(price)

    def _note_ambiguity(self) -> None:
        bar, matcher = self._bar, self._matcher
        exits = [each for each in self._active(self._book.exits.values())
                 if matcher.touched(each, bar)]  # fmt: skip
        if not exits:
            return
        entries = [each for each in self._active(self._book.entries.values())
                   if matcher.touched(each, bar)]  # fmt: skip
        stops = self._active(self._book.stops.values())
        for kind in ambiguities(exits, entries, stops, self._units(bar.mark_open), bar):
            self.note_ambiguous(kind)

    # ------------------------------------------------------------------ limits
    def _fill_exits(self) -> None:
        for order in self._active(self._book.exits.values()):
            if order.alive and self._matcher.touched(order, self._bar):
                price, liquidity = self._matcher.limit_price(order, self._bar, self._previous_ms)
                self._fill(order, price, liquidity)

    def _fill_entries(self) -> None:
        for order in self._active(self._book.entries.values()):
            if order.alive and self._matcher.touched(order, self._bar):
                price, liquidity = self._matcher.limit_price(order, self._bar, self._previous_ms)
                if self._fill(order, price, liquidity):
                    self._walk_after_entry(order, price)
                    self._take_own_profit(order)

    def _take_own_profit(self, entry: WorkingOrder) -> None:
        """Note that a bar reaches what its own entry was entered for; R12 leaves it untaken."""
        for order in list(self._book.exits.values()):
            made_now = order.active_ms > self._time_ms
            if made_now and order.group == entry.group and self._matcher.touched(order, self._bar):
                self.note_ambiguous(ENTRY_AND_EXIT)
                if self._rules.event_order == "best":
                    self._fill(order, order.price, Liquidity.MAKER)

    # ------------------------------------------------------------------ stops and liquidation
    def _adverse_walks(self) -> None:
        # R13: down first, then up; each tests what a falling or rising price can hurt.
        bar = self._bar
        for order in self._active(self._book.stops.values()):
            if order.alive and order.triggered:
                price = self._matcher.slipped(bar.open, bar, is_buy=order.is_buy)
                self._fill(order, price, Liquidity.TAKER)
        for falling in (True, False):
            stops = [
                order
                for order in self._active(self._book.stops.values())
                if order.is_buy != falling and not order.triggered
            ]
            self.walk(bar.open, stops, self._trigger, falling=falling)

    def _walk_after_entry(self, entry: WorkingOrder, price: float) -> None:
        # R16, second half: after the fill, price surely went on to the bar's adverse end.
        stops = [order for order in self._book.stops.values() if order.group == entry.group]
        self.walk(price, stops, self._trigger, falling=entry.side == "long")

    def walk(
        self,
        start: float,
        stops: Iterable[StopT],
        trigger: Callable[[StopT, float], None],
        *,
        falling: bool,
    ) -> None:
        """Move the price from start to the bar's end; stops and liquidation come as it meets them.

        Stops meet trades' prices, liquidation the mark's; both are ordered by price (R39).
        ``trigger`` is called with a stop that is met, and the price.
        """
        bar, towards = self._bar, -1.0 if falling else 1.0
        end, mark_end = (bar.low, bar.mark_low) if falling else (bar.high, bar.mark_high)
        here, mark_here = start, self.mark_at(start)
        waiting = list(stops)
        while True:
            waiting = [order for order in waiting if order.alive and not order.triggered]
            stop = first_met(waiting, here, end, towards)
            unit, price = self._first_liquidation(mark_here, mark_end, towards, falling)
            met = towards * max(towards * stop.price, towards * here) if stop else None
            if unit is not None and (met is None or towards * price <= towards * met):
                self._liquidate(unit.sides, price)
                continue
            if stop is None or met is None:
                return
            here = met
            mark_here = towards * max(towards * mark_here, min(towards * met, towards * mark_end))
            trigger(stop, here)

    def _trigger(self, stop: WorkingOrder, price: float) -> None:
        stop.triggered = True
        self._quiet = None  # it trades in every bar from now on
        slipped = self._matcher.slipped(price, self._bar, is_buy=stop.is_buy)
        self._fill(stop, slipped, Liquidity.TAKER)
        if stop.alive:  # R37
            self._listener.triggered(stop)

    def _first_liquidation(
        self, here: float, end: float, towards: float, falling: bool
    ) -> tuple[LiquidationUnit | None, float]:
        """Return what is liquidated first on the way, and at which price."""
        first: LiquidationUnit | None = None
        first_price = end
        for unit in self._units(here):
            boundary = unit.region.lower if falling else unit.region.upper
            if unit.region.contains(here):
                return unit, here
            if towards * boundary <= towards * first_price:
                first, first_price = unit, boundary
        return first, first_price

    def _liquidation_at_close(self) -> None:
        close = self._bar.mark_close
        for unit in list(self._units(close)):
            if unit.region.contains(close):
                self._liquidate(unit.sides, close)

    def _liquidate(self, sides: Sequence[Side], price: float) -> None:
        # R23. In isolated margin a leg's loss ends at its margin.
        account, scheme = self.account, self.account.scheme
        closing = [
            (group, held.side, held.contracts, scheme.fee(held.contracts, price, Liquidity.TAKER))
            for group, held in account.closing_order(sides)
        ]
        total = sum(contracts for _, _, contracts, _ in closing)
        backing = account.backing(sides)
        pnl = sum(
            scheme.pnl(leg.side, leg.contracts, leg.entry, price)
            for leg in account.exposures()
            if leg.side in sides
        )
        left = backing + pnl - sum(fee for _, _, _, fee in closing)
        penalty = sum(scheme.liquidation_fee(contracts, price) for _, _, contracts, _ in closing)
        # But for float dust: equity meets the requirement at the price that was solved for it.
        takes_all = penalty >= left - 1e-12 * abs(backing)
        penalty = min(penalty, max(0.0, left))
        self.liquidations += 1
        for group, side, contracts, fee in closing:
            share = penalty * contracts / total
            self._close_group(Role.LIQUIDATION, side, group, contracts, price, fee + share)
        if account.isolated and left < 0.0:
            self._listener.forgiven(account.forgive(-left))
        elif not account.isolated and takes_all and left >= 0.0:
            account.clear_dust()
        self._settle_shortfall()
        account.back_margins()
        for order in self.working():
            if order.alive and (not account.isolated or order.side in sides):
                self.cancel(order, "liquidation")
        if self.strategy_orders is not None:
            self.strategy_orders.cancel_sides(sides if account.isolated else SIDES, "liquidation")

    def _settle_shortfall(self) -> None:
        forgiven = self.account.forgive()
        if forgiven:
            self._listener.forgiven(forgiven)

    # ------------------------------------------------------------------ fills
    def _fill(self, order: WorkingOrder, price: float, liquidity: Liquidity) -> bool:
        """Fill an order as far as the bar can; return whether anything was filled."""
        quantity = self._matcher.quantity(order, self._bar)
        if quantity > 0.0:
            self._execute(order, price, liquidity, quantity)
        return quantity > 0.0

    def _execute(
        self, order: WorkingOrder, price: float, liquidity: Liquidity, quantity: float
    ) -> None:
        order.contracts -= quantity
        if order.contracts <= 1e-9 * quantity:
            order.contracts = 0.0
            self._remove(order)
        self._quiet = None
        account = self.account
        fee = account.scheme.fee(quantity, price, liquidity)
        realized = 0.0
        if order.role is Role.ENTRY:
            # Asked at every fill: the Position may have become a set between two of them.
            order.group = self._listener.entry_group(order)
            account.open(order.side, order.group, quantity, price, fee)
        else:
            realized = account.close(order.side, order.group, quantity, price, fee)
        account.back_margins()
        execution = Execution(
            time_ms=self._time_ms,
            number=order.number,
            role=order.role,
            side=order.side,
            group=order.group,
            price=price,
            contracts=quantity,
            fee=fee,
            liquidity=liquidity,
            realized_pnl=realized,
            balance=account.balance,
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
            balance=self.account.balance,
        )
        self._listener.filled(None, execution)

    def _remove(self, order: WorkingOrder) -> None:
        self._book.remove(order)
        self._quiet = None
