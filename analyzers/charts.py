"""Charts of a run's figures."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt import register_analyzer
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.results.result import Result


@register_analyzer("charts")
class Charts(ReportAnalyzer):
    """Write charts/*.png: monthly returns, drawdown under water, PnL of the trades."""

    def write(self, result: Result, directory: Path) -> list[Path]:
        # matplotlib takes its time to import: not at every start-up.
        from cryptosim_bt.reports.plotting.figure_charts import draw_charts
        from cryptosim_bt.reports.plotting.fonts import korean_font

        return draw_charts(result, directory / "charts", korean_font())
