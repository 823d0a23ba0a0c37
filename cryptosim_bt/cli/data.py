"""The commands about market data: download, list-data, import-data, export-data, verify-data."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cryptosim_bt.backtest.needs import load_settings
from cryptosim_bt.cli.logs import log_to_console
from cryptosim_bt.config.agreement import is_zone
from cryptosim_bt.config.settings import Settings, data_directory, load_keys
from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.timeframe import TIMEFRAMES, to_milliseconds, utc_time
from cryptosim_bt.errors import ConfigError, VenueRefused
from cryptosim_bt.plugins.registry import plugins_for

if TYPE_CHECKING:
    from cryptosim_bt.data.fetch import DataAccess
    from cryptosim_bt.data.store.series import Conflict

logger = logging.getLogger(__name__)

_UTC = ZoneInfo("UTC")

Command = Callable[..., None]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


EXCHANGE = click.option("--exchange", default="okx", show_default=True, help="A ccxt exchange id.")
DIRECTORY = click.option(
    "--directory", type=click.Path(path_type=Path), help="Where data are kept (data.directory)."
)
TIMEFRAME = click.option("--timeframe", type=click.Choice(list(TIMEFRAMES)), help="Bars' length.")
KIND = click.option(
    "--kind", type=click.Choice(["bars", "mark", "funding"]), default="bars", show_default=True,
    help="Bars of trades, bars of the mark price, or funding rates.",
)  # fmt: skip
FROM = click.option("--from", "start", metavar="DATE", help="First bar, in UTC: 2025-01-01.")
TO = click.option("--to", "end", metavar="DATE", help="Behind the last bar, in UTC.")
OFFLINE = click.option(
    "--offline", is_flag=True, help="Ask nothing of a network; say what is missing (data.offline)."
)
REST_URL = click.option("--rest-url", metavar="URL", help="Ask this host, not the exchange's own.")


@click.command()
@click.argument("symbols", nargs=-1)
@click.option("--timeframe", "timeframes", multiple=True, type=click.Choice(list(TIMEFRAMES)),
              help="Bars' length; may be repeated. Default: 1h.")  # fmt: skip
@_options(FROM, TO, EXCHANGE)
@click.option("--mark", is_flag=True, help="Bars of the mark price too.")
@click.option("--no-funding", is_flag=True, help="No funding rates.")
@click.option("--config", type=click.Path(path_type=Path), help="All that this run needs.")
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE",
              help="Override a key of the configuration.")  # fmt: skip
@_options(DIRECTORY, REST_URL)
def download(
    symbols: Sequence[str], timeframes: Sequence[str], start: str | None, end: str | None,
    exchange: str, mark: bool, no_funding: bool, config: Path | None, overrides: Sequence[str],
    directory: Path | None, rest_url: str | None,
) -> None:  # fmt: skip
    """Download bars, funding rates, instruments and margin tiers, and keep them.

    Name SYMBOLS such as BTC/USD:BTC with --from, or give --config: exactly what that run needs.
    """
    from cryptosim_bt.data.fetch import DataAccess

    errors = Console(stderr=True)
    log_to_console(errors, "INFO")
    if config is not None:
        if symbols or timeframes or start or end or rest_url or directory:
            raise click.UsageError("--config says what is needed: give it alone, with --set")
        _download_for(config, overrides, errors)
        return
    if not symbols or start is None:
        raise click.UsageError("give symbols and --from, or --config; see download --help")
    start_ms = _time(start, "--from")
    end_ms = int(time.time() * 1000) if end is None else _time(end, "--to")
    if end_ms <= start_ms:
        raise ConfigError(f"--to: was {end!r}; allowed: after --from, {start!r}")
    wanted = [
        (Series.bars(exchange, symbol, timeframe, price), start_ms, end_ms)
        for symbol in symbols
        for timeframe in timeframes or ["1h"]
        for price in (["trade", "mark"] if mark else ["trade"])
    ]
    if not no_funding:
        wanted += [(Series.funding(exchange, symbol), start_ms, end_ms) for symbol in symbols]
    access = DataAccess(Store(data_directory(_text(directory))), exchange, rest_url)
    _download(access, wanted, errors)


def _download_for(config: Path, overrides: Sequence[str], errors: Console) -> None:
    from cryptosim_bt.backtest.needs import access_of, needs_of, settings_for_run

    keys = load_keys(config, overrides)
    if keys.data.source != "ccxt":
        raise ConfigError(
            f"data.source: was {keys.data.source!r}; allowed for a download: ccxt (or --set "
            "data.source=ccxt)"
        )
    if keys.data.offline:
        raise ConfigError("data.offline: was True; a download needs a connection")
    settings = settings_for_run(config, overrides)
    found = needs_of(settings, plugins_for(settings))
    needs = [(need.series, need.start_ms, need.end_ms) for need in found]
    _download(access_of(keys), needs, errors)


def _download(
    access: DataAccess, wanted: Sequence[tuple[Series, int, int]], errors: Console
) -> None:
    from cryptosim_bt.data.download import Downloader, DownloadOutcome
    from cryptosim_bt.data.fetch import report
    from cryptosim_bt.data.venue import Venue

    outcomes: list[DownloadOutcome] = []
    with closing(Venue(access.exchange, access.rest_url)) as venue:
        downloader = Downloader(access.store, venue)
        for symbol in dict.fromkeys(series.symbol for series, _, _ in wanted):
            downloader.market(symbol)
        for series, start_ms, end_ms in wanted:
            with _progress(errors, series) as advance:
                try:
                    outcome = downloader.fetch(series, start_ms, end_ms, advance)
                except VenueRefused as error:
                    if series.kind != "funding" and series.price != "mark":
                        raise
                    logger.warning("%s", error)  # a venue without it is no reason to stop
                    continue
            report(outcome)
            outcomes.append(outcome)
    done = dict.fromkeys(outcome.series for outcome in outcomes)
    Console().print(_series_table(access.store, list(done)))


@click.command("list-data")
@_options(DIRECTORY)
def list_data(directory: Path | None) -> None:
    """List what is kept: symbols, timeframes, from, to, bars, holes."""
    store = Store(data_directory(_text(directory)))
    found = store.list_series()
    if not found:
        click.echo(f"nothing is kept in {store.directory}; `cryptosim-bt download` brings data in")
        return
    Console().print(_series_table(store, found))
    click.echo(str(store.directory))


@click.command("import-data")
@click.argument("file", type=click.Path(path_type=Path))
@_options(EXCHANGE)
@click.option("--symbol", help="ccxt's unified symbol, such as BTC/USD:BTC.")
@_options(TIMEFRAME, KIND)
@click.option("--replace", "conflict", flag_value="replace", help="Rows of the file win.")
@click.option("--keep", "conflict", flag_value="keep", help="Rows that are kept already win.")
@click.option("--timezone", metavar="ZONE", help="Of times without an offset; default: UTC.")
@_options(DIRECTORY)
def import_data(
    file: Path, exchange: str, symbol: str | None, timeframe: str | None, kind: str,
    conflict: Conflict | None, timezone: str | None, directory: Path | None,
) -> None:  # fmt: skip
    """Bring bars or funding rates of a CSV, Parquet or Feather file in.

    The names of freqtrade's files tell symbol, timeframe and kind by themselves.
    """
    from cryptosim_bt.data.store.transfer import import_file

    log_to_console(Console(stderr=True), "INFO")
    store = Store(data_directory(_text(directory)))
    if timezone is not None and not is_zone(timezone):
        raise ConfigError(f"--timezone: was {timezone!r}; allowed: IANA names such as Asia/Seoul")
    zone = None if timezone is None else ZoneInfo(timezone)
    series, changed = import_file(store, file, exchange, symbol, timeframe, kind, conflict, zone)
    click.echo(f"{series}: {changed:,} rows are new or changed")
    Console().print(_series_table(store, [series]))


@click.command("export-data")
@click.argument("symbol")
@click.argument("file", type=click.Path(path_type=Path))
@_options(EXCHANGE, TIMEFRAME, KIND, FROM, TO)
@click.option("--force", is_flag=True, help="Replace FILE.")
@_options(DIRECTORY)
def export_data(
    symbol: str, file: Path, exchange: str, timeframe: str | None, kind: str, start: str | None,
    end: str | None, force: bool, directory: Path | None,
) -> None:  # fmt: skip
    """Write what is kept of SYMBOL to FILE: .csv, .csv.gz, .parquet or .feather."""
    from cryptosim_bt.data.store.series import FOR_EVER_MS
    from cryptosim_bt.data.store.transfer import export_file

    log_to_console(Console(stderr=True), "INFO")
    store = Store(data_directory(_text(directory)))
    if kind != "funding" and timeframe is None:
        raise click.UsageError("--timeframe is needed for bars")
    rows = export_file(
        store,
        _series_of(exchange, symbol, timeframe, kind),
        file,
        0 if start is None else _time(start, "--from"),
        FOR_EVER_MS if end is None else _time(end, "--to"),
        force=force,
    )
    click.echo(f"{file}: {rows:,} rows")


@click.command("verify-data")
@click.option("--repair", is_flag=True, help="Set damaged files aside and download them again.")
@click.option("--ask-again", is_flag=True, help="Ask the venue once more for every hole.")
@click.option("--offline", is_flag=True, help="With --repair: download nothing.")
@_options(DIRECTORY, REST_URL)
def verify_data(
    repair: bool, ask_again: bool, offline: bool, directory: Path | None, rest_url: str | None
) -> None:
    """Check every file that is kept; with --repair, fix what is damaged."""
    from cryptosim_bt.data.fetch import DataAccess, refill
    from cryptosim_bt.data.store.verify import verify

    log_to_console(Console(stderr=True), "INFO")
    store = Store(data_directory(_text(directory)))
    findings = verify(store, repair=repair)
    for finding in findings:
        click.echo(str(finding))
    if (repair or ask_again) and not offline:
        for series in store.list_series():
            refill(DataAccess(store, series.venue, rest_url), series, ask_again=ask_again)
    wrong = [finding for finding in findings if not finding.fixed]
    click.echo(f"{len(store.list_series())} series, {len(findings)} findings")
    if any(finding.cure is not None for finding in wrong):
        click.echo("`cryptosim-bt verify-data --repair` fixes them", err=True)
    if wrong:
        sys.exit(1)


def settings_for_run(config: Path, overrides: Sequence[str], *, offline: bool) -> Settings:
    """Read the configuration of a run; a venue that never described its market is asked to."""
    if offline:
        overrides = [*overrides, "data.offline=true"]
    if load_keys(config, overrides).data.source != "ccxt":
        return load_settings(config, overrides)
    from cryptosim_bt.backtest import needs

    return needs.settings_for_run(config, overrides)


def register(commands: click.Group) -> None:
    """Add the commands about data to the command line."""
    for command in (download, list_data, import_data, export_data, verify_data):
        commands.add_command(command)


# ---------------------------------------------------------------------- showing
class _Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("-" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def _progress(console: Console, series: Series) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar with rate and time left on a terminal; say a line now and then elsewhere."""
    if not console.is_terminal:
        from cryptosim_bt.data.fetch import logged_progress

        yield logged_progress(series)
        return
    # How many funding rates there will be is not known: their progress is one of time.
    counts = (TaskProgressColumn(),) if series.step_ms is None else (MofNCompleteColumn(), _Rate())
    columns = (TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(str(series), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _series_table(store: Store, found: Sequence[Series]) -> Table:
    table = Table()
    for heading in ("venue", "symbol", "data", "from", "to"):
        table.add_column(heading, overflow="fold")
    for heading in ("rows", "holes", "not asked", "size"):
        table.add_column(heading, justify="right")
    for series in found:
        summary = store.summary(series)
        what = series.kind.replace("-mark", " mark")
        bounds = (summary.first, summary.last)
        times = ["-" if at is None else f"{at:%Y-%m-%d %H:%M}" for at in bounds]
        figures = (summary.rows, summary.holes, summary.unasked)
        counts = ["-" if count is None else f"{count:,}" for count in figures]
        size = f"{summary.size / 1e6:.1f} MB"
        table.add_row(series.venue, series.symbol, what, *times, *counts, size)
    return table


def _series_of(exchange: str, symbol: str, timeframe: str | None, kind: str) -> Series:
    if kind == "funding":
        return Series.funding(exchange, symbol)
    return Series.bars(exchange, symbol, timeframe or "", "mark" if kind == "mark" else "trade")


def _text(directory: Path | None) -> str | None:
    return None if directory is None else str(directory)


def _time(text: str, option: str) -> int:
    try:
        return to_milliseconds(utc_time(text, _UTC))
    except ValueError:
        raise ConfigError(
            f"{option}: was {text!r}; allowed: a date in UTC such as 2025-01-01 or "
            "2025-01-01T08:00:00Z"
        ) from None
