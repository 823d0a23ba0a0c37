"""The book is its events: replayed, cut, told twice and late, it comes out the same (R18-R21)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosim_bt import SignalStrategy, load_settings
from cryptosim_bt.accounting.book_events import (
    Answer,
    BookEvent,
    Change,
    ChangeRefused,
    EntryWanted,
    Funded,
    LegClosed,
    OrderAccepted,
    OrderEnded,
    OrderResized,
    SignalExitWanted,
    StopGiven,
    StopTriggered,
    from_record,
    to_record,
)
from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.orders import (
    CancelOrder,
    Command,
    Execution,
    OrderEnd,
    PlaceOrder,
    ResizeOrder,
    Role,
    UnknownFill,
)
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.backtest import run as backtest
from cryptosim_bt.backtest.lean_loop import ArrayData, LeanCerebro
from cryptosim_bt.backtest.prepare import Prepared, prepare
from cryptosim_bt.broker.commission import scheme_of
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.strategy.run_record import record_of
from tests.books import fill_of, funding, new_book
from tests.helpers import (
    Bar,
    GivenSignals,
    prepared_run,
    require_case,
    require_data,
    without_analyzers,
)
from tests.properties.test_against_oracle import runs

pytestmark = pytest.mark.usefixtures("quiet_framework")

SEARCH = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
Run = tuple[list[Bar], list[int], dict[str, Any], int]


# ---------------------------------------------------------------------- a run and its journal
@dataclass
class Journal:
    """A finished run: its strategy, and the events of its book as stored lines of JSON."""

    strategy: SignalStrategy
    lines: list[str]

    def events(self) -> list[BookEvent]:
        return [from_record(json.loads(line)) for line in self.lines]

    def new_book(self) -> PositionBook:
        strategy, context = self.strategy, self.strategy.p.context
        money = scheme_of(strategy.broker.getcommissioninfo(strategy.data))
        return PositionBook(
            money, context.instrument, strategy.book.rules, context.initial_balance
        )


def journal_of(prepared: Prepared) -> Journal:
    """Run a prepared backtest with its journal kept."""
    lines: list[str] = []
    cerebro = LeanCerebro(stdstats=False)
    cerebro.adddata(ArrayData(dataname=prepared.bars, bar=prepared.settings.keys.data.timeframe))
    cerebro.broker = backtest._broker(prepared, "rules")
    sizer, options = backtest.sizer_of(prepared.simulation)
    cerebro.addsizer(sizer, instrument=prepared.settings.instrument, **options)
    context = replace(
        backtest._context(prepared),
        journal=lambda event: lines.append(json.dumps(to_record(event), allow_nan=False)),
    )
    cerebro.addstrategy(prepared.strategy, context=context, **vars(prepared.params))
    return Journal(cerebro.run()[0], lines)


def state_of(book: PositionBook) -> dict[str, str]:
    """Return all that a book is, but what it was made with and what it only remembers."""
    inside = {**vars(book), **vars(book._orders)}
    for name in ("money", "_orders", "_instrument", "_exposures"):
        del inside[name]
    return {name: repr(value) for name, value in inside.items()}


def told(book: PositionBook, events: Sequence[BookEvent]) -> list[Answer]:
    return [book.apply(event) for event in events]


def wants(answers: Sequence[Answer]) -> list[list[dict[str, Any]]]:
    return [[to_record(command) for command in answer.commands] for answer in answers]


def assert_replays(journal: Journal, cuts: Sequence[int]) -> None:
    """Compare the run's book with one that is told its stored events, restarted at each cut."""
    whole = journal.new_book()
    answers = told(whole, journal.events())
    ran = journal.strategy
    assert state_of(whole) == state_of(ran.book)
    # What was sent in the run is what the replay wants.
    placed = {
        command.number: (command.role.value, command.side, command.price)
        for answer in answers for command in answer.commands if isinstance(command, PlaceOrder)
    }  # fmt: skip
    lives = record_of(ran).order_lives.values()
    assert placed == {life.order_id: (life.role, life.side, life.price) for life in lives}
    for cut in cuts:
        restarted = journal.new_book()
        first = told(restarted, journal.events()[:cut])
        later = told(restarted, journal.events()[cut:])
        assert wants([*first, *later]) == wants(answers)
        assert state_of(restarted) == state_of(ran.book)


@SEARCH
@given(runs(), st.data())
def test_any_run_cut_anywhere_and_restarted_from_its_journal_ends_the_same(
    run: Run, data: st.DataObject
) -> None:
    bars, signals, rules, _ = run
    journal = journal_of(prepared_run(bars, signals, rules))
    cuts = data.draw(st.lists(st.integers(0, len(journal.lines)), max_size=3))
    assert_replays(journal, cuts)


