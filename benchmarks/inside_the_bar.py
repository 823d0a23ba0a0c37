"""``python -m benchmarks.inside_the_bar``: what whole bars guess, against the minutes inside them.

Runs strategies over a year of BitMEX XBTUSD twice: orders matched on 1h bars (the guess), and on
the 1m bars of the same hours (the truth, as near as bars come to it). The signals are those of the
1h bars in both. Prints, as a table in Markdown, the ambiguous bars, the fills that differ, and the
final equity of both beside the band that the best and the worst order of events span.

Needs ``bitmex_XBTUSD_1h.csv.gz`` and ``bitmex_XBTUSD_1m.parquet`` in the folder that
``CRYPTOSIM_DATA`` names. By hand only: no test and no other benchmark runs it.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cryptosim_bt import SHIPPED_CONFIGS, Result, load_settings
from cryptosim_bt.backtest.prepare import prepare
from cryptosim_bt.backtest.run import ambiguity_band, execute
from cryptosim_bt.plugins.registry import Registry, discover

DATA = Path(os.environ.get("CRYPTOSIM_DATA", "../shared/data")).resolve()
HOURS, MINUTES = DATA / "bitmex_XBTUSD_1h.csv.gz", DATA / "bitmex_XBTUSD_1m.parquet"

COMMON = (
    "data.source=file",
    f"data.path={HOURS}",
    "data.timeframe=1h",
    "instrument.contract_size=1",
    "instrument.tick=0.5",
    "instrument.lot=1",
    "trading.symbol=BTC/USD:BTC",
    "backtest.initial_balance=1",
    "backtest.fees={maker: 0.0002, taker: 0.0005}",
    "backtest.funding.rate=0.0001",
    "report.analyzers=[]",
    "timezone=UTC",
)
FINE = ("data.fill_timeframe=1m", f"data.fill_path={MINUTES}")


@dataclass(frozen=True)
class Case:
    """A way of trading, by what it changes in the shipped configuration."""

    name: str
    overrides: tuple[str, ...]


CASES = (
    Case("take-profit 2 %, no stop (as shipped)", ()),
    Case(
        "take-profit 1 %, stop 1 %",
        ("trading.take_profit_pct=0.01", "trading.stop_loss_pct=0.01"),
    ),
    Case(
        "take-profit 0.5 %, stop 0.5 %",
        ("trading.take_profit_pct=0.005", "trading.stop_loss_pct=0.005"),
    ),
    Case(
        "take-profit 1 %, stop 1 %, 5 times the size at leverage 20",
        ("trading.take_profit_pct=0.01", "trading.stop_loss_pct=0.01",
         "trading.position_size=0.05", "trading.leverage=20"),
    ),
    Case(
        "take-profit 2 %, no stop, isolated margin, leverage 25",
        ("trading.margin_mode=isolated", "trading.leverage=25"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """What came of one case: the guess, the truth, and the guess's band."""

    case: Case
    hours: Result
    minutes: Result
    band: dict[str, dict[str, float]]
    seconds: tuple[float, float]


def compare(case: Case, start: str, end: str, registry: Registry) -> Comparison:
    """Run a case on hours, with the band, and on minutes."""
    period = (
        f"backtest.trading_period.start_date='{start}'",
        f"backtest.trading_period.end_date='{end}'",
    )
    overrides = [*COMMON, *period, *case.overrides]
    config = SHIPPED_CONFIGS / "config.yaml"
    guess = prepare(load_settings(config, overrides), registry)
    truth = prepare(load_settings(config, [*overrides, *FINE]), registry)
    began = time.perf_counter()
    hours, _ = execute(guess)
    between = time.perf_counter()
    minutes, _ = execute(truth)
    seconds = (between - began, time.perf_counter() - between)
    return Comparison(case, hours, minutes, ambiguity_band(guess, hours), seconds)


def fills_by_hour(result: Result) -> Counter[tuple[object, ...]]:
    """Return the fills of a run: hour, role, side, price, contracts."""
    fills = result.fills
    return Counter(
        zip(
            fills["time"].dt.floor("h"), fills["role"], fills["side"],
            fills["price"].round(6), fills["contracts"].round(6), strict=True,
        )
    )  # fmt: skip


def first_difference(one: Counter[tuple[object, ...]], other: Counter[tuple[object, ...]]) -> str:
    """Return the first hour whose fills differ, a dash if none does."""
    apart = [key[0] for key in (one - other) + (other - one)]
    return f"{min(apart):%Y-%m-%d}" if apart else "-"  # type: ignore[type-var]


def taken_at_once(result: Result) -> int:
    """Return the trades that end by take-profit in the hour of their entry (R12: not on 1h)."""
    trades = result.trades[result.trades["exit_reason"] == "take_profit"]
    same_hour = trades["entry_time"].dt.floor("h") == trades["exit_time"].dt.floor("h")
    return int(same_hour.sum())


def columns(each: Comparison) -> Iterator[str]:
    """Yield a row of the table."""
    guessed, true = fills_by_hour(each.hours), fills_by_hour(each.minutes)
    ambiguous = each.hours.summary["ambiguous_bars"]["total"]
    yield each.case.name
    yield f"{ambiguous} ({ambiguous / each.hours.summary['bars_traded']:.2%})"
    yield f"{each.minutes.summary['ambiguous_bars']['total']}"
    yield f"{guessed.total():,}"
    yield f"{true.total():,}"
    yield f"{(guessed - true).total():,} / {(true - guessed).total():,}"
    yield first_difference(guessed, true)
    yield f"{taken_at_once(each.minutes):,}"
    yield f"{each.band['worst']['final_equity']:.4f} to {each.band['best']['final_equity']:.4f}"
    for way in ("rules", "path"):
        yield f"{each.band[way]['final_equity']:.4f}"
    yield f"{each.minutes.summary['final_equity']:.4f}"
    yield f"{each.hours.summary['max_drawdown']:.1%} / {each.minutes.summary['max_drawdown']:.1%}"
    yield f"{each.hours.summary['liquidations']} / {each.minutes.summary['liquidations']}"


HEADINGS = (
    "case", "ambiguous 1h bars", "ambiguous 1m bars", "fills 1h", "fills 1m",
    "only in 1h / only in 1m", "first difference",
    "taken in the hour of entry, 1m", "equity band (worst to best)",
    "equity 1h, rules", "equity 1h, path", "equity 1m", "drawdown 1h / 1m",
    "liquidations 1h / 1m",
)  # fmt: skip


def kinds_of(comparisons: list[Comparison]) -> pd.DataFrame:
    """Return the ambiguous 1h bars of each case by kind."""
    rows = [
        {"case": each.case.name, **each.hours.summary["ambiguous_bars"]} for each in comparisons
    ]
    return pd.DataFrame(rows).set_index("case").fillna(0).astype(int)


def main() -> None:
    """Compare all cases over a window and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--start", default="2020-01-01")
    parser.add_argument("--end", default="2021-01-01")
    options = parser.parse_args()
    logging.getLogger("cryptosim_bt").setLevel("ERROR")
    registry = discover()
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + "---|" * len(HEADINGS))
    comparisons = []
    for case in CASES:
        comparisons.append(compare(case, options.start, options.end, registry))
        print("| " + " | ".join(columns(comparisons[-1])) + " |", flush=True)
    print(f"\n{kinds_of(comparisons).to_string()}\n")
    for each in comparisons:
        print(f"{each.case.name}: {each.seconds[0]:.1f} s on 1h, {each.seconds[1]:.1f} s on 1m")


if __name__ == "__main__":
    main()
