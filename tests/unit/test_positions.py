"""PositionBook by itself: fills in, wanted orders out (R11, R18, R19, R21), as when live.

The contract is linear with one coin a contract, so that money can be counted by hand.
"""

from __future__ import annotations

from typing import Any

import pytest

from cryptosim_bt.contracts import InverseContract, LinearContract
from cryptosim_bt.groups import PositionSet
from cryptosim_bt.instrument import Instrument
from cryptosim_bt.orders import (
    CancelOrder,
    Command,
    Execution,
    Liquidity,
    OrderEnd,
    PlaceOrder,
    ResizeOrder,
    Role,
)
from cryptosim_bt.positions import BookRules, PositionBook

HOUR_MS = 3_600_000


def instrument(tick: float = 0.5) -> Instrument:
    return Instrument(
        "BTC/USDT:USDT", "linear", contract_size=1.0, lot=1.0, tick=tick, min_contracts=1.0,
        maintenance_margin_rate=0.004, liquidation_fee_rate=0.004,
    )  # fmt: skip


def new_book(**changes: Any) -> PositionBook:
    rules = {
        "position_set_size": 3,
        "max_sets": {"long": 2, "short": 2},
        "take_profit_pct": 0.02,
        "stop_loss_pct": 0.05,
        **changes,
    }
    return PositionBook(LinearContract(1.0), instrument(), BookRules(**rules), 1000.0)


def fill_of(
    order: PlaceOrder,
    contracts: float | None = None,
    price: float | None = None,
    fee: float = 0.0,
    fill_id: str | None = None,
    hour: int = 0,
) -> Execution:
    return Execution(
        time_ms=hour * HOUR_MS,
        number=order.number,
        role=order.role,
        side=order.side,
        group=order.group,
        price=order.price if price is None else price,
        contracts=order.contracts if contracts is None else contracts,
        fee=fee,
        liquidity=Liquidity.MAKER,
        realized_pnl=0.0,
        fill_id=fill_id,
    )


def placed(commands: list[Command], role: Role) -> PlaceOrder:
    found = [each for each in commands if isinstance(each, PlaceOrder) and each.role is role]
    assert len(found) == 1
    return found[0]


def cancelled(commands: list[Command]) -> set[int]:
    return {each.number for each in commands if isinstance(each, CancelOrder)}


def resized(commands: list[Command]) -> dict[int, float]:
    return {each.number: each.contracts for each in commands if isinstance(each, ResizeOrder)}


def enter(
    book: PositionBook, price: float, contracts: float = 2.0, side: str = "long"
) -> list[Command]:
    order = book.want_entry(side, contracts, price)  # type: ignore[arg-type]
    outcome = book.apply_fill(fill_of(order))
    assert outcome is not None
    return outcome.commands


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
    outcome = book.apply_fill(fill_of(placed(exits, Role.TAKE_PROFIT), fee=3.0, hour=5))
    assert outcome is not None
    assert outcome.group == "P-long"
    assert outcome.group_pnl == 6 * (102.0 - 100.0)
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


# ---------------------------------------------------------------------- partial entries
def test_entry_filled_in_parts_is_one_transaction_at_its_average() -> None:
    # Later sections, partial fills: (1 * 100 + 3 * 104) / 4 = 103.
    book = new_book()
    order = book.want_entry("long", 4.0, 104.0)
    first = book.apply_fill(fill_of(order, 1.0, 100.0, fee=0.1))
    second = book.apply_fill(fill_of(order, 3.0, 104.0, fee=0.3))
    assert first is not None
    assert second is not None
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
    growing = book.want_entry("long", 2.0, 100.0)
    book.apply_fill(fill_of(growing, 1.0))
    enter(book, 100.0)
    assert book.count_sets("long") == 0
    book.apply_fill(fill_of(growing, 1.0))
    assert book.count_sets("long") == 1
    assert book.open_sets("long")[0].contracts == 4.0


def test_entry_that_expires_with_something_filled_counts_towards_a_set() -> None:
    book = new_book(position_set_size=2)
    enter(book, 100.0)
    order = book.want_entry("long", 4.0, 100.0)
    book.apply_fill(fill_of(order, 1.0))
    assert book.count_sets("long") == 0
    commands = book.order_ended(order.number, OrderEnd.EXPIRED)
    assert book.count_sets("long") == 1
    assert placed(commands, Role.TAKE_PROFIT).contracts == 3.0


