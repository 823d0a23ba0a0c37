"""The run as pictures."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt import register_analyzer
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.results.result import Result


@register_analyzer("picture")
class Picture(ReportAnalyzer):
    """Write chart.png, the run at a glance, and plot.png, backtrader's own plot."""

    def write(self, result: Result, directory: Path) -> list[Path]:
        # matplotlib takes its time to import: not at every start-up.
        from cryptosim_bt.reports.plotting.backtrader_plot import draw_backtrader_plot
        from cryptosim_bt.reports.plotting.fonts import korean_font
        from cryptosim_bt.reports.plotting.run_chart import draw_chart

        font = korean_font()
        return [
            draw_chart(result, directory / "chart.png", font),
            draw_backtrader_plot(result, directory / "plot.png", font),
        ]
