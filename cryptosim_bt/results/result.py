"""Result: a finished run as tables, written to a directory and read back.

Every report is made from a Result alone, so `report` on an earlier run and the run itself give
the same files. No backtrader here, and no files but the result's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from cryptosim_bt.data.tabular import EXACT_FLOATS
from cryptosim_bt.errors import OutputError

TABLES = ("bars", "fills", "trades", "orders", "sets", "funding", "ambiguous")

_TIMES = {
    "bars": ("time",),
    "fills": ("time",),
    "trades": ("entry_time", "exit_time"),
    "orders": ("created", "ended"),
    "sets": ("born", "ended"),
    "funding": ("time", "due"),
    "ambiguous": ("time",),
}
# What figures and reports are computed from: columns of numbers, blanks among them or not.
_NUMBERS = {
    "fills": ("price", "contracts", "fee", "realized_pnl", "group_pnl", "balance"),
    "trades": (
        "contracts", "entry_price", "exit_price", "gross_pnl", "fees", "funding_paid", "net_pnl",
    ),
    "orders": ("contracts", "price"),
    "sets": ("entries", "contracts", "average_entry", "group_pnl", "fees", "funding_paid",
             "net_pnl"),
    "funding": ("rate", "price", "contracts", "payment"),
}  # fmt: skip
_LABELS = {
    "fills": ("role", "side", "liquidity", "group"),
    "trades": ("side", "exit_reason", "group"),
    "orders": ("role", "side", "status"),
    "sets": ("set", "side", "status", "exit_reason"),
    "funding": ("side",),
    "ambiguous": ("kind",),
}
# Columns with blanks among whole numbers; pandas would turn them into 1.0.
COUNTS = {"fills": ("order_id", "transaction"), "orders": ("parent_id",)}
# Numbers with blanks between them; one alone would be read as a number.
_TEXTS = {"sets": {"transactions": str}}

BACKTRADER_FILE = "backtrader.json"

# What the summary calls the mark where there is no series of it (R38).
LAST_PRICE = "last price"

# The panel of a strategy's columns that hold no numbers: they are not drawn.
TEXT_PANEL = "(text)"
# What is drawn is below this; letters of a greater number's label are too far off to be drawn.
_DRAWN_BELOW = 1e15

FIRST_BAR_COLUMNS = ("time", "open", "high", "low", "close", "volume")
LAST_BAR_COLUMNS = (
    "signal",
    "mark",
    "balance",
    "unrealized_pnl",
    "equity",
    "margin",
    "long_contracts",
    "long_average",
    "short_contracts",
    "short_average",
    "long_sets",
    "short_sets",
    "liquidation_below",
    "liquidation_above",
)


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes
    ----------
    settings : dict
        The configuration as resolved (config.yaml of the run).
    summary : dict
        The figures of R26 and the run's counts (summary.json).
    bars : DataFrame
        One row per bar of the trading window, figures after the bar: ``time`` (UTC), open, high,
        low, close, volume (as the data gives it), indicator columns, signal, mark (price of
        unrealised PnL and margin), balance, unrealized_pnl, equity, margin (settlement currency),
        contracts, average entry (NaN for an empty leg) and open sets of each side, the prices
        below and above which something is liquidated (NaN where there is none).
    fills, trades, orders, sets : DataFrame
        One row per fill, closed Transaction, order, PositionSet; times in UTC.
        Orders of a plain backtrader strategy also have limit_price (of a stop limit) and parent_id.
    funding : DataFrame
        One row per leg and funding time: bar in which it was charged, time it was due, side, rate,
        price, contracts, payment (+ = received).
    ambiguous : DataFrame
        Time and kind of every bar that alone cannot say what came first in it.
    backtrader : dict
        What backtrader's own ``analyzers`` and ``observers`` say (backtrader.json), {} without any.
    panels : dict
        Panel of each indicator column: ``"price"`` or a name of its own.

    Tables and summary of a run that has just ended are made when they are first asked for.
    """

    settings: Mapping[str, Any]
    summary: Mapping[str, Any]
    bars: pd.DataFrame
    fills: pd.DataFrame
    trades: pd.DataFrame
    orders: pd.DataFrame
    sets: pd.DataFrame
    funding: pd.DataFrame
    ambiguous: pd.DataFrame
    panels: Mapping[str, str] = field(default_factory=dict)
    backtrader: Mapping[str, Any] = field(default_factory=dict)

    # The reports stand above this room: the package's door says how to get at them.
    overview: ClassVar[Callable[[], Any] | None] = None

    def plot(self) -> Any:
        """Return the run at a glance as a figure of matplotlib, which a notebook shows."""
        if Result.overview is None:
            raise AttributeError("Result.plot: not known here; import Result from cryptosim_bt")
        return Result.overview().figure(self)

    def _repr_html_(self) -> str | None:
        """Return the short table, as a notebook shows it."""
        html: str | None = None if Result.overview is None else Result.overview().html(self)
        return html

    def __repr__(self) -> str:
        """Return the run in a line."""
        market, figures = self.settings["data"]["timeframe"], self.summary
        return (
            f"<Result: {figures['symbol']} {market}, {len(self.bars):,} bars, "
            f"{figures['trades']:,} trades, total return {figures['total_return']:.2%}>"
        )

    @classmethod
    def made_when_asked(cls, makers: Mapping[str, Callable[[Result], Any]]) -> Result:
        """Return a result whose attributes are made when first asked for, each by its maker."""
        result = cls.__new__(cls)
        vars(result)["_makers"] = dict(makers)
        return result

    def __getattr__(self, name: str) -> Any:
        """Make an attribute that was not asked for before."""
        makers = vars(self).get("_makers", {})
        if name not in makers:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = vars(self)[name] = makers.pop(name)(self)
        return value

    def __getstate__(self) -> dict[str, Any]:
        """Return every attribute, made, for a copy in another process."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def indicators(self) -> list[str]:
        """Names of the strategy's columns of numbers in ``bars``."""
        fixed = {*FIRST_BAR_COLUMNS, *LAST_BAR_COLUMNS, *self.texts}
        return [column for column in self.bars.columns if column not in fixed]

    @property
    def texts(self) -> list[str]:
        """Names of the strategy's columns in ``bars`` that hold no numbers."""
        return [column for column, panel in self.panels.items() if panel == TEXT_PANEL]

    def drawn(self, column: str) -> np.ndarray:
        """Return a column of ``bars`` as it is drawn: a gap (NaN) where a value has no place."""
        values = self.bars[column].to_numpy(np.float64)
        return np.where(np.abs(values) < _DRAWN_BELOW, values, np.nan)

    def write_tables(self, directory: Path) -> list[Path]:
        """Write each table to a CSV file of its name; return their paths.

        Times are ISO-8601 UTC with Z, numbers in full precision, blanks where there is no value.
        """
        paths = []
        for name in TABLES:
            table: pd.DataFrame = getattr(self, name).copy(deep=False)
            for column in _TIMES[name]:
                table[column] = iso_times(table[column])
            paths.append(directory / f"{name}.csv")
            table.to_csv(paths[-1], index=False, lineterminator="\n")
        return paths

    def write_summary(self, directory: Path) -> Path:
        """Write summary.json, and backtrader.json where there is any; return the first's path."""
        path = directory / "summary.json"
        summary = {**self.summary, "settings": self.settings, "panels": dict(self.panels)}
        _write_json(path, summary)
        if self.backtrader:
            _write_json(directory / BACKTRADER_FILE, self.backtrader)
        return path

    @classmethod
    def read(cls, directory: Path) -> Result:
        """Read a run's directory back.

        Raises
        ------
        OutputError
            If a file is missing or unreadable, or a column or its values are.
        """
        file = "summary.json"
        try:
            summary = _read_summary(directory / file)
            settings, panels = summary.pop("settings"), summary.pop("panels")
            tables = {}
            for name in TABLES:
                file = f"{name}.csv"
                texts = [column for column, panel in panels.items() if panel == TEXT_PANEL]
                tables[name] = _read_table(directory / file, name, texts)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise OutputError(
                f"{directory}: no complete run: {file}: {why}; name a folder that `run` wrote with "
                "the ledger analyzer"
            ) from error
        said = directory / BACKTRADER_FILE
        known = json.loads(said.read_text(encoding="utf-8")) if said.exists() else {}
        return cls(settings=settings, summary=summary, panels=panels, backtrader=known, **tables)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def iso_times(times: pd.Series) -> pd.Series:
    """Return UTC times as ISO-8601 text with Z, blank where there is none."""
    index = pd.DatetimeIndex(times).tz_localize(None) if times.dt.tz is None else (
        pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None)
    )  # fmt: skip
    text = np.char.add(np.datetime_as_string(index.to_numpy("datetime64[s]")), "Z")
    return pd.Series(text, index=times.index, dtype=object).where(times.notna(), None)


