"""A run's directory: written aside, then put in place whole, so nothing is half-written."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from cryptosim_bt.errors import OutputError

# What spreadsheet programs leave beside a workbook that they have open.
_LOCK_PATTERNS = ("~$*.xlsx", ".~lock.*#")


class RunDirectory:
    """Where a run's files go.

    Files are written into ``staging``, a hidden folder beside ``target``; `publish` puts it in
    place. With ``force`` an earlier run at ``target`` gives way, and files that are no run's are
    kept.
    """

    def __init__(self, target: Path, *, force: bool = False) -> None:
        self.target = target.absolute()
        self.staging = self.target.with_name(f".{self.target.name}.partial-{os.getpid()}")
        self._force = force
        self._check()
        try:
            self.staging.mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"{self.target}: cannot be written: {error.strerror}; name another folder with "
                "--output or report.output_dir"
            ) from error

    def _check(self) -> None:
        if not self.target.exists():
            return
        if not self.target.is_dir():
            raise OutputError(f"{self.target}: is a file; name a folder with --output")
        if not self._force and any(self.target.iterdir()):
            raise OutputError(
                f"{self.target}: is not empty; give --force to replace the run in it, or name "
                "another folder"
            )
        if Path.cwd().is_relative_to(self.target.resolve()):
            raise OutputError(
                f"{self.target}: is the working directory; name a folder of its own with --output"
            )
        check_not_open(self.target)

    def publish(self) -> None:
        """Put the run in place.

        Raises
        ------
        OutputError
            If the target cannot be replaced; the run stays in the staging folder, which is named.
        """
        try:
            if not self.target.exists():
                self.staging.rename(self.target)
                return
            earlier = self.target.with_name(f".{self.target.name}.earlier-{os.getpid()}")
            self.target.rename(earlier)
            self.staging.rename(self.target)
            _keep_foreign(earlier, self.target)
            shutil.rmtree(earlier)
        except OSError as error:
            raise OutputError(
                f"{self.target}: cannot be replaced: {error.strerror}; the run is in "
                f"{self.staging}"
            ) from error

    def abandon(self) -> None:
        """Remove what was written: the input was wrong."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def keep_failed(self) -> Path:
        """Keep the log of an unexpected failure beside the target; return the folder."""
        failed = _unused(self.target.with_name(f"{self.target.name}_failed"))
        self.staging.rename(failed)
        return failed


def check_not_open(folder: Path) -> None:
    """Raise `OutputError` where a workbook in a folder is open in another program."""
    for pattern in _LOCK_PATTERNS:
        for lock in folder.glob(pattern):
            raise OutputError(
                f"{folder}: {lock.name} shows that a workbook in it is open in another program; "
                "close it there, or name another folder"
            )


def default_target(output_dir: Path, strategy: str, now: datetime) -> Path:
    """Return ``<output_dir>/<timestamp>_<strategy>``, numbered if it exists."""
    return _unused(output_dir / f"{now:%Y%m%d_%H%M%S}_{strategy}")


def _unused(path: Path) -> Path:
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}_{number}")
    return candidate


_RUN_FILES = {
    "summary.json", "bars.csv", "fills.csv", "trades.csv", "orders.csv", "sets.csv",
    "funding.csv", "ambiguous.csv", "performance.json", "charts", "report.xlsx", "report.html",
    "chart.png", "plot.png", "config.yaml", "run.log", "backtrader.json",
}  # fmt: skip


def _keep_foreign(earlier: Path, target: Path) -> None:
    for path in earlier.iterdir():
        if path.name not in _RUN_FILES and not (target / path.name).exists():
            path.rename(target / path.name)
