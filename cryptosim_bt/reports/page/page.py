"""report.html: a run as one page to zoom into, made from its `Result`.

The page holds everything, so that it opens from disk without a network. What it looks like and does
stands in `assets/`; here the data are filled in. Times are UTC in the data; the page shows them in
the run's zone.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cryptosim_bt.reports.page.packed import PackedTable
from cryptosim_bt.reports.run_facts import RunFacts, figures_decimals
from cryptosim_bt.reports.words import LANGUAGES, Words, texts_of
from cryptosim_bt.results.performance import performance_of
from cryptosim_bt.results.result import Result

ASSETS = Path(__file__).resolve().parent / "assets"

_SCRIPTS = (
    "uPlot.iife.min.js", "page_words.js", "page_data.js", "page_view.js", "page_dates.js",
    "page_pane.js", "page_layers.js", "page_hand.js", "page_panes.js", "page_figures.js",
    "page_tables.js", "page.js",
)  # fmt: skip
_STYLES = ("uPlot.min.css", "page.css")
# Of a funding rate: 0.000001 %.
_RATE_DECIMALS = 8
_PRICES = ("open", "high", "low", "close", "long_average", "short_average",
           "liquidation_below", "liquidation_above")  # fmt: skip
# Parts of the summary that are no figures: what the run was made of.
_NOT_SHOWN = ("data", "provenance", "settings", "panels")

# What the page shows of a table: column and kind. A word has a translation, a text has none.
_TABLES: dict[str, dict[str, str]] = {
    "fills": {
        "time": "time", "role": "word", "side": "word", "price": "price", "contracts": "contracts",
        "group": "text", "group_pnl": "money", "fee": "money",
    },
    "trades": {
        "id": "count", "side": "word", "entry_time": "time", "exit_time": "time",
        "net_pnl": "money", "exit_reason": "word", "entry_price": "price", "exit_price": "price",
        "contracts": "contracts", "group": "text",
    },
    "sets": {
        "set": "text", "side": "word", "born": "time", "ended": "time", "net_pnl": "money",
        "status": "word", "average_entry": "price", "exit_price": "price", "exit_reason": "word",
        "take_profit_price": "price", "entries": "count", "contracts": "contracts",
    },
    "orders": {
        "order_id": "count", "created": "time", "ended": "time", "role": "word", "side": "word",
        "price": "price", "contracts": "contracts", "status": "word", "reason": "word",
        "action": "word", "type": "word", "filled_contracts": "contracts", "fill_price": "price",
        "group": "text",
    },
    "funding": {
        "time": "time", "side": "word", "payment": "money", "rate": "rate", "price": "price",
        "contracts": "contracts",
    },
    "ambiguous": {"time": "time", "kind": "text"},
}  # fmt: skip


def write_page(result: Result, path: Path) -> Path:
    """Write the page of a run; return its path."""
    path.write_text(page_of(result), encoding="utf-8")
    return path


def page_of(result: Result) -> str:
    """Return the page of a run as HTML."""
    run = RunFacts.of(result)
    # How many decimals the figures of each kind are kept and shown with.
    decimals = {
        "price": run.price_decimals, "contracts": run.contract_decimals,
        "money": run.money_decimals, "rate": _RATE_DECIMALS, "count": 0,
    }  # fmt: skip
    tables = {"bars": _pack_bars(result, decimals)}
    for name, kinds in _TABLES.items():
        tables[name] = _pack_table(result, name, kinds, decimals)
    facts = _facts(result, run, decimals)
    facts["tables"] = {
        name: {"rows": table.rows, "columns": table.columns} for name, table in tables.items()
    }
    blocks = "\n".join(
        f'<script type="text/plain" id="table-{name}">{table.encoded()}</script>'
        for name, table in tables.items()
    )
    words = texts_of("page")
    return filled_in("page.html", {
        "language": html.escape(facts["language"]),
        "title": html.escape(f"{facts['symbol']} {facts['strategy']} – CryptoSim"),
        "styles": "\n".join(_asset(name) for name in _STYLES),
        "noscript": html.escape(" ".join(words["noscript"])),
        "words": _script_safe(json.dumps(words, ensure_ascii=False)),
        "facts": _script_safe(json.dumps(facts, ensure_ascii=False, allow_nan=False)),
        "tables": blocks,
        "scripts": "\n".join(f"<script>\n{_asset(name)}\n</script>" for name in _SCRIPTS),
    })  # fmt: skip


def _facts(result: Result, facts: RunFacts, decimals: Mapping[str, int]) -> dict[str, Any]:
    """Return what the page needs to know besides the tables."""
    summary, figures = result.summary, performance_of(result)
    # The sets one by one stand in the page's own list.
    sets = {name: block for name, block in figures["sets"].items() if name != "each"}
    return {
        "language": facts.language,
        "zone": facts.zone.key,
        "symbol": facts.instrument.symbol,
        "currency": facts.instrument.currency,
        "timeframe": facts.timeframe,
        "bar_seconds": facts.timeframe_ms / 1000,
        "strategy": facts.strategy,
        "initial_balance": facts.initial_balance,
        "synthetic": facts.synthetic,
        "decimals": dict(decimals),
        "volume": _volume_facts(result),
        "indicators": [
            {"name": indicator, "panel": panel} for indicator, panel in facts.panels.items()
        ],
        "summary": {name: summary[name] for name in summary if name not in _NOT_SHOWN},
        "performance": {**figures, "sets": sets},
    }


def _volume_facts(result: Result) -> dict[str, Any] | None:
    """Return unit (None if nobody said) and decimals of volumes; None where bars have none."""
    values = result.bars["volume"].to_numpy(np.float64)
    # Files without volume read as blanks or as zeros throughout.
    if not np.nan_to_num(values).any():
        return None
    whole = np.nanmax(np.abs(values % 1.0)) == 0.0
    unit = result.settings["data"].get("volume_unit")
    return {"unit": unit, "decimals": 0 if whole else figures_decimals(values)}


def _pack_bars(result: Result, decimals: Mapping[str, int]) -> PackedTable:
    bars = result.bars
    table = PackedTable(len(bars))
    table.add_times("time", bars["time"])
    for name in _PRICES:
        table.add_numbers(name, bars[name], decimals["price"])
    volume = _volume_facts(result)
    if volume is not None:
        table.add_numbers("volume", bars["volume"], volume["decimals"])
    for name in result.indicators:
        values = result.drawn(name)
        # An indicator may bear any name, that of a column of ours is taken.
        table.add_numbers(f"indicator:{name}", values, figures_decimals(values))
    for name in ("balance", "equity", "margin"):
        table.add_numbers(name, bars[name], decimals["money"])
    for side in ("long", "short"):
        table.add_numbers(f"{side}_contracts", bars[f"{side}_contracts"], decimals["contracts"])
        table.add_numbers(f"{side}_sets", bars[f"{side}_sets"], 0)
    return table


def _pack_table(
    result: Result, name: str, kinds: Mapping[str, str], decimals: Mapping[str, int]
) -> PackedTable:
    source = getattr(result, name)
    table = PackedTable(len(source))
    for column, kind in kinds.items():
        if kind == "time":
            table.add_times(column, source[column])
        elif kind in ("text", "word"):
            table.add_texts(column, source[column])
            if kind == "word":
                levels = table.columns[-1]["levels"]
                table.columns[-1]["words"] = {
                    language: list(map(Words(language).shown, levels)) for language in LANGUAGES
                }
        else:
            table.add_numbers(column, source[column], decimals[kind])
        table.columns[-1]["kind"] = kind
    return table


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _script_safe(text: str) -> str:
    """Return JSON in which nothing can close the script element around it."""
    return text.replace("<", "\\u003c")


def filled_in(name: str, parts: Mapping[str, str]) -> str:
    """Return a template with its parts; each place once, so that no part is searched for places."""
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _asset(name))
