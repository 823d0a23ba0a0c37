"""The venue's time. The machine's clock only measures how long ago the venue told it."""

from __future__ import annotations

import time
from collections.abc import Callable


class VenueClock:
    """Tells the venue's time from what the venue said last.

    Parameters
    ----------
    scale
        Market seconds per second of the machine; 1 but for a server for tests.
    monotonic
        Seconds of the machine.
    """

    def __init__(
        self, scale: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.scale = scale
        self._monotonic = monotonic
        # Both in one: read and written by two threads.
        self._told: tuple[float, float] | None = None

    def seconds(self) -> float:
        """Return the machine's seconds, for `told`."""
        return self._monotonic()

    def told(self, venue_ms: int, sent_s: float, received_s: float) -> float:
        """Take in what the venue said between two times of the machine.

        Returns
        -------
        float
            By how many market ms the venue was off what this clock said, beyond what the way
            there and back explains; 0 for the first time.
        """
        half_ms = (received_s - sent_s) / 2 * 1000.0 * self.scale
        middle_s = (sent_s + received_s) / 2
        off = 0.0
        if self._told is not None:
            off = max(0.0, abs(venue_ms - self._at(middle_s)) - half_ms)
        self._told = float(venue_ms), middle_s
        return off

    def at_least(self, venue_ms: int) -> None:
        """Take in that it is this late at the venue: it says what has happened by then."""
        if self._told is not None and self.now_ms() < venue_ms:
            self._told = float(venue_ms), self._monotonic()

    def _at(self, seconds: float) -> float:
        venue_ms, at_s = self._told or (0.0, seconds)
        return venue_ms + (seconds - at_s) * 1000.0 * self.scale

    def now_ms(self) -> int:
        """Return the venue's time; 0 before it was told."""
        return round(self._at(self._monotonic()))

    def machine_s(self, market_ms: float) -> float:
        """Return how many seconds of the machine a span of the market takes."""
        return market_ms / 1000.0 / self.scale
