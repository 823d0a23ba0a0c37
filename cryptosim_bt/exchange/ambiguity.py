"""Bars that alone cannot say what came first.

What a bar decides by rule (R13) is a guess where two things happened within it whose order
matters. The run counts and lists such bars; finer bars (`data.fill_timeframe`) resolve them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cryptosim_bt.accounting.account import LiquidationUnit
from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.exchange.fill_rules import Bar
from cryptosim_bt.exchange.order_book import WorkingOrder

ENTRY_AND_EXIT = "entry_and_exit"
TAKE_PROFIT_AND_STOP = "take_profit_and_stop"
EXIT_AND_LIQUIDATION = "exit_and_liquidation"


def ambiguities(
    exits: Sequence[WorkingOrder],
    entries: Sequence[WorkingOrder],
    stops: Sequence[WorkingOrder],
    units: Iterable[LiquidationUnit],
    bar: Bar,
) -> Iterator[str]:
    """Yield what a bar leaves open, given the limit exits and entries that it touches.

    - an entry and a limit exit of the same side are both touched: the exit may close the entry's
      own Position, or be replaced because it grew;
    - a limit exit and the stop of the same group are both touched;
    - a limit exit is touched and the liquidation price is reached.
    """
    exit_sides = {order.side for order in exits}
    if any(order.side in exit_sides for order in entries):
        yield ENTRY_AND_EXIT
    groups = {order.group for order in exits}
    if any(order.group in groups and _triggered(order, bar) for order in stops):
        yield TAKE_PROFIT_AND_STOP
    if exit_sides.intersection(liquidated_sides(units, bar)):
        yield EXIT_AND_LIQUIDATION


def liquidated_sides(units: Iterable[LiquidationUnit], bar: Bar) -> set[Side]:
    """Return the sides whose liquidation price a bar's mark reaches."""
    return {
        side
        for unit in units
        if bar.mark_low <= unit.region.lower or bar.mark_high >= unit.region.upper
        for side in unit.sides
    }


def _triggered(stop: WorkingOrder, bar: Bar) -> bool:
    return bar.high >= stop.price if stop.is_buy else bar.low <= stop.price
