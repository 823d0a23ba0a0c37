"""Workbooks as LibreOffice computes them, for the tests of the proof."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl

from cryptosim_bt.reports.workbook.proof.checks import COLUMNS, FIRST_ROW
from tests.chromium import missing

OFFICE_NAMES = ("soffice", "libreoffice")
KIND, WHAT, FIGURE, COMPUTED, ENGINE, DIFFERENCE, VERDICT = (
    [name for name, _ in COLUMNS].index(name)
    for name in ("proof_kind", "proof_what", "proof_figure", "computed", "engine", "difference",
                 "verdict")
)  # fmt: skip


def office() -> str:
    """Return LibreOffice, or skip the test; fail where the reports' tests must run."""
    found = next(filter(None, map(shutil.which, OFFICE_NAMES)), None)
    if found is None:
        missing("LibreOffice (Debian: libreoffice-calc)")
    return str(found)


def recalculated(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return the workbooks as a headless LibreOffice computed and saved them."""
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    target = folder / "computed"
    subprocess.run(
        [office(), profile, "--headless", "--convert-to", "xlsx", "--outdir", str(target),
         *map(str, paths)],
        check=True, capture_output=True, timeout=600,
    )  # fmt: skip
    return [target / path.name for path in paths]


@dataclass(frozen=True)
class Computed:
    """What a computed workbook says of itself: the top cells of the proof, its rows."""

    verdict: str
    given: str
    summary: dict[str, Any]
    rows: list[tuple[Any, ...]]

    @classmethod
    def read(cls, path: Path) -> Computed:
        """Read a workbook with the results of its formulas."""
        book = openpyxl.load_workbook(path, data_only=True, read_only=True)
        name = "Proof" if "Proof" in book.sheetnames else "검산"
        lines = list(book[name].iter_rows(values_only=True))
        first = book[book.sheetnames[0]].iter_rows(max_col=2, values_only=True)
        summary = {str(row[0]): row[1] for row in first if len(row) > 1}
        book.close()
        top = (*lines[0], None, None)
        return cls(top[1], top[2], summary, lines[FIRST_ROW - 1 :])

    def of(self, verdict: str) -> list[tuple[Any, ...]]:
        """Return the rows with a verdict."""
        return [row for row in self.rows if row[VERDICT] == verdict]

    @property
    def largest(self) -> float:
        """The largest difference."""
        return max((abs(row[DIFFERENCE]) for row in self.rows
                    if isinstance(row[DIFFERENCE], int | float)), default=0.0)  # fmt: skip


def changed(
    path: Path,
    places: Sequence[tuple[str, str, int | None]],
    target: Path,
    factor: float = 1.001,
) -> Path:
    """Write a workbook again with some numbers multiplied by a factor.

    Each place is a sheet, a heading and the n-th row from 0; or the summary, a label, None.
    """
    book = openpyxl.load_workbook(path)
    for sheet, heading, row in places:
        page = book[sheet]
        if row is None:
            cell = next(line[1] for line in page.iter_rows(max_col=2) if line[0].value == heading)
        else:
            column = next(each.column for each in page[1] if each.value == heading)
            cell = page.cell(row + 2, column)
        assert isinstance(cell.value, int | float), f"{sheet}, {heading}: no number"
        assert cell.value, f"{sheet}, {heading}: 0 does not change"
        cell.value *= factor
    book.save(target)
    return target
