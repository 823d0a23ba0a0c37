"""Whether what is kept is whole; what is not is set aside, so that it is asked again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryptosim_bt.data.store.files import locked, read_json, remove_leftovers
from cryptosim_bt.data.store.series import Series, Store, period_name, within
from cryptosim_bt.data.store.spans import Span, Spans, union
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import StoreError


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    ``cure`` says what a repair does; None where there is nothing to fix: the venue's own figures.
    """

    path: Path
    problem: str
    cure: str | None
    fixed: bool = False

    def __str__(self) -> str:
        state = "fixed" if self.fixed else self.cure or "as the venue gave it"
        return f"{self.path}: {self.problem} ({state})"


def verify(store: Store, *, repair: bool) -> list[Finding]:
    """Check every file below a store; with `repair`, fix what can be fixed.

    A damaged file is renamed to ``*.damaged``, rows that cannot be are forgotten: in both cases
    their times are unasked then, and a download brings them again.
    """
    findings = []
    for series in store.list_series():
        findings += list(_check_series(store, series, repair=repair))
    for path in sorted(store.directory.glob("*/*/*.json")):
        findings += list(_check_json(path, repair=repair))
    return findings


def _check_series(store: Store, series: Series, *, repair: bool) -> Iterator[Finding]:
    folder = store.folder(series)
    with locked(folder):
        left = list(folder.glob(".writing-*"))
        if left:
            if repair:
                remove_leftovers(folder)
            yield Finding(left[0], "was left by a killed writer", "remove it", repair)
    for path in store.part_paths(series):
        try:
            info, rows = store.part(series, path)
            _require_venue(series, path)
        except StoreError as error:
            yield _set_aside(path, error, repair=repair)
            continue
        wrong = list(_wrong_rows(series, path, rows, info.known))
        for problem, _ in wrong:
            yield Finding(path, problem, "forget those rows and download again", repair)
        if wrong and repair:
            store.forget(series, union(span for _, spans in wrong for span in spans))
        yield from _odd_prices(series, path, rows)


def _require_venue(series: Series, path: Path) -> None:
    """Check that every row names its venue."""
    import pyarrow.parquet as pq

    try:
        venues = pq.read_table(path, columns=["venue"]).column("venue").unique().to_pylist()
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path}: is damaged: {error}") from error
    if any(venue != series.venue for venue in venues):
        raise StoreError(f"{path}: holds rows of {venues}, not of {series.venue}")


def _wrong_rows(
    series: Series, path: Path, rows: pd.DataFrame, known: Spans
) -> Iterator[tuple[str, list[Span]]]:
    """Yield what is wrong with rows, and the spans to be asked again."""
    times, step = rows["time"].to_numpy(), series.step_ms or 1
    ends = {period_name(series, int(at)) for at in times[[0, -1]]} if len(times) else set()
    faults = [
        ("bars off the grid of UTC", times % step != 0),
        ("figures that are not finite", ~np.isfinite(rows[[*series.columns]]).all(axis=1)),
        ("rows outside what the file says is known", ~within(times, known)),
        ("rows of another period", np.full(len(times), bool(ends - {path.stem}))),
    ]
    for what, where in faults:
        if where.any():
            spans = [(int(at) // step * step, int(at) // step * step + step) for at in times[where]]
            yield f"{int(where.sum())} {what}, the first at {iso_utc(spans[0][0])}", spans


def _odd_prices(series: Series, path: Path, rows: pd.DataFrame) -> Iterator[Finding]:
    if series.step_ms is None:
        return
    odd = (rows["high"] < rows[["open", "close"]].max(axis=1)) | (
        rows["low"] > rows[["open", "close"]].min(axis=1)
    )
    if odd.any():
        first = iso_utc(int(rows["time"][odd].iloc[0]))
        problem = f"{int(odd.sum())} bars whose high or low does not enclose them, first {first}"
        yield Finding(path, problem, None)


def _check_json(path: Path, *, repair: bool) -> Iterator[Finding]:
    try:
        content = read_json(path)
        if not isinstance(content, dict) or "records" not in content:
            raise StoreError(f"{path}: is of another form")
    except StoreError as error:
        yield _set_aside(path, error, repair=repair)


def _set_aside(path: Path, error: StoreError, *, repair: bool) -> Finding:
    if repair:
        with locked(path.parent):
            os.replace(path, path.with_name(f"{path.name}.damaged"))
    problem = str(error).removeprefix(f"{path}: ").partition("; `verify")[0]
    return Finding(path, problem, "set it aside and download again", repair)
