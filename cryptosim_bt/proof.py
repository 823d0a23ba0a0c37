"""The proof: numbers of a run beside what live formulas make of its prices, contracts and rates.

Three sheets. The *ledger* rolls balance, legs and groups forward over fills and funding, the
*steps* follow each Transaction, both by formulas that read inputs alone; the *proof* compares what
they give with what the engine wrote into the other sheets. No formula reads a number that another
one proves, so that one wrong number is one wrong row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cryptosim_bt.contracts import FirstCryptoSimContract
from cryptosim_bt.orders import Role
from cryptosim_bt.proof_formulas import Arithmetic, on_tick
from cryptosim_bt.proof_ledger import Ledger, LedgerSources
from cryptosim_bt.proof_places import Places
from cryptosim_bt.proof_replay import Event, Replay
from cryptosim_bt.proof_steps import TradeSteps
from cryptosim_bt.result import Result
from cryptosim_bt.run_facts import RunFacts
from cryptosim_bt.sheet_xml import Formula
from cryptosim_bt.wording import Words

# Above the table of checks: the verdict, the tolerance, how to read it, the headings.
HEADING_ROW = 4
FIRST_ROW = HEADING_ROW + 1
TOLERANCE = 1e-9
# Beyond so many bars the legs are not compared bar by bar: equity tells of them.
LEGS_BARS = 20_000

COLUMNS = (
    ("proof_kind", "text"), ("proof_what", "text"), ("proof_figure", "text"),
    ("proof_time", "time"), ("computed", "figure"), ("engine", "figure"),
    ("difference", "difference"), ("verdict", "text"), ("before_tick", "average"),
    ("peak", "money"), ("fall", "fine"), ("bar_return", "fine"), ("fall_squared", "fine"),
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
    left_out: list[Block] = field(default_factory=list)
    count: int = 0

    def add(self, block: Block) -> None:
        """Take in a block, if the sheet has room for it."""
        if self.count + block.count > self.room:
            self.left_out.append(block)
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


class Proof:
    """The checks of a run.

    Parameters
    ----------
    places
        Cells of the other sheets.
    bars
        Rows of the bars that are proved.
    every_bar
        Whether those are all bars of the run.
    room
        Rows that the sheet has for checks.
    """

    def __init__(
        self,
        result: Result,
        facts: RunFacts,
        words: Words,
        places: Places,
        *,
        bars: np.ndarray,
        every_bar: bool,
        room: int,
    ) -> None:
        self._result, self._facts, self._words, self._places = result, facts, words, places
        self.every_bar, self.bars = every_bar, bars
        isolated = result.settings["trading"]["margin_mode"] == "isolated"
        by_group = isinstance(facts.contract, FirstCryptoSimContract)
        self.math = Arithmetic("cryptosim" if by_group else facts.instrument.kind)
        self.replay = Replay.of(result, isolated=isolated)
        sources = LedgerSources(
            fill=lambda column, row: places.cell("fills", column, row),
            payment=lambda column, row: places.cell("funding", column, row),
            long=words.shown("long"),
            maker=words.shown("maker"),
            label=self._label(),
        )
        self.ledger = Ledger(self.replay, self.math, sources, isolated=isolated)
        self.steps = TradeSteps(self.replay, self.math, self.ledger, places.sheet("ledger"))
        self.checks = Checks(room)
        # Of each bar, the last event before the next bar.
        opens = pd.DatetimeIndex(result.bars["time"]).as_unit("ms").asi8
        self._event_of = np.searchsorted(self.replay.times, opens[1:]).tolist()
        self._event_of.append(len(self.replay.events))

    def _label(self) -> Callable[[Event], tuple[Any, str, str | None]]:
        fills, funding, local = self._result.fills, self._result.funding, self._facts.local
        times = {True: local(funding["time"]).tolist(), False: local(fills["time"]).tolist()}
        groups = fills["group"].tolist()

        def label(event: Event) -> tuple[Any, str, str | None]:
            group = None if event.is_funding else groups[event.row]
            return times[event.is_funding][event.row], self._words.shown(event.role), group

        return label

    @property
    def last_event(self) -> int:
        """Place of the run's last event, -1 without any."""
        return len(self.replay.events) - 1

    def ledger_cell(self, column: str, event: int) -> str:
        """Return a cell of the ledger, for formulas of other sheets."""
        return self._places.sheet("ledger") + self.ledger.at(column, event)

    def unrealized(self, event: int, mark: str, *, of_groups: bool) -> str:
        """Return the formula of what is unrealised after an event at a price, in a book."""
        sheet, groups = self._places.sheet("ledger"), of_groups or self.math.by_group
        return "+".join(
            self.ledger.unrealized(side, event, mark, of_groups=groups, sheet=sheet)
            for side in ("long", "short")
        )

    # ------------------------------------------------------------------ blocks
    def add_tables(self) -> None:
        """Add the checks of trades, sets, fills, funding and bars."""
        self._add_trades()
        self._add_sets()
        self._add_fills()
        self._add_funding()
        self._add_bars()

    def _add(
        self, table: str, column: str, kind: str, rows: list[int],
        what: Callable[[int], str], computed: Callable[[int], str],
    ) -> None:  # fmt: skip
        """Add checks of a column: rows of the table, a name and a formula for each."""
        source = getattr(self._result, table)
        time = {"trades": "exit_time", "sets": "born"}.get(table, "time")
        times = self._facts.local(source[time]).tolist()

        def line(place: int, _: int) -> Line:
            row = rows[place]
            engine = self._places.cell(table, column, row)
            return Line(what(row), times[row], computed(row), engine)

        self._add_block(table, column, kind, len(rows), line)

    def _add_block(
        self, table: str, column: str, kind: str, count: int, line: Callable[[int, int], Line]
    ) -> None:
        label = self._words.heading(column)
        self.checks.add(Block(table, column, label, kind, count, line))

    def _add_trades(self) -> None:
        trades, steps = self._result.trades, self.steps
        sheet = self._places.sheet("steps")
        spans = [steps.rows_of[number] for number in trades["transaction"].tolist()]
        names = [f"{self._words.term('trade')} {number}" for number in trades["id"].tolist()]

        def total(column: str) -> Callable[[int], str]:
            return lambda row: f"SUM({sheet}{steps.area(column, spans[row])})"

        def last(column: str, row: int) -> str:
            return sheet + steps.cell(column, spans[row][1])

        def average(value: Callable[[int], str]) -> Callable[[int], str]:
            return lambda row: self.math.average(last("step_entered", row), value(row))

        gross, fees, funding = (total(f"step_{name}") for name in ("gross", "fee", "funding"))
        formulas: dict[str, tuple[str, Callable[[int], str]]] = {
            "contracts": ("contracts", lambda row: last("step_entered", row)),
            "entry_price": ("average", average(lambda row: last("step_entry_value", row))),
            "exit_price": ("average", average(total("step_exit_value"))),
            "gross_pnl": ("money", gross),
            "fees": ("money", fees),
            "funding_paid": ("money", funding),
            "net_pnl": ("money", lambda row: f"{gross(row)}-{fees(row)}-{funding(row)}"),
        }
        for column, (kind, formula) in formulas.items():
            self._add("trades", column, kind, list(range(len(trades))), names.__getitem__, formula)

    def _add_sets(self) -> None:
        sets, steps = self._result.sets, self.steps
        names, sheet = sets["set"].tolist(), self._places.sheet("steps")
        events = [self.replay.sets[name] for name in names]

        def made(column: str, row: int) -> str:
            return self.ledger_cell(column, events[row].made)

        def average(row: int) -> str:
            return self.math.average(made("group_held", row), made("group_entry_value", row))

        def total(column: str) -> Callable[[int], str]:
            return lambda row: f"SUM({sheet}{steps.area(column, steps.rows_of_set[names[row]])})"

        def gained(row: int) -> str:
            closing, parts = events[row].closed, []
            while closing is not None:
                parts.append(self.ledger_cell("event_group_pnl", closing))
                closing = self.replay.events[closing].set_before
            return "+".join(reversed(parts)) or "0"

        fees, funding = total("step_fee"), total("step_funding")
        formulas: dict[str, tuple[str, Callable[[int], str]]] = {
            "contracts": ("contracts", lambda row: made("group_held", row)),
            "average_entry": ("average", average),
            "group_pnl": ("money", gained),
            "fees": ("money", fees),
            "funding_paid": ("money", funding),
            "net_pnl": ("money", lambda row: f"{gained(row)}-({fees(row)})-({funding(row)})"),
        }
        rows = list(range(len(sets)))
        for column, (kind, formula) in formulas.items():
            self._add("sets", column, kind, rows, names.__getitem__, formula)
        self._add_take_profits(names, average)

    def _add_take_profits(self, names: list[str], average: Callable[[int], str]) -> None:
        sets = self._result.sets
        rows = [row for row in range(len(sets)) if pd.notna(sets["take_profit_price"].iloc[row])]
        sides = sets["side"].tolist()
        times = self._facts.local(sets["born"]).tolist()

        def line(place: int, row: int) -> Line:
            which = rows[place]
            up = sides[which] == "long"
            raw = Formula(f"({average(which)})*(1{'+' if up else '-'}take_profit)")
            engine = self._places.cell("sets", "take_profit_price", which)
            helpers = (raw, None, None, None, None)
            return Line(names[which], times[which], on_tick(f"I{row}", up=up), engine, helpers)

        self._add_block("sets", "take_profit_price", "average", len(rows), line)

    def _add_fills(self) -> None:
        fills = self._result.fills
        event_of = {each.row: number for number, each in enumerate(self.replay.events)
                    if not each.is_funding}  # fmt: skip
        every = list(range(len(fills)))
        roles, lost = fills["role"].tolist(), fills["shortfall"].tolist()
        exits = [row for row in every if roles[row] != Role.ENTRY.value]
        forgiven = [row for row in exits if roles[row] == Role.LIQUIDATION.value or lost[row]]
        names = [f"{self._words.term('fill')} {row + 1}" for row in every]
        for column, name, rows in (
            ("fee", "event_fee", every),
            ("realized_pnl", "event_realized", exits),
            ("group_pnl", "event_group_pnl", exits),
            ("shortfall", "event_shortfall", forgiven),
            ("balance", "event_balance", every),
        ):
            self._add("fills", column, "money", rows, names.__getitem__,
                      lambda row, name=name: self.ledger_cell(name, event_of[row]))  # fmt: skip

    def _add_funding(self) -> None:
        event_of = {each.row: number for number, each in enumerate(self.replay.events)
                    if each.is_funding}  # fmt: skip
        rows = list(range(len(self._result.funding)))
        names = [f"{self._words.term('funding')} {row + 1}" for row in rows]
        for column, kind, name in (
            ("contracts", "contracts", "event_contracts"),
            ("payment", "money", "event_payment"),
            ("balance", "money", "event_balance"),
        ):
            self._add("funding", column, kind, rows, names.__getitem__,
                      lambda row, name=name: self.ledger_cell(name, event_of[row]))  # fmt: skip

    def _add_bars(self) -> None:
        rows: list[int] = self.bars.tolist()
        name = self._words.term("bar")

        def event(row: int) -> int:
            return self._event_of[row] - 1

        def add(column: str, kind: str, formula: Callable[[int], str]) -> None:
            self._add("bars", column, kind, rows, lambda _: name, formula)

        add("balance", "money", lambda row: self.ledger_cell("event_balance", event(row)))
        add("unrealized_pnl", "money", lambda row: self.unrealized(
            event(row), self._places.cell("bars", "mark", row), of_groups=False))  # fmt: skip
        self._add_equity(rows, event)
        if self.every_bar and len(rows) <= LEGS_BARS:
            for side in ("long", "short"):
                held, value = f"{side}_held", f"{side}_entry_value"

                def average(row: int, held: str = held, value: str = value) -> str:
                    cells = [self.ledger_cell(each, event(row)) for each in (held, value)]
                    return f"IF({cells[0]}=0,0,{self.math.average(*cells)})"

                add(f"{side}_contracts", "contracts",
                    lambda row, held=held: self.ledger_cell(held, event(row)))  # fmt: skip
                add(f"{side}_average", "average", average)

    def _add_equity(self, rows: list[int], event: Callable[[int], int]) -> None:
        name, count = self._words.term("bar"), len(rows)
        times = self._facts.local(self._result.bars["time"]).tolist()
        balances, gains = (self.checks.starts.get(("bars", column))
                           for column in ("balance", "unrealized_pnl"))  # fmt: skip
        if balances is None or gains is None:
            return

        def equity(place: int, row: int) -> Line:
            engine = self._places.cell("bars", "equity", rows[place])
            helpers = self._path(place, row) if self.every_bar else (None,) * 5
            computed = f"E{balances + place}+E{gains + place}"
            return Line(name, times[rows[place]], computed, engine, helpers)

        self._add_block("bars", "equity", "money", count, equity)
        start = self.checks.starts.get(("bars", "equity"))
        if start is None or self.math.by_group:
            # The first CryptoSim's PnL is by group in both books: there is nothing to compare.
            return

        def books(place: int, _: int) -> Line:
            at, mark = event(rows[place]), self._places.cell("bars", "mark", rows[place])
            other = self.unrealized(at, mark, of_groups=True)
            computed = f"{self.ledger_cell('book_balance', at)}+{other}"
            return Line(name, times[rows[place]], computed, f"E{start + place}")

        self._add_block("bars", "books", "money", count, books)

    def _path(self, place: int, row: int) -> tuple[Any, ...]:
        """Return peak, fall, return and its squared loss at a bar's equity (R26)."""
        first = place == 0
        before = "initial_balance" if first else f"E{row - 1}"
        peak = "initial_balance" if first else f"J{row - 1}"
        return (
            None,
            Formula(f"MAX({peak},E{row})"),
            Formula(f"1-E{row}/J{row}"),
            Formula(f"IF({before}>0,E{row}/{before},1)-1"),
            Formula(f"MIN(L{row},0)^2"),
        )

    # ------------------------------------------------------------------ rows of the sheet
    def rows(self) -> Iterator[tuple[tuple[Any, ...], str]]:
        """Yield the cells of each check and the kind of its figures."""
        words = self._words
        right, wrong, given = (words.term(name) for name in ("right", "wrong", "given"))
        row = FIRST_ROW
        for block in self.checks.blocks:
            kind = words.term(f"{block.table}_sheet")
            for place in range(block.count):
                line = block.line(place, row)
                yield _cells(kind, block.label, line, row, right, wrong, given), block.kind
                row += 1


def _cells(
    kind: str, figure: str, line: Line, row: int, right: str, wrong: str, given: str
) -> tuple[Any, ...]:
    engine = Formula(line.engine)
    head = (kind, line.what, figure, line.time)
    if line.computed is None:
        return (*head, None, engine, None, given, *line.helpers)
    near = f"ABS(G{row})<=tolerance*MAX(1,ABS(N(F{row})))"
    return (
        *head,
        Formula(line.computed),
        engine,
        Formula(f'IF(AND(ISNUMBER(E{row}),ISNUMBER(F{row})),E{row}-F{row},IF(E{row}=F{row},0,"?"))'),
        Formula(f'IF(ISNUMBER(G{row}),IF({near},"{right}","{wrong}"),"{wrong}")'),
        *line.helpers,
    )
