"""The whole run as a workbook."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt import register_analyzer
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.results.result import Result


@register_analyzer("excel")
class Excel(ReportAnalyzer):
    """Write report.xlsx: summary, charts, tables, and a proof of its numbers by live formulas."""

    def write(self, result: Result, directory: Path) -> list[Path]:
        # openpyxl takes its time to import: not at every start-up.
        from cryptosim_bt.reports.workbook import write_workbook

        return [write_workbook(result, directory / "report.xlsx", progress=self.progress)]
