"""Limits on new entries. Pure state; the strategy asks before it orders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DailyLossLimit:
    """Refuse entries for the rest of a local day that lost too much (R25).

    Parameters
    ----------
    limit_pct
        Loss as a fraction of the day's first equity (0.05 = 5 %); None = no limit.
    zone
        Time zone whose midnight begins a day.
    initial_balance
        What the first day is measured against.
    """

    def __init__(self, limit_pct: float | None, zone: ZoneInfo, initial_balance: float) -> None:
        self._limit_pct = limit_pct
        self._zone = zone
        self._reference = initial_balance
        self._last_equity = initial_balance
        self._day_end_ms = 0
        self.hit = False

    @property
    def state(self) -> tuple[float, float, int, bool]:
        """What it goes by, for a later run to go on from."""
        return self._reference, self._last_equity, self._day_end_ms, self.hit

    @state.setter
    def state(self, state: tuple[float, float, int, bool]) -> None:
        self._reference, self._last_equity, self._day_end_ms, self.hit = state

    def check(self, open_ms: int, equity: float) -> None:
        """Measure a bar that opened at ``open_ms`` and closed with ``equity``."""
        if self._limit_pct is None:
            return
        if open_ms >= self._day_end_ms:
            self._begin_day(open_ms)
        # Nothing is below zero: a day that begins with nothing has no limit to hit.
        if self._reference > 0.0 and equity <= self._reference * (1.0 - self._limit_pct):
            self.hit = True

    def settle(self, equity: float) -> None:
        """Note a bar's last equity: the next day is measured against it."""
        self._last_equity = equity

    def _begin_day(self, open_ms: int) -> None:
        self._reference = self._last_equity
        self.hit = False
        local = (_EPOCH + timedelta(milliseconds=open_ms)).astimezone(self._zone)
        midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time())
        end = midnight.replace(tzinfo=self._zone).astimezone(UTC)
        self._day_end_ms = int((end - _EPOCH) / timedelta(milliseconds=1))
