"""report.html: the run as a page to zoom into."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt import register_analyzer
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.results.result import Result


@register_analyzer("page")
class Page(ReportAnalyzer):
    """Write report.html: chart, trades and sets in one file that needs no network."""

    def write(self, result: Result, directory: Path) -> list[Path]:
        """Write the page."""
        # Not before it is needed: the other commands load this module too.
        from cryptosim_bt.reports.page.page import write_page

        return [write_page(result, directory / "report.html")]
