"""``python -m benchmarks.run``: the speed of the main job against stock backtrader.

1. The reference job over 500,000 hourly-like bars, figures recorded, no files written, in bars per
   second of CPU time, against the same job in stock backtrader, both in this process.
2. A plain strategy with one resting limit, against the same run without it: a bar that changes
   nothing costs the same, so the ratio stays near 1.
3. The 744-bar main job with all its files, cold start included, as a process of its own.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import backtrader as bt
import pandas as pd

from benchmarks import stock_backtrader
from benchmarks.market import hourly_bars
from cryptosim_bt import SHIPPED_CONFIGS, FuturesBroker
from cryptosim_bt.backtest.lean_loop import ArrayData, LeanCerebro
from cryptosim_bt.backtest.needs import load_settings
from cryptosim_bt.backtest.prepare import Prepared, prepare_bars, resolve_plugins
from cryptosim_bt.backtest.run import execute
from cryptosim_bt.data.feed import DataSource
from cryptosim_bt.plugins.registry import Registry, discover

CONFIG = SHIPPED_CONFIGS / "config.yaml"


def cryptosim_job(bars: pd.DataFrame, registry: Registry) -> tuple[int, float]:
    """Run the reference job in CryptoSim; return fills and final equity."""
    warmup = 720
    start, end = bars.index[warmup], bars.index[-1] + pd.Timedelta(hours=1)
    settings = load_settings(
        CONFIG,
        [
            f"backtest.trading_period.start_date='{start.isoformat()}'",
            f"backtest.trading_period.end_date='{end.isoformat()}'",
            "report.analyzers=[]",
            "backtest.initial_balance=10",
        ],
    )
    plugins = resolve_plugins(settings, registry)
    prepared: Prepared = prepare_bars(
        settings, plugins, bars, warmup, DataSource("benchmark", synthetic=True)
    )
    result, _ = execute(prepared)
    return result.summary["fills"], result.summary["final_equity"]


def timed(job: Callable[[], object]) -> tuple[float, object]:
    """Return the CPU seconds of one call in this process and what it returned."""
    began = time.process_time()
    answer = job()
    return time.process_time() - began, answer


def reference_job(count: int, rounds: int) -> None:
    """Print bars per second of both, in turn, and the ratio."""
    bars, registry = hourly_bars(count), discover()
    ours, stock = [], []
    for _ in range(rounds):
        seconds, answer = timed(lambda: cryptosim_job(bars, registry))
        ours.append(seconds)
        print(f"  cryptosim   {count / seconds:>10,.0f} bars/s  {seconds:6.2f} s  {answer}")
        seconds, answer = timed(lambda: stock_backtrader.run(bars))
        stock.append(seconds)
        print(f"  backtrader  {count / seconds:>10,.0f} bars/s  {seconds:6.2f} s  {answer}")
    ratios = [theirs / mine for mine, theirs in zip(ours, stock, strict=True)]
    each = ", ".join(f"{ratio:.1f}" for ratio in ratios)
    print(f"  ratio       {statistics.median(ratios):10.1f} x  (each {each})")


class Resting(bt.Strategy):
    """Sends one limit far below the market, or none.

    Params:

      - ``rests``: whether it sends it
    """

    params = (("rests", True),)

    def next(self) -> None:
        """Send it with the first bar."""
        if self.p.rests and len(self) == 1:
            self.buy(size=1.0, exectype=bt.Order.Limit, price=0.01 * self.data.close[0])


def plain_job(bars: pd.DataFrame, *, rests: bool) -> int:
    """Run a plain strategy; return the orders that are open at its end."""
    cerebro = LeanCerebro(stdstats=False)
    cerebro.adddata(ArrayData(dataname=bars, bar="1h"))
    cerebro.broker = FuturesBroker(cash=1e6)
    cerebro.addstrategy(Resting, rests=rests)
    cerebro.run()
    return len(cerebro.broker.get_orders_open())


def resting_limit(count: int, rounds: int) -> None:
    """Print bars per second without and with a resting limit, in turn, and the ratio."""
    bars, ratios = hourly_bars(count), []
    for _ in range(rounds):
        without, _ = timed(lambda: plain_job(bars, rests=False))
        with_one, orders = timed(lambda: plain_job(bars, rests=True))
        ratios.append(with_one / without)
        print(f"  none        {count / without:>10,.0f} bars/s  {without:6.2f} s")
        print(f"  one limit   {count / with_one:>10,.0f} bars/s  {with_one:6.2f} s  {orders} open")
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"  ratio       {statistics.median(ratios):10.2f} x  (each {each})")


def main_job(rounds: int) -> None:
    """Print the seconds of the main job as a whole process, cold start included."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "cryptosim_bt", "run", str(CONFIG),
                       "--output", str(Path(folder) / "run")]  # fmt: skip
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
    each = ", ".join(f"{spent:.2f}" for spent in seconds)
    print(f"  median {statistics.median(seconds):.2f} s  (each {each})")


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("cryptosim_bt").setLevel("ERROR")
    print(f"reference job, {options.bars:,} bars, no files")
    reference_job(options.bars, options.rounds)
    print(f"plain strategy with one resting limit, {options.bars:,} bars")
    resting_limit(options.bars, max(3, options.rounds))
    print("main job, 744 bars, all files, cold start")
    main_job(max(3, options.rounds))


if __name__ == "__main__":
    main()
