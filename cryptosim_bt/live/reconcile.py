"""What the book wants at the venue, what works there, and what follows. Pure functions and values.

Each group of the book has one place for a working exit, each entry one for its order. What a place
should hold follows from the book alone; what it holds is known from the venue. `plan` gives what
has to be asked so that both are the same. A restart, a lost answer and an order cancelled by
somebody else all come to the same: the place holds something else than it should.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.book_events import (
    Answer,
    BookEvent,
    OrderEnded,
    OrderRejected,
)
from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.accounting.orders import (
    CONTRACT_TOLERANCE,
    Command,
    Execution,
    PlaceOrder,
    Role,
)
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.live.adapter import VenuePosition

_PREFIX = "cs"
_ROLE_LETTERS = {Role.ENTRY: "e", Role.TAKE_PROFIT: "t", Role.SIGNAL_EXIT: "s", Role.EXIT: "x"}


def client_id(run: str, number: int, role: Role, side: Side, attempt: int) -> str:
    """Return the venue's name of an order, made of what it is for: letters and digits only."""
    return f"{_PREFIX}{run}{_ROLE_LETTERS[role]}{side[0]}{number}a{attempt}"


def is_ours(name: str, run: str) -> bool:
    """Tell whether an order was placed by this journal's runs."""
    return name.startswith(f"{_PREFIX}{run}")


def same(first: float, second: float) -> bool:
    """Tell whether two sizes are the same, but for float dust."""
    return abs(first - second) <= CONTRACT_TOLERANCE * max(abs(first), abs(second), 1.0)


class Place(NamedTuple):
    """Where one order of ours may work: an entry's number, or the tradeid of a group."""

    opens: bool
    side: Side
    number: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a place should hold; ``contracts`` are left to fill."""

    place: Place
    number: int
    role: Role
    contracts: float
    price: float


class Stage(StrEnum):
    """What is known of an order of ours."""

    ASKED = "asked"  # its placing is on the way
    WORKING = "working"
    OVER = "over"  # its last fills may not be booked yet


@dataclass(slots=True)
class Working:
    """An order of ours at the venue; `total` is its whole size, `filled` what was booked of it.

    ``number`` is the book's order that it stands for now; an amendment gives it to a newer one.
    ``final`` is what it filled in all, once it is over. ``change`` counts what was asked of it.
    """

    client_id: str
    place: Place
    number: int
    role: Role
    total: float
    price: float
    filled: float = 0.0
    venue_id: str = ""
    stage: Stage = Stage.ASKED
    final: float | None = None
    asked_ms: int = 0
    change: int = 0
    # What is on the way: an action, and the order that it is for.
    asked: str = "place"
    amendment: Wanted | None = None
    amended_total: float = 0.0
    is_unwanted: bool = False
    reason: str = ""

    @property
    def left(self) -> float:
        """Contracts that may still fill."""
        return self.total - self.filled

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Working:
        """Return what `record` gave."""
        fields = dict(record)
        fields |= {
            "place": Place(*fields["place"]), "role": Role(fields["role"]),
            "stage": Stage(fields["stage"]),
        }  # fmt: skip
        amendment = fields["amendment"]
        if amendment is not None:
            fields["amendment"] = Wanted(
                Place(*amendment["place"]), amendment["number"], Role(amendment["role"]),
                amendment["contracts"], amendment["price"],
            )  # fmt: skip
        return cls(**fields)


class Wants:
    """What the book wants at the venue; fed with every event and its answer, live and replayed."""

    def __init__(self) -> None:
        self._entries: dict[int, PlaceOrder] = {}

    def note(self, event: BookEvent, answer: Answer) -> None:
        """Take in an event of the book and what it answered."""
        self.happened(event)
        self.sent(answer.commands)

    def sent(self, commands: Iterable[Command]) -> None:
        """Take in what the book wants; its exits are read from the book."""
        for command in commands:
            if isinstance(command, PlaceOrder) and command.role is Role.ENTRY:
                self._entries[command.number] = command

    def happened(self, event: BookEvent) -> None:
        """Take in what an entry has filled, and its end."""
        if isinstance(event, OrderEnded | OrderRejected):
            self._entries.pop(event.number, None)
        elif isinstance(event, Execution) and event.number in self._entries:
            entry = self._entries[event.number]
            left = entry.contracts - event.contracts
            if left <= CONTRACT_TOLERANCE * entry.contracts:
                del self._entries[event.number]
            else:
                self._entries[event.number] = replace(entry, contracts=left)

    def expired(self, book: PositionBook, now_ms: int) -> Iterator[PlaceOrder]:
        """Yield the orders whose time is over (R10), exits of the book among them."""
        exits = (group.signal_exit for side in SIDES for group in book.groups(side))
        for order in (*self._entries.values(), *exits):
            if order is not None and order.expires_ms is not None and order.expires_ms <= now_ms:
                yield order

    def wanted(self, book: PositionBook, now_ms: int) -> dict[Place, Wanted]:
        """Return what every place should hold at a time of the venue."""
        found: dict[Place, Wanted] = {}
        for side in SIDES:
            for group in book.groups(side):
                order = group.signal_exit or group.take_profit
                if order is not None:
                    place = Place(False, side, group.tradeid)
                    found[place] = Wanted(
                        place, order.number, order.role, group.contracts, order.price
                    )
        for number, order in self._entries.items():
            if order.expires_ms is None or order.expires_ms > now_ms:
                place = Place(True, order.side, number)
                found[place] = Wanted(place, number, order.role, order.contracts, order.price)
        return found

    @property
    def entries(self) -> Mapping[int, PlaceOrder]:
        """The entries that may fill, by number."""
        return self._entries


# ---------------------------------------------------------------------- what has to be asked
@dataclass(frozen=True, slots=True)
class PlaceIt:
    """Place an order where none works."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class AmendIt:
    """Make what works into what is wanted; ``total`` is its new whole size."""

    working: Working
    wanted: Wanted

    @property
    def total(self) -> float:
        """The order's whole size, with what was booked of it.

        What filled meanwhile and is not booked yet is missing from both the book's group and
        from what this leaves to fill, so the order never closes more than there is.
        """
        return self.working.filled + self.wanted.contracts