def test_entry_that_expires_empty_leaves_no_trace() -> None:
    book = new_book(position_set_size=1)
    order = book.want_entry("long", 4.0, 100.0)
    assert book.order_ended(order.number, OrderEnd.EXPIRED) == []
    assert book.position("long").transactions == []
    assert book.order_ended(order.number, OrderEnd.EXPIRED) == []


def test_rest_of_an_entry_after_its_position_was_closed_opens_a_new_transaction() -> None:
    # The take-profit closed what was there; the rest of the entry fills all the same.
    book = new_book()
    order = book.want_entry("long", 4.0, 100.0)
    first = book.apply_fill(fill_of(order, 1.0))
    assert first is not None
    book.apply_fill(fill_of(placed(first.commands, Role.TAKE_PROFIT)))
    rest = book.apply_fill(fill_of(order, 3.0))
    assert rest is not None
    assert book.contracts("long") == 3.0
    assert book.position("long").average == 100.0
    assert placed(rest.commands, Role.TAKE_PROFIT).contracts == 3.0
    assert book.equity(100.0) == 1000.0 + 1 * 2.0
    book.apply_fill(fill_of(placed(rest.commands, Role.STOP_LOSS)))
    assert sum(trade.contracts for trade in book.trades) == 4.0
    assert sum(trade.gross_pnl for trade in book.trades) == 1 * 2.0 + 3 * -5.0


# ---------------------------------------------------------------------- partial exits
def test_exit_filled_in_parts_takes_from_every_transaction_pro_rata() -> None:
    # 3 of 6 contracts: 1 of 2 and 2 of 4; the average stays, the stop shrinks.
    book = new_book()
    enter(book, 100.0, contracts=2.0)
    exits = enter(book, 106.0, contracts=4.0)
    take_profit = placed(exits, Role.TAKE_PROFIT)
    outcome = book.apply_fill(fill_of(take_profit, 3.0, fee=0.6))
    assert outcome is not None
    position = book.position("long")
    assert [each.open_contracts for each in position.transactions] == [1.0, 2.0]
    assert position.average == 104.0
    assert resized(outcome.commands) == {placed(exits, Role.STOP_LOSS).number: 3.0}
    assert outcome.group_pnl == 3 * (take_profit.price - 104.0)
    assert book.trades == []

    book.apply_fill(fill_of(take_profit, 3.0, fee=0.6))
    assert [trade.contracts for trade in book.trades] == [2.0, 4.0]
    assert sum(trade.fees for trade in book.trades) == pytest.approx(1.2, abs=1e-12)
    assert sum(trade.gross_pnl for trade in book.trades) == pytest.approx(
        6 * (take_profit.price - 104.0), abs=1e-12
    )


def test_trade_closed_in_parts_has_the_average_of_its_exits() -> None:
    book = new_book()
    exits = enter(book, 100.0, contracts=4.0)
    book.apply_fill(fill_of(placed(exits, Role.TAKE_PROFIT), 1.0, 102.0))
    book.apply_fill(fill_of(placed(exits, Role.STOP_LOSS), 3.0, 94.0))
    (trade,) = book.trades
    assert trade.exit_price == (1 * 102.0 + 3 * 94.0) / 4
    assert trade.gross_pnl == 1 * 2.0 + 3 * -6.0
    assert trade.exit_reason == "stop_loss"


def test_stop_of_a_partly_closed_group_is_not_replaced_when_the_take_profit_returns() -> None:
    # R11: the stop stays, and it was resized already.
    book = new_book()
    exits = enter(book, 100.0, contracts=4.0)
    exit_order = placed(book.want_signal_exit("long", 101.0), Role.SIGNAL_EXIT)
    book.apply_fill(fill_of(exit_order, 1.0))
    commands = book.order_ended(exit_order.number, OrderEnd.EXPIRED)
    assert placed(commands, Role.TAKE_PROFIT).contracts == 3.0
    assert placed(exits, Role.STOP_LOSS).number not in cancelled(commands)


# ---------------------------------------------------------------------- triggered stops
def triggered(book: PositionBook, contracts: float = 4.0, filled: float = 1.0) -> PlaceOrder:
    """Enter at 100, trigger the stop and fill a part of it; return the stop."""
    stop = placed(enter(book, 100.0, contracts=contracts), Role.STOP_LOSS)
    book.apply_fill(fill_of(stop, filled))
    book.stop_triggered(stop.number)
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
    outcome = book.apply_fill(fill_of(stop, 3.0))
    assert outcome is not None
    assert resized(outcome.commands)[placed(commands, Role.TAKE_PROFIT).number] == 2.0
    assert cancelled(outcome.commands) == set()
    assert book.position("long").triggered == []
    assert book.contracts("long") == 2.0


