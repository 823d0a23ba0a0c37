"""Events of a strategy's book and its answers.

Replaying the events of a run in their order rebuilds the book and gives the same answers; ids
prevent double booking. `to_record` and `from_record` turn events and commands into dictionaries of
plain JSON values and back, for a journal.

What the strategy wants: `EntryWanted`, `SignalExitWanted`, `StopGiven`. What a venue reports:
everything else, `Execution` included. Events that move money carry the venue's own id where it
gives one, so that none is applied twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args, get_type_hints

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.accounting.orders import (
    CancelOrder,
    Command,
    Execution,
    FundingPayment,
    OrderEnd,
    PlaceOrder,
    ResizeOrder,
    Role,
    UnknownFill,
)
from cryptosim_bt.accounting.position_sets import Group


@dataclass(frozen=True, slots=True)
class EntryWanted:
    """The strategy wants an entry at a limit (R9), until ``expires_ms`` (R10)."""

    side: Side
    contracts: float
    price: float
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SignalExitWanted:
    """The strategy wants a side's Position closed at a limit (R11), until ``expires_ms``."""

    side: Side
    price: float
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StopGiven:
    """Where the strategy puts the stop of a group that the book asked for; None = no stop (R46).

    ``group`` is its tradeid; ``price`` is not on the tick yet.
    """

    side: Side
    group: int
    price: float | None


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """An order works at the venue, which calls it ``venue_id``."""

    number: int
    time_ms: int
    venue_id: str | None = None


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """The venue has not taken an order (R44)."""

    number: int
    reason: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class OrderEnded:
    """An order left the venue's book without (further) fills."""

    number: int
    end: OrderEnd
    reason: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class OrderResized:
    """An order has ``contracts`` left to fill from now on."""

    number: int
    contracts: float
    time_ms: int


class Change(StrEnum):
    """What was asked of a working order."""

    CANCEL = "cancel"
    RESIZE = "resize"


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """The venue has not cancelled or resized an order: it works on as it was, or is over."""

    number: int
    change: Change
    reason: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class StopTriggered:
    """A stop has become a market order with something left to fill (R37)."""

    number: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Funded:
    """A funding cash flow of a leg (R22)."""

    funding: FundingPayment
    payment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Forgiven:
    """Money that the venue forgave at a liquidation (R23), above 0."""

    amount: float
    time_ms: int
    payment_id: str | None = None


@dataclass(frozen=True, slots=True)
class LegClosed:
    """The venue closed contracts of a leg by itself: liquidation, deleveraging, by hand.

    ``role`` is ``LIQUIDATION``, or ``EXIT`` for anything else. ``fee`` is a cost with its share of
    a liquidation fee; ``realized_pnl`` is against the leg's average; ``balance`` stands after it.
    """

    time_ms: int
    side: Side
    contracts: float
    price: float
    fee: float
    realized_pnl: float
    role: Role
    fill_id: str | None = None
    balance: float | None = None


BookEvent = (
    EntryWanted | SignalExitWanted | StopGiven | OrderAccepted | OrderRejected | OrderEnded
    | OrderResized | ChangeRefused | StopTriggered | Execution | LegClosed | Funded | Forgiven
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BookedFill:
    """A fill, or the part of one, as the book booked it: its group, PnL against that average.

    ``transaction`` is the number of the Transaction that an entry belongs to, None for an exit.
    """

    execution: Execution
    group: str
    group_pnl: float
    transaction: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The commands that follow from an event, in their order, and the fills that it booked.

    ``asks_stop`` is a group whose stop the strategy has to give before the commands go out.
    """

    commands: Sequence[Command] = ()
    fills: Sequence[BookedFill] = ()
    asks_stop: Group | None = None


NO_ANSWER = Answer()
# Answers an event that was applied before, which is not recorded again either.
REPEATED = Answer()

# ---------------------------------------------------------------------- records
Message = BookEvent | Command

_NAMES: dict[type, str] = {
    EntryWanted: "entry_wanted", SignalExitWanted: "signal_exit_wanted", StopGiven: "stop_given",
    OrderAccepted: "accepted", OrderRejected: "rejected", OrderEnded: "ended",
    OrderResized: "resized", ChangeRefused: "change_refused", StopTriggered: "triggered",
    Execution: "fill", LegClosed: "leg_closed", Funded: "funded", Forgiven: "forgiven",
    PlaceOrder: "place", CancelOrder: "cancel", ResizeOrder: "resize", UnknownFill: "unknown_fill",
}  # fmt: skip
_TYPES = {name: each for each, name in _NAMES.items()}
# Field -> type of each message, and of what is inside one.
_FIELDS = {each: get_type_hints(each) for each in (*_NAMES, FundingPayment)}


def to_record(message: Message) -> dict[str, Any]:
    """Return an event or a command as a dictionary of JSON values; ``is`` names its kind."""
    return {"is": _NAMES[type(message)], **_values(message)}


def from_record(record: dict[str, Any]) -> Any:
    """Return the event or command that `to_record` was given.

    Raises
    ------
    ValueError
        If the record is of no kind that is known, or its fields are not those of its kind.
    """
    fields = dict(record)
    kind = _TYPES.get(fields.pop("is", None))
    if kind is None:
        raise ValueError(
            f"record: 'is' was {record.get('is')!r}; allowed: {', '.join(sorted(_TYPES))}"
        )
    return _made(kind, fields)


def _values(message: object) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in _FIELDS[type(message)]}
    return {
        name: _values(value) if type(value) in _FIELDS else
        value.value if isinstance(value, StrEnum) else value
        for name, value in values.items()
    }  # fmt: skip


def _made(kind: type, fields: dict[str, Any]) -> Any:
    hints = _FIELDS[kind]
    if set(fields) != set(hints):
        raise ValueError(
            f"record of {_NAMES.get(kind, kind.__name__)}: fields were "
            f"{', '.join(sorted(fields))}; needed: {', '.join(sorted(hints))}"
        )
    return kind(**{name: _restored(hints[name], value) for name, value in fields.items()})


def _restored(hint: Any, value: Any) -> Any:
    if hint in _FIELDS:
        return _made(hint, value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    # JSON of another writer may hold whole numbers without a point.
    if value is not None and (hint is float or float in get_args(hint)):
        return float(value)
    return value
