"""The figures of R26 in backtrader's own way."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt import register_analyzer
from cryptosim_bt.report import ReportAnalyzer
from cryptosim_bt.result import Result


@register_analyzer("performance")
class Performance(ReportAnalyzer):
    """Write summary.json."""

    def write(self, result: Result, directory: Path) -> list[Path]:
        """Write the summary."""
        return [result.write_summary(directory)]
