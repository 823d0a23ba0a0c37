"""Four runs worked out independently of this project: every fill, bar, trade and total."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cryptosim_bt import Result, load_settings
from cryptosim_bt.backtest.run import run_backtest
from cryptosim_bt.plugins.registry import discover
from tests.helpers import ROOT, require_case, require_data, same, without_analyzers
from tests.known.oracle import simulate
from tests.known.oracle_case import load_case

pytestmark = pytest.mark.usefixtures("quiet_framework")

NAMES = ("2025-01", "2020-03", "2020-02-stops", "2020-02-stops-path")
TABLES = ("fills", "bars", "trades")
NUMBERS_OF_CASE = (
    ("bars_traded", "bars_traded"),
    ("fills", "fills"),
    ("trades", "trades"),
    ("wins", "wins"),
    ("entries_refused", "entries_refused"),
    ("liquidations", "liquidations"),
    ("shortfall", "shortfall"),
    ("final_balance", "final_balance"),
    ("final_equity", "final_equity"),
    ("fees_paid", "fees_paid"),
)


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest) -> Path:
    return require_case(request.param)


@pytest.fixture(scope="module")
def result(case: Path) -> Result:
    settings = without_analyzers(load_settings(case / "config.yaml"))
    finished, _ = run_backtest(settings, discover())
    return finished


@pytest.fixture(scope="module")
def oracle(case: Path) -> dict[str, Any]:
    return simulate(*load_case(case))


def in_milliseconds(column: pd.Series) -> list[int]:
    times = pd.DatetimeIndex(pd.to_datetime(column, utc=True))
    return [int(each) for each in times.as_unit("ms").asi8]


def read_exactly(path: Path) -> pd.DataFrame:
    """Read a CSV with floats as Python reads them, to the last digit."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return pd.DataFrame([{name: value_of(text) for name, text in row.items()} for row in rows])


def value_of(text: str) -> str | float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return text


def cells(table: pd.DataFrame) -> Iterator[tuple[str, list[Any]]]:
    """Yield columns of a table; times in ms, named so."""
    for column in table.columns:
        if column == "time" or column.endswith("_time"):
            yield column, in_milliseconds(table[column])
        else:
            yield column, table[column].tolist()


def assert_columns(ours: dict[str, list[Any]], theirs: pd.DataFrame) -> None:
    for column, wanted in cells(theirs):
        values = ours[column]
        assert len(values) == len(wanted)
        for row, (value, expected) in enumerate(zip(values, wanted, strict=True)):
            assert same(value, expected, scale=0.5), f"{column}[{row}]: {value!r}, not {expected!r}"


@pytest.mark.parametrize("name", TABLES)
def test_framework_on_known_case_gives_every_column(
    case: Path, result: Result, name: str
) -> None:
    theirs = read_exactly(case / f"{name}.csv")
    assert_columns(dict(cells(getattr(result, name))), theirs)


def test_framework_on_known_case_gives_its_summary(case: Path, result: Result) -> None:
    theirs = json.loads((case / "summary.json").read_text(encoding="utf-8"))
    for ours_name, theirs_name in NUMBERS_OF_CASE:
        value, expected = result.summary[ours_name], theirs[theirs_name]
        if isinstance(expected, dict):
            assert value == expected
        else:
            assert same(value, expected), ours_name
    assert same(result.trades["net_pnl"].sum(), theirs["net_pnl_of_trades"])
    assert {name for _, name in NUMBERS_OF_CASE} | {"net_pnl_of_trades"} == set(theirs)


@pytest.mark.parametrize("name", TABLES)
def test_oracle_on_known_case_gives_every_column(
    case: Path, oracle: dict[str, Any], name: str
) -> None:
    theirs = read_exactly(case / f"{name}.csv")
    ours = {
        {"time_ms": "time", "entry_ms": "entry_time", "exit_ms": "exit_time"}.get(column, column): [
            row[column] for row in oracle[name]
        ]
        for column in oracle[name][0]
    }
    bars, signals, _ = load_case(case)
    if name == "bars":
        ours |= {"signal": signals, "close": [bar[4] for bar in bars]}
    assert_columns(ours, theirs)


def test_oracle_on_known_case_gives_its_summary(case: Path, oracle: dict[str, Any]) -> None:
    theirs = json.loads((case / "summary.json").read_text(encoding="utf-8"))
    assert len(oracle["bars"]) == theirs["bars_traded"]
    assert len(oracle["fills"]) == theirs["fills"]
    assert len(oracle["trades"]) == theirs["trades"]
    assert oracle["refused"] == theirs["entries_refused"]
    assert oracle["liquidations"] == theirs["liquidations"]
    for name in ("shortfall", "fees_paid"):
        assert same(oracle[name], theirs[name]), name
    assert same(oracle["balance"], theirs["final_balance"])
    assert same(oracle["equity"], theirs["final_equity"])


def test_shipped_config_on_january_2025_gives_the_first_cryptosims_counts() -> None:
    # R3: 720 bars of warm-up and 744 of trading.
    data = require_data("binance_BTCUSDT_perp_1h.csv.gz")
    settings = load_settings(
        ROOT / "config" / "config.yaml", ["data.source=file", f"data.path={data}"]
    )
    result, _ = run_backtest(without_analyzers(settings), discover())
    assert result.summary["symbol"] == "BTC/USD:BTC"
    assert result.summary["bars_loaded"] == 720 + 744 == 1464
    assert result.summary["bars_traded"] == 31 * 24 == 744
    assert result.summary["fills"] == 196
    assert result.summary["trades"] == 126
    assert result.summary["entries_refused"] == {"sets_full": 140}
