"""PositionBook by itself: entries and exits in parts, stops that were triggered (R35-R37)."""

from __future__ import annotations

import pytest

from cryptosim_bt.accounting.book_events import StopTriggered
from cryptosim_bt.accounting.orders import (
    OrderEnd,
    PlaceOrder,
    Role,
)
from cryptosim_bt.accounting.position_book import PositionBook
from tests.books import (
    cancelled,
    ended,
    enter,
    fill_of,
    new_book,
    placed,
    resized,
    want_entry,
    want_signal_exit,
)


def test_entry_filled_in_parts_is_one_transaction_at_its_average() -> None:
    # Later sections, partial fills: (1 * 100 + 3 * 104) / 4 = 103.
    book = new_book()
    order = want_entry(book, 4.0, 104.0)
    first = book.apply(fill_of(order, 1.0, 100.0, fee=0.1))
    second = book.apply(fill_of(order, 3.0, 104.0, fee=0.3))
    (transaction,) = book.position("long").transactions
    assert (transaction.contracts, transaction.entry_price) == (4.0, 103.0)
    assert transaction.fees == pytest.approx(0.4, abs=1e-12)
    assert transaction.complete
    # Each part is protected at once, for as much as there is.
    assert placed(first.commands, Role.STOP_LOSS).contracts == 1.0
    assert placed(second.commands, Role.STOP_LOSS).contracts == 4.0
    assert book.balance == pytest.approx(1000.0 - 0.4, abs=1e-12)


def test_set_waits_until_every_transaction_is_complete() -> None:
    # R18 with partial fills: the second entry makes the Position full, but is not done.
    book = new_book(position_set_size=2)
    growing = want_entry(book, 2.0, 100.0)
    book.apply(fill_of(growing, 1.0))
    enter(book, 100.0)
    assert book.count_sets("long") == 0
    book.apply(fill_of(growing, 1.0))
    assert book.count_sets("long") == 1
    assert book.open_sets("long")[0].contracts == 4.0


def test_entry_that_expires_with_something_filled_counts_towards_a_set() -> None:
    book = new_book(position_set_size=2)
    enter(book, 100.0)
    order = want_entry(book, 4.0, 100.0)
    book.apply(fill_of(order, 1.0))
    assert book.count_sets("long") == 0
    commands = book.apply(ended(order.number, OrderEnd.EXPIRED)).commands
    assert book.count_sets("long") == 1
    assert placed(commands, Role.TAKE_PROFIT).contracts == 3.0


def test_entry_that_expires_empty_leaves_no_trace() -> None:
    book = new_book(position_set_size=1)
    order = want_entry(book, 4.0, 100.0)
    assert book.apply(ended(order.number, OrderEnd.EXPIRED)).commands == ()
    assert book.position("long").transactions == []
    assert book.apply(ended(order.number, OrderEnd.EXPIRED)).commands == ()


def test_rest_of_an_entry_after_its_position_was_closed_opens_a_new_transaction() -> None:
    # The take-profit closed what was there; the rest of the entry fills all the same.
    book = new_book()
    order = want_entry(book, 4.0, 100.0)
    first = book.apply(fill_of(order, 1.0))
    book.apply(fill_of(placed(first.commands, Role.TAKE_PROFIT)))
    rest = book.apply(fill_of(order, 3.0))
    assert book.contracts("long") == 3.0
    assert book.position("long").average == 100.0
    assert placed(rest.commands, Role.TAKE_PROFIT).contracts == 3.0
    assert book.equity(100.0) == 1000.0 + 1 * 2.0
    book.apply(fill_of(placed(rest.commands, Role.STOP_LOSS)))
    assert sum(trade.contracts for trade in book.trades) == 4.0
    assert sum(trade.gross_pnl for trade in book.trades) == 1 * 2.0 + 3 * -5.0


# ---------------------------------------------------------------------- partial exits
def test_exit_filled_in_parts_takes_from_every_transaction_pro_rata() -> None:
    # 3 of 6 contracts: 1 of 2 and 2 of 4; the average stays, the stop shrinks.
    book = new_book()
    enter(book, 100.0, contracts=2.0)
    exits = enter(book, 106.0, contracts=4.0)
    take_profit = placed(exits, Role.TAKE_PROFIT)
    outcome = book.apply(fill_of(take_profit, 3.0, fee=0.6))
    position = book.position("long")
    assert [each.open_contracts for each in position.transactions] == [1.0, 2.0]
    assert position.average == 104.0
    assert resized(outcome.commands) == {placed(exits, Role.STOP_LOSS).number: 3.0}
    assert outcome.fills[0].group_pnl == 3 * (take_profit.price - 104.0)
    assert book.trades == []

    book.apply(fill_of(take_profit, 3.0, fee=0.6))
    assert [trade.contracts for trade in book.trades] == [2.0, 4.0]
    assert sum(trade.fees for trade in book.trades) == pytest.approx(1.2, abs=1e-12)
    assert sum(trade.gross_pnl for trade in book.trades) == pytest.approx(
        6 * (take_profit.price - 104.0), abs=1e-12
    )


