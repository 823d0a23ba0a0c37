"""Signals that end a command: one sentence, nothing left, and the exit code of the signal.

Nothing else is imported here, so that it stands before the rest takes its time to load.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(BaseException):
    """The process was told to end by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def _raise(number: int, _frame: object) -> None:
    raise Interrupted(number)


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Turn the signals that end a process into one sentence and its exit code."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _numbers():
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
                before[number] = signal.signal(number, _raise)
    try:
        yield
    except Interrupted as error:
        with contextlib.suppress(OSError):  # the terminal is gone
            print("interrupted", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal stop half-way what takes but a moment."""
    ours = [each for each in _numbers() if signal.getsignal(each) is _raise]
    for number in ours:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, _raise)


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
