"""Downloads from a venue full of faults, killed at random moments: none lost, none made up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.store.verify import verify
from tests.venue.conftest import FIRST_MS
from tests.venue.faults import Faults
from tests.venue.market import COLUMNS, Exchange, Market, instrument, synthetic_bars
from tests.venue.server import OkxServer

MINUTE_MS = 60_000
COUNT = 1800
ROOT = Path(__file__).resolve().parents[2]
# Around midnight of 1 February, so that two files are written.
START_MS = FIRST_MS + 31 * 86_400_000 - 900 * MINUTE_MS
DEFAULT_SEEDS, ALL_SEEDS = range(8), range(8, 400)


class Zygote:
    """Starts downloads, each a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.venue.zygote"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, job: dict[str, object], kill_after_s: float | None) -> int:
        """Run a download, killed after a while if it is not done by then; return its status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        timer = None
        if kill_after_s is not None:
            timer = threading.Timer(kill_after_s, _kill, [child])
            timer.start()
        status = int(self._process.stdout.readline())
        if timer is not None:
            timer.cancel()
        return status

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    process = Zygote()
    yield process
    process.close()


def make_exchange(seed: int) -> Exchange:
    exchange = Exchange()
    market = exchange.add(Market(instrument()))
    market.bars["1m"] = synthetic_bars(START_MS, COUNT, MINUTE_MS, seed, holes=0.02)
    market.marks["1m"] = synthetic_bars(START_MS, COUNT, MINUTE_MS, seed + 1, holes=0.01)
    rng = np.random.default_rng(seed)
    market.funding = [
        (START_MS + 28_800_000 * at + int(rng.integers(0, 9)), float(rng.normal(0, 1e-4)))
        for at in range(300) if rng.random() > 0.02
    ]  # fmt: skip
    return exchange


def check(store: Store, exchange: Exchange, start: int, end: int) -> None:
    """Compare the store with the venue, bit by bit."""
    market = exchange.markets["BTC-USD-SWAP"]
    for kind, table in (("1m", market.bars["1m"]), ("1m-mark", market.marks["1m"])):
        series = Series("okx", "BTC/USD:BTC", kind)
        rows = store.read_columns(series, start, end)
        wanted = table[(table.index >= start) & (table.index < end)]
        assert np.array_equal(rows["time"], wanted.index.to_numpy())
        for name in COLUMNS[: 4 if kind.endswith("mark") else 5]:
            assert np.array_equal(rows[name], wanted[name].to_numpy()), (kind, name)
        assert store.unknown(series, start, end) == ()
        every = np.arange(start, end, MINUTE_MS)
        assert np.array_equal(
            store.holes(series, start, end), np.setdiff1d(every, wanted.index.to_numpy())
        )
        assert store.summary(series).rows == len(wanted)
    rates = store.read_columns(Series.funding("okx", "BTC/USD:BTC"), start, end)
    expected = [(at, rate) for at, rate in market.funding if start <= at < end]
    assert list(zip(rates["time"], rates["funding_rate"], strict=True)) == expected
    assert [finding for finding in verify(store, repair=False) if finding.cure] == []


def run_killed(zygote: Zygote, directory: Path, seed: int) -> int:
    """Download until it is done; kill it again and again before. Return the number of kills."""
    rng = np.random.default_rng(seed)
    exchange = make_exchange(seed)
    # The venue gives a little on both sides too.
    start, end = START_MS - 30 * MINUTE_MS, START_MS + (COUNT + 30) * MINUTE_MS
    faults = Faults(float(rng.uniform(0.0, 0.5)), rng=rng, timeout_s=0.3)
    with OkxServer(exchange, faults) as server:
        job = {"url": server.url, "directory": str(directory), "start": start, "end": end,
               "kinds": ["1m", "1m-mark", "funding"], "seed": seed}  # fmt: skip
        kills = 0
        while True:
            # Later and later, so that it ends however slow the machine is.
            after = float(rng.uniform(0.01, 0.25 + 0.1 * kills))
            status = zygote.run(job, after)
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills += 1
            # Whatever it left is whole at any moment, but for what it was just writing aside.
            found = verify(Store(directory), repair=False)
            assert {finding.problem for finding in found} <= {"was left by a killed writer"}
        before = len(server.requests)
        zygote.run(job, None)
        # What is known is not asked again, only the venue's time.
        assert {request.path for request in server.requests[before:]} <= {"/api/v5/public/time"}
    check(Store(directory), exchange, start, end)
    return kills


@pytest.mark.parametrize("seed", DEFAULT_SEEDS)
def test_download_killed_at_random_ends_equal_to_the_venue(zygote, tmp_path, seed):
    run_killed(zygote, tmp_path, seed)


@pytest.mark.store
@pytest.mark.parametrize("seed", ALL_SEEDS)
def test_download_killed_at_random_ends_equal_to_the_venue_again(zygote, tmp_path, seed):
    run_killed(zygote, tmp_path, seed)


def test_download_is_really_killed_in_these_tests(zygote, tmp_path):
    assert sum(run_killed(zygote, tmp_path / str(seed), seed) for seed in range(1000, 1002)) > 0