def test_part_of_a_take_profit_leaves_the_triggered_stop_and_takes_from_the_other() -> None:
    book = new_book()
    stop = triggered(book)
    commands = enter(book, 90.0, contracts=2.0)
    take_profit, new = (placed(commands, role) for role in (Role.TAKE_PROFIT, Role.STOP_LOSS))
    first = book.apply_fill(fill_of(take_profit, 1.0))
    assert first is not None
    # 4 are left, 3 of them for the triggered stop.
    assert resized(first.commands) == {stop.number: 3.0, new.number: 1.0}
    second = book.apply_fill(fill_of(take_profit, 2.0))
    assert second is not None
    # 2 are left: less than the triggered stop was sent for.
    assert resized(second.commands) == {stop.number: 2.0}
    assert cancelled(second.commands) == {new.number}


def test_end_of_a_group_cancels_its_triggered_stops() -> None:
    book = new_book()
    stop = triggered(book)
    commands = enter(book, 90.0, contracts=2.0)
    take_profit, new = (placed(commands, role) for role in (Role.TAKE_PROFIT, Role.STOP_LOSS))
    outcome = book.apply_fill(fill_of(take_profit))
    assert outcome is not None
    assert cancelled(outcome.commands) == {stop.number, new.number}
    assert book.contracts("long") == 0.0


def test_take_profit_that_returns_wants_no_stop_beside_the_triggered_one() -> None:
    book = new_book()
    triggered(book)
    exit_order = placed(book.want_signal_exit("long", 101.0), Role.SIGNAL_EXIT)
    commands = book.order_ended(exit_order.number, OrderEnd.EXPIRED)
    assert [each.role for each in commands if isinstance(each, PlaceOrder)] == [Role.TAKE_PROFIT]


def test_second_stop_may_be_triggered_beside_the_first() -> None:
    book = new_book(position_set_size=4)
    first = triggered(book)
    second = placed(enter(book, 90.0, contracts=2.0), Role.STOP_LOSS)
    book.stop_triggered(second.number)  # without volume
    third = placed(enter(book, 90.0, contracts=3.0), Role.STOP_LOSS)
    assert third.contracts == 3.0
    outcome = book.apply_fill(fill_of(second, 2.0))
    assert outcome is not None
    assert resized(outcome.commands)[third.number] == 3.0
    assert [each.number for each in book.position("long").triggered] == [first.number]


def test_triggered_stop_that_is_cancelled_from_outside_is_forgotten() -> None:
    book = new_book()
    stop = triggered(book)
    assert book.order_ended(stop.number, OrderEnd.CANCELLED) == []
    # The group has no stop until it grows; then one for all of it.
    assert placed(enter(book, 90.0, contracts=2.0), Role.STOP_LOSS).contracts == 5.0


# ---------------------------------------------------------------------- fills twice and late
def test_fill_reported_twice_is_booked_once() -> None:
    book = new_book()
    order = book.want_entry("long", 2.0, 100.0)
    once = book.apply_fill(fill_of(order, fee=1.0, fill_id="a"))
    assert once is not None
    assert book.apply_fill(fill_of(order, fee=1.0, fill_id="a")) is None
    assert book.contracts("long") == 2.0
    assert book.balance == 999.0


def test_replaced_take_profit_that_fills_late_closes_its_part() -> None:
    # Its cancel lost the race: 2 of 4 contracts are closed, pro rata.
    book = new_book()
    first = enter(book, 100.0)
    second = enter(book, 110.0)
    outcome = book.apply_fill(fill_of(placed(first, Role.TAKE_PROFIT)))
    assert outcome is not None
    assert outcome.group_pnl == 2 * (102.0 - 105.0)
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
    outcome = book.apply_fill(fill_of(placed(first, Role.TAKE_PROFIT)))
    assert outcome is not None
    assert outcome.group == "S1"
    (made,) = book.open_sets("long")
    assert made.contracts == 2.0
    assert book.position("long").contracts == 2.0
    assert placed(third, Role.TAKE_PROFIT).number not in cancelled(outcome.commands)
    assert book.equity(110.0) == 1000.0 + 2 * (102.0 - 105.0) + 2 * (110 - 105) + 2 * (110 - 120)


