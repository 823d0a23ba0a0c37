"""What the proof's formulas refer to: the order of a run's events, and what belongs together.

Nothing is reckoned here. Fills and funding payments are put in the order in which they happened;
of each fill it is told which earlier one left its group as it found it, and of each Transaction
by which fills it came and went.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import CONTRACT_TOLERANCE, Role
from cryptosim_bt.results.result import Result


@dataclass(slots=True)
class Event:
    """A fill or a funding payment; ``row`` is its place in its table.

    Attributes
    ----------
    before
        The event that left the fill's group as the fill found it; None for a new group.
    closes_set, set_before
        Whether it closes (a part of) a set, and the fill before that did; None if there is none.
    liquidates, begins_batch, ends_batch
        Whether it is a liquidation's; whether it is the first, the last fill of one.
    ends_due
        Whether it is the last payment of a funding time.
    """

    row: int
    side: Side
    role: str
    group: str | None = None
    before: int | None = None
    closes_set: bool = False
    set_before: int | None = None
    begins_batch: bool = False
    ends_batch: bool = False
    ends_due: bool = False

    @property
    def is_funding(self) -> bool:
        """Whether it is a payment of funding."""
        return self.role == "funding"

    @property
    def liquidates(self) -> bool:
        """Whether it is a fill of a liquidation."""
        return self.role == Role.LIQUIDATION.value

    @property
    def is_entry(self) -> bool:
        """Whether it is the fill of an entry."""
        return self.role == Role.ENTRY.value


class Step(NamedTuple):
    """An entry or a (part of an) exit of one Transaction; ``event`` -1: still open at the end."""

    event: int
    kind: str


@dataclass(slots=True)
class Journey:
    """One Transaction: its side, the set that it came into, its steps in order."""

    number: int
    side: Side
    set_name: str | None
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class SetEvents:
    """The last event of a set's Position before it was made, and the last fill that closed it."""

    made: int
    closed: int | None = None


@dataclass(slots=True)
class _Group:
    """Transactions that end together: a set with the Position before it, or a Position."""

    contracts: float = 0.0
    last: int | None = None
    members: list[Journey] = field(default_factory=list)


@dataclass(frozen=True)
class Replay:
    """A run's events in order, its Transactions, and the events of its sets.

    ``times`` are those of the events, in ms; ``journeys`` stand set by set.
    """

    events: list[Event]
    times: np.ndarray
    journeys: list[Journey]
    sets: dict[str, SetEvents]

    @classmethod
    def of(cls, result: Result, *, isolated: bool) -> Replay:
        """Put a run in order."""
        events, times = _in_order(result.fills, result.funding)
        _mark_batches(events, times, result, isolated=isolated)
        walker = _Walker(result)
        for number, event in enumerate(events):
            if not event.is_funding:
                walker.walk(number, event)
        return cls(events, times, walker.journeys(), walker.sets)


def _ms(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).as_unit("ms").asi8


def _in_order(fills: pd.DataFrame, funding: pd.DataFrame) -> tuple[list[Event], np.ndarray]:
    # R13: within a bar funding comes first; in each table rows stand in their order.
    times = np.concatenate([_ms(funding["time"]), _ms(fills["time"])])
    after = np.concatenate([np.zeros(len(funding), int), np.ones(len(fills), int)])
    order = np.lexsort((after, times))
    events = [Event(row, side, "funding") for row, side in enumerate(funding["side"].tolist())]
    columns = (fills[name].tolist() for name in ("side", "role", "group"))
    events += [Event(row, *cells) for row, cells in enumerate(zip(*columns, strict=True))]
    return [events[place] for place in order], times[order]


def _mark_batches(
    events: list[Event], times: np.ndarray, result: Result, *, isolated: bool
) -> None:
    dues, prices = result.funding["due"].tolist(), result.fills["price"].tolist()
    begins = True
    for number, (event, after) in enumerate(zip_longest(events, events[1:])):
        if event.is_funding:
            event.ends_due = after is None or not after.is_funding or (
                dues[event.row] != dues[after.row]
            )  # fmt: skip
        elif event.liquidates:
            event.begins_batch = begins
            event.ends_batch = (
                after is None
                or not after.liquidates
                or times[number] != times[number + 1]
                or prices[event.row] != prices[after.row]
                or (isolated and event.side != after.side)
            )
        begins = not event.liquidates or event.ends_batch


class _Walker:
    """Follows groups from fill to fill."""

    def __init__(self, result: Result) -> None:
        fills, sets = result.fills, result.sets
        self._fills: list[tuple[Any, ...]] = list(
            zip(fills["contracts"], fills["transaction"], strict=True)
        )
        self._set_of: dict[int, str] = {
            int(member): name
            for name, members in zip(sets["set"], sets["transactions"], strict=True)
            for member in str(members).split()
        }
        self._groups: dict[Hashable, _Group] = {}
        self._open: dict[Side, Hashable] = {}
        self._journeys: dict[int, Journey] = {}
        self._order = {name: place for place, name in enumerate(sets["set"])}
        self.sets: dict[str, SetEvents] = {}

    def walk(self, number: int, event: Event) -> None:
        """Take in a fill."""
        contracts, transaction = self._fills[event.row]
        if event.is_entry:
            self._enter(number, event, contracts, int(transaction))
        else:
            self._exit(number, event, contracts)

    def journeys(self) -> list[Journey]:
        """Return the Transactions, those of a set together, each ended by a step if still open."""
        for group in self._groups.values():
            for journey in group.members:
                journey.steps.append(Step(-1, "open"))
        last = len(self._order)
        return sorted(
            self._journeys.values(),
            key=lambda each: (self._order.get(each.set_name or "", last), each.number),
        )

    def _enter(self, number: int, event: Event, contracts: float, transaction: int) -> None:
        set_name = self._set_of.get(transaction)
        key: Hashable = set_name or ("position", event.side)
        group = self._groups.setdefault(key, _Group())
        self._open[event.side] = key
        journey = self._journeys.get(transaction)
        if journey is None:
            journey = self._journeys[transaction] = Journey(transaction, event.side, set_name)
            group.members.append(journey)
        journey.steps.append(Step(number, "entry"))
        event.before, group.last = group.last, number
        group.contracts += contracts
        if set_name is not None:
            self.sets.setdefault(set_name, SetEvents(number)).made = number

    def _exit(self, number: int, event: Event, contracts: float) -> None:
        # What is closed as the open Position may become a set later.
        name = event.group or ""
        key: Hashable = name if name in self._order else self._open[event.side]
        group = self._groups[key]
        for journey in group.members:
            journey.steps.append(Step(number, "exit"))
        event.before, group.last = group.last, number
        if name in self._order:
            events = self.sets[name]
            event.closes_set = True
            event.set_before, events.closed = events.closed, number
        elif isinstance(key, str):
            self.sets[key].made = number
        whole = contracts >= group.contracts * (1.0 - CONTRACT_TOLERANCE)
        group.contracts -= contracts
        if whole:
            del self._groups[key]
