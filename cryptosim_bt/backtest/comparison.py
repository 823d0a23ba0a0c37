"""Tell two runs apart: their settings, where they first differ, what each difference did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.backtest.stored_run import StoredRun, flat
from cryptosim_bt.config.document import Document
from cryptosim_bt.config.settings import Settings, settings_of
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import InputError
from cryptosim_bt.results.result import LAST_BAR_COLUMNS, Result

# What says how a run is reported and not what comes out of it.
_NO_EFFECT = ("report.", "logging.", "plugins")
_NOT_OF_A_FILL = ("order_id", "transaction", "balance")
# Keys that make sense together only: they are changed as one.
_TOGETHER = {
    "market": ("exchange.", "trading.symbol", "instrument."),
    "data": ("data.",),
    "strategy": ("strategy.", "trading.position_mode"),
    "trading_period": ("backtest.trading_period.",),
    "fees": ("backtest.fees.",),
    "funding": ("backtest.funding.",),
    "sizing": ("trading.sizing.",),
    "stop": ("trading.stop.",),
}
# The figures by which what a difference did is reported.
REPORTED = (
    "final_equity", "total_return", "max_drawdown", "sharpe", "trades", "win_rate", "fees_paid",
    "funding_paid", "liquidations",
)  # fmt: skip
_MONEY = ("final_equity", "fees_paid", "funding_paid")
_ORIGINS = (
    "version", "data.source", "data.file", "data.sha256", "provenance.bars_sha256",
    "provenance.inputs", "provenance.strategy", "provenance.feed", "provenance.python",
    "provenance.libraries",
)  # fmt: skip
_NUMBERS = (
    "bars_traded", "initial_balance", "final_balance", "final_equity", "unrealized_pnl",
    "total_return", "total_return_usd", "annual_return", "buy_and_hold_return", "max_drawdown",
    "sharpe", "sortino", "fills", "trades", "wins", "losses", "win_rate", "profit_factor",
    "fees_paid", "funding_paid", "orders_expired", "liquidations", "shortfall", "open_sets",
    "open_contracts.long", "open_contracts.short",
)  # fmt: skip

Run = Callable[[Settings], Result]


@dataclass(frozen=True)
class Pair:
    """A named value of both runs; None where a run has none."""

    name: str
    a: Any
    b: Any

    @property
    def change(self) -> float | None:
        """``b - a`` of numbers, None of anything else."""
        numbers = [each for each in (self.a, self.b)
                   if isinstance(each, int | float) and not isinstance(each, bool)]  # fmt: skip
        return numbers[1] - numbers[0] if len(numbers) == 2 else None


@dataclass(frozen=True)
class FirstDifference:
    """The first row in which two tables differ: its time or number, and its cells."""

    stage: str
    place: str
    cells: tuple[Pair, ...]


@dataclass(frozen=True)
class Effect:
    """What one group of settings did: run A with those of B in it, less run A.

    ``refusal`` says why it could not be run alone; then there are no changes.
    """

    group: str
    keys: tuple[str, ...]
    changes: Mapping[str, float | None]
    refusal: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Everything in which two runs differ."""

    a: StoredRun
    b: StoredRun
    settings: tuple[Pair, ...]
    origins: tuple[Pair, ...]
    bars: tuple[FirstDifference, ...]
    fill: FirstDifference | None
    figures: tuple[Pair, ...]
    effects: tuple[Effect, ...]

    @property
    def identical(self) -> bool:
        """Whether both runs came to the same bars and fills."""
        return not self.bars and self.fill is None


def compare(a: StoredRun, b: StoredRun, run: Run | None = None) -> Comparison:
    """Compare two runs.

    Parameters
    ----------
    run
        Runs settings; used to tell what each difference did alone. None: that is left out.
    """
    for each in (a, b):
        each.check_whole()
    settings = differing(a.result.settings, b.result.settings)
    return Comparison(
        a=a,
        b=b,
        settings=settings,
        origins=tuple(_origins(a.result, b.result)),
        bars=tuple(bar_differences(a.result, b.result)),
        fill=fill_difference(a.result.fills, b.result.fills),
        figures=tuple(figure_pairs(a.result.summary, b.result.summary)),
        effects=() if run is None else tuple(effects(a, b, settings, run)),
    )


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Pair, ...]:
    """Return the settings that differ, by their dotted keys, in the order of the file."""
    one, other = flat(a), flat(b)
    keys = [*one, *(key for key in other if key not in one)]
    return tuple(Pair(key, one.get(key), other.get(key)) for key in keys
                 if one.get(key) != other.get(key))  # fmt: skip


def _origins(a: Result, b: Result) -> list[Pair]:
    found = []
    for name in _ORIGINS:
        one, other = (_at(each.summary, name) for each in (a, b))
        if one != other:
            found.append(Pair(name, one, other))
    return found


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def figure_pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Pair]:
    """Return the figures of two summaries, those that differ and those that do not."""
    return [Pair(name, _at(a, name), _at(b, name)) for name in _NUMBERS]


