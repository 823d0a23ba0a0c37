"""The table of the runs in a folder, from their summaries alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cryptosim_bt.cli.logs import in_zone
from cryptosim_bt.errors import OutputError
from cryptosim_bt.reports.words import strategy_text

_SHARES = ("total_return", "max_drawdown", "win_rate", "buy_and_hold_return", "annual_return")
_FIGURES = ("total_return", "max_drawdown", "sharpe", "trades", "win_rate")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default="logs")
@click.option(
    "--sort", "key", default="run", metavar="KEY",
    help="A figure of summary.json (total_return, ambiguous_bars.total) or a setting "
    "(trading.leverage), the largest first; -KEY: the smallest first. Default: the folder's name.",
)  # fmt: skip
def runs(folder: Path, key: str) -> None:
    """List the runs in FOLDER (default: logs) with their figures and notes."""
    found = _runs_in(folder)
    if not found:
        raise OutputError(f"{folder}: there is no run in it; name the folder that runs go to")
    name, smallest_first = key.removeprefix("-"), key.startswith("-") or key == "run"
    if all(_at(summary, name) is None for summary in found.values()):
        known = sorted({each for summary in found.values() for each in summary} - {"settings"})
        raise OutputError(f"--sort: no run has a value of {name!r}; allowed: run, a setting, or "
                          f"one of {', '.join(known)}")  # fmt: skip
    order = sorted(
        (each for each in found if _at(found[each], name) is not None),
        key=lambda each: _place(_at(found[each], name)), reverse=not smallest_first,
    )  # fmt: skip
    order += [each for each in found if each not in order]  # what has no value comes last
    Console().print(_table({each: found[each] for each in order}, name))


def _runs_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the summaries of the runs directly in a folder by their names, a broken one told."""
    found = {}
    for path in sorted(folder.glob("[!.]*/summary.json")):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            found[path.parent.name] = {**summary, "run": path.parent.name}
            _row(found[path.parent.name], "run")
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            found.pop(path.parent.name, None)
            click.echo(f"left out: {path}: {type(error).__name__}: {error}", err=True)
    return found


def _table(found: Mapping[str, Mapping[str, Any]], key: str) -> Table:
    table = Table()
    for heading in _row(next(iter(found.values())), key):
        numeric = heading in (*_FIGURES, "equity") or heading == key != "run"
        table.add_column(heading, overflow="fold", justify="right" if numeric else "left")
    for summary in found.values():
        table.add_row(*(Text(cell) for cell in _row(summary, key).values()))
    return table


def _row(summary: Mapping[str, Any], key: str) -> dict[str, str]:
    """Return the cells of a run by their headings; what is sorted by has one too."""
    settings = summary["settings"]
    start = in_zone(summary["start"], ZoneInfo(settings["timezone"]))
    market = (summary["symbol"], settings["data"]["timeframe"], start[:10],
              f"{settings['trading']['leverage']:g}×")  # fmt: skip
    cells = {"run": summary["run"], "market": " ".join(market), "strategy": strategy_text(settings)}
    cells |= {name: _shown(name, summary[name]) for name in _FIGURES}
    cells["equity"] = f"{summary['final_equity']:,.8g} {summary['currency']}"
    if key not in (*cells, "note"):
        cells[key] = _shown(key, _at(summary, key))
    return {**cells, "note": summary.get("note", "")}


def _at(summary: Mapping[str, Any], path: str) -> Any:
    """Return a figure of a summary, or a setting, by its dotted name; None where there is none."""
    for found in (summary, summary["settings"]):
        value: Any = found
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and not isinstance(value, Mapping):
            return value
    return None


def _place(value: Any) -> tuple[bool, float, str]:
    """Return what values of any type are sorted by: numbers before texts."""
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if is_number else 0.0, str(value)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2%}" if name in _SHARES else f"{value:.6g}"
    return f"{value:,}" if type(value) is int else str(value)
