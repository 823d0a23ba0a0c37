"""The figures of the summary as formulas (R26), made of what the proof reckoned.

A figure that the sheets cannot give is taken as it is, and counted as such: it needs what only
the engine knows (orders that were refused, ambiguous bars, liquidation prices by tier), or every
bar's equity where there are more bars than formulas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from cryptosim_bt.reports.workbook.proof.checks import Block, Line
from cryptosim_bt.reports.workbook.proof.proof import Proof
from cryptosim_bt.reports.workbook.summary_rows import SETTING, SummaryRow
from cryptosim_bt.results.metrics import MS_PER_YEAR

# What the run began with, and what is no figure of it.
_INPUTS = ("initial_balance",)
# Formulas by figure. A name in braces is one of `_pieces`, else the cell of another figure here.
_OF_EVENTS = {
    "final_balance": "{event_balance}",
    "fees_paid": "{event_fee}",
    "funding_paid": "-{event_payment}",
    "shortfall": "{event_shortfall}",
    "open_contracts.long": "{long_held}",
    "open_contracts.short": "{short_held}",
    "liquidations": "{liquidations_so_far}",
    "fills": "COUNT({filled})",
    "open_sets": 'COUNTIF({set_status},"{open_set}")',
    "trades": "COUNT({traded})",
}
_OF_ORDERS = {"orders_expired": 'COUNTIF({order_status},"{expired}")'}
_OF_BARS = {
    "bars_traded": "COUNT({opens})",
    "unrealized_pnl": "{unrealized}",
    "final_equity": "{final_balance}+{unrealized_pnl}",
    "total_return": "{final_equity}/initial_balance-1",
    "annual_return": (
        "IF({total_return}<=-1,-1,IF(LN(1+{total_return})*{per_year}<700,"
        'EXP(LN(1+{total_return})*{per_year})-1,"-"))'
    ),
    "buy_and_hold_return": "{close}/{open}-1",
    "total_return_usd": "{final_equity}*{close}/(initial_balance*{open})-1",
}
_OF_EQUITY = {
    "max_drawdown": "MAX(0,{falls})",
    "sharpe": 'IF(STDEV({returns})=0,"-",AVERAGE({returns})/STDEV({returns})*{yearly})',
    "sortino": (
        'IF(SQRT(AVERAGE({squares}))=0,"-",'
        "AVERAGE({returns})/SQRT(AVERAGE({squares}))*{yearly})"
    ),
}
_DUST = "0.000000000001"
_OF_TRADES = {
    "wins": f'COUNTIF({{net}},">{_DUST}")',
    "losses": "{trades}-{wins}",
    "win_rate": 'IF({trades}=0,"-",{wins}/{trades})',
    "profit_factor": (
        f'IF(SUMIF({{net}},"<-{_DUST}")=0,"-",'
        f'SUMIF({{net}},">{_DUST}")/-SUMIF({{net}},"<-{_DUST}"))'
    ),
}
# Pieces of formulas that are columns of a table, and those that are columns of checks.
_AREAS = {
    "filled": ("fills", "price"), "traded": ("trades", "contracts"), "opens": ("bars", "open"),
    "set_status": ("sets", "status"), "order_status": ("orders", "status"),
}  # fmt: skip
_CHECKED = {
    "falls": ("K", "bars", "equity"), "returns": ("L", "bars", "equity"),
    "squares": ("M", "bars", "equity"), "net": ("E", "trades", "net_pnl"),
}  # fmt: skip


def add_figures(proof: Proof, figures: Iterable[SummaryRow], *, whole: Set[str]) -> None:
    """Add a check of every number of the summary.

    Parameters
    ----------
    figures
        The summary's rows.
    whole
        The tables of which all rows stand in their sheets.
    """
    # What a check refers to has its place only when all checks are there: looked up per line.
    known = {**_OF_EVENTS, **_OF_ORDERS, **_OF_BARS, **_OF_EQUITY, **_OF_TRADES}
    if "bars" not in whole:
        known = {name: text for name, text in known.items() if name not in _OF_BARS}
    elif proof.facts.instrument.kind == "linear":
        del known["total_return_usd"]
    for row in figures:
        name = row.name
        if not name or name in _INPUTS or name.startswith(SETTING):
            continue
        if not (isinstance(row.value, int | float) or name in known):
            continue

        def line(_: int, __: int, name: str = name) -> Line:
            formula = _formula(proof, name, known, whole)
            return Line("", None, formula, proof.places.figure(name))

        proof.checks.add(Block("summary", name, row.label, _kind(row), 1, line))


def _kind(row: SummaryRow) -> str:
    """Return the kind of a figure here: a count needs a format, or shows its sheet's."""
    if row.name.startswith("open_contracts"):
        return "contracts"
    return "whole" if row.kind == "plain" else row.kind


def _formula(
    proof: Proof, name: str, known: Mapping[str, str], whole: Set[str]
) -> str | None:
    """Return a figure's formula, None where the sheets do not hold what it needs."""
    checks = proof.checks
    if name in _OF_ORDERS and "orders" not in whole:
        return None
    if name in _OF_EQUITY:
        if not proof.every_bar or ("bars", "equity") not in checks.starts:
            return None
        if name == "sharpe" and len(proof.result.bars) < 2:
            return '"-"'
    if name in _OF_TRADES:
        if ("trades", "net_pnl") not in checks.starts:
            return None
        if not len(proof.result.trades):
            # A block without rows has no cells of its own.
            return {"wins": "0", "losses": "0"}.get(name, '"-"')
    return known[name].format_map(_pieces(proof)) if name in known else None


def _pieces(proof: Proof) -> dict[str, str]:
    """Return what stands for the names in the formulas: cells, areas, numbers, words."""
    result, places, starts = proof.result, proof.places, proof.checks.starts
    last_bar, per_year = len(result.bars) - 1, MS_PER_YEAR / proof.facts.timeframe_ms
    return {
        **{name: f"E{row}" for (table, name), row in starts.items() if table == "summary"},
        **{name: proof.ledger.at(name, proof.last_event)
           for name in ("event_balance", "long_held", "short_held", "liquidations_so_far")},
        **{name: f"SUM({proof.ledger.column(name)})"
           for name in ("event_fee", "event_payment", "event_shortfall")},
        **{name: places.area(table, column, len(getattr(result, table)))
           for name, (table, column) in _AREAS.items()},
        **{name: proof.checks.area(letter, *block)
           for name, (letter, *block) in _CHECKED.items() if tuple(block) in starts},
        "unrealized": proof.unrealized(
            proof.last_event, places.cell("bars", "mark", last_bar), of_groups=False
        ),
        "open": places.cell("bars", "open", 0),
        "close": places.cell("bars", "close", last_bar),
        "per_year": repr(MS_PER_YEAR / (proof.facts.timeframe_ms * len(result.bars))),
        "yearly": f"SQRT({per_year!r})",
        "expired": proof.words.shown("expired"),
        "open_set": proof.words.shown("open"),
    }  # fmt: skip
