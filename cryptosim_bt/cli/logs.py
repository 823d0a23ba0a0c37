"""Logging of a run: to stderr, and to the run's file."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.logging import RichHandler

from cryptosim_bt.errors import OutputError, masked

ROOT = "cryptosim_bt"
_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z")


def in_zone(text: str, zone: ZoneInfo) -> str:
    """Return a text with its times in UTC (``…Z``) in a zone, as ISO-8601 with their offset."""
    return _UTC_TIME.sub(lambda found: _local(found[0], zone), text)


def _local(utc: str, zone: ZoneInfo) -> str:
    local = datetime.fromisoformat(utc).astimezone(zone)
    return local.isoformat(timespec="minutes" if len(utc) < 20 else "seconds") if (
        local.utcoffset()) else utc  # fmt: skip


class _Once(logging.Filter):
    """Let a warning through once, with how often it came; the file has them all.

    Warnings of a kind (``extra={"once": kind}``) wait for `say_repeats`, others are shown as they
    come and their repeats are counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[logging.LogRecord]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for what waits or was shown before."""
        kind: str | None = getattr(record, "once", None)
        if hasattr(record, "times") or (kind is None and record.levelno != logging.WARNING):
            return True
        before = self.seen.setdefault(kind or record.getMessage(), [])
        before.append(record)
        return kind is None and len(before) == 1


def say_repeats() -> None:
    """Show on the console what waited or came more than once since it was last asked, counted."""
    for handler in logging.getLogger(ROOT).handlers:
        for once in (each for each in handler.filters if isinstance(each, _Once)):
            seen, once.seen = once.seen, {}
            for first, *others in seen.values():
                if others or hasattr(first, "once"):
                    count = f" ({len(others) + 1:,} times; each in the log)" if others else ""
                    text = f"{first.getMessage()}{count}"
                    said = {**vars(first), "msg": text, "args": None, "times": len(others) + 1}
                    handler.handle(logging.makeLogRecord(said))


def _not_for_the_file_only(record: logging.LogRecord) -> bool:
    """Keep a message of ``extra={"file_only": True}``, such as a traceback, off the console."""
    return not getattr(record, "file_only", False)


def log_to_console(console: Console, level: str, zone: ZoneInfo | None = None) -> None:
    """Send the framework's messages to stderr, beside a progress bar if there is one.

    Times are shown in a zone, in UTC without.
    """
    logger = logging.getLogger(ROOT)
    logger.setLevel(level)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    shown: logging.Handler
    if console.is_terminal:
        shown = RichHandler(console=console, show_path=False, show_time=False)
        shown.setFormatter(_Masked("%(message)s", zone=zone))
    else:
        shown = logging.StreamHandler(sys.stderr)
        shown.setFormatter(_Masked("%(levelname)s %(message)s", zone=zone))
    shown.addFilter(_Once())
    shown.addFilter(_not_for_the_file_only)
    logger.addHandler(shown)


class _Masked(logging.Formatter):
    """Write no password of a URL, in a message or in a traceback; times in a zone, else UTC."""

    def __init__(self, line: str, zone: ZoneInfo | None = None) -> None:
        super().__init__(line, "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime
        self._zone = zone

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a message."""
        text = masked(super().format(record))
        return text if self._zone is None else in_zone(text, self._zone)


class _FileHandler(logging.FileHandler):
    """Say what a full disk does to the log once, when it is closed, and not at every message."""

    failure: OSError | None = None
    made: Sequence[Path] = ()

    def handleError(self, record: logging.LogRecord) -> None:
        """Keep the first failure to write; logging would print a traceback for each."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self.failure = self.failure or error
        else:
            super().handleError(record)


def log_to_file(path: Path) -> logging.Handler:
    """Send the framework's messages to a file as well; return the handler, to be closed.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    try:
        made = [each for each in (path, *path.absolute().parents) if not each.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _FileHandler(path, encoding="utf-8")
        handler.made = made
    except OSError as error:
        raise OutputError(f"logging.file: {path}: cannot be written: {error.strerror}") from error
    handler.setFormatter(_Masked("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger(ROOT).addHandler(handler)
    return handler


def close_file(handler: logging.Handler, *, discard: bool = False) -> None:
    """Stop logging to a file; raise the OSError that kept a message from being written.

    With ``discard`` a file that was made for the log is removed, and so are its folders.
    """
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()
    if discard and isinstance(handler, _FileHandler):
        for path in handler.made:
            with suppress(OSError):  # others have files there
                path.rmdir() if path.is_dir() else path.unlink()
    if isinstance(handler, _FileHandler) and handler.failure is not None:
        raise handler.failure
