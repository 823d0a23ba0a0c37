"""The commands for finished runs: reports again, compare, verify, plot. No logic.

Exit codes as in `cryptosim_bt.cli.commands`; ``verify`` also ends with 1 where a run is not the
same again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from cryptosim_bt.cli.console import progress_bar, writing
from cryptosim_bt.cli.logs import log_to_console
from cryptosim_bt.errors import OutputError, PluginError
from cryptosim_bt.plugins.registry import Kind
from cryptosim_bt.reports.plotting.show_or_save import (
    STYLES,
    has_display,
    save_plot,
    show_plot,
    within,
)
from cryptosim_bt.results.run_files import note_files

if TYPE_CHECKING:
    from cryptosim_bt.config.settings import Settings
    from cryptosim_bt.results.result import Result

RUN = click.Path(path_type=Path)
TRUST = click.option(
    "--trust", is_flag=True, help="Run the code of the run's own plugin files: only if you know "
    "where it comes from.",
)  # fmt: skip


def add_report_commands(group: click.Group) -> None:
    """Give a group of commands those of this module."""
    for command in (report, compare, verify, plot):
        group.add_command(command)


@click.command()
@click.argument("run_dir", type=RUN)
@TRUST
def report(run_dir: Path, trust: bool) -> None:
    """Build all reports of a finished run again, from its tables."""
    from cryptosim_bt.backtest.stored_run import read_run, rebuild_reports

    errors = Console(stderr=True)
    log_to_console(errors, "WARNING")
    run = read_run(run_dir, trusted=trust)
    with progress_bar(errors) as progress:
        paths = rebuild_reports(run, lambda name: writing(progress, name))
    for path in paths:
        click.echo(path)


@click.command()
@click.argument("run_a", type=RUN)
@click.argument("run_b", type=RUN)
@click.option("--html", type=RUN, help="Write the comparison as a page to this file as well; "
              "an earlier comparison gives way, no other file.")
@click.option(
    "--effects/--no-effects", default=True, show_default=True,
    help="Run A again with each difference alone, to tell what it does.",
)  # fmt: skip
@TRUST
def compare(run_a: Path, run_b: Path, html: Path | None, effects: bool, trust: bool) -> None:
    """Tell two finished runs apart: settings, where they first differ, what each difference did."""
    from cryptosim_bt.backtest import comparison
    from cryptosim_bt.backtest.stored_run import read_run, run_again
    from cryptosim_bt.reports import comparison_page

    errors = Console(stderr=True)
    log_to_console(errors, "ERROR")
    if html is not None:
        _check_not_another_file(html, comparison_page.is_page)
    a, b = read_run(run_a, trusted=trust), read_run(run_b)
    registry = a.registry()
    if effects:
        try:
            a.plugin(Kind.STRATEGY, a.result.settings["strategy"]["name"], "strategy.name")
        except PluginError as error:
            click.echo(f"note: what each difference did is left out: {error}", err=True)
            effects = False
    with progress_bar(errors) as progress:

        def again(settings: Settings) -> Result:
            return run_again(settings, registry, progress)

        found = comparison.compare(a, b, again if effects else None)
    language = a.result.settings["report"]["language"]
    console = Console()
    for table in comparison_page.tables(found, language):
        console.print(table)
    if html is not None:
        _write(html, comparison_page.page(found, language))
        click.echo(html.absolute())


@click.command()
@click.argument("run_dir", type=RUN)
@TRUST
def verify(run_dir: Path, trust: bool) -> None:
    """Run a finished run again; say identical, or name the first difference (exit code 1).

    Compared are config.yaml, every table (CSV), summary.json and, if it is there,
    performance.json. Not looked at are files made from them, such as report.xlsx, report.html and
    pictures: `report` makes them again.
    """
    from cryptosim_bt.backtest import verification
    from cryptosim_bt.backtest.stored_run import read_run

    errors = Console(stderr=True)
    log_to_console(errors, "ERROR")
    run = read_run(run_dir, trusted=trust)
    began = datetime.now(UTC)
    with progress_bar(errors) as progress:
        outcome = verification.verify(run, progress)
    for note in outcome.notes:
        click.echo(f"note: {note}", err=True)
    if outcome.difference is not None:
        click.echo(f"different: {outcome.difference}")
        sys.exit(1)
    seconds = (datetime.now(UTC) - began).total_seconds()
    bars = f"{len(run.result.bars):,} bars, {len(run.result.fills):,} fills"
    click.echo(f"identical: {bars}, every table and figure, in {seconds:.1f} s")
    click.echo("not looked at: files made from them (workbook, page, pictures); see `report`")


@click.command()
@click.argument("run_dir", type=RUN)
@click.option("--style", type=click.Choice(STYLES), default="candle", show_default=True)
@click.option("--start", help="First bar, a date in the run's time zone.")
@click.option("--end", help="Bars before this date.")
@click.option("--output", type=RUN, help="Write a picture to this file, also where a display is.")
def plot(
    run_dir: Path, style: str, start: str | None, end: str | None, output: Path | None
) -> None:
    """Draw a finished run with backtrader's own plot, in a window where a display is.

    Without a display the picture goes to plot.png in the run's folder.
    """
    from cryptosim_bt.backtest.stored_run import read_run

    log_to_console(Console(stderr=True), "WARNING")
    run = read_run(run_dir)
    run.check_whole()
    plot_result(within(run.result, start, end), run.directory / "plot.png", style, output)


def plot_result(
    result: Result, default: Path, style: str = "candle", output: Path | None = None
) -> None:
    """Show a result in a window, or write it to ``output`` or, without a display, ``default``."""
    if output is None and has_display():
        show_plot(result, style)
    else:
        path = save_plot(result, (output or default).absolute(), style)
        note_files(default.parent, [path] if output is None else [])
        click.echo(path)


def _check_not_another_file(path: Path, is_page: Callable[[Path], bool]) -> None:
    """Raise OutputError if a page would take the place of a file that is no comparison."""
    try:
        free = not path.exists() or is_page(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror}; name another file with --html"
        ) from error
    if not free:
        raise OutputError(
            f"{path}: is there already and is no page of `compare`, so it is kept; name another "
            "file with --html, or move this one away"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror}; name another file with --html"
        ) from error
