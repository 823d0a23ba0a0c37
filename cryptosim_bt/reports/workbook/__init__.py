"""report.xlsx: the run as an Excel workbook that proves itself."""

from cryptosim_bt.reports.workbook.book import write_workbook

__all__ = ["write_workbook"]
