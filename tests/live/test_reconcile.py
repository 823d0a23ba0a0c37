"""What has to be asked of the venue so that it holds what the book wants."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosim_bt.accounting.book_events import EntryWanted, OrderEnded, SignalExitWanted
from cryptosim_bt.accounting.exit_orders import BookRules
from cryptosim_bt.accounting.instrument import known_instrument
from cryptosim_bt.accounting.orders import Execution, Liquidity, OrderEnd, Role
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.live.adapter import VenuePosition
from cryptosim_bt.live.reconcile import (
    AmendIt,
    CancelIt,
    Place,
    PlaceIt,
    Stage,
    Wanted,
    Wants,
    Working,
    client_id,
    is_ours,
    leg_differences,
    plan,
    unprotected,
)

LONG_EXIT = Place(False, "long", 1)
LEGS = {"long": 20.0, "short": 0.0}


def want(contracts=20.0, price=91_000.0, number=3, place=LONG_EXIT):
    role = Role.ENTRY if place.opens else Role.TAKE_PROFIT
    return Wanted(place, number, role, contracts, price)


def order(total=20.0, price=91_000.0, filled=0.0, asked="", stage=Stage.WORKING, place=LONG_EXIT):
    role = Role.ENTRY if place.opens else Role.TAKE_PROFIT
    return Working("c1", place, 2, role, total, price, filled, stage=stage, asked=asked)


def kinds(actions):
    return [type(action) for action in actions]


@pytest.mark.parametrize(
    ("wanted", "working", "expected"),
    [
        ([want()], [], [PlaceIt]),  # a restart finds a leg without its take-profit
        ([want()], [order()], []),
        ([want()], [order(price=90_500.0)], [AmendIt]),  # cancel and place are one amendment
        ([want()], [order(total=10.0)], [AmendIt]),
        ([want(contracts=15.0)], [order(total=20.0, filled=5.0)], []),
        ([want()], [order(price=90_500.0, asked="amend")], []),  # wait for the answer
        ([want()], [order(asked="place", stage=Stage.ASKED)], []),
        ([want()], [order(stage=Stage.OVER)], []),  # its last fills are not booked yet
        ([], [order()], [CancelIt]),  # an orphan
        ([], [order(asked="cancel")], []),
        ([], [order(stage=Stage.OVER)], []),
    ],
)
def test_what_is_asked(wanted, working, expected):
    actions = plan({each.place: each for each in wanted}, working, LEGS)
    assert kinds(actions) == expected


def test_amended_size_counts_what_filled():
    (action,) = plan({LONG_EXIT: want(contracts=17.0)}, [order(total=10.0, filled=3.0)], LEGS)
    assert action.total == 17.0 + 3.0


def test_exits_never_add_up_to_more_than_the_leg():
    old, new = Place(False, "long", 1), Place(False, "long", 2)
    wanted = {new: want(20.0, place=new)}
    working = [order(total=8.0, place=old)]
    assert kinds(plan(wanted, working, LEGS)) == [CancelIt]  # 8 + 20 > 20: first the old one goes
    working[0].asked = "cancel"
    assert plan(wanted, working, LEGS) == []
    assert kinds(plan(wanted, [], LEGS)) == [PlaceIt]


def test_what_frees_contracts_goes_first():
    first, second = Place(False, "long", 1), Place(False, "long", 2)
    wanted = {second: want(15.0, place=second), first: want(5.0, place=first)}
    working = [order(total=10.0, place=first), order(total=10.0, place=second)]
    (shrunk,) = plan(wanted, working, LEGS)
    assert (shrunk.wanted.place, shrunk.total) == (first, 5.0)
    working[0].total = 5.0
    (grown,) = plan(wanted, working, LEGS)
    assert (grown.wanted.place, grown.total) == (second, 15.0)


PLACES = [Place(False, "long", number) for number in range(1, 5)]


SIZES = st.dictionaries(st.sampled_from(PLACES), st.integers(1, 20))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SIZES, SIZES)
def test_plan_comes_to_an_end_and_never_covers_too_much(wanted, working):
    book = {place: want(float(size), place=place) for place, size in wanted.items()}
    held = {"long": float(sum(wanted.values())), "short": 0.0}
    venue = {place: order(float(size), place=place) for place, size in working.items()}
    for _ in range(2 * len(PLACES)):
        before = sum(each.left for each in venue.values())
        for action in plan(book, venue.values(), held):
            if isinstance(action, CancelIt):
                del venue[action.working.place]
            else:
                place = action.wanted.place
                venue[place] = order(action.wanted.contracts, place=place)
            covered = sum(each.left for each in venue.values())
            assert covered <= max(held["long"], before)
            before = covered
    assert {place: each.left for place, each in venue.items()} == {
        place: each.contracts for place, each in book.items()
    }


# ---------------------------------------------------------------------- from the book
def new_book():
    instrument = known_instrument("okx", "BTC/USD:BTC")
    rules = BookRules(2, {"long": 3, "short": 3}, 0.02, None)
    return PositionBook(instrument.contract(), instrument, rules, 0.5)


class Told:
    """A book with what it wants, fed as live trading feeds both."""

    def __init__(self):
        self.book, self.wants, self.fills = new_book(), Wants(), 0

    def tell(self, event):
        self.wants.note(event, self.book.apply(event))

    def fill(self, number, contracts, price, role=Role.ENTRY):
        self.fills += 1
        self.tell(
            Execution(5, number, role, "long", 0, price, contracts, 0.0, Liquidity.MAKER, 0.0,
                      fill_id=f"7{self.fills}")
        )  # fmt: skip

    def wanted(self, now_ms=0):
        return {
            (place.opens, place.number): (each.number, each.contracts, each.price)
            for place, each in self.wants.wanted(self.book, now_ms).items()
        }


def test_places_follow_from_the_book():
    told = Told()
    told.tell(EntryWanted("long", 9.0, 90_000.0, 1_000))
    assert told.wanted() == {(True, 1): (1, 9.0, 90_000.0)}
    told.fill(1, 4.0, 90_000.0)
    assert told.wanted() == {(False, 1): (2, 4.0, 91_800.0), (True, 1): (1, 5.0, 90_000.0)}
    assert told.wanted(now_ms=1_000) == {(False, 1): (2, 4.0, 91_800.0)}
    assert [each.number for each in told.wants.expired(told.book, 1_000)] == [1]
    told.tell(OrderEnded(1, OrderEnd.EXPIRED, "time", 1_000))
    assert told.wanted() == {(False, 1): (2, 4.0, 91_800.0)}
    # The signal exit takes the take-profit's place; when it ends the other comes back.
    told.tell(SignalExitWanted("long", 90_100.0, 2_000))
    assert told.wanted() == {(False, 1): (3, 4.0, 90_100.0)}
    assert [each.number for each in told.wants.expired(told.book, 2_000)] == [3]
    told.tell(OrderEnded(3, OrderEnd.EXPIRED, "time", 2_000))
    assert told.wanted() == {(False, 1): (4, 4.0, 91_800.0)}


def test_set_keeps_the_place_of_its_position():
    told = Told()
    for _ in range(2):
        told.tell(EntryWanted("long", 9.0, 90_000.0))
        told.fill(max(told.wants.entries), 9.0, 90_000.0)
    (group,) = told.book.open_sets()
    assert told.wanted() == {(False, 1): (group.take_profit.number, 18.0, 91_800.0)}
    told.fill(group.take_profit.number, 18.0, 91_800.0, Role.TAKE_PROFIT)
    assert told.wanted() == {}


def test_what_differs_is_said_exactly():
    told = Told()
    told.tell(EntryWanted("long", 9.0, 90_000.0))
    told.fill(1, 9.0, 90_000.0)
    leg = VenuePosition("long", 9.0, 90_000.0, 5.0, "cross")
    nobody = {"long": 0.0, "short": 0.0}
    assert leg_differences(told.book, nobody, [leg]) == []
    assert leg_differences(told.book, nobody, []) == [
        "long: the venue holds 0 contracts, the book 9"
    ]
    others = {"long": 2.0, "short": 0.0}
    assert leg_differences(told.book, others, [leg]) == [
        "long: the venue holds 9 contracts, the book 9 and others 2"
    ]


def test_group_without_its_exit_is_told():
    wanted = {LONG_EXIT: want()}
    assert list(unprotected(wanted, [])) == [want()]
    assert list(unprotected(wanted, [order(asked="place", stage=Stage.ASKED)])) == [want()]
    assert list(unprotected(wanted, [order(total=5.0)])) == []


def test_order_is_kept_as_json():
    there = order(asked="amend")
    there.amendment = want()
    assert Working.of(json.loads(json.dumps(there.record()))) == there


def test_client_ids_are_letters_and_digits_and_tell_their_run():
    names = {
        client_id("k3f9a2bc", number, role, side, attempt)
        for number in (1, 11, 1_000_000) for role in (Role.ENTRY, Role.TAKE_PROFIT)
        for side in ("long", "short") for attempt in (0, 1, 10)
    }  # fmt: skip
    assert len(names) == 3 * 2 * 2 * 3
    assert all(name.isalnum() and name.isascii() and len(name) <= 32 for name in names)
    assert all(is_ours(name, "k3f9a2bc") and not is_ours(name, "k3f9a2bd") for name in names)
