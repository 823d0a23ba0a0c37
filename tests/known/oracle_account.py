"""The oracle's books and money: orders, groups, margin, funding, liquidation (R7-R11, R17-R25).

What a bar does with them, and in which order, is in `tests.known.oracle`. Every rule is named
(# R19) where it is kept. Inside, a side is +1 (long) or -1 (short), so that one formula serves
both; the results say "long" and "short".
"""

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

Bar = tuple[int, float, float, float, float]
LONG, SHORT = 1, -1
SIDES = (LONG, SHORT)
NAMES = {LONG: "long", SHORT: "short"}
# R23: what differs by no more than this share of the notional, or of a price, is equal.
EQUAL = 1e-12
# The steps of R13 that orders are born in; what a signal places comes after the last.
EXPIRIES, OPEN, WALKS, EXITS, ENTRIES, CLOSE, SIGNALS = 1, 3, 4, 5, 6, 7, 9


@dataclass(eq=False)
class Order:
    """A working order, born in (bar, step of R13) (R12), while price was at `made_at`."""
    order_id: int
    role: str
    side: int
    price: float
    born: tuple[int, int]
    made_at: float
    expires_ms: int  # R10, R11: of entries and signal exits
    contracts: float = 0.0  # of entries: an exit closes all that its group holds


@dataclass(eq=False)
class Transaction:
    """One filled entry (R18)."""
    side: int
    contracts: float
    entry_ms: int
    entry_price: float
    fees: float
    funding_paid: float = 0.0


@dataclass(eq=False)
class Group:
    """A Position or a PositionSet with the orders that close it (R18, R19)."""
    side: int
    name: str
    transactions: list[Transaction] = field(default_factory=list)
    take_profit: Order | None = None
    stop: Order | None = None
    signal_exit: Order | None = None

    @property
    def contracts(self) -> float:
        """All contracts of the group."""
        return math.fsum(each.contracts for each in self.transactions)


def round_to_step(value: float, step: float, direction: int) -> float:
    """R8: the multiple of `step` at or below (-1) or at or above (+1) `value`; step 0: `value`."""
    if step == 0:
        return value
    nearest = round(value / step)
    if abs(value - nearest * step) > 1e-9 * abs(value):
        nearest = math.floor(value / step) if direction < 0 else math.ceil(value / step)
    return round(nearest * step, 10)


def positive_roots(constant: float, reciprocal: float, linear: float) -> list[float]:
    """The prices P > 0 at which constant + reciprocal / P + linear * P = 0, in closed form."""
    if linear == 0:
        roots = [-reciprocal / constant] if constant else []
    elif (discriminant := constant**2 - 4 * linear * reciprocal) < 0:
        roots = []
    else:
        stable = -(constant + math.copysign(math.sqrt(discriminant), constant)) / 2
        roots = [stable / linear, reciprocal / stable if stable else 0.0]
    return [root for root in roots if root > 0]


