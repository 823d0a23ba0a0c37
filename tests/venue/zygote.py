"""A process that has everything imported, and forks one that downloads for every line it reads.

A download is a process of its own, to be killed, but does not import pandas and ccxt each time.
Reads JSON lines: ``{"url", "directory", "kinds", "start", "end", "seed"}``; writes the child's
process id, then its exit status (negative: the signal that killed it).
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

import ccxt  # noqa: F401, TID251 - imported before the fork, for all of them
import numpy as np
import pyarrow.parquet  # noqa: F401

from cryptosim_bt.data.download import Downloader
from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.venue import Retries, Venue


def work(job: dict[str, object]) -> None:
    """Download all series of a job."""
    venue = Venue(
        "okx", str(job["url"]), retries=Retries(60, 60, 0.0), timeout_s=0.15,
        request_interval_ms=0.01, rng=np.random.default_rng(int(str(job["seed"]))),
    )  # fmt: skip
    store = Store(Path(str(job["directory"])))
    downloader = Downloader(store, venue, pause_s=0.0, flush_s=0.0)
    for kind in job["kinds"]:  # type: ignore[attr-defined]
        series = Series("okx", "BTC/USD:BTC", kind)
        downloader.fetch(series, int(str(job["start"])), int(str(job["end"])), lambda a, b: None)


def main() -> None:
    """Serve jobs until the input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                work(json.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
