"""Finds bars whose four prices leave the order of events open (R43).

Where the result depends on which of two events within a bar came first, R13 only guesses. The run
counts and lists such bars; finer bars (`data.fill_timeframe`) resolve them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from cryptosim_bt.accounting.account import LiquidationUnit
from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.exchange.fill_rules import Bar
from cryptosim_bt.exchange.order_book import SIZE_TOLERANCE, Order

ENTRY_AND_EXIT = "entry_and_exit"
TAKE_PROFIT_AND_STOP = "take_profit_and_stop"
EXIT_AND_LIQUIDATION = "exit_and_liquidation"


class Purpose(NamedTuple):
    """The side that an order exits, and the side that it enters; None where it does not."""

    exits: Side | None
    enters: Side | None


class Reached(NamedTuple):
    """An order that a bar would fill if it were alone; ``at_open``: as the bar's first event."""

    order: Order
    at_open: bool = False


def purpose(order: Order, held: Mapping[Side, float]) -> Purpose:
    """Return which side an order exits and enters, given the contracts held on each.

    An order with a role follows its role. One without is an exit of a side where it closes
    contracts that are held, or may do nothing else; it is an entry where it opens some.
    """
    if order.role is not None:
        enters = order.role is Role.ENTRY
        return Purpose(None if enters else order.side, order.side if enters else None)
    if order.side is not None:
        opening = order.side == order.opens
        return Purpose(None if opening else order.side, order.side if opening else None)
    closable = held[order.closes]
    if order.reduce_only:
        return Purpose(order.closes, None)
    rest = order.contracts - closable
    opens = order.opens if rest > SIZE_TOLERANCE * order.contracts else None
    return Purpose(order.closes if closable else None, opens)


def ambiguities(
    reached: Sequence[Reached],
    held: Mapping[Side, float],
    units: Iterable[LiquidationUnit],
    bar: Bar,
) -> Iterator[str]:
    """Yield the kinds of ambiguity of a bar.

    - An entry and an exit of the same side: the exit may close the entry's own Position, or be
      replaced because it grew.
    - A limit exit and a stop of the same holding.
    - A limit exit and the liquidation price of its side.

    Fills at the open come first, and price orders what lies on one walk, down or up from there:
    neither is ambiguous. The other orders are judged by what is held after the open's fills.
    ``reached`` are the orders that the bar fills, older first, ``held`` the contracts before.
    """
    held = _after_open(reached, held)
    limits: set[tuple[Side, int]] = set()
    stops: set[tuple[Side, int]] = set()
    entered: set[tuple[Side, bool]] = set()
    left: set[tuple[Side, bool]] = set()
    for order, at_open in reached:
        if at_open:
            continue
        exits, enters = purpose(order, held)
        by_stop = order.waits_for_trigger or order.role is Role.STOP_LOSS
        below = order.is_buy != by_stop
        if enters is not None:
            entered.add((enters, not below))
        if exits is not None:
            (stops if by_stop else limits).add((exits, order.groups[exits]))
            left.add((exits, below))
    if entered & left:
        yield ENTRY_AND_EXIT
    if limits & stops:
        yield TAKE_PROFIT_AND_STOP
    if liquidated_sides(units, bar).intersection(side for side, _ in limits):
        yield EXIT_AND_LIQUIDATION


def liquidated_sides(units: Iterable[LiquidationUnit], bar: Bar) -> set[Side]:
    """Return the sides whose liquidation price a bar's mark reaches on the way against them."""
    sides: set[Side] = set()
    for unit in units:
        if "long" in unit.sides and bar.mark_low <= unit.region.lower:
            sides.add("long")
        if "short" in unit.sides and bar.mark_high >= unit.region.upper:
            sides.add("short")
    return sides


def _after_open(reached: Sequence[Reached], held: Mapping[Side, float]) -> Mapping[Side, float]:
    """Return the contracts of each side once the orders at the open have filled fully."""
    after = dict(held)
    for order, at_open in reached:
        if not at_open:
            continue
        exits, enters = purpose(order, after)
        closed = 0.0
        if exits is not None:
            closed = min(order.contracts, after[exits])
            after[exits] -= closed
        if enters is not None:
            after[enters] += order.contracts - closed
    return after
