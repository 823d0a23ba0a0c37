"""What the book answers to a venue that does what nobody asked for: each answer, by hand.

The contract is linear with one coin a contract, so that money can be counted by hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cryptosim_bt.accounting import exit_orders
from cryptosim_bt.accounting.book_events import (
    NO_ANSWER,
    REPEATED,
    Change,
    ChangeRefused,
    Forgiven,
    Funded,
    LegClosed,
    OrderRejected,
    StopGiven,
    StopTriggered,
)
from cryptosim_bt.accounting.orders import (
    Command,
    Execution,
    OrderEnd,
    PlaceOrder,
    Role,
    UnknownFill,
)
from cryptosim_bt.accounting.position_book import PositionBook
from tests.books import (
    cancelled,
    ended,
    enter,
    fill_of,
    funding,
    new_book,
    placed,
    want_entry,
    want_signal_exit,
)


def unknown(commands: Sequence[Command]) -> list[Execution]:
    return [each.execution for each in commands if isinstance(each, UnknownFill)]


def leg_closed(contracts: float, price: float, fee: float = 0.0, **more: object) -> LegClosed:
    return LegClosed(7, "long", contracts, price, fee, 0.0, Role.LIQUIDATION, **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- fills nobody waits for
def test_fill_of_an_order_that_is_not_the_books_is_unknown_and_books_nothing() -> None:
    for role in (Role.ENTRY, Role.TAKE_PROFIT):
        book = new_book()
        enter(book, 100.0)
        fill = fill_of(PlaceOrder(77, role, "long", 1.0, 100.0), fee=1.0)
        answer = book.apply(fill)
        assert unknown(answer.commands) == [fill]
        assert (answer.fills, book.balance, book.contracts("long")) == ((), 1000.0, 2.0)


def test_fill_of_a_group_that_is_closed_is_unknown_and_no_fill_of_the_next() -> None:
    # Take-profit and stop both filled at the venue: what the second closes is not in the book.
    book = new_book()
    exits = enter(book, 100.0)
    book.apply(fill_of(placed(exits, Role.TAKE_PROFIT)))  # 2 * (102 - 100)
    enter(book, 100.0)
    late = fill_of(placed(exits, Role.STOP_LOSS), fee=0.5)
    assert unknown(book.apply(late).commands) == [late]
    assert book.contracts("long") == 2.0
    assert book.balance == 1000.0 + 4.0


def test_exit_larger_than_its_group_closes_what_is_there_and_reports_the_rest() -> None:
    # 5 of a group of 2 at 102, fee 1: 2 / 5 of the fee is the group's, the rest is 3 with 0.6.
    book = new_book()
    exits = enter(book, 100.0)
    answer = book.apply(fill_of(placed(exits, Role.TAKE_PROFIT), 5.0, fee=1.0))
    (rest,) = unknown(answer.commands)
    assert (rest.contracts, rest.fee) == (3.0, 0.6)
    (booked,) = answer.fills
    assert (booked.execution.contracts, booked.execution.fee, booked.group_pnl) == (2.0, 0.4, 4.0)
    assert cancelled(answer.commands) == {placed(exits, Role.STOP_LOSS).number}
    assert book.balance == 1000.0 + 4.0 - 0.4
    assert book.contracts("long") == 0.0


def test_late_fill_of_an_entry_that_has_ended_is_taken_in() -> None:
    book = new_book()
    order = want_entry(book, 2.0, 100.0)
    book.apply(ended(order.number))
    answer = book.apply(fill_of(order))
    assert placed(answer.commands, Role.TAKE_PROFIT).contracts == 2.0
    assert book.contracts("long") == 2.0


def test_end_told_before_the_last_fill_leaves_the_same_position() -> None:
    # 1 at 100 and 3 at 104 are 4 at 103, whichever is told first.
    book = new_book()
    order = want_entry(book, 9.0, 104.0)
    book.apply(fill_of(order, 1.0, 100.0))
    book.apply(ended(order.number))
    book.apply(fill_of(order, 3.0, 104.0))
    (transaction,) = book.position("long").transactions
    assert (transaction.contracts, transaction.entry_price) == (4.0, 103.0)
    assert transaction.complete


def test_ended_orders_are_known_for_a_while_and_then_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exit_orders, "LATE_ORDERS", 3)
    book = new_book()
    orders = [want_entry(book, 1.0, 100.0) for _ in range(5)]
    for order in orders:
        book.apply(ended(order.number))
    assert not book._entries
    assert len(book._ended_entries) == 3
    first, last = fill_of(orders[0]), fill_of(orders[-1])
    assert unknown(book.apply(first).commands) == [first]
    assert unknown(book.apply(last).commands) == []


# ---------------------------------------------------------------------- told twice
def test_what_is_told_twice_is_applied_once() -> None:
    book = new_book()
    order = want_entry(book, 2.0, 100.0)
    book.apply(fill_of(order, 1.0))
    paid, forgiven = Funded(funding(-6.0), "a"), Forgiven(3.0, 0, "a")
    closed = leg_closed(0.5, 90.0, fill_id="a")
    for event in (paid, forgiven, closed):
        # One id of three kinds of events: they are not each other's.
        assert book.apply(event) is not REPEATED
        assert book.apply(event) is REPEATED
    assert book.balance == 1000.0 - 6.0 + 3.0 + 0.5 * -10.0
    assert book.contracts("long") == 0.5


def test_order_that_ends_twice_ends_once() -> None:
    book = new_book(position_set_size=1)
    order = want_entry(book, 4.0, 100.0)
    book.apply(fill_of(order, 1.0))
    assert placed(book.apply(ended(order.number)).commands, Role.TAKE_PROFIT).contracts == 1.0
    assert book.apply(ended(order.number, OrderEnd.CANCELLED)) is NO_ANSWER
    assert book.count_sets("long") == 1
    exits = enter(book, 100.0)
    for _ in range(2):
        assert book.apply(ended(placed(exits, Role.TAKE_PROFIT).number)) is NO_ANSWER


def test_funding_of_an_empty_leg_moves_the_balance_alone() -> None:
    book = new_book()
    book.apply(Funded(funding(-6.0), "late"))
    assert book.balance == 994.0


def test_notice_of_an_order_that_is_unknown_changes_nothing() -> None:
    book = new_book()
    enter(book, 100.0)
    before = repr(book.position("long"))
    for event in (ended(99), OrderRejected(99, "", 0), StopTriggered(99, 0),
                  StopGiven("long", 99, 1.0)):  # fmt: skip
        assert book.apply(event) is NO_ANSWER
    assert not book.apply(ChangeRefused(99, Change.RESIZE, "", 0)).commands
    assert repr(book.position("long")) == before


# ---------------------------------------------------------------------- a leg that the venue closes
def three_groups() -> PositionBook:
    """Return a book with sets of 2 and 4 at 100 and a Position of 6 at 100, long."""
    book = new_book(position_set_size=1, max_sets={"long": 2, "short": 2})
    for contracts in (2.0, 4.0, 6.0):
        enter(book, 100.0, contracts=contracts)
    return book


def test_leg_closed_by_the_venue_takes_sets_by_birth_then_the_position() -> None:
    # R23: 12 at 90 with a fee of 12: 2, 4 and 6 of it.
    book = three_groups()
    answer = book.apply(leg_closed(12.0, 90.0, 12.0))
    booked = [(each.group, each.execution.contracts, each.execution.fee, each.group_pnl)
              for each in answer.fills]  # fmt: skip
    assert booked == [("S1", 2.0, 2.0, -20.0), ("S2", 4.0, 4.0, -40.0), ("P-long", 6.0, 6.0, -60.0)]
    assert len(cancelled(answer.commands)) == 6  # a take-profit and a stop each
    assert book.balance == 1000.0 - 120.0 - 12.0
    assert [trade.exit_reason for trade in book.trades] == ["liquidation"] * 3


def test_part_of_a_leg_closed_by_the_venue_takes_from_the_first_groups() -> None:
    book = three_groups()
    answer = book.apply(leg_closed(5.0, 90.0, 5.0))
    assert [(each.group, each.execution.contracts) for each in answer.fills] == [
        ("S1", 2.0), ("S2", 3.0),
    ]  # fmt: skip
    assert [group.contracts for group in book.groups("long")] == [1.0, 6.0]


def test_leg_closed_beyond_what_is_held_reports_the_rest() -> None:
    book = three_groups()
    answer = book.apply(leg_closed(16.0, 90.0, 16.0))
    (rest,) = unknown(answer.commands)
    assert (rest.contracts, rest.fee) == (4.0, 4.0)
    assert book.balance == 1000.0 - 120.0 - 12.0


# ---------------------------------------------------------------------- changes that are refused
def test_cancel_that_is_refused_leaves_an_order_whose_fill_still_counts() -> None:
    book = new_book()
    first = enter(book, 100.0)
    enter(book, 110.0)  # 4 at 105; the first take-profit is cancelled
    order = placed(first, Role.TAKE_PROFIT)
    assert not book.apply(ChangeRefused(order.number, Change.CANCEL, "busy", 0)).commands
    book.apply(fill_of(order))
    assert book.contracts("long") == 2.0
    assert book.balance == 1000.0 + 2 * (102.0 - 105.0)


def test_resize_that_is_refused_replaces_the_order() -> None:
    # 1 of 4 is taken; the stop should have shrunk to 3 and has not.
    book = new_book()
    exits = enter(book, 100.0, contracts=4.0)
    stop = placed(exits, Role.STOP_LOSS)
    book.apply(fill_of(placed(exits, Role.TAKE_PROFIT), 1.0))
    commands = book.apply(ChangeRefused(stop.number, Change.RESIZE, "busy", 0)).commands
    assert cancelled(commands) == {stop.number}
    anew = placed(commands, Role.STOP_LOSS)
    assert (anew.contracts, anew.price) == (3.0, stop.price)
    # Refused once more, of an order that is not wanted any longer: nothing.
    assert not book.apply(ChangeRefused(stop.number, Change.RESIZE, "busy", 0)).commands


def test_signal_exit_that_is_not_resized_keeps_its_end() -> None:
    book = new_book()
    enter(book, 100.0)
    order = placed(want_signal_exit(book, 101.0), Role.SIGNAL_EXIT)
    enter(book, 100.0)
    commands = book.apply(ChangeRefused(order.number, Change.RESIZE, "busy", 0)).commands
    anew = placed(commands, Role.SIGNAL_EXIT)
    assert (anew.contracts, anew.price, anew.expires_ms) == (4.0, 101.0, order.expires_ms)


def test_rejected_signal_exit_gives_its_place_back() -> None:
    # R11, R44
    book = new_book()
    enter(book, 100.0)
    order = placed(want_signal_exit(book, 101.0), Role.SIGNAL_EXIT)
    commands = book.apply(OrderRejected(order.number, "too many orders", 0)).commands
    assert placed(commands, Role.TAKE_PROFIT).price == 102.0


# ---------------------------------------------------------------------- stops of the strategy's own
def test_stop_is_asked_for_and_the_old_one_stands_until_it_is_given() -> None:
    # R46, R8: 94.3 goes down to the tick of 0.5.
    book = new_book(asks_stops=True)
    answer = book.apply(fill_of(want_entry(book, 2.0, 100.0)))
    group = answer.asks_stop
    assert group is book.position("long")
    first = book.apply(StopGiven("long", group.tradeid, 94.3)).commands
    assert placed(first, Role.STOP_LOSS).price == 94.0
    again = book.apply(fill_of(want_entry(book, 2.0, 100.0)))
    assert placed(first, Role.STOP_LOSS).number not in cancelled(again.commands)
    second = book.apply(StopGiven("long", group.tradeid, None)).commands
    assert cancelled(second) == {placed(first, Role.STOP_LOSS).number}
    assert book.apply(StopGiven("long", group.tradeid, 50.0)) is NO_ANSWER  # was not asked for
