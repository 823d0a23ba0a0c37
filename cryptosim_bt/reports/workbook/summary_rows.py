"""The summary and the settings of a run as labelled rows, for the first sheet of the workbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.results.result import Result

FigureKind = Literal["time", "money", "fraction", "ratio", "plain"]

# Every figure of the summary has its place; one that is new stands under "other" until it has.
_SECTIONS: dict[str, tuple[str, ...]] = {
    "return": (
        "currency", "initial_balance", "final_balance", "unrealized_pnl", "final_equity",
        "total_return", "total_return_usd", "annual_return", "buy_and_hold_return",
        "max_drawdown", "sharpe", "sortino",
    ),
    "trades": (
        "fills", "trades", "wins", "losses", "win_rate", "profit_factor", "orders_expired",
        "entries_refused", "open_sets", "open_contracts.long", "open_contracts.short",
    ),
    "costs": (
        "fees_paid", "funding_paid", "funding_missing", "funding_missing.share",
        "funding_missing.missing", "funding_missing.first", "funding_missing.funding_paid_worst",
        "funding_missing.funding_paid_best", "funding_late",
    ),
    "risk": (
        "margin_mode", "mark", "min_liquidation_distance", "liquidations", "shortfall",
        "ambiguous_bars.total", "ambiguous_bars.entry_and_exit",
        "ambiguous_bars.take_profit_and_stop", "ambiguous_bars.exit_and_liquidation",
        *(f"ambiguity.{order}.{figure}" for order in ("worst", "rules", "path", "best")
          for figure in ("final_equity", "max_drawdown")),
    ),
    "run": (
        "note", "symbol", "strategy", "timeframe", "timezone", "start", "end", "bars_traded",
        "bars_loaded", "version",
    ),
    "data": ("data.source", "data.file", "data.sha256", "data.synthetic"),
}  # fmt: skip
_MADE_OF = "provenance."
SETTING = "settings:"
# By the last part of a figure's name.
_KINDS: dict[FigureKind, tuple[str, ...]] = {
    "time": ("start", "end"),
    "money": ("initial_balance", "final_balance", "final_equity", "unrealized_pnl", "fees_paid",
              "funding_paid", "shortfall", "funding_paid_worst", "funding_paid_best"),
    "fraction": ("total_return", "total_return_usd", "annual_return", "buy_and_hold_return",
                 "max_drawdown", "win_rate", "min_liquidation_distance", "share"),
    "ratio": ("sharpe", "sortino", "profit_factor"),
}  # fmt: skip
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}


@dataclass(frozen=True)
class SummaryRow:
    """A label, its value, what the value is, and one line of explanation.

    ``name`` is the figure's key in the summary; of a setting, ``settings:`` and its key.
    """

    label: str
    value: Any
    kind: FigureKind
    note: str
    name: str = ""


def summary_sections(
    result: Result, facts: RunFacts, words: Words
) -> Iterator[tuple[str, list[SummaryRow]]]:
    """Yield the sections of the summary, heading and rows, the settings last."""
    known = {"strategy": facts.strategy, "timeframe": facts.timeframe,
             "timezone": facts.zone.key}  # fmt: skip
    figures = {**known, **flat(result.summary, whole=("entries_refused",))}
    for section, names in _SECTIONS.items():
        rows = [row for name in names if name in figures
                for row in _rows(name, figures.pop(name), facts, words)]  # fmt: skip
        if rows:
            yield words(f"workbook.section.{section}"), rows
    made_of = [_made_of(name, figures.pop(name), words)
               for name in list(figures) if name.startswith(_MADE_OF)]  # fmt: skip
    if made_of:
        yield words("workbook.section.made_of"), made_of
    if figures:
        rest = [row for name, value in figures.items() for row in _rows(name, value, facts, words)]
        yield words("workbook.section.other"), rest
    settings = flat(result.settings).items()
    yield words("workbook.section.settings"), [
        SummaryRow(key, _shown(value, "null", words), "plain", "", f"{SETTING}{key}")
        for key, value in settings
    ]


def flat(values: Mapping[str, Any], whole: tuple[str, ...] = (), path: str = "") -> dict[str, Any]:
    """Return nested mappings as one, ``{"a": {"b": 1}}`` as ``{"a.b": 1}``.

    Those named in ``whole``, and empty ones, stay as they are.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping) and value and name not in whole:
            found.update(flat(value, whole, f"{name}."))
        else:
            found[name] = value
    return found


def _rows(name: str, value: Any, facts: RunFacts, words: Words) -> Iterator[SummaryRow]:
    label, note = words.figure(name)
    if name == "entries_refused" and value:
        for reason, count in value.items():
            yield SummaryRow(f"{label}: {words.shown(reason)}", count, "plain", note,
                             f"{name}.{reason}")  # fmt: skip
        return
    kind = _KIND_OF.get(name.rpartition(".")[2], "plain")
    if kind == "time":
        value = facts.local(pd.Series(pd.to_datetime([value], utc=True))).iloc[0].to_pydatetime()
    shown = _shown(value, words("workbook.summary.no_value"), words)
    yield SummaryRow(label, shown, kind, note, name)


def _made_of(name: str, value: Any, words: Words) -> SummaryRow:
    """Return a row of what a run was made of; of several of a kind, each by its own name."""
    key = name.removeprefix(_MADE_OF)
    kind, dot, which = key.partition(".")
    label, note = words.figure(f"provenance.{kind}")
    label = f"{label}: {which}" if dot else label
    return SummaryRow(label, _shown(value, "-", words), "plain", note, name)


def _shown(value: Any, nothing: str, words: Words) -> Any:
    """Return a value as a cell can hold it; ``nothing`` stands for None."""
    if value is None:
        return nothing
    if isinstance(value, bool):
        return words("workbook.summary.yes" if value else "workbook.summary.no")
    if isinstance(value, Mapping | list | tuple):
        return ", ".join(map(str, value)) or words("workbook.summary.none")
    return value