class OwnStop(GivenSignals):
    """A strategy whose stops depend on more than the book: on the bar, and on its own memory."""

    asked = 0

    def stop_price(self, group: Any) -> float | None:
        self.asked += 1
        if self.asked % 3 == 0:
            return None
        share = 0.01 + 0.001 * (len(self.data) % 5)
        return group.average * (1.0 - share if group.side == "long" else 1.0 + share)


@SEARCH
@given(runs())
def test_stops_of_the_strategys_own_are_replayed_without_asking_it(run: Run) -> None:
    bars, signals, rules, _ = run
    rules = {**rules, "use_sl": True, "stop_loss_pct": 0.02}
    journal = journal_of(prepared_run(bars, signals, rules, strategy=OwnStop))
    asked = journal.strategy.asked
    assert asked == sum(isinstance(event, StopGiven) for event in journal.events())
    assert_replays(journal, [len(journal.lines) // 2])
    assert journal.strategy.asked == asked


STOPS = ("trading.use_sl=true", "trading.stop_loss_pct=0.01", "trading.take_profit_pct=0.01")


@pytest.mark.parametrize(
    "overrides",
    [
        ("trading.stop.method=atr", *STOPS),
        ("data.volume_unit=contracts", "backtest.fill.max_volume_share=0.0000004", *STOPS),
        ("instrument.max_open_orders=3", "instrument.price_band=0.05"),
    ],
    ids=["atr", "partial", "rejected"],
)
def test_recorded_march_of_2020_is_replayed_from_its_journal(overrides: tuple[str, ...]) -> None:
    require_data("bitmex_XBTUSD_1h.csv.gz")
    config = require_case("2020-03") / "config.yaml"
    journal = journal_of(prepare(without_analyzers(load_settings(config, overrides)), discover()))
    assert len(journal.lines) > 500
    assert_replays(journal, [len(journal.lines) * part // 7 for part in range(1, 7)])


# ---------------------------------------------------------------------- told twice and late
def named(events: Sequence[BookEvent]) -> list[BookEvent]:
    """Return events with the ids that a venue gives."""
    return [
        replace(event, fill_id=f"f{row}") if isinstance(event, Execution) else
        replace(event, payment_id=f"p{row}") if isinstance(event, Funded) else event
        for row, event in enumerate(events)
    ]  # fmt: skip


def decides_nothing(events: Sequence[BookEvent], answers: Sequence[Answer]) -> list[bool]:
    """Tell which events only confirm what the book wanted, so that they may come at any time."""
    cancelled = {
        command.number
        for answer in answers for command in answer.commands if isinstance(command, CancelOrder)
    }  # fmt: skip
    return [
        isinstance(event, OrderAccepted | OrderResized)
        or (isinstance(event, OrderEnded) and event.number in cancelled)
        for event in events
    ]


@SEARCH
@given(runs(), st.data())
def test_events_doubled_delayed_and_swapped_end_with_the_same_contracts_balance_and_sets(
    run: Run, data: st.DataObject
) -> None:
    bars, signals, rules, _ = run
    journal = journal_of(prepared_run(bars, signals, rules))
    events = named(journal.events())
    book = journal.new_book()
    late = decides_nothing(events, told(book, events))
    own = EntryWanted | SignalExitWanted | StopGiven
    # Each event with the place at which it comes; some later, some a second time.
    order: list[tuple[float, BookEvent]] = []
    for row, event in enumerate(events):
        again = not isinstance(event, own) and _unforgiven(event) and data.draw(st.booleans())
        delay = data.draw(st.sampled_from([0.0, 1.5, 7.5, 1000.5])) if late[row] else 0.0
        order.append((row + delay, event))
        if again:
            order.append((row + delay + data.draw(st.sampled_from([0.0, 1.5, 40.5])), event))
    order.sort(key=lambda each: each[0])
    other = journal.new_book()
    told(other, [event for _, event in order])
    for side in SIDES:
        assert other.contracts(side) == book.contracts(side)
        assert repr(other.position(side)) == repr(book.position(side))
    assert other.balance == book.balance
    assert repr(other.sets) == repr(book.sets)
    assert other.trades == book.trades


def _unforgiven(event: BookEvent) -> bool:
    # Without an id a second notice is a second payment.
    return not hasattr(event, "amount")


# ---------------------------------------------------------------------- a venue of any manners
@dataclass
class AnyVenue:
    """Orders that fill, end and are refused as a test draws it; the book is told in any order."""

    data: st.DataObject
    book: PositionBook = field(default_factory=lambda: new_book(position_set_size=2))
    orders: dict[int, tuple[PlaceOrder, float]] = field(default_factory=dict)
    reports: list[BookEvent] = field(default_factory=list)
    fills: list[Execution] = field(default_factory=list)
    unknown: list[Execution] = field(default_factory=list)
    told: int = 0

    def pick(self, choices: Sequence[Any]) -> Any:
        return self.data.draw(st.sampled_from(choices))

    def tell(self, event: BookEvent) -> None:
        for command in self.book.apply(event).commands:
            self.take(command)

    def take(self, command: Command) -> None:
        if isinstance(command, PlaceOrder):
            assert command.number not in self.orders
            self.orders[command.number] = (command, command.contracts)
            self.reports.append(OrderAccepted(command.number, self.told))
        elif isinstance(command, UnknownFill):
            self.unknown.append(command.execution)
        elif self.pick([True, False]):
            change = Change.CANCEL if isinstance(command, CancelOrder) else Change.RESIZE
            self.reports.append(ChangeRefused(command.number, change, "busy", self.told))
        elif isinstance(command, ResizeOrder) and command.number in self.orders:
            self.orders[command.number] = (self.orders[command.number][0], command.contracts)
            self.reports.append(OrderResized(command.number, command.contracts, self.told))

    def step(self) -> None:
        self.told += 1
        action = self.pick(["enter", "exit", "fill", "fill", "end", "leg", "fund", "report",
                            "report", "report"])  # fmt: skip
        side: Side = self.pick(SIDES)
        if action == "enter":
            self.tell(EntryWanted(side, self.pick([1.0, 2.0, 5.0]), self.price()))
        elif action == "exit":
            self.tell(SignalExitWanted(side, self.price()))
        elif action == "leg":
            event = LegClosed(
                self.told, side, self.pick([1.0, 3.0, 50.0]), self.price(), 0.5, 0.0,
                Role.LIQUIDATION, fill_id=f"leg{self.told}",
            )  # fmt: skip
            self.fills.append(_as_fill(event))
            self.reports.append(event)
        elif action == "fund":
            self.reports.append(Funded(funding(0.0, side), f"fund{self.told}"))
        elif action == "report" and self.reports:
            self.report(self.pick([0, len(self.reports) // 2, len(self.reports) - 1]))
        elif self.orders:
            self.work(self.pick(sorted(self.orders)), action)

    def work(self, number: int, action: str) -> None:
        order, left = self.orders[number]
        if action == "fill":
            contracts = self.pick([left, left, min(1.0, left)])
            fill = fill_of(order, contracts, self.price(), 0.25, f"fill{self.told}")
            self.fills.append(fill)
            self.reports.append(fill)
            if order.role is Role.STOP_LOSS:
                self.reports.append(StopTriggered(number, self.told))
            self.orders[number] = (order, left - contracts)
            if left == contracts:
                del self.orders[number]
        elif action == "end":
            del self.orders[number]
            end = self.pick([OrderEnd.CANCELLED, OrderEnd.EXPIRED])
            self.reports.append(OrderEnded(number, end, "as drawn", self.told))

    def report(self, row: int) -> None:
        event = self.reports.pop(row)
        self.tell(event)
        if self.pick([False, False, True]):
            self.tell(event)

    def price(self) -> float:
        return self.pick([95.0, 100.0, 102.0, 110.0])


def _as_fill(event: LegClosed) -> Execution:
    order = PlaceOrder(0, event.role, event.side, event.contracts, event.price)
    return fill_of(order, fee=event.fee)


@settings(SEARCH, max_examples=150)
@given(st.data())
def test_no_contract_and_no_money_is_lost_whatever_a_venue_reports_in_whatever_order(
    data: st.DataObject,
) -> None:
    # Linear, one coin a contract: what fills make of the equity does not depend on what closes
    # what. Each adds fee and n * (price of now - its own price), the other way round if it sells.
    venue = AnyVenue(data)
    for _ in range(data.draw(st.integers(1, 60))):
        venue.step()
    while venue.reports:
        venue.report(0)
    held = {"long": 0.0, "short": 0.0}
    equity = 1000.0
    booked = [(fill, 1.0) for fill in venue.fills] + [(fill, -1.0) for fill in venue.unknown]
    for fill, times in booked:
        opens = 1.0 if fill.role is Role.ENTRY else -1.0
        long = 1.0 if fill.side == "long" else -1.0
        held[fill.side] += times * opens * fill.contracts
        equity += times * (opens * long * fill.contracts * (105.0 - fill.price) - fill.fee)
    for side in SIDES:
        assert venue.book.contracts(side) == pytest.approx(held[side], abs=1e-9)
    assert venue.book.equity(105.0) == pytest.approx(equity, abs=1e-6)
