"""Measure report.html: time to write it, its size, time to the first picture and of a zoom.

``python -m benchmarks.page [BARS ...]``; needs Chromium, chromedriver and the extra ``reports``.
Each count is a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptosim_bt.page import write_page
from tests.page_cases import page_result

COUNTS = (744, 100_000, 525_600, 1_000_000)
# A busy run: a trade every fourteen bars.
BARS_A_TRADE = 14
OPENINGS = 3
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update",
         "--window-size=1600,1000")  # fmt: skip
# Milliseconds of script to draw all panes anew at five depths of zoom, the slowest of them.
ZOOM = """const { charts } = cryptosim; let slowest = 0;
for (const share of [1, 0.5, 0.1, 0.01, 0.001]) {
  const [from, to] = charts.view.whole, half = (to - from) * share / 2;
  charts.view.set((from + to) / 2 - half, (from + to) / 2 + half);
  const start = performance.now(); charts.update();
  slowest = Math.max(slowest, performance.now() - start);
}
return [slowest, performance.memory.usedJSHeapSize / 1e6]"""


def main(counts: list[int]) -> None:
    """Print one line of figures per count of bars."""
    print("bars | trades | write | peak of memory | size | first picture | zoom | browser's heap")
    for count in counts:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.page", "--one", str(count)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        print(done.stdout.strip())


def measure(count: int) -> None:
    """Print the figures of one page."""
    result = page_result(count, trades=count // BARS_A_TRADE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        start = time.perf_counter()
        write_page(result, path)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        first, zoom, heap = _open(path)
        print(f"{count:,} | {len(result.trades):,} | {seconds:.1f} s | {peak:.0f} MB |"
              f" {path.stat().st_size / 1e6:.1f} MB | {first / 1000:.1f} s | {zoom:.0f} ms |"
              f" {heap:.0f} MB")  # fmt: skip


def _open(path: Path) -> tuple[float, float, float]:
    """Return the middle time to the first picture (ms), slowest zoom (ms) and heap (MB)."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    try:
        times = []
        for _ in range(OPENINGS):
            browser.get(path.as_uri())
            while not (first := browser.execute_script("return window.cryptosim?.firstPicture")):
                time.sleep(0.05)
            times.append(first)
        zoom, heap = browser.execute_script(ZOOM)
    finally:
        browser.quit()
    return sorted(times)[len(times) // 2], zoom, heap


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        measure(int(arguments[1]))
    else:
        main([int(each) for each in arguments] or list(COUNTS))
