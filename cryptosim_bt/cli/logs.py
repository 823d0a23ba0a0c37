"""Logging of a run: to stderr, and to the run's file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from cryptosim_bt.errors import OutputError, masked

ROOT = "cryptosim_bt"


class _OncePerKind(logging.Filter):
    """Let a message that repeats (``extra={"once": key}``) through once; the file has them all."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a kind that was shown before."""
        key: str | None = getattr(record, "once", None)
        shown_before = key in self._seen
        if key is not None:
            self._seen.add(key)
        return not shown_before


def _not_for_the_file_only(record: logging.LogRecord) -> bool:
    """Keep a message of ``extra={"file_only": True}``, such as a traceback, off the console."""
    return not getattr(record, "file_only", False)


def log_to_console(console: Console, level: str) -> None:
    """Send the framework's messages to stderr, beside a progress bar if there is one."""
    logger = logging.getLogger(ROOT)
    logger.setLevel(level)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    shown: logging.Handler
    if console.is_terminal:
        shown = RichHandler(console=console, show_path=False, show_time=False)
        shown.setFormatter(_Masked("%(message)s"))
    else:
        shown = logging.StreamHandler(sys.stderr)
        shown.setFormatter(_Masked("%(levelname)s %(message)s"))
    shown.addFilter(_OncePerKind())
    shown.addFilter(_not_for_the_file_only)
    logger.addHandler(shown)


class _Masked(logging.Formatter):
    """Write no password of a URL, in a message or in a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a message."""
        return masked(super().format(record))


class _FileHandler(logging.FileHandler):
    """Say what a full disk does to the log once, when it is closed, and not at every message."""

    failure: OSError | None = None

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
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"logging.file: {path}: cannot be written: {error.strerror}") from error
    handler.setFormatter(_Masked("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger(ROOT).addHandler(handler)
    return handler


def close_file(handler: logging.Handler) -> None:
    """Stop logging to a file; raise the OSError that kept a message from being written."""
    logging.getLogger(ROOT).removeHandler(handler)
    handler.close()
    if isinstance(handler, _FileHandler) and handler.failure is not None:
        raise handler.failure
