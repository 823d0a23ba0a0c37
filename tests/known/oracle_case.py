"""The known cases in the oracle's words: simple_ma's signals and what a config.yaml says."""

import csv
import gzip
import math
from bisect import bisect_left
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from tests.known.oracle_account import Bar


def above(left: float, right: float) -> bool:
    """R6: left > right, where a difference of 1e-12 relative counts as none."""
    return left - right > 1e-12 * max(abs(left), abs(right))


def simple_ma_signals(closes: list[float], short: int, long: int, exit_on_cross: bool) -> list[int]:
    """R6: the signals of simple_ma for all bars, 0 where a mean is missing."""
    signals = [0] * len(closes)
    for i in range(long, len(closes)):
        fast, slow, fast_before, slow_before = (
            math.fsum(closes[end - length:end]) / length
            for end in (i + 1, i) for length in (short, long))
        up, down, rising = above(fast, slow), above(slow, fast), above(slow, slow_before)
        if up and rising and closes[i] < closes[i - 1]:
            signals[i] = 1
        elif down and not rising and closes[i] > closes[i - 1]:
            signals[i] = -1
        elif exit_on_cross and up and not above(fast_before, slow_before):
            signals[i] = -2
        elif exit_on_cross and down and not above(slow_before, fast_before):
            signals[i] = 2
    return signals


def load_case(folder: str | Path) -> tuple[list[Bar], list[int], dict[str, Any]]:
    """(bars, signals, settings) of a known case: its config.yaml and the data file it names."""
    config = YAML(typ="safe").load((Path(folder) / "config.yaml").read_text(encoding="utf-8"))
    backtest, averages = config["backtest"], config["strategy"]["simple_ma"]
    warm_up, zone = averages["long_period"], ZoneInfo(config["timezone"])
    start_ms, end_ms = (  # R2
        int(datetime.fromisoformat(local).replace(tzinfo=zone).timestamp() * 1000)
        for local in (backtest["trading_period"][f"{edge}_date"] for edge in ("start", "end")))
    with gzip.open(Path(folder) / config["data"]["path"], "rt", newline="") as file:
        bars = [(int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000),
                 *(float(row[name]) for name in ("open", "high", "low", "close")))
                for row in csv.DictReader(file)]
    bars = bars[bisect_left(bars, (start_ms,)) - warm_up:bisect_left(bars, (end_ms,))]  # R3
    signals = simple_ma_signals(
        [bar[4] for bar in bars], averages["short_period"], warm_up, averages["exit_on_cross"])
    base, _, settlement = config["trading"]["symbol"].replace(":", "/").split("/")
    fees, funding = backtest["fees"], backtest["funding"]
    times = funding.get("times", ("00:00", "08:00", "16:00"))  # R22
    due = [ms for ms in range(start_ms, end_ms, 60_000)
           if f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M}" in times]
    settings = {
        "min_contracts": None, "liquidation_fee_rate": None,
        "event_order": "rules", **backtest["fill"],
        **config["instrument"], **config["trading"], **config["position_set"], **config["risk"],
        **{name: fees.get("commission", fees.get(name)) for name in ("maker", "taker")},
        **{name: backtest[name] for name in ("initial_balance", "linear_pnl", "close_at_end")},
        "contract": "inverse" if base == settlement else "linear", "timezone": config["timezone"],
        "timeframe_ms": {"1h": 3_600_000}[config["data"]["timeframe"]],
        "funding": [(ms, funding.get("rate", 0.0)) for ms in due]}
    return bars[warm_up:], signals[warm_up:], settings
