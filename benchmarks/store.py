"""How long 2.6 million 1m bars take: imported, listed, and a year of them read.

``python -m benchmarks.store``: the bars of ``bitmex_XBTUSD_1m.parquet`` in ``$CRYPTOSIM_DATA``, and
before them as many made-up ones as make five years (all made up where the file is missing). Each
step is timed against reading one plain Parquet file of the same bars, and runs in a process of its
own, whose peak of memory is shown.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.store_forms import MINUTE_MS, make_bars

COUNT = 2_628_000
YEAR_MS = 365 * 1440 * MINUTE_MS
REPEATS = 5


def make_file(path: Path) -> tuple[int, int]:
    """Write the plain Parquet file; return its first time and the one behind its last."""
    real = Path(os.environ.get("CRYPTOSIM_DATA", "../shared/data")) / "bitmex_XBTUSD_1m.parquet"
    if real.is_file():
        bars = pd.read_parquet(real).rename(columns={"timestamp": "time"})
        made = make_bars(5).iloc[: COUNT - len(bars)]
        made["time"] += int(bars["time"].iloc[0]) - int(made["time"].iloc[-1]) - MINUTE_MS
        bars = pd.concat([made, bars.astype({name: "float64" for name in bars.columns[1:]})])
    else:
        print(f"no {real}: all bars are made up")
        bars = make_bars(5)
    bars = bars.rename(columns={"time": "timestamp"})
    bars.to_parquet(path, index=False)
    return int(bars["timestamp"].iloc[0]), int(bars["timestamp"].iloc[-1]) + MINUTE_MS


def step(name: str, file: Path, directory: Path, first_ms: int, end_ms: int) -> None:
    """Do one step; print its seconds and the peak of memory in MB as JSON."""
    from cryptosim_bt.data.store import Series, Store
    from cryptosim_bt.data.store.transfer import import_file

    series, store = Series.bars("bitmex", "BTC/USD:BTC", "1m"), Store(directory)
    columns = ["timestamp", *series.columns]
    start, end = (pd.Timestamp(at, unit="ms", tz="UTC") for at in (end_ms - YEAR_MS, end_ms))

    def once() -> int:
        if name == "import":
            return import_file(store, file, "bitmex", series.symbol, "1m", "bars", None)[1]
        if name == "list":
            return store.summary(store.list_series()[0]).rows
        if name == "year":
            return len(store.read(series, start, end))
        if name == "all":
            return len(store.read(series, pd.Timestamp(first_ms, unit="ms", tz="UTC"), end))
        return len(pd.read_parquet(file, columns=columns))

    best, rows = float("inf"), 0
    for _ in range(1 if name == "import" else REPEATS):
        began = time.perf_counter()
        rows = once()
        best = min(best, time.perf_counter() - began)
    print(json.dumps({"seconds": best, "rows": rows, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Return this process's peak of memory, not that of the one which forked it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure every step and print the table."""
    if len(sys.argv) > 1:
        name, file, directory, first, end = sys.argv[1:]
        step(name, Path(file), Path(directory), int(first), int(end))
        return
    folder = Path(tempfile.mkdtemp(prefix="store-benchmark-"))
    try:
        plain, year = folder / "plain.parquet", folder / "year.parquet"
        first, end = make_file(plain)
        bars = pd.read_parquet(plain)
        bars[bars["timestamp"] >= end - YEAR_MS].to_parquet(year, index=False)
        print("| step | rows | time | one plain Parquet file | ratio | peak of memory |")
        print("|---|---|---|---|---|---|")
        for name, against in (("import", plain), ("list", plain), ("year", year), ("all", plain)):
            mine, theirs = (
                json.loads(
                    subprocess.run(
                        [sys.executable, "-m", "benchmarks.store", what, str(file),
                         str(folder / "store"), str(first), str(end)],
                        capture_output=True, text=True, check=True,
                    ).stdout
                )
                for what, file in ((name, plain), ("plain", against))
            )  # fmt: skip
            ratio = mine["seconds"] / theirs["seconds"]
            print(
                f"| {name} | {mine['rows']:,} | {mine['seconds'] * 1000:.0f} ms | "
                f"{theirs['seconds'] * 1000:.0f} ms | {ratio:.2f} | {mine['peak_mb']:.0f} MB "
                f"(plain: {theirs['peak_mb']:.0f}) |",
                flush=True,
            )
        size = sum(path.stat().st_size for path in (folder / "store").rglob("*.parquet"))
        print(f"\nstore {size / 1e6:.0f} MB, plain file {plain.stat().st_size / 1e6:.0f} MB")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
