"""report.xlsx: the run as an Excel workbook that proves itself.

- `book` puts it together; `look`, `summary`, `tables`, `charts` say how its sheets look;
- `sheets`, `bars_sheet`, `columns`, `summary_rows` say what stands in them;
- `proof` and `proof_...` are the formulas that reckon it all again, `proof_sheets` their sheets;
- `row_xml` streams rows, so that memory does not grow with cells.
"""

from __future__ import annotations

from cryptosim_bt.reports.workbook.book import write_workbook

__all__ = ["write_workbook"]
