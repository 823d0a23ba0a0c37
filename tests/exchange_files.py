"""Small runs from files through the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cryptosim_bt.config.document import yaml_text
from cryptosim_bt.data.timeframe import iso_utc
from tests.helpers import HOUR_MS, NEW_YEAR_MS, ROOT

# A dip strategy on the day's second half, so that something is entered and closed.
CONFIG: dict[str, dict[str, Any]] = {
    "data": {"source": "file", "path": "bars.csv", "timeframe": "1h"},
    "trading": {"symbol": "BTC/USD:BTC", "take_profit_pct": 0.002},
    "strategy": {"name": "simple_ma", "simple_ma": {"short_period": 2, "long_period": 5}},
    "backtest": {
        "trading_period": {"start_date": "2025-01-01 10:00", "end_date": "2025-01-03"},
        "initial_balance": 0.5,
        "funding": {"rate": 0.0001},
    },
    "report": {"analyzers": ["ledger"], "language": "en"},
}


def write_config(folder: Path, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write config.yaml, with some keys of its sections changed."""
    values: dict[str, Any] = {
        name: {**section, **changes.get(name, {})} for name, section in CONFIG.items()
    }
    values |= {name: dict(section) for name, section in changes.items() if name not in values}
    text = yaml_text({**values, "timezone": "UTC"})
    (folder / "config.yaml").write_text(text, encoding="utf-8")


def write_bars(
    path: Path,
    count: int,
    *,
    step_ms: int = HOUR_MS,
    shift: float = 0.0,
    wick: float = 0.0,
    without: Collection[int] = (),
) -> None:
    """Write bars from 2025-01-01 on: a rising saw, the price a line through each bar.

    The price depends on the time alone, so finer bars are those of the same market. ``shift``
    moves it, ``wick`` is added above and below every fourth bar, the bars ``without`` are left
    out.
    """
    rows = ["timestamp,open,high,low,close,volume"]
    for row in range(count):
        if row in without:
            continue
        begin = row * step_ms
        points = [saw(begin + step_ms * part // 12) + shift for part in range(13)]
        reach = wick if row % 4 == 3 else 0.0
        prices = (points[0], max(points) + reach, min(points) - reach, points[-1])
        rows.append(
            f"{iso_utc(NEW_YEAR_MS + begin)},{','.join(f'{price:.1f}' for price in prices)},"
            f"{step_ms // 60_000}"
        )
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def saw(time_ms: int) -> float:
    """Return the price at a time since the first bar: swings of 600 in three hours, rising."""
    hours = time_ms / HOUR_MS
    swing = abs(hours % 3.0 - 1.5) / 1.5
    return 50_000.0 + 10.0 * hours + 600.0 * swing


def _default_signals() -> None:
    # Whoever runs the tests in the background, or with nohup, has these ignored.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def cryptosim(
    folder: Path, *arguments: str | Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own and require its exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300", "PYTHONUTF8": "1",
                   "MPLBACKEND": "agg"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "cryptosim_bt", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        encoding="utf-8", preexec_fn=_default_signals,
    )  # fmt: skip
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
