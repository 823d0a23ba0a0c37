"""The commands. Exit codes: 0 done, 2 wrong input (a sentence), 1 an unexpected failure.

The table goes to stdout, everything else to stderr. What is computed is computed elsewhere.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from cryptosim_bt import __version__
from cryptosim_bt.backtest.needs import load_settings
from cryptosim_bt.cli import data
from cryptosim_bt.cli.console import plugin_table, progress_bar, summary_table, writing
from cryptosim_bt.cli.finished_runs import add_report_commands, plot_result
from cryptosim_bt.cli.logs import close_file, log_to_console, log_to_file
from cryptosim_bt.cli.scaffold import write_config, write_strategy
from cryptosim_bt.config.document import yaml_text
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import InputError, PluginError, PluginFailed
from cryptosim_bt.plugins.registry import Kind, discover, plugins_for
from cryptosim_bt.results.run_directory import RunDirectory, default_target

if TYPE_CHECKING:
    from cryptosim_bt.results.result import Result

logger = logging.getLogger(__name__)

SET_OPTION = click.option(
    "--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE",
    help="Override a key of the configuration; may be repeated.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cryptosim-bt")
def commands() -> None:
    """Backtest crypto futures strategies: inverse and linear, long and short at once."""


data.register(commands)


@commands.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Write to exactly this folder.")
@click.option("--force", is_flag=True, help="Replace an earlier run in the --output folder.")
@click.option(
    "--ambiguity", is_flag=True, help="Also run the other orders of events in a bar."
)
@click.option("--plot", is_flag=True, help="Show backtrader's own plot, or write it to plot.png.")
@SET_OPTION
@data.OFFLINE
def run(
    config: Path,
    output: Path | None,
    force: bool,
    ambiguity: bool,
    plot: bool,
    overrides: Sequence[str],
    offline: bool,
) -> None:
    """Run a backtest and write its report."""
    settings = data.settings_for_run(config, overrides, offline=offline)
    errors = Console(stderr=True)
    log_to_console(errors, settings.keys.logging.level)
    target = output or default_target(
        Path(settings.keys.report.output_dir).expanduser(),
        settings.keys.strategy.name,
        datetime.now(UTC).astimezone(settings.zone),
    )
    directory = RunDirectory(target, force=force)
    log_path = settings.keys.logging.file
    try:
        log = log_to_file(Path(log_path) if log_path else directory.staging / "run.log")
    except InputError:
        directory.abandon()
        raise
    try:
        result = _run_into(settings, directory.staging, errors, ambiguity)
    except InputError as error:
        logger.debug("wrong input", exc_info=True)
        close_file(log)
        directory.abandon()
        raise error
    except BaseException as error:
        mark = {"file_only": isinstance(error, PluginFailed)}
        logger.critical("unexpected failure", exc_info=True, extra=mark)
        close_file(log)
        click.echo(f"the log is kept in {directory.keep_failed()}", err=True)
        raise
    close_file(log)
    directory.publish()
    language = settings.keys.report.language
    Console().print(summary_table(result.summary, language, directory.target, result.backtrader))
    if plot:
        plot_result(result, directory.target / "plot.png")


def _run_into(
    settings: Settings, directory: Path, errors: Console, ambiguity: bool
) -> Result:
    """Run and write everything into a folder; return the result."""
    # backtrader and pandas take their time to import: not before they are needed.
    from cryptosim_bt.backtest.run import run_backtest

    _say_doubts(settings)
    registry = plugins_for(settings)
    with progress_bar(errors) as progress:
        result, analyzers = run_backtest(settings, registry, progress, ambiguity=ambiguity)
        (directory / "config.yaml").write_text(yaml_text(settings.resolved()), encoding="utf-8")
        result.write_summary(directory)
        names = dict.fromkeys(settings.keys.report.analyzers)
        for name, analyzer in zip(names, analyzers, strict=True):
            analyzer.progress = writing(progress, name)
            analyzer.write(result, directory)
    return result


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

    settings = load_settings(config, overrides)
    log_to_console(Console(stderr=True), settings.keys.logging.level)
    _say_doubts(settings)
    resolve_plugins(settings, plugins_for(settings))
    click.echo(yaml_text(settings.resolved()), nl=False)


@commands.command("new-strategy")
@click.argument("name")
def new_strategy(name: str) -> None:
    """Write strategies/NAME.py, a strategy that runs as it is."""
    mine = Path("strategies", f"{name}.py")
    if not mine.exists() and name in discover([Path.cwd()]).names(Kind.STRATEGY):
        raise PluginError(f"new-strategy {name}: there is a strategy of that name; choose another")
    path = write_strategy(name, Path.cwd())
    click.echo(f"{path}\nrun it: python -m cryptosim_bt run CONFIG --set strategy.name={name}")


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


def main() -> None:
    """Run the command line; the console script ``cryptosim-bt``."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without these letters shows "?" for them; it must not end a finished run.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        commands(standalone_mode=False)
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except PluginFailed as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(1)
    except Exception as error:
        click.echo(f"unexpected failure: {type(error).__name__}: {error}", err=True)
        logging.getLogger("cryptosim_bt").debug("traceback", exc_info=True)
        sys.exit(1)
