"""Measure report.xlsx: time to write it, peak of memory, its size.

``python -m benchmarks.workbook [BARS ...]``. Each count is a process of its own, so that its peak
of memory is its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from cryptosim_bt import load_settings, run_backtest
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.reports.workbook import write_workbook
from tests.helpers import ROOT, require_data

COUNTS = (744, 100_000, 525_600)


def main(counts: list[int]) -> None:
    """Print one line of figures per count of bars."""
    print("bars | fills | write | processor | peak of memory, the run included | size")
    for count in counts:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.workbook", "--one", str(count)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        print(done.stdout.strip())


def measure(count: int) -> None:
    """Print the figures of one workbook: real minutes of BitMEX with the shipped strategy."""
    result, _ = run_backtest(_settings(count), discover())
    with tempfile.TemporaryDirectory() as folder:
        start, busy = time.perf_counter(), time.process_time()
        path = write_workbook(result, Path(folder) / "report.xlsx")
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count:,} | {len(result.fills):,} | {seconds:.1f} s | {busy:.1f} s |"
              f" {peak:.0f} MB | {path.stat().st_size / 1e6:.1f} MB")  # fmt: skip


def _settings(count: int) -> Settings:
    minutes = require_data("bitmex_XBTUSD_1m.parquet")
    first = pd.Timestamp("2019-01-01")
    end = first + pd.Timedelta(minutes=count)
    return load_settings(ROOT / "config" / "config.yaml", [
        "data.source=file", f"data.path={minutes}", "data.timeframe=1m", "data.gaps=keep",
        f"backtest.trading_period.start_date={first}", f"backtest.trading_period.end_date={end}",
        "logging.level=ERROR", "report.analyzers=[]",
    ])  # fmt: skip


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        measure(int(arguments[1]))
    else:
        main([int(each) for each in arguments] or list(COUNTS))
