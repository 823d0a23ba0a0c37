"""Run a finished run again and compare: identical, or where the first difference is."""

from __future__ import annotations

import filecmp
import itertools
import json
import math
import platform
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryptosim_bt._version import __version__
from cryptosim_bt.backtest.stored_run import Progress, StoredRun, flat, run_again
from cryptosim_bt.data.tabular import file_sha256
from cryptosim_bt.errors import InputError, OutputError
from cryptosim_bt.plugins.registry import Kind
from cryptosim_bt.results.performance import write_performance
from cryptosim_bt.results.result import TABLES, Result

# Tables in the order in which a run makes them: the first difference is the nearest to its cause.
_ORDER = ("bars", *(name for name in TABLES if name != "bars"))
_CHUNK = 100_000
# How far numbers may be apart, as a fraction, where another Python or library has added them.
_CLOSE = 1e-9
# What a summary says of the making of a run, not of its result; its changes are notes.
_MAKING = ("provenance", "version", "data", "note")


@dataclass(frozen=True)
class Difference:
    """One cell that differs: ``row`` counts from 1 below the heading, 0 where there are no rows."""

    table: str
    row: int
    column: str
    was: str
    now: str

    def __str__(self) -> str:
        row = f" row {self.row}" if self.row else ""
        return f"{self.table}{row}, {self.column}: was {self.was}, now {self.now}"


@dataclass(frozen=True)
class Verification:
    """What came of a run made again.

    Attributes
    ----------
    difference
        The first one, None where the runs are identical.
    notes
        What has changed around the run: data, plugins, versions.
    """

    difference: Difference | None
    notes: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether every number is the same."""
        return self.difference is None


def verify(run: StoredRun, progress: Progress | None = None) -> Verification:
    """Run a stored run again and compare every cell of its tables and every figure.

    The figures are those of summary.json and, where the run has one, performance.json. Files that
    are made from these, such as workbook, page and pictures, are not looked at.

    Raises
    ------
    InputError
        If its configuration, data or plugins are not there any more.
    OutputError
        If its performance.json cannot be read.
    """
    keys = run.result.settings
    run.plugin(Kind.STRATEGY, keys["strategy"]["name"], "strategy.name")
    run.plugin(Kind.FEED, keys["data"]["source"], "data.source")
    ambiguity = "ambiguity" in run.result.summary
    try:
        again = run_again(run.settings(), run.registry(), progress, ambiguity=ambiguity)
    except InputError as error:
        note = changed_data_file(run.result.summary)
        raise type(error)(f"{error}; {note}") if note else error from error
    difference = _settings_difference(run.result, again)
    notes = [*changes_around(run.result.summary, again.summary)]
    close = 0.0
    if _other_arithmetic(run.result.summary, again.summary):
        close = _CLOSE
        notes.append(f"they add up in other ways, so numbers are compared to {close:g}")
    with tempfile.TemporaryDirectory(prefix="cryptosim-verify-") as folder:
        again.write_tables(Path(folder))
        again.write_summary(Path(folder))
        write_performance(again, Path(folder) / "performance.json")
        difference = difference or first_difference(run.directory, Path(folder), close)
    return Verification(difference, tuple(notes))


# ---------------------------------------------------------------------- around the run
def changes_around(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each change of data, plugins and versions between two summaries."""
    before, after = was.get("provenance", {}), now.get("provenance", {})
    same_bars = before.get("bars_sha256") == after.get("bars_sha256")
    note = changed_data_file(was)
    if note:
        yield f"{note}; the bars that the run used are the same" if same_bars else note
    if before and not same_bars:
        yield "the bars are not those of the run (their sha256 differs)"
    yield from _changed_hashes(before.get("inputs", {}), after.get("inputs", {}), "the file of")
    for kind in ("strategy", "feed"):
        sentence = f"the source of the {kind} plugin in"
        yield from _changed_hashes(before.get(kind, {}), after.get(kind, {}), sentence)
    yield from _changed_versions(was, now)


