"""The ledger: every fill and funding payment of a run in order, reckoned again by formulas.

Its inputs are prices, contracts, rates, sides and the kind of liquidity, each read from the
sheets of fills and funding; each row goes on from what the row above it reckoned. No number that
the engine made is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from cryptosim_bt.accounting.contracts import SIDES, Side
from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.proof.formulas import Arithmetic, left_of
from cryptosim_bt.reports.workbook.proof.places import Grid, Places
from cryptosim_bt.reports.workbook.proof.replay import Event, Replay
from cryptosim_bt.reports.workbook.row_xml import Formula

# column: kind. Those of a side stand twice.
_COLUMNS = {
    "event": "count", "event_time": "time", "event_kind": "text", "event_group": "text",
    "sign": "count", "event_contracts": "contracts", "event_price": "price", "rate": "rate",
    "event_fee": "money", "event_realized": "pnl", "event_payment": "pnl",
    "event_shortfall": "value", "event_balance": "money",
    "long_held": "contracts", "long_entry_value": "fine",
    "short_held": "contracts", "short_entry_value": "fine",
    "group_held": "contracts", "group_entry_value": "fine", "event_group_pnl": "pnl",
    "set_pnl": "pnl",
    "book_balance": "money",
    "long_group_value": "fine", "short_group_value": "fine",
    "long_group_square": "fine", "short_group_square": "fine",
    "long_funding": "fine", "short_funding": "fine",
    "liquidations_so_far": "count", "liquidated": "contracts", "left_over": "pnl",
    "penalty": "value",
    "long_margin_raw": "value", "short_margin_raw": "value",
    "long_margin": "value", "short_margin": "value",
}  # fmt: skip
_OF_MARGIN = ("long_margin_raw", "short_margin_raw", "long_margin", "short_margin")
_SQUARES = ("long_group_square", "short_group_square")
# Of every side: each row holds it, changed or as above.
_ROLLED = ("held", "entry_value", "group_value", "funding")

# Gives the cell of a column.
Cells = Callable[[str], str]


class Ledger:
    """The rows of the ledger sheet.

    Parameters
    ----------
    isolated
        Whether each leg has a margin of its own (R27).
    times
        Local times of the events.
    """

    def __init__(
        self, replay: Replay, arithmetic: Arithmetic, places: Places, words: Words,
        times: list[datetime], *, isolated: bool,
    ) -> None:  # fmt: skip
        self._replay, self._math, self._places, self._words = replay, arithmetic, places, words
        self._times, self._isolated = times, isolated
        self.columns = [
            (name, kind) for name, kind in _COLUMNS.items()
            if (isolated or name not in _OF_MARGIN)
            and (arithmetic.by_group or name not in _SQUARES)
        ]  # fmt: skip
        # The row of the start stands above that of event 0.
        self._grid = Grid((name for name, _ in self.columns), first_row=3)

    def __len__(self) -> int:
        return 1 + len(self._replay.events)

    def at(self, column: str, event: int) -> str:
        """Return, for other sheets, the cell of a column at an event; -1: before the first."""
        return self._places.sheet("ledger") + self._grid.cell(column, event)

    def column(self, name: str) -> str:
        """Return, for other sheets, all cells of a column."""
        last = len(self._replay.events) - 1
        return self._places.sheet("ledger") + self._grid.area(name, -1, last)

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the cells of each row by column: the start, then the events."""
        start: dict[str, object] = {"event": 0}
        start |= dict.fromkeys(self._unchanged(self._cells(-1)), 0.0)
        if self._isolated:
            start |= dict.fromkeys((f"{side}_margin" for side in SIDES), 0.0)
        start["event_balance"] = start["book_balance"] = Formula("initial_balance")
        yield start
        for number, event in enumerate(self._replay.events):
            here, above = self._cells(number), self._cells(number - 1)
            row = (self._funding if event.is_funding else self._fill)(event, here, above)
            yield {
                "event": number + 1,
                "event_time": self._times[number],
                "event_kind": self._words.shown(event.role),
                "event_group": event.group,
                **{name: Formula(text) for name, text in row.items()},
            }

    # ------------------------------------------------------------------ funding
    def _funding(self, event: Event, here: Cells, above: Cells) -> dict[str, str]:
        source = self._source("funding", event)
        sign, held, price = here("sign"), here("event_contracts"), here("event_price")
        notional = self._math.notional(held, price)
        row = {
            "sign": self._sign(source("side")),
            "event_contracts": above(f"{event.side}_held"),
            "event_price": source("funding_price"),
            "rate": source("funding_rate"),
            "event_payment": f"-{sign}*{notional}*{here('rate')}",
            "event_balance": f"{above('event_balance')}+{here('event_payment')}",
            "book_balance": f"{above('book_balance')}+{here('event_payment')}",
            **self._unchanged(above),
        }
        row[f"{event.side}_funding"] = (
            f"{above(f'{event.side}_funding')}+{here('event_payment')}/{held}"
        )
        if self._isolated:
            row |= {f"{side}_margin_raw": above(f"{side}_margin") for side in SIDES}
            row |= self._margins(here, shrink=event.ends_due)
        return row

    # ------------------------------------------------------------------ fills
    def _fill(self, event: Event, here: Cells, above: Cells) -> dict[str, str]:
        source = self._source("fills", event)
        contracts, price = here("event_contracts"), here("event_price")
        maker = self._words.shown("maker")
        fee = f"{self._math.notional(contracts, price)}*{here('rate')}"
        row = {
            "sign": self._sign(source("side")),
            "event_contracts": source("contracts"),
            "event_price": source("price"),
            "rate": f'IF({source("liquidity")}="{maker}",maker_fee,taker_fee)',
            "event_fee": fee,
            **self._unchanged(above),
        }
        row |= (self._entry if event.is_entry else self._exit)(event, here, above)
        if event.liquidates:
            row["event_fee"] = f"{fee}+{here('penalty')}*{contracts}/{here('liquidated')}"
            row |= self._liquidation(event, here, above)
        moved = "".join(
            f"{sign}{here(name)}"
            for sign, name in (("-", "event_fee"), ("+", "event_shortfall")) if name in row
        )  # fmt: skip
        gain, book_gain = ("", "") if event.is_entry else (
            f"+{here('event_realized')}", f"+{here('event_group_pnl')}"
        )  # fmt: skip
        row["event_balance"] = f"{above('event_balance')}{gain}{moved}"
        row["book_balance"] = f"{above('book_balance')}{book_gain}{moved}"
        if self._isolated:
            row |= self._leg_margins(event, here, above)
        return row

    def _entry(self, event: Event, here: Cells, above: Cells) -> dict[str, str]:
        contracts, price, side = here("event_contracts"), here("event_price"), event.side
        value = self._math.entry_value(contracts, price)
        before = None if event.before is None else self._cells(event.before)
        held, old = (before(name) if before else "0" for name in ("group_held",
                                                                  "group_entry_value"))  # fmt: skip
        row = {
            f"{side}_held": f"{above(f'{side}_held')}+{contracts}",
            f"{side}_entry_value": f"{above(f'{side}_entry_value')}+{value}",
            "group_held": f"{held}+{contracts}",
            "group_entry_value": f"{old}+{value}",
            f"{side}_group_value": f"{above(f'{side}_group_value')}+{value}",
        }
        return row | self._square(event, here, above, (held, old))

    def _exit(self, event: Event, here: Cells, above: Cells) -> dict[str, str]:
        contracts, price, side = here("event_contracts"), here("event_price"), event.side
        assert event.before is not None  # what is closed was entered
        before = self._cells(event.before)
        held, value = before("group_held"), before("group_entry_value")
        leg, leg_value = above(f"{side}_held"), above(f"{side}_entry_value")
        left, group_left = here(f"{side}_held"), here("group_held")
        group_value = here("group_entry_value")
        row = {
            f"{side}_held": left_of(leg, contracts),
            f"{side}_entry_value": f"IF({left}=0,0,{leg_value}*{left}/{leg})",
            "group_held": left_of(held, contracts),
            "group_entry_value": f"IF({group_left}=0,0,{value}*{group_left}/{held})",
            f"{side}_group_value": (
                f"IF({left}=0,0,{above(f'{side}_group_value')}-{value}+{group_value})"
            ),
            "event_realized": self._gain(here, contracts, leg, leg_value, price),
            "event_group_pnl": self._gain(here, contracts, held, value, price),
        }
        if self._math.by_group:
            row["event_realized"] = here("event_group_pnl")
        if event.closes_set:
            earlier = event.set_before
            gained = "" if earlier is None else f"{self._cells(earlier)('set_pnl')}+"
            row["set_pnl"] = f"{gained}{here('event_group_pnl')}"
        row["event_shortfall"] = self._shortfall(event, here, above)
        return row | self._square(event, here, above, (held, value))

    def _gain(
        self, here: Cells, closed: str, held: str, value: str, price: str
    ) -> str:
        part = f"{value}*{closed}/{held}"
        square = f"({value}/{held})^2*{closed}"
        return self._math.pnl(here("sign"), closed, part, square, price)

    def _square(
        self, event: Event, here: Cells, above: Cells, group: tuple[str, str]
    ) -> dict[str, str]:
        if not self._math.by_group:
            return {}
        name, left = f"{event.side}_group_square", here(f"{event.side}_held")
        after = self._math.square(here("group_held"), here("group_entry_value"))
        return {name: f"IF({left}=0,0,{above(name)}-{self._math.square(*group)}+{after})"}

    # ------------------------------------------------------------------ liquidation (R23, R30)
    def _liquidation(self, event: Event, here: Cells, above: Cells) -> dict[str, str]:
        if not event.begins_batch:
            return {name: above(name) for name in ("liquidated", "left_over", "penalty")}
        counted, price = "liquidations_so_far", here("event_price")
        sides = (event.side,) if self._isolated else SIDES
        backing = above("event_balance")
        if self._isolated:
            backing = f"{above(f'{event.side}_margin')}+MIN(0,{backing})"
        pnl = "+".join(
            self._unrealized(side, above, price, of_groups=self._math.by_group) for side in sides
        )
        notional = self._math.notional(here("liquidated"), price)
        return {
            counted: f"{above(counted)}+1",
            "liquidated": "+".join(above(f"{side}_held") for side in sides),
            "left_over": f"{backing}+{pnl}-{notional}*taker_fee",
            "penalty": f"MIN({notional}*liquidation_fee,MAX(0,{here('left_over')}))",
        }

    def _shortfall(self, event: Event, here: Cells, above: Cells) -> str:
        balance = f"{above('event_balance')}+{here('event_realized')}-{here('event_fee')}"
        if self._isolated and event.ends_batch:
            beyond = f"MAX(0,-{here('left_over')})"
            return f"{beyond}+MAX(0,-({balance}+{beyond}))"
        flat = ",".join(f"{here(f'{side}_held')}=0" for side in SIDES)
        return f"IF(AND({flat}),MAX(0,-({balance})),0)"

    # ------------------------------------------------------------------ isolated margin (R27, R28)
    def _leg_margins(self, event: Event, here: Cells, above: Cells) -> dict[str, str]:
        row = {f"{side}_margin_raw": above(f"{side}_margin") for side in SIDES}
        name, held = f"{event.side}_margin", f"{event.side}_held"
        if event.is_entry:
            added = self._math.notional(here("event_contracts"), here("event_price"))
            row[f"{name}_raw"] = f"{above(name)}+{added}/leverage"
        else:
            row[f"{name}_raw"] = f"IF({above(held)}=0,0,{above(name)}*{here(held)}/{above(held)})"
        return row | self._margins(here, shrink=not event.liquidates or event.ends_batch)

    def _margins(self, here: Cells, *, shrink: bool) -> dict[str, str]:
        raw = {side: here(f"{side}_margin_raw") for side in SIDES}
        if not shrink:
            return {f"{side}_margin": raw[side] for side in SIDES}
        needed, balance = "+".join(raw.values()), here("event_balance")
        share = f"IF(AND({needed}>0,{needed}>{balance}),MAX(0,{balance})/({needed}),1)"
        return {f"{side}_margin": f"{raw[side]}*{share}" for side in SIDES}

    # ------------------------------------------------------------------ pieces
    def unrealized(self, side: Side, event: int, price: str, *, of_groups: bool) -> str:
        """Return, for other sheets, what a side's contracts gained after an event in a book."""
        return self._unrealized(
            side, lambda column: self.at(column, event), price, of_groups=of_groups
        )

    def _unrealized(self, side: Side, cell: Cells, price: str, *, of_groups: bool) -> str:
        value = cell(f"{side}_{'group_value' if of_groups else 'entry_value'}")
        square = cell(f"{side}_group_square") if self._math.by_group else ""
        sign = "1" if side == "long" else "(-1)"
        return self._math.pnl(sign, cell(f"{side}_held"), value, square, price)

    def _cells(self, event: int) -> Cells:
        return lambda column: self._grid.cell(column, event)

    def _source(self, table: str, event: Event) -> Cells:
        return lambda column: self._places.cell(table, column, event.row)

    def _sign(self, side: str) -> str:
        return f'IF({side}="{self._words.shown("long")}",1,-1)'

    def _unchanged(self, above: Cells) -> dict[str, str]:
        names = [f"{side}_{name}" for side in SIDES for name in _ROLLED]
        squares = _SQUARES if self._math.by_group else ()
        return {name: above(name) for name in (*names, "liquidations_so_far", *squares)}
