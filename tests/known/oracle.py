"""An independent plain-loop implementation of design/rules.md, used as a test oracle.

Every rule is named (# R13) where it is kept. Inside, a side is +1 (long) or -1 (short), so that one
formula serves both; the results say "long" and "short".
"""

import csv
import gzip
import math
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

Bar = tuple[int, float, float, float, float]
LONG, SHORT = 1, -1
SIDES = (LONG, SHORT)
NAMES = {LONG: "long", SHORT: "short"}
RESULTS = ("fills", "bars", "trades", "refused", "orders_expired", "liquidations", "shortfall",
           "balance", "equity", "fees_paid", "funding_paid", "funding_late")


@dataclass(eq=False)
class Order:
    """A working order; `bar_index` is the bar in which it came to be (R12)."""
    order_id: int
    role: str
    side: int
    price: float
    bar_index: int
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


class Simulation:
    """The state of one run and the rules that change it."""
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
        self.fills, self.trades, self.bars = [], [], []
        self.equity: float = self.balance  # at the last close
        self.day, self.day_lost, self.day_reference = None, False, self.equity  # R25

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
        """R8, R12: the next numbered order, born in this bar; a signal's is placed at its close."""
        self.last_order_id += 1
        price = round_to_step(target, self.rules.tick, step)
        expires_ms = self.bar[0] + self.rules.timeframe_ms + self.rules.order_cancel_timeout * 1000
        return Order(self.last_order_id, role, side, price, self.index, expires_ms, size)

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
        if role != "liquidation" and not self.groups() and self.balance < 0:
            # R23 speaks of liquidations only; a stop that slips past the account's end leaves
            # nothing to liquidate, and no run ends with negative equity: it is forgiven alike.
            self.shortfall -= self.balance
            self.balance = 0.0

    def limit_fill(self, order: Order, sign: int) -> tuple[float, str] | None:
        """R14, R15: price and liquidity of a limit order's fill in this bar, if it fills."""
        _, open_price, high, low, _ = self.bar
        # The sign is +1 for a buy; a sell (-1) is a buy in a world where prices are negative.
        best, limit, tick = sign * (low if sign > 0 else high), sign * order.price, self.rules.tick
        through = self.rules.limit_fill == "through"
        edge = round(limit - tick, 10) if through and tick else limit
        if best > edge or (through and best == limit):  # strictly beyond, even without a tick
            return None
        fresh = order.role in ("entry", "signal_exit") and self.index == order.bar_index + 1
        if self.rules.price_improvement and fresh and sign * open_price < limit:
            return open_price, "taker"
        return order.price, "maker"

    def walk(self, side: int, start: float, end: float, groups: list[Group]) -> None:
        """R13, R16: price goes from `start` to `end`, against `side`: stops and liquidation."""
        meetings = [(side * min(side * start, side * group.stop.price), group) for group in groups]
        met = sorted((-side * meeting, group.stop.order_id, meeting, group)
                     for meeting, group in meetings if side * (meeting - end) >= 0)
        for _, order_id, meeting, group in met:
            liquidation = self.liquidation_price(start, end)
            if liquidation is not None and side * (liquidation - meeting) >= 0:
                break
            slipped = meeting * (1 - side * self.rules.slippage)
            price = round_to_step(slipped, self.rules.tick, -side)
            self.close_group(group, price, "stop_loss", "taker", order_id)
            start = meeting
        if (liquidation := self.liquidation_price(start, end)) is not None:
            self.liquidate(liquidation)

    def must_liquidate(self, price: float) -> bool:
        """R23: whether equity at `price` is no more than maintenance and closing fees there."""
        contracts = self.contracts()
        needed = self.close_rate * self.notional(contracts, price)
        return contracts > 0 and self.equity_at(price) <= needed

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
        return min(passed, key=lambda root: abs(root - start), default=None)

    def liquidate(self, price: float) -> None:
        """R23: close everything at `price`, with the liquidation fee capped at what is left."""
        contracts, fee_rate = self.contracts(), self.rules.liquidation_fee_rate
        fee_rate = self.rules.maintenance_margin_rate if fee_rate is None else fee_rate
        notional = self.notional(contracts, price)
        left = max(self.equity_at(price) - self.rules.taker * notional, 0.0)
        fee = min(fee_rate * notional, left)
        for group in self.groups():
            share = fee * group.contracts / contracts
            self.close_group(group, price, "liquidation", "taker", more_fee=share)
        self.entries = []
        self.liquidations += 1
        dust = 1e-12 * self.rules.initial_balance  # of a capped fee: no shortfall
        if self.balance < dust:
            self.shortfall -= self.balance if self.balance < -dust else 0.0
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

    def fill_limit_exits(self) -> None:
        """R13: take-profits and signal exits, the older order first."""
        exits = [(group.signal_exit or group.take_profit, group) for group in self.groups()]
        exits = [each for each in exits if each[0] and each[0].bar_index < self.index]  # R12
        for order, group in sorted(exits, key=lambda each: each[0].order_id):
            fill = self.limit_fill(order, -order.side)
            if fill is not None:
                self.close_group(group, fill[0], order.role, fill[1], order.order_id)

    def fill_entries(self) -> None:
        """R13: entries, the older first, each followed by R16's second half."""
        for order in list(self.entries):
            fill = self.limit_fill(order, order.side)
            if fill is None or order not in self.entries:  # a liquidation cancels what is left
                continue
            self.entries.remove(order)
            group = self.fill_entry(order, *fill)
            end = self.bar[3] if order.side == LONG else self.bar[2]
            self.walk(order.side, fill[0], end, [group] if group.stop else [])

    def check_daily_loss(self) -> None:
        """R25: whether the loss of the bar's local day has reached the limit at its close."""
        limit = self.rules.daily_loss_limit_pct
        day = datetime.fromtimestamp(self.bar[0] / 1000, ZoneInfo(self.rules.timezone)).date()
        if day != self.day:
            self.day, self.day_lost, self.day_reference = day, False, self.equity
        if limit is not None and self.day_reference > 0:
            self.day_lost |= self.equity_at(self.bar[4]) <= self.day_reference * (1 - limit)

    def trade_bar(self, index: int, bar: Bar, signal: int, is_last: bool) -> None:
        """One bar in R13's order, then what a strategy does at its close (R1)."""
        self.index, self.bar = index, bar
        _, open_price, high, low, close = bar
        self.expire_orders()
        self.pay_funding()
        for side, end in ((LONG, low), (SHORT, high)):
            older = [each for each in self.groups(side)
                     if each.stop and each.stop.bar_index < index]  # R12
            self.walk(side, open_price, end, older)
        self.fill_limit_exits()
        self.fill_entries()
        if self.must_liquidate(close):
            self.liquidate(close)
        self.check_daily_loss()
        if signal in SIDES:  # R5
            self.place_entry(signal)
        elif signal and self.positions[signal // 2].transactions:
            self.place_signal_exit(self.positions[signal // 2])
        if is_last and self.rules.close_at_end:  # R24
            for group in self.groups():
                self.close_group(group, close, "close_at_end", "taker")
        self.equity = self.equity_at(close)
        row = dict(  # R26
            time_ms=self.bar[0], balance=self.balance, unrealized_pnl=self.unrealized(close),
            equity=self.equity, margin=self.margin(close))
        for side, name in NAMES.items():
            row |= {f"{name}_contracts": self.contracts(side), f"{name}_sets": len(self.sets[side]),
                    f"{name}_average": self.leg_average[side] if self.groups(side) else 0.0}
        self.bars.append(row)


def simulate(bars: list[Bar], signals: list[int], settings: dict[str, Any]) -> dict[str, Any]:
    """Trade the window's bars by the rules and return every fill, bar, trade and total."""
    run = Simulation(settings)
    for index, (bar, signal) in enumerate(zip(bars, signals, strict=True)):
        run.trade_bar(index, bar, signal, is_last=index == len(bars) - 1)
    return {name: getattr(run, name) for name in RESULTS}


def above(left: float, right: float) -> bool:
    """R6: left > right, where a difference of 1e-12 relative counts as none."""
    return left - right > 1e-12 * max(abs(left), abs(right))


def simple_ma_signals(closes: list[float], short: int, long: int, exit_on_cross: bool) -> list[int]:
    """R6: the signals of simple_ma for all bars, 0 where a mean is missing."""
    signals = [0] * len(closes)
    for i in range(long, len(closes)):
        fast, slow, fast_before, slow_before = (
            math.fsum(closes[end - length:end]) / length
            for end in (i + 1, i) for length in (short, long))
        up, down, rising = above(fast, slow), above(slow, fast), above(slow, slow_before)
        if up and rising and closes[i] < closes[i - 1]:
            signals[i] = 1
        elif down and not rising and closes[i] > closes[i - 1]:
            signals[i] = -1
        elif exit_on_cross and up and not above(fast_before, slow_before):
            signals[i] = -2
        elif exit_on_cross and down and not above(slow_before, fast_before):
            signals[i] = 2
    return signals


def load_case(folder: str | Path) -> tuple[list[Bar], list[int], dict[str, Any]]:
    """(bars, signals, settings) of a known case: its config.yaml and the data file it names."""
    config = YAML(typ="safe", pure=True).load(Path(folder) / "config.yaml")
    backtest, averages = config["backtest"], config["strategy"]["simple_ma"]
    warm_up, zone = averages["long_period"], ZoneInfo(config["timezone"])
    start_ms, end_ms = (  # R2
        int(datetime.fromisoformat(local).replace(tzinfo=zone).timestamp() * 1000)
        for local in (backtest["trading_period"][f"{edge}_date"] for edge in ("start", "end")))
    with gzip.open(Path(folder) / config["data"]["path"], "rt", newline="") as file:
        bars = [(int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000),
                 *(float(row[name]) for name in ("open", "high", "low", "close")))
                for row in csv.DictReader(file)]
    bars = bars[bisect_left(bars, (start_ms,)) - warm_up:bisect_left(bars, (end_ms,))]  # R3
    signals = simple_ma_signals(
        [bar[4] for bar in bars], averages["short_period"], warm_up, averages["exit_on_cross"])
    base, _, settlement = config["trading"]["symbol"].replace(":", "/").split("/")
    fees, funding = backtest["fees"], backtest["funding"]
    times = funding.get("times", ("00:00", "08:00", "16:00"))  # R22
    due = [ms for ms in range(start_ms, end_ms, 60_000)
           if f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M}" in times]
    settings = {
        "min_contracts": None, "liquidation_fee_rate": None, **backtest["fill"],
        **config["instrument"], **config["trading"], **config["position_set"], **config["risk"],
        **{name: fees.get("commission", fees.get(name)) for name in ("maker", "taker")},
        **{name: backtest[name] for name in ("initial_balance", "linear_pnl", "close_at_end")},
        "contract": "inverse" if base == settlement else "linear", "timezone": config["timezone"],
        "timeframe_ms": {"1h": 3_600_000}[config["data"]["timeframe"]],
        "funding": [(ms, funding.get("rate", 0.0)) for ms in due]}
    return bars[warm_up:], signals[warm_up:], settings
