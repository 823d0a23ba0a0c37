"""An independent plain-loop implementation of docs/rules.md, used as a test oracle.

Here is what one bar does, step by step (R12-R16, R42); books and money are in
`tests.known.oracle_account`, the known cases in `tests.known.oracle_case`. It has hedge mode with
cross margin and one maintenance rate, and orders that fill whole: no finer bars and so no latency
(R40, R41), no mark price.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.known.oracle_account import (
    CLOSE,
    ENTRIES,
    EQUAL,
    EXITS,
    EXPIRIES,
    LONG,
    NAMES,
    OPEN,
    SHORT,
    SIDES,
    SIGNALS,
    WALKS,
    Account,
    Bar,
    Group,
    Order,
    round_to_step,
)

RESULTS = ("fills", "bars", "trades", "refused", "orders_expired", "liquidations", "shortfall",
           "balance", "equity", "fees_paid", "funding_paid", "funding_late", "ambiguous")
BUY, SELL = 1, -1
LIQUIDATION, STOP, EXIT, ENTRY = range(4)  # R42: which comes first at one price


class Event(NamedTuple):
    """Something that price meets: when, what kind, its order's age, where, and what it does."""
    distance: float
    kind: int
    age: int
    price: float
    happen: Callable[[], Any]


class Simulation(Account):
    """One run: R13's steps over an account."""
    # ---------------------------------------------------------------- what a price does to an order
    def takes_part(self, order: Order) -> bool:
        """R12: made in a bar before; or at this bar's start, in an earlier step of it."""
        return order.born < (self.index, min(self.step, WALKS))

    def edge(self, order: Order, sign: int) -> float:
        """R13: where a limit is met: at its price, or with `through` a tick beyond."""
        if self.rules.limit_fill == "through" and self.rules.tick:
            return round(order.price - sign * self.rules.tick, 10)
        return order.price

    def touches(self, price: float, order: Order, sign: int) -> bool:
        """R13, R14: whether a price touches the limit of a buy (+1) or a sell (-1)."""
        if self.rules.limit_fill == "through" and not self.rules.tick:
            return sign * price < sign * order.price
        return sign * price <= sign * self.edge(order, sign)

    def limit_price(self, order: Order, sign: int) -> tuple[float, str]:
        """R15: price and liquidity of a limit order's fill."""
        fresh = order.role in ("entry", "signal_exit") and self.index == order.born[0] + 1
        if self.rules.price_improvement and fresh and sign * self.bar[1] < sign * order.price:
            return self.bar[1], "taker"
        return order.price, "maker"

    def stop_meets(self, group: Group) -> float:
        """R16: where price that stands at `stand` meets a stop: its trigger, or beyond it."""
        side, stop = group.side, group.stop
        made_at = [stop.made_at] if stop.born[0] == self.index else []
        return side * min(side * price for price in (self.stand, stop.price, *made_at))

    def exits_of(self, *sides: int) -> list[tuple[Order, Group]]:
        """The working limit exit of each group: a signal exit stands in the take-profit's place."""
        exits = [(each.signal_exit or each.take_profit, each) for each in self.groups(*sides)]
        return [(order, group) for order, group in exits if order]

    # ---------------------------------------------------------------- what a fill does
    def enter(self, order: Order) -> None:
        """R15, R18: fill an entry; R43: its own limit exit may lie in the bar, before or after."""
        self.entries.remove(order)
        group = self.fill_entry(order, *self.limit_price(order, order.side))
        own, sign = group.signal_exit or group.take_profit, -order.side
        if (own and own.born == (self.index, self.step) and self.step > OPEN
                and self.bar_touches(own, sign)):
            end = self.bar[3] if order.side == LONG else self.bar[2]
            stopped = group.stop and order.side * end <= order.side * group.stop.price
            liquidated = self.liquidation_price(self.bar[1], end) is not None
            if stopped or liquidated or not self.touches(self.bar[4], own, sign):
                self.kinds.add("entry_and_exit")

    def exit(self, order: Order, group: Group) -> None:
        """R15, R19: fill a limit exit."""
        price, liquidity = self.limit_price(order, -order.side)
        self.close_group(group, price, order.role, liquidity, order.order_id)

    def stop_out(self, group: Group, met: float) -> None:
        """R16: a stop that was met at `met` slips and is rounded, both against the trader."""
        slipped = met * (1 - group.side * self.rules.slippage)
        price = round_to_step(slipped, self.rules.tick, -group.side)
        self.close_group(group, price, "stop_loss", "taker", group.stop.order_id)

    # ---------------------------------------------------------------- step 3
    def trade_open(self) -> None:
        """R13, step 3: what the open's price alone decides."""
        self.step, self.stand = OPEN, self.bar[1]
        self.meet_dangers_at_open()
        for order, group in sorted(self.exits_of(), key=lambda each: each[0].order_id):
            if self.takes_part(order) and self.touches(self.stand, order, -order.side):
                self.exit(order, group)
        for order in list(self.entries):
            if self.touches(self.stand, order, order.side):
                self.enter(order)
        self.meet_dangers_at_open()

    def meet_dangers_at_open(self) -> None:
        """Liquidation, then the oldest stop that the open is at or beyond, and anew."""
        while True:
            if self.must_liquidate(self.stand):
                return self.liquidate(self.stand)
            met = [group for group in self.groups()
                   if group.stop and self.stop_meets(group) == self.stand]
            if not met:
                return None
            self.stop_out(min(met, key=lambda group: group.stop.order_id), self.stand)

    def note_ambiguity(self) -> None:
        """R43: what the bar leaves open once the open has decided."""
        self.step = WALKS
        ends = {LONG: self.bar[3], SHORT: self.bar[2]}
        entering = {each.side for each in self.entries if self.bar_touches(each, each.side)}
        for order, group in self.exits_of():
            side, stop = group.side, group.stop
            if not self.takes_part(order) or not self.bar_touches(order, -side):
                continue
            if side in entering:
                self.kinds.add("entry_and_exit")
            if stop and side * ends[side] <= side * stop.price:
                self.kinds.add("take_profit_and_stop")
            if self.liquidation_price(self.bar[1], ends[side]) is not None:
                self.kinds.add("exit_and_liquidation")

    # ---------------------------------------------------------------- step 4
    def walks(self) -> None:
        """R13, step 4: from the open down to the low, then from the open up to the high."""
        self.step = WALKS
        self.walk(LONG, self.bar[1])
        self.walk(SHORT, self.bar[1])

    def walk(self, side: int, start: float) -> None:
        """From `start` to the end against `side`: stops, liquidation and what precedes them."""
        self.stand, end = start, self.bar[3] if side == LONG else self.bar[2]
        while (danger := self.next_danger(side, end)) is not None:
            event = min([danger, *self.met_before(danger, side)], key=lambda each: each[:3])
            self.stand = side * min(side * self.stand, side * event.price)
            event.happen()
            if event.kind == LIQUIDATION:
                return

    def next_danger(self, side: int, end: float) -> Event | None:
        """The stop of `side` or the liquidation that the walk meets next."""
        dangers = []
        for group in self.groups(side):
            if group.stop and side * ((met := self.stop_meets(group)) - end) >= 0:
                dangers.append(Event(-side * met, STOP, group.stop.order_id, met,
                                     lambda group=group, met=met: self.stop_out(group, met)))
        if (met := self.liquidation_price(self.stand, end)) is not None:
            dangers.append(Event(-side * met - EQUAL * met, LIQUIDATION, 0, met,
                                 lambda: self.liquidate(met)))
        return min(dangers, key=lambda each: each[:3], default=None)

    def met_before(self, danger: Event, side: int) -> list[Event]:
        """Entries of `side`, and before a liquidation exits of the other, met strictly earlier."""
        found = []
        exits = self.exits_of(-side) if danger.kind == LIQUIDATION else []
        for order, group in exits:
            found.append((EXIT, order, lambda order=order, group=group: self.exit(order, group)))
        for order in self.entries:
            if order.side == side:
                found.append((ENTRY, order, lambda order=order: self.enter(order)))
        events = [Event(-side * (met := self.edge(order, side)), kind, order.order_id, met, happen)
                  for kind, order, happen in found
                  if self.takes_part(order) and self.touches(danger.price, order, side)]
        return [each for each in events if each.distance < danger.distance]

    # ---------------------------------------------------------------- steps 5, 6 and 7
    def bar_touches(self, order: Order, sign: int) -> bool:
        """R14: whether the bar's extreme on that side touches the limit."""
        return self.touches(self.bar[3] if sign == BUY else self.bar[2], order, sign)

    def fill_limit_exits(self) -> None:
        """R13, step 5: limit exits that the bar touches, the older first."""
        self.step = EXITS
        for order, group in sorted(self.exits_of(), key=lambda each: each[0].order_id):
            if self.takes_part(order) and self.bar_touches(order, -order.side):
                self.exit(order, group)

    def fill_entries(self, with_walk: bool = True) -> None:
        """R13, step 6: on each side the one met first, of the two the older; then R16's walk."""
        self.step = ENTRIES
        while True:
            firsts = []
            for side in SIDES:
                touched = [each for each in self.entries
                           if each.side == side and self.bar_touches(each, side)]
                touched.sort(key=lambda each: (-side * self.edge(each, side), each.order_id))
                firsts += touched[:1]
            if not firsts:
                return
            order = min(firsts, key=lambda each: each.order_id)
            self.stand = self.edge(order, order.side)
            self.enter(order)
            if with_walk:
                self.walk(order.side, self.stand)

    def fill_exits_of_entries(self) -> None:
        """R42, best: the limit exits that the bar's entries made and that the bar touches."""
        for order, group in sorted(self.exits_of(), key=lambda each: each[0].order_id):
            if order.born == (self.index, ENTRIES) and self.bar_touches(order, -order.side):
                self.exit(order, group)

    def fill_exits_at_close(self) -> None:
        """R13, step 7: limit exits that the bar made after its start and that its close touches."""
        self.step = CLOSE
        for order, group in sorted(self.exits_of(), key=lambda each: each[0].order_id):
            late = order.born[0] == self.index and order.born[1] >= WALKS
            if late and self.touches(self.bar[4], order, -order.side):
                self.exit(order, group)

    # ---------------------------------------------------------------- R42: the other orders
    def follow_path(self) -> None:
        """R42, path: open, nearer extreme, the other, close, every order as price meets it."""
        self.step = WALKS
        _, open_price, high, low, close = self.bar
        down, up = round(open_price - low, 10), round(high - open_price, 10)
        high_first = up < down or (up == down and close < open_price)
        self.stand = open_price
        for end in ((high, low) if high_first else (low, high)) + (close,):
            while (event := self.next_on_path(end)) is not None:
                self.stand = event.price
                event.happen()
            self.stand = end

    def next_on_path(self, end: float) -> Event | None:
        """What price meets next on its way from `stand` to `end`."""
        met_at: list[tuple[float | None, int, int, Callable[[], Any]]] = []
        for group in self.groups():
            if group.stop:
                met = self.stop_on_path(group, end)
                met_at.append((met, STOP, group.stop.order_id,
                               lambda group=group, met=met: self.stop_out(group, met)))
        for order, group in self.exits_of():
            met_at.append((self.limit_on_path(order, -order.side, end), EXIT, order.order_id,
                           lambda order=order, group=group: self.exit(order, group)))
        for order in self.entries:
            met_at.append((self.limit_on_path(order, order.side, end), ENTRY, order.order_id,
                           lambda order=order: self.enter(order)))
        liquidation = self.liquidation_price(self.stand, end)
        met_at.append((liquidation, LIQUIDATION, 0, lambda: self.liquidate(liquidation)))
        # R23: of prices that count as equal liquidation goes first.
        events = [Event(abs(met - self.stand) - EQUAL * met * (kind == LIQUIDATION), kind, age, met,
                        happen) for met, kind, age, happen in met_at if met is not None]
        return min(events, key=lambda each: each[:3], default=None)

    def stop_on_path(self, group: Group, end: float) -> float | None:
        """Where a stretch meets a stop: at once where price is beyond it, or on its way."""
        met, side = self.stop_meets(group), group.side
        return met if side * met >= min(side * self.stand, side * end) else None

    def limit_on_path(self, order: Order, sign: int, end: float) -> float | None:
        """Where a stretch meets a limit: at once where price is beyond it, or on its way."""
        if self.touches(self.stand, order, sign):
            return self.stand
        return self.edge(order, sign) if self.touches(end, order, sign) else None

    def trade_rest(self) -> None:
        """R13's steps 4 to 7, or what `event_order` puts in their place (R42)."""
        if self.rules.event_order == "path":
            self.follow_path()
        elif self.rules.event_order == "best":
            self.fill_limit_exits()
            self.fill_entries(with_walk=False)
            self.fill_exits_of_entries()
            self.walks()
        elif self.rules.event_order == "worst":
            self.walks()
            self.fill_entries()
            self.fill_limit_exits()
            self.fill_exits_at_close()
        else:
            self.walks()
            self.fill_limit_exits()
            self.fill_entries()
            self.fill_exits_at_close()

    # ---------------------------------------------------------------- a bar
    def trade_bar(self, index: int, bar: Bar, signal: int, is_last: bool) -> None:
        """One bar in R13's order, then what a strategy does at its close (R1)."""
        self.index, self.bar = index, bar
        self.step, self.stand = EXPIRIES, bar[1]
        self.expire_orders()
        self.pay_funding()
        self.kinds: set[str] = set()
        self.trade_open()
        self.note_ambiguity()
        self.trade_rest()
        for kind in {"total", *self.kinds} if self.kinds else ():
            self.ambiguous[kind] = self.ambiguous.get(kind, 0) + 1
        self.step, self.stand = SIGNALS, bar[4]
        if self.must_liquidate(bar[4]):
            self.liquidate(bar[4])
        self.check_daily_loss()
        if signal in SIDES:  # R5
            self.place_entry(signal)
        elif signal and self.positions[signal // 2].transactions:
            self.place_signal_exit(self.positions[signal // 2])
        if is_last and self.rules.close_at_end:  # R24
            for group in self.groups():
                self.close_group(group, bar[4], "close_at_end", "taker")
        self.equity = self.equity_at(bar[4])
        row = dict(  # R26
            time_ms=bar[0], balance=self.balance, unrealized_pnl=self.unrealized(bar[4]),
            equity=self.equity, margin=self.margin(bar[4]))
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
