"""Events and commands as records of a journal, and back."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from cryptosim_bt.accounting import book_events
from cryptosim_bt.accounting.book_events import (
    BookEvent,
    Change,
    ChangeRefused,
    EntryWanted,
    Forgiven,
    Funded,
    LegClosed,
    OrderAccepted,
    OrderEnded,
    OrderRejected,
    OrderResized,
    SignalExitWanted,
    StopGiven,
    StopTriggered,
    from_record,
    to_record,
)
from cryptosim_bt.accounting.orders import (
    CancelOrder,
    Command,
    Execution,
    FundingPayment,
    Liquidity,
    OrderEnd,
    PlaceOrder,
    ResizeOrder,
    Role,
    UnknownFill,
)

FILL = Execution(1, 4, Role.ENTRY, "long", 2, 0.1, 3.0, -1e-9, Liquidity.MAKER, 0.0, "t1", 99.5)
MESSAGES = (
    EntryWanted("long", 0.1, 100.3, 5),
    SignalExitWanted("short", 1e-8),
    StopGiven("long", 3, None),
    OrderAccepted(1, 2, "600000000000000002"),
    OrderRejected(1, "price band", 2),
    OrderEnded(1, OrderEnd.EXPIRED, "its time had passed", 2),
    OrderResized(1, 2.0, 3),
    ChangeRefused(1, Change.CANCEL, "filled", 2),
    StopTriggered(1, 2),
    FILL,
    LegClosed(1, "short", 2.0, 3.0, 0.1, -4.0, Role.LIQUIDATION, "t2"),
    Funded(FundingPayment(1, 2, "long", 1e-4, 3.0, 4.0, -5.0, 6.0), "p1"),
    Forgiven(1.5, 2),
    PlaceOrder(1, Role.STOP_LOSS, "long", 2.0, 3.0, 4, 5),
    CancelOrder(1, "replaced"),
    ResizeOrder(1, 2.0),
    UnknownFill(FILL, "why"),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_message_comes_back_from_its_record_the_same(message: BookEvent | Command) -> None:
    line = json.dumps(to_record(message), allow_nan=False)
    back = from_record(json.loads(line))
    assert back == message
    assert repr(back) == repr(message)  # kinds and enums, too


def test_every_kind_of_event_and_command_has_a_record() -> None:
    kinds = {*get_args(BookEvent), *get_args(Command)}
    assert kinds == set(book_events._NAMES) == {type(message) for message in MESSAGES}


def test_whole_numbers_of_another_writer_are_numbers_of_ours() -> None:
    back = from_record({"is": "resize", "number": 1, "contracts": 2})
    assert repr(back) == repr(ResizeOrder(1, 2.0))


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"number": 1}, "'is' was None; allowed: accepted, cancel"),
        ({"is": "resized", "number": 1}, "of resized: fields were number; needed: contracts"),
        ({"is": "ended", "number": 1, "end": "eaten", "reason": "", "time_ms": 0}, "eaten"),
    ],
)
def test_record_that_is_none_says_what_is_wrong(record: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_record(record)
