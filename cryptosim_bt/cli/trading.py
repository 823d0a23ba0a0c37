"""The commands about trading on paper and live."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from cryptosim_bt.backtest.needs import load_settings
from cryptosim_bt.cli.logs import close_file, log_to_console, log_to_file
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import ConfigError, InputError
from cryptosim_bt.plugins.registry import is_plain, plugins_for

if TYPE_CHECKING:
    from cryptosim_bt.live.doctor import Finding
    from cryptosim_bt.live.run import StrategyParts


_CONFIG = click.argument("config", type=click.Path(path_type=Path))
_SET = click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE",
                    help="Override a key of the configuration.")  # fmt: skip


@click.command()
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--fills", is_flag=True, help="Add the venue's ids of all fills.")
@_SET
def status(config: Path, as_json: bool, fills: bool, overrides: Sequence[str]) -> None:
    """Print what a live or paper run believes; reads its journal alone."""
    from cryptosim_bt.live.status import status as believed

    found = believed(_journal(load_settings(config, overrides)), fill_ids=fills)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for key, value in found.items():
        for line in value if isinstance(value, list) else [value]:
            click.echo(f"{key}: {_line(line)}")


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {_line(each)}" for key, each in value.items() if each is not None)


@click.command()
@_CONFIG
@_SET
def doctor(config: Path, overrides: Sequence[str]) -> None:
    """Say whether a configuration could trade live now, and what each size means."""
    found = _examined(load_settings(config, overrides))
    if any(each.is_good is False for each in found):
        raise InputError("doctor: see what is not good above")


def _examined(settings: Settings) -> list[Finding]:
    from cryptosim_bt.live.doctor import examine

    found = examine(settings, strategy_parts)
    marks = {True: "ok ", False: "NOT", None: "   "}
    for each in found:
        click.echo(f"{marks[each.is_good]} {each.name}: {each.text}", err=True)
    return found


@click.command()
@_CONFIG
@_SET
def stop(config: Path, overrides: Sequence[str]) -> None:
    """End a running live or paper run, as Ctrl-C does (live.on_stop)."""
    _ask_to_end(load_settings(config, overrides), "stop")


@click.command()
@_CONFIG
@_SET
def flatten(config: Path, overrides: Sequence[str]) -> None:
    """End a live or paper run with nothing held: cancel its orders, close what it holds."""
    settings = load_settings(config, overrides)
    log_to_console(Console(stderr=True), settings.keys.logging.level)
    if not _ask_to_end(settings, "flatten"):
        from cryptosim_bt.live.run import LiveRun

        LiveRun(settings, strategy_parts).trade(ending="flatten")


@click.command()
@_CONFIG
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; from "
              "elsewhere than this machine the page asks for the token.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(1, 65535))
@click.option("--terminal", is_flag=True, help="Show it here in place of a page.")
@_SET
def monitor(
    config: Path, host: str, port: int, terminal: bool, overrides: Sequence[str]
) -> None:
    """Show a live or paper run as a web page or here; reads its journal and log alone.

    The page can end the run for who has the token: that of CRYPTOSIM_MONITOR_TOKEN, or else a new
    one each time.
    """
    from cryptosim_bt.live.monitor_terminal import show
    from cryptosim_bt.live.watching import Watcher, words

    settings = load_settings(config, overrides)
    journal, log, language = _journal(settings), _log_path(settings), settings.keys.report.language
    if terminal:
        show(Watcher(journal, log), words()[language], Console())
        return
    try:
        from cryptosim_bt.live.monitor import LOCAL, make_app, serve
    except ImportError as error:
        raise InputError(
            f"monitor: {error.name} is missing; pip install 'cryptosim-bt[live]', or use --terminal"
        ) from error
    token = os.environ.get("CRYPTOSIM_MONITOR_TOKEN") or secrets.token_urlsafe(24)
    charts = files("cryptosim_bt.reports.page") / "assets"
    app = make_app(
        journal, log, token=token, is_local=host in LOCAL, language=language,
        charts=Path(str(charts)),
    )
    click.echo(f"http://{host}:{port}/#token={token}", err=True)
    serve(app, host, port)


def _ask_to_end(settings: Settings, word: str) -> bool:
    """Ask a run to end and wait for it; return False where none runs.

    Raises
    ------
    InputError
        If it does not end.
    """
    from cryptosim_bt.live.safety import ask_to_end

    ended = ask_to_end(_journal(settings), word)
    if ended is None:
        click.echo("nothing is running with this journal", err=True)
        return False
    if not ended:
        raise InputError("the run was asked to end and has not within a minute; see its log")
    return True


def _journal(settings: Settings) -> Path:
    from cryptosim_bt.live.credentials import read_credentials
    from cryptosim_bt.live.grounds import journal_path

    credentials = None
    if settings.keys.mode == "live":  # paper has no account
        # Watching needs no keys where there is one journal.
        with suppress(ConfigError):
            credentials = read_credentials(settings.directory, os.environ)
    return journal_path(settings, credentials)


def register(commands: click.Group) -> None:
    """Add the commands."""
    for command in (status, doctor, stop, flatten, monitor):
        commands.add_command(command)


def trade(settings: Settings, *, yes_real_money: bool) -> None:
    """Trade until told to stop.

    Raises
    ------
    ConfigError
        If real money is asked for by the configuration alone.
    """
    from cryptosim_bt.live.notify import notifications_of

    exchange = settings.keys.exchange
    if settings.keys.mode == "live" and exchange.trade_mode == "real" and not yes_real_money:
        raise ConfigError(
            f"{settings.place('exchange', 'trade_mode')}: was 'real'; give --yes-real-money as "
            "well, or use demo"
        )
    told = notifications_of(settings, plugins_for(settings), _journal(settings), os.environ)
    log = log_to_file(_log_path(settings))
    try:
        with told:
            _run(settings)
    finally:
        close_file(log)


def _run(settings: Settings) -> None:
    from cryptosim_bt.live.paper import PaperRun
    from cryptosim_bt.live.run import LiveRun

    kind = PaperRun if settings.keys.mode == "paper" else LiveRun
    kind(settings, strategy_parts).trade()


def _log_path(settings: Settings) -> Path:
    """Return where a run that trades logs to: `logging.file`, or beside its journal."""
    given, journal = settings.keys.logging.file, _journal(settings)
    return journal.with_name(f"{journal.name}.log") if given is None else Path(given)


def strategy_parts(settings: Settings) -> StrategyParts:
    """Return the strategy of a configuration and what goes with it.

    Raises
    ------
    ConfigError
        For a strategy that sends its orders itself.
    """
    from cryptosim_bt.backtest.prepare import (
        resolve_plugins,
        signals_of,
        tiers_of,
        warmup_of,
    )
    from cryptosim_bt.backtest.run import sizer_of
    from cryptosim_bt.config.simulation import simulation_settings
    from cryptosim_bt.live.run import StrategyParts
    from cryptosim_bt.live.signal_table import TableFormulas
    from cryptosim_bt.strategy.volatility import average_true_range

    plugins = resolve_plugins(settings, plugins_for(settings), analyzers=())
    name = settings.keys.strategy.name
    if is_plain(plugins.strategy):
        raise ConfigError(
            f"{settings.place('strategy', 'name')}: was {name!r}, which sends its orders itself; "
            f"allowed with mode: {settings.keys.mode}: strategies with signals (SignalStrategy)"
        )
    simulation = simulation_settings(settings, tiers_of(settings))
    sizer, options = sizer_of(simulation)
    formulas = TableFormulas(
        table=lambda bars: signals_of(plugins.strategy, plugins.params, bars, name),
        atr=average_true_range,
        size_period=simulation.size_atr_period,
        stop_period=simulation.stop_atr_period,
        warmup=warmup_of(settings, plugins),
    )
    return StrategyParts(
        plugins.strategy, plugins.params, simulation, sizer, options, formulas
    )
