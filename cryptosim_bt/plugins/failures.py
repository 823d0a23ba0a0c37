"""Failures of a user's strategy, reported with the strategy's name and the line that failed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptosim_bt.errors import CryptoSimError, PluginFailed

_PACKAGE = Path(__file__).resolve().parents[1]


@contextmanager
def failures_of(strategy: type, name: str) -> Iterator[None]:
    """Name a strategy in the exceptions that it raises within the block.

    Raises
    ------
    PluginFailed
        In place of an exception that passed through the strategy's own file, or came from a
        library, such as from an indicator that backtrader computes for it. One that the
        framework raised without the strategy goes on as it is: a defect of ours.
    """
    try:
        yield
    except CryptoSimError:
        raise
    except Exception as error:
        frame = _blamed(error, strategy)
        if frame is None:
            raise
        raise PluginFailed(
            f"strategy {name}: {type(error).__name__}: {error}; in {frame.name} "
            f"({frame.filename}:{frame.lineno})"
        ) from error


def _blamed(error: Exception, strategy: type) -> traceback.FrameSummary | None:
    """Return the last line of the strategy's file, or else of a library; None for our own."""
    own = getattr(sys.modules.get(strategy.__module__), "__file__", None)
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if frame.filename == own:
            return frame
    inside = Path(frames[-1].filename).resolve().is_relative_to(_PACKAGE)
    return None if inside else frames[-1]
