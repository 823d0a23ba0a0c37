"""The tables of a run as CSV files."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt import register_analyzer
from cryptosim_bt.report import ReportAnalyzer
from cryptosim_bt.result import Result


@register_analyzer("ledger")
class Ledger(ReportAnalyzer):
    """Write bars.csv, fills.csv, trades.csv, orders.csv and sets.csv."""

    def write(self, result: Result, directory: Path) -> list[Path]:
        """Write the five tables."""
        return result.write_tables(directory)
