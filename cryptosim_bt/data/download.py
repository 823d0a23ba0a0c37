"""Downloads that prove their own completeness: every expected bar is there, or a hole of the venue.

A page is asked with both its ends. What is missing is asked again; only what is missing from
several well-formed answers is taken for a hole, and an answer speaks only for times that it can
have meant: those between its rows, or its whole span if it has no row in it. An answer that was cut
short thus says nothing of what it left out. No page's end stops a download; it walks the whole
span.

Rows are written every few seconds with the span they settle, so a download that is stopped or
killed goes on where it was.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from cryptosim_bt.data.market import Candle, Market
from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.store.files import locked
from cryptosim_bt.data.store.records import keep_market, keep_tiers
from cryptosim_bt.data.store.series import grid
from cryptosim_bt.data.store.spans import Span, Spans, clip, length, subtract, union
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.data.venue import Venue
from cryptosim_bt.errors import VenueRefused

# A bar that has just closed may still be settled by the venue.
_SETTLING_MS: Final = 2_000
# Missing bars that closed less than this ago may yet come: they stay unasked.
_FRESH_MS: Final = 3_600_000

# No venue lets funding wait for longer.
_FUNDING_MS: Final = 28_800_000

ProgressCallback = Callable[[int, int], None]
"""Called with (bars settled, bars in all); for funding, with milliseconds."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class DownloadOutcome:
    """What a download brought: new rows, and bars that the venue does not have, found now.

    ``unsettled`` are newest bars that the venue does not give yet: they are asked again next time.
    """

    series: Series
    rows: int = 0
    holes: int = 0
    first_hole_ms: int | None = None
    unsettled: int = 0