@dataclass(frozen=True, slots=True)
class CancelIt:
    """Cancel what works and is not wanted."""

    working: Working


Action = PlaceIt | AmendIt | CancelIt


def plan(
    wanted: Mapping[Place, Wanted],
    working: Iterable[Working],
    held: Mapping[Side, float],
) -> list[Action]:
    """Return what to ask of the venue; nothing of an order that something is asked of already.

    What frees contracts of a leg comes first. An exit is placed or made larger only as far as the
    leg, ``held`` of each side, has contracts that no other exit closes: the venue refuses an exit
    whole that does not fit.
    """
    at = {each.place: each for each in working}
    free = {
        side: held[side] - sum_floats(
            _most(each) for each in at.values() if each.place[:2] == (False, side)
        )
        for side in SIDES
    }  # fmt: skip
    first: list[Action] = []
    later: list[Action] = []
    for place, there in at.items():
        if place not in wanted and there.stage is Stage.WORKING and not there.asked:
            first.append(CancelIt(there))
    for place, want in wanted.items():
        old = at.get(place)
        if old is None:
            needed = want.contracts
        elif old.stage is not Stage.WORKING or old.asked or _as_wanted(old, want):
            continue
        else:
            needed = want.contracts - old.left
        room = free[place.side] + CONTRACT_TOLERANCE * want.contracts
        if not place.opens and needed > max(0.0, room):
            continue
        if not place.opens:
            free[place.side] -= max(0.0, needed)
        action: Action = PlaceIt(want) if old is None else AmendIt(old, want)
        (first if needed < 0 else later).append(action)
    return first + later


def _most(each: Working) -> float:
    """Return the most that an order may still close, as far as is known."""
    on_the_way = 0.0 if each.amendment is None else each.amendment.contracts
    return max(each.left, on_the_way, 0.0)


def _as_wanted(there: Working, want: Wanted) -> bool:
    return there.price == want.price and same(there.left, want.contracts)


# ---------------------------------------------------------------------- what does not fit
def leg_differences(
    book: PositionBook, foreign: Mapping[Side, float], legs: Sequence[VenuePosition]
) -> list[str]:
    """Return a sentence for each leg that is not what the book and foreign fills make of it."""
    there = {side: 0.0 for side in SIDES}
    for leg in legs:
        there[leg.side] += leg.contracts
    return [
        f"{side}: the venue holds {there[side]:g} contracts, the book {book.contracts(side):g}"
        + (f" and others {foreign[side]:g}" if foreign[side] else "")
        for side in SIDES
        if not same(there[side], book.contracts(side) + foreign[side])
    ]


def unprotected(wanted: Mapping[Place, Wanted], working: Iterable[Working]) -> Iterator[Wanted]:
    """Yield the exits that are wanted and do not work, not even for part of their group."""
    there = {each.place for each in working if each.stage is Stage.WORKING}
    for place, want in wanted.items():
        if not place.opens and place not in there:
            yield want