# ---------------------------------------------------------------------- where they differ
def bar_differences(a: Result, b: Result) -> list[FirstDifference]:
    """Return the first bar of each stage in which the runs differ, earliest first.

    The stages follow each other within a bar: the window, prices, indicators, signal, account.
    """
    one, other = a.bars.set_index("time"), b.bars.set_index("time")
    found = list(_window_difference(one, other))
    shared = one.index.intersection(other.index)
    indicators = [name for name in a.indicators if name in b.indicators]
    stages = {
        "prices": ["open", "high", "low", "close"],
        "indicators": indicators,
        "signal": ["signal"],
        "account": [name for name in LAST_BAR_COLUMNS if name != "signal"],
    }
    left, right = one.loc[shared], other.loc[shared]
    for stage, columns in stages.items():
        row, wrong = _first_row(left[columns], right[columns])
        if row is not None:
            cells = tuple(
                Pair(name, _cell(left[name].iloc[row]), _cell(right[name].iloc[row]))
                for name in wrong
            )
            found.append(FirstDifference(stage, iso_utc(shared[row]), cells))
    # Sorting is stable: within a bar the stages keep their order.
    return sorted(found, key=lambda parting: parting.place)


def _window_difference(one: pd.DataFrame, other: pd.DataFrame) -> list[FirstDifference]:
    alone = one.index.symmetric_difference(other.index)
    if not len(alone):
        return []
    time = alone[0]
    cell = Pair("bar", *("there" if time in each.index else None for each in (one, other)))
    return [FirstDifference("window", iso_utc(time), (cell,))]


def _first_row(left: pd.DataFrame, right: pd.DataFrame) -> tuple[int | None, list[str]]:
    a, b = left.to_numpy(np.float64), right.to_numpy(np.float64)
    wrong = (a != b) & ~(np.isnan(a) & np.isnan(b))
    rows = np.flatnonzero(wrong.any(axis=1))
    if not len(rows):
        return None, []
    row = int(rows[0])
    return row, [str(name) for name, bad in zip(left.columns, wrong[row], strict=True) if bad]


def fill_difference(a: pd.DataFrame, b: pd.DataFrame) -> FirstDifference | None:
    """Return the first fill in which the runs differ, counted from 1; None if all are the same.

    The numbers of orders and entries do not count, nor the balance: they say nothing of what was
    traded.
    """
    columns = [name for name in a.columns if name not in _NOT_OF_A_FILL]
    shared = min(len(a), len(b))
    left, right = a[columns].iloc[:shared], b[columns].iloc[:shared]
    wrong = (left != right) & ~(left.isna() & right.isna())
    rows = np.flatnonzero(wrong.to_numpy().any(axis=1))
    if not len(rows) and len(a) == len(b):
        return None
    row = int(rows[0]) if len(rows) else shared
    cells = tuple(
        Pair(name, *(_cell(each[name].iloc[row]) if row < len(each) else None for each in (a, b)))
        for name in columns
    )
    return FirstDifference("fill", str(row + 1), cells)


def _cell(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return iso_utc(value)
    return value.item() if isinstance(value, np.generic) else value


# ---------------------------------------------------------------------- what each did
def groups_of(settings: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Return the settings that have an effect, those that belong together as one group."""
    groups: dict[str, list[Pair]] = {}
    for pair in settings:
        if pair.name.startswith(_NO_EFFECT):
            continue
        name = next((group for group, prefixes in _TOGETHER.items()
                     if pair.name.startswith(prefixes)), pair.name)  # fmt: skip
        groups.setdefault(name, []).append(pair)
    return groups


def effects(a: StoredRun, b: StoredRun, settings: Sequence[Pair], run: Run) -> list[Effect]:
    """Return what each group of settings does to run A alone, and what they do together.

    The last but one is what the groups do beyond their sum (and what code or data did), the last
    the whole way from A to B.
    """
    groups = groups_of(settings)
    whole = _changes(a.result, b.result)
    found: list[Effect] = []
    if len(groups) > 1:
        base = a.settings()
        for name, pairs in groups.items():
            found.append(_effect(name, pairs, base, a.result, run))
        rest = {figure: _rest(change, found, figure) for figure, change in whole.items()}
        found.append(Effect("together", (), rest))
    keys = tuple(pair.name for pairs in groups.values() for pair in pairs)
    return [*found, Effect("whole", keys, whole)]


def _effect(
    name: str, pairs: Sequence[Pair], base: Settings, was: Result, run: Run
) -> Effect:
    keys = tuple(pair.name for pair in pairs)
    values = base.resolved()
    for pair in pairs:
        _put(values, pair.name.split("."), pair.b)
    try:
        now = run(settings_of(Document("config.yaml", values), base.directory))
    except InputError as error:
        return Effect(name, keys, {}, refusal=str(error))
    return Effect(name, keys, _changes(was, now))


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    branch = values
    for part in path[:-1]:
        branch = branch.setdefault(part, {})
    if value is None and path[-1] not in branch:
        return
    branch[path[-1]] = value


def _changes(a: Result, b: Result) -> dict[str, float | None]:
    same_money = a.summary["currency"] == b.summary["currency"]
    return {
        name: Pair(name, _at(a.summary, name), _at(b.summary, name)).change
        if same_money or name not in _MONEY else None
        for name in REPORTED
    }  # fmt: skip


def _rest(whole: float | None, parts: Sequence[Effect], figure: str) -> float | None:
    changes = [effect.changes.get(figure) for effect in parts]
    if whole is None or any(change is None for change in changes):
        return None
    return whole - sum_floats(change for change in changes if change is not None)
