"""Has notifiers told what happens in a run, in threads of their own.

One thread reads the journal; each notifier has another, and a queue of bounded length: one that
hangs or fails loses notices of its own, says so when it is back, and holds nothing else up.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import ConfigError
from cryptosim_bt.live.credentials import read_secrets
from cryptosim_bt.live.notices import News
from cryptosim_bt.live.watching import stamps, words
from cryptosim_bt.plugins.notifier import KINDS, Notice, Notifier
from cryptosim_bt.plugins.registry import Kind, Registry

_LONGEST_QUEUE = 1_000
_LOOK_EVERY_S = 1.0
# Pauses before another try; then the notice is given up.
_PAUSES_S = (1.0, 5.0)
# How long the end of a run waits for what is on its way.
_PATIENCE_S = 3.0

logger = logging.getLogger(__name__)


class Outbox:
    """The notices of one notifier, and the thread that sends them."""

    def __init__(
        self, name: str, notifier: Notifier, kinds: Sequence[str] = KINDS,
        longest: int = _LONGEST_QUEUE,
    ) -> None:  # fmt: skip
        self._name, self._notifier, self._kinds = name, notifier, frozenset(kinds)
        self._waiting: queue.Queue[Notice | None] = queue.Queue(longest)
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name=f"notify {name}", daemon=True)
        self._thread.start()

    def put(self, notice: Notice) -> None:
        """Have a notice sent, or count it as lost; returns at once."""
        if notice.kind not in self._kinds:
            return
        try:
            self._waiting.put_nowait(notice)
        except queue.Full:
            self.lost += 1

    def end(self, deadline_s: float) -> None:
        """Wait for what is on its way until a time of the machine; then leave it."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            self.lost += 1
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        left = self._waiting.qsize()
        if self._thread.is_alive() and left:
            logger.warning("notifier %s: %d notices were not sent", self._name, left)

    def _run(self) -> None:
        while (notice := self._waiting.get()) is not None:
            if not self._was_sent(notice):
                self.lost += 1
            elif self.lost:
                logger.warning("notifier %s: %d notices were lost", self._name, self.lost)
                self.lost = 0

    def _was_sent(self, notice: Notice) -> bool:
        for pause_s in (*_PAUSES_S, None):
            try:
                self._notifier.send(notice)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                for secret in self._notifier.secrets.values():
                    said = said.replace(secret, "***")
                logger.warning("notifier %s failed: %s", self._name, said)
            else:
                return True
            if pause_s is not None:
                time.sleep(pause_s)
        return False


class Notifications:
    """Reads a journal while a run writes it, and fills the outboxes; used with ``with``."""

    def __init__(self, journal: Path, news: News, outboxes: Sequence[Outbox]) -> None:
        self._journal, self._news, self._outboxes = journal, news, outboxes
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def __enter__(self) -> Self:
        if self._outboxes:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        deadline_s = time.monotonic() + _PATIENCE_S
        self._ends.set()
        if self._outboxes:
            self._thread.join(_PATIENCE_S)
        for outbox in self._outboxes:
            outbox.end(deadline_s)

    def _run(self) -> None:
        seen: Any = None
        is_last = False
        while not is_last:
            is_last = self._ends.wait(_LOOK_EVERY_S)
            now = stamps(self._journal)
            if now != seen:
                seen = now
                self._look()

    def _look(self) -> None:
        try:
            for notice in self._news.look():
                for outbox in self._outboxes:
                    outbox.put(notice)
        except Exception:
            # Whatever is wrong with telling, trading goes on; the next look begins behind it.
            logger.exception("notices could not be read from the journal")


def notifications_of(
    settings: Settings, registry: Registry, journal: Path, environment: Mapping[str, str]
) -> Notifications:
    """Return what tells of a run, by ``live.notify``.

    Raises
    ------
    ConfigError
        If a notifier is unknown, or is not given what it needs.
    """
    outboxes = []
    for name, block in settings.keys.live.notify.items():
        place = settings.place("live", "notify")
        options = dict(block or {})
        kinds = options.pop("kinds", list(KINDS))
        if not isinstance(kinds, list) or not set(kinds) <= set(KINDS):
            raise ConfigError(
                f"{place}: kinds of {name} was {kinds!r}; allowed: a list of {', '.join(KINDS)}"
            )
        cls: type[Notifier] = registry.get(Kind.NOTIFIER, name, place).cls
        secrets = read_secrets(settings.directory, environment, cls.secret_names)
        outboxes.append(Outbox(name, cls(options, secrets), kinds))
    language = words()[settings.keys.report.language]
    return Notifications(journal, News(journal, language, settings.zone), outboxes)
