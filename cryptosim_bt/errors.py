"""The errors of CryptoSim, one tree.

::

    CryptoSimError
    ├── InputError            the user can fix it: exit code 2, one sentence
    │   ├── ConfigError       a key of the configuration (or of --set)
    │   ├── DataError         bars or funding rates
    │   ├── PluginError       a strategy, feed or analyzer
    │   ├── OutputError       the directory or a file that a run writes
    │   ├── StoreError        the folder of kept market data
    │   └── VenueError        the venue, or the way to it
    │       ├── VenueUnavailable  for now: asked again by itself, then said
    │       └── VenueRefused      for good: the question has to change
    ├── PluginFailed          a plugin's own code raised an exception: exit code 1
    ├── ReportFailed          a report could not be made of a finished run: exit code 3
    └── BooksDisagree         the account and the book of R21 differ: our defect, exit code 1

Every message says where, what was found, and what is allowed or what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# A file or a configuration may hold megabytes where a number belongs: no sentence needs them.
_SHOWN_VALUE = 200
_SHOWN_LINE = 1_500
_CREDENTIALS = re.compile(r"://[^/\s'\"]*@")


def masked(text: str) -> str:
    """Return a text without the names and passwords of the URLs in it."""
    return _CREDENTIALS.sub("://***@", text)


def shown(value: object) -> str:
    """Return a value for a message as Python writes it, cut at 200 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep; an integer of thousands of digits
        text = f"a {type(value).__name__} too large to show"
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}... ({len(text):,} signs)"


def listed(names: Iterable[object]) -> str:
    """Return names for a message with commas between them, cut at 200 characters."""
    text = ", ".join(map(str, names))
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}..."


def _bounded(line: str) -> str:
    half = _SHOWN_LINE // 2
    return line if len(line) <= _SHOWN_LINE else f"{line[:half]} ... {line[-half:]}"


class CryptoSimError(Exception):
    """Root of all errors that CryptoSim raises on purpose. Stop the run."""

    def __init__(self, message: str = "") -> None:
        super().__init__(masked(message))


class InputError(CryptoSimError):
    """The input is wrong and nothing was computed. Fix the input and run again.

    Its sentences are of bounded length, whatever the input holds.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__("\n".join(map(_bounded, masked(message).split("\n"))))


class ConfigError(InputError):
    """A configuration key is missing, unknown, of a wrong type or out of range.

    May carry several sentences, one a line, one for each wrong key.
    """


class DataError(InputError):
    """Bars or funding rates are missing, unreadable, incomplete or contradict themselves."""


class PluginError(InputError):
    """A plugin is unknown, defined twice, broken, or was given parameters that it refuses."""


class OutputError(InputError):
    """An output directory or file cannot be written, or would overwrite an earlier run."""


class StoreError(InputError):
    """The folder of kept market data cannot be read or written, or a file in it is damaged.

    What is damaged is never read as if it were whole: `verify-data` names and fixes it.
    """


class VenueError(InputError):
    """A venue gave no usable answer. Nothing was computed; what was stored before is kept."""


class VenueUnavailable(VenueError):
    """The venue or the way to it fails for now: no connection, time-out, rate limit, maintenance.

    Retry: downloads do so by themselves, with growing pauses, before they raise it.
    """


class VenueRefused(VenueError):
    """The venue does not know or does not allow what was asked. Do not repeat it unchanged."""


class PluginFailed(CryptoSimError):
    """A plugin's own code raised an exception. Fix it; the run's log has the traceback."""


class ReportFailed(CryptoSimError):
    """An analyzer failed on a finished run, which is kept without its files. Fix it, and `report`.

    May carry several sentences, one a line, one for each analyzer that failed.
    """


class BooksDisagree(CryptoSimError):
    """The exchange's account and the strategy's book differ in equity or contracts (R21).

    Never caused by input. The figures of the run cannot be trusted: report it.
    """