@dataclass
class Downloader:
    """Brings series from a venue into a store.

    A bar is a hole when it is missing from ``confirmations`` well-formed answers; what is missing
    is asked again after ``pause_s`` seconds, longer each time. Rows are written every ``flush_s``
    seconds: a kill loses at most so much work. ``sleep`` waits, ``clock`` gives seconds that only
    grow.
    """

    store: Store
    venue: Venue
    _: KW_ONLY
    confirmations: int = 3
    pause_s: float = 0.5
    flush_s: float = 3.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    # ------------------------------------------------------------------ what can be asked for
    def market(self, symbol: str) -> Market:
        """Keep what the venue says of a market and its margin tiers today; return the market."""
        market = self.venue.market(symbol)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        keep_market(self.store, self.venue.name, market, now)
        try:
            tiers = self.venue.tiers(symbol)
        except VenueRefused as error:  # some venues tell them to their customers only
            logger.info("%s", error)
            return market
        if tiers is not None:
            keep_tiers(self.store, self.venue.name, symbol, tiers, now)
        return market

    def fetch(
        self, series: Series, start_ms: int, end_ms: int, advance: ProgressCallback
    ) -> DownloadOutcome:
        """Bring everything of ``start <= time < end`` that the store does not know yet.

        Another process that downloads the same is waited for. When the venue fails for good, a
        `VenueError`; what came before is kept.
        """
        def waiting() -> None:
            logger.warning("another process downloads %s: waiting for it", series)

        with locked(self.store.folder(series), "download", waiting):
            if series.step_ms is None:
                return self._funding(series, start_ms, end_ms, advance)
            return self._bars(series, series.step_ms, start_ms, end_ms, advance)

    # ------------------------------------------------------------------ bars
    def _bars(
        self, series: Series, step: int, start_ms: int, end_ms: int, advance: ProgressCallback
    ) -> DownloadOutcome:
        now, outcome = self.venue.now_ms(), DownloadOutcome(series)
        end_ms = min(-(-end_ms // step) * step, (now - _SETTLING_MS) // step * step)
        todo = self.store.unknown(series, -(-start_ms // step) * step, end_ms)
        if not todo:
            return outcome
        total, done = length(todo) // step, 0
        page_ms = self.venue.page_size(series.symbol, series.price) * step
        rows: dict[int, Candle] = {}  # not on disk yet, and the spans that they settle
        settled: list[Span] = []
        since = self.clock()
        try:
            early = self._before_listing(series, todo, page_ms)
            if early:
                settled += early
                todo, done = subtract(todo, early), length(early) // step
                logger.info("%s: not listed before %s", series, iso_utc(early[-1][1]))
            advance(done, total)
            for span in _pages(todo, page_ms):
                found, missing = self._prove(series, step, span)
                known, late = _settled(span, found, missing, step, now)
                rows.update(found)
                settled += known
                holes = [at for at in missing if any(a <= at < b for a, b in known)]
                if holes and outcome.first_hole_ms is None:
                    outcome.first_hole_ms = holes[0]
                outcome.rows += len(found)
                outcome.holes += len(holes)
                outcome.unsettled += late
                done += (span[1] - span[0]) // step
                advance(done, total)
                if self.clock() - since >= self.flush_s:
                    self._flush(series, rows, settled)
                    since = self.clock()
        finally:  # a Ctrl-C or a failing venue keeps what came before
            self._flush(series, rows, settled)
        return outcome

    def _flush(self, series: Series, rows: dict[int, Candle], settled: list[Span]) -> None:
        if settled:
            # A mark price has no volume, and some venues give none.
            table = _table(series, rows.values()).fillna({"volume": 0.0})
            self.store.write(series, table, union(settled))
        rows.clear()
        settled.clear()

    def _before_listing(self, series: Series, todo: Spans, page_ms: int) -> Spans:
        """Return the part of `todo` from before the market was listed, if that is to be believed.

        A page's worth of bars in front of the date is asked: where there are some, the date is not
        that of the first bar, and everything is asked.
        """
        listed, step = self.venue.market(series.symbol).listed_ms, series.step_ms
        if listed is None or step is None:
            return ()
        early = clip(todo, todo[0][0], listed // step * step)
        if not early:
            return ()
        probe = (max(early[-1][0], early[-1][1] - page_ms), early[-1][1])
        found, _ = self._prove(series, step, probe)
        return () if found else early

    def _prove(
        self, series: Series, step: int, span: Span
    ) -> tuple[dict[int, Candle], list[int]]:
        """Ask for a span until each of its bars is found, or missing from enough answers.

        Return the bars by time, and the times of holes, ascending.
        """
        found: dict[int, Candle] = {}
        denials: dict[int, int] = {}
        questions = [grid(*span, step).tolist()]
        for turn in range(10_000):  # every turn finds a bar, counts a denial or halves a question
            again: list[list[int]] = []
            for wanted in questions:
                again += self._ask(series, step, wanted, found, denials)
            if not again:
                return found, sorted(at for at in denials if at not in found)
            questions = again
            self.sleep(self.pause_s * min(turn + 1, 4))
        raise VenueRefused(f"{series}: the answers contradict each other around {iso_utc(span[0])}")

    def _ask(
        self, series: Series, step: int, wanted: list[int], found: dict[int, Candle],
        denials: dict[int, int],
    ) -> list[list[int]]:  # fmt: skip
        """Ask for wanted bars once; return what has to be asked again, in groups."""
        start, end = wanted[0], wanted[-1] + step
        answer = self.venue.candles(
            series.symbol, series.timeframe or "", series.price, start, end
        )
        usable = [candle for candle in answer if _is_bar(candle)]
        inside = [candle for candle in usable if start <= candle[0] < end]
        odd = next((candle[0] for candle in inside if candle[0] % step), None)
        if odd is not None:
            raise VenueRefused(
                f"{series}: a bar opens at {iso_utc(odd)}, which is no whole {series.timeframe} of "
                "UTC; such bars cannot be kept"
            )
        news = {candle[0]: candle for candle in inside if candle[0] not in found}
        found.update(news)
        left = [at for at in wanted if at not in found]
        if not left:
            return []
        # Without a row in the span the answer speaks for the whole of it, else between its rows.
        low, high = (usable[0][0], usable[-1][0]) if inside else (start, end)
        denied = [at for at in left if low <= at <= high]
        for at in denied:
            denials[at] = denials.get(at, 0) + 1
        open_ = [at for at in left if denials.get(at, 0) < self.confirmations]
        if open_ and not denied and not news:
            middle = len(open_) // 2
            return [half for half in (open_[:middle], open_[middle:]) if half]
        groups = (
            [at for at in open_ if at < low],
            [at for at in open_ if low <= at <= high],
            [at for at in open_ if at > high],
        )
        return [group for group in groups if group]

    # ------------------------------------------------------------------ funding
    def _funding(
        self, series: Series, start_ms: int, end_ms: int, advance: ProgressCallback
    ) -> DownloadOutcome:
        now = self.venue.now_ms()
        todo = self.store.unknown(series, start_ms, min(end_ms, now))
        if not todo:
            return DownloadOutcome(series)
        start_ms, end_ms = todo[0][0], todo[-1][1]
        rates: dict[int, float] = {}
        total, silent = end_ms - start_ms, 0
        advance(0, total)
        spans: list[Span] = [(start_ms, end_ms)]
        while spans and silent < self.confirmations:
            before = len(rates)
            for span in spans if len(spans) <= 20 else [(spans[0][0], spans[-1][1])]:
                for page in self._funding_pages(series.symbol, span):
                    rates.update(page)
                    advance(total - max(0, min(rates) - start_ms), total)
            silent = 0 if len(rates) > before else silent + 1
            spans = _funding_gaps(sorted(rates), start_ms, end_ms)
            if spans and silent < self.confirmations:
                self.sleep(self.pause_s)
        # The newest rate may yet come: until it is surely there, its time stays unasked.
        until = min(end_ms, max(now - _FRESH_MS, max(rates, default=start_ms - 1) + 1))
        inside = _table(series, [(at, rate) for at, rate in rates.items() if at < until])
        rows = self.store.write(series, inside, clip([(start_ms, end_ms)], start_ms, until))
        advance(total, total)
        return DownloadOutcome(series, rows)

    def _funding_pages(self, symbol: str, span: Span) -> Iterator[dict[int, float]]:
        """Walk through a span of funding rates, from the end at which the venue's pages begin."""
        low, high = span
        while low < high:
            page = dict(self.venue.funding_rates(symbol, low, high))
            if not page:
                return
            yield page
            if self.venue.newest_first:
                high = min(page)
            else:
                low = max(page) + 1


def _pages(spans: Spans, page_ms: int) -> Iterator[Span]:
    for start, end in spans:
        for at in range(start, end, page_ms):
            yield at, min(at + page_ms, end)


def _settled(
    span: Span, found: dict[int, Candle], missing: list[int], step: int, now: int
) -> tuple[Spans, int]:
    """Return what is known of a span, and how many of its newest bars may yet come."""
    last = max(found, default=-1)
    late = [at for at in missing if at > last and at + step > now - _FRESH_MS]
    return clip([span], span[0], min(late, default=span[1])), len(late)


def _is_bar(candle: Candle) -> bool:
    """Tell whether a row holds prices at all; what they are like is checked where they are used."""
    return all(math.isfinite(price) and price > 0 for price in candle[1:5])


def _table(series: Series, rows: Iterable[tuple[float, ...]]) -> pd.DataFrame:
    table = pd.DataFrame(sorted(rows), columns=["time", *series.columns])
    return table.astype({"time": "int64", **dict.fromkeys(series.columns, "float64")})


def _funding_gaps(times: list[int], start_ms: int, end_ms: int) -> list[Span]:
    """Return where rates may be missing: steps longer than the shortest, and the ends of the span.

    The shortest, not the usual one: a rate that was left out is noticed wherever it stood, even
    where the venue changed its interval. Eight hours at most: two rates far apart prove nothing.
    """
    if len(times) < 2:
        return [(start_ms, end_ms)]
    usual = min(int(np.diff(times).min()), _FUNDING_MS)
    gaps = [(low + 1, high) for low, high in pairwise(times)
            if high - low > usual + 60_000]  # venues stamp some seconds off  # fmt: skip
    if times[0] - start_ms >= usual:
        gaps.insert(0, (start_ms, times[0]))
    if end_ms - times[-1] > usual:
        gaps.append((times[-1] + 1, end_ms))
    return gaps
