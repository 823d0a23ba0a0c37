"""The run as pictures."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt import register_analyzer
from cryptosim_bt.report import ReportAnalyzer
from cryptosim_bt.result import Result


@register_analyzer("picture")
class Picture(ReportAnalyzer):
    """Write chart.png, the run at a glance, and plot.png, backtrader's own plot."""

    def write(self, result: Result, directory: Path) -> list[Path]:
        # matplotlib takes its time to import: not at every start-up.
        from cryptosim_bt.backtrader_plot import draw_backtrader_plot
        from cryptosim_bt.chart import draw_chart
        from cryptosim_bt.fonts import korean_font

        font = korean_font()
        return [
            draw_chart(result, directory / "chart.png", font),
            draw_backtrader_plot(result, directory / "plot.png", font),
        ]
