"""Spans of a venue's data that are needed: what is kept already, and how the rest comes in."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from cryptosim_bt.data.download import Downloader, DownloadOutcome, ProgressCallback
from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.store.series import FOR_EVER_MS
from cryptosim_bt.data.store.spans import Spans, length, union
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.data.venue import Venue
from cryptosim_bt.errors import DataError

_SAY_EVERY_S = 10.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SeriesSpan:
    """A series and the times of it that are needed: ``start <= time < end``."""

    series: Series
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class DataAccess:
    """The store, and the way to the venue."""

    store: Store
    exchange: str
    rest_url: str | None = None
    offline: bool = False


def require(access: DataAccess, needs: Sequence[SeriesSpan]) -> None:
    """See to it that the store holds what is needed; download what is missing, and say so.

    Raise `DataError` if something is missing and nothing may be asked of a network, `VenueError` if
    the venue does not give it.
    """
    missing = [(need, spans) for need in needs if (spans := _missing(access, need))]
    if not missing:
        return
    if access.offline:
        raise DataError("\n".join(_missing_text(need, spans) for need, spans in missing))
    with closing(Venue(access.exchange, access.rest_url)) as venue:
        downloader = Downloader(access.store, venue)
        for need, spans in missing:
            logger.info("downloading %s from %s to %s", need.series,
                        iso_utc(spans[0][0]), iso_utc(spans[-1][1]))  # fmt: skip
            progress = logged_progress(need.series)
            report(downloader.fetch(need.series, need.start_ms, need.end_ms, progress))


def report(outcome: DownloadOutcome) -> None:
    """Say what a download brought, holes as a WARNING."""
    logger.info("%s: %s new rows", outcome.series, f"{outcome.rows:,}")
    if outcome.holes and outcome.first_hole_ms is not None:
        logger.warning(
            "%s: the venue does not have %s bars, the first at %s: kept as holes",
            outcome.series, f"{outcome.holes:,}", iso_utc(outcome.first_hole_ms),
        )  # fmt: skip
    if outcome.unsettled:
        logger.warning(
            "%s: the newest %d bars are not there yet; ask again later",
            outcome.series, outcome.unsettled,
        )  # fmt: skip


def _missing(access: DataAccess, need: SeriesSpan) -> Spans:
    """Return the spans of a need that were never asked and can be there by now."""
    step = need.series.step_ms or 1
    now = int(time.time() * 1000) // step * step
    start, end = -(-need.start_ms // step) * step, min(-(-need.end_ms // step) * step, now)
    spans = access.store.unknown(need.series, start, end)
    to_come = need.end_ms > now and bool(spans) and spans[-1][1] == end and spans[-1][0] > start
    if access.offline and to_come:
        # A window that goes on into the future runs as far as the bars go.
        return spans[:-1]
    return spans


def _missing_text(need: SeriesSpan, spans: Spans) -> str:
    series = need.series
    first, last = iso_utc(spans[0][0]), iso_utc(spans[-1][1])
    step, count, how = series.step_ms, "", ""
    if step is not None:
        count = f"{length(spans) // step:,} bars, "
        how = f" --timeframe {series.timeframe}" + (" --mark" if series.price == "mark" else "")
    return (
        f"{series}: not downloaded: {count}from {first} to {last}; get them with `cryptosim-bt "
        f"download {series.symbol} --exchange {series.venue}{how} --from {first} --to {last}`, or "
        "run without --offline"
    )


def logged_progress(series: Series) -> ProgressCallback:
    """Return what logs from time to time how far a download is."""
    said = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _SAY_EVERY_S:
            said = time.monotonic()
            logger.info("%s: %.0f %%", series, 100 * done / max(total, 1))

    return say


def refill(access: DataAccess, series: Series, *, ask_again: bool) -> None:
    """Ask for what is missing between the first and the last known time of a series.

    With `ask_again`, holes are forgotten first, so that the venue is asked for them once more.
    """
    known = access.store.known(series, 0, FOR_EVER_MS)
    if not known:
        return
    start, end = known[0][0], known[-1][1]
    step = series.step_ms
    if ask_again and step is not None:
        holes = access.store.holes(series, start, end).tolist()
        access.store.forget(series, union((at, at + step) for at in holes))
    if access.store.unknown(series, start, end):
        require(access, [SeriesSpan(series, start, end)])
