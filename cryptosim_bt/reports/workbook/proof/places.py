"""Where the numbers of a workbook stand, as formulas name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from openpyxl.utils import get_column_letter

from cryptosim_bt.reports.words import Words
from cryptosim_bt.reports.workbook.columns import Sheet


class Grid:
    """Cells of columns by name, their rows counted from 0 at a row of the sheet."""

    def __init__(self, names: Iterable[str], first_row: int = 2) -> None:
        self._first = first_row
        self._letters = {name: get_column_letter(place) for place, name in enumerate(names, 1)}

    def cell(self, column: str, row: int) -> str:
        """Return the cell of a column in a row."""
        return f"{self._letters[column]}{self._first + row}"

    def area(self, column: str, first: int, last: int) -> str:
        """Return the cells of a column from one row to another."""
        return f"{self.cell(column, first)}:{self.cell(column, last)}"


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
        self._grids = {
            sheet.name: Grid(column.name for column in sheet.columns) for sheet in sheets
        }

    def sheet(self, name: str) -> str:
        """Return a sheet before the ``!`` of its cells, that included."""
        return f"'{self._words(f'workbook.sheet.{name}')}'!"

    def cell(self, sheet: str, column: str, row: int) -> str:
        """Return the cell of a column in the n-th row of a table, from 0."""
        return self.sheet(sheet) + self._grids[sheet].cell(column, row)

    def area(self, sheet: str, column: str, count: int) -> str:
        """Return the cells of a column in the first rows of a table, one at least."""
        return self.sheet(sheet) + self._grids[sheet].area(column, 0, max(0, count - 1))

    def figure(self, name: str) -> str:
        """Return the cell of a figure of the summary, or of a setting (``settings:key``)."""
        return f"{self.sheet('summary')}$B${self._figures[name]}"
