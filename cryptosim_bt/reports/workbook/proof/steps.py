"""The steps of each Transaction, reckoned again by formulas: its entries, exits, share of funding.

Reads the ledger alone. A trade's contracts, prices, PnL, fees and funding are sums over its
steps; those of a set, over the steps of all its Transactions, which stand together.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.proof.formulas import Arithmetic, left_of
from cryptosim_bt.reports.workbook.proof.ledger import Ledger
from cryptosim_bt.reports.workbook.proof.places import Grid
from cryptosim_bt.reports.workbook.proof.replay import Journey, Replay, Step
from cryptosim_bt.reports.workbook.row_xml import Formula

_COLUMNS = {
    "step_transaction": "count", "step_group": "text", "step_kind": "text", "step_event": "count",
    "step_contracts": "contracts", "step_price": "price",
    "step_entered": "contracts", "step_entry_value": "fine", "step_open": "contracts",
    "step_open_value": "fine", "step_exit_value": "fine", "step_fee": "money",
    "step_gross": "pnl", "step_funding": "pnl",
}  # fmt: skip


class TradeSteps:
    """The rows of the sheet of steps, counted from 0.

    Attributes
    ----------
    rows_of, rows_of_set
        First and last row of each Transaction, and of each set.
    """

    def __init__(
        self, replay: Replay, arithmetic: Arithmetic, ledger: Ledger, words: Words
    ) -> None:
        self._replay, self._math, self._ledger, self._words = replay, arithmetic, ledger, words
        self.columns = list(_COLUMNS.items())
        self._grid = Grid(_COLUMNS)
        self.cell, self.area = self._grid.cell, self._grid.area
        self.rows_of: dict[int, tuple[int, int]] = {}
        self.rows_of_set: dict[str, tuple[int, int]] = {}
        self._count = 0
        for journey in replay.journeys:
            row, last = self._count, self._count + len(journey.steps) - 1
            self.rows_of[journey.number] = row, last
            if journey.set_name is not None:
                first = self.rows_of_set.get(journey.set_name, (row, row))[0]
                self.rows_of_set[journey.set_name] = first, last
            self._count = last + 1

    def __len__(self) -> int:
        return self._count

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the cells of each row by column."""
        row = 0
        for journey in self._replay.journeys:
            group = journey.set_name or f"P-{journey.side}"
            before: Step | None = None
            for step in journey.steps:
                cells = self._step(journey, step, before, row)
                yield {
                    "step_transaction": journey.number,
                    "step_group": group,
                    "step_kind": self._words.shown(step.kind),
                    "step_event": step.event + 1 if step.event >= 0 else None,
                    **{name: Formula(text) for name, text in cells.items()},
                }
                before = step
                row += 1

    def _step(
        self, journey: Journey, step: Step, before: Step | None, row: int
    ) -> dict[str, str]:
        event = step.event if step.event >= 0 else len(self._replay.events) - 1
        cells = self._funding(journey, event, before, row)
        if step.kind == "open":
            cells |= {name: self.cell(name, row - 1) for name in ("step_open", "step_open_value")}
        elif step.kind == "entry":
            cells |= self._entry(event, before, row)
        else:
            cells |= self._exit(event, row)
        return cells

    def _funding(
        self, journey: Journey, event: int, before: Step | None, row: int
    ) -> dict[str, str]:
        # R22: shared by contracts; what each contract was paid since the step before.
        if before is None:
            return {}
        name = f"{journey.side}_funding"
        paid = f"{self._ledger.at(name, event)}-{self._ledger.at(name, before.event)}"
        return {"step_funding": f"-{self.cell('step_open', row - 1)}*({paid})"}

    def _entry(self, event: int, before: Step | None, row: int) -> dict[str, str]:
        def above(column: str) -> str:
            return "" if before is None else f"{self.cell(column, row - 1)}+"

        contracts, price = self.cell("step_contracts", row), self.cell("step_price", row)
        value = self._math.entry_value(contracts, price)
        return {
            "step_contracts": self._ledger.at("event_contracts", event),
            "step_price": self._ledger.at("event_price", event),
            "step_entered": f"{above('step_entered')}{contracts}",
            "step_entry_value": f"{above('step_entry_value')}{value}",
            "step_open": f"{above('step_open')}{contracts}",
            "step_open_value": f"{above('step_open_value')}{value}",
            "step_fee": self._ledger.at("event_fee", event),
        }

    def _exit(self, event: int, row: int) -> dict[str, str]:
        before = self._replay.events[event].before
        assert before is not None  # what is closed was entered
        contracts, price = self.cell("step_contracts", row), self.cell("step_price", row)
        held, value = (self.cell(f"step_{name}", row - 1) for name in ("open", "open_value"))
        left, closed = self.cell("step_open", row), self._ledger.at("event_contracts", event)
        sign = self._ledger.at("sign", event)
        part, square = f"{value}*{contracts}/{held}", f"({value}/{held})^2*{contracts}"
        return {
            # Of each Transaction of the group alike (R36).
            "step_contracts": f"{held}*{closed}/{self._ledger.at('group_held', before)}",
            "step_price": self._ledger.at("event_price", event),
            "step_entered": self.cell("step_entered", row - 1),
            "step_entry_value": self.cell("step_entry_value", row - 1),
            "step_open": left_of(held, contracts),
            "step_open_value": f"IF({left}=0,0,{value}*{left}/{held})",
            "step_exit_value": self._math.entry_value(contracts, price),
            "step_fee": f"{self._ledger.at('event_fee', event)}*{contracts}/{closed}",
            "step_gross": self._math.pnl(sign, contracts, part, square, price),
        }
