"""The table of checks: what one row of the proof is, and how rows come to their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptosim_bt.reports.workbook.row_xml import Formula

# Above the table of checks: the verdict, the tolerance, how to read it, the headings.
HEADING_ROW = 4
FIRST_ROW = HEADING_ROW + 1
TOLERANCE = 1e-9
_DUST = {"money": "0.00003*initial_balance*leverage", "average": "0"}

COLUMNS = (
    ("proof_kind", "text"), ("proof_what", "text"), ("proof_figure", "text"),
    ("proof_time", "time"), ("computed", "figure"), ("engine", "figure"),
    ("difference", "difference"), ("verdict", "text"), ("before_tick", "average"),
    ("peak", "money"), ("fall", "tiny"), ("bar_return", "tiny"), ("fall_squared", "tiny"),
)  # fmt: skip


class Line(NamedTuple):
    """One check: what it is of, its time, the formula, the engine's cell, helper columns."""

    what: str
    time: Any
    computed: str | None
    engine: str
    helpers: tuple[Any, ...] = (None,) * 5


@dataclass(frozen=True)
class Block:
    """Checks of one column of one sheet; ``line(i, row)`` is the i-th, in a row of the proof."""

    table: str
    column: str
    label: str
    kind: str
    count: int
    line: Callable[[int, int], Line]


@dataclass
class Checks:
    """The blocks of a proof, and where they begin."""

    room: int
    blocks: list[Block] = field(default_factory=list)
    starts: dict[tuple[str, str], int] = field(default_factory=dict)
    left_out: int = 0
    count: int = 0

    def add(self, block: Block) -> None:
        """Take in a block, if the sheet has room for it."""
        if self.count + block.count > self.room:
            self.left_out += block.count
            return
        self.starts[block.table, block.column] = FIRST_ROW + self.count
        self.blocks.append(block)
        self.count += block.count

    def area(self, column: str, table: str, figure: str) -> str:
        """Return the cells of a block in a column of the proof."""
        start = self.starts[table, figure]
        count = next(each.count for each in self.blocks
                     if (each.table, each.column) == (table, figure))  # fmt: skip
        return f"{column}{start}:{column}{max(start, start + count - 1)}"


def cells(
    sheet: str, block: Block, line: Line, row: int, verdicts: tuple[str, str, str]
) -> tuple[Any, ...]:
    """Return the cells of a check in a row of the proof; verdicts: right, wrong, given.

    A difference counts in proportion to the number. Near 0 float dust does not: money is a
    difference of notionals, which the account's leverage bounds; ratios, shares and counts have
    no currency; a price is far from 0 in its own measure.
    """
    engine = Formula(line.engine)
    head = (sheet, line.what, block.label, line.time)
    right, wrong, given = verdicts
    if line.computed is None:
        return (*head, None, engine, None, given, *line.helpers)
    dust = _DUST.get(block.kind, "1")
    near = f"ABS(G{row})<=tolerance*(ABS(N(F{row}))+{dust})"
    return (
        *head,
        Formula(line.computed),
        engine,
        Formula(f'IF(AND(ISNUMBER(E{row}),ISNUMBER(F{row})),E{row}-F{row},IF(E{row}=F{row},0,"?"))'),
        Formula(f'IF(ISNUMBER(G{row}),IF({near},"{right}","{wrong}"),"{wrong}")'),
        *line.helpers,
    )
