"""What the terminal shows: the table of a finished run, plugins, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

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
from cryptosim_bt.reports.overview import rows_of
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
    title = f"CryptoSim · {result.summary['symbol']}"
    table = Table(show_header=False, title=title, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows_of(result):
        table.add_row(label, Text(value))
    return table


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
