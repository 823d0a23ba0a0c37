"""The orders that close a group: take-profit, stop-loss, signal exit (R8, R11, R19)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TypeVar

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import (
    CONTRACT_TOLERANCE,
    CancelOrder,
    Command,
    Execution,
    PlaceOrder,
    ResizeOrder,
    Role,
)
from cryptosim_bt.accounting.position_sets import Group, PositionSet

# A group's orders by name, in the order in which they are cancelled.
EXIT_NAMES = ("take_profit", "stop_loss", "signal_exit")
# The number of ended orders of each kind that are kept for late fills.
LATE_ORDERS = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BookRules:
    """How a book cuts and protects its positions. Percentages are fractions (0.02 = 2 %).

    A stop stands ``stop_loss_pct`` from its group's average, or with ``asks_stops`` where the
    strategy puts it when asked (`StopGiven`).
    """

    position_set_size: int
    max_sets: dict[Side, int]
    take_profit_pct: float | None
    stop_loss_pct: float | None
    asks_stops: bool = False


class EndedOrders(OrderedDict[int, T]):
    """The orders that ended last, by number: a venue may report a fill after the end.

    Reports are late by seconds; the last `LATE_ORDERS` are kept, so that memory has a bound.
    """

    def keep(self, number: int, order: T) -> None:
        """Keep an order that has ended; drop the oldest above the bound."""
        self[number] = order
        if len(self) > LATE_ORDERS:
            self.popitem(last=False)


class ExitOrders:
    """Makes, replaces and cancels a book's exit orders, and finds the group of each.

    Commands are appended to the list that is handed in, in the order in which they are wanted.
    """

    def __init__(self, instrument: Instrument, rules: BookRules) -> None:
        self._instrument = instrument
        self.rules = rules
        self._numbers = 0
        # Exit orders whose end has not been reported, wanted or not: a cancel may lose the race
        # against a fill. An order knows its group by tradeid, which a set keeps.
        self._unfilled: dict[int, PlaceOrder] = {}
        self._ended: EndedOrders[PlaceOrder] = EndedOrders()

    def next_number(self) -> int:
        """Return the number of the book's next order, an entry's as well."""
        self._numbers += 1
        return self._numbers

    def find(self, number: int) -> PlaceOrder | None:
        """Return an exit order that has not filled to its end, None if there is none."""
        return self._unfilled.get(number) or self._ended.get(number)

    def end(self, number: int) -> PlaceOrder | None:
        """Note that an exit order is over; return it, None if it was before, or is none."""
        order = self._unfilled.pop(number, None)
        if order is not None:
            self._ended.keep(number, order)
        return order

    def forget(self, number: int) -> None:
        """Forget an order that has filled to its end."""
        self._unfilled.pop(number, None)
        self._ended.pop(number, None)

    def place(
        self,
        role: Role,
        group: Group,
        price: float,
        commands: list[Command],
        contracts: float | None = None,
        expires_ms: int | None = None,
    ) -> PlaceOrder:
        """Place an order that closes all of a group, or some contracts of it, at a price."""
        if contracts is None:
            contracts = group.contracts
        order = PlaceOrder(
            self.next_number(), role, group.side, contracts, price, group.tradeid, expires_ms
        )
        self._unfilled[order.number] = order
        commands.append(order)
        return order

    def cancel(self, group: Group, name: str, reason: str, commands: list[Command]) -> None:
        """Cancel a group's order of a name in `EXIT_NAMES`, if it has one."""
        order: PlaceOrder | None = getattr(group, name)
        if order is not None:
            setattr(group, name, None)
            commands.append(CancelOrder(order.number, reason))

    def cancel_all(self, group: Group, reason: str, commands: list[Command]) -> None:
        """Cancel every order of a group."""
        for name in EXIT_NAMES:
            self.cancel(group, name, reason, commands)
        commands.extend(CancelOrder(order.number, reason) for order in group.triggered)
        group.triggered = []

    def release(self, group: Group, number: int) -> str | None:
        """Take an order that is over off its group; return its name there, None if it had none."""
        name = _name_of(group, number)
        if name is not None:
            setattr(group, name, None)
        else:
            group.triggered = [order for order in group.triggered if order.number != number]
        return name

    def set_off(self, group: Group, number: int) -> None:
        """Keep a stop that has become a market order apart from the group's stop (R37)."""
        order = group.stop_loss
        if order is not None and order.number == number:
            group.stop_loss = None
            group.triggered.append(order)

    def shrink(self, group: Group, fill: Execution, commands: list[Command]) -> None:
        """Keep a partly closed group's exits as large as what is left.

        The order that filled has shrunk by its fill; the others are resized. Triggered stops go on
        for what they were sent for, as far as the group still holds it; the stop is for the rest.
        """
        for name in ("take_profit", "signal_exit"):
            order: PlaceOrder | None = getattr(group, name)
            if order is not None:
                setattr(group, name, self._resize(order, group.contracts, fill, commands))
        self._shrink_stops(group, fill, commands)

    def _shrink_stops(self, group: Group, fill: Execution, commands: list[Command]) -> None:
        triggered, stop = group.triggered, group.stop_loss
        group.triggered, group.stop_loss = [], None
        for order in (*triggered, stop):
            if order is None:
                continue
            left = order.contracts
            if order.number == fill.number:
                left -= fill.contracts
                if left <= CONTRACT_TOLERANCE * fill.contracts:
                    self.forget(order.number)
                    continue
            held = _uncovered(group)
            if not held:
                commands.append(CancelOrder(order.number, "a triggered stop closes what is left"))
            elif order is stop:
                group.stop_loss = self._resize(order, held, fill, commands)
            else:
                group.triggered.append(self._resize(order, min(left, held), fill, commands))

    def _resize(
        self, order: PlaceOrder, contracts: float, fill: Execution, commands: list[Command]
    ) -> PlaceOrder:
        """Return an order with other contracts, the venue's as well unless the fill shrank it."""
        # What the group wants of the order follows: a stop of another size is a stale one.
        kept = replace(order, contracts=contracts)
        self._unfilled[order.number] = kept
        if order.number != fill.number:
            commands.append(ResizeOrder(order.number, contracts))
        return kept

    def protect(self, group: Group, commands: list[Command]) -> None:
        """Place or replace a group's take-profit and stop for its present contents (R19)."""
        if group.signal_exit is not None:
            group.signal_exit = replace(group.signal_exit, contracts=group.contracts)
            self._unfilled[group.signal_exit.number] = group.signal_exit
            commands.append(ResizeOrder(group.signal_exit.number, group.contracts))
        elif self.rules.take_profit_pct is not None:
            self.cancel(group, "take_profit", "replaced: its group grew", commands)
            # R8: a take-profit never earns less than asked.
            pct, up = self.rules.take_profit_pct, group.side == "long"
            away = group.average * (1.0 + pct if up else 1.0 - pct)
            price = self._instrument.on_tick(away, up=up)
            group.take_profit = self.place(Role.TAKE_PROFIT, group, price, commands)
        # A take-profit that comes back after a signal exit leaves the stop alone (R11).
        uncovered = _uncovered(group)
        if group.stop_loss is None or group.stop_loss.contracts != uncovered:
            # The strategy's own stop (R46) comes with an event, so that a replay has it too.
            group.asks_stop = self.rules.asks_stops and uncovered > 0.0
            if not group.asks_stop:
                self.put_stop(group, self._default_stop(group), commands)
        self._note_prices(group)

    def put_stop(self, group: Group, asked: float | None, commands: list[Command]) -> None:
        """Place or replace a group's stop at a price that is not on the tick yet; None = no stop.

        It is for what no triggered stop closes (R37).
        """
        group.asks_stop = False
        self.cancel(group, "stop_loss", "replaced: its group grew", commands)
        uncovered = _uncovered(group)
        if asked is not None and asked > 0.0 and uncovered:
            # R8: a stop is never tighter than asked.
            price = self._instrument.on_tick(asked, up=group.side == "short")
            group.stop_loss = self.place(Role.STOP_LOSS, group, price, commands, uncovered)
        self._note_prices(group)

    def anew(self, group: Group, number: int, commands: list[Command]) -> None:
        """Place an order again that the venue has not resized, at the same price."""
        name = _name_of(group, number)
        if name is not None:
            order: PlaceOrder = getattr(group, name)
            self.cancel(group, name, "replaced: it was not resized", commands)
            anew = self.place(
                order.role, group, order.price, commands, order.contracts, order.expires_ms
            )
            setattr(group, name, anew)

    @staticmethod
    def _note_prices(group: Group) -> None:
        """Keep in a set where its exits stood last."""
        if isinstance(group, PositionSet):
            group.take_profit_price = group.take_profit.price if group.take_profit else None
            stops = [*group.triggered, *([group.stop_loss] if group.stop_loss else [])]
            group.stop_loss_price = stops[-1].price if stops else None

    def _default_stop(self, group: Group) -> float | None:
        distance = self.rules.stop_loss_pct
        if distance is None:
            return None
        return group.average * (1.0 - distance if group.side == "long" else 1.0 + distance)


def _name_of(group: Group, number: int) -> str | None:
    """Return which of a group's orders has a number, None if none has."""
    orders = ((name, getattr(group, name)) for name in EXIT_NAMES)
    return next((name for name, order in orders if order and order.number == number), None)


def _uncovered(group: Group) -> float:
    """Return the contracts of a group that no triggered stop closes, 0 within rounding."""
    contracts = group.contracts
    for order in group.triggered:
        contracts -= order.contracts
    return contracts if contracts > CONTRACT_TOLERANCE * group.contracts else 0.0
