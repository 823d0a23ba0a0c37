"""The tables of a run as CSV files."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt import register_analyzer
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.results.result import Result


@register_analyzer("ledger")
class Ledger(ReportAnalyzer):
    """Write every table of the run to a CSV file of its name."""

    def write(self, result: Result, directory: Path) -> list[Path]:
        """Write the tables."""
        return result.write_tables(directory)
