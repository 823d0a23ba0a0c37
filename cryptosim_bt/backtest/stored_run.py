"""A finished run in its directory: read back, its reports made again, its settings run again."""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptosim_bt.backtest.needs import load_settings
from cryptosim_bt.backtest.run import run_backtest
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import OutputError, PluginError
from cryptosim_bt.plugins.analyzer import ReportAnalyzer, write_report
from cryptosim_bt.plugins.registry import Kind, Registry, discover
from cryptosim_bt.results import metrics
from cryptosim_bt.results.performance import FigureInputs
from cryptosim_bt.results.result import Result
from cryptosim_bt.results.run_directory import finished
from cryptosim_bt.results.run_files import check_not_open, check_whole, note_files

Progress = Callable[[int, int], None]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredRun:
    """A run's directory and what stands in its tables and summary.

    The code of plugins that it names by their files is run only where it is ``trusted``: the
    directory may be a stranger's.
    """

    directory: Path
    result: Result
    trusted: bool = False

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.directory.name

    def check_whole(self) -> None:
        """Raise `OutputError` where one of its tables was cut."""
        names = {"bars": "bars_traded", "fills": "fills", "trades": "trades"}
        check_whole(self.directory, {
            table: (len(getattr(self.result, table)), self.result.summary.get(count) or 0)
            for table, count in names.items()
        })  # fmt: skip

    def settings(self) -> Settings:
        """Return the run's settings, from its config.yaml.

        Raises
        ------
        ConfigError
            If the file is missing or no longer valid.
        """
        return load_settings(self.directory / "config.yaml")

    def registry(self) -> Registry:
        """Find the plugins that the run could use: those that are shipped or installed.

        If it is trusted, those of files as well: where its configuration stood, and here.
        """
        if not self.trusted:
            return discover()
        stood_in = self.result.summary.get("provenance", {}).get("directory")
        folders = [Path(stood_in)] if stood_in else []
        paths = [Path(path) for path in self.result.settings.get("plugins", [])]
        return discover([*folders, Path.cwd()], [path for path in paths if path.exists()])


    def plugin(self, kind: Kind, name: str, place: str) -> type:
        """Return the class of a plugin of the run.

        Raises
        ------
        PluginError
            If there is none, or none that may be run.
        """
        try:
            return self.registry().get(kind, name, f"{self.directory}: {place}").cls
        except PluginError as error:
            if self.trusted:
                raise
            raise PluginError(
                f"{error}; its code is run with --trust only, if you know where it comes from"
            ) from error


def read_run(directory: Path, *, trusted: bool = False) -> StoredRun:
    """Read a run's directory.

    Raises
    ------
    OutputError
        If it is no complete run.
    """
    if not directory.is_dir():
        raise OutputError(f"{directory}: there is no such folder; name a folder that `run` wrote")
    folder = finished(directory.resolve())
    return StoredRun(folder, Result.read(folder), trusted)


def run_again(
    settings: Settings,
    registry: Registry,
    progress: Progress | None = None,
    *,
    ambiguity: bool = False,
) -> Result:
    """Run settings and return the result; nothing is written.

    Raises
    ------
    InputError
        If bars or plugins are not there any more.
    """
    return run_backtest(settings, registry, progress, ambiguity=ambiguity, analyzers=())[0]


# ---------------------------------------------------------------------- reports again
def rebuild_reports(
    run: StoredRun, progress_of: Callable[[str], Progress | None] = lambda _: None
) -> list[Path]:
    """Make the files of all configured analyzers again, from the run's tables; return their paths.

    ``progress_of`` gives the progress callback of an analyzer by its name. The files are written
    aside first and put in place one by one, each whole; if one cannot be made, all stay as they
    were. Tables that do not go with summary.json are warned of: the reports show both.

    Raises
    ------
    PluginError
        If an analyzer is not there any more.
    ReportFailed
        If one cannot be made.
    OutputError
        If a file cannot be replaced.
    """
    check_not_open(run.directory)
    run.check_whole()
    analyzers = configured_analyzers(run)
    found = disagreement(run.result)
    if found is not None:
        _logger.warning(
            "%s: the tables do not go with summary.json: %s; one of them was changed after the run "
            "(`verify` tells which), and the reports show both", run.directory, found,
        )  # fmt: skip
    staging = run.directory / f".report.partial-{os.getpid()}"
    try:
        staging.mkdir()
        for name, analyzer in analyzers.items():
            analyzer.progress = progress_of(name)
            write_report(name, analyzer, run.result, staging)
        placed = _put_in_place(staging, run.directory)
        note_files(run.directory, placed)
        return placed
    except OSError as error:
        raise OutputError(
            f"{run.directory}: reports cannot be written: {error.strerror or error}; close the "
            "files that are open in another program, or free the folder"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def disagreement(result: Result) -> str | None:
    """Name the first figure of the summary that its tables do not give, None if they give all.

    Compared to 1e-9, since another machine may add up in another order.
    """
    market, bars = FigureInputs.of(result.settings), result.bars
    last = bars.iloc[-1]
    computed = {
        "bars_traded": len(bars),
        "fills": len(result.fills),
        **{f"final_{name}": float(last[name]) for name in ("balance", "equity")},
        "unrealized_pnl": float(last["unrealized_pnl"]),
        **metrics.figures(
            bars, result.trades, market.initial, market.timeframe_ms, inverse=market.inverse
        ),
    }
    names = ("trades", "wins", *computed)  # counts first: they say most
    for name in names:
        stated, now = result.summary.get(name), computed[name]
        if name in result.summary and not _same(stated, now):
            return f"{name} is {stated} in summary.json and {now} by the tables"
    return None


def _same(stated: Any, now: float | None) -> bool:
    if now is None or not isinstance(stated, int | float):
        return stated is now
    return math.isclose(stated, now, rel_tol=1e-9, abs_tol=1e-12)


def configured_analyzers(run: StoredRun) -> dict[str, ReportAnalyzer]:
    """Return the analyzers that the run's configuration names, able to write."""
    names = run.result.settings["report"]["analyzers"]
    found: dict[str, type[ReportAnalyzer]] = {
        name: run.plugin(Kind.ANALYZER, name, "report.analyzers") for name in names
    }
    return {name: analyzer.without_run() for name, analyzer in found.items()}


def _put_in_place(staging: Path, target: Path) -> list[Path]:
    placed = []
    for path in sorted(each for each in staging.rglob("*") if each.is_file()):
        final = target / path.relative_to(staging)
        if not final.parent.resolve().is_relative_to(target):
            raise OutputError(f"{final.parent}: leads out of the run's folder; remove the link")
        final.parent.mkdir(parents=True, exist_ok=True)
        path.replace(final)
        placed.append(final)
    return placed


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested mappings as one, ``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{path}{key}."))
        else:
            found[f"{path}{key}"] = value
    return found
