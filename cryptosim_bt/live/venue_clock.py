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
        self._venue_ms = 0.0
        self._at_s: float | None = None

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
        if self._at_s is not None:
            expected = self._venue_ms + (middle_s - self._at_s) * 1000.0 * self.scale
            off = max(0.0, abs(venue_ms - expected) - half_ms)
        self._venue_ms, self._at_s = float(venue_ms), middle_s
        return off

    def now_ms(self) -> int:
        """Return the venue's time; 0 before it was told."""
        if self._at_s is None:
            return 0
        return round(self._venue_ms + (self._monotonic() - self._at_s) * 1000.0 * self.scale)

    def machine_s(self, market_ms: float) -> float:
        """Return how many seconds of the machine a span of the market takes."""
        return market_ms / 1000.0 / self.scale
