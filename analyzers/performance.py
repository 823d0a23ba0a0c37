"""All figures of a run, in backtrader's own way and as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backtrader.utils import AutoOrderedDict

from cryptosim_bt import register_analyzer
from cryptosim_bt.plugins.analyzer import ReportAnalyzer
from cryptosim_bt.results.performance import write_performance
from cryptosim_bt.results.result import Result


@register_analyzer("performance")
class Performance(ReportAnalyzer):
    """Write summary.json and performance.json; give the figures to whoever asks during a run."""

    def get_analysis(self) -> AutoOrderedDict:
        """Return all figures up to the last bar that is over, as ``analysis.trades.all.win_rate``.

        Their names are those of performance.json; empty before the first bar of the window.
        """
        # Not at start-up: it imports the tables of a run.
        from cryptosim_bt.backtest.gather import performance_so_far

        return _with_attributes(performance_so_far(self.strategy))

    def write(self, result: Result, directory: Path) -> list[Path]:
        return [
            result.write_summary(directory),
            write_performance(result, directory / "performance.json"),
        ]


def _with_attributes(figures: Mapping[str, Any]) -> AutoOrderedDict:
    """Return nested figures as backtrader's analyzers give theirs."""
    found = AutoOrderedDict()
    for name, value in figures.items():
        found[name] = _with_attributes(value) if isinstance(value, Mapping) else value
    found._close()
    return found
