"""Failures of a user's plugin, reported with the plugin's name and the line that failed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptosim_bt.errors import CryptoSimError, PluginFailed

_PACKAGE = Path(__file__).resolve().parents[1]


@contextmanager
def failures_of(plugins: Mapping[str, type]) -> Iterator[None]:
    """Name a plugin in the exceptions that it raises within the block.

    ``plugins`` holds the classes by what they are called, such as ``strategy simple_ma``.

    Raises
    ------
    PluginFailed
        In place of an exception that passed through a plugin's own file, or came from a library,
        such as from an indicator that backtrader computes for the first of them; of ``sys.exit``
        as well. One that the framework raised without a plugin goes on as it is: a defect of ours.
    """
    try:
        yield
    except CryptoSimError:
        raise
    except (Exception, SystemExit) as error:
        label, frame = blamed(error, plugins)
        if frame is None:
            raise
        raise PluginFailed(f"{label}: {what_failed(error, frame)}") from error


def what_failed(error: BaseException, frame: traceback.FrameSummary | None = None) -> str:
    """Return one sentence of an exception: its kind, what it says, and the line that raised it."""
    frame = frame or traceback.extract_tb(error.__traceback__)[-1]
    kind = "called sys.exit" if isinstance(error, SystemExit) else type(error).__name__
    said = " ".join(f"{kind}: {error}".split()).removesuffix(":")
    return f"{said}; in {frame.name} ({frame.filename}:{frame.lineno})"


def blamed(
    error: BaseException, plugins: Mapping[str, type]
) -> tuple[str, traceback.FrameSummary | None]:
    """Return the last line of a plugin's file, or else of a library; None for our own."""
    own = {getattr(sys.modules.get(cls.__module__), "__file__", None): label
           for label, cls in reversed([*plugins.items()])}  # fmt: skip
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if frame.filename in own:
            return own[frame.filename], frame
    inside = Path(frames[-1].filename).resolve().is_relative_to(_PACKAGE)
    return next(iter(plugins)), None if inside else frames[-1]