def test_trade_closed_in_parts_has_the_average_of_its_exits() -> None:
    book = new_book()
    exits = enter(book, 100.0, contracts=4.0)
    book.apply(fill_of(placed(exits, Role.TAKE_PROFIT), 1.0, 102.0))
    book.apply(fill_of(placed(exits, Role.STOP_LOSS), 3.0, 94.0))
    (trade,) = book.trades
    assert trade.exit_price == (1 * 102.0 + 3 * 94.0) / 4
    assert trade.gross_pnl == 1 * 2.0 + 3 * -6.0
    assert trade.exit_reason == "stop_loss"


def test_stop_of_a_partly_closed_group_is_not_replaced_when_the_take_profit_returns() -> None:
    # R11: the stop stays, and it was resized already.
    book = new_book()
    exits = enter(book, 100.0, contracts=4.0)
    exit_order = placed(want_signal_exit(book, 101.0), Role.SIGNAL_EXIT)
    book.apply(fill_of(exit_order, 1.0))
    commands = book.apply(ended(exit_order.number, OrderEnd.EXPIRED)).commands
    assert placed(commands, Role.TAKE_PROFIT).contracts == 3.0
    assert placed(exits, Role.STOP_LOSS).number not in cancelled(commands)


# ---------------------------------------------------------------------- triggered stops
def triggered(book: PositionBook, contracts: float = 4.0, filled: float = 1.0) -> PlaceOrder:
    """Enter at 100, trigger the stop and fill a part of it; return the stop."""
    stop = placed(enter(book, 100.0, contracts=contracts), Role.STOP_LOSS)
    book.apply(fill_of(stop, filled))
    book.apply(StopTriggered(stop.number, 0))
    return stop


def test_triggered_stop_is_not_replaced_and_what_grew_has_a_stop_of_its_own() -> None:
    # R37: 3 of 4 are left to the triggered one; 2 more at 90 make 5 at 96.
    book = new_book()
    stop = triggered(book)
    commands = enter(book, 90.0, contracts=2.0)
    assert stop.number not in cancelled(commands)
    new = placed(commands, Role.STOP_LOSS)
    assert (new.contracts, new.price) == (2.0, 91.0)  # 96 * 0.95 = 91.2, down to the tick
    assert placed(commands, Role.TAKE_PROFIT).contracts == 5.0
    # The old one fills to its end: only the take-profit has to shrink.
    outcome = book.apply(fill_of(stop, 3.0))
    assert resized(outcome.commands)[placed(commands, Role.TAKE_PROFIT).number] == 2.0
    assert cancelled(outcome.commands) == set()
    assert book.position("long").triggered == []
    assert book.contracts("long") == 2.0


def test_part_of_a_take_profit_leaves_the_triggered_stop_and_takes_from_the_other() -> None:
    book = new_book()
    stop = triggered(book)
    commands = enter(book, 90.0, contracts=2.0)
    take_profit, new = (placed(commands, role) for role in (Role.TAKE_PROFIT, Role.STOP_LOSS))
    first = book.apply(fill_of(take_profit, 1.0))
    # 4 are left, 3 of them for the triggered stop.
    assert resized(first.commands) == {stop.number: 3.0, new.number: 1.0}
    second = book.apply(fill_of(take_profit, 2.0))
    # 2 are left: less than the triggered stop was sent for.
    assert resized(second.commands) == {stop.number: 2.0}
    assert cancelled(second.commands) == {new.number}


def test_end_of_a_group_cancels_its_triggered_stops() -> None:
    book = new_book()
    stop = triggered(book)
    commands = enter(book, 90.0, contracts=2.0)
    take_profit, new = (placed(commands, role) for role in (Role.TAKE_PROFIT, Role.STOP_LOSS))
    outcome = book.apply(fill_of(take_profit))
    assert cancelled(outcome.commands) == {stop.number, new.number}
    assert book.contracts("long") == 0.0


def test_take_profit_that_returns_wants_no_stop_beside_the_triggered_one() -> None:
    book = new_book()
    triggered(book)
    exit_order = placed(want_signal_exit(book, 101.0), Role.SIGNAL_EXIT)
    commands = book.apply(ended(exit_order.number, OrderEnd.EXPIRED)).commands
    assert [each.role for each in commands if isinstance(each, PlaceOrder)] == [Role.TAKE_PROFIT]


def test_second_stop_may_be_triggered_beside_the_first() -> None:
    book = new_book(position_set_size=4)
    first = triggered(book)
    second = placed(enter(book, 90.0, contracts=2.0), Role.STOP_LOSS)
    book.apply(StopTriggered(second.number, 0))  # without volume
    third = placed(enter(book, 90.0, contracts=3.0), Role.STOP_LOSS)
    assert third.contracts == 3.0
    outcome = book.apply(fill_of(second, 2.0))
    assert resized(outcome.commands)[third.number] == 3.0
    assert [each.number for each in book.position("long").triggered] == [first.number]


def test_triggered_stop_that_is_cancelled_from_outside_is_forgotten() -> None:
    book = new_book()
    stop = triggered(book)
    assert book.apply(ended(stop.number, OrderEnd.CANCELLED)).commands == ()
    # The group has no stop until it grows; then one for all of it.
    assert placed(enter(book, 90.0, contracts=2.0), Role.STOP_LOSS).contracts == 5.0
