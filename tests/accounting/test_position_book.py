"""PositionBook by itself: fills in, wanted orders out (R11, R18, R19, R21), as when live.

The contract is linear with one coin a contract, so that money can be counted by hand.
"""

from __future__ import annotations

import pytest

from cryptosim_bt.accounting.book_events import REPEATED, Forgiven, Funded
from cryptosim_bt.accounting.contracts import InverseContract
from cryptosim_bt.accounting.orders import (
    Execution,
    Liquidity,
    OrderEnd,
    PlaceOrder,
    Role,
)
from cryptosim_bt.accounting.position_book import BookRules, PositionBook
from cryptosim_bt.accounting.position_sets import PositionSet
from tests.books import (
    HOUR_MS,
    cancelled,
    ended,
    enter,
    fill_of,
    funding,
    instrument,
    new_book,
    placed,
    resized,
    want_entry,
    want_signal_exit,
)


# ---------------------------------------------------------------------- whole fills
def test_entry_filled_wants_take_profit_and_stop_at_their_distance() -> None:
    # R8, R19: 100 * 1.02 = 102; 100 * 0.95 = 95.
    commands = enter(new_book(), 100.0)
    assert placed(commands, Role.TAKE_PROFIT).price == 102.0
    assert placed(commands, Role.STOP_LOSS).price == 95.0
    assert {each.contracts for each in commands if isinstance(each, PlaceOrder)} == {2.0}


def test_second_entry_replaces_the_exits_at_the_new_average() -> None:
    # R19: (2 * 100 + 2 * 110) / 4 = 105; 107.1 up to 107.5; 99.75 down to 99.5.
    book = new_book()
    first = enter(book, 100.0)
    second = enter(book, 110.0)
    assert cancelled(second) == {
        placed(first, Role.TAKE_PROFIT).number,
        placed(first, Role.STOP_LOSS).number,
    }
    assert placed(second, Role.TAKE_PROFIT).price == 107.5
    assert placed(second, Role.STOP_LOSS).price == 99.5
    assert book.position("long").average == 105.0


def test_exit_filled_closes_every_transaction_and_shares_its_fee_by_contracts() -> None:
    # R19, R26: a fee of 3 on 2 + 4 contracts is 1 and 2.
    book = new_book()
    enter(book, 100.0, contracts=2.0)
    exits = enter(book, 100.0, contracts=4.0)
    outcome = book.apply(fill_of(placed(exits, Role.TAKE_PROFIT), fee=3.0, hour=5))
    assert outcome.fills[0].group == "P-long"
    assert outcome.fills[0].group_pnl == 6 * (102.0 - 100.0)
    assert cancelled(outcome.commands) == {placed(exits, Role.STOP_LOSS).number}
    assert [(trade.contracts, trade.fees) for trade in book.trades] == [(2.0, 1.0), (4.0, 2.0)]
    assert [trade.net_pnl for trade in book.trades] == [2 * 2.0 - 1.0, 4 * 2.0 - 2.0]
    assert {trade.exit_time_ms for trade in book.trades} == {5 * HOUR_MS}
    assert book.balance == 1000.0 + 12.0 - 3.0
    assert book.contracts("long") == 0.0


def test_inverse_book_averages_harmonically() -> None:
    # R19: 2 / (1/100 + 1/110), not 105.
    book = PositionBook(
        InverseContract(100.0), instrument(), BookRules(9, {"long": 1, "short": 1}, 0.02, None), 1.0
    )
    enter(book, 100.0, contracts=1.0)
    enter(book, 110.0, contracts=1.0)
    assert book.position("long").average == pytest.approx(2 / (1 / 100 + 1 / 110), rel=1e-12)


# ---------------------------------------------------------------------- sets
def test_position_of_full_size_becomes_a_set_with_its_own_exits() -> None:
    # R18
    book = new_book(position_set_size=2)
    enter(book, 100.0)
    tradeid = book.position("long").tradeid
    commands = enter(book, 110.0)
    (made,) = book.open_sets("long")
    assert (made.name, made.contracts, made.average) == ("S1", 4.0, 105.0)
    assert made.tradeid == tradeid
    assert book.position("long").tradeid != tradeid
    assert book.position("long").contracts == 0.0
    assert placed(commands, Role.TAKE_PROFIT).group == tradeid


def test_position_on_a_full_side_keeps_its_transactions() -> None:
    # R18
    book = new_book(position_set_size=1, max_sets={"long": 1, "short": 1})
    enter(book, 100.0)
    enter(book, 100.0)
    enter(book, 100.0)
    assert book.count_sets("long") == 1
    assert len(book.position("long").transactions) == 2
    assert book.sets_full("long")
    assert not book.sets_full("short")


def test_sets_are_numbered_over_both_sides_and_closed_in_order_of_birth() -> None:
    # R23: the sets of a side by birth, then its Position.
    book = new_book(position_set_size=1, max_sets={"long": 2, "short": 2})
    for side in ("long", "short", "long", "long"):
        enter(book, 100.0, side=side)
    assert [group.name for group in book.groups("long")] == ["S1", "S3", "P-long"]
    assert [group.name for group in book.groups("short")] == ["S2"]


# ---------------------------------------------------------------------- fills twice and late
def test_fill_reported_twice_is_booked_once() -> None:
    book = new_book()
    order = want_entry(book, 2.0, 100.0)
    assert len(book.apply(fill_of(order, fee=1.0, fill_id="a")).fills) == 1
    assert book.apply(fill_of(order, fee=1.0, fill_id="a")) is REPEATED
    assert book.contracts("long") == 2.0
    assert book.balance == 999.0


