"""When live trading stops new entries, and the alarms that say why. Exits always go on."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from cryptosim_bt.config.keys import LimitsSection
from cryptosim_bt.live.journal import Journal

StopWord = Literal["stop", "flatten"]

logger = logging.getLogger(__name__)


class Safety:
    """The alarms that go on; some of them hold entries up.

    Parameters
    ----------
    limits
        Of the configuration.
    journal
        Keeps the alarms for whoever looks.
    """

    def __init__(self, limits: LimitsSection, journal: Journal) -> None:
        self._limits = limits
        self._journal = journal
        self._holding: set[str] = set()
        self._orders: deque[int] = deque()
        self.now_ms = 0

    @property
    def may_enter(self) -> bool:
        """Whether no alarm holds entries up."""
        return not self._holding

    def alarm(self, key: str, text: str, *, holds: bool = False) -> None:
        """Raise an alarm; ``holds`` entries up until it is over."""
        if holds:
            self._holding.add(key)
        if self._journal.raise_alarm(self.now_ms, key, text):
            logger.error("%s%s", text, "; entries stop" if holds else "")

    def calm(self, key: str) -> None:
        """End an alarm."""
        self._holding.discard(key)
        if self._journal.end_alarm(self.now_ms, key):
            logger.warning("over: %s", key)

    def check(self, key: str, text: str | None) -> None:
        """Raise an alarm that holds entries up while there is a text, and end it otherwise."""
        if text is None:
            self.calm(key)
        else:
            self.alarm(key, text, holds=True)

    # ------------------------------------------------------------------ limits
    def order_placed(self) -> None:
        """Count an order (`live.limits.orders_per_minute`)."""
        self._orders.append(self.now_ms)

    def check_orders(self, refusals: int) -> None:
        """Check how many orders there were in a minute, and how many refusals in a row."""
        while self._orders and self._orders[0] <= self.now_ms - 60_000:
            self._orders.popleft()
        most, count = self._limits.orders_per_minute, len(self._orders)
        too_many = f"{count} orders in a minute; allowed: {most}"
        self.check("orders per minute", too_many if count > most else None)
        if refusals >= self._limits.refusals_in_a_row:
            self.alarm("refusals", f"the venue refused {refusals} orders in a row", holds=True)

    def check_data(self, last_close_ms: int, timeframe_ms: int) -> None:
        """Check when the last bar closed."""
        late_s = (self.now_ms - last_close_ms - timeframe_ms) / 1000.0
        text = f"no closed bar for {late_s:.0f} s after it was due"
        self.check("stale data", text if late_s > self._limits.stale_data_s else None)

    def check_clock(self, off_ms: float) -> None:
        """Check the venue's time against what we thought it was."""
        text = f"the clock was off by {off_ms / 1000.0:.1f} s"
        self.check("clock", text if off_ms > self._limits.clock_off_s * 1000.0 else None)

    def check_margin(self, maintenance: float, equity: float) -> None:
        """Check how near maintenance margin is to the equity."""
        ratio = maintenance / equity if equity > 0.0 else 1.0
        text = f"maintenance margin is {ratio:.0%} of the equity"
        self.check("margin", text if maintenance and ratio >= self._limits.margin_ratio else None)

    def too_large(self, contracts: float) -> bool:
        """Tell whether a leg of so many contracts is above `live.limits.max_contracts`."""
        most = self._limits.max_contracts
        return most is not None and contracts > most


def kill_switch(journal: Path) -> Path:
    """Return the file whose being there ends trading with a journal."""
    return journal.with_name(f"{journal.name}.stop")


def asked_to_stop(journal: Path) -> StopWord | None:
    """Return what the kill-switch file asks for: its word, ``stop`` for anything else."""
    try:
        text = kill_switch(journal).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return "flatten" if text == "flatten" else "stop"


def ask_to_end(journal: Path, word: str, patience_s: float = 60.0) -> bool | None:
    """Ask whoever trades with a journal to end; tell whether it did, None where nobody trades."""
    lock = FileLock(f"{journal}.lock")
    if not journal.is_file() or _is_free(lock):
        return None
    switch = kill_switch(journal)
    switch.write_text(word, encoding="utf-8")
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        return False
    lock.release()
    switch.unlink(missing_ok=True)
    return True


def _is_free(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True
