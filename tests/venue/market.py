"""What a test venue has: instruments, bars, funding rates, tiers. Real ones or made up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

STEPS = {
    "1m": 60_000, "3m": 180_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000,
    "1H": 3_600_000, "2H": 7_200_000, "4H": 14_400_000,
    "6Hutc": 21_600_000, "12Hutc": 43_200_000, "1Dutc": 86_400_000,
}  # fmt: skip
"""OKX's names of bars, as ccxt asks for them, and their lengths."""

OKX_BARS = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H",
    "4h": "4H", "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc",
}  # fmt: skip

COLUMNS = ["open", "high", "low", "close", "volume"]


def instrument(inst_id: str = "BTC-USD-SWAP", **changes: str) -> dict[str, str]:
    """Return a row of OKX's instruments list."""
    base, quote, _ = inst_id.split("-")
    inverse = quote == "USD"
    return {
        "instType": "SWAP", "instId": inst_id, "instIdCode": "10458", "uly": f"{base}-{quote}",
        "instFamily": f"{base}-{quote}", "settleCcy": base if inverse else quote,
        "ctVal": "100" if inverse else "0.01", "ctMult": "1",
        "ctValCcy": quote if inverse else base,
        "ctType": "inverse" if inverse else "linear", "lever": "100", "listTime": "1535424203000",
        "lotSz": "1" if inverse else "0.01", "minSz": "1" if inverse else "0.01", "tickSz": "0.1",
        "maxLmtSz": "100000000", "maxMktSz": "30000", "state": "live", **changes,
    }  # fmt: skip


TIERS = [
    {"tier": "1", "minSz": "0", "maxSz": "20000", "mmr": "0.0045", "maxLever": "100"},
    {"tier": "2", "minSz": "20001", "maxSz": "50000", "mmr": "0.006", "maxLever": "75"},
]


def synthetic_bars(
    first_ms: int, count: int, step_ms: int, seed: int = 1, holes: float = 0.0
) -> pd.DataFrame:
    """Make bars indexed by opening time in ms; a share of them is missing, some in long runs."""
    rng = np.random.default_rng(seed)
    close = np.round(50_000 + np.cumsum(rng.normal(0, 20, count)), 1)
    open_ = np.concatenate([close[:1], close[:-1]])
    table = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) + np.round(rng.exponential(9, count), 1),
            "low": np.minimum(open_, close) - np.round(rng.exponential(9, count), 1),
            "close": close,
            "volume": np.round(rng.exponential(2, count), 4),
        },
        index=first_ms + step_ms * np.arange(count, dtype=np.int64),
    )
    there = rng.random(count) >= holes
    if holes:
        for _ in range(3):  # runs, one of them longer than a page
            at, length = int(rng.integers(count)), int(rng.integers(1, 400))
            there[at : at + length] = False
    return table[there]


def real_bars(path: Path) -> pd.DataFrame:
    """Read recorded bars, indexed by opening time in ms."""
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    times = table["timestamp"]
    if not pd.api.types.is_integer_dtype(times):
        times = pd.to_datetime(times, utc=True).astype("datetime64[ms, UTC]").astype("int64")
    return table[COLUMNS].astype("float64").set_axis(pd.Index(times.to_numpy()))


@dataclass
class Market:
    """The data of one instrument.

    ``bars`` and ``marks`` by OKX's name of the timeframe; ``funding`` as (time in ms, rate).
    """

    instrument: dict[str, str]
    bars: dict[str, pd.DataFrame] = field(default_factory=dict)
    marks: dict[str, pd.DataFrame] = field(default_factory=dict)
    funding: list[tuple[int, float]] = field(default_factory=list)
    tiers: list[dict[str, str]] = field(default_factory=lambda: list(TIERS))


@dataclass
class Exchange:
    """All of a venue's data, and its clock."""

    markets: dict[str, Market] = field(default_factory=dict)
    now_ms: Callable[[], int] = lambda: int(time.time() * 1000)

    def add(self, market: Market) -> Market:
        """List a market."""
        self.markets[market.instrument["instId"]] = market
        return market


def candle_rows(
    table: pd.DataFrame, step_ms: int, after: int | None, before: int | None, limit: int,
    now_ms: int, reach: int | None, *, mark: bool, contract_size: float = 100.0,
) -> list[list[str]]:  # fmt: skip
    """Return OKX's rows: newest first, ``before < ts < after``, bars that have begun by now.

    `reach` is how many bars back from now the endpoint goes; None = for ever.
    """
    times = table.index.to_numpy()
    low = max(-1 if before is None else before, -1 if reach is None else now_ms - reach * step_ms)
    high = min(after if after is not None else now_ms + 1, now_ms + 1)
    first, stop = np.searchsorted(times, [low + 1, high])
    rows = []
    for at in range(stop - 1, max(first, stop - limit) - 1, -1):
        ts = int(times[at])
        open_, high_, low_, close, volume = (float(table[name].iat[at]) for name in COLUMNS)
        confirm = "1" if ts + step_ms <= now_ms else "0"
        prices = [repr(price) for price in (open_, high_, low_, close)]
        if mark:
            rows.append([str(ts), *prices, confirm])
        else:
            contracts = repr(round(volume * close / contract_size))
            rows.append([str(ts), *prices, contracts, repr(volume), repr(volume * close), confirm])
    return rows
