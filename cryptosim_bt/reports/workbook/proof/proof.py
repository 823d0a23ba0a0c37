"""The proof: numbers of a run beside what live formulas make of its prices, contracts and rates.

Three sheets. The *ledger* rolls balance, legs and groups forward over fills and funding, the
*steps* follow each Transaction, both by formulas that read inputs alone; the *proof* compares what
they give with what the engine wrote into the other sheets. No formula reads a number that another
one proves, so that one wrong number is one wrong row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.contracts import SIDES, FirstCryptoSimContract
from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.proof.checks import FIRST_ROW, Block, Checks, Line, cells
from cryptosim_bt.reports.workbook.proof.formulas import Arithmetic
from cryptosim_bt.reports.workbook.proof.ledger import Ledger
from cryptosim_bt.reports.workbook.proof.places import Places
from cryptosim_bt.reports.workbook.proof.replay import Replay
from cryptosim_bt.reports.workbook.proof.steps import TradeSteps
from cryptosim_bt.reports.workbook.row_xml import excel_times
from cryptosim_bt.results.result import LAST_PRICE, Result


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
        self.result, self.facts, self.words, self.places = result, facts, words, places
        self.every_bar, self.bars = every_bar, bars
        # Without a mark of its own, a bar's mark is its close.
        finer = result.settings["data"].get("fill_timeframe") is not None
        self.own_mark = finer or result.summary["mark"] != LAST_PRICE
        isolated = result.settings["trading"]["margin_mode"] == "isolated"
        by_group = isinstance(facts.contract, FirstCryptoSimContract)
        self.math = Arithmetic("cryptosim" if by_group else facts.instrument.kind)
        self.replay = Replay.of(result, isolated=isolated)
        local = facts.local(pd.Series(pd.to_datetime(self.replay.times, unit="ms", utc=True)))
        self.ledger = Ledger(
            self.replay, self.math, places, words, local.tolist(), isolated=isolated
        )
        self.steps = TradeSteps(self.replay, self.math, self.ledger, words)
        self.checks = Checks(room)
        # Of each bar, the last event before the next bar.
        opens = pd.DatetimeIndex(result.bars["time"]).as_unit("ms").asi8
        self._events_until = np.searchsorted(self.replay.times, opens[1:]).tolist()
        self._events_until.append(len(self.replay.events))

    @property
    def last_event(self) -> int:
        """Place of the run's last event, -1 without any."""
        return len(self.replay.events) - 1

    def unrealized(self, event: int, mark: str, *, of_groups: bool) -> str:
        """Return the formula of what is unrealised after an event at a price, in a book."""
        groups = of_groups or self.math.by_group
        return "+".join(
            self.ledger.unrealized(side, event, mark, of_groups=groups) for side in SIDES
        )

    def mark(self, bar: int) -> str:
        """Return the cell of the price at which a bar's PnL is counted (R38)."""
        return self.places.cell("bars", "mark" if self.own_mark else "close", bar)

    def event_of(self, bar: int) -> int:
        """Return the last event of a bar or before it, -1 before the first."""
        return int(self._events_until[bar]) - 1

    # ------------------------------------------------------------------ checks
    def add_columns(
        self, table: str, names: list[str] | dict[int, str],
        formulas: Mapping[str, tuple[str, Callable[[int], str]]],
    ) -> None:  # fmt: skip
        """Add checks of columns: names of rows of the table; kind and formula of each column."""
        rows = list(names) if isinstance(names, dict) else list(range(len(names)))
        times = self.times(table, rows)
        for column, (kind, computed) in formulas.items():

            def line(place: int, _: int, column: str = column, computed: Any = computed) -> Line:
                row = rows[place]
                engine = self.places.cell(table, column, row)
                return Line(names[row], times[place], computed(row), engine)

            self.add_block(table, column, kind, len(rows), line)

    def add_block(
        self, table: str, column: str, kind: str, count: int, line: Callable[[int, int], Line]
    ) -> None:
        """Add checks under the heading of a column."""
        label = self.words.heading(column)
        self.checks.add(Block(table, column, label, kind, count, line))

    def times(self, table: str, rows: list[int]) -> list[float | None]:
        """Return when rows of a table happened, as Excel counts time."""
        name = {"trades": "exit_time", "sets": "born"}.get(table, "time")
        return excel_times(self.facts.local(getattr(self.result, table)[name].iloc[rows]))

    def rows(self) -> Iterator[tuple[tuple[Any, ...], str]]:
        """Yield the cells of each check and the kind of its figures."""
        words = self.words
        verdicts = words("proof.right"), words("proof.wrong"), words("proof.given")
        row = FIRST_ROW
        for block in self.checks.blocks:
            sheet = words(f"workbook.sheet.{block.table}")
            for place in range(block.count):
                line = block.line(place, row)
                yield cells(sheet, block, line, row, verdicts), block.kind
                row += 1