def test_replaced_take_profit_that_fills_late_closes_its_part() -> None:
    # Its cancel lost the race: 2 of 4 contracts are closed, pro rata.
    book = new_book()
    first = enter(book, 100.0)
    second = enter(book, 110.0)
    outcome = book.apply(fill_of(placed(first, Role.TAKE_PROFIT)))
    assert outcome.fills[0].group_pnl == 2 * (102.0 - 105.0)
    assert book.contracts("long") == 2.0
    assert resized(outcome.commands) == {
        placed(second, Role.TAKE_PROFIT).number: 2.0,
        placed(second, Role.STOP_LOSS).number: 2.0,
    }
    assert book.equity(105.0) == 1000.0 + 2 * (102.0 - 105.0)


def test_take_profit_of_a_position_that_became_a_set_fills_late_closes_part_of_the_set() -> None:
    # Its cancel lost the race: the set holds what the order was for.
    book = new_book(position_set_size=2)
    first = enter(book, 100.0)
    enter(book, 110.0)
    third = enter(book, 120.0)
    outcome = book.apply(fill_of(placed(first, Role.TAKE_PROFIT)))
    assert outcome.fills[0].group == "S1"
    (made,) = book.open_sets("long")
    assert made.contracts == 2.0
    assert book.position("long").contracts == 2.0
    assert placed(third, Role.TAKE_PROFIT).number not in cancelled(outcome.commands)
    assert book.equity(110.0) == 1000.0 + 2 * (102.0 - 105.0) + 2 * (110 - 105) + 2 * (110 - 120)


@pytest.mark.parametrize("role", [Role.TAKE_PROFIT, Role.STOP_LOSS])
def test_end_of_an_exit_in_any_sequence_wants_nothing(role: Role) -> None:
    # Ended before and after its group closed, once and again.
    book = new_book()
    exits = enter(book, 100.0)
    other = Role.STOP_LOSS if role is Role.TAKE_PROFIT else Role.TAKE_PROFIT
    book.apply(fill_of(placed(exits, other)))
    number = placed(exits, role).number
    assert book.apply(ended(number, OrderEnd.CANCELLED)).commands == ()
    assert book.apply(ended(number, OrderEnd.CANCELLED)).commands == ()
    assert book.contracts("long") == 0.0


# ---------------------------------------------------------------------- signal exits
def test_signal_exit_takes_the_place_of_the_take_profit_and_leaves_the_stop() -> None:
    # R11
    book = new_book()
    exits = enter(book, 100.0)
    commands = want_signal_exit(book, 101.0)
    assert cancelled(commands) == {placed(exits, Role.TAKE_PROFIT).number}
    assert placed(commands, Role.SIGNAL_EXIT).price == 101.0


def test_signal_exit_that_ends_gives_its_place_back() -> None:
    # R11
    book = new_book()
    enter(book, 100.0)
    order = placed(want_signal_exit(book, 101.0), Role.SIGNAL_EXIT)
    commands = book.apply(ended(order.number, OrderEnd.EXPIRED)).commands
    assert [each.price for each in commands if isinstance(each, PlaceOrder)] == [102.0]


def test_signal_exit_grows_with_its_position() -> None:
    # R11: it closes whatever the Position holds when it fills.
    book = new_book()
    enter(book, 100.0)
    order = placed(want_signal_exit(book, 101.0), Role.SIGNAL_EXIT)
    commands = enter(book, 100.0)
    assert resized(commands) == {order.number: 4.0}
    assert not [each for each in commands
                if isinstance(each, PlaceOrder) and each.role is Role.TAKE_PROFIT]  # fmt: skip


def test_signal_exit_is_replaced_by_a_newer_one_and_cancelled_by_a_set() -> None:
    # R11
    book = new_book(position_set_size=2)
    enter(book, 100.0)
    older = placed(want_signal_exit(book, 101.0), Role.SIGNAL_EXIT)
    commands = want_signal_exit(book, 100.5)
    newer = placed(commands, Role.SIGNAL_EXIT)
    assert cancelled(commands) == {older.number}
    assert newer.number in cancelled(enter(book, 100.0))
    assert not want_signal_exit(book, 100.0)


def test_signal_exit_of_an_empty_position_wants_nothing() -> None:
    # R11
    assert not want_signal_exit(new_book(), 100.0)


# ---------------------------------------------------------------------- what the exchange does
def test_liquidation_fill_names_its_group_by_tradeid() -> None:
    # R23: no order of ours stands behind it.
    book = new_book(position_set_size=1)
    enter(book, 100.0)
    (made,) = book.open_sets("long")
    outcome = book.apply(
        Execution(0, None, Role.LIQUIDATION, "long", made.tradeid, 80.0, 2.0, 1.0,
                  Liquidity.TAKER, -40.0)
    )  # fmt: skip
    assert (outcome.fills[0].group, outcome.fills[0].group_pnl) == ("S1", -40.0)
    assert book.balance == 1000.0 - 40.0 - 1.0
    assert book.open_sets() == []


def test_funding_is_shared_by_contracts_and_kept_by_sets() -> None:
    # R22: 6 on 2 + 4 contracts.
    book = new_book(position_set_size=1, max_sets={"long": 1, "short": 1})
    enter(book, 100.0, contracts=2.0)
    enter(book, 100.0, contracts=4.0)
    book.apply(Funded(funding(-6.0)))
    (made,) = book.open_sets("long")
    assert isinstance(made, PositionSet)
    assert made.funding_paid == 2.0
    assert made.transactions[0].funding_paid == 2.0
    assert book.position("long").transactions[0].funding_paid == 4.0
    assert book.balance == 994.0


def test_forgiven_shortfall_brings_the_balance_back() -> None:
    # R23
    book = new_book()
    book.balance = -3.0
    book.apply(Forgiven(3.0, 0))
    assert book.balance == 0.0
