"""The base of analyzer plugins, and how a finished run becomes files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

import backtrader as bt

from cryptosim_bt.errors import CryptoSimError, ReportFailed
from cryptosim_bt.plugins.failures import blamed, what_failed
from cryptosim_bt.results.run_files import disk_is_full

if TYPE_CHECKING:
    from cryptosim_bt.results.result import Result


class ReportAnalyzer(bt.Analyzer):
    """Base of analyzer plugins: listen during the run, write after it.

    ``start``, ``next``, ``notify_order`` and the rest are backtrader's; ``stop`` never writes. An
    analyzer that makes files overrides `write`, which is called with the finished run, by ``run``
    and by ``report`` on an earlier run; it uses nothing but the `Result`. What takes long tells
    ``progress``, if that is set, with (steps done, steps in all).
    """

    progress: Callable[[int, int], None] | None = None

    def prenext(self) -> None:
        """Do nothing in the warm-up; backtrader's own would call ``next``."""

    @classmethod
    def without_run(cls) -> Self:
        """Return an analyzer that received nothing, with its parameters: it can only `write`.

        backtrader makes analyzers inside of a strategy; for a run that was read back there is
        none.
        """
        analyzer = cls.__new__(cls)
        analyzer.p = analyzer.params = cls.params()
        return analyzer

    def write(self, result: Result, directory: Path) -> list[Path]:
        """Write files of a finished run into a directory; return their paths."""
        return []


def write_report(name: str, analyzer: ReportAnalyzer, result: Result, directory: Path) -> None:
    """Let an analyzer write a finished run; one that fails leaves no file behind.

    Raises
    ------
    ReportFailed
        In place of any exception of it, but that of a full disk.
    """
    before = set(directory.rglob("*"))
    try:
        analyzer.write(result, directory)
    except (Exception, SystemExit) as error:
        if disk_is_full(error):
            raise
        for path in set(directory.rglob("*")) - before:
            if not path.is_dir():
                path.unlink()
        if isinstance(error, CryptoSimError):
            raise ReportFailed(f"report {name}: {error}") from error
        _, frame = blamed(error, {name: type(analyzer)})
        raise ReportFailed(f"report {name}: {what_failed(error, frame)}") from error