def _other_arithmetic(was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether the last digits may differ: sums of another Python, or of other libraries."""
    made = [(each["provenance"]["python"].rpartition(".")[0], each["provenance"]["libraries"])
            for each in (was, now) if "provenance" in each]  # fmt: skip
    return made[:1] != made[1:]


def changed_data_file(summary: Mapping[str, Any]) -> str | None:
    """Return a sentence if the file of a run's bars is another or gone, None otherwise."""
    data = summary["data"]
    if data["file"] is None or data["sha256"] is None:
        return None
    path = data["file"]
    paths = [Path(each) for each in ([path] if Path(path).exists() else path.split("; "))]
    if not all(each.exists() for each in paths):
        return f"the data file {path} of the run is gone"
    now = file_sha256(*paths)
    if now == data["sha256"]:
        return None
    return (
        f"the data file {path} has changed since the run (sha256 {_short(data['sha256'])}, now "
        f"{_short(now)})"
    )


def _changed_hashes(was: Mapping[str, str], now: Mapping[str, str], what: str) -> Iterator[str]:
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            yield (
                f"{what} {name} has changed since the run (sha256 {_short(was.get(name))}, now "
                f"{_short(now.get(name))})"
            )


def _changed_versions(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if was["version"] != __version__:
        yield f"the run was made by CryptoSim {was['version']}, this is {__version__}"
    before, after = was.get("provenance", {}), now["provenance"]
    if before and before["python"] != platform.python_version():
        yield f"the run was made with Python {before['python']}, this is {after['python']}"
    for name, version in before.get("libraries", {}).items():
        present = after["libraries"].get(name)
        if version != present:
            yield f"the run was made with {name} {version}, here is {present}"


def _short(digest: str | None) -> str:
    return "none" if digest is None else f"{digest[:12]}…"


def _settings_difference(was: Result, now: Result) -> Difference | None:
    """Return the first setting in which config.yaml and summary.json differ: one was edited."""
    before, after = flat(was.settings), flat(now.settings)
    for key in [*before, *(key for key in after if key not in before)]:
        if before.get(key) != after.get(key):
            shown = repr(before.get(key)), repr(after.get(key))
            return Difference("config.yaml", 0, key, *shown)
    return None


# ---------------------------------------------------------------------- the run itself
def first_difference(was: Path, now: Path, close: float = 0.0) -> Difference | None:
    """Return the first cell or figure in which two run directories differ, None if in none.

    ``close`` is how far numbers may be apart, as a fraction.
    """
    for name in _ORDER:
        old, new = was / f"{name}.csv", now / f"{name}.csv"
        if file_sha256(old) != file_sha256(new) and not filecmp.cmp(old, new, shallow=False):
            difference = _table_difference(name, old, new, close)
            if difference is not None:
                return difference
    difference = _summary_difference(was / "summary.json", now / "summary.json", close)
    if difference is None and (was / "performance.json").exists():
        file = "performance.json"
        difference = _performance_difference(was / file, now / file, close)
    return difference


def _table_difference(name: str, was: Path, now: Path, close: float) -> Difference | None:
    """Return the first differing cell, by rows; None where only the writing differs."""
    start = 0
    for old, new in itertools.zip_longest(_chunks(was), _chunks(now)):
        if old is None or new is None:
            return _missing_rows(name, start, old, new)
        if list(old.columns) != list(new.columns):
            shown = [", ".join(map(str, table.columns)) for table in (old, new)]
            return Difference(f"{name}.csv", 0, "columns", *shown)
        shared = min(len(old), len(new))
        a, b = old.iloc[:shared].to_numpy(), new.iloc[:shared].to_numpy()
        wrong = np.argwhere(a != b)
        for row, column in wrong.tolist():
            if not _same_number(a[row, column], b[row, column], close):
                heading = str(old.columns[column])
                cells = _shown(a[row, column]), _shown(b[row, column])
                return Difference(f"{name}.csv", start + row + 1, heading, *cells)
        if len(old) != len(new):
            return _missing_rows(name, start + shared, old.iloc[shared:], new.iloc[shared:])
        start += shared
    return None


def _chunks(path: Path) -> Iterator[pd.DataFrame]:
    # As text: no rounding, no guessing. In pieces: a long run's cells would fill the memory.
    yield from pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=_CHUNK)


def _missing_rows(
    name: str, start: int, old: pd.DataFrame | None, new: pd.DataFrame | None
) -> Difference:
    shown = [
        "no such row" if table is None or not len(table) else ", ".join(table.iloc[0].tolist())
        for table in (old, new)
    ]
    return Difference(f"{name}.csv", start + 1, "the row", *shown)


def _same_number(a: Any, b: Any, close: float) -> bool:
    """Tell whether two cells are one number, if written in two ways, or as close as asked for."""
    try:
        return math.isclose(float(a), float(b), rel_tol=close, abs_tol=close / 1000)
    except (TypeError, ValueError):
        return False


def _shown(cell: str) -> str:
    return cell or "blank"


def _summary_difference(was: Path, now: Path, close: float) -> Difference | None:
    old, new = (
        flat({
            key: value for key, value in json.loads(path.read_text(encoding="utf-8")).items()
            if key not in (*_MAKING, "settings")
        })
        for path in (was, now)
    )  # fmt: skip
    return _figure_difference("summary.json", old, new, close)


def _performance_difference(was: Path, now: Path, close: float) -> Difference | None:
    old, new = (flat(_numbered(_figures_of(path))) for path in (was, now))
    return _figure_difference("performance.json", old, new, close)


def _figures_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: cannot be read: {error}; make it again with `report`"
        ) from error
    if not isinstance(found, dict):
        raise OutputError(f"{path}: holds no figures by name; make it again with `report`")
    return found


def _numbered(value: Any) -> Any:
    """Return figures with lists as mappings, counted from 1: a row of a list has a name too."""
    if isinstance(value, list):
        value = {str(place): each for place, each in enumerate(value, start=1)}
    if isinstance(value, dict):
        return {key: _numbered(each) for key, each in value.items()}
    return value


def _figure_difference(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], close: float
) -> Difference | None:
    for key in [*old, *(key for key in new if key not in old)]:
        # Not None for what is missing: a figure without a value is None.
        was, now = (figures.get(key, "missing") for figures in (old, new))
        if was != now and not (close and _same_number(was, now, close)):
            return Difference(name, 0, key, str(was), str(now))
    return None
