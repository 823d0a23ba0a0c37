"""The commands.

Exit codes: 0 done; 2 wrong input (a sentence); 3 the run is done and kept, a report failed; 1 an
unexpected failure; 128 and the signal's number where one ended it.

The table goes to stdout, everything else to stderr. What is computed is computed elsewhere.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from rich.console import Console

from cryptosim_bt._version import __version__
from cryptosim_bt.backtest.needs import load_settings
from cryptosim_bt.cli import data, trading
from cryptosim_bt.cli.console import (
    ProgressCallback,
    plugin_table,
    progress_bar,
    summary_table,
    writing,
)
from cryptosim_bt.cli.finished_runs import add_report_commands, plot_result
from cryptosim_bt.cli.logs import close_file, in_zone, log_to_console, log_to_file, say_repeats
from cryptosim_bt.cli.run_list import runs
from cryptosim_bt.cli.scaffold import write_config, write_plugin
from cryptosim_bt.cli.signals import undisturbed
from cryptosim_bt.config.document import yaml_text
from cryptosim_bt.config.keys import Mode
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import (
    ConfigError,
    InputError,
    PluginError,
    PluginFailed,
    ReportFailed,
    masked,
)
from cryptosim_bt.plugins.registry import Kind, discover, plugins_for
from cryptosim_bt.reports.words import Words
from cryptosim_bt.results.run_directory import RunDirectory, default_target
from cryptosim_bt.results.run_files import disk_is_full

if TYPE_CHECKING:
    from cryptosim_bt.plugins.analyzer import ReportAnalyzer
    from cryptosim_bt.results.result import Result

logger = logging.getLogger(__name__)

QUICK = ("ledger", "performance")
"""The reports of ``run --quick``; all others can be made of what these write."""

SET_OPTION = click.option(
    "--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE",
    help="Override a key of the configuration; may be repeated.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cryptosim-bt")
def commands() -> None:
    """Backtest crypto futures strategies: inverse and linear, long and short at once."""


data.register(commands)
trading.register(commands)


@commands.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Write to exactly this folder.")
@click.option("--force", is_flag=True, help="Replace an earlier run in the --output folder.")
@click.option(
    "--ambiguity", is_flag=True, help="Also run the other orders of events in a bar."
)
@click.option("--mode", type=click.Choice(get_args(Mode)), help="In place of the file's mode.")
@click.option("--yes-real-money", is_flag=True, help="Needed for mode: live with trade_mode: real.")
@click.option("--plot", is_flag=True, help="Show backtrader's own plot, or write it to plot.png.")
@click.option(
    "--quick", is_flag=True,
    help="Write tables and figures alone; `report` makes workbook, pictures and page later.",
)
@click.option("--note", metavar="TEXT", help="Words of yours, kept in summary.json.")
@SET_OPTION
@data.OFFLINE
def run(
    config: Path,
    output: Path | None,
    force: bool,
    ambiguity: bool,
    mode: str | None,
    yes_real_money: bool,
    plot: bool,
    quick: bool,
    note: str | None,
    overrides: Sequence[str],
    offline: bool,
) -> None:
    """Run a configuration: a backtest with its report, or trading on paper or live."""
    if mode is not None:
        overrides = [*overrides, f"mode={mode}"]
    settings = data.settings_for_run(config, overrides, offline=offline)
    errors = Console(stderr=True)
    log_to_console(errors, settings.keys.logging.level, settings.zone)
    if settings.keys.mode != "backtest":
        trading.trade(settings, yes_real_money=yes_real_money)
        return
    directory = _claimed(settings, config, output, force=force)
    log: logging.Handler = logging.NullHandler()
    kept = False
    try:
        path = settings.keys.logging.file
        log = log_to_file(Path(path) if path else directory.staging / "run.log")
        finish = partial(_run_into, settings, directory.staging, errors)
        result, failed = finish(ambiguity=ambiguity, quick=quick, note=note)
        close_file(log)
        with undisturbed():
            directory.publish()
            kept = True
    except InputError as error:
        logger.debug("wrong input", exc_info=True)
        error.args = (in_zone(str(error), settings.zone),)
        raise
    except Exception as error:
        if disk_is_full(error):
            raise directory.full() from error
        mark = {"file_only": isinstance(error, PluginFailed)}
        logger.critical("unexpected failure", exc_info=True, extra=mark)
        click.echo(f"the log is kept in {directory.keep_failed()}", err=True)
        kept = True
        raise
    finally:
        say_repeats()
        with undisturbed():
            with suppress(OSError):  # of a log that is closed already, or of a full disk
                close_file(log, discard=not kept)
            directory.abandon()
    click.echo(f"{Words(settings.keys.report.language)('terminal.files')}: {directory.target}")
    if failed:
        raise ReportFailed("\n".join([*failed, f"the run is kept in {directory.target}; fix the "
                                      "cause, and `report` makes its reports again"]))
    if plot:
        plot_result(result, directory.target / "plot.png")


def _claimed(
    settings: Settings, config: Path, output: Path | None, *, force: bool
) -> RunDirectory:
    """Return the folder of a run, claimed."""
    from cryptosim_bt.backtest.provenance import read_by

    now = datetime.now(UTC).astimezone(settings.zone)
    name = settings.keys.strategy.name
    named = default_target(Path(settings.keys.report.output_dir).expanduser(), name, now)
    inputs = [config, *read_by(settings)]
    log = settings.keys.logging.file
    if log is not None and Path(log).resolve() in [path.resolve() for path in inputs]:
        raise ConfigError(
            f"{settings.place('logging', 'file')}: was {log!r}, which this run reads; allowed: a "
            "file of its own"
        )
    return RunDirectory(output or named, force=force, numbered=output is None, inputs=inputs)


def _run_into(
    settings: Settings,
    directory: Path,
    errors: Console,
    *,
    ambiguity: bool,
    quick: bool,
    note: str | None,
) -> tuple[Result, list[str]]:
    """Run and write everything into a folder; return the result, and what reports failed of."""
    # backtrader and pandas take their time to import: not before they are needed.
    from cryptosim_bt.backtest.run import run_backtest

    _say_doubts(settings)
    registry = plugins_for(settings)
    names = list(dict.fromkeys(QUICK if quick else settings.keys.report.analyzers))
    with progress_bar(errors) as progress:
        result, analyzers = run_backtest(
            settings, registry, progress, ambiguity=ambiguity, analyzers=names
        )
    if note:
        result = replace(result, summary={**result.summary, "note": note})
    say_repeats()
    Console().print(summary_table(result))  # before the reports: they take longer than the run
    with progress_bar(errors) as progress:
        text = yaml_text(dict(result.settings))
        (directory / "config.yaml").write_text(text, encoding="utf-8")
        result.write_summary(directory)
        reports = dict(zip(names, analyzers, strict=True))
        return result, _write_reports(reports, result, directory, progress)


def _write_reports(
    reports: dict[str, ReportAnalyzer],
    result: Result,
    directory: Path,
    progress: ProgressCallback | None,
) -> list[str]:
    """Write the tables, then all else; return a sentence for each report that failed."""
    from cryptosim_bt.plugins.analyzer import write_report

    failed = []
    for name in sorted(reports, key=lambda name: name != "ledger"):
        reports[name].progress = writing(progress, name)
        try:
            write_report(name, reports[name], result, directory)
        except ReportFailed as error:
            logger.error("report %s failed", name, exc_info=True, extra={"file_only": True})
            failed.append(str(error))
    if failed and "ledger" not in reports:
        result.write_tables(directory)  # all other reports can be made of them again
    return failed


@commands.command("list")
@click.argument("kind", required=False, type=click.Choice([kind.value for kind in Kind]))
@click.option(
    "--config", type=click.Path(path_type=Path), help="Also look where this configuration does."
)
def list_plugins(kind: str | None, config: Path | None) -> None:
    """List the plugins with their parameters."""
    log_to_console(Console(stderr=True), "WARNING")
    registry = discover([Path.cwd()]) if config is None else plugins_for(load_settings(config))
    if config is None:
        registry.warn()
    console = Console()
    for each in [Kind(kind)] if kind else list(Kind):
        console.print(plugin_table(registry, each))


@commands.command()
@click.argument("config", type=click.Path(path_type=Path))
@SET_OPTION
def check(config: Path, overrides: Sequence[str]) -> None:
    """Validate a configuration and print it as resolved."""
    from cryptosim_bt.backtest.prepare import resolve_plugins
    from cryptosim_bt.plugins.parameters import resolved

    settings = load_settings(config, overrides)
    log_to_console(Console(stderr=True), settings.keys.logging.level)
    _say_doubts(settings)
    plugins = resolve_plugins(settings, plugins_for(settings))
    click.echo(yaml_text(resolved(settings, plugins.params)), nl=False)


def _new(kind: Kind, name: str, option: str) -> None:
    """Write a plugin of a new name and say how it is run."""
    mine = Path(kind.value, f"{name}.py")
    if not mine.exists() and name in discover([Path.cwd()]).names(kind):
        what = f"new-{kind.singular} {name}"
        raise PluginError(f"{what}: there is one of that name already; choose another")
    path = write_plugin(kind, name, Path.cwd())
    click.echo(f"{path}\nrun it: python -m cryptosim_bt run CONFIG --set {option}")


@commands.command("new-strategy")
@click.argument("name")
def new_strategy(name: str) -> None:
    """Write strategies/NAME.py, a strategy that runs as it is."""
    _new(Kind.STRATEGY, name, f"strategy.name={name}")


@commands.command("new-feed")
@click.argument("name")
def new_feed(name: str) -> None:
    """Write feeds/NAME.py, a feed that reads a CSV file as it is."""
    _new(Kind.FEED, name, f"data.source={name} --set data.path=BARS.csv")


@commands.command("new-analyzer")
@click.argument("name")
def new_analyzer(name: str) -> None:
    """Write analyzers/NAME.py, a report that runs as it is."""
    _new(Kind.ANALYZER, name, f'"report.analyzers=[ledger, {name}]"')


@commands.command("import-strategy")
@click.argument("file", type=click.Path(path_type=Path))
def import_strategy(file: Path) -> None:
    """Say what becomes of a file written for stock backtrader, before any run of it."""
    from cryptosim_bt.plugins.foreign import read_foreign

    click.echo(read_foreign(file).text())


@commands.command("new-config")
@click.argument("path", type=click.Path(path_type=Path), default="config.yaml")
def new_config(path: Path) -> None:
    """Write the first CryptoSim's configuration, every key explained."""
    click.echo(write_config(path))


def _say_doubts(settings: Settings) -> None:
    for doubt in settings.doubts():
        logger.warning("%s", doubt)


add_report_commands(commands)
commands.add_command(runs)


def main() -> None:
    """Run the command line; the console script ``cryptosim-bt``."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without these letters shows "?" for them; it must not end a finished run.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # A half-written workbook complains as it dies, when all is said: to the log alone.
    sys.unraisablehook = lambda lost: logger.debug("%s", lost.err_msg, exc_info=lost.exc_value)
    try:
        commands(standalone_mode=False)
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (PluginFailed, ReportFailed) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(3 if isinstance(error, ReportFailed) else 1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(1)
    except Exception as error:
        click.echo(masked(f"unexpected failure: {type(error).__name__}: {error}"), err=True)
        logging.getLogger("cryptosim_bt").debug("traceback", exc_info=True)
        sys.exit(1)
