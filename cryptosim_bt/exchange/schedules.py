"""The order of a bar's steps: `SCHEDULES`, after a book's expiries (R10) and funding (R22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from cryptosim_bt.exchange.bar_steps import BarSteps
from cryptosim_bt.exchange.book_steps import BookSteps
from cryptosim_bt.exchange.fill_rules import EventOrder
from cryptosim_bt.exchange.plain_steps import PlainSteps

# Who sends orders: a strategy with a book, whose orders have a role, or one without.
Sender = Literal["book", "plain"]
Step = Callable[[Any], None]

# Step 3 of R13, which comes first in every order, and the check for ambiguity (R43).
_BOOK_START: tuple[Step, ...] = (BookSteps.at_open, BookSteps.note_ambiguity)
_PLAIN_START: tuple[Step, ...] = (PlainSteps.note_ambiguity, PlainSteps.at_open)
_END = BarSteps.liquidate_at_close

SCHEDULES: dict[tuple[Sender, EventOrder], tuple[Step, ...]] = {
    # R13
    ("book", "rules"): (
        *_BOOK_START, BookSteps.walks, BookSteps.limit_exits, BookSteps.entries,
        BookSteps.exits_at_close, _END,
    ),
    # R42
    ("book", "path"): (*_BOOK_START, BookSteps.path, _END),
    ("book", "best"): (
        *_BOOK_START, BookSteps.limit_exits, BookSteps.entries_alone, BookSteps.exits_of_entries,
        BookSteps.walks, _END,
    ),
    ("book", "worst"): (
        *_BOOK_START, BookSteps.walks, BookSteps.entries, BookSteps.limit_exits,
        BookSteps.exits_at_close, _END,
    ),
    # R49: as docs/order-types.md says.
    ("plain", "rules"): (
        PlainSteps.note_ambiguity, PlainSteps.endangered_walks, PlainSteps.the_rest, _END,
    ),
    ("plain", "path"): (*_PLAIN_START, PlainSteps.path, _END),
    ("plain", "best"): (
        *_PLAIN_START, PlainSteps.limit_exits, PlainSteps.certain_entries,
        PlainSteps.exits_of_entries, PlainSteps.walks, PlainSteps.the_rest,
        PlainSteps.exits_of_entries, _END,
    ),
    ("plain", "worst"): (
        *_PLAIN_START, PlainSteps.walks, PlainSteps.stop_exits, PlainSteps.entries,
        PlainSteps.the_rest, PlainSteps.exits_at_close, _END,
    ),
}  # fmt: skip