def _read_summary(path: Path) -> dict[str, Any]:
    summary = json.loads(path.read_text(encoding="utf-8"))
    for name in ("settings", "panels"):
        if not isinstance(summary, dict) or name not in summary:
            raise ValueError(f"'{name}' is missing")
    return dict(summary)


def _read_table(path: Path, name: str, texts: Sequence[str]) -> pd.DataFrame:
    types = dict.fromkeys(texts, str) if name == "bars" else _TEXTS.get(name)
    table: pd.DataFrame = pd.read_csv(path, dtype=types, **EXACT_FLOATS)
    _check_columns(table, name)
    for column in _TIMES[name]:
        try:
            times = pd.to_datetime(table[column], utc=True)
        except ValueError as error:
            raise ValueError(f"column '{column}' holds what is no time: {error}") from error
        table[column] = times.astype("datetime64[ms, UTC]")
    for column in COUNTS.get(name, ()):
        if column in table:
            try:
                table[column] = table[column].astype("Int64")
            except (TypeError, ValueError) as error:
                raise ValueError(f"column '{column}' holds what is no whole number") from error
    return table


def _check_columns(table: pd.DataFrame, name: str) -> None:
    """Raise ValueError at the first column that is missing or holds words instead of numbers."""
    numbers, labels = _NUMBERS.get(name, ()), _LABELS.get(name, ())
    if name == "bars":
        numbers = tuple(each for each in (*FIRST_BAR_COLUMNS, *LAST_BAR_COLUMNS) if each != "time")
        if not len(table) and "time" in table:
            raise ValueError("there are no bars")
    for column in (*_TIMES[name], *numbers, *labels):
        if column not in table:
            raise ValueError(f"column '{column}' is missing")
    for column in numbers:
        # Without rows pandas knows no type.
        if len(table) and not pd.api.types.is_numeric_dtype(table[column]):
            wrong = table[column][pd.to_numeric(table[column], errors="coerce").isna()].dropna()
            raise ValueError(f"column '{column}' holds {wrong.iloc[0]!r} instead of a number")
