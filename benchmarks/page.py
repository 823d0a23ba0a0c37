"""Measure report.html: time to write it, its size, first picture, and how it feels to move.

``python -m benchmarks.page [BARS ...]``; needs Chromium, chromedriver and the extra ``test``.
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

import numpy as np

from cryptosim_bt.reports.page.page import write_page
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
# Milliseconds from one frame to the next while the chart zooms in from all bars to a few and is
# dragged along there, a step a frame: the middle one and the slowest.
FRAMES = """const done = arguments[0], { charts } = cryptosim, times = [];
const [first, last] = charts.view.whole;
const step = (now) => {
  times.push(now);
  if (times.length <= 60) charts.zoom(0.87, first + (last - first) * 0.6);
  else if (times.length <= 120) charts.pan(0.05);
  else {
    const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
    return done([gaps[gaps.length >> 1], gaps[gaps.length - 1]]);
  }
  requestAnimationFrame(step);
};
charts.all();
requestAnimationFrame(() => requestAnimationFrame(step));"""
# Milliseconds of script to open the orders and to sort them by price.
ORDERS = """const list = document.getElementById("list"), start = performance.now();
document.getElementById("tab-orders").click();
const open = performance.now();
list.querySelector('[data-column="price"]').click();
return [open - start, performance.now() - open]"""


def main(counts: list[int]) -> None:
    """Print one line of figures per count of bars."""
    print("bars | trades | orders | write | peak of memory | size | first picture | zoom |"
          " frame, slowest frame | orders, sorted | browser's heap")  # fmt: skip
    for count in counts:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.page", "--one", str(count)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        print(done.stdout.strip())


def measure(count: int) -> None:
    """Print the figures of one page."""
    result = page_result(count, trades=count // BARS_A_TRADE)
    # Volumes of a market do not repeat: they are packed less well than those of the tests.
    volumes = np.random.default_rng(5).lognormal(9.0, 1.0, count)
    result.bars["volume"] = np.round(volumes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        start = time.perf_counter()
        write_page(result, path)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = _open(path)
        print(f"{count:,} | {len(result.trades):,} | {len(result.orders):,} | {seconds:.1f} s |"
              f" {peak:.0f} MB | {path.stat().st_size / 1e6:.1f} MB |"
              f" {found['first'] / 1000:.1f} s | {found['zoom']:.0f} ms |"
              f" {found['frame']:.0f}, {found['slowest_frame']:.0f} ms |"
              f" {found['orders']:.0f}, {found['sorted']:.0f} ms | {found['heap']:.0f} MB")


def _open(path: Path) -> dict[str, float]:
    """Return what the browser measured: milliseconds, and its heap in MB."""
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
        frame, slowest = browser.execute_async_script(FRAMES)
        orders, in_order = browser.execute_script(ORDERS)
    finally:
        browser.quit()
    return {
        "first": sorted(times)[len(times) // 2], "zoom": zoom, "frame": frame,
        "slowest_frame": slowest, "orders": orders, "sorted": in_order, "heap": heap,
    }  # fmt: skip


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        measure(int(arguments[1]))
    else:
        main([int(each) for each in arguments] or list(COUNTS))