class Account:
    """The state of one run and what its orders, fills and closes change."""
    def __init__(self, settings: dict[str, Any]) -> None:
        self.rules = SimpleNamespace(**settings)
        self.inverse = self.rules.contract == "inverse"
        self.cryptosim_pnl = not self.inverse and self.rules.linear_pnl == "cryptosim"
        self.close_rate = self.rules.maintenance_margin_rate + self.rules.taker  # R23
        self.max_sets = {LONG: self.rules.max_long_set, SHORT: self.rules.max_short_set}
        self.funding = sorted(tuple(due) for due in self.rules.funding)
        self.balance: float = self.rules.initial_balance
        self.entries: list[Order] = []
        self.positions = {side: Group(side, f"P-{NAMES[side]}") for side in SIDES}
        self.sets: dict[int, list[Group]] = {side: [] for side in SIDES}
        self.leg_average = dict.fromkeys(SIDES, 0.0)
        self.last_order_id = self.sets_born = self.orders_expired = self.liquidations = 0
        self.shortfall = self.fees_paid = self.funding_paid = 0.0
        self.funding_done = self.funding_late = 0
        self.refused: dict[str, int] = {}
        self.ambiguous: dict[str, int] = {"total": 0}  # R43
        self.fills, self.trades, self.bars = [], [], []
        self.equity: float = self.balance  # at the last close
        self.day, self.day_lost, self.day_reference = None, False, self.equity  # R25
        self.index, self.step = -1, SIGNALS
        self.stand = 0.0  # where price is known to be as an order is made

    def notional(self, contracts: float, price: float) -> float:
        """R17: the value of `contracts` at `price`."""
        value = contracts * self.rules.contract_size
        return value / price if self.inverse else value * price

    def pnl(self, side: int, contracts: float, entry: float, exit_price: float) -> float:
        """R20, or the first CryptoSim's formula for linear contracts."""
        value = side * contracts * self.rules.contract_size
        if self.inverse:
            return value * (1 / entry - 1 / exit_price)
        if self.cryptosim_pnl:
            return value * entry * (exit_price - entry) / exit_price
        return value * (exit_price - entry)

    def groups(self, *sides: int) -> list[Group]:
        """R23: open groups of `sides` (none named: both), of each the sets by birth first."""
        return [each for side in sides or SIDES
                for each in (*self.sets[side], self.positions[side]) if each.transactions]

    def contracts(self, *sides: int) -> float:
        """R21: the contracts of legs are the sum over their groups."""
        return math.fsum(group.contracts for group in self.groups(*sides))

    def average(self, parts: list[tuple[float, float]]) -> float:
        """R19: the average entry of (contracts, price) parts: harmonic for inverse contracts."""
        power = -1 if self.inverse else 1
        total = math.fsum(contracts * price**power for contracts, price in parts)
        return (total / math.fsum(contracts for contracts, _ in parts)) ** power

    def group_average(self, group: Group) -> float:
        """R19: the average entry of a group."""
        return self.average([(each.contracts, each.entry_price) for each in group.transactions])

    def holdings(self) -> list[tuple[int, float, float]]:
        """(side, contracts, average) that PnL counts: the legs (R21); cryptosim PnL: the groups."""
        if self.cryptosim_pnl:
            return [(each.side, each.contracts, self.group_average(each)) for each in self.groups()]
        return [(side, self.contracts(side), self.leg_average[side])
                for side in SIDES if self.groups(side)]

    def unrealized(self, price: float) -> float:
        """The open profit at `price`."""
        return math.fsum(self.pnl(*holding, price) for holding in self.holdings())

    def equity_at(self, price: float) -> float:
        """Balance and open profit at `price`."""
        return self.balance + self.unrealized(price)

    def margin(self, price: float) -> float:
        """R20: initial margin of both legs at `price` and of working entries at their limits."""
        orders = math.fsum(self.notional(each.contracts, each.price) for each in self.entries)
        return (self.notional(self.contracts(), price) + orders) / self.rules.leverage

    def new_order(self, role: str, side: int, target: float, step: int, size: float = 0) -> Order:
        """R8, R12: the next numbered order, born now; a signal's is placed at the bar's close."""
        self.last_order_id += 1
        price = round_to_step(target, self.rules.tick, step)
        expires_ms = self.bar[0] + self.rules.timeframe_ms + self.rules.order_cancel_timeout * 1000
        born = (self.index, self.step)
        return Order(self.last_order_id, role, side, price, born, self.stand, expires_ms, size)

    def place_exits(self, group: Group, with_stop: bool) -> None:
        """R19: take-profit (unless a signal exit has its place, R11) and stop of a whole group."""
        side, average = group.side, self.group_average(group)
        group.take_profit = None
        if self.rules.use_tp and group.signal_exit is None:
            target = average * (1 + side * self.rules.take_profit_pct)
            group.take_profit = self.new_order("take_profit", side, target, side)
        if with_stop and self.rules.use_sl and self.rules.stop_loss_pct < 1:
            target = average * (1 - side * self.rules.stop_loss_pct)
            group.stop = self.new_order("stop_loss", side, target, -side)

    def refusal(self, side: int, contracts: float, limit: float) -> str | None:
        """R9: the first reason against an entry at this bar's close, or None."""
        most = self.rules.max_concurrent_positions
        least = self.rules.lot if self.rules.min_contracts is None else self.rules.min_contracts
        available = self.equity_at(self.bar[4]) - self.margin(self.bar[4])
        reasons = {
            "sets_full": len(self.sets[side]) >= self.max_sets[side],
            "max_concurrent": most is not None and sum(map(len, self.sets.values())) >= most,
            "daily_loss": self.day_lost,
            "min_size": contracts <= 0 or contracts < least,
            "margin": self.notional(contracts, limit) / self.rules.leverage > available}
        return next((reason for reason, holds in reasons.items() if holds), None)

    def place_entry(self, side: int) -> None:
        """R7, R9: a limit order at the close, unless refused."""
        limit = round_to_step(self.bar[4], self.rules.tick, -side)
        size = self.rules.position_size * (limit if self.inverse else 1)
        contracts = round_to_step(size / self.rules.contract_size, self.rules.lot, -1)
        reason = self.refusal(side, contracts, limit)
        if reason is not None:
            self.refused[reason] = self.refused.get(reason, 0) + 1
            return
        order = self.new_order("entry", side, limit, -side, contracts)
        if self.rules.entry_fill == "signal_close":  # the first CryptoSim's habit
            self.fill_entry(order, limit, "maker")
        else:
            self.entries.append(order)

    def place_signal_exit(self, position: Group) -> None:
        """R11: a limit order at the close for the whole Position, in place of its take-profit."""
        side, position.take_profit = position.side, None
        position.signal_exit = self.new_order("signal_exit", side, self.bar[4], side)

    def expire_orders(self) -> None:
        """R10, R11: entries and signal exits whose time has passed; take-profits come back."""
        now, positions = self.bar[0], self.positions.values()
        working = [order for order in self.entries if now < order.expires_ms]
        lapsed = [e for e in positions if e.signal_exit and now >= e.signal_exit.expires_ms]
        self.orders_expired += len(self.entries) - len(working) + len(lapsed)
        self.entries = working
        for position in sorted(lapsed, key=lambda each: each.signal_exit.order_id):
            position.signal_exit = None
            self.place_exits(position, with_stop=False)  # R11: the stop stayed

    def book_fill(self, group: Group, order_id: int | None, role: str, price: float,
                  contracts: float, liquidity: str, more_fee: float = 0.0,
                  leg_pnl: float = 0.0, group_pnl: float = 0.0) -> float:
        """R17, R21: record a fill, move the balance and return the fill's whole fee."""
        fee = getattr(self.rules, liquidity) * self.notional(contracts, price) + more_fee
        realized = group_pnl if self.cryptosim_pnl else leg_pnl
        self.balance += realized - fee
        self.fees_paid += fee
        self.fills.append(dict(
            time_ms=self.bar[0], order_id=order_id, role=role, side=NAMES[group.side], price=price,
            contracts=contracts, fee=fee, liquidity=liquidity, group=group.name,
            realized_pnl=realized, group_pnl=group_pnl))
        return fee

    def fill_entry(self, order: Order, price: float, liquidity: str) -> Group:
        """R18, R19: a filled entry joins the Position, which may become a set."""
        side, contracts, group = order.side, order.contracts, self.positions[order.side]
        leg = [(self.contracts(side), self.leg_average[side])] if self.groups(side) else []
        self.leg_average[side] = self.average([*leg, (contracts, price)])
        fee = self.book_fill(group, order.order_id, order.role, price, contracts, liquidity)
        group.transactions.append(Transaction(side, contracts, self.bar[0], price, fee))
        full = len(group.transactions) >= self.rules.position_set_size
        if full and len(self.sets[side]) < self.max_sets[side]:
            self.sets_born += 1
            self.positions[side] = Group(side, group.name)
            group.name, group.signal_exit = f"S{self.sets_born}", None  # R11
            self.sets[side].append(group)
        self.place_exits(group, with_stop=True)
        return group

    def close_group(self, group: Group, price: float, role: str, liquidity: str,
                    order_id: int | None = None, more_fee: float = 0.0) -> None:
        """R19, R21: close every Transaction of a group at `price`; its orders go with it."""
        side, contracts = group.side, group.contracts
        leg_pnl, group_pnl = (self.pnl(side, contracts, average, price)
                              for average in (self.leg_average[side], self.group_average(group)))
        fee = self.book_fill(
            group, order_id, role, price, contracts, liquidity, more_fee, leg_pnl, group_pnl)
        for each in group.transactions:  # R26: a trade is one closed Transaction
            gross = self.pnl(side, each.contracts, each.entry_price, price)
            fees = each.fees + fee * each.contracts / contracts
            self.trades.append(vars(each) | dict(
                side=NAMES[side], exit_price=price, exit_reason=role, group=group.name, fees=fees,
                exit_ms=self.bar[0], gross_pnl=gross, net_pnl=gross - fees - each.funding_paid))
        self.sets[side] = [each for each in self.sets[side] if each is not group]
        if group is self.positions[side]:
            self.positions[side] = Group(side, group.name)
        if role != "liquidation" and not self.groups() and self.balance < 0:  # R23
            self.forgive()

    def forgive(self) -> None:
        """R23: a balance below zero becomes zero; what was forgiven is `shortfall`."""
        self.shortfall -= self.balance
        self.balance = 0.0

    def must_liquidate(self, price: float) -> bool:
        """R23: whether equity at `price` is no more than maintenance and closing fees there."""
        notional = self.notional(self.contracts(), price)
        return notional > 0 and self.equity_at(price) <= (self.close_rate + EQUAL) * notional

    def liquidation_price(self, start: float, end: float) -> float | None:
        """R23: where the condition first holds on the way from `start` to `end`, or None."""
        if self.must_liquidate(start):
            return start
        constant, reciprocal, linear = self.balance, 0.0, 0.0
        for side, contracts, average in self.holdings():  # equity - need = c + r / P + l * P
            value = contracts * self.rules.contract_size
            if self.inverse:
                constant += side * value / average
                reciprocal -= (side + self.close_rate) * value
            elif self.cryptosim_pnl:
                constant += side * value * average
                reciprocal -= side * value * average * average
                linear -= self.close_rate * value
            else:
                constant -= side * value * average
                linear += (side - self.close_rate) * value
        roots = positive_roots(constant, reciprocal, linear)
        passed = [root for root in roots if min(start, end) <= root <= max(start, end)]
        last = end if self.must_liquidate(end) else None
        return min(passed, key=lambda root: abs(root - start), default=last)

    def liquidate(self, price: float) -> None:
        """R23: close everything at `price`, with the liquidation fee capped at what is left."""
        contracts, fee_rate = self.contracts(), self.rules.liquidation_fee_rate
        fee_rate = self.rules.maintenance_margin_rate if fee_rate is None else fee_rate
        notional = self.notional(contracts, price)
        left = self.equity_at(price) - self.rules.taker * notional
        capped = fee_rate * notional >= left - EQUAL * notional
        fee = max(left, 0.0) if capped else fee_rate * notional
        for group in self.groups():
            share = fee * group.contracts / contracts
            self.close_group(group, price, "liquidation", "taker", more_fee=share)
        self.entries = []
        self.liquidations += 1
        if left < -EQUAL * notional:
            self.forgive()
        elif capped:
            self.balance = 0.0

    def pay_funding(self) -> None:
        """R22: the legs held before the bar's fills pay what is due by the bar's end."""
        due = self.funding[self.funding_done:]
        due = due[:bisect_left(due, (self.bar[0] + self.rules.timeframe_ms,))]
        self.funding_done += len(due)
        for due_ms, rate in due:
            if rate and self.groups() and due_ms < self.bar[0]:
                self.funding_late += 1
            for each in (each for group in self.groups() for each in group.transactions):
                paid = each.side * rate * self.notional(each.contracts, self.bar[1])
                each.funding_paid += paid
                self.funding_paid += paid
                self.balance -= paid

    def check_daily_loss(self) -> None:
        """R25: whether the loss of the bar's local day has reached the limit at its close."""
        limit = self.rules.daily_loss_limit_pct
        day = datetime.fromtimestamp(self.bar[0] / 1000, ZoneInfo(self.rules.timezone)).date()
        if day != self.day:
            self.day, self.day_lost, self.day_reference = day, False, self.equity
        if limit is not None and self.day_reference > 0:
            self.day_lost |= self.equity_at(self.bar[4]) <= self.day_reference * (1 - limit)