def test_stop_that_fills_after_the_take_profit_closed_its_group_is_no_fill_of_the_next() -> None:
    # Both filled at the venue: what the second closes is not in the book, and must be said.
    book = new_book()
    exits = enter(book, 100.0)
    book.apply_fill(fill_of(placed(exits, Role.TAKE_PROFIT)))
    enter(book, 100.0)
    with pytest.raises(KeyError, match="closed already"):
        book.apply_fill(fill_of(placed(exits, Role.STOP_LOSS)))
    assert book.contracts("long") == 2.0


def test_fill_of_an_unknown_order_is_an_error() -> None:
    book = new_book()
    stranger = PlaceOrder(77, Role.ENTRY, "long", 1.0, 100.0)
    with pytest.raises(KeyError, match="77"):
        book.apply_fill(fill_of(stranger))


@pytest.mark.parametrize("role", [Role.TAKE_PROFIT, Role.STOP_LOSS])
def test_end_of_an_exit_in_any_sequence_wants_nothing(role: Role) -> None:
    # Ended before and after its group closed, once and again.
    book = new_book()
    exits = enter(book, 100.0)
    other = Role.STOP_LOSS if role is Role.TAKE_PROFIT else Role.TAKE_PROFIT
    book.apply_fill(fill_of(placed(exits, other)))
    number = placed(exits, role).number
    assert book.order_ended(number, OrderEnd.CANCELLED) == []
    assert book.order_ended(number, OrderEnd.CANCELLED) == []
    assert book.contracts("long") == 0.0


# ---------------------------------------------------------------------- signal exits
def test_signal_exit_takes_the_place_of_the_take_profit_and_leaves_the_stop() -> None:
    # R11
    book = new_book()
    exits = enter(book, 100.0)
    commands = book.want_signal_exit("long", 101.0)
    assert cancelled(commands) == {placed(exits, Role.TAKE_PROFIT).number}
    assert placed(commands, Role.SIGNAL_EXIT).price == 101.0


def test_signal_exit_that_ends_gives_its_place_back() -> None:
    # R11
    book = new_book()
    enter(book, 100.0)
    order = placed(book.want_signal_exit("long", 101.0), Role.SIGNAL_EXIT)
    commands = book.order_ended(order.number, OrderEnd.EXPIRED)
    assert [each.price for each in commands if isinstance(each, PlaceOrder)] == [102.0]


def test_signal_exit_grows_with_its_position() -> None:
    # R11: it closes whatever the Position holds when it fills.
    book = new_book()
    enter(book, 100.0)
    order = placed(book.want_signal_exit("long", 101.0), Role.SIGNAL_EXIT)
    commands = enter(book, 100.0)
    assert resized(commands) == {order.number: 4.0}
    assert not [each for each in commands
                if isinstance(each, PlaceOrder) and each.role is Role.TAKE_PROFIT]  # fmt: skip


def test_signal_exit_is_replaced_by_a_newer_one_and_cancelled_by_a_set() -> None:
    # R11
    book = new_book(position_set_size=2)
    enter(book, 100.0)
    older = placed(book.want_signal_exit("long", 101.0), Role.SIGNAL_EXIT)
    commands = book.want_signal_exit("long", 100.5)
    newer = placed(commands, Role.SIGNAL_EXIT)
    assert cancelled(commands) == {older.number}
    assert newer.number in cancelled(enter(book, 100.0))
    assert book.want_signal_exit("long", 100.0) == []


def test_signal_exit_of_an_empty_position_wants_nothing() -> None:
    # R11
    assert new_book().want_signal_exit("long", 100.0) == []


# ---------------------------------------------------------------------- what the exchange does
def test_liquidation_fill_names_its_group_by_tradeid() -> None:
    # R23: no order of ours stands behind it.
    book = new_book(position_set_size=1)
    enter(book, 100.0)
    (made,) = book.open_sets("long")
    outcome = book.apply_fill(
        Execution(0, None, Role.LIQUIDATION, "long", made.tradeid, 80.0, 2.0, 1.0,
                  Liquidity.TAKER, -40.0)
    )  # fmt: skip
    assert outcome is not None
    assert (outcome.group, outcome.group_pnl) == ("S1", -40.0)
    assert book.balance == 1000.0 - 40.0 - 1.0
    assert book.open_sets() == []


def test_funding_is_shared_by_contracts_and_kept_by_sets() -> None:
    # R22: 6 on 2 + 4 contracts.
    book = new_book(position_set_size=1, max_sets={"long": 1, "short": 1})
    enter(book, 100.0, contracts=2.0)
    enter(book, 100.0, contracts=4.0)
    book.fund("long", -6.0)
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
    book.forgive(3.0)
    assert book.balance == 0.0
