"""Where the numbers of a workbook stand, as formulas name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openpyxl.utils import get_column_letter

from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.columns import Sheet


class Places:
    """Cells of the sheets of a workbook.

    Parameters
    ----------
    sheets
        The tables; their headings stand in row 1.
    figures
        Rows of the summary's figures and settings, in its column B.
    """

    def __init__(
        self, sheets: Sequence[Sheet], figures: Mapping[str, int], words: Words
    ) -> None:
        self._words, self._figures = words, figures
        self._letters = {
            sheet.name: {
                column.name: get_column_letter(number)
                for number, column in enumerate(sheet.columns, 1)
            }
            for sheet in sheets
        }

    def sheet(self, name: str) -> str:
        """Return a sheet before the ``!`` of its cells, that included."""
        return f"'{self._words(f'workbook.sheet.{name}')}'!"

    def cell(self, sheet: str, column: str, row: int) -> str:
        """Return the cell of a column in the n-th row of a table, from 0."""
        return f"{self.sheet(sheet)}{self._letters[sheet][column]}{row + 2}"

    def area(self, sheet: str, column: str, count: int) -> str:
        """Return the cells of a column in the first rows of a table, one at least."""
        letter = self._letters[sheet][column]
        return f"{self.sheet(sheet)}{letter}2:{letter}{max(2, count + 1)}"

    def figure(self, name: str) -> str:
        """Return the cell of a figure of the summary, or of a setting (``settings:key``)."""
        return f"{self.sheet('summary')}$B${self._figures[name]}"
