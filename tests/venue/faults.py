"""Faults of a test venue: ordered one by one, or drawn from a seeded generator.

A fault is of the line (the answer does not come, or not whole) or of the content (the answer is
well-formed and wrong: a lie). Lies about one row are counted: a venue that hides a row from every
answer cannot be told from one that never had it, so no row is hidden more than ``MOST_LIES`` times.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

MOST_LIES = 2


class Fault(StrEnum):
    """What can go wrong with one request."""

    RESET = "reset"  # the connection is reset before an answer: as refused, to the client
    DROP = "drop"  # closed without an answer
    TIMEOUT = "timeout"  # no answer in time
    CUT_BODY = "cut_body"  # the connection ends in the middle of the body
    TOO_MANY = "too_many"  # 429 with OKX's 50011
    TOO_MANY_PLAIN = "too_many_plain"  # 429 of a gateway, no JSON
    SERVER_ERROR = "server_error"  # 500
    BAD_GATEWAY = "bad_gateway"  # 502 with a page
    UNAVAILABLE = "unavailable"  # 503
    BUSY = "busy"  # 200 with OKX's 50013
    MAINTENANCE = "maintenance"  # 200 with OKX's 50001
    HTML = "html"  # 200 with a page in place of JSON
    NOT_OKX = "not_okx"  # 200 with JSON of another form
    HALF_JSON = "half_json"  # 200 with the text cut in half
    # of the content
    EMPTY = "empty"
    DUPLICATED = "duplicated"
    MISSING = "missing"
    UNORDERED = "unordered"
    HALF_ROWS = "half_rows"
    UNCLOSED = "unclosed"  # a candle that is not finished yet, though it was not asked for


LINE_FAULTS = tuple(fault for fault in Fault if fault not in {
    Fault.EMPTY, Fault.DUPLICATED, Fault.MISSING, Fault.UNORDERED, Fault.HALF_ROWS, Fault.UNCLOSED,
})  # fmt: skip
CONTENT_FAULTS = tuple(fault for fault in Fault if fault not in LINE_FAULTS)


@dataclass
class Order:
    """A fault for the next ``times`` requests whose path contains ``path``."""

    fault: Fault
    path: str
    times: int


@dataclass
class Faults:
    """Which request gets which fault.

    Parameters
    ----------
    probability
        Share of requests that draw one of ``kinds``; 0 = only what is ordered.
    timeout_s
        How long a request with a time-out is held.
    """

    probability: float = 0.0
    kinds: tuple[Fault, ...] = tuple(Fault)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    timeout_s: float = 1.0
    orders: list[Order] = field(default_factory=list)
    happened: Counter[Fault] = field(default_factory=Counter)
    _lies: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, fault: Fault, path: str = "", times: int = 1) -> None:
        """Order a fault for the next requests of a path."""
        with self._lock:
            self.orders.append(Order(fault, path, times))

    def draw(self, path: str) -> Fault | None:
        """Return the fault of a request, None for none."""
        with self._lock:
            found = self._draw(path)
            if found is not None:
                self.happened[found] += 1
            return found

    def _draw(self, path: str) -> Fault | None:
        for order in self.orders:
            if order.path in path and order.times > 0:
                order.times -= 1
                return order.fault
        if self.probability and self.rng.random() < self.probability:
            return self.kinds[int(self.rng.integers(len(self.kinds)))]
        return None

    def distort(self, fault: Fault, key: str, rows: list[list[str]]) -> list[list[str]]:
        """Return the rows as a fault of the content leaves them.

        `key` names the series; rows begin with what tells them apart.
        """
        with self._lock:
            if fault is Fault.EMPTY:
                return self._hide(key, rows, [True] * len(rows))
            if fault is Fault.MISSING:
                return self._hide(key, rows, (self.rng.random(len(rows)) < 0.2).tolist())
            if fault is Fault.HALF_ROWS:
                half = len(rows) // 2
                newest = bool(self.rng.random() < 0.5)
                return self._hide(key, rows, [(at < half) == newest for at in range(len(rows))])
            if fault is Fault.DUPLICATED:
                return [row for row in rows for _ in range(int(self.rng.integers(1, 3)))]
            if fault is Fault.UNORDERED:
                return [rows[at] for at in self.rng.permutation(len(rows))]
            return rows

    def _hide(self, key: str, rows: list[list[str]], hide: Iterable[bool]) -> list[list[str]]:
        left = []
        for row, wanted in zip(rows, hide, strict=True):
            if wanted and self._lies[key, row[0]] < MOST_LIES:
                self._lies[key, row[0]] += 1
            else:
                left.append(row)
        return left
