"""The figures of the summary as formulas (R26), made of what the proof reckoned.

A figure that the sheets cannot give is taken as it is, and counted as such: it needs what only
the engine knows (orders that were refused, ambiguous bars, liquidation prices by tier), or every
bar's equity where there are more bars than formulas.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.proof.checks import Block, Line
from cryptosim_bt.reports.workbook.proof.places import Places
from cryptosim_bt.reports.workbook.proof.proof import Proof
from cryptosim_bt.reports.workbook.summary_rows import SETTING, SummaryRow
from cryptosim_bt.results.metrics import MS_PER_YEAR
from cryptosim_bt.results.result import Result

Formulas = Mapping[str, Callable[[], str | None]]

# What the run began with, and what is no figure of it.
_INPUTS = ("initial_balance",)
_FLOAT_DUST = "0.000000000001"


def add_figures(
    proof: Proof, result: Result, facts: RunFacts, words: Words, places: Places,
    figures: Iterable[SummaryRow], *, whole: Set[str],
) -> None:  # fmt: skip
    """Add a check of every number of the summary.

    Parameters
    ----------
    figures
        The summary's rows.
    whole
        The tables of which all rows stand in their sheets.
    """
    formulas = _Formulas(proof, result, facts, words, places, whole=whole)
    known = formulas.all()
    for row in figures:
        name = row.name
        if not name or name in _INPUTS or name.startswith(SETTING):
            continue
        if not (isinstance(row.value, int | float) or name in known):
            continue
        formula = known.get(name, lambda: None)

        def line(_: int, __: int, name: str = name, formula: Any = formula) -> Line:
            return Line("", None, formula(), places.figure(name))

        proof.checks.add(Block("summary", name, row.label, _kind(row), 1, line))


def _kind(row: SummaryRow) -> str:
    """Return the kind of a figure here: a count needs a format, or shows its sheet's."""
    if row.name.startswith("open_contracts"):
        return "contracts"
    return "whole" if row.kind == "plain" else row.kind


