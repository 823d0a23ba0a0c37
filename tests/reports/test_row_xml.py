"""Rows written as XML: what openpyxl reads back is what was written."""

from __future__ import annotations

import datetime
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from cryptosim_bt.reports.workbook.row_xml import Formula, RowFile, excel_times, splice

NOON = datetime.datetime(2025, 1, 2, 12, 30)  # noqa: DTZ001


def written(tmp_path: Path, columns: list[list[Any]], style: int = 0) -> openpyxl.Workbook:
    """Return a book with a heading and rows below it, read back."""
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet("rows")
    page.append(["heading"])
    book.save(tmp_path / "plain.xlsx")
    rows = tmp_path / "rows.xml"
    with closing(RowFile(rows, 2, len(columns))) as file:
        file.write([values[:1] for values in columns], [style] * len(columns))
        file.write([values[1:] for values in columns], [style] * len(columns))
    splice(tmp_path / "plain.xlsx", {"xl/worksheets/sheet1.xml": rows}, tmp_path / "book.xlsx")
    return openpyxl.load_workbook(tmp_path / "book.xlsx")


@pytest.mark.parametrize(
    ("value", "read", "kind"),
    [
        (0.1 + 0.2, 0.30000000000000004, "n"),
        (1e-300, 1e-300, "n"),
        (7, 7, "n"),
        (float("nan"), None, "n"),
        (float("inf"), "inf", "s"),  # the contracts of an order that was refused for it
        (float("-inf"), "-inf", "s"),
        (None, None, "n"),
        (pd.NA, None, "n"),
        ("a < b & c", "a < b & c", "s"),
        ("=1+1", "=1+1", "s"),
        (" blanks ", " blanks ", "s"),
        ("bell\x07", "bell", "s"),
        (Formula('IF(A1<2,"a","b")&"c"'), '=IF(A1<2,"a","b")&"c"', "f"),
        (45659.5, 45659.5, "n"),
    ],
)
def test_cell_is_read_back_as_it_was_written(
    value: Any, read: Any, kind: str, tmp_path: Path
) -> None:
    page = written(tmp_path, [["first", value], ["other", 1.0]])["rows"]
    assert page["A1"].value == "heading"
    assert (page["A3"].value, page["A3"].data_type) == (read, kind)
    assert page["B3"].value == 1.0


def test_column_of_numbers_may_have_what_is_none(tmp_path: Path) -> None:
    values = [1.5, float("inf"), float("nan"), 2.5]
    page = written(tmp_path, [values])["rows"]
    assert [page[f"A{row}"].value for row in range(2, 6)] == [1.5, "inf", None, 2.5]


def test_times_are_days_of_excel(tmp_path: Path) -> None:
    assert excel_times(pd.Series([pd.Timestamp(NOON), pd.NaT])) == [45659 + 12.5 / 24, None]
    page = written(tmp_path, [[NOON, NOON]])["rows"]
    assert page["A2"].value == 45659 + 12.5 / 24
