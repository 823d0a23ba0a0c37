"""What the terminal shows: the table of a finished run, plugins, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cryptosim_bt.plugins.parameters import parameters
from cryptosim_bt.plugins.registry import Kind, Registry
from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.results.account_figures import market_figures
from cryptosim_bt.results.result import BACKTRADER_FILE

if TYPE_CHECKING:
    from cryptosim_bt.results.result import Result


class ProgressCallback(Protocol):
    """Called with how much is done, of how much in all, and of what."""

    def __call__(self, done: int, total: int, what: str = "bars") -> None:
        """Receive how far the run is, or what is written after it."""


@contextmanager
def progress_bar(console: Console) -> Iterator[ProgressCallback | None]:
    """Give a progress callback that draws a bar on a terminal, None where output is piped."""
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("bars", total=None)

        def advance(done: int, total: int, what: str = "bars") -> None:
            progress.update(task, completed=done, total=total, description=what)

        yield advance


def writing(progress: ProgressCallback | None, name: str) -> Callable[[int, int], None] | None:
    """Return the progress callback of a report's writer, None where nothing is drawn."""
    if progress is None:
        return None
    what = f"writing report: {name}"
    return lambda done, total: progress(done, total, what)


def summary_table(result: Result) -> Table:
    """Return the short table of a finished run; its times are in the run's zone."""
    summary, facts = result.summary, RunFacts.of(result)
    words = facts.words()
    table = Table(show_header=False, title=f"CryptoSim · {summary['symbol']}", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in (*_head(result, facts), *_rows(summary, words)):
        table.add_row(words(f"terminal.{key}"), Text(value))
    said = [name for named in result.backtrader.values() for name in named]
    if said:
        table.add_row("backtrader", Text(f"{', '.join(said)}: {BACKTRADER_FILE}"))
    return table


def _head(result: Result, facts: RunFacts) -> Iterator[tuple[str, str]]:
    """Yield what ran: the strategy, on which bars, how heavily."""
    if "note" in result.summary:
        yield "note", result.summary["note"]
    yield "strategy", facts.strategy
    yield "period", facts.period(result)
    yield "timeframe", facts.timeframe
    yield "leverage", f"{facts.leverage:g}× ({result.summary['margin_mode']})"
    figures = market_figures(result.bars, facts.contract)
    average, most = (figures["exposure"][name] for name in ("average_gross", "max_gross"))
    if most is not None:
        share = _percent(figures["time_in_market"]["any"])
        yield "exposure", f"{share}; {average:.2f}× / {most:.2f}×"


def _rows(summary: Mapping[str, Any], words: Words) -> Iterator[tuple[str, str]]:
    # Eight decimals for an account in a coin, two for one in dollars.
    digits = 8 if summary["total_return_usd"] is not None else 2

    def money(name: str) -> str:
        return f"{summary[name]:.{digits}f}"

    currency = summary["currency"]
    warmup = summary["bars_loaded"] - summary["bars_traded"]
    yield "bars", f"{summary['bars_traded']:,} (+{warmup:,})"
    data = summary["data"]
    real = data["file"] or data["source"]
    yield "data", words("terminal.synthetic") if data["synthetic"] else real
    yield "fills", f"{summary['fills']:,}"
    yield "trades", f"{summary['trades']:,} ({summary['wins']:,}, {_percent(summary['win_rate'])})"
    yield "return", _percent(summary["total_return"])
    if summary["total_return_usd"] is not None:
        yield "return_usd", _percent(summary["total_return_usd"])
    yield "hold", _percent(summary["buy_and_hold_return"])
    yield "drawdown", _percent(summary["max_drawdown"])
    yield "sharpe", "-" if summary["sharpe"] is None else f"{summary['sharpe']:.2f}"
    yield "balance", f"{money('initial_balance')} → {money('final_balance')} {currency}"
    yield "equity", f"{money('final_equity')} {currency}"
    held = summary["open_contracts"]
    yield "open", f"{summary['open_sets']}; {held['long']:g} / {held['short']:g}"
    yield "fees", f"{money('fees_paid')} / {money('funding_paid')} {currency}"
    yield "liquidations", f"{summary['liquidations']}; {money('shortfall')} {currency}"
    refused = ", ".join(f"{why} {count:,}" for why, count in summary["entries_refused"].items())
    nearest = summary["min_liquidation_distance"]
    yield "nearest", _percent(nearest)
    yield "ambiguous", f"{summary['ambiguous_bars']['total']:,}"
    for order, figures in summary.get("ambiguity", {}).items():
        equity, drawdown = figures["final_equity"], _percent(figures["max_drawdown"])
        yield f"band_{order}", f"{equity:.{digits}f} {currency}, {drawdown}"
    yield "refused", refused or words("terminal.none")
    yield "expired", f"{summary['orders_expired']:,}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def plugin_table(registry: Registry, kind: Kind) -> Table:
    """Return a table of the plugins of a kind with their parameters."""
    table = Table(title=kind.value, title_justify="left")
    for heading in ("name", "parameters", "what it does", "file"):
        table.add_column(heading, overflow="fold")
    for plugin in registry.of_kind(kind):
        given = ", ".join(f"{name}={value!r}" for name, value in parameters(plugin.cls).items())
        purpose = (plugin.cls.__doc__ or "").strip().partition("\n")[0]
        table.add_row(plugin.name, Text(given), Text(purpose), Text(plugin.origin))
    return table
