"""Faults on order: what the exchange for tests does wrong, and when.

``venue.faults.add(kind, when=..., times=n, **details)``. ``when``: None = at the next chance; a
whole number = from that time of the exchange on (ms); a text = where it occurs in what happens
(method and path with the body of a request; channel and content of a push; place, cancel or
amend, clOrdId, ordId and side of an order); a function of that text = where it returns True.

Of requests: ``lost_request`` (not carried out, never answered), ``lost_answer`` (carried out, never
answered), ``late_request`` and ``late_answer`` (``seconds``), ``http`` (``status``, ``processed``),
``html`` (``processed``), ``empty`` (code 0 without data; ``processed``), ``cut`` (JSON that ends
early; ``processed``), ``code`` (``code``, ``processed``, ``status``: an error of OKX; 51149 comes
with status 500; ``inside``: as sCode of an order within code 0), ``reset`` (connection reset;
``processed``). ``processed`` False is the default.
Of orders: ``refuse`` (``code``: a place, cancel or amend is refused with this sCode),
``partial_fill`` (``share`` of what is left), ``fill_in_cancel`` and ``fill_in_amend`` (``share``,
default all: filled before it gets there; ``refuse``: and 51400 is answered to a cancel),
``late_fill`` (``seconds`` of the exchange that a fill is not in the history).
Of pushes: ``push_missing``, ``push_duplicated``, ``push_reordered`` (kept back until the next one
of its socket), ``push_late`` (``seconds``).
Of sockets: ``ws_drop``, ``ws_silence`` (``seconds``; no push, no pong), ``ws_refuse_login``
(``code``, ``close``), ``ws_notice`` (64008); ``when`` a part of the path (``/private``).
Of the venue itself, at a time: ``liquidation`` and ``adl`` of a leg (``symbol``, ``side``,
``contracts``), ``foreign_order`` (fields of an order as OKX has them), ``transfer``
(``currency``, ``amount``), ``correct_candle`` (``symbol``, ``time_ms``, values), ``kill`` (the
server is gone, with all its connections).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

When = int | str | Callable[[str], bool] | None

REQUEST_FAULTS = ("lost_request", "lost_answer", "late_request", "late_answer", "http", "html",
                  "empty", "cut", "code", "reset")  # fmt: skip
ORDER_FAULTS = ("refuse", "partial_fill", "fill_in_cancel", "fill_in_amend", "late_fill")
PUSH_FAULTS = ("push_missing", "push_duplicated", "push_reordered", "push_late")
SOCKET_FAULTS = ("ws_drop", "ws_silence", "ws_refuse_login", "ws_notice")
VENUE_FAULTS = ("liquidation", "adl", "foreign_order", "transfer", "correct_candle", "kill")
KINDS = (*REQUEST_FAULTS, *ORDER_FAULTS, *PUSH_FAULTS, *SOCKET_FAULTS, *VENUE_FAULTS)


@dataclass(slots=True)
class Fault:
    """One fault on order, and how often it still happens."""

    kind: str
    when: When
    times: int
    details: dict[str, Any] = field(default_factory=dict)
    happened: int = 0

    def meets(self, text: str, now_ms: int) -> bool:
        """Tell whether it happens here and now."""
        if not self.times or self.when is None:
            return bool(self.times)
        if isinstance(self.when, int):
            return now_ms >= self.when
        return self.when in text if isinstance(self.when, str) else self.when(text)


class Faults:
    """The faults on order of one exchange."""

    def __init__(self) -> None:
        self._on_order: list[Fault] = []

    def add(self, kind: str, when: When = None, times: int = 1, **details: Any) -> Fault:
        """Order a fault; it happens ``times`` times. See the module for kinds and details.

        Raises
        ------
        ValueError
            If there is no such kind.
        """
        if kind not in KINDS:
            raise ValueError(f"faults.add: kind was {kind!r}; allowed: {', '.join(KINDS)}")
        fault = Fault(kind, when, times, details)
        self._on_order.append(fault)
        return fault

    def clear(self) -> None:
        """Take back every fault that has not happened."""
        self._on_order.clear()

    def take(self, *kinds: str, text: str = "", now_ms: int = 0) -> Fault | None:
        """Return the first fault of these kinds that happens here, and count it; else None."""
        for fault in self._on_order:
            if fault.kind in kinds and fault.meets(text, now_ms):
                fault.times -= 1
                fault.happened += 1
                if not fault.times:
                    self._on_order.remove(fault)
                return fault
        return None

    def next_time(self, after_ms: int) -> int | None:
        """Return when the next fault of the venue itself is due."""
        due = [each.when for each in self._on_order
               if each.kind in VENUE_FAULTS and isinstance(each.when, int)]  # fmt: skip
        return min((each for each in due if each > after_ms), default=None)
