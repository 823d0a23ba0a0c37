"""The seam between a `SignalStrategy` and its broker: what goes out, and what comes back."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

from cryptosim_bt import FuturesBroker
from cryptosim_bt.accounting.book_events import BookEvent, to_record
from cryptosim_bt.accounting.orders import CancelOrder, ResizeOrder, UnknownFill
from cryptosim_bt.backtest.run import execute
from cryptosim_bt.broker.trading_broker import TradingBroker
from cryptosim_bt.errors import BooksDisagree
from cryptosim_bt.strategy import signal_strategy
from tests.books import fill_of, new_book, want_entry
from tests.helpers import PLAIN, GivenSignals, changed, flat_hours, hours, prepared_run

RISE = hours((100, 100, 100, 100), (100, 101, 99, 100), (100, 103, 99, 102), (102, 102, 102, 102))


class Listening(GivenSignals):
    """Keeps the events that it is told, of all runs."""

    told: list[BookEvent]

    def on_event(self, event: BookEvent) -> None:
        self.told.append(event)
        super().on_event(event)


def told_in(strategy: type[Listening], *signals: int, **rules: Any) -> list[str]:
    strategy.told = []
    execute(prepared_run(RISE, signals, changed(PLAIN, **rules), strategy=strategy))
    return [str(to_record(event)["is"]) for event in strategy.told]


def test_life_of_a_position_comes_back_as_events() -> None:
    # Entry, its fill, take-profit and stop, the take-profit's fill, and the end of the stop.
    kinds = told_in(Listening, 1, 0, 0, 0, use_sl=True, stop_loss_pct=0.05)
    assert kinds == [
        "entry_wanted", "accepted", "fill", "accepted", "accepted", "fill", "ended",
    ]  # fmt: skip


def test_entry_that_expires_comes_back_as_an_end() -> None:
    # R10: nobody sells below 100; placed at 01:00 for an hour, it is over at 02:00.
    Listening.told = []
    rules = changed(PLAIN, limit_fill="through")
    execute(prepared_run(flat_hours(4, 100.0), (1, 0, 0, 0), rules, strategy=Listening))
    assert [to_record(event)["is"] for event in Listening.told] == [
        "entry_wanted", "accepted", "ended",
    ]  # fmt: skip


def test_changes_of_an_order_that_does_not_work_are_refused() -> None:
    class Confused(Listening):
        def signal(self) -> int:
            if not self.told:
                self.broker.carry_out([CancelOrder(99, "none"), ResizeOrder(98, 1.0)])
            return 0

    told_in(Confused, 0, 0, 0, 0)
    refused = [(to_record(event)["number"], to_record(event)["change"]) for event in Confused.told]
    assert refused == [(99, "cancel"), (98, "resize")]


def test_fill_that_the_book_does_not_know_ends_a_simulation() -> None:
    class Lost(Listening):
        def signal(self) -> int:
            fill = fill_of(want_entry(new_book(), 1.0, 100.0))
            self.broker.carry_out([UnknownFill(fill, "nobody asked for it")])
            return 0

    with pytest.raises(BooksDisagree, match="nobody asked for it"):
        told_in(Lost, 0, 0, 0, 0)


@pytest.mark.parametrize("row", [1, 3])
def test_books_that_part_end_a_simulation_at_the_next_bar_or_its_end(row: int) -> None:
    # R21: at the last bar it is the end of the run that compares. close_at_end moves the account.
    class Generous(Listening):
        def signal(self) -> int:
            if len(self) == row + 1:
                self.book.balance += 1.0
            return super().signal()

    with pytest.raises(BooksDisagree, match="equity"):
        told_in(Generous, 1, 0, 0, 0, use_tp=False, close_at_end=True)


def test_broker_that_may_not_trade_yet_is_sent_nothing() -> None:
    class Waiting(Listening):
        def __init__(self) -> None:
            super().__init__()
            self.broker.may_trade = False

    assert told_in(Waiting, 1, -1, 2, 0) == []


# ---------------------------------------------------------------------- the declared seam
def members(protocol: type) -> dict[str, Any]:
    return {name: each for name, each in vars(protocol).items() if not name.startswith("_")}


def test_futures_broker_has_what_the_seam_declares() -> None:
    broker = FuturesBroker()
    for name, declared in members(TradingBroker).items():
        found = getattr(broker, name)
        if callable(declared):
            wanted = [each for each in inspect.signature(declared).parameters if each != "self"]
            assert list(inspect.signature(found).parameters) == wanted, name


def test_signal_strategy_uses_nothing_of_a_broker_but_the_seam() -> None:
    tree = ast.parse(Path(signal_strategy.__file__).read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in ("broker", "self.broker", "self._trading")
    }
    # getcommissioninfo is backtrader's: every broker of its has the data's scheme.
    assert used <= {*members(TradingBroker), "getcommissioninfo"}
