"""Bars that alone cannot say what came first among the orders of a strategy without a book (R43).

Such an order does not say what it is for. It is an exit of a side where it closes contracts that
are held, or may do nothing else; it is an entry where it opens some.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from cryptosim_bt.accounting.account import LiquidationUnit
from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.exchange.ambiguity import (
    ENTRY_AND_EXIT,
    EXIT_AND_LIQUIDATION,
    TAKE_PROFIT_AND_STOP,
    liquidated_sides,
)
from cryptosim_bt.exchange.fill_rules import Bar
from cryptosim_bt.exchange.order_types import Match
from cryptosim_bt.exchange.strategy_orders import SIZE_TOLERANCE, StrategyOrder


class Purpose(NamedTuple):
    """The side that an order exits, and the side that it enters; None where it does not."""

    exits: Side | None
    enters: Side | None


def purpose(order: StrategyOrder, held: Mapping[Side, float]) -> Purpose:
    """Return what an order is for, given the contracts held on each side."""
    if order.side is not None:
        opening = order.side == order.opens
        return Purpose(None if opening else order.side, order.side if opening else None)
    closable = held[order.closes]
    if order.reduce_only:
        return Purpose(order.closes, None)
    rest = order.contracts - closable
    enters = order.opens if rest > SIZE_TOLERANCE * order.contracts else None
    return Purpose(order.closes if closable else None, enters)


def ambiguities(
    matches: Sequence[tuple[StrategyOrder, Match]],
    held: Mapping[Side, float],
    units: Iterable[LiquidationUnit],
    bar: Bar,
) -> Iterator[str]:
    """Yield what a bar leaves open, given the orders that it would fill, each alone.

    What fills at the open surely comes first, and is no part of the question; it decides what
    the others find.

    Parameters
    ----------
    matches
        Orders that work at the bar's start, older first, with their fills.
    held
        Contracts held then, on each side.
    units
        What is liquidated together, and where.
    bar
        The bar.
    """
    held = _after_open(matches, held)
    limits: set[tuple[Side, int]] = set()
    stops: set[tuple[Side, int]] = set()
    entered: set[Side] = set()
    for order, match in matches:
        if match.at_open:
            continue
        exits, enters = purpose(order, held)
        if enters is not None:
            entered.add(enters)
        if exits is not None:
            (stops if order.waits_for_trigger else limits).add((exits, order.groups[exits]))
    if entered.intersection(side for side, _ in limits | stops):
        yield ENTRY_AND_EXIT
    if limits & stops:
        yield TAKE_PROFIT_AND_STOP
    if liquidated_sides(units, bar).intersection(side for side, _ in limits):
        yield EXIT_AND_LIQUIDATION


def _after_open(
    matches: Sequence[tuple[StrategyOrder, Match]], held: Mapping[Side, float]
) -> dict[Side, float]:
    """Return the contracts of each side once what fills at the open has filled whole."""
    after = dict(held)
    for order, match in matches:
        if not match.at_open:
            continue
        exits, enters = purpose(order, after)
        closed = 0.0
        if exits is not None:
            closed = min(order.contracts, after[exits])
            after[exits] -= closed
        if enters is not None:
            after[enters] += order.contracts - closed
    return after
