"""Closed bars in their order, each once: from a stream, and from questions about what it missed."""

from __future__ import annotations

from collections.abc import Iterable

from cryptosim_bt.data.market import Candle

# A bar that was not pushed so many seconds (of the machine) after its close is asked for.
GRACE_S = 2.0
_KEPT = 500


class BarSequence:
    """Puts closed bars in order.

    Parameters
    ----------
    step_ms
        Length of a bar.
    next_ms
        Open of the first bar that is wanted.
    """

    def __init__(self, step_ms: int, next_ms: int) -> None:
        self.step_ms = step_ms
        self.next_ms = next_ms
        self._held: dict[int, Candle] = {}
        self._given: dict[int, Candle] = {}
        self._asked_to_ms = next_ms
        self.holes: list[int] = []

    def add(self, rows: Iterable[Candle], asked_to_ms: int | None = None) -> list[Candle]:
        """Take closed bars in; return those that differ from what was given out before.

        With ``asked_to_ms`` they are all that the venue has before that time: what is missing among
        them it never had.
        """
        corrected = []
        for row in rows:
            if row[0] >= self.next_ms:
                self._held[row[0]] = row
            elif row[0] in self._given and self._given[row[0]][1:5] != row[1:5]:
                self._given[row[0]] = row
                corrected.append(row)
        if asked_to_ms is not None:
            self._asked_to_ms = max(self._asked_to_ms, asked_to_ms)
        return corrected

    def pop(self) -> Candle | None:
        """Return the next bar, None while it is not here."""
        while self._held and self.next_ms not in self._held:
            if self.next_ms >= min(self._asked_to_ms, min(self._held)):
                return None
            self.holes.append(self.next_ms)  # asked for, and not there
            self.next_ms += self.step_ms
        found = self._held.pop(self.next_ms, None)
        if found is not None:
            self._given[found[0]] = found
            if len(self._given) > _KEPT:
                del self._given[min(self._given)]
            self.next_ms += self.step_ms
        return found

    def missing(self, now_ms: int, grace_ms: float) -> tuple[int, int] | None:
        """Return the span of opens to ask for: a gap before a bar that came, or what is overdue."""
        if self._held and self.next_ms not in self._held:
            return self.next_ms, min(self._held)
        if not self._held and now_ms >= self.next_ms + self.step_ms + grace_ms:
            return self.next_ms, now_ms // self.step_ms * self.step_ms
        return None
