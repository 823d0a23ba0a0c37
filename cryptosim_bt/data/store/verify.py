"""Whether what is kept is whole; what is not is set aside, so that it is asked again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryptosim_bt.data.bars import value_faults
from cryptosim_bt.data.store.files import locked, read_json, remove_leftovers
from cryptosim_bt.data.store.parts import read_part
from cryptosim_bt.data.store.series import Series, Store, period_name, within
from cryptosim_bt.data.store.spans import Span, Spans, union
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import StoreError

_KEPT = ("where high is below", "where low is above")  # a venue may say so


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    ``cure`` says what a repair does; None where it does nothing: the venue's own figures.
    """

    path: Path
    problem: str
    cure: str | None
    fixed: bool = False

    def __str__(self) -> str:
        state = "fixed" if self.fixed else self.cure or "as the venue gave it; runs refuse it"
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
        for problem, spans in wrong:
            cure = "forget those rows and download again" if spans else None
            yield Finding(path, problem, cure, repair and bool(spans))
        if repair and any(spans for _, spans in wrong):
            store.forget(series, union(span for _, spans in wrong for span in spans))


def _require_venue(series: Series, path: Path) -> None:
    """Check that every row names its venue."""
    _, rows = read_part(path, ("time", "venue"))
    venues = [str(venue) for venue in rows["venue"].unique()]
    if any(venue != series.venue for venue in venues):
        raise StoreError(f"{path}: holds rows of {venues}, not of {series.venue}")


def _wrong_rows(
    series: Series, path: Path, rows: pd.DataFrame, known: Spans
) -> Iterator[tuple[str, list[Span]]]:
    """Yield what is wrong with rows, all that a run refuses, and the spans to be asked again.

    No spans for a high or low that does not enclose its bar: a venue may say so, and would again.
    """
    times, step = rows["time"].to_numpy(), series.step_ms or 1
    ends = {period_name(series, int(at)) for at in times[[0, -1]]} if len(times) else set()
    faults = [
        ("off the grid of UTC", times % step != 0),
        ("outside what the file says is known", ~within(times, known)),
        ("of another period", np.full(len(times), bool(ends - {path.stem}))),
    ]
    if series.step_ms is None:
        faults.append(("not finite", ~np.isfinite(rows["funding_rate"].to_numpy())))
    else:
        faults += [(f"where {fault}", where) for fault, where in value_faults(rows)]
    for what, where in faults:
        if where.any():
            starts = (times[where] // step * step).tolist()
            again = [] if what.startswith(_KEPT) else [(at, at + step) for at in starts]
            yield f"{len(starts)} rows {what}, the first at {iso_utc(starts[0])}", again


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