class _Formulas:
    """Formulas of figures by name; each gives None where the sheets do not hold what it needs."""

    def __init__(
        self, proof: Proof, result: Result, facts: RunFacts, words: Words, places: Places,
        *, whole: Set[str],
    ) -> None:  # fmt: skip
        self._proof, self._result, self._facts = proof, result, facts
        self._words, self._places, self._whole = words, places, whole

    def all(self) -> Formulas:
        """Return the formulas."""
        last = self._proof.last_event
        cell = self._proof.ledger_cell
        found: dict[str, Callable[[], str | None]] = {
            "final_balance": lambda: cell("event_balance", last),
            "fees_paid": lambda: self._sum("event_fee"),
            "funding_paid": lambda: f"-{self._sum('event_payment')}",
            "shortfall": lambda: self._sum("event_shortfall"),
            "open_contracts.long": lambda: cell("long_held", last),
            "open_contracts.short": lambda: cell("short_held", last),
            "liquidations": lambda: cell("liquidations_so_far", last),
            "fills": lambda: self._count("fills", "price"),
            "orders_expired": lambda: (
                self._count("orders", "status", "expired") if "orders" in self._whole else None
            ),
            "open_sets": lambda: self._count("sets", "status", "open"),
            **self._of_bars(),
            **self._of_equity(),
            **self._of_trades(),
        }
        return found

    def _row(self, name: str) -> str:
        """Return the cell in which the proof reckoned another figure."""
        return f"E{self._proof.checks.starts['summary', name]}"

    def _sum(self, column: str) -> str:
        first = self._proof.ledger_cell(column, -1)
        return f"SUM({first}:{self._proof.ledger.at(column, self._proof.last_event)})"

    def _count(self, table: str, column: str, value: str | None = None) -> str:
        area = self._places.area(table, column, len(getattr(self._result, table)))
        if value is None:
            return f"COUNT({area})"
        return f'COUNTIF({area},"{self._words.shown(value)}")'

    # ------------------------------------------------------------------ bars
    def _of_bars(self) -> dict[str, Callable[[], str | None]]:
        places, bars, facts = self._places, self._result.bars, self._facts
        if "bars" not in self._whole:
            return {}
        last = len(bars) - 1
        first_open, close = places.cell("bars", "open", 0), places.cell("bars", "close", last)
        mark = places.cell("bars", "mark", last)
        exponent = MS_PER_YEAR / (facts.timeframe_ms * len(bars))

        def annual() -> str:
            total = self._row("total_return")
            power = f"LN(1+{total})*{exponent!r}"
            return f'IF({total}<=-1,-1,IF({power}<700,EXP({power})-1,"-"))'

        found: dict[str, Callable[[], str | None]] = {
            "bars_traded": lambda: self._count("bars", "open"),
            "unrealized_pnl": lambda: self._proof.unrealized(
                self._proof.last_event, mark, of_groups=False
            ),
            "final_equity": lambda: f"{self._row('final_balance')}+{self._row('unrealized_pnl')}",
            "total_return": lambda: f"{self._row('final_equity')}/initial_balance-1",
            "annual_return": annual,
            "buy_and_hold_return": lambda: f"{close}/{first_open}-1",
        }
        if facts.instrument.kind == "inverse":
            found["total_return_usd"] = lambda: (
                f"{self._row('final_equity')}*{close}/(initial_balance*{first_open})-1"
            )
        return found

    def _of_equity(self) -> dict[str, Callable[[], str | None]]:
        bars_per_year = MS_PER_YEAR / self._facts.timeframe_ms
        yearly = f"SQRT({bars_per_year!r})"

        def area(column: str) -> str | None:
            checks = self._proof.checks
            if not self._proof.every_bar or ("bars", "equity") not in checks.starts:
                return None
            return checks.area(column, "bars", "equity")

        def drawdown() -> str | None:
            falls = area("K")
            return falls and f"MAX(0,{falls})"

        def sharpe() -> str | None:
            returns = area("L")
            if returns is None or len(self._result.bars) < 2:
                return returns and '"-"'
            return f'IF(STDEV({returns})=0,"-",AVERAGE({returns})/STDEV({returns})*{yearly})'

        def sortino() -> str | None:
            returns, squares = area("L"), area("M")
            if returns is None:
                return None
            downside = f"SQRT(AVERAGE({squares}))"
            return f'IF({downside}=0,"-",AVERAGE({returns})/{downside}*{yearly})'

        return {"max_drawdown": drawdown, "sharpe": sharpe, "sortino": sortino}

    # ------------------------------------------------------------------ trades
    def _of_trades(self) -> dict[str, Callable[[], str | None]]:
        formulas = {
            "wins": f'COUNTIF({{net}},">{_FLOAT_DUST}")',
            "losses": "{trades}-{wins}",
            "win_rate": 'IF({trades}=0,"-",{wins}/{trades})',
            "profit_factor": (
                f'IF(SUMIF({{net}},"<-{_FLOAT_DUST}")=0,"-",'
                f'SUMIF({{net}},">{_FLOAT_DUST}")/-SUMIF({{net}},"<-{_FLOAT_DUST}"))'
            ),
        }

        def filled(name: str) -> str | None:
            checks = self._proof.checks
            if ("trades", "net_pnl") not in checks.starts:
                return None
            rows = {each: self._row(each) for each in ("trades", "wins")}
            if not len(self._result.trades):
                # A block without rows has no cells of its own.
                return {"wins": "0", "losses": "0"}.get(name, '"-"')
            return formulas[name].format(net=checks.area("E", "trades", "net_pnl"), **rows)

        found: dict[str, Callable[[], str | None]] = {
            name: functools.partial(filled, name) for name in formulas
        }
        return {"trades": lambda: self._count("trades", "contracts"), **found}
